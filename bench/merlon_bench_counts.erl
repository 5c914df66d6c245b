%% SPDX-License-Identifier: Apache-2.0
%% What is counted and not timed: bytes copied for each byte delivered, system calls per MB, NIF calls that take long.
%% The nodes of this measure are their own, with probe.c in them.
-module(merlon_bench_counts).

-export([possible/1, points/2, run/3]).

-define(SIZES, [8192, 65536, 1048576, 16777216]).
-define(SYSCALLS, 65536).
-define(SOCKET, ["recvfrom", "recvmsg", "sendto", "sendmsg", "writev"]).

%% Whether there is a probe, which run.sh builds where a C compiler and erl_nif.h are.
-spec possible(#{tmp := string(), _ => _}) -> boolean().
possible(#{tmp := Tmp}) ->
    filelib:is_regular(merlon_bench_carriers:probe(Tmp)).

%% copies: bytes of memcpy and memmove (64 and more at once) per byte of payload, in the NIF and elsewhere in the VM.
%% calls: of functions of the NIF that took more than 1 ms of CPU, since the node has begun, and the longest.
%% syscalls: per MB (10^6) of payload in messages of 64 KiB, counted by strace, which slows everything down.
-spec points(atom(), map()) -> [term()].
points(counts, _) -> [{copies, Size} || Size <- ?SIZES] ++ [calls, syscalls].

-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({counts, {copies, Size}}, Cast, Options) ->
    Before = [counters(Cast, Role) || Role <- [a, b]],
    Bytes = stream(Cast, Size, Options),
    After = [counters(Cast, Role) || Role <- [a, b]],
    lists:append([copies(Role, Size, Bytes, Pair) || {Role, Pair} <- lists:zip([a, b], lists:zip(Before, After))]);
run({counts, syscalls}, Cast, Options) ->
    case os:find_executable("strace") of
        false -> [];
        Strace -> syscalls(Strace, Cast, Options)
    end;
run({counts, calls}, #{carrier := merlon} = Cast, _) ->
    lists:append([calls(Role, counters(Cast, Role)) || Role <- [a, b]]);
run({counts, calls}, _, _) ->
    [].

copies(Role, Size, Bytes, {Before, After}) ->
    [{side(Role) ++ Where, Size, "copies", (maps:get(Key, After) - maps:get(Key, Before)) / Bytes}
     || {Where, Key} <- [{"_carrier", nif}, {"_vm", vm}]].

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
           Longest:40/binary>>} = file:read_file(merlon_bench_carriers:counters(Cast, Role)),
    #{nif => Nif, vm => Vm + Other, calls => Calls, long => Long, longest => {Ns, Longest}}.

%% ---- strace ----

syscalls(Strace, Cast, Options) ->
    Traced = [{Role, trace(Strace, merlon_bench_carriers:os_pid(Cast, Role), counted(Cast, Role))} || Role <- [a, b]],
    timer:sleep(500),
    Bytes = stream(Cast, ?SYSCALLS, Options),
    lists:append([calls_per_mb(side(Role), ended(Port, counted(Cast, Role)), Bytes) || {Role, Port} <- Traced]).

%% Those of the socket are the carrier's; the others are what the VM does to wait and to wake up.
calls_per_mb(Side, Calls, Bytes) ->
    All = lists:sum([N || {N, _} <- Calls]),
    Socket = lists:sum([N || {N, Name} <- Calls, lists:member(Name, ?SOCKET)]),
    [{Side ++ Which, ?SYSCALLS, "per MB", N * 1.0e6 / Bytes}
     || {Which, N} <- [{"_syscalls", All}, {"_syscalls_of_socket", Socket}]].

counted(Cast, Role) -> merlon_bench_carriers:counters(Cast, Role) ++ ".strace".

trace(Strace, OsPid, File) ->
    open_port({spawn_executable, Strace},
              [{args, ["-f", "-c", "-U", "calls,name", "-o", File, "-p", OsPid]}, exit_status, stderr_to_stdout]).

%% How many of which. The probe's own are not counted. An interrupted strace lets its process go on.
ended(Port, File) ->
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    _ = os:cmd("kill -INT " ++ integer_to_list(OsPid)),
    receive {Port, {exit_status, _}} -> ok end,
    {ok, Text} = file:read_file(File),
    {match, Lines} = re:run(Text, "^ *(\\d+) (\\w+)$", [global, multiline, {capture, all_but_first, list}]),
    [{list_to_integer(Calls), Name} || [Calls, Name] <- Lines, Name =/= "total", Name =/= "clock_gettime"].
