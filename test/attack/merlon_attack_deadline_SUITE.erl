%% SPDX-License-Identifier: Apache-2.0
%% The handshake's deadline is one for TCP, TLS, preamble and dist handshake together: a peer that takes its time at each step,
%% and never too much of it, is cut off like one that says nothing.
-module(merlon_attack_deadline_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_peer_that_is_slow_at_each_step_meets_the_deadline/1,
         a_peer_that_is_slow_up_to_the_dist_handshake_meets_the_deadline/1,
         a_peer_that_drips_a_record_inside_tls_meets_the_deadline/1]).

-define(COOKIE, <<"merlontest">>).
-define(DEADLINE, 2000).
%% Less than the deadline, and more than a third of it.
-define(SLOW, 850).

all() ->
    [a_peer_that_is_slow_at_each_step_meets_the_deadline,
     a_peer_that_is_slow_up_to_the_dist_handshake_meets_the_deadline,
     a_peer_that_drips_a_record_inside_tls_meets_the_deadline].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    Victim = merlon_attacker:victim("victim", Dir, [{handshake_timeout, ?DEADLINE}], []),
    [{victim, Victim}, {dir, Dir}, {mallory, Mallory} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(victim(Config)).

end_per_testcase(_Case, Config) ->
    #{pid := Pid} = Victim = victim(Config),
    ok = merlon_attacker:once(Victim),
    merlon_peers:wait(fun() -> #{pending := Pending} = merlon_peers:call(Pid, merlon, stats, []), Pending =:= 0 end).

%% TLS at once, the preamble's first message late, its second one later.
a_peer_that_is_slow_at_each_step_meets_the_deadline(Config) ->
    Own = atom_to_binary(mallory(Config)),
    Folder = filename:join([proplists:get_value(dir, Config), "nodes", atom_to_list(mallory(Config))]),
    Began = now_ms(),
    {Forger0, Local} = merlon_forger:connect(victim(Config), merlon_attacker:ssl_opts(Folder)),
    timer:sleep(?SLOW),
    Forger1 = merlon_forger:send(Forger0, 16#F0, <<1, 1, (byte_size(Own)):16, Own/binary, 1, 0:64>>),
    {{16#F0, _Proof}, Forger2} = merlon_forger:read(Forger1),
    timer:sleep(?SLOW),
    %% What is not yet a message counts for nothing.
    Forger3 = merlon_forger:send(Forger2, 22, <<24, 0, 0, 1, 0>>),
    {closed, _} = merlon_forger:read(Forger3),
    cut_off(Began, Local, preamble, Config).

%% 0.85 s in TCP, TLS and preamble, 0.85 s until the name, and then silence.
a_peer_that_is_slow_up_to_the_dist_handshake_meets_the_deadline(Config) ->
    Began = now_ms(),
    {Conn, Local} = dialled(Config, ?SLOW),
    timer:sleep(?SLOW),
    ok = merlon_attacker:hello(Conn, atom_to_binary(mallory(Config))),
    {ok, <<"sok">>} = merlon_attacker:until(fun() -> merlon_nif:recv_one(Conn) end),
    _ = merlon_attacker:gone(Conn),
    cut_off(Began, Local, dist, Config).

%% One byte each 100 ms: there is always something that comes.
a_peer_that_drips_a_record_inside_tls_meets_the_deadline(Config) ->
    Folder = filename:join([proplists:get_value(dir, Config), "nodes", atom_to_list(mallory(Config))]),
    Began = now_ms(),
    {Forger, Local} = merlon_forger:connect(victim(Config), merlon_attacker:ssl_opts(Folder)),
    _ = merlon_forger:raw(Forger, <<23, 3, 3, 64:16>>),
    drip(Forger, Began + ?DEADLINE + 200),
    {closed, _} = merlon_forger:read(Forger),
    cut_off(Began, Local, tls, Config).

drip(Forger, Until) ->
    timer:sleep(100),
    _ = merlon_forger:raw(Forger, <<0>>),
    now_ms() < Until andalso drip(Forger, Until).

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).
mallory(Config) -> proplists:get_value(mallory, Config).
now_ms() -> erlang:monotonic_time(millisecond).

%% TLS and preamble are done so many milliseconds after TCP.
dialled(Config, Pause) ->
    #{node := Node} = Victim = victim(Config),
    Identity = merlon_attacker:identity(proplists:get_value(dir, Config), mallory(Config)),
    {Conn, Local} = merlon_attacker:conn(Victim),
    timer:sleep(Pause),
    ok = merlon_nif:dial(Conn, Identity, atom_to_binary(mallory(Config)), atom_to_binary(Node), [{vm_cookie, ?COOKIE}],
                         erlang:system_time(second)),
    established = merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    %% Else the proof waits for the first packet.
    ok = merlon_nif:flush(Conn),
    {Conn, Local}.

%% Not before the deadline, and soon after it, counted from the begin.
cut_off(Began, Local, Phase, Config) ->
    Took = now_ms() - Began,
    #{reason := timeout, phase := Phase} = merlon_attacker:refusal(victim(Config), Local),
    {true, Took} = {Took > ?DEADLINE - 100 andalso Took < ?DEADLINE + 600, Took}.
