%% SPDX-License-Identifier: Apache-2.0
%% What goes through a link: everything, whole, both ways, under every key, without one sender
%% shutting the others out and without the memory of a node that a stopped peer could fill.
-module(merlon_link_SUITE).

-include_lib("common_test/include/ct.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([payloads_of_every_size_arrive_whole/1, many_processes_at_once_get_their_own_answers/1,
         messages_of_one_process_stay_in_order/1, counters_count_what_was_sent/1,
         a_stopped_peer_suspends_senders_in_bounded_memory/1,
         a_blocked_sender_does_not_block_a_scheduler/1,
         keys_change_thousands_of_times_under_load/1,
         keys_change_although_only_one_side_sends/1,
         round_trips_are_not_held_up_by_bulk/1, exits_with_big_reasons_cross_both_ways/1,
         who_is_answered_fast_polls/1, who_may_not_is_woken/1, no_process_of_a_link_keeps_an_old_heap/1, a_stream_is_read_ahead/1,
         a_slow_stream_is_read_in_pauses/1, what_was_sent_before_a_disconnect_arrives/1, small_messages_do_not_pin_big_buffers/1]).

-define(MB, (1024 * 1024)).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [payloads_of_every_size_arrive_whole, many_processes_at_once_get_their_own_answers,
     messages_of_one_process_stay_in_order, counters_count_what_was_sent,
     a_stopped_peer_suspends_senders_in_bounded_memory,
     a_blocked_sender_does_not_block_a_scheduler,
     keys_change_thousands_of_times_under_load, keys_change_although_only_one_side_sends,
     round_trips_are_not_held_up_by_bulk, who_is_answered_fast_polls, who_may_not_is_woken,
     no_process_of_a_link_keeps_an_old_heap, a_stream_is_read_ahead, a_slow_stream_is_read_in_pauses,
     exits_with_big_reasons_cross_both_ways, what_was_sent_before_a_disconnect_arrives,
     small_messages_do_not_pin_big_buffers].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

pair(Config, Args) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], Args),
    ok = merlon_ct:connect(A, B),
    {A, B}.

%% ---- data ----

%% Around the edges of small and big frames, fragments, records, chunks, batches.
sizes() ->
    Edges = [0, 1, 63, 64, 65, 4000, 4095, 4096, 4097, 16383, 16384, 16385, 32768, 65535, 65536,
             65537, 131072, 262143, 262144, 262145],
    lists:sort([max(0, Edge - Head) || Edge <- Edges, Head <- [0, 40, 80]])
        ++ [?MB, 5 * ?MB + 1, 20 * ?MB].

