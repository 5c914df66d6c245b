%% SPDX-License-Identifier: Apache-2.0
%% The networks: this machine's loopback, or two namespaces with a link between them (bench/net.sh).
-module(merlon_bench_net).

-export([all/0, up/2, down/2]).

-spec all() -> [atom()].
all() -> ['1gbit', '1gbit_1ms', '10gbit', '1pct_loss'].

%% Adds the hosts: each a name, and the command that runs others there.
-spec up(atom(), map()) -> {ok, map()} | {skipped, string()}.
up(loopback, Scene) ->
    {ok, Scene#{hosts => [{"localhost", []}]}};
up(Network, #{bench := Bench} = Scene) ->
    case command(Bench, ["up", os:getpid(), atom_to_list(Network)]) of
        {0, Hosts} ->
            {ok, Scene#{hosts => [host(Host) || Host <- string:lexemes(Hosts, " \n")]}};
        {_, Why} ->
            {skipped, string:trim(Why)}
    end.

%% With an epmd of its own, which must listen on more than the loopback there. It ends with the namespace.
host(Name) ->
    Exec = ["ip", "netns", "exec", Name],
    _ = open_port({spawn_executable, os:find_executable("ip")},
                  [{args, tl(Exec) ++ ["env", "-u", "ERL_EPMD_ADDRESS", "epmd"]}]),
    {Name, Exec}.

-spec down(atom(), map()) -> ok.
down(loopback, _) -> ok;
down(_, #{bench := Bench}) ->
    {0, _} = command(Bench, ["down", os:getpid()]),
    ok.

command(Bench, Args) ->
    Port = open_port({spawn_executable, filename:join(Bench, "net.sh")},
                     [{args, Args}, exit_status, stderr_to_stdout]),
    said(Port, []).

said(Port, Said) ->
    receive
        {Port, {data, Data}} -> said(Port, [Said, Data]);
        {Port, {exit_status, Status}} -> {Status, lists:flatten(Said)}
    end.
