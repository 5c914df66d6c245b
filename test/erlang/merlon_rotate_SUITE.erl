%% SPDX-License-Identifier: Apache-2.0
%% Rotation over real links: every node gets the new entry and nobody loses a link; who is away learns it within the grace
%% and is refused after it; neither a kill nor a second rotation does harm; and no secret shows.
-module(merlon_rotate_SUITE).

-include_lib("common_test/include/ct.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_rotation_reaches_every_node_under_load/1,
         a_rotation_every_few_seconds_costs_no_link/1,
         a_node_that_comes_back_within_the_grace_learns_the_new_entry/1,
         a_node_that_comes_back_after_the_grace_is_refused_and_told/1,
         a_kill_in_phase_1_loses_nothing/1, a_kill_in_phase_2_loses_nothing/1,
         kills_while_it_rotates_leave_a_good_keyring/1, two_rotations_at_once_both_survive/1,
         a_dropped_entry_does_not_come_back/1, nothing_is_given_without_an_entry_in_common/1,
         forged_messages_are_counted_and_told_once/1, who_asks_for_a_passphrase_holds_up_no_edit/1, an_older_peer_is_left_alone/1,
         one_node_rotates_by_schedule/1, no_message_state_or_log_shows_the_secret/1]).

-import(merlon_rotate_ct, [met/2, dirs/2, node_in/2, again/3, mesh/1, rotate/2, held/1, preferred/1, same/1, all_have/2, id/1]).
-import(merlon_live_ct, [events/2, taken/1]).
-import(merlon_peers, [wait/2]).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [a_rotation_reaches_every_node_under_load, a_rotation_every_few_seconds_costs_no_link, a_node_that_comes_back_within_the_grace_learns_the_new_entry,
     a_node_that_comes_back_after_the_grace_is_refused_and_told, a_kill_in_phase_1_loses_nothing,
     a_kill_in_phase_2_loses_nothing, kills_while_it_rotates_leave_a_good_keyring, two_rotations_at_once_both_survive,
     a_dropped_entry_does_not_come_back, nothing_is_given_without_an_entry_in_common,
     forged_messages_are_counted_and_told_once, who_asks_for_a_passphrase_holds_up_no_edit, an_older_peer_is_left_alone, one_node_rotates_by_schedule,
     no_message_state_or_log_shows_the_secret].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% Linked nodes, each in a dir of its own.
cluster(Count, Config) ->
    Dirs = dirs(Count, Config),
    Vms = [node_in(Config, Dir) || Dir <- Dirs],
    ok = mesh(Vms),
    _ = [met(Vm, Count - 1) || Vm <- Vms],
    {Dirs, Vms}.

%% ---- all is well ----

