%% SPDX-License-Identifier: Apache-2.0
%% What a dialled handshake that failed means for whoever dialled, and how to mend it. Pure.
-module(merlon_explain_text).

-export([failed/2]).

-type step() :: {merlon_explain:step(), ok | failed, binary()}.

%% The steps that went well and the one that did not, the last one first. At says where to.
-spec failed(#{phase := atom(), reason := atom(), text := binary(), _ => _}, iodata()) -> [step(), ...].
failed(#{reason := Reason, text := Text} = Failure, At) ->
    Step = step(Failure),
    Said = unicode:characters_to_binary([said(Step, Text, At), ": ", advice(Step, alert(Reason, Text))]),
    [{Step, failed, Said} | lists:reverse(before(Step, At))].

%% The alert that the peer sent says more than that it sent one.
alert(peer_alert, Text) ->
    case re:run(Text, "\\(([a-z_]+)\\)\\z", [{capture, all_but_first, list}]) of
        {match, [Name]} -> {alert, Name};
        nomatch -> {alert, "unknown"}
    end;
alert(Reason, _Text) -> Reason.

step(#{phase := tcp}) -> connect;
step(#{phase := tls, reason := peer_alert, text := Text}) ->
    case lists:member(alert(peer_alert, Text), [{alert, Name} || Name <- about_certificates()]) of
        true -> certificate;
        false -> tls
    end;
step(#{phase := Phase, reason := Reason}) ->
    case {lists:member(Reason, certificate_reasons()), Phase} of
        {true, _} -> certificate;
        {false, preamble} -> secret;
        {false, _} -> tls
    end.

about_certificates() ->
    ["bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired",
     "certificate_unknown", "unknown_ca", "certificate_required"].

certificate_reasons() ->
    [no_certificate, key_not_held, bad_name, other_node, bad_chain, bad_crl, bad_identity, bad_signature, ca_leaf,
     chain_too_large, chain_too_long, crl_expired, expired, anchor_not_valid, malformed_certificate,
     many_identities, name_constraint, no_identity, not_yet_valid, path_length, revoked, too_many_names,
     unknown_critical, unknown_issuer, unsupported_algorithm, weak_key, wrong_cluster, wrong_name, wrong_usage].

before(connect, _) -> [];
before(tls, At) -> [{connect, ok, iolist_to_binary(["connected to ", At])}];
before(certificate, At) -> before(tls, At) ++ [{tls, ok, <<"the peer speaks TLS 1.3">>}];
before(secret, At) -> before(certificate, At) ++ [{certificate, ok, <<"the peer's certificate carries the name">>}].

said(connect, Text, At) -> ["no connection to ", At, " (", Text, ")"];
said(_, Text, _) -> Text.

advice(connect, econnrefused) -> "nothing listens there; start the node, or restart epmd if it tells an old port";
advice(connect, no_identity) -> "mend that first";
advice(connect, _) -> "look at routes and firewalls between the two hosts, and whether the name resolves to the right one";
advice(tls, Reason) -> tls(Reason);
advice(certificate, Reason) -> certificate(Reason);
advice(secret, Reason) -> secret(Reason).

%% A node without encryption takes a ClientHello for a long packet, and waits for the rest.
tls(timeout) ->
    "what listens there is no merlon node, or it hangs; start the node there with -proto_dist merlon, or look at it on "
        "its host";
tls(Reason) when Reason =:= plaintext_dist; Reason =:= not_tls; Reason =:= old_tls; Reason =:= no_alpn;
                 Reason =:= wrong_alpn; Reason =:= {alert, "no_application_protocol"};
                 Reason =:= {alert, "protocol_version"} ->
    "start the node there with -proto_dist merlon";
tls(Reason) when Reason =:= peer_closed; Reason =:= closed; Reason =:= truncated; Reason =:= econnreset;
                 Reason =:= epipe ->
    "its log says why; if that says denied or throttled, look at allow, deny and unlimited in its merlon.config, if it "
        "says nothing, no merlon node listens there";
tls(_) -> "the peer's log says more".

certificate(Reason) when Reason =:= unknown_issuer; Reason =:= bad_signature ->
    "put the CA that issued it into trust/ of this node's merlon dir, or give the peer a certificate of a CA in there";
certificate(Reason) when Reason =:= expired; Reason =:= revoked; Reason =:= wrong_usage; Reason =:= weak_key;
                         Reason =:= no_identity ->
    "give the peer another with `merlon cert`";
certificate(Reason) when Reason =:= not_yet_valid; Reason =:= anchor_not_valid ->
    "set the clocks of the two hosts, or have it issued again";
certificate(crl_expired) -> "put a current crl.pem into this node's merlon dir";
certificate(wrong_cluster) -> "correct {cluster, ...} in merlon.config, or give the peer a certificate of this cluster";
certificate(Reason) when Reason =:= wrong_name; Reason =:= other_node ->
    "another node has that address or port, or the peer was given the wrong certificate: issue one for this very name";
certificate({alert, "unknown_ca"}) -> "put the CA of this node's certificate into trust/ of the peer's merlon dir";
certificate({alert, Name}) when Name =:= "certificate_expired"; Name =:= "certificate_revoked" ->
    "this node needs another certificate: `merlon cert`";
certificate({alert, _}) -> "the peer refuses this node's certificate; its log says why";
certificate(_) -> "the peer needs another certificate: `merlon cert`".

secret(Reason) when Reason =:= wrong_proof; Reason =:= proof_refused ->
    "give both nodes the same cookie or keyring";
secret(Reason) when Reason =:= no_common_key; Reason =:= no_keys; Reason =:= {alert, "unknown_psk_identity"} ->
    "give both nodes the same keyring, or neither of them one";
secret(no_cookie) -> "or give both nodes a keyring";
secret({alert, "access_denied"}) ->
    "the peer does not take this node's name or secret; its log says which: issue this node's certificate for its name, "
        "and give both the same cookie or keyring";
secret(timeout) -> "the node there hangs; look at it on its host";
secret(_) -> "the peer's log says more".
