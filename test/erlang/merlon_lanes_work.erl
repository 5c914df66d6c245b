%% SPDX-License-Identifier: Apache-2.0
%% What the VMs of the suites on lanes do: many sizes in order, big messages, signals of every kind beside them,
%% atoms that nobody has seen, and a look at the frames that the VM makes of it.
-module(merlon_lanes_work).

-export([in_order/4, ordered/3, with_bulk/2, with_bulk/4, overtaking/2, sink/0]).
-export([scenario/3, collector/2, one_big/2, one_sum/1, atoms/3, atoms_beside/2, killed_within/3]).
-export([senders/5, go/1, count/1, keep/1, counted/1, held/1, tickers/0]).

%% ---- order ----

%% Senders processes, each with a receiver of its own over there, that gets Count messages of 1 byte to Max: whole,
%% and in the order in which they were sent.
-spec in_order(node(), pos_integer(), pos_integer(), pos_integer()) -> ok.
in_order(Node, Senders, Count, Max) ->
    Source = rand:bytes(2 * Max),
    together([fun() -> send_ordered(Node, Count, Max, Source) end || _ <- lists:seq(1, Senders)]).

send_ordered(Node, Count, Max, Source) ->
    Receiver = spawn_link(Node, ?MODULE, ordered, [self(), 1, Count]),
    [begin
         Data = binary:part(Source, rand:uniform(Max), length_up_to(Max)),
         Receiver ! {Number, erlang:crc32(Data), Data}
     end || Number <- lists:seq(1, Count)],
    receive {Receiver, all} -> ok after 100000 -> error(no_answer) end.

%% As many of 1 to 10 bytes as of 10 to 100 and so on.
length_up_to(Max) -> max(1, min(Max, round(math:exp(rand:uniform() * math:log(Max))))).

-spec ordered(pid(), pos_integer(), pos_integer()) -> {pid(), all}.
ordered(Sender, Next, Last) when Next > Last ->
    Sender ! {self(), all};
ordered(Sender, Next, Last) ->
    receive
        {Number, Sum, Data} ->
            {Next, Sum} = {Number, erlang:crc32(Data)},
            ordered(Sender, Next + 1, Last)
    end.

together(Funs) ->
    Running = [spawn_monitor(Fun) || Fun <- Funs],
    lists:foreach(fun({Pid, Ref}) ->
                          receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end
                  end, Running).

%% ---- beside bulk ----

%% Runs M:F(A) while two processes keep sending 5 MB messages to Node.
-spec with_bulk(node(), {module(), atom(), list()}) -> term().
with_bulk(Node, Call) -> with_bulk(Node, 2, 5000000, Call).

-spec with_bulk(node(), pos_integer(), pos_integer(), {module(), atom(), list()}) -> term().
with_bulk(Node, Senders, Size, {M, F, A}) ->
    Data = rand:bytes(Size),
    Bulk = [spawn_monitor(fun() -> bulk(spawn_link(Node, ?MODULE, sink, []), Data) end)
            || _ <- lists:seq(1, Senders)],
    Result = apply(M, F, A),
    _ = [Pid ! stop || {Pid, _} <- Bulk],
    [receive {'DOWN', Ref, process, Pid, Reason} -> {done, _} = Reason end || {Pid, Ref} <- Bulk],
    Result.

%% One is under way while the next waits.
bulk(Sink, Data) -> bulk(Sink, Data, 0).

bulk(Sink, Data, Count) ->
    Sink ! {self(), Data},
    receive
        stop -> exit({done, Count})
    after 0 ->
            _ = [receive {Sink, got} -> ok end || Count > 0],
            bulk(Sink, Data, Count + 1)
    end.

-spec sink() -> no_return().
sink() ->
    receive {From, _} -> From ! {self(), got} end,
    sink().

