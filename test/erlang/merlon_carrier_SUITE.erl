%% SPDX-License-Identifier: Apache-2.0
%% Nodes over -proto_dist merlon do what nodes do: find each other, link, monitor, spawn, go away.
-module(merlon_carrier_SUITE).

-include_lib("common_test/include/ct.hrl").
-include_lib("kernel/include/net_address.hrl").
-include_lib("public_key/include/public_key.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([two_nodes_link_and_both_say_with_whom/1, three_nodes_find_each_other/1,
         simultaneous_connects_end_in_one_link/1, hidden_nodes_stay_hidden/1,
         allow_keeps_others_out/1, options_of_links_are_set_and_read/1,
         the_callbacks_keep_to_the_contract/1, links_monitors_and_spawns_cross/1,
         a_fresh_node_connects_at_once/1, a_silent_host_ends_with_the_setup_time/1,
         a_node_that_is_not_there_is_no_error/1, a_restarted_node_is_found_again/1]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [two_nodes_link_and_both_say_with_whom, three_nodes_find_each_other,
     simultaneous_connects_end_in_one_link, hidden_nodes_stay_hidden,
     allow_keeps_others_out, options_of_links_are_set_and_read,
     the_callbacks_keep_to_the_contract, links_monitors_and_spawns_cross,
     a_fresh_node_connects_at_once, a_silent_host_ends_with_the_setup_time,
     a_node_that_is_not_there_is_no_error, a_restarted_node_is_found_again].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- who is at the other end ----

two_nodes_link_and_both_say_with_whom(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B] = merlon_ct:start_all(Config, ["a", "b"], []),
    Before = erlang:system_time(second),
    pong = merlon_ct:call(A, net_adm, ping, [NodeB]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, hello]),
    [NodeB] = merlon_ct:call(A, erlang, nodes, []),
    [NodeA] = merlon_ct:call(B, erlang, nodes, []),
    Dialled = merlon_ct:the_link(A, NodeB),
    Accepted = merlon_ct:the_link(B, NodeA),
    #{direction := dial, peer := {{127, 0, 0, 1}, Port}} = Dialled,
    #{direction := accept, peer := {{127, 0, 0, 1}, _}} = Accepted,
    {ok, Names} = erl_epmd:names({127, 0, 0, 1}),
    Port = proplists:get_value(hd(string:split(atom_to_list(NodeB), "@")), Names),
    shows(Config, Dialled, NodeB, Before),
    shows(Config, Accepted, NodeA, Before),
    [same(Key, Dialled, Accepted) || Key <- [cipher_suite, key_exchange_group, tls_version]],
    %% What one side has sent the other has got; later frames may be under way.
    true = maps:get(bytes_in, Accepted) >= maps:get(bytes_out, Dialled),
    true = maps:get(frames_in, Accepted) >= maps:get(frames_out, Dialled).

