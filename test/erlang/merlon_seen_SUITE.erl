%% SPDX-License-Identifier: Apache-2.0
%% What an operator sees: numbers, links, and why there is none.
-module(merlon_seen_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_link_is_seen_and_counted_at_both_ends/1, nodes_info_keeps_working/1, totals_outlive_their_link/1,
         failed_handshakes_are_counted_by_side_phase_and_reason/1, a_node_has_metrics/1,
         explain_names_what_is_wrong_at_each_step/1, explain_says_what_the_other_side_holds_against_us/1,
         explaining_makes_no_link_and_is_logged_as_what_it_is/1, explaining_disturbs_no_link/1,
         the_peer_that_believes_in_a_link_says_so/1, a_question_is_no_way_around_the_name/1]).

-define(COOKIE, <<"merlontest">>).

all() ->
    [a_link_is_seen_and_counted_at_both_ends, nodes_info_keeps_working, totals_outlive_their_link,
     failed_handshakes_are_counted_by_side_phase_and_reason, a_node_has_metrics,
     explain_names_what_is_wrong_at_each_step, explain_says_what_the_other_side_holds_against_us,
     explaining_makes_no_link_and_is_logged_as_what_it_is, explaining_disturbs_no_link,
     the_peer_that_believes_in_a_link_says_so, a_question_is_no_way_around_the_name].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- numbers ----

a_link_is_seen_and_counted_at_both_ends(Config) ->
    {A, B} = linked(Config),
    [begin
         [#{node := Node, direction := Direction, peer := {{127, 0, 0, 1}, _}, local := {{127, 0, 0, 1}, _},
            identity := {node, <<"carrier-tests">>, _, <<"127.0.0.1">>}, fingerprint := <<_:64/binary>>,
            tls_version := <<"1.3">>, cipher_suite := <<"TLS_", _/binary>>, key_exchange_group := _,
            not_after := End, since := Since, unsent := 0, bytes_in := In, bytes_out := Out}] = merlon_ct:links(Vm),
         true = End > Since andalso In > 0 andalso Out > 0,
         true = encrypted(Vm, Node),
         [false = encrypted(Vm, Other) || Other <- [node_of(Vm), 'nobody@127.0.0.1']],
         #{handshakes := #{Direction := #{up := 1}}, links := 1, bytes_in := AllIn, records_in := Records,
           events := #{link_up := 1, listening := 1}, pending := 0} = stats(Vm),
         true = AllIn >= In andalso Records > 0
     end || {Vm, Node, Direction} <- [{A, node_of(B), dial}, {B, node_of(A), accept}]],
    ok.

nodes_info_keeps_working(Config) ->
    {A, B} = linked(Config),
    {ok, [{Node, Info}]} = merlon_ct:call(A, net_kernel, nodes_info, []),
    Node = node_of(B),
    #{state := up, type := normal, in := In, out := Out, owner := _, address := Address} = maps:from_list(Info),
    {net_address, {{127, 0, 0, 1}, _}, "127.0.0.1", merlon, inet} = Address,
    true = is_integer(In) andalso is_integer(Out) andalso In > 0,
    {ok, Info2} = merlon_ct:call(A, net_kernel, node_info, [Node]),
    true = lists:keymember(address, 1, Info2).

totals_outlive_their_link(Config) ->
    {A, B} = linked(Config),
    #{bytes_in := Before, records_out := Records} = stats(A),
    true = merlon_ct:call(A, erlang, disconnect_node, [node_of(B)]),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
    #{bytes_in := After, records_out := RecordsAfter, links := 0} = stats(A),
    true = After >= Before andalso RecordsAfter >= Records,
    false = encrypted(A, node_of(B)),
    ok = merlon_ct:connect(A, B),
    #{bytes_in := Third, links := 1, handshakes := #{dial := #{up := 2}}} = stats(A),
    true = Third > After.

