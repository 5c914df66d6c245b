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
%% Milliseconds without anything to do after which no message is kept alive that has been sent.
-define(REST, 500).

-record(state, {conn :: merlon_nif:conn(),
                handle :: erlang:dist_handle(),
                %% The VM has more, has nothing, or will say dist_data.
                vm = armed :: more | none | armed,
                blocked = false :: boolean(),
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
            loop(#state{conn = Conn, handle = DHandle});
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
        dist_data -> cycle(State#state{vm = more});
        %% Bytes that wait for the peer to read them are as good as a tick.
        tick when Blocked -> wait(State, Rest);
        tick -> sent(merlon_nif:send(Conn, [{0, []}]), State);
        {select, _, _, ready_output} when Blocked ->
            normal(State),
            sent(merlon_nif:flush(Conn), State#state{blocked = false});
        {select, _, _, _} -> wait(State, Rest);
        {control, Messages} when Blocked -> wait(kept(Messages, State), Rest);
        {control, Messages} -> cycle(kept(Messages, State));
        {'DOWN', _, process, _, Reason} -> exit(Reason);
        Other -> unexpected(Other, State)
    after Rest ->
            erlang:garbage_collect(),
            wait(State, infinity)
    end.

normal(#state{bulk = Bulk}) ->
    _ = [process_flag(priority, normal) || Bulk],
    ok.

kept(Messages, #state{control = Control} = State) ->
    State#state{control = maps:merge(Control, Messages)}.

%% Takes what the VM has and sends, until there is nothing or the socket is full.
cycle(#state{blocked = false, control = Control, conn = Conn} = State) when map_size(Control) > 0 ->
    sent(merlon_nif:send_control(Conn, maps:values(Control)), State#state{control = #{}});
cycle(#state{blocked = false, vm = more, conn = Conn, handle = DHandle} = State) ->
    case take(DHandle, 0, []) of
        {0, _, none} -> loop(arm(State));
        {Bytes, Frames, Vm} ->
            normal(State),
            sent(merlon_nif:send(Conn, Frames), State#state{vm = Vm, bulk = Bytes >= ?BULK})
    end;
cycle(#state{vm = none} = State) -> loop(arm(State));
cycle(State) -> loop(State).

take(DHandle, Bytes, Frames) when Bytes < ?BATCH ->
    case erlang:dist_ctrl_get_data(DHandle) of
        {Size, _} = Frame -> take(DHandle, Bytes + Size, [Frame | Frames]);
        none -> {Bytes, lists:reverse(Frames), none}
    end;
take(_DHandle, Bytes, Frames) ->
    {Bytes, lists:reverse(Frames), more}.

arm(#state{handle = DHandle} = State) ->
    erlang:dist_ctrl_get_data_notification(DHandle),
    State#state{vm = armed}.

sent({error, Reason}, _State) ->
    %% The reader sees the same end and knows more about it: give it the first word.
    receive
        {'DOWN', _, process, _, Down} -> exit(Down)
    after 100 ->
            merlon_event:link_failed(self(), Reason),
            exit(connection_closed)
    end;
sent(Sent, State) ->
    cycle(asked(State#state{blocked = Sent =:= blocked})).

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
