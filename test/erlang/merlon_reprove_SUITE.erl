%% SPDX-License-Identifier: Apache-2.0
%% Links that are up outlive the certificates and the secrets that opened them, whatever the order in
%% which nodes get new ones; and a peer that does not prove itself again loses its link.
-module(merlon_reprove_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_link_outlives_the_certificate_that_opened_it_under_load/1,
         both_ends_may_renew_at_once/1,
         a_certificate_renewed_during_the_handshake_is_shown_afterwards/1,
         a_new_ca_takes_over_when_leaves_come_before_trust/1,
         a_new_ca_takes_over_when_each_node_changes_all_at_once/1,
         a_renewal_is_not_lost_when_the_server_dies/1,
         a_renewal_waits_for_a_peer_that_does_not_read/1,
         another_chain_of_the_same_certificate_is_shown/1,
         a_new_entry_takes_over_from_one_that_is_dropped/1,
         a_new_entry_takes_over_when_each_node_changes_all_at_once/1,
         an_entry_that_is_taken_back_leaves_the_old_one/1,
         an_entry_begins_to_count_by_itself/1,
         an_entry_that_begins_at_two_times_is_believed_at_the_later/1,
         a_keyring_takes_over_from_the_cookie/1,
         a_peer_without_the_new_entry_loses_its_link/1,
         a_peer_loses_its_link_when_the_entry_expires/1]).
-export([keep/1, use/1]).

-import(merlon_live_ct, [dir/1, node_in/2, node_in/3, taken/1, events/2, downs/1, watch/1, down_reason/2]).
-import(merlon_keyring_ct, [entry/1, entry/3, put_keyring/2, id/1, copy_of/1]).

%% Seconds in which a link that is going to end has ended.
-define(ENDED, 10).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_link_outlives_the_certificate_that_opened_it_under_load, both_ends_may_renew_at_once,
     a_certificate_renewed_during_the_handshake_is_shown_afterwards,
     a_new_ca_takes_over_when_leaves_come_before_trust,
     a_new_ca_takes_over_when_each_node_changes_all_at_once, a_renewal_is_not_lost_when_the_server_dies,
     a_renewal_waits_for_a_peer_that_does_not_read, another_chain_of_the_same_certificate_is_shown,
     a_new_entry_takes_over_from_one_that_is_dropped,
     a_new_entry_takes_over_when_each_node_changes_all_at_once,
     an_entry_that_is_taken_back_leaves_the_old_one, an_entry_begins_to_count_by_itself,
     an_entry_that_begins_at_two_times_is_believed_at_the_later,
     a_keyring_takes_over_from_the_cookie, a_peer_without_the_new_entry_loses_its_link,
     a_peer_loses_its_link_when_the_entry_expires].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

linked(A, B) ->
    ok = merlon_ct:connect(A, B),
    [ok = watch(Vm) || Vm <- [A, B]],
    merlon_ct:the_link(A, name(B)).

