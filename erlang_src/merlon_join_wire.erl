%% SPDX-License-Identifier: Apache-2.0
%% The TLS session of a join, or of the name service, driven over the NIF in the calling process, under one deadline (monotonic milliseconds)
%% for all steps together.
-module(merlon_join_wire).

-export([connect/4, open/4, up/2, send/3, recv/2]).
-export_type([failure/0]).

-type failure() :: #{reason := atom(), text := binary(), _ => _}.
-type deadline() :: merlon_handshake:deadline().

%% To a server of the pinned CA; TLS is up when this returns.
-spec connect(inet:ip_address(), inet:port_number(), Pin :: <<_:256>>, deadline()) ->
          {ok, merlon_nif:conn()} | {error, failure()}.
connect(Ip, Port, Pin, Deadline) ->
    open({Ip, Port}, undefined, fun(Conn) -> merlon_nif:join_dial(Conn, Pin, erlang:system_time(second)) end, Deadline).

%% The same for another session, which Start begins on the connection.
-spec open({inet:ip_address(), inet:port_number()}, Source :: inet:ip_address() | undefined,
           Start :: fun((merlon_nif:conn()) -> ok | {error, failure()}), deadline()) ->
          {ok, merlon_nif:conn()} | {error, failure()}.
open({Ip, Port}, Source, Start, Deadline) ->
    case merlon_nif:connect(Ip, Port, Source, [{nodelay, true}]) of
        {ok, Conn} -> close_on_error(Conn, dial(Conn, Start, Deadline));
        {error, Reason} -> {error, tcp(Reason)}
    end.

dial(Conn, Start, Deadline) ->
    case connected(Conn, Deadline) of
        ok ->
            case Start(Conn) of
                ok -> up(Conn, Deadline);
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

close_on_error(Conn, ok) -> {ok, Conn};
close_on_error(Conn, Error) ->
    ok = merlon_nif:close(Conn),
    Error.

connected(Conn, Deadline) ->
    case merlon_nif:connected(Conn) of
        ok -> ok;
        wait -> wait_then(Deadline, fun() -> connected(Conn, Deadline) end);
        {error, Reason} -> {error, tcp(Reason)}
    end.

%% Shakes hands to the end of TLS.
-spec up(merlon_nif:conn(), deadline()) -> ok | {error, failure()}.
up(Conn, Deadline) ->
    case merlon_nif:join_advance(Conn) of
        up -> ok;
        wait -> wait_then(Deadline, fun() -> up(Conn, Deadline) end);
        {error, _} = Error -> Error
    end.

-spec send(merlon_nif:conn(), binary(), deadline()) -> ok | {error, failure()}.
send(Conn, Message, Deadline) -> flushed(Conn, merlon_nif:join_send(Conn, Message), Deadline).

flushed(_Conn, ok, _Deadline) -> ok;
flushed(Conn, wait, Deadline) ->
    wait_then(Deadline, fun() -> flushed(Conn, merlon_nif:join_flush(Conn), Deadline) end);
flushed(_Conn, {error, _} = Error, _Deadline) -> Error.

-spec recv(merlon_nif:conn(), deadline()) -> {ok, binary()} | {error, failure()}.
recv(Conn, Deadline) ->
    case merlon_nif:join_advance(Conn) of
        {message, Message} -> {ok, Message};
        wait -> wait_then(Deadline, fun() -> recv(Conn, Deadline) end);
        {error, _} = Error -> Error
    end.

%% `evicted` comes from an acceptor that needs the place.
wait_then(Deadline, Next) ->
    receive
        {select, _, _, _} -> Next();
        {Pid, evicted} when is_pid(Pid) -> {error, merlon_handshake:evicted()}
    after merlon_handshake:time_left(Deadline) ->
            {error, #{reason => timeout, text => <<"no answer within the deadline">>}}
    end.

tcp(Reason) -> #{reason => Reason, text => list_to_binary(inet:format_error(Reason))}.
