%% SPDX-License-Identifier: Apache-2.0
%% Links that break: they go down on both sides, for a reason that is said, and leave nothing.
-module(merlon_failure_SUITE).

-include_lib("common_test/include/ct.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_killed_peer_is_a_closed_connection/1, a_halted_peer_is_a_closed_connection/1,
         disconnect_ends_both_sides/1, a_stopped_peer_is_found_by_the_tick/1,
         an_idle_link_stays_up/1, a_link_with_one_way_traffic_stays_up/1,
         a_peer_that_dies_under_load_releases_senders/1,
         a_dead_controller_ends_the_link/1, a_dead_reader_ends_the_link/1,
         a_malformed_frame_ends_only_its_link/1,
         a_frame_beyond_the_limit_ends_only_its_link/1,
         connect_and_disconnect_leaves_nothing/1, refused_handshakes_leave_nothing/1,
         a_vm_without_descriptors_recovers/1]).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [a_killed_peer_is_a_closed_connection, a_halted_peer_is_a_closed_connection,
     disconnect_ends_both_sides, a_stopped_peer_is_found_by_the_tick,
     an_idle_link_stays_up, a_link_with_one_way_traffic_stays_up,
     a_peer_that_dies_under_load_releases_senders,
     a_dead_controller_ends_the_link, a_dead_reader_ends_the_link,
     a_malformed_frame_ends_only_its_link, a_frame_beyond_the_limit_ends_only_its_link,
     connect_and_disconnect_leaves_nothing, refused_handshakes_leave_nothing,
     a_vm_without_descriptors_recovers].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% Nobody but the test dials: what OTP's global has to say to a new peer would link two again whose link has just ended.
-define(ALONE, ["-connect_all", "false", "-kernel", "dist_auto_connect", "never"]).

pair(Config, Args) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], ?ALONE ++ Args),
    ok = merlon_ct:connect(A, B),
    {A, B}.

down(Vm, Node, Wait) ->
    merlon_peers:wait(fun() -> lists:keymember(Node, 1, merlon_ct:call(Vm, merlon_work, downs, []))
                      end, Wait),
    merlon_peers:wait(fun() -> merlon_ct:link_of(Vm, Node) =:= none end),
    ok = merlon_ct:alive(Vm),
    [Reason] = [Reason || {To, Reason} <- merlon_ct:call(Vm, merlon_work, downs, []), To =:= Node],
    Reason.

