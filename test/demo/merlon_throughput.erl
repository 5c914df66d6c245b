%% SPDX-License-Identifier: Apache-2.0
%% MB/s from node to node over plain TCP, inet_tls as it comes, inet_tls tuned, and merlon, in turn.
%% All three share this machine's cores, so read the ratios. The full benchmark is issue 3's.
-module(merlon_throughput).

-export([main/1, report/3, run/2, sink/1]).

%% A name: OTP's inet_tls checks no iPAddress when it dials a node whose host is an IP address.
-define(HOST, "localhost").

%% `make bench`
-spec main([string()]) -> no_return().
main([Tmp, _Root]) ->
    ok = merlon_nif:load(),
    Dir = merlon_peers:new_dir(Tmp, "bench"),
    io:format("OTP ~s, ~b cores, ~s~n", [erlang:system_info(otp_release),
                                          erlang:system_info(logical_processors),
                                          calendar:system_time_to_rfc3339(erlang:system_time(second))]),
    ok = report(Tmp, Dir, [64, 1024, 16384, 65536, 1048576]),
    halt(0).

%% Prints a table of medians of three rounds for messages of these sizes (bytes).
-spec report(file:filename(), file:filename(), [pos_integer()]) -> ok.
report(Tmp, Dir, Sizes) ->
    Rounds = [[{Carrier, measure(Carrier, Tmp, Dir, Sizes)} || Carrier <- carriers()]
              || _ <- lists:seq(1, 3)],
    Results = [{Carrier, medians([proplists:get_value(Carrier, Round) || Round <- Rounds])}
               || Carrier <- carriers()],
    {tcp, Plain} = hd(Results),
    io:format("  ~-18s~s~n", ["", [io_lib:format("~20s", [label(S)]) || S <- Sizes]]),
    [io:format("  ~-18s~s~n",
               [atom_to_list(Carrier),
                [io_lib:format("~9.1f MB/s ~5.2fx", [Rate, Rate / Base])
                 || {Rate, Base} <- lists:zip(Rates, Plain)]]) || {Carrier, Rates} <- Results],
    ok.

carriers() -> [tcp, inet_tls, inet_tls_tuned, merlon].

medians(Rounds) ->
    [lists:nth(2, lists:sort(Rates)) || Rates <- transpose(Rounds)].

transpose([[] | _]) -> [];
transpose(Rows) -> [[hd(R) || R <- Rows] | transpose([tl(R) || R <- Rows])].

label(Bytes) when Bytes >= 1048576 -> integer_to_list(Bytes bsr 20) ++ " MiB";
label(Bytes) when Bytes >= 1024 -> integer_to_list(Bytes bsr 10) ++ " KiB";
label(Bytes) -> integer_to_list(Bytes) ++ " B".

measure(Carrier, Tmp, Dir, Sizes) ->
    [_, To] = Names = [merlon_peers:name("speed") || _ <- [1, 2]],
    [ok = merlon_peers:add_node(Dir, full(N)) || N <- Names],
    Peers = [PeerA, _] = [start(Carrier, N, Tmp, Dir) || N <- Names],
    try
        true = merlon_peers:call(PeerA, net_kernel, connect_node, [full(To)]),
        [merlon_peers:call(PeerA, ?MODULE, run, [full(To), Size], 60000)
         || Size <- Sizes]
    after
        [merlon_peers:stop(P) || P <- Peers]
    end.

start(Carrier, Name, Tmp, Dir) ->
    merlon_demo:start(Name, args(Carrier, Name, Tmp, Dir), #{host => ?HOST, longnames => false}).

full(Name) -> list_to_atom(Name ++ "@" ?HOST).

args(merlon, _Name, _Tmp, Dir) -> merlon_peers:args(Dir);
args(Carrier, Name, Tmp, Dir) ->
    Common = ["-setcookie", "speed", "-pa", filename:dirname(code:which(merlon_nif))],
    Common ++ carrier_args(Carrier, Name, Tmp, Dir).

carrier_args(tcp, _, _, _) -> [];
carrier_args(inet_tls, Name, Tmp, Dir) ->
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile(Name, Tmp, Dir, [])];
carrier_args(inet_tls_tuned, Name, Tmp, Dir) ->
    Buffer = "[{buffer,262144}]",
    ["-proto_dist", "inet_tls",
     "-ssl_dist_optfile", optfile(Name, Tmp, Dir, [{ciphers, ["TLS_AES_128_GCM_SHA256"]}]),
     "-kernel", "inet_dist_connect_options", Buffer, "-kernel", "inet_dist_listen_options", Buffer].

optfile(Name, Tmp, Dir, More) ->
    Folder = filename:join([Dir, "nodes", Name ++ "@" ?HOST]),
    Opts = [{certfile, filename:join(Folder, "cert.pem")}, {keyfile, filename:join(Folder, "key.pem")},
            {cacertfile, filename:join([Dir, "trust", "ca.pem"])}, {verify, verify_peer},
            {versions, ['tlsv1.3']} | More],
    File = filename:join(Tmp, Name ++ ".opts"),
    ok = file:write_file(File, io_lib:format("~p.~n", [[{server, [{fail_if_no_peer_cert, true} | Opts]},
                                                        {client, Opts}]])),
    File.

%% MB/s (10^6 bytes) of binaries of Size bytes to Node, until they have all arrived.
-spec run(node(), pos_integer()) -> float().
run(Node, Size) ->
    Total = total(Size),
    Sink = spawn_link(Node, ?MODULE, sink, [self()]),
    receive ready -> ok end,
    Message = binary:copy(<<7>>, Size),
    Start = erlang:monotonic_time(microsecond),
    send(Sink, Message, Total div Size),
    Sink ! {done, self()},
    receive done -> ok end,
    Total / (erlang:monotonic_time(microsecond) - Start).

total(Size) when Size < 1024 -> 20_000_000;
total(Size) when Size < 16384 -> 150_000_000;
total(_) -> 400_000_000.

send(_Sink, _Message, 0) -> ok;
send(Sink, Message, N) ->
    Sink ! Message,
    send(Sink, Message, N - 1).

-spec sink(pid()) -> ok.
sink(From) ->
    process_flag(message_queue_data, off_heap),
    From ! ready,
    swallow().

swallow() ->
    receive
        {done, From} -> From ! done, ok;
        _ -> swallow()
    end.
