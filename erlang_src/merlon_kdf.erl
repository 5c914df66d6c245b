%% SPDX-License-Identifier: Apache-2.0
%% Keys from keys (HKDF), keys and hashes from passwords (Argon2id, scrypt, PBKDF2), HMAC, digests, and comparison in
%% constant time. Needs neither Elixir nor the application crypto; the library is loaded by the first call.
%%
%% Keys and passwords may be given as iodata or as a secret(): bytes that stay in Rust, that no function gives back,
%% and that are wiped when the last reference is gone. {secret, Length} as output gives such a one.
-module(merlon_kdf).

-export([hkdf/5, hkdf_extract/4, hkdf_expand/4]).
-export([derive/4, derive/5, calibrate/1, defaults/0]).
-export([hash/1, hash/2, verify/2, check/2, needs_rehash/1, needs_rehash/2]).
-export([hmac/3, digest/2, digest/3, equal/2, secret/1]).
-export([ceiling/0, format_error/1]).
-export_type([hash/0, key/0, secret/0, output/0, algorithm/0, params/0, options/0, goal/0, reason/0]).

-type hash() :: sha256 | sha384 | sha512.
-opaque secret() :: merlon_nif:secret_bytes().
-type key() :: iodata() | secret().
%% Length in bytes; the result is a binary if nothing else is said.
-type output() :: non_neg_integer() | {binary | secret, non_neg_integer()}.
-type algorithm() :: argon2id | scrypt | pbkdf2_sha256 | pbkdf2_sha512.
%% Costs. Argon2id: memory in KiB. scrypt: N = 2^log_n, blocks of r * 128 bytes, p times.
-type params() ::
        #{algorithm := argon2id, memory := pos_integer(), passes := pos_integer(), lanes => pos_integer()} |
        #{algorithm := scrypt, log_n := pos_integer(), r => pos_integer(), p => pos_integer()} |
        #{algorithm := pbkdf2_sha256 | pbkdf2_sha512, iterations := pos_integer()}.
%% danger_weak: costs, salt and length below the floor are taken: for keys that others have defined.
-type options() :: #{danger_weak => boolean()}.
%% Milliseconds that one call may take on this machine, KiB that it may take (default 64 MiB).
-type goal() :: #{algorithm => algorithm(), milliseconds := pos_integer(), memory => pos_integer(),
                  lanes => pos_integer()}.
