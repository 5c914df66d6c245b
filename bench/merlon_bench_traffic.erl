%% SPDX-License-Identifier: Apache-2.0
%% The measures of what goes over a link. Each is a list of points; a point measured gives samples.
-module(merlon_bench_traffic).

-export([points/2, run/3]).

-define(LOAD, merlon_bench_load).
-define(SIZES, [64, 1024, 16384, 65536, 1048576, 16777216]).

%% throughput: MB/s (10^6 bytes of payload) and CPU seconds of both VMs per GB (10^9 bytes).
%% mixed: the same for 80 % 200 B, 19 % 8 KiB and 1 % 1 MiB, in numbers of messages.
%% roundtrip: microseconds there and back, idle and beside a stream of one other process.
%% erpc: calls of a function that does nothing, per second.
%% fairness: what is left to a link of a node while another of its links is saturated.
-spec points(atom(), map()) -> [term()].
points(throughput, #{network := loopback, sizes := Sizes, quick := false}) ->
    [{N, Both, Size} || Size <- sizes(Sizes, ?SIZES), Both <- [false, true], N <- [1, 8]];
points(throughput, #{network := loopback, sizes := Sizes}) ->
    [{1, false, Size} || Size <- sizes(Sizes, ?SIZES)] ++
        [{N, Both, Size} || Size <- sizes(Sizes, [65536]), {N, Both} <- [{8, false}, {1, true}]];
points(throughput, #{sizes := Sizes}) ->
    [{1, false, Size} || Size <- sizes(Sizes, [65536, 1048576])];
points(mixed, #{quick := false}) -> [{N, Both, mixed} || Both <- [false, true], N <- [1, 8]];
points(mixed, _) -> [{1, false, mixed}];
points(roundtrip, #{network := loopback}) ->
    [{idle, 16}, {idle, 16384}, {{beside, 1048576}, 16}, {{beside, 65536}, 16}];
points(roundtrip, _) -> [{idle, 16}, {{beside, 1048576}, 16}];
points(erpc, _) -> [1, 64];
points(fairness, _) -> [throughput, roundtrip].

sizes(default, Default) -> Default;
sizes(Wanted, _) -> Wanted.

-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({Measure, {N, Both, Size}}, Cast, Options) when Measure =:= throughput; Measure =:= mixed ->
    Result = call(Cast, stream, [to(Cast, b), stream(Cast, {N, Both, Size}, Options)]),
    Way = case Both of false -> "one_way"; true -> "both_ways" end,
    rates(lists:concat([Way, "_", N]), Size, Result);
run({roundtrip, {idle, Size}}, Cast, Options) ->
    trips("idle", Size, call(Cast, ping, [to(Cast, b), ping(Size, Options)]));
run({roundtrip, {{beside, Bulk}, Size}}, Cast, Options) ->
    Times = call(Cast, ping_beside, [to(Cast, b), ping(Size, Options), {to(Cast, b), Bulk}]),
    trips("beside_" ++ merlon_bench_report:bytes(Bulk), Size, Times);
run({erpc, Callers}, Cast, #{ms := Ms}) ->
    Rate = call(Cast, erpc, [to(Cast, b), {Callers, Ms}]),
    [{lists:concat([Callers, "_way"]), none, "calls/s", Rate}];
run({fairness, throughput}, Cast, Options) ->
    ok = merlon_bench_carriers:link(Cast, c),
    Spec = stream(Cast, {1, false, 65536}, Options),
    Alone = rate(call(Cast, stream, [to(Cast, c), Spec])),
    Beside = rate(call(Cast, stream_beside, [to(Cast, c), Spec, {to(Cast, b), 1048576}])),
    [{"alone", 65536, "MB/s", Alone}, {"beside", 65536, "MB/s", Beside},
     {"share", 65536, "of alone", Beside / Alone}];
run({fairness, roundtrip}, Cast, Options) ->
    Ping = ping(16, Options),
    [_, Idle, _] = percentiles(call(Cast, ping, [to(Cast, c), Ping])),
    [_, Beside, _] = percentiles(call(Cast, ping_beside, [to(Cast, c), Ping, {to(Cast, b), 1048576}])),
    [{"idle_p99", 16, "us", Idle}, {"beside_p99", 16, "us", Beside},
     {"p99_growth", 16, "times idle", Beside / Idle}].

call(Cast, Fun, Args) -> merlon_bench_carriers:call(Cast, a, {?LOAD, Fun}, Args).

to(Cast, Role) -> merlon_bench_carriers:node(Cast, Role).

stream(Cast, {N, Both, Size}, #{ms := Ms}) ->
    #{senders => N, both => Both, size => Size, ms => Ms,
      os_pids => [merlon_bench_carriers:os_pid(Cast, Role) || Role <- [a, b]]}.

%% Beside a stream over a slow carrier a trip can take long: then there are fewer samples.
ping(Size, #{samples := Samples, ms := Ms}) ->
    #{size => Size, samples => Samples, ms => 4 * Ms}.

rate(#{bytes := Bytes, us := Us}) -> Bytes / Us.

rates(Variant, Size, #{bytes := Bytes, cpu := Cpu} = Result) ->
    [{Variant, Size, "MB/s", rate(Result)}, {Variant, Size, "CPU s/GB", Cpu * 1.0e9 / Bytes}].

percentiles(Times) -> merlon_bench_stat:percentiles([50, 99, 99.9], Times).

trips(Variant, Size, Times) ->
    [{Variant ++ P, Size, "us", Us}
     || {P, Us} <- lists:zip(["_p50", "_p99", "_p99.9"], percentiles(Times))].
