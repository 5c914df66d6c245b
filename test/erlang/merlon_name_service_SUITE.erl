%% SPDX-License-Identifier: Apache-2.0
%% `{epmd, {names, ...}}`: several nodes of a host on free ports, found by an authenticated name service of their own,
%% which outlives each of them.
-module(merlon_name_service_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([nodes_and_tools_find_each_other/1, another_takes_over_within_a_second/1, a_node_that_ends_is_forgotten/1, net_kernel_stop_and_start/1,
         a_name_is_there_once/1, a_prelaunch_name_starts_and_is_not_listed/1, a_tool_is_found_by_nodes/1,
         a_tool_alone_keeps_nothing/1, the_server_comes_back/1, the_server_comes_back_under_load/1, ipv6_has_names_of_its_own/1,
         the_listener_of_names_is_where_links_are/1, a_program_that_takes_the_port_is_complained_of/1,
         another_hosts_namesake_is_not_dialled/1, a_tool_without_a_certificate_is_told_so/1,
         a_keeper_that_hangs_is_complained_of/1, a_revoked_node_keeps_no_name/1, who_is_forgotten_registers_again/1]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [nodes_and_tools_find_each_other, another_takes_over_within_a_second, a_node_that_ends_is_forgotten, net_kernel_stop_and_start,
     a_name_is_there_once, a_prelaunch_name_starts_and_is_not_listed, a_tool_is_found_by_nodes,
     a_tool_alone_keeps_nothing, the_server_comes_back, the_server_comes_back_under_load, ipv6_has_names_of_its_own,
     the_listener_of_names_is_where_links_are, a_program_that_takes_the_port_is_complained_of,
     another_hosts_namesake_is_not_dialled, a_tool_without_a_certificate_is_told_so,
     a_keeper_that_hangs_is_complained_of, a_revoked_node_keeps_no_name, who_is_forgotten_registers_again].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

init_per_testcase(_Case, Config) ->
    {Socket, EpmdPort} = merlon_epmd_ct:silent_epmd(),
    Port = merlon_epmd_ct:free_port(),
    Dir = merlon_epmd_ct:new_dir(Config, [{epmd, {names, [{port, Port}]}}]),
    [{epmd, Socket}, {epmd_port, EpmdPort}, {names_port, Port}, {dir, Dir} | Config].

end_per_testcase(_Case, Config) ->
    0 = merlon_epmd_ct:dialled(proplists:get_value(epmd, Config)),
    ok = gen_tcp:close(proplists:get_value(epmd, Config)),
    merlon_ct:cleanup(Config).

its(Key, Config) -> proplists:get_value(Key, Config).

start(Config, Name) -> start(Config, Name, [], #{}).

start(Config, Name, Args, Opts) ->
    Node = list_to_atom(Name ++ "@127.0.0.1"),
    merlon_epmd_ct:start(Config, its(dir, Config), Node, {its(epmd_port, Config), Args, Opts}).

several(Config, Bases) ->
    Names = [merlon_epmd_ct:name(Base) || Base <- Bases],
    {Names, [start(Config, Name) || Name <- Names]}.

keeper(Vms) ->
    [Keeper] = [Vm || Vm <- Vms, merlon_ct:call(Vm, merlon_names, keeps, [inet])],
    Keeper.

nodes_and_tools_find_each_other(Config) ->
    {Names, [A, {_, NodeB, _} = B, C] = Vms} = several(Config, ["a", "b", "c"]),
    A = keeper(Vms),
    Sorted = lists:sort(Names),
    [Sorted = merlon_epmd_ct:names(Vm, "127.0.0.1") || Vm <- Vms],
    {ok, [_, _, _]} = merlon_ct:call(C, net_adm, names, []),
    ok = merlon_ct:connect(A, B),
    ok = merlon_ct:connect(C, B),
    ok = merlon_ct:connect(C, A),
    ok = merlon_peers:add_cli(its(dir, Config), "alice", "127.0.0.1"),
    Tool = merlon_epmd_ct:tool(Config, its(dir, Config), its(epmd_port, Config)),
    true = merlon_ct:call(Tool, net_kernel, connect_node, [NodeB]),
    ok = merlon_ct:call(Tool, merlon_work, echo, [NodeB, hello]),
    Sorted = merlon_epmd_ct:names(Tool, "127.0.0.1"),
    [NameA | _] = Names,
    {port, Port, _} = merlon_ct:call(B, merlon_epmd, port_please, [NameA, "127.0.0.1"]),
    {port, Port, _} = merlon_ct:call(B, merlon_epmd, port_please, [NameA, {127, 0, 0, 1}]),
    noport = merlon_ct:call(B, merlon_epmd, port_please, [NameA, "127.0.0.2"]),
    noport = merlon_ct:call(B, merlon_epmd, port_please, ["nobody", "127.0.0.1"]).

%% kill -9, three times over; asked every few milliseconds by whoever is left.
another_takes_over_within_a_second(Config) ->
    {_, Vms} = several(Config, ["a", "b", "c", "d"]),
    Left = lists:foldl(fun(_, Now) -> taken_over(Config, Now) end, Vms, [1, 2]),
    [_, _] = Left,
    [ok = merlon_ct:connect(A, B) || {A, B} <- [list_to_tuple(Left)]].

taken_over(Config, Vms) ->
    Keeper = keeper(Vms),
    Left = [{_, Asking, _} = First | _] = Vms -- [Keeper],
    Expected = lists:sort([hd(string:split(atom_to_list(Node), "@")) || {_, Node, _} <- Left]),
    Identity = merlon_attacker:identity(its(dir, Config), Asking, its(dir, Config), <<"epmd-tests">>),
    merlon_ct:signal(Keeper, "KILL"),
    Begin = erlang:monotonic_time(millisecond),
    ok = until(fun() -> all_there(merlon_epmd_ct:ask(Identity, its(names_port, Config), list), Expected) end, Begin + 5000),
    Took = erlang:monotonic_time(millisecond) - Begin,
    ct:pal("all ~b names found again after ~b ms", [length(Expected), Took]),
    true = Took < 1000,
    Expected = merlon_epmd_ct:names(First, "127.0.0.1"),
    Left.

all_there({ok, {names, Names}}, Expected) -> [hd(string:split(binary_to_list(Name), "@")) || {Name, _} <- Names] =:= Expected;
all_there({error, _}, _) -> false.

until(Fun, End) ->
    case Fun() orelse erlang:monotonic_time(millisecond) > End of
        true -> ok;
        false -> timer:sleep(5), until(Fun, End)
    end.

a_node_that_ends_is_forgotten(Config) ->
    {[NameA, _, NameC], [A, B, _]} = several(Config, ["a", "b", "c"]),
    merlon_ct:signal(B, "KILL"),
    merlon_peers:wait(fun() -> merlon_epmd_ct:names(A, "127.0.0.1") =:= lists:sort([NameA, NameC]) end).

%% As RabbitMQ does: its VM becomes a node late, and more than once.
net_kernel_stop_and_start(Config) ->
    {[NameA], [A]} = several(Config, ["a"]),
    Name = merlon_epmd_ct:name("late"),
    Node = list_to_atom(Name ++ "@127.0.0.1"),
    ok = merlon_peers:add_node(its(dir, Config), Node),
    Late = merlon_epmd_ct:bare(Config, its(dir, Config), its(epmd_port, Config), []),
    [begin
         {ok, _} = merlon_ct:call(Late, net_kernel, start, [[Node, longnames]]),
         Both = lists:sort([NameA, Name]),
         Both = merlon_epmd_ct:names(Late, "127.0.0.1"),
         ok = merlon_ct:call(Late, net_kernel, stop, []),
         merlon_peers:wait(fun() -> merlon_epmd_ct:names(A, "127.0.0.1") =:= [NameA] end)
     end || _ <- [1, 2]].

a_name_is_there_once(Config) ->
    {[NameA, NameB], [A, _]} = several(Config, ["a", "b"]),
    {'EXIT', _} = (catch start(Config, NameB, [], #{wait_boot => 8000})),
    {'EXIT', _} = (catch start(Config, NameA, [], #{wait_boot => 8000})),
    Both = lists:sort([NameA, NameB]),
    Both = merlon_epmd_ct:names(A, "127.0.0.1").

%% RabbitMQ's, which looks for a namesake.
a_prelaunch_name_starts_and_is_not_listed(Config) ->
    Name = merlon_epmd_ct:name("rabbit"),
    ok = merlon_peers:add_node(its(dir, Config), list_to_atom(Name ++ "@127.0.0.1")),
    Pre = start(Config, Name ++ "_prelaunch_4711", [], #{certify => false}),
    [] = merlon_epmd_ct:names(Pre, "127.0.0.1"),
    _ = start(Config, Name, [], #{certify => false}),
    [Name] = merlon_epmd_ct:names(Pre, "127.0.0.1").

%% Brokers dial them.
a_tool_is_found_by_nodes(Config) ->
    {[NameA, NameB], [{_, NodeA, _} = A, B]} = several(Config, ["rabbit", "rabbit"]),
    ok = merlon_peers:add_cli(its(dir, Config), "bob", "127.0.0.1"),
    Name = "rabbitmqcli-" ++ os:getpid() ++ "-" ++ NameA,
    {_, ToolNode, _} = Tool = start(Config, Name, ["-hidden"], #{certify => false}),
    true = merlon_ct:call(B, net_kernel, connect_node, [ToolNode]),
    true = merlon_ct:call(Tool, net_kernel, connect_node, [NodeA]),
    Nodes = lists:sort([NameA, NameB]),
    All = lists:sort([Name | Nodes]),
    All = merlon_epmd_ct:names(A, "127.0.0.1"),
    %% It does not see itself: a tool is not told of tools.
    Nodes = merlon_epmd_ct:names(Tool, "127.0.0.1").

%% A user's tool must not answer in the place of nodes; it starts, and a node that comes later finds the port free.
a_tool_alone_keeps_nothing(Config) ->
    ok = merlon_peers:add_cli(its(dir, Config), "bob", "127.0.0.1"),
    Name = "rabbitmqcli-" ++ os:getpid() ++ "-rabbit",
    Tool = start(Config, Name, ["-hidden"], #{certify => false}),
    [] = merlon_epmd_ct:names(Tool, "127.0.0.1"),
    false = merlon_ct:call(Tool, merlon_names, keeps, [inet]),
    {[NameA], [A]} = several(Config, ["a"]),
    true = merlon_ct:call(A, merlon_names, keeps, [inet]),
    %% By and by the tool is known too.
    merlon_peers:wait(fun() -> merlon_epmd_ct:names(A, "127.0.0.1") =:= lists:sort([NameA, Name]) end).

%% A crash costs nothing but a moment.
the_server_comes_back(Config) ->
    {Names, [A, B]} = several(Config, ["a", "b"]),
    [begin
         Pid = merlon_ct:call(Vm, erlang, whereis, [merlon_names]),
         true = merlon_ct:call(Vm, erlang, exit, [Pid, kill]),
         merlon_peers:wait(fun() -> catch merlon_epmd_ct:names(A, "127.0.0.1") =:= lists:sort(Names) end)
     end || Vm <- [A, B]],
    ok = merlon_ct:connect(A, B).

%% merlon_epmd, which knows the name, takes its time to say it.
the_server_comes_back_under_load(Config) ->
    {Names, [A, B]} = several(Config, ["a", "b"]),
    ok = merlon_ct:call(B, sys, suspend, [merlon_epmd]),
    true = merlon_ct:call(B, erlang, exit, [merlon_ct:call(B, erlang, whereis, [merlon_names]), kill]),
    timer:sleep(900),
    ok = merlon_ct:call(B, sys, resume, [merlon_epmd]),
    merlon_peers:wait(fun() -> merlon_epmd_ct:names(A, "127.0.0.1") =:= lists:sort(Names) end).

ipv6_has_names_of_its_own(Config) ->
    {[NameA], [A]} = several(Config, ["a"]),
    Vms = [begin
               Name = merlon_epmd_ct:name(Base),
               Node = list_to_atom(Name ++ "@::1"),
               ok = merlon_peers:add_node(its(dir, Config), Node),
               ["-proto_dist", "merlon" | Args] = merlon_peers:args(its(dir, Config)),
               merlon_ct:run(Config, ["-proto_dist", "merlon6", "-epmd_module", "merlon_epmd", "-start_epmd", "false" | Args],
                             #{name => Name, host => "::1", longnames => true})
           end || Base <- ["f", "g"]],
    [F, G] = Vms,
    ok = merlon_ct:connect(F, G),
    [_, _] = merlon_epmd_ct:names(G, "::1"),
    [NameA] = merlon_epmd_ct:names(A, "127.0.0.1").

the_listener_of_names_is_where_links_are(Config) ->
    {_, [{Pid, _, _}]} = several(Config, ["a"]),
    Port = its(names_port, Config),
    merlon_peers:wait(fun() -> [] =/= [kept || #{event := names_kept, local := {{127, 0, 0, 1}, P}} <- merlon_peers:log(Pid), P =:= Port]
                                   orelse merlon_peers:call(Pid, merlon_names, keeps, [inet]) end),
    {error, econnrefused} = gen_tcp:connect({127, 0, 0, 2}, Port, []),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, []),
    ok = gen_tcp:close(Socket).

%% Nobody can be kept from binding a free port; the node goes on, says so, and has the port as soon as it is free.
a_program_that_takes_the_port_is_complained_of(Config) ->
    {[_, NameB], [A, {Pid, _, _} = B]} = several(Config, ["a", "b"]),
    merlon_ct:signal(B, "STOP"),
    merlon_ct:signal(A, "KILL"),
    Socket = bound(its(names_port, Config), 100),
    merlon_ct:signal(B, "CONT"),
    merlon_peers:wait(fun() -> [] =/= [lost || #{event := names_lost} <- merlon_peers:log(Pid)] end),
    ok = merlon_ct:alive(B),
    %% By now in no hurry any more: each try may be a whole TLS handshake.
    true = visitors(Socket, erlang:monotonic_time(millisecond) + 3000) < 12,
    ok = gen_tcp:close(Socket),
    merlon_peers:wait(fun() -> merlon_ct:call(B, merlon_names, keeps, [inet]) end),
    [NameB] = merlon_epmd_ct:names(B, "127.0.0.1").

bound(Port, Tries) when Tries > 0 ->
    case gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}, {reuseaddr, true}, {backlog, 200}]) of
        {ok, Socket} -> Socket;
        {error, eaddrinuse} -> timer:sleep(20), bound(Port, Tries - 1)
    end.

visitors(Socket, End) ->
    case gen_tcp:accept(Socket, max(0, End - erlang:monotonic_time(millisecond))) of
        {ok, Each} ->
            ok = gen_tcp:close(Each),
            1 + visitors(Socket, End);
        {error, timeout} -> 0
    end.

%% A node that is down, or whose host is spelt in another way, is no attack of the one that has its name on that address.
another_hosts_namesake_is_not_dialled(Config) ->
    {[NameA, _], [{PidA, _, _}, {PidB, _, _} = B]} = several(Config, ["a", "b"]),
    Other = list_to_atom(NameA ++ "@127.0.1"),
    false = merlon_ct:call(B, net_kernel, connect_node, [Other]),
    Unresolved = fun() -> [Node || #{event := unresolved, reason := no_port, node := Node} <- merlon_peers:log(PidB)] end,
    merlon_peers:wait(fun() -> Unresolved() =:= [Other] end),
    [] = [Refused || Pid <- [PidA, PidB], #{event := refused} = Refused <- merlon_peers:log(Pid)].

a_tool_without_a_certificate_is_told_so(Config) ->
    {_, [{_, NodeA, _}]} = several(Config, ["a"]),
    {Pid, _, _} = Tool = merlon_epmd_ct:tool(Config, its(dir, Config), its(epmd_port, Config)),
    false = merlon_ct:call(Tool, net_kernel, connect_node, [NodeA]),
    merlon_peers:wait(fun() -> [NodeA] =:= [Node || #{event := refused, reason := no_identity, node := Node} <- merlon_peers:log(Pid)] end).

%% A stopped process keeps its port: nobody can take over. Nobody waits for it for long, and everybody says who it is.
a_keeper_that_hangs_is_complained_of(Config) ->
    {[_, NameB, NameC], [{_, NodeA, _} = A, {PidB, _, _} = B, {PidC, NodeC, _} = C]} = several(Config, ["a", "b", "c"]),
    A = keeper([A, B, C]),
    merlon_ct:signal(A, "STOP"),
    in_time(fun() -> false = merlon_ct:call(B, net_kernel, connect_node, [NodeC]) end),
    merlon_peers:wait(fun() -> [NodeC] =:= [Node || #{event := unresolved, node := Node, answer := {error, {names, timeout}}, text := _}
                                                        <- merlon_peers:log(PidB)] end),
    in_time(fun() -> {error, {names, timeout}} = merlon_ct:call(B, net_adm, names, []) end),
    in_time(fun() -> {error, {names, timeout}} = merlon_ct:call(B, merlon_epmd, port_please, [NameC, "127.0.0.1"]) end),
    [ok = merlon_ct:alive(Vm) || Vm <- [B, C]],
    Said = fun(Pid, Event) -> [Text || #{event := Each, text := Text} <- merlon_peers:log(Pid), Each =:= Event] end,
    [merlon_peers:wait(fun() -> Said(Pid, names_silent) =/= [] end) || Pid <- [PidB, PidC]],
    [Silent] = Said(PidB, names_silent),
    {0, _} = binary:match(Silent, atom_to_binary(NodeA)),
    in_time(9000, fun() -> {'EXIT', {boot_failed, _}} = (catch start(Config, merlon_epmd_ct:name("late"))) end),
    merlon_ct:signal(A, "CONT"),
    [merlon_peers:wait(fun() -> length(Said(Pid, names_back)) =:= 1 end) || Pid <- [PidB, PidC]],
    [Silent] = Said(PidB, names_silent),
    ok = merlon_ct:connect(B, C),
    true = lists:member(NameB, merlon_epmd_ct:names(C, "127.0.0.1")),
    %% One that is ended has a successor at once.
    merlon_ct:signal(A, "STOP"),
    merlon_ct:signal(A, "KILL"),
    merlon_peers:wait(fun() -> lists:sort([NameB, NameC]) =:= (catch merlon_epmd_ct:names(B, "127.0.0.1")) end).

in_time(Test) -> in_time(3500, Test).

in_time(Limit, Test) ->
    {Took, _} = timer:tc(Test),
    {true, Took} = {Took < Limit * 1000, Took}.

%% Nor one whose CA is not trusted any more, or whose certificate runs out: by the rules of links.
a_revoked_node_keeps_no_name(Config) ->
    {[NameA, _, NameC], [{PidA, _, _} = A, {PidB, NodeB, _}, C]} = several(Config, ["a", "b", "c"]),
    Dir = its(dir, Config),
    Fingerprint = fingerprint(Dir, NodeB),
    ok = merlon_live_ct:revoke(Dir, [NodeB]),
    [ok = merlon_live_ct:taken(Vm) || Vm <- [A, C]],
    Both = lists:sort([NameA, NameC]),
    merlon_peers:wait(fun() -> Both =:= merlon_epmd_ct:names(C, "127.0.0.1") end),
    merlon_peers:wait(fun() -> [] =/= merlon_live_ct:events(A, names_dropped) end),
    Name = atom_to_binary(NodeB),
    [#{reason := revoked, claimed := Name, fingerprint := Fingerprint, level := warning}] = merlon_live_ct:events(A, names_dropped),
    %% It comes back with the same certificate, and is refused.
    merlon_peers:wait(fun() -> [] =/= [Reason || #{event := refused, reason := revoked = Reason} <- merlon_peers:log(PidA)] end),
    merlon_peers:wait(fun() -> [] =/= [lost || #{event := names_lost} <- merlon_peers:log(PidB)] end),
    Both = merlon_epmd_ct:names(C, "127.0.0.1").

fingerprint(Dir, Node) ->
    {ok, Pem} = file:read_file(filename:join([Dir, "nodes", atom_to_list(Node), "cert.pem"])),
    merlon_live_ct:fingerprint(Pem).

%% Whatever the reason: a keeper that answers and does not know the name is told it again.
who_is_forgotten_registers_again(Config) ->
    {Names, [A, {_, NodeB, _} = B]} = several(Config, ["a", "b"]),
    Name = atom_to_binary(NodeB),
    Forget = fun(State) -> setelement(3, State, maps:map(fun(_, Table) -> maps:remove(Name, Table) end, element(3, State))) end,
    _ = merlon_ct:call(A, sys, replace_state, [merlon_names, Forget]),
    [_] = merlon_epmd_ct:names(A, "127.0.0.1"),
    merlon_peers:wait(fun() -> merlon_epmd_ct:names(B, "127.0.0.1") =:= lists:sort(Names) end).
