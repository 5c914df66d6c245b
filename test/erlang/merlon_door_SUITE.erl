%% SPDX-License-Identifier: Apache-2.0
%% Who may come at all, how often, and where to: what a node does with connections before it reads a byte.
-module(merlon_door_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_denied_address_is_closed_before_a_byte_is_read/1, who_is_not_allowed_is_denied/1,
         a_changed_list_counts_at_once/1, a_source_that_floods_is_throttled_and_others_are_not/1,
         a_source_that_fails_gets_in_again_within_seconds/1, a_source_that_proves_itself_is_never_throttled/1,
         hanging_up_costs_no_pause/1, loopback_is_not_limited_by_default/1,
         a_node_with_a_loopback_name_listens_on_loopback_only/1, a_node_listens_on_several_addresses/1,
         a_node_listens_on_an_interface_by_name/1, a_port_that_is_taken_on_one_address_is_taken/1,
         repeated_lines_are_counted_and_summed_up/1, a_new_kind_is_said_in_the_middle_of_a_flood/1,
         more_sources_than_rows_share_a_line/1, ten_thousand_strangers_a_minute_hold_up_nobody/1]).
-export([note_many/1, places/0]).

-import(merlon_attacker, [refusals/1]).

-define(COOKIE, <<"merlontest">>).
-define(GARBAGE, <<"GET / HTTP/1.1\r\n\r\n">>).

suite() -> [{timetrap, {minutes, 10}}].

all() ->
    [a_denied_address_is_closed_before_a_byte_is_read, who_is_not_allowed_is_denied,
     a_changed_list_counts_at_once, a_source_that_floods_is_throttled_and_others_are_not,
     a_source_that_fails_gets_in_again_within_seconds, a_source_that_proves_itself_is_never_throttled,
     hanging_up_costs_no_pause, loopback_is_not_limited_by_default,
     a_node_with_a_loopback_name_listens_on_loopback_only, a_node_listens_on_several_addresses,
     a_node_listens_on_an_interface_by_name, a_port_that_is_taken_on_one_address_is_taken,
     repeated_lines_are_counted_and_summed_up, a_new_kind_is_said_in_the_middle_of_a_flood,
     more_sources_than_rows_share_a_line, ten_thousand_strangers_a_minute_hold_up_nobody].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Config.

end_per_suite(_Config) -> ok.

end_per_testcase(_Case, _Config) ->
    case erase(victim) of
        undefined -> ok;
        Victim -> merlon_attacker:stop(Victim)
    end.

%% ---- lists ----

a_denied_address_is_closed_before_a_byte_is_read(Config) ->
    Victim = victim([{deny, ["127.0.0.2", "10.0.0.0/8"]}, {log_interval, 0}], Config),
    [begin
         {Socket, Local} = connect(Victim, {127, 0, 0, 2}),
         _ = gen_tcp:send(Socket, Bytes),
         <<>> = merlon_attacker:last_words(Socket),
         #{phase := tcp, reason := denied, side := accept, level := notice} = merlon_attacker:refusal(Victim, Local)
     end || Bytes <- [<<>>, ?GARBAGE, merlon_attacker:client_hello()]],
    joins(Victim, Config),
    #{refusals := #{denied := 3}, handshakes := #{accept := #{up := 1, failed := #{tcp := 3}}}} = stats(Victim).

who_is_not_allowed_is_denied(Config) ->
    Victim = victim([{allow, ["127.0.0.1", "127.0.1.0/24"]}, {deny, ["127.0.1.7"]}, {log_interval, 0}], Config),
    [{Source, Reason} = {Source, reason(Victim, Source)}
     || {Source, Reason} <- [{{127, 0, 0, 2}, denied}, {{127, 0, 1, 7}, denied}, {{127, 0, 1, 8}, not_tls},
                             {{127, 0, 0, 1}, not_tls}]],
    joins(Victim, Config).

reason(Victim, Source) ->
    {Socket, Local} = connect(Victim, Source),
    _ = gen_tcp:send(Socket, ?GARBAGE),
    _ = merlon_attacker:last_words(Socket),
    Nth = case get({port, maps:get(node, Victim), Local}) of
              undefined -> 1;
              Before -> Before + 1
          end,
    _ = put({port, maps:get(node, Victim), Local}, Nth),
    #{reason := Reason} = merlon_attacker:refusal(Victim, Local, Nth),
    Reason.

