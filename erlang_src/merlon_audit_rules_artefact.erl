%% SPDX-License-Identifier: Apache-2.0
%% Rows of merlon_audit_rules about what is built and laid out: releases, certificates, keys, OTP itself.
-module(merlon_audit_rules_artefact).

-export([rows/0]).

-define(OTP, <<"https://www.erlang.org/doc/system/secure_coding.html">>).
-define(RELEASES, <<"https://security.erlef.org/secure_coding_and_deployment_hardening/releases">>).
-define(CVES, <<"https://cna.erlef.org/cves/">>).
-define(VEX, <<"https://github.com/erlang/otp/tree/master/vex">>).
-define(RFC9525, <<"https://www.rfc-editor.org/rfc/rfc9525">>).

-spec rows() -> [merlon_audit_rules:row()].
rows() ->
    [#{id => release_cookie, otp => <<"DEP-001">>, cwe => 538, severity => low,
       title => <<"A release that carries its cookie">>,
       why => <<"Whoever gets the image or the archive has the cluster, and all who run it share one cookie.">>,
       fix => <<"Remove releases/COOKIE from what is shipped and give the cookie where it runs, as a file of mode 0400; or "
                "let merlon derive secrets from a keyring (merlon keyring).">>,
       refs => [?RELEASES, <<"https://hexdocs.pm/mix/Mix.Tasks.Release.html">>]},
     #{id => cookie_mode, otp => <<"MSC-004">>, cwe => 732, severity => medium,
       title => <<"A cookie's file that others may read">>,
       why => <<"Every user of the host can join the cluster and run code as the node's user.">>,
       fix => <<"    chmod 0400 FILE">>,
       refs => [?OTP]},
     #{id => key_mode, otp => <<"MSC-004">>, cwe => 732, severity => medium,
       title => <<"A private key that others may read">>,
       why => <<"Who has the key is the node, until its certificate runs out or is revoked.">>,
       fix => <<"    chmod 0600 FILE\n"
                "and keep keys out of repositories and images: merlon renew, merlon join make them where they are used.">>,
       refs => [?OTP]},
     #{id => cert_expired, otp => <<"DEP-001">>, cwe => 298, severity => medium,
       title => <<"A certificate that has run out">>,
       why => <<"Peers refuse it; who does not check dates takes a key that may long be known.">>,
       fix => <<"    merlon renew            # or issue it anew: merlon cert NODE\n"
                "merlon's nodes renew by themselves.">>,
       refs => [<<"https://www.rfc-editor.org/rfc/rfc5280">>]},
     #{id => cert_expiring, otp => <<"DEP-001">>, cwe => 298, severity => low,
       title => <<"A certificate that soon runs out">>,
       why => <<"In less than 30 days no peer will take it, all at once.">>,
       fix => <<"    merlon renew            # merlon's nodes renew by themselves">>,
       refs => [<<"https://www.rfc-editor.org/rfc/rfc5280">>]},
     #{id => cert_cn_only, otp => <<"DEP-001">>, cwe => 297, severity => medium,
       title => <<"A certificate without a subject alternative name">>,
       why => <<"The common name counts no more (RFC 9525): OTP 26.2.5.21, 27.3.4.12, 28.5.0.1, 29.0.1 and newer refuse it; "
                "older ones can be cheated with it.">>,
       fix => <<"Issue it with the host's name as SAN: merlon cert NODE does, for inet_tls too.">>,
       refs => [?RFC9525, <<"https://cna.erlef.org/cves/CVE-2026-42790.html">>]},
     #{id => cert_name, otp => <<"DEP-001">>, cwe => 297, severity => medium,
       title => <<"A certificate for another node or host">>,
       why => <<"Who dials compares the host part of the node's name with the certificate: the link fails, and verify_none "
                "is what people then reach for. In a merlon dir nodes/NAME@HOST holds that node's own, and no other starts with it.">>,
       fix => <<"Issue it for the host part of -name: merlon cert NAME@HOST">>,
       refs => [?RFC9525, <<"https://www.erlang.org/doc/apps/ssl/ssl_distribution.html">>]},
     #{id => otp_advisory, otp => <<"DEP-003">>, cwe => 1395, severity => high,
       title => <<"OTP with a known fault that this configuration exposes">>,
       why => <<"The fault is public, and the carrier or service that has it is in use here. Advisories are known up to ",
                (as_of())/binary, ": what came later is not looked for.">>,
       fix => <<"Take OTP's newest patch of the same release, and rebuild the image or the release:\n"
                "    docker build --pull .        # FROM erlang:28-slim moves to it">>,
       refs => [?CVES, ?VEX, ?OTP]},
     #{id => otp_unreached, otp => <<"DEP-003">>, cwe => 1395, severity => note,
       title => <<"OTP with a known fault that is not seen to be reached">>,
       why => <<"Nothing in these files exposes it; code that uses the service itself may.">>,
       fix => <<"Take OTP's newest patch of the same release at the next build:\n"
                "    docker build --pull .        # FROM erlang:28-slim moves to it">>,
       refs => [?CVES, ?VEX, ?OTP]},
     #{id => otp_unmaintained, otp => <<"DEP-003">>, cwe => 1104, severity => medium,
       title => <<"A release of OTP that gets no patches">>,
       why => <<"OTP mends its three newest releases; faults found since stay open in older ones.">>,
       fix => <<"Move to a release that is maintained (on 2026-11-27: 27, 28, 29):\n"
                "    FROM erlang:29-slim">>,
       refs => [?OTP, <<"https://www.erlang.org/downloads">>]}].

as_of() ->
    {Year, Month, Day} = merlon_audit_advisories:as_of(),
    iolist_to_binary(io_lib:format("~4..0b-~2..0b-~2..0b", [Year, Month, Day])).
