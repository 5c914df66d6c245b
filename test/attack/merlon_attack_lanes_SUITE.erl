%% SPDX-License-Identifier: Apache-2.0
%% A peer with a valid certificate that does on lanes what no carrier does: each time one line in the log with the
%% reason, the end of its link, and nothing else. What it claims costs no memory.
-module(merlon_attack_lanes_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_frame_beyond_the_limit_is_refused/1, a_record_beyond_its_frame_is_refused/1,
         messages_that_claim_much_and_hold_little_are_refused/1, a_lane_that_is_none_is_refused/1,
         a_lane_before_the_link_is_up_is_refused/1, an_end_within_a_frame_is_no_clean_end/1,
         frames_that_never_come_cost_no_memory/1, frames_that_trickle_in_cost_what_came/1,
         a_frame_slower_than_ticktime_keeps_its_link/1, rubbish_on_a_lane_ends_only_its_link/1]).

-define(MB, (1024 * 1024)).
-define(MAX_FRAME, (1024 * ?MB)).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_frame_beyond_the_limit_is_refused, a_record_beyond_its_frame_is_refused,
     messages_that_claim_much_and_hold_little_are_refused, a_lane_that_is_none_is_refused,
     a_lane_before_the_link_is_up_is_refused, an_end_within_a_frame_is_no_clean_end,
     frames_that_never_come_cost_no_memory, frames_that_trickle_in_cost_what_came,
     a_frame_slower_than_ticktime_keeps_its_link, rubbish_on_a_lane_ends_only_its_link].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    [Mallory, Friend] = [merlon_peers:node(merlon_peers:name(Base)) || Base <- ["mallory", "friend"]],
    [ok = merlon_peers:add_node(Dir, Node) || Node <- [Mallory, Friend]],
    Victim = merlon_attacker:victim("victim", Dir, [{max_frame, ?MAX_FRAME}], ["-kernel", "net_ticktime", "4"]),
    [{victim, Victim}, {dir, Dir}, {mallory, Mallory}, {friend, Friend} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(victim(Config)).

end_per_testcase(_Case, Config) ->
    #{pid := Pid} = Victim = victim(Config),
    ok = merlon_attacker:once(Victim),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, merlon, connections, []) =:= [] end).

%% ---- what is no frame ----

a_frame_beyond_the_limit_is_refused(Config) ->
    [refused(frame_too_long, fun(Conn) -> first(Conn, 7, Fragments, <<"beginning">>) end, Config)
     || Fragments <- [?MAX_FRAME div 65536 + 3, 1 bsl 40, (1 bsl 64) - 1]],
    ok.

%% In one record, in several, and in full ones that are opened in their place.
a_record_beyond_its_frame_is_refused(Config) ->
    [refused(lane_overrun, fun(Conn) ->
                                   first(Conn, 1, 2, <<"beginning">>),
                                   [later(Conn, 1, 9, zeros(Size)) || Size <- Sizes]
                           end, Config)
     || Sizes <- [[65537], [16000, 16000, 16000, 16000, 16000], [131072]]],
    ok.

%% Each would take its claim of address space for as long as it lies in a mailbox.
messages_that_claim_much_and_hold_little_are_refused(Config) ->
    #{pid := Pid} = victim(Config),
    Sleeper = merlon_peers:call(Pid, erlang, spawn, [timer, sleep, [infinity]]),
    true = merlon_peers:call(Pid, erlang, register, [sleeper, Sleeper]),
    Before = memory(Config),
    refused(lane_short, fun(Conn) ->
                                Message = message(sleeper),
                                [begin first(Conn, 1, 512, Message), later(Conn, 1, 1, <<>>) end
                                 || _ <- lists:seq(1, 2000)]
                        end, Config),
    ct:pal("2000 messages of 32 MB claimed: ~p", [grown(Before, Config)]),
    {message_queue_len, 0} = merlon_peers:call(Pid, erlang, process_info, [Sleeper, message_queue_len]).

message(Name) ->
    From = list_to_pid("<0.1.0>"),
    <<131, Control/binary>> = term_to_binary({6, From, '', Name}),
    <<131, Text/binary>> = term_to_binary("little"),
    <<Control/binary, Text/binary>>.

%% ---- what is no lane ----

