%% SPDX-License-Identifier: Apache-2.0
%% What the suites about changing files share: dirs, nodes in them, what a node has logged and lost.
-module(merlon_live_ct).

-export([dir/1, dir/2, node_in/2, node_in/3, node_away/2, node_away/3, moved/2, dir_of/2, config/2, reload/1, taken/1, revoke/2, revoke/3, fingerprint/1]).
-export([events/2, watch/1, downs/1, down_reason/2, within/2, linked/3, only_lost/4, apart/2, refused/2]).
-export([watching/0, seen/0]).

-define(CLUSTER, "live").

%% A dir of its own, with a CA of ten days ago, so that certificates may be about to expire.
dir(Config) -> dir(Config, erlang:system_time(second) - 5 * 86400).

dir(Config, Now) ->
    merlon_peers:new_dir(proplists:get_value(priv_dir, Config), ?CLUSTER, Now).

node_in(Config, Dir) -> node_in(Config, Dir, #{}).

%% Opts as for merlon_peers:add_node/3; `life => Seconds` is the life that the certificate has left.
node_in(Config, Dir, Opts) ->
    Node = merlon_peers:node(merlon_peers:name("n")),
    ok = merlon_peers:add_node(Dir, Node, life(Opts)),
    merlon_ct:start(Config, Node, [], #{dir => Dir, certify => false}).

%% A node of Dir's CA on a machine of its own: with a merlon dir that has no CA, and no neighbour. It
%% links only to whom it is told to.
node_away(Config, Dir) -> node_away(Config, Dir, #{}).

node_away(Config, Dir, Opts) ->
    Node = merlon_peers:node(merlon_peers:name("n")),
    ok = merlon_peers:add_node(Dir, Node, life(Opts)),
    merlon_ct:start(Config, Node, ["-connect_all", "false"], #{dir => moved(Dir, Node), certify => false}).

moved(Dir, Node) ->
    Away = dir_of(Dir, Node),
    ok = filelib:ensure_dir(filename:join([Away, "nodes", "x"])),
    ok = file:rename(filename:join([Dir, "nodes", Node]), filename:join([Away, "nodes", Node])),
    [begin
         ok = filelib:ensure_dir(filename:join(Away, Name)),
         {ok, _} = file:copy(filename:join(Dir, Name), filename:join(Away, Name))
     end || Name <- ["trust/ca.pem", "merlon.config"]],
    Away.

dir_of(Dir, Node) -> Dir ++ "_" ++ atom_to_list(Node).

life(#{life := Seconds} = Opts) ->
    (maps:remove(life, Opts))#{days => 1, now => erlang:system_time(second) + Seconds - 86400};
life(Opts) ->
    Opts.

%% Replaces the settings.
config(Dir, Settings) ->
    File = filename:join(Dir, "merlon.config"),
    ok = file:write_file(File ++ ".new", ["{cluster, \"" ?CLUSTER "\"}.\n", Settings]),
    file:rename(File ++ ".new", File).

reload(Vm) -> merlon_ct:call(Vm, merlon, reload, []).

%% What is on disk is in use, be it that a poll was faster.
taken(Vm) ->
    {ok, _} = reload(Vm),
    ok.

%% Puts these nodes onto DIR/crl.pem.
revoke(Dir, Nodes) -> revoke(Dir, Nodes, []).

revoke(Dir, Nodes, Options) ->
    _ = [{0, _, <<>>} = merlon_cli:run(["revoke", atom_to_list(Node), "--dir", Dir | Options])
         || Node <- Nodes],
    ok.

%% As logs and merlon:connections/0 have it.
fingerprint(Pem) ->
    {ok, [#{sha256 := Sha256} | _]} = merlon_nif:pki_inspect(Pem),
    Sha256.

events({Peer, _, _}, Event) ->
    [Report || #{event := Found} = Report <- merlon_peers:log(Peer), Found =:= Event].

%% ---- nodes that a node loses ----

watch(Vm) -> merlon_ct:call(Vm, ?MODULE, watching, []).

%% Runs on the node.
watching() ->
    Self = self(),
    _ = spawn(fun() ->
                      true = register(?MODULE, self()),
                      ok = net_kernel:monitor_nodes(true, [nodedown_reason]),
                      Self ! watching,
                      collect([])
              end),
    receive watching -> ok end.

collect(Downs) ->
    receive
        {nodedown, Node, Info} -> collect([{Node, proplists:get_value(nodedown_reason, Info)} | Downs]);
        {nodeup, _, _} -> collect(Downs);
        {From, downs} -> From ! {downs, lists:reverse(Downs)}, collect(Downs)
    end.

seen() ->
    ?MODULE ! {self(), downs},
    receive {downs, Downs} -> Downs end.

%% Since watch/1: {Node, Reason}, the first first.
downs(Vm) -> merlon_ct:call(Vm, ?MODULE, seen, []).

%% Waits until Vm has lost Node, at most 10 seconds, and gives the reason.
down_reason(Vm, Node) ->
    ok = within(10000, fun() -> lists:keymember(Node, 1, downs(Vm)) end),
    {Node, Reason} = lists:keyfind(Node, 1, downs(Vm)),
    Reason.

%% Waits for it, no longer than that by the clock, whatever asking costs.
within(Millis, Fun) -> until(erlang:monotonic_time(millisecond) + Millis, Fun).

until(End, Fun) ->
    Came = Fun(),
    case erlang:monotonic_time(millisecond) =< End of
        true when Came -> ok;
        true -> timer:sleep(50), until(End, Fun);
        false -> error(timeout)
    end.

%% ---- three nodes, of which one is to lose its links ----

%% A is linked to both; it watches.
linked(A, B, C) ->
    [ok = merlon_ct:connect(A, Vm) || Vm <- [B, C]],
    ok = watch(A).

%% Only B is gone, for that reason; the log says so, and A and C are linked as before.
only_lost(A, B, C, Code) ->
    {peer_certificate, Code} = down_reason(A, name(B)),
    merlon_peers:wait(fun() -> events(A, link_closed) =/= [] end),
    Lost = name(B),
    [#{node := Lost, reason := Code, level := error, fingerprint := _}] = events(A, link_closed),
    merlon_peers:wait(fun() -> [] =/= [Report || #{node := Node, reason := {peer_certificate, _}} = Report
                                                     <- events(A, link_down), Node =:= Lost] end),
    ok = merlon_ct:call(A, merlon_work, echo, [name(C), still_up]),
    [Lost] = [Node || {Node, _} <- downs(A)].

%% Neither can dial the other, once both know that they are not linked any more.
apart(A, B) ->
    merlon_peers:wait(fun() -> merlon_ct:link_of(B, name(A)) =:= none end),
    ignored = no(merlon_ct:call(A, net_kernel, connect_node, [name(B)])),
    ignored = no(merlon_ct:call(B, net_kernel, connect_node, [name(A)])),
    none = merlon_ct:link_of(A, name(B)).

no(false) -> ignored.

%% Whether Vm has refused somebody for that reason.
refused(Vm, Why) ->
    lists:any(fun(#{reason := Reason}) -> Reason =:= Why end, events(Vm, refused)).

name({_, Node, _}) -> Node.
