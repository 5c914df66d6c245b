%% SPDX-License-Identifier: Apache-2.0
%% Advisories about OTP that concern nodes and what they speak, and whether a configuration lets one reach them. The table is
%% of the day that as_of/0 gives: what came later is not in it. Sources: the CVE records (cvelistV5, https://cna.erlef.org/cves/ID.html),
%% from which the ranges are, https://github.com/erlang/otp/tree/master/vex, and the release notes of OTP's patches. Left out: faults of
%% DTLS, SCTP, OCSP, LDAP, mnesia, ftp, tftp and build tools, which no link between nodes has.
-module(merlon_audit_advisories).

-export([as_of/0, all/0, find/2, told/2, findings/2, version/1, is_maintained/1]).
-export_type([row/0, fact/0, thing/0]).

%% What a configuration is known to have.
-type fact() :: tls_dist | tcp_dist | check_ip | tls12 | tls13 | tickets | sni | inet_res | ssh | inets.
-type thing() :: {otp | erts | ssl | ssh | public_key | kernel | inets, Version :: binary()}.
-type row() :: #{id := binary(), what := binary(),
                 reach := [[fact()]],               % any of these, each with all that is in it; [] nobody knows
                 otp := [{From :: binary(), Before :: binary()}],
                 app => {atom(), [{From :: binary(), Before :: binary()}]}}.

%% Mended in the patches of 2026-11-24, whose release notes name them. Of 27 no such patch was known on the day of this table.
-define(OF_NOVEMBER, [{<<"28.0">>, <<"28.5.0.9">>}, {<<"29.0">>, <<"29.1.3">>}]).

-spec as_of() -> calendar:date().
as_of() -> {2026, 11, 27}.

%% Releases of OTP that get patches, on that day.
-spec is_maintained(Major :: non_neg_integer()) -> boolean().
is_maintained(Major) -> Major >= 27.

-spec all() -> [row()].
all() -> certificates() ++ records() ++ runtime() ++ services().

%% TLS of the distribution: who is let in.
certificates() ->
    [#{id => <<"CVE-2026-55953">>, what => <<"a TLS 1.2 client accepts a server without any certificate">>,
       reach => [[tls_dist, tls12]],
       otp => [{<<"17.0">>, <<"27.3.4.15">>}, {<<"28.0">>, <<"28.5.0.4">>}, {<<"29.0">>, <<"29.0.4">>}],
       app => {ssl, [{<<"5.3.4">>, <<"11.2.12.11">>}, {<<"11.3">>, <<"11.6.0.4">>}, {<<"11.7">>, <<"11.7.4">>}]}},
     #{id => <<"CVE-2026-89422">>, what => <<"a TLS 1.3 client accepts a server that answers with a key it never offered">>,
       reach => [[tls_dist, tls13]],
       otp => [{<<"22.2">>, <<"27.3.4.18">>}, {<<"28.0">>, <<"28.5.0.7">>}, {<<"29.0">>, <<"29.1.1">>}],
       app => {ssl, [{<<"9.5">>, <<"11.2.12.13">>}, {<<"11.3">>, <<"11.6.0.6">>}, {<<"11.7">>, <<"11.7.7">>}]}},
     #{id => <<"CVE-2026-48860">>, what => <<"check_ip of TLS distribution lets every address in">>,
       reach => [[tls_dist, check_ip]],
       otp => [{<<"26.0">>, <<"27.3.4.13">>}, {<<"28.0">>, <<"28.5.0.2">>}, {<<"29.0">>, <<"29.0.2">>}],
       app => {ssl, [{<<"11.0">>, <<"11.2.12.9">>}, {<<"11.3">>, <<"11.6.0.2">>}, {<<"11.7">>, <<"11.7.2">>}]}},
     #{id => <<"CVE-2026-42790">>, what => <<"a certificate without SAN escapes the name constraints of its CA">>,
       reach => [[tls_dist]],
       otp => [{<<"19.3">>, <<"26.2.5.21">>}, {<<"27.0">>, <<"27.3.4.12">>}, {<<"28.0">>, <<"28.5.0.1">>}, {<<"29.0">>, <<"29.0.1">>}],
       app => {public_key, [{<<"1.4">>, <<"1.15.1.7">>}, {<<"1.16">>, <<"1.17.1.3">>}, {<<"1.18">>, <<"1.20.3.1">>},
                            {<<"1.21">>, <<"1.21.1">>}]}},
     #{id => <<"CVE-2024-53846">>, what => <<"the extended key usage of a peer's certificate is checked wrongly">>,
       reach => [[tls_dist]],
       otp => [{<<"25.3.2.8">>, <<"25.3.2.16">>}, {<<"26.2">>, <<"26.2.5.6">>}, {<<"27.0">>, <<"27.1.3">>}],
       app => {ssl, [{<<"11.1">>, <<"11.1.4.6">>}, {<<"11.2">>, <<"11.2.5">>}]}},
     #{id => <<"CVE-2022-37026">>, what => <<"a TLS server lets clients in whose certificate it has not checked">>,
       reach => [[tls_dist]],
       otp => [{<<"17.0">>, <<"23.3.4.15">>}, {<<"24.0">>, <<"24.3.4.2">>}, {<<"25.0">>, <<"25.0.2">>}]},
     #{id => <<"CVE-2026-105236">>, what => <<"a TLS session is resumed under another name than it was made for">>,
       reach => [[tls_dist, tls12, sni]],
       otp => [{<<"17.0">>, <<"27.3.4.19">>}, {<<"28.0">>, <<"28.5.0.8">>}, {<<"29.0">>, <<"29.1.2">>}]}].

