%% SPDX-License-Identifier: Apache-2.0
-module(merlon_secrets_core_tests).
-include_lib("eunit/include/eunit.hrl").

an_older_keyring_is_told_from_a_newer_one_test() ->
    Made = fun(Times) -> [#{id => Time, created => Time, not_after => never} || Time <- Times] end,
    ?assertEqual({older, 5, 7}, merlon_secrets_core:older(Made([5, 3]), Made([3, 7]))),
    [?assertEqual(no, merlon_secrets_core:older(Made(Given), Made(InUse)))
     || {Given, InUse} <- [{[7], [3, 7]}, {[8], [7]}, {[0], [7]}, {[7], [0]}]].

%% With the same newest entry; times of ids.
an_entry_that_was_taken_out_does_not_come_back_test() ->
    Entries = fun(All) -> [#{id => Id, created => Made, not_after => End} || {Id, Made, End} <- All] end,
    InUse = Entries([{c, 7, never}, {b, 5, 100}]),
    Older = fun(All) -> merlon_secrets_core:older(Entries(All), InUse) end,
    ?assertEqual({back, a}, Older([{c, 7, never}, {b, 5, 100}, {a, 3, never}])),
    ?assertEqual({back, b}, Older([{c, 7, never}, {b, 5, never}])),
    ?assertEqual({back, b}, Older([{b, 5, 101}, {c, 7, never}])),
    [?assertEqual(no, Older(Given)) || Given <- [[{c, 7, never}], [{c, 7, 50}, {b, 5, 99}], [{c, 7, never}, {d, 7, never}],
                                                 [{d, 8, never}, {c, 7, never}, {a, 3, never}], [{a, 0, never}]]].

pauses_grow_to_a_bound_and_differ_from_node_to_node_test() ->
    Pauses = [merlon_secrets_core:pause(Tries, 0) || Tries <- lists:seq(0, 100)],
    ?assertEqual([200, 400, 800, 1600, 3200, 5000, 5000], lists:sublist(Pauses, 7)),
    ?assertEqual(5000, lists:last(Pauses)),
    Random = [merlon_secrets_core:pause(3, Seed) || Seed <- lists:seq(0, 5000, 7)],
    ?assert(lists:max(Random) < 2400 andalso lists:min(Random) >= 1600),
    ?assert(length(lists:usort(Random)) > 100).

what_people_have_to_mend_is_not_asked_again_test() ->
    Passes = fun(Fault) -> merlon_secrets_core:passes({fetch, Fault}) end,
    [?assert(Passes(Fault)) || Fault <- [#{code => timeout}, #{code => connect, why => econnrefused},
                                         #{code => status, step => read, status => 503},
                                         #{code => status, step => login, status => 429},
                                         #{code => status, step => read, status => 400, why => 'ThrottlingException'},
                                         #{code => status, step => login, status => 400, why => 'Throttling'},
                                         #{code => no_credentials}, % the metadata server is not reached yet
                                         #{code => file, path => <<>>, why => enoent}]],
    [?assertNot(Passes(Fault)) || Fault <- [#{code => status, step => read, status => 403}, #{code => plaintext, option => url},
                                            #{code => file, path => <<>>, why => too_open}, #{code => no_variable},
                                            #{code => redirected}, #{code => tls, why => unknown_issuer}]],
    ?assertNot(merlon_secrets_core:passes({keyring, {<<"it">>, 0, not_stored}})).

a_look_comes_after_its_time_and_not_before_test() ->
    Watch = merlon_secrets_core:new(60, 1000),
    ?assertNot(merlon_secrets_core:due(1059, Watch)),
    ?assert(merlon_secrets_core:due(1060, Watch)),
    ?assertNot(merlon_secrets_core:due(1119, merlon_secrets_core:looked(1060, Watch))).

%% Every second a failed look: what is said when, and with which age.
a_long_failure_is_told_at_once_and_then_ever_more_rarely_test() ->
    Step = fun(Now, {Said, Watch}) ->
                   case merlon_secrets_core:failed(Now, Watch) of
                       {{warn, Age}, New} -> {[{Now, Age} | Said], New};
                       {quiet, New} -> {Said, New}
                   end
           end,
    {_, Answered} = merlon_secrets_core:answered(100, merlon_secrets_core:new(1, 0)),
    {Said, Failing} = lists:foldl(Step, {[], Answered}, lists:seq(110, 20000)),
    ?assertEqual([{110, 10}, {170, 70}, {290, 190}, {530, 430}, {1010, 910}, {1970, 1870}, {3890, 3790}, {7490, 7390}],
                 lists:sublist(lists:reverse(Said), 8)),
    {{back, 19950}, Back} = merlon_secrets_core:answered(20050, Failing),
    ?assertMatch({quiet, _}, merlon_secrets_core:answered(20051, Back)),
    ?assertMatch({{warn, 10}, _}, merlon_secrets_core:failed(20060, Back)).
