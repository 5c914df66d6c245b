%% SPDX-License-Identifier: Apache-2.0
%% The Rust core: stubs, specs and `load/0`. No `-on_load`: on OTP 25 in embedded mode `listen/2`
%% runs before on_load handlers do, so the first caller loads the library itself.
-module(merlon_nif).

-export([load/0]).
-export([pki_new_ca/1, pki_issue/1, pki_inspect/1]).
-export([identity_new/1, identity_info/1, binds/4]).
-export([listen/4, accept/1, connect/4, connected/1]).
-export([dial/6, serve/4, advance/1, prove/2, link_info/1, pair_cookie/1]).
-export([send/2, send_lane/3, flush/1, recv/1, recv_one/1, limits/2, stats/1]).
-export([term_scan/2, term_scan_dirty/2, term_survey/2]).
-export([set_owner/2, close/1, sockname/1, peername/1, setopts/2, getopts/2]).
-export_type([listener/0, conn/0, identity/0, term_budget/0, ip/0, pki_reason/0, failure/0, secret/0]).

-nifs([pki_new_ca/1, pki_issue/1, pki_inspect/1, identity_new/1, identity_info/1, binds/4,
       listen/4, accept/1, connect/4, connected/1,
       dial/6, serve/4, advance/1, prove/2, link_info/1, pair_cookie/1,
       send/2, send_lane/3, flush/1, recv/1, recv_one/1, limits/2, stats/1,
       term_scan/2, term_scan_dirty/2, term_survey/2,
       set_owner/2, close/1, sockname/1, peername/1, setopts/2, getopts/2]).

-opaque listener() :: reference().
-opaque conn() :: reference().
-opaque identity() :: reference().
-type ip() :: inet:ip_address().
-type posix() :: inet:posix() | closed.
-type pki_reason() :: atom() | {atom(), map()}.
%% A failed handshake: `reason` is an atom of the design's list, `text` says it in words, the rest
%% is what is known of the peer. Nothing secret and no raw peer bytes.
-type failure() :: #{reason := atom(), text := binary(), phase := tcp | tls | preamble,
                     claimed => binary(), fingerprint => binary(), identity => tuple()}.
%% What the proof of the preamble is derived from.
-type secret() :: {vm_cookie, Cookie :: binary()}.

%% Loads the library; harmless when it is loaded already. A second version of this module would take
%% the library away from under every link: sticky modules can't be reloaded by mistake.
-spec load() -> ok | {error, {nif, string()}}.
load() ->
    case erlang:load_nif(filename:join(priv_dir(), "merlon_nif"), 0) of
        ok -> code:stick_mod(?MODULE), ok;
        {error, {reload, _}} -> ok;
        {error, {_, Text}} -> {error, {nif, Text}}
    end.

%% Beside this very module, not where code:priv_dir/1 thinks that "merlon" is: any folder called
%% merlon-something on the code path would do for that.
priv_dir() ->
    case code:which(?MODULE) of
        Beam when is_list(Beam), Beam =/= [] ->
            filename:join(filename:dirname(filename:dirname(Beam)), "priv");
        _ ->
            code:priv_dir(merlon)
    end.

%% ---- certificates: native/pki ----

%% A new certificate authority. `days` of validity from `now` (seconds since 1970).
-spec pki_new_ca(#{cluster := binary(), alg := p256 | p384 | ed25519,
                   days := pos_integer(), now := integer()}) ->
          {ok, #{cert := binary(), key := binary()}} | {error, {pki, pki_reason()}}.
pki_new_ca(_Args) -> not_loaded().

%% A certificate and key for one node or tool, signed by the CA given in PEM.
-spec pki_issue(#{ca_cert := binary(), ca_key := binary(),
                  identity := {node | cli, Name :: binary(), Host :: binary()},
                  alg := p256 | p384 | ed25519, ips := [binary()],
                  days := pos_integer(), now := integer()}) ->
          {ok, #{cert := binary(), key := binary()}} | {error, {pki, pki_reason()}}.
pki_issue(_Args) -> not_loaded().

%% What each certificate of a PEM text says.
-spec pki_inspect(Pem :: binary()) -> {ok, [map()]} | {error, {pki, pki_reason()}}.
pki_inspect(_Pem) -> not_loaded().

%% A checked identity to shake hands with: key, chain, trust, rules. The key stays in Rust.
-spec identity_new(#{cert := binary(), key := binary(), trust := [binary()], crls := [binary()],
                     cluster := binary(), cli_names := default | [binary()], derived_names := [binary()],
                     key_update_after := pos_integer(),
                     now := integer()}) ->
          {ok, identity()} | {error, {pki, pki_reason()}}.
identity_new(_Args) -> not_loaded().

%% Whether a certificate for that node or tool may be used under the name Claimed ("name@host",
%% "@host" for a dynamic one): the rules that peers apply.
-spec binds({node | cli, Name :: binary(), Host :: binary()}, Claimed :: binary(),
            CliNames :: default | [binary()], DerivedNames :: [binary()]) -> boolean().
binds(_Identity, _Claimed, _CliNames, _DerivedNames) -> not_loaded().

-spec identity_info(identity()) ->
          #{identity := tuple(), not_before := integer(), not_after := integer(),
            sha256 := binary()}.
identity_info(_Identity) -> not_loaded().

%% ---- sockets: native/sock. Nothing here waits: `wait` means that the caller will get
%% ---- {select, _, undefined, ready_input | ready_output}.

-spec listen(ip(), inet:port_number(), Backlog :: pos_integer(), Opts :: [term()]) ->
          {ok, listener()} | {error, posix()}.
listen(_Ip, _Port, _Backlog, _Opts) -> not_loaded().

