%% SPDX-License-Identifier: Apache-2.0
%% Names that are not plain `name@host`: dynamic ones, derived ones, those of tools, odd ones; and
%% nodes that do not listen.
-module(merlon_names_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_tool_gets_a_dynamic_name/1, a_node_that_does_not_listen_dials/1,
         a_derived_name_uses_its_nodes_certificate/1, a_tool_dials_and_is_dialled/1,
         a_tool_can_not_be_a_node/1, odd_names_can_start/1, ipv6_nodes_link/1,
         short_names_link/1, names_are_kept_apart_from_hosts/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_tool_gets_a_dynamic_name, a_node_that_does_not_listen_dials,
     a_derived_name_uses_its_nodes_certificate, a_tool_dials_and_is_dialled,
     a_tool_can_not_be_a_node, odd_names_can_start, ipv6_nodes_link, short_names_link,
     names_are_kept_apart_from_hosts].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% A dir of the test's own, so that no other identity helps.
new_dir(Config) ->
    merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests").

dial(Vm, Node) -> merlon_ct:call(Vm, net_kernel, connect_node, [Node]).

a_tool_gets_a_dynamic_name(Config) ->
    Dir = new_dir(Config),
    ok = merlon_peers:add_cli(Dir, "alice", "127.0.0.1"),
    {_, NodeA, _} = A = started(Config, Dir, merlon_peers:node(merlon_peers:name("a"))),
    Tool = merlon_ct:run(Config, merlon_peers:args(Dir) ++ ["-name", "undefined@127.0.0.1"], #{}),
    nonode@nohost = merlon_ct:call(Tool, erlang, node, []),
    true = dial(Tool, NodeA),
    Name = merlon_ct:call(Tool, erlang, node, []),
    true = Name =/= nonode@nohost,
    %% One name in 140 is too short to go on with to other nodes (native/pki/src/bind.rs): that tool has to try again.
    case length(hd(string:split(atom_to_list(Name), "@"))) < 12 of
        true -> merlon_ct:cleanup(Config), a_tool_gets_a_dynamic_name(Config);
        false -> goes_on_with_its_name(Config, Dir, {A, NodeA}, Tool, Name)
    end.

goes_on_with_its_name(Config, Dir, {A, NodeA}, Tool, Name) ->
    ok = merlon_ct:call(Tool, merlon_work, echo, [NodeA, hello]),
    #{identity := {cli, _, <<"alice">>, <<"127.0.0.1">>}} = merlon_ct:the_link(A, Name),
    [Name] = merlon_ct:call(A, erlang, nodes, [hidden]),
    [] = merlon_ct:call(A, erlang, nodes, []),
    %% It keeps its name when it comes again, and A can take its calls back.
    true = merlon_ct:call(Tool, erlang, disconnect_node, [NodeA]),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
    true = dial(Tool, NodeA),
    Again = merlon_ct:call(Tool, erlang, node, []),
    ok = merlon_ct:call(A, merlon_work, echo, [Again, hello]),
    %% With that name it goes on to other nodes.
    {_, NodeB, _} = B = started(Config, Dir, merlon_peers:node(merlon_peers:name("b"))),
    %% What both say, should it ever fail.
    _ = dial(Tool, NodeB) orelse error([merlon_peers:log(element(1, Vm)) || Vm <- [Tool, B]]),
    #{identity := {cli, _, <<"alice">>, <<"127.0.0.1">>}} = merlon_ct:the_link(B, Again).

started(Config, Dir, Node) -> started(Config, Dir, Node, []).

started(Config, Dir, Node, Args) ->
    merlon_ct:start(Config, Node, Args, #{dir => Dir}).

a_node_that_does_not_listen_dials(Config) ->
    {_, NodeA, _} = A = merlon_ct:start(Config, "a"),
    {_, NodeQ, _} = Q = merlon_ct:start(Config, "quiet", ["-dist_listen", "false"]),
    {ok, Names} = erl_epmd:names({127, 0, 0, 1}),
    [Base, _] = string:split(atom_to_list(NodeQ), "@"),
    false = lists:keymember(Base, 1, Names),
    pang = merlon_ct:call(A, net_adm, ping, [NodeQ]),
    true = dial(Q, NodeA),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeQ, hello]),
    [NodeQ] = merlon_ct:call(A, erlang, nodes, [hidden]),
    #{identity := {node, _, _, _}, direction := accept} = merlon_ct:the_link(A, NodeQ).

