%% SPDX-License-Identifier: Apache-2.0
%% What runs inside the nodes: streams of messages, ping-pong, remote calls. Driven over the node's
%% standard input, so the link under test carries nothing but the load and a few words of its own.
-module(merlon_bench_load).

-export([stream/2, messages/1, ping/2, ping_beside/3, stream_beside/3, erpc/2]).
-export([sender/3, sink/1, echo/0, cpu_seconds/1]).

%% Bytes that a sender sends between two looks at the clock, at least.
-define(LOOK, 65536).

%% senders: how many at once, each with a sink of its own; both: also in the other direction;
%% size: of each message in bytes, or the mixed load; ms: how long they send; os_pids: whose CPU counts.
-type spec() :: #{senders := pos_integer(), both := boolean(), size := pos_integer() | mixed,
                  ms := pos_integer(), os_pids := [string()]}.

%% Streams from here to Node. The clock runs from the first message sent until the last one has been
%% received by its process. Bytes of payload, microseconds, CPU seconds (user and system).
-spec stream(node(), spec()) -> #{bytes := pos_integer(), us := pos_integer(), cpu := float()}.
stream(Node, #{senders := N, both := Both, os_pids := OsPids} = Spec) ->
    Ways = [{node(), Node} || _ <- lists:seq(1, N)] ++ [{Node, node()} || _ <- lists:seq(1, N), Both],
    Senders = [start_sender(From, To, Spec) || {From, To} <- Ways],
    Cpu = cpu_seconds(OsPids),
    Start = erlang:monotonic_time(microsecond),
    [Sender ! go || Sender <- Senders],
    Bytes = [arrived(Sender) || Sender <- Senders],
    Us = erlang:monotonic_time(microsecond) - Start,
    #{bytes => lists:sum(Bytes), us => Us, cpu => cpu_seconds(OsPids) - Cpu}.

start_sender(From, To, Spec) ->
    Sender = spawn_link(From, ?MODULE, sender, [self(), To, maps:with([size, ms], Spec)]),
    receive {ready, Sender} -> Sender end.

%% What its sink has counted; the sender knows what it should have been.
arrived(Sender) ->
    receive {sent, Sender, Bytes} -> receive {arrived, Sender, Bytes} -> Bytes end end.

-spec sender(pid(), node(), map()) -> {sent, pid(), non_neg_integer()}.
sender(Leader, To, #{size := Size, ms := Ms}) ->
    Sink = spawn_link(To, ?MODULE, sink, [{Leader, self()}]),
    Messages = messages(Size),
    receive up -> Leader ! {ready, self()} end,
    receive go -> ok end,
    Bytes = send_until(erlang:monotonic_time(millisecond) + Ms, Sink, Messages,
                       iolist_size(Messages), 0),
    Sink ! done,
    Leader ! {sent, self(), Bytes}.

send_until(End, Sink, Messages, Size, Bytes) ->
    [Sink ! Message || Message <- Messages],
    case erlang:monotonic_time(millisecond) of
        Now when Now < End -> send_until(End, Sink, Messages, Size, Bytes + Size);
        _ -> Bytes + Size
    end.

%% What a sender sends over and over again: copies of one message, or in a fixed disorder 80 messages
%% of 200 bytes, 19 of 8 KiB and one of 1 MiB.
-spec messages(pos_integer() | mixed) -> [binary()].
messages(mixed) ->
    [Small, Middle, Large] = [binary:copy(<<7>>, Size) || Size <- [200, 8192, 1 bsl 20]],
    All = lists:duplicate(80, Small) ++ lists:duplicate(19, Middle) ++ [Large],
    [Message || {_, Message} <- lists:sort([{erlang:phash2(I), M} || {I, M} <- lists:enumerate(All)])];
messages(Size) ->
    lists:duplicate(max(1, ?LOOK div Size), binary:copy(<<7>>, Size)).

%% Counts the payload that arrives. Messages wait outside of the heap, as in processes that expect many.
-spec sink({pid(), pid()}) -> term().
sink({_, Sender} = To) ->
    process_flag(message_queue_data, off_heap),
    Sender ! up,
    count(To, 0).

count({Leader, Sender} = To, Bytes) ->
    receive
        Message when is_binary(Message) -> count(To, Bytes + byte_size(Message));
        done -> Leader ! {arrived, Sender, Bytes}
    end.

%% User and system time of processes of this machine so far, without that of their children.
%% Fields 14 and 15 of /proc/PID/stat (proc(5)) in ticks, 100 a second on Linux.
-spec cpu_seconds([string()]) -> float().
cpu_seconds(OsPids) ->
    lists:sum([ticks(OsPid) || OsPid <- OsPids]) / 100.

ticks(OsPid) ->
    {ok, Stat} = file:read_file("/proc/" ++ OsPid ++ "/stat"),
    [_, AfterName] = string:split(Stat, ") ", trailing),
    Fields = string:split(AfterName, " ", all),
    lists:sum([binary_to_integer(lists:nth(N, Fields)) || N <- [12, 13]]).

%% Whom the bulk goes to, and how large its messages are.
-type bulk() :: none | {node(), pos_integer()}.
%% size: payload in bytes, there and back; samples: at most so many; ms: at most so long.
-type ping() :: #{size := pos_integer(), samples := pos_integer(), ms := pos_integer()}.

%% Round trips to a process on Node and back, one after the other: microseconds each.
-spec ping(node(), ping()) -> [float(), ...].
ping(Node, Ping) ->
    ping_beside(Node, Ping, none).

%% The same while another process sends messages of one size without a pause to a node.
-spec ping_beside(node(), ping(), bulk()) -> [float(), ...].
ping_beside(Node, #{size := Size, samples := Samples, ms := Ms}, Bulk) ->
    Echo = spawn_link(Node, ?MODULE, echo, []),
    Payload = binary:copy(<<7>>, Size),
    _ = [trip(Echo, Payload) || _ <- lists:seq(1, 100)],
    Trips = fun() -> trips(Echo, Payload, erlang:monotonic_time(millisecond) + Ms, Samples, []) end,
    Times = beside(Bulk, Ms, Trips),
    Echo ! stop,
    Times.

trips(Echo, Payload, End, Left, Times) ->
    Us = trip(Echo, Payload),
    case Left =:= 1 orelse erlang:monotonic_time(millisecond) >= End of
        true -> [Us | Times];
        false -> trips(Echo, Payload, End, Left - 1, [Us | Times])
    end.

trip(Echo, Payload) ->
    Start = erlang:monotonic_time(nanosecond),
    Echo ! {self(), Payload},
    receive {Echo, _} -> (erlang:monotonic_time(nanosecond) - Start) / 1000 end.

-spec echo() -> stop.
echo() ->
    receive
        {From, Payload} -> From ! {self(), Payload}, echo();
        stop -> stop
    end.

%% stream/2 beside such a bulk.
-spec stream_beside(node(), spec(), bulk()) -> map().
stream_beside(Node, #{ms := Ms} = Spec, Bulk) ->
    beside(Bulk, Ms, fun() -> stream(Node, Spec) end).

%% Back only when the last of the bulk has arrived: the next measure shall find the link idle.
%% The bulk ends by itself when what is beside it takes too long to end.
beside(none, _, Fun) -> Fun();
beside({Node, Size}, Ms, Fun) ->
    Self = self(),
    Sink = spawn_link(Node, ?MODULE, sink, [{Self, Self}]),
    receive up -> ok end,
    End = erlang:monotonic_time(millisecond) + 200 + 2 * Ms,
    Bulk = spawn_link(fun() -> flood(End, Sink, hd(messages(Size))) end),
    timer:sleep(200),
    Result = Fun(),
    Bulk ! stop,
    receive {arrived, Self, _} -> Result end.

flood(End, Sink, Message) ->
    Sink ! Message,
    Late = erlang:monotonic_time(millisecond) > End,
    receive stop -> Sink ! done
    after 0 -> case Late of true -> Sink ! done; false -> flood(End, Sink, Message) end
    end.

%% Remote calls of a function that does nothing, by Callers processes at once for Ms: calls a second.
-spec erpc(node(), {pos_integer(), pos_integer()}) -> float().
erpc(Node, {Callers, Ms}) ->
    Start = erlang:monotonic_time(microsecond),
    End = Start + Ms * 1000,
    Workers = [spawn_monitor(fun() -> exit({calls, calls(Node, End, 0)}) end)
               || _ <- lists:seq(1, Callers)],
    Calls = lists:sum([made(Worker) || Worker <- Workers]),
    Calls * 1.0e6 / (erlang:monotonic_time(microsecond) - Start).

made({Pid, Ref}) ->
    receive {'DOWN', Ref, process, Pid, Reason} -> {calls, N} = Reason, N end.

calls(Node, End, N) ->
    1 = erpc:call(Node, erlang, abs, [-1]),
    case erlang:monotonic_time(microsecond) < End of
        true -> calls(Node, End, N + 1);
        false -> N + 1
    end.