%% The record layer knows no such content type, whenever it comes.
a_lane_that_is_none_is_refused(Config) ->
    [before_preamble(Type, unexpected_type, Config) || Type <- [16#DF, 16#F1]],
    ok.

a_lane_before_the_link_is_up_is_refused(Config) ->
    [before_preamble(Type, early_data, Config) || Type <- [16#E0, 16#E7, 16#E8, 16#EF]],
    ok.

before_preamble(Type, Expected, Config) ->
    {Forger0, Local} = merlon_forger:connect(victim(Config), certified(Config)),
    {{21, <<2, 10>>}, Forger1} = merlon_forger:read(merlon_forger:send(Forger0, Type, <<9:64, "beginning">>)),
    {closed, Forger2} = merlon_forger:read(Forger1),
    ok = merlon_forger:close(Forger2),
    #{phase := tls, reason := Expected} = merlon_attacker:refusal(victim(Config), Local).

%% ---- the end ----

an_end_within_a_frame_is_no_clean_end(Config) ->
    Conn = linked(mallory(Config), Config),
    first(Conn, 2, 3, <<"beginning">>),
    ok = merlon_nif:close(Conn),
    down(truncated, Config).

%% ---- memory and time ----

%% Neither those that are given all their memory at once nor those that are not.
frames_that_never_come_cost_no_memory(Config) ->
    [begin
         Conn = linked(mallory(Config), Config),
         Before = memory(Config),
         [first(Conn, Message, Claim div 65536, <<"beginning">>) || Message <- lists:seq(0, 7)],
         #{rss := Rss} = Grown = grown(Before, Config),
         ct:pal("8 claims of ~b MB: ~p", [Claim div ?MB, Grown]),
         true = Rss < 16 * ?MB,
         ok = merlon_nif:close(Conn),
         down(truncated, Config)
     end || Claim <- [?MB, 32 * ?MB, ?MAX_FRAME]],
    ok.

%% 2 MB of each.
frames_that_trickle_in_cost_what_came(Config) ->
    Conn = linked(mallory(Config), Config),
    Before = memory(Config),
    [first(Conn, Message, ?MAX_FRAME div 65536, <<>>) || Message <- lists:seq(0, 7)],
    [later(Conn, Message, 9, zeros(16384)) || _ <- lists:seq(1, 128), Message <- lists:seq(0, 7)],
    Grown = grown(Before, Config),
    ct:pal("8 claims of 1 GB and 2 MB of each: ~p", [Grown]),
    #{rss := Rss} = Grown,
    true = Rss < (2 * 16 + 16) * ?MB,
    ok = merlon_nif:close(Conn),
    down(truncated, Config).

%% Its bytes are as good as ticks, of which this peer sends none; when they stop, the link is over.
a_frame_slower_than_ticktime_keeps_its_link(Config) ->
    #{pid := Pid} = victim(Config),
    Conn = linked(mallory(Config), Config),
    first(Conn, 5, 25, <<>>),
    [begin
         later(Conn, 5, 9, zeros(16384)),
         timer:sleep(500),
         [#{}] = merlon_peers:call(Pid, merlon, connections, [])
     end || _ <- lists:seq(1, 20)],
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, merlon, connections, []) =:= [] end),
    ok = merlon_nif:close(Conn).

%% A whole frame that is no distribution message. Another link of the victim stays.
rubbish_on_a_lane_ends_only_its_link(Config) ->
    #{pid := Pid} = victim(Config),
    Friend = linked(proplists:get_value(friend, Config), Config),
    Conn = linked(mallory(Config), Config),
    first(Conn, 4, 2, <<>>),
    later(Conn, 4, 1, crypto:strong_rand_bytes(60000)),
    merlon_peers:wait(fun() -> not lists:member(mallory(Config), connected(Config)) end),
    true = lists:member(proplists:get_value(friend, Config), connected(Config)),
    #{started := _} = merlon_peers:call(Pid, merlon_work, net_kernel_state, [5000]),
    ok = merlon_nif:close(Conn),
    ok = merlon_nif:close(Friend).

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).
mallory(Config) -> proplists:get_value(mallory, Config).

certified(Config) ->
    merlon_attacker:ssl_opts(filename:join([proplists:get_value(dir, Config), "nodes", mallory(Config)])).

zeros(Size) -> <<0:(8 * Size)>>.

%% Fragments of a message as a VM would make them, each to be put on the message's lane. What is less proper on a lane
%% no VM can make the carrier send: native/wire/tests/lane.rs, fuzz target `lane`.
first(Conn, Message, Fragments, Bytes) -> send(Conn, <<131, 69, Message:64, Fragments:64, 0, Bytes/binary>>).

later(Conn, Message, Left, Bytes) -> send(Conn, <<131, 70, Message:64, Left:64, Bytes/binary>>).

send(Conn, Frame) ->
    case merlon_nif:send(Conn, [{byte_size(Frame), [Frame]}]) of
        ok -> ok;
        blocked -> flush(Conn);
        {error, _} = Error -> Error
    end.

flush(Conn) ->
    receive {select, _, _, ready_output} -> ok after 10000 -> error(timeout) end,
    case merlon_nif:flush(Conn) of
        blocked -> flush(Conn);
        Result -> Result
    end.

refused(Reason, Attack, Config) ->
    Conn = linked(mallory(Config), Config),
    _ = Attack(Conn),
    true = lists:member(merlon_attacker:gone(Conn), [closed, truncated, peer_alert, econnreset]),
    down(Reason, Config).

linked(Node, Config) ->
    Ups = ups(Config),
    Identity = merlon_attacker:identity(proplists:get_value(dir, Config), Node),
    Conn = merlon_attacker:linked(victim(Config), Identity, Node),
    merlon_peers:wait(fun() -> Node =/= mallory(Config) orelse ups(Config) =:= Ups + 1 end),
    Conn.

connected(Config) ->
    [Node || #{node := Node} <- merlon_peers:call(maps:get(pid, victim(Config)), merlon, connections, [])].

%% One line says why the link ended, one that it did; the node is gone.
down(Reason, Config) ->
    merlon_peers:wait(fun() -> connected(Config) =:= [] end),
    merlon_peers:wait(fun() -> length(since_up(Config)) >= 2 end),
    [{link_down, connection_closed}, {link_failed, Reason}] = lists:sort(since_up(Config)).

since_up(Config) ->
    [{Event, Reason} || #{event := Event, reason := Reason}
                            <- lists:takewhile(fun(#{event := Event}) -> Event =/= link_up end,
                                               lists:reverse(reports(Config)))].

ups(Config) -> length([up || #{event := link_up} <- reports(Config)]).

reports(Config) ->
    [Report || #{node := Node} = Report <- merlon_peers:log(maps:get(pid, victim(Config))), Node =:= mallory(Config)].

memory(Config) ->
    #{pid := Pid, node := Node} = victim(Config),
    merlon_ct:memory({Pid, Node, merlon_peers:os_pid(Pid)}).

%% Nothing tells when the victim has read it all.
grown(Before, Config) ->
    timer:sleep(500),
    maps:map(fun(Key, Bytes) -> Bytes - maps:get(Key, Before) end, memory(Config)).
