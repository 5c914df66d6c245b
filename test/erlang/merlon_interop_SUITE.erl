%% SPDX-License-Identifier: Apache-2.0
%% Two TLS implementations that are not ours, as peers of a running node: OpenSSL's tools and
%% OTP's ssl. What they think of our records and certificates, and how the node refuses them.
-module(merlon_interop_SUITE).

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1, init_per_group/2, end_per_group/2,
         end_per_testcase/2]).
-export([an_openssl_client_with_the_right_certificate_reaches_the_preamble/1,
         an_openssl_client_is_told_the_right_alert/1,
         key_updates_of_an_openssl_client_are_survived/1,
         openssl_clients_of_each_cipher_suite_are_understood/1,
         an_openssl_server_accepts_our_certificate_and_gets_the_preamble/1,
         an_openssl_server_is_told_the_right_alert/1,
         openssl_verifies_our_certificates_strictly/1]).
-export([an_otp_client_with_the_right_certificate_reaches_the_preamble/1,
         key_updates_of_an_otp_client_are_survived/1,
         an_otp_server_accepts_our_certificate_and_gets_the_preamble/1,
         inet_tls_nodes_link_with_our_certificates/1,
         an_inet_tls_node_is_refused_and_told_apart/1]).

-import(merlon_attacker, [refusal/2]).

all() -> [{group, openssl}, {group, otp}].

groups() ->
    [{openssl, [an_openssl_client_with_the_right_certificate_reaches_the_preamble,
                an_openssl_client_is_told_the_right_alert,
                key_updates_of_an_openssl_client_are_survived,
                openssl_clients_of_each_cipher_suite_are_understood,
                an_openssl_server_accepts_our_certificate_and_gets_the_preamble,
                an_openssl_server_is_told_the_right_alert,
                openssl_verifies_our_certificates_strictly]},
     {otp, [an_otp_client_with_the_right_certificate_reaches_the_preamble,
            key_updates_of_an_otp_client_are_survived,
            an_otp_server_accepts_our_certificate_and_gets_the_preamble,
            inet_tls_nodes_link_with_our_certificates,
            an_inet_tls_node_is_refused_and_told_apart]}].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Alien = merlon_peers:node(merlon_peers:name("alien")),
    ok = merlon_peers:add_node(Dir, Alien),
    Victim = merlon_attacker:victim("victim", Dir, [], []),
    [{victim, Victim}, {dir, Dir}, {alien, Alien} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(victim(Config)).

init_per_group(openssl, Config) ->
    case merlon_openssl:version() of
        {ok, Version} -> ct:log("~s", [Version]), Config;
        none -> {skip, "OpenSSL 1.1.1 or newer is not installed"}
    end;
init_per_group(_Group, Config) ->
    Config.

end_per_group(_Group, _Config) ->
    ok.

end_per_testcase(_Case, Config) ->
    ok = merlon_attacker:once(victim(Config)).

%% ---- OpenSSL as client ----

%% The data that it sends is refused by the preamble, so TLS is up and its records are read.
an_openssl_client_with_the_right_certificate_reaches_the_preamble(Config) ->
    Client = client(["-verify_return_error" | identity(Config)], Config),
    {Tool, _} = merlon_openssl:expect(Client, "ALPN protocol: merlon/1"),
    told(merlon_openssl:say(Tool, "no preamble\n"), 10, early_data, Config).

an_openssl_client_is_told_the_right_alert(Config) ->
    told(client([], Config), 116, no_certificate, Config),
    Other = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    ok = merlon_peers:add_node(Other, alien(Config)),
    told(client(pem(Other, Config), Config), 48, unknown_issuer, Config),
    Plain = ["-tls1_3", "-CAfile", ca(Config) | identity(Config)],
    told(started(Plain, Config), 120, no_alpn, Config),
    Old = ["-tls1_2", "-alpn", "merlon/1" | identity(Config)],
    told(started(Old, Config), 70, old_tls, Config).

%% 'k' renews its own key, 'K' asks us to renew ours too. Only who keeps up can read what follows.
key_updates_of_an_openssl_client_are_survived(Config) ->
    {Tool0, _} = merlon_openssl:expect(client(identity(Config), Config), "ALPN protocol: merlon/1"),
    Tool1 = lists:foldl(fun(Key, Tool) -> typed(Key, Tool) end, Tool0, ["k", "K", "k", "K"]),
    Said = told(merlon_openssl:say(Tool1, "no preamble\n"), 10, early_data, Config),
    {match, Ours} = re:run(Said, "<<< TLS 1.3, Handshake \\[length 0005\\], KeyUpdate", [global]),
    2 = length(Ours).

typed(Key, Tool) ->
    {Typed, _} = merlon_openssl:expect(merlon_openssl:say(Tool, Key ++ "\n"), "KEYUPDATE"),
    Typed.

openssl_clients_of_each_cipher_suite_are_understood(Config) ->
    [begin
         Client = client(["-ciphersuites", Suite | identity(Config)], Config),
         {Tool, _} = merlon_openssl:expect(Client, "Cipher is " ++ Suite),
         told(merlon_openssl:say(Tool, "no preamble\n"), 10, early_data, Config)
     end || Suite <- ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                      "TLS_CHACHA20_POLY1305_SHA256"]],
    ok.

