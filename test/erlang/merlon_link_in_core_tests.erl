%% SPDX-License-Identifier: Apache-2.0
-module(merlon_link_in_core_tests).

-include_lib("eunit/include/eunit.hrl").

%% Monotonic time is negative on most nodes.
-define(NOW, -576460752303423).
-import(merlon_link_in_core, [new/2, goes_on/1, more/1, gives_way/1, gave_way/3, empty/3, part/3, whole/1, woken/3]).

a_new_link_waits_test() ->
    ?assertNot(is_on(new(60, 2))).

who_was_woken_soon_looks_for_as_long_as_set_test() ->
    Pace = woken(?NOW - 299, ?NOW, new(60, 2)),
    ?assert(is_on(Pace)),
    ?assert(is_on(empty([], ?NOW + 59, Pace))),
    ?assertNot(is_on(empty([], ?NOW + 60, Pace))).

who_was_woken_late_does_not_look_test() ->
    ?assertNot(is_on(woken(?NOW - 300, ?NOW, new(60, 2)))),
    ?assertNot(is_on(woken(?NOW - 300, ?NOW, woken(?NOW - 400, ?NOW - 301, new(60, 2))))).

what_is_found_makes_it_look_as_long_again_test() ->
    Found = empty([<<1>>], ?NOW + 50, woken(?NOW, ?NOW, new(60, 2))),
    ?assert(is_on(empty([], ?NOW + 109, Found))),
    ?assertNot(is_on(empty([], ?NOW + 110, Found))).

a_tick_does_not_make_it_look_on_test() ->
    Ticked = empty([<<>>], ?NOW + 50, woken(?NOW, ?NOW, new(60, 2))),
    ?assert(is_on(Ticked)),
    ?assertNot(is_on(empty([], ?NOW + 60, Ticked))).

within_a_stream_it_does_not_look_test() ->
    ?assertNot(is_on(more(woken(?NOW, ?NOW, new(60, 2))))).

each_part_of_a_stream_is_read_ahead_test() ->
    One = more(new(60, 2)),
    ?assertEqual(ahead, gives_way(One)),
    ?assertEqual(ahead, gives_way(more(gave_way(?NOW - 499, ?NOW, One)))),
    ?assertEqual(yield, gives_way(more(new(60, 1)))).

%% To read ahead takes two turns.
where_others_ran_for_long_it_reads_four_parts_itself_test() ->
    Turn = fun(Pace) -> [gives_way(P) || P <- parts(4, Pace)] end,
    Long = gave_way(?NOW - 500, ?NOW, more(new(60, 2))),
    ?assertEqual([no, no, no, yield], Turn(Long)),
    Again = gave_way(?NOW - 500, ?NOW, lists:last(parts(4, Long))),
    ?assertEqual([no, no, no, yield], Turn(Again)),
    Short = gave_way(?NOW, ?NOW, lists:last(parts(4, Again))),
    ?assertEqual([ahead, ahead, ahead, ahead], Turn(Short)).

switched_off_it_never_looks_test() ->
    Off = new(0, 2),
    ?assertNot(is_on(woken(?NOW, ?NOW, Off))),
    ?assertNot(is_on(woken(?NOW, ?NOW + 1, Off))).

at_most_a_quarter_of_the_schedulers_look_but_one_may_test() ->
    Looking = [goes_on(woken(?NOW, ?NOW, new(60, Schedulers))) || Schedulers <- [1, 2, 7, 8, 64]],
    ?assertEqual([0, 1, 1, 2, 16], Looking).

a_stream_that_comes_on_slowly_is_paused_for_test() ->
    ?assertEqual(pause, goes_on(stream(299, 32000))),
    ?assertEqual(0, goes_on(stream(299, 31999))),
    ?assertEqual(0, goes_on(stream(300, 32000))).

