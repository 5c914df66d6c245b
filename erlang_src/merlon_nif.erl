%% SPDX-License-Identifier: Apache-2.0
%% The Rust core: stubs, specs and `load/0`. No `-on_load`: on OTP 25 in embedded mode `listen/2`
%% runs before on_load handlers do, so the first caller loads the library itself.
-module(merlon_nif).

-export([load/0]).
-export([pki_new_ca/1, pki_issue/1, pki_inspect/1, pki_revoke/1, pki_lists/1]).
-export([pki_new_csr/1, pki_csr_identity/1, pki_sign_csr/1, pki_verify/1]).
-export([pki_matches/2, pki_vouch/2, pki_vouched/5, crl_parts/1, crl_check/3]).
-export([identity_new/1, identity_info/1, binds/4, judge/3]).
-export([rotation_say/1, rotation_read/1, rotation_check/5, pki_without/2, identity_anchors/1]).
-export([listen/4, accept/1, connect/4, connected/1]).
-export([first/1, plain/1, peek_one/1, foreign/1, may_claim/2]).
-export([dial/6, serve/4, advance/1, prove/2, link_info/1, pair_cookie/1]).
-export([send/2, flush/1, recv/2, read_ahead/1, recv_one/1, limits/2, stats/1]).
-export([send_control/2, live_certificate/2, live_keys/3, live_ask/0, live_take/5, live_state/1]).
-export([term_decode/2, term_decode_dirty/2, term_scan/2, term_scan_dirty/2, term_survey/2]).
-export([set_owner/2, close/1, sockname/1, peername/1, setopts/2, getopts/2, cookie_seed/1, cookie_of_seed/1, cookie_search/4]).
-export([secret_new/1, kdf_hkdf/5, kdf_extract/4, kdf_expand/4, kdf_derive/5, kdf_hash/3, kdf_check/3]).
-export([kdf_needs_rehash/2, kdf_calibrate/4, kdf_hmac/3, kdf_hmac_big/3, kdf_digest/2, kdf_digest_big/2, kdf_equal/2, kdf_equal_big/2]).
-export([keyring_entry/3, keyring_new/0, keyring_state/2, keyring_derive/5, keyring_seal/5, keyring_edit/5]).
-export([keyring_stretch/6, keyring_ca/3, identity_mint/1, identity_chain/1]).
-export([names_accept/3, names_dial/3, names_peer/1, names_judge/3, names_may_register/4, names_may_learn/5, status_accept/3]).
-export([keyring_stored/1, keyring_secret/2, fetch_variable/1, fetch_file/1, fetch_program/3, fetch_store/2, fetch_value/2]).
-export_type([kdf_params/0, kdf_output/0, kdf_key/0, secret_bytes/0, keyring_entry/0, store/0]).
-export_type([listener/0, conn/0, identity/0, term_budget/0, ip/0, pki_reason/0, failure/0, secret/0,
              crl/0, revocation_reason/0, list_id/0, keyring_request/0, keyring_times/0, statement/0, stage/0]).

