%% SPDX-License-Identifier: Apache-2.0
%% Who tries what with the name service of a host: strangers, tools, nodes that lie, programs that take its port.
-module(merlon_attack_names_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_stranger_can_not_tell_this_port_from_that_of_links/1, plain_bytes_are_told_nothing/1, who_shows_no_certificate_is_told_nothing/1,
         a_certificate_of_another_ca_is_told_nothing/1, another_protocol_is_told_nothing/1,
         a_tool_is_not_told_of_tools/1, a_node_can_not_register_another_nodes_name/1,
         a_tool_can_not_register_a_nodes_name/1, a_name_that_is_taken_stays/1,
         what_can_not_be_read_ends_the_session/1, silent_connections_keep_nobody_out/1,
         a_tool_that_holds_the_port_is_not_believed/1, a_program_that_holds_the_port_stops_the_next_node/1,
         a_false_port_leads_to_no_link/1, one_certificate_can_not_fill_the_table/1,
         silent_sessions_of_a_tool_keep_nobody_out/1, who_drips_loses_its_name_with_its_certificate/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_stranger_can_not_tell_this_port_from_that_of_links, plain_bytes_are_told_nothing, who_shows_no_certificate_is_told_nothing,
     a_certificate_of_another_ca_is_told_nothing, another_protocol_is_told_nothing, a_tool_is_not_told_of_tools,
     a_node_can_not_register_another_nodes_name, a_tool_can_not_register_a_nodes_name, a_name_that_is_taken_stays,
     what_can_not_be_read_ends_the_session, silent_connections_keep_nobody_out,
     a_tool_that_holds_the_port_is_not_believed, a_program_that_holds_the_port_stops_the_next_node,
     a_false_port_leads_to_no_link, one_certificate_can_not_fill_the_table,
     silent_sessions_of_a_tool_keep_nobody_out, who_drips_loses_its_name_with_its_certificate].

-define(CLUSTER, <<"epmd-tests">>).
-define(CLI, <<"rabbitmqcli-7-rabbit@127.0.0.1">>).

