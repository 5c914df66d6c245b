%% SPDX-License-Identifier: Apache-2.0
%% Peers that are not who they say they are, against a running node. Each case asserts what the
%% peer is told on the wire and what the node's log says about it.
-module(merlon_attack_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_peer_with_the_cookie_but_no_certificate_is_refused/1,
         a_certificate_of_another_ca_is_refused/1,
         a_certificate_of_a_ca_that_only_has_the_name_of_ours_is_refused/1,
         a_certificate_of_another_cluster_is_refused_even_from_a_trusted_ca/1,
         an_expired_certificate_is_refused/1,
         a_certificate_that_is_not_valid_yet_is_refused/1,
         a_certificate_for_servers_only_is_refused_of_a_client/1,
         a_certificate_without_its_key_is_refused/1,
         a_certificate_that_carries_no_node_name_is_refused/1,
         a_node_that_claims_another_nodes_name_is_refused/1,
         a_node_that_changes_its_name_after_the_preamble_is_refused/1,
         a_tool_with_a_dynamic_name_can_not_take_a_nodes/1,
         an_old_name_packet_is_no_way_around_the_name/1,
         a_second_name_packet_is_refused/1,
         what_came_before_an_early_end_counts/1,
         a_tool_that_claims_a_nodes_name_is_refused/1,
         a_tool_that_claims_the_victims_own_name_is_refused/1,
         a_valid_certificate_with_a_wrong_cookie_is_refused/1,
         a_proof_that_is_made_up_is_refused/1,
         a_wrong_answer_to_dist_utils_challenge_is_refused/1,
         a_server_that_is_another_node_learns_nothing_of_who_dials_it/1,
         a_server_with_another_secret_gets_no_proof_to_guess_from/1,
         nodes_that_dial_each_other_at_once_are_no_attack/1]).

-include_lib("public_key/include/public_key.hrl").

-import(merlon_attacker, [refusal/2]).

-define(COOKIE, <<"merlontest">>).