-nifs([pki_new_ca/1, pki_issue/1, pki_inspect/1, pki_revoke/1, pki_lists/1,
       pki_new_csr/1, pki_csr_identity/1, pki_sign_csr/1, pki_verify/1,
       pki_matches/2, pki_vouch/2, pki_vouched/5, crl_parts/1, crl_check/3,
       identity_new/1, identity_info/1, binds/4, judge/3,
       rotation_say/1, rotation_read/1, rotation_check/5, pki_without/2, identity_anchors/1,
       listen/4, accept/1, connect/4, connected/1,
       first/1, plain/1, peek_one/1, foreign/1, may_claim/2,
       dial/6, serve/4, advance/1, prove/2, link_info/1, pair_cookie/1,
       send/2, flush/1, recv/2, read_ahead/1, recv_one/1, limits/2, stats/1,
       send_control/2, live_certificate/2, live_keys/3, live_ask/0, live_take/5, live_state/1,
       term_decode/2, term_decode_dirty/2, term_scan/2, term_scan_dirty/2, term_survey/2,
       set_owner/2, close/1, sockname/1, peername/1, setopts/2, getopts/2,
       cookie_seed/1, cookie_of_seed/1, cookie_search/4,
       secret_new/1, kdf_hkdf/5, kdf_extract/4, kdf_expand/4, kdf_derive/5, kdf_hash/3, kdf_check/3,
       kdf_needs_rehash/2, kdf_calibrate/4, kdf_hmac/3, kdf_hmac_big/3, kdf_digest/2,
       kdf_digest_big/2, kdf_equal/2, kdf_equal_big/2,
       keyring_entry/3, keyring_new/0, keyring_state/2, keyring_derive/5,
       keyring_seal/5, keyring_edit/5, keyring_stretch/6, keyring_ca/3, identity_mint/1, identity_chain/1,
       names_accept/3, names_dial/3, names_peer/1, names_judge/3, names_may_register/4, names_may_learn/5, status_accept/3,
       keyring_stored/1, keyring_secret/2, fetch_variable/1, fetch_file/1, fetch_program/3, fetch_store/2, fetch_value/2]).

-opaque listener() :: reference().
-opaque conn() :: reference().
-opaque identity() :: reference().
-type ip() :: inet:ip_address().
-type posix() :: inet:posix() | closed.
-type pki_reason() :: atom() | {atom(), map()}.
-type revocation_reason() :: unspecified | key_compromise | affiliation_changed | superseded |
                             cessation_of_operation | privilege_withdrawn.
%% A revocation list; times in seconds since 1970, serial numbers in hex.
-type crl() :: #{issuer := binary(), number := integer() | none, this_update := integer(),
                 next_update := integer() | none,
                 revoked := [#{serial := binary(), since := integer(),
                               reason := revocation_reason()}]}.
%% Which list of which CA: its name and key hashed, when it was made, the octets of its number.
-type list_id() :: {Ca :: binary(), ThisUpdate :: integer(), Number :: binary()}.
%% A failed handshake: `reason` is an atom of the design's list, `text` says it in words, the rest
%% is what is known of the peer. Nothing secret and no raw peer bytes.
-type failure() :: #{reason := atom(), text := binary(), phase := tcp | tls | preamble,
                     claimed => binary(), fingerprint => binary(), identity => tuple()}.
%% What the proof of the preamble is derived from.
-type secret() :: {vm_cookie, Cookie :: binary()} | {keyring, keyring_entry(), Now :: integer()}.

%% Joining: functions for it alone.
-include("merlon_nif_join.hrl").

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

%% The CA's next revocation list: what its list in `crl` has (the content of a file, PEM or DER; <<>>
%% if there is none) and these serial numbers (hex), good for `days` from `now`, cut at the CA's end.
%% Gives the new content of the file, in PEM.
-spec pki_revoke(#{ca_cert := binary(), ca_key := binary(), crl := binary(), serials := [binary()],
                   reason := revocation_reason(), days := pos_integer(), now := integer()}) ->
          {ok, binary()} | {error, {pki, pki_reason()}}.
pki_revoke(_Args) -> not_loaded().

%% What the revocation lists of a file say, PEM or DER. Their signatures are not checked.
-spec pki_lists(File :: binary()) -> {ok, [crl()]} | {error, {pki, pki_reason()}}.
pki_lists(_File) -> not_loaded().

%% A key and a signing request for it.
-spec pki_new_csr(#{cluster := binary(), identity := {node | cli, Name :: binary(), Host :: binary()},
                    alg := p256 | p384 | ed25519, ips := [binary()]}) ->
          {ok, #{csr := binary(), key := binary()}} | {error, {pki, pki_reason()}}.
pki_new_csr(_Args) -> not_loaded().

%% Whom a request asks to be, after its own signature is checked: {node | cli, Cluster, Name, Host}.
-spec pki_csr_identity(Pem :: binary()) -> {ok, tuple()} | {error, {pki, pki_reason()}}.
pki_csr_identity(_Pem) -> not_loaded().

%% A certificate for the key of a request that asks for no more than what the other arguments say.
-spec pki_sign_csr(#{ca_cert := binary(), ca_key := binary(), csr := binary(),
                     identity := {node | cli, Name :: binary(), Host :: binary()},
                     ips := [binary()], days := pos_integer(), now := integer()}) ->
          {ok, Cert :: binary()} | {error, {pki, pki_reason()}}.
