%% SPDX-License-Identifier: Apache-2.0
%% Part of merlon_nif: joining (native/nif/src/join.rs). What these mean is said in merlon_join_wire.

-export([join_pin/1, join_key/2, join_server/1, join_accept/3, join_dial/3, serve_joining/5]).
-export([join_advance/1, join_send/2, join_flush/1, join_proof/3, join_check/4, join_peer/1]).
-export_type([join_server/0]).

-nifs([join_pin/1, join_key/2, join_server/1, join_accept/3, join_dial/3, serve_joining/5,
       join_advance/1, join_send/2, join_flush/1, join_proof/3, join_check/4, join_peer/1]).

%% What is shown to those who join: a node's chain, its root at the end, and the leaf's key.
-opaque join_server() :: reference().

%% SHA-256 of the public key (SubjectPublicKeyInfo) of a self-signed CA.
-spec join_pin(CaPem :: binary()) -> {ok, <<_:256>>} | {error, {pki, pki_reason()}}.
join_pin(_CaPem) -> not_loaded().

%% What is kept of a token: its proofs' key.
-spec join_key(Id :: <<_:64>>, Secret :: <<_:128>>) -> {ok, <<_:256>>}.
join_key(_Id, _Secret) -> not_loaded().

%% Refuses a chain that those who pin `root` would refuse.
-spec join_server(#{chain := binary(), key := binary(), root := binary(), now := integer()}) ->
          {ok, join_server()} | {error, {pki, pki_reason()}}.
join_server(_Args) -> not_loaded().

%% The serving side, where nothing but joining is served.
-spec join_accept(conn(), join_server(), Now :: integer()) -> ok | {error, failure()}.
join_accept(_Conn, _Server, _Now) -> not_loaded().

-spec join_dial(conn(), Pin :: <<_:256>>, Now :: integer()) -> ok | {error, failure()}.
join_dial(_Conn, _Pin, _Now) -> not_loaded().

%% As serve/4; advance/1 says `join` for one who offers the ALPN protocol merlon-join/1 alone.
-spec serve_joining(conn(), identity(), join_server(), Own :: binary(), Now :: integer()) ->
          ok | {error, failure()}.
serve_joining(_Conn, _Identity, _Server, _Own, _Now) -> not_loaded().

%% `up` comes once, when TLS is up and (client) the server is a node of the pinned CA.
-spec join_advance(conn()) -> up | {message, binary()} | wait | {error, failure()}.
join_advance(_Conn) -> not_loaded().

%% `wait`: call join_flush/1 at {select, _, _, ready_output}.
-spec join_send(conn(), Message :: binary()) -> ok | wait | {error, failure()}.
join_send(_Conn, _Message) -> not_loaded().

-spec join_flush(conn()) -> ok | wait | {error, failure()}.
join_flush(_Conn) -> not_loaded().

%% The own proof of a token in this very TLS session.
-spec join_proof(conn(), Key :: <<_:256>>, client | server) -> {ok, <<_:256>>} | {error, failure()}.
join_proof(_Conn, _Key, _Role) -> not_loaded().

%% The peer's.
-spec join_check(conn(), Key :: <<_:256>>, client | server, Tag :: binary()) -> ok | {error, bad_proof}.
join_check(_Conn, _Key, _Role, _Tag) -> not_loaded().

%% Whom a client talks to; `root` is the DER of its CA.
-spec join_peer(conn()) -> {ok, #{identity := tuple(), fingerprint := binary(), root := binary()}} |
                           {error, einval}.
join_peer(_Conn) -> not_loaded().
