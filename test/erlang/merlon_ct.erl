%% SPDX-License-Identifier: Apache-2.0
%% What the suites of the carrier share: a merlon dir per suite, VMs that end with their test
%% whatever happens in it, signals, and a look at links from outside.
-module(merlon_ct).

-export([open/1, close/1, cleanup/1, dir/1]).
-export([start/2, start/3, start/4, start_all/3, run/3, signal/2, os_pid/1, drop/1]).
-export([call/4, connect/2, unlink/2, link_of/2, the_link/2, links/1, alive/1, resources/1, memory/1]).
-export_type([vm/0]).

-type config() :: [{atom(), term()}].
%% A VM: its control process, its node name, its process id in the system.
-type vm() :: {pid(), node(), string()}.

%% For init_per_suite: a new merlon dir, and a table of all that is started.
-spec open(config()) -> config().
open(Config) ->
    Self = self(),
    Owner = spawn(fun() ->
                          Self ! {self(), ets:new(vms, [public])},
                          receive stop -> ok end
                  end),
    Vms = receive {Owner, Table} -> Table end,
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    [{merlon_owner, Owner}, {merlon_vms, Vms}, {merlon_dir, Dir} | Config].

-spec close(config()) -> ok.
close(Config) ->
    cleanup(Config),
    proplists:get_value(merlon_owner, Config) ! stop,
    ok.

-spec dir(config()) -> file:filename().
dir(Config) -> proplists:get_value(merlon_dir, Config).

%% For end_per_testcase: ends every VM of the test, stopped ones too.
-spec cleanup(config()) -> ok.
cleanup(Config) ->
    Vms = proplists:get_value(merlon_vms, Config),
    _ = [signal(Vm, "KILL") || {_, {_, _, Os} = Vm} <- ets:tab2list(Vms), Os =/= ""],
    _ = [merlon_peers:stop(Peer) || {Peer, _} <- ets:tab2list(Vms)],
    true = ets:delete_all_objects(Vms),
    ok.

%% ---- VMs ----

%% A node with a certificate of its own in the suite's dir.
-spec start(config(), string()) -> vm().
start(Config, Base) -> start(Config, Base, []).