pki_sign_csr(_Args) -> not_loaded().

%% Judges a chain, the leaf first, as a handshake does.
-spec pki_verify(#{cert := binary(), trust := [binary()], crls := [binary()], cluster := binary(),
                   usage := server | client, now := integer()}) ->
          {ok, #{identity := tuple(), not_after := integer(), serial := binary(),
                 sha256 := binary()}} | {error, {pki, pki_reason()}}.
pki_verify(_Args) -> not_loaded().

%% Whether a private key is that of the first certificate.
-spec pki_matches(Cert :: binary(), Key :: binary()) -> boolean().
pki_matches(_Cert, _Key) -> not_loaded().

%% The signature with which the key in use vouches for a request: native/pki/src/renewal.rs.
-spec pki_vouch(Key :: binary(), Csr :: binary()) -> {ok, binary()} | {error, {pki, pki_reason()}}.
pki_vouch(_Key, _Csr) -> not_loaded().

%% Whose certificate has vouched for a request: {node | cli, Cluster, Name, Host}. Its chain is judged
%% as that of Own's peers.
-spec pki_vouched(Own :: identity(), Chain :: binary(), Csr :: binary(), Signature :: binary(),
                  Now :: integer()) -> {ok, tuple()} | {error, {pki, pki_reason()}}.
pki_vouched(_Own, _Chain, _Csr, _Signature, _Now) -> not_loaded().

%% The revocation lists of a file one by one, in DER. Their signatures are not checked.
-spec crl_parts(File :: binary()) -> {ok, [{list_id(), Der :: binary()}]} | {error, {pki, pki_reason()}}.
crl_parts(_File) -> not_loaded().

%% Whether a list that somebody has sent is signed by one of Own's anchors, complete and not yet due.
-spec crl_check(Own :: identity(), Der :: binary(), Now :: integer()) ->
          {ok, list_id()} | {error, {pki, pki_reason()}}.
crl_check(_Own, _Der, _Now) -> not_loaded().

%% A checked identity to shake hands with: key, chain, trust, rules. The key stays in Rust. `crls` are
%% files, PEM or DER; the other texts are PEM.
-spec identity_new(#{cert := binary(), key := binary(), trust := [binary()], crls := [binary()],
                     stale_crl := refuse | warn, cluster := binary(), cli_names := default | [binary()], derived_names := [binary()],
                     key_update_after := pos_integer(), now := integer()}) ->
          {ok, identity()} | {error, {pki, pki_reason()}}.
identity_new(_Args) -> not_loaded().

%% Whether a certificate for that node or tool may be used under the name Claimed ("name@host",
%% "@host" for a dynamic one): the rules that peers apply.
-spec binds({node | cli, Name :: binary(), Host :: binary()}, Claimed :: binary(),
            CliNames :: default | [binary()], DerivedNames :: [binary()]) -> boolean().
binds(_Identity, _Claimed, _CliNames, _DerivedNames) -> not_loaded().

-spec identity_info(identity()) ->
          #{identity := tuple(), not_before := integer(), not_after := integer(),
            sha256 := binary(), crl_due := integer() | none, crls := [list_id()]}.
identity_info(_Identity) -> not_loaded().

%% Whether Identity would still accept the certificates that the peer of a link has shown, and until
%% when at least it will if nothing changes. A stale revocation list is no reason. einval: no link yet.
-spec judge(conn(), identity(), Now :: integer()) ->
          {ok, Until :: integer()} | {error, {pki, pki_reason()} | einval}.
