%% SPDX-License-Identifier: Apache-2.0
%% What native/pki finds wrong, in words. The reasons are those of its `Error::code`.
-module(merlon_pki_text).

-export([about/2, words/1]).

%% As words/1, for the certificate in a file.
-spec about(Cert :: binary(), merlon_nif:pki_reason()) -> iodata().
about(Cert, key_mismatch) ->
    [filename:dirname(Cert), "/key.pem is not the key of ", Cert];
about(Cert, malformed_key) ->
    [filename:dirname(Cert), "/key.pem is not a private key in PEM"];
about(Cert, Reason) ->
    [Cert, ": ", words(Reason)].

-spec words(merlon_nif:pki_reason()) -> iodata().
words({expired, #{not_after := End, now := Now}}) ->
    ["the certificate expired on ", merlon_text:date(End), " (", merlon_text:left(End, Now), ")"];
words({not_yet_valid, #{not_before := Start, now := Now}}) ->
    ["the certificate is valid from ", merlon_text:date(Start),
     ", but this machine's clock says ", merlon_text:date(Now)];
words({anchor_not_valid, #{not_before := Start, not_after := End, now := Now}}) ->
    ["the CA is valid from ", merlon_text:date(Start), " to ", merlon_text:date(End),
     ", and this machine's clock says ", merlon_text:date(Now)];
words({wrong_cluster, #{expected := Expected, found := Found}}) ->
    ["the certificate is of cluster ", Found, ", not ", Expected];
words({wrong_name, #{certified := Certified, claimed := Claimed}}) ->
    ["the certificate is for ", Certified, ", not for ", Claimed];
words({revoked, #{serial := Serial}}) ->
    ["the certificate with serial ", Serial, " is revoked"];
words({crl_expired, #{next_update := Due}}) ->
    ["the revocation list was to be renewed by ", merlon_text:date(Due)];
words({bad_pattern, #{pattern := Pattern}}) ->
    ["the name pattern ", Pattern, " is not allowed"];
words({csr_extension, #{oid := Oid}}) ->
    ["the signing request asks for ", Oid, ", which is not given on request"];
words({Code, _}) ->
    words(Code);
words(Code) ->
    case lists:keyfind(Code, 1, plain()) of
        {Code, Text} -> Text;
        false -> string:replace(atom_to_list(Code), "_", " ", all)
    end.

plain() ->
    [{bad_chain, "the certificate chain breaks a rule of its CA"},
     {bad_cluster, "a cluster's name is 1 to 255 of the characters a-z 0-9 . _ -"},
     {bad_crl, "the revocation list is not signed by the certificate's issuer"},
     {bad_identity, "the certificate's SPIFFE URI is not a node's or a tool's"},
     {bad_lifetime, "a certificate can't be valid for so many days"},
     {bad_node_name, "a node's name is NAME@HOST"},
     {bad_signature, "the certificate's signature is wrong"},
     {chain_too_long, "there are too many certificates in the chain"},
     {chain_too_large, "the chain has more than 16 KiB"},
     {ca_leaf, "a CA's certificate can't be a node's own"},
     {csr_name, "the signing request asks for another name"},
     {csr_signature, "the signing request is not signed with its own key"},
     {csr_too_large, "the signing request has more than 8 KiB"},
     {crypto, "the key could not be made or used"},
     {key_mismatch, "the private key is not the certificate's"},
     {malformed_certificate, "not a certificate"},
     {malformed_crl, "not a revocation list"},
     {malformed_csr, "not one certificate signing request in PEM"},
     {malformed_key, "not a private key in PEM"},
     {malformed_pem, "not PEM"},
     {malformed_statement, "not a statement about a CA"},
     {many_identities, "the certificate has more than one URI"},
     {name_constraint, "a CA of the chain may not vouch for this name"},
     {no_anchors, "no CA's certificate is trusted"},
     {no_certificate, "there is no certificate in it"},
     {no_identity, "the certificate has no SPIFFE URI, so it is for no node"},
     {not_a_node, "the certificate is a tool's, not a node's"},
     {not_a_tool, "the certificate is a node's, not a tool's"},
     {not_pinned, "there is no self-signed CA with the key that is asked for"},
     {not_ca, "a trusted certificate is not a CA's"},
     {old_statement, "a statement about the CA that is known already, or older than one that is"},
     {path_length, "the chain has more CAs than one of them allows"},
     {too_many_names, "the certificate has too many names"},
     {unknown_critical, "the chain has a critical extension that is not known here"},
     {unknown_issuer, "the certificate was issued by a CA that is not trusted here"},
     {unsupported_algorithm, "the kind of key or signature is not accepted"},
     {weak_key, "the RSA key is shorter than 2048 bits"},
     {wrong_usage, "the certificate's extended key usage is not for TLS server and client"}].
