%% SPDX-License-Identifier: Apache-2.0
%% Plain TCP nodes beside merlon (`interop`): what is let in, what is not, and that it is told.
-module(merlon_plain_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_plain_node_links_both_ways_and_is_told_apart/1, payloads_of_all_sizes_cross_a_plain_link/1,
         an_idle_plain_link_lives_by_its_ticks/1, a_peer_that_is_reset_is_gone/1, without_the_setting_nobody_is_let_in/1,
         from_an_address_that_is_not_allowed_it_is_refused/1, after_the_last_day_it_is_refused_and_not_dialled/1,
         a_changed_setting_counts_at_once/1, a_node_that_has_linked_over_tls_gets_no_plain_link/1,
         what_can_not_be_read_counts_as_linked_over_tls/1, a_node_that_is_not_listed_is_not_dialled_plain/1,
         nodes_that_both_have_merlon_link_over_it/1, a_wrong_cookie_is_refused/1,
         garbage_is_refused_and_costs_no_memory/1, a_slow_first_byte_is_cut_off/1,
         plain_handshakes_hold_places_and_give_way/1, another_name_than_the_first_is_refused/1,
         without_a_cookie_nobody_is_let_in_and_nobody_dialled/1, what_could_not_be_kept_is_kept_at_the_next_link/1,
         a_setting_that_can_not_be_read_changes_nothing/1]).
-export([echo/2]).

-define(COOKIE, "merlontest").
-define(HERE, "127.0.0.1").
-define(LAST_DAY, {9999, 12, 31}).

all() ->
    [a_plain_node_links_both_ways_and_is_told_apart, payloads_of_all_sizes_cross_a_plain_link,
     an_idle_plain_link_lives_by_its_ticks, a_peer_that_is_reset_is_gone, without_the_setting_nobody_is_let_in,
     from_an_address_that_is_not_allowed_it_is_refused, after_the_last_day_it_is_refused_and_not_dialled,
     a_changed_setting_counts_at_once, a_node_that_has_linked_over_tls_gets_no_plain_link,
     what_can_not_be_read_counts_as_linked_over_tls, a_node_that_is_not_listed_is_not_dialled_plain,
     nodes_that_both_have_merlon_link_over_it, a_wrong_cookie_is_refused,
     garbage_is_refused_and_costs_no_memory, a_slow_first_byte_is_cut_off,
     plain_handshakes_hold_places_and_give_way, another_name_than_the_first_is_refused,
     without_a_cookie_nobody_is_let_in_and_nobody_dialled, what_could_not_be_kept_is_kept_at_the_next_link,
     a_setting_that_can_not_be_read_changes_nothing].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Config.

end_per_suite(_Config) -> ok.

end_per_testcase(_Case, _Config) ->
    [merlon_peers:stop(Pid) || {{peer, Pid}, _} <- get()],
    [erase(Key) || {{peer, _} = Key, _} <- get()],
    ok.

%% ---- what is let in ----

