%% SPDX-License-Identifier: Apache-2.0
%% What big messages cost beside their own size: of the giant itself, of a peer that does not read, of a process
%% that does not receive.
-module(merlon_lanes_memory_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_gigabyte_costs_its_size_on_each_side/1, a_stopped_peer_costs_a_megabyte_for_small_messages/1,
         a_stopped_peer_costs_a_megabyte_for_giants/1, a_slow_peer_that_stops_costs_a_megabyte/1, a_growing_mailbox_leaves_the_carrier_empty/1,
         a_link_at_rest_keeps_no_message_alive/1, a_link_keeps_nothing_of_its_handshake/1]).

-define(MB, (1024 * 1024)).
-define(GB, (1024 * ?MB)).
%% What the carrier may hold beyond what the runtime itself does, up to its busy limit and somewhat more.
-define(BEYOND, ?MB).

suite() -> [{timetrap, {seconds, 150}}].

all() ->
    [a_gigabyte_costs_its_size_on_each_side, a_stopped_peer_costs_a_megabyte_for_small_messages,
     a_stopped_peer_costs_a_megabyte_for_giants, a_slow_peer_that_stops_costs_a_megabyte, a_growing_mailbox_leaves_the_carrier_empty,
     a_link_at_rest_keeps_no_message_alive, a_link_keeps_nothing_of_its_handshake].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

pair(Config, Args) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], Args),
    ok = merlon_ct:connect(A, B),
    {A, B}.

work({Peer, _, _}, F, Args) -> merlon_peers:call(Peer, merlon_lanes_work, F, Args, 120000).

%% ---- a giant ----

a_gigabyte_costs_its_size_on_each_side(Config) ->
    case available() of
        Bytes when Bytes < 6 * ?GB ->
            {skip, io_lib:format("~b MB of memory free, 6144 needed", [Bytes div ?MB])};
        _ -> a_gigabyte(pair(Config, []))
    end.

a_gigabyte({A, {_, NodeB, _} = B}) ->
    ok = work(A, one_big, [NodeB, 16 * ?MB]),
    Before = [peak(Vm) || Vm <- [A, B]],
    Start = erlang:monotonic_time(millisecond),
    ok = work(A, one_big, [NodeB, ?GB]),
    Time = erlang:monotonic_time(millisecond) - Start,
    Grown = [peak(Vm) - Was || {Vm, Was} <- lists:zip([A, B], Before)],
    ct:pal("1 GB in ~b ms with its sums; peak grown by ~w MB", [Time, [Bytes div ?MB || Bytes <- Grown]]),
    [true = Bytes < ?GB + 64 * ?MB || Bytes <- Grown],
    {comment, io_lib:format("peak grown by ~w MB", [[Bytes div ?MB || Bytes <- Grown]])}.

available() -> kilobytes("/proc/meminfo", "MemAvailable").

peak(Vm) -> kilobytes("/proc/" ++ merlon_ct:os_pid(Vm) ++ "/status", "VmHWM").

kilobytes(File, Key) ->
    {ok, Text} = file:read_file(File),
    {match, [Kb]} = re:run(Text, Key ++ ":\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(Kb) * 1024.

%% ---- a peer that does not read ----

a_stopped_peer_costs_a_megabyte_for_small_messages(Config) ->
    [stopped(Config, 1024, 40, Size, 20000000 div Size) || Size <- [5000, 60000]],
    ok.

%% Giants are taken from the VM fragment by fragment.
a_stopped_peer_costs_a_megabyte_for_giants(Config) ->
    stopped(Config, 1024, 20, 2000000, 10).

%% To a peer behind a slow line some is taken ahead, to make room in the VM's queue: however much there is in that.
a_slow_peer_that_stops_costs_a_megabyte(Config) ->
    [stopped(Config, 32768, 20, 2000000, 10, fun reads_in_turns/2) || _ <- lists:seq(1, 3)],
    ok.

%% What A has not got rid of after each turn.
reads_in_turns(A, {_, NodeB, _} = B) ->
    Unsent = [begin
                  timer:sleep(20),
                  ok = merlon_ct:signal(B, "CONT"),
                  ok = merlon_ct:signal(B, "STOP"),
                  maps:get(unsent, merlon_ct:link_of(A, NodeB))
              end || _ <- lists:seq(1, 30)],
    ct:pal("unsent after each turn: ~w", [Unsent]),
    true = lists:max(Unsent) < ?BEYOND.

stopped(Config, Zdbbl, Senders, Size, Count) -> stopped(Config, Zdbbl, Senders, Size, Count, fun(_, _) -> true end).

%% Zdbbl in kB; Count messages of Size bytes by each of so many senders; what goes on before all of them wait.
stopped(Config, Zdbbl, Senders, Size, Count, Meanwhile) ->
    {A, {_, NodeB, _} = B} = pair(Config, ["+zdbbl", integer_to_list(Zdbbl), "-kernel", "net_ticktime", "120"]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, warm]),
    {Receiver, Pids} = work(A, senders, [NodeB, count, Senders, Size, Count]),
    Before = work(A, held, [NodeB]),
    ok = merlon_ct:signal(B, "STOP"),
    ok = work(A, go, [Pids]),
    true = Meanwhile(A, B),
    %% That nothing goes on growing is only seen by waiting; the kernel's buffers may grow once more meanwhile.
    merlon_peers:wait(fun() -> all_wait(A, Pids) andalso begin timer:sleep(500), all_wait(A, Pids) end end),
    Held = grown(A, NodeB, Before),
    ok = merlon_ct:signal(B, "CONT"),
    merlon_peers:wait(fun() -> work(B, counted, [Receiver]) =:= Senders * Count end, 60000),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, still_up]),
    Carrier = lists:sum([maps:get(Key, Held) || Key <- [carrier, buffers, links]]),
    ct:pal("~b senders of ~b bytes, busy limit ~b kB: ~p, ~b kB by the carrier",
           [Senders, Size, Zdbbl, Held, Carrier div 1024]),
    true = Carrier < ?BEYOND,
    merlon_ct:cleanup(Config).

