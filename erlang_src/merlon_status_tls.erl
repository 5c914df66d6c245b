%% SPDX-License-Identifier: Apache-2.0
%% The status page where others than this host's users can reach it: HTTPS with the node's certificate, behind the door of the
%% distribution (merlon_acceptor: `allow`, `deny`, limits, one deadline), for whoever shows a tool's certificate of the cluster.
%% Nothing of a request is read before that.
-module(merlon_status_tls).

-export([listen/2, close/1, sockname/1, serve/2]).
-export_type([listener/0]).

-opaque listener() :: {merlon_nif:listener(), Acceptor :: pid()}.

-define(BACKLOG, 128).
%% Bytes that are sealed at once.
-define(PIECE, 262144).
%% Milliseconds for the client to close first, or what it sent last would turn the answer into a reset.
-define(LINGER, 500).

%% For the calling process, which the acceptor is linked to.
-spec listen(inet:ip_address(), inet:port_number()) -> {ok, listener()} | {error, inet:posix()}.
listen(Ip, Port) ->
    case merlon_nif:listen(Ip, Port, ?BACKLOG, []) of
        {ok, Listener} ->
            ok = merlon_nif:set_owner(Listener, self()),
            {ok, {Listener, spawn_link(merlon_acceptor, init, [{?MODULE, serve, []}, none, [Listener]])}};
        {error, _} = Error -> Error
    end.

-spec close(listener()) -> ok.
close({Listener, Acceptor}) ->
    true = unlink(Acceptor),
    true = exit(Acceptor, kill),
    merlon_nif:close(Listener).

-spec sockname(listener()) -> {ok, {inet:ip_address(), inet:port_number()}} | {error, term()}.
sockname({Listener, _}) -> merlon_nif:sockname(Listener).

%% Called by the acceptor's process for the connection.
-spec serve(merlon_nif:conn(), Acceptor :: pid()) -> ok.
serve(Conn, Acceptor) ->
    Deadline = merlon_acceptor:admitted(Acceptor),
    case up(Conn, Deadline) of
        ok ->
            ok = merlon_status_talk:answer(<<>>, wire(Conn, Deadline)),
            _ = merlon_join_wire:recv(Conn, erlang:monotonic_time(millisecond) + ?LINGER),
            %% Not before: a session is to give way to others until it is over.
            Acceptor ! {proven, self()},
            merlon_nif:close(Conn);
        {error, Failure} -> merlon_acceptor:ended(Conn, Acceptor, told(Failure))
    end.

up(Conn, Deadline) ->
    case merlon_nif:status_accept(Conn, merlon_node:identity(), erlang:system_time(second)) of
        ok -> merlon_join_wire:up(Conn, Deadline);
        {error, _} = Error -> Error
    end.

wire(Conn, Deadline) ->
    #{recv => fun() -> received(merlon_join_wire:recv(Conn, Deadline)) end,
      send => fun(Bytes) -> send(Conn, iolist_to_binary(Bytes), Deadline) end,
      viewer => tool}.

received({ok, _} = Bytes) -> Bytes;
received({error, #{reason := Reason}}) -> {error, Reason}.

send(Conn, <<Piece:?PIECE/binary, Rest/binary>>, Deadline) when Rest =/= <<>> ->
    case merlon_join_wire:send(Conn, Piece, Deadline) of
        ok -> send(Conn, Rest, Deadline);
        {error, _} = Error -> Error
    end;
send(Conn, Last, Deadline) -> merlon_join_wire:send(Conn, Last, Deadline).

told(#{text := Text} = Failure) ->
    maps:merge(#{phase => tls}, Failure#{text := <<"status page: ", (words(Failure, Text))/binary>>}).

words(#{reason := wrong_alpn}, _) -> <<"the client does not offer the ALPN protocol http/1.1">>;
words(#{reason := not_a_tool}, _) ->
    <<"the client shows a node's certificate; take that of a tool, which `merlon cert --cli USER HOST` makes">>;
words(_, Text) -> Text.
