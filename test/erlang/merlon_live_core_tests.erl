%% SPDX-License-Identifier: Apache-2.0
-module(merlon_live_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(NONE, #{grace => 0, revoked_grace => 0}).
-define(EXPIRED(End, Now), {error, {pki, {expired, #{not_after => End, now => Now}}}}).
-define(REVOKED, {error, {pki, {revoked, #{serial => <<"2a">>}}}}).
-define(GONE, {error, {pki, unknown_issuer}}).
-define(DROPPED, {error, {keyring, {entry_dropped, #{id => <<"2a">>}}}}).
-define(ENDED(End), {error, {keyring, {entry_expired, #{id => <<"2a">>, not_after => End}}}}).

judged(Verdict, Now, Grace, Links) -> merlon_live_core:judged(self(), Verdict, Now, Grace, Links).

due(Now, Links) -> merlon_live_core:due(Now, Links) =:= [self()].

a_good_peer_is_looked_at_again_when_its_verdict_ends_test() ->
    {keep, Links} = judged({ok, 1000}, 500, ?NONE, merlon_live_core:new()),
    ?assert(merlon_live_core:is_known(self(), Links)),
    ?assertNot(due(1000, Links)), % the last second of its validity
    ?assert(due(1001, Links)),
    %% A clock that was set back or an end that is past can't make it look every moment.
    {keep, Past} = judged({ok, 400}, 500, ?NONE, Links),
    ?assertNot(due(500, Past)).

a_new_link_is_looked_at_by_the_next_poll_test() ->
    Links = merlon_live_core:came_up(self(), 500, merlon_live_core:new()),
    ?assert(merlon_live_core:is_known(self(), Links)),
    ?assert(due(500, Links)),
    ?assertMatch({{close, revoked}, _}, judged(?REVOKED, 500, ?NONE, Links)).

without_grace_a_bad_peer_goes_at_once_test_() ->
    [?_assertMatch({{close, Code}, _}, judged(Verdict, 1001, ?NONE, merlon_live_core:new()))
     || {Verdict, Code} <- [{?EXPIRED(1000, 1001), expired}, {?REVOKED, revoked}]].

%% It takes up new files a moment later than this node, and then shows what it has.
a_peer_that_is_believed_less_has_a_moment_to_show_what_it_has_test_() ->
    [fun() ->
             {keep, Links} = judged(Verdict, 1000, ?NONE, merlon_live_core:new()),
             ?assert(due(1004, Links)),
             ?assertNot(due(1003, Links)),
             ?assertMatch({{close, Code}, _}, judged(Verdict, 1004, ?NONE, Links)),
             {keep, Shown} = judged({ok, 9000}, 1003, ?NONE, Links),
             ?assertNot(due(8999, Shown))
     end || {Verdict, Code} <- [{?GONE, unknown_issuer}, {?DROPPED, entry_dropped}, {?ENDED(1000), entry_expired}]].

%% The time that it had is not counted from when somebody looked.
an_entry_ends_at_its_time_test() ->
    ?assertMatch({{close, entry_expired}, _}, judged(?ENDED(1000), 1004, ?NONE, merlon_live_core:new())),
    ?assertMatch({keep, _}, judged(?ENDED(1000), 1059, #{grace => 60, revoked_grace => 0}, merlon_live_core:new())).

grace_counts_from_the_expiry_itself_test() ->
    Grace = #{grace => 60, revoked_grace => 0},
    {keep, Links} = judged(?EXPIRED(1000, 1001), 1001, Grace, merlon_live_core:new()),
    ?assertNot(due(1059, Links)),
    ?assert(due(1060, Links)),
    ?assertMatch({{close, expired}, _}, judged(?EXPIRED(1000, 1060), 1060, Grace, Links)),
    %% Who looks late gives no more time.
    ?assertMatch({{close, expired}, _},
                 judged(?EXPIRED(1000, 2000), 2000, Grace, merlon_live_core:new())).

other_grace_counts_from_when_it_was_first_seen_test() ->
    Grace = #{grace => 60, revoked_grace => 5},
    {keep, Links} = judged(?GONE, 1000, Grace, merlon_live_core:new()),
    {keep, Later} = judged(?GONE, 1030, Grace, Links),
    ?assertMatch({{close, unknown_issuer}, _}, judged(?GONE, 1060, Grace, Later)),
    %% Trust came back in between: then it begins anew.
    {keep, Good} = judged({ok, 9000}, 1040, Grace, Later),
    ?assertMatch({keep, _}, judged(?GONE, 1060, Grace, Good)),
    {keep, Revoked} = judged(?REVOKED, 1000, Grace, merlon_live_core:new()),
    ?assertMatch({{close, revoked}, _}, judged(?REVOKED, 1005, Grace, Revoked)).

a_link_that_does_not_go_is_told_again_test() ->
    {{close, revoked}, Links} = judged(?REVOKED, 1000, ?NONE, merlon_live_core:new()),
    ?assert(due(1002, Links)),
    ?assertEqual(merlon_live_core:new(), merlon_live_core:forget(self(), Links)).