payloads_of_every_size_arrive_whole(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    Back = in_background(fun() -> merlon_ct:call(B, merlon_work, exchange, [NodeA, sizes()]) end),
    ok = merlon_ct:call(A, merlon_work, exchange, [NodeB, sizes()]),
    ok = Back(),
    #{since := Since} = merlon_ct:the_link(A, NodeB),
    #{since := Since} = merlon_ct:the_link(A, NodeB).

in_background(Fun) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({done, Fun()}) end),
    fun() -> receive {'DOWN', Ref, process, Pid, {done, Result}} -> Result;
                     {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
             end
    end.

many_processes_at_once_get_their_own_answers(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    Sizes = [0, 17, 300, 5000, 40000, 17, 70000, 300000],
    Back = in_background(fun() -> merlon_ct:call(B, merlon_work, echoes, [NodeA, Sizes, 30]) end),
    ok = merlon_ct:call(A, merlon_work, echoes, [NodeB, Sizes, 60]),
    ok = Back().

messages_of_one_process_stay_in_order(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    Back = in_background(fun() -> merlon_ct:call(B, merlon_work, in_order, [NodeA, 3000]) end),
    ok = merlon_ct:call(A, merlon_work, in_order, [NodeB, 3000]),
    ok = Back().

counters_count_what_was_sent(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    #{bytes_out := Bytes0, frames_out := Frames0} = merlon_ct:the_link(A, NodeB),
    _ = merlon_ct:call(A, merlon_work, flood, [NodeB, 1000, 2000]),
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_work, received, []) =:= {2000, 2000000} end),
    #{bytes_out := Bytes, frames_out := Frames, records_out := Records} = merlon_ct:the_link(A, NodeB),
    true = Bytes - Bytes0 > 2000000 andalso Bytes - Bytes0 < 2300000,
    true = Frames - Frames0 >= 2000 andalso Frames - Frames0 < 2100,
    true = Records > Bytes div 16384,
    {_, NodeA, _} = A,
    merlon_peers:wait(fun() ->
                              #{bytes_in := In, frames_in := FramesIn} = merlon_ct:the_link(B, NodeA),
                              In >= Bytes andalso FramesIn >= Frames
                      end).

%% ---- back pressure ----

%% Senders beyond the busy limit are suspended by the runtime itself; what waits is bounded.
a_stopped_peer_suspends_senders_in_bounded_memory(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["+zdbbl", "1024", "-kernel", "net_ticktime", "120"]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    Before = merlon_ct:memory(A),
    ok = merlon_ct:signal(B, "STOP"),
    %% 160 MB together, far more than what the kernel's buffers hold.
    Senders = [merlon_ct:call(A, merlon_work, flood, [NodeB, 16384, 256]) || _ <- lists:seq(1, 40)],
    Held = fun() -> {Finished, Others} = unsuspended(A, Senders),
                    Finished < 20 andalso Others =:= [] end,
    merlon_peers:wait(Held),
    timer:sleep(500), % that nothing goes on growing is only seen by waiting
    true = Held(),
    Stopped = merlon_ct:memory(A),
    Grown = maps:map(fun(Key, Bytes) -> Bytes - maps:get(Key, Before) end, Stopped),
    ct:pal("grown beside a stopped peer: ~p", [Grown]),
    #{total := Total, rss := Rss} = Grown,
    true = Total < 32 * ?MB,
    true = Rss < 32 * ?MB,
    ok = merlon_ct:alive(A),
    ok = merlon_ct:signal(B, "CONT"),
    Sent = {40 * 256, 40 * 256 * 16384},
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_work, received, []) =:= Sent end, 30000),
    merlon_peers:wait(fun() -> unsuspended(A, Senders) =:= {40, []} end),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, still_up]),
    {comment, io_lib:format("grown ~w kB, rss ~w kB", [Total div 1024, Rss div 1024])}.

%% How many have finished, and which of the others run.
unsuspended(Vm, Senders) ->
    Unsuspended = merlon_ct:call(Vm, merlon_work, unsuspended, [Senders]),
    Running = [Sender || {_, Status} = Sender <- Unsuspended, Status =/= undefined],
    {length(Unsuspended) - length(Running), Running}.

%% One scheduler, a full socket: other processes and other links go on.
a_blocked_sender_does_not_block_a_scheduler(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["+S", "1", "+zdbbl", "1024",
                                           "-kernel", "net_ticktime", "120"]),
    {_, NodeC, _} = C = merlon_ct:start(Config, "c"),
    ok = merlon_ct:connect(A, C),
    ok = merlon_ct:signal(B, "STOP"),
    Sender = merlon_ct:call(A, merlon_work, flood, [NodeB, 65536, 1000]),
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_work, unsuspended, [[Sender]]) =:= [] end),
    Trips = merlon_ct:call(A, merlon_work, round_trips, [NodeC, 100]),
    ct:log("beside a full socket, us: ~w", [lists:sort(Trips)]),
    true = lists:sum(Trips) < 5000000,
    ok = merlon_ct:alive(A),
    ok = merlon_ct:signal(B, "CONT"),
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_work, received, []) =:= {1000, 65536000} end,
                      30000).

%% ---- keys ----

rekeying(Config, After) -> configured(Config, {key_update_after, After}).

