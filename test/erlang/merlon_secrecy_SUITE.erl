%% SPDX-License-Identifier: Apache-2.0
%% A node with planted secrets is made to show all that it can: states, crash reports, traces, tables,
%% heaps, a crash dump, core files. None of them may be in any of it, in any form.
-module(merlon_secrecy_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([the_search_finds_a_secret_in_every_form/1, what_is_searched_for_is_what_nodes_derive/1,
         a_node_of_the_secret_identity_shows_nothing/1, a_node_with_a_certificate_shows_nothing/1,
         a_crash_dump_shows_nothing/1, a_core_file_shows_nothing/1, a_core_of_the_kernel_shows_nothing/1,
         a_whole_core_file_shows_what_the_node_holds/1, a_crash_dump_shows_nothing_that_came_from_a_provider/1]).

-import(merlon_secret_ct, [entry/4, put_keyring/2, unlinked/2]).

-define(CLUSTER, <<"shop">>).
%% Argon2id, as cheap as is allowed.
-define(CHEAP, {argon2id, 7168, 5, 1}).

suite() -> [{timetrap, {seconds, 170}}].

all() ->
    [the_search_finds_a_secret_in_every_form, what_is_searched_for_is_what_nodes_derive,
     a_node_of_the_secret_identity_shows_nothing, a_node_with_a_certificate_shows_nothing,
     a_crash_dump_shows_nothing, a_core_file_shows_nothing, a_core_of_the_kernel_shows_nothing,
     a_whole_core_file_shows_what_the_node_holds, a_crash_dump_shows_nothing_that_came_from_a_provider].

init_per_suite(Config) ->
    Words = base64:encode(crypto:strong_rand_bytes(30)),
    [{planted, {crypto:strong_rand_bytes(32), Words}} | merlon_ct:open(Config)].

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- nodes with planted secrets ----

planted(Config) -> proplists:get_value(planted, Config).

%% The random one is preferred.
entries(Config) ->
    {Secret, Words} = planted(Config),
    {argon2id, KiB, Passes, Lanes} = ?CHEAP,
    {ok, {Random, _}} = merlon_nif:keyring_entry(Secret, 0, never),
    {ok, {Phrase, _}} = merlon_nif:keyring_stretch(none, {KiB, Passes, Lanes}, Words, ?CLUSTER, {0, never}, 65536),
    [entry(Random, expand, {-3600, never}, Secret), entry(Phrase, ?CHEAP, {-7200, never}, Words)].

new_dir(Config, Settings) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), lists:concat(["dir", erlang:unique_integer([positive])])),
    ok = filelib:ensure_dir(filename:join(Dir, "x")),
    ok = file:write_file(filename:join(Dir, "merlon.config"), ["{cluster, \"shop\"}. ", Settings]),
    put_keyring(Dir, entries(Config)),
    Dir.

secret_dir(Config) -> secret_dir(Config, "").

secret_dir(Config, More) -> new_dir(Config, ["{identity, secret}. ", More]).

