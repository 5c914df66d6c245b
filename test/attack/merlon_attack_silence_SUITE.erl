%% SPDX-License-Identifier: Apache-2.0
%% Peers that stop talking, talk slowly, come in numbers or go away, at every step of the
%% handshake. They cost the node its deadline at most, and others nothing.
-module(merlon_attack_silence_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([others_join_while_a_peer_says_nothing/1, a_peer_that_drips_bytes_meets_the_deadline/1,
         a_peer_that_stops_in_the_middle_meets_the_deadline/1,
         a_peer_that_is_silent_inside_tls_meets_the_deadline/1,
         a_peer_that_is_silent_after_the_proof_meets_the_deadline/1,
         a_server_that_says_nothing_does_not_hold_up_its_dialler/1,
         the_oldest_silent_peer_gives_way_to_a_node_that_joins/1,
         a_flood_of_silent_peers_does_not_keep_a_node_out/1,
         peers_that_go_away_at_any_step_leave_one_line_and_nothing_else/1]).

-import(merlon_attacker, [refusal/2]).

-define(COOKIE, <<"merlontest">>).
-define(DEADLINE, 1000).
-define(PLACES, 4).

all() ->
    [others_join_while_a_peer_says_nothing, a_peer_that_drips_bytes_meets_the_deadline,
     a_peer_that_stops_in_the_middle_meets_the_deadline,
     a_peer_that_is_silent_inside_tls_meets_the_deadline,
     a_peer_that_is_silent_after_the_proof_meets_the_deadline,
     a_server_that_says_nothing_does_not_hold_up_its_dialler,
     the_oldest_silent_peer_gives_way_to_a_node_that_joins,
     a_flood_of_silent_peers_does_not_keep_a_node_out,
     peers_that_go_away_at_any_step_leave_one_line_and_nothing_else].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Base = proplists:get_value(priv_dir, Config),
    [{base, Base} | Config].

end_per_suite(_Config) ->
    ok.

%% Every case has a victim and a friend of its own.
init_per_testcase(Case, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(base, Config), "attacked"),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    Victim = merlon_attacker:victim("victim", Dir, settings(Case), args(Case)),
    [{victim, Victim}, {dir, Dir}, {mallory, Mallory} | Config].

settings(Case) when Case =:= the_oldest_silent_peer_gives_way_to_a_node_that_joins;
                    Case =:= a_flood_of_silent_peers_does_not_keep_a_node_out ->
    [{handshake_timeout, 60000}, {max_handshakes, ?PLACES}];
settings(_Case) ->
    [{handshake_timeout, ?DEADLINE}].

args(a_server_that_says_nothing_does_not_hold_up_its_dialler) -> ["-kernel", "net_setuptime", "1"];
args(_Case) -> [].

end_per_testcase(_Case, Config) ->
    Victim = victim(Config),
    Once = (catch merlon_attacker:once(Victim)),
    merlon_attacker:stop(Victim),
    case Once of
        ok -> ok;
        _ -> {fail, {reported_twice, Once}}
    end.

%% ---- silence ----

others_join_while_a_peer_says_nothing(Config) ->
    {Socket, Local} = merlon_attacker:tcp(victim(Config)),
    Began = now_ms(),
    joins(Config),
    true = now_ms() - Began < ?DEADLINE,
    timed_out(Socket, Local, Began, tls, Config).

a_peer_that_drips_bytes_meets_the_deadline(Config) ->
    {Socket, Local} = merlon_attacker:tcp(victim(Config)),
    Began = now_ms(),
    drip(Socket, merlon_attacker:client_hello()),
    timed_out(Socket, Local, Began, tls, Config).

%% One byte each 50 ms, which is never silence for long.
drip(Socket, <<Byte, Rest/binary>>) ->
    _ = gen_tcp:send(Socket, <<Byte>>),
    case gen_tcp:recv(Socket, 0, 50) of
        {error, timeout} -> drip(Socket, Rest);
        {error, _} -> ok
    end.

a_peer_that_stops_in_the_middle_meets_the_deadline(Config) ->
    Hello = merlon_attacker:client_hello(),
    [begin
         {Socket, Local} = merlon_attacker:tcp(victim(Config)),
         Began = now_ms(),
         ok = gen_tcp:send(Socket, binary:part(Hello, 0, Sent)),
         timed_out(Socket, Local, Began, tls, Config)
     end || Sent <- [3, 100, byte_size(Hello)]],
    ok.

a_peer_that_is_silent_inside_tls_meets_the_deadline(Config) ->
    Own = atom_to_binary(mallory(Config)),
    Began = now_ms(),
    {Forger0, Local0} = forger(Config),
    {closed, _} = merlon_forger:read(Forger0),
    in_time(Began),
    #{reason := timeout, phase := tls} = refusal(victim(Config), Local0),
    {Forger1, Local1} = forger(Config),
    Forger2 = merlon_forger:send(Forger1, 16#F0, hello(Own)),
    {{16#F0, _Proof}, Forger3} = merlon_forger:read(Forger2),
    {closed, _} = merlon_forger:read(Forger3),
    #{reason := timeout, phase := preamble, claimed := Own, fingerprint := _} =
        refusal(victim(Config), Local1).

a_peer_that_is_silent_after_the_proof_meets_the_deadline(Config) ->
    Own = atom_to_binary(mallory(Config)),
    Began = now_ms(),
    {Conn, Local} = dial(Config),
    ended = ended(merlon_attacker:gone(Conn)),
    in_time(Began),
    #{reason := timeout, phase := dist, claimed := Own, fingerprint := _} =
        refusal(victim(Config), Local).

%% The victim dials for once; net_setuptime is 1 s.
a_server_that_says_nothing_does_not_hold_up_its_dialler(Config) ->
    #{pid := Pid} = Victim = victim(Config),
    Name = merlon_peers:name("deaf"),
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Address} = inet:sockname(Listener),
    Epmd = merlon_attacker:impersonate(Name, element(2, Address)),
    Began = now_ms(),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [merlon_peers:node(Name)]),
    in_time(Began),
    [ok = gen_tcp:close(Socket) || Socket <- [Epmd, Listener]],
    Node = merlon_peers:node(Name),
    #{side := dial, reason := timeout, phase := tls, node := Node} = refusal(Victim, Address).

%% ---- numbers ----

the_oldest_silent_peer_gives_way_to_a_node_that_joins(Config) ->
    Silent = [{Oldest, Local} | Rest] = [merlon_attacker:tcp(victim(Config)) ||
                                            _ <- lists:seq(1, ?PLACES)],
    joins(Config),
    <<>> = merlon_attacker:last_words(Oldest),
    #{reason := evicted, phase := tls} = refusal(victim(Config), Local),
    [{error, timeout} = gen_tcp:recv(Socket, 0, 100) || {Socket, _} <- Rest],
    [gen_tcp:close(Socket) || {Socket, _} <- Silent],
    ok.

a_flood_of_silent_peers_does_not_keep_a_node_out(Config) ->
    Victim = victim(Config),
    Silent = [merlon_attacker:tcp(Victim) || _ <- lists:seq(1, 25 * ?PLACES)],
    joins(Config),
    Evicted = [Local || {_, Local} <- lists:sublist(Silent, 24 * ?PLACES)],
    [#{reason := evicted} = refusal(Victim, Local) || Local <- Evicted],
    #{pending := Pending, evicted := Count} = merlon_peers:call(maps:get(pid, Victim), merlon, stats, []),
    {true, Pending} = {Pending =< ?PLACES, Pending},
    true = Count >= length(Evicted),
    [gen_tcp:close(Socket) || {Socket, _} <- Silent],
    ok.

%% ---- going away ----

%% Each way to go leaves one line with a reason; the descriptors are all given back.
peers_that_go_away_at_any_step_leave_one_line_and_nothing_else(Config) ->
    #{pid := Pid} = victim(Config),
    joins(Config),
    Before = descriptors(Pid),
    Hello = merlon_attacker:client_hello(),
    Own = atom_to_binary(mallory(Config)),
    [begin
         {Socket, Local} = merlon_attacker:tcp(victim(Config)),
         ok = gen_tcp:send(Socket, binary:part(Hello, 0, Sent)),
         leave(Socket, How),
         gone(Local, tls, Config)
     end || Sent <- [0, 1, 100, byte_size(Hello)], How <- [close, reset]],
    {Forger0, Local0} = forger(Config),
    ok = merlon_forger:close(Forger0),
    #{fingerprint := _} = gone(Local0, tls, Config),
    {Forger1, Local1} = forger(Config),
    Forger2 = merlon_forger:send(Forger1, 16#F0, hello(Own)),
    ok = merlon_forger:close(Forger2),
    #{claimed := Own, fingerprint := _} = gone(Local1, preamble, Config),
    {Forger3, Local3} = forger(Config),
    Forger4 = merlon_forger:send(Forger3, 16#F0, hello(Own)),
    {{16#F0, _Proof}, Forger5} = merlon_forger:read(Forger4),
    ok = merlon_forger:close(Forger5),
    #{claimed := Own, fingerprint := _} = gone(Local3, preamble, Config),
    [begin
         {Conn, Local} = dial(Config),
         Step(Conn),
         ok = merlon_nif:close(Conn),
         #{claimed := Own, fingerprint := _} = gone(Local, dist, Config)
     end || Step <- [fun(_) -> ok end, fun(Conn) -> merlon_attacker:hello(Conn, Own) end]],
    merlon_peers:wait(fun() -> descriptors(Pid) =< Before end),
    [] = merlon_peers:call(Pid, merlon, connections, []).

leave(Socket, close) -> ok = gen_tcp:close(Socket);
leave(Socket, reset) ->
    ok = inet:setopts(Socket, [{linger, {true, 0}}]),
    ok = gen_tcp:close(Socket).

gone(Local, Phase, Config) ->
    #{phase := Phase, reason := Reason} = Report = refusal(victim(Config), Local),
    Ends = [peer_closed, peer_alert, closed, truncated, econnreset, epipe],
    {true, Reason} = {lists:member(Reason, Ends), Reason},
    Report.

descriptors(Pid) ->
    {ok, Names} = merlon_peers:call(Pid, file, list_dir, ["/proc/self/fd"]),
    length(Names).

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).
mallory(Config) -> proplists:get_value(mallory, Config).

now_ms() -> erlang:monotonic_time(millisecond).

%% An honest node comes up to a link and goes again.
joins(Config) ->
    #{pid := Pid} = victim(Config),
    {Conn, _} = dial(Config),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    Own = mallory(Config),
    {ok, <<$a, _:16/binary>>} = merlon_attacker:shake(Conn, atom_to_binary(Own), Cookie),
    Links = fun() -> merlon_peers:call(Pid, merlon, connections, []) end,
    Linked = fun() -> [Node || #{node := Node} <- Links()] end,
    merlon_peers:wait(fun() -> Linked() =:= [Own] end),
    ok = merlon_nif:close(Conn),
    merlon_peers:wait(fun() -> Linked() =:= [] end).

dial(Config) ->
    #{node := Node} = Victim = victim(Config),
    Identity = merlon_attacker:identity(proplists:get_value(dir, Config), mallory(Config)),
    {established, Conn, Local} =
        merlon_attacker:dial(Victim, Identity, atom_to_binary(mallory(Config)),
                             atom_to_binary(Node), ?COOKIE),
    %% Else the proof waits for the first packet.
    ok = merlon_nif:flush(Conn),
    {Conn, Local}.

forger(Config) ->
    Folder = filename:join([proplists:get_value(dir, Config), "nodes",
                            atom_to_list(mallory(Config))]),
    merlon_forger:connect(victim(Config), merlon_attacker:ssl_opts(Folder)).

hello(Own) ->
    <<1, 1, (byte_size(Own)):16, Own/binary, 1, 0:64>>.

timed_out(Socket, Local, Began, Phase, Config) ->
    _ = merlon_attacker:last_words(Socket),
    in_time(Began),
    ok = gen_tcp:close(Socket),
    #{phase := Phase, reason := timeout, side := accept} = refusal(victim(Config), Local),
    ok.

%% Not before its deadline, and not long after it either.
in_time(Began) ->
    Took = now_ms() - Began,
    {true, Took} = {Took >= ?DEADLINE - 300 andalso Took < ?DEADLINE + 3000, Took}.

ended(Reason) when Reason =:= closed; Reason =:= truncated; Reason =:= econnreset -> ended.
