%% SPDX-License-Identifier: Apache-2.0
%% What the suites about a new root share: a CA's node and nodes away from it, the command, traffic that is counted.
-module(merlon_roots_ct).

-export([dir/1, ca_node/2, node_away/2, three/1, link_all/1, args/1, again/3, again_away/3]).
-export([rotate/2, rotate/3, driver/3, kill/1, ended/2]).
-export([roots/1, roots_in_use/0, id/1, ca_id/1, statement/1]).
-export([traffic/1, settled/1, sink_on/0, source_on/1, traffic_off/0, received/0]).

-define(CLUSTER, "live").

dir(Config) -> merlon_live_ct:dir(Config, erlang:system_time(second)).

%% ---- nodes whose certificates the CA remembers ----

ca_node(Config, Dir) ->
    Node = certified(Dir),
    again(Config, Dir, Node).

again(Config, Dir, Node) ->
    merlon_ct:start(Config, Node, ["-connect_all", "false"], #{dir => Dir, certify => false}).

%% On a machine of its own.
node_away(Config, Dir) ->
    Node = certified(Dir),
    Away = merlon_live_ct:moved(Dir, Node),
    again(Config, Away, Node).

again_away(Config, Dir, Node) -> again(Config, merlon_live_ct:dir_of(Dir, Node), Node).

certified(Dir) ->
    Node = merlon_peers:node(merlon_peers:name("n")),
    {0, _, <<>>} = merlon_cli:run(["cert", atom_to_list(Node), "--days", "5", "--dir", Dir]),
    Node.

%% The CA's node and two away, each linked to each.
three(Config) ->
    Dir = dir(Config),
    Vms = [ca_node(Config, Dir), node_away(Config, Dir), node_away(Config, Dir)],
    ok = link_all(Vms),
    {Dir, Vms}.

link_all([A, B, C]) ->
    [ok = merlon_ct:connect(X, Y) || {X, Y} <- [{B, A}, {C, A}, {C, B}]],
    ok.

%% ---- the command ----

args(Dir) -> ["rotate", "ca", "--dir", Dir].

rotate(Dir, More) -> rotate(Dir, More, 0).

%% In this VM, with that exit code: what it has said.
rotate(Dir, More, Code) ->
    case merlon_cli:run(args(Dir) ++ More) of
        {Code, Out, Err} -> <<Out/binary, Err/binary>>;
        Other -> error({rotate, More, Other})
    end.

%% In a VM of its own, which can be killed.
driver(Dir, More, Config) ->
    Erl = os:find_executable("erl"),
    Ebin = filename:dirname(code:which(merlon_cli)),
    Args = ["-noshell", "-noinput", "-boot", "no_dot_erlang", "+S", "1", "-pa", Ebin, "-eval",
            "merlon_cli:main(init:get_plain_arguments()).", "-extra" | args(Dir) ++ More],
    Port = open_port({spawn_executable, Erl}, [{args, Args}, exit_status, binary, stderr_to_stdout,
                                               {cd, proplists:get_value(priv_dir, Config)}]),
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    {Port, Os}.

kill({Port, Os}) ->
    _ = os:cmd("kill -9 " ++ integer_to_list(Os)),
    receive {Port, {exit_status, Status}} -> Status after 10000 -> error(not_killed) end.

%% `running` or its exit code, after at most that many milliseconds.
ended({Port, _}, Time) ->
    receive {Port, {exit_status, Status}} -> Status after Time -> running end.

%% ---- what nodes stand on ----

%% The roots that a node trusts now.
roots(Vm) -> lists:sort(merlon_ct:call(Vm, ?MODULE, roots_in_use, [])).

%% Runs on the node.
roots_in_use() ->
    {ok, #{ref := Ref}} = merlon_node:current(),
    merlon_nif:identity_anchors(Ref).

id(Pem) ->
    {ok, [#{sha256 := Id} | _]} = merlon_nif:pki_inspect(Pem),
    Id.

ca_id(Dir) ->
    {ok, Pem} = file:read_file(filename:join([Dir, "ca", "ca.pem"])),
    id(Pem).

%% The newest in a dir.
statement(Dir) ->
    [{Text, _} | _] = lists:sort(fun({_, #{sequence := A}}, {_, #{sequence := B}}) -> A >= B end,
                                 merlon_roots_files:statements(Dir)),
    Text.

%% ---- traffic: each node sends numbers to each other one, which must come without a gap ----

traffic(Vms) ->
    Nodes = [Node || {_, Node, _} <- Vms],
    [ok = merlon_ct:call(Vm, ?MODULE, sink_on, []) || Vm <- Vms],
    [ok = merlon_ct:call(Vm, ?MODULE, source_on, [Nodes]) || Vm <- Vms],
    ok.

%% Ends it: how many messages came over each pair, all of those that were sent, in their order.
settled(Vms) ->
    Sent = maps:from_list([{Node, merlon_ct:call(Vm, ?MODULE, traffic_off, [])} || {_, Node, _} = Vm <- Vms]),
    [begin
         Expected = maps:from_list([{From, maps:get(Node, To)} || {From, To} <- maps:to_list(Sent), From =/= Node]),
         merlon_peers:wait(fun() -> merlon_ct:call(Vm, ?MODULE, received, []) =:= Expected end, 10000)
     end || {_, Node, _} = Vm <- Vms],
    Sent.

%% These run on the nodes.
sink_on() ->
    Self = self(),
    _ = spawn(fun() -> true = register(merlon_roots_sink, self()), Self ! on, sink(#{}) end),
    receive on -> ok end.

source_on(Nodes) ->
    Self = self(),
    _ = spawn(fun() -> true = register(merlon_roots_source, self()), Self ! on, source(Nodes -- [node()], 1) end),
    receive on -> ok end.

source(Nodes, Number) ->
    _ = [{merlon_roots_sink, Node} ! {node(), Number} || Node <- Nodes],
    receive {From, off} -> From ! {sent, maps:from_list([{Node, Number} || Node <- Nodes])}
    after 1 -> source(Nodes, Number + 1)
    end.

sink(Last) ->
    receive
        {From, last} -> From ! {last, Last}, sink(Last);
        %% One that is lost, or comes out of order, stays missing for ever.
        {Node, Number} when is_integer(Number) ->
            sink(case maps:get(Node, Last, 0) of
                     Before when Before + 1 =:= Number -> Last#{Node => Number};
                     _ -> Last#{Node => lost}
                 end)
    end.

traffic_off() ->
    merlon_roots_source ! {self(), off},
    receive {sent, Sent} -> Sent end.

received() ->
    merlon_roots_sink ! {self(), last},
    receive {last, Last} -> Last end.
