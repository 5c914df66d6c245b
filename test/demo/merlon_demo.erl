%% SPDX-License-Identifier: Apache-2.0
%% `make demo`: a cluster of three nodes over merlon at real work, then those who were not invited.
%% Exit code 0 only if every step held.
-module(merlon_demo).

-export([main/1, start/2, start/3]).

-define(COOKIE, "the-cookie-of-the-demo").
-define(HOST, "127.0.0.1").

-spec main([string()]) -> no_return().
main([Tmp, Root]) ->
    Start = erlang:monotonic_time(millisecond),
    Result = try run(Tmp, Root)
             catch Class:Reason:Stack ->
                     say("~nFAILED: ~p:~p~n~p", [Class, Reason, Stack]),
                     failed
             after
                 [merlon_peers:stop(Peer) || {peer, Peer} <- get()]
             end,
    say("~ndemo: ~s after ~.1f s",
        [case Result of ok -> "everything held"; failed -> "FAILED" end,
         (erlang:monotonic_time(millisecond) - Start) / 1000]),
    halt(case Result of ok -> 0; failed -> 1 end).

run(Tmp, Root) ->
    ok = merlon_nif:load(),
    Dir = filename:join(Tmp, "merlon"),
    Names = [A, B, C] = [merlon_peers:name(N) || N <- ["anna", "bela", "cora"]],
    title("A cluster of certificates"),
    command(Root, Tmp, ["init", "--dir", Dir, "--cluster", "demo"]),
    [command(Root, Tmp, ["cert", N ++ "@" ?HOST, "--dir", Dir]) || N <- Names],
    %% The port scanner of the end shall not bore anybody for 7 seconds.
    ok = file:write_file(filename:join(Dir, "merlon.config"), "{handshake_timeout, 2000}.\n",
                         [append]),
    title("Three nodes over -proto_dist merlon"),
    Peers = [PeerA | _] = [start(N, merlon_peers:args(Dir, ?COOKIE)) || N <- Names],
    [say("  ~s@~s is up", [N, ?HOST]) || N <- Names],
    [true = merlon_peers:call(PeerA, net_kernel, connect_node, [merlon_peers:node(N)])
     || N <- [B, C]],
    merlon_peers:wait(fun() -> lists:all(fun(P) -> length(nodes_of(P)) =:= 2 end, Peers) end),
    Nodes = [merlon_peers:node(N) || N <- Names],
    title("Real work"),
    [step(Text, fun() -> ok = Work(Peers, Nodes) end) || {Text, Work} <- work()],
    title("The links"),
    [links(Peer) || Peer <- Peers],
    title("The uninvited"),
    Scene = #{tmp => Tmp, root => Root, dir => Dir, peer => PeerA, node => merlon_peers:node(A),
              victim => merlon_peers:node(B), cookie => ?COOKIE},
    ok = merlon_demo_uninvited:run(Scene),
    merlon_peers:wait(fun() -> length(nodes_of(PeerA)) =:= 2 end),
    [merlon_peers:stop(Peer) || Peer <- Peers],
    title("Throughput, 64 KiB messages, one way, both nodes on this machine"),
    merlon_throughput:report(Tmp, 65536).

