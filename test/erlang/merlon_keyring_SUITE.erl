%% SPDX-License-Identifier: Apache-2.0
%% Nodes with a keyring: it alone decides who is let in, it is followed while they run, and nothing
%% of a running node shows it.
-module(merlon_keyring_SUITE).

-include_lib("common_test/include/ct.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([the_same_keyring_links_nodes_with_different_cookies/1,
         different_keyrings_are_refused_and_logged/1,
         a_node_with_a_keyring_and_one_without_do_not_link/1,
         the_newest_common_entry_is_used/1,
         an_expired_entry_is_never_accepted/1,
         a_bad_keyring_keeps_a_node_from_starting/1,
         a_new_keyring_is_taken_while_the_node_runs/1,
         a_bad_or_missing_keyring_is_not_taken_while_the_node_runs/1,
         applications_derive_the_same_on_every_node/1,
         no_process_and_no_log_shows_the_secret/1]).
-export([everything_shown/0]).

-import(merlon_live_ct, [events/2, taken/1, reload/1]).
-import(merlon_keyring_ct, [secret/1, entry/1, entry/3, put_keyring/2, copy_of/1]).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [the_same_keyring_links_nodes_with_different_cookies, different_keyrings_are_refused_and_logged,
     a_node_with_a_keyring_and_one_without_do_not_link, the_newest_common_entry_is_used,
     an_expired_entry_is_never_accepted, a_bad_keyring_keeps_a_node_from_starting,
     a_new_keyring_is_taken_while_the_node_runs,
     a_bad_or_missing_keyring_is_not_taken_while_the_node_runs,
     applications_derive_the_same_on_every_node, no_process_and_no_log_shows_the_secret].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- dirs and nodes ----

dirs(Config) ->
    A = merlon_live_ct:dir(Config),
    {A, copy_of(A)}.

node_in(Config, Dir, Cookie) ->
    merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("k")), ["-setcookie", Cookie], #{dir => Dir}).

pair(Config, EntriesA, EntriesB) ->
    {DirA, DirB} = dirs(Config),
    _ = [put_keyring(Dir, Entries) || {Dir, Entries} <- [{DirA, EntriesA}, {DirB, EntriesB}],
                                      Entries =/= none],
    {DirA, node_in(Config, DirA, "cookie_of_a"), DirB, node_in(Config, DirB, "cookie_of_b")}.

connect(A, {_, NodeB, _}) -> merlon_ct:call(A, net_kernel, connect_node, [NodeB]).

%% Both ways: who dials decides which of them picks.
refused(A, B) ->
    false = connect(A, B),
    false = connect(B, A),
    ok.

