%% SPDX-License-Identifier: Apache-2.0
%% Sockets to whoever is at the other end: no more bytes than asked for, no longer than a deadline. Words of theirs are
%% cleaned before anybody sees them.
-module(merlon_wire_io).

-export([deadline/1, left/1, connect/3, read/3, read_all/3, printable/1]).
-export_type([deadline/0]).

%% Monotonic milliseconds.
-type deadline() :: integer().

-define(SHOWN, 120).

-spec deadline(Milliseconds :: non_neg_integer()) -> deadline().
deadline(Milliseconds) -> erlang:monotonic_time(millisecond) + Milliseconds.

-spec left(deadline()) -> non_neg_integer().
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

-spec connect(inet:ip_address(), inet:port_number(), deadline()) -> {ok, gen_tcp:socket()} | {error, term()}.
connect(Ip, Port, Deadline) ->
    gen_tcp:connect(Ip, Port, [binary, {active, false}, {packet, raw}, {nodelay, true}], left(Deadline)).

%% That many bytes.
-spec read(gen_tcp:socket(), 1..65535, deadline()) -> {ok, binary()} | {error, term()}.
read(Socket, Count, Deadline) -> gen_tcp:recv(Socket, Count, left(Deadline)).

%% All until the other end closes; what comes beyond Most is an error.
-spec read_all(gen_tcp:socket(), Most :: pos_integer(), deadline()) -> {ok, binary()} | {error, term()}.
read_all(Socket, Most, Deadline) -> read_all(Socket, Most, Deadline, []).

read_all(_Socket, Most, _Deadline, _Read) when Most < 0 -> {error, too_long};
read_all(Socket, Most, Deadline, Read) ->
    case gen_tcp:recv(Socket, 0, left(Deadline)) of
        {ok, Bytes} -> read_all(Socket, Most - byte_size(Bytes), Deadline, [Bytes | Read]);
        {error, closed} -> {ok, iolist_to_binary(lists:reverse(Read))};
        {error, _} = Error -> Error
    end.

%% Nothing but visible ASCII, and little of it.
-spec printable(binary()) -> binary().
printable(Bytes) ->
    Shown = binary:part(Bytes, 0, min(?SHOWN, byte_size(Bytes))),
    Text = << <<(if C > 32, C < 127 -> C; true -> $? end)>> || <<C>> <= Shown >>,
    case byte_size(Bytes) > ?SHOWN of
        true -> <<Text/binary, "...">>;
        false -> Text
    end.