a_changed_list_counts_at_once(Config) ->
    #{pid := Pid, dir := Dir} = Victim = victim([{log_interval, 0}], Config),
    not_tls = reason(Victim, {127, 0, 0, 2}),
    settings(Dir, [{deny, ["127.0.0.2"]}, {log_interval, 0}]),
    {ok, reloaded} = merlon_peers:call(Pid, merlon, reload, []),
    denied = reason(Victim, {127, 0, 0, 2}).

%% ---- rates ----

a_source_that_floods_is_throttled_and_others_are_not(Config) ->
    Victim = victim([{unlimited, []}, {source_burst, 5}, {source_rate, 1}, {log_interval, 0}], Config),
    Sockets = [connect(Victim, {127, 0, 0, 2}) || _ <- lists:seq(1, 20)],
    merlon_peers:wait(fun() -> length(refusals(Victim)) >= 14 end),
    [throttled] = lists:usort([Reason || #{reason := Reason} <- refusals(Victim)]),
    #{pending := Held} = stats(Victim),
    true = Held >= 5 andalso Held =< 6,
    joins(Victim, Config),
    [gen_tcp:close(Socket) || {Socket, _} <- Sockets],
    ok.

%% The node comes from the very address that has failed, and keeps trying as nodes do.
a_source_that_fails_gets_in_again_within_seconds(Config) ->
    Victim = victim([{unlimited, []}, {log_interval, 0}], Config),
    [not_tls = reason(Victim, {127, 0, 0, 1}) || _ <- [1, 2, 3]],
    joins(Victim, Config),
    fail_until_paused(Victim),
    Began = erlang:monotonic_time(millisecond),
    true = try_to_join(Victim, Config, 100),
    Took = erlang:monotonic_time(millisecond) - Began,
    ct:log("got in after ~b ms", [Took]),
    {true, Took} = {Took < 6000, Took},
    %% A proof forgives.
    [not_tls = reason(Victim, {127, 0, 0, 1}) || _ <- [1, 2, 3]],
    joins(Victim, Config).

%% Garbage, each time that the source may come, until its pause is the longest.
fail_until_paused(Victim) ->
    Rejected = [reason(Victim, {127, 0, 0, 1}) || _ <- lists:seq(1, 60), ok =:= timer:sleep(100)],
    true = lists:member(backing_off, Rejected),
    Failures = length([not_tls || not_tls <- Rejected]),
    ct:log("~b failures were served in 6 s, ~b closed at once", [Failures, 60 - Failures]),
    true = Failures =< 12.

try_to_join(_Victim, _Config, 0) -> false;
try_to_join(Victim, Config, Tries) ->
    try joins(Victim, Config), true
    catch _:_ -> timer:sleep(200), try_to_join(Victim, Config, Tries - 1)
    end.

a_source_that_proves_itself_is_never_throttled(Config) ->
    Victim = victim([{unlimited, []}, {source_burst, 2}, {source_rate, 1}], Config),
    [joins(Victim, Config) || _ <- lists:seq(1, 15)],
    [] = refusals(Victim).

hanging_up_costs_no_pause(Config) ->
    Victim = victim([{unlimited, []}, {log_interval, 0}], Config),
    [begin {Socket, _} = connect(Victim, {127, 0, 0, 1}), gen_tcp:close(Socket) end || _ <- lists:seq(1, 20)],
    merlon_peers:wait(fun() -> length(refusals(Victim)) =:= 20 end),
    joins(Victim, Config).

loopback_is_not_limited_by_default(Config) ->
    Victim = victim([{source_burst, 1}, {log_interval, 0}], Config),
    [not_tls = reason(Victim, {127, 0, 0, 1}) || _ <- lists:seq(1, 20)],
    joins(Victim, Config).

%% ---- where ----

a_node_with_a_loopback_name_listens_on_loopback_only(Config) ->
    [{{127, 0, 0, 1}, _}] = listens(victim([], Config)),
    merlon_attacker:stop(erase(victim)),
    %% Unless it is told otherwise.
    [{{0, 0, 0, 0}, _}] = listens(victim([{listen, ["0.0.0.0"]}], Config)).

a_node_listens_on_several_addresses(Config) ->
    #{pid := Pid, address := {_, Port}} = Victim = victim([{listen, ["127.0.0.1", "127.0.0.9"]}], Config),
    [{{127, 0, 0, 1}, Port}, {{127, 0, 0, 9}, Port}] = lists:sort(listens(Victim)),
    {error, econnrefused} = gen_tcp:connect({127, 0, 0, 8}, Port, []),
    [joins(Victim#{address => {Ip, Port}}, Config) || Ip <- [{127, 0, 0, 1}, {127, 0, 0, 9}, {127, 0, 0, 1}]],
    %% An acceptor that dies is replaced on all of them; an end of the distribution closes all.
    [Acceptor] = merlon_peers:call(Pid, merlon_acceptor_SUITE, acceptors, []),
    true = merlon_peers:call(Pid, erlang, exit, [Acceptor, kill]),
    [joins(Victim#{address => {Ip, Port}}, Config) || Ip <- [{127, 0, 0, 9}, {127, 0, 0, 1}]],
    {error, not_allowed} = merlon_peers:call(Pid, net_kernel, stop, []),
    true = merlon_peers:call(Pid, erlang, exit, [merlon_peers:call(Pid, erlang, whereis, [net_kernel]), kill]),
    merlon_peers:wait(fun() -> [{error, econnrefused}, {error, econnrefused}] =:=
                                   [gen_tcp:connect(Ip, Port, []) || Ip <- [{127, 0, 0, 1}, {127, 0, 0, 9}]] end).

a_node_listens_on_an_interface_by_name(Config) ->
    [{{127, 0, 0, 1}, _}] = listens(victim([{listen, ["lo"]}], Config)).

%% Not half of the places: the next port of the range has to be free on all.
a_port_that_is_taken_on_one_address_is_taken(Config) ->
    {ok, Taken} = gen_tcp:listen(0, [{ip, {127, 0, 0, 9}}]),
    {ok, Port} = inet:port(Taken),
    Range = ["-kernel", "inet_dist_listen_min", integer_to_list(Port), "inet_dist_listen_max", integer_to_list(Port + 20)],
    Found = listens(victim([{listen, ["127.0.0.1", "127.0.0.9"]}], Range, Config)),
    [{127, 0, 0, 1}, {127, 0, 0, 9}] = lists:sort([Ip || {Ip, _} <- Found]),
    [Other] = lists:usort([At || {_, At} <- Found]),
    true = Other > Port,
    gen_tcp:close(Taken).

listens(#{pid := Pid}) -> merlon_peers:call(Pid, ?MODULE, places, []).

%% net_kernel's own.
places() ->
    [Listeners] = [element(2, Listen) || List <- tuple_to_list(sys:get_state(net_kernel)),
                                         is_list(List), Listen <- List, is_tuple(Listen),
                                         element(1, Listen) =:= listen],
    [begin {ok, Address} = merlon_nif:sockname(Listener), Address end || Listener <- Listeners].

%% ---- the log ----

repeated_lines_are_counted_and_summed_up(Config) ->
    Victim = victim([{log_interval, 2}], Config),
    [garbage(Victim, {127, 0, 0, Source}) || _ <- lists:seq(1, 40), Source <- [2, 3]],
    merlon_peers:wait(fun() -> [40, 40] =:= [said(Source, Victim) || Source <- [2, 3]] end),
    Lines = length(refusals(Victim)),
    ct:log("80 refusals of 2 sources in ~b lines", [Lines]),
    true = Lines =< 8,
    #{refusals := #{not_tls := 80}} = stats(Victim),
    %% After an interval of silence it is news again.
    timer:sleep(4500),
    Before = refusals(Victim),
    garbage(Victim, {127, 0, 0, 2}),
    merlon_peers:wait(fun() -> length(refusals(Victim) -- Before) =:= 1 end, 1000),
    [#{peer := {{127, 0, 0, 2}, _}}] = refusals(Victim) -- Before.

%% How many refusals of that source the log speaks of.
said(Last, Victim) ->
    Ip = {127, 0, 0, Last},
    lists:sum([maps:get(repeated, Report, 1) || #{peer := Peer} = Report <- refusals(Victim),
                                                Peer =:= Ip orelse element(1, Peer) =:= Ip]).

a_new_kind_is_said_in_the_middle_of_a_flood(Config) ->
    Victim = victim([{log_interval, 3600}], Config),
    [garbage(Victim, {127, 0, 0, Source}) || _ <- lists:seq(1, 5), Source <- lists:seq(2, 20)],
    merlon_peers:wait(fun() -> length(refusals(Victim)) =:= 19 end),
    {Socket, Local} = connect(Victim, {127, 0, 0, 2}),
    ok = gen_tcp:send(Socket, <<0, 26, $N, 0:64, 1:32, 9:16, "a@1.1.1.1">>),
    #{reason := plaintext_dist} = merlon_attacker:refusal(Victim, Local),
    20 = length(refusals(Victim)).

more_sources_than_rows_share_a_line(Config) ->
    #{pid := Pid} = victim([{log_interval, 3600}], Config),
    Said = merlon_peers:call(Pid, ?MODULE, note_many, [{refused, {accept, tls, not_tls}}]),
    257 = Said,
    %% Another kind, from anywhere, is said all the same, once.
    1 = merlon_peers:call(Pid, ?MODULE, note_many, [{refused, {accept, tls, expired}}]),
    258 = merlon_peers:call(Pid, ets, info, [merlon_repeats, size]).

note_many(Kind) ->
    Report = #{event => refused, side => accept, phase => tls, reason => x, peer => unknown},
    length([say || N <- lists:seq(1, 5000), say <- [merlon_repeats:note(Kind, N, error, Report)]]).

%% ---- all at once ----

-define(SOURCES, 50).
-define(PER_MINUTE, 10000).
%% A little more is opened, so that a busy machine gets so far. MERLON_FLOOD_SECONDS=60 makes it the whole minute.
-define(OPENED_PER_MINUTE, 10500).
-define(JOINS, 25).
%% `log_interval`, by default.
-define(LOG_INTERVAL, 60).

%% Half of them silent, half of them talking nonsense; with the limits for loopback as for all others, and without.
ten_thousand_strangers_a_minute_hold_up_nobody(Config) ->
    [withstands(Title, Settings, Config, 3) || {Title, Settings} <- [{"limits", [{unlimited, []}]}, {"no limits", []}]],
    ok.

%% Other programs use this machine too: three tries.
withstands(Title, Settings, Config, Tries) ->
    Begin = erlang:monotonic_time(second),
    #{pid := Pid} = Victim = victim(Settings, Config),
    [joins(Victim, Config) || _ <- lists:seq(1, 5)],
    AtRest = [joins(Victim, Config) || _ <- lists:seq(1, ?JOINS)],
    Idle = median(AtRest),
    ok = merlon_peers:call(Pid, merlon_log_sink, only_count, []),
    Before = memory(Pid),
    Start = erlang:monotonic_time(millisecond),
    Flood = spawn_link(fun() -> flood(Victim, Start, 0, []) end),
    timer:sleep(5000),
    Warm = memory(Pid),
    Times = joins_for(seconds() * 1000 - 5000, Victim, Config),
    Flooded = median(Times),
    After = memory(Pid),
    Flood ! {stop, self()},
    Opened = receive {opened, N} -> N after 5000 -> error(timeout) end,
    Rate = Opened * 60000 div (erlang:monotonic_time(millisecond) - Start),
    {Memory, Rss} = {maps:get(total, After) - maps:get(total, Warm), maps:get(rss, After) - maps:get(rss, Warm)},
    Lines = lists:sum(maps:values(maps:without([link_up, link_failed, link_down], merlon_peers:call(Pid, merlon_log_sink, counts, [])))),
    Sums = (erlang:monotonic_time(second) - Begin) div ?LOG_INTERVAL,
    #{refusals := Refusals, evicted := Evicted} = stats(Victim),
    ct:pal("~s: ~b connections of ~b sources (~b a minute), refused ~0p, evicted ~b, in ~b log lines~n"
           "a join in ms: at rest ~s, meanwhile ~s~nmemory in KB (VM, process): before ~s, after 5 s ~s, at the end ~s",
           [Title, Opened, ?SOURCES, Rate, Refusals, Evicted, Lines, spread(AtRest), spread(Times)
            | [kilobytes(Each) || Each <- [Before, Warm, After]]]),
    merlon_attacker:stop(erase(victim)),
    %% Each kind from each source is said once, and summed up once in each interval; however many come and however long.
    {true, Lines} = {Lines =< ?SOURCES * map_size(Refusals) * (1 + Sums), Lines},
    {true, Memory} = {Memory < 2 bsl 20, Memory},
    {true, Rss} = {Rss < 16 bsl 20, Rss},
    case Flooded < 2 * Idle andalso Rate >= ?PER_MINUTE of
        true -> ok;
        false when Tries > 1 -> withstands(Title, Settings, Config, Tries - 1)
    end.

seconds() -> list_to_integer(os:getenv("MERLON_FLOOD_SECONDS", "10")).

spread(Times) ->
    Sorted = lists:sort(Times),
    At = fun(Share) -> lists:nth(max(1, round(length(Sorted) * Share)), Sorted) / 1000 end,
    io_lib:format("~.1f (p50), ~.1f (p90), ~.1f (longest of ~b)", [At(0.5), At(0.9), At(1.0), length(Sorted)]).

kilobytes(#{total := Total, rss := Rss}) -> io_lib:format("~b, ~b", [Total div 1024, Rss div 1024]).

joins_for(Time, Victim, Config) ->
    End = erlang:monotonic_time(millisecond) + Time,
    joins_until(End, Victim, Config, []).

joins_until(End, Victim, Config, Times) ->
    case erlang:monotonic_time(millisecond) > End andalso length(Times) >= ?JOINS of
        true -> Times;
        false -> joins_until(End, Victim, Config, [joins(Victim, Config) | Times])
    end.

%% Evenly over time. Sockets are kept until the victim has closed them, and a minute's worth at most.
flood(Victim, Start, Count, Open) ->
    receive
        {stop, From} ->
            [gen_tcp:close(Socket) || Socket <- Open],
            From ! {opened, Count}
    after max(0, Start + Count * 60000 div ?OPENED_PER_MINUTE - erlang:monotonic_time(millisecond)) ->
            Source = {127, 0, 0, 2 + Count rem ?SOURCES},
            {Socket, _} = connect(Victim, Source),
            _ = Count div ?SOURCES rem 2 =:= 0 andalso gen_tcp:send(Socket, ?GARBAGE),
            {Keep, Drop} = lists:split(min(1000, length(Open)), Open),
            [gen_tcp:close(Each) || Each <- Drop],
            flood(Victim, Start, Count + 1, [Socket | Keep])
    end.

median(Values) -> lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

memory(Pid) ->
    ok = merlon_peers:call(Pid, merlon_work, collect, []),
    {ok, Text} = file:read_file("/proc/" ++ merlon_peers:os_pid(Pid) ++ "/status"),
    {match, [Kb]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    #{total => merlon_peers:call(Pid, erlang, memory, [total]), rss => list_to_integer(Kb) * 1024}.

%% ---- helpers ----

victim(Settings, Config) -> victim(Settings, [], Config).

victim(Settings, Args, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    settings(Dir, Settings),
    Victim = merlon_attacker:victim("victim", Dir, [], Args),
    put(victim, Victim),
    Victim.

settings(Dir, Settings) ->
    ok = file:write_file(filename:join(Dir, "merlon.config"),
                         [io_lib:format("~p.~n", [Setting]) || Setting <- [{cluster, "attacked"} | Settings]]).

stats(#{pid := Pid}) -> merlon_peers:call(Pid, merlon, stats, []).

connect(#{address := {Ip, Port}}, Source) ->
    {ok, Socket} = gen_tcp:connect(Ip, Port, [binary, {active, false}, {ip, Source}]),
    {ok, Local} = inet:sockname(Socket),
    {Socket, Local}.

garbage(Victim, Source) ->
    {Socket, _} = connect(Victim, Source),
    _ = gen_tcp:send(Socket, ?GARBAGE),
    _ = merlon_attacker:last_words(Socket),
    gen_tcp:close(Socket).

%% An honest node comes up to a link, in so many microseconds, and goes again.
joins(#{node := Node, dir := Dir, pid := Pid} = Victim, Config) ->
    Joiner = joiner(Dir, Config),
    Identity = merlon_attacker:identity(Dir, Joiner),
    Own = atom_to_binary(Joiner),
    Began = erlang:monotonic_time(microsecond),
    {established, Conn, _} = merlon_attacker:dial(Victim, Identity, Own, atom_to_binary(Node), ?COOKIE),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    {ok, <<$a, _:16/binary>>} = merlon_attacker:shake(Conn, Own, Cookie),
    Took = erlang:monotonic_time(microsecond) - Began,
    Linked = fun() -> [Joiner] =:= merlon_peers:call(Pid, erlang, nodes, [connected]) end,
    merlon_peers:wait(Linked),
    ok = merlon_nif:close(Conn),
    merlon_peers:wait(fun() -> [] =:= merlon_peers:call(Pid, merlon, connections, [])
                                   andalso not Linked() end),
    Took.

%% One for each dir.
joiner(Dir, _Config) ->
    case filelib:wildcard(filename:join([Dir, "nodes", "joiner_*"])) of
        [Folder] -> list_to_atom(filename:basename(Folder));
        [] ->
            Joiner = merlon_peers:node(merlon_peers:name("joiner")),
            ok = merlon_peers:add_node(Dir, Joiner),
            Joiner
    end.