%% TLS of the distribution: what a stranger's bytes do.
records() ->
    [#{id => <<"CVE-2026-58227">>, what => <<"a peer's chain of certificates makes the handshake run on without end">>,
       reach => [[tls_dist]],
       otp => [{<<"23.2">>, <<"27.3.4.15">>}, {<<"28.0">>, <<"28.5.0.4">>}, {<<"29.0">>, <<"29.0.4">>}],
       app => {ssl, [{<<"10.2">>, <<"11.2.12.11">>}, {<<"11.3">>, <<"11.6.0.4">>}, {<<"11.7">>, <<"11.7.4">>}]}},
     #{id => <<"CVE-2026-59251">>, what => <<"a certificate's policies take exponential time">>,
       reach => [[tls_dist]],
       otp => [{<<"26.2">>, <<"27.3.4.15">>}, {<<"28.0">>, <<"28.5.0.4">>}, {<<"29.0">>, <<"29.0.4">>}],
       app => {public_key, [{<<"1.15">>, <<"1.17.1.5">>}, {<<"1.18">>, <<"1.20.3.4">>}, {<<"1.21">>, <<"1.21.4">>}]}},
     #{id => <<"CVE-2026-54891">>, what => <<"plain bytes sent into the handshake reach the client as if they had been encrypted">>,
       reach => [[tls_dist]],
       otp => [{<<"17.0">>, <<"27.3.4.14">>}, {<<"28.0">>, <<"28.5.0.3">>}, {<<"29.0">>, <<"29.0.3">>}],
       app => {ssl, [{<<"5.3.4">>, <<"11.2.12.10">>}, {<<"11.3">>, <<"11.6.0.3">>}, {<<"11.7">>, <<"11.7.3">>}]}},
     #{id => <<"CVE-2026-94200">>, what => <<"a TLS 1.3 server's ticket takes ssl down on the client">>,
       reach => [[tls_dist, tls13, tickets]],
       otp => [{<<"23.3">>, <<"27.3.4.19">>}, {<<"28.0">>, <<"28.5.0.8">>}, {<<"29.0">>, <<"29.1.2">>}]},
     #{id => <<"CVE-2026-55952">>, what => <<"one ClientHello ends a TLS 1.3 server's handling of tickets, without a certificate">>,
       reach => [[tls_dist, tls13, tickets]],
       otp => [{<<"22.2">>, <<"27.3.4.14">>}, {<<"28.0">>, <<"28.5.0.3">>}, {<<"29.0">>, <<"29.0.3">>}],
       app => {ssl, [{<<"9.5">>, <<"11.2.12.10">>}, {<<"11.3">>, <<"11.6.0.3">>}, {<<"11.7">>, <<"11.7.3">>}]}}].

