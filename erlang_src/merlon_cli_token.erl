%% SPDX-License-Identifier: Apache-2.0
%% `merlon token`: makes a token with which a node or a tool can join, lists those there are, takes one back.
-module(merlon_cli_token).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-import(merlon_cli_cert, [bytes/1]).

-define(TTL, 1800).
-define(MAX_TTL, 7 * 86400).
-define(DAYS, 90).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Makes a token with which one node can join, lists or revokes tokens",
      argument => {several, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir with the CA; by default this user's"},
                  {ttl, {text, "TIME"}, "how long it can be used: 90s, 30m (default), 12h, 7d at most"},
                  {cli, flag, "for remote shells and tools: NODE is USER@HOST"},
                  {at, {many, "HOST:PORT"}, "where `merlon enroll` or a node listens; default this host, port "
                   ++ integer_to_list(merlon_cli_enroll:port())},
                  {days, days, "how long the certificate that it gives is valid; default 90"},
                  {list, flag, "the tokens that were made here and what became of them"},
                  {revoke, {text, "ID"}, "take a token back; certificates that it gave stay"}],
      details => "NODE is a full node name, NAME@HOST, and * in it stands for any characters. A token works once:\n"
                 "for one of its names. With a pattern it gives no name that has a certificate already.\n"
                 "It is shown now and never again. Who has it can join: send it as you would a password."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{list := true, revoke := _}) -> {usage, "--list and --revoke are two commands: give one"};