-type reason() ::
        {kdf, bad_params | not_phc | unknown_phc | verify_only | wrong_password | no_randomness |
              {too_long | short_key, #{length := non_neg_integer()}} |
              {range, #{name := atom(), min := non_neg_integer(), max := non_neg_integer()}} |
              {weak, costs | salt | length} |
              {work, #{work := pos_integer(), max := pos_integer()}} |
              {memory | busy, #{needed := non_neg_integer(), ceiling := non_neg_integer()}} |
              {out_of_memory, #{needed := non_neg_integer()}} |
              {budget, #{milliseconds := pos_integer()}}}.

-define(DEFAULT_MEMORY, 65536).
-define(MAX_MEMORY, 1048576).
-define(MAX_COST, 16#ffffffff).
%% What a scheduler hashes in much less than a millisecond.
-define(SMALL, 65536).

%% ---- keys from keys ----

%% HKDF (RFC 5869) of key material that is random enough (a 256-bit secret, a Diffie-Hellman result), not of a password.
%% Info says what the key is for. At most 255 outputs of the hash.
-spec hkdf(hash(), Ikm :: key(), Salt :: key(), Info :: iodata(), output()) ->
          {ok, binary() | secret()} | {error, reason()}.
hkdf(Hash, Ikm, Salt, Info, Output) ->
    call(kdf_hkdf, [Hash, key(Ikm), key(Salt), iolist_to_binary(Info), output(Output)]).

%% HKDF-Extract: a key as long as the hash, as a binary or as a secret.
-spec hkdf_extract(hash(), Ikm :: key(), Salt :: key(), binary | secret) -> {ok, binary() | secret()}.
hkdf_extract(Hash, Ikm, Salt, As) ->
    call(kdf_extract, [Hash, key(Ikm), key(Salt), {As, 0}]).

%% HKDF-Expand of a key that is at least as long as the hash.
-spec hkdf_expand(hash(), Prk :: key(), Info :: iodata(), output()) ->
          {ok, binary() | secret()} | {error, reason()}.
hkdf_expand(Hash, Prk, Info, Output) ->
    call(kdf_expand, [Hash, key(Prk), iolist_to_binary(Info), output(Output)]).

%% ---- keys from passwords ----

%% A key of at most 1024 bytes from a password of at most 64 KiB, on a dirty scheduler. Refused are: costs below OWASP's
%% (Password Storage Cheat Sheet, 2023), less than 16 bytes of salt or key (RFC 9106 section 4), costs above about 20
%% seconds of work, more memory than ceiling/0 leaves. Argon2: RFC 9106, scrypt: RFC 7914, PBKDF2: RFC 8018.
-spec derive(params(), Password :: key(), Salt :: iodata(), output()) ->
          {ok, binary() | secret()} | {error, reason()}.
derive(Params, Password, Salt, Output) ->
    derive(Params, Password, Salt, Output, #{}).

-spec derive(params(), Password :: key(), Salt :: iodata(), output(), options()) ->
          {ok, binary() | secret()} | {error, reason()}.
derive(Params, Password, Salt, Output, Options) ->
    Limits = {maps:get(danger_weak, Options, false), ceiling()},
    with(Params, fun(Costs) ->
                         call(kdf_derive, [Costs, key(Password), iolist_to_binary(Salt), Limits, output(Output)])
                 end).

%% The strongest costs that stay within the time and the memory on this machine, for derive/4 and hash/2. Takes some
%% times as long as what it looks for. {budget, _}: not enough time for costs that are strong enough.
-spec calibrate(goal()) -> {ok, params()} | {error, reason()}.
calibrate(#{milliseconds := Milliseconds} = Goal) ->
    Algorithm = maps:get(algorithm, Goal, argon2id),
    Memory = maps:get(memory, Goal, ?DEFAULT_MEMORY),
    Lanes = maps:get(lanes, Goal, 1),
    Valid = lists:all(fun is_cost/1, [Milliseconds, Memory, Lanes]) andalso is_algorithm(Algorithm),
    case ceiling() of
        _ when not Valid -> {error, {kdf, bad_params}};
        Ceiling when Memory > Ceiling ->
            {error, {kdf, {memory, #{needed => Memory, ceiling => Ceiling}}}};
        Ceiling ->
            calibrated(call(kdf_calibrate, [Algorithm, Milliseconds, {Memory, Ceiling}, Lanes]))
    end;
calibrate(_Goal) ->
    {error, {kdf, bad_params}}.

calibrated({ok, {argon2id, Memory, Passes, Lanes}}) ->
    {ok, #{algorithm => argon2id, memory => Memory, passes => Passes, lanes => Lanes}};
calibrated({ok, {scrypt, LogN, R, P}}) ->
    {ok, #{algorithm => scrypt, log_n => LogN, r => R, p => P}};
calibrated({ok, {Algorithm, Iterations}}) ->
    {ok, #{algorithm => Algorithm, iterations => Iterations}};
calibrated({error, _} = Error) ->
    Error.

%% What hash/1 uses: Argon2id with 64 MiB and 3 passes (RFC 9106 section 4, its second choice), and one lane, as lanes
%% are filled one after the other here.
-spec defaults() -> params().
defaults() ->
    #{algorithm => argon2id, memory => ?DEFAULT_MEMORY, passes => 3, lanes => 1}.

%% ---- hashes of passwords ----

%% A PHC string with a new random salt, to be kept and given to verify/2.
-spec hash(Password :: key()) -> {ok, Phc :: binary()} | {error, reason()}.
hash(Password) ->
    hash(Password, defaults()).

-spec hash(Password :: key(), params()) -> {ok, Phc :: binary()} | {error, reason()}.
hash(Password, Params) ->
    with(Params, fun(Costs) -> call(kdf_hash, [Costs, key(Password), ceiling()]) end).

%% Whether Phc is the hash of Password. False also for a string that can't be checked; check/2 says why. With `undefined`
%% (there is no such user) it takes the time of a check and says false, so that nobody learns who exists.
-spec verify(Password :: key(), Phc :: iodata() | undefined) -> boolean().
verify(Password, undefined) ->
    _ = hash(Password),
    false;
verify(Password, Phc) ->
    check(Password, Phc) =:= ok.

%% As verify/2, with the reason. Strings of argon2id, argon2i, argon2d (versions 19 and 16), scrypt, pbkdf2-sha256 and
%% pbkdf2-sha512, the latter also as passlib and pbkdf2_elixir write them. Costs below the floor are checked (and
%% needs_rehash/1 is true); costs above the limits are refused before anything is allocated.
-spec check(Password :: key(), Phc :: iodata()) -> ok | {error, reason()}.
check(Password, Phc) ->
    call(kdf_check, [key(Password), iolist_to_binary(Phc), ceiling()]).

%% Whether the password should be hashed anew at the next login: another function, less cost, a shorter salt or hash
%% than are made today, or not a PHC string.
-spec needs_rehash(Phc :: iodata()) -> boolean().
needs_rehash(Phc) ->
    needs_rehash(Phc, defaults()).

-spec needs_rehash(Phc :: iodata(), params()) -> boolean().
needs_rehash(Phc, Params) ->
    {ok, Costs} = costs(Params),
    call(kdf_needs_rehash, [iolist_to_binary(Phc), Costs]).

%% ---- the small ones ----

%% HMAC (RFC 2104).
-spec hmac(hash(), Key :: key(), Data :: iodata()) -> binary().
hmac(Hash, Key, Data) ->
    {Bytes, Text} = {key(Key), iolist_to_binary(Data)},
    case is_small(Bytes) andalso is_small(Text) of
        true -> call(kdf_hmac, [Hash, Bytes, Text]);
        false -> call(kdf_hmac_big, [Hash, Bytes, Text])
    end.

%% The hash of Data (FIPS 180-4).
-spec digest(hash(), Data :: iodata()) -> binary().
digest(Hash, Data) ->
    Text = iolist_to_binary(Data),
    case is_small(Text) of
        true -> call(kdf_digest, [Hash, Text]);
        false -> call(kdf_digest_big, [Hash, Text])
    end.

%% In lower-case hexadecimal or base64.
-spec digest(hash(), Data :: iodata(), raw | hex | base64) -> binary().
digest(Hash, Data, raw) -> digest(Hash, Data);
digest(Hash, Data, base64) -> base64:encode(digest(Hash, Data));
digest(Hash, Data, hex) -> << <<(hex(N))>> || <<N:4>> <= digest(Hash, Data) >>.

hex(N) when N < 10 -> $0 + N;
hex(N) -> $a + N - 10.

%% Whether both are the same bytes. The time depends on their lengths alone, never on where they differ.
-spec equal(key(), key()) -> boolean().
equal(A, B) ->
    {One, Other} = {key(A), key(B)},
    case is_small(One) andalso is_small(Other) of
        true -> call(kdf_equal, [One, Other]);
        false -> call(kdf_equal_big, [One, Other])
    end.

%% Takes charge of these bytes, 64 KiB at most. The copy that the caller has is the caller's to forget.
-spec secret(iodata()) -> secret().
secret(Bytes) ->
    Key = key(Bytes),
    is_small(Key) orelse error(badarg),
    {ok, Secret} = call(secret_new, [Key]),
    Secret.

%% KiB that all calls that run at once may take: `kdf_memory` of the application's environment, else 1 GiB, or half of
%% what the machine or the container has if that is less.
-spec ceiling() -> pos_integer().
ceiling() ->
    case application:get_env(merlon, kdf_memory) of
        {ok, KiB} when is_integer(KiB), KiB > 0 -> KiB;
        _ -> min(?MAX_MEMORY, merlon_kdf_memory:total() div 2)
    end.

-spec format_error({error, reason()} | reason()) -> iodata().
format_error({error, Reason}) -> format_error(Reason);
format_error({kdf, Reason}) -> words(Reason).

words(bad_params) ->
    "not the parameters of a key derivation: see the type merlon_kdf:params()";
words(not_phc) -> "not a PHC string ($argon2id$v=19$m=...): store what merlon_kdf:hash/1 gives";
words(unknown_phc) ->
    "a PHC string of a function or version that is not known: argon2id, argon2i, argon2d, scrypt, "
    "pbkdf2-sha256 and pbkdf2-sha512 are";
words(verify_only) -> "argon2i and argon2d are only checked, not made: use argon2id";
words(wrong_password) -> "the password is another one";
words(no_randomness) -> "the system gives no random bytes";
words({too_long, _}) -> "HKDF gives at most 255 times the length of its hash: ask for less";
words({short_key, #{length := Length}}) ->
    io_lib:format("~b bytes are less than the hash has: use hkdf/5 or hkdf_extract/4 first", [Length]);
words({range, #{name := Name, min := Min, max := Max}}) ->
    io_lib:format("~ts must be from ~b to ~b", [Name, Min, Max]);
words({weak, costs}) ->
    "the costs are below OWASP's minimum: use merlon_kdf:defaults/0 or calibrate/1";
words({weak, salt}) -> "the salt has less than 16 bytes: use 16 random ones";
words({weak, length}) -> "a key of less than 16 bytes can be guessed: ask for 16 or more";
words({work, _}) -> "these costs would take most of a minute: lower them";
words({memory, #{needed := Needed, ceiling := Ceiling}}) ->
    io_lib:format("~b KiB are needed and ~b allowed: lower the memory or raise kdf_memory of "
                  "merlon's environment", [Needed, Ceiling]);
words({busy, #{needed := Needed, ceiling := Ceiling}}) ->
    io_lib:format("with those that run now, ~b KiB more would be over the ~b that are allowed: try "
                  "again, or raise kdf_memory of merlon's environment", [Needed, Ceiling]);
words({out_of_memory, #{needed := Needed}}) ->
    io_lib:format("the system does not give ~b KiB: lower the memory", [Needed]);
words({budget, #{milliseconds := Needed}}) ->
    io_lib:format("costs that are strong enough take ~b ms here: allow as much", [Needed]).

%% ---- helpers ----

with(Params, Fun) ->
    case costs(Params) of
        {ok, Costs} -> Fun(Costs);
        error ->
            {error, {kdf, bad_params}}
    end.

costs(#{algorithm := argon2id, memory := Memory, passes := Passes} = Params) ->
    costs(argon2id, [Memory, Passes, maps:get(lanes, Params, 1)],
          maps:without([algorithm, memory, passes, lanes], Params));
costs(#{algorithm := scrypt, log_n := LogN} = Params) ->
    costs(scrypt, [LogN, maps:get(r, Params, 8), maps:get(p, Params, 1)],
          maps:without([algorithm, log_n, r, p], Params));
costs(#{algorithm := Algorithm, iterations := Iterations} = Params)
  when Algorithm =:= pbkdf2_sha256; Algorithm =:= pbkdf2_sha512 ->
    costs(Algorithm, [Iterations], maps:without([algorithm, iterations], Params));
costs(_Params) ->
    error.

%% A key that is not known may be a cost that was meant: it is not passed over.
costs(Algorithm, Costs, Unknown) ->
    case map_size(Unknown) =:= 0 andalso lists:all(fun is_cost/1, Costs) of
        true -> {ok, list_to_tuple([Algorithm | Costs])};
        false -> error
    end.

is_cost(Cost) -> is_integer(Cost) andalso Cost > 0 andalso Cost =< ?MAX_COST.

is_algorithm(Algorithm) -> lists:member(Algorithm, [argon2id, scrypt, pbkdf2_sha256, pbkdf2_sha512]).

key(Secret) when is_reference(Secret) -> Secret;
key(Bytes) ->
    try iolist_to_binary(Bytes)
    catch error:badarg -> error(badarg)
    end.

%% A secret is never big: see secret/1.
is_small(Bytes) -> is_reference(Bytes) orelse byte_size(Bytes) =< ?SMALL.

output(Length) when is_integer(Length) -> {binary, Length};
output({_, _} = Output) -> Output.

%% What is no argument of the library's is raised again, without the arguments: a stack trace goes into logs, and it
%% shows them.
call(Function, Arguments) ->
    ok = load(),
    try apply(merlon_nif, Function, Arguments)
    catch error:badarg -> error(badarg)
    end.

%% To ask load/0 at each call would hold up code loading.
load() ->
    case persistent_term:get(?MODULE, not_loaded) of
        loaded -> ok;
        not_loaded ->
            ok = merlon_nif:load(),
            persistent_term:put(?MODULE, loaded)
    end.