log({Peer, _, _}, Event) ->
    [Report || #{event := E} = Report <- merlon_peers:log(Peer), E =:= Event].

%% The same once there is any: lines about links are written by processes of their own.
logged(Vm, Event) ->
    merlon_peers:wait(fun() -> log(Vm, Event) =/= [] end),
    log(Vm, Event).

%% ---- reasons ----

a_killed_peer_is_a_closed_connection(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    ok = merlon_ct:drop(B),
    connection_closed = down(A, NodeB, 5000),
    %% Cut off without close_notify: an error, never a clean end.
    [#{node := NodeB, reason := Reason, peer := {{127, 0, 0, 1}, _},
       fingerprint := <<_:64/binary>>}] = logged(A, link_failed),
    true = lists:member(Reason, [truncated, econnreset]),
    [#{node := NodeB, reason := connection_closed}] = logged(A, link_down).

a_halted_peer_is_a_closed_connection(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    ok = merlon_ct:call(B, init, stop, []),
    connection_closed = down(A, NodeB, 10000),
    [#{node := NodeB}] = logged(A, link_down).

disconnect_ends_both_sides(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    true = merlon_ct:call(A, erlang, disconnect_node, [NodeB]),
    disconnect = down(A, NodeB, 5000),
    connection_closed = down(B, NodeA, 5000),
    %% A clean end is told by close_notify.
    [#{reason := closed}] = logged(B, link_failed),
    true = merlon_ct:call(B, net_kernel, connect_node, [NodeA]),
    true = merlon_ct:call(B, erlang, disconnect_node, [NodeA]),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end).

%% As when a cable is cut: nothing comes, nothing is refused. Hidden nodes say nothing of themselves,
%% so that this peer has not sent a single frame since the handshake.
a_stopped_peer_is_found_by_the_tick(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, ["-hidden", "-kernel", "net_ticktime", "4"]),
    Start = erlang:monotonic_time(millisecond),
    ok = merlon_ct:signal(B, "STOP"),
    net_tick_timeout = down(A, NodeB, 12000),
    Time = erlang:monotonic_time(millisecond) - Start,
    ct:log("found after ~b ms", [Time]),
    true = Time > 2500,
    ok = merlon_ct:signal(B, "CONT"),
    connection_closed = down(B, NodeA, 5000),
    true = merlon_ct:call(A, net_kernel, connect_node, [NodeB]).

an_idle_link_stays_up(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["-kernel", "net_ticktime", "4"]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    #{frames_out := Frames} = merlon_ct:the_link(A, NodeB),
    timer:sleep(13000),
    {[], []} = {merlon_ct:call(A, merlon_work, downs, []), merlon_ct:call(B, merlon_work, downs, [])},
    #{frames_out := Later} = merlon_ct:the_link(A, NodeB),
    ct:log("~b ticks", [Later - Frames]),
    true = Later - Frames >= 8,
    true = Later - Frames =< 40,
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, awake]).

%% Only one side has something to say, and much of it: the other's ticks count all the same.
a_link_with_one_way_traffic_stays_up(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["-kernel", "net_ticktime", "8"]),
    Sender = merlon_ct:call(A, merlon_work, flood, [NodeB, 100000, 100000000]),
    timer:sleep(14000),
    {[], []} = {merlon_ct:call(A, merlon_work, downs, []), merlon_ct:call(B, merlon_work, downs, [])},
    true = merlon_ct:call(A, erlang, exit, [Sender, kill]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, awake]).

a_peer_that_dies_under_load_releases_senders(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["+zdbbl", "1024"]),
    ok = merlon_ct:signal(B, "STOP"),
    Senders = [merlon_ct:call(A, merlon_work, flood, [NodeB, 65536, 1000]) || _ <- lists:seq(1, 4)],
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_work, unsuspended, [Senders]) =:= [] end),
    ok = merlon_ct:drop(B),
    connection_closed = down(A, NodeB, 5000),
    merlon_peers:wait(fun() -> [] =:= [Pid || Pid <- Senders,
                                              merlon_ct:call(A, erlang, is_process_alive, [Pid])]
                      end),
    ok = merlon_ct:alive(A).

%% ---- the carrier's own processes ----

a_dead_controller_ends_the_link(Config) ->
    dies(Config, controller).

a_dead_reader_ends_the_link(Config) ->
    dies(Config, reader).

dies(Config, Which) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    true = merlon_ct:call(A, merlon_work, kill, [Which, NodeB]),
    _ = down(A, NodeB, 5000),
    connection_closed = down(B, NodeA, 5000),
    true = merlon_ct:call(A, net_kernel, connect_node, [NodeB]),
    [ok = merlon_ct:alive(Vm) || Vm <- [A, B]].

%% ---- violations by a peer that is who it says it is ----

a_malformed_frame_ends_only_its_link(Config) ->
    [ok = injected(Config, Frame) || Frame <- [<<"rubbish">>, <<131>>, <<131, 68, 255>>,
                                               <<131, 69, 0:64, 0:64, 0>>, <<112>>,
                                               <<131, 68, 0, 104, 4, 97, 6, 97, 1>>]].

injected(Config, Frame) ->
    [{_, NodeA, _} = A, B, {_, NodeC, _} = C] =
        merlon_ct:start_all(Config, ["a", "b", "c"], ?ALONE),
    true = merlon_ct:call(A, merlon_work, inject_with, [injector()]),
    [ok = merlon_ct:connect(Vm, B) || Vm <- [A, C]],
    ok = merlon_ct:call(A, merlon_work, inject, [element(2, B), Frame]),
    _ = down(B, NodeA, 5000),
    ok = merlon_ct:call(B, merlon_work, echo, [NodeC, still_up]),
    #{} = merlon_ct:the_link(B, NodeC),
    [] = [Node || {Node, _} <- merlon_ct:call(B, merlon_work, downs, []), Node =:= NodeC],
    merlon_ct:cleanup(Config).

%% The dist controller as built for tests only: it sends what it is told.
injector() ->
    Source = proplists:get_value(source, merlon_link_out:module_info(compile)),
    {ok, merlon_link_out, Code} = compile:file(Source, [binary, {d, 'MERLON_RAW_INJECTION'}]),
    Code.

a_frame_beyond_the_limit_ends_only_its_link(Config) ->
    Dir = merlon_peers:new_dir(?config(priv_dir, Config), "carrier-tests"),
    ok = file:write_file(filename:join(Dir, "merlon.config"), "{max_frame, 65536}.\n", [append]),
    [{_, NodeA, _} = A, {_, NodeB, _} = B] =
        [begin
             ok = merlon_peers:add_node(Dir, Node),
             merlon_ct:start(Config, Node, ?ALONE, #{dir => Dir, certify => false})
         end || Base <- ["a", "b"], Node <- [merlon_peers:node(merlon_peers:name(Base))]],
    true = merlon_ct:call(A, merlon_work, inject_with, [injector()]),
    ok = merlon_ct:connect(A, B),
    ok = merlon_ct:call(A, merlon_work, inject, [NodeB, binary:copy(<<0>>, 65537)]),
    _ = down(B, NodeA, 5000),
    [#{node := NodeA, reason := Reason}] = logged(B, link_failed),
    true = lists:member(Reason, [frame_too_long, too_long, frame_too_big]),
    ok = merlon_ct:alive(B).

%% ---- leaks ----

connect_and_disconnect_leaves_nothing(Config) ->
    [A, {_, NodeB, _} = B] = quiet(Config),
    _ = merlon_ct:call(A, merlon_work, cycles, [NodeB, 50]),
    Before = state([A, B]),
    Times = merlon_ct:call(A, merlon_work, cycles, [NodeB, 1000]),
    After = nothing_left(Before, [A, B], 100),
    Mean = lists:sum(Times) div length(Times),
    ct:pal("1000 cycles, ~b us mean to connect~nbefore ~p~nafter ~p", [Mean, Before, After]),
    [ok = merlon_ct:alive(Vm) || Vm <- [A, B]],
    {comment, io_lib:format("~b us per connect; ~w", [Mean, [maps:get(resources, S) || S <- After]])}.

%% At the other side of its handshakes too.
refused_handshakes_leave_nothing(Config) ->
    [A, {_, NodeB, _} = B] = quiet(Config),
    true = merlon_ct:call(A, erlang, set_cookie, [wrong]),
    Tries = fun(Count) -> [false = merlon_ct:call(A, net_kernel, connect_node, [NodeB])
                           || _ <- lists:seq(1, Count)] end,
    _ = Tries(20),
    Before = state([A, B]),
    _ = Tries(300),
    _ = nothing_left(Before, [A, B], 100),
    [ok = merlon_ct:alive(Vm) || Vm <- [A, B]].

%% Neither dials by itself, and the first has the greater name: over any carrier, plain TCP too, a
%% node with the greater name that has not yet seen the end of one link refuses the next, and
%% dist_util gives that up only after the setup time.
quiet(Config) ->
    merlon_ct:start_all(Config, ["z", "a"], ?ALONE).

nothing_left(Before, Vms, Tries) ->
    After = state(Vms),
    case leaked(Before, After) of
        [] -> After;
        _ when Tries > 0 -> timer:sleep(100), nothing_left(Before, Vms, Tries - 1);
        Leaked -> ct:fail({leaked, Leaked})
    end.

state(Vms) ->
    %% Twice: the first time loads code.
    _ = [merlon_ct:resources(Vm) || Vm <- Vms, _ <- [merlon_ct:memory(Vm)]],
    [#{resources => merlon_ct:resources(Vm), memory => merlon_ct:memory(Vm)} || Vm <- Vms].

%% The log collector of the tests itself keeps a few hundred bytes per event.
leaked(Before, After) ->
    [{Key, Was, Is} || {#{resources := R1, memory := #{total := M1, rss := Rss1}},
                        #{resources := R2, memory := #{total := M2, rss := Rss2}}}
                           <- lists:zip(Before, After),
                       {Key, Was, Is, Most} <- [{Key, maps:get(Key, R1), maps:get(Key, R2), 0}
                                                || Key <- [processes, ports, fds, ets]]
                           ++ [{atoms, maps:get(atoms, R1), maps:get(atoms, R2), 50},
                               {memory, M1, M2, 8 bsl 20}, {rss, Rss1, Rss2, 24 bsl 20}],
                       Is > Was + Most].

%% ---- descriptors ----

%% EMFILE: it says so, others keep their links, and it takes connections again when it can.
a_vm_without_descriptors_recovers(Config) ->
    Node = merlon_peers:node(merlon_peers:name("low")),
    Erl = os:find_executable("erl"),
    Low = {_, _, _} = merlon_ct:start(Config, Node, ["+Q", "1024"],
                                      #{exec => {"/bin/sh", ["-c", "ulimit -n 60; exec \"$0\" \"$@\"",
                                                             Erl]}}),
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], ["-connect_all", "false"]),
    ok = merlon_ct:connect(A, Low),
    Files = merlon_ct:call(Low, merlon_work, hog, ["/dev/null"]),
    ct:log("~b descriptors taken", [Files]),
    Dials = fun() -> merlon_ct:call(B, net_kernel, connect_node, [Node]) end,
    Attempt = spawn_monitor(fun() -> exit({answer, Dials()}) end),
    merlon_peers:wait(fun() -> [] =/= [Reason || #{reason := emfile = Reason} <- log(Low, accept_failed)]
                      end),
    ok = merlon_ct:call(A, merlon_work, echo, [Node, still_up]),
    ok = merlon_ct:alive(Low),
    ok = merlon_ct:call(Low, merlon_work, let_go, []),
    {Pid, Ref} = Attempt,
    receive {'DOWN', Ref, process, Pid, {answer, Answer}} -> ct:log("meanwhile ~p", [Answer]) end,
    merlon_peers:wait(fun() -> Dials() end),
    ok = merlon_ct:call(B, merlon_work, echo, [Node, hello]),
    %% It waits between attempts: not a line per turn of a loop.
    true = length(log(Low, accept_failed)) < 200.
