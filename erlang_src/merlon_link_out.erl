%% SPDX-License-Identifier: Apache-2.0
%% The dist controller of one link: takes what the VM has to send and hands it, many frames at a
%% time, to the NIF. While the socket is full it asks the VM for hardly more (merlon_lanes_core), so
%% that the VM's own busy limit (+zdbbl) suspends the senders.
-module(merlon_link_out).

-export([start/3, complete/3]).
-export([init/3]).

-record(state, {conn :: merlon_nif:conn(),
                handle :: erlang:dist_handle(),
                lanes = merlon_lanes_core:new() :: merlon_lanes_core:lanes(),
                %% The VM has more, has nothing, or will say dist_data.
                vm = armed :: more | none | armed,
                blocked = false :: boolean()}).

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

-spec init(pid(), {merlon_nif:conn(), dial | accept}, merlon_handshake:claim()) -> no_return().
init(Supervisor, {Conn, Direction}, Peer) ->
    _ = erlang:monitor(process, Supervisor),
    receive
        {complete, Supervisor, Ref, Node, DHandle} ->
            Info = (maps:merge(Peer, merlon_nif:link_info(Conn)))
                   #{node => Node, direction => Direction, peer => peer(Conn)},
            ok = merlon_registry:link_up(self(), Conn, Info),
            In = merlon_link_in:start(Conn, DHandle, Info),
            ok = erlang:dist_ctrl_input_handler(DHandle, In),
            false = erlang:dist_ctrl_set_opt(DHandle, get_size, true),
            In ! {self(), go},
            Supervisor ! {Ref, ok},
            erlang:dist_ctrl_get_data_notification(DHandle),
            %% A logger may use this very link.
            _ = spawn(merlon_event, link_up, [Info]),
            loop(#state{conn = Conn, handle = DHandle});
        {'DOWN', _, process, Supervisor, Reason} ->
            exit(Reason)
    end.

peer(Conn) ->
    case merlon_nif:peername(Conn) of
        {ok, Address} -> Address;
        {error, _} -> unknown
    end.

loop(#state{conn = Conn, blocked = Blocked} = State) ->
    receive
        dist_data -> cycle(State#state{vm = more});
        %% Bytes that wait for the peer to read them are as good as a tick.
        tick when Blocked -> loop(State);
        tick -> sent(merlon_nif:send(Conn, [{0, []}]), State);
        {select, _, _, ready_output} when Blocked ->
            sent(merlon_nif:flush(Conn), State#state{blocked = false});
        {select, _, _, _} -> loop(State);
        {'DOWN', _, process, _, Reason} -> exit(Reason);
        Other -> unexpected(Other, State)
    end.

%% Takes what the VM has and sends, until there is nothing or the socket is full.
cycle(#state{blocked = true, lanes = Lanes} = State) ->
    %% What is taken now may overtake big frames.
    case merlon_lanes_core:is_busy(Lanes) of
        true -> loop(arm(take(State)));
        false -> loop(arm(State))
    end;
cycle(State0) ->
    #state{lanes = Lanes0} = State = take(State0),
    {Small, Piece, Lanes} = merlon_lanes_core:next(Lanes0),
    case send(Small, Piece, State#state{lanes = Lanes}) of
        nothing -> loop(arm(State));
        Sent -> sent(Sent, State#state{lanes = Lanes})
    end.

take(#state{vm = armed} = State) ->
    receive
        dist_data -> take(State#state{vm = more})
    after 0 -> State
    end;
take(#state{handle = DHandle, lanes = Lanes} = State) ->
    case merlon_lanes_core:wants(Lanes) of
        true ->
            case erlang:dist_ctrl_get_data(DHandle) of
                {_, _} = Frame -> take(State#state{lanes = merlon_lanes_core:add(Frame, Lanes)});
                none -> State#state{vm = none}
            end;
        false -> State#state{vm = more}
    end.

arm(#state{vm = none, handle = DHandle} = State) ->
    erlang:dist_ctrl_get_data_notification(DHandle),
    State#state{vm = armed};
arm(State) ->
    State.

send([], none, _State) -> nothing;
send([], {Lane, Piece}, State) -> send_lane(Lane, Piece, State);
send(Small, Piece, #state{conn = Conn} = State) ->
    case {merlon_nif:send(Conn, Small), Piece} of
        {ok, {Lane, Rest}} -> send_lane(Lane, Rest, State);
        {Sent, _} -> Sent
    end.

send_lane(Lane, Piece, #state{conn = Conn}) ->
    case merlon_nif:send_lane(Conn, Lane, Piece) of
        {error, _} = Error -> Error;
        {Sent, Rest} -> {Sent, Lane, Rest}
    end.

sent({error, Reason}, _State) ->
    %% The reader sees the same end and knows more about it: give it the first word.
    receive
        {'DOWN', _, process, _, Down} -> exit(Down)
    after 100 ->
            merlon_event:link_failed(self(), Reason),
            exit(connection_closed)
    end;
sent({Sent, Lane, Rest}, #state{lanes = Lanes} = State) ->
    sent(Sent, State#state{lanes = merlon_lanes_core:sent(Lane, Rest, Lanes)});
sent(Sent, State) ->
    cycle(State#state{blocked = Sent =:= blocked}).

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