judge(_Conn, _Identity, _Now) -> not_loaded().

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
%% is bound to its certificate; answer with prove/2, or close/1. `foreign`: TLS is up with a node of another carrier, whose
%% name is still to come: may_claim/2.
-spec advance(conn()) ->
          established | foreign | wait | join |
          {claim, #{name := binary(), identity := tuple(), key_ids := [binary()]}} | {error, failure()}.
advance(_Conn) -> not_loaded().

-spec prove(conn(), [secret()]) -> ok | {error, failure()}.
prove(_Conn, _Secrets) -> not_loaded().

%% What is known of an established link's peer and session.
-spec link_info(conn()) -> map().
link_info(_Conn) -> not_loaded().

%% The cookie of dist_util's own challenge, derived for this pair of nodes. `none`: the peer has no merlon.
-spec pair_cookie(conn()) -> {ok, binary()} | none | {error, closed}.
pair_cookie(_Conn) -> not_loaded().

%% ---- without TLS: native/nif/src/plain.rs ----

%% The first byte of the peer. It stays for whoever goes on.
-spec first(conn()) -> {ok, byte()} | wait | {error, closed | atom()}.
first(_Conn) -> not_loaded().

%% The connection carries the dist handshake as it is, and after limits/2 frames. Not after dial/6 or serve/4.
-spec plain(conn()) -> ok | {error, einval}.
plain(_Conn) -> not_loaded().

%% A node of OTP's inet_tls will do (native/nif/src/foreign.rs). Before dial/6 or serve/4.
-spec foreign(conn()) -> ok | {error, atom()}.
foreign(_Conn) -> not_loaded().

%% Whether the certificate of such a node allows it that name: its own, or one on a host that it is for.
-spec may_claim(conn(), Name :: binary()) -> ok | {error, {pki, pki_reason()} | einval}.
may_claim(_Conn, _Name) -> not_loaded().

%% As recv_one/1, and the frame stays for the next call.
-spec peek_one(conn()) -> {ok, binary()} | wait | {error, closed | atom()}.
peek_one(_Conn) -> not_loaded().

%% ---- data path ----
%% Frames out, each with its 4-byte length (an empty one is a tick). `blocked`: all is taken,
%% but not all is written; call flush/1 at {select, _, _, ready_output}. What is sent before is kept as well.
-spec send(conn(), [{Bytes :: non_neg_integer(), [binary()]}]) -> ok | blocked | {error, posix()}.
send(_Conn, _Frames) -> not_loaded().

-spec flush(conn()) -> ok | blocked | {error, posix()}.
flush(_Conn) -> not_loaded().

%% Whole frames, and what the other carrier says. `more`: call again; `wait`: after {select, _, _, ready_input}; `empty`: look
%% again, as at most Looking readers of this VM may at once (0: not this one); {part, Bytes}: as `wait`, in the midst of a
%% message, so many bytes after the last of these two. With `pause` nobody is told then: look again after a while.
-spec recv(conn(), Looking :: non_neg_integer() | pause) -> {[binary()], Next} | {[binary()], Next, Controls :: [binary()]} |
          {error, closed | atom()} when Next :: more | wait | empty | {part, Bytes :: non_neg_integer()}.
recv(_Conn, _Looking) -> not_loaded().
%% Reads and opens what the next recv/2 gives, whoever calls it: an error as well.
-spec read_ahead(conn()) -> ok | {error, internal_error}.
read_ahead(_Conn) -> not_loaded().

%% One frame of the dist handshake; those behind it stay for the next call.
-spec recv_one(conn()) -> {ok, binary()} | wait | {error, closed | atom()}.
recv_one(_Conn) -> not_loaded().

%% Largest frame accepted from now on, in bytes.
-spec limits(conn(), MaxFrame :: pos_integer()) -> ok.
limits(_Conn, _MaxFrame) -> not_loaded().

-spec stats(conn()) -> #{atom() => non_neg_integer()}.
stats(_Conn) -> not_loaded().

%% ---- proofs on a link that is up: native/tls/src/live.rs; merlon_reprove says what they are for ----

-spec send_control(conn(), [binary()]) -> ok | blocked | {error, posix()}.
send_control(_Conn, _Messages) -> not_loaded().

-spec live_certificate(conn(), identity()) -> {ok, Message :: binary()} | {error, atom()}.
live_certificate(_Conn, _Identity) -> not_loaded().

-spec live_keys(conn(), identity(), [secret()]) -> {ok, Message :: binary()} | {error, atom()}.
live_keys(_Conn, _Identity, _Secrets) -> not_loaded().

-spec live_ask() -> Message :: binary().
live_ask() -> not_loaded().

%% Judges a message of the peer. `keys`: those that it has proved, and how many others it has.
-spec live_take(conn(), identity(), [secret()], Now :: integer(), Message :: binary()) ->
          ask | unknown | {certificate, Fingerprint :: binary(), NotAfter :: integer(), tuple()} |
          {untrusted, pki_reason()} | {keys, [binary()], non_neg_integer()} | {error, atom()}.
live_take(_Conn, _Identity, _Secrets, _Now, _Message) -> not_loaded().

%% `own`: the fingerprint that this node showed in the handshake.
-spec live_state(conn()) -> #{own => binary(), proved => [binary()]}.
live_state(_Conn) -> not_loaded().

%% ---- external terms: native/wire/src/etf.rs. merlon_term says what the numbers mean ----

%% Bytes, inflated, terms, new atoms, binary, bignum, range, of 64 bits each; depth of 56, allow of 8.
-type term_budget() :: <<_:512>>.

%% Whether Bin is within the budget, new atoms left aside. For what takes less than 1 ms.
-spec term_scan(binary(), term_budget()) -> ok | {error, {term, merlon_term:refusal()}}.
term_scan(_Bin, _Budget) -> not_loaded().

%% The same on a dirty scheduler, for all the rest.
-spec term_scan_dirty(binary(), term_budget()) -> ok | {error, {term, merlon_term:refusal()}}.
term_scan_dirty(_Bin, _Budget) -> not_loaded().

%% Scanned, inflated once, and built as `binary_to_term(Bin, [safe])` does. `badarg`: within the budget, but not built. `later`:
%% that would take more than 1 ms, nothing was done.
-spec term_decode(binary(), term_budget()) -> {ok, term()} | badarg | later | {error, {term, merlon_term:refusal()}}.
term_decode(_Bin, _Budget) -> not_loaded().

%% The same on a dirty scheduler, for what is compressed.
-spec term_decode_dirty(binary(), term_budget()) -> {ok, term()} | badarg | {error, {term, merlon_term:refusal()}}.
term_decode_dirty(_Bin, _Budget) -> not_loaded().

%% The same as a scan with counts and the names of the new atoms, on a dirty scheduler.
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

%% ---- cookies of OTP's generator: native/secret ----

%% The one seed from which OTP makes that cookie. Who knows it knows the cookie.
-spec cookie_seed(Cookie :: binary()) -> {ok, Seed :: non_neg_integer()} | none.
cookie_seed(_Cookie) -> not_loaded().

-spec cookie_of_seed(Seed :: non_neg_integer()) -> Cookie :: binary().
cookie_of_seed(_Seed) -> not_loaded().

%% The seed, from First on, whose cookie gives that digest for that challenge (32 bits). Count is
%% 2^23 at most, so that no call takes long; nothing beyond 2^36 is a seed.
-spec cookie_search(Challenge :: non_neg_integer(), Digest :: <<_:128>>, First :: non_neg_integer(),
                    Count :: non_neg_integer()) -> {ok, Seed :: non_neg_integer()} | none.
cookie_search(_Challenge, _Digest, _First, _Count) -> not_loaded().

%% ---- a new root in the place of an old one ----

-include("merlon_nif_roots.hrl").

%% ---- keys of keys and of passwords ----

-include("merlon_nif_kdf.hrl").

%% ---- entries of a keyring, and secrets from elsewhere ----

-include("merlon_nif_keyring.hrl").
-include("merlon_nif_names.hrl").

-spec not_loaded() -> term().
not_loaded() ->
    erlang:nif_error({not_loaded, ?MODULE}).