-spec start(config(), string(), [string()]) -> vm().
start(Config, Base, Args) ->
    start(Config, merlon_peers:node(merlon_peers:name(Base)), Args, #{}).

%% As Node. Opts override those of peer:start/1; `certify => false` issues no certificate.
-spec start(config(), node(), [string()], map()) -> vm().
start(Config, Node, Args, Opts) ->
    Dir = maps:get(dir, Opts, dir(Config)),
    case maps:get(certify, Opts, true) of
        true -> ok = merlon_peers:add_node(Dir, Node);
        false -> ok
    end,
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    run(Config, merlon_peers:args(Dir) ++ Args,
        maps:merge(#{name => Name, host => Host, longnames => true},
                   maps:without([certify, dir], Opts))).

%% Several at once: booting is mostly waiting.
-spec start_all(config(), [string()], [string()]) -> [vm()].
start_all(Config, Bases, Args) ->
    Running = [spawn_monitor(fun() -> exit({started, start(Config, Base, Args)}) end)
               || Base <- Bases],
    [receive {'DOWN', Ref, process, Pid, {started, Vm}} -> Vm;
             {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
     end || {Pid, Ref} <- Running].

%% A VM with just these arguments, driven over its standard input.
-spec run(config(), [string()], map()) -> vm().
run(Config, Args, Opts) ->
    Ebin = filename:dirname(code:which(?MODULE)),
    {ok, Peer, Node} = peer:start(maps:merge(#{connection => standard_io, wait_boot => 30000,
                                               args => ["-pa", Ebin | Args]}, Opts)),
    Vms = proplists:get_value(merlon_vms, Config),
    true = ets:insert(Vms, {Peer, {Peer, Node, ""}}),
    Vm = {Peer, Node, merlon_peers:os_pid(Peer)},
    true = ets:insert(Vms, {Peer, Vm}),
    %% By name: in embedded mode nothing is loaded by itself.
    _ = [{module, Module} = merlon_peers:call(Peer, code, load_file, [Module])
         || Module <- [merlon_log_sink, merlon_work]],
    ok = merlon_peers:call(Peer, merlon_log_sink, install, []),
    ok = merlon_peers:call(Peer, merlon_work, start, []),
    Vm.

-spec os_pid(vm()) -> string().
os_pid({_, _, Os}) -> Os.

%% kill(2) by the VM's own number.
-spec signal(vm(), string()) -> ok.
signal({_, _, Os}, Name) ->
    _ = os:cmd("kill -" ++ Name ++ " " ++ Os),
    ok.

%% kill -9, seen through.
-spec drop(vm()) -> ok.
drop({Peer, _, _} = Vm) ->
    signal(Vm, "KILL"),
    merlon_peers:stop(Peer).

-spec call(vm(), module(), atom(), list()) -> term().
call({Peer, _, _}, M, F, A) -> merlon_peers:call(Peer, M, F, A, 60000).

%% ---- links ----

%% Connects A to B; both see it.
-spec connect(vm(), vm()) -> ok.
connect({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    true = call(A, net_kernel, connect_node, [NodeB]),
    merlon_peers:wait(fun() -> link_of(A, NodeB) =/= none andalso link_of(B, NodeA) =/= none end).

%% Ends the link of these two; both have seen it. An answer that was under way may have linked them again meanwhile. Who
%% is dialled again before its net_kernel has heard of the end says `nok`, and who dials again too early dials nobody.
-spec unlink(vm(), vm()) -> ok.
unlink({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    merlon_peers:wait(fun() ->
                              _ = call(A, erlang, disconnect_node, [NodeB]),
                              link_of(A, NodeB) =:= none andalso link_of(B, NodeA) =:= none
                                  andalso not is_known(A, NodeB) andalso not is_known(B, NodeA)
                      end).

%% Whether net_kernel holds a link to Node, or makes one.
is_known(Vm, Node) -> call(Vm, ets, member, [sys_dist, Node]).

-spec links(vm()) -> [merlon:connection()].
links(Vm) -> call(Vm, merlon, connections, []).

%% The one link from Vm to Node.
-spec link_of(vm(), node()) -> merlon:connection() | none.
link_of(Vm, Node) ->
    case [Link || #{node := To} = Link <- links(Vm), To =:= Node] of
        [Link] -> Link;
        [] -> none
    end.

%% The same once it is there: the two ends of a link are not up at the same instant.
-spec the_link(vm(), node()) -> merlon:connection().
the_link(Vm, Node) ->
    merlon_peers:wait(fun() -> link_of(Vm, Node) =/= none end),
    link_of(Vm, Node).

%% net_kernel answers: whatever happened to links, it does not hang.
-spec alive(vm()) -> ok.
alive(Vm) ->
    #{started := _} = call(Vm, merlon_work, net_kernel_state, [5000]),
    ok.

%% What a leak would make grow.
-spec resources(vm()) -> #{processes := integer(), ports := integer(), fds := integer(),
                           atoms := integer(), ets := integer()}.
resources(Vm) ->
    (call(Vm, merlon_work, resources, []))#{fds => length(fds(Vm))}.

fds({_, _, Os}) ->
    {ok, Fds} = file:list_dir("/proc/" ++ Os ++ "/fd"),
    Fds.

%% The VM's memory as the runtime and as the system see it, in bytes.
-spec memory(vm()) -> #{total := integer(), rss := integer()}.
memory({_, _, Os} = Vm) ->
    {ok, Text} = file:read_file("/proc/" ++ Os ++ "/status"),
    {match, [Kb]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    #{total => call(Vm, erlang, memory, [total]), rss => list_to_integer(Kb) * 1024}.