failed_handshakes_are_counted_by_side_phase_and_reason(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], []),
    C = merlon_ct:start(Config, "c", ["-setcookie", "another"]),
    {port, Port, _} = erl_epmd:port_please(short(A), {127, 0, 0, 1}),
    [begin
         {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
         ok = gen_tcp:send(Socket, <<"GET / HTTP/1.1\r\n\r\n">>),
         _ = merlon_attacker:last_words(Socket)
     end || _ <- lists:seq(1, 3)],
    false = merlon_ct:call(C, net_kernel, connect_node, [node_of(A)]),
    false = merlon_ct:call(B, net_kernel, connect_node, ['nobody@127.0.0.1']),
    merlon_peers:wait(fun() -> maps:get(proof_refused, maps:get(refusals, stats(A)), 0) =:= 1 end),
    #{refusals := #{not_tls := 3, proof_refused := 1},
      handshakes := #{accept := #{up := 0, failed := #{tls := 3, preamble := 1}}}} = stats(A),
    #{refusals := #{wrong_proof := 1}, handshakes := #{dial := #{failed := #{preamble := 1}}}} = stats(C),
    #{refusals := #{no_port := 1}, handshakes := #{dial := #{failed := #{resolve := 1}}},
      events := #{unresolved := 1}} = stats(B).

a_node_has_metrics(Config) ->
    {A, B} = linked(Config),
    Families = merlon_prometheus:parse(merlon_ct:call(A, merlon, metrics, [])),
    Samples = fun(Name) -> maps:get(samples, maps:get(Name, Families)) end,
    Node = #{<<"node">> => atom_to_binary(node_of(B))},
    #{Node := End} = Samples(<<"merlon_peer_certificate_end_timestamp_seconds">>),
    [#{not_after := End}] = merlon_ct:links(A),
    #{#{} := Own} = Samples(<<"merlon_certificate_end_timestamp_seconds">>),
    true = Own > erlang:system_time(second),
    Up = #{<<"side">> => <<"dial">>, <<"outcome">> => <<"up">>, <<"phase">> => <<"dist">>},
    #{Up := 1} = Samples(<<"merlon_handshakes_total">>).

%% ---- explain ----

explain_names_what_is_wrong_at_each_step(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], []),
    Plain = merlon_ct:run(Config, ["-pa", filename:dirname(code:which(merlon))],
                          #{name => merlon_peers:name("plain"), host => "127.0.0.1", longnames => true}),
    {Closed, Epmd1} = impostor(closed_port()),
    {Other, Epmd2} = impostor(port_of(B)),
    %% Anybody on a host may tell its epmd any name, and anybody on the way any answer.
    {_, Epmd3} = {evil, merlon_attacker:impersonate(merlon_peers:name("evil") ++ "\e[2J\a", 4)},
    [begin
         #{verdict := blocked, text := Text, steps := Steps, node := Node} = explain(A, Node),
         {Node, {Step, failed, Text}} = {Node, lists:last(Steps)},
         [ok] = lists:usort([ok | [Result || {_, Result, _} <- lists:droplast(Steps)]]),
         {match, _, _} = {element(1, {re:run(Text, Words, [{capture, none}])}), Text, Words},
         {nomatch, _} = {re:run(Text, "[\\x00-\\x1f]"), Text}
     end || {Node, Step, Words} <-
                [{node_of(A), name, "this node itself"}, {nohost, name, "NAME@HOST"}, {'x@short', name, "full host name"},
                 {'x@no-such-host.invalid', resolve, "no-such-host.invalid can't be resolved"},
                 {'nobody@127.0.0.1', port, "knows no nobody, only .*evil[^ ]*x1b"},
                 {Closed, connect, "connection refused.*nothing listens there"},
                 {node_of(Plain), tls, "start the node there with -proto_dist merlon"},
                 {Other, certificate, "certificate.*issue one for this very name"}]],
    #{verdict := open, steps := Steps, text := Open} = explain(A, node_of(B)),
    [carrier, name, link, resolve, port, connect, tls, certificate, secret, agreement] = [Step || {Step, ok, _} <- Steps],
    {match, _} = re:run(Open, "nothing stands in the way"),
    ok = merlon_ct:connect(A, B),
    #{verdict := linked, text := Linked} = explain(A, node_of(B)),
    {match, _} = re:run(Linked, "encrypted with TLS 1.3, TLS_.*certificate of cluster carrier-tests"),
    #{verdict := blocked, steps := [{carrier, failed, _}]} = explain(Plain, node_of(A)),
    [gen_tcp:close(Socket) || Socket <- [Epmd1, Epmd2, Epmd3]],
    ok.

explain_says_what_the_other_side_holds_against_us(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], []),
    C = merlon_ct:start(Config, "c", ["-setcookie", "another"]),
    Elsewhere = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    D = merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("d")), [], #{dir => Elsewhere}),
    #{verdict := blocked, steps := Steps} = explain(C, node_of(A)),
    {secret, failed, Secret} = lists:last(Steps),
    {match, _} = re:run(Secret, "the same cookie or keyring"),
    %% Each trusts only its own CA.
    #{verdict := blocked, text := Ca, steps := DSteps} = explain(D, node_of(A)),
    {certificate, failed, Ca} = lists:last(DSteps),
    {match, _} = re:run(Ca, "put the CA that issued it into trust/"),
    %% Now D trusts A's, but not the other way round.
    {ok, Pem} = file:read_file(filename:join([merlon_ct:dir(Config), "trust", "ca.pem"])),
    ok = file:write_file(filename:join([Elsewhere, "trust", "theirs.pem"]), Pem),
    {ok, reloaded} = merlon_ct:call(D, merlon, reload, []),
    #{text := Theirs, steps := DSteps2} = explain(D, node_of(A)),
    {certificate, failed, Theirs} = lists:last(DSteps2),
    {match, _} = re:run(Theirs, "put the CA of this node's certificate into trust/ of the peer's"),
    ok = merlon_ct:call(B, net_kernel, allow, [['someone@127.0.0.1']]),
    #{verdict := blocked, steps := ASteps} = explain(A, node_of(B)),
    {agreement, failed, Allow} = lists:last(ASteps),
    {match, _} = re:run(Allow, "the peer's net_kernel:allow/1"),
    #{steps := BSteps} = explain(B, node_of(A)),
    {name, failed, _} = lists:last(BSteps).

