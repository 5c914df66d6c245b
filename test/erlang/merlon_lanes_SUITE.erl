%% SPDX-License-Identifier: Apache-2.0
%% Big messages beside small ones, over real nodes: what one process sends to another stays in order, what others
%% send is not held up, and every term arrives as it was.
-module(merlon_lanes_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([messages_of_all_sizes_stay_in_order/1, small_messages_of_others_overtake_a_giant/1,
         a_giant_is_not_overtaken_by_its_own_sender/1, signals_stay_behind_big_messages/1,
         signals_stay_behind_big_messages_beside_bulk/1, a_sender_killed_within_its_giant_leaves_the_link/1,
         new_atoms_do_not_wait_for_a_giant/1,
         new_atoms_beside_bulk_stay_themselves/1, work_beside_bulk_goes_on/1,
         keys_change_within_a_frame/1]).

-define(MB, (1024 * 1024)).
-define(SCENARIOS, [monitored_exit, linked_exit, big_linked_exit, link_then_exit, unlink_then_exit, exit_2,
                    big_exit_2, by_alias, by_name, small_then_big, group_leader]).

suite() -> [{timetrap, {seconds, 150}}].

all() ->
    [messages_of_all_sizes_stay_in_order, small_messages_of_others_overtake_a_giant,
     a_giant_is_not_overtaken_by_its_own_sender, signals_stay_behind_big_messages,
     signals_stay_behind_big_messages_beside_bulk, a_sender_killed_within_its_giant_leaves_the_link,
     new_atoms_do_not_wait_for_a_giant,
     new_atoms_beside_bulk_stay_themselves, work_beside_bulk_goes_on,
     keys_change_within_a_frame].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

pair(Config, Settings) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    ok = file:write_file(filename:join(Dir, "merlon.config"),
                         [io_lib:format("~p.~n", [Setting]) || Setting <- Settings], [append]),
    [A, B] = [begin
                  ok = merlon_peers:add_node(Dir, Node),
                  merlon_ct:start(Config, Node, [], #{dir => Dir, certify => false})
              end || Base <- ["a", "b"], Node <- [merlon_peers:node(merlon_peers:name(Base))]],
    ok = merlon_ct:connect(A, B),
    {A, B}.

%% The same at both ends at once.
both({_, NodeA, _} = A, {_, NodeB, _} = B, F, Args) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({done, work(B, F, [NodeA | Args])}) end),
    ok = work(A, F, [NodeB | Args]),
    receive {'DOWN', Ref, process, Pid, Reason} -> {done, ok} = Reason end,
    ok.

work({Peer, _, _}, F, Args) -> merlon_peers:call(Peer, merlon_lanes_work, F, Args, 120000).

%% The link is the one that it was.
unbroken(A, {_, NodeB, _}, Before) ->
    #{since := Since} = Before,
    #{since := Since} = merlon_ct:the_link(A, NodeB),
    ok.

%% ---- order ----

messages_of_all_sizes_stay_in_order(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    Before = merlon_ct:the_link(A, NodeB),
    ok = both(A, B, in_order, [20, 30, 5000000]),
    unbroken(A, B, Before).

small_messages_of_others_overtake_a_giant(Config) ->
    {Time, Trips, Events} = giant(Config),
    [{big, 0}, behind, {big, _}, behind] = Events,
    Sorted = lists:sort(Trips),
    Median = lists:nth((length(Sorted) + 1) div 2, Sorted),
    ct:log("~w", [Trips]),
    ct:pal("300 MB in ~b us; meanwhile ~b round trips, median ~b us, longest ~b us",
           [Time, length(Trips), Median, lists:last(Sorted)]),
    true = length(Trips) >= 10,
    true = Median * 10 < Time,
    {comment, io_lib:format("~b us, ~b trips, median ~b us", [Time, length(Trips), Median])}.

a_giant_is_not_overtaken_by_its_own_sender(Config) ->
    {_, _, [{big, 0}, behind, {big, Bytes}, behind]} = giant(Config),
    300 = Bytes div ?MB.

giant(Config) ->
    {A, {_, NodeB, _}} = pair(Config, [{max_frame, 400 * ?MB}]),
    work(A, overtaking, [NodeB, 300 * ?MB]).

%% ---- signals ----

signals_stay_behind_big_messages(Config) ->
    {A, {_, NodeB, _}} = pair(Config, []),
    [expect(Name, Size, work(A, scenario, [Name, NodeB, Size]))
     || Name <- ?SCENARIOS, Size <- [20 * ?MB, 70000, 70000]],
    ok.

signals_stay_behind_big_messages_beside_bulk(Config) ->
    {A, {_, NodeB, _}} = pair(Config, []),
    [expect(Name, Size, work(A, with_bulk, [NodeB, {merlon_lanes_work, scenario, [Name, NodeB, Size]}]))
     || Name <- ?SCENARIOS, Size <- [8 * ?MB, 70000]],
    ok.

expect(Name, Size, Events) ->
    Expected = expected(Name, Size),
    {Name, Size, Expected} = {Name, Size, Events}.

expected(monitored_exit, Size) -> [{big, Size}, {down, normal}];
expected(unlink_then_exit, Size) -> [{big, Size}, unlinked];
expected(Name, Size) when Name =:= big_linked_exit; Name =:= big_exit_2 -> [{big, Size}, {exit, Size}];
expected(Name, Size) when Name =:= by_alias; Name =:= by_name -> [{big, Size}, behind];
expected(small_then_big, Size) -> [behind, {big, Size}];
expected(group_leader, Size) -> [{big, Size}];
expected(_, Size) -> [{big, Size}, {exit, bye}].

%% Of a message that was not sent whole nothing arrives, and its lane is free for the next.
a_sender_killed_within_its_giant_leaves_the_link(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    Before = merlon_ct:the_link(A, NodeB),
    [ok = work(A, killed_within, [NodeB, 16 * ?MB, Ms]) || _ <- lists:seq(1, 5), Ms <- [0, 1, 2, 3, 4, 6, 9, 15]],
    ok = both(A, B, in_order, [20, 10, 5000000]),
    unbroken(A, B, Before).

%% ---- terms ----

new_atoms_beside_bulk_stay_themselves(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    Before = merlon_ct:the_link(A, NodeB),
    Atoms = {merlon_lanes_work, atoms, [NodeB, 5000, 70000]},
    ok = work(A, with_bulk, [NodeB, Atoms]),
    unbroken(A, B, Before).

new_atoms_do_not_wait_for_a_giant(Config) ->
    {A, {_, NodeB, _}} = pair(Config, [{max_frame, 400 * ?MB}]),
    {Time, Trips} = work(A, atoms_beside, [NodeB, 300 * ?MB]),
    Longest = lists:max(Trips),
    ct:pal("300 MB in ~b us; meanwhile ~b round trips with new atoms, longest ~b us", [Time, length(Trips), Longest]),
    true = length(Trips) >= 10,
    true = Longest * 2 < Time.

%% Calls, spawns, io and what OTP itself does by messages.
work_beside_bulk_goes_on(Config) ->
    {A, {_, NodeB, _}} = pair(Config, []),
    [Expected = work(A, with_bulk, [NodeB, Call])
     || {Expected, Call} <- [{NodeB, {erpc, call, [NodeB, erlang, node, []]}},
                             {NodeB, {rpc, call, [NodeB, erlang, node, []]}},
                             {lists:duplicate(200, {ok, 3}),
                              {erpc, multicall, [lists:duplicate(200, NodeB), erlang, '+', [1, 2]]}},
                             {ok, {merlon_work, in_order, [NodeB, 1000]}},
                             {ok, {merlon_work, spawn_exit, [NodeB, ?MB]}},
                             {ok, {merlon_work, echoes, [NodeB, [10, 70000, 3, 200000, 5], 20]}},
                             {pong, {net_adm, ping, [NodeB]}},
                             {ok, {erpc, call, [NodeB, io, format, [<<"said over there~n">>]]}}]],
    ok.

%% ---- keys ----

keys_change_within_a_frame(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, [{key_update_after, 3}]),
    #{key_updates_out := Updates0, frames_out := Frames0} = merlon_ct:the_link(A, NodeB),
    #{frames_in := FramesIn0} = merlon_ct:the_link(B, NodeA),
    ok = work(A, one_big, [NodeB, 64 * ?MB]),
    #{key_updates_out := Updates, frames_out := Frames} = merlon_ct:the_link(A, NodeB),
    true = Frames - Frames0 < 1100,
    true = Updates - Updates0 > 1000,
    %% What keeps a link alive while a frame comes in is none itself.
    #{frames_in := FramesIn} = merlon_ct:the_link(B, NodeA),
    true = FramesIn - FramesIn0 < 100,
    ok = work(A, with_bulk, [NodeB, {merlon_work, in_order, [NodeB, 500]}]).