%% ---- OpenSSL as server ----

%% It checks our certificate, and then gets a record of a type that it can't know. By itself it
%% would send session tickets, which no peer that speaks merlon/1 may.
an_openssl_server_accepts_our_certificate_and_gets_the_preamble(Config) ->
    {#{reason := unexpected_handshake}, _} =
        dialled(["-alpn", "merlon/1" | identity(Config)], Config),
    {Report, Said} = dialled(["-num_tickets", "0", "-alpn", "merlon/1" | identity(Config)], Config),
    #{reason := peer_alert, phase := tls, fingerprint := Fingerprint} = Report,
    Fingerprint = merlon_attacker:fingerprint(options(Config)),
    {match, _} = re:run(Said, "Verify return code: 0 \\(ok\\)|verify return:1"),
    {match, _} = re:run(Said, "CertificateVerify"),
    nomatch = re:run(Said, "verify error").

an_openssl_server_is_told_the_right_alert(Config) ->
    {#{reason := no_alpn}, Said0} = dialled(identity(Config), Config),
    alert(120, Said0),
    Other = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    ok = merlon_peers:add_node(Other, alien(Config)),
    {#{reason := unknown_issuer}, Said1} =
        dialled(["-alpn", "merlon/1" | pem(Other, Config)], Config),
    alert(48, Said1),
    Third = merlon_peers:node(merlon_peers:name("third")),
    ok = merlon_peers:add_node(dir(Config), Third),
    {#{reason := wrong_name}, Said2} =
        dialled(["-alpn", "merlon/1" | pem(dir(Config), Third, Config)], Config),
    alert(49, Said2),
    {#{reason := peer_alert}, _} = dialled(["-tls1_2", "-alpn", "merlon/1" | identity(Config)],
                                           Config).

openssl_verifies_our_certificates_strictly(Config) ->
    [begin
         Tool = merlon_openssl:start(["verify", "-x509_strict", "-purpose", Purpose,
                                      "-CAfile", ca(Config), cert(Config)]),
         {match, _} = re:run(merlon_openssl:ended(Tool), ": OK")
     end || Purpose <- ["sslclient", "sslserver"]],
    ok.

%% ---- OTP's ssl ----

an_otp_client_with_the_right_certificate_reaches_the_preamble(Config) ->
    otp_client(fun(_) -> ok end, Config).

key_updates_of_an_otp_client_are_survived(Config) ->
    otp_client(fun(Ssl) ->
                       [ok = ssl:update_keys(Ssl, Which)
                        || Which <- [write, read_write, write, read_write]]
               end, Config).

otp_client(Before, Config) ->
    {Tcp, Local} = merlon_attacker:tcp(victim(Config)),
    {ok, Ssl} = ssl:connect(Tcp, [{versions, ['tlsv1.3']}, {verify, verify_peer},
                                  {cacertfile, ca(Config)}, {log_level, none},
                                  {server_name_indication, disable}, {active, true},
                                  {alpn_advertised_protocols, [<<"merlon/1">>]}
                                  | options(Config)], 10000),
    {ok, <<"merlon/1">>} = ssl:negotiated_protocol(Ssl),
    _ = Before(Ssl),
    ok = ssl:send(Ssl, <<"no preamble">>),
    receive
        {ssl_error, Ssl, {tls_alert, {Alert, _}}} -> unexpected_message = Alert
    after 10000 -> error(timeout)
    end,
    Fingerprint = merlon_attacker:fingerprint(options(Config)),
    #{reason := early_data, fingerprint := Fingerprint} = refusal(victim(Config), Local).

an_otp_server_accepts_our_certificate_and_gets_the_preamble(Config) ->
    #{pid := Pid, node := Node} = Victim = victim(Config),
    {ok, Listener} = ssl:listen(0, [{ip, {127, 0, 0, 1}}, {versions, ['tlsv1.3']},
                                    {verify, verify_peer}, {fail_if_no_peer_cert, true},
                                    {cacertfile, ca(Config)}, {log_level, none},
                                    {verify_fun, {fun shown/3, self()}},
                                    {alpn_preferred_protocols, [<<"merlon/1">>]}
                                    | options(Config)]),
    {ok, {_, Port} = Address} = ssl:sockname(Listener),
    Epmd = merlon_attacker:impersonate(short(alien(Config)), Port),
    Self = self(),
    Dialler = spawn_link(fun() -> Self ! {dialled, merlon_peers:call(Pid, net_kernel, connect_node,
                                                                     [alien(Config)])} end),
    {ok, Tcp} = ssl:transport_accept(Listener, 10000),
    {ok, _Ssl} = ssl:handshake(Tcp, 10000),
    Der = receive {shown, Cert} -> public_key:pkix_encode('OTPCertificate', Cert, otp) end,
    receive {dialled, false} -> unlink(Dialler) end,
    ok = gen_tcp:close(Epmd),
    ok = ssl:close(Listener),
    Shown = merlon_attacker:ssl_opts(filename:join([dir(Config), "nodes", atom_to_list(Node)])),
    Fingerprint = merlon_attacker:fingerprint(Shown),
    Fingerprint = merlon_attacker:fingerprint([{cert, Der}]),
    #{side := dial, reason := peer_alert, fingerprint := _} = refusal(Victim, Address).

%% OTP's own checks of the path, and who has passed them.
shown(_Cert, {bad_cert, _} = Reason, _) -> {fail, Reason};
shown(_Cert, {extension, _}, To) -> {unknown, To};
shown(_Cert, valid, To) -> {valid, To};
shown(Cert, valid_peer, To) -> To ! {shown, Cert}, {valid, To}.

inet_tls_nodes_link_with_our_certificates(Config) ->
    {ok, One, First} = inet_tls("one", false, Config),
    {ok, Two, Second} = inet_tls("two", false, Config),
    Linked = merlon_peers:call(One, net_kernel, connect_node, [Second]),
    Nodes = merlon_peers:call(Two, erlang, nodes, []),
    [merlon_peers:stop(Peer) || Peer <- [One, Two]],
    {true, [First]} = {Linked, Nodes}.

%% No ALPN, so it is known for what it is.
an_inet_tls_node_is_refused_and_told_apart(Config) ->
    #{node := Node} = Victim = victim(Config),
    Before = merlon_attacker:refusals(Victim),
    {ok, Peer, _} = inet_tls("other", true, Config),
    Linked = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    merlon_peers:stop(Peer),
    false = Linked,
    [#{phase := tls, reason := no_alpn, side := accept}] =
        merlon_attacker:refusals(Victim) -- Before.

%% A node over OTP's own carrier, which checks both ways. It takes the host of a name for a DNS
%% name even where it is an address, so that only DNS names pass.
inet_tls(Base, Names, Config) ->
    Name = merlon_peers:name(Base),
    Node = Name ++ "@localhost",
    Folder = filename:join([dir(Config), "nodes", Node]),
    ok = merlon_peers:add_node(dir(Config), list_to_atom(Node)),
    Common = [{versions, ['tlsv1.3']}, {verify, verify_peer}, {cacertfile, ca(Config)}
              | merlon_attacker:ssl_opts(Folder)],
    OptFile = filename:join(Folder, "ssl_dist.conf"),
    ok = file:write_file(OptFile, io_lib:format("~p.~n", [[{server, [{fail_if_no_peer_cert, true}
                                                                      | Common]},
                                                           {client, Common}]])),
    merlon_peers:start(Name, ["-proto_dist", "inet_tls", "-ssl_dist_optfile", OptFile,
                              "-setcookie", "merlontest", "-pa",
                              filename:dirname(code:which(merlon_nif))],
                       #{host => "localhost", longnames => Names}).

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).
address(Config) -> maps:get(address, victim(Config)).
dir(Config) -> proplists:get_value(dir, Config).
alien(Config) -> proplists:get_value(alien, Config).
ca(Config) -> filename:join([dir(Config), "trust", "ca.pem"]).
cert(Config) -> proplists:get_value(certfile, options(Config)).

options(Config) ->
    merlon_attacker:ssl_opts(filename:join([dir(Config), "nodes", atom_to_list(alien(Config))])).

short(Node) -> hd(string:split(atom_to_list(Node), "@")).

%% OpenSSL's arguments for a certificate.
identity(Config) -> pem(dir(Config), Config).
pem(Dir, Config) -> pem(Dir, alien(Config), Config).

pem(Dir, Node, _Config) ->
    Folder = filename:join([Dir, "nodes", atom_to_list(Node)]),
    ["-cert", filename:join(Folder, "cert.pem"), "-key", filename:join(Folder, "key.pem")].

client(Args, Config) ->
    started(["-tls1_3", "-alpn", "merlon/1", "-CAfile", ca(Config) | Args], Config).

%% s_client does not tell its port, so what the log says of it is what is new there.
started(Args, Config) ->
    _ = put(refusals, merlon_attacker:refusals(victim(Config))),
    merlon_openssl:client(address(Config), Args).

%% The tool ends with that alert; the victim's one new line has the reason.
told(Tool, Alert, Reason, Config) ->
    Said = merlon_openssl:ended(Tool),
    alert(Alert, Said),
    New = fun() -> merlon_attacker:refusals(victim(Config)) -- get(refusals) end,
    merlon_peers:wait(fun() -> New() =/= [] end),
    [#{reason := Reason, side := accept}] = New(),
    Said.

alert(Number, Said) ->
    {match, _, _} = {re:run(Said, "SSL alert number " ++ integer_to_list(Number) ++ "\\b",
                            [{capture, none}]), Number, Said}.

%% The victim dials s_server: what it logged, and what s_server said.
dialled(Args, Config) ->
    #{pid := Pid} = Victim = victim(Config),
    {Tool, Port} = merlon_openssl:server(["-CAfile", ca(Config), "-Verify", "1",
                                          "-verify_return_error", "-naccept", "1" | Args]),
    Epmd = merlon_attacker:impersonate(short(alien(Config)), Port),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [alien(Config)]),
    Said = merlon_openssl:ended(Tool),
    ok = gen_tcp:close(Epmd),
    {#{side := dial} = refusal(Victim, {{127, 0, 0, 1}, Port}), Said}.
