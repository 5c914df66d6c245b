%% SPDX-License-Identifier: Apache-2.0
%% Part of merlon_nif: keys of keys and of passwords (native/nif/src/kdf.rs). Ceilings are KiB that all calls at once
%% may take.

%% Bytes that went in and never come out; wiped when the last reference is gone.
-type secret_bytes() :: reference().
-type kdf_key() :: binary() | secret_bytes().
-type kdf_output() :: {binary | secret, Length :: non_neg_integer()}.
%% KiB, passes, lanes; log N, r, p; iterations.
-type kdf_params() :: {argon2id | argon2i | argon2d | scrypt, pos_integer(), pos_integer(), pos_integer()} |
                      {pbkdf2_sha256 | pbkdf2_sha512, pos_integer()}.

-spec secret_new(binary()) -> {ok, secret_bytes()}.
secret_new(_Bytes) -> not_loaded().

-spec kdf_hkdf(merlon_kdf:hash(), Ikm :: kdf_key(), Salt :: kdf_key(), Info :: binary(), kdf_output()) ->
          {ok, kdf_key()} | {error, merlon_kdf:reason()}.
kdf_hkdf(_Hash, _Ikm, _Salt, _Info, _Output) -> not_loaded().

-spec kdf_extract(merlon_kdf:hash(), Ikm :: kdf_key(), Salt :: kdf_key(), kdf_output()) -> {ok, kdf_key()}.
kdf_extract(_Hash, _Ikm, _Salt, _Output) -> not_loaded().

-spec kdf_expand(merlon_kdf:hash(), Prk :: kdf_key(), Info :: binary(), kdf_output()) ->
          {ok, kdf_key()} | {error, merlon_kdf:reason()}.
kdf_expand(_Hash, _Prk, _Info, _Output) -> not_loaded().

%% Weak: parameters below the floor are taken too.
-spec kdf_derive(kdf_params(), Password :: kdf_key(), Salt :: binary(),
                 {Weak :: boolean(), Ceiling :: non_neg_integer()}, kdf_output()) ->
          {ok, kdf_key()} | {error, merlon_kdf:reason()}.
kdf_derive(_Params, _Password, _Salt, _Limits, _Output) -> not_loaded().

-spec kdf_hash(kdf_params(), Password :: kdf_key(), Ceiling :: non_neg_integer()) ->
          {ok, Phc :: binary()} | {error, merlon_kdf:reason()}.
kdf_hash(_Params, _Password, _Ceiling) -> not_loaded().

-spec kdf_check(Password :: kdf_key(), Phc :: binary(), Ceiling :: non_neg_integer()) ->
          ok | {error, merlon_kdf:reason()}.
kdf_check(_Password, _Phc, _Ceiling) -> not_loaded().

-spec kdf_needs_rehash(Phc :: binary(), kdf_params()) -> boolean().
kdf_needs_rehash(_Phc, _Params) -> not_loaded().

-spec kdf_calibrate(merlon_kdf:algorithm(), Milliseconds :: pos_integer(),
                    {Memory :: pos_integer(), Ceiling :: pos_integer()}, Lanes :: pos_integer()) ->
          {ok, kdf_params()} | {error, merlon_kdf:reason()}.
kdf_calibrate(_Algorithm, _Milliseconds, _Limits, _Lanes) -> not_loaded().

%% The big ones are dirty.
-spec kdf_hmac(merlon_kdf:hash(), kdf_key(), binary()) -> binary().
kdf_hmac(_Hash, _Key, _Data) -> not_loaded().

-spec kdf_hmac_big(merlon_kdf:hash(), kdf_key(), binary()) -> binary().
kdf_hmac_big(_Hash, _Key, _Data) -> not_loaded().

-spec kdf_digest(merlon_kdf:hash(), binary()) -> binary().
kdf_digest(_Hash, _Data) -> not_loaded().

-spec kdf_digest_big(merlon_kdf:hash(), binary()) -> binary().
kdf_digest_big(_Hash, _Data) -> not_loaded().

-spec kdf_equal(kdf_key(), kdf_key()) -> boolean().
kdf_equal(_A, _B) -> not_loaded().

-spec kdf_equal_big(kdf_key(), kdf_key()) -> boolean().
kdf_equal_big(_A, _B) -> not_loaded().
