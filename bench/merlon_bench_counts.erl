%% SPDX-License-Identifier: Apache-2.0
%% What is counted and not timed: bytes copied for each byte delivered, system calls per MB, NIF calls that take long.
%% The nodes of this measure are their own, with probe.c in them.
-module(merlon_bench_counts).

-export([possible/1, points/2, run/3]).

-define(SIZES, [8192, 65536, 1048576, 16777216]).
-define(SYSCALLS, 65536).

%% Whether there is a probe, which run.sh builds where a C compiler and erl_nif.h are.
-spec possible(#{tmp := string(), _ => _}) -> boolean().
possible(#{tmp := Tmp}) ->
    filelib:is_regular(merlon_bench_carriers:probe(Tmp)).

%% copies: bytes of memcpy and memmove (64 and more at once) per byte of payload, in the NIF and elsewhere in the VM; for
%% messages of SIZES, if that is given.
%% calls: of functions of the NIF that took more than 1 ms of CPU, since the node has begun, and the longest.
%% syscalls: per MB (10^6) of payload in messages of 64 KiB; those on a socket are the carrier's, the others are what
%% the VM does to sleep and to wake up. Besides, the sched_yield(2) of schedulers that spin before they sleep (+sbwt).
-spec points(atom(), map()) -> [term()].
points(counts, #{sizes := default} = Options) -> points(counts, Options#{sizes => ?SIZES});
points(counts, #{sizes := Sizes}) -> [{copies, Size} || Size <- Sizes] ++ [syscalls, calls].

-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({counts, {copies, Size}}, Cast, Options) ->
    lists:append([copies(Role, Size, Bytes, Pair) || {Role, Bytes, Pair} <- counted(Cast, Size, Options)]);
run({counts, syscalls}, Cast, Options) ->
    lists:append([syscalls(Role, Bytes, Pair) || {Role, Bytes, Pair} <- counted(Cast, ?SYSCALLS, Options)]);
run({counts, calls}, #{carrier := merlon} = Cast, _) ->
    lists:append([calls(Role, counters(Cast, Role)) || Role <- [a, b]]);
run({counts, calls}, _, _) ->
    [].

%% What both ends had counted before a stream of so many bytes, and after it.
counted(Cast, Size, Options) ->
    Before = [counters(Cast, Role) || Role <- [a, b]],
    Bytes = stream(Cast, Size, Options),
    [{Role, Bytes, {Was, counters(Cast, Role)}} || {Role, Was} <- lists:zip([a, b], Before)].

copies(Role, Size, Bytes, {Before, After}) ->
    [{side(Role) ++ Where, Size, "copies", (maps:get(Key, After) - maps:get(Key, Before)) / Bytes}
     || {Where, Key} <- [{"_carrier", nif}, {"_vm", vm}]].

syscalls(Role, Bytes, {Before, After}) ->
    [Socket, Rest, Yields] = [(maps:get(Key, After) - maps:get(Key, Before)) * 1.0e6 / Bytes || Key <- [socket, rest, yields]],
    [{side(Role) ++ Which, ?SYSCALLS, "per MB", N}
     || {Which, N} <- [{"_syscalls", Socket + Rest}, {"_syscalls_of_socket", Socket}, {"_yields", Yields}]].

calls(Role, #{long := Long, longest := {Ns, _}}) ->
    [{side(Role) ++ "_nif_over_1ms", none, "calls", Long}, {side(Role) ++ "_nif_longest", none, "us", Ns / 1000}].

side(a) -> "sender";
side(b) -> "receiver".

stream(Cast, Size, #{ms := Ms}) ->
    Spec = #{senders => 1, both => false, size => Size, ms => Ms, os_pids => []},
    #{bytes := Bytes} = merlon_bench_carriers:call(Cast, a, {merlon_bench_load, stream},
                                                   [merlon_bench_carriers:node(Cast, b), Spec]),
    Bytes.

%% struct counters of probe.c.
counters(Cast, Role) ->
    {ok, <<Nif:64/native, Vm:64/native, Other:64/native, Calls:64/native, Long:64/native, Ns:64/native,
           Longest:40/binary, Socket:64/native, Rest:64/native, Yields:64/native>>} =
        file:read_file(merlon_bench_carriers:counters(Cast, Role)),
    #{nif => Nif, vm => Vm + Other, calls => Calls, long => Long, longest => {Ns, Longest},
      socket => Socket, rest => Rest, yields => Yields}.