explaining_makes_no_link_and_is_logged_as_what_it_is(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], []),
    #{verdict := open} = explain(A, node_of(B)),
    merlon_peers:wait(fun() -> [probed] =:= [Event || #{event := Event} <- log(B), Event =/= listening] end),
    [#{level := info, claimed := Claimed, identity := {node, _, _, _}, fingerprint := _}] =
        [Report || #{event := probed} = Report <- log(B)],
    Claimed = atom_to_binary(node_of(A)),
    [] = [Event || #{event := Event} <- log(A), Event =/= listening],
    [[] = merlon_ct:call(Vm, erlang, nodes, [known]) -- [nonode@nohost, node_of(Vm), node_of(A), node_of(B)] || Vm <- [A, B]],
    [[] = merlon_ct:call(Vm, erlang, nodes, [connected]) || Vm <- [A, B]],
    #{refusals := Refusals, events := #{probed := 1}} = stats(B),
    0 = map_size(Refusals),
    ok = merlon_ct:connect(A, B).

%% From both ends, while the two link and unlink.
explaining_disturbs_no_link(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], ["-connect_all", "false"]),
    Self = self(),
    Askers = [spawn_link(fun() -> ask_until_told(Vm, node_of(Peer), Self, 0) end) || {Vm, Peer} <- [{A, B}, {B, A}]],
    [begin
         true = merlon_ct:call(A, net_kernel, connect_node, [node_of(B)]),
         merlon_peers:wait(fun() -> merlon_ct:call(B, erlang, nodes, []) =:= [node_of(A)] end),
         ok = merlon_ct:unlink(A, B)
     end || _ <- lists:seq(1, 15)],
    [Asker ! stop || Asker <- Askers],
    Asked = [receive {asked, N} -> N after 30000 -> error(timeout) end || _ <- Askers],
    ct:log("~w explanations meanwhile", [Asked]),
    true = lists:min(Asked) > 10,
    ok = merlon_ct:connect(A, B),
    #{since := Since} = merlon_ct:link_of(A, node_of(B)),
    [#{verdict := linked} = explain(A, node_of(B)) || _ <- lists:seq(1, 20)],
    #{since := Since} = merlon_ct:link_of(A, node_of(B)).

ask_until_told(Vm, Node, Parent, Count) ->
    receive stop -> Parent ! {asked, Count}
    after 0 ->
            #{verdict := _} = explain(Vm, Node),
            ask_until_told(Vm, Node, Parent, Count + 1)
    end.

the_peer_that_believes_in_a_link_says_so(Config) ->
    {Victim, Mallory} = victim(Config),
    Conn = dial(Victim, Mallory),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    {ok, <<$a, _:16/binary>>} = merlon_attacker:shake(Conn, atom_to_binary(Mallory), Cookie),
    merlon_peers:wait(fun() -> [Mallory] =:= merlon_peers:call(maps:get(pid, Victim), erlang, nodes, [connected]) end),
    Second = dial(Victim, Mallory),
    {ok, #{linked := true, allowed := true, flags := Flags}} = merlon_probe:ask(Second, in_a_while()),
    0 = merlon_probe:missing(Flags),
    true = merlon_probe:missing(0) > 0,
    [Mallory] = merlon_peers:call(maps:get(pid, Victim), erlang, nodes, [connected]),
    ok = merlon_nif:close(Conn),
    merlon_attacker:stop(Victim).

%% Behind the name packet, or in other words, it is refused like any wrong packet.
a_question_is_no_way_around_the_name(Config) ->
    {#{pid := Pid} = Victim, Mallory} = victim(Config),
    Late = dial(Victim, Mallory),
    merlon_attacker:hello(Late, atom_to_binary(Mallory)),
    {ok, <<"sok">>} = merlon_attacker:until(fun() -> merlon_nif:recv_one(Late) end),
    {ok, <<$N, _/binary>>} = merlon_attacker:until(fun() -> merlon_nif:recv_one(Late) end),
    merlon_attacker:frame(Late, <<$P, 1>>),
    _ = merlon_attacker:gone(Late),
    [begin
         Conn = dial(Victim, Mallory),
         merlon_attacker:frame(Conn, Packet),
         _ = merlon_attacker:gone(Conn)
     end || Packet <- [<<$P>>, <<$P, 2>>, <<$P, 1, 0>>]],
    merlon_peers:wait(fun() -> length(merlon_attacker:refusals(Victim)) =:= 4 end),
    [wrong_name] = lists:usort([Reason || #{reason := Reason} <- merlon_attacker:refusals(Victim)]),
    [] = [probed || #{event := probed} <- merlon_peers:log(Pid)],
    [] = merlon_peers:call(Pid, erlang, nodes, [connected]),
    merlon_attacker:stop(Victim).

%% ---- helpers ----

linked(Config) ->
    [A, B] = merlon_ct:start_all(Config, ["a", "b"], []),
    ok = merlon_ct:connect(A, B),
    {A, B}.

node_of({_, Node, _}) -> Node.
short(Vm) -> hd(string:split(atom_to_list(node_of(Vm)), "@")).
stats(Vm) -> merlon_ct:call(Vm, merlon, stats, []).
encrypted(Vm, Node) -> merlon_ct:call(Vm, merlon, is_encrypted, [Node]).
explain(Vm, Node) -> merlon_ct:call(Vm, merlon, explain, [Node]).
log({Peer, _, _}) -> merlon_peers:log(Peer).
in_a_while() -> erlang:monotonic_time(millisecond) + 5000.

port_of(Vm) ->
    {port, Port, _} = erl_epmd:port_please(short(Vm), {127, 0, 0, 1}),
    Port.

%% A node that epmd knows under a port that is not its own.
impostor(Port) ->
    Name = merlon_peers:name("impostor"),
    {merlon_peers:node(Name), merlon_attacker:impersonate(Name, Port)}.

closed_port() ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    ok = gen_tcp:close(Listener),
    Port.

victim(Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    {merlon_attacker:victim("victim", Dir, [], []), Mallory}.

dial(#{node := Node, dir := Dir} = Victim, Mallory) ->
    {established, Conn, _} = merlon_attacker:dial(Victim, merlon_attacker:identity(Dir, Mallory),
                                                  atom_to_binary(Mallory), atom_to_binary(Node), ?COOKIE),
    Conn.
