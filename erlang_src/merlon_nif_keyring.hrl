%% SPDX-License-Identifier: Apache-2.0
%% Part of merlon_nif: entries of a keyring (native/nif/src/keyring.rs, rotate.rs, mint.rs), and secrets from elsewhere
%% (native/nif/src/fetch.rs). Times are seconds since 1970.

-opaque keyring_entry() :: reference().
%% A server that keeps secrets, and the tokens that it has given.
-opaque store() :: reference().

%% The id comes from the secret, 16 hex digits; the secret does not come out again.
-spec keyring_entry(Secret :: <<_:256>> | secret_bytes(), NotBefore :: integer(), NotAfter :: integer() | never) ->
          {ok, {Id :: binary(), keyring_entry()}}.
keyring_entry(_Secret, _NotBefore, _NotAfter) -> not_loaded().

%% The same of a passphrase (1 KiB at most) by Argon2id; an entry that is known already is not stretched
%% again if it is that one. Ceiling: KiB that all calls at once may take.
-spec keyring_stretch(none | keyring_entry(), {KiB :: pos_integer(), Passes :: pos_integer(), Lanes :: pos_integer()}, Passphrase :: kdf_key(),
                      Cluster :: binary(), {NotBefore :: integer(), NotAfter :: integer() | never}, Ceiling :: pos_integer()) ->
          {ok, {Id :: binary(), keyring_entry()}} | {error, merlon_kdf:reason()}.
keyring_stretch(_Known, _Costs, _Passphrase, _Cluster, _Life, _Ceiling) -> not_loaded().

%% The certificate, in PEM, of the CA that nodes with this entry trust.
-spec keyring_ca(keyring_entry(), Cluster :: binary(), Now :: integer()) ->
          {ok, binary()} | {error, not_accepted | {pki, pki_reason()}}.
keyring_ca(_Entry, _Cluster, _Now) -> not_loaded().

%% An identity that the node makes for itself: a certificate of a day for `identity`, from the CA derived
%% of one of the entries (newest first); trusted are the CAs of all that are accepted now.
-spec identity_mint(#{entries := [keyring_entry()], cluster := binary(),
                      identity := {node | cli, Name :: binary(), Host :: binary()},
                      cli_names := default | [binary()], derived_names := [binary()], key_update_after := pos_integer(), now := integer()}) ->
          {ok, identity()} | {error, {pki, pki_reason()} | not_accepted}.
identity_mint(_Args) -> not_loaded().

%% The certificates that it shows to peers, in PEM.
-spec identity_chain(identity()) -> binary().
identity_chain(_Identity) -> not_loaded().

%% A new secret, of the system's generator.
-spec keyring_new() -> {ok, {Id :: binary(), Secret :: <<_:256>>}} | {error, no_randomness}.
keyring_new() -> not_loaded().

-spec keyring_state(keyring_entry(), Now :: integer()) -> not_yet | accepted | expired.
keyring_state(_Entry, _Now) -> not_loaded().

-spec keyring_derive(keyring_entry(), Cluster :: binary(), Now :: integer(), Info :: binary(),
                     Len :: non_neg_integer()) ->
          {ok, binary()} | {error, not_accepted | merlon_kdf:reason()}.
keyring_derive(_Entry, _Cluster, _Now, _Info, _Len) -> not_loaded().

%% ---- secrets from elsewhere: native/fetch, native/store. What waits is dirty. ----

%% Of the environment that the operating system gave to this process.
-spec fetch_variable(Name :: binary()) -> {ok, secret_bytes()} | {error, unset}.
fetch_variable(_Name) -> not_loaded().

-spec fetch_file(Path :: binary()) -> merlon_secrets:fetched(secret_bytes()).
fetch_file(_Path) -> not_loaded().

-spec fetch_program(Program :: binary(), [binary()], Milliseconds :: pos_integer()) -> merlon_secrets:fetched(secret_bytes()).
fetch_program(_Program, _Args, _Milliseconds) -> not_loaded().

-spec fetch_store(atom(), [{atom(), {value, binary() | secret_bytes()} | {file | env, binary()}}]) -> merlon_secrets:fetched(store()).
fetch_store(_Kind, _Options) -> not_loaded().

-spec fetch_value(store(), Milliseconds :: pos_integer()) -> merlon_secrets:fetched({secret_bytes(), Version :: binary()}).
fetch_value(_Store, _Milliseconds) -> not_loaded().

%% A keyring's text with its secrets blotted out; or one secret. And the secret of a line of it, from 1 on.
-spec keyring_stored(secret_bytes()) -> {text, binary()} | {plain, secret_bytes()} | unknown.
keyring_stored(_Bytes) -> not_loaded().

-spec keyring_secret(secret_bytes(), Line :: pos_integer()) -> {ok, secret_bytes()}.
keyring_secret(_Bytes, _Line) -> not_loaded().

%% ---- entries that move between nodes: native/secret/src/transfer.rs, keyring.rs. No secret becomes a term.

%% Nonce: the asker's. Times: created, not before, not after, as they stand in the file.
-type keyring_request() :: {Cluster :: binary(), From :: binary(), To :: binary(), Nonce :: <<_:256>>}.
-type keyring_times() :: {binary(), binary(), binary()}.
-type keyring_refusal() :: not_accepted | bad_keyring | unknown_entry | bad_transfer | keyring_full | no_randomness.

%% The entry Id of the keyring File, for that request alone, under an entry that both nodes accept.
-spec keyring_seal(File :: binary(), By :: keyring_entry(), Id :: binary(), keyring_request(), Now :: integer()) ->
          {ok, Sealed :: binary()} | {error, keyring_refusal() | posix()}.
keyring_seal(_File, _By, _Id, _Request, _Now) -> not_loaded().

%% Writes File, changed, as New, which must not be there yet (0600, on the disk). Adds nothing, an entry of
%% new random bits, or one that a peer has sealed under one of By.
-spec keyring_edit(File :: binary(), New :: binary(), [{Id :: binary(), binary(), binary()} | {drop, binary()}],
                   none | {fresh, keyring_times()} |
                   {sealed, Id :: binary(), keyring_request(), binary(), By :: [keyring_entry()], keyring_times()},
                   Now :: integer()) -> {ok, Id :: binary() | none} | {error, keyring_refusal() | posix()}.
keyring_edit(_File, _New, _Changes, _Addition, _Now) -> not_loaded().
