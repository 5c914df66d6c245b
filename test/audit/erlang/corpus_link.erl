%% SPDX-License-Identifier: Apache-2.0
-module(corpus_link).
-export([insecure/1, insecure_near/1, tls_verify_none/1, tls_verify_none_near/1, tls_verify_none_tricky/2, tls_client_cert/1, tls_client_cert_near/2,
         tls_client_cert_tricky/1, tls_versions/0, tls_versions_near/0, tls_versions_tricky/1, tls_no_versions/1,
         tls_no_versions_near/2, tls_no_versions_tricky/1, tls_ciphers/0, tls_ciphers_near/0, tls_ciphers_tricky/0,
         tls_keep_secrets/0, tls_keep_secrets_near/0, tls_keep_secrets_tricky/1, weak_kdf/1, weak_kdf_near/1,
         weak_kdf_tricky/2, timing_compare/2, timing_compare_near/2, timing_compare_tricky/3, unsafe_function/0,
         unsafe_function_near/0, unsafe_function_tricky/1, rsa_padding/2, rsa_padding_near/2, rsa_padding_tricky/2,
         debug_function/1, debug_function_near/1, debug_function_tricky/1, prod_tool/0, prod_tool_near/0,
         prod_tool_tricky/0, prod_tool_disks/0]).
-define(VERIFY, verify_none).

tls_verify_none(Host) ->
    ssl:connect(Host, 443, [{verify, verify_none}, {versions, ['tlsv1.3']}]). %! tls_verify_none high

tls_verify_none_near(Host) ->
    verify_none = hd([verify_none, Host]),
    {unverified, verify_none}.

tls_verify_none_tricky(Host, More) ->
    Options = [{verify, ?VERIFY} | More], %! tls_verify_none high
    ssl:connect(Host, 443, Options).

tls_client_cert(Port) ->
    ssl:listen(Port, [{verify, verify_peer}, {cacertfile, "ca.pem"}, {versions, ['tlsv1.3']}]). %! tls_client_cert medium

tls_client_cert_near(Port, More) ->
    {ssl:listen(Port, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, ['tlsv1.3']}]),
     ssl:listen(Port, [{verify, verify_peer} | More])}.

tls_client_cert_tricky(Port) ->
    Verify = [{verify, verify_peer}, {fail_if_no_peer_cert, false}],
    ssl:listen(Port, Verify ++ [{versions, ['tlsv1.3']}]). %! tls_client_cert medium

tls_versions() -> [{versions, ['tlsv1.2', 'tlsv1.1']}]. %! tls_versions medium

tls_versions_near() -> [{versions, ['tlsv1.2', 'tlsv1.3']}, {vsn, 'tlsv1'}].

tls_versions_tricky(Port) ->
    Versions = [tlsv1],
    ssl:listen(Port, [{versions, Versions}]). %! tls_versions medium

tls_no_versions(Port) -> ssl:listen(Port, [{certfile, "cert.pem"}]). %! tls_no_versions note

tls_no_versions_near(Port, Options) ->
    {ssl:listen(Port, [{versions, ['tlsv1.3']}]), ssl:listen(Port, Options), ssl:listen(Port, [{active, false} | Options])}.

tls_no_versions_tricky(Host) ->
    Options = [{verify, verify_peer}],
    ssl:connect(Host, 443, Options, 5000). %! tls_no_versions note

tls_ciphers() -> [{ciphers, ["ECDHE-RSA-AES128-GCM-SHA256", "RC4-SHA"]}]. %! tls_ciphers medium

tls_ciphers_near() -> [{ciphers, ["ECDHE-RSA-AES128-GCM-SHA256"]}, {names, ["RC4-SHA"]}].

tls_ciphers_tricky() ->
    {ssl:cipher_suites(anonymous, 'tlsv1.2'), %! tls_ciphers medium
     {ciphers, "AES128-GCM-SHA256:DES-CBC3-SHA"}}. %! tls_ciphers medium

tls_keep_secrets() -> [{keep_secrets, true}]. %! tls_keep_secrets high

tls_keep_secrets_near() -> [{keep_secrets, false}, keep_secrets].

tls_keep_secrets_tricky(Rest) ->
    Keep = true,
    [{keep_secrets, Keep} | Rest]. %! tls_keep_secrets high

weak_kdf(Password) -> crypto:hash(sha256, Password). %! weak_kdf medium

weak_kdf_near(Data) -> {crypto:hash(sha256, Data), crypto:pbkdf2_hmac(sha256, Data, <<"salt">>, 600000, 32)}.

weak_kdf_tricky(UserPassword, Salt) ->
    A = erlang:md5([Salt, UserPassword]), %! weak_kdf medium
    B = crypto:pbkdf2_hmac(sha256, UserPassword, Salt, 1000, 32), %! weak_kdf medium
    {A, B}.

timing_compare(Given, Secret) -> Given =:= Secret. %! timing_compare low

timing_compare_near(Given, Secret) ->
    {Secret =:= undefined, Given == <<>>, crypto:hash_equals(Given, Secret)}.

timing_compare_tricky(Key, Data, Given) ->
    Computed = crypto:mac(hmac, sha256, Key, Data),
    if
        Given == Computed -> ok; %! timing_compare low
        true -> {error, Given}
    end.

unsafe_function() -> crypto:rand_uniform(1, 100). %! unsafe_function low

unsafe_function_near() -> {rand:uniform(100), crypto:strong_rand_bytes(16)}.

unsafe_function_tricky(Url) ->
    Parse = fun http_uri:parse/1,
    {Parse(Url), random:uniform()}. %! unsafe_function low, unsafe_function low

rsa_padding(Data, Key) -> public_key:encrypt_public(Data, Key). %! rsa_padding medium

rsa_padding_near(Data, Key) ->
    {public_key:encrypt_public(Data, Key, [{rsa_padding, rsa_pkcs1_oaep_padding}]), public_key:sign(Data, sha256, Key)}.

rsa_padding_tricky(Data, Key) ->
    Padding = rsa_pkcs1_padding,
    crypto:private_decrypt(rsa, Data, Key, Padding). %! rsa_padding medium

debug_function(Pid) -> sys:get_state(Pid). %! debug_function low

debug_function_near(Pid) -> {sys:suspend(Pid), pid_to_list(Pid)}.

debug_function_tricky(Text) ->
    Convert = fun list_to_pid/1,
    {Convert(Text), %! debug_function low
     apply(dbg, tracer, [])}. %! debug_function low

prod_tool() -> observer:start(). %! prod_tool low

prod_tool_near() -> {application:ensure_all_started(ssl), observer}.

prod_tool_tricky() ->
    App = debugger,
    application:start(App). %! prod_tool low

%% It runs df.
prod_tool_disks() -> lists:keyfind("/", 1, disksup:get_disk_data()). %! prod_tool low

insecure(Url) -> hackney:request(get, Url, [], <<>>, [insecure, with_body]). %! tls_verify_none high

insecure_near(Url) -> hackney:request(get, Url, [], <<>>, [with_body, {insecure, false}]).