%% But those who have sent all of theirs.
all_wait(Vm, Pids) ->
    Others = merlon_ct:call(Vm, merlon_work, unsuspended, [Pids]),
    length(Others) < length(Pids) andalso [] =:= [Pid || {Pid, {status, _}} <- Others].

%% ---- a process that does not receive ----

a_growing_mailbox_leaves_the_carrier_empty(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    [begin
         {Receiver, Pids} = work(A, senders, [NodeB, keep, 4, Size, 20000000 div Size]),
         Before = [work(Vm, held, [Node]) || {Vm, Node} <- [{A, NodeB}, {B, NodeA}]],
         ok = work(A, go, [Pids]),
         merlon_peers:wait(fun() -> length_of(B, Receiver) =:= 4 * (20000000 div Size) end, 60000),
         merlon_peers:wait(fun() -> empty(Size, [grown(Vm, Node, Was) || {Vm, Node, Was} <- lists:zip3([A, B], [NodeB, NodeA], Before)]) end, 10000)
     end || Size <- [5000, 500000]],
    ok.

%% What has gone through is let go of by the next garbage collection, which a busy machine keeps waiting.
empty(Size, [#{binary := Sender} | _] = Grown) ->
    ct:pal("80 MB in a mailbox, of ~b bytes each: ~p", [Size, Grown]),
    Sender < ?MB andalso lists:all(fun(#{links := Links, unsent := Unsent, buffers := Buffers}) -> Links < ?MB andalso Unsent < 65536 andalso Buffers < 65536 end, Grown).

grown(Vm, Node, Before) ->
    maps:map(fun(Key, Bytes) -> Bytes - maps:get(Key, Before) end, work(Vm, held, [Node])).

length_of(Vm, Pid) ->
    {message_queue_len, Length} = merlon_ct:call(Vm, erlang, process_info, [Pid, message_queue_len]),
    Length.

%% ---- a link at rest ----

%% Each part of a message keeps all of it: also the small one that the last batch consists of.
a_link_at_rest_keeps_no_message_alive(Config) ->
    {{_, NodeA, _} = A, {_, NodeB, _} = B} = pair(Config, []),
    [begin
         {Receiver, Pids} = work(A, senders, [NodeB, count, 1, Size, 1]),
         ok = work(A, go, [Pids]),
         merlon_peers:wait(fun() -> work(B, counted, [Receiver]) =:= 1 end),
         timer:sleep(1500),
         merlon_peers:wait(fun() -> lists:all(fun({Vm, Node}) -> rests(Size, work(Vm, held, [Node])) end, [{A, NodeB}, {B, NodeA}]) end, 3000)
     end || Size <- lists:seq(20000000, 20500000, 60000)],
    ok.

rests(Size, #{carrier := Held, buffers := Buffers}) ->
    ct:pal("~b bytes: held by the carrier: ~b, ~b", [Size, Held, Buffers]),
    Held < ?MB andalso Buffers < 65536.

%% The process that has shaken hands stays, to tick. 4 KB are its own; of the handshake 15 would be left.
a_link_keeps_nothing_of_its_handshake(Config) ->
    {A, B} = pair(Config, []),
    [merlon_peers:wait(fun() -> [Bytes] = work(Vm, tickers, []), ct:pal("~b bytes", [Bytes]), Bytes < 8000 end) || Vm <- [A, B]],
    ok.
