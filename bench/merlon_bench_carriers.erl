%% SPDX-License-Identifier: Apache-2.0
%% The carriers that are compared, and nodes over them: a, b and perhaps c for most measures, of which
%% a measures, and a hub with many small peers. Nodes are driven over their standard input.
-module(merlon_bench_carriers).

-export([all/0, trio/4, hub/4, probed/3, doors/4, stop/1, call/4, link/2, claimed/3, places/1, node/2, os_pid/2, probe/1, counters/2]).

-export_type([cast/0]).

%% tmp, dir: the run's folder and its merlon dir; network: see merlon_bench_net;
%% netns: the namespaces of that network, one per host, or none on the loopback.
-type scene() :: #{tmp := string(), dir := string(), network := atom(), hosts := [host()],
                   schedulers := default | pos_integer(), _ => _}.
%% A host's name and the command that runs others there.
-type host() :: {string(), [string()]}.
-type role() :: a | b | c | hub | {peer, pos_integer()} | door | quiet | counted.
-type member() :: #{peer := pid(), node := node(), os_pid := string(), counters := string()}.
-type cast() :: #{carrier := atom(), members := #{role() => member()}, tmp := string(), dir := string()}.

-define(CALL, 60000).
-define(TUNED, "[{buffer,262144}]").

-spec all() -> [atom()].
all() -> [tcp, inet_tls, inet_tls_tuned, merlon].

