%% SPDX-License-Identifier: Apache-2.0
%% The accepting side in trouble: an acceptor that dies, a listener that is gone, floods of
%% connections and of ticks, numbers that fit nowhere.
-module(merlon_acceptor_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_killed_acceptor_is_replaced_and_the_node_accepts_again/1,
         a_stopped_net_kernel_gives_the_port_back/1,
         a_listener_that_is_gone_is_logged_once_a_second/1,
         a_flood_from_another_address_keeps_nobody_out/1,
         a_slow_log_keeps_nobody_out/1,
         the_greediest_source_gives_way/1, strangers_are_served_at_normal_priority/1,
         numbers_that_do_not_fit_are_refused/1, a_flood_of_ticks_is_one_tick/1,
         who_takes_connections_lets_others_run/1]).
-export([acceptors/0, listener/0, lose_listener/0, sockets/0, watch_sockets/0, priorities/0]).

-define(COOKIE, <<"merlontest">>).
-define(PLACES, 8).
-define(JOINS, 20).
-define(FLOODERS, 20).
%% How long a joining node takes to say its first word, in ms: it may be far away.
-define(FAR, 100).

all() ->
    [a_killed_acceptor_is_replaced_and_the_node_accepts_again,
     a_stopped_net_kernel_gives_the_port_back,
     a_listener_that_is_gone_is_logged_once_a_second,
     a_flood_from_another_address_keeps_nobody_out, a_slow_log_keeps_nobody_out,
     the_greediest_source_gives_way, strangers_are_served_at_normal_priority,
     numbers_that_do_not_fit_are_refused, a_flood_of_ticks_is_one_tick, who_takes_connections_lets_others_run].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Config.

end_per_suite(_Config) ->
    ok.

init_per_testcase(Case, Config) when Case =:= the_greediest_source_gives_way; Case =:= who_takes_connections_lets_others_run ->
    Config;