a_rotation_reaches_every_node_under_load(Config) ->
    {[DirA | _] = Dirs, [A, {_, NodeB, _} | _] = Vms} = cluster(5, Config),
    Old = id(1),
    _ = [ok = merlon_live_ct:watch(Vm) || Vm <- Vms],
    Load = spawn_link(fun() -> load(A, NodeB) end),
    New = rotate(DirA, ["--grace", "1h"]),
    ok = all_have(Vms, New),
    Again = rotate(lists:last(Dirs), []),
    ok = all_have(Vms, Again),
    {_, Old, _} = ended(A, Old),
    [[] = merlon_live_ct:downs(Vm) || Vm <- Vms],
    true = is_process_alive(Load),
    unlink(Load),
    exit(Load, kill),
    %% The commands say so, and who has what.
    wait(fun() -> merlon_rotate_ct:phase(DirA) =:= "Phase 2" end, 10000),
    Shows = fun(Words) -> re:run(merlon_rotate_ct:cli(["keyring", "--dir", DirA]), Words, [{capture, none}]) =:= match end,
    true = Shows([Again, " .*preferred"]),
    wait(fun() -> Shows(["all of these +", atom_to_list(NodeB)]) end, 10000), % it has not been heard yet
    [8#600 = merlon_test_dir:mode(filename:join(Dir, "keyring")) || Dir <- Dirs].

%% By one node after the other, while two of them lose each other and link again: more rotations than a keyring has entries.
a_rotation_every_few_seconds_costs_no_link(Config) ->
    {_, Vms} = cluster(5, Config),
    [A, {_, NodeB, _}, C, D, E] = Vms,
    _ = [ok = merlon_live_ct:watch(Vm) || Vm <- Vms],
    Load = spawn_link(fun() -> load(A, NodeB) end),
    News = [begin
                {ok, New} = merlon_ct:call(Vm, merlon_keyring, rotate, [[{grace, 6}, {skew, 4}]]),
                ok = merlon_rotate_ct:unlink_nodes(C, D),
                timer:sleep(3000),
                ok = merlon_ct:connect(D, C),
                New
            end || _ <- lists:seq(1, 6), Vm <- [A, C, E]],
    18 = length(lists:usort(News)),
    ok = all_have(Vms, lists:last(News)),
    [[] = merlon_live_ct:downs(Vm) || Vm <- [A, E]],
    [[Lost] = lists:usort([Node || {Node, _} <- merlon_live_ct:downs(Vm)])
     || {Vm, {_, Lost, _}} <- [{C, D}, {D, C}]],
    [[] = events(Vm, Event) || Vm <- Vms, Event <- [rotation_failed, rotation_refused, reload_refused, refused]],
    unlink(Load),
    exit(Load, kill).

load({Peer, _, _} = Vm, Node) ->
    _ = merlon_peers:call(Peer, merlon_work, echo, [Node, binary:copy(<<1>>, 100000)]),
    load(Vm, Node).

ended(Vm, Id) ->
    [#{not_after := End}] = [Entry || #{id := Found} = Entry <- held(Vm), Found =:= Id],
    true = is_integer(End),
    {ended, Id, End}.

a_node_that_comes_back_within_the_grace_learns_the_new_entry(Config) ->
    {[DirA, _, DirC], [A, B, {_, NodeC, _} = C]} = cluster(3, Config),
    ok = merlon_ct:drop(C),
    New = rotate(DirA, ["--grace", "1h"]),
    wait(fun() -> length(held(B)) =:= 2 end, 10000),
    %% One that is known is waited for.
    Old = id(1),
    [Old, Old] = [preferred(Vm) || Vm <- [A, B]],
    Back = again(Config, DirC, NodeC),
    ok = mesh([A, B, Back]),
    ok = all_have([A, B, Back], New),
    [#{entry := New}] = events(Back, entry_learnt).

a_node_that_comes_back_after_the_grace_is_refused_and_told(Config) ->
    {[DirA, _, DirC], [A, B, {_, NodeC, _} = C]} = cluster(3, Config),
    ok = merlon_ct:drop(C),
    New = rotate(DirA, ["--grace", "8s", "--skew", "2s"]),
    wait(fun() -> preferred(A) =:= New andalso preferred(B) =:= New end, 15000),
    Ended = fun() ->
                    {ended, _, End} = ended(A, id(1)),
                    erlang:system_time(second) > End
            end,
    wait(Ended, 20000),
    timer:sleep(1100),
    Late = again(Config, DirC, NodeC),
    false = merlon_ct:call(Late, net_kernel, connect_node, [element(2, A)]),
    Refused = fun() -> [Report || #{side := accept} = Report <- events(A, refused)] end,
    wait(fun() -> Refused() =/= [] end, 5000), % A closes first and writes then
    [#{reason := no_common_key, text := Text} | _] = Refused(),
    {match, _} = re:run(Text, [id(1), ", which was rotated out and ended at .*copy this node's keyring"]),
    %% As the line says.
    {ok, _} = file:copy(filename:join(DirA, "keyring"), filename:join(DirC, "keyring")),
    ok = taken(Late),
    ok = merlon_ct:connect(Late, A).

%% ---- kills ----

a_kill_in_phase_1_loses_nothing(Config) ->
    {[DirA, _, DirC], [{_, NodeA, _} = A, B, {_, NodeC, _} = C]} = cluster(3, Config),
    ok = merlon_ct:drop(C),
    New = rotate(DirA, ["--grace", "1h"]),
    wait(fun() -> length(held(B)) =:= 2 end, 10000),
    "Phase 1" = merlon_rotate_ct:phase(DirA),
    ok = merlon_ct:drop(A),
    BackA = again(Config, DirA, NodeA),
    ok = mesh([BackA, B]),
    "Phase 1" = merlon_rotate_ct:phase(DirA),
    BackC = again(Config, DirC, NodeC),
    ok = mesh([BackA, B, BackC]),
    ok = all_have([BackA, B, BackC], New).

a_kill_in_phase_2_loses_nothing(Config) ->
    {[DirA, DirB | _], [{_, NodeA, _} = A, {_, NodeB, _} = B, C]} = cluster(3, Config),
    New = rotate(DirA, ["--grace", "1h"]),
    ok = all_have([A, B, C], New),
    Held = held(C),
    _ = [ok = merlon_ct:drop(Vm) || Vm <- [A, B]],
    Back = [again(Config, Dir, Node) || {Dir, Node} <- [{DirA, NodeA}, {DirB, NodeB}]],
    ok = mesh([C | Back]),
    ok = all_have([C | Back], New),
    [Held = held(Vm) || Vm <- [C | Back]].

kills_while_it_rotates_leave_a_good_keyring(Config) ->
    [Dir | _] = dirs(1, Config),
    Node = merlon_peers:node(merlon_peers:name("r")),
    ok = merlon_peers:add_node(Dir, Node),
    Counts = [begin
                  {Peer, _, _} = Vm = again(Config, Dir, Node),
                  _ = spawn(fun() -> catch merlon_peers:call(Peer, merlon_keyring, rotate, [[{grace, 3600}]]) end),
                  timer:sleep(After),
                  ok = merlon_ct:drop(Vm),
                  {ok, Entries} = merlon_keyring:read(Dir),
                  length(Entries)
              end || After <- [0, 1, 2, 4, 6, 8, 12, 40]],
    ct:pal("entries after each: ~p", [Counts]),
    Vm = again(Config, Dir, Node),
    {ok, New} = merlon_ct:call(Vm, merlon_keyring, rotate, [[]]),
    ok = all_have([Vm], New).

%% ---- others do something, too ----

two_rotations_at_once_both_survive(Config) ->
    {[DirA, DirB, _], [A, B, C]} = cluster(3, Config),
    _ = [ok = merlon_rotate_ct:unlink_nodes(X, Y) || {X, Y} <- [{A, B}, {A, C}, {B, C}]],
    News = [rotate(DirA, ["--grace", "1h"]), rotate(DirB, ["--grace", "2h"])],
    wait(fun() -> length(held(A)) =:= 2 andalso length(held(B)) =:= 2 end, 10000),
    ok = mesh([A, B, C]),
    wait(fun() -> same([A, B, C]) andalso length(held(C)) =:= 3 andalso lists:member(preferred(C), News) end, 20000),
    ok = all_have([A, B, C], preferred(C)),
    {ended, _, _} = ended(C, id(1)),
    [never, never] = [End || #{id := Id, not_after := End} <- held(C), lists:member(Id, News)].

a_dropped_entry_does_not_come_back(Config) ->
    {[DirA | _], [A, B]} = cluster(2, Config),
    New = rotate(DirA, ["--grace", "1h"]),
    ok = all_have([A, B], New),
    Old = binary_to_list(id(1)),
    _ = merlon_rotate_ct:cli(["keyring", "--drop", Old, "--dir", DirA]),
    Expired = fun() ->
                      [#{not_after := End}] = [Entry || #{id := Id} = Entry <- held(B), Id =:= id(1)],
                      End < erlang:system_time(second)
              end,
    wait(Expired, 15000),
    timer:sleep(3000),
    [#{id := New}] = held(A),
    %% A copy of the old file does not bring it back either.
    ok = merlon_rotate_ct:unlink_nodes(A, B),
    ok = merlon_ct:connect(A, B),
    timer:sleep(3000),
    [#{id := New}] = held(A).

nothing_is_given_without_an_entry_in_common(Config) ->
    {[DirA | _], [A, {_, NodeB, _} = B]} = cluster(2, Config),
    merlon_rotate_ct:put_keyring(DirA, [merlon_rotate_ct:entry(4)]),
    ok = taken(A),
    wait(fun() -> is_map_key(nothing_in_common, merlon_rotate_ct:refused(A, NodeB)) end, 10000),
    timer:sleep(1000),
    [#{id := First}] = held(B),
    true = First =:= id(1),
    [#{node := NodeB, reason := nothing_in_common}] = events(A, rotation_refused).

forged_messages_are_counted_and_told_once(Config) ->
    {_, [{_, NodeA, _} = A, {_, NodeB, _} = B]} = cluster(2, Config),
    ok = merlon_rotate_ct:stop_spreading(B),
    Held = held(A),
    Nonce = binary:copy(<<7>>, 32),
    Pid = merlon_ct:call(B, erlang, whereis, [net_kernel]),
    Send = fun(Body) -> merlon_ct:call(B, erlang, send, [{merlon_rotate, NodeA}, {merlon_rotate, 1, Pid, Body}]) end,
    Huge = [{digest, #{entries => lists:duplicate(100000, {id(1), 1, 1, 1}), has => []}, true},
            {give, id(1), Nonce, binary:copy(<<1>>, 10000000)}, {want, id(1), lists:duplicate(17, id(1)), Nonce}],
    _ = [Send(Body) || Body <- Huge ++ [{digest, #{}, true}, nonsense, {give, id(1), Nonce, <<1:(73 * 8)>>}]],
    wait(fun() -> merlon_rotate_ct:refused(A, NodeB) =:= #{malformed => 5, not_asked => 1} end, 10000),
    ok = merlon_ct:call(B, merlon_rotate_ct, impostor, [NodeA, id(9)]),
    wait(fun() -> is_map_key(bad_transfer, merlon_rotate_ct:refused(A, NodeB)) end, 10000),
    wait(fun() -> maps:get(not_asked, merlon_rotate_ct:refused(A, NodeB)) >= 2 end, 10000),
    %% Nor is it answered as often as it likes.
    _ = [Send({want, id(1), [id(1)], Nonce}) || _ <- lists:seq(1, 25)],
    wait(fun() -> maps:get(too_many, merlon_rotate_ct:refused(A, NodeB), 0) =:= 5 end, 10000),
    Held = held(A),
    [bad_transfer, malformed, not_asked, too_many] =
        lists:sort([Why || #{reason := Why, node := Node} <- events(A, rotation_refused), Node =:= NodeB]).

%% A passphrase is not given; that peers want it all the same is no failure of this node's own.
who_asks_for_a_passphrase_holds_up_no_edit(Config) ->
    {[DirA | _], [{_, NodeA, _} = A, B]} = cluster(2, Config),
    {ok, {Phrase, _}} = merlon_nif:keyring_stretch(none, {7168, 5, 1}, <<"six words">>, <<"live">>, {0, never}, 65536),
    Older = (merlon_rotate_ct:entry(3))#{id := Phrase, created := 1000, kdf := {argon2id, 7168, 5, 1},
                                         secret := fun() -> <<"six words">> end},
    [First, Second] = lists:sort([id(1), id(2)]),
    merlon_rotate_ct:put_keyring(DirA, [merlon_rotate_ct:entry(1), merlon_rotate_ct:entry(2), Older]),
    ok = merlon_rotate_ct:stop_spreading(B),
    ok = taken(A),
    wait(fun() -> length(held(A)) =:= 3 end, 10000),
    Pid = merlon_ct:call(B, erlang, whereis, [net_kernel]),
    Send = fun(Body) -> merlon_ct:call(B, erlang, send, [{merlon_rotate, NodeA}, {merlon_rotate, 1, Pid, Body}]) end,
    Want = fun() -> Send({want, Phrase, [First, Second], binary:copy(<<7>>, 32)}) end,
    Want(),
    End = erlang:system_time(second) - 1,
    Send({digest, #{entries => [{First, 1000, 1000, End}], has => [First]}, false}),
    _ = [begin Want(), timer:sleep(500) end || _ <- lists:seq(1, 8)],
    {ended, First, End} = ended(A, First).

an_older_peer_is_left_alone(Config) ->
    {[DirA | _], [A, B]} = cluster(2, Config),
    ok = merlon_rotate_ct:stop_spreading(B),
    New = rotate(DirA, ["--grace", "8s", "--skew", "20s"]),
    wait(fun() -> preferred(A) =:= New end, 15000), % it has waited long enough
    ok = merlon_rotate_ct:unlink_nodes(A, B),
    ok = merlon_ct:connect(A, B), % by the old one
    [#{id := Old}] = held(B),
    true = Old =:= id(1).

one_node_rotates_by_schedule(Config) ->
    Dirs = dirs(2, Config),
    Vms = [node_in(Config, Dir) || Dir <- Dirs],
    ok = mesh(Vms), % first: each alone would be the one
    _ = [ok = merlon_live_ct:config(Dir, "{rotate_secret, {every, {10, seconds}}}.\n") || Dir <- Dirs],
    _ = [{ok, _} = merlon_live_ct:reload(Vm) || Vm <- Vms],
    [First, Second] = lists:keysort(2, Vms),
    wait(fun() -> length(events(First, rotated)) >= 2 end, 60000),
    [] = events(Second, rotated),
    [#{entry := New} | _] = lists:reverse(events(First, rotated)),
    wait(fun() -> lists:keymember(New, 1, [{Id} || #{id := Id} <- held(Second)]) end, 15000).

%% ---- secrecy ----

%% A has one more, whose secret is known here; B learns it. And a rotation, whose secret B's file tells.
no_message_state_or_log_shows_the_secret(Config) ->
    [DirA, DirB] = dirs(2, Config),
    Byte = 16#5e,
    merlon_rotate_ct:put_keyring(DirA, [merlon_rotate_ct:entry(1), merlon_rotate_ct:entry(Byte)]),
    Vms = [A, B] = [node_in(Config, Dir) || Dir <- [DirA, DirB]],
    _ = [ok = merlon_ct:call(Vm, merlon_rotate_ct, trace, [merlon_rotate]) || Vm <- Vms],
    ok = merlon_ct:connect(A, B),
    wait(fun() -> same(Vms) andalso length(held(B)) =:= 2 end, 15000),
    {ok, New} = merlon_ct:call(A, merlon_keyring, rotate, [#{grace => 3600}]),
    ok = all_have(Vms, New),
    {ok, Text} = file:read_file(filename:join(DirB, "keyring")),
    {ok, Entries} = merlon_keyring_core:parse(Text),
    Secrets = [Secret() || #{secret := Secret} <- Entries],
    3 = length(Secrets),
    true = lists:member(merlon_rotate_ct:secret(Byte), Secrets),
    Traces = [merlon_ct:call(Vm, merlon_rotate_ct, traced, []) || Vm <- Vms],
    Shown = [merlon_ct:call(Vm, merlon_keyring_SUITE, everything_shown, []) || Vm <- Vms],
    States = [term_to_binary(merlon_ct:call(Vm, sys, get_status, [merlon_rotate])) || Vm <- Vms],
    Logs = [term_to_binary(merlon_peers:log(element(1, Vm))) || Vm <- Vms],
    Status = [element(2, {ok, _} = file:read_file(filename:join(Dir, "keyring.status"))) || Dir <- [DirA, DirB]],
    All = Traces ++ Shown ++ States ++ Logs ++ Status,
    [nomatch = binary:match(Seen, Form)
     || Secret <- Secrets, Seen <- All,
        Form <- [Secret, string:lowercase(binary:encode_hex(Secret)), binary:encode_hex(Secret), base64:encode(Secret)]],
    %% The search sees what there is: the sealed entries, calls of the native library, ids.
    [{_, _} = binary:match(Seen, Word)
     || Seen <- Traces, Word <- [<<"keyring_edit">>, <<"digest">>, New]],
    {_, _} = binary:match(iolist_to_binary(Traces), <<"sealed">>),
    {_, _} = binary:match(iolist_to_binary(Traces), <<"keyring_seal">>).