%% RabbitMQ's prelaunch node.
a_derived_name_uses_its_nodes_certificate(Config) ->
    {_, NodeA, _} = A = merlon_ct:start(Config, "a"),
    Base = merlon_peers:name("rabbit"),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), merlon_peers:node(Base)),
    Derived = merlon_peers:node(Base ++ "_prelaunch_4711"),
    %% It does not link again by itself.
    D = merlon_ct:start(Config, Derived, ["-kernel", "dist_auto_connect", "never"], #{certify => false}),
    true = dial(D, NodeA),
    Name = list_to_binary(Base),
    #{identity := {node, _, Name, _}, node := Derived} = merlon_ct:the_link(A, Derived),
    %% Dialled by its derived name: its certificate is not for that, told apart by every peer.
    true = merlon_ct:call(D, erlang, disconnect_node, [NodeA]),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
    false = dial(A, Derived),
    {PeerA, _, _} = A,
    [#{reason := wrong_name, node := Derived}] =
        [Report || #{event := refused, side := dial} = Report <- merlon_peers:log(PeerA)],
    [ok = merlon_ct:alive(Vm) || Vm <- [A, D]],
    %% It calls itself @localhost wherever it is; it may listen, no more.
    Local = list_to_atom(Base ++ "_prelaunch_4712@localhost"),
    L = merlon_ct:start(Config, Local, [], #{certify => false, longnames => false}),
    Local = merlon_ct:call(L, erlang, node, []).

%% rabbitmqctl: hidden, and brokers dial it.
a_tool_dials_and_is_dialled(Config) ->
    Dir = new_dir(Config),
    ok = merlon_peers:add_cli(Dir, "bob", "127.0.0.1"),
    {_, NodeA, _} = A = started(Config, Dir, merlon_peers:node(merlon_peers:name("rabbit"))),
    {_, NodeB, _} = B = started(Config, Dir, merlon_peers:node(merlon_peers:name("rabbit"))),
    Name = list_to_atom("rabbitmqcli-" ++ os:getpid() ++ "-" ++ atom_to_list(NodeA)),
    Tool = merlon_ct:start(Config, Name, ["-hidden"], #{dir => Dir, certify => false}),
    true = dial(Tool, NodeA),
    #{identity := {cli, _, <<"bob">>, _}, direction := accept} = merlon_ct:the_link(A, Name),
    true = dial(B, Name),
    #{identity := {cli, _, <<"bob">>, _}, direction := dial} = merlon_ct:the_link(B, Name),
    ok = merlon_ct:call(B, merlon_work, echo, [Name, hello]),
    #{} = merlon_ct:the_link(Tool, NodeB).

%% Neither by starting under a node's name nor under one that no tool has.
a_tool_can_not_be_a_node(Config) ->
    Dir = new_dir(Config),
    ok = merlon_peers:add_cli(Dir, "mallory", "127.0.0.1"),
    [{'EXIT', {boot_failed, {exit_status, 1}}} =
         (catch merlon_ct:start(Config, merlon_peers:node(merlon_peers:name(Base)), [],
                                #{dir => Dir, certify => false})) || Base <- ["a", "mallory"]].

%% Shell metacharacters, ends of names that look like other things, bytes beyond ASCII.
odd_names_can_start(Config) ->
    [begin
         {_, Node, _} = Vm = merlon_ct:start(Config, Node, [], #{longnames => false}),
         Node = merlon_ct:call(Vm, erlang, node, []),
         true = merlon_ct:call(Vm, merlon_registry, listening, []),
         merlon_ct:cleanup(Config)
     end || {Base, Host} <- [{"a_1", "b"}, {"b", "b1-c"}, {"d", "b1#c"}, {"1", "b1"},
                             {"c", "b1_x2d_"}, {"e", "b1" ++ [233]}],
            Node <- [list_to_atom(merlon_peers:name(Base) ++ "@" ++ Host)]].

%% On hosts whose names an encoding could confuse: each is only who it is.
names_are_kept_apart_from_hosts(_Config) ->
    Twins = [{<<"n">>, <<"a-b">>}, {<<"n">>, <<"a_x2d_b">>}, {<<"n">>, <<"fe80--1">>},
             {<<"n">>, <<"fe80::1">>}, {<<"n-a">>, <<"b">>}, {<<"n/..">>, <<"b">>}],
    [false = merlon_nif:binds({node, Name, Host}, <<Other/binary, $@, OtherHost/binary>>, default, [])
     || {Name, Host} = One <- Twins, {Other, OtherHost} = Two <- Twins, One =/= Two],
    [true = merlon_nif:binds({node, Name, Host}, <<Name/binary, $@, Host/binary>>, default, [])
     || {Name, Host} <- Twins].

ipv6_nodes_link(Config) ->
    Dir = merlon_ct:dir(Config),
    Vms = [{_, NodeA, _} = A, {_, NodeB, _} = B] =
        [begin
             Name = merlon_peers:name(Base),
             Node = list_to_atom(Name ++ "@::1"),
             ok = merlon_peers:add_node(Dir, Node),
             ["-proto_dist", "merlon" | Args] = merlon_peers:args(Dir),
             merlon_ct:run(Config, ["-proto_dist", "merlon6" | Args],
                           #{name => Name, host => "::1", longnames => true})
         end || Base <- ["f", "g"]],
    true = dial(A, NodeB),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, hello]),
    #{peer := {{0, 0, 0, 0, 0, 0, 0, 1}, _}} = merlon_ct:the_link(A, NodeB),
    [Name, _] = binary:split(atom_to_binary(NodeA), <<"@">>),
    #{identity := {node, _, Name, <<"::1">>}} = merlon_ct:the_link(B, NodeA),
    [ok = merlon_ct:alive(Vm) || Vm <- Vms].

short_names_link(Config) ->
    [A, {_, NodeB, _}] =
        [merlon_ct:start(Config, list_to_atom(merlon_peers:name(Base) ++ "@localhost"), [],
                         #{longnames => false}) || Base <- ["a", "b"]],
    true = dial(A, NodeB),
    #{identity := {node, _, _, <<"localhost">>}} = merlon_ct:the_link(A, NodeB).