configured(Config, Setting) ->
    Dir = merlon_peers:new_dir(?config(priv_dir, Config), "carrier-tests"),
    ok = file:write_file(filename:join(Dir, "merlon.config"), io_lib:format("~p.~n", [Setting]), [append]),
    [begin
         ok = merlon_peers:add_node(Dir, Node),
         merlon_ct:start(Config, Node, [], #{dir => Dir, certify => false})
     end || Base <- ["a", "b"], Node <- [merlon_peers:node(merlon_peers:name(Base))]].

keys_change_thousands_of_times_under_load(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B] = rekeying(Config, 2),
    ok = merlon_ct:connect(A, B),
    Sizes = [20 * ?MB, 0, 100, 5000, 65536, 3 * ?MB],
    Back = in_background(fun() -> merlon_ct:call(B, merlon_work, echoes, [NodeA, Sizes, 2]) end),
    ok = merlon_ct:call(A, merlon_work, echoes, [NodeB, Sizes, 2]),
    ok = Back(),
    ok = merlon_ct:call(A, merlon_work, exchange, [NodeB, lists:duplicate(500, 10)]),
    Links = [{_, One}, {_, Other}] = [{dial, merlon_ct:link_of(A, NodeB)},
                                      {accept, merlon_ct:link_of(B, NodeA)}],
    [true = changed_often(Out, In) || {Out, In} <- [{One, Other}, {Other, One}]],
    Updates = [maps:get(Key, Link) || {_, Link} <- Links, Key <- [key_updates_out, key_updates_in]],
    {comment, io_lib:format("key updates ~w", [Updates])}.

changed_often(#{key_updates_out := Sent, records_out := Records}, #{key_updates_in := Seen}) ->
    ct:log("~b updates in ~b records, ~b seen", [Sent, Records, Seen]),
    %% Every third record is an update.
    Sent > 2000 andalso Sent >= Records div 4 andalso abs(Sent - Seen) < 20.

%% The other direction's key stays: it has its own count.
keys_change_although_only_one_side_sends(Config) ->
    [A, {_, NodeB, _} = B] = rekeying(Config, 1),
    ok = merlon_ct:connect(A, B),
    _ = merlon_ct:call(A, merlon_work, flood, [NodeB, ?MB, 60]),
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_work, received, []) =:= {60, 60 * ?MB} end,
                      30000),
    #{key_updates_out := Out, key_updates_in := In} = merlon_ct:the_link(A, NodeB),
    ct:log("~b out, ~b in", [Out, In]),
    true = Out > 3500,
    true = In < 200,
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, still_up]).

%% ---- fairness ----

round_trips_are_not_held_up_by_bulk(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    Bulk = merlon_ct:call(A, merlon_work, bulk, [NodeB, 8 * ?MB, 160 * ?MB]),
    Trips = lists:sort(merlon_ct:call(A, merlon_work, round_trips, [NodeB, 100])),
    {Mean, Max} = {lists:sum(Trips) div 100, lists:last(Trips)},
    ct:pal("100 round trips beside 2 x 160 MB: mean ~b us, max ~b us", [Mean, Max]),
    true = Mean < 200000,
    true = Max < 3000000,
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_work, received, []) =:= {40, 320 * ?MB} end,
                      60000),
    _ = Bulk,
    {comment, io_lib:format("mean ~w us, max ~w us", [Mean, Max])}.

who_is_answered_fast_polls(Config) ->
    %% Who has one scheduler only needs it for others.
    Some = erlang:system_info(schedulers_online) > 1,
    Looks = looks(Config, 1000),
    Some = lists:member(empty, Looks),
    true = lists:member(wait, Looks).

who_may_not_is_woken(Config) ->
    Looks = looks(Config, 0),
    false = lists:member(empty, Looks),
    true = lists:member(wait, Looks).

