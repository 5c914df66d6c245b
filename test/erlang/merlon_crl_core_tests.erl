%% SPDX-License-Identifier: Apache-2.0
-module(merlon_crl_core_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_crl_core, [newest/1, is_newer/2, wanted/2, gained/2, older/2]).

-define(A, <<"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">>).
-define(B, <<"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb">>).

the_later_list_is_newer_and_of_the_same_second_the_higher_number_test() ->
    ?assert(is_newer({?A, 2, <<1>>}, [{?A, 1, <<9>>}])),
    ?assertNot(is_newer({?A, 1, <<9>>}, [{?A, 2, <<1>>}])),
    ?assert(is_newer({?A, 1, <<1, 0>>}, [{?A, 1, <<255>>}])), % 256 and 255
    ?assert(is_newer({?A, 1, <<1>>}, [{?A, 1, <<>>}])),
    ?assertNot(is_newer({?A, 1, <<1>>}, [{?A, 1, <<1>>}])),
    ?assert(is_newer({?A, 1, <<1>>}, [{?B, 9, <<9>>}])),
    ?assertNot(is_newer({?A, 2, <<1>>}, [{?A, 1, <<1>>}, {?A, 3, <<1>>}])).

of_each_ca_one_list_counts_test() ->
    ?assertEqual([{?A, 3, <<3>>}, {?B, 1, <<1>>}],
                 lists:sort(newest([{?A, 1, <<1>>}, {?B, 1, <<1>>}, {?A, 3, <<3>>}, {?A, 2, <<2>>}]))),
    ?assertEqual([], newest([])).

what_is_newer_is_wanted_test() ->
    Known = [{?A, 2, <<2>>}],
    ?assertEqual([?B], wanted([{?A, 2, <<2>>}, {?B, 1, <<1>>}], Known)),
    ?assertEqual([?A], wanted([{?A, 3, <<3>>}], Known)).

an_offer_that_makes_no_sense_ends_there_test_() ->
    [?_assertEqual([], wanted(Offer, []))
     || Offer <- [rubbish, [], [rubbish], [{?A, now, <<1>>}], [{?A, 1, [1]}], [{a, 1, <<1>>}], [{<<"short">>, 1, <<1>>}],
                  [{?A, 1, binary:copy(<<1>>, 21)}]]]
    ++ [?_assertEqual([?A], wanted([{?A, 1, <<1>>} | tail], [])),
        ?_assertEqual(64, length(wanted([{?A, N, <<>>} || N <- lists:seq(1, 100)], [])))].

only_a_newer_list_is_a_gain_test() ->
    Known = [{?A, 2, <<2>>}],
    ?assertNot(gained(Known, Known)),
    ?assertNot(gained([], Known)),
    ?assertNot(gained([{?A, 1, <<1>>}], Known)),
    ?assert(gained([{?A, 1, <<1>>}, {?A, 3, <<3>>}], Known)),
    ?assert(gained([{?B, 1, <<1>>} | Known], Known)).

an_older_list_in_the_place_of_a_newer_is_seen_test() ->
    Known = [{?A, 2, <<2>>}, {?B, 5, <<1>>}],
    ?assertEqual({1, 2}, older([{?A, 1, <<1>>}, {?B, 5, <<1>>}], Known)),
    ?assertEqual({2, 2}, older([{?A, 2, <<1>>}], Known)),
    ?assertEqual(none, older([{?A, 1, <<1>>}, {?A, 2, <<2>>}, {?B, 5, <<1>>}], Known)), % the newer is there too
    ?assertEqual(none, older([{?B, 6, <<1>>}], Known)), % of A there is none any more
    ?assertEqual(none, older([], Known)).