%% The VM.
runtime() ->
    [#{id => <<"CVE-2026-75538">>, what => <<"a length of a packet overflows the buffer of an Erlang TCP port ({packet, 4})">>,
       reach => [[tls_dist], [tcp_dist]],
       otp => [{<<"17.0">>, <<"27.3.4.17">>}, {<<"28.0">>, <<"28.5.0.6">>}, {<<"29.0">>, <<"29.0.6">>}],
       app => {erts, [{<<"6.0">>, <<"15.2.7.13">>}, {<<"16.0">>, <<"16.4.0.6">>}, {<<"17.0">>, <<"17.0.6">>}]}},
     #{id => <<"CVE-2026-54890">>, what => <<"a few bytes in external term format stop the VM, with safe too">>,
       reach => [[tcp_dist]],
       otp => [{<<"27.0">>, <<"27.3.4.15">>}, {<<"28.0">>, <<"28.5.0.4">>}, {<<"29.0">>, <<"29.0.4">>}],
       app => {erts, [{<<"15.0">>, <<"15.2.7.11">>}, {<<"16.0">>, <<"16.4.0.4">>}, {<<"17.0">>, <<"17.0.4">>}]}},
     #{id => <<"CVE-2026-28810">>, what => <<"ids of OTP's own DNS queries can be guessed, and answers forged">>,
       reach => [[inet_res]],
       otp => [{<<"17.0">>, <<"26.2.5.19">>}, {<<"27.0">>, <<"27.3.4.10">>}, {<<"28.0">>, <<"28.4.2">>}],
       app => {kernel, [{<<"3.0">>, <<"9.2.4.11">>}, {<<"10.0">>, <<"10.2.7.4">>}, {<<"10.3">>, <<"10.6.2">>}]}},
     #{id => <<"CVE-2026-116293">>, what => <<"a reference without an id in external term format writes past the heap, with safe too">>,
       reach => [[tcp_dist]], otp => ?OF_NOVEMBER},
     #{id => <<"CVE-2026-117642">>, what => <<"funs inside funs in external term format exhaust the stack, with safe too">>,
       reach => [[tcp_dist]], otp => ?OF_NOVEMBER},
     #{id => <<"CVE-2026-119443">>, what => <<"xmerl_scan fetches the DTD that a document names">>, reach => [], otp => ?OF_NOVEMBER},
     #{id => <<"CVE-2026-115747">>, what => <<"the JIT of AArch64 crashes on a number; and 116225, 116295, 116382, 120961, "
                                              "125658, not looked into">>,
       reach => [], otp => ?OF_NOVEMBER}].

%% Servers that a release may have in it.
services() ->
    [#{id => <<"CVE-2025-32433">>, what => <<"whoever reaches the SSH server runs code in the node, without a login">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"25.3.2.20">>}, {<<"26.0">>, <<"26.2.5.11">>}, {<<"27.0">>, <<"27.3.3">>}],
       app => {ssh, [{<<"3.0.1">>, <<"4.15.3.12">>}, {<<"5.0">>, <<"5.1.4.8">>}, {<<"5.2">>, <<"5.2.10">>}]}},
     #{id => <<"CVE-2026-23943">>, what => <<"an SSH packet inflates to a thousand times its size, without a login">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"26.2.5.18">>}, {<<"27.0">>, <<"27.3.4.9">>}, {<<"28.0">>, <<"28.4.1">>}],
       app => {ssh, [{<<"3.0.1">>, <<"5.1.4.14">>}, {<<"5.2">>, <<"5.2.11.6">>}, {<<"5.3">>, <<"5.5.1">>}]}},
     #{id => <<"CVE-2025-48041">>, what => <<"an SFTP client takes handles and memory without a limit">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"26.2.5.15">>}, {<<"27.0">>, <<"27.3.4.3">>}, {<<"28.0">>, <<"28.0.3">>}],
       app => {ssh, [{<<"3.0.1">>, <<"5.1.4.12">>}, {<<"5.2">>, <<"5.2.11.3">>}, {<<"5.3">>, <<"5.3.3">>}]}},
     #{id => <<"CVE-2025-30211">>, what => <<"an SSH key exchange takes memory without a limit, without a login">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"25.3.2.19">>}, {<<"26.0">>, <<"26.2.5.10">>}, {<<"27.0">>, <<"27.3.1">>}],
       app => {ssh, [{<<"5.2">>, <<"5.2.9">>}]}},
     #{id => <<"CVE-2025-46712">>, what => <<"SSH takes messages that strict key exchange forbids, from whoever is on the way">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"25.3.2.21">>}, {<<"26.0">>, <<"26.2.5.12">>}, {<<"27.0">>, <<"27.3.4">>}],
       app => {ssh, [{<<"5.2">>, <<"5.2.11">>}]}},
     #{id => <<"CVE-2026-54886">>, what => <<"an SFTP client makes its channel run on without end">>,
       reach => [[ssh]],
       otp => [{<<"17.0">>, <<"27.3.4.14">>}, {<<"28.0">>, <<"28.5.0.3">>}, {<<"29.0">>, <<"29.0.3">>}]},
     #{id => <<"CVE-2026-73812">>, what => <<"httpd of inets and a proxy before it disagree where a request ends">>,
       reach => [[inets]],
       otp => [{<<"17.0">>, <<"27.3.4.17">>}, {<<"28.0">>, <<"28.5.0.6">>}, {<<"29.0">>, <<"29.0.6">>}],
       app => {inets, [{<<"5.10">>, <<"9.3.2.7">>}, {<<"9.4">>, <<"9.6.2.3">>}, {<<"9.7">>, <<"9.7.2">>}]}}].

%% The advisories for a version of OTP or of an application, with the version that mends it, and whether they are reached.
-spec find(thing(), [fact()]) -> [{row(), FixedIn :: binary(), Reached :: boolean()}].
find({Thing, Version}, Facts) ->
    [{Row, Before, is_reached(Row, Facts)}
     || Row <- all(), {From, Before} <- ranges(Thing, Row), not is_before(Version, From), is_before(Version, Before)].