%% One victim for all cases.
init_per_suite(Config0) ->
    {ok, _} = application:ensure_all_started(ssl),
    Config = merlon_ct:open(Config0),
    Port = merlon_epmd_ct:free_port(),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {names, [{port, Port}]}}, {max_handshakes, 8}, {handshake_timeout, 1500}]),
    ok = merlon_peers:add_cli(Dir, "mallory", "127.0.0.1"),
    [Victim, Other] = [list_to_atom(merlon_epmd_ct:name(Base) ++ "@127.0.0.1") || Base <- ["victim", "other"]],
    ok = merlon_peers:add_node(Dir, Other),
    ok = merlon_peers:add_node(Dir, Victim),
    {ok, Pid, Victim} =
        merlon_peers:start(hd(string:split(atom_to_list(Victim), "@")),
                           merlon_peers:args(Dir) ++ ["-epmd_module", "merlon_epmd", "-start_epmd", "false"]),
    [{port, Port}, {dir, Dir}, {victim, #{pid => Pid, node => Victim, dir => Dir, address => {{127, 0, 0, 1}, Port}}},
     {other, Other} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(its(victim, Config)),
    merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

its(Key, Config) -> proplists:get_value(Key, Config).

identity(Config, Whose) -> merlon_attacker:identity(its(dir, Config), Whose, its(dir, Config), ?CLUSTER).

node_identity(Config) -> identity(Config, its(other, Config)).

tool_identity(Config) -> identity(Config, "cli/mallory@127.0.0.1").

victim_name(Config) -> atom_to_binary(maps:get(node, its(victim, Config))).

other_name(Config) -> atom_to_binary(its(other, Config)).

ask(Identity, Request, Config) -> merlon_epmd_ct:ask(Identity, its(port, Config), Request).

%% Everything still works, and the victim's name leads to the victim's port.
sound(Config) ->
    {ok, {port, Port}} = ask(node_identity(Config), {find, victim_name(Config)}, Config),
    {ok, [{_, _, Port}]} = {ok, merlon_peers:call(maps:get(pid, its(victim, Config)), merlon_epmd, registered_as, [])},
    ok.

refusal(Config, Reason) ->
    merlon_peers:wait(fun() -> [] =/= [R || #{reason := R} <- merlon_attacker:refusals(its(victim, Config)), R =:= Reason] end).

%% Whatever he says first and whatever certificate he shows, unless it is one of the cluster: both ports tell him the same.
a_stranger_can_not_tell_this_port_from_that_of_links(Config) ->
    #{address := {Ip, _}} = Names = its(victim, Config),
    Links = Names#{address := {Ip, element(2, tool_port(Config))}},
    Name = victim_name(Config),
    Stranger = merlon_peers:new_dir(its(priv_dir, Config), binary_to_list(?CLUSTER)),
    ok = merlon_peers:add_node(Stranger, its(other, Config)),
    Theirs = merlon_attacker:ssl_opts(filename:join([Stranger, "nodes", atom_to_list(its(other, Config))])),
    {ok, Pem} = file:read_file(filename:join([Stranger, "trust", "ca.pem"])),
    Cas = [Der || {_, Der, _} <- public_key:pem_decode(Pem)],
    Offers = [none, [<<"merlon/1">>], [<<"merlon-names/1">>], [<<"merlon-join/1">>], [<<"h2">>],
              [<<"merlon-names/1">>, <<"merlon/1">>], [<<"h2">>, <<"merlon-names/1">>]],
    Words = [{Offer, Shown, told(Each, Offer, [{cacerts, Cas} | Shown])} || Each <- [Names, Links], Offer <- Offers, Shown <- [[], Theirs]],
    {AtNames, AtLinks} = lists:split(length(Words) div 2, Words),
    AtNames = AtLinks,
    %% So that the words can differ.
    true = length(lists:usort([Said || {_, _, Said} <- Words])) >= 3,
    [{Bytes, Answer} = {Bytes, answer(Each, Bytes)}
     || Bytes <- [<<0, 1, $n>>, <<(byte_size(Name) + 1):16, $z, Name/binary>>, <<"GET / HTTP/1.1\r\n\r\n">>, <<0:4096>>,
                  <<0, 26, $N, 0:64, 1:32, 9:16, "a@1.1.1.1">>, <<22, 3, 1, 255, 255>>, <<22, 3, 1, 0, 5, 1, 0, 0, 1, 0>>],
        Answer <- [answer(Links, Bytes)], Each <- [Names]],
    sound(Config).

%% With the certificate that he was shown before.
told(Victim, Offer, Shown) ->
    Self = self(),
    Look = fun(Cert, _, Seen) -> Self ! {saw, crypto:hash(sha256, public_key:pkix_encode('OTPCertificate', Cert, otp))}, {valid, Seen} end,
    {Said, _} = merlon_attacker:verdict(Victim, [{alpn_advertised_protocols, Offer}, {verify, verify_peer},
                                                 {verify_fun, {Look, []}} | Shown]),
    {Said, receive {saw, Hash} -> Hash after 0 -> none end}.

answer(Victim, Bytes) ->
    {Socket, _} = merlon_attacker:tcp(Victim),
    ok = gen_tcp:send(Socket, Bytes),
    merlon_attacker:last_words(Socket).

%% What OTP's epmd would answer: a request for names, one for a port, and garbage.
plain_bytes_are_told_nothing(Config) ->
    Name = victim_name(Config),
    [begin
         {Socket, _} = merlon_attacker:tcp(its(victim, Config)),
         ok = gen_tcp:send(Socket, Bytes),
         Words = merlon_attacker:last_words(Socket),
         true = byte_size(Words) =< 7,
         nomatch = binary:match(Words, Name)
     end || Bytes <- [<<0, 1, $n>>, <<(byte_size(Name) + 1):16, $z, Name/binary>>, binary:copy(<<"GET / ">>, 100), <<0:4096>>]],
    sound(Config).

%% TLS shows the keeper's own certificate to whoever begins it, as at the port for links; then it is over.
who_shows_no_certificate_is_told_nothing(Config) ->
    Options = [{alpn_advertised_protocols, [<<"merlon-names/1">>]}],
    {certificate_required, _} = merlon_attacker:verdict(its(victim, Config), Options),
    refusal(Config, no_certificate),
    sound(Config).

a_certificate_of_another_ca_is_told_nothing(Config) ->
    Stranger = merlon_peers:new_dir(its(priv_dir, Config), binary_to_list(?CLUSTER)),
    ok = merlon_peers:add_node(Stranger, its(other, Config)),
    Identity = merlon_attacker:identity(Stranger, its(other, Config), Stranger, ?CLUSTER),
    {error, #{reason := _}} = ask(Identity, list, Config),
    %% By one who does not care whom he talks to.
    Folder = filename:join([Stranger, "nodes", atom_to_list(its(other, Config))]),
    Options = [{alpn_advertised_protocols, [<<"merlon-names/1">>]}, {verify, verify_none} | merlon_attacker:ssl_opts(Folder)],
    {unknown_ca, _} = merlon_attacker:verdict(its(victim, Config), Options),
    refusal(Config, unknown_issuer),
    sound(Config).

%% Of the cluster, and wrong here.
another_protocol_is_told_nothing(Config) ->
    Folder = filename:join([its(dir, Config), "nodes", atom_to_list(its(other, Config))]),
    [{no_application_protocol, _} =
         merlon_attacker:verdict(its(victim, Config), [{alpn_advertised_protocols, [Alpn]} | merlon_attacker:ssl_opts(Folder)])
     || Alpn <- [<<"merlon/1">>, <<"merlon-join/1">>, <<"h2">>]],
    sound(Config).

a_tool_is_not_told_of_tools(Config) ->
    {{ok, registered}, Conn} = merlon_epmd_ct:register(tool_identity(Config), its(port, Config), ?CLI, 4711),
    Victim = victim_name(Config),
    {ok, {names, [{Victim, _}]}} = ask(tool_identity(Config), list, Config),
    {ok, {refused, unknown}} = ask(tool_identity(Config), {find, ?CLI}, Config),
    {ok, {refused, unknown}} = ask(tool_identity(Config), {find, <<"nobody@127.0.0.1">>}, Config),
    %% Nodes dial tools, and are told.
    {ok, {port, 4711}} = ask(node_identity(Config), {find, ?CLI}, Config),
    ok = merlon_nif:close(Conn),
    merlon_peers:wait(fun() -> ask(node_identity(Config), {find, ?CLI}, Config) =:= {ok, {refused, unknown}} end),
    sound(Config).

a_node_can_not_register_another_nodes_name(Config) ->
    [begin
         {{ok, {refused, not_yours}}, _} = merlon_epmd_ct:register(node_identity(Config), its(port, Config), Name, 4711),
         {ok, {refused, unknown}} = ask(node_identity(Config), {find, Name}, Config)
     end || Name <- [<<"third@127.0.0.1">>, <<"third@elsewhere">>, ?CLI]],
    {{ok, {refused, not_yours}}, _} =
        merlon_epmd_ct:register(node_identity(Config), its(port, Config), victim_name(Config), 4711),
    refusal(Config, wrong_name),
    sound(Config).

a_tool_can_not_register_a_nodes_name(Config) ->
    [{{ok, {refused, not_yours}}, _} = merlon_epmd_ct:register(tool_identity(Config), its(port, Config), Name, 4711)
     || Name <- [victim_name(Config), other_name(Config), <<"third@127.0.0.1">>, <<"rabbitmqcli-7-rabbit@elsewhere">>]],
    sound(Config).

%% By whoever has stolen that very certificate.
a_name_that_is_taken_stays(Config) ->
    Stolen = identity(Config, maps:get(node, its(victim, Config))),
    {{ok, {refused, taken}}, _} = merlon_epmd_ct:register(Stolen, its(port, Config), victim_name(Config), 4711),
    sound(Config).

what_can_not_be_read_ends_the_session(Config) ->
    Identity = node_identity(Config),
    Start = fun(Conn) -> merlon_nif:names_dial(Conn, Identity, erlang:system_time(second)) end,
    [begin
         Deadline = erlang:monotonic_time(millisecond) + 5000,
         {ok, Conn} = merlon_join_wire:open({{127, 0, 0, 1}, its(port, Config)}, undefined, Start, Deadline),
         ok = merlon_join_wire:send(Conn, Bytes, Deadline),
         case merlon_join_wire:recv(Conn, Deadline) of
             {ok, Answer} -> {ok, {refused, malformed}} = merlon_names_core:read_answer(Answer);
             {error, #{reason := Reason}} -> true = Reason =/= timeout
         end
     end || Bytes <- [<<9>>, <<1>>, <<1, 0, 0, "a@h">>, <<2>>, <<2, 255, 254>>, <<3, 3>>, binary:copy(<<2>>, 1500),
                      binary:copy(<<2>>, 100000)]],
    sound(Config).

%% More than there are places, and those that are found hanging are dropped at the deadline.
silent_connections_keep_nobody_out(Config) ->
    Silent = [element(1, merlon_attacker:tcp(its(victim, Config))) || _ <- lists:seq(1, 100)],
    [ok = sound(Config) || _ <- [1, 2, 3]],
    [<<>> = merlon_attacker:last_words(Socket) || Socket <- Silent],
    sound(Config).

%% Nor do those who have shown a certificate and then ask nothing.
silent_sessions_of_a_tool_keep_nobody_out(Config) ->
    Folder = filename:join([its(dir, Config), "cli", "mallory@127.0.0.1"]),
    Options = [{alpn_advertised_protocols, [<<"merlon-names/1">>]}, {verify, verify_none} | merlon_attacker:ssl_opts(Folder)],
    Silent = [begin
                  {ok, Socket} = ssl:connect({127, 0, 0, 1}, its(port, Config), Options, 5000),
                  Socket
              end || _ <- lists:seq(1, 8)],
    %% Until the keeper has read the last word of each.
    timer:sleep(100),
    {Took, ok} = timer:tc(fun() -> sound(Config) end),
    true = Took < 500000,
    [ok = ssl:close(Socket) || Socket <- Silent].

%% A user of the host with a tool's certificate binds the port before any node does.
a_tool_that_holds_the_port_is_not_believed(Config) ->
    {ok, Listener} = merlon_nif:listen({127, 0, 0, 1}, 0, 16, []),
    {ok, {_, Port}} = merlon_nif:sockname(Listener),
    {Name, Tool} = {victim_name(Config), tool_identity(Config)},
    {_, Ref} = spawn_monitor(fun() -> fake_keeper(Listener, Tool) end),
    {error, #{reason := not_a_node}} = merlon_epmd_ct:ask(node_identity(Config), Port, {find, Name}),
    receive {'DOWN', Ref, process, _, Outcome} -> refused = Outcome after 10000 -> error(timeout) end,
    ok = merlon_nif:close(Listener).

fake_keeper(Listener, Identity) ->
    {ok, Conn} = merlon_attacker:until(fun() -> merlon_nif:accept(Listener) end),
    ok = merlon_nif:names_accept(Conn, Identity, erlang:system_time(second)),
    join = merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    case merlon_join_wire:up(Conn, erlang:monotonic_time(millisecond) + 5000) of
        {error, #{reason := peer_alert}} -> exit(refused);
        Other -> exit(Other)
    end.

%% It is not joined, and not waited for: the node says why it does not start.
a_program_that_holds_the_port_stops_the_next_node(Config) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {backlog, 50}]),
    {ok, Port} = inet:port(Listener),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {names, [{port, Port}]}}]),
    Node = list_to_atom(merlon_epmd_ct:name("a") ++ "@127.0.0.1"),
    {'EXIT', {boot_failed, {exit_status, 1}}} = (catch merlon_epmd_ct:start(Config, Dir, Node, {9, [], #{}})),
    ok = gen_tcp:close(Listener).

%% A port is all that is believed: who stands there still has to prove the name.
a_false_port_leads_to_no_link(Config) ->
    {{ok, registered}, Conn} =
        merlon_epmd_ct:register(node_identity(Config), its(port, Config), other_name(Config), element(2, tool_port(Config))),
    false = merlon_peers:call(maps:get(pid, its(victim, Config)), net_kernel, connect_node, [its(other, Config)]),
    ok = merlon_nif:close(Conn),
    sound(Config).

%% Neither keeps a node of another name out: each certificate has a few names only.
one_certificate_can_not_fill_the_table(Config) ->
    Tools = [<<"rabbitmqcli-", (integer_to_binary(N))/binary, "-rabbit@127.0.0.1">> || N <- lists:seq(1, 260)],
    [Base, _] = binary:split(other_name(Config), <<"@">>),
    Derived = [<<Base/binary, "_prelaunch_", (integer_to_binary(N))/binary, "@127.0.0.1">> || N <- lists:seq(1, 260)],
    Third = list_to_atom(merlon_epmd_ct:name("third") ++ "@127.0.0.1"),
    ok = merlon_peers:add_node(its(dir, Config), Third),
    Held = until_refused(tool_identity(Config), Tools, Config) ++ until_refused(node_identity(Config), Derived, Config),
    {{ok, registered}, Conn} =
        merlon_epmd_ct:register(identity(Config, Third), its(port, Config), atom_to_binary(Third), 4711),
    {ok, {port, 4711}} = ask(node_identity(Config), {find, atom_to_binary(Third)}, Config),
    [ok = merlon_nif:close(Each) || Each <- [Conn | Held]],
    sound(Config).

until_refused(_Identity, [], _Config) -> [];
until_refused(Identity, [Name | Names], Config) ->
    case merlon_epmd_ct:register(Identity, its(port, Config), Name, 4711) of
        {{ok, registered}, Conn} -> [Conn | until_refused(Identity, Names, Config)];
        {{ok, {refused, full}}, Conn} -> [Conn];
        {{ok, {refused, not_yours}}, Conn} -> [Conn]
    end.

%% Where another node listens.
tool_port(Config) ->
    [{_, _, Port}] = merlon_peers:call(maps:get(pid, its(victim, Config)), merlon_epmd, registered_as, []),
    {port, Port}.

%% A byte now and then, of a message that never is whole, does not put off the look at its certificate.
who_drips_loses_its_name_with_its_certificate(Config) ->
    Now = erlang:system_time(second),
    Old = merlon_peers:new_dir(its(priv_dir, Config), binary_to_list(?CLUSTER), Now - 9 * 86400),
    {ok, _} = file:copy(filename:join([Old, "trust", "ca.pem"]), filename:join([its(dir, Config), "trust", "old.pem"])),
    {ok, _} = merlon_peers:call(maps:get(pid, its(victim, Config)), merlon, reload, []),
    Late = list_to_atom(merlon_epmd_ct:name("late") ++ "@127.0.0.1"),
    ok = merlon_peers:add_node(Old, Late, #{days => 1, now => Now + 6 - 86400}),
    {ok, Ssl} = ssl:connect({127, 0, 0, 1}, its(port, Config),
                            [binary, {active, false}, {verify, verify_none}, {alpn_advertised_protocols, [<<"merlon-names/1">>]}
                             | merlon_attacker:ssl_opts(filename:join([Old, "nodes", atom_to_list(Late)]))], 5000),
    Question = merlon_names_core:request({register, atom_to_binary(Late), 4711}),
    ok = ssl:send(Ssl, [<<(byte_size(Question)):32>>, Question]),
    {ok, <<1:32, 1>>} = ssl:recv(Ssl, 5, 5000),
    [begin timer:sleep(500), ssl:send(Ssl, <<Byte>>) end || <<Byte>> <= <<2000:32, 0:160>>],
    {ok, {refused, unknown}} = ask(node_identity(Config), {find, atom_to_binary(Late)}, Config),
    ok = file:delete(filename:join([its(dir, Config), "trust", "old.pem"])),
    sound(Config).