%% A message of Bytes on its way: how long it takes, how long round trips of another process take meanwhile, all in
%% microseconds, and in what order the big one and a small one behind it arrive.
-spec overtaking(node(), pos_integer()) -> {pos_integer(), [pos_integer()], [term()]}.
overtaking(Node, Bytes) ->
    Data = binary:copy(<<7>>, Bytes),
    Receiver = spawn_link(Node, ?MODULE, collector, [self(), 4]),
    _ = [Receiver ! Message || Message <- [{big, <<>>}, behind]], % a frame with a new atom is not overtaken
    _ = merlon_work:round_trips(Node, 10),
    Start = erlang:monotonic_time(microsecond),
    _ = spawn_link(fun() -> Receiver ! {big, Data}, Receiver ! behind end),
    timer:sleep(20),
    Trips = trips(Node, Receiver, []),
    receive {Receiver, Events} -> {erlang:monotonic_time(microsecond) - Start, Trips, Events} end.

trips(Node, Receiver, Trips) ->
    [Trip] = merlon_work:round_trips(Node, 1),
    receive
        {Receiver, _} = Events -> self() ! Events, [Trip | Trips]
    after 0 -> trips(Node, Receiver, [Trip | Trips])
    end.

%% The same for round trips that each bring a new atom.
-spec atoms_beside(node(), pos_integer()) -> {pos_integer(), [pos_integer(), ...]}.
atoms_beside(Node, Bytes) ->
    Data = binary:copy(<<7>>, Bytes),
    Receiver = spawn_link(Node, ?MODULE, collector, [self(), 1]),
    Start = erlang:monotonic_time(microsecond),
    _ = spawn_link(fun() -> Receiver ! {big, Data} end),
    timer:sleep(20),
    Trips = new_atom_trips(Node, Receiver),
    receive {Receiver, [{big, Bytes}]} -> {erlang:monotonic_time(microsecond) - Start, Trips} end.

new_atom_trips(Node, Receiver) ->
    New = list_to_atom(lists:concat(["new_", erlang:unique_integer([positive])])),
    {Time, ok} = timer:tc(merlon_work, echo, [Node, New]),
    receive
        {Receiver, _} = Events -> self() ! Events, [Time]
    after 0 -> [Time | new_atom_trips(Node, Receiver)]
    end.

%% A process that is killed Ms after it began to send a message of Bytes. All of it arrives or nothing; what another
%% sends arrives.
-spec killed_within(node(), pos_integer(), non_neg_integer()) -> ok.
killed_within(Node, Bytes, Ms) ->
    Receiver = spawn_link(Node, ?MODULE, sink, []),
    Data = binary:copy(<<7>>, Bytes),
    {Sender, Ref} = spawn_monitor(fun() -> Receiver ! {self(), Data}, receive never -> ok end end),
    timer:sleep(Ms),
    exit(Sender, kill),
    receive {'DOWN', Ref, process, Sender, killed} -> ok end,
    Receiver ! {self(), still_there},
    receive {Receiver, got} -> ok after 20000 -> error(no_answer) end.

%% ---- signals ----

%% What arrives at a process over there when one here sends it a message of Size bytes and then does something else.
-spec scenario(atom(), node(), pos_integer()) -> [term()].
scenario(Name, Node, Size) ->
    Receiver = spawn_link(Node, ?MODULE, collector, [self(), events(Name)]),
    Data = rand:bytes(Size),
    Sender = spawn(fun() -> receive go -> act(Name, Receiver, Data) end end),
    Receiver ! {prepare, self(), Name, Sender},
    Extra = receive {Receiver, ready, Given} -> Given end,
    Sender ! go,
    _ = [Sender ! {extra, Extra}],
    receive {Receiver, Events} -> Events after 60000 -> error({no_answer, Name}) end.

events(unlink_then_exit) -> 2;
events(group_leader) -> 1;
events(_) -> 2.