run(#{argument := _, list := true}) -> {usage, "--list takes no NODE"};
run(#{argument := _, revoke := _}) -> {usage, "--revoke takes no NODE"};
run(#{list := true} = Options) -> in_dir(Options, fun list/1);
run(#{revoke := Id} = Options) -> in_dir(Options, fun(Dir) -> revoke(Dir, string:lowercase(bytes(Id))) end);
run(#{argument := Nodes} = Options) ->
    case {names(Nodes), ttl(maps:get(ttl, Options, "30m")), at(maps:get(at, Options, []))} of
        {{ok, Names}, {ok, Ttl}, {ok, At}} -> in_dir(Options, fun(Dir) -> new(Dir, Names, Ttl, At, Options) end);
        {{error, Text}, _, _} -> {usage, Text};
        {_, {error, Text}, _} -> {usage, Text};
        {_, _, {error, Text}} -> {usage, Text}
    end;
run(_Options) -> {usage, "NODE is missing: say for whom the token is, or --list, or --revoke ID"}.

in_dir(Options, Command) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> Command(Dir);
        {error, _} = Error -> Error
    end.

names(Nodes) when length(Nodes) > 16 -> {error, "a token has 16 names at most"};
names(Nodes) ->
    case [Node || Node <- Nodes, not is_good(bytes(Node))] of
        [] -> {ok, [bytes(Node) || Node <- Nodes]};
        [Bad | _] -> {error, [Bad, " is not a node name or a pattern of such: give NAME@HOST, with some letter in it"]}
    end.

%% Stars alone would be for anybody.
is_good(Name) ->
    merlon_token_core:is_name(Name) andalso re:run(Name, "[^*@]", [{capture, none}]) =:= match.

ttl(Text) ->
    case re:run(Text, "\\A([0-9]{1,6})([smhd])\\z", [{capture, all_but_first, list}]) of
        {match, [Number, Unit]} -> ttl(list_to_integer(Number) * seconds(Unit), Text);
        nomatch -> {error, ["--ttl must be a number and s, m, h or d, for example 30m, not ", Text]}
    end.

ttl(Seconds, _Text) when Seconds > 0, Seconds =< ?MAX_TTL -> {ok, Seconds};
ttl(_, Text) -> {error, ["--ttl must be from 1s to 7d, not ", Text]}.

seconds("s") -> 1;
seconds("m") -> 60;
seconds("h") -> 3600;
seconds("d") -> 86400.

at([]) ->
    {ok, Host} = inet:gethostname(),
    Full = case inet:gethostbyname(Host) of
               {ok, Entry} -> element(2, Entry);
               {error, _} -> Host
           end,
    {ok, [{bytes(Full), merlon_cli_enroll:port()}]};
at(Texts) when length(Texts) > 4 -> {error, "--at can be given 4 times at most"};
at(Texts) ->
    case [Text || Text <- Texts, merlon_token_core:address(bytes(Text)) =:= error] of
        [] -> {ok, [Address || Text <- Texts, {ok, Address} <- [merlon_token_core:address(bytes(Text))]]};
        [Bad | _] -> {error, ["--at must be HOST:PORT, for example ca.example:4379, not ", Bad]}
    end.

%% ---- new ----

new(Dir, Names, Ttl, At, Options) ->
    Now = erlang:system_time(second),
    Kind = case Options of
               #{cli := true} -> cli;
               #{} -> node
           end,
    Wanted = #{kind => Kind, names => Names, at => At, created => Now, expires => Now + Ttl,
               days => maps:get(days, Options, ?DAYS)},
    case merlon_token:new(Dir, Wanted) of
        {ok, Token, #{id := Id}} -> {ok, said(Token, Id, Wanted)};
        {error, {pki, Reason}} ->
            {error, {refused, [merlon_dir:path([Dir, "ca", "ca.pem"]), ": ", merlon_pki_text:words(Reason)]}};
        {error, _} = Error -> Error
    end.

%% The token on a line of its own, for who reads it by a program.
said(Token, Id, #{kind := Kind, names := Names, at := At, expires := End}) ->
    [Token, "\n\n",
     "Token ", Id, " lets one of these join, once, until ", merlon_text:date(End), ":\n\n",
     [["  ", Name, [" (tools)" || Kind =:= cli], $\n] || Name <- Names],
     "\nat ", lists:join(", ", [[Host, $:, integer_to_list(Port)] || {Host, Port} <- At]),
     ", where this CA must be served: `merlon enroll`, or a node with {enroll, true}.\n\n",
     "There:\n\n  merlon join TOKEN", [" --name NODE" || merlon_token_core:exact(Names) =/= Names orelse length(Names) > 1],
     "\n\nTo keep it out of `ps`, give `-` for TOKEN and the token on standard input.\n"].

%% ---- list, revoke ----

list(Dir) ->
    Now = erlang:system_time(second),
    case merlon_token:list(Dir) of
        [] -> {ok, "There are no tokens.\n"};
        Tokens -> {ok, [row(["id", "state", "expires", "for"]) | [fields(Token, Now) || Token <- Tokens]]}
    end.

row(Fields) -> io_lib:format("~-16ts  ~-8ts  ~-20ts  ~ts~n", Fields).

fields({_, #{id := Id, kind := Kind, names := Names, expires := End} = Record} = Token, Now) ->
    For = [lists:join(", ", Names), [" (tools)" || Kind =:= cli], [[": ", Used] || #{used := Used} <- [Record]]],
    row([Id, atom_to_list(merlon_token:state(Token, Now)), merlon_text:date(End), iolist_to_binary(For)]).

revoke(Dir, Id) ->
    case re:run(Id, "\\A[0-9a-f]{16}\\z", [{capture, none}]) of
        match -> revoked(merlon_token:revoke(Dir, Id), merlon_token:find(Dir, Id), Id);
        nomatch -> {usage, [Id, " is not a token's id: see `merlon token --list`"]}
    end.

revoked(ok, _, Id) -> {ok, ["Revoked token ", Id, ": nobody can join with it any more.\n"]};
revoked({error, {file, _}} = Error, _, _) -> Error;
revoked({error, spent}, {ok, revoked, _}, Id) -> {ok, ["Token ", Id, " is revoked already.\n"]};
revoked({error, spent}, {ok, used, Record}, Id) ->
    {error, {refused, ["token ", Id, " was used before", [[", for ", Used] || #{used := Used} <- [Record]],
                       ": take the certificate back with `merlon revoke NODE`"]}};
revoked({error, spent}, _, Id) ->
    {error, {refused, ["there is no token ", Id, ": see `merlon token --list`"]}}.
