%% SPDX-License-Identifier: Apache-2.0
%% Live links obey too: a peer that would not be accepted any more loses its link, and only that
%% peer does.
-module(merlon_live_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_revoked_peer_is_the_last_to_see_that_its_links_have_ended/1,
         a_list_among_others_in_the_folder_counts/1,
         the_link_of_a_peer_whose_certificate_runs_out_is_closed/1,
         the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed/1,
         a_link_outlives_its_peers_certificate_by_the_grace_and_a_revocation_not/1,
         a_node_whose_own_certificate_has_run_out_obeys_new_lists/1,
         a_stale_list_refuses_new_links_and_leaves_live_ones/1,
         a_stale_list_warns_where_that_is_wanted/1]).

-import(merlon_live_ct, [dir/1, node_in/2, node_in/3, reload/1, taken/1, events/2, downs/1, watch/1, config/2,
                         revoke/2, down_reason/2, linked/3, only_lost/4, apart/2, refused/2]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_revoked_peer_is_the_last_to_see_that_its_links_have_ended, a_list_among_others_in_the_folder_counts,
     the_link_of_a_peer_whose_certificate_runs_out_is_closed,
     the_link_of_a_peer_whose_ca_is_no_longer_trusted_is_closed,
     a_link_outlives_its_peers_certificate_by_the_grace_and_a_revocation_not,
     a_node_whose_own_certificate_has_run_out_obeys_new_lists,
     a_stale_list_refuses_new_links_and_leaves_live_ones,
     a_stale_list_warns_where_that_is_wanted].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

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
    false = merlon_ct:call(A, net_kernel, connect_node, [name(C)]),
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
