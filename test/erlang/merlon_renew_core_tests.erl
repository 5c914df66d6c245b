%% SPDX-License-Identifier: Apache-2.0
-module(merlon_renew_core_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_renew_core, [plan/3, is_due/2, failed/3, hurry/3, days/3]).

-define(CERT, {<<"a">>, 0, 9000}).

at_two_thirds_of_the_life_a_renewal_is_due_test() ->
    Middle = plan(?CERT, 0.5, none),
    ?assertNot(is_due(5999, Middle)),
    ?assert(is_due(6000, Middle)),
    %% A thirtieth of it sooner or later, by chance.
    ?assertMatch(#{next := 5700}, plan(?CERT, 0.0, none)),
    ?assertMatch(#{next := 6300}, plan(?CERT, 1.0, none)).

a_plan_holds_as_long_as_the_certificate_test() ->
    Plan = plan(?CERT, 0.5, none),
    ?assertEqual(Plan, plan(?CERT, 0.0, Plan)),
    ?assertMatch(#{next := 15000, tries := 0, warned := never},
                 plan({<<"b">>, 9000, 18000}, 0.5, element(2, failed(8000, 0.5, Plan)))).

tries_come_less_and_less_often_but_often_enough_before_the_end_test() ->
    Long = plan({<<"a">>, 0, 9000000}, 0.5, none),
    Pauses = pauses(6000000, Long, 12),
    ?assertEqual([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600], Pauses),
    %% An eighth of what is left, but not every moment.
    {quiet, Tried} = failed(6000, 0.5, (plan(?CERT, 0.5, none))#{tries := 10}),
    ?assertMatch(#{next := 6375}, Tried),
    {_, Late} = failed(8990, 0.5, Tried),
    ?assertMatch(#{next := 9000}, Late),
    {_, Over} = failed(9100, 0.5, Tried#{tries := 3}),
    ?assertMatch(#{next := 9180}, Over).

pauses(_Now, _Plan, 0) -> [];
pauses(Now, Plan, Times) ->
    {quiet, #{next := Next} = Tried} = failed(Now, 0.5, Plan),
    [Next - Now | pauses(Next, Tried, Times - 1)].

chance_spreads_the_tries_test() ->
    Plan = (plan(?CERT, 0.5, none))#{tries := 2},
    ?assertMatch({_, #{next := 6030}}, failed(6000, 0.0, Plan)),
    ?assertMatch({_, #{next := 6050}}, failed(6000, 1.0, Plan)).

a_warning_is_due_when_a_third_of_what_was_left_is_gone_and_then_once_a_day_test() ->
    Life = 90 * 86400,
    Plan = plan({<<"a">>, 0, Life}, 0.5, none),
    ?assertMatch({quiet, _}, failed(Life * 7 div 9 - 1, 0.5, Plan)),
    {warn, Warned} = failed(Life * 7 div 9, 0.5, Plan),
    ?assertMatch({quiet, _}, failed(Life * 7 div 9 + 86399, 0.5, Warned)),
    ?assertMatch({warn, _}, failed(Life * 7 div 9 + 86400, 0.5, Warned)).

a_new_link_hurries_only_who_has_failed_test() ->
    Plan = plan(?CERT, 0.5, none),
    ?assertEqual(Plan, hurry(100, 0.5, Plan)),
    {_, Failed} = failed(6000, 0.5, Plan#{tries := 9}),
    ?assertMatch(#{next := 6102}, hurry(6100, 0.0, Failed)),
    ?assertMatch(#{next := 6105}, hurry(6100, 1.0, Failed)),
    %% Not later than it would have been.
    #{next := Next} = Failed,
    ?assertMatch(#{next := Next}, hurry(Next - 1, 1.0, Failed)).

the_next_certificate_lives_as_long_as_the_one_before_was_to_test() ->
    Day = 86400,
    ?assertEqual(30, days(0, 30 * Day + 300, 3650 * Day)),
    ?assertEqual(1, days(0, 60, 3650 * Day)),
    %% Cut by the CA's end, it does not say.
    ?assertEqual(90, days(0, 7 * Day, 7 * Day)).

the_kind_of_key_stays_test() ->
    ?assertEqual([p256, p384, ed25519, p256],
                 [merlon_renew_core:alg(Alg) || Alg <- [<<"EC P-256">>, <<"EC P-384">>, <<"Ed25519">>, <<"RSA 2048">>]]).
