%% SPDX-License-Identifier: Apache-2.0
%% Those whose certificate was taken back, or another's put in its place, and who go on all the same: with a link that is
%% up, with another one, or in the middle of a handshake.
-module(merlon_attack_revoked_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([the_link_of_a_revoked_peer_is_closed_and_not_made_again/1,
         a_revoked_peer_loses_its_link_while_it_is_flooded/1,
         a_handshake_begun_before_the_revocation_gives_no_link/1,
         a_certificate_replaced_in_the_middle_of_a_handshake_changes_nothing_of_it/1]).

-import(merlon_live_ct, [dir/1, node_in/2, taken/1, events/2, watch/1, revoke/2, revoke/3, linked/3, only_lost/4, apart/2,
                         refused/2]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [the_link_of_a_revoked_peer_is_closed_and_not_made_again, a_revoked_peer_loses_its_link_while_it_is_flooded,
     a_handshake_begun_before_the_revocation_gives_no_link,
     a_certificate_replaced_in_the_middle_of_a_handshake_changes_nothing_of_it].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

the_link_of_a_revoked_peer_is_closed_and_not_made_again(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    linked(A, B, C),
    ok = revoke(Dir, [name(B)], ["--reason", "key_compromise"]), % nobody asks for a reload
    only_lost(A, B, C, revoked),
    apart(A, B),
    merlon_peers:wait(fun() -> refused(A, revoked) end),
    ok = merlon_ct:alive(A).

%% Its dist controller has something to do all the time and reads no message.
a_revoked_peer_loses_its_link_while_it_is_flooded(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    linked(A, B, C),
    _ = [merlon_ct:call(A, merlon_work, flood, [name(B), 100, 10000000]) || _ <- "1234"],
    ok = revoke(Dir, [name(B)]),
    only_lost(A, B, C, revoked).

%% ---- in the middle of a handshake ----

%% Mallory's certificate is revoked after TLS and proof, and before dist_util has its first packet.
a_handshake_begun_before_the_revocation_gives_no_link(Config) ->
    Dir = dir(Config),
    A = node_in(Config, Dir),
    C = node_in(Config, Dir),
    ok = merlon_ct:connect(A, C),
    ok = watch(A),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    Conn = proven(Dir, A, Mallory),
    ok = revoke(Dir, [Mallory]),
    ok = taken(A),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    {ok, _} = merlon_attacker:shake(Conn, atom_to_binary(Mallory), Cookie),
    _ = merlon_attacker:gone(Conn),
    merlon_peers:wait(fun() -> events(A, link_closed) =/= [] end),
    [#{node := Mallory, reason := revoked}] = events(A, link_closed),
    false = lists:member(Mallory, merlon_ct:call(A, erlang, nodes, [connected])),
    ok = merlon_ct:call(A, merlon_work, echo, [name(C), still_up]).

%% A has dialled and said hello when its certificate and key are replaced, and again when it has been
%% dialled: that handshake ends with what it began with, the next has the new ones.
a_certificate_replaced_in_the_middle_of_a_handshake_changes_nothing_of_it(Config) ->
    Dir = dir(Config),
    A = node_in(Config, Dir),
    [One, Two] = [merlon_peers:node(merlon_peers:name("peer")) || _ <- "12"],
    [ok = merlon_peers:add_node(Dir, Peer) || Peer <- [One, Two]],
    {Listener, Socket} = listening(Two),
    Old = current(A),
    Dialling = spawn_monitor(fun() -> merlon_ct:call(A, net_kernel, connect_node, [Two]) end),
    {ok, Dialled} = merlon_attacker:until(fun() -> merlon_nif:accept(Listener) end),
    Served = connected(A),
    timer:sleep(500), % A's hello is there, and a process of its own waits for ours
    ok = merlon_peers:add_node(Dir, name(A)),
    ok = taken(A),
    New = current(A),
    true = New =/= Old,
    Old = claimed(Dialled, Dir, Two),
    established = dial(Served, Dir, A, One),
    #{fingerprint := Old} = merlon_nif:link_info(Served),
    ok = merlon_nif:close(Dialled),
    receive {'DOWN', _, process, Pid, _} when Pid =:= element(1, Dialling) -> ok end,
    Next = proven(Dir, A, One),
    #{fingerprint := New} = merlon_nif:link_info(Next),
    [ok = merlon_nif:close(Each) || Each <- [Served, Next, Listener]],
    ok = gen_tcp:close(Socket).

current(Vm) ->
    {ok, #{sha256 := Sha256}} = merlon_ct:call(Vm, merlon_node, current, []),
    Sha256.

%% Where Node would listen, as epmd has it.
listening(Node) ->
    {ok, Listener} = merlon_nif:listen({127, 0, 0, 1}, 0, 5, []),
    {ok, {_, Port}} = merlon_nif:sockname(Listener),
    {Listener, merlon_attacker:impersonate(short(Node), Port)}.

short(Node) -> hd(string:split(atom_to_list(Node), "@")).

%% The fingerprint that the client on Conn shows to the node Own.
claimed(Conn, Dir, Own) ->
    ok = merlon_nif:serve(Conn, identity(Dir, Own), atom_to_binary(Own), erlang:system_time(second)),
    {claim, #{fingerprint := Fingerprint}} = merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end),
    Fingerprint.

identity(Dir, Peer) -> merlon_attacker:identity(Dir, Peer, Dir, <<"live">>).

%% A connection to Vm as Peer, after TLS and the proofs of both sides.
proven(Dir, Vm, Peer) ->
    Conn = connected(Vm),
    established = dial(Conn, Dir, Vm, Peer),
    %% Else the proof waits for the first packet.
    ok = merlon_nif:flush(Conn),
    Conn.

connected({_, Node, _}) ->
    {port, Port, _} = erl_epmd:port_please(short(Node), {127, 0, 0, 1}),
    {Conn, _} = merlon_attacker:conn(#{address => {{127, 0, 0, 1}, Port}}),
    Conn.

dial(Conn, Dir, {_, Node, _}, Peer) ->
    ok = merlon_nif:dial(Conn, identity(Dir, Peer), atom_to_binary(Peer), atom_to_binary(Node),
                         [{vm_cookie, <<"merlontest">>}], erlang:system_time(second)),
    merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end).