init_per_testcase(_Case, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Joiner = merlon_peers:node(merlon_peers:name("joiner")),
    ok = merlon_peers:add_node(Dir, Joiner),
    Victim = merlon_attacker:victim("victim", Dir, [{max_handshakes, ?PLACES}], []),
    [{victim, Victim}, {dir, Dir}, {joiner, Joiner} | Config].

end_per_testcase(_Case, Config) ->
    case proplists:get_value(victim, Config) of
        undefined -> ok;
        Victim -> merlon_attacker:stop(Victim)
    end.

%% ---- acceptor and listener ----

a_killed_acceptor_is_replaced_and_the_node_accepts_again(Config) ->
    #{pid := Pid, address := {_, Port}} = victim(Config),
    [begin
         [Acceptor] = remote(acceptors, Config),
         true = merlon_peers:call(Pid, erlang, exit, [Acceptor, kill]),
         merlon_peers:wait(fun() -> new(remote(acceptors, Config), Acceptor) end),
         joins(Config)
     end || _ <- lists:seq(1, 3)],
    [Last] = remote(acceptors, Config),
    Before = kernel_reductions(Pid),
    timer:sleep(1000),
    Used = kernel_reductions(Pid) - Before,
    ct:log("net_kernel: ~b reductions in 1 s", [Used]),
    true = Used < 20000,
    [Last] = remote(acceptors, Config),
    {ok, {_, Port}} = merlon_peers:call(Pid, merlon_nif, sockname, [remote(listener, Config)]),
    [] = [Report || #{event := accept_failed} = Report <- merlon_peers:log(Pid)],
    ok.

new([Pid], Old) -> Pid =/= Old;
new([], _Old) -> false.

a_stopped_net_kernel_gives_the_port_back(Config) ->
    Dir = proplists:get_value(dir, Config),
    Name = merlon_peers:name("comes_and_goes"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    {ok, Pid, Nobody} = peer:start(#{connection => standard_io, wait_boot => 20000,
                                     args => ["-pa", filename:dirname(code:which(?MODULE))
                                              | merlon_peers:args(Dir)]}),
    nonode@nohost = Nobody,
    ok = merlon_peers:call(Pid, merlon_log_sink, install, []),
    [begin
         {ok, _} = merlon_peers:call(Pid, net_kernel, start,
                                     [merlon_peers:node(Name), #{name_domain => longnames}]),
         {ok, {_, Port}} = merlon_peers:call(Pid, merlon_nif, sockname,
                                             [merlon_peers:call(Pid, ?MODULE, listener, [])]),
         End(Pid),
         merlon_peers:wait(fun() -> refused(Port) end),
         merlon_peers:wait(fun() -> [] =:= merlon_peers:call(Pid, ?MODULE, acceptors, []) end)
     end || End <- [fun stop_kernel/1, fun stop_kernel/1, fun kill_kernel/1]],
    [] = [Report || #{event := accept_failed} = Report <- merlon_peers:log(Pid)],
    merlon_peers:stop(Pid).

stop_kernel(Pid) -> ok = merlon_peers:call(Pid, net_kernel, stop, []).

%% Killed, it calls nobody's close/1.
kill_kernel(Pid) ->
    true = merlon_peers:call(Pid, erlang, exit,
                             [merlon_peers:call(Pid, erlang, whereis, [net_kernel]), kill]).

refused(Port) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
        {error, econnrefused} -> true;
        {error, econnreset} -> false; % was in the backlog when the listener closed
        {ok, Socket} -> gen_tcp:close(Socket), false
    end.

a_listener_that_is_gone_is_logged_once_a_second(Config) ->
    #{pid := Pid} = victim(Config),
    true = remote(lose_listener, Config),
    Before = kernel_reductions(Pid),
    timer:sleep(3500),
    Failures = [Reason || #{event := accept_failed, reason := Reason} <- merlon_peers:log(Pid)],
    true = lists:member(length(Failures), [2, 3, 4]),
    [enotconn] = lists:usort(Failures),
    true = kernel_reductions(Pid) - Before < 50000,
    ok.

kernel_reductions(Pid) ->
    Kernel = merlon_peers:call(Pid, erlang, whereis, [net_kernel]),
    {reductions, N} = merlon_peers:call(Pid, erlang, process_info, [Kernel, reductions]),
    N.

%% ---- floods ----

%% 127.0.0.2 opens connections as fast as it can; 127.0.0.1 joins all the same, and at once.
a_flood_from_another_address_keeps_nobody_out(Config) ->
    Victim = victim(Config),
    joins(Config),
    Before = remote(sockets, Config),
    Watch = remote(watch_sockets, Config),
    Floods = [spawn_monitor(fun() -> flood(Victim, queue:new(), 0) end)
              || _ <- lists:seq(1, ?FLOODERS)],
    timer:sleep(500),
    Took = [element(1, timer:tc(fun() -> joins(Config) end)) div 1000 || _ <- lists:seq(1, ?JOINS)],
    Evicted = length(evicted(Victim)),
    [Flood ! stop || {Flood, _} <- Floods],
    Opened = lists:sum([receive {'DOWN', Ref, process, Flood, {opened, N}} -> N end
                        || {Flood, Ref} <- Floods]),
    Most = merlon_peers:call(maps:get(pid, Victim), gen_server, call, [Watch, most]),
    ct:log("~b connections, ~b evicted meanwhile; joins took ~w ms; "
           "~b sockets before, ~b at most", [Opened, Evicted, Took, Before, Most]),
    true = Evicted > 20 * ?PLACES,
    true = lists:max(Took) < 5000,
    %% The newcomer, the link that comes up, and those whose close is under way in another scheduler.
    true = Most - Before =< 2 * ?PLACES + 4,
    [{127, 0, 0, 2}] = lists:usort(evicted(Victim)),
    merlon_peers:wait(fun() -> remote(sockets, Config) =< Before end).

evicted(Victim) ->
    [Ip || #{reason := evicted, peer := {Ip, _}} <- merlon_attacker:refusals(Victim)].

%% Each refusal waits for the log; who joins does not.
a_slow_log_keeps_nobody_out(Config) ->
    #{pid := Pid} = Victim = victim(Config),
    joins(Config),
    ok = merlon_peers:call(Pid, logger, add_handler, [slow, merlon_slow_log, #{level => error}]),
    Floods = [spawn_monitor(fun() -> flood(Victim, queue:new(), 0) end) || _ <- [1, 2, 3, 4]],
    timer:sleep(500),
    Took = [element(1, timer:tc(fun() -> joins(Config) end)) div 1000 || _ <- [1, 2, 3]],
    [Flood ! stop || {Flood, _} <- Floods],
    [receive {'DOWN', Ref, process, _, _} -> ok end || {_, Ref} <- Floods],
    ok = merlon_peers:call(Pid, logger, remove_handler, [slow]),
    ct:log("joins took ~w ms", [Took]),
    true = lists:max(Took) < 3000.

flood(#{address := {Ip, Port}} = Victim, Open, Count) ->
    Kept = case queue:len(Open) >= 20 of
               true -> ok = gen_tcp:close(queue:head(Open)), queue:tail(Open);
               false -> Open
           end,
    Connected = gen_tcp:connect(Ip, Port, [{ip, {127, 0, 0, 2}}, {active, false}]),
    receive
        stop -> exit({opened, Count})
    after 0 ->
            case Connected of
                {ok, Socket} -> flood(Victim, queue:in(Socket, Kept), Count + 1);
                {error, _} -> exit({opened, Count})
            end
    end.

the_greediest_source_gives_way(_Config) ->
    Source = fun merlon_source_core:source/1,
    Net = Source({16#2001, 16#db8, 0, 1, 1, 2, 3, 4}),
    Net = Source({16#2001, 16#db8, 0, 1, 4, 3, 2, 1}),
    true = Net =/= Source({16#2001, 16#db8, 0, 2, 1, 2, 3, 4}),
    true = Source({127, 0, 0, 1}) =/= Source({127, 0, 0, 2}),
    %% newest first
    none = way(a, []),
    none = way(a, [{2, proven}, {1, proven}]),
    1 = way(a, [{1, b}]),
    1 = way(a, [{2, a}, {1, a}]),
    1 = way(c, [{4, b}, {3, a}, {2, b}, {1, a}]),
    2 = way(c, [{3, b}, {2, b}, {1, a}]),
    %% The newcomer counts too.
    3 = way(a, [{3, a}, {2, b}, {1, c}]),
    3 = way(c, [{4, c}, {3, c}, {2, b}, {1, b}]),
    2 = way(a, [{4, proven}, {3, b}, {2, b}, {1, proven}]),
    ok.

%% Newest first.
way(New, Pending) ->
    case merlon_acceptor:gives_way(New, [{Id, self(), Source, conn} || {Id, Source} <- Pending]) of
        {Id, _, _, _} -> Id;
        none -> none
    end.

strangers_are_served_at_normal_priority(Config) ->
    Silent = [merlon_attacker:tcp(victim(Config)) || _ <- [1, 2, 3]],
    merlon_peers:wait(fun() -> [normal, normal, normal] =:= remote(priorities, Config) end),
    [ok = gen_tcp:close(Socket) || {Socket, _} <- Silent],
    ok.

%% However many ticks come at once, a read has one at most, and the frames between them.
a_flood_of_ticks_is_one_tick(Config) ->
    #{pid := Pid} = victim(Config),
    Conn = join(Config),
    Frames = fun() ->
                     [#{frames_in := N}] = merlon_peers:call(Pid, merlon, connections, []),
                     N
             end,
    Before = Frames(),
    ok = merlon_attacker:frames(Conn, 200000, <<>>),
    merlon_peers:wait(fun() -> Frames() > Before end),
    timer:sleep(500),
    Ticks = Frames() - Before,
    ct:log("~b ticks", [Ticks]),
    true = Ticks < 2000,
    ok = merlon_nif:close(Conn).

%% A process runs for 4000 reductions at a time: a call of the library would be one, and a flood would hold a scheduler.
who_takes_connections_lets_others_run(_Config) ->
    Ip = {127, 0, 0, 1},
    {ok, Listener} = merlon_nif:listen(Ip, 0, 20, []),
    {ok, {_, Port}} = merlon_nif:sockname(Listener),
    Clients = [element(2, {ok, _} = gen_tcp:connect(Ip, Port, [])) || _ <- lists:seq(1, 10)],
    {reductions, Before} = process_info(self(), reductions),
    Taken = [element(2, {ok, _} = merlon_nif:accept(Listener)) || _ <- Clients],
    {reductions, After} = process_info(self(), reductions),
    true = After - Before > 4000,
    _ = [ok = merlon_nif:close(Conn) || Conn <- Taken],
    _ = [ok = gen_tcp:close(Client) || Client <- Clients],
    ok = merlon_nif:close(Listener).

%% ---- numbers ----

numbers_that_do_not_fit_are_refused(_Config) ->
    Ip = {127, 0, 0, 1},
    [{error, einval} = merlon_nif:listen(Ip, Port, 5, []) || Port <- [-1, 65536, 70000]],
    [{error, einval} = merlon_nif:connect(Ip, Port, undefined, []) || Port <- [-1, 65536, 70000]],
    [badarg = refusal(fun() -> merlon_nif:listen(Bad, 0, 5, []) end)
     || Bad <- [{127, 0, 0, 257}, {-1, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 65536}]],
    [badarg = refusal(fun() -> merlon_nif:listen(Ip, 0, 5, [Opt]) end)
     || Opt <- [{tos, 256}, {tos, -1}, {linger, {true, 65536}}, {linger, {true, -1}}]],
    {ok, Listener} = merlon_nif:listen(Ip, 0, 5, [{tos, 184}, {linger, {true, 65535}}]),
    {ok, [{tos, 184}]} = merlon_nif:getopts(Listener, [tos]),
    {error, einval} = merlon_nif:setopts(Listener, [{tos, 257}]),
    ok = merlon_nif:close(Listener).

refusal(Call) ->
    try Call()
    catch error:Reason -> Reason
    end.

%% ---- on the victim ----

remote(Function, Config) ->
    #{pid := Pid} = victim(Config),
    merlon_peers:call(Pid, ?MODULE, Function, []).

acceptors() -> running(merlon_acceptor, init).

running(Module, Function) ->
    [Pid || Pid <- processes(),
            {initial_call, {M, F, _}} <- [process_info(Pid, initial_call)],
            {M, F} =:= {Module, Function}].

priorities() ->
    [Priority || Pid <- running(merlon_acceptor, handshake),
                 {priority, Priority} <- [process_info(Pid, priority)]].

%% net_kernel's own.
listener() ->
    [[Listener]] = [element(2, Listen) || List <- tuple_to_list(sys:get_state(net_kernel)),
                                        is_list(List), Listen <- List, is_tuple(Listen),
                                        element(1, Listen) =:= listen],
    Listener.

lose_listener() ->
    [Acceptor] = acceptors(),
    ok = merlon_nif:close(listener()),
    exit(Acceptor, kill).

sockets() ->
    {ok, Names} = file:list_dir("/proc/self/fd"),
    length([Name || Name <- Names,
                    {ok, "socket:" ++ _} <- [file:read_link("/proc/self/fd/" ++ Name)]]).

%% Answers with the most sockets it has seen.
watch_sockets() ->
    spawn(fun() -> watch(0) end).

watch(Most) ->
    receive
        {'$gen_call', From, most} -> gen_server:reply(From, Most)
    after 10 -> watch(max(Most, sockets()))
    end.

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).

joins(Config) ->
    Conn = join(Config),
    ok = merlon_nif:close(Conn),
    merlon_peers:wait(fun() -> linked(Config) =:= [] end).

%% An honest node comes up to a link.
join(Config) ->
    #{node := Node} = Victim = victim(Config),
    Joiner = proplists:get_value(joiner, Config),
    Own = atom_to_binary(Joiner),
    Identity = merlon_attacker:identity(proplists:get_value(dir, Config), Joiner),
    {Conn, _} = merlon_attacker:conn(Victim),
    timer:sleep(?FAR),
    ok = merlon_nif:dial(Conn, Identity, Own, atom_to_binary(Node), [{vm_cookie, ?COOKIE}],
                         erlang:system_time(second)),
    established = merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    {ok, <<$a, _:16/binary>>} = merlon_attacker:shake(Conn, Own, Cookie),
    merlon_peers:wait(fun() -> linked(Config) =:= [Joiner] end),
    Conn.

linked(Config) ->
    #{pid := Pid} = victim(Config),
    [Node || #{node := Node} <- merlon_peers:call(Pid, merlon, connections, [])].
