%% SPDX-License-Identifier: Apache-2.0
%% Live links obey too: a peer that would not be accepted any more loses its link, and only that
%% peer does.
-module(merlon_live_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([the_link_of_a_revoked_peer_is_closed_and_not_made_again/1, a_revoked_peer_is_the_last_to_see_that_its_links_have_ended/1,
         a_list_among_others_in_the_folder_counts/1,
         the_link_of_a_peer_whose_certificate_runs_out_is_closed/1,
         the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed/1,
         a_link_outlives_its_peers_certificate_by_the_grace_and_a_revocation_not/1,
         a_node_whose_own_certificate_has_run_out_obeys_new_lists/1,
         a_revoked_peer_loses_its_link_while_it_is_flooded/1,
         a_handshake_begun_before_the_revocation_gives_no_link/1,
         a_certificate_replaced_in_the_middle_of_a_handshake_changes_nothing_of_it/1,
         a_stale_list_refuses_new_links_and_leaves_live_ones/1,
         a_stale_list_warns_where_that_is_wanted/1]).

-import(merlon_live_ct, [dir/1, node_in/2, node_in/3, reload/1, taken/1, events/2, downs/1, watch/1, config/2,
                         revoke/2, revoke/3, down_reason/2]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [the_link_of_a_revoked_peer_is_closed_and_not_made_again, a_revoked_peer_is_the_last_to_see_that_its_links_have_ended, a_list_among_others_in_the_folder_counts,
     the_link_of_a_peer_whose_certificate_runs_out_is_closed,
     the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed,
     a_link_outlives_its_peers_certificate_by_the_grace_and_a_revocation_not,
     a_node_whose_own_certificate_has_run_out_obeys_new_lists,
     a_revoked_peer_loses_its_link_while_it_is_flooded,
     a_handshake_begun_before_the_revocation_gives_no_link,
     a_certificate_replaced_in_the_middle_of_a_handshake_changes_nothing_of_it,
     a_stale_list_refuses_new_links_and_leaves_live_ones,
     a_stale_list_warns_where_that_is_wanted].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% A is linked to both; it watches.
linked(A, B, C) ->
    [ok = merlon_ct:connect(A, Vm) || Vm <- [B, C]],
    ok = watch(A).

name({_, Node, _}) -> Node.

%% Only B is gone, for that reason; the log says so, and A and C are linked as before.
only_lost(A, B, C, Code) ->
    {peer_certificate, Code} = down_reason(A, name(B)),
    merlon_peers:wait(fun() -> events(A, link_closed) =/= [] end),
    Lost = name(B),
    [#{node := Lost, reason := Code, level := error, fingerprint := _}] = events(A, link_closed),
    merlon_peers:wait(fun() -> [] =/= [Report || #{node := Node, reason := {peer_certificate, _}} = Report
                                                     <- events(A, link_down), Node =:= Lost] end),
    ok = merlon_ct:call(A, merlon_work, echo, [name(C), still_up]),
    [Lost] = [Node || {Node, _} <- downs(A)].

%% Neither can dial the other, once both know that they are not linked any more.
apart(A, B) ->
    merlon_peers:wait(fun() -> merlon_ct:link_of(B, name(A)) =:= none end),
    ignored = no(merlon_ct:call(A, net_kernel, connect_node, [name(B)])),
    ignored = no(merlon_ct:call(B, net_kernel, connect_node, [name(A)])),
    none = merlon_ct:link_of(A, name(B)).

no(false) -> ignored.

the_link_of_a_revoked_peer_is_closed_and_not_made_again(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    linked(A, B, C),
    ok = revoke(Dir, [name(B)], ["--reason", "key_compromise"]), % nobody asks for a reload
    only_lost(A, B, C, revoked),
    apart(A, B),
    merlon_peers:wait(fun() -> refused(A, revoked) end),
    ok = merlon_ct:alive(A).

%% By then the others have ended theirs too: by OTP's default they leave whomever a node that they are linked to says it has lost.
a_revoked_peer_is_the_last_to_see_that_its_links_have_ended(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    linked(A, B, C),
    ok = watch(B),
    ok = revoke(Dir, [name(B)]),
    only_lost(A, B, C, revoked),
    timer:sleep(2000),
    [] = downs(B),
    ok = merlon_ct:call(A, merlon_work, reset, []),
    _ = merlon_ct:call(B, merlon_work, flood, [name(A), 100, 10]),
    connection_closed = down_reason(B, name(A)),
    {0, 0} = merlon_ct:call(A, merlon_work, received, []). % nothing was read of what it has sent since

refused(Vm, Why) ->
    lists:any(fun(#{reason := Reason}) -> Reason =:= Why end, events(Vm, refused)).

%% Three files in crl/: another CA's in PEM, this one's in DER, an older one of this CA.
a_list_among_others_in_the_folder_counts(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    Other = dir(Config),
    ok = merlon_peers:add_node(Other, name(C)),
    ok = revoke(Other, [name(C)]),
    linked(A, B, C),
    Aside = list(Dir, name(B)),
    Folder = filename:join(Dir, "crl"),
    ok = filelib:ensure_dir(filename:join(Folder, "x")),
    {ok, Foreign} = file:read_file(filename:join(Other, "crl.pem")),
    ok = file:write_file(filename:join(Folder, "other.pem"), Foreign),
    ok = taken(A),
    [] = downs(A),
    [{'CertificateList', Der, not_encrypted}] = public_key:pem_decode(Aside),
    ok = file:write_file(filename:join(Folder, "tmp"), Der),
    ok = file:rename(filename:join(Folder, "tmp"), filename:join(Folder, "ours.crl")),
    only_lost(A, B, C, revoked).

%% The list that revokes Node, not in place.
list(Dir, Node) ->
    ok = revoke(Dir, [Node]),
    File = filename:join(Dir, "crl.pem"),
    {ok, List} = file:read_file(File),
    ok = file:delete(File),
    List.

the_link_of_a_peer_whose_certificate_runs_out_is_closed(Config) ->
    Dir = dir(Config),
    ok = config(Dir, "{renew, false}.\n"),
    [A, C] = [node_in(Config, Dir) || _ <- "ac"],
    B = node_in(Config, Dir, #{life => 8}),
    linked(A, B, C),
    #{not_after := End} = merlon_ct:the_link(A, name(B)),
    only_lost(A, B, C, expired),
    Late = erlang:system_time(second) - End,
    true = Late >= 1 andalso Late =< 10,
    merlon_peers:wait(fun() -> events(B, own_expired) =/= [] end),
    [#{level := error}] = events(B, own_expired),
    apart(A, B).

%% B's CA is trusted beside A's and C's own, and then no more.
the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed(Config) ->
    [Dir, DirB] = [dir(Config), dir(Config)],
    exchange(Dir, DirB),
    [A, C] = [node_in(Config, Dir) || _ <- "ac"],
    B = node_in(Config, DirB),
    linked(A, B, C),
    ok = file:delete(filename:join([Dir, "trust", "other.pem"])),
    only_lost(A, B, C, unknown_issuer),
    apart(A, B).

exchange(A, B) ->
    [{ok, _} = file:copy(filename:join([From, "trust", "ca.pem"]), filename:join([To, "trust", "other.pem"]))
     || {From, To} <- [{A, B}, {B, A}]].

a_link_outlives_its_peers_certificate_by_the_grace_and_a_revocation_not(Config) ->
    Dir = dir(Config),
    ok = config(Dir, "{renew, false}.\n{grace, 600}.\n"),
    [A, C] = [node_in(Config, Dir) || _ <- "ac"],
    B = node_in(Config, Dir, #{life => 4}),
    linked(A, B, C),
    #{not_after := End} = merlon_ct:the_link(A, name(B)),
    merlon_peers:wait(fun() -> erlang:system_time(second) > End + 5 end, 15000),
    {ok, unchanged} = reload(A),
    [] = downs(A),
    false = lists:member(name(B), [Node || #{node := Node} <- events(A, link_closed)]),
    ok = config(Dir, "{renew, false}.\n"), % without grace
    ok = taken(A),
    only_lost(A, B, C, expired),
    ok = config(Dir, "{renew, false}.\n{grace, 600}.\n"),
    ok = taken(A),
    ok = revoke(Dir, [name(C)]),
    ok = taken(A),
    {peer_certificate, revoked} = down_reason(A, name(C)).

%% Its peers have patience with it; it must have none with a revoked one.
a_node_whose_own_certificate_has_run_out_obeys_new_lists(Config) ->
    Dir = dir(Config),
    ok = config(Dir, "{renew, false}.\n{grace, 600}.\n"),
    [B, C] = [node_in(Config, Dir) || _ <- "bc"],
    A = node_in(Config, Dir, #{life => 4}),
    linked(A, B, C),
    merlon_peers:wait(fun() -> events(A, own_expired) =/= [] end, 15000),
    ok = revoke(Dir, [name(B)]),
    only_lost(A, B, C, revoked),
    %% Another that is no good is refused as ever.
    ok = merlon_peers:add_node(Dir, name(A), #{days => 1, now => erlang:system_time(second) - 86500}),
    {error, {identity, {unusable, _, {expired, _}}}} = reload(A).

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
    Conn.

connected({_, Node, _}) ->
    {port, Port, _} = erl_epmd:port_please(short(Node), {127, 0, 0, 1}),
    {Conn, _} = merlon_attacker:conn(#{address => {{127, 0, 0, 1}, Port}}),
    Conn.

dial(Conn, Dir, {_, Node, _}, Peer) ->
    ok = merlon_nif:dial(Conn, identity(Dir, Peer), atom_to_binary(Peer), atom_to_binary(Node),
                         [{vm_cookie, <<"merlontest">>}], erlang:system_time(second)),
    merlon_attacker:until(fun() -> merlon_nif:advance(Conn) end).

%% ---- stale lists ----

%% A list of the dir's CA that was due a day ago and revokes Node.
stale(Dir, Node) ->
    Read = fun(Name) -> {ok, Text} = file:read_file(filename:join([Dir, "ca", Name])), Text end,
    {ok, Cert} = file:read_file(filename:join([Dir, "nodes", Node, "cert.pem"])),
    {ok, [#{serial := Serial} | _]} = merlon_nif:pki_inspect(Cert),
    {ok, List} = merlon_nif:pki_revoke(#{ca_cert => Read("ca.pem"), ca_key => Read("ca.key"), crl => <<>>,
                                         serials => [Serial], reason => superseded, days => 1,
                                         now => erlang:system_time(second) - 86400 + 4}),
    ok = file:write_file(filename:join(Dir, "crl.pem.new"), List),
    file:rename(filename:join(Dir, "crl.pem.new"), filename:join(Dir, "crl.pem")).

%% It goes stale under the node's hands.
a_stale_list_refuses_new_links_and_leaves_live_ones(Config) ->
    Dir = dir(Config),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    ok = merlon_ct:connect(A, B),
    ok = watch(A),
    Gone = merlon_peers:node(merlon_peers:name("gone")),
    ok = merlon_peers:add_node(Dir, Gone),
    ok = stale(Dir, Gone),
    ok = taken(A),
    merlon_peers:wait(fun() -> events(A, crl_stale) =/= [] end, 15000),
    [#{level := error}] = events(A, crl_stale),
    ignored = no(merlon_ct:call(A, net_kernel, connect_node, [name(C)])),
    merlon_peers:wait(fun() -> refused(A, crl_expired) end),
    [] = downs(A),
    ok = merlon_ct:call(A, merlon_work, echo, [name(B), still_up]),
    %% As a new file it is refused.
    {ok, unchanged} = reload(A),
    ok = config(Dir, "{handshake_timeout, 5000}.\n"),
    {error, {identity, {unusable, _, {crl_expired, _}}}} = reload(A).

a_stale_list_warns_where_that_is_wanted(Config) ->
    Dir = dir(Config),
    ok = config(Dir, "{stale_crl, warn}.\n"),
    [A, B, C] = [node_in(Config, Dir) || _ <- "abc"],
    linked(A, B, C),
    ok = stale(Dir, name(B)),
    merlon_peers:wait(fun() -> events(A, crl_stale) =/= [] end, 15000),
    [#{level := warning}] = events(A, crl_stale),
    only_lost(A, B, C, revoked), % what it lists is revoked for all that
    merlon_ct:unlink(A, C),
    ok = merlon_ct:connect(A, C),
    apart(A, B).
