%% SPDX-License-Identifier: Apache-2.0
%% What the VMs of the suites do: echo, count, send, note which nodes come and go.
-module(merlon_work).

-export([start/0, events/0, downs/0, net_kernel_state/1, resources/0]).
-export([echo/2, echoes/3, exchange/2, flood/3, unsuspended/1, received/0, reset/0]).
-export([kill/2, inject_with/1, inject/2, hog/1, let_go/0]).
-export([in_order/2, keep/4, collect/0]).
-export([ping_at/2, cycles/2, round_trips/2, looks/2, bulk/3, spawn_exit/2, sweeps/0, reads_ahead/2, ahead/1, slow_down/1, pauses/2]).

%% ---- servers ----

-spec start() -> ok.
start() ->
    Self = self(),
    %% Not when there is no descriptor left.
    {module, sys} = code:ensure_loaded(sys),
    _ = spawn(fun() -> register(?MODULE, self()), Self ! up, echo_loop(0, 0) end),
    receive up -> ok end,
    _ = spawn(fun() ->
                      register(merlon_work_events, self()),
                      ok = net_kernel:monitor_nodes(true, [nodedown_reason, {node_type, all}]),
                      Self ! up,
                      event_loop([])
              end),
    receive up -> ok end.

echo_loop(Count, Bytes) ->
    receive
        {echo, From, Ref, Data} -> From ! {Ref, Data}, echo_loop(Count, Bytes);
        {sum, From, Ref, Data} -> From ! {Ref, sum(Data)}, echo_loop(Count, Bytes);
        {count, Data} -> echo_loop(Count + 1, Bytes + byte_size(Data));
        {counted, From, Ref} -> From ! {Ref, {Count, Bytes}}, echo_loop(Count, Bytes);
        {keep, From, Ref, Data} -> put({kept, Ref}, Data), From ! {Ref, ok}, echo_loop(Count, Bytes);
        reset -> echo_loop(0, 0)
    end.

event_loop(Events) ->
    receive
        {events, From, Ref} -> From ! {Ref, lists:reverse(Events)}, event_loop(Events);
        Event -> event_loop([Event | Events])
    end.

ask(Server, Request) ->
    Ref = make_ref(),
    Server ! list_to_tuple([element(1, Request), self(), Ref | tl(tuple_to_list(Request))]),
    receive {Ref, Answer} -> Answer after 60000 -> error(no_answer) end.

%% nodeup and nodedown so far.
-spec events() -> [tuple()].
events() -> ask(merlon_work_events, {events}).

-spec downs() -> [{node(), Reason :: term()}].
downs() ->
    [{Node, proplists:get_value(nodedown_reason, Info)} || {nodedown, Node, Info} <- events()].

%% ---- the VM's own state ----

-spec net_kernel_state(timeout()) -> map().
net_kernel_state(Timeout) ->
    _ = sys:get_state(net_kernel, Timeout),
    #{started => node()}.

-spec resources() -> map().
resources() ->
    garbage(),
    #{processes => erlang:system_info(process_count), ports => erlang:system_info(port_count),
      atoms => erlang:system_info(atom_count), ets => erlang:system_info(ets_count)}.

garbage() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    ok.

%% ---- data ----

sum(Data) -> erlang:md5(term_to_binary(Data)).

%% Data comes back whole.
-spec echo(node(), term()) -> ok.
echo(Node, Data) ->
    Data = ask({?MODULE, Node}, {echo, Data}),
    ok.

%% Binaries of these sizes, sent by this many processes at once, arrive and come back whole.
-spec echoes(node(), [non_neg_integer()], pos_integer()) -> ok.
echoes(Node, Sizes, Processes) ->
    together([fun() -> exchange(Node, Sizes) end || _ <- lists:seq(1, Processes)]).

-spec exchange(node(), [non_neg_integer()]) -> ok.
exchange(Node, Sizes) ->
    lists:foreach(fun(Size) ->
                          Data = {Size, rand:bytes(Size)},
                          Sum = sum(Data),
                          Sum = ask({?MODULE, Node}, {sum, Data}),
                          ok = echo(Node, Data)
                  end, Sizes).

together(Funs) ->
    Running = [spawn_monitor(Fun) || Fun <- Funs],
    lists:foreach(fun({Pid, Ref}) ->
                          receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end
                  end, Running).

%% Processes that send Count binaries of Size bytes each to the counter over there.
-spec flood(node(), non_neg_integer(), non_neg_integer()) -> pid().
flood(Node, Size, Count) ->
    Data = rand:bytes(Size),
    spawn(fun() -> send(Node, {count, Data}, Count) end).

send(_Node, _Message, 0) -> ok;
send(Node, Message, Count) ->
    {?MODULE, Node} ! Message,
    send(Node, Message, Count - 1).

%% Those that are not suspended (dead ones are not).
-spec unsuspended([pid()]) -> [{pid(), term()}].
unsuspended(Pids) ->
    [{Pid, Status} || Pid <- Pids, Status <- [process_info(Pid, status)],
                      Status =/= {status, suspended}].