all() ->
    [a_peer_with_the_cookie_but_no_certificate_is_refused,
     a_certificate_of_another_ca_is_refused,
     a_certificate_of_a_ca_that_only_has_the_name_of_ours_is_refused,
     a_certificate_of_another_cluster_is_refused_even_from_a_trusted_ca,
     an_expired_certificate_is_refused,
     a_certificate_that_is_not_valid_yet_is_refused,
     a_certificate_for_servers_only_is_refused_of_a_client,
     a_certificate_without_its_key_is_refused,
     a_certificate_that_carries_no_node_name_is_refused,
     a_node_that_claims_another_nodes_name_is_refused,
     a_node_that_changes_its_name_after_the_preamble_is_refused,
     a_tool_with_a_dynamic_name_can_not_take_a_nodes,
     an_old_name_packet_is_no_way_around_the_name,
     a_second_name_packet_is_refused, what_came_before_an_early_end_counts,
     a_tool_that_claims_a_nodes_name_is_refused,
     a_tool_that_claims_the_victims_own_name_is_refused,
     a_valid_certificate_with_a_wrong_cookie_is_refused,
     a_proof_that_is_made_up_is_refused,
     a_wrong_answer_to_dist_utils_challenge_is_refused,
     a_server_that_is_another_node_learns_nothing_of_who_dials_it,
     a_server_with_another_secret_gets_no_proof_to_guess_from,
     nodes_that_dial_each_other_at_once_are_no_attack].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Base = priv_dir(Config),
    Dir = merlon_peers:new_dir(Base, "attacked"),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    ok = merlon_peers:add_cli(Dir, "tom", "127.0.0.1"),
    %% A second root that is trusted, but whose certificates are of another cluster.
    Elsewhere = merlon_peers:new_dir(Base, "elsewhere"),
    {ok, _} = file:copy(filename:join([Elsewhere, "ca", "ca.pem"]),
                        filename:join([Dir, "trust", "elsewhere.pem"])),
    Victim = merlon_attacker:victim("victim", Dir, [], alone()),
    [{victim, Victim}, {dir, Dir}, {mallory, Mallory}, {elsewhere, Elsewhere} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(victim(Config)).

%% Whatever the case did: no peer was reported twice, no stranger is linked.
end_per_testcase(_Case, Config) ->
    #{pid := Pid} = Victim = victim(Config),
    ok = merlon_attacker:once(Victim),
    [] = merlon_peers:call(Pid, merlon, connections, []),
    ok.

%% ---- certificates ----

a_peer_with_the_cookie_but_no_certificate_is_refused(Config) ->
    Report = refused(certificate_required, [], Config),
    #{phase := tls, reason := no_certificate, side := accept} = Report,
    false = is_map_key(claimed, Report),
    false = is_map_key(fingerprint, Report).

a_certificate_of_another_ca_is_refused(Config) ->
    Rogue = merlon_peers:new_dir(priv_dir(Config), "attacked"),
    ok = merlon_peers:add_node(Rogue, mallory(Config)),
    shown(unknown_ca, unknown_issuer, own(Rogue, Config), Config).

a_certificate_of_a_ca_that_only_has_the_name_of_ours_is_refused(Config) ->
    Rogue = merlon_peers:new_dir(priv_dir(Config), "attacked"),
    Opts = forged(fun(Tbs) -> Tbs end, filename:join([Rogue, "ca", "ca.key"]), Config),
    shown(decrypt_error, bad_signature, Opts, Config).

a_certificate_of_another_cluster_is_refused_even_from_a_trusted_ca(Config) ->
    Elsewhere = proplists:get_value(elsewhere, Config),
    ok = merlon_peers:add_node(Elsewhere, mallory(Config)),
    shown(access_denied, wrong_cluster, own(Elsewhere, Config), Config).

an_expired_certificate_is_refused(Config) ->
    Long = erlang:system_time(second) - 30 * 86400,
    Opts = forged(validity(Long, Long + 86400), Config),
    shown(certificate_expired, expired, Opts, Config).

a_certificate_that_is_not_valid_yet_is_refused(Config) ->
    Later = erlang:system_time(second) + 3600,
    Opts = forged(validity(Later, Later + 86400), Config),
    shown(certificate_expired, not_yet_valid, Opts, Config).

a_certificate_for_servers_only_is_refused_of_a_client(Config) ->
    Opts = forged(extension(?'id-ce-extKeyUsage', [?'id-kp-serverAuth']), Config),
    shown(unsupported_certificate, wrong_usage, Opts, Config).

a_certificate_without_its_key_is_refused(Config) ->
    Stolen = lists:keydelete(keyfile, 1, own(dir(Config), Config)),
    Key = public_key:generate_key({namedCurve, secp256r1}),
    Der = public_key:der_encode('ECPrivateKey', Key),
    Opts = [{key, {'ECPrivateKey', Der}} | Stolen],
    {Alert, Local} = merlon_attacker:verdict(victim(Config), Opts),
    decrypt_error = Alert,
    #{phase := tls, reason := key_not_held} = refusal(victim(Config), Local).

a_certificate_that_carries_no_node_name_is_refused(Config) ->
    Opts = forged(extension(?'id-ce-subjectAltName', [{dNSName, "mallory.example"}]), Config),
    shown(bad_certificate, no_identity, Opts, Config).

%% ---- names ----

a_node_that_claims_another_nodes_name_is_refused(Config) ->
    Name = atom_to_binary(merlon_peers:node("someone")),
    denied(Name, mallory(Config), wrong_name, Config).

a_tool_that_claims_a_nodes_name_is_refused(Config) ->
    denied(atom_to_binary(mallory(Config)), "cli/tom@127.0.0.1", wrong_name, Config).

a_tool_that_claims_the_victims_own_name_is_refused(Config) ->
    #{node := Node} = victim(Config),
    denied(atom_to_binary(Node), "cli/tom@127.0.0.1", wrong_name, Config).

%% In the preamble it is itself; in dist_util's handshake it is somebody else.
a_node_that_changes_its_name_after_the_preamble_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    {established, Conn, Local} = dial(mallory(Config), Own, ?COOKIE, Config),
    merlon_attacker:hello(Conn, atom_to_binary(merlon_peers:node("someone"))),
    ended = ended(merlon_attacker:gone(Conn)),
    #{phase := dist, reason := wrong_name, claimed := Own, fingerprint := _} =
        refusal(victim(Config), Local).

%% dist_util would take any name on the host of a dynamic one.
a_tool_with_a_dynamic_name_can_not_take_a_nodes(Config) ->
    renamed(fun(Conn) -> merlon_attacker:hello(Conn, <<"prod@127.0.0.1">>) end, Config).

%% From OTP 25.3 on dist_util takes the `n` packet of old nodes too.
an_old_name_packet_is_no_way_around_the_name(Config) ->
    {erts_dflags, Flags, _, _, _, _} = erts_internal:get_dflags(),
    renamed(fun(Conn) ->
                    merlon_attacker:frame(Conn, <<$n, 5:16, (Flags band 16#ffffffff):32,
                                                  "prod@127.0.0.1">>)
            end, Config).

renamed(Hello, Config) ->
    {established, Conn, Local} = dial("cli/tom@127.0.0.1", <<"@127.0.0.1">>, ?COOKIE, Config),
    ok = Hello(Conn),
    ended = ended(merlon_attacker:gone(Conn)),
    #{phase := dist, reason := wrong_name, claimed := <<"@127.0.0.1">>} =
        refusal(victim(Config), Local),
    ok.

a_second_name_packet_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    {established, Conn, Local} = dial(mallory(Config), Own, ?COOKIE, Config),
    ok = merlon_attacker:hello(Conn, Own),
    ok = merlon_attacker:hello(Conn, Own),
    ended = ended(merlon_attacker:gone(Conn)),
    #{phase := dist, reason := wrong_name, claimed := Own} = refusal(victim(Config), Local),
    ok.

%% A whole packet and a goodbye right behind the handshake, often in one segment with its last record.
what_came_before_an_early_end_counts(Config) ->
    Own = atom_to_binary(mallory(Config)),
    [begin
         {established, Conn, Local} = dial(mallory(Config), Own, ?COOKIE, Config),
         ok = merlon_attacker:hello(Conn, Own),
         ok = merlon_nif:close(Conn),
         #{reason := Reason} = refusal(victim(Config), Local),
         {false, Reason} = {Reason =:= truncated, Reason}
     end || _ <- lists:seq(1, 30)],
    ok.

%% ---- secrets ----

a_valid_certificate_with_a_wrong_cookie_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    {{error, #{reason := wrong_proof}}, Conn, Local} =
        dial(mallory(Config), Own, <<"guess">>, Config),
    ok = merlon_nif:close(Conn),
    #{phase := preamble, reason := proof_refused, claimed := Own, fingerprint := _} =
        refusal(victim(Config), Local).

%% A client that ignores that the victim's proof does not fit and makes up its own.
a_proof_that_is_made_up_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    Opts = own(dir(Config), Config),
    {Forger0, Local} = merlon_forger:connect(victim(Config), Opts),
    Forger1 = merlon_forger:send(Forger0, 16#F0, hello(Own)),
    {{16#F0, <<1, 2, _/binary>>}, Forger2} = merlon_forger:read(Forger1),
    Forger3 = merlon_forger:send(Forger2, 16#F0, <<1, 3, (crypto:strong_rand_bytes(32))/binary>>),
    {{21, <<2, 49>>}, Forger4} = merlon_forger:read(Forger3),
    ok = merlon_forger:close(Forger4),
    Fingerprint = merlon_attacker:fingerprint(Opts),
    #{phase := preamble, reason := wrong_proof, claimed := Own, fingerprint := Fingerprint} =
        refusal(victim(Config), Local).

%% The proof holds, and then dist_util's own check does not: as after a cookie was changed.
a_wrong_answer_to_dist_utils_challenge_is_refused(Config) ->
    #{pid := Pid} = Victim = victim(Config),
    Own = atom_to_binary(mallory(Config)),
    {established, Conn, Local} = dial(mallory(Config), Own, ?COOKIE, Config),
    {error, closed} = merlon_attacker:shake(Conn, Own, <<"not the pair's cookie">>),
    #{phase := dist, claimed := Own} = refusal(Victim, Local),
    [] = merlon_peers:call(Pid, erlang, nodes, [connected]).

%% ---- dialled strangers ----

%% Mallory's certificate is good, but at the port of another node. The handshake ends before the
%% dialler shows its certificate, let alone sends a preamble.
a_server_that_is_another_node_learns_nothing_of_who_dials_it(Config) ->
    #{pid := Pid} = Victim = victim(Config),
    Name = merlon_peers:name("friend"),
    Opts = own(dir(Config), Config),
    {ok, Listener} = ssl:listen(0, [{ip, {127, 0, 0, 1}}, {versions, ['tlsv1.3']}, {active, false},
                                    {alpn_preferred_protocols, [<<"merlon/1">>]},
                                    {verify, verify_none}, {log_level, none} | Opts]),
    {ok, {_, Port} = Address} = ssl:sockname(Listener),
    Epmd = merlon_attacker:impersonate(Name, Port),
    Self = self(),
    Impostor = spawn_link(fun() -> Self ! {impostor, impostor(Listener)} end),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [merlon_peers:node(Name)]),
    receive {impostor, {error, {tls_alert, {Alert, _}}}} -> access_denied = Alert end,
    ok = gen_tcp:close(Epmd),
    ok = ssl:close(Listener),
    unlink(Impostor),
    Fingerprint = merlon_attacker:fingerprint(Opts),
    Node = merlon_peers:node(Name),
    #{side := dial, phase := tls, reason := wrong_name, node := Node,
      fingerprint := Fingerprint} = refusal(Victim, Address).

impostor(Listener) ->
    {ok, Tcp} = ssl:transport_accept(Listener, 10000),
    ssl:handshake(Tcp, 10000).

%% A server with the right certificate, but not the secret: the client gives it nothing to guess by.
a_server_with_another_secret_gets_no_proof_to_guess_from(Config) ->
    #{pid := Pid} = Victim = victim(Config),
    Name = merlon_peers:name("friend"),
    Node = merlon_peers:node(Name),
    ok = merlon_peers:add_node(dir(Config), Node),
    {ok, Listener} = merlon_nif:listen({127, 0, 0, 1}, 0, 5, []),
    {ok, {_, Port} = Address} = merlon_nif:sockname(Listener),
    Epmd = merlon_attacker:impersonate(Name, Port),
    Self = self(),
    Dialler = spawn_link(fun() -> Self ! {dialled, merlon_peers:call(Pid, net_kernel, connect_node,
                                                                     [Node])} end),
    {ok, Conn} = merlon_attacker:until(fun() -> merlon_nif:accept(Listener) end),
    ok = merlon_nif:serve(Conn, merlon_attacker:identity(dir(Config), Node),
                          atom_to_binary(Node), erlang:system_time(second)),
    {claim, #{name := _}} = merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    ok = merlon_nif:prove(Conn, [{vm_cookie, <<"guess">>}]),
    {error, #{reason := proof_refused}} =
        merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    receive {dialled, false} -> ok end,
    unlink(Dialler),
    [ok = merlon_nif:close(Socket) || Socket <- [Conn, Listener]],
    ok = gen_tcp:close(Epmd),
    #{side := dial, phase := preamble, reason := wrong_proof, node := Node, fingerprint := _} =
        refusal(Victim, Address).

%% ---- no false alarm ----

%% One of the two links gives way each time. Its end may be told, but not as an error.
nodes_that_dial_each_other_at_once_are_no_attack(Config) ->
    #{pid := One, node := First} = Victim = victim(Config),
    Name = merlon_peers:name("friend"),
    Second = merlon_peers:node(Name),
    ok = merlon_peers:add_node(dir(Config), Second),
    Before = merlon_attacker:refusals(Victim),
    {ok, Two, Second} = merlon_peers:start(Name, merlon_peers:args(dir(Config)) ++ alone()),
    try
        [at_once(One, First, Two, Second) || _ <- lists:seq(1, 25)],
        Reports = (merlon_attacker:refusals(Victim) -- Before)
            ++ merlon_attacker:refusals(#{pid => Two}),
        [] = [Report || #{level := Level} = Report <- Reports, Level =/= info, Level =/= notice]
    after
        merlon_peers:stop(Two)
    end,
    merlon_peers:wait(fun() -> merlon_peers:call(One, merlon, connections, []) =:= [] end).

%% Without it, global dials a node again that was just disconnected.
alone() -> ["-connect_all", "false"].

at_once(One, First, Two, Second) ->
    Self = self(),
    Dial = fun(Peer, Node) ->
                   Call = [Peer, net_kernel, connect_node, [Node]],
                   spawn_link(fun() -> Self ! {dialled, apply(merlon_peers, call, Call)} end)
           end,
    _ = [Dial(One, Second), Dial(Two, First)],
    Answers = [receive {dialled, Up} -> Up end || _ <- [One, Two]],
    true = lists:member(true, Answers),
    %% A second link may be waiting for the end of the first, to take its place.
    merlon_peers:wait(fun() ->
                              _ = merlon_peers:call(One, erlang, disconnect_node, [Second]),
                              [] =:= [Node || Peer <- [One, Two],
                                              Node <- merlon_peers:call(Peer, erlang, nodes, [])]
                      end).

%% ---- helpers ----

priv_dir(Config) -> proplists:get_value(priv_dir, Config).
victim(Config) -> proplists:get_value(victim, Config).
dir(Config) -> proplists:get_value(dir, Config).
mallory(Config) -> proplists:get_value(mallory, Config).

%% Mallory's own certificate out of Dir, as ssl options.
own(Dir, Config) ->
    merlon_attacker:ssl_opts(filename:join([Dir, "nodes", atom_to_list(mallory(Config))])).

%% Mallory's certificate after Change, signed by the cluster's CA or by the key in SignKey.
forged(Change, Config) ->
    forged(Change, filename:join([dir(Config), "ca", "ca.key"]), Config).

forged(Change, SignKey, Config) ->
    merlon_attacker:forged({dir(Config), mallory(Config)}, SignKey, Change).

validity(From, To) ->
    fun(Tbs) -> Tbs#'OTPTBSCertificate'{validity = #'Validity'{notBefore = time(From),
                                                               notAfter = time(To)}} end.

time(Seconds) ->
    Text = calendar:system_time_to_rfc3339(Seconds, [{offset, "Z"}]),
    {utcTime, [Char || Char <- lists:nthtail(2, Text), Char =/= $-, Char =/= $:, Char =/= $T]}.

extension(Id, Value) ->
    fun(#'OTPTBSCertificate'{extensions = Extensions} = Tbs) ->
            New = #'Extension'{extnID = Id, critical = false, extnValue = Value},
            Tbs#'OTPTBSCertificate'{
              extensions = lists:keyreplace(Id, #'Extension'.extnID, Extensions, New)}
    end.

%% Shows the certificate of Opts: Alert comes back, and Reason is in the log with its fingerprint.
shown(Alert, Reason, Opts, Config) ->
    Fingerprint = merlon_attacker:fingerprint(Opts),
    #{phase := tls, reason := Reason, side := accept, fingerprint := Fingerprint} =
        refused(Alert, Opts, Config),
    ok.

refused(Alert, Opts, Config) ->
    {Told, Local} = merlon_attacker:verdict(victim(Config), Opts),
    {Alert, Alert} = {Alert, Told},
    refusal(victim(Config), Local).

dial(Whose, Own, Cookie, Config) ->
    #{node := Node} = Victim = victim(Config),
    merlon_attacker:dial(Victim, merlon_attacker:identity(dir(Config), Whose), Own,
                         atom_to_binary(Node), Cookie).

%% Claims Name with the certificate of Whose: told access_denied, logged with both.
denied(Name, Whose, Reason, Config) ->
    {{error, #{reason := peer_alert, text := Text}}, Conn, Local} =
        dial(Whose, Name, ?COOKIE, Config),
    {match, _} = re:run(Text, "access_denied"),
    ok = merlon_nif:close(Conn),
    #{phase := preamble, reason := Reason, claimed := Name, fingerprint := _, identity := _} =
        refusal(victim(Config), Local),
    ok.

%% The preamble's first message.
hello(Name) ->
    <<1, 1, (byte_size(Name)):16, Name/binary, 1, 0:64>>.

ended(closed) -> ended;
ended(truncated) -> ended;
ended(peer_alert) -> ended.
