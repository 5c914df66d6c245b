%% SPDX-License-Identifier: Apache-2.0
%% From a token to a node that has links: what a join brings, what it leaves alone, who serves it.
-module(merlon_join_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([a_join_brings_all_that_a_node_needs/1, a_dir_that_can_not_be_handed_out_spends_no_token/1, a_tool_joins_too/1, what_exists_is_not_overwritten/1, a_turn_that_comes_too_late_costs_no_token/1,
         what_others_did_while_a_join_waited_counts/1, a_dir_is_anybodys_while_a_join_waits/1,
         a_dir_of_another_cluster_is_refused_before_the_token_is_shown/1,
         a_dir_that_trusts_another_ca_is_refused_before_the_token_is_shown/1,
         the_commands_say_what_they_did/1, a_service_that_can_not_listen_makes_no_certificate/1, a_token_comes_from_a_file_or_from_standard_input/1,
         what_is_between_two_machines_is_said_with_its_remedy/1, a_token_that_is_mistyped_is_said_to_be/1, tokens_are_listed_and_revoked/1,
         a_token_that_can_not_be_revoked_is_not_said_to_be_none/1,
         a_node_that_holds_the_ca_lets_others_join_and_is_linked_to_them/1,
         a_node_answers_few_attempts_a_second/1, a_node_lets_nobody_join_unasked/1, a_node_without_the_ca_lets_nobody_join/1]).

-import(merlon_join_ct, [ca/1, token/2, decoded/1, at/2, join/2, join/3, state/2, service/1, service/2, connect/2, prove/2, request/3, outcomes/1, wrong/2, relay/2]).

-define(NODE, <<"app@web1.example">>).

all() ->
    [a_join_brings_all_that_a_node_needs, a_dir_that_can_not_be_handed_out_spends_no_token, a_tool_joins_too, what_exists_is_not_overwritten,
     a_turn_that_comes_too_late_costs_no_token, what_others_did_while_a_join_waited_counts, a_dir_is_anybodys_while_a_join_waits,
     a_dir_of_another_cluster_is_refused_before_the_token_is_shown,
     a_dir_that_trusts_another_ca_is_refused_before_the_token_is_shown,
     the_commands_say_what_they_did, a_service_that_can_not_listen_makes_no_certificate, a_token_comes_from_a_file_or_from_standard_input,
     what_is_between_two_machines_is_said_with_its_remedy, a_token_that_is_mistyped_is_said_to_be, tokens_are_listed_and_revoked,
     a_token_that_can_not_be_revoked_is_not_said_to_be_none,
     a_node_that_holds_the_ca_lets_others_join_and_is_linked_to_them, a_node_answers_few_attempts_a_second, a_node_lets_nobody_join_unasked,
     a_node_without_the_ca_lets_nobody_join].

%% What is joined is below the folder of the run.
init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    ok = merlon_nif:load(),
    Before = os:getenv("TMPDIR"),
    true = os:putenv("TMPDIR", proplists:get_value(priv_dir, Config)),
    [{tmpdir, Before} | Config].

end_per_suite(Config) ->
    case proplists:get_value(tmpdir, Config) of
        false -> os:unsetenv("TMPDIR");
        Before -> os:putenv("TMPDIR", Before)
    end.

a_join_brings_all_that_a_node_needs(Config) ->
    Dir = ca(Config),
    {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Dir]),
    {0, _, <<>>} = merlon_cli:run(["cert", "old@web1.example", "--dir", Dir]),
    {0, _, <<>>} = merlon_cli:run(["revoke", "old@web1.example", "--dir", Dir]),
    Second = merlon_join_ct:ca(Config, "joined"),
    {ok, _} = file:copy(filename:join([Second, "trust", "ca.pem"]), filename:join([Dir, "trust", "a-new.pem"])),
    Token = at(decoded(token(Dir, ["app@web1.example", "--days", "7"])), service(Dir)),
    {{ok, #{kept := [], wrote := Wrote}}, Joined} = join(Token, ?NODE),
    [{joined, #{keyring := true, kind := node, serial := Serial}}] = outcomes(1),
    Files = [{"trust/ca.pem", 8#644}, {"trust/ca-2.pem", 8#644}, {"crl.pem", 8#644}, {"keyring", 8#600},
             {"merlon.config", 8#644}, {"nodes/app@web1.example/key.pem", 8#600},
             {"nodes/app@web1.example/cert.pem", 8#644}],
    true = lists:sort(Wrote) =:= lists:sort([iolist_to_binary([Joined, $/, File]) || {File, _} <- Files]),
    [Mode = merlon_test_dir:mode(filename:join(Joined, File)) || {File, Mode} <- Files],
    8#700 = merlon_test_dir:mode(filename:join([Joined, "nodes", "app@web1.example"])),
    Same = fun(A, B) -> {ok, Text} = file:read_file(filename:join(Dir, A)),
                        {{ok, Text}, Text} = {file:read_file(filename:join(Joined, B)), Text} end,
    [Same(A, B) || {A, B} <- [{"keyring", "keyring"}, {"trust/ca.pem", "trust/ca.pem"}, {"trust/a-new.pem", "trust/ca-2.pem"}]],
    {ok, Settings} = merlon_config:load(Joined),
    {ok, #{identity := {node, <<"joined">>, <<"app">>, <<"web1.example">>}, not_after := End}} =
        merlon_identity:load({"app", "web1.example"}, Settings),
    true = abs(End - erlang:system_time(second) - 7 * 86400) < 60,
    %% What was signed can be revoked by its name.
    {ok, [#{serial := Serial}]} = merlon_issued:known(merlon_dir:path([Dir]), ?NODE).

a_dir_that_can_not_be_handed_out_spends_no_token(Config) ->
    Dir = ca(Config),
    Token = at(decoded(token(Dir, ["app@web1.example"])), service(Dir)),
    [begin
         Spoil(),
         {{error, {refused, Text}}, _} = join(Token, ?NODE),
         says("can't sign now", Text),
         [{refused, #{reason := internal, text := Why}}] = outcomes(1),
         says(Words, Why),
         open = state(Dir, Token)
     end || {Spoil, Words} <-
                [{fun() -> merlon_test_dir:put_file(filename:join(Dir, "keyring"), "open to all", 8#644) end, "chmod 600"},
                 {fun() ->
                      ok = file:delete(filename:join(Dir, "keyring")),
                      Long = ["-----BEGIN X509 CRL-----\n", lists:duplicate(5000000, $A), "\n-----END X509 CRL-----\n"],
                      ok = file:write_file(filename:join(Dir, "crl.pem"), Long)
                  end, "more than a join can carry"}]].

a_tool_joins_too(Config) ->
    Dir = ca(Config),
    Token = at(decoded(token(Dir, ["root@web1.example", "--cli"])), service(Dir)),
    {{ok, _}, Joined} = join(Token, <<"root@web1.example">>),
    {ok, Cert} = file:read_file(filename:join([Joined, "cli", "root@web1.example", "cert.pem"])),
    {ok, [#{identity := {cli, <<"joined">>, <<"root">>, <<"web1.example">>}}]} = merlon_pki:inspect(Cert).

what_exists_is_not_overwritten(Config) ->
    Dir = ca(Config),
    Port = service(Dir),
    New = fun(Node) -> at(decoded(token(Dir, [Node])), Port) end,
    {{ok, _}, Joined} = join(New("app@web1.example"), ?NODE),
    Key0 = filename:join([Joined, "nodes", "app@web1.example", "key.pem"]),
    {ok, Key} = file:read_file(Key0),
    Again = New("app@web1.example"),
    {{error, {refused, Text}}, _} = join(Again, ?NODE, Joined),
    says("exists already.*the token is not spent", Text),
    {open, {ok, Key}} = {state(Dir, Again), file:read_file(Key0)},
    %% A second node of the host, beside other settings and an own keyring.
    Own = "{cluster, \"joined\"}.\n{max_handshakes, 7}.\n",
    ok = file:write_file(filename:join(Joined, "merlon.config"), Own),
    {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Joined]),
    {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Dir]),
    {ok, Ring} = file:read_file(filename:join(Joined, "keyring")),
    {{ok, #{kept := Kept}}, _} = join(New("db@web1.example"), <<"db@web1.example">>, Joined),
    Path = fun(File) -> iolist_to_binary([Joined, $/, File]) end,
    [{Path("keyring"), differs}, {Path("merlon.config"), differs}, {Path("trust/ca.pem"), same}] =:= lists:sort(Kept)
        orelse error(Kept),
    {{ok, <<"{cluster", _/binary>>}, {ok, Ring}} =
        {file:read_file(filename:join(Joined, "merlon.config")), file:read_file(filename:join(Joined, "keyring"))}.

%% However long the server takes; and what was put there meanwhile stays.
a_dir_is_anybodys_while_a_join_waits(Config) ->
    Dir = ca(Config),
    {ok, Slow} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Between} = inet:port(Slow),
    Port = service(Dir),
    Self = self(),
    [begin
         Token = at(decoded(token(Dir, ["app@web1.example"])), Between),
         Joined = merlon_test_dir:new(),
         spawn_link(fun() -> Self ! {joined, element(1, join(Token, ?NODE, Joined))} end),
         {ok, Client} = gen_tcp:accept(Slow),
         Meanwhile(Joined),
         _ = relay(Client, Port),
         receive {joined, Result} -> Judge(Result) end,
         used = state(Dir, Token)
     end || {Meanwhile, Judge} <-
                [{fun(Joined) -> {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Joined]) end,
                  fun({ok, _}) -> ok end},
                 {fun(Joined) ->
                      File = filename:join([Joined, "nodes", ?NODE, "cert.pem"]),
                      ok = filelib:ensure_dir(File),
                      ok = file:write_file(File, "somebody's")
                  end,
                  fun({error, {refused, Text}}) -> says("exists already.*the token is spent", Text) end}]].

%% Somebody has made the dir another cluster's between the first look at it and the lock.
what_others_did_while_a_join_waited_counts(Config) ->
    Dir = ca(Config),
    Port = service(Dir),
    {ok, Slow} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Between} = inet:port(Slow),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Between),
    Joined = merlon_test_dir:new(),
    Self = self(),
    _ = spawn_link(fun() -> Self ! {joined, element(1, join(Token, ?NODE, Joined))} end),
    {ok, Client} = gen_tcp:accept(Slow),
    ok = merlon_dir_write:locked(merlon_dir:path([Joined]), fun(_) ->
        _ = relay(Client, Port),
        merlon_peers:wait(fun() -> state(Dir, Token) =:= used end),
        timer:sleep(300), % it has what it was given, and looks for its turn
        file:write_file(filename:join(Joined, "merlon.config"), "{cluster, \"other\"}.\n")
    end),
    {error, {refused, Text}} = receive {joined, Result} -> Result end,
    says("of cluster other.*the token is spent", Text),
    [] = filelib:wildcard("{nodes,keyring}", Joined).

%% Somebody else is at work in the dir nearly until the session ends: no certificate could be handed out in what is left.
a_turn_that_comes_too_late_costs_no_token(Config) ->
    Dir = ca(Config),
    Port = service(Dir, 1500),
    Token = decoded(token(Dir, ["app@web1.example"])),
    Conn = connect(Token, Port),
    prove(Conn, Token),
    Self = self(),
    _ = spawn_link(fun() -> merlon_dir_write:locked(merlon_dir:path([Dir]), fun(_) -> Self ! locked, timer:sleep(1250) end) end),
    receive locked -> ok end,
    {refused, internal} = request(Conn, ?NODE, {node, <<"app">>, <<"web1.example">>}),
    open = state(Dir, Token).

a_dir_of_another_cluster_is_refused_before_the_token_is_shown(Config) ->
    refused_for_its_dir(Config, fun(Joined) ->
        ok = file:write_file(filename:join(Joined, "merlon.config"), "{cluster, \"other\"}.\n")
    end, "is of cluster other, not joined").

a_dir_that_trusts_another_ca_is_refused_before_the_token_is_shown(Config) ->
    refused_for_its_dir(Config, fun(Joined) ->
        ok = file:make_dir(filename:join(Joined, "trust")),
        {ok, _} = file:copy(filename:join([ca(Config), "trust", "ca.pem"]), filename:join([Joined, "trust", "ca.pem"]))
    end, "trusts other CAs").

refused_for_its_dir(Config, Prepare, Words) ->
    Dir = ca(Config),
    Token = at(decoded(token(Dir, ["app@web1.example"])), service(Dir)),
    Joined = merlon_test_dir:new(),
    Prepare(Joined),
    {{error, {refused, Text}}, _} = join(Token, ?NODE, Joined),
    says(Words, Text),
    [{refused, Known}] = outcomes(1),
    false = is_map_key(claimed, Known) orelse is_map_key(token, Known),
    open = state(Dir, Token).

%% ---- commands ----

the_commands_say_what_they_did(Config) ->
    Dir = ca(Config),
    Port = service(Dir),
    At = ["--at", "127.0.0.1:" ++ integer_to_list(Port)],
    {0, Made, <<>>} = merlon_cli:run(["token", "app*@web1.example", "db@web1.example", "--dir", Dir, "--ttl", "90s" | At]),
    says("lets one of these join, once, until .*app\\*@web1.example.*merlon join TOKEN --name NODE", Made),
    Text = binary_to_list(hd(binary:split(Made, <<"\n">>))),
    Joined = merlon_test_dir:new(),
    {2, <<>>, Which} = merlon_cli:run(["join", Text, "--dir", Joined]),
    says("say which name", Which),
    {0, Out, <<>>} = merlon_cli:run(["join", Text, "--dir", Joined, "--name", "app7@web1.example", "--alg", "ed25519"]),
    says("Joined cluster joined as app7@web1.example by served@127.0.0.1.*-name app7@web1.example\n  -proto_dist merlon", Out),
    {0, List, <<>>} = merlon_cli:run(["token", "--list", "--dir", Dir]),
    says("used .*app\\*@web1.example, db@web1.example: app7@web1.example from 127.0.0.1 at ", List),
    [{2, <<>>, _} = merlon_cli:run(["token", "--dir", Dir | Args])
     || Args <- [[], ["app"], ["*@*"], ["a@h", "--ttl", "30"], ["a@h", "--ttl", "8d"], ["a@h", "--at", "h"],
                 ["a@h", "--list"], ["--list", "--revoke", "0"], ["--revoke", "0"]]],
    {1, <<>>, NoCa} = merlon_cli:run(["token", "a@h", "--dir", Joined]),
    says("holds no CA", NoCa),
    {1, <<>>, Enroll} = merlon_cli:run(["enroll", "--dir", Joined]),
    says("holds no CA", Enroll).

a_service_that_can_not_listen_makes_no_certificate(Config) ->
    Dir = ca(Config),
    {ok, Taken} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Taken),
    {1, <<>>, Said} = merlon_cli:run(["enroll", "--dir", Dir, "--listen", "127.0.0.1:" ++ integer_to_list(Port)]),
    says("can't listen on 127.0.0.1:.*in use", Said),
    [] = merlon_join_ct:issued(Dir).

%% In the VM that `bin/merlon` starts, whose standard input nothing reads.
a_token_comes_from_a_file_or_from_standard_input(Config) ->
    Dir = ca(Config),
    At = ["--at", "127.0.0.1:" ++ integer_to_list(service(Dir))],
    [begin
         {0, Made, <<>>} = merlon_cli:run(["token", "app@web1.example", "--dir", Dir | At]),
         File = filename:join(proplists:get_value(priv_dir, Config), "token"),
         ok = merlon_peers:write_secret(File, hd(binary:split(Made, <<"\n">>))),
         Joined = merlon_test_dir:new(),
         Out = os:cmd(lists:concat([io_lib:format(Command, [File]), " --dir ", Joined, " 2>&1"])),
         says("Joined cluster joined as app@web1.example", Out)
     end || Command <- [merlon() ++ " join - < ~s", merlon() ++ " join ~s", "cat ~s | " ++ merlon() ++ " join -"]].

merlon() ->
    "erl -noshell -noinput -boot no_dot_erlang +fnu -pa " ++ filename:dirname(code:which(merlon_cli))
        ++ " -eval 'merlon_cli:main(init:get_plain_arguments()).' -extra".

%% Silence, another protocol, nobody, no such name, clocks apart; and of several addresses each is told.
what_is_between_two_machines_is_said_with_its_remedy(Config) ->
    Dir = ca(Config),
    Token = decoded(token(Dir, ["app@web1.example"])),
    ok = merlon_peers:add_node(Dir, 'early@127.0.0.1', #{days => 2, now => erlang:system_time(second) + 86400}),
    Early = merlon_join_ct:rogue(filename:join([Dir, "nodes", "early@127.0.0.1"]), Dir, fun(_, Hello) -> Hello end, <<"merlon-join/1">>),
    [Silent, Closed] = [begin {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]), Socket end || _ <- "sc"],
    [SilentPort, Nobody] = [begin {ok, Port} = inet:port(Socket), Port end || Socket <- [Silent, Closed]],
    ok = gen_tcp:close(Closed),
    Local = fun(Port) -> {<<"127.0.0.1">>, Port} end,
    Cases = [{[Local(SilentPort)], "no answer.*--at.*firewalls"}, {[Local(other_protocol())], "could not join at 127.0.0.1:[0-9]+: .*not.*TLS"},
             {[Local(Nobody), Local(SilentPort)], "refused: run `merlon enroll` there.*; at 127.0.0.1:.*no answer"},
             {[{<<"no-such.invalid">>, 1}], "no-such.invalid: put it into /etc/hosts or DNS"}, {[Local(Early)], "becomes valid in.*the clock of"}],
    Self = self(),
    [spawn_link(fun() -> Self ! {Words, join(Token#{at := At}, ?NODE)} end) || {At, Words} <- Cases],
    [receive {Words, {{error, {refused, Text}}, _}} -> says(Words, Text) end || {_, Words} <- Cases],
    open = state(Dir, Token).

%% Answers everybody as a web server does.
other_protocol() ->
    Self = self(),
    spawn_link(fun() ->
        {ok, Listener} = gen_tcp:listen(0, [{active, false}, {ip, {127, 0, 0, 1}}]),
        Self ! inet:port(Listener),
        {ok, Socket} = gen_tcp:accept(Listener),
        ok = gen_tcp:send(Socket, "HTTP/1.1 400 Bad Request\r\n\r\n"),
        timer:sleep(20000)
    end),
    receive {ok, Port} -> Port end.

a_token_that_is_mistyped_is_said_to_be(Config) ->
    Text = binary_to_list(token(ca(Config), ["app@web1.example"])),
    Joined = merlon_test_dir:new(),
    Wrong = [{lists:droplast(Text), "mistyped or not complete|copy the whole"}, {Text ++ "A", "copy the whole|mistyped"},
             {[$\s | Text] ++ "A", "copy the whole|mistyped"}, {string:lowercase(Text), "begins with MRLN-1-"},
             {"MRLN-1-", "copy the whole"}, {"MRLN-9-00", "another version"}, {"no-such-file", "neither a token .* nor a file"}],
    [begin
         {1, <<>>, Said} = merlon_cli:run(["join", Bad, "--dir", Joined]),
         says(Words, Said),
         %% A token that is only nearly right must not stand in a log.
         nomatch = binary:match(string:uppercase(Said), list_to_binary(lists:nthtail(20, Text)))
     end || {Bad, Words} <- Wrong].

tokens_are_listed_and_revoked(Config) ->
    Dir = ca(Config),
    {0, <<"There are no tokens.\n">>, <<>>} = merlon_cli:run(["token", "--list", "--dir", Dir]),
    #{id := Id} = Token = decoded(token(Dir, ["app@web1.example"])),
    Name = binary_to_list(merlon_token_core:id_text(Id)),
    Revoke = fun() -> merlon_cli:run(["token", "--revoke", Name, "--dir", Dir]) end,
    {0, List, <<>>} = merlon_cli:run(["token", "--list", "--dir", Dir]),
    says(Name ++ "  open  .*app@web1.example", List),
    {0, First, <<>>} = Revoke(),
    says("Revoked", First),
    {0, Second, <<>>} = Revoke(),
    says("revoked already", Second),
    revoked = state(Dir, Token),
    {1, <<>>, None} = merlon_cli:run(["token", "--revoke", "0123456789abcdef", "--dir", Dir]),
    says("there is no token", None).

a_token_that_can_not_be_revoked_is_not_said_to_be_none(Config) ->
    Dir = ca(Config),
    Token = decoded(token(Dir, ["app@web1.example"])),
    Id = merlon_token_core:id_text(maps:get(id, Token)),
    File = merlon_token:file(Dir, Id),
    ok = file:make_dir(<<File/binary, ".revoked">>),
    {1, <<>>, Said} = merlon_cli:run(["token", "--revoke", binary_to_list(Id), "--dir", Dir]),
    says("\\.revoked", Said),
    nomatch = binary:match(Said, <<"there is no token">>),
    open = state(Dir, Token),
    {error, {file, _}} = merlon_token:revoke(Dir, Id),
    {error, spent} = merlon_token:take(Dir, <<"0123456789abcdef">>).

%% ---- nodes ----

a_node_that_holds_the_ca_lets_others_join_and_is_linked_to_them(Config) ->
    Dir = ca(Config),
    #{pid := Pid, node := Host, address := {_, Port}} = Victim = merlon_attacker:victim("host", Dir, [{enroll, true}], []),
    Name = merlon_peers:name("newcomer"),
    Node = atom_to_binary(merlon_peers:node(Name)),
    Token = at(decoded(token(Dir, [binary_to_list(Node)])), Port),
    {{error, {refused, _}}, _} = join(Token#{secret := fun() -> <<0:128>> end}, Node),
    {{ok, #{server := {node, <<"joined">>, _, _}}}, Joined} = join(Token, Node),
    {ok, New, _} = merlon_peers:start(Name, merlon_peers:args(Joined)),
    pong = merlon_peers:call(New, net_adm, ping, [Host]),
    [#{reason := unknown_token, peer := {{127, 0, 0, 1}, _}}] = reports(join_refused, Pid),
    [#{name := Node, level := notice}] = reports(joined, Pid),
    [] = merlon_attacker:refusals(Victim),
    merlon_peers:stop(New),
    %% The distribution asks for a certificate as before.
    {certificate_required, _} = merlon_attacker:verdict(Victim, []),
    {certificate_required, _} = merlon_attacker:verdict(Victim, [{alpn_advertised_protocols, [<<"merlon-join/1">>, <<"merlon/1">>]}]),
    merlon_attacker:stop(Victim).

%% All from one address; the token that they claim stays good.
a_node_answers_few_attempts_a_second(Config) ->
    Dir = ca(Config),
    #{pid := Pid, address := {_, Port}} = Victim = merlon_attacker:victim("host", Dir, [{enroll, true}], []),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    {Seconds, Tried} = wrong(20, Token),
    Served = length([told || {refused, unknown_token} <- Tried]),
    ct:log("~b s: ~b of ~b served", [Seconds, Served, length(Tried)]),
    true = Served >= 1 andalso Served =< 3 * (Seconds + 1),
    merlon_peers:wait(fun() -> [] =/= [busy || #{event := join_refused, reason := busy} <- merlon_peers:log(Pid)] end),
    open = state(Dir, Token),
    {{ok, _}, _} = join(Token, ?NODE), % who is turned away comes again
    merlon_attacker:stop(Victim).

a_node_lets_nobody_join_unasked(Config) ->
    Dir = ca(Config),
    #{address := {_, Port}} = Victim = merlon_attacker:victim("host", Dir, [], []),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    {{error, {refused, Text}}, _} = join(Token, ?NODE),
    says("no_application_protocol.*enroll, true", Text),
    merlon_peers:wait(fun() -> [wrong_alpn] =:= [Reason || #{reason := Reason} <- merlon_attacker:refusals(Victim)] end),
    open = state(Dir, Token),
    merlon_attacker:stop(Victim).

%% As every node but one of a cluster: it says so, and goes on without.
a_node_without_the_ca_lets_nobody_join(Config) ->
    Dir = ca(Config),
    Token = decoded(token(Dir, ["app@web1.example"])),
    Name = merlon_peers:name("host"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    ok = file:write_file(filename:join(Dir, "merlon.config"), "{enroll, true}.\n", [append]),
    ok = file:rename(filename:join(Dir, "ca"), filename:join(Dir, "ca-elsewhere")),
    {ok, Pid, _} = merlon_peers:start(Name, merlon_peers:args(Dir)),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    {{error, {refused, Text}}, _} = join(at(Token, Port), ?NODE),
    says("no_application_protocol", Text),
    merlon_peers:stop(Pid).

reports(Event, Pid) ->
    merlon_peers:wait(fun() -> [] =/= [R || #{event := E} = R <- merlon_peers:log(Pid), E =:= Event] end),
    [R || #{event := E} = R <- merlon_peers:log(Pid), E =:= Event].

says(Words, Text) ->
    {_, true} = {unicode:characters_to_binary(Text), re:run(Text, Words, [{capture, none}, dotall]) =:= match}.
