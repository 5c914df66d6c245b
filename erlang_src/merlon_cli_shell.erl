%% SPDX-License-Identifier: Apache-2.0
%% `merlon shell`: a remote shell on a node, as a tool. Finds out with which certificate and checks it, and says which
%% arguments Erlang needs; `bin/merlon` then hands its terminal over.
-module(merlon_cli_shell).
-behaviour(merlon_cli).

-export([spec/0, run/1, run/2]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Opens a remote shell on a node, with a tool's certificate",
      argument => {required, "NODE"},
      options => [{host, {text, "HOST"}, "this machine's name, as in the certificate"},
                  {ipv6, flag, "the node listens on IPv6"},
                  {dir, {text, "DIR"}, "the merlon dir"}],
      details => "The shell's node is hidden, listens to nobody and has a name that NODE gives it. It is a certificate\n"
                 "of `merlon cert --cli USER HOST`, HOST being this machine, that lets it in. Ctrl-G and q leave it.\n"
                 "Without a keyring the cookie in ~/.erlang.cookie must be NODE's."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) -> run(Options, #{}).

%% With `words` the result is one line for a shell, and not an argument a line.
-spec run(merlon_cli_args:options(), More :: map()) -> merlon_cli:result().
run(#{argument := Node} = Options, More) ->
    case {string:lexemes(Node, "@"), dir(Options)} of
        {[_, Host], {ok, Dir}} -> with(merlon_config:load(Dir), Node, Host, Options, More);
        {[_, _], {error, Reason}} -> {error, Reason};
        _ -> {usage, ["NODE is NAME@HOST, not ", Node]}
    end.

dir(#{dir := Dir}) -> {ok, filename:absname(Dir)};
dir(_) -> merlon_dir:find().

with({ok, Config}, Node, NodeHost, Options, More) ->
    case host(Options, NodeHost, Config) of
        {ok, Host} -> loaded(identity(Host, Config), Node, Host, Config, Options, More);
        {error, _} = Error -> Error
    end;
with({error, _} = Error, _Node, _NodeHost, _Options, _More) ->
    Error.

%% ---- as whom ----

%% What a node called `undefined@HOST` would take, with all that it checks when it boots.
identity(Host, Config) ->
    case merlon_identity:folder({<<"undefined">>, unicode:characters_to_binary(Host)}, Config) of
        {ok, Folder} -> merlon_identity:load_folder(Folder, Config);
        {error, _} = Error -> Error
    end.

%% That of a certificate: this user's before others', one on the node's host before others.
host(#{host := Host}, _NodeHost, _Config) -> {ok, Host};
host(_Options, NodeHost, #{identity := secret}) -> {ok, NodeHost};
host(_Options, NodeHost, #{dir := Dir}) ->
    Me = [os:getenv("USER"), os:getenv("LOGNAME")],
    case lists:sort([{not lists:member(User, Me), Host =/= NodeHost, Host} || [User, Host] <- tools(Dir)]) of
        [{_, _, Host} | _] -> {ok, Host};
        [] -> {error, {refused, ["there is no certificate for tools in ", Dir, "/cli: make one with `merlon cert --cli "
                                 "USER HOST --dir ", Dir, "` where the CA is, and bring it here"]}}
    end.

tools(Dir) ->
    case merlon_dir:list(merlon_dir:path([Dir, "cli"])) of
        {ok, Names} -> [string:lexemes(unicode:characters_to_list(Name), "@") || Name <- Names];
        {error, _} -> []
    end.

%% ---- the arguments ----

loaded({error, _} = Error, _Node, _Host, _Config, _Options, _More) ->
    Error;
loaded({ok, _}, Node, Host, #{dir := Dir} = Config, Options, More) ->
    case string:find(Dir, "\n") of
        nomatch ->
            Epmd = merlon_tool_vm:epmd(Node, "undefined@" ++ Host, Config, family(Options)),
            {ok, said(arguments(Node, Host, Dir, Options) ++ Epmd, More)};
        _ -> {error, {refused, "the merlon dir's name has a line break in it"}}
    end.

%% A name that says nothing of itself is asked for by this one, and given by NODE.
arguments(Node, Host, Dir, Options) ->
    ["-hidden", names_of(Node), "undefined@" ++ Host, "-remsh", Node,
     "-proto_dist", carrier(Options), "-merlon_dir", Dir].

%% Long names and short ones do not link.
names_of(Node) ->
    case string:find(Node, ".") of
        nomatch -> "-sname";
        _ -> "-name"
    end.

carrier(#{ipv6 := true}) -> "merlon6";
carrier(_) -> "merlon".

family(#{ipv6 := true}) -> inet6;
family(_) -> inet.

said(Arguments, #{words := Before}) ->
    [lists:join($\s, ["erl", "-pa" | [quoted(Word) || Word <- [Before | Arguments]]]), $\n];
said(Arguments, _More) ->
    [[Argument, $\n] || Argument <- Arguments].

quoted(Word) -> [$', string:replace(Word, "'", "'\\''", all), $'].
