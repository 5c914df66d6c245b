%% SPDX-License-Identifier: Apache-2.0
%% The lines that put a node on the carrier, for each way in which nodes are packaged. What is a comment in the file that
%% they belong into is a comment here.
-module(merlon_doctor_emit).

-export([kinds/0, lines/2, ebin/0]).
-export_type([kind/0]).

-type kind() :: erl | mix | rebar3 | rabbitmq | ejabberd.
-type facts() :: #{dir := {ok, string()} | {error, term()}, as => string(),
                   ports := default | {inet:port_number(), inet:port_number()}}.

-spec kinds() -> [kind()].
kinds() -> [erl, mix, rebar3, rabbitmq, ejabberd].

%% The folder with the carrier's code.
-spec ebin() -> string().
ebin() -> filename:absname(filename:dirname(code:which(?MODULE))).

-spec lines(kind(), facts()) -> {ok, iodata()} | {error, iodata()}.
lines(_Kind, #{dir := {error, Reason}}) -> {error, merlon_dir:format_error(Reason)};
lines(Kind, #{dir := {ok, Dir}} = Facts) ->
    case [Path || Path <- [Dir, ebin()], not is_plain(Path)] of
        [] -> {ok, text(Kind, Dir, maps:get(ports, Facts), name(Facts))};
        [Path | _] -> {error, [Path, " has blanks or signs in it that some of the programs on the way would take apart: move it "
                               "to a path of letters, digits and . _ - / alone"]}
    end.

%% RabbitMQ expands the arguments of its tools unquoted, and vm.args have quotes of their own.
is_plain(Path) -> re:run(Path, "\\A[A-Za-z0-9._/@+-]+\\z", [{capture, none}]) =:= match.

%% Beside -proto_dist and the dir: a fixed port, where one was asked for.
flags(default) -> [];
flags({First, Last}) ->
    [io_lib:format("-kernel inet_dist_listen_min ~b inet_dist_listen_max ~b", [First, Last])].

name(#{as := Name}) -> [Name];
name(_) -> [].

text(erl, Dir, Ports, Name) ->
    [lists:join($\s, ["erl", path(), carrier(), place(Dir) | flags(Ports) ++ [named(N) || N <- Name]]), $\n];
text(mix, Dir, Ports, Name) ->
    ["# rel/vm.args.eex, and without a port also rel/remote.vm.args.eex; {:merlon, ...} is among the deps\n",
     [[Line, $\n] || Line <- [carrier(), place(Dir) | flags(Ports)]],
     "# rel/env.sh.eex: export RELEASE_DISTRIBUTION=", distribution(Name),
     [[" RELEASE_NODE=", N] || N <- Name], $\n];
text(rebar3, Dir, Ports, Name) ->
    ["# config/vm.args; merlon is among the deps and in relx' list of applications\n",
     [[Line, $\n] || Line <- [named(N) || N <- Name] ++ [carrier(), place(Dir) | flags(Ports)]],
     "# for the start script's tools: {include_nodetool, true} in relx, and in the environment\n"
     "# export USE_NODETOOL=1 ERL_LIBS=RELEASE/lib MERLON_DIR=", Dir, $\n];
text(rabbitmq, Dir, Ports, Name) ->
    Base = lists:join($\s, [path(), carrier(), place(Dir)]),
    ["# /etc/rabbitmq/rabbitmq-env.conf; the tools need it as the brokers do, and a certificate (merlon cert --cli)\n",
     [["NODENAME=", N, "\nUSE_LONGNAME=", atom_to_list(is_long(N)), $\n] || N <- Name],
     [["DIST_PORT=", integer_to_list(First), $\n] || {First, _} <- [Ports]],
     "SERVER_ADDITIONAL_ERL_ARGS=\"", Base, "\"\n"
     "CTL_ERL_ARGS=\"", Base, "\"\n"];
text(ejabberd, Dir, Ports, Name) ->
    ["# ejabberdctl.cfg; ejabberdctl itself takes these too, and needs a certificate (merlon cert --cli)\n",
     [["ERLANG_NODE=", N, $\n] || N <- Name],
     "ERL_OPTIONS=\"", lists:join($\s, [path(), carrier(), place(Dir)]), "\"\n",
     %% ejabberdctl's own VMs take their ports of it too.
     [io_lib:format("FIREWALL_WINDOW=~b-~b~n", [First, min(65535, max(Last, First + 10))]) || {First, Last} <- [Ports]]].

path() -> ["-pa ", ebin()].
carrier() -> "-proto_dist merlon".
place(Dir) -> ["-merlon_dir ", Dir].

named(Name) -> [case is_long(Name) of true -> "-name "; false -> "-sname " end, Name].

is_long(Name) ->
    [_ | Host] = string:split(Name, "@"),
    lists:any(fun(C) -> C =:= $. orelse C =:= $: end, lists:append(Host)).

distribution([Name]) -> case is_long(Name) of true -> "name"; false -> "sname" end;
distribution([]) -> "name".