shows(Config, Link, Node, Before) ->
    #{node := Node, identity := Identity, fingerprint := Print, not_after := NotAfter,
      tls_version := <<"1.3">>, cipher_suite := <<"TLS_", _/binary>>, key_exchange_group := Group,
      since := Since} = Link,
    [Name, Host] = binary:split(atom_to_binary(Node), <<"@">>),
    {node, <<"carrier-tests">>, Name, Host} = Identity,
    true = lists:member(Group, [<<"x25519">>, <<"secp256r1">>, <<"secp384r1">>]),
    {ok, Pem} = file:read_file(filename:join([merlon_ct:dir(Config), "nodes", Node, "cert.pem"])),
    [{'Certificate', Der, _} | _] = public_key:pem_decode(Pem),
    Print = string:lowercase(binary:encode_hex(crypto:hash(sha256, Der))),
    {ok, [#{not_after := NotAfter}]} = merlon_nif:pki_inspect(Pem),
    true = Since >= Before andalso Since =< erlang:system_time(second),
    Counters = [frames_in, frames_out, bytes_in, bytes_out, records_in, records_out],
    [] = [Key || Key <- Counters, maps:get(Key, Link) =< 0],
    [0, 0] = [maps:get(Key, Link) || Key <- [key_updates_in, key_updates_out]].

same(Key, One, Other) ->
    true = maps:get(Key, One) =:= maps:get(Key, Other).

three_nodes_find_each_other(Config) ->
    [A, {_, NodeB, _} = B, {_, NodeC, _} = C] = merlon_ct:start_all(Config, ["a", "b", "c"], []),
    ok = merlon_ct:connect(A, B),
    ok = merlon_ct:connect(B, C),
    merlon_peers:wait(fun() -> length(merlon_ct:links(A)) =:= 2 end),
    #{direction := _} = merlon_ct:the_link(A, NodeC),
    [ok = merlon_ct:call(A, merlon_work, echo, [Node, Node]) || Node <- [NodeB, NodeC]],
    ok = merlon_ct:call(A, global, sync, []),
    Pid = merlon_ct:call(C, erlang, whereis, [merlon_work]),
    yes = merlon_ct:call(C, global, register_name, [somebody, Pid]),
    Pid = merlon_ct:call(A, global, whereis_name, [somebody]).

%% dist_util decides which of the two attempts survives; the other leaves nothing behind.
simultaneous_connects_end_in_one_link(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B] = merlon_ct:start_all(Config, ["a", "b"], []),
    ok = merlon_ct:connect(A, B),
    true = disconnect(A, B),
    Before = merlon_ct:resources(A),
    Rounds = [at_once(A, B) || _ <- lists:seq(1, 40)],
    ct:log("pings: ~p", [Rounds]),
    [] = [Round || Round <- Rounds, Round =/= {pong, pong}],
    merlon_peers:wait(fun() -> settled(Before, merlon_ct:resources(A)) end),
    [ok = merlon_ct:alive(Vm) || Vm <- [A, B]],
    {NodeA, NodeB} = {merlon_ct:call(A, erlang, node, []), merlon_ct:call(B, erlang, node, [])}.

at_once({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    Time = erlang:system_time(millisecond) + 30,
    Self = self(),
    Other = spawn_link(fun() ->
                               Self ! {self(), merlon_ct:call(A, merlon_work, ping_at, [NodeB, Time])}
                       end),
    FromB = merlon_ct:call(B, merlon_work, ping_at, [NodeA, Time]),
    FromA = receive {Other, Answer} -> Answer end,
    _ = [merlon_ct:the_link(Vm, Node) || {Vm, Node} <- [{A, NodeB}, {B, NodeA}]],
    [[_], [_]] = [merlon_ct:links(Vm) || Vm <- [A, B]],
    true = disconnect(A, B),
    {FromA, FromB}.

disconnect(A, B) ->
    ok = merlon_ct:unlink(A, B),
    true.

settled(Before, After) ->
    [] =:= [Key || Key <- [processes, ports, fds], maps:get(Key, After) > maps:get(Key, Before)].

hidden_nodes_stay_hidden(Config) ->
    [{_, NodeA, _} = A] = merlon_ct:start_all(Config, ["a"], []),
    [{_, NodeH, _} = H] = merlon_ct:start_all(Config, ["h"], ["-hidden"]),
    pong = merlon_ct:call(H, net_adm, ping, [NodeA]),
    {[], [NodeH]} = {merlon_ct:call(A, erlang, nodes, []), merlon_ct:call(A, erlang, nodes, [hidden])},
    {[], [NodeA]} = {merlon_ct:call(H, erlang, nodes, []), merlon_ct:call(H, erlang, nodes, [hidden])},
    #{identity := {node, _, _, _}} = merlon_ct:the_link(A, NodeH),
    %% A hidden connection of a normal node.
    {_, NodeB, _} = merlon_ct:start(Config, "b"),
    true = merlon_ct:call(A, net_kernel, hidden_connect_node, [NodeB]),
    [] = merlon_ct:call(A, erlang, nodes, []),
    true = lists:member(NodeB, merlon_ct:call(A, erlang, nodes, [hidden])).

allow_keeps_others_out(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B, {_, NodeC, _} = C] =
        merlon_ct:start_all(Config, ["a", "b", "c"], ["-connect_all", "false"]),
    ok = merlon_ct:call(A, net_kernel, allow, [[NodeB]]),
    pong = merlon_ct:call(B, net_adm, ping, [NodeA]),
    pang = merlon_ct:call(C, net_adm, ping, [NodeA]),
    pang = merlon_ct:call(A, net_adm, ping, [NodeC]),
    Claimed = atom_to_binary(NodeC),
    [#{claimed := Claimed, side := accept, phase := dist, peer := {{127, 0, 0, 1}, _},
       fingerprint := <<_:64/binary>>, identity := {node, _, _, _}} | _] =
        [Report || #{event := refused, reason := not_allowed} = Report <- log(A)],
    #{node := NodeB} = merlon_ct:the_link(A, NodeB),
    none = merlon_ct:link_of(A, NodeC),
    ok = merlon_ct:alive(A).

log({Peer, _, _}) -> merlon_peers:log(Peer).

options_of_links_are_set_and_read(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B] = merlon_ct:start_all(Config, ["a", "b"], []),
    ok = merlon_ct:connect(A, B),
    {ok, [{nodelay, true}]} = merlon_ct:call(A, net_kernel, getopts, [NodeB, [nodelay]]),
    ok = merlon_ct:call(A, net_kernel, setopts, [NodeB, [{nodelay, false}]]),
    {ok, [{nodelay, false}]} = merlon_ct:call(A, net_kernel, getopts, [NodeB, [nodelay]]),
    {ok, [{nodelay, true}]} = merlon_ct:call(B, net_kernel, getopts, [NodeA, [nodelay]]),
    %% new: those that are there and those to come, both ways.
    ok = merlon_ct:call(B, net_kernel, setopts, [new, [{nodelay, false}]]),
    {_, NodeC, _} = C = merlon_ct:start(Config, "c"),
    ok = merlon_ct:connect(C, B),
    {ok, [{nodelay, false}]} = merlon_ct:call(B, net_kernel, getopts, [NodeC, [nodelay]]),
    {error, _} = merlon_ct:call(A, net_kernel, setopts, [NodeB, [{active, true}]]),
    {error, _} = merlon_ct:call(A, net_kernel, setopts, [new, [{packet, 0}]]),
    {error, _} = merlon_ct:call(A, net_kernel, setopts, [NodeB, [{no_such_option, 1}]]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, still_up]).

the_callbacks_keep_to_the_contract(Config) ->
    {_, Node, _} = Vm = merlon_ct:start(Config, "a"),
    [{true, false, false} = {merlon_ct:call(Vm, Module, select, ['x@127.0.0.1']),
                             merlon_ct:call(Vm, Module, select, [nohost]),
                             merlon_ct:call(Vm, Module, select, ['x@'])}
     || Module <- [merlon_dist, merlon6_dist]],
    #net_address{protocol = merlon, family = inet} = merlon_ct:call(Vm, merlon_dist, address, []),
    #net_address{protocol = merlon, family = inet, host = "h"} =
        merlon_ct:call(Vm, merlon_dist, address, ["h"]),
    #net_address{family = inet6} = merlon_ct:call(Vm, merlon6_dist, address, []),
    {ok, [_ | _]} = merlon_ct:call(Vm, merlon_dist, childspecs, []),
    {true, false} = {merlon_ct:call(Vm, merlon_dist, is_node_name, [Node]),
                     merlon_ct:call(Vm, merlon_dist, is_node_name, [nobody])},
    %% A second listener in the same VM, as net_kernel would open it.
    {error, {merlon, _}} = merlon_ct:call(Vm, merlon_dist, listen, [stranger, "127.0.0.1"]),
    ok = merlon_ct:alive(Vm).

links_monitors_and_spawns_cross(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B] = merlon_ct:start_all(Config, ["a", "b"], []),
    ok = merlon_ct:connect(A, B),
    NodeB = merlon_ct:call(A, erpc, call, [NodeB, erlang, node, []]),
    {badrpc, {'EXIT', {badarith, _}}} = merlon_ct:call(A, rpc, call, [NodeB, lists, sum, [[a]]]),
    [ok = merlon_ct:call(A, merlon_work, spawn_exit, [NodeB, Size]) || Size <- [0, 10, 100000, 3000000]],
    %% The carrier stays out of the way of tracing processes' own features: alias, spawn_request.
    Results = merlon_ct:call(A, erpc, multicall, [[NodeA, NodeB], erlang, node, []]),
    [{ok, NodeA}, {ok, NodeB}] = Results.

%% ---- time ----

a_fresh_node_connects_at_once(Config) ->
    {_, NodeA, _} = merlon_ct:start(Config, "a"),
    Times = [fresh(Config, NodeA) || _ <- lists:seq(1, 5)],
    ct:pal("cold connects of fresh VMs, ms: ~w", [Times]),
    %% 500 ms is what OTP's suites want on a machine of their own; here others run beside.
    true = lists:min(Times) < 500,
    true = lists:max(Times) < 2000,
    {comment, io_lib:format("cold connects: ~w ms", [Times])}.

fresh(Config, Node) ->
    Vm = merlon_ct:start(Config, "fresh"),
    {Time, true} = merlon_ct:call(Vm, timer, tc, [net_kernel, connect_node, [Node]]),
    ok = merlon_ct:drop(Vm),
    Time div 1000.

%% A port that accepts and says nothing: what a dead host behind a firewall looks like.
a_silent_host_ends_with_the_setup_time(Config) ->
    A = merlon_ct:start(Config, "a", ["-kernel", "net_setuptime", "2"]),
    {ok, Silent} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {active, false}]),
    {ok, Port} = inet:port(Silent),
    Name = merlon_peers:name("silent"),
    {ok, Epmd} = register_name(Name, Port),
    {Time, Answer} = merlon_ct:call(A, timer, tc, [net_kernel, connect_node, [merlon_peers:node(Name)]]),
    ok = gen_tcp:close(Epmd),
    ok = gen_tcp:close(Silent),
    ct:log("gave up after ~b ms", [Time div 1000]),
    false = Answer,
    true = Time >= 1500000 andalso Time =< 6000000,
    ok = merlon_ct:alive(A),
    [] = merlon_ct:links(A).

%% What erl_epmd would send, from a node that is none (ALIVE2_REQ).
register_name(Name, Port) ->
    {ok, Epmd} = gen_tcp:connect({127, 0, 0, 1}, 4369, [binary, {active, false}]),
    Bytes = list_to_binary(Name),
    Request = <<120, Port:16, 77, 0, 6:16, 5:16, (byte_size(Bytes)):16, Bytes/binary, 0:16>>,
    ok = gen_tcp:send(Epmd, <<(byte_size(Request)):16, Request/binary>>),
    {ok, <<_, 0, _/binary>>} = gen_tcp:recv(Epmd, 0, 5000),
    {ok, Epmd}.

a_node_that_is_not_there_is_no_error(Config) ->
    A = merlon_ct:start(Config, "a"),
    pang = merlon_ct:call(A, net_adm, ping, [merlon_peers:node(merlon_peers:name("nobody"))]),
    [#{reason := no_port}] = [Report || #{event := unresolved} = Report <- log(A)],
    ok = merlon_ct:alive(A).

a_restarted_node_is_found_again(Config) ->
    [A, {_, NodeB, _} = B] = merlon_ct:start_all(Config, ["a", "b"], []),
    ok = merlon_ct:connect(A, B),
    ok = merlon_ct:drop(B),
    merlon_peers:wait(fun() -> merlon_ct:links(A) =:= [] end),
    B2 = merlon_ct:start(Config, NodeB, [], #{certify => false}),
    pong = merlon_ct:call(A, net_adm, ping, [NodeB]),
    #{since := _} = merlon_ct:the_link(A, NodeB),
    ok = merlon_ct:alive(B2).