%% Messages and bytes that the counter has got.
-spec received() -> {non_neg_integer(), non_neg_integer()}.
received() -> ask(?MODULE, {counted}).

-spec reset() -> ok.
reset() ->
    ?MODULE ! reset,
    ok.

%% Sends numbers that are to come back in the order in which they went out.
-spec in_order(node(), pos_integer()) -> ok.
in_order(Node, Count) ->
    Refs = [{make_ref(), rand:bytes(I rem 9000)} || I <- lists:seq(1, Count)],
    _ = [{?MODULE, Node} ! {echo, self(), Ref, Data} || {Ref, Data} <- Refs],
    _ = [receive Any -> {Ref, Data} = Any after 30000 -> error(no_answer) end || {Ref, Data} <- Refs],
    ok.

%% Count small binaries (refc ones) that the server over there keeps, each before a big one that it
%% drops.
-spec keep(node(), pos_integer(), pos_integer(), pos_integer()) -> ok.
keep(Node, Count, Small, Big) ->
    lists:foreach(fun(_) ->
                          ok = ask({?MODULE, Node}, {keep, rand:bytes(Small)}),
                          ok = echo(Node, rand:bytes(Big))
                  end, lists:seq(1, Count)).

-spec collect() -> ok.
collect() -> garbage().

%% ---- links ----

%% Pings at a point of system time (ms), so that two nodes do it in the same moment.
-spec ping_at(node(), integer()) -> pong | pang.
ping_at(Node, Time) ->
    timer:sleep(max(0, Time - erlang:system_time(millisecond))),
    net_adm:ping(Node).

%% Connects and disconnects Count times; gives the times in microseconds until connected.
-spec cycles(node(), non_neg_integer()) -> [non_neg_integer()].
cycles(Node, Count) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    Times = [cycle(Node) || _ <- lists:seq(1, Count)],
    ok = net_kernel:monitor_nodes(false, [{node_type, all}]),
    Times.

cycle(Node) ->
    {Time, true} = timer:tc(net_kernel, connect_node, [Node]),
    receive {nodeup, Node, _} -> ok end,
    true = erlang:disconnect_node(Node),
    receive {nodedown, Node, _} -> ok end,
    Time.

%% Round trips of a small message, in microseconds each.
-spec round_trips(node(), pos_integer()) -> [non_neg_integer()].
round_trips(Node, Count) ->
    [element(1, timer:tc(fun() -> echo(Node, I) end)) || I <- lists:seq(1, Count)].

%% What the reader of the link to Node did next, during so many of them, when it had read something, or nothing.
%% Back when it waits again.
-spec looks(node(), pos_integer()) -> [atom()].
looks(Node, Count) ->
    Reader = reader(Node),
    1 = erlang:trace_pattern({merlon_nif, recv, 2}, [{'_', [], [{return_trace}]}], [local]),
    1 = erlang:trace(Reader, true, [call]),
    _ = round_trips(Node, Count),
    waits(Reader),
    1 = erlang:trace(Reader, false, [call]),
    Ref = erlang:trace_delivered(Reader),
    receive {trace_delivered, Reader, Ref} -> lists:usort(next()) end.

waits(Pid) ->
    case process_info(Pid, status) of
        {status, waiting} -> ok;
        {status, _} -> timer:sleep(10), waits(Pid)
    end.

next() ->
    receive
        {trace, _, return_from, {merlon_nif, recv, 2}, Read} -> [element(2, Read) | next()];
        {trace, _, call, {merlon_nif, recv, _}} -> next()
    after 0 -> []
    end.

%% Two processes that send Bytes each in binaries of Size, then say so to the caller's group.
-spec bulk(node(), pos_integer(), pos_integer()) -> [pid()].
bulk(Node, Size, Bytes) ->
    [flood(Node, Size, Bytes div Size) || _ <- [1, 2]].

%% After how many minor collections the processes of links collect all; 0: none keeps an old heap.
-spec sweeps() -> [{module(), non_neg_integer()}].
sweeps() ->
    lists:usort([{Module, After} || Pid <- processes(),
                                    {initial_call, {Module, _, _}} <- [process_info(Pid, initial_call)],
                                    lists:member(Module, [merlon_hs, merlon_link_in, merlon_link_out]),
                                    {garbage_collection, Options} <- [process_info(Pid, garbage_collection)],
                                    {fullsweep_after, After} <- Options]).

%% How often the readers of links to this node waited for what is read ahead while a message of Size bytes went to Node and back.
-spec reads_ahead(node(), pos_integer()) -> non_neg_integer().
reads_ahead(Node, Size) ->
    Readers = [Pid || Pid <- processes(), process_info(Pid, initial_call) =:= {initial_call, {merlon_link_in, init, 3}}],
    _ = [1 = erlang:trace(Reader, true, [running]) || Reader <- Readers],
    ok = echo(Node, rand:bytes(Size)),
    _ = [1 = erlang:trace(Reader, false, [running]) || Reader <- Readers],
    length([ok || Reader <- Readers, {merlon_link_ahead, done, 1} <- outs(Reader)]).

