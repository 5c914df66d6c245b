%% SPDX-License-Identifier: Apache-2.0
%% Part of merlon_nif: the name service of a host, and the sessions of the status page (native/nif/src/names.rs). Its messages go by join_advance/1,
%% join_send/2 and join_flush/1.

%% The keeper's side of a session, which needs a certificate of the cluster on both; advance/1 takes it as far as `join`.
-spec names_accept(conn(), identity(), Now :: integer()) -> ok | {error, failure()}.
names_accept(_Conn, _Identity, _Now) -> not_loaded().

%% The asking side: a keeper that is no node of the cluster is shown nothing.
-spec names_dial(conn(), identity(), Now :: integer()) -> ok | {error, failure()}.
names_dial(_Conn, _Identity, _Now) -> not_loaded().

%% The serving side of a status page over TLS, for a tool of the cluster; messages are whatever bytes come.
-spec status_accept(conn(), identity(), Now :: integer()) -> ok | {error, failure()}.
status_accept(_Conn, _Identity, _Now) -> not_loaded().

%% Who the other side is, once join_advance/1 has said `up`.
-spec names_peer(conn()) -> {ok, #{identity := tuple(), fingerprint := binary()}} | {error, term()}.
names_peer(_Conn) -> not_loaded().

%% As judge/3, of who is at the other side.
-spec names_judge(conn(), identity(), Now :: integer()) -> {ok, Until :: integer()} | {error, {pki, pki_reason()} | einval}.
names_judge(_Conn, _Identity, _Now) -> not_loaded().

%% Whether one with a certificate for Owner may say where Name listens: only of itself.
-spec names_may_register(Owner :: {node | cli, binary(), Host :: binary()}, Name :: binary(),
                         CliNames :: default | [binary()], DerivedNames :: [binary()]) -> boolean().
names_may_register(_Owner, _Name, _CliNames, _DerivedNames) -> not_loaded().

%% Whether Asker may be told where Owner listens as Name: of what it could link to.
-spec names_may_learn(Asker :: {node | cli, binary(), Host :: binary()}, Owner :: {node | cli, binary(), Host :: binary()},
                      Name :: binary(), CliNames :: default | [binary()], DerivedNames :: [binary()]) -> boolean().
names_may_learn(_Asker, _Owner, _Name, _CliNames, _DerivedNames) -> not_loaded().
