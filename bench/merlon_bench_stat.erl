%% SPDX-License-Identifier: Apache-2.0
%% The little statistics that the benchmark needs. Pure.
-module(merlon_bench_stat).

-export([median/1, percentile/2, percentiles/2]).

%% The middle value, or the mean of the two in the middle.
-spec median([number(), ...]) -> number().
median(Values) ->
    Sorted = lists:sort(Values),
    N = length(Sorted),
    case N rem 2 of
        1 -> lists:nth(N div 2 + 1, Sorted);
        0 -> (lists:nth(N div 2, Sorted) + lists:nth(N div 2 + 1, Sorted)) / 2
    end.

%% The smallest value that at least P percent of Sorted do not exceed (nearest rank). 0 < P =< 100.
-spec percentile(number(), [number(), ...]) -> number().
percentile(P, Sorted) ->
    lists:nth(max(1, ceil(P * length(Sorted) / 100)), Sorted).

%% Several percentiles of values in any order.
-spec percentiles([number()], [number(), ...]) -> [number()].
percentiles(Ps, Values) ->
    Sorted = lists:sort(Values),
    [percentile(P, Sorted) || P <- Ps].

-ifdef(TEST).
-include_lib("eunit/include/eunit.hrl").

median_of_odd_and_even_counts_test() ->
    ?assertEqual(3, median([9, 1, 3])),
    ?assertEqual(2.5, median([4, 1, 2, 3])),
    ?assertEqual(7, median([7])).

percentiles_are_values_that_occurred_test() ->
    Values = lists:reverse(lists:seq(1, 1000)),
    ?assertEqual([500, 990, 999, 1000], percentiles([50, 99, 99.9, 100], Values)).

percentile_of_few_values_test() ->
    ?assertEqual([5], percentiles([50], [5])),
    ?assertEqual([1, 2, 2], percentiles([50, 90, 99.9], [2, 1])).
-endif.
