%% SPDX-License-Identifier: Apache-2.0
%% Nodes without OTP's epmd, by each strategy of `{epmd, ...}`: they link, tools reach them, net_adm:names/1 answers, and
%% the port where an epmd would be is never dialled.
-module(merlon_epmd_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([one_port_for_one_node_per_host/1, the_number_in_the_name_says_the_port/1, a_list_says_the_port/1, who_is_listed_and_down_is_no_name/1,
         dns_says_the_port/1, epmd_itself_is_asked_where_it_is_wanted/1, a_node_that_is_not_listed_does_not_start/1, with_another_carrier_no_node_starts/1,
         a_listening_tool_takes_no_nodes_port_and_is_found/1, no_epmd_is_started_or_dialled/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [one_port_for_one_node_per_host, the_number_in_the_name_says_the_port, a_list_says_the_port, who_is_listed_and_down_is_no_name, dns_says_the_port,
     epmd_itself_is_asked_where_it_is_wanted, a_node_that_is_not_listed_does_not_start, with_another_carrier_no_node_starts,
     a_listening_tool_takes_no_nodes_port_and_is_found, no_epmd_is_started_or_dialled].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

init_per_testcase(_Case, Config) ->
    {Socket, Port} = merlon_epmd_ct:silent_epmd(),
    [{epmd, Socket}, {epmd_port, Port} | Config].

end_per_testcase(_Case, Config) ->
    ok = gen_tcp:close(proplists:get_value(epmd, Config)),
    merlon_ct:cleanup(Config).

start(Config, Dir, Node) -> start(Config, Dir, Node, [], #{}).

start(Config, Dir, Node, Args, Opts) ->
    merlon_epmd_ct:start(Config, Dir, Node, {proplists:get_value(epmd_port, Config), Args, Opts}).

not_asked(Config) ->
    0 = merlon_epmd_ct:dialled(proplists:get_value(epmd, Config)),
    ok.

node(Name, Host) -> list_to_atom(Name ++ "@" ++ Host).

port_of({Pid, _, _}) ->
    [Port] = [Port || #{event := listening, local := {_, Port}} <- merlon_peers:log(Pid)] ++
        [Port || {_, _, Port} <- merlon_peers:call(Pid, merlon_epmd, registered_as, [])],
    Port.

%% Both ways, and by a remote shell without a name.
linked(Config, Dir, [{_, NodeA, _} = A, {_, NodeB, _} = B]) ->
    ok = merlon_ct:connect(A, B),
    true = merlon_ct:call(B, erlang, disconnect_node, [NodeA]),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
    ok = merlon_ct:connect(B, A),
    ok = merlon_peers:add_cli(Dir, "alice", "127.0.0.1"),
    Tool = merlon_epmd_ct:tool(Config, Dir, proplists:get_value(epmd_port, Config)),
    [begin
         true = merlon_ct:call(Tool, net_kernel, connect_node, [Node]),
         ok = merlon_ct:call(Tool, merlon_work, echo, [Node, hello])
     end || Node <- [NodeA, NodeB]],
    Tool.

one_port_for_one_node_per_host(Config) ->
    Port = merlon_epmd_ct:free_port(),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {port, Port}}]),
    [NameA, NameB] = [merlon_epmd_ct:name(Base) || Base <- ["a", "b"]],
    [A, _] = Vms = [start(Config, Dir, node(Name, Host)) || {Name, Host} <- [{NameA, "127.0.0.1"}, {NameB, "127.0.0.2"}]],
    [Port = port_of(Vm) || Vm <- Vms],
    _ = linked(Config, Dir, Vms),
    [NameA] = merlon_epmd_ct:names(A, "127.0.0.1"),
    [NameB] = merlon_epmd_ct:names(A, "127.0.0.2"),
    {port, Port, _} = merlon_ct:call(A, merlon_epmd, port_please, ["anything", {127, 0, 0, 3}]),
    noport = merlon_ct:call(A, merlon_epmd, port_please, ["rabbitmqcli-7-rabbit", {127, 0, 0, 3}]),
    {error, already_registered} = merlon_ct:call(A, merlon_epmd, register_node, [NameA, Port]),
    not_asked(Config).

the_number_in_the_name_says_the_port(Config) ->
    Base = merlon_epmd_ct:free_port(),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {base, Base}}]),
    Name = merlon_epmd_ct:name("a"),
    Vms = [start(Config, Dir, node(Name ++ Number, "127.0.0.1")) || Number <- ["1", "2"]],
    [Base, Base] = [port_of(Vm) - Number || {Vm, Number} <- lists:zip(Vms, [1, 2])],
    _ = linked(Config, Dir, Vms),
    Both = lists:sort([Name ++ "1", Name ++ "2"]),
    [Both = merlon_epmd_ct:names(Vm, "127.0.0.1") || Vm <- Vms],
    not_asked(Config).