outs(Pid) ->
    receive
        {trace, Pid, out, Where} -> [Where | outs(Pid)];
        {trace, Pid, in, _} -> outs(Pid)
    after 0 -> []
    end.

calls(Pid) ->
    receive {trace, Pid, call, _} -> [ok | calls(Pid)] after 0 -> [] end.

%% Those who read ahead for links of this node, once there are none of them any more or after so many milliseconds.
-spec ahead(non_neg_integer()) -> [pid()].
ahead(Time) ->
    case [Pid || Pid <- processes(), process_info(Pid, initial_call) =:= {initial_call, {merlon_link_ahead, init, 2}}] of
        [_ | _] when Time > 0 -> timer:sleep(100), ahead(Time - 100);
        Left -> Left
    end.

%% What goes to Node comes a batch every few milliseconds from now on, as over a slow line.
-spec slow_down(node()) -> pid().
slow_down(Node) ->
    Controller = controller(Node),
    spawn(fun() -> slow(Controller) end).

slow(Controller) ->
    true = erlang:suspend_process(Controller),
    timer:sleep(2),
    true = erlang:resume_process(Controller),
    spin(erlang:monotonic_time(microsecond) + 200),
    slow(Controller).

spin(Until) ->
    erlang:yield(),
    case erlang:monotonic_time(microsecond) < Until of
        true -> spin(Until);
        false -> ok
    end.

%% Whether the reader of the link to Node pauses while a message of Size bytes goes there and back.
-spec pauses(node(), pos_integer()) -> boolean().
pauses(Node, Size) ->
    Reader = reader(Node),
    1 = erlang:trace_pattern({merlon_nif, recv, 2}, [{['_', pause], [], []}], [local]),
    1 = erlang:trace(Reader, true, [call]),
    ok = echo(Node, rand:bytes(Size)),
    1 = erlang:trace(Reader, false, [call]),
    _ = erlang:trace_pattern({merlon_nif, recv, 2}, false, [local]),
    Ref = erlang:trace_delivered(Reader),
    receive {trace_delivered, Reader, Ref} -> calls(Reader) =/= [] end.

%% A process over there that is linked to the caller exits with Size bytes of reason.
-spec spawn_exit(node(), non_neg_integer()) -> ok.
spawn_exit(Node, Size) ->
    process_flag(trap_exit, true),
    Reason = rand:bytes(Size),
    Pid = spawn_link(Node, erlang, exit, [Reason]),
    receive {'EXIT', Pid, Got} when Got =:= Reason -> ok after 30000 -> error(no_exit) end.

%% ---- harm ----

%% Kills the controller of the link to Node, or the process that reads for it.
-spec kill(controller | reader, node()) -> true.
kill(controller, Node) ->
    exit(controller(Node), kill);
kill(reader, Node) ->
    exit(reader(Node), kill).

reader(Node) ->
    {links, Links} = process_info(controller(Node), links),
    [Reader] = [Pid || Pid <- Links, is_pid(Pid),
                       process_info(Pid, initial_call) =:= {initial_call, {merlon_link_in, init, 3}}],
    Reader.

controller(Node) ->
    [Out] = [Pid || {Pid, _, #{node := To}} <- merlon_registry:links(), To =:= Node],
    Out.

%% Takes a merlon_link_out that sends what it is told, for links to come.
-spec inject_with(binary()) -> true.
inject_with(Code) ->
    {module, merlon_link_out} = code:load_binary(merlon_link_out, "merlon_link_out.erl", Code),
    true.

%% Frame goes over the link to Node as it is.
-spec inject(node(), binary()) -> ok.
inject(Node, Frame) ->
    Ref = make_ref(),
    controller(Node) ! {send, self(), Ref, Frame},
    receive {Ref, ok} -> ok after 5000 -> error(no_answer) end.

%% Opens File until there is no descriptor left; says how many it got.
-spec hog(file:filename()) -> pos_integer().
hog(File) ->
    Self = self(),
    _ = spawn(fun() ->
                      register(merlon_work_hog, self()),
                      First = open_all(File, []),
                      %% Those that others just then held for a moment (no module can be loaded now, timer neither).
                      receive after 200 -> ok end,
                      Files = open_all(File, First),
                      Self ! {hogged, length(Files)},
                      receive let_go -> lists:foreach(fun prim_file:close/1, Files) end
              end),
    receive {hogged, Count} -> Count end.

open_all(File, Files) ->
    case prim_file:open(File, [read, raw]) of
        {ok, Handle} -> open_all(File, [Handle | Files]);
        {error, emfile} -> Files
    end.

-spec let_go() -> ok.
let_go() ->
    Ref = erlang:monitor(process, merlon_work_hog),
    merlon_work_hog ! let_go,
    receive {'DOWN', Ref, process, _, _} -> ok end.
