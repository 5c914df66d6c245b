%% SPDX-License-Identifier: Apache-2.0
%% Rows of merlon_audit_rules about nodes, TLS, cryptography and what does not belong in production.
-module(merlon_audit_rules_link).

-export([rows/0]).

-define(OTP, <<"https://www.erlang.org/doc/system/secure_coding.html">>).
-define(DISTRIBUTION, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/distribution">>).
-define(SSL, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/ssl">>).
-define(SECRETS, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/sensitive_data">>).

-spec rows() -> [merlon_audit_rules:row()].
rows() ->
    [#{id => remote_node, otp => <<"DEP-001">>, cwe => 441, severity => {note, note, low, critical},
       title => <<"A call to a node that data names">>,
       why => <<"rpc, erpc and spawn dial a node that is not connected yet; a foreign one is then inside the cluster.">>,
       fix => <<"Only nodes of the cluster:\n"
                "    true = lists:member(Node, nodes()), erpc:call(Node, shop, list, [])\n"
                "and -proto_dist merlon, so that a stranger is no node.">>,
       refs => [?OTP, ?DISTRIBUTION]},
     #{id => dial, otp => <<"DEP-001">>, cwe => 918, severity => {note, note, low, critical},
       title => <<"Dialling a node that data names">>,
       why => <<"The dialling node shows md5(cookie, challenge) first, to whoever answers: enough to search for the "
                "cookie; and then it trusts that node.">>,
       fix => <<"Dial names of your configuration, over a carrier that proves who answers:\n"
                "    -proto_dist merlon">>,
       refs => [?OTP, ?DISTRIBUTION]},
     #{id => cookie_literal, otp => <<"DEP-001">>, cwe => 798, severity => {high, none, none, none},
       title => <<"A cookie in the source">>,
       why => <<"Whoever has the code or the image has the cluster: a cookie is the right to run anything on all "
                "nodes.">>,
       fix => <<"Let merlon derive the secrets from a keyring (merlon keyring), or read it from a file of mode 0400; "
                "see what it is worth with: merlon cookie FILE">>,
       refs => [?OTP, ?DISTRIBUTION]},
     #{id => global_name, otp => <<"DEP-001">>, cwe => 346, severity => {note, note, low, high},
       title => <<"A global name made of data">>,
       why => <<"Any node can take or clear any global name; names from outside let a client take a service's.">>,
       fix => <<"Fixed names, or groups whose members' nodes are checked; keep clients off the cluster:\n"
                "    [Pid || Pid <- pg:get_members(Name), lists:member(node(Pid), ?SHOPS)]">>,
       refs => [?DISTRIBUTION]},
     #{id => global_resolver, otp => <<"DEP-001">>, cwe => 346, severity => low,
       title => <<"A resolver of its own for global names">>,
       why => <<"global hands the fun to other nodes, which run it with any pids when the net heals: code of one node "
                "runs in another's name server, and decides who is killed.">>,
       fix => <<"    global:register_name(Name, Pid, fun global:random_notify_name/3)\n"
                "and supervise who loses.">>,
       refs => [<<"https://www.erlang.org/doc/apps/kernel/global.html">>]},
     #{id => gossip, otp => <<"DEP-001">>, cwe => 306, severity => high,
       title => <<"libcluster's Gossip without a secret">>,
       why => <<"Any UDP packet to its port is decoded with binary_to_term and names a node that yours then dials, "
                "showing its digest: one packet can cost the cluster.">>,
       fix => <<"Name the nodes (Cluster.Strategy.Epmd with hosts:), and -proto_dist merlon, so that only proven "
                "nodes are let in. `secret:` encrypts, but does not authenticate.">>,
       refs => [<<"https://github.com/bitwalker/libcluster">>]},
     #{id => dns_discovery, otp => <<"DEP-001">>, cwe => 350, severity => medium,
       title => <<"Nodes are found by DNS">>,
       why => <<"Whoever answers the query names the nodes that yours dials and trusts.">>,
       fix => <<"Keep it, but over -proto_dist merlon: a node that can't prove its name is refused.">>,
       refs => [<<"https://github.com/bitwalker/libcluster">>]},
     #{id => tls_verify_none, otp => <<"DSG-006">>, cwe => 295, severity => high,
       title => <<"TLS that accepts any certificate">>,
       why => <<"With verify_none whoever is on the way is the peer: TLS in name only.">>,
       fix => <<"    ssl:connect(Host, 443, [{verify, verify_peer}, {cacerts, public_key:cacerts_get()},\n"
                "                            {server_name_indication, Host} | Options])">>,
       refs => [?SSL]},
     #{id => tls_client_cert, otp => <<"DSG-006">>, cwe => 295, severity => medium,
       title => <<"A TLS server that lets clients without certificate in">>,
       why => <<"verify_peer alone asks for a certificate, but goes on when none comes.">>,
       fix => <<"    ssl:listen(Port, [{verify, verify_peer}, {fail_if_no_peer_cert, true} | Options])">>,
       refs => [?SSL]},
     #{id => tls_versions, otp => <<"DSG-005">>, cwe => 327, severity => medium,
       title => <<"Old versions of TLS are offered">>,
       why => <<"SSL 3.0, TLS 1.0 and 1.1 are broken and deprecated (RFC 8996).">>,
       fix => <<"    {versions, ['tlsv1.3']}        % with 'tlsv1.2' where old peers need it">>,
       refs => [?SSL, <<"https://www.rfc-editor.org/rfc/rfc8996">>]},
     #{id => tls_no_versions, otp => <<"DSG-005">>, cwe => 327, severity => note,
       title => <<"TLS versions are left to OTP's default">>,
       why => <<"The default differs between OTP releases; the distribution of OTP 25 offers TLS 1.2 only.">>,
       fix => <<"    {versions, ['tlsv1.3']}">>,
       refs => [?SSL]},
     #{id => tls_ciphers, otp => <<"DSG-005">>, cwe => 327, severity => medium,
       title => <<"Weak TLS ciphers">>,
       why => <<"RC4, DES, export, NULL and anonymous suites can be read or impersonated.">>,
       fix => <<"Leave `ciphers` out: the default of TLS 1.3 and 1.2 is good.\n"
                "    ssl:listen(Port, [{versions, ['tlsv1.3']}, {certs_keys, CertsKeys}])">>,
       refs => [?SSL]},
     #{id => tls_keep_secrets, otp => <<"MSC-007">>, cwe => 489, severity => high,
       title => <<"TLS keeps its secrets for debugging">>,
       why => <<"With keep_secrets whoever calls ssl:connection_information/2 can decrypt the traffic.">>,
       fix => <<"Take the option away outside of tests:\n"
                "    ssl:connect(Host, Port, [{verify, verify_peer}, {cacerts, Cacerts}])      % no keep_secrets">>,
       refs => [?OTP]},
     #{id => weak_kdf, otp => <<"MSC-004">>, cwe => 916, severity => medium,
       title => <<"A fast hash on a password">>,
       why => <<"One GPU tries billions of passwords a second against a hash, and millions against PBKDF2 with few "
                "rounds.">>,
       fix => <<"    {ok, Phc} = merlon_kdf:hash(Password)         % Argon2id; Merlon.KDF in Elixir">>,
       refs => [<<"https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html">>]},
     #{id => timing_compare, otp => <<"MSC-004">>, cwe => 208, severity => low,
       title => <<"Secrets compared in the time of their difference">>,
       why => <<"== stops at the first byte that differs: the time says how much of a guess was right.">>,
       fix => <<"    crypto:hash_equals(Expected, Given)      % of equal length, OTP 25 and newer\n"
                "    Plug.Crypto.secure_compare(expected, given)">>,
       refs => [?OTP, <<"https://www.erlang.org/doc/apps/crypto/crypto.html#hash_equals/2">>]},
     #{id => unsafe_function, otp => <<"DSG-006">>, cwe => 242, severity => low,
       title => <<"A function that OTP calls unsafe">>,
       why => <<"OTP lists it as not to be used: predictable, obsolete, or started in the wrong way.">>,
       fix => <<"crypto:strong_rand_bytes/1 for secrets, rand for the rest; uri_string for http_uri; "
                "application:ensure_all_started(crypto).">>,
       refs => [?OTP]},
     #{id => rsa_padding, otp => <<"DSG-006">>, cwe => 780, severity => medium,
       title => <<"RSA encryption with PKCS #1 v1.5 padding">>,
       why => <<"Whoever can tell good padding from bad decrypts by asking (Bleichenbacher).">>,
       fix => <<"    public_key:encrypt_public(Data, Key, [{rsa_padding, rsa_pkcs1_oaep_padding}])\n"
                "and public_key:sign/3 for signatures.">>,
       refs => [?OTP]},
     #{id => debug_function, otp => <<"MSC-007">>, cwe => 489, severity => low,
       title => <<"Debug functions in the code">>,
       why => <<"They read others' state and memory, stop schedulers, or change without notice.">>,
       fix => <<"Keep them in a shell or in tests; ask processes by calls of their own:\n"
                "    gen_server:call(Server, status)      % not sys:get_state(Server)">>,
       refs => [?OTP]},
     #{id => prod_tool, otp => <<"MSC-007">>, cwe => 489, severity => low,
       title => <<"A development tool is started">>,
       why => <<"observer, debugger and the like show and change everything; disksup runs df in a shell.">>,
       fix => <<"Leave them out of the release's applications:\n"
                "    extra_applications: [:logger]        # no :observer, :debugger, :wx, :os_mon\n"
                "and look at the node from a remote shell: merlon shell NODE">>,
       refs => [?OTP]}].
