%% SPDX-License-Identifier: Apache-2.0
%% The dist controller of one link: takes what the VM has to send and hands it, many frames at a
%% time, to the NIF. While the socket is full it asks the VM for no more, so that the VM's own busy
%% limit (+zdbbl) suspends the senders.
-module(merlon_link_out).

-export([start/3, complete/3, control/2]).
-export([init/3]).

%% Bytes that are taken from the VM at once.
-define(BATCH, 262144).
%% So many at once are somebody's big messages.
-define(BULK, 65536).
%% Bytes that are taken at once, batch by batch, to make room; at most a frame more.
-define(ROOM, 917504).
%% Milliseconds that a socket is full when its line is slower than those who send.
-define(SLOW, 6).
%% Milliseconds of bulk after which others get room on a fast line too (5 would cost a tenth of the throughput), and how
%% long nothing is sent between two messages that are no bulk.
-define(TURN, 20).
-define(PAUSE, 10).
%% Milliseconds without anything to do after which no message is kept alive that has been sent.
-define(REST, 500).

-record(state, {conn :: merlon_nif:conn(),
                handle :: erlang:dist_handle(),
                %% Has shaken hands, and ticks from now on.
                ticker :: pid() | collected,
                %% The VM has more, has nothing, or will say dist_data.
                vm = armed :: more | none | armed,
                %% Since when the socket is full, in milliseconds.
                blocked = no :: no | integer(),
                %% Others need room: after the next batch, or now.
                slow = no :: no | batch | room,
                %% Since when there has been bulk without room for others, and the VM nothing more, in milliseconds.
                crowded :: integer(),
                armed :: integer(),
                bulk = false :: boolean(),
                %% For the other carrier; a newer message of a kind stands for an older one.
                control = #{} :: #{merlon_reprove_core:kind() => binary()}}).

%% Started in the process that runs dist_util's handshake, to which it stays linked.
-spec start(merlon_nif:conn(), dial | accept, merlon_handshake:claim()) -> pid().
start(Conn, Direction, Peer) ->
    spawn_opt(?MODULE, init, [self(), {Conn, Direction}, Peer],
              [link, {message_queue_data, off_heap}, {fullsweep_after, 0}]).

%% The handshake is over: from now on Out is the channel.
-spec complete(pid(), node(), erlang:dist_handle()) -> ok.
complete(Out, Node, DHandle) ->
    Ref = erlang:monitor(process, Out),
    Out ! {complete, self(), Ref, Node, DHandle},
    receive
        {Ref, ok} -> erlang:demonitor(Ref, [flush]), ok;
        {'DOWN', Ref, process, _, _} -> ok
    end.

%% Messages to the other carrier, beside all that the VM has to send.
-spec control(pid(), #{merlon_reprove_core:kind() => binary()}) -> ok.
control(Out, Messages) ->
    Out ! {control, Messages},
    ok.

-spec init(pid(), {merlon_nif:conn(), dial | accept}, merlon_handshake:claim()) -> no_return().
init(Supervisor, {Conn, Direction}, Peer) ->
    _ = erlang:monitor(process, Supervisor),
    receive
        {complete, Supervisor, Ref, Node, DHandle} ->
            Info = (maps:merge(#{carrier => merlon}, maps:merge(Peer, merlon_nif:link_info(Conn))))
                   #{node => Node, direction => Direction, peer => peer(Conn)},
            ok = merlon_registry:link_up(self(), Conn, Info),
            In = merlon_link_in:start(Conn, DHandle),
            ok = erlang:dist_ctrl_input_handler(DHandle, In),
            false = erlang:dist_ctrl_set_opt(DHandle, get_size, true),
            In ! {self(), go},
            Supervisor ! {Ref, ok},
            erlang:dist_ctrl_get_data_notification(DHandle),
            %% A logger may use this very link.
            _ = spawn(merlon_event, link_up, [Info]),
            _ = spawn(merlon_linked, note, [Info]),
            loop(#state{conn = Conn, handle = DHandle, ticker = Supervisor, crowded = now_ms(), armed = now_ms()});
        {'DOWN', _, process, Supervisor, Reason} ->
            exit(Reason)
    end.

peer(Conn) ->
    case merlon_nif:peername(Conn) of
        {ok, Address} -> Address;
        {error, _} -> unknown
    end.

%% Who sends big messages fills the VM's queue whenever he is let run. Only if it is emptied before others have their
%% turn do they find room in it. So this process then wakes up before them, and works beside them. While it waits it
%% keeps no big message alive; the last part of one may come in a small batch, so that a rest ends with the same.
loop(#state{bulk = true} = State) ->
    process_flag(priority, high),
    erlang:garbage_collect(),
    wait(State, infinity);
loop(State) ->
    wait(State, ?REST).

wait(#state{conn = Conn, blocked = Blocked} = State, Rest) ->
    receive
        dist_data -> cycle(told(State));
        %% Bytes that wait for the peer to read them are as good as a tick.
        tick when Blocked =/= no -> wait(State, Rest);
        tick -> sent(merlon_nif:send(Conn, [{0, []}]), State);
        {select, _, _, ready_output} when Blocked =/= no ->
            normal(State),
            sent(merlon_nif:flush(Conn), State);
        {select, _, _, _} -> wait(State, Rest);
        {control, Messages} when Blocked =/= no -> wait(kept(Messages, State), Rest);
        {control, Messages} -> cycle(kept(Messages, State));
        {'DOWN', _, process, _, Reason} -> exit(Reason);
        Other -> unexpected(Other, State)
    after Rest ->
            erlang:garbage_collect(),
            wait(rested(State), infinity)
    end.

told(#state{armed = Armed} = State) ->
    case now_ms() of
        Now when Now - Armed >= ?PAUSE -> State#state{vm = more, crowded = Now};
        _ -> State#state{vm = more}
    end.

%% What the handshake has left in its process would stay for as long as the link.
rested(#state{ticker = collected} = State) ->
    State;
rested(#state{ticker = Pid} = State) ->
    _ = erlang:garbage_collect(Pid),
    State#state{ticker = collected}.

normal(#state{bulk = Bulk}) ->
    _ = [process_flag(priority, normal) || Bulk],
    ok.

kept(Messages, #state{control = Control} = State) ->
    State#state{control = maps:merge(Control, Messages)}.

%% Takes what the VM has and sends, until there is nothing or the socket is full.
cycle(#state{blocked = no, control = Control, conn = Conn} = State) when map_size(Control) > 0 ->
    sent(merlon_nif:send_control(Conn, maps:values(Control)), State#state{control = #{}});
cycle(#state{blocked = no, vm = more, slow = room} = State) ->
    room(State#state{slow = no, crowded = now_ms(), bulk = true});
cycle(#state{blocked = no, vm = more, slow = Slow, conn = Conn, handle = DHandle} = State) ->
    case take(DHandle, ?BATCH, 0, []) of
        {0, _, none} -> loop(arm(State));
        {Bytes, Frames, Vm} ->
            normal(State),
            Next = State#state{vm = Vm, bulk = Bytes >= ?BULK, slow = after_batch(Slow, Vm, State)},
            sent(merlon_nif:send(Conn, Frames), Next)
    end;
cycle(#state{vm = none} = State) -> loop(arm(State));
cycle(State) -> loop(State).

after_batch(batch, more, _State) -> room;
after_batch(no, more, #state{crowded = Since}) ->
    case now_ms() - Since >= ?TURN of
        true -> room;
        false -> no
    end;
after_batch(_Slow, none, _State) -> no.

%% Who finds the VM's queue full is suspended with nothing in it, and whoever fills it is let run again first: beside him
%% others might wait until he has no more to send. So here the queue is emptied, and when he has filled it again, which
%% is told, some of that is taken before the others have their turn. The library keeps sealed what the socket does not take.
room(#state{conn = Conn, handle = DHandle} = State) ->
    process_flag(priority, high),
    {Left, Batches, Vm} = batches(DHandle, ?ROOM),
    {More, Next} = refilled(Left, State#state{vm = Vm}),
    normal(Next),
    sent(send_all(Conn, Batches ++ More, ok), Next).

refilled(Left, #state{vm = none, handle = DHandle} = State) ->
    Armed = arm(State),
    receive
        dist_data ->
            {_, Batches, Vm} = batches(DHandle, Left),
            {Batches, Armed#state{vm = Vm}}
    after 1 -> {[], Armed}
    end;
refilled(_Left, State) ->
    {[], State}.

send_all(Conn, [Frames | Batches], _) ->
    case merlon_nif:send(Conn, Frames) of
        {error, _} = Error -> Error;
        Sent -> send_all(Conn, Batches, Sent)
    end;
send_all(_Conn, [], Sent) ->
    Sent.

%% Up to Left bytes and a frame, and how many are left of them.
batches(DHandle, Left) when Left > 0 ->
    case take(DHandle, min(Left, ?BATCH), 0, []) of
        {Bytes, Frames, none} ->
            {Left - Bytes, [Frames || Bytes > 0], none};
        {Bytes, Frames, more} ->
            {Rest, Batches, Vm} = batches(DHandle, Left - Bytes),
            {Rest, [Frames | Batches], Vm}
    end;
batches(_DHandle, Left) ->
    {Left, [], more}.

take(DHandle, Most, Bytes, Frames) when Bytes < Most ->
    case erlang:dist_ctrl_get_data(DHandle) of
        {Size, _} = Frame -> take(DHandle, Most, Bytes + Size, [Frame | Frames]);
        none -> {Bytes, lists:reverse(Frames), none}
    end;
take(_DHandle, _Most, Bytes, Frames) ->
    {Bytes, lists:reverse(Frames), more}.

arm(#state{handle = DHandle} = State) ->
    erlang:dist_ctrl_get_data_notification(DHandle),
    State#state{vm = armed, armed = now_ms()}.

sent({error, Reason}, _State) ->
    %% The reader sees the same end and knows more about it: give it the first word.
    receive
        {'DOWN', _, process, _, Down} -> exit(Down)
    after 100 ->
            merlon_event:link_failed(self(), Reason),
            exit(connection_closed)
    end;
sent(ok, #state{blocked = no} = State) ->
    cycle(asked(State));
sent(ok, #state{blocked = Since} = State) ->
    cycle(asked(slow(now_ms() - Since, State#state{blocked = no})));
sent(blocked, #state{blocked = no} = State) ->
    cycle(State#state{blocked = now_ms()});
sent(blocked, State) ->
    cycle(State).

slow(Time, #state{slow = no} = State) when Time >= ?SLOW -> State#state{slow = batch};
slow(_Time, State) -> State.

now_ms() -> erlang:monotonic_time(millisecond).

%% As long as the VM has more, nothing else is received.
asked(#state{vm = more} = State) ->
    receive {control, Messages} -> kept(Messages, State) after 0 -> State end;
asked(State) ->
    State.

-ifdef(MERLON_RAW_INJECTION).
%% For OTP's own suites: a malformed distribution frame, as tls_sender and gen_tcp_dist allow.
unexpected({send, From, Ref, Data}, #state{conn = Conn} = State) ->
    Packet = iolist_to_binary(Data),
    _ = merlon_nif:send(Conn, [{byte_size(Packet), [Packet]}]),
    From ! {Ref, ok},
    loop(State);
unexpected(_, State) ->
    loop(State).
-else.
unexpected(_, State) ->
    loop(State).
-endif.