a_list_says_the_port(Config) ->
    [NodeA, NodeB] = Nodes = [node(merlon_epmd_ct:name(Base), "here.invalid") || Base <- ["a", "b"]],
    Ports = [PortA, PortB] = [merlon_epmd_ct:free_port() || _ <- Nodes],
    %% Hosts whose names nobody can resolve are found too.
    Listed = [{NodeA, "127.0.0.1", PortA}, {NodeB, "127.0.0.1", PortB}],
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {static, Listed}}, {listen, ["127.0.0.1"]}]),
    Vms = [A | _] = [start(Config, Dir, Node) || Node <- Nodes],
    Ports = [port_of(Vm) || Vm <- Vms],
    _ = linked(Config, Dir, Vms),
    2 = length(merlon_epmd_ct:names(A, "127.0.0.1")),
    not_asked(Config).

%% As RabbitMQ boots: under a derived name it listens where the broker will, asks whether the broker's name is there already, and
%% does not go on if it is.
who_is_listed_and_down_is_no_name(Config) ->
    [NodeA, NodeB, Down] = Nodes = [node(merlon_epmd_ct:name(Base), "127.0.0.1") || Base <- ["rabbit", "b", "down"]],
    [PortA, _, _] = Ports = [merlon_epmd_ct:free_port() || _ <- Nodes],
    Listed = [{Node, "127.0.0.1", Port} || {Node, Port} <- lists:zip(Nodes, Ports)],
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {static, Listed}}]),
    [ok = merlon_peers:add_node(Dir, Node) || Node <- [NodeA, Down]],
    Prelaunch = fun(Args) -> start(Config, Dir, node(short(NodeA) ++ "_prelaunch_4711", "127.0.0.1"), Args, #{certify => false}) end,
    Early = Prelaunch(["-kernel", "inet_dist_listen_min", integer_to_list(PortA)]),
    Own = short(NodeA) ++ "_prelaunch_4711",
    [Own] = merlon_epmd_ct:names(Early, "127.0.0.1"),
    B = start(Config, Dir, NodeB),
    ok = same([Own, short(NodeB)], Early),
    merlon_ct:drop(Early),
    A = start(Config, Dir, NodeA, [], #{certify => false}),
    [ok = same([short(NodeA), short(NodeB)], Vm) || Vm <- [A, B]],
    %% The broker runs, and somebody starts it a second time.
    Late = Prelaunch([]),
    ok = same([Own, short(NodeA), short(NodeB)], Late),
    not_asked(Config).

same(Names, Vm) ->
    {Sorted, Sorted} = {lists:sort(Names), merlon_epmd_ct:names(Vm, "127.0.0.1")},
    ok.

short(Node) -> hd(string:split(atom_to_list(Node), "@")).

dns_says_the_port(Config) ->
    Ports = [merlon_epmd_ct:free_port() || _ <- [a, b]],
    Name = merlon_epmd_ct:name("app"),
    Hosts = ["127.0.0.1", "127.0.0.2"],
    Records = [{"_" ++ Name ++ "._tcp.app.test", Port, Host} || {Port, Host} <- lists:zip(Ports, Hosts)],
    {Dns, DnsPort} = merlon_dns:start(Records),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {dns_srv, "app.test", [{nameserver, "127.0.0.1", DnsPort}]}}]),
    Vms = [A | _] = [start(Config, Dir, node(Name, Host)) || Host <- Hosts],
    %% Also where a node listens itself: asked while it boots.
    Ports = [port_of(Vm) || Vm <- Vms],
    ok = merlon_ct:connect(A, lists:last(Vms)),
    [noport = merlon_ct:call(A, merlon_epmd, port_please, [Other, "127.0.0.1"])
     || Other <- ["other", "a..b", lists:duplicate(200, $a)]],
    [Name] = merlon_epmd_ct:names(A, "127.0.0.2"),
    ok = merlon_dns:stop(Dns),
    not_asked(Config).

