%% SPDX-License-Identifier: Apache-2.0
%% The dist controller of one link: takes what the VM has to send and hands it, many frames at a
%% time, to the NIF. While the socket is full it asks the VM for nothing more, so that the VM's own
%% busy limit (+zdbbl) suspends the senders.
-module(merlon_link_out).

-export([start/3, complete/3]).
-export([init/3]).

%% Bytes taken from the VM before they are sealed and written.
-define(BATCH, 262144).

-record(state, {conn :: merlon_nif:conn(),
                handle :: erlang:dist_handle(),
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
        dist_data when not Blocked -> drain(State);
        tick when not Blocked -> sent(merlon_nif:send(Conn, [<<>>]), more, State);
        %% Bytes that wait for the peer to read them are as good as a tick.
        tick -> loop(State);
        {select, _, _, ready_output} when Blocked ->
            sent(merlon_nif:flush(Conn), more, State#state{blocked = false});
        {select, _, _, _} -> loop(State);
        {'DOWN', _, process, _, Reason} -> exit(Reason);
        Other when Other =/= dist_data -> unexpected(Other, State)
    end.

drain(#state{conn = Conn, handle = DHandle} = State) ->
    {Frames, More} = take(DHandle, 0, []),
    sent(merlon_nif:send(Conn, Frames), More, State).

take(_DHandle, Bytes, Frames) when Bytes >= ?BATCH ->
    {lists:reverse(Frames), more};
take(DHandle, Bytes, Frames) ->
    case erlang:dist_ctrl_get_data(DHandle) of
        {Size, Frame} -> take(DHandle, Bytes + Size, [Frame | Frames]);
        none -> {lists:reverse(Frames), none}
    end.

sent(ok, more, State) -> drain(State);
sent(ok, none, #state{handle = DHandle} = State) ->
    erlang:dist_ctrl_get_data_notification(DHandle),
    loop(State);
sent(blocked, _, State) -> loop(State#state{blocked = true});
sent({error, Reason}, _, _State) ->
    %% The reader sees the same end and knows more about it: give it the first word.
    receive
        {'DOWN', _, process, _, Down} -> exit(Down)
    after 100 ->
            merlon_event:link_failed(self(), Reason),
            exit(connection_closed)
    end.

-ifdef(MERLON_RAW_INJECTION).
%% For OTP's own suites: a malformed distribution frame, as tls_sender and gen_tcp_dist allow.
unexpected({send, From, Ref, Data}, #state{conn = Conn} = State) ->
    _ = merlon_nif:send(Conn, [Data]),
    From ! {Ref, ok},
    loop(State);
unexpected(_, State) ->
    loop(State).
-else.
unexpected(_, State) ->
    loop(State).
-endif.
