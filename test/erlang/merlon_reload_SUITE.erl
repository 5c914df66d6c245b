%% SPDX-License-Identifier: Apache-2.0
%% Files of the merlon dir that change under running nodes: what is good is used by the next link,
%% what is bad by none, nothing grows, and no link is lost that need not be.
-module(merlon_reload_SUITE).

-include_lib("common_test/include/ct.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_renewed_certificate_is_used_at_once_when_asked_for/1,
         a_renewed_certificate_is_noticed_within_5_seconds/1,
         a_bad_file_is_refused_as_a_whole_with_one_line/1,
         a_new_certificate_waits_for_its_key/1,
         a_secret_mount_that_swaps_its_links_is_followed/1,
         settings_change_while_the_node_runs_or_say_that_they_do_not/1,
         a_root_is_rotated_without_a_lost_link/1,
         a_crash_of_the_follower_costs_no_link/1,
         the_follower_comes_and_goes_with_the_distribution/1,
         ten_thousand_reloads_grow_nothing/1]).
-export([alternate/3]).

-import(merlon_live_ct, [dir/1, node_in/2, node_away/2, reload/1, taken/1, events/2, downs/1, watch/1, config/2, within/2]).

suite() -> [{timetrap, {seconds, 170}}].

all() ->
    [a_renewed_certificate_is_used_at_once_when_asked_for,
     a_renewed_certificate_is_noticed_within_5_seconds,
     a_bad_file_is_refused_as_a_whole_with_one_line, a_new_certificate_waits_for_its_key,
     a_secret_mount_that_swaps_its_links_is_followed,
     settings_change_while_the_node_runs_or_say_that_they_do_not,
     a_root_is_rotated_without_a_lost_link, a_crash_of_the_follower_costs_no_link,
     the_follower_comes_and_goes_with_the_distribution,
     ten_thousand_reloads_grow_nothing].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

pair(Config) ->
    Dir = dir(Config),
    {Dir, node_in(Config, Dir), node_in(Config, Dir)}.

