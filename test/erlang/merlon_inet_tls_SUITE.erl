%% SPDX-License-Identifier: Apache-2.0
%% Nodes of OTP's inet_tls beside merlon (`interop`): both directions, what their certificates allow them, and who is not let in.
-module(merlon_inet_tls_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([it_dials_with_a_certificate_of_merlon/1, it_is_dialled_with_a_certificate_of_merlon/1,
         a_certificate_of_its_host_is_told_as_such/1, payloads_of_all_sizes_cross_both_ways/1, an_idle_link_lives_by_its_ticks/1,
         key_updates_of_theirs_are_followed/1, it_goes_and_nobody_hangs/1, without_the_setting_it_is_refused/1,
         a_certificate_of_another_ca_is_refused/1, a_certificate_of_another_host_is_refused/1,
         another_nodes_name_is_refused/1, a_name_on_another_host_is_refused/1, a_wrong_cookie_is_refused/1,
         without_a_cookie_there_is_no_link/1, a_node_that_has_linked_over_merlon_gets_no_inet_tls_link/1, a_node_that_has_linked_over_inet_tls_gets_no_plain_link/1]).

-define(COOKIE, "merlontest").
-define(LOCAL, "localhost").

all() ->
    [it_dials_with_a_certificate_of_merlon, it_is_dialled_with_a_certificate_of_merlon,
     a_certificate_of_its_host_is_told_as_such, payloads_of_all_sizes_cross_both_ways, an_idle_link_lives_by_its_ticks,
     key_updates_of_theirs_are_followed, it_goes_and_nobody_hangs, without_the_setting_it_is_refused,
     a_certificate_of_another_ca_is_refused, a_certificate_of_another_host_is_refused,
     another_nodes_name_is_refused, a_name_on_another_host_is_refused, a_wrong_cookie_is_refused,
     without_a_cookie_there_is_no_link, a_node_that_has_linked_over_merlon_gets_no_inet_tls_link, a_node_that_has_linked_over_inet_tls_gets_no_plain_link].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Config.

end_per_suite(_Config) -> ok.

end_per_testcase(_Case, _Config) ->
    [merlon_peers:stop(Pid) || {{peer, Pid}, _} <- get()],
    [erase(Key) || {{peer, _} = Key, _} <- get()],
    ok.

%% ---- what works ----

it_dials_with_a_certificate_of_merlon(Config) ->
    {Victim, Peer, Old} = pair(Config),
    true = connects(Peer, Victim),
    linked(Victim, Old, accept, {node, <<"attacked">>}),
    [] = merlon_attacker:refusals(Victim).

it_is_dialled_with_a_certificate_of_merlon(Config) ->
    {#{pid := Pid} = Victim, Peer, Old} = pair(Config),
    true = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    linked(Victim, Old, dial, {node, <<"attacked">>}),
    merlon_peers:wait(fun() -> merlon_peers:call(Peer, erlang, nodes, []) =/= [] end),
    #{verdict := linked} = merlon_peers:call(Pid, merlon, explain, [Old]),
    [] = merlon_attacker:refusals(Victim).

%% Any node of that host could have it, and that is said. No URI, no extended key usage, a CA of its own.
a_certificate_of_its_host_is_told_as_such(Config) ->
    #{pid := Pid} = Victim = victim([inet_tls], Config),
    {Peer, Old} = inet_tls(Victim, of_host(Victim, ?LOCAL)),
    true = connects(Peer, Victim),
    linked(Victim, Old, accept, {hosts, [<<"localhost">>]}),
    warned(Victim, 1),
    true = merlon_peers:call(Pid, erlang, disconnect_node, [Old]),
    merlon_peers:wait(fun() -> merlon_peers:call(Peer, erlang, nodes, []) =:= [] end),
    #{verdict := open, text := _, steps := Steps} = merlon_peers:call(Pid, merlon, explain, [Old]),
    {certificate, ok, Said} = lists:keyfind(certificate, 1, Steps),
    {match, _} = re:run(Said, "any node of localhost"),
    true = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    linked(Victim, Old, dial, {hosts, [<<"localhost">>]}),
    warned(Victim, 2).

warned(#{pid := Pid}, Count) ->
    Warned = fun() -> [Up || #{event := link_up, level := warning, carrier := inet_tls} = Up <- merlon_peers:log(Pid)] end,
    merlon_peers:wait(fun() -> length(Warned()) =:= Count end).

payloads_of_all_sizes_cross_both_ways(Config) ->
    {#{pid := Pid, node := Node} = Victim, Peer, Old} = pair(Config),
    true = connects(Peer, Victim),
    Sizes = [0, 1, 100, 1000, 16383, 16384, 65535, 65536, 65537, 1 bsl 20, 20 bsl 20],
    [] = merlon_peers:call(Peer, merlon_plain_SUITE, echo, [Node, Sizes], 120000),
    [] = merlon_peers:call(Pid, merlon_plain_SUITE, echo, [Old, Sizes], 120000),
    linked(Victim, Old, accept, {node, <<"attacked">>}).

an_idle_link_lives_by_its_ticks(Config) ->
    {#{pid := Pid} = Victim, Peer, Old} = pair(["-kernel", "net_ticktime", "4"], Config),
    true = connects(Peer, Victim),
    timer:sleep(9000),
    linked(Victim, Old, accept, {node, <<"attacked">>}),
    Os = merlon_peers:os_pid(Peer),
    _ = os:cmd("kill -STOP " ++ Os),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, [connected]) =:= [] end, 12000),
    _ = os:cmd("kill -CONT " ++ Os),
    [net_tick_timeout] = [Reason || #{event := link_down, reason := Reason} <- merlon_peers:log(Pid)].

%% Every 64 KiB, on their side.
key_updates_of_theirs_are_followed(Config) ->
    #{pid := Pid, node := Node} = Victim = victim([inet_tls], Config),
    Old = name("old"),
    Folder = of_merlon(Victim, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [{key_update_at, 65536}], []),
    true = connects(Peer, Victim),
    Sizes = [1 bsl 20 || _ <- lists:seq(1, 5)],
    [] = merlon_peers:call(Peer, merlon_plain_SUITE, echo, [Node, Sizes], 120000),
    [#{key_updates_in := Updates}] = merlon_peers:call(Pid, merlon, connections, []),
    {true, Updates} = {Updates > 5, Updates},
    [] = merlon_peers:call(Pid, merlon_plain_SUITE, echo, [Old, Sizes], 120000).

it_goes_and_nobody_hangs(Config) ->
    {#{pid := Pid, node := Node} = Victim, Peer, Old} = pair(Config),
    [begin
         true = connects(Peer, Victim),
         linked(Victim, Old, accept, {node, <<"attacked">>}),
         true = merlon_peers:call(Who, erlang, disconnect_node, [Other]),
         [merlon_peers:wait(fun() -> merlon_peers:call(Each, erlang, nodes, []) =:= [] end) || Each <- [Pid, Peer]]
     end || {Who, Other} <- [{Pid, Old}, {Peer, Node}, {Pid, Old}]],
    true = connects(Peer, Victim),
    _ = os:cmd("kill -KILL " ++ merlon_peers:os_pid(Peer)),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, []) =:= [] end),
    #{links := 0} = merlon_peers:call(Pid, merlon, stats, []).

%% ---- what does not ----

without_the_setting_it_is_refused(Config) ->
    #{pid := Pid} = Victim = victim([], Config),
    Old = name("old"),
    Folder = of_merlon(Victim, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [], []),
    refused(no_alpn, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := no_alpn}] = dialled(Victim).

a_certificate_of_another_ca_is_refused(Config) ->
    #{pid := Pid} = Victim = victim([inet_tls], Config),
    #{dir := Other} = victim([inet_tls], Config),
    Old = name("old"),
    Folder = of_merlon(#{dir => Other}, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [], []),
    refused(unknown_issuer, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := unknown_issuer}] = dialled(Victim).

%% Trusted, and for another host than the one in its name.
a_certificate_of_another_host_is_refused(Config) ->
    #{pid := Pid} = Victim = victim([inet_tls], Config),
    {Peer, Old} = inet_tls(Victim, of_host(Victim, "elsewhere.example")),
    refused(wrong_name, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := wrong_name}] = dialled(Victim).

%% With a certificate of merlon, which is for one node.
another_nodes_name_is_refused(Config) ->
    #{pid := Pid} = Victim = victim([inet_tls], Config),
    Folder = of_merlon(Victim, name("mine")),
    {Peer, Old} = inet_tls(name("other"), Folder, ca(Victim), [], []),
    #{claimed := Claimed} = refused(wrong_name, Victim, Peer),
    Old = binary_to_atom(Claimed),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := wrong_name}] = dialled(Victim).

%% What inet_tls itself lets pass: any name at all in the dist handshake.
a_name_on_another_host_is_refused(Config) ->
    Victim = victim([inet_tls], Config),
    Folder = of_host(Victim, ?LOCAL),
    [begin
         {Ssl, Local} = tls(Victim, Folder),
         ok = ssl:send(Ssl, hello(Name)),
         #{reason := Reason, claimed := Name, identity := {hosts, [<<"localhost">>]}} = merlon_attacker:refusal(Victim, Local)
     end || {Name, Reason} <- [{<<"a@127.0.0.1">>, wrong_name}, {<<"a@localhost.example">>, wrong_name},
                               {<<"a@local">>, wrong_name}]],
    {Ssl, Local} = tls(Victim, Folder),
    ok = ssl:send(Ssl, [<<5:32>>, "hello"]),
    #{reason := malformed} = merlon_attacker:refusal(Victim, Local).

a_wrong_cookie_is_refused(Config) ->
    #{pid := Pid} = Victim = victim([inet_tls], Config),
    Old = name("old"),
    Folder = of_merlon(Victim, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [], ["-setcookie", "another"]),
    false = connects(Peer, Victim),
    merlon_peers:wait(fun() -> merlon_attacker:refusals(Victim) =/= [] end),
    [#{phase := dist, side := accept}] = merlon_attacker:refusals(Victim),
    [] = merlon_peers:call(Pid, merlon, connections, []).

%% `nocookie` is known to everybody.
without_a_cookie_there_is_no_link(Config) ->
    {#{pid := Pid} = Victim, Peer, Old} = pair(Config),
    [true = merlon_peers:call(Each, erlang, set_cookie, [nocookie]) || Each <- [Pid, Peer]],
    refused(no_cookie, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := no_cookie}] = dialled(Victim).

%% Who stands between the two and takes the ALPN protocol away gets nothing, even with the very certificate.
a_node_that_has_linked_over_merlon_gets_no_inet_tls_link(Config) ->
    #{pid := Pid, node := Node} = Victim = victim([inet_tls], Config),
    Moved = name("moved"),
    Folder = of_merlon(Victim, Moved),
    {First, Moved} = merlon(Moved, Victim),
    true = merlon_peers:call(First, net_kernel, connect_node, [Node]),
    merlon_peers:wait(fun() -> [merlon] =:= [Carrier || #{carrier := Carrier} <- merlon_peers:call(Pid, merlon, connections, [])] end),
    merlon_peers:stop(First),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, []) =:= [] end),
    {Peer, Moved} = inet_tls(Moved, Folder, ca(Victim), [], []),
    refused(downgrade, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Moved]),
    [#{reason := no_alpn}] = dialled(Victim),
    merlon_peers:stop(Peer),
    %% Nor does another name that the same certificate is good for.
    Derived = list_to_atom(short(Moved) ++ "_prelaunch_1@" ?LOCAL),
    {Late, Derived} = inet_tls(Derived, Folder, ca(Victim), [], []),
    refused(downgrade, Victim, Late),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Derived]),
    [no_alpn, wrong_name] = lists:sort([Reason || #{reason := Reason} <- dialled(Victim)]).

a_node_that_has_linked_over_inet_tls_gets_no_plain_link(Config) ->
    Old = name("old"),
    #{pid := Pid} = Victim =
        victim([inet_tls, {plain, [{allow, ["127.0.0.1"]}, {until, {9999, 12, 31}}, {nodes, [Old]}]}], Config),
    Folder = of_merlon(Victim, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [], []),
    true = connects(Peer, Victim),
    linked(Victim, Old, accept, {node, <<"attacked">>}),
    merlon_peers:stop(Peer),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, []) =:= [] end),
    {Plain, Old} = started(Old, ["-setcookie", ?COOKIE]),
    refused(downgrade, Victim, Plain),
    %% Nor after a restart.
    merlon_peers:stop(Pid),
    refused(downgrade, restarted(Victim), Plain).