%% The cookie that this pair has under the entry, as dist_util was told.
cookie({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    Cookie = merlon_ct:call(A, erlang, get_cookie, [NodeB]),
    Cookie = merlon_ct:call(B, erlang, get_cookie, [NodeA]),
    Cookie.

unlink_nodes(A, B) -> merlon_ct:unlink(A, B).

%% ---- who is let in ----

the_same_keyring_links_nodes_with_different_cookies(Config) ->
    {_, A, _, B} = pair(Config, [entry(1)], [entry(1)]),
    ok = merlon_ct:connect(A, B),
    48 = length(atom_to_list(cookie(A, B))),
    unlink_nodes(A, B),
    ok = merlon_ct:connect(B, A).

different_keyrings_are_refused_and_logged(Config) ->
    {_, A, _, B} = pair(Config, [entry(1)], [entry(2)]),
    ok = refused(A, B),
    [#{reason := no_common_key, side := accept, level := error, text := Text} | _] =
        [Report || #{side := accept} = Report <- events(B, refused)],
    {_, _} = binary:match(Text, <<"no secret in common">>).

a_node_with_a_keyring_and_one_without_do_not_link(Config) ->
    {DirA, DirB} = dirs(Config),
    put_keyring(DirA, [entry(1)]),
    A = node_in(Config, DirA, "thesame"),
    B = node_in(Config, DirB, "thesame"),
    ok = refused(A, B),
    [begin
         [#{reason := no_common_key, text := Text}] =
             [Report || #{side := accept} = Report <- events(Vm, refused)],
         {_, _} = binary:match(Text, <<"only one of them has a keyring">>)
     end || Vm <- [A, B]].

the_newest_common_entry_is_used(Config) ->
    {DirA, A, DirB, B} = pair(Config, [entry(1), entry(2, -60, never)], [entry(1)]),
    %% Or they would give each other what they lack.
    _ = [ok = merlon_live_ct:config(Dir, "{rotate_secret, off}.\n") || Dir <- [DirA, DirB]],
    _ = [ok = taken(Vm) || Vm <- [A, B]],
    ok = merlon_ct:connect(A, B),
    Old = cookie(A, B),
    unlink_nodes(A, B),
    put_keyring(DirB, [entry(1), entry(2, -60, never)]),
    ok = taken(B),
    ok = merlon_ct:connect(A, B),
    New = cookie(A, B),
    true = Old =/= New,
    unlink_nodes(A, B),
    put_keyring(DirB, [entry(1), entry(2, 3600, never)]), % not yet
    ok = taken(B),
    ok = merlon_ct:connect(B, A),
    Old = cookie(A, B).

%% Both hold it; each has another one, so that it starts.
an_expired_entry_is_never_accepted(Config) ->
    {_, A, DirB, B} = pair(Config, [entry(1, -3600, -60), entry(2)], [entry(1, -3600, -60), entry(3)]),
    ok = refused(A, B),
    put_keyring(DirB, [entry(1), entry(3)]), % good for B, still not for A
    ok = taken(B),
    ok = refused(A, B).

%% ---- bad files ----

a_bad_keyring_keeps_a_node_from_starting(Config) ->
    Dir = merlon_live_ct:dir(Config),
    Node = merlon_peers:node(merlon_peers:name("k")),
    ok = merlon_peers:add_node(Dir, Node),
    File = filename:join(Dir, "keyring"),
    put_keyring(Dir, [entry(1)]),
    ok = file:change_mode(File, 8#640),
    boots_not(Dir, Node, "chmod 600"),
    put_keyring(Dir, [entry(1, -60, -1)]),
    boots_not(Dir, Node, "no entry that is accepted now"),
    {ok, Text} = file:read_file(File),
    ok = merlon_peers:write_secret(File, [Text, "\n"]),
    boots_not(Dir, Node, "the last line is no checksum"),
    ok = merlon_peers:write_secret(File, ""),
    boots_not(Dir, Node, "no entry").

boots_not(Dir, Node, Words) ->
    Args = merlon_peers:args(Dir) ++ ["-noshell", "-name", atom_to_list(Node), "-eval", "halt(0)."],
    Port = open_port({spawn_executable, os:find_executable("erl")},
                     [{args, Args}, exit_status, stderr_to_stdout, binary]),
    {1, Said} = said(Port, <<>>),
    {_, _} = binary:match(Said, list_to_binary(Words)),
    nomatch = binary:match(Said, binary:encode_hex(secret(1))).

said(Port, Said) ->
    receive
        {Port, {data, More}} -> said(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 30000 -> error(timeout)
    end.

a_new_keyring_is_taken_while_the_node_runs(Config) ->
    {DirA, A, DirB, B} = pair(Config, [entry(1)], none),
    ok = refused(A, B),
    put_keyring(DirB, [entry(1)]),
    ok = taken(B),
    ok = merlon_ct:connect(A, B),
    put_keyring(DirA, [entry(4)]),
    ok = taken(A),
    #{} = merlon_ct:link_of(A, element(2, B)), % it has a moment to prove another entry
    unlink_nodes(A, B),
    ok = refused(A, B).

a_bad_or_missing_keyring_is_not_taken_while_the_node_runs(Config) ->
    {DirA, A, _, B} = pair(Config, [entry(1)], [entry(1)]),
    File = filename:join(DirA, "keyring"),
    ok = merlon_peers:write_secret(File, "merlon keyring 1\n"),
    {error, {keyring, {_, 1, no_checksum}}} = reload(A),
    put_keyring(DirA, [entry(1, -60, -1)]),
    {error, {keyring, {none_accepted, _}}} = reload(A),
    ok = file:delete(File),
    {error, {keyring, {gone, _}}} = reload(A),
    ok = merlon_ct:connect(A, B).

applications_derive_the_same_on_every_node(Config) ->
    {_, A, _, B} = pair(Config, [entry(1)], [entry(1)]),
    Derive = fun(Vm, Info, Len) -> merlon_ct:call(Vm, merlon_keyring, derive, [Info, Len]) end,
    {ok, <<Key:64/binary>>} = Derive(A, <<"endpoint">>, 64),
    {ok, Key} = Derive(B, <<"endpoint">>, 64),
    {ok, Other} = Derive(A, <<"other">>, 64),
    true = Other =/= Key,
    {error, {kdf, {too_long, _}}} = Derive(A, <<"endpoint">>, 8161),
    {_, DirC} = dirs(Config),
    C = node_in(Config, DirC, "merlontest"),
    {error, {keyring, no_keyring}} = Derive(C, <<"endpoint">>, 64).

%% ---- secrecy ----

no_process_and_no_log_shows_the_secret(Config) ->
    Byte = 16#5e,
    {DirA, A, _, B} = pair(Config, [entry(Byte)], [entry(Byte)]),
    Log = filename:join(DirA, "all.log"),
    ok = merlon_ct:call(A, logger, add_handler, [all, logger_std_h, #{level => all, config => #{file => Log}}]),
    ok = merlon_ct:connect(A, B),
    ok = merlon_peers:write_secret(filename:join(DirA, "keyring"),
                                   [merlon_keyring_core:text([entry(Byte)]), "x"]),
    {error, {keyring, _}} = reload(A),
    Crashes = merlon_ct:call(A, erlang, whereis, [merlon_reload]),
    ok = merlon_ct:call(A, gen_server, cast, [merlon_reload, {judge, Crashes, no_connection}]),
    merlon_peers:wait(fun() -> merlon_ct:call(A, erlang, whereis, [merlon_reload]) =/= Crashes end),
    Shown = merlon_ct:call(A, ?MODULE, everything_shown, []),
    true = byte_size(Shown) > 10000,
    ok = merlon_ct:call(A, logger_std_h, filesync, [all]),
    {ok, Logged} = file:read_file(Log),
    {_, _} = binary:match(Logged, <<"crasher:">>),
    All = [Shown, Logged, term_to_binary(merlon_peers:log(element(1, A))),
           term_to_binary(merlon_peers:log(element(1, B)))],
    Hex = binary:encode_hex(secret(Byte)),
    [nomatch = binary:match(Text, Secret)
     || Text <- All, Secret <- [secret(Byte), Hex, string:lowercase(Hex)]],
    %% The search finds what is there.
    {_, _} = binary:match(Shown, <<"merlon_registry">>).

%% On the node: what anyone with a shell there sees of processes, tables and persistent terms.
everything_shown() ->
    Processes = [[process_info(Pid, Item) || Item <- [registered_name, messages, dictionary, backtrace,
                                                      current_stacktrace]] || Pid <- processes()],
    Names = [kernel_sup, net_sup, net_kernel, auth, merlon_registry, merlon_reload, merlon_reprove],
    States = [catch {sys:get_state(Name, 1000), sys:get_status(Name, 1000)} || Name <- Names],
    Tables = [catch ets:tab2list(Table) || Table <- ets:all()],
    term_to_binary({Processes, States, Tables, persistent_term:get(), init:get_arguments(), os:getenv()}).
