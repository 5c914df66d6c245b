%% SPDX-License-Identifier: Apache-2.0
%% What is sent next, against a model: random frames of random senders, random answers of the socket. The bytes of
%% frames are made up, only their sizes count; a frame is known by its number, in the order in which they were added.
-module(merlon_lanes_core_tests).

-include_lib("eunit/include/eunit.hrl").

%% As in the module.
-define(BIG, 131072).
-define(HELD, 655360).
-define(LANES, 8).

-record(sim, {lanes = merlon_lanes_core:new(),
              added = 0, % the number of the last frame
              senders = #{}, % of all frames so far, `barrier` for those that nothing may overtake
              sizes = #{}, % of all frames
              left = #{}, % bytes of those that are not sent yet
              laned = #{}, % those of them that are to go on a lane, or to wait for the lanes
              direct = [], % those that the next turn must give, newest first
              begun = #{}, % the frame that each lane is at
              since = #{}, % how often others had their turn since
              done = []}). % newest first

%% ---- the simulation ----

simulations_test_() ->
    Mixes = [{mixed, 20, 4}, {bulk, 20, 1}, {one_sender, 1, 2}, {barriers, 5, 40}, {small, 20, 2}],
    [{lists:concat([Mix, " ", Seed]), {timeout, 60, fun() -> simulate(Seed, Senders, Barriers, Mix) end}}
     || {Mix, Senders, Barriers} <- Mixes, Seed <- lists:seq(1, 6)].

