%% SPDX-License-Identifier: Apache-2.0
%% `merlon explain`: why there would be, or would not be, a link from a node of this host to another, asked with that
%% node's files and without it.
-module(merlon_cli_explain).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Says what stands in the way of a link to a node, and how to mend it",
      argument => {required, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {as, {text, "NODE"}, "the node, or tool, of this host that would link"},
                  {'cookie-file', {text, "FILE"}, "its cookie, where there is no keyring; by default\n"
                   "                      RELEASE_COOKIE, else ~/.erlang.cookie"},
                  {port, {text, "PORT"}, "where NODE listens; by default {epmd, ...} of\n"
                   "                      merlon.config says it, else OTP's epmd"},
                  {inet6, flag, "over IPv6, as nodes with -proto_dist merlon6"}],
      details => "Resolves, connects and shakes hands as the node given by --as would, which may be left out where DIR\n"
                 "has one only, and hangs up before there is a link. Prints each step and one sentence. Exits with 0\n"
                 "if nothing stands in the way or a link is up, 1 if something does, 2 if it was called wrongly."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Node} = Options) ->
    case merlon_cli_cert:subject(Node, #{}) of
        {ok, _} -> asked(merlon_registry:listening(), node_atom(Node), Options);
        {error, Text} -> {usage, Text}
    end.

%% merlon: allow dynamic_atom until 2027-11-30 because it is the one argument of a command
node_atom(Node) -> list_to_atom(Node).

%% A mix task may run in a node.
asked(true, Node, _Options) -> told(merlon_explain:explain(Node));
asked(false, Node, Options) ->
    case port(Options) of
        {ok, Port} -> asked_in(merlon_cli_cert:dir(Options), Node, Port, Options);
        {usage, _} = Wrong -> Wrong
    end.

port(#{port := Text}) ->
    case string:to_integer(Text) of
        {Port, ""} when Port > 0, Port < 65536 -> {ok, #{port => Port}};
        _ -> {usage, ["--port must be a number from 1 to 65535, not ", Text]}
    end;
port(_Options) -> {ok, #{}}.

asked_in({ok, Dir}, Node, Port, Options) ->
    case {own(Dir, Options), merlon_config:load(Dir)} of
        {{ok, Name, Host}, {ok, Config}} -> asked_as({Name, Host}, Node, Config, maps:merge(Options, Port));
        {{usage, _} = Wrong, _} -> Wrong;
        {_, {error, _} = Error} -> Error
    end;
asked_in({error, _} = Error, _Node, _Port, _Options) -> Error.

own(_Dir, #{as := Node}) ->
    case merlon_cli_cert:subject(Node, #{}) of
        {ok, {node, Name, Host}} -> {ok, Name, Host};
        {error, Text} -> {usage, ["--as: ", Text]}
    end;
own(Dir, _Options) ->
    case merlon_dir:list(merlon_dir:path([Dir, "nodes"])) of
        {ok, [Node]} -> own(Dir, #{as => unicode:characters_to_list(Node)});
        {ok, [_, _ | _] = Nodes} ->
            {usage, ["say which node would link, with --as: ", lists:join(", ", lists:sort(Nodes))]};
        _ -> {usage, ["say which node would link, with --as: there is none in ", merlon_dir:path([Dir, "nodes"])]}
    end.

asked_as(Own, Node, Config, Options) ->
    Renamed = [{cookie, File} || #{'cookie-file' := File} <- [Options]] ++ [{family, inet6} || #{inet6 := true} <- [Options]],
    case merlon_explain_as:explain(Node, Own, Config, maps:merge(maps:from_list(Renamed), maps:with([port], Options))) of
        {ok, Explanation} -> told(Explanation);
        {error, _} = Error -> Error
    end.

%% ---- what is printed ----

told(#{verdict := Verdict, text := Text, steps := Steps}) ->
    {exit_code(Verdict), [[row(Step) || Step <- Steps], $\n, atom_to_list(Verdict), ": ", Text, $\n]}.

exit_code(blocked) -> unusable;
exit_code(_) -> ok.

row({Step, Outcome, Text}) ->
    io_lib:format("  ~-6s  ~-11s  ~ts~n", [Outcome, Step, Text]).