%% What A would show to B, as B sees it.
shown({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    true = merlon_ct:call(A, net_kernel, connect_node, [NodeB]),
    #{fingerprint := Fingerprint} = merlon_ct:the_link(B, NodeA),
    Fingerprint.

relink(A, B) ->
    merlon_ct:unlink(A, B),
    shown(A, B).

file(Dir, {_, Node, _}, Name) -> filename:join([Dir, "nodes", Node, Name]).

%% By rename, as everything that writes certificates does.
put_file(File, Content) ->
    New = File ++ ".new",
    ok = merlon_peers:write_secret(New, Content),
    ok = file:rename(New, File).

%% A new key and certificate for the node, not put into place.
renewed(Dir, {_, Node, _}) ->
    Aside = merlon_peers:node(merlon_peers:name("aside")),
    ok = merlon_peers:add_node(Dir, Node, #{as => Aside}),
    {ok, Cert} = file:read_file(filename:join([Dir, "nodes", Aside, "cert.pem"])),
    {ok, Key} = file:read_file(filename:join([Dir, "nodes", Aside, "key.pem"])),
    {Cert, Key}.

renew(Dir, Vm) ->
    {Cert, Key} = renewed(Dir, Vm),
    put_file(file(Dir, Vm, "key.pem"), Key),
    put_file(file(Dir, Vm, "cert.pem"), Cert),
    merlon_live_ct:fingerprint(Cert).

%% ---- new files ----

a_renewed_certificate_is_used_at_once_when_asked_for(Config) ->
    {Dir, A, {_, NodeB, _} = B} = pair(Config),
    Old = shown(A, B),
    ok = watch(A),
    New = renew(Dir, A),
    true = Old =/= New,
    ok = taken(A),
    {ok, unchanged} = reload(A),
    #{} = merlon_ct:link_of(B, element(2, A)), % the link that is up goes on
    [] = downs(A),
    New = relink(A, B),
    %% Where A is dialled, too.
    _ = merlon_ct:call(B, erlang, disconnect_node, [element(2, A)]),
    merlon_peers:wait(fun() -> merlon_ct:link_of(A, NodeB) =:= none end),
    true = merlon_ct:call(B, net_kernel, connect_node, [element(2, A)]),
    #{fingerprint := New} = merlon_ct:the_link(B, element(2, A)),
    [#{fingerprint := New, level := info}] = events(A, reloaded),
    %% No application was needed.
    false = lists:keymember(merlon, 1, merlon_ct:call(A, application, which_applications, [])).

a_renewed_certificate_is_noticed_within_5_seconds(Config) ->
    {Dir, A, B} = pair(Config),
    _ = shown(A, B),
    New = renew(Dir, A),
    ok = within(5000, fun() -> events(A, reloaded) =/= [] end),
    New = relink(A, B),
    timer:sleep(5000), % later polls say nothing more
    [_] = events(A, reloaded).

a_bad_file_is_refused_as_a_whole_with_one_line(Config) ->
    {Dir, A, B} = pair(Config),
    Old = shown(A, B),
    %% A good renewal beside a trust folder with rubbish in it.
    Rubbish = filename:join([Dir, "trust", "rubbish.pem"]),
    put_file(Rubbish, <<"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n">>),
    New = renew(Dir, A),
    merlon_peers:wait(fun() -> events(A, reload_refused) =/= [] end, 8000),
    {error, Reason} = reload(A),
    Said = iolist_to_binary(merlon_ct:call(A, merlon, format_error, [Reason])),
    {match, _} = re:run(Said, "rubbish\\.pem"),
    Old = relink(A, B),
    timer:sleep(5000), % two more polls
    [#{level := error, text := Text}] = events(A, reload_refused),
    {match, _} = re:run(Text, "stays in use: .*rubbish\\.pem"),
    ok = file:delete(Rubbish),
    ok = taken(A),
    New = relink(A, B).

a_new_certificate_waits_for_its_key(Config) ->
    {Dir, A, B} = pair(Config),
    Old = shown(A, B),
    {Cert, Key} = renewed(Dir, A),
    put_file(file(Dir, A, "cert.pem"), Cert),
    {error, {identity, {unusable, _, key_mismatch}}} = reload(A),
    Old = relink(A, B),
    put_file(file(Dir, A, "key.pem"), Key),
    ok = within(5000, fun() -> events(A, reloaded) =/= [] end),
    New = merlon_live_ct:fingerprint(Cert),
    New = relink(A, B),
    %% A key that others may read is no key.
    {_, Other} = renewed(Dir, A),
    put_file(file(Dir, A, "key.pem"), Other),
    ok = file:change_mode(file(Dir, A, "key.pem"), 8#644),
    {error, {file, {too_open, _, 8#644}}} = reload(A),
    New = relink(A, B).

%% Kubernetes: cert.pem -> ..data/cert.pem, ..data -> ..1, and a rename that makes it ..2.
a_secret_mount_that_swaps_its_links_is_followed(Config) ->
    {Dir, A, B} = pair(Config),
    Old = shown(A, B),
    Folder = filename:join([Dir, "nodes", element(2, A)]),
    ok = mount(Folder),
    {ok, unchanged} = reload(A),
    {Cert, Key} = renewed(Dir, A),
    ok = filelib:ensure_dir(filename:join([Folder, "..2", "x"])),
    ok = merlon_peers:write_secret(filename:join([Folder, "..2", "cert.pem"]), Cert),
    ok = merlon_peers:write_secret(filename:join([Folder, "..2", "key.pem"]), Key),
    ok = swap(Folder, "..2"),
    ok = within(5000, fun() -> events(A, reloaded) =/= [] end),
    [] = events(A, reload_refused),
    New = relink(A, B),
    true = New =/= Old,
    New = merlon_live_ct:fingerprint(Cert).

%% Makes a folder with two files a mount of version ..1.
mount(Folder) ->
    ok = file:make_dir(filename:join(Folder, "..1")),
    ok = swap(Folder, "..1"),
    [begin
         ok = file:rename(filename:join(Folder, Name), filename:join([Folder, "..1", Name])),
         ok = file:make_symlink(filename:join("..data", Name), filename:join(Folder, Name))
     end || Name <- ["key.pem", "cert.pem"]],
    ok.

swap(Folder, Version) ->
    Link = filename:join(Folder, "..data_tmp"),
    ok = file:make_symlink(Version, Link),
    file:rename(Link, filename:join(Folder, "..data")).

settings_change_while_the_node_runs_or_say_that_they_do_not(Config) ->
    {Dir, A, B} = pair(Config),
    _ = shown(A, B),
    ok = config(Dir, "{handshake_timeout, 1234}.\n{cli_names, [\"mytool-*\"]}.\n{require_carrier, true}.\n"),
    ok = taken(A),
    #{handshake_timeout := 1234, cli_names := [<<"mytool-*">>], require_carrier := false} =
        merlon_ct:call(A, merlon_node, config, []),
    merlon_peers:wait(fun() -> events(A, at_next_start) =/= [] end),
    ok = config(Dir, "{handshake_timeout, 1234}.\n{cli_names, [\"mytool-*\"]}.\n{require_carrier, true}.\n%%\n"),
    {ok, unchanged} = reload(A),
    [#{keys := [require_carrier], level := warning}] = events(A, at_next_start),
    ok = config(Dir, "{handshake_timeout, soon}.\n"),
    {error, {config, {_, 2, _}}} = reload(A),
    #{handshake_timeout := 1234} = merlon_ct:call(A, merlon_node, config, []).

%% Both roots trusted, new leaves, links made anew one by one, the old root dropped.
a_root_is_rotated_without_a_lost_link(Config) ->
    {Dir, A, B} = pair(Config),
    C = node_in(Config, Dir),
    Nodes = [A, B, C],
    [_ = shown(X, Y) || {X, Y} <- [{A, B}, {A, C}, {B, C}]],
    New = merlon_peers:new_ca(Dir, "live", erlang:system_time(second)),
    put_file(filename:join([Dir, "trust", "new.pem"]), New),
    [ok = taken(Vm) || Vm <- Nodes],
    _ = [renew(Dir, Vm) || Vm <- Nodes],
    [ok = taken(Vm) || Vm <- Nodes],
    _ = [relink(X, Y) || {X, Y} <- [{A, B}, {A, C}, {B, C}]],
    [ok = watch(Vm) || Vm <- Nodes],
    ok = file:delete(filename:join([Dir, "trust", "ca.pem"])),
    [ok = taken(Vm) || Vm <- Nodes],
    timer:sleep(3000), % a poll
    [{[], [], 2} = {downs(Vm), events(Vm, link_closed), length(merlon_ct:links(Vm))} || Vm <- Nodes],
    ok.

a_crash_of_the_follower_costs_no_link(Config) ->
    {Dir, A, {_, NodeB, _} = B} = pair(Config),
    _ = shown(A, B),
    ok = watch(A),
    Follower = fun() -> merlon_ct:call(A, erlang, whereis, [merlon_reload]) end,
    _ = [begin
             Pid = Follower(),
             true = is_pid(Pid),
             _ = merlon_ct:call(A, erlang, exit, [Pid, kill]),
             merlon_peers:wait(fun() -> is_pid(Follower()) andalso Follower() =/= Pid end)
         end || _ <- lists:seq(1, 20)],
    [] = downs(A),
    ok = merlon_ct:alive(A),
    New = renew(Dir, A),
    ok = taken(A),
    New = relink(A, B),
    %% It knows the links that were there before it.
    ok = merlon_live_ct:revoke(Dir, [NodeB]),
    merlon_peers:wait(fun() -> merlon_ct:link_of(A, NodeB) =:= none end).

the_follower_comes_and_goes_with_the_distribution(Config) ->
    Dir = dir(Config),
    Node = merlon_peers:node(merlon_peers:name("late")),
    ok = merlon_peers:add_node(Dir, Node),
    Vm = merlon_ct:run(Config, merlon_peers:args(Dir), #{}),
    {error, not_distributed} = reload(Vm),
    [begin
         %% epmd may still know the name that has just been given up.
         merlon_peers:wait(fun() -> started(merlon_ct:call(Vm, net_kernel, start, [[Node, longnames]])) end),
         {ok, unchanged} = reload(Vm),
         _ = renew(Dir, {none, Node, none}),
         ok = taken(Vm),
         ok = merlon_ct:call(Vm, net_kernel, stop, []),
         {error, not_distributed} = reload(Vm)
     end || _ <- "123"],
    ok.

started({Result, _}) -> Result =:= ok.

%% ---- growth ----

%% Certificate and key, trust, a revocation list and the settings are others each time.
ten_thousand_reloads_grow_nothing(Config) ->
    Dir = dir(Config),
    B = node_away(Config, Dir),
    A = node_in(Config, Dir),
    _ = shown(A, B),
    ok = two_of_all(Config, Dir, A),
    ok = taken(A),
    %% The sink of the log keeps everything, and one line a reload is what there is to be.
    ok = merlon_ct:call(A, logger, set_primary_config, [level, error]),
    ok = run(A, Dir, 1000),
    Before = used(A),
    ok = run(A, Dir, 10000),
    After = used(A),
    Grown = maps:map(fun(Key1, Value) -> Value - maps:get(Key1, Before) end, After),
    ct:pal("grown in 10,000 reloads: ~p", [Grown]),
    #{atoms := 0, processes := Processes, ports := 0, fds := Fds, ets := 0, total := Total,
      binary := Binary, rss := Rss} = Grown,
    true = abs(Processes) =< 1,
    true = abs(Fds) =< 2,
    true = Total < 512 * 1024,
    true = Binary < 64 * 1024,
    true = Rss < 8 * 1024 * 1024,
    [_] = merlon_ct:links(A),
    {comment, io_lib:format("memory ~w kB, binaries ~w kB, rss ~w kB",
                            [Total div 1024, Binary div 1024, Rss div 1024])}.

%% Two folders in Dir with all that a node reads, of which one is in use by a link.
two_of_all(Config, Dir, {_, Node, _} = A) ->
    Links = [{"merlon.config", "merlon.config"}, {"trust/other.pem", "other.pem"}, {"crl/other.crl", "other.crl"}
             | [{filename:join(["nodes", Node, Name]), Name} || Name <- ["cert.pem", "key.pem"]]],
    ok = filelib:ensure_dir(filename:join([Dir, "crl", "x"])),
    [ok = version(Config, Dir, A, Number) || Number <- [1, 2]],
    ok = swap(Dir, "..1"),
    [begin
         Link = filename:join(Dir, Place),
         ok = file:make_symlink(filename:join(Dir, "..data/" ++ Name), Link ++ ".new"),
         ok = file:rename(Link ++ ".new", Link)
     end || {Place, Name} <- Links],
    ok.

version(Config, Dir, A, Number) ->
    Folder = filename:join(Dir, ".." ++ integer_to_list(Number)),
    Other = dir(Config),
    ok = merlon_peers:add_node(Other, 'gone@127.0.0.1'),
    ok = merlon_live_ct:revoke(Other, ['gone@127.0.0.1']),
    ok = file:make_dir(Folder),
    {Cert, Key} = renewed(Dir, A),
    ok = merlon_peers:write_secret(filename:join(Folder, "cert.pem"), Cert),
    ok = merlon_peers:write_secret(filename:join(Folder, "key.pem"), Key),
    [{ok, _} = file:copy(filename:join(Other, From), filename:join(Folder, To))
     || {From, To} <- [{"trust/ca.pem", "other.pem"}, {"crl.pem", "other.crl"}]],
    config(Folder, io_lib:format("{handshake_timeout, ~b}.\n{cli_names, [\"tool~b-*\"]}.\n", [5000 + Number, Number])).

run({Peer, _, _}, Folder, Times) ->
    Reloaded = merlon_peers:call(Peer, ?MODULE, alternate, [Folder, Times, {1, 0}], 150000),
    true = Reloaded > Times div 2, % the others were taken by a poll
    ok.

%% Runs on the node: each reload finds other files, and takes them.
alternate(_Folder, 0, {_, Reloaded}) -> Reloaded;
alternate(Folder, Left, {Turn, Reloaded}) ->
    {ok, #{sha256 := Before}} = merlon_node:current(),
    ok = swap(Folder, ["..", $1 + Turn]),
    {ok, How} = merlon:reload(),
    {ok, #{sha256 := After}} = merlon_node:current(),
    true = After =/= Before,
    Timeout = 5001 + Turn,
    #{handshake_timeout := Timeout} = merlon_node:config(),
    More = [reloaded || How =:= reloaded],
    alternate(Folder, Left - 1, {1 - Turn, Reloaded + length(More)}).

used({Peer, _, _} = Vm) ->
    _ = merlon_peers:call(Peer, erlang, system_info, [atom_count]),
    timer:sleep(1000), % what is replaced is collected behind our back
    _ = [merlon_ct:call(Vm, erlang, garbage_collect, [Pid])
         || Pid <- merlon_ct:call(Vm, erlang, processes, [])],
    Binary = merlon_ct:call(Vm, erlang, memory, [binary]),
    maps:merge((merlon_ct:resources(Vm))#{binary => Binary}, merlon_ct:memory(Vm)).