simulate(Seed, Senders, Barriers, Mix) ->
    _ = rand:seed(exsss, {Seed, Senders, Barriers}),
    Sim = drain(steps(3000, {Senders, Barriers, Mix}, #sim{})),
    ?assert(merlon_lanes_core:is_idle(Sim#sim.lanes)),
    ?assert(merlon_lanes_core:wants(Sim#sim.lanes)),
    ?assert(Sim#sim.added > 300),
    every_frame_is_sent_once(Sim),
    senders_keep_their_order(Sim),
    nothing_overtakes_a_barrier(Sim).

steps(0, _Mix, Sim) ->
    Sim;
steps(Count, Mix, #sim{lanes = Lanes} = Sim) ->
    case merlon_lanes_core:wants(Lanes) andalso rand:uniform(3) > 1 of
        true -> steps(Count - 1, Mix, add_random(Mix, bounded(Sim)));
        false -> steps(Count - 1, Mix, turn(Sim))
    end.

drain(#sim{left = Left} = Sim) when map_size(Left) =:= 0 -> Sim;
drain(Sim) -> drain(turn(Sim)).

%% More is wanted only when what waits beside the giants, one on a lane, is little.
bounded(#sim{left = Left, sizes = Sizes} = Sim) ->
    Giants = [Bytes || {Number, Bytes} <- maps:to_list(Left), maps:get(Number, Sizes) > ?HELD],
    Excused = lists:sublist(lists:reverse(lists:sort(Giants)), ?LANES),
    ?assert(lists:sum(maps:values(Left)) - lists:sum(Excused) < ?HELD),
    Sim.

%% ---- frames ----

add_random({Senders, Barriers, Mix}, Sim) ->
    Sender = case rand:uniform(100) =< Barriers of
                 true -> barrier;
                 false -> rand:uniform(Senders)
             end,
    add(Sender, length_in(Mix), Sim).

length_in(small) -> rand:uniform(?BIG div 8);
length_in(bulk) -> ?BIG + rand:uniform(200000);
length_in(_) ->
    case rand:uniform(10) of
        10 -> rand:uniform(5000000);
        N when N > 6 -> ?BIG - 2 + rand:uniform(3);
        _ -> rand:uniform(2000)
    end.

add(Sender, Size, #sim{lanes = Lanes, added = Last, senders = Senders, sizes = Sizes, left = Left} = Sim) ->
    Number = Last + 1,
    Frame = {Size, [header(Sender), control(Sender), <<Number:32>>]},
    placed(Number, Sender, Size,
           Sim#sim{lanes = merlon_lanes_core:add(Frame, Lanes), added = Number,
                   senders = Senders#{Number => Sender}, sizes = Sizes#{Number => Size},
                   left = Left#{Number => Size}}).

%% A small one goes at once unless its sender has something on a lane.
placed(Number, Sender, Size, #sim{laned = Laned, direct = Direct} = Sim) ->
    case Size > ?BIG orelse waits(Sender, Sim) of
        true -> Sim#sim{laned = Laned#{Number => laned}};
        false -> Sim#sim{direct = [Number | Direct]}
    end.

waits(barrier, #sim{laned = Laned}) ->
    map_size(Laned) > 0;
waits(Sender, #sim{laned = Laned, senders = Senders}) ->
    [] =/= [Number || Number <- maps:keys(Laned), lists:member(maps:get(Number, Senders), [Sender, barrier])].

%% A barrier is a frame with a new atom, or one whose sender is not told.
header(barrier) ->
    case rand:uniform(2) of
        1 -> <<131, 68, 1, 8, 0, 1, "a">>;
        2 -> <<131, 68, 0>>
    end;
header(_) -> <<131, 68, 1, 0, 0>>.

control(barrier) -> <<104, 3, 97, 2, 119, 0, 88, 82, 0, 1:96>>;
control(Sender) -> <<104, 3, 97, 22, 88, 82, 0, Sender:96, 88, 82, 0, 1:96>>.

%% ---- turns ----

turn(#sim{lanes = Lanes0, direct = Direct} = Sim0) ->
    {Small, Piece, Lanes} = merlon_lanes_core:next(Lanes0),
    Numbers = [number(Iovec) || {_, Iovec} <- Small],
    ?assertEqual([], Direct -- Numbers),
    Sim = lists:foldl(fun whole/2, Sim0#sim{lanes = Lanes, direct = []}, Small),
    ?assert(map_size(Sim#sim.left) =:= 0 orelse Piece =/= none),
    piece(Piece, Sim).

number([_, _, <<Number:32>>]) -> Number.

whole({Size, Iovec}, #sim{left = Left} = Sim) ->
    ?assertEqual(Size, maps:get(number(Iovec), Left)),
    done(number(Iovec), Sim).

done(Number, #sim{left = Left, laned = Laned, done = Done} = Sim) ->
    Sim#sim{left = maps:remove(Number, Left), laned = maps:remove(Number, Laned), done = [Number | Done]}.

piece(none, Sim) ->
    Sim;
piece({Lane, {Total, Left, 0, Iovec}}, Sim0) ->
    Number = number(Iovec),
    #sim{lanes = Lanes, left = Lefts, begun = Begun} = Sim = fair(Lane, Sim0),
    ?assertEqual(Left, maps:get(Number, Lefts)),
    ?assertEqual(Number, maps:get(Lane, Begun, Number)),
    case still(Left) of
        0 ->
            done(Number, ended(Lane, Sim#sim{lanes = merlon_lanes_core:sent(Lane, done, Lanes)}));
        Still ->
            Rest = {Total, Still, 0, Iovec},
            Sim#sim{lanes = merlon_lanes_core:sent(Lane, Rest, Lanes), begun = Begun#{Lane => Number},
                    left = Lefts#{Number => Still}}
    end.

%% The socket takes nothing, a whole turn, or some of it.
still(Left) ->
    case rand:uniform(10) of
        1 -> Left;
        N when N < 6 -> max(0, Left - 524288);
        _ -> max(0, Left - rand:uniform(100000))
    end.

ended(Lane, #sim{begun = Begun, since = Since} = Sim) ->
    Sim#sim{begun = maps:remove(Lane, Begun), since = maps:remove(Lane, Since)}.

%% No lane waits longer than until all others have had their turn.
fair(Lane, #sim{since = Since0} = Sim) ->
    Since = maps:map(fun(_, Turns) -> Turns + 1 end, maps:remove(Lane, Since0)),
    ?assertEqual([], [Each || {Each, Turns} <- maps:to_list(Since), Turns >= ?LANES]),
    Sim#sim{since = Since#{Lane => 0}}.

%% ---- what must hold at the end ----

every_frame_is_sent_once(#sim{added = Added, done = Done}) ->
    ?assertEqual(lists:seq(1, Added), lists:sort(Done)).

senders_keep_their_order(#sim{senders = Senders, done = Done}) ->
    Of = fun(Sender) -> [Number || Number <- lists:reverse(Done), maps:get(Number, Senders) =:= Sender] end,
    [?assertEqual(lists:sort(Of(Sender)), Of(Sender)) || Sender <- lists:usort(maps:values(Senders))].

%% All before it were added before it, all behind it later.
nothing_overtakes_a_barrier(#sim{senders = Senders, done = Done}) ->
    Indexed = lists:zip(lists:seq(1, length(Done)), lists:reverse(Done)),
    [?assertEqual(Index, Number) || {Index, Number} <- Indexed, maps:get(Number, Senders) =:= barrier].

%% ---- single promises ----

more_big_senders_than_lanes_all_end_test() ->
    _ = rand:seed(exsss, 1),
    Sim = lists:foldl(fun(Sender, Sim) -> add(Sender, 3000000 + Sender, Sim) end, #sim{}, lists:seq(1, 20)),
    senders_keep_their_order(Done = drain(Sim)),
    every_frame_is_sent_once(Done).

every_lane_has_its_turn_test() ->
    #sim{lanes = Lanes} = lists:foldl(fun(Sender, Sim) -> add(Sender, 3000000, Sim) end, #sim{}, [1, 2, 3]),
    {Turns, _} = lists:mapfoldl(fun(_, Now) -> a_part(Now) end, Lanes, lists:seq(1, 9)),
    [A, B, C] = lists:usort(Turns),
    ?assertEqual([A, B, C, A, B, C, A, B, C], Turns).

a_part(Lanes0) ->
    {[], {Lane, {Total, Left, Skip, Iovec}}, Lanes} = merlon_lanes_core:next(Lanes0),
    {Lane, merlon_lanes_core:sent(Lane, {Total, Left - 100, Skip, Iovec}, Lanes)}.

%% While a frame of many MB is under way, small ones of others are asked for, and go before its next piece.
small_frames_do_not_wait_for_big_ones_of_others_test() ->
    _ = rand:seed(exsss, 2),
    Big = turn(add(1, 300000000, #sim{})),
    Later = lists:foldl(fun(Sender, Sim) ->
                                ?assert(merlon_lanes_core:wants(Sim#sim.lanes)),
                                turn(add(Sender, 100, Sim))
                        end, Big, lists:seq(2, 200)),
    ?assertEqual(lists:seq(2, 200), lists:reverse(Later#sim.done)),
    ?assert(merlon_lanes_core:is_busy(Later#sim.lanes)).

%% Nor for several.
small_frames_do_not_wait_for_several_giants_test() ->
    _ = rand:seed(exsss, 5),
    Giants = lists:foldl(fun(Sender, Sim) -> turn(add(Sender, 300000000, Sim)) end, #sim{}, lists:seq(1, 8)),
    ?assert(merlon_lanes_core:wants(Giants#sim.lanes)),
    ?assertEqual([9], (turn(add(99, 100, Giants)))#sim.done).

%% A sender that always has more is back in the stream once its big frame is out.
a_sender_does_not_stay_on_its_lane_test() ->
    _ = rand:seed(exsss, 6),
    #sim{lanes = Lanes0} = add(1, 100, add(1, 100, add(1, ?BIG + 1, #sim{}))),
    {[], {Lane, _}, Lanes1} = merlon_lanes_core:next(Lanes0),
    Lanes = merlon_lanes_core:sent(Lane, done, Lanes1),
    ?assertNot(merlon_lanes_core:is_busy(Lanes)),
    ?assertMatch({[{100, _}, {100, _}], none, _}, merlon_lanes_core:next(Lanes)).

%% No more is taken while a barrier waits, whatever its size.
nothing_is_taken_behind_a_barrier_test() ->
    _ = rand:seed(exsss, 3),
    [begin
         Sim = add(barrier, Size, turn(add(1, 300000000, #sim{}))),
         ?assertNot(merlon_lanes_core:wants(Sim#sim.lanes)),
         ?assertEqual([2, 1], (drain(Sim))#sim.done)
     end || Size <- [10, ?BIG, ?BIG + 1]].

what_is_kept_back_is_bounded_test() ->
    _ = rand:seed(exsss, 4),
    [begin
         Sim = until_full(Size, #sim{}),
         Giants = case Size > ?HELD of true -> ?LANES; false -> 0 end,
         ?assert(lists:sum(maps:values(Sim#sim.left)) < ?HELD + (Giants + 1) * Size)
     end || Size <- [100, 1000, ?BIG, ?BIG + 1, 500000, 5000000]].

until_full(Size, #sim{lanes = Lanes, added = Added} = Sim) ->
    case merlon_lanes_core:wants(Lanes) of
        true -> until_full(Size, add(Added rem 20, Size, Sim));
        false -> Sim
    end.

a_new_one_has_nothing_to_send_test() ->
    ?assert(merlon_lanes_core:is_idle(merlon_lanes_core:new())),
    ?assertMatch({[], none, _}, merlon_lanes_core:next(merlon_lanes_core:new())).