looks(Config, Microseconds) ->
    [A, {_, NodeB, _} = B] = configured(Config, {busy_poll, Microseconds}),
    ok = merlon_ct:connect(A, B),
    merlon_ct:call(A, merlon_work, looks, [NodeB, 200]).

no_process_of_a_link_keeps_an_old_heap(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, up]),
    None = [{merlon_hs, 0}, {merlon_link_in, 0}, {merlon_link_out, 0}],
    None = merlon_ct:call(A, merlon_work, sweeps, []),
    None = merlon_ct:call(B, merlon_work, sweeps, []).

%% By a process that is gone when the link has rested.
a_stream_is_read_ahead(Config) ->
    {A, {_, NodeB, _}} = pair(Config, []),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    [] = merlon_ct:call(A, merlon_work, ahead, [0]),
    Times = merlon_ct:call(A, merlon_work, reads_ahead, [NodeB, 16 * ?MB]),
    ct:log("~b times", [Times]),
    true = Times > 4,
    [] = merlon_ct:call(A, merlon_work, ahead, [10000]).

%% Not woken for each of its pieces (merlon_link_in_core:part/3), and the end of it is not waited for in vain.
a_slow_stream_is_read_in_pauses(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["-kernel", "inet_dist_listen_options", "[{sndbuf,65536}]",
                                           "-kernel", "inet_dist_connect_options", "[{sndbuf,65536}]"]),
    {_, NodeA, _} = A,
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    false = merlon_ct:call(A, merlon_work, pauses, [NodeB, 1000]),
    _ = merlon_ct:call(B, merlon_work, slow_down, [NodeA]),
    %% On a busy host the sender may be held up for so long that a stream begins anew.
    true = lists:any(fun(_) -> merlon_ct:call(A, merlon_work, pauses, [NodeB, 32 * ?MB]) end, lists:seq(1, 5)),
    false = merlon_ct:call(A, merlon_work, pauses, [NodeB, 1000]).

exits_with_big_reasons_cross_both_ways(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    Exits = fun(Vm, Node) ->
                    [ok = merlon_ct:call(Vm, merlon_work, spawn_exit, [Node, ?MB])
                     || _ <- lists:seq(1, 30)],
                    ok
            end,
    Back = in_background(fun() -> Exits(B, NodeA) end),
    ok = Exits(A, NodeB),
    ok = Back().

%% ---- the end ----

%% The peer is slow to read: the last messages and the goodbye come in one.
what_was_sent_before_a_disconnect_arrives(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["-connect_all", "false",
                                           "-kernel", "dist_auto_connect", "never"]),
    {_, NodeA, _} = A,
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    #{frames_out := Frames} = merlon_ct:the_link(A, NodeB),
    ok = merlon_ct:signal(B, "STOP"),
    _ = merlon_ct:call(A, merlon_work, flood, [NodeB, 10, 100]),
    merlon_peers:wait(fun() -> maps:get(frames_out, merlon_ct:link_of(A, NodeB)) >= Frames + 100 end),
    true = merlon_ct:call(A, erlang, disconnect_node, [NodeB]),
    ok = merlon_ct:signal(B, "CONT"),
    merlon_peers:wait(fun() -> merlon_ct:link_of(B, NodeA) =:= none end),
    {100, 1000} = merlon_ct:call(B, merlon_work, received, []).

%% Who keeps a few bytes of each of many messages keeps little more than those.
small_messages_do_not_pin_big_buffers(Config) ->
    {A, {_, NodeB, _} = B} = pair(Config, []),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    Before = merlon_ct:call(B, erlang, memory, [binary]),
    ok = merlon_ct:call(A, merlon_work, keep, [NodeB, 200, 100, 200000]),
    ok = merlon_ct:call(B, merlon_work, collect, []),
    Grown = merlon_ct:call(B, erlang, memory, [binary]) - Before,
    ct:log("200 x 100 kept bytes pin ~b", [Grown]),
    %% At worst each pins one shared binary of 32 KB.
    true = Grown < 200 * 40000.