%% Nodes of these roles for each of these carriers: b is on the other host, if there is one.
-spec trio(scene(), [atom()], [a | b | c], fun((term()) -> term())) -> [cast()].
trio(#{hosts := Hosts} = Scene, Carriers, Roles, Keep) ->
    Host = fun(b) -> lists:last(Hosts); (_) -> hd(Hosts) end,
    casts(Scene, Carriers, [{Role, Host(Role), schedulers(Scene)} || Role <- Roles], Keep).

schedulers(#{schedulers := default}) -> [];
schedulers(#{schedulers := N}) -> ["+S", lists:concat([N, ":", N])].

%% A hub and N peers that are as small as a VM gets.
-spec hub(scene(), atom(), pos_integer(), fun((term()) -> term())) -> cast().
hub(#{hosts := [Host]} = Scene, Carrier, N, Keep) ->
    Small = ["+S", "1:1", "+SDcpu", "1:1", "+SDio", "1", "+A", "1"],
    Peers = [{{peer, I}, Host, Small} || I <- lists:seq(1, N)],
    [Cast] = casts(Scene, [Carrier], [{hub, Host, []} | Peers], Keep),
    Cast.

%% A pair with the probe in both.
-spec probed(scene(), [atom()], fun((term()) -> term())) -> [cast()].
probed(Scene, Carriers, Keep) ->
    trio(Scene#{probed => probe(maps:get(tmp, Scene))}, Carriers, [a, b], Keep).

%% One node for each of these carriers. Costs: and two of merlon's to look at what it costs, of which one does not wait
%% busily, so that what it uses is what it works, and the other counts what it allocates.
-spec doors(scene(), [atom()], Costs :: boolean(), fun((term()) -> term())) -> [cast()].
doors(#{hosts := [Host], tmp := Tmp} = Scene, Carriers, Costs, Keep) ->
    Merlon = [merlon || Costs, lists:member(merlon, Carriers)],
    Idle = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"],
    Extra = casts(Scene, Merlon, [{quiet, Host, Idle}], Keep) ++
        casts(Scene#{probed => merlon_bench_refusals:probe(Tmp)}, Merlon, [{counted, Host, ["+Mea", "min"]}], Keep),
    [lists:foldl(fun joined/2, Cast, Extra) || Cast <- casts(Scene, Carriers, [{door, Host, []}], Keep)].

joined(#{carrier := Carrier, members := More}, #{carrier := Carrier, members := Members} = Cast) ->
    Cast#{members => maps:merge(Members, More)};
joined(_, Cast) -> Cast.

casts(#{tmp := Tmp, dir := Dir} = Scene, Carriers, Roles, Keep) ->
    Jobs = [{Carrier, Role, job(Scene, Carrier, Role)} || Carrier <- Carriers, Role <- Roles],
    Started = [{Carrier, Role, Member}
               || Batch <- batches(Jobs), {Carrier, {Role, _, _}, Member} <- at_once(Batch, Keep)],
    [#{carrier => Carrier, tmp => Tmp, dir => Dir, members => maps:from_list([{R, M} || {C, R, M} <- Started, C =:= Carrier])}
     || Carrier <- Carriers].

%% More at a time do not start faster.
batches([]) -> [];
batches(Jobs) ->
    {Batch, Rest} = lists:split(min(8, length(Jobs)), Jobs),
    [Batch | batches(Rest)].

at_once(Jobs, Keep) ->
    Starts = [{Job, spawn_monitor(fun() -> exit({started, Start()}) end)} || {_, _, Start} = Job <- Jobs],
    [receive {'DOWN', Ref, process, Pid, Reason} ->
             {started, Member} = Reason,
             Keep(Member),
             {Carrier, Role, Member}
     end || {{Carrier, Role, _}, {Pid, Ref}} <- Starts].

%% Certificates are made before anything starts; what is left is a fun that starts the node.
job(#{tmp := Tmp, dir := Dir} = Scene, Carrier, {_Role, {Host, Prefix}, Flags}) ->
    Name = merlon_peers:name("bench"),
    ok = merlon_peers:add_node(Dir, list_to_atom(Name ++ "@" ++ Host)),
    Args = Flags ++ common() ++ args(Carrier, Name ++ "@" ++ Host, Scene),
    Opts = maps:merge(#{host => Host, longnames => false, env => env(Name, Scene)}, exec(Prefix)),
    fun() -> (start(Name, Args, Opts))#{counters => counters_file(Tmp, Name)} end.

env(Name, #{probed := Probe, tmp := Tmp}) ->
    [{"LD_PRELOAD", Probe}, {"PROBE_FILE", counters_file(Tmp, Name)}];
env(_, _) ->
    [].

%% The probe of this run, and where the one of a node counts.
-spec probe(string()) -> file:filename().
probe(Tmp) -> filename:join(Tmp, "probe.so").

counters_file(Tmp, Name) -> filename:join(Tmp, Name ++ ".probe").

exec([]) -> #{};
exec([Command | Args]) ->
    #{exec => {os:find_executable(Command), Args ++ [os:find_executable("erl")]}}.

start(Name, Args, Opts) ->
    {ok, Peer, Node} = merlon_peers:start(Name, Args, Opts),
    %% The logger as it comes, without what tests look at, and quiet.
    ok = merlon_peers:call(Peer, logger, remove_handler, [merlon_log_sink]),
    ok = merlon_peers:call(Peer, logger, set_primary_config, [level, notice]),
    ok = merlon_peers:call(Peer, logger, set_handler_config, [default, level, emergency]),
    true = merlon_peers:call(Peer, merlon_bench_watch, start, []),
    #{peer => Peer, node => Node, os_pid => merlon_peers:os_pid(Peer)}.

%% No node links to another by itself.
common() ->
    ["-pa", filename:dirname(code:which(merlon_nif)), "-setcookie", "merlonbench", "-start_epmd", "false",
     "-kernel", "connect_all", "false", "-kernel", "prevent_overlapping_partitions", "false"].

args(tcp, _, _) -> [];
args(inet_tls, Name, Scene) ->
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile(Name, Scene, [])];
args(inet_tls_tuned, Name, Scene) ->
    ["-proto_dist", "inet_tls",
     "-ssl_dist_optfile", optfile(Name, Scene, [{ciphers, ["TLS_AES_128_GCM_SHA256"]}]),
     "-kernel", "inet_dist_connect_options", ?TUNED, "-kernel", "inet_dist_listen_options", ?TUNED];
args(merlon, _, #{dir := Dir}) ->
    ["-proto_dist", "merlon", "-merlon", "dir", Dir].

%% TLS 1.3, mutual, with the very certificates that merlon uses.
optfile(Name, #{tmp := Tmp, dir := Dir}, More) ->
    Folder = filename:join([Dir, "nodes", Name]),
    Opts = [{certfile, filename:join(Folder, "cert.pem")}, {keyfile, filename:join(Folder, "key.pem")},
            {cacertfile, filename:join([Dir, "trust", "ca.pem"])}, {verify, verify_peer},
            {versions, ['tlsv1.3']} | More],
    File = filename:join(Tmp, Name ++ ".opts"),
    ok = file:write_file(File, io_lib:format("~p.~n", [[{server, [{fail_if_no_peer_cert, true} | Opts]},
                                                        {client, Opts}]])),
    File.

-spec stop(cast()) -> ok.
stop(#{members := Members}) ->
    Stops = [spawn_monitor(fun() -> merlon_peers:stop(Peer) end) || #{peer := Peer} <- maps:values(Members)],
    _ = [receive {'DOWN', Ref, process, Pid, _} -> ok end || {Pid, Ref} <- Stops],
    ok.

%% Mod:Fun(Args) in the node that plays Role.
-spec call(cast(), role(), {module(), atom()}, [term()]) -> term().
call(#{members := Members}, Role, {Mod, Fun}, Args) ->
    #{peer := Peer} = maps:get(Role, Members),
    merlon_peers:call(Peer, Mod, Fun, Args, ?CALL).

%% Links a to the node of that role, and warms the link up.
-spec link(cast(), role()) -> ok.
link(Cast, To) ->
    Node = node(Cast, To),
    true = call(Cast, a, {net_kernel, connect_node}, [Node]),
    Spec = #{senders => 2, both => true, size => 16384, ms => 300, os_pids => []},
    _ = call(Cast, a, {merlon_bench_load, stream}, [Node, Spec]),
    claimed(Cast, a, To).

%% Fails where the link between these two is not of the carrier whose name its figures get.
-spec claimed(cast(), role(), role()) -> ok.
claimed(#{carrier := Carrier} = Cast, From, To) ->
    case call(Cast, From, {merlon_bench_claims, carrier}, [node(Cast, To)]) of
        Carrier -> ok;
        Is -> error({not_what_it_claims, Carrier, Is})
    end.

%% Where schedulers were held since the last call, how often and for how many ms at most, by each node
%% that is still there. Not by the peers of a hub, which wait for a core most of the time.
-spec places(cast()) -> [{string(), {pos_integer(), pos_integer()}}].
places(#{members := Members}) ->
    lists:append([places_in(Peer) || {Role, #{peer := Peer, os_pid := OsPid}} <- maps:to_list(Members), is_atom(Role),
                                     filelib:is_dir("/proc/" ++ OsPid)]).

places_in(Peer) ->
    try maps:to_list(merlon_peers:call(Peer, merlon_bench_watch, take, []))
    catch exit:_ -> []
    end.

-spec node(cast(), role()) -> node().
node(#{members := Members}, Role) -> maps:get(node, maps:get(Role, Members)).

-spec os_pid(cast(), role()) -> string().
os_pid(#{members := Members}, Role) -> maps:get(os_pid, maps:get(Role, Members)).

-spec counters(cast(), role()) -> string().
counters(#{members := Members}, Role) -> maps:get(counters, maps:get(Role, Members)).