act(monitored_exit, To, Data) -> To ! {big, Data};
act(linked_exit, To, Data) -> To ! {big, Data}, exit(bye);
act(big_linked_exit, To, Data) -> To ! {big, Data}, exit({bye, Data});
act(link_then_exit, To, Data) -> To ! {big, Data}, link(To), exit(bye);
act(unlink_then_exit, To, Data) -> To ! {big, Data}, unlink(To), To ! unlinked, exit(bye);
act(exit_2, To, Data) -> To ! {big, Data}, exit(To, bye);
act(big_exit_2, To, Data) -> To ! {big, Data}, exit(To, {bye, Data});
act(by_alias, _, Data) -> receive {extra, Alias} -> Alias ! {big, Data}, Alias ! behind end;
act(by_name, To, Data) -> {merlon_lanes_collector, node(To)} ! {big, Data}, To ! behind;
act(small_then_big, To, Data) -> To ! behind, To ! {big, Data};
act(group_leader, To, Data) ->
    Other = spawn(fun() -> receive stop -> ok end end),
    To ! {big, Data},
    group_leader(Other, To).

%% Collects that many events and tells them to Parent, oldest first.
-spec collector(pid(), non_neg_integer()) -> {pid(), [term()]}.
collector(Parent, Count) ->
    process_flag(trap_exit, true),
    Events = collect(Parent, Count),
    Parent ! {self(), Events}.

collect(_Parent, 0) ->
    [];
collect(Parent, Count) ->
    receive
        {prepare, From, Name, Sender} ->
            From ! {self(), ready, prepare(Name, Sender)},
            leader_changes(Name),
            collect(Parent, Count);
        {'EXIT', Parent, Reason} -> exit(Reason);
        Event -> [event(Event) | collect(Parent, Count - 1)]
    end.

prepare(monitored_exit, Sender) -> monitor(process, Sender);
prepare(Name, Sender) when Name =:= linked_exit; Name =:= big_linked_exit; Name =:= unlink_then_exit -> link(Sender);
prepare(by_alias, _) -> erlang:alias();
prepare(by_name, _) -> register(merlon_lanes_collector, self());
prepare(group_leader, _) -> put(leader, group_leader());
prepare(_, _) -> ok.

%% When the new leader is there, what was sent before it must be too.
leader_changes(group_leader) ->
    case group_leader() =:= get(leader) of
        true -> leader_changes(group_leader);
        false -> self() ! leader
    end;
leader_changes(_) -> ok.

event({big, Data}) -> {big, byte_size(Data)};
event({'EXIT', _, {bye, Data}}) -> {exit, byte_size(Data)};
event({'EXIT', _, Reason}) -> {exit, Reason};
event({'DOWN', _, process, _, Reason}) -> {down, Reason};
event(Other) -> Other.

%% ---- one giant ----

%% A message of Bytes, of zeros with a mark every 16 MB, which costs no more memory than its size, arrives whole.
-spec one_big(node(), pos_integer()) -> ok.
one_big(Node, Bytes) ->
    Zeros = binary:copy(<<0>>, 1 bsl 24 - 8),
    Data = iolist_to_binary([[Zeros, rand:bytes(8)] || _ <- lists:seq(1, Bytes bsr 24)]),
    Self = self(),
    Receiver = spawn_link(Node, ?MODULE, one_sum, [Self]),
    Receiver ! {big, Data},
    Sum = sum(Data),
    receive {Receiver, Got} -> Sum = Got after 100000 -> error(no_answer) end,
    ok.

-spec one_sum(pid()) -> {pid(), {non_neg_integer(), non_neg_integer()}}.
one_sum(To) ->
    receive {big, Data} -> To ! {self(), sum(Data)} end.

sum(Data) -> {byte_size(Data), erlang:crc32(Data)}.

%% ---- atoms ----

%% Terms full of atoms, new ones and ones of long ago, in small frames and in frames of Size bytes, come back as they
%% were. More atoms than the cache of a link holds.
-spec atoms(node(), pos_integer(), pos_integer()) -> ok.
atoms(Node, Count, Size) ->
    Base = lists:concat(["atom_", erlang:unique_integer([positive]), "_"]),
    All = [list_to_atom(Base ++ integer_to_list(Number)) || Number <- lists:seq(1, Count)],
    together([fun() -> echo_atoms(Node, All, Size, Sender) end || Sender <- lists:seq(1, 6)]).

