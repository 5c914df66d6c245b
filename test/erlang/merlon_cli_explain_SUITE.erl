%% SPDX-License-Identifier: Apache-2.0
%% `merlon explain`, run by a VM that is no node against nodes that are.
-module(merlon_cli_explain_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([nothing_in_the_way_is_exit_code_0_and_makes_no_link/1, a_link_that_is_up_is_told_by_the_peer/1,
         what_is_in_the_way_is_exit_code_1_and_one_sentence/1, wrong_use_is_exit_code_2/1,
         a_node_with_a_keyring_needs_no_cookie/1, a_node_without_epmd_is_found_by_the_strategy_of_the_config/1]).

-define(COOKIE, "merlontest").

all() ->
    [nothing_in_the_way_is_exit_code_0_and_makes_no_link, a_link_that_is_up_is_told_by_the_peer,
     what_is_in_the_way_is_exit_code_1_and_one_sentence, wrong_use_is_exit_code_2, a_node_with_a_keyring_needs_no_cookie,
     a_node_without_epmd_is_found_by_the_strategy_of_the_config].

init_per_suite(Config0) ->
    Config = merlon_ct:open(Config0),
    Cookie = filename:join(merlon_ct:dir(Config), "cookie"),
    ok = merlon_peers:write_secret(Cookie, ?COOKIE "\n"),
    Own = merlon_peers:node(merlon_peers:name("own")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Own),
    [{cookie, Cookie}, {own, Own} | Config].

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

nothing_in_the_way_is_exit_code_0_and_makes_no_link(Config) ->
    A = merlon_ct:start(Config, "a"),
    {0, Text, <<>>} = explain(Config, node_of(A), []),
    said(Text, "ok +name .*ok +resolve .*ok +port .*ok +tls .*ok +certificate .*ok +secret .*ok +agreement "),
    said(Text, "\nopen: nothing stands in the way of a link to a_"),
    {0, _, <<>>} = explain(Config, node_of(A), ["--port", integer_to_list(port_of(A))]),
    Own = atom_to_binary(own(Config)),
    merlon_peers:wait(fun() -> [Own, Own] =:= [Claimed || #{event := probed, claimed := Claimed} <- log(A)] end),
    [] = merlon_ct:call(A, erlang, nodes, [connected]),
    [] = [Report || #{event := refused} = Report <- log(A)].

a_link_that_is_up_is_told_by_the_peer(Config) ->
    A = merlon_ct:start(Config, "a"),
    Own = merlon_ct:start(Config, own(Config), [], #{}),
    ok = merlon_ct:connect(Own, A),
    {0, Text, <<>>} = explain(Config, node_of(A), []),
    said(Text, "\nlinked: a link is up, says the peer"),
    #{} = merlon_ct:link_of(Own, node_of(A)).

what_is_in_the_way_is_exit_code_1_and_one_sentence(Config) ->
    A = merlon_ct:start(Config, "a"),
    Dir = merlon_ct:dir(Config),
    Wrong = filename:join(Dir, "wrong"),
    ok = merlon_peers:write_secret(Wrong, "wrongcookie"),
    Open = filename:join(Dir, "open"),
    ok = file:write_file(Open, ?COOKIE),
    ok = file:change_mode(Open, 8#644),
    Other = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    ok = merlon_peers:add_node(Other, own(Config)),
    Plain = merlon_ct:run(Config, [], #{name => merlon_peers:name("plain"), host => "127.0.0.1", longnames => true}),
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Closed} = inet:port(Listener),
    ok = gen_tcp:close(Listener),
    [begin
         {1, Text, Error} = explain(Config, Node, Args),
         said(<<Text/binary, Error/binary>>, Words),
         {nomatch, _} = {re:run(<<Text/binary, Error/binary>>, ?COOKIE "|wrongcookie", [{capture, none}]), Words}
     end || {Node, Args, Words} <-
                [{'nobody@127.0.0.1', [], "\nblocked: epmd of 127.0.0.1 knows no nobody"},
                 {'x@no-such-host.invalid', [], "\nblocked: no-such-host.invalid can't be resolved"},
                 {own(Config), [], "\nblocked: that is this node itself"},
                 {node_of(A), ["--port", integer_to_list(Closed)], "\nblocked: no connection to 127.0.0.1 port"},
                 {node_of(Plain), [], "\nblocked: .*start the node there with -proto_dist merlon"},
                 {node_of(A), ["--cookie-file", Wrong], "failed +secret .*\nblocked: .*the same cookie or keyring"},
                 {node_of(A), ["--cookie-file", Open], "merlon explain: .*chmod"},
                 {node_of(A), ["--cookie-file", "/nonexistent"], "name the cookie's file"},
                 {node_of(A), ["--as", "stranger@127.0.0.1"], "merlon cert stranger@127.0.0.1"},
                 {node_of(A), ["--dir", Other], "failed +certificate .*\nblocked: "},
                 {node_of(A), ["--dir", "/nonexistent"], "/nonexistent"}]].

wrong_use_is_exit_code_2(Config) ->
    Dir = merlon_ct:dir(Config),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(merlon_peers:name("one_more"))),
    Vm = merlon_ct:run(Config, args(), #{}),
    [begin
         {2, <<>>, Error} = merlon_ct:call(Vm, merlon_cli, run, [["explain" | Args]]),
         said(Error, Words)
     end || {Args, Words} <- [{[], "NODE is missing"}, {["nohost"], "NAME@HOST"}, {["a@b", "--as", "c"], "--as: .*NAME@HOST"},
                              {["a@b", "--dir", Dir], "say which node would link, with --as: .*, own_"},
                              {["a@b", "--port", "0", "--dir", Dir], "--port must be"}, {["a@b", "--sa", "x"], "--as"}]].

a_node_with_a_keyring_needs_no_cookie(Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    ok = merlon_peers:add_node(Dir, own(Config)),
    {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Dir]),
    A = merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("a")), [], #{dir => Dir}),
    Vm = merlon_ct:run(Config, args(), #{}),
    {0, Text, <<>>} = merlon_ct:call(Vm, merlon_cli, run,
                                     [["explain", atom_to_list(node_of(A)), "--dir", Dir, "--as", atom_to_list(own(Config))]]),
    said(Text, "\nopen: ").

%% By `merlon explain`, `merlon doctor NODE` and `merlon audit --node NODE`, with the port of no epmd at hand.
a_node_without_epmd_is_found_by_the_strategy_of_the_config(Config) ->
    [without_epmd(Config, {Strategy, merlon_epmd_ct:free_port()}) || Strategy <- [names, port]],
    ok.

without_epmd(Config, {Strategy, Port}) ->
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, strategy(Strategy, Port)}]),
    ok = merlon_peers:add_node(Dir, own(Config)),
    {Epmd, EpmdPort} = merlon_epmd_ct:silent_epmd(),
    A = merlon_epmd_ct:start(Config, Dir, merlon_peers:node(merlon_epmd_ct:name("a")), {EpmdPort, [], #{}}),
    Vm = merlon_ct:run(Config, ["-epmd_port", integer_to_list(EpmdPort) | args()], #{}),
    Cookie = proplists:get_value(cookie, Config),
    {AuditCode, Audit, AuditError} =
        merlon_ct:call(Vm, merlon_cli, run, [["audit", "--node", atom_to_list(node_of(A)), "--dir", Dir, "--as",
                                              atom_to_list(own(Config)), "--cookie", Cookie]]),
    {true, AuditCode, Audit, AuditError} = {AuditCode < 2, AuditCode, Audit, AuditError},
    [begin
         {Code, Text, <<>>} = merlon_ct:call(Vm, merlon_cli, run,
                                             [[Command, atom_to_list(node_of(A)), "--dir", Dir, "--as", atom_to_list(own(Config)),
                                               Option, Cookie]]),
         said(Text, Words),
         {Command, true} = {Command, Command =:= "doctor" orelse Code =:= 0}
     end || {Command, Option, Words} <- [{"explain", "--cookie-file", "\nopen: nothing stands in the way"},
                                         {"doctor", "--cookie", "ok +agreement +the peer would take the link"}]],
    ok = gen_tcp:close(Epmd),
    merlon_ct:drop(A).

strategy(names, Port) -> {names, [{port, Port}]};
strategy(port, Port) -> {port, Port}.

%% ---- helpers ----

%% Options given later take the place of those that are always given.
explain(Config, Node, Args) ->
    Vm = merlon_ct:run(Config, args(), #{}),
    Default = [{"--dir", merlon_ct:dir(Config)}, {"--as", atom_to_list(own(Config))},
               {"--cookie-file", proplists:get_value(cookie, Config)}],
    Always = lists:append([[Name, Value] || {Name, Value} <- Default, not lists:member(Name, Args)]),
    Result = merlon_ct:call(Vm, merlon_cli, run, [["explain", atom_to_list(Node) | Always ++ Args]]),
    merlon_ct:drop(Vm),
    Result.

args() -> ["-pa", filename:dirname(code:which(merlon))].

said(Text, Words) ->
    {match, _, _} = {element(1, {re:run(Text, Words, [{capture, none}, dotall])}), Text, Words},
    ok.

own(Config) -> proplists:get_value(own, Config).
node_of({_, Node, _}) -> Node.
log({Peer, _, _}) -> merlon_peers:log(Peer).

port_of({_, Node, _}) ->
    {port, Port, _} = erl_epmd:port_please(hd(string:split(atom_to_list(Node), "@")), {127, 0, 0, 1}),
    Port.