%% It is the very same link, and has been all the time.
same_link(#{since := Since, direction := Direction}, A, B) ->
    #{since := Since, direction := Direction} = merlon_ct:the_link(A, name(B)),
    [] = downs(A),
    [] = downs(B),
    ok = merlon_ct:call(A, merlon_work, echo, [name(B), still_up]),
    ok = merlon_ct:call(B, merlon_work, echo, [name(A), still_up]).

until(Seconds) ->
    merlon_peers:wait(fun() -> erlang:system_time(second) > Seconds end, 30000).

now_s() -> erlang:system_time(second).

%% ---- certificates ----

renew(Dir, Vm) ->
    ok = merlon_peers:add_node(Dir, name(Vm)),
    ok = taken(Vm),
    {ok, #{sha256 := New}} = merlon_ct:call(Vm, merlon_node, current, []),
    New.

%% A stands on that certificate of B's.
shown(A, B, Fingerprint) ->
    merlon_peers:wait(fun() -> #{fingerprint := Found} = merlon_ct:the_link(A, name(B)), Found =:= Fingerprint end).

a_link_outlives_the_certificate_that_opened_it_under_load(Config) ->
    Dir = dir(Config),
    A = node_in(Config, Dir),
    B = node_in(Config, Dir, #{life => 12}),
    #{not_after := End} = Link = linked(A, B),
    Floods = [{From, merlon_ct:call(From, merlon_work, flood, [name(To), Size, 100000000])}
              || {From, To} <- [{A, B}, {B, A}], Size <- [100, 100000]],
    New = renew(Dir, B),
    true = now_s() < End,
    shown(A, B, New),
    %% What is sent without end is never read to its end; what waits for answers goes on.
    [true = merlon_ct:call(From, erlang, exit, [Flood, kill]) || {From, Flood} <- Floods],
    Load = [merlon_ct:call(From, erlang, spawn, [merlon_work, exchange, [name(To), lists:duplicate(100000, Size)]])
            || {From, To} <- [{A, B}, {B, A}], Size <- [100, 100000]],
    until(End + ?ENDED),
    4 = length([up || {Pid, From} <- lists:zip(Load, [A, A, B, B]),
                      merlon_ct:call(From, erlang, is_process_alive, [Pid])]),
    same_link(Link, A, B),
    [#{what := certificate, fingerprint := _} | _] = events(A, reproved),
    [] = events(A, link_closed),
    #{not_after := Later} = merlon_ct:the_link(A, name(B)),
    true = Later > End + 86400.

both_ends_may_renew_at_once(Config) ->
    Dir = dir(Config),
    [A, B] = [node_in(Config, Dir, #{life => 14}) || _ <- "ab"],
    #{not_after := End} = Link = linked(A, B),
    [ok = merlon_peers:add_node(Dir, name(Vm)) || Vm <- [A, B]],
    together([fun() -> taken(Vm) end || Vm <- [A, B]]),
    until(End + ?ENDED),
    same_link(Link, A, B).

together(Funs) ->
    Running = [spawn_monitor(Fun) || Fun <- Funs],
    [receive {'DOWN', Ref, process, _, Reason} -> normal = Reason end || {_, Ref} <- Running],
    ok.

%% The link comes up while B uses its old certificate for the last time, and B's server has seen the new one.
a_certificate_renewed_during_the_handshake_is_shown_afterwards(Config) ->
    Dir = dir(Config),
    [A, B] = [node_in(Config, Dir) || _ <- "ab"],
    ok = merlon_ct:call(B, ?MODULE, keep, [old]),
    New = renew(Dir, B),
    ok = merlon_ct:call(B, ?MODULE, keep, [new]),
    ok = merlon_ct:call(B, sys, suspend, [merlon_reprove]),
    ok = merlon_ct:call(B, ?MODULE, use, [old]),
    #{fingerprint := Old} = Link = linked(A, B),
    true = Old =/= New,
    ok = merlon_ct:call(B, ?MODULE, use, [new]),
    ok = merlon_ct:call(B, sys, resume, [merlon_reprove]),
    shown(A, B, New),
    same_link(Link, A, B).

%% On the node.
keep(As) ->
    {ok, Node} = merlon_node:current(),
    persistent_term:put({?MODULE, As}, Node).

use(Kept) ->
    persistent_term:put({merlon_node, node}, persistent_term:get({?MODULE, Kept})).

%% Both CAs have the same name, as when one is renewed.
new_ca(Config) -> dir(Config).

ca(Dir) -> filename:join([Dir, "trust", "ca.pem"]).

trust(Dir, Ca, As) ->
    {ok, _} = file:copy(ca(Ca), filename:join([Dir, "trust", As])),
    ok.

%% The new CA's certificate for Vm, put into Dir.
leaf(Ca, Vm, Dir) ->
    ok = merlon_peers:add_node(Ca, name(Vm)),
    Folder = fun(In) -> filename:join([In, "nodes", name(Vm)]) end,
    [ok = rename_into(filename:join(Folder(Ca), File), filename:join(Folder(Dir), File))
     || File <- ["key.pem", "cert.pem"]],
    ok.

rename_into(From, To) ->
    {ok, Text} = file:read_file(From),
    ok = merlon_peers:write_secret(To ++ ".new", Text),
    file:rename(To ++ ".new", To).

current(Vm) ->
    {ok, #{sha256 := Sha256}} = merlon_ct:call(Vm, merlon_node, current, []),
    Sha256.

a_new_ca_takes_over_when_leaves_come_before_trust(Config) ->
    DirA = dir(Config),
    DirB = copy_of(DirA),
    [A, B] = [node_in(Config, Dir) || Dir <- [DirA, DirB]],
    Ca = new_ca(Config),
    #{fingerprint := OldB} = Link = linked(A, B),
    ok = trust(DirB, Ca, "new.pem"),
    ok = leaf(Ca, B, DirB),
    ok = taken(B),
    %% A does not believe it yet, and says so once.
    merlon_peers:wait(fun() -> events(A, reproof_untrusted) =/= [] end),
    [#{level := warning, reason := unknown_issuer}] = events(A, reproof_untrusted),
    #{fingerprint := OldB} = merlon_ct:the_link(A, name(B)),
    ok = trust(DirA, Ca, "new.pem"),
    ok = taken(A),
    shown(A, B, current(B)),
    ok = leaf(Ca, A, DirA),
    ok = taken(A),
    shown(B, A, current(A)),
    [begin ok = file:delete(ca(Dir)), ok = taken(Vm) end || {Dir, Vm} <- [{DirA, A}, {DirB, B}]],
    timer:sleep(?ENDED * 1000),
    same_link(Link, A, B).

%% The old CA goes in the same moment, and the other node follows two seconds later.
a_new_ca_takes_over_when_each_node_changes_all_at_once(Config) ->
    DirA = dir(Config),
    DirB = copy_of(DirA),
    [A, B] = [node_in(Config, Dir) || Dir <- [DirA, DirB]],
    Ca = new_ca(Config),
    Link = linked(A, B),
    Swap = fun(Dir, Vm) ->
                   ok = trust(Dir, Ca, "new.pem"),
                   ok = leaf(Ca, Vm, Dir),
                   ok = file:delete(ca(Dir)),
                   ok = taken(Vm)
           end,
    Swap(DirA, A),
    timer:sleep(1500),
    Swap(DirB, B),
    timer:sleep(?ENDED * 1000),
    same_link(Link, A, B),
    shown(A, B, current(B)),
    shown(B, A, current(A)).

a_renewal_is_not_lost_when_the_server_dies(Config) ->
    Dir = dir(Config),
    [A, B] = [node_in(Config, Dir) || _ <- "ab"],
    Link = linked(A, B),
    Server = merlon_ct:call(A, erlang, whereis, [merlon_reprove]),
    true = merlon_ct:call(A, erlang, exit, [Server, kill]),
    merlon_peers:wait(fun() -> not lists:member(merlon_ct:call(A, erlang, whereis, [merlon_reprove]),
                                                [Server, undefined]) end),
    shown(A, B, renew(Dir, B)),
    shown(B, A, renew(Dir, A)),
    same_link(Link, A, B).

%% The socket is full all the time; of what it is to be told the last is said.
a_renewal_waits_for_a_peer_that_does_not_read(Config) ->
    Dir = dir(Config),
    [A, B] = [node_in(Config, Dir) || _ <- "ab"],
    Link = linked(A, B),
    ok = merlon_ct:signal(B, "STOP"),
    Flood = merlon_ct:call(A, merlon_work, flood, [name(B), 100000, 100000000]),
    merlon_peers:wait(fun() -> maps:get(unsent, merlon_ct:link_of(A, name(B))) > 0 end),
    timer:sleep(1000), % the kernel's buffers may have grown once more
    _ = [begin renew(Dir, A), timer:sleep(1500) end || _ <- "123"],
    true = merlon_ct:call(A, erlang, exit, [Flood, kill]),
    ok = merlon_ct:signal(B, "CONT"),
    shown(B, A, current(A)),
    #{controls_in := 1} = merlon_ct:the_link(B, name(A)),
    same_link(Link, A, B).

%% The root's own certificate is of no use in it, and of no harm.
another_chain_of_the_same_certificate_is_shown(Config) ->
    Dir = dir(Config),
    [A, B] = [node_in(Config, Dir) || _ <- "ab"],
    Link = linked(A, B),
    #{controls_in := 0} = merlon_ct:the_link(A, name(B)),
    File = filename:join([Dir, "nodes", name(B), "cert.pem"]),
    {ok, Cert} = file:read_file(File),
    {ok, Root} = file:read_file(ca(Dir)),
    ok = file:write_file(File, [Cert, Root]),
    ok = taken(B),
    merlon_peers:wait(fun() -> maps:get(controls_in, merlon_ct:the_link(A, name(B))) =:= 1 end),
    same_link(Link, A, B).

%% ---- secrets ----

pair(Config, EntriesA, EntriesB) ->
    DirA = dir(Config),
    %% Nobody but the test hands entries out.
    ok = merlon_live_ct:config(DirA, "{rotate_secret, off}.\n"),
    DirB = copy_of(DirA),
    [put_keyring(Dir, Entries) || {Dir, Entries} <- [{DirA, EntriesA}, {DirB, EntriesB}], Entries =/= none],
    {DirA, node_in(Config, DirA), DirB, node_in(Config, DirB)}.

with(A, B) -> merlon_ct:call(A, merlon_reprove, proved_with, [name(B)]).

%% Both say that the link stands on that entry.
proved(A, B, Byte) ->
    Id = id(Byte),
    merlon_peers:wait(fun() -> with(A, B) =:= {ok, Id} andalso with(B, A) =:= {ok, Id} end).

a_new_entry_takes_over_from_one_that_is_dropped(Config) ->
    {DirA, A, DirB, B} = pair(Config, [entry(1)], [entry(1)]),
    Link = linked(A, B),
    proved(A, B, 1),
    Both = [entry(1), entry(2, -60, never)],
    put_keyring(DirA, Both),
    ok = taken(A),
    proved(A, B, 1),
    put_keyring(DirB, Both),
    ok = taken(B),
    proved(A, B, 2),
    [#{what := secret, key_id := _}] = events(A, reproved),
    [begin put_keyring(Dir, [entry(2, -60, never)]), ok = taken(Vm) end || {Dir, Vm} <- [{DirB, B}, {DirA, A}]],
    timer:sleep(?ENDED * 1000),
    same_link(Link, A, B),
    {error, {reprove, no_link}} = merlon_ct:call(A, merlon_reprove, proved_with, ['no@where']).

a_new_entry_takes_over_when_each_node_changes_all_at_once(Config) ->
    {DirA, A, DirB, B} = pair(Config, [entry(1)], [entry(1)]),
    Link = linked(A, B),
    put_keyring(DirA, [entry(2)]),
    ok = taken(A),
    timer:sleep(1500),
    put_keyring(DirB, [entry(2)]),
    ok = taken(B),
    timer:sleep(?ENDED * 1000),
    same_link(Link, A, B),
    proved(A, B, 2).

an_entry_that_is_taken_back_leaves_the_old_one(Config) ->
    Both = [entry(1), entry(2, -60, never)],
    {DirA, A, DirB, B} = pair(Config, Both, Both),
    Link = linked(A, B),
    proved(A, B, 2),
    timer:sleep(500), % the other entry is proved too
    [begin put_keyring(Dir, [entry(1)]), ok = taken(Vm) end || {Dir, Vm} <- [{DirA, A}, {DirB, B}]],
    proved(A, B, 1),
    timer:sleep(?ENDED * 1000),
    same_link(Link, A, B).

an_entry_begins_to_count_by_itself(Config) ->
    Entries = [entry(1), entry(2, 8, never)],
    {_, A, _, B} = pair(Config, Entries, Entries),
    Link = linked(A, B),
    proved(A, B, 1),
    timer:sleep(6000),
    proved(A, B, 2),
    same_link(Link, A, B).

%% As by two clocks: what B shows first A does not accept yet.
an_entry_that_begins_at_two_times_is_believed_at_the_later(Config) ->
    {_, A, _, B} = pair(Config, [entry(1, -3600, 30), entry(2, 12, never)], [entry(1, -3600, 30), entry(2, 6, never)]),
    Ends = now_s() + 30,
    [ok = merlon_rotate_ct:stop_spreading(Vm) || Vm <- [A, B]], % or the files would soon say the same
    Link = linked(A, B),
    proved(A, B, 1),
    until(Ends - 30 + 12),
    proved(A, B, 2),
    until(Ends + 5),
    same_link(Link, A, B).

a_keyring_takes_over_from_the_cookie(Config) ->
    {DirA, A, DirB, B} = pair(Config, none, none),
    Link = linked(A, B),
    {error, {reprove, vm_cookie}} = with(A, B),
    put_keyring(DirA, [entry(1)]),
    ok = taken(A),
    timer:sleep(?ENDED * 1000), % B gets its copy late
    same_link(Link, A, B),
    put_keyring(DirB, [entry(1)]),
    ok = taken(B),
    proved(A, B, 1),
    same_link(Link, A, B).

%% A, with B's link of both, drops what B has.
a_peer_without_the_new_entry_loses_its_link(Config) ->
    {DirA, A, _, B} = pair(Config, [entry(1), entry(2, -60, never)], [entry(1)]),
    _ = linked(A, B),
    proved(A, B, 1),
    put_keyring(DirA, [entry(2, -60, never)]),
    ok = taken(A),
    {error, {reprove, ended}} = with(A, B),
    {peer_secret, entry_dropped} = down_reason(A, name(B)),
    merlon_peers:wait(fun() -> events(A, link_closed) =/= [] end),
    [#{reason := entry_dropped, level := error, text := Text}] = events(A, link_closed),
    {_, _} = binary:match(Text, id(1)).

a_peer_loses_its_link_when_the_entry_expires(Config) ->
    End = 15,
    {_, A, _, B} = pair(Config, [entry(1, -3600, End), entry(3, -7200, never)], [entry(1)]),
    Ends = now_s() + End,
    _ = linked(A, B),
    proved(A, B, 1),
    until(Ends - 1),
    {peer_secret, entry_expired} = down_reason(A, name(B)),
    true = now_s() - Ends =< ?ENDED.