%% ---- helpers ----

pair(Config) -> pair([], Config).

pair(Args, Config) ->
    Victim = victim([inet_tls], Args, Config),
    Old = name("old"),
    Folder = of_merlon(Victim, Old),
    {Peer, Old} = inet_tls(Old, Folder, ca(Victim), [], Args),
    {Victim, Peer, Old}.

name(Base) -> list_to_atom(merlon_peers:name(Base) ++ "@" ?LOCAL).

victim(Interop, Config) -> victim(Interop, [], Config).

%% inet_tls takes the host of a name for a DNS name even where it is an address, so that only DNS names pass.
victim(Interop, Args, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Settings = [{handshake_timeout, 4000} | [{interop, Interop} || Interop =/= []]],
    ok = file:write_file(filename:join(Dir, "merlon.config"),
                         [io_lib:format("~p.~n", [Setting]) || Setting <- Settings], [append]),
    Node = name("victim"),
    {Pid, Node} = merlon(Node, #{dir => Dir}, Args),
    reached(#{pid => Pid, node => Node, dir => Dir}).

restarted(#{node := Node, dir := Dir} = Victim) ->
    {Pid, Node} = started(Node, merlon_peers:args(Dir)),
    reached(Victim#{pid => Pid}).

reached(#{node := Node} = Victim) ->
    {port, Port, _} = erl_epmd:port_please(short(Node), {127, 0, 0, 1}),
    Victim#{address => {{127, 0, 0, 1}, Port}}.

merlon(Node, Victim) -> merlon(Node, Victim, []).

merlon(Node, #{dir := Dir}, Args) ->
    ok = merlon_peers:add_node(Dir, Node),
    started(Node, merlon_peers:args(Dir) ++ Args).

started(Node, Args) ->
    {ok, Peer, Node} = merlon_peers:start(short(Node), ["-pa", filename:dirname(code:which(merlon_nif)) | Args], #{host => ?LOCAL, longnames => false}),
    put({peer, Peer}, true),
    {Peer, Node}.

short(Node) -> hd(string:split(atom_to_list(Node), "@")).

ca(#{dir := Dir}) -> filename:join([Dir, "trust", "ca.pem"]).

of_merlon(#{dir := Dir}, Node) ->
    ok = merlon_peers:add_node(Dir, Node),
    filename:join([Dir, "nodes", atom_to_list(Node)]).

%% A CA as anybody makes one, trusted by the victim, and its certificate for a host: no URI, no extended key usage.
of_host(#{dir := Dir, pid := Pid}, Host) ->
    Folder = filename:join(Dir, "of-host"),
    ok = filelib:ensure_dir(filename:join(Folder, "cert.pem")),
    [File, Ca, CaKey, Csr, Key, Cert] = [filename:join(Folder, Name) || Name <- ["san", "ca.pem", "ca.key", "csr.pem", "key.pem", "cert.pem"]],
    ok = file:write_file(File, ["subjectAltName=DNS:", Host, "\n"]),
    Ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    openssl(["req", "-x509", "-days", "5", "-subj", "/CN=theirs", "-keyout", CaKey, "-out", Ca | Ec]),
    openssl(["req", "-new", "-subj", "/CN=" ++ Host, "-keyout", Key, "-out", Csr | Ec]),
    openssl(["x509", "-req", "-days", "4", "-in", Csr, "-CA", Ca, "-CAkey", CaKey, "-CAcreateserial", "-extfile", File, "-out", Cert]),
    {ok, _} = file:copy(Ca, filename:join([Dir, "trust", "theirs.pem"])),
    {ok, reloaded} = merlon_peers:call(Pid, merlon, reload, []),
    Folder.

openssl(Args) -> merlon_openssl:ended(merlon_openssl:start(Args)).

inet_tls(Victim, Folder) -> inet_tls(name("old"), Folder, ca(Victim), [], []).

%% A node over OTP's own carrier, which checks both ways.
inet_tls(Node, Folder, Ca, More, Args) ->
    Common = [{versions, ['tlsv1.3']}, {verify, verify_peer}, {cacertfile, Ca} | More ++ merlon_attacker:ssl_opts(Folder)],
    OptFile = filename:join(Folder, "ssl_dist.conf"),
    ok = file:write_file(OptFile, io_lib:format("~p.~n", [[{server, [{fail_if_no_peer_cert, true} | Common]},
                                                           {client, Common}]])),
    started(Node, ["-proto_dist", "inet_tls", "-ssl_dist_optfile", OptFile, "-setcookie", ?COOKIE | Args]).

%% OTP's ssl as such a node, lying.
tls(#{address := {Ip, Port}} = Victim, Folder) ->
    {ok, Tcp} = gen_tcp:connect(Ip, Port, [binary, {active, false}, {nodelay, true}]),
    {ok, Local} = inet:sockname(Tcp),
    {ok, Ssl} = ssl:connect(Tcp, [{versions, ['tlsv1.3']}, {verify, verify_peer}, {cacertfile, ca(Victim)}, {log_level, none},
                                  {server_name_indication, ?LOCAL}, {mode, binary} | merlon_attacker:ssl_opts(Folder)], 10000),
    {Ssl, Local}.

hello(Name) ->
    {erts_dflags, Flags, _, _, _, _} = erts_internal:get_dflags(),
    Packet = <<$N, Flags:64, 4711:32, (byte_size(Name)):16, Name/binary>>,
    <<(byte_size(Packet)):32, Packet/binary>>.

connects(Peer, #{node := Node}) -> merlon_peers:call(Peer, net_kernel, connect_node, [Node]).

linked(#{pid := Pid}, Old, Direction, {Kind, What}) ->
    Links = fun() -> [Link || #{node := At} = Link <- merlon_peers:call(Pid, merlon, connections, []), At =:= Old] end,
    merlon_peers:wait(fun() -> length(Links()) =:= 1 end),
    [#{carrier := inet_tls, direction := Direction, identity := Identity, tls_version := <<"1.3">>}] = Links(),
    {Kind, What} = {element(1, Identity), element(2, Identity)},
    true = merlon_peers:call(Pid, merlon, is_encrypted, [Old]).

%% It gets no link, for this reason.
refused(Reason, #{pid := Pid} = Victim, Peer) ->
    Before = merlon_attacker:refusals(Victim),
    false = connects(Peer, Victim),
    merlon_peers:wait(fun() -> merlon_attacker:refusals(Victim) =/= Before end),
    [#{reason := Reason, side := accept} = Report] = merlon_attacker:refusals(Victim) -- Before,
    [] = merlon_peers:call(Pid, erlang, nodes, [connected]),
    Report.

dialled(Victim) -> [Report || #{side := dial} = Report <- merlon_attacker:refusals(Victim)].
