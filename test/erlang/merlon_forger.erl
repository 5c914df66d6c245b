%% SPDX-License-Identifier: Apache-2.0
%% A client that is inside TLS and then writes whatever records it likes, the carrier's private
%% content type included. OTP's ssl does the handshake through a relay; its key log gives the
%% secrets, and from then on the bytes on the socket are ours.
-module(merlon_forger).

-export([connect/2, send/3, raw/2, read/1, close/1]).
-export_type([forger/0]).

-record(forger, {socket :: gen_tcp:socket(), tx :: half(), rx :: half()}).
-type half() :: {Key :: binary(), Iv :: binary(), Sequence :: non_neg_integer()}.
-opaque forger() :: #forger{}.

-define(SUITE, "TLS_AES_128_GCM_SHA256").
%% One byte of application data: what ssl sends last, and never reaches the victim.
-define(MARK, <<23, 3, 3, 18:16>>).

%% A client of Victim, with the ssl options of its certificate.
-spec connect(merlon_attacker:victim(), [tuple()]) -> {forger(), merlon_attacker:address()}.
connect(Victim, Opts) ->
    {Socket, Local} = merlon_attacker:tcp(Victim),
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    Self = self(),
    Relay = spawn_link(fun() -> relay(Listener, Self) end),
    ok = gen_tcp:controlling_process(Socket, Relay),
    Relay ! {upstream, Socket},
    {ok, Ssl} = ssl:connect({127, 0, 0, 1}, Port,
                            [{versions, ['tlsv1.3']}, {verify, verify_none}, {log_level, none},
                             {alpn_advertised_protocols, [<<"merlon/1">>]}, {active, false},
                             {keep_secrets, true}, {ciphers, [ssl:str_to_suite(?SUITE)]} | Opts]),
    ok = ssl:send(Ssl, <<"x">>),
    Mark = receive {Relay, Record} -> Record after 10000 -> error(timeout) end,
    {ok, [{keylog, Lines}]} = ssl:connection_information(Ssl, [keylog]),
    ok = gen_tcp:close(Listener),
    {Tx, Rx} = halves(Mark, Lines),
    {#forger{socket = Socket, tx = Tx, rx = Rx}, Local}.

relay(Listener, Owner) ->
    {ok, Down} = gen_tcp:accept(Listener, 10000),
    receive
        {upstream, Up} ->
            [ok = inet:setopts(Socket, [{active, true}]) || Socket <- [Down, Up]],
            Mark = relay(Down, Up, <<>>),
            ok = inet:setopts(Up, [{active, false}]),
            ok = gen_tcp:controlling_process(Up, Owner),
            Owner ! {self(), Mark},
            %% Keeps ssl's side open: nobody is to notice.
            receive {tcp_closed, Down} -> ok end
    end.

relay(Down, Up, Buffer) ->
    receive
        {tcp, Up, Bytes} ->
            ok = gen_tcp:send(Down, Bytes),
            relay(Down, Up, Buffer);
        {tcp, Down, Bytes} ->
            case forward(<<Buffer/binary, Bytes/binary>>, Up) of
                {mark, Mark} -> Mark;
                Rest -> relay(Down, Up, Rest)
            end
    end.

forward(<<Head:5/binary, _:18/binary>> = Mark, _Up) when Head =:= ?MARK ->
    {mark, Mark};
forward(<<Head:3/binary, Len:16, Body:Len/binary, Rest/binary>>, Up) ->
    ok = gen_tcp:send(Up, <<Head/binary, Len:16, Body/binary>>),
    forward(Rest, Up);
forward(Rest, _Up) ->
    Rest.

%% Seals one record of that inner content type and sends it.
-spec send(forger(), 0..255, binary()) -> forger().
send(#forger{socket = Socket, tx = {Key, Iv, Sequence}} = Forger, Type, Data) ->
    Head = <<23, 3, 3, (byte_size(Data) + 17):16>>,
    {Sealed, Tag} = crypto:crypto_one_time_aead(aes_128_gcm, Key, nonce(Iv, Sequence),
                                                <<Data/binary, Type>>, Head, true),
    _ = gen_tcp:send(Socket, <<Head/binary, Sealed/binary, Tag/binary>>),
    Forger#forger{tx = {Key, Iv, Sequence + 1}}.

%% Sends bytes as they are.
-spec raw(forger(), binary()) -> forger().
raw(#forger{socket = Socket} = Forger, Bytes) ->
    _ = gen_tcp:send(Socket, Bytes),
    Forger.

%% Opens the next record: its content type and what is in it.
-spec read(forger()) -> {{0..255, binary()} | closed, forger()}.
read(#forger{socket = Socket, rx = {Key, Iv, Sequence}} = Forger) ->
    case gen_tcp:recv(Socket, 5, 10000) of
        {ok, <<23, 3, 3, Len:16>> = Head} ->
            {ok, Body} = gen_tcp:recv(Socket, Len, 10000),
            Inner = open({Key, Iv, Sequence}, Head, Body),
            Data = binary:part(Inner, 0, byte_size(Inner) - 1),
            {{binary:last(Inner), Data}, Forger#forger{rx = {Key, Iv, Sequence + 1}}};
        {error, _} ->
            {closed, Forger}
    end.

-spec close(forger()) -> ok.
close(#forger{socket = Socket}) ->
    gen_tcp:close(Socket).

open({Key, Iv, Sequence}, Head, Body) ->
    Sealed = binary:part(Body, 0, byte_size(Body) - 16),
    Tag = binary:part(Body, byte_size(Body), -16),
    crypto:crypto_one_time_aead(aes_128_gcm, Key, nonce(Iv, Sequence), Sealed, Head, Tag, false).

%% RFC 8446 5.3
nonce(Iv, Sequence) ->
    crypto:exor(Iv, <<0:32, Sequence:64>>).

%% RFC 8446 7.3. The client's is the one that opens the mark: OTP 27 swaps their labels in its log.
halves(<<Head:5/binary, Body/binary>>, Lines) ->
    Secrets = [binary:decode_hex(list_to_binary(Hex))
               || Line <- Lines,
                  [Label, _Random, Hex] <- [string:lexemes(lists:flatten(Line), " ")],
                  lists:member(Label, ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"])],
    [One, Two] = [{expand(Secret, <<"tls13 key">>, 16), expand(Secret, <<"tls13 iv">>, 12), 0}
                  || Secret <- Secrets],
    case open(One, Head, Body) of
        error -> <<"x", 23>> = open(Two, Head, Body), {Two, One};
        <<"x", 23>> -> {One, Two}
    end.

%% HKDF-Expand-Label of RFC 8446 7.1, for at most one hash of output.
expand(Secret, Label, Len) ->
    Info = <<Len:16, (byte_size(Label)), Label/binary, 0, 1>>,
    binary:part(crypto:mac(hmac, sha256, Secret, Info), 0, Len).
