%% SPDX-License-Identifier: Apache-2.0
%% Keyring rotation, the secret identity, renewal and re-proof together: whatever runs out, links that were up stay.
-module(merlon_together_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([links_of_secret_identities_outlive_the_entry_that_they_began_with/1,
         links_of_certificates_stand_on_the_new_entry_after_a_rotation_under_load/1,
         links_outlive_the_leaf_that_they_began_with/1]).

-import(merlon_live_ct, [events/2, downs/1, watch/1]).

suite() -> [{timetrap, {seconds, 150}}].

all() ->
    [links_of_secret_identities_outlive_the_entry_that_they_began_with,
     links_of_certificates_stand_on_the_new_entry_after_a_rotation_under_load,
     links_outlive_the_leaf_that_they_began_with].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

pairs(Vms) -> [{A, B} || A <- Vms, B <- Vms, A =/= B].

%% Linked and watched from now on. Gives what tells one link from a later one.
linked(Vms) ->
    ok = merlon_rotate_ct:mesh(Vms),
    _ = [ok = watch(Vm) || Vm <- Vms],
    links(Vms).

links(Vms) ->
    [{name(A), name(B), maps:with([since, direction], merlon_ct:the_link(A, name(B)))} || {A, B} <- pairs(Vms)].

same_links(Links, Vms) ->
    [] = [Down || Vm <- Vms, Down <- downs(Vm)],
    Links = links(Vms),
    [ok = merlon_ct:call(A, merlon_work, echo, [name(B), still_up]) || {A, B} <- pairs(Vms)],
    [] = [Report || Vm <- Vms, Event <- [link_closed, rotation_failed, rotation_refused],
                    Report <- events(Vm, Event)],
    ok.

%% All of them, on both ends.
proved(Vms, Id) ->
    merlon_peers:wait(fun() -> lists:all(fun({A, B}) -> with(A, B) =:= {ok, Id} end, pairs(Vms)) end, 20000).

with(A, B) -> merlon_ct:call(A, merlon_reprove, proved_with, [name(B)]).

until(Seconds) ->
    merlon_peers:wait(fun() -> erlang:system_time(second) > Seconds end, 60000).

%% When the last entry but Id ends.
end_of_others(Vm, Id) ->
    Ends = [End || #{id := Other, not_after := End} <- merlon_rotate_ct:held(Vm), Other =/= Id],
    true = lists:all(fun erlang:is_integer/1, Ends),
    lists:max(Ends).

%% ---- rotation ----

secret_dirs(Count, Config) ->
    [begin
         Dir = filename:join(proplists:get_value(priv_dir, Config),
                             lists:concat(["together", erlang:unique_integer([positive])])),
         ok = file:make_dir(Dir),
         ok = merlon_rotate_ct:put_keyring(Dir, [merlon_rotate_ct:entry(1)]),
         Dir
     end || _ <- lists:seq(1, Count)].

%% Each certificate is from the CA of an entry that has ended by then.
links_of_secret_identities_outlive_the_entry_that_they_began_with(Config) ->
    Dirs = secret_dirs(3, Config),
    Vms = [merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("t")), [], #{dir => Dir, certify => false})
           || Dir <- Dirs],
    Links = linked(Vms),
    _ = [begin
             New = merlon_rotate_ct:rotate(Dir, ["--grace", "8s", "--skew", "2s"]),
             ok = merlon_rotate_ct:all_have(Vms, New),
             ok = proved(Vms, New),
             until(end_of_others(hd(Vms), New) + 8),
             ok = same_links(Links, Vms)
         end || Dir <- [hd(Dirs), lists:last(Dirs)]],
    ok.

links_of_certificates_stand_on_the_new_entry_after_a_rotation_under_load(Config) ->
    Dirs = merlon_rotate_ct:dirs(4, Config),
    Vms = [merlon_rotate_ct:node_in(Config, Dir) || Dir <- Dirs],
    Links = linked(Vms),
    ok = proved(Vms, merlon_rotate_ct:id(1)),
    Load = [{A, merlon_ct:call(A, erlang, spawn, [merlon_work, exchange, [name(B), lists:duplicate(200000, 10000)]])}
            || {A, B} <- lists:zip(Vms, tl(Vms) ++ [hd(Vms)])],
    _ = [begin
             New = merlon_rotate_ct:rotate(Dir, ["--grace", "8s", "--skew", "2s"]),
             ok = proved(Vms, New),
             until(end_of_others(hd(Vms), New) + 8)
         end || Dir <- [hd(Dirs), lists:last(Dirs)]],
    [true = merlon_ct:call(A, erlang, is_process_alive, [Pid]) || {A, Pid} <- Load],
    [true = merlon_ct:call(A, erlang, exit, [Pid, kill]) || {A, Pid} <- Load],
    ok = same_links(Links, Vms).

%% ---- renewal ----

links_outlive_the_leaf_that_they_began_with(Config) ->
    Dir = merlon_live_ct:dir(Config),
    Ca = merlon_live_ct:node_in(Config, Dir),
    Others = [merlon_live_ct:node_away(Config, Dir, #{life => 40}) || _ <- "bc"],
    Vms = [Ca | Others],
    Links = linked(Vms),
    End = lists:max([maps:get(not_after, merlon_ct:the_link(Ca, name(Vm))) || Vm <- Others]),
    true = End < erlang:system_time(second) + 60,
    until(End + 8),
    [[#{event := renewed}] = events(Vm, renewed) || Vm <- Others],
    [true = maps:get(not_after, merlon_ct:the_link(A, name(B))) > End + 3600 || {A, B} <- pairs(Vms)],
    ok = same_links(Links, Vms).
