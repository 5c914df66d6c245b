%% SPDX-License-Identifier: Apache-2.0
%% How nodes come up: interactive, embedded, later at run time, before there is a file server; and
%% where they listen.
-module(merlon_boot_SUITE).

-include_lib("kernel/include/net_address.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_release_in_embedded_mode_boots_and_links/1, distribution_starts_and_stops_at_run_time/1,
         a_refused_start_at_run_time_leaves_the_vm_alone/1, a_slave_links_while_it_boots/1,
         nodes_wait_for_each_other_at_boot/1, the_port_is_one_of_the_range/1,
         a_full_range_stops_the_node_with_a_sentence/1, only_the_given_interface_is_listened_on/1,
         nodes_link_without_epmd_over_a_fixed_port/1, a_name_twice_stops_the_second_node/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_release_in_embedded_mode_boots_and_links, distribution_starts_and_stops_at_run_time,
     a_refused_start_at_run_time_leaves_the_vm_alone, a_slave_links_while_it_boots,
     nodes_wait_for_each_other_at_boot, the_port_is_one_of_the_range,
     a_full_range_stops_the_node_with_a_sentence, only_the_given_interface_is_listened_on,
     nodes_link_without_epmd_over_a_fixed_port, a_name_twice_stops_the_second_node].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

dial(Vm, Node) -> merlon_ct:call(Vm, net_kernel, connect_node, [Node]).

%% ---- ways to boot ----

%% A boot script made by systools: listen/2 runs before any on_load handler, and no module is loaded
%% that the script does not name.
a_release_in_embedded_mode_boots_and_links(Config) ->
    Boot = boot_script(Config),
    [A, {_, NodeB, _} = B] = [embedded(Config, Boot, Base) || Base <- ["a", "b"]],
    [embedded = merlon_ct:call(Vm, code, get_mode, []) || Vm <- [A, B]],
    true = dial(A, NodeB),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, hello]),
    #{direction := dial} = merlon_ct:the_link(A, NodeB),
    [true = lists:keymember(merlon, 1, merlon_ct:call(Vm, application, which_applications, []))
     || Vm <- [A, B]].

boot_script(Config) ->
    Name = filename:join(proplists:get_value(priv_dir, Config), "embedded"),
    Ebin = filename:dirname(code:which(merlon_nif)),
    App = filename:join(proplists:get_value(priv_dir, Config), "merlon.app"),
    {ok, [{application, merlon, Keys}]} = file:consult(filename:join(Ebin, "merlon.app")),
    Modules = [list_to_atom(filename:basename(Beam, ".beam"))
               || Beam <- filelib:wildcard(filename:join(Ebin, "*.beam"))],
    Described = {application, merlon, lists:keystore(modules, 1, Keys, {modules, Modules})},
    ok = file:write_file(App, io_lib:format("~p.~n", [Described])),
    Version = fun(Application) ->
                      _ = application:load(Application),
                      {ok, Vsn} = application:get_key(Application, vsn),
                      {Application, Vsn}
              end,
    Release = {release, {"embedded", "1"}, {erts, erlang:system_info(version)},
               [Version(kernel), Version(stdlib), {merlon, proplists:get_value(vsn, Keys)}]},
    ok = file:write_file(Name ++ ".rel", io_lib:format("~p.~n", [Release])),
    ok = make_script(Name, [filename:dirname(App), Ebin]),
    Name.

make_script(Name, Path) ->
    case systools:make_script(Name, [{path, Path}, local, silent, no_warn_sasl,
                                     {outdir, filename:dirname(Name)}]) of
        {ok, _, _} -> ok;
        Other -> Other
    end.

