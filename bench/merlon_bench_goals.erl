%% SPDX-License-Identifier: Apache-2.0
%% What merlon is meant to reach, and whether it does. Pure.
-module(merlon_bench_goals).

-export([of_row/1, verdict/2, text/1, better/1, everything/1]).

-export_type([goal/0]).

%% Measure, variant, size, unit; the limit; and the carrier whose value it multiplies, or `absolute`.
-type row() :: {atom(), string(), none | mixed | pos_integer(), string()}.
-type goal() :: {at_least | at_most, number(), atom()}.

%% The goals for one row of the results.
-spec of_row(row()) -> [goal()].
of_row({throughput, "one_way_1", Size, "MB/s"}) when Size =< 1024 -> [{at_least, 1.5, tcp}];
of_row({throughput, "one_way_1", Size, "MB/s"}) when Size =< 65536 -> [{at_least, 1.0, tcp}];
of_row({throughput, "one_way_1", _, "MB/s"}) -> [{at_least, 1.2, tcp}];
of_row({throughput, "one_way_1", 65536, "CPU s/GB"}) -> [{at_most, 1.1, tcp}];
of_row({throughput, "one_way_1", 1048576, "CPU s/GB"}) -> [{at_most, 1.0, tcp}];
of_row({roundtrip, "idle_p" ++ P, _, _}) when P =/= "99.9" -> [{at_most, 0.8, tcp}];
of_row({roundtrip, "beside_1MiB_p99", _, _}) -> [{at_most, 0.5, tcp}];
of_row({roundtrip, "beside_64KiB_p99", _, _}) -> [{at_most, 0.5, tcp}];
of_row({erpc, "1_way", _, _}) -> [{at_least, 1.5, tcp}];
of_row({erpc, "64_way", _, _}) -> [{at_least, 1.3, tcp}];
of_row({setup, "p50", _, _}) -> [{at_most, 1.0, tcp}, {at_most, 0.5, inet_tls}];
of_row({links, _, _, _}) -> [{at_least, 1.0, tcp}, {at_least, 2.0, inet_tls}];
of_row({dialers, _, _, "handshakes/s"}) -> [{at_least, 4.0, inet_tls}];
of_row({dialers, Variant, _, "us"}) -> [{at_most, 0.333, inet_tls} || lists:suffix("_p50", Variant)];
of_row({memory, "total", _, _}) -> [{at_most, 0.25, inet_tls}];
of_row({fairness, "share", _, _}) -> [{at_least, 0.4, absolute}];
of_row({fairness, "p99_growth", _, _}) -> [{at_most, 5, absolute}];
of_row({long_schedule, _, _, "events in the carrier"}) -> [{at_most, 0, absolute}];
of_row({counts, _, _, "copies"} = Row) -> [{at_most, 1.05, absolute} || is_carrier(Row)];
of_row({counts, Variant, _, "per MB"}) -> [{at_most, 12, absolute} || not lists:suffix("_yields", Variant)];
of_row({counts, _, _, "calls"}) -> [{at_most, 0, absolute}];
of_row(_) -> [].

is_carrier({_, Variant, _, _}) -> lists:suffix("_carrier", Variant).

%% Values are the row's medians by carrier. `unknown`: what it is compared with was not measured.
-spec verdict(goal(), #{atom() => number()}) -> pass | miss | unknown.
verdict({Op, Limit, Against}, Values) ->
    Base = case Against of absolute -> 1; _ -> maps:get(Against, Values, unknown) end,
    case maps:get(merlon, Values, unknown) of
        Value when is_number(Value), is_number(Base) ->
            case Op of
                at_least when Value >= Limit * Base -> pass;
                at_most when Value =< Limit * Base -> pass;
                _ -> miss
            end;
        _ -> unknown
    end.

-spec text(goal()) -> string().
text({Op, Limit, Against}) ->
    Sign = case Op of at_least -> ">= "; at_most -> "<= " end,
    What = case Against of absolute -> ""; _ -> "x " ++ atom_to_list(Against) end,
    Sign ++ lists:flatten(io_lib:format("~w", [Limit])) ++ What.

%% Which end of a unit's scale is the good one.
-spec better(string()) -> higher | lower.
better(Unit) when Unit =:= "MB/s"; Unit =:= "calls/s"; Unit =:= "links/s"; Unit =:= "handshakes/s"; Unit =:= "of alone" -> higher;
better(_) -> lower.

%% How many times better than tuned inet_tls merlon is in each row that tells of speed or cost,
%% the worst first; and how many times it should be on this OTP.
-spec everything([{row(), #{atom() => number()}}]) -> {number(), [{float(), row()}]}.
everything(Rows) ->
    Limit = case list_to_integer(erlang:system_info(otp_release)) of R when R >= 27 -> 1.5; _ -> 2 end,
    {Limit, lists:sort([{times(Unit, M, T), Row}
                        || {{Measure, _, _, Unit} = Row, #{merlon := M, inet_tls_tuned := T}} <- Rows,
                           lists:member(Measure, compared()), M > 0, T > 0])}.

compared() -> [throughput, mixed, roundtrip, erpc, setup, links, memory].

times(Unit, Merlon, Tuned) ->
    case better(Unit) of higher -> Merlon / Tuned; lower -> Tuned / Merlon end.

-ifdef(TEST).
-include_lib("eunit/include/eunit.hrl").

verdict_test_() ->
    Values = #{tcp => 100.0, inet_tls => 10.0, merlon => 80.0},
    [?_assertEqual(Verdict, verdict(Goal, Values))
     || {Verdict, Goal} <- [{miss, {at_least, 1.0, tcp}}, {pass, {at_least, 0.8, tcp}},
                            {pass, {at_most, 0.8, tcp}}, {miss, {at_most, 0.79, tcp}},
                            {pass, {at_least, 2.0, inet_tls}}, {miss, {at_most, 5, absolute}},
                            {unknown, {at_least, 1.0, inet_tls_tuned}}]].

every_goal_of_the_project_has_a_row_test() ->
    Count = fun(Row) -> length(of_row(Row)) end,
    ?assertEqual([1, 1, 1, 0], [Count({throughput, "one_way_1", Size, Unit})
                                || {Size, Unit} <- [{64, "MB/s"}, {16777216, "MB/s"},
                                                    {65536, "CPU s/GB"}, {64, "CPU s/GB"}]]),
    ?assertEqual([1, 1, 0], [Count({roundtrip, "idle_" ++ P, 16, "us"}) || P <- ["p50", "p99", "p99.9"]]),
    ?assertEqual(2, Count({setup, "p50", none, "ms"})),
    ?assertEqual([1, 1, 0], [Count({dialers, "x" ++ P, none, Unit}) || {P, Unit} <- [{"", "handshakes/s"}, {"_p50", "us"},
                                                                                 {"_p99", "us"}]]).

the_good_end_of_the_scale_counts_test() ->
    Rows = [{{throughput, "x", 64, "MB/s"}, #{merlon => 30, inet_tls_tuned => 10}},
            {{roundtrip, "x", 16, "us"}, #{merlon => 30, inet_tls_tuned => 15}},
            {{nodedown, "x", none, "ms"}, #{merlon => 30, inet_tls_tuned => 15}}],
    ?assertMatch({_, [{0.5, {roundtrip, _, _, _}}, {3.0, {throughput, _, _, _}}]}, everything(Rows)).
-endif.