echo_atoms(_Node, [], _Size, _Sender) ->
    ok;
echo_atoms(Node, Atoms, Size, Sender) ->
    {Now, Later} = lists:split(min(length(Atoms), 20 + Sender), Atoms),
    ok = merlon_work:echo(Node, {Now, Sender}),
    ok = merlon_work:echo(Node, {Now, rand:bytes(Size * (length(Later) rem 3))}),
    echo_atoms(Node, Later, Size, Sender).

%% ---- memory ----

%% Senders processes, each ready to send Count terms of Size bytes to a process over there that counts them, or, with
%% `keep`, lets them lie in its mailbox. No binaries, which would cost nothing to hold. They start at `go`.
-spec senders(node(), count | keep, pos_integer(), pos_integer(), pos_integer()) -> {pid(), [pid()]}.
senders(Node, What, Senders, Size, Count) ->
    Self = self(),
    Receiver = spawn(Node, ?MODULE, What, [0]),
    Pids = [spawn(fun() ->
                          Term = lists:duplicate(Size div 5000, lists:duplicate(5000, 7)),
                          erlang:garbage_collect(),
                          Self ! {ready, self()},
                          receive go -> send(Receiver, Term, Count) end
                  end) || _ <- lists:seq(1, Senders)],
    _ = [receive {ready, Pid} -> ok end || Pid <- Pids],
    {Receiver, Pids}.

send(_Receiver, _Term, 0) -> ok;
send(Receiver, Term, Count) -> Receiver ! Term, send(Receiver, Term, Count - 1).

-spec go([pid()]) -> ok.
go(Pids) -> lists:foreach(fun(Pid) -> Pid ! go end, Pids).

-spec count(non_neg_integer()) -> no_return().
count(Count) ->
    receive
        {counted, From} -> From ! {self(), Count}, count(Count);
        Term when is_list(Term) -> count(Count + 1)
    end.

-spec keep(0) -> ok.
keep(_) -> receive stop -> ok end.

-spec counted(pid()) -> non_neg_integer().
counted(Receiver) ->
    Receiver ! {counted, self()},
    receive {Receiver, Count} -> Count after 60000 -> error(no_answer) end.

%% What the VM, of it the carrier's processes, and its library hold for those who are over there. Encoded messages are
%% binaries, and there are few others.
-spec held(node()) -> #{binary := integer(), carrier := integer(), unsent := integer(), buffers := integer(),
                         links := integer()}.
held(Node) ->
    [{Unsent, Buffers}] = [{Bytes, All} || #{node := To, unsent := Bytes, buffers := All} <- merlon:connections(), To =:= Node],
    Taken = lists:usort([{Id, Bytes} || {binary, Binaries} <- link_info(Node, binary), {Id, Bytes, _} <- Binaries]),
    #{binary => erlang:memory(binary), unsent => Unsent, buffers => Buffers, carrier => lists:sum([Bytes || {_, Bytes} <- Taken]),
      links => lists:sum([Bytes || {memory, Bytes} <- link_info(Node, memory)])}.

%% The memory of the processes that have shaken hands, one for each link.
-spec tickers() -> [non_neg_integer()].
tickers() ->
    [Bytes || Pid <- processes(), {initial_call, {merlon_hs, _, _}} <- [process_info(Pid, initial_call)],
              {memory, Bytes} <- [process_info(Pid, memory)]].

%% Of the two processes of the link to Node.
link_info(Node, Item) ->
    [Out] = [Pid || {Pid, _, #{node := To}} <- merlon_registry:links(), To =:= Node],
    {links, Links} = process_info(Out, links),
    [process_info(Pid, Item)
     || Pid <- [Out | Links], is_pid(Pid), node(Pid) =:= node(),
        {initial_call, {Module, init, _}} <- [process_info(Pid, initial_call)],
        Module =:= merlon_link_in orelse Module =:= merlon_link_out].