embedded(Config, Boot, Base) ->
    Dir = merlon_ct:dir(Config),
    Name = merlon_peers:name(Base),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    Ebin = filename:dirname(code:which(merlon_nif)),
    Args = ["-boot", Boot, "-mode", "embedded", "-pa", Ebin, "-proto_dist", "merlon",
            "-merlon_dir", Dir, "-setcookie", "merlontest"],
    merlon_ct:run(Config, Args, #{name => Name, host => "127.0.0.1", longnames => true}).

distribution_starts_and_stops_at_run_time(Config) ->
    {_, NodeA, _} = A = merlon_ct:start(Config, "a"),
    Name = merlon_peers:name("late"),
    Node = merlon_peers:node(Name),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Node),
    Vm = merlon_ct:run(Config, merlon_peers:args(merlon_ct:dir(Config)), #{}),
    nonode@nohost = merlon_ct:call(Vm, erlang, node, []),
    Fds = [begin
               {ok, _} = merlon_ct:call(Vm, net_kernel, start, [[Node, longnames]]),
               Node = merlon_ct:call(Vm, erlang, node, []),
               true = merlon_ct:call(Vm, erlang, set_cookie, [merlontest]),
               true = dial(Vm, NodeA),
               ok = merlon_ct:call(Vm, merlon_work, echo, [NodeA, hello]),
               #{node := Node} = merlon_ct:the_link(A, Node),
               Port = port_of(Vm),
               ok = merlon_ct:call(Vm, net_kernel, stop, []),
               merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
               merlon_peers:wait(fun() -> closed(Port) end),
               [] = merlon_ct:links(Vm),
               maps:get(fds, merlon_ct:resources(Vm))
           end || _ <- lists:seq(1, 5)],
    ct:log("descriptors: ~w", [Fds]),
    true = lists:last(Fds) =< lists:nth(2, Fds).

closed(Port) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
        {error, econnrefused} -> true;
        {ok, Socket} -> gen_tcp:close(Socket), false
    end.

%% What net_kernel was told that it listens on.
port_of(Vm) ->
    {_, Port} = address_of(Vm),
    Port.

address_of(Vm) ->
    State = merlon_ct:call(Vm, sys, get_state, [net_kernel]),
    [Address] = [Address || Listeners <- tuple_to_list(State), is_list(Listeners),
                            Listener <- Listeners, is_tuple(Listener),
                            #net_address{address = Address, protocol = merlon}
                                <- tuple_to_list(Listener)],
    Address.

a_refused_start_at_run_time_leaves_the_vm_alone(Config) ->
    Vm = merlon_ct:run(Config, merlon_peers:args(merlon_ct:dir(Config)), #{}),
    Stranger = merlon_peers:node(merlon_peers:name("stranger")),
    {error, _} = merlon_ct:call(Vm, net_kernel, start, [[Stranger, longnames]]),
    nonode@nohost = merlon_ct:call(Vm, erlang, node, []),
    Node = merlon_peers:node(merlon_peers:name("known")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Node),
    {ok, _} = merlon_ct:call(Vm, net_kernel, start, [[Node, longnames]]),
    Node = merlon_ct:call(Vm, erlang, node, []),
    ok = merlon_ct:alive(Vm).

%% With -master the first link is made while the kernel boots: the node has no file server of its
%% own, then or ever.
a_slave_links_while_it_boots(Config) ->
    {_, NodeA, _} = A = merlon_ct:start(Config, "master"),
    Slave = merlon_peers:node(merlon_peers:name("slave")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Slave),
    Port = erl(merlon_peers:args(merlon_ct:dir(Config))
               ++ ["-name", atom_to_list(Slave), "-noinput", "-master", atom_to_list(NodeA)]),
    try
        merlon_peers:wait(fun() -> merlon_ct:link_of(A, Slave) =/= none end),
        #{direction := accept} = merlon_ct:the_link(A, Slave),
        [#{node := NodeA, direction := dial}] =
            merlon_ct:call(A, erpc, call, [Slave, merlon, connections, []]),
        Data = rand:bytes(100000),
        true = erlang:md5(Data) =:= merlon_ct:call(A, erpc, call, [Slave, erlang, md5, [Data]])
    after
        kill(Port)
    end.

%% global's wish to have others there before applications start.
nodes_wait_for_each_other_at_boot(Config) ->
    Names = [NodeA, NodeB] = [merlon_peers:node(merlon_peers:name(Base)) || Base <- ["a", "b"]],
    Wait = fun(Other) -> ["-kernel", "sync_nodes_mandatory", "['" ++ atom_to_list(Other) ++ "']",
                          "sync_nodes_timeout", "20000"] end,
    Self = self(),
    _ = [spawn_link(fun() -> Self ! {up, merlon_ct:start(Config, Node, Wait(Other), #{})} end)
         || {Node, Other} <- lists:zip(Names, [NodeB, NodeA])],
    Vms = [receive {up, Vm} -> Vm end || _ <- Names],
    merlon_peers:wait(fun() -> [1, 1] =:= [length(merlon_ct:links(Vm)) || Vm <- Vms] end).

%% ---- where to listen ----

free_port() ->
    {ok, Socket} = gen_tcp:listen(0, []),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Port.

range(Port) ->
    ["-kernel", "inet_dist_listen_min", integer_to_list(Port),
     "inet_dist_listen_max", integer_to_list(Port + 30)].

the_port_is_one_of_the_range(Config) ->
    Port = free_port(),
    [A, {_, NodeB, _} = B] = [merlon_ct:start(Config, Base, range(Port)) || Base <- ["a", "b"]],
    Ports = [port_of(Vm) || Vm <- [A, B]],
    [true, true] = [Actual >= Port andalso Actual =< Port + 30 || Actual <- Ports],
    [_, _] = lists:usort(Ports),
    true = dial(A, NodeB).

a_full_range_stops_the_node_with_a_sentence(Config) ->
    {ok, Taken} = gen_tcp:listen(0, [{ip, {0, 0, 0, 0}}]),
    {ok, Port} = inet:port(Taken),
    Node = merlon_peers:node(merlon_peers:name("late")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Node),
    Args = merlon_peers:args(merlon_ct:dir(Config))
        ++ ["-name", atom_to_list(Node), "-noinput", "-kernel",
            "inet_dist_listen_min", integer_to_list(Port)],
    {Status, Text, Time} = refused(Args),
    ok = gen_tcp:close(Taken),
    ct:log("~b after ~b ms: ~ts", [Status, Time, Text]),
    true = Status =/= 0,
    true = Time < 5000,
    Sentence = list_to_binary(["merlon: port ", integer_to_list(Port), " can't be listened on"]),
    {_, _} = binary:match(Text, Sentence).

%% The exit status of a VM that should not come up, what it said, and when.
refused(Args) ->
    Start = erlang:monotonic_time(millisecond),
    {Status, Text} = collect(erl(Args), <<>>),
    {Status, Text, erlang:monotonic_time(millisecond) - Start}.

erl(Args) ->
    open_port({spawn_executable, os:find_executable("erl")},
              [{args, Args}, {env, [{"ERL_CRASH_DUMP_BYTES", "0"}]}, exit_status, stderr_to_stdout,
               binary]).

kill(Port) ->
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    _ = os:cmd("kill -KILL " ++ integer_to_list(Os)),
    receive {Port, {exit_status, _}} -> ok after 5000 -> ct:fail(still_up) end.

collect(Port, Text) ->
    receive
        {Port, {data, More}} -> collect(Port, <<Text/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Text}
    after 20000 ->
            kill(Port),
            ct:fail({still_up, Text})
    end.

only_the_given_interface_is_listened_on(Config) ->
    Local = merlon_ct:start(Config, "a", ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]),
    Any = merlon_ct:start(Config, "b", ["-kernel", "inet_dist_use_interface", "{0,0,0,0}"]),
    {{127, 0, 0, 1}, Port} = address_of(Local),
    {{0, 0, 0, 0}, Other} = address_of(Any),
    {_, NodeA, _} = Local,
    true = dial(Any, NodeA),
    %% 127.0.0.2 is this machine too.
    {error, econnrefused} = gen_tcp:connect({127, 0, 0, 2}, Port, []),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 2}, Other, []),
    ok = gen_tcp:close(Socket).

%% ---- without epmd ----

%% What scripts of releases make of ERL_DIST_PORT. Nobody answers on epmd's port.
nodes_link_without_epmd_over_a_fixed_port(Config) ->
    {Port, NoEpmd} = {free_port(), free_port()},
    Fixed = ["-erl_epmd_port", integer_to_list(Port), "-start_epmd", "false"],
    Start = fun(Base, Args) ->
                    merlon_ct:start(Config, merlon_peers:node(merlon_peers:name(Base)), Args ++ Fixed,
                                    #{env => [{"ERL_EPMD_PORT", integer_to_list(NoEpmd)}]})
            end,
    {_, NodeA, _} = A = Start("a", []),
    Port = port_of(A),
    B = Start("b", ["-dist_listen", "false"]),
    true = dial(B, NodeA),
    ok = merlon_ct:call(B, merlon_work, echo, [NodeA, hello]),
    #{peer := {{127, 0, 0, 1}, Port}} = merlon_ct:the_link(B, NodeA),
    ok = merlon_ct:alive(A).

a_name_twice_stops_the_second_node(Config) ->
    {_, Node, _} = A = merlon_ct:start(Config, "a"),
    {Status, Text, _} = refused(merlon_peers:args(merlon_ct:dir(Config))
                                ++ ["-name", atom_to_list(Node), "-noinput"]),
    true = Status =/= 0,
    {_, _} = binary:match(Text, <<"seems to be in use">>),
    ok = merlon_ct:alive(A).