a_plain_node_links_both_ways_and_is_told_apart(Config) ->
    Name = merlon_peers:name("old"),
    Old = merlon_peers:node(Name),
    #{pid := Pid, node := Node} = Victim = victim([interop([{nodes, [Old]}])], Config),
    {Peer, Old} = plain(Name, []),
    true = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    #{direction := accept, carrier := plain, peer := {{127, 0, 0, 1}, _}, bytes_in := In} = Link = link_of(Pid, Old),
    true = In > 0,
    [] = maps:keys(maps:with([identity, fingerprint, cipher_suite, not_after], Link)),
    told(Pid, Old),
    true = merlon_peers:call(Pid, erlang, disconnect_node, [Old]),
    merlon_peers:wait(fun() -> merlon_peers:call(Peer, erlang, nodes, []) =:= [] end),
    true = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    #{direction := dial, carrier := plain} = link_of(Pid, Old),
    told(Pid, Old),
    2 = length([Up || #{event := link_up, level := warning, carrier := plain, text := _} = Up <- merlon_peers:log(Pid)]),
    [] = merlon_attacker:refusals(Victim),
    #{links := 1, handshakes := #{accept := #{up := 1}, dial := #{up := 1}}} = merlon_peers:call(Pid, merlon, stats, []),
    Metrics = merlon_prometheus:parse(merlon_peers:call(Pid, merlon, metrics, [])),
    #{samples := Samples} = maps:get(<<"merlon_carrier_links">>, Metrics),
    1 = maps:get(#{<<"carrier">> => <<"plain">>}, Samples).

%% Nobody may believe that such a link is encrypted.
told(Pid, Old) ->
    false = merlon_peers:call(Pid, merlon, is_encrypted, [Old]),
    #{verdict := linked, text := Text} = merlon_peers:call(Pid, merlon, explain, [Old]),
    {match, _} = re:run(Text, "not encrypted"),
    {ok, Info} = merlon_peers:call(Pid, net_kernel, node_info, [Old]),
    tcp = element(4, proplists:get_value(address, Info)).

payloads_of_all_sizes_cross_a_plain_link(Config) ->
    {Old, Peer, #{node := Node, pid := Pid}} = linked([], Config),
    Sizes = [0, 1, 100, 1000, 65535, 65536, 65537, 1 bsl 20, 20 bsl 20],
    [] = merlon_peers:call(Peer, ?MODULE, echo, [Node, Sizes], 120000),
    [] = merlon_peers:call(Pid, ?MODULE, echo, [Old, Sizes], 120000).

%% The sizes that did not come back as they went.
echo(Node, Sizes) ->
    Binaries = [binary:copy(<<Size:32>>, (Size + 3) div 4) || Size <- Sizes],
    Parents = [spawn_monitor(fun() -> exit({same, Bin =:= erpc:call(Node, erlang, hd, [[Bin]], 60000)}) end)
               || Bin <- Binaries],
    Same = [receive {'DOWN', Ref, process, Pid, Reason} -> Reason end || {Pid, Ref} <- Parents],
    [Failed || {_, Reason} = Failed <- lists:zip(Sizes, Same), Reason =/= {same, true}].

an_idle_plain_link_lives_by_its_ticks(Config) ->
    Ticks = ["-kernel", "net_ticktime", "4"],
    {Old, Peer, #{node := Node, pid := Pid}} = linked(Ticks, Config),
    timer:sleep(9000),
    #{carrier := plain} = link_of(Pid, Old),
    [Node] = merlon_peers:call(Peer, erlang, nodes, [connected]),
    Os = merlon_peers:os_pid(Peer),
    _ = os:cmd("kill -STOP " ++ Os),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, [connected]) =:= [] end, 12000),
    _ = os:cmd("kill -CONT " ++ Os),
    [net_tick_timeout] = [Reason || #{event := link_down, reason := Reason} <- merlon_peers:log(Pid)].

%% A VM that ends with something unread sends no end of the stream, but a reset.
a_peer_that_is_reset_is_gone(Config) ->
    {Old, Peer, #{node := Node, pid := Pid}} = linked([], Config),
    [] = merlon_peers:call(Peer, ?MODULE, echo, [Node, [1000]], 120000),
    Os = merlon_peers:os_pid(Peer),
    _ = os:cmd("kill -STOP " ++ Os),
    [_ = merlon_peers:call(Pid, erlang, send, [{nobody, Old}, binary:copy(<<1>>, 1000)]) || _ <- lists:seq(1, 10)],
    timer:sleep(200),
    _ = os:cmd("kill -KILL " ++ Os),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, [connected]) =:= [] end, 5000),
    [] = merlon_peers:call(Pid, merlon, connections, []),
    #{frames_in := Frames} = merlon_peers:call(Pid, merlon, stats, []),
    {true, Frames} = {Frames < 1000, Frames}.

%% ---- what is not ----

without_the_setting_nobody_is_let_in(Config) ->
    Victim = victim([], Config),
    refused(plaintext_dist, Victim).

from_an_address_that_is_not_allowed_it_is_refused(Config) ->
    Victim = victim([interop([{allow, "127.0.0.2"}])], Config),
    refused(plain_denied, Victim),
    not_stopped(Victim, Config).

after_the_last_day_it_is_refused_and_not_dialled(Config) ->
    Name = merlon_peers:name("old"),
    Old = merlon_peers:node(Name),
    {Yesterday, _} = calendar:system_time_to_universal_time(erlang:system_time(second) - 86400, second),
    #{pid := Pid} = Victim = victim([interop([{until, Yesterday}, {nodes, [Old]}]), {handshake_timeout, 3000}], Config),
    {Peer, Old} = plain(Name, []),
    refused(plain_over, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := timeout, phase := tls}] = [Each || #{side := dial} = Each <- merlon_attacker:refusals(Victim)],
    not_stopped(Victim, Config).

a_changed_setting_counts_at_once(Config) ->
    #{pid := Pid, dir := Dir} = Victim = victim([interop([])], Config),
    {Peer, _} = plain(merlon_peers:name("old"), []),
    true = connects(Victim, Peer),
    true = merlon_peers:call(Pid, erlang, disconnect_node, [hd(merlon_peers:call(Pid, erlang, nodes, [connected]))]),
    settings(Dir, [interop([{allow, "127.0.0.2"}])]),
    {ok, reloaded} = merlon_peers:call(Pid, merlon, reload, []),
    refused(plain_denied, Victim, Peer).

%% Not while the node runs, not after a restart, whoever dials.
a_node_that_has_linked_over_tls_gets_no_plain_link(Config) ->
    Name = merlon_peers:name("moved"),
    Moved = merlon_peers:node(Name),
    #{node := Node, dir := Dir, pid := Pid} = Victim =
        victim([interop([{nodes, [Moved]}]), {handshake_timeout, 3000}], Config),
    ok = merlon_peers:add_node(Dir, Moved),
    {ok, First, Moved} = merlon_peers:start(Name, merlon_peers:args(Dir)),
    true = merlon_peers:call(First, net_kernel, connect_node, [Node]),
    #{carrier := merlon} = link_of(Pid, Moved),
    merlon_peers:stop(First),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, [connected]) =:= [] end),
    {Peer, Moved} = plain(Name, []),
    #{claimed := Claimed} = refused(downgrade, Victim, Peer),
    Moved = binary_to_atom(Claimed),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Moved]),
    {ok, Kept} = file:read_file(filename:join(Dir, "linked-nodes")),
    true = lists:member(atom_to_binary(Moved), binary:split(Kept, <<"\n">>, [global])),
    merlon_peers:stop(Pid),
    Again = restarted(Victim),
    refused(downgrade, Again, Peer),
    false = merlon_peers:call(maps:get(pid, Again), net_kernel, connect_node, [Moved]),
    %% And only that node.
    {Other, _} = plain(merlon_peers:name("old"), []),
    true = connects(Again, Other).

