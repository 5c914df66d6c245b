%% SPDX-License-Identifier: Apache-2.0
-module(merlon_busy_poll_core_tests).

-include_lib("eunit/include/eunit.hrl").

%% Monotonic time is negative on most nodes.
-define(NOW, -576460752303423).
-import(merlon_busy_poll_core, [new/2, looking/1, more/1, empty/3, woken/3]).

a_new_link_waits_test() ->
    ?assertNot(is_on(new(60, 2))).

who_was_woken_soon_looks_for_as_long_as_set_test() ->
    Poll = woken(?NOW - 299, ?NOW, new(60, 2)),
    ?assert(is_on(Poll)),
    ?assert(is_on(empty([], ?NOW + 59, Poll))),
    ?assertNot(is_on(empty([], ?NOW + 60, Poll))).

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

switched_off_it_never_looks_test() ->
    Off = new(0, 2),
    ?assertNot(is_on(woken(?NOW, ?NOW, Off))),
    ?assertNot(is_on(woken(?NOW, ?NOW + 1, Off))).

at_most_a_quarter_of_the_schedulers_look_but_one_may_test() ->
    Looking = [looking(woken(?NOW, ?NOW, new(60, Schedulers))) || Schedulers <- [1, 2, 7, 8, 64]],
    ?assertEqual([0, 1, 1, 2, 16], Looking).

is_on(Poll) -> looking(Poll) > 0.
