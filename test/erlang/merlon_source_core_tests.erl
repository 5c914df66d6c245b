%% SPDX-License-Identifier: Apache-2.0
-module(merlon_source_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(LIMITS, #{source_burst => 4, source_rate => 2, source_backoff => 5000}).
-define(A, {10, 0, 0, 1}).
-define(B, {10, 0, 0, 2}).

%% N connections of A at once: the verdicts, and what is known then.
come(N, Now, Sources) ->
    lists:mapfoldl(fun(_, Acc) -> merlon_source_core:admit(?A, Now, ?LIMITS, Acc) end, Sources, lists:seq(1, N)).

fail(N, Now, Sources) ->
    lists:foldl(fun(_, Acc) -> merlon_source_core:failed(?A, Now, ?LIMITS, Acc) end, Sources, lists:seq(1, N)).

verdict(Source, Now, Sources) ->
    element(1, merlon_source_core:admit(Source, Now, ?LIMITS, Sources)).

a_bucket_gives_its_burst_and_then_its_rate_test() ->
    {Verdicts, Empty} = come(6, 1000, merlon_source_core:new()),
    ?assertEqual([ok, ok, ok, ok, throttled, throttled], Verdicts),
    ?assertEqual(throttled, verdict(?A, 1499, Empty)),
    ?assertEqual(ok, verdict(?A, 1500, Empty)),
    ?assertEqual(ok, verdict(?B, 1000, Empty)),
    {Later, _} = come(5, 3000, Empty),
    ?assertEqual([ok, ok, ok, ok, throttled], Later).

a_proof_gives_it_all_back_test() ->
    {_, Empty} = come(4, 0, merlon_source_core:new()),
    ?assertEqual(throttled, verdict(?A, 0, Empty)),
    ?assertEqual(ok, verdict(?A, 0, merlon_source_core:proven(?A, Empty))),
    ?assertEqual(ok, verdict(?A, 0, merlon_source_core:proven(?A, fail(20, 0, Empty)))).

failures_double_the_pause_up_to_its_limit_test() ->
    Pauses = [pause(N) || N <- lists:seq(1, 12)],
    ?assertEqual([0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000], Pauses).

%% Milliseconds until A is welcome after N failures.
pause(N) ->
    Sources = fail(N, 0, merlon_source_core:new()),
    hd([T || T <- lists:seq(0, 6000, 100), verdict(?A, T, Sources) =:= ok]).

a_pause_is_nobody_elses_test() ->
    Sources = fail(20, 0, merlon_source_core:new()),
    ?assertEqual(backing_off, verdict(?A, 4999, Sources)),
    ?assertEqual(ok, verdict(?B, 0, Sources)).

knocking_during_a_pause_does_not_lengthen_it_test() ->
    Paused = fail(20, 0, merlon_source_core:new()),
    {Verdicts, Knocked} = come(100, 2500, Paused),
    ?assertEqual([backing_off], lists:usort(Verdicts)),
    ?assertEqual(ok, verdict(?A, 5000, Knocked)).

failures_are_forgotten_test() ->
    Old = fail(20, 0, merlon_source_core:new()),
    ?assertEqual(backing_off, verdict(?A, 64999, fail(1, 64999, Old))),
    ?assertEqual(ok, verdict(?A, 65001, fail(1, 65001, Old))).

no_backoff_means_none_test() ->
    Limits = maps:put(source_backoff, 0, ?LIMITS),
    Sources = lists:foldl(fun(_, Acc) -> merlon_source_core:failed(?A, 0, Limits, Acc) end,
                          merlon_source_core:new(), lists:seq(1, 20)),
    ?assertEqual(ok, verdict(?A, 0, Sources)).

an_ipv6_source_is_its_64_and_a_mapped_one_is_ipv4_test() ->
    Source = fun(Text) -> {ok, Ip} = inet:parse_address(Text), merlon_source_core:source(Ip) end,
    ?assertEqual(Source("2001:db8:1:2::1"), Source("2001:db8:1:2:ffff::9")),
    ?assertNotEqual(Source("2001:db8:1:2::1"), Source("2001:db8:1:3::1")),
    ?assertEqual(?A, Source("::ffff:10.0.0.1")),
    ?assertNotEqual(Source("::ffff:10.0.0.1"), Source("::ffff:10.0.0.2")).

%% Whoever has a whole /32 of IPv6 has as many sources as he likes.
a_million_sources_take_bounded_memory_test_() ->
    {timeout, 60, fun() ->
        Many = lists:foldl(fun(N, Acc) ->
                                   Source = {16#2001, 16#db8, N bsr 16, N band 16#FFFF, net},
                                   {ok, Next} = merlon_source_core:admit(Source, N, ?LIMITS, Acc),
                                   Next
                           end, merlon_source_core:new(), lists:seq(1, 300000)),
        ?assert(merlon_source_core:size(Many) =< 4096),
        ?assert(merlon_source_core:size(Many) > 2000),
        ?assert(erts_debug:flat_size(Many) * erlang:system_info(wordsize) < 1000000)
    end}.

%% A source that goes on is not forgotten, however many others come.
a_busy_source_stays_known_while_others_come_and_go_test() ->
    {_, Start} = come(4, 0, merlon_source_core:new()),
    Last = lists:foldl(fun(N, Acc) ->
                               {_, One} = merlon_source_core:admit({N bsr 8, N band 255, 1, 1}, 0, ?LIMITS, Acc),
                               {Verdict, Two} = merlon_source_core:admit(?A, 0, ?LIMITS, One),
                               ?assertEqual(throttled, Verdict),
                               Two
                       end, Start, lists:seq(1, 10000)),
    ?assertEqual(throttled, verdict(?A, 0, Last)).

hanging_up_is_no_failure_and_garbage_is_test() ->
    [?assertNot(merlon_source_core:blames(#{reason => R}))
     || R <- [peer_closed, peer_alert, closed, econnreset, truncated, evicted, no_cookie, internal]],
    [?assert(merlon_source_core:blames(#{reason => R}))
     || R <- [not_tls, timeout, unknown_issuer, expired, wrong_proof, proof_refused, plaintext_dist, tls]].