-spec accept(listener()) -> {ok, conn()} | wait | {error, posix()}.
accept(_Listener) -> not_loaded().

-spec connect(ip(), inet:port_number(), Source :: ip() | undefined, Opts :: [term()]) ->
          {ok, conn()} | {error, posix()}.
connect(_Ip, _Port, _Source, _Opts) -> not_loaded().

-spec connected(conn()) -> ok | wait | {error, posix()}.
connected(_Conn) -> not_loaded().

%% ---- handshake: native/tls ----

%% Prepares the handshake as the dialling side. Own is "name@host" or "@host" (dynamic name).
-spec dial(conn(), identity(), Own :: binary(), Target :: binary(), [secret()], Now :: integer()) ->
          ok | {error, failure()}.
dial(_Conn, _Identity, _Own, _Target, _Secrets, _Now) -> not_loaded().

%% Prepares the handshake as the accepting side.
-spec serve(conn(), identity(), Own :: binary(), Now :: integer()) -> ok | {error, failure()}.
serve(_Conn, _Identity, _Own, _Now) -> not_loaded().

%% Goes on as far as the bytes at hand allow. `claim`: the client has named itself and the name
%% is bound to its certificate; answer with prove/2, or close/1.
-spec advance(conn()) ->
          established | wait | {claim, #{name := binary(), identity := tuple()}} |
          {error, failure()}.
advance(_Conn) -> not_loaded().

-spec prove(conn(), [secret()]) -> ok | {error, failure()}.
prove(_Conn, _Secrets) -> not_loaded().

%% What is known of an established link's peer and session.
-spec link_info(conn()) -> map().
link_info(_Conn) -> not_loaded().

%% The cookie of dist_util's own challenge, derived for this pair of nodes.
-spec pair_cookie(conn()) -> {ok, binary()} | {error, closed}.
pair_cookie(_Conn) -> not_loaded().

%% ---- data path ----

%% Frames out, each with its 4-byte length (an empty one is a tick). `blocked`: all is taken,
%% but not all is written; call flush/1 at {select, _, _, ready_output}, send nothing before.
-spec send(conn(), [merlon_lanes_core:frame()]) -> ok | blocked | {error, posix()}.
send(_Conn, _Frames) -> not_loaded().

%% Sends some of a big frame on a lane, and gives what is left of it. `blocked` as for send/2.
-spec send_lane(conn(), merlon_lanes_core:lane(), Piece) -> {ok | blocked, done | Piece} | {error, posix()}
              when Piece :: merlon_lanes_core:piece().
send_lane(_Conn, _Lane, _Piece) -> not_loaded().

-spec flush(conn()) -> ok | blocked | {error, posix()}.
flush(_Conn) -> not_loaded().

%% Whole frames in. `more`: call again; `wait`: after {select, _, _, ready_input}.
-spec recv(conn()) -> {[binary()], more | wait} | {error, closed | atom()}.
recv(_Conn) -> not_loaded().

%% One frame of the dist handshake; those behind it stay for the next call.
-spec recv_one(conn()) -> {ok, binary()} | wait | {error, closed | atom()}.
recv_one(_Conn) -> not_loaded().

%% Largest frame accepted from now on, in bytes.
-spec limits(conn(), MaxFrame :: pos_integer()) -> ok.
limits(_Conn, _MaxFrame) -> not_loaded().

-spec stats(conn()) -> #{atom() => non_neg_integer()}.
stats(_Conn) -> not_loaded().

%% ---- external terms: native/wire/src/etf.rs. merlon_term says what the numbers mean ----

-type term_budget() :: {Bytes :: non_neg_integer(), Inflated :: non_neg_integer(), Terms :: non_neg_integer(),
                        Depth :: non_neg_integer(), NewAtoms :: non_neg_integer(), Binary :: non_neg_integer(),
                        Bignum :: non_neg_integer(), Range :: non_neg_integer(), Allow :: non_neg_integer()}.

%% Whether Bin is within the budget, new atoms left aside. For what takes less than 1 ms.
-spec term_scan(binary(), term_budget()) -> ok | {error, {term, merlon_term:refusal()}}.
term_scan(_Bin, _Budget) -> not_loaded().

%% The same on a dirty scheduler, for all the rest.
-spec term_scan_dirty(binary(), term_budget()) -> ok | {error, {term, merlon_term:refusal()}}.
term_scan_dirty(_Bin, _Budget) -> not_loaded().

%% The same with counts and the names of the new atoms, on a dirty scheduler.
-spec term_survey(binary(), term_budget()) ->
          {ok, #{atom() => non_neg_integer()}, [binary()]} | {error, {term, merlon_term:refusal()}}.
term_survey(_Bin, _Budget) -> not_loaded().

%% ---- life ----

%% The socket is closed when Pid dies.
-spec set_owner(conn() | listener(), pid()) -> ok.
set_owner(_Conn, _Pid) -> not_loaded().

-spec close(conn() | listener()) -> ok.
close(_Conn) -> not_loaded().

-spec sockname(conn() | listener()) -> {ok, {ip(), inet:port_number()}} | {error, posix()}.
sockname(_Conn) -> not_loaded().

-spec peername(conn()) -> {ok, {ip(), inet:port_number()}} | {error, posix()}.
peername(_Conn) -> not_loaded().

-spec setopts(conn() | listener(), [term()]) -> ok | {error, posix()}.
setopts(_Conn, _Opts) -> not_loaded().

-spec getopts(conn() | listener(), [atom()]) -> {ok, [term()]} | {error, posix()}.
getopts(_Conn, _Names) -> not_loaded().

-spec not_loaded() -> term().
not_loaded() ->
    erlang:nif_error({not_loaded, ?MODULE}).
