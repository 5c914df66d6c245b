%% SPDX-License-Identifier: Apache-2.0
%% Rows of merlon_audit_rules about what runs: nodes, their links, and what the network is shown.
-module(merlon_audit_rules_wire).

-export([rows/0]).

-define(DISTRIBUTION, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/distribution">>).
-define(OTP, <<"https://www.erlang.org/doc/system/secure_coding.html">>).
-define(PROTOCOL, <<"https://www.erlang.org/doc/apps/erts/erl_dist_protocol.html">>).
-define(EPMD, <<"https://www.erlang.org/doc/apps/erts/epmd_cmd.html">>).
-define(RFC8996, <<"https://www.rfc-editor.org/rfc/rfc8996">>).
-define(TLS_DIST, <<"https://www.erlang.org/doc/apps/ssl/ssl_distribution.html">>).

-spec rows() -> [merlon_audit_rules:row()].
rows() -> wire() ++ bait() ++ live().

row(Id, Cwe, Severity, {Title, Why, Fix}, Refs) ->
    #{id => Id, otp => <<"DEP-001">>, cwe => Cwe, severity => Severity, title => Title, why => Why, fix => Fix, refs => Refs}.

wire() ->
    [row(wire_epmd, 200, low,
         {<<"epmd tells strangers the nodes' names">>,
          <<"Whoever reaches the port learns every node of the host and where it listens.">>,
          <<"Let only the cluster reach it, or only the host itself:\n"
            "    ERL_EPMD_ADDRESS=127.0.0.1\n"
            "or do without (-epmd_module merlon_epmd).">>}, [?EPMD, ?DISTRIBUTION]),
     row(wire_plain, 319, high,
         {<<"Plain distribution is offered to strangers">>,
          <<"All traffic can be read and changed on the way, and nothing but the cookie keeps a stranger out.">>,
          <<"Start the node with\n"
            "    -proto_dist merlon">>}, [?PROTOCOL, ?DISTRIBUTION]),
     row(wire_client_cert, 306, high,
         {<<"TLS distribution without a client certificate">>,
          <<"The node talks the distribution's handshake with anybody: TLS hides the traffic, but only the cookie decides who "
            "comes in.">>,
          <<"    {server, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, ...]}\n"
            "in ssl_dist_optfile, or -proto_dist merlon, which knows nothing else.">>}, [?TLS_DIST]),
     row(wire_tls_old, 327, low,
         {<<"TLS older than 1.3 is taken">>,
          <<"TLS 1.2 shows both certificates to whoever listens, and depends on good choices of ciphers.">>,
          <<"    {versions, ['tlsv1.3']}        in ssl_dist_optfile, on both sides">>}, [?TLS_DIST]),
     row(wire_tls_deprecated, 327, medium,
         {<<"TLS 1.0 or 1.1 is taken">>,
          <<"Both rest on MD5 and SHA-1, have no authenticated ciphers, and are not to be used since 2021.">>,
          <<"    {versions, ['tlsv1.3']}        in ssl_dist_optfile, on both sides; or -proto_dist merlon">>},
         [?RFC8996, ?TLS_DIST]),
     row(wire_names, 200, note,
         {<<"The certificate tells a stranger names">>,
          <<"A TLS server shows its certificate before it knows who asks; the names in it are no secrets then.">>,
          <<"Keep strangers off the port ({allow, [...]} in merlon.config, a firewall) where names matter.">>},
         [?DISTRIBUTION])].

bait() ->
    [row(bait_digest, 522, critical,
         {<<"A node shows a stranger a digest of its cookie">>,
          <<"The dialling side answers the challenge first: md5 of cookie and challenge, for whoever it could be made to dial, to "
            "be searched at leisure.">>,
          <<"    -proto_dist merlon        the stranger has to prove itself first\n"
            "and no discovery that believes any packet.">>}, [?PROTOCOL, ?DISTRIBUTION]),
     row(bait_dialled, 918, medium,
         {<<"A node dials a stranger">>,
          <<"It connects to an address that came from outside, and says its name.">>,
          <<"Dial names of your configuration, over a carrier that proves who answers:\n"
            "    -proto_dist merlon">>}, [?DISTRIBUTION]),
     row(bait_tls, 918, note,
         {<<"A node dials a stranger over TLS">>,
          <<"Nothing is shown to it, but that the address was dialled says that its name came from outside.">>,
          <<"Nothing to do, if both sides verify: merlon does always, inet_tls with {verify, verify_peer} alone.">>},
         [?DISTRIBUTION])].

live() ->
    [row(live_plain_link, 319, high,
         {<<"A link that is not encrypted">>,
          <<"All that the two nodes say can be read and changed on the way, the cookie's digests among it.">>,
          <<"Start both nodes with\n"
            "    -proto_dist merlon">>}, [?DISTRIBUTION]),
     row(live_tls_link, 295, low,
         {<<"A link over TLS that is not bound to the node's name">>,
          <<"inet_tls checks a certificate's host at most, so that any node of a host can claim any name.">>,
          <<"    -proto_dist merlon">>}, [?TLS_DIST]),
     row(live_cookie, 521, high,
         {<<"The cookie can be guessed">>,
          <<"Who has the cookie of a node without merlon's certificates runs anything on it.">>,
          <<"    merlon keyring --new        or a cookie of 32 random bytes; see merlon cookie">>}, [?DISTRIBUTION]),
     row(live_listener, 668, low,
         {<<"A port is open on all addresses">>,
          <<"Every network that the host is in can reach it.">>,
          <<"    {listen, [\"10.0.0.7\"]}.        in merlon.config\n"
            "    -kernel inet_dist_use_interface '{10,0,0,7}'\n"
            "or a firewall that knows the cluster.">>}, [?DISTRIBUTION]),
     row(live_port, 668, note,
         {<<"The node listens on other ports too">>,
          <<"Each of them is a way in for whoever can reach it.">>,
          <<"See that each is meant, and open where it has to be alone:\n"
            "    ss -ltnp        # which program listens where">>}, [?DISTRIBUTION]),
     row(live_epmd, 668, low,
         {<<"epmd is open on all addresses">>,
          <<"Every network that the host is in can ask it for the nodes' names.">>,
          <<"    ERL_EPMD_ADDRESS=127.0.0.1        or a firewall that knows the cluster">>}, [?EPMD]),
     (row(live_code_path, 732, high,
         {<<"Others can write into the code path">>,
          <<"Whoever can put a module into such a folder has it run by the node.">>,
          <<"    chmod go-w FOLDER\n"
            "and start the node from a folder of its own.">>}, [?OTP]))#{otp := <<"DEP-004">>},
     row(live_certificate, 298, medium,
         {<<"A certificate ends soon, or has ended">>,
          <<"A node whose certificate has ended makes no new links.">>,
          <<"    merlon renew        or see in the node's log why it has not been renewed">>}, [?DISTRIBUTION]),
     row(live_flags, 1188, high,
         {<<"-proto_dist does not say what is used">>,
          <<"Given twice, OTP before 27 takes neither and uses plain TCP without a word.">>,
          <<"Give it once, in vm.args or in ERL_FLAGS, ERL_AFLAGS or ERL_ZFLAGS:\n"
            "    -proto_dist merlon">>}, [?DISTRIBUTION]),
     row(live_disagree, 1188, medium,
         {<<"The nodes of the cluster disagree">>,
          <<"What one node demands and another does not is worth what the weaker one does.">>,
          <<"Bring the nodes to the same releases and settings, and look again:\n"
            "    merlon audit --node NODE --cluster">>}, [?DISTRIBUTION])].