what_was_read_before_a_stream_began_does_not_count_test() ->
    Begun = part(1 bsl 30, ?NOW, new(60, 2)),
    ?assertEqual(pause, goes_on(part(1000, ?NOW + 32000, Begun))).

a_stream_is_judged_anew_all_the_time_test() ->
    ?assertEqual(pause, goes_on(window(299, 2, slow(100)))),
    ?assertEqual(0, goes_on(window(300, 2, slow(100)))).

%% As where the receive buffer is small.
who_gets_less_by_pausing_does_not_for_a_second_test() ->
    ?assertEqual(pause, goes_on(window(80, 2, slow(100)))),
    Less = window(79, 2, slow(100)),
    ?assertEqual(0, goes_on(Less)),
    ?assertEqual(0, goes_on(windows(100, 3, 32, Less))),
    ?assertEqual(0, goes_on(windows(100, 32, 33, whole(windows(100, 3, 31, Less))))),
    ?assertEqual(pause, goes_on(windows(100, 3, 34, Less))).

it_does_not_get_less_bit_by_bit_test() ->
    ?assertEqual(0, goes_on(window(79, 4, window(85, 3, window(90, 2, slow(100)))))).

who_paused_in_vain_is_woken_test() ->
    Waits = part(0, ?NOW + 33000, slow(100)),
    ?assertEqual(0, goes_on(Waits)),
    ?assertEqual(0, goes_on(part(1000, ?NOW + 65000, Waits))).

who_was_woken_late_begins_anew_test() ->
    Begun = part(1000, ?NOW + 100, part(7, ?NOW, new(60, 2))),
    ?assertEqual(pause, goes_on(part(1000, ?NOW + 40000, woken(?NOW + 100, ?NOW + 8099, Begun)))),
    ?assertEqual(0, goes_on(part(1000, ?NOW + 40000, woken(?NOW + 100, ?NOW + 8100, Begun)))),
    ?assertEqual(pause, goes_on(woken(?NOW, ?NOW + 7999, slow(100)))),
    ?assertEqual(0, goes_on(woken(?NOW, ?NOW + 8000, slow(100)))).

at_the_end_of_a_message_it_is_woken_test() ->
    ?assertEqual(0, goes_on(whole(slow(100)))).

messages_that_end_are_no_stream_test() ->
    Looked = woken(?NOW, ?NOW, new(100, 2)),
    ?assertEqual(0, goes_on(between(fun merlon_link_in_core:whole/1, new(0, 1)))),
    ?assertEqual(0, goes_on(between(fun(Pace) -> empty([<<1>>], ?NOW, Pace) end, new(0, 1)))),
    ?assertEqual(1, goes_on(between(fun(Pace) -> empty([], ?NOW, Pace) end, Looked))), % in time, and too late
    ?assertEqual(0, goes_on(between(fun(Pace) -> empty([], ?NOW + 100, woken(?NOW, ?NOW, Pace)) end, Looked))).

between(End, Begin) ->
    lists:foldl(fun(I, Pace) -> End(part(1000, ?NOW + 100 * I, Pace)) end, Begin, lists:seq(0, 1000)).

slow(Rate) ->
    Slow = stream(Rate, 32000),
    ?assertEqual(pause, goes_on(Slow)),
    Slow.

%% In which so many bytes have come each microsecond, in two parts within Time.
stream(Rate, Time) ->
    part(Rate * Time - 1000, ?NOW + Time, part(1000, ?NOW + 100, part(7, ?NOW, new(60, 2)))).

%% The Nth of such times.
window(Rate, N, Pace) -> part(Rate * 32000, ?NOW + N * 32000, Pace).

windows(Rate, From, To, Pace) ->
    lists:foldl(fun(N, Last) -> window(Rate, N, Last) end, Pace, lists:seq(From, To)).

parts(0, _) -> [];
parts(N, Pace) -> [more(Pace) | parts(N - 1, more(Pace))].

is_on(Pace) -> Looking = goes_on(Pace), is_integer(Looking) andalso Looking > 0.
