%% SPDX-License-Identifier: Apache-2.0
%% Whether a TLS server still takes TLS 1.0 or 1.1 (RFC 2246, RFC 4346; not to be used: RFC 8996). Neither rustls nor every
%% OTP speaks them, and nobody has to: a ClientHello that offers one version, and what the answer chooses, are enough. Nothing
%% more is said, no handshake is finished.
-module(merlon_wire_tls_old).

-export([takes/4, client_hello/1, chosen/1]).
-export_type([version/0]).

-type version() :: 'tlsv1' | 'tlsv1.1'.

-define(ALERT, 21).
-define(HANDSHAKE, 22).
-define(SERVER_HELLO, 2).
%% Bytes of a record (RFC 5246, 6.2.3), and records in which the head of a ServerHello may come.
-define(RECORD, 16384 + 2048).
-define(RECORDS, 4).

%% `false` also for who answers otherwise; `silent`: nothing came in time.
-spec takes(inet:ip_address(), inet:port_number(), version(), Milliseconds :: pos_integer()) -> boolean() | silent.
takes(Ip, Port, Version, Wait) ->
    Deadline = merlon_wire_io:deadline(Wait),
    case merlon_wire_io:connect(Ip, Port, Deadline) of
        {ok, Socket} ->
            try asked(Socket, Version, Deadline) after gen_tcp:close(Socket) end;
        {error, _} -> false
    end.

asked(Socket, Version, Deadline) ->
    case gen_tcp:send(Socket, client_hello(Version)) of
        ok -> answered(hello(Socket, Deadline, <<>>, ?RECORDS), number(Version));
        {error, _} -> false
    end.

answered({ok, Number}, Number) -> true;
answered({error, timeout}, _) -> silent;
answered(_, _) -> false.

%% The version that the server has chosen.
hello(_Socket, _Deadline, _Read, 0) -> {error, no_hello};
hello(Socket, Deadline, Read, Records) ->
    case record(Socket, Deadline) of
        {ok, More} ->
            case chosen(<<Read/binary, More/binary>>) of
                more -> hello(Socket, Deadline, <<Read/binary, More/binary>>, Records - 1);
                Result -> Result
            end;
        {error, _} = Error -> Error
    end.

record(Socket, Deadline) ->
    case merlon_wire_io:read(Socket, 5, Deadline) of
        {ok, <<?HANDSHAKE, 3, _, Size:16>>} when Size > 0, Size =< ?RECORD -> merlon_wire_io:read(Socket, Size, Deadline);
        {ok, <<?ALERT, _/binary>>} -> {error, refused};
        {ok, _} -> {error, no_tls};
        {error, _} = Error -> Error
    end.

%% Of the handshake's first bytes: the version in the ServerHello.
-spec chosen(binary()) -> {ok, 0..16#ffff} | more | {error, no_hello}.
chosen(<<?SERVER_HELLO, _Size:24, Number:16, _/binary>>) -> {ok, Number};
chosen(<<?SERVER_HELLO, _/binary>> = Read) when byte_size(Read) < 6 -> more;
chosen(_) -> {error, no_hello}.

%% The ciphers that these versions had and servers may still have, and what a server with an elliptic key needs to choose one.
-spec client_hello(version()) -> binary().
client_hello(Version) ->
    Number = number(Version),
    Ciphers = << <<C:16>> || C <- ciphers() >>,
    Extensions = << <<Type:16, (byte_size(Bytes)):16, Bytes/binary>> || {Type, Bytes} <- extensions() >>,
    Body = <<Number:16, (rand:bytes(32))/binary, 0, (byte_size(Ciphers)):16, Ciphers/binary, 1, 0,
             (byte_size(Extensions)):16, Extensions/binary>>,
    <<?HANDSHAKE, 3, 1, (byte_size(Body) + 4):16, 1, (byte_size(Body)):24, Body/binary>>.

number('tlsv1') -> 16#0301;
number('tlsv1.1') -> 16#0302.

%% ECDHE, DHE and RSA with AES, then 3DES and RC4, with ECDSA, RSA and DSS certificates.
ciphers() ->
    [16#C00A, 16#C014, 16#C009, 16#C013, 16#0039, 16#0038, 16#0033, 16#0032, 16#0035, 16#002F,
     16#C008, 16#C012, 16#0016, 16#0013, 16#000A, 16#C007, 16#C011, 16#0005, 16#0004].

%% Groups secp256r1, secp384r1, secp521r1, x25519; points uncompressed (RFC 8422); secure renegotiation, empty (RFC 5746).
extensions() -> [{10, <<8:16, 23:16, 24:16, 25:16, 29:16>>}, {11, <<1, 0>>}, {16#FF01, <<0>>}].