%% So that `not_asked` can fail.
epmd_itself_is_asked_where_it_is_wanted(Config) ->
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, daemon}]),
    {Pid, _} = spawn_monitor(fun() -> start(Config, Dir, node(merlon_epmd_ct:name("a"), "127.0.0.1")) end),
    merlon_peers:wait(fun() -> merlon_epmd_ct:dialled(proplists:get_value(epmd, Config)) > 0 end),
    exit(Pid, kill).

a_node_that_is_not_listed_does_not_start(Config) ->
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {static, [{'other@127.0.0.1', "127.0.0.1", 9}]}}]),
    {'EXIT', {boot_failed, {exit_status, 1}}} =
        (catch start(Config, Dir, node(merlon_epmd_ct:name("a"), "127.0.0.1"))),
    not_asked(Config).

%% It would listen on some port without encryption, and nobody would be told.
with_another_carrier_no_node_starts(Config) ->
    [begin
         Dir = merlon_epmd_ct:new_dir(Config, [{epmd, Strategy}]),
         Command = lists:append(["erl -noshell -boot start_clean -pa ", filename:dirname(code:which(merlon_epmd)),
                                 " -merlon_dir ", Dir, " -name ", merlon_epmd_ct:name("a"), "@127.0.0.1",
                                 " -epmd_module merlon_epmd -start_epmd false -s init stop"]),
         {match, _} = re:run(os:cmd(Command), "^merlon: .*-proto_dist merlon")
     end || Strategy <- [{names, []}, {port, merlon_epmd_ct:free_port()}]],
    not_asked(Config).

%% As `rpc-...` of releases and RabbitMQ's tools: another node dials it, which has not been dialled by it.
a_listening_tool_takes_no_nodes_port_and_is_found(Config) ->
    Base = merlon_epmd_ct:free_port(),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {base, Base}}]),
    ok = merlon_peers:add_cli(Dir, "bob", "127.0.0.1"),
    Name = merlon_epmd_ct:name("rabbit"),
    [{_, NodeA, _}, B] = [start(Config, Dir, node(Name ++ Number, "127.0.0.1")) || Number <- ["1", "2"]],
    ToolName = "rabbitmqcli-" ++ os:getpid() ++ "-" ++ Name ++ "1",
    {_, ToolNode, _} = Tool = start(Config, Dir, node(ToolName, "127.0.0.1"), ["-hidden"], #{certify => false}),
    true = port_of(Tool) > Base + 2 orelse port_of(Tool) < Base,
    true = merlon_ct:call(Tool, net_kernel, connect_node, [NodeA]),
    %% B learns of it from A, once the two are linked.
    false = merlon_ct:call(B, net_kernel, connect_node, [ToolNode]),
    true = merlon_ct:call(B, net_kernel, connect_node, [NodeA]),
    true = merlon_ct:call(B, net_kernel, connect_node, [ToolNode]),
    ok = merlon_ct:call(B, merlon_work, echo, [ToolNode, hello]),
    not_asked(Config).

%% As the system sees it: which programs are executed, and which ports are dialled.
no_epmd_is_started_or_dialled(Config) ->
    Strace = os:find_executable("strace"),
    true = is_list(Strace),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {names, [{port, merlon_epmd_ct:free_port()}]}}]),
    Traces = [filename:join(proplists:get_value(priv_dir, Config), Name) || Name <- ["trace_a", "trace_b"]],
    [A, {_, NodeB, _} = B] =
        [begin
             Exec = {Strace, ["-f", "-qq", "-e", "trace=connect,execve", "-o", Trace, os:find_executable("erl")]},
             Node = node(merlon_epmd_ct:name("a"), "127.0.0.1"),
             merlon_epmd_ct:start(Config, Dir, Node, {4369, [], #{exec => Exec}})
         end || Trace <- Traces],
    ok = merlon_ct:connect(A, B),
    {ok, [_, _]} = merlon_ct:call(B, net_adm, names, []),
    pang = merlon_ct:call(A, net_adm, ping, [node("nobody", "127.0.0.1")]),
    pong = merlon_ct:call(A, net_adm, ping, [NodeB]),
    [begin
         {ok, Trace} = file:read_file(File),
         {match, _} = re:run(Trace, "execve\\(.*beam"),
         nomatch = re:run(Trace, "execve\\([^,]*/epmd\""),
         nomatch = re:run(Trace, "htons\\(4369\\)")
     end || File <- Traces].