%% A node that is stopped at the end, whatever happens. Its log is shown where it matters only.
-spec start(string(), [string()]) -> pid().
start(Name, Args) ->
    start(Name, Args, #{}).

-spec start(string(), [string()], map()) -> pid().
start(Name, Args, Opts) ->
    {ok, Peer, _} = merlon_peers:start(Name, Args, Opts),
    put({peer, Peer}, Peer),
    ok = merlon_peers:call(Peer, logger, set_handler_config, [default, level, emergency]),
    Peer.

nodes_of(Peer) ->
    merlon_peers:call(Peer, erlang, nodes, []).

work() ->
    [{"mnesia: a table on three nodes, 3 x 1,000 transactions", fun mnesia/2},
     {"pg: groups seen from every node", fun pg/2},
     {"global: one name, one process, three nodes", fun global/2},
     {"200 MB of mixed terms, 100 MB each way at once, checksums", fun bulk/2}].

mnesia([A | _] = Peers, [NodeA | _] = Nodes) ->
    [ok = merlon_peers:call(P, mnesia, start, []) || P <- Peers],
    {ok, _} = merlon_peers:call(A, mnesia, change_config, [extra_db_nodes, Nodes]),
    {atomic, ok} = merlon_peers:call(A, mnesia, create_table,
                                     [work, [{ram_copies, Nodes}]]),
    Keys = [merlon_peers:call(P, merlon_demo_work, write, [1000]) || P <- Peers],
    Expected = lists:usort(lists:append(Keys)),
    [Expected = merlon_peers:call(P, merlon_demo_work, keys, []) || P <- Peers],
    NodeA = merlon_peers:call(A, erlang, node, []),
    ok.

pg(Peers, Nodes) ->
    [ok = merlon_peers:call(P, merlon_demo_work, join, [demo]) || P <- Peers],
    [merlon_peers:wait(fun() ->
                               lists:sort(Nodes) =:=
                                   merlon_peers:call(P, merlon_demo_work, members, [demo])
                       end) || P <- Peers],
    ok.

global([A | Others], _Nodes) ->
    yes = merlon_peers:call(A, merlon_demo_work, register, [the_one]),
    [begin
         ok = merlon_peers:call(P, global, sync, []),
         {pong, N} = merlon_peers:call(P, merlon_demo_work, ask, [the_one]),
         N = merlon_peers:call(A, erlang, node, [])
     end || P <- Others],
    ok.

bulk([A, B | _], [NodeA, NodeB | _]) ->
    MB = 100,
    Self = self(),
    Pairs = [{A, NodeB}, {B, NodeA}],
    [spawn_link(fun() ->
                        Self ! {done, merlon_peers:call(P, merlon_demo_work, exchange,
                                                        [To, MB bsl 20], 120000)}
                end) || {P, To} <- Pairs],
    Results = [receive {done, R} -> R end || _ <- Pairs],
    [{Sum, Sum} = Sums || {_, Sums} <- Results],
    say("    ~s", [lists:join(", ", [io_lib:format("~b terms, md5 ~s", [Terms, hex(Sum)])
                                      || {Terms, {Sum, _}} <- Results])]),
    ok.

hex(Binary) -> [io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= Binary].

links(Peer) ->
    Row = "  ~-24s ~-6s ~-24s ~-23s ~-7s ~9s ~9s ~s",
    say(Row, ["node", "", "peer", "cipher suite", "group", "MB in", "MB out", "until"]),
    Me = merlon_peers:call(Peer, erlang, node, []),
    [say(Row, [Me, Dir, Node, Suite, Group, mb(In), mb(Out), date_of(Until)])
     || #{node := Node, direction := Dir, cipher_suite := Suite, key_exchange_group := Group,
          bytes_in := In, bytes_out := Out, not_after := Until}
            <- merlon_peers:call(Peer, merlon, connections, [])].

mb(Bytes) -> io_lib:format("~.1f", [Bytes / 1.0e6]).

date_of(Seconds) ->
    string:slice(calendar:system_time_to_rfc3339(Seconds, [{offset, "Z"}]), 0, 10).

step(Text, Work) ->
    {Time, ok} = timer:tc(Work),
    say("  ok  ~s (~b ms)", [Text, Time div 1000]).

command(Root, Tmp, Args) ->
    say("  $ merlon ~s", [lists:join($\s, [string:replace(A, Tmp, "$TMP") || A <- Args])]),
    Port = open_port({spawn_executable, filename:join([Root, "bin", "merlon"])},
                     [{args, Args}, exit_status, binary, stderr_to_stdout]),
    0 = status(Port, []).

status(Port, Said) ->
    receive
        {Port, {data, Data}} -> status(Port, [Said, Data]);
        {Port, {exit_status, 0}} -> 0;
        {Port, {exit_status, N}} -> say("~ts", [Said]), N
    end.

title(Text) -> say("~n== ~s", [Text]).

say(Format, Args) -> io:format(Format ++ "~n", Args).
