%% SPDX-License-Identifier: Apache-2.0
%% The measures of links themselves: how long they take to make, what they cost while idle, how soon
%% the loss of one is noticed. The functions of the first part drive, those of the second run in nodes.
-module(merlon_bench_links).

-export([points/2, run/3]).
-export([connect/1, connect_all/1, disconnect/1, await/1, memory/1, kill/2]).

%% setup: milliseconds from net_kernel:connect_node/1 until it is true, a full handshake each time.
%% links: links per second, a hub connecting to 32 other nodes at once.
%% memory: KB (10^3) per idle link at the hub of 50, as it is and after garbage collections: `beam` is
%% erlang:memory(total), `process` what the operating system's process has allocated (anonymous pages:
%% the BEAM's carriers, native memory), `kernel` the buffers of one socket, `total` process and kernel.
%% nodedown: milliseconds from kill -9 of a peer until a process that monitors it is told.
-spec points(atom(), map()) -> [term()].
points(nodedown, #{network := loopback}) -> [b, c];
points(_, _) -> [all].

-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({setup, all}, Cast, #{setups := N}) ->
    Node = node(Cast, b),
    Times = [begin
                 disconnect(Cast, a, [b]),
                 call(Cast, a, connect, [Node])
             end || _ <- lists:seq(1, N)],
    ok = merlon_bench_carriers:claimed(Cast, a, b),
    [{lists:concat(["p", P]), none, "ms", Ms}
     || {P, Ms} <- lists:zip([50, 90], merlon_bench_stat:percentiles([50, 90], Times))];
run({memory, all}, Cast, #{peers := N}) ->
    [First | Others] = [node(Cast, {peer, I}) || I <- lists:seq(1, N + 1)],
    %% The code that a link needs is loaded by then.
    _ = call(Cast, hub, connect_all, [[First]]),
    ok = merlon_bench_carriers:claimed(Cast, hub, {peer, 1}),
    _ = call(Cast, hub, memory, [collect]),
    Before = call(Cast, hub, memory, [collect]),
    _ = call(Cast, hub, connect_all, [Others]),
    AsIs = call(Cast, hub, memory, [keep]),
    Collected = call(Cast, hub, memory, [collect]),
    disconnect(Cast, hub, [{peer, I} || I <- lists:seq(1, N + 1)]),
    per_link("", N, AsIs, Before) ++ per_link("_after_gc", N, Collected, Before);
run({links, all}, Cast, #{peers := Peers, links := Times}) ->
    N = min(32, Peers),
    Roles = [{peer, I} || I <- lists:seq(1, N)],
    Nodes = [node(Cast, Role) || Role <- Roles],
    Rates = [begin
                 Ms = call(Cast, hub, connect_all, [Nodes]),
                 ok = merlon_bench_carriers:claimed(Cast, hub, {peer, N}),
                 disconnect(Cast, hub, Roles),
                 N * 1000 / Ms
             end || _ <- lists:seq(1, Times)],
    [{lists:concat([N, "_at_once"]), none, "links/s", merlon_bench_stat:median(Rates)}];
run({nodedown, Role}, Cast, _) ->
    true = call(Cast, a, {net_kernel, connect_node}, [node(Cast, Role)]),
    Ms = call(Cast, a, kill, [node(Cast, Role), merlon_bench_carriers:os_pid(Cast, Role)]),
    [{lists:concat(["kill_", Role]), none, "ms", Ms}].

%% Both ends of a link are on this machine, and the kernel counts them together.
per_link(Suffix, N, After, Before) ->
    [Beam, Process, Kernel] = [(A - B) / N / 1000 || {A, B} <- lists:zip(After, Before)],
    [{Name ++ Suffix, none, "KB", Value}
     || {Name, Value} <- [{"beam", Beam}, {"process", Process}, {"kernel", Kernel / 2},
                          {"total", Process + Kernel / 2}]].

%% Ends the links from Role to Others; back when both ends of each are down.
disconnect(Cast, Role, Others) ->
    ok = call(Cast, Role, disconnect, [[node(Cast, Other) || Other <- Others]]),
    _ = [ok = call(Cast, Other, await, [[]]) || Other <- Others],
    timer:sleep(5).

call(Cast, Role, {_, _} = Function, Args) -> merlon_bench_carriers:call(Cast, Role, Function, Args);
call(Cast, Role, Fun, Args) -> call(Cast, Role, {?MODULE, Fun}, Args).

node(Cast, Role) -> merlon_bench_carriers:node(Cast, Role).

%% ---- in the nodes ----

%% Milliseconds.
-spec connect(node()) -> float().
connect(Node) ->
    connect_all([Node]).

%% To all of them at once, until the last one is connected.
-spec connect_all([node()]) -> float().
connect_all(Nodes) ->
    Start = erlang:monotonic_time(microsecond),
    Workers = [spawn_monitor(fun() -> exit(net_kernel:connect_node(Node)) end) || Node <- Nodes],
    Results = [receive {'DOWN', Ref, process, Pid, Result} -> Result end || {Pid, Ref} <- Workers],
    Us = erlang:monotonic_time(microsecond) - Start,
    [] = [Result || Result <- Results, Result =/= true],
    Us / 1000.

-spec disconnect([node()]) -> ok.
disconnect(Nodes) ->
    _ = [erlang:disconnect_node(Node) || Node <- Nodes],
    await(nodes() -- Nodes).

%% Until those are the only nodes that this one is linked to.
-spec await([node()]) -> ok.
await(Nodes) ->
    await(Nodes, 2000).

%% Something in the VM (global, an answer on its way) may have dialled again: then once more.
await(Nodes, 0) ->
    _ = [erlang:disconnect_node(Node) || Node <- nodes() -- Nodes],
    await(Nodes, 2000);
await(Nodes, Left) ->
    case lists:sort(nodes()) =:= lists:sort(Nodes) of
        true -> ok;
        false -> timer:sleep(1), await(Nodes, Left - 1)
    end.

%% Bytes, when all has settled: of the BEAM, of this operating system process, of all TCP socket buffers
%% of the machine; after a garbage collection of all processes, or as it is.
-spec memory(collect | keep) -> [integer()].
memory(What) ->
    _ = [begin
             timer:sleep(700),
             [erlang:garbage_collect(P) || P <- processes(), What =:= collect]
         end || _ <- [1, 2, 3]],
    timer:sleep(300),
    [erlang:memory(total), 1024 * number("/proc/self/smaps_rollup", "^Anonymous:\\s+(\\d+)"),
     4096 * number("/proc/net/sockstat", "^TCP:.* mem (\\d+)")].

number(File, Pattern) ->
    {ok, Text} = file:read_file(File),
    {match, [Digits]} = re:run(Text, Pattern, [multiline, {capture, all_but_first, list}]),
    list_to_integer(Digits).

%% The shell is there before the clock runs: starting one takes longer than the kill.
-spec kill(node(), string()) -> float().
kill(Node, OsPid) ->
    Shell = open_port({spawn, "sh"}, []),
    true = erlang:monitor_node(Node, true),
    timer:sleep(200),
    Start = erlang:monotonic_time(microsecond),
    true = port_command(Shell, ["kill -9 ", OsPid, "\n"]),
    receive {nodedown, Node} -> ok end,
    Us = erlang:monotonic_time(microsecond) - Start,
    true = port_close(Shell),
    Us / 1000.