ranges(otp, #{otp := Ranges}) -> Ranges;
ranges(App, #{app := {App, Ranges}}) -> Ranges;
ranges(_, _) -> [].

is_reached(#{reach := Ways}, Facts) -> lists:any(fun(Way) -> Way -- Facts =:= [] end, Ways).

%% Versions are numbers with dots between them.
is_before(A, B) -> numbers(A) < numbers(B).

numbers(Version) -> [binary_to_integer(Part) || Part <- binary:split(Version, <<".">>, [global])].

%% The same as a rule and its words, and whether a version of OTP gets patches at all.
-spec told(thing(), [fact()]) -> [{Rule :: atom(), What :: binary()}].
told({Thing, Version} = Of, Facts) ->
    [{rule(Reached), iolist_to_binary([label(Thing), $\s, Version, ": ", Id, ", ", What, "; mended in ", Fixed, "; ",
                                       reach(Reached, Ways, Facts)])}
     || {#{id := Id, what := What, reach := Ways}, Fixed, Reached} <- find(Of, Facts)] ++ old(Of).

rule(true) -> otp_advisory;
rule(false) -> otp_unreached.

%% What of the configuration leads there, or what would.
reach(true, Ways, Facts) -> ["reached by ", together(hd([Way || Way <- Ways, Way -- Facts =:= []]))];
reach(false, [], _Facts) -> "no configuration says whether it is reached";
reach(false, Ways, _Facts) -> ["not reached without ", lists:join(" or ", [together(Way) || Way <- Ways])].

together(Way) -> lists:join(", ", [means(Fact) || Fact <- Way]).

means(tls_dist) -> "inet_tls";
means(tcp_dist) -> "plain distribution";
means(check_ip) -> "check_ip";
means(tls12) -> "TLS 1.2";
means(tls13) -> "TLS 1.3";
means(tickets) -> "session_tickets";
means(sni) -> "sni_hosts or sni_fun";
means(inet_res) -> "DNS by OTP";
means(ssh) -> "ssh";
means(inets) -> "inets".

label(otp) -> "OTP";
label(App) -> atom_to_binary(App).

old({otp, Version}) ->
    [Major | _] = numbers(Version),
    [{otp_unmaintained, <<"OTP ", (integer_to_binary(Major))/binary>>} || not is_maintained(Major)];
%% erts 13 is of OTP 25.
old({erts, Version}) -> old({otp, integer_to_binary(hd(numbers(Version)) + 12)});
old(_) -> [].

%% What is a version and nothing else. OTP_VERSION of a patched installation has ** behind it.
-spec version(binary()) -> [binary()].
version(Text) ->
    [Version || {match, [Version]} <- [re:run(Text, "\\A([0-9]+(?:\\.[0-9]+)*)[*\\s]*\\z", [{capture, [1], binary}])]].

%% ---- of a tree ----

-spec findings([merlon_audit_conf_joined:file()], [fact()]) -> [{binary(), merlon_audit_conf_rules:found()}].
findings(Files, Facts) ->
    lists:usort(lists:append([thing(Name, Item, Facts) || {Name, _, Items} <- Files, Item <- Items])).

thing(File, {otp, Line, Version}, Facts) -> about(File, Line, told({otp, Version}, Facts));
thing(File, {app, App, Version}, Facts) -> about(File, 0, told({binary_to_existing_atom(App), Version}, Facts));
thing(File, {image, Line, Image}, Facts) ->
    case image(Image) of
        {exact, Version} -> about(File, Line, told({otp, Version}, Facts));
        {moving, Version} -> about(File, Line, old({otp, Version}));
        none -> []
    end;
thing(_, _, _) -> [].

about(File, Line, Told) -> [{File, {Line, Rule, What}} || {Rule, What} <- Told].

%% erlang:27.3 moves to its next patch, erlang:27.3.4.1 and hexpm's images do not.
image(Image) ->
    Patterns = [{"^(?:.*/)?hexpm/(?:elixir:[^@]*erlang-|erlang:)([0-9.]+[0-9])", exact},
                {"^(?:docker\\.io/|docker\\.io/library/)?erlang:([0-9]+\\.[0-9]+\\.[0-9.]*[0-9])", exact},
                {"^(?:docker\\.io/|docker\\.io/library/)?erlang:([0-9]+(?:\\.[0-9]+)?)(?:-|@|$)", moving},
                {"^(?:docker\\.io/|docker\\.io/library/)?elixir:[^@]*otp-([0-9]+)", moving}],
    case [{Kind, Version} || {Pattern, Kind} <- Patterns,
                             {match, [Version]} <- [re:run(Image, Pattern, [{capture, [1], binary}])]] of
        [Found | _] -> Found;
        [] -> none
    end.