node_in(Config, Dir, Opts) ->
    merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("h")), ["+S", "2"],
                    maps:merge(#{dir => Dir, certify => false}, Opts)).

pair(Config, Dir, Opts) -> pair(Config, Dir, Opts, #{}).

pair(Config, Dir, OptsA, OptsB) ->
    Vms = [A, B] = [node_in(Config, Dir, Opts) || Opts <- [OptsA, OptsB]],
    ok = merlon_ct:connect(A, B),
    Vms.

names(Vms) -> list_to_tuple([atom_to_binary(Node) || {_, Node, _} <- Vms]).

derived(Config, Vms) ->
    {Secret, Words} = planted(Config),
    {merlon_secrecy:keyring_secrets(Secret, ?CLUSTER, names(Vms)),
     merlon_secrecy:passphrase_secrets({Words, ?CHEAP}, ?CLUSTER, names(Vms))}.

patterns(Config, Vms) -> patterns(Config, Vms, []).

patterns(Config, Vms, More) ->
    {#{secrets := Random}, #{secrets := Phrase}} = derived(Config, Vms),
    merlon_secrecy:patterns(Random ++ Phrase ++ More).

%% ---- the search itself ----

the_search_finds_a_secret_in_every_form(Config) ->
    {Secret, _} = planted(Config),
    Patterns = merlon_secrecy:patterns([{planted, Secret}]),
    Found = fun(Text) -> [Form || {planted, Form} <- merlon_secrecy:in_binary(iolist_to_binary(Text), Patterns)] end,
    [true = lists:member(Form, Found(Text))
     || {Form, Text} <- [{raw, ["xyz", Secret, 0]}, {hex, binary:encode_hex(Secret)},
                         {hex, string:lowercase(binary:encode_hex(Secret))},
                         {decimal, io_lib:format("~w", [Secret])}, {raw, term_to_binary({a, Secret})},
                         {base64, base64:encode(Secret)}, {base64, base64:encode(<<1, Secret/binary>>)},
                         {base64, base64:encode(<<1, 2, Secret/binary>>)}]],
    [] = Found(crypto:strong_rand_bytes(100000)),
    %% Across two reads of a file, too.
    File = filename:join(proplists:get_value(priv_dir, Config), "big"),
    ok = file:write_file(File, [binary:copy(<<0>>, (1 bsl 24) - 7), Secret]),
    [{planted, raw}] = merlon_secrecy:in_file(File, Patterns),
    {ok, Keyring} = file:read_file(filename:join(secret_dir(Config), "keyring")),
    [{planted, hex}] = merlon_secrecy:in_binary(Keyring, Patterns).

%% Reckoned with OTP's crypto: so the patterns are those of the real keys.
what_is_searched_for_is_what_nodes_derive(Config) ->
    Dir = secret_dir(Config),
    [{_, _, _} = A, {_, NodeB, _}] = Vms = pair(Config, Dir, #{}),
    {Random, Phrase} = derived(Config, Vms),
    Cookie = maps:get(cookie, Random),
    Cookie = atom_to_binary(merlon_ct:call(A, erlang, get_cookie, [NodeB])),
    {ok, Keyring} = merlon_keyring:read(Dir),
    Cas = merlon_identity_secret:cas(Keyring, ?CLUSTER, erlang:system_time(second)),
    [begin
         {Id, Pem} = lists:keyfind(Id, 1, Cas),
         [{_, Der, _}] = public_key:pem_decode(Pem),
         {_, _} = binary:match(Der, Public)
     end || #{id := Id, ca := Public} <- [Random, Phrase]].

%% ---- what a node shows ----

a_node_of_the_secret_identity_shows_nothing(Config) ->
    Dir = secret_dir(Config),
    Vms = pair(Config, Dir, #{}),
    shows_nothing(Config, Dir, Vms, patterns(Config, Vms)).

a_node_with_a_certificate_shows_nothing(Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "shop"),
    put_keyring(Dir, entries(Config)),
    Vms = [{_, Node, _} | _] = pair(Config, Dir, #{certify => true}, #{certify => true}),
    {ok, Pem} = file:read_file(filename:join([Dir, "nodes", atom_to_list(Node), "key.pem"])),
    shows_nothing(Config, Dir, Vms, patterns(Config, Vms, merlon_secrecy:key_secrets(Pem))).

shows_nothing(Config, Dir, [A, B], Patterns) ->
    Log = filename:join(Dir, "all.log"),
    Trace = filename:join(Dir, "trace"),
    ok = merlon_ct:call(A, logger, set_primary_config, [level, all]),
    ok = merlon_ct:call(A, logger, add_handler,
                        [all, logger_std_h, #{level => all, filter_default => log, config => #{file => Log}}]),
    Traced = case merlon_ct:call(A, code, which, [dbg]) of
                 non_existing -> ct:log("no dbg here: not traced"), false;
                 _ -> merlon_ct:call(A, merlon_secrecy, trace, [Trace]) > 40
             end,
    provoke(Config, Dir, A, B),
    Shown = merlon_ct:call(A, merlon_secrecy, shown, []),
    _ = Traced andalso merlon_ct:call(A, merlon_secrecy, untrace, []),
    ok = merlon_ct:call(A, logger_std_h, filesync, [all]),
    [nothing(merlon_secrecy:in_binary(Text, Patterns), shown) || Text <- Shown],
    nothing(merlon_secrecy:in_file(Log, Patterns), log),
    contains(Log, [<<"crasher:">>, <<"planted_reason">>, <<"reload_refused">>]),
    _ = Traced andalso contains(Trace, [<<"merlon_handshake">>, <<"advance">>, <<"connect_node">>]),
    _ = Traced andalso nothing(merlon_secrecy:in_file(Trace, Patterns), trace),
    ok.

nothing([], _Where) -> ok;
nothing(Found, Where) -> ct:fail({shown, Where, Found}).

contains(File, Words) ->
    {ok, Text} = file:read_file(File),
    [{_, _} = binary:match(Text, Word) || Word <- Words],
    ok.

%% Handshakes both ways, new, bad and good files, crashes of a link and of the reader of files.
provoke(Config, Dir, A, {_, NodeB, _} = B) ->
    [Random | _] = Entries = entries(Config),
    {_, NodeA, _} = A,
    unlinked(A, B),
    true = merlon_ct:call(A, net_kernel, connect_node, [NodeB]),
    unlinked(A, B),
    true = merlon_ct:call(B, net_kernel, connect_node, [NodeA]),
    put_keyring(Dir, {text, [merlon_keyring_core:text(Entries), "x"]}),
    {error, {keyring, _}} = merlon_live_ct:reload(A),
    put_keyring(Dir, [Random#{not_after := erlang:system_time(second) + 9999} | tl(Entries)]),
    {ok, _} = merlon_live_ct:reload(A),
    put_keyring(Dir, Entries),
    {ok, _} = merlon_live_ct:reload(A),
    Reload = merlon_ct:call(A, erlang, whereis, [merlon_reload]),
    ok = merlon_ct:call(A, gen_server, cast, [merlon_reload, {judge, Reload, no_connection}]),
    merlon_peers:wait(fun() -> merlon_ct:call(A, erlang, whereis, [merlon_reload]) =/= Reload end),
    true = merlon_ct:call(A, merlon_secrecy, crash_link, []),
    merlon_peers:wait(fun() -> merlon_ct:link_of(A, NodeB) =:= none end),
    _ = merlon_ct:call(A, merlon_keyring, entries, []),
    true = merlon_ct:call(A, net_kernel, connect_node, [NodeB]).

%% ---- dumps ----

a_crash_dump_shows_nothing(Config) ->
    Dir = secret_dir(Config),
    Dump = filename:join(Dir, "erl_crash.dump"),
    [A | _] = Vms = pair(Config, Dir, #{env => [{"ERL_CRASH_DUMP", Dump}]}),
    {ok, _} = merlon_live_ct:reload(A),
    dumped(A, Dump),
    nothing(merlon_secrecy:in_file(Dump, patterns(Config, Vms)), crash_dump).

dumped(Vm, Dump) ->
    _ = (catch merlon_ct:call(Vm, erlang, spawn, [erlang, halt, ["planted slogan"]])), % no answer
    merlon_peers:wait(fun() -> ends(Dump, <<"=end">>) end, 60000),
    contains(Dump, [<<"planted slogan">>, <<"=proc_heap:">>, <<"merlon_reload">>]).

%% Its keyring, and `{token, {value, ...}}`.
a_crash_dump_shows_nothing_that_came_from_a_provider(Config) ->
    {_, Token} = planted(Config),
    Keyring = merlon_keyring_core:text(entries(Config)),
    Answer = merlon_secrets_ct:vault(Keyring, 1),
    Server = merlon_secrets_ct:server(Answer),
    Provider = {vault, [{url, merlon_secrets_ct:url(Server)}, {path, "m"}, {refresh, 600}, {token, {value, binary_to_list(Token)}}]},
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "shop"),
    File = filename:join(Dir, "merlon.config"),
    ok = merlon_peers:write_secret(File, io_lib:format("{cluster, \"shop\"}.~n{secret, ~p}.~n", [Provider])),
    Dump = filename:join(Dir, "erl_crash.dump"),
    A = node_in(Config, Dir, #{certify => true, env => [{"ERL_CRASH_DUMP", Dump}]}),
    [Request | _] = merlon_secrets_ct:asked(Server),
    {_, _} = binary:match(Request, Token),
    %% Read again, and damaged: so it is refused with a sentence.
    {ok, unchanged} = merlon_ct:call(A, merlon_secrets_watch, refresh, []),
    merlon_secrets_ct:answer(Server, merlon_secrets_ct:vault([Keyring, "x"], 2)),
    {error, {secrets, _}} = merlon_ct:call(A, merlon_secrets_watch, refresh, []),
    Patterns = patterns(Config, [A, A], [{token, Token}]),
    [{_, _} | _] = merlon_secrecy:in_binary(iolist_to_binary(Answer), Patterns), % they would be found
    dumped(A, Dump),
    nothing(merlon_secrecy:in_file(Dump, Patterns), crash_dump).

ends(File, Word) ->
    case file:read_file(File) of
        {ok, Text} -> binary:match(Text, Word) =/= nomatch;
        {error, _} -> false
    end.

a_core_file_shows_nothing(Config) ->
    Dir = secret_dir(Config),
    [A | _] = Vms = pair(Config, Dir, #{}),
    {ok, _} = merlon_live_ct:reload(A),
    with_core(A, Dir, fun(Core) -> no_memory(merlon_secrecy:in_core(Core, patterns(Config, Vms))) end).

%% Registers are in every core file, and may hold what a thread has moved last: so they are told and not judged.
no_memory({InMemory, InRegisters}) ->
    ct:log("in registers: ~p", [InRegisters]),
    nothing(InMemory, core_file).

%% That the search would find what is there, and that it is the filter that keeps it out.
a_whole_core_file_shows_what_the_node_holds(Config) ->
    Dir = secret_dir(Config, "{core_files, whole}."),
    [A | _] = Vms = pair(Config, Dir, #{}),
    with_core(A, Dir, fun(Core) ->
                              Found = merlon_secrecy:in_file(Core, patterns(Config, Vms)),
                              ct:log("in a whole core file: ~p", [Found]),
                              true = lists:member({prk, raw}, Found)
                      end).

with_core({_, _, Os}, Dir, Look) ->
    case os:find_executable("gcore") of
        false -> {skip, "gcore (of gdb) is not installed"};
        _ ->
            Core = filename:join(Dir, "core"),
            Said = os:cmd("gcore -o " ++ Core ++ " " ++ Os ++ " 2>&1"),
            case filelib:is_file(Core ++ "." ++ Os) of
                true -> try Look(Core ++ "." ++ Os), ok after file:delete(Core ++ "." ++ Os) end;
                false -> {skip, "gcore may not look at processes here: " ++ lists:last(string:lexemes(Said, "\n"))}
            end
    end.

%% As a crash of the VM makes it.
a_core_of_the_kernel_shows_nothing(Config) ->
    case file:read_file("/proc/sys/kernel/core_pattern") of
        {ok, <<"core", _/binary>>} -> core_of_the_kernel(Config);
        _ -> {skip, "core files of this machine go to a program, or there are none"}
    end.

core_of_the_kernel(Config) ->
    Dir = secret_dir(Config),
    Shell = ["-c", "ulimit -c unlimited; cd " ++ Dir ++ "; exec \"$0\" \"$@\"", os:find_executable("erl")],
    [A | _] = Vms = pair(Config, Dir, #{exec => {"/bin/sh", Shell}}),
    ok = merlon_ct:signal(A, "ABRT"),
    merlon_peers:wait(fun() -> ended(A) end, 60000),
    case filelib:wildcard(filename:join(Dir, "core*")) of
        [Core] ->
            contains(Core, [<<127, "ELF">>]),
            no_memory(merlon_secrecy:in_core(Core, patterns(Config, Vms))),
            ok = file:delete(Core);
        [] -> {skip, "the kernel has written no core file here"}
    end.

ended({_, _, Os}) ->
    case file:read_file("/proc/" ++ Os ++ "/stat") of
        {ok, Stat} -> binary:match(Stat, <<") Z ">>) =/= nomatch;
        {error, _} -> true
    end.
