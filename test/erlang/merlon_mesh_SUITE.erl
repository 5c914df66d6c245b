%% SPDX-License-Identifier: Apache-2.0
%% Twenty nodes, every one linked to every other.
-module(merlon_mesh_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([twenty_nodes_link_to_each_other/1]).

-define(NODES, 20).

suite() -> [{timetrap, {seconds, 180}}].

all() -> [twenty_nodes_link_to_each_other].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

twenty_nodes_link_to_each_other(Config) ->
    Bases = ["m" ++ integer_to_list(I) || I <- lists:seq(1, ?NODES)],
    {BootTime, Vms} =
        timer:tc(merlon_ct, start_all,
                 [Config, Bases, ["+S", "1", "+SDcpu", "1", "+SDio", "1", "+A", "1"]]),
    [{_, Hub, _} | Others] = Vms,
    Start = erlang:monotonic_time(millisecond),
    [true = merlon_ct:call(Vm, net_kernel, connect_node, [Hub]) || Vm <- Others],
    %% global does the rest.
    Full = fun(Vm) -> length(merlon_ct:links(Vm)) =:= ?NODES - 1 end,
    merlon_peers:wait(fun() -> lists:all(Full, Vms) end, 60000),
    Time = erlang:monotonic_time(millisecond) - Start,
    ct:pal("~b nodes booted in ~b ms, full mesh after ~b ms", [?NODES, BootTime div 1000, Time]),
    true = Time < 60000,
    Nodes = lists:sort([Node || {_, Node, _} <- Vms]),
    [Nodes = lists:sort([Node | merlon_ct:call(Vm, erlang, nodes, [])]) || {_, Node, _} = Vm <- Vms],
    %% The work of one reaches all.
    Answers = merlon_ct:call(hd(Vms), erpc, multicall, [Nodes, erlang, node, [], 20000]),
    true = lists:sort(Answers) =:= [{ok, Node} || Node <- Nodes],
    [ok = merlon_ct:alive(Vm) || Vm <- Vms],
    {comment, io_lib:format("mesh after ~b ms", [Time])}.