what_can_not_be_read_counts_as_linked_over_tls(Config) ->
    #{dir := Dir} = Victim = victim([interop([])], Config),
    ok = file:make_dir(filename:join(Dir, "linked-nodes")),
    refused(downgrade, Victim).

a_node_that_is_not_listed_is_not_dialled_plain(Config) ->
    #{pid := Pid} = Victim = victim([interop([{nodes, ["another@127.0.0.1"]}]), {handshake_timeout, 3000}], Config),
    {Peer, Old} = plain(merlon_peers:name("old"), []),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [#{reason := timeout, phase := tls, side := dial}] = merlon_attacker:refusals(Victim),
    true = connects(Victim, Peer).

nodes_that_both_have_merlon_link_over_it(Config) ->
    Name = merlon_peers:name("other"),
    Other = merlon_peers:node(Name),
    #{pid := Pid, dir := Dir} = victim([interop([{nodes, [Other]}])], Config),
    ok = merlon_peers:add_node(Dir, Other),
    {Peer, Other} = started(Name, merlon_peers:args(Dir)),
    true = merlon_peers:call(Pid, net_kernel, connect_node, [Other]),
    [#{carrier := merlon}] = [link_of(Pid, Other)],
    [#{carrier := merlon}] = merlon_peers:call(Peer, merlon, connections, []),
    %% However fast it answers: on a busy machine all of TLS is over in the call that sends the ClientHello.
    Busy = [spawn_link(fun Spin() -> _ = lists:seq(1, 10000), Spin() end) || _ <- lists:seq(1, 3)],
    [begin
         true = merlon_peers:call(Pid, erlang, disconnect_node, [Other]),
         merlon_peers:wait(fun() -> merlon_peers:call(Peer, erlang, nodes, [connected]) =:= [] end),
         true = merlon_peers:call(Pid, ets, delete_all_objects, [merlon_linked]),
         ok = file:write_file(filename:join(Dir, "linked-nodes"), ""),
         {true, Round} = {merlon_peers:call(Pid, net_kernel, connect_node, [Other]), Round},
         merlon_peers:wait(fun() -> merlon_peers:call(Pid, ets, tab2list, [merlon_linked]) =/= [] end)
     end || Round <- lists:seq(1, 15)],
    [begin unlink(Each), exit(Each, kill) end || Each <- Busy].

a_wrong_cookie_is_refused(Config) ->
    #{pid := Pid, node := Node} = Victim = victim([interop([])], Config),
    {Peer, _} = plain(merlon_peers:name("old"), ["-setcookie", "another"]),
    false = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    merlon_peers:wait(fun() -> merlon_attacker:refusals(Victim) =/= [] end),
    [#{phase := dist, side := accept}] = merlon_attacker:refusals(Victim),
    [] = merlon_peers:call(Pid, merlon, connections, []).

%% ---- before authentication ----

garbage_is_refused_and_costs_no_memory(Config) ->
    Victim = victim([interop([])], Config),
    [begin
         {Socket, Local} = merlon_attacker:tcp(Victim),
         ok = gen_tcp:send(Socket, Bytes),
         _ = merlon_attacker:last_words(Socket),
         #{reason := Reason} = merlon_attacker:refusal(Victim, Local)
     end || {Bytes, Reason} <- [{<<0, 5, "hello">>, malformed}, {<<0, 0>>, malformed}, {<<0, 1, $N>>, malformed},
                                {<<0, 15, $N, 0:64, 0:32, 9:16>>, malformed}, {<<0, 15, $N, 0:64, 0:32, 0:16>>, malformed},
                                {<<0, 20, $n, 5:16, 0:32, "old@127.0.0.1">>, malformed},
                                {<<$N, 200, "GET / HTTP/1.1">>, not_tls}, {<<255, 255, 0, 0, 0>>, not_tls}]],
    %% The longest packet that is waited for.
    {Socket, Local} = merlon_attacker:tcp(Victim),
    ok = gen_tcp:send(Socket, [<<3, 255>>, binary:copy(<<0>>, 1023)]),
    _ = merlon_attacker:last_words(Socket),
    #{reason := malformed} = merlon_attacker:refusal(Victim, Local),
    not_stopped(Victim, Config).

a_slow_first_byte_is_cut_off(Config) ->
    Victim = victim([interop([]), {handshake_timeout, 1000}], Config),
    [begin
         {Socket, Local} = merlon_attacker:tcp(Victim),
         ok = gen_tcp:send(Socket, Bytes),
         Began = erlang:monotonic_time(millisecond),
         _ = merlon_attacker:last_words(Socket),
         Took = erlang:monotonic_time(millisecond) - Began,
         #{reason := timeout} = merlon_attacker:refusal(Victim, Local),
         {true, Took} = {Took >= 800 andalso Took < 3000, Took}
     end || Bytes <- [<<>>, <<0>>, <<0, 30>>, <<22>>, <<22, 3, 1, 0, 200, 1>>]],
    #{pending := 0} = merlon_peers:call(maps:get(pid, Victim), merlon, stats, []).

%% Who has given a name and nothing else is as unproven as one in the middle of TLS.
plain_handshakes_hold_places_and_give_way(Config) ->
    #{pid := Pid} = Victim = victim([interop([]), {max_handshakes, 3}], Config),
    Sockets = [begin
                   {Socket, _} = merlon_attacker:tcp(Victim),
                   ok = gen_tcp:send(Socket, hello("stranger" ++ integer_to_list(N) ++ "@127.0.0.1")),
                   {ok, <<0, 3, "sok", _/binary>>} = gen_tcp:recv(Socket, 0, 5000),
                   Socket
               end || N <- lists:seq(1, 5)],
    #{pending := 3, evicted := 2} = merlon_peers:call(Pid, merlon, stats, []),
    [closed, closed] = [last(Socket) || Socket <- lists:sublist(Sockets, 2)],
    {Peer, _} = plain(merlon_peers:name("old"), []),
    true = connects(Victim, Peer),
    merlon_peers:wait(fun() -> [plain] =:= [Carrier || #{carrier := Carrier} <- merlon_peers:call(Pid, merlon, connections, [])] end),
    merlon_peers:wait(fun() -> maps:get(pending, merlon_peers:call(Pid, merlon, stats, [])) =< 2 end).

last(Socket) ->
    case gen_tcp:recv(Socket, 0, 3000) of
        {ok, _} -> last(Socket);
        {error, Reason} -> Reason
    end.

another_name_than_the_first_is_refused(Config) ->
    Victim = victim([interop([])], Config),
    {Socket, Local} = merlon_attacker:tcp(Victim),
    ok = gen_tcp:send(Socket, hello("one@127.0.0.1")),
    {ok, <<0, 3, "sok", _/binary>>} = gen_tcp:recv(Socket, 0, 5000),
    ok = gen_tcp:send(Socket, hello("two@127.0.0.1")),
    #{reason := wrong_name, claimed := <<"one@127.0.0.1">>} = merlon_attacker:refusal(Victim, Local).

%% `nocookie` is what a node has that was given none (a keyring counts in its place): everybody knows it.
without_a_cookie_nobody_is_let_in_and_nobody_dialled(Config) ->
    Name = merlon_peers:name("old"),
    Old = merlon_peers:node(Name),
    #{pid := Pid} = Victim = victim([interop([{nodes, [Old]}])], Config),
    true = merlon_peers:call(Pid, erlang, set_cookie, [nocookie]),
    {Peer, Old} = plain(Name, []),
    true = merlon_peers:call(Peer, erlang, set_cookie, [nocookie]),
    refused(no_cookie, Victim, Peer),
    false = merlon_peers:call(Pid, net_kernel, connect_node, [Old]),
    [no_cookie] = [Reason || #{side := dial, reason := Reason} <- merlon_attacker:refusals(Victim)].

%% A full disk, or what else keeps a line from being written.
what_could_not_be_kept_is_kept_at_the_next_link(Config) ->
    #{node := Node, dir := Dir, pid := Pid} = victim([interop([])], Config),
    File = filename:join(Dir, "linked-nodes"),
    ok = file:make_dir(File),
    Name = merlon_peers:name("moved"),
    Moved = merlon_peers:node(Name),
    ok = merlon_peers:add_node(Dir, Moved),
    {Peer, Moved} = started(Name, merlon_peers:args(Dir)),
    true = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    merlon_peers:wait(fun() -> [] =/= [Each || #{event := not_remembered} = Each <- merlon_peers:log(Pid)] end),
    true = merlon_peers:call(Pid, erlang, disconnect_node, [Moved]),
    merlon_peers:wait(fun() -> merlon_peers:call(Peer, erlang, nodes, [connected]) =:= [] end),
    ok = file:del_dir(File),
    true = merlon_peers:call(Pid, net_kernel, connect_node, [Moved]),
    merlon_peers:wait(fun() ->
                              {ok, Kept} = case file:read_file(File) of {error, enoent} -> {ok, <<>>}; Read -> Read end,
                              lists:member(atom_to_binary(Moved), binary:split(Kept, <<"\n">>, [global]))
                      end).

a_setting_that_can_not_be_read_changes_nothing(Config) ->
    #{pid := Pid, dir := Dir} = Victim = victim([interop([])], Config),
    Reload = merlon_peers:call(Pid, erlang, whereis, [merlon_reload]),
    settings(Dir, [{interop, [inet_tls | plain]}]),
    {error, {config, _}} = merlon_peers:call(Pid, merlon, reload, []),
    Reload = merlon_peers:call(Pid, erlang, whereis, [merlon_reload]),
    {Peer, _} = plain(merlon_peers:name("old"), []),
    true = connects(Victim, Peer).

hello(Name) ->
    {erts_dflags, Flags, _, _, _, _} = erts_internal:get_dflags(),
    Packet = <<$N, Flags:64, 4711:32, (length(Name)):16, (list_to_binary(Name))/binary>>,
    <<(byte_size(Packet)):16, Packet/binary>>.

%% ---- helpers ----

interop(Opts) ->
    Defaults = [{allow, [?HERE]}, {until, ?LAST_DAY}],
    {interop, {plain, Opts ++ [Default || {Key, _} = Default <- Defaults, not lists:keymember(Key, 1, Opts)]}}.

victim(Settings, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    kept(merlon_attacker:victim("victim", Dir, Settings, [])).

restarted(#{node := Node, dir := Dir} = Victim) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    {ok, Pid, Node} = merlon_peers:start(Name, merlon_peers:args(Dir)),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    kept(Victim#{pid => Pid, address => {{127, 0, 0, 1}, Port}}).

kept(#{pid := Pid} = Victim) ->
    put({peer, Pid}, true),
    Victim.

settings(Dir, Settings) ->
    ok = file:write_file(filename:join(Dir, "merlon.config"),
                         [io_lib:format("~p.~n", [Setting]) || Setting <- [{cluster, "attacked"}, {log_interval, 0} | Settings]]).

%% A node over OTP's own carrier.
plain(Name, Args) ->
    started(Name, ["-pa", filename:dirname(code:which(merlon_nif)), "-setcookie", ?COOKIE | Args]).

started(Name, Args) ->
    {ok, Peer, Node} = merlon_peers:start(Name, Args),
    put({peer, Peer}, true),
    {Peer, Node}.

linked(Args, Config) ->
    Victim = #{node := Node} = kept(with_args([interop([])], Args, Config)),
    {Peer, Old} = plain(merlon_peers:name("old"), Args),
    true = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    #{carrier := plain} = link_of(maps:get(pid, Victim), Old),
    {Old, Peer, Victim}.

with_args(Settings, Args, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    merlon_attacker:victim("victim", Dir, Settings, Args).

link_of(Pid, Node) ->
    Links = fun() -> [Link || #{node := At} = Link <- merlon_peers:call(Pid, merlon, connections, []), At =:= Node] end,
    merlon_peers:wait(fun() -> length(Links()) =:= 1 end),
    hd(Links()).

connects(#{node := Node}, Peer) -> merlon_peers:call(Peer, net_kernel, connect_node, [Node]).

%% A plain node gets no link, for this reason.
refused(Reason, Victim) ->
    {Peer, _} = plain(merlon_peers:name("old"), []),
    refused(Reason, Victim, Peer).

refused(Reason, #{pid := Pid} = Victim, Peer) ->
    Before = merlon_attacker:refusals(Victim),
    false = connects(Victim, Peer),
    merlon_peers:wait(fun() -> merlon_attacker:refusals(Victim) =/= Before end),
    [#{reason := Reason, side := accept} = Report] = merlon_attacker:refusals(Victim) -- Before,
    [] = merlon_peers:call(Pid, erlang, nodes, [connected]),
    Report.

%% TLS goes on as ever.
not_stopped(#{node := Node, dir := Dir}, _Config) ->
    Name = merlon_peers:name("good"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    {Good, _} = started(Name, merlon_peers:args(Dir)),
    true = merlon_peers:call(Good, net_kernel, connect_node, [Node]),
    merlon_peers:stop(Good).
