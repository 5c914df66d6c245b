%% SPDX-License-Identifier: Apache-2.0
%% Nodes whose keyring comes from a provider: they start with it or say why not, take a new one up, and go on
%% with the last good one when the provider fails. What is secret shows nowhere.
-module(merlon_secrets_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_secret_of_the_environment_is_gone_from_the_vm/1, a_mounted_file_is_followed_through_its_links/1,
         a_systemd_credential_is_read/1, a_program_is_run_again_and_its_failures_change_nothing/1,
         a_new_version_in_vault_is_a_new_keyring/1, a_vault_that_fails_later_leaves_the_last_good_keyring/1,
         a_provider_that_comes_late_is_awaited/1, a_keyring_beside_a_provider_is_never_mixed_in/1,
         bad_files_keep_a_node_from_starting/1, bad_programs_keep_a_node_from_starting/1,
         bad_servers_keep_a_node_from_starting/1, no_process_and_no_log_shows_a_fetched_secret/1,
         the_distribution_starts_again_at_run_time/1, a_keyring_of_a_provider_makes_certificates/1,
         a_keyring_of_a_provider_is_not_rotated/1, an_older_keyring_of_a_provider_is_not_taken/1,
         credentials_of_aws_are_gone_from_the_environment/1, no_proxy_of_the_environment_is_asked/1]).

-import(merlon_live_ct, [events/2]).
-import(merlon_secrets_ct, [provider/2, put_file/3, text/1, hex/1, server/1, answer/2, url/1, vault/2, reply/2,
                            boots_not/3]).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [a_secret_of_the_environment_is_gone_from_the_vm, a_mounted_file_is_followed_through_its_links,
     a_systemd_credential_is_read, a_program_is_run_again_and_its_failures_change_nothing,
     a_new_version_in_vault_is_a_new_keyring, a_vault_that_fails_later_leaves_the_last_good_keyring,
     a_provider_that_comes_late_is_awaited, a_keyring_beside_a_provider_is_never_mixed_in,
     bad_files_keep_a_node_from_starting, bad_programs_keep_a_node_from_starting,
     bad_servers_keep_a_node_from_starting, no_process_and_no_log_shows_a_fetched_secret,
     the_distribution_starts_again_at_run_time, a_keyring_of_a_provider_makes_certificates,
     a_keyring_of_a_provider_is_not_rotated, an_older_keyring_of_a_provider_is_not_taken,
     credentials_of_aws_are_gone_from_the_environment, no_proxy_of_the_environment_is_asked].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- nodes ----

node_in(Config, Dir) -> node_in(Config, Dir, []).

node_in(Config, Dir, Env) ->
    Node = merlon_peers:node(merlon_peers:name("s")),
    merlon_ct:start(Config, Node, ["-setcookie", merlon_peers:name("c")], #{dir => Dir, env => Env}).

%% A dir with that provider, and another of the same cluster with the keyring in a file.
dirs(Config, Provider, Bytes) ->
    A = merlon_live_ct:dir(Config),
    B = A ++ "b",
    "" = os:cmd("cp -a " ++ A ++ " " ++ B),
    ok = provider(A, Provider),
    keyring(B, Bytes),
    {A, B}.

keyring(Dir, Bytes) -> put_file(filename:join(Dir, "keyring"), text(Bytes), 8#600).

%% The ids that a node uses, newest first.
ids(Vm) ->
    [Id || #{id := Id} <- merlon_ct:call(Vm, merlon_node, keyring, [])].

id(Byte) -> maps:get(id, merlon_keyring_ct:entry(Byte)).

uses(Vm, Bytes) ->
    Ids = lists:sort([id(Byte) || Byte <- Bytes]),
    merlon_peers:wait(fun() -> lists:sort(ids(Vm)) =:= Ids end).

refresh(Vm) -> merlon_ct:call(Vm, merlon_secrets_watch, refresh, []).

%% ---- each provider ----

a_secret_of_the_environment_is_gone_from_the_vm(Config) ->
    {DirA, DirB} = dirs(Config, {env, "MERLON_TEST_KEYRING"}, [1]),
    A = node_in(Config, DirA, [{"MERLON_TEST_KEYRING", binary_to_list(text([1]))}]),
    B = node_in(Config, DirB),
    ok = merlon_ct:connect(A, B),
    false = merlon_ct:call(A, os, getenv, ["MERLON_TEST_KEYRING"]),
    nomatch = string:find(merlon_ct:call(A, os, cmd, ["env"]), hex(1)),
    {ok, unchanged} = refresh(A),
    boots_not(DirA, [{"MERLON_TEST_KEYRING", false}], "MERLON_TEST_KEYRING is not set").

a_mounted_file_is_followed_through_its_links(Config) ->
    Mount = filename:join(proplists:get_value(priv_dir, Config), "mount"),
    ok = mounted(Mount, "one", [1]),
    ok = file:make_symlink("..data/keyring", filename:join(Mount, "keyring")),
    {DirA, DirB} = dirs(Config, {file, filename:join(Mount, "keyring")}, [2]),
    A = node_in(Config, DirA),
    B = node_in(Config, DirB),
    false = merlon_ct:call(A, net_kernel, connect_node, [element(2, B)]),
    ok = mounted(Mount, "two", [1, 2]),
    uses(A, [1, 2]), % by itself
    ok = merlon_ct:connect(A, B),
    ok = put_file(filename:join(Mount, "two/keyring"), text([3]), 8#644),
    {error, {secrets, {_, {fetch, #{code := file, why := too_open}}}}} = refresh(A),
    uses(A, [1, 2]).

%% As Kubernetes exchanges what a mount shows.
mounted(Mount, Name, Bytes) ->
    Folder = filename:join(Mount, Name),
    ok = filelib:ensure_dir(filename:join(Folder, "keyring")),
    ok = put_file(filename:join(Folder, "keyring"), text(Bytes), 8#400),
    ok = file:make_symlink(Name, filename:join(Mount, "..new")),
    file:rename(filename:join(Mount, "..new"), filename:join(Mount, "..data")).

a_systemd_credential_is_read(Config) ->
    Folder = filename:join(proplists:get_value(priv_dir, Config), "credentials"),
    ok = filelib:ensure_dir(filename:join(Folder, "x")),
    ok = put_file(filename:join(Folder, "merlon"), [hex(1), "\n"], 8#400), % one secret alone
    {DirA, DirB} = dirs(Config, {systemd, "merlon"}, [1]),
    A = node_in(Config, DirA, [{"CREDENTIALS_DIRECTORY", Folder}]),
    ok = merlon_ct:connect(A, node_in(Config, DirB)),
    boots_not(DirA, [{"CREDENTIALS_DIRECTORY", false}], "LoadCredential=").

a_program_is_run_again_and_its_failures_change_nothing(Config) ->
    {Program, Says} = program(Config, text([1])),
    {DirA, DirB} = dirs(Config, {exec, Program, ["and args"], [{refresh, 1}]}, [2]),
    A = node_in(Config, DirA),
    Says("cat <<'END'\n" ++ binary_to_list(text([1, 2])) ++ "END\n"),
    uses(A, [1, 2]),
    ok = merlon_ct:connect(A, node_in(Config, DirB)),
    Says(["echo ", hex(3), "; exit 1\n"]),
    merlon_peers:wait(fun() -> events(A, secret_stale) =/= [] end),
    [#{level := warning, age := Age, text := Text} | _] = events(A, secret_stale),
    true = Age < 60,
    {_, _} = binary:match(Text, <<"status 1">>),
    {error, {secrets, {_, {fetch, #{code := exit_status, status := 1}}}}} = refresh(A),
    uses(A, [1, 2]),
    Says("echo garbage\n"),
    {error, {secrets, {_, {keyring, {_, 0, not_stored}}}}} = refresh(A),
    uses(A, [1, 2]),
    Says(["echo ", hex(3), "\n"]),
    uses(A, [3]),
    merlon_peers:wait(fun() -> events(A, secret_back) =/= [] end).

%% A script and what changes it.
program(Config, Text) ->
    File = filename:join(proplists:get_value(priv_dir, Config), merlon_peers:name("program")),
    Says = fun(Script) -> put_file(File, ["#!/bin/sh\n", Script], 8#700) end,
    ok = Says(["cat <<'END'\n", Text, "END\n"]),
    {File, Says}.

a_new_version_in_vault_is_a_new_keyring(Config) ->
    Server = server(vault(text([1]), 1)),
    {DirA, DirB} = dirs(Config, vault_options(Server, [{refresh, 1}]), [2]),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.token"}]),
    [Request | _] = merlon_secrets_ct:asked(Server),
    {_, _} = binary:match(Request, <<"GET /v1/secret/data/merlon HTTP/1.1\r\n">>),
    {_, _} = binary:match(Request, <<"x-vault-token: s.token\r\n">>),
    false = merlon_ct:call(A, os, getenv, ["TEST_TOKEN"]),
    answer(Server, vault(text([1, 2]), 2)),
    uses(A, [1, 2]),
    ok = merlon_ct:connect(A, node_in(Config, DirB)).

%% Whoever sets it would see the token, and say what the keyring is.
no_proxy_of_the_environment_is_asked(Config) ->
    Server = server(vault(text([1]), 1)),
    Proxy = server(vault(text([2]), 1)),
    {Dir, _} = dirs(Config, vault_options(Server, []), [1]),
    Names = ["http_proxy", "https_proxy", "all_proxy"],
    A = node_in(Config, Dir, [{"TEST_TOKEN", "s.token"} | [{Name, url(Proxy)} || Lower <- Names, Name <- [Lower, string:uppercase(Lower)]]]),
    uses(A, [1]),
    {ok, unchanged} = refresh(A),
    [] = merlon_secrets_ct:asked(Proxy).

vault_options(Server, More) ->
    {vault, [{url, url(Server)}, {path, "merlon"}, {token, {env, "TEST_TOKEN"}} | More]}.

a_vault_that_fails_later_leaves_the_last_good_keyring(Config) ->
    Good = vault(text([1]), 1), % its times are those of now
    Server = server(Good),
    {DirA, DirB} = dirs(Config, vault_options(Server, [{refresh, 600}]), [1]),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.token"}]),
    Fails = fun(Answer, Code) ->
                    answer(Server, Answer),
                    {error, {secrets, {_, {fetch, #{code := Code}}}}} = refresh(A)
            end,
    _ = [Fails(Answer, Code)
         || {Answer, Code} <- [{reply(403, "{}"), status}, {reply(500, ""), status}, {reply(200, "<html>"), malformed},
                               {"220 smtp.example ESMTP\r\n", not_http}, {redirect(), redirected},
                               {reply(200, binary:copy(<<"x">>, 2000000)), too_large}]],
    answer(Server, Good),
    {ok, unchanged} = refresh(A),
    answer(Server, vault("merlon keyring 1\\nbroken\\n", 2)),
    {error, {secrets, {_, {keyring, _}}}} = refresh(A),
    answer(Server, vault(merlon_keyring_core:text([merlon_keyring_ct:entry(1, -60, -1)]), 3)),
    {error, {secrets, {_, {keyring, {none_accepted, _}}}}} = refresh(A),
    merlon_secrets_ct:stop(Server),
    {error, {secrets, {_, {fetch, #{code := connect}}}}} = refresh(A),
    %% Told once in all this time, as it came between.
    [#{level := warning, provider := <<"the secret of vault ", _/binary>>} | More] = events(A, secret_stale),
    true = length(More) =< 1,
    uses(A, [1]),
    ok = merlon_ct:connect(A, node_in(Config, DirB)).

redirect() ->
    "HTTP/1.1 307 Temporary\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".

a_provider_that_comes_late_is_awaited(Config) ->
    Server = server(reply(503, "sealed")),
    {DirA, _} = dirs(Config, vault_options(Server, []), [1]),
    Self = self(),
    _ = spawn_link(fun() ->
                           merlon_peers:wait(fun() -> merlon_secrets_ct:asked(Server) =/= [] end),
                           answer(Server, vault(text([1]), 1)),
                           Self ! unsealed
                   end),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.token"}]),
    uses(A, [1]),
    true = length(merlon_secrets_ct:asked(Server)) > 1,
    receive unsealed -> ok end.

a_keyring_beside_a_provider_is_never_mixed_in(Config) ->
    Server = server(vault(text([1]), 1)),
    {DirA, _} = dirs(Config, vault_options(Server, []), [1]),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.token"}]),
    keyring(DirA, [1]),
    {error, {secrets, {beside, _}}} = merlon_live_ct:reload(A),
    uses(A, [1]),
    boots_not(DirA, [{"TEST_TOKEN", "s.token"}], "never mixed").

%% ---- nodes that do not start ----

bad_files_keep_a_node_from_starting(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "bad"),
    {Dir, _} = dirs(Config, {file, File}, [1]),
    Is = fun(Data, Mode, Words) -> ok = put_file(File, Data, Mode), boots_not(Dir, [], Words) end,
    boots_not(Dir, [], "bad does not exist"),
    true = Is(text([1]), 8#644, "chmod 600") < 15000,
    Is(text([1]), 8#660, "chmod 600"),
    Is("", 8#600, "is empty"),
    Is([hex(1), hex(1)], 8#600, "no keyring"),
    Is(["merlon keyring 2\n"], 8#600, "another version"),
    Is(binary:replace(text([1]), <<"expand">>, <<"expanD">>), 8#600, "checksum is wrong"),
    Is(merlon_keyring_core:text([maps:put(id, <<"0000000000000000">>, merlon_keyring_ct:entry(1))]), 8#600,
       ":2: the id is not that of the secret"),
    Is(binary:copy(text([1]), 400), 8#600, "larger than a keyring").

bad_programs_keep_a_node_from_starting(Config) ->
    {Program, Says} = program(Config, text([1])),
    {Dir, _} = dirs(Config, {exec, Program, []}, [1]),
    Is = fun(Script, Words) -> ok = Says(Script), boots_not(Dir, [], Words) end,
    Took = Is("sleep 100", "no answer in time"),
    true = Took >= 2000 andalso Took < 15000, % the boot deadline
    Is(["echo ", hex(1), "; echo ", hex(2), " >&2; exit 3"], "status 3"),
    true = Is(["while :; do echo ", hex(1), "; done"], "more than a keyring") < 15000,
    Is("true", "gives nothing"),
    Is("kill -9 $$", "signal 9"),
    ok = file:change_mode(Program, 8#722),
    boots_not(Dir, [], "can be changed by others").

bad_servers_keep_a_node_from_starting(Config) ->
    Server = server(reply(403, "{}")),
    {Dir, _} = dirs(Config, vault_options(Server, []), [1]),
    Env = [{"TEST_TOKEN", binary_to_list(hex(2))}],
    Is = fun(Answer, Words) -> answer(Server, Answer), boots_not(Dir, Env, Words) end,
    Is(reply(403, hex(1)), "refuses the read (status 403): may this identity read it?"),
    Is(reply(404, hex(1)), "newest version not deleted"),
    Is(reply(200, hex(1)), "not what it should be"),
    Is(redirect(), "sends us elsewhere"),
    Is(vault(["merlon keyring 1\\n", hex(1), "\\n"], 1), "no checksum"),
    true = Is(hang, "no answer in time") < 15000,
    [Is(Answer, Words) || {Answer, Words} <- [{reply(200, "{\"data\":{\"data\":{}}}"), "no text keyring"}]],
    merlon_secrets_ct:stop(Server),
    boots_not(Dir, Env, "not reached (econnrefused)").

%% ---- secrecy ----

no_process_and_no_log_shows_a_fetched_secret(Config) ->
    Byte = 16#5e,
    Server = server(vault(text([Byte]), 1)),
    {DirA, _} = dirs(Config, vault_options(Server, [{refresh, 1}]), [1]),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.5eTokenOfTheTest"}]),
    answer(Server, vault([text([Byte]), "x"], 2)),
    {error, _} = refresh(A),
    Crashes = merlon_ct:call(A, erlang, whereis, [merlon_secrets_watch]),
    true = merlon_ct:call(A, erlang, exit, [Crashes, crash]),
    merlon_peers:wait(fun() -> merlon_ct:call(A, erlang, whereis, [merlon_secrets_watch]) =/= Crashes end),
    merlon_peers:wait(fun() -> is_pid(merlon_ct:call(A, erlang, whereis, [merlon_secrets_watch])) end),
    _ = merlon_ct:call(A, sys, get_state, [merlon_secrets_watch]),
    Shown = merlon_ct:call(A, merlon_keyring_SUITE, everything_shown, []),
    All = [Shown, term_to_binary(merlon_peers:log(element(1, A)))],
    Secret = merlon_keyring_ct:secret(Byte),
    [nomatch = binary:match(Text, Each)
     || Text <- All, Each <- [Secret, binary:encode_hex(Secret), hex(Byte), <<"5eTokenOfTheTest">>]],
    {_, _} = binary:match(Shown, <<"merlon_registry">>).

the_distribution_starts_again_at_run_time(Config) ->
    {Dir, _} = dirs(Config, {env, "MERLON_TEST_KEYRING"}, [1]),
    Name = merlon_peers:name("s"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    Vm = merlon_ct:run(Config, merlon_peers:args(Dir), #{env => []}),
    true = merlon_ct:call(Vm, os, putenv, ["MERLON_TEST_KEYRING", binary_to_list(text([1]))]),
    [begin
         {ok, _} = merlon_ct:call(Vm, net_kernel, start, [[merlon_peers:node(Name), longnames]]),
         uses(Vm, [1]),
         false = merlon_ct:call(Vm, os, getenv, ["MERLON_TEST_KEYRING"]),
         ok = merlon_ct:call(Vm, net_kernel, stop, [])
     end || _ <- [1, 2]].

%% ---- with the secret identity, and rotation ----

a_keyring_of_a_provider_makes_certificates(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "identity"),
    ok = put_file(File, text([1]), 8#600),
    [DirA, DirB] = [bare_dir(Config, Name, More) || {Name, More} <- [{"provided", ["{secret, {file, \"", File, "\"}}.\n"]},
                                                                     {"filed", "{rotate_secret, off}.\n"}]],
    keyring(DirB, [1]),
    [A, B] = [bare_node(Config, Dir) || Dir <- [DirA, DirB]],
    ok = merlon_ct:connect(A, B),
    #{identity := {node, <<"merlontest">>, _, _}} = merlon_ct:the_link(A, element(2, B)),
    Before = certificate(A),
    ok = put_file(File, text([2]), 8#600),
    uses(A, [2]),
    merlon_peers:wait(fun() -> certificate(A) =/= Before end),
    keyring(DirB, [2]),
    uses(B, [2]),
    _ = merlon_ct:call(A, erlang, disconnect_node, [element(2, B)]),
    ok = merlon_ct:connect(A, B),
    {ok, Files} = file:list_dir(DirA),
    [] = Files -- ["merlon.config", "linked-nodes"],
    ok = filelib:ensure_dir(filename:join([DirA, "trust", "x"])),
    ok = file:write_file(filename:join([DirA, "trust", "x"]), ""),
    {error, {identity, {mixed, _, [_]}}} = merlon_live_ct:reload(A).

bare_dir(Config, Name, More) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), Name),
    ok = file:make_dir(Dir),
    ok = file:write_file(filename:join(Dir, "merlon.config"), ["{cluster, \"merlontest\"}.\n{identity, secret}.\n", More]),
    Dir.

bare_node(Config, Dir) ->
    merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("s")), [], #{dir => Dir, certify => false}).

certificate(Vm) ->
    {ok, #{sha256 := Sha256}} = merlon_ct:call(Vm, merlon_node, current, []),
    Sha256.

%% Neither by its node, nor by a peer that rotates, nor by a command.
a_keyring_of_a_provider_is_not_rotated(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "unrotated"),
    ok = put_file(File, text([1]), 8#600),
    {DirA, DirB} = dirs(Config, {file, File}, [1]),
    [A, B] = [node_in(Config, Dir) || Dir <- [DirA, DirB]],
    ok = merlon_ct:connect(A, B),
    {error, {rotate, {provider, <<"the secret of ", _/binary>>}}} = merlon_ct:call(A, merlon_keyring, rotate, [[]]),
    {ok, New} = merlon_ct:call(B, merlon_keyring, rotate, [[{grace, 3600}]]),
    merlon_peers:wait(fun() -> lists:member(New, ids(B)) end),
    [begin
         {1, Said, Wrong} = merlon_cli:run(Command ++ ["--dir", DirA]),
         {match, _} = re:run([Said, Wrong], "comes from the secret of .*change it there")
     end || Command <- [["rotate", "secret"], ["rotate", "secret", "--status"], ["keyring", "--new"],
                        ["keyring", "--drop", id(1)]]],
    timer:sleep(3000), % three looks of merlon_rotate
    true = ids(A) =:= [id(1)],
    [] = filelib:wildcard("keyring*", DirA).

%% A replica that lags, or a backup, would bring back what has been taken out.
an_older_keyring_of_a_provider_is_not_taken(Config) ->
    Now = erlang:system_time(second),
    Made = fun(Byte, Ago) -> merlon_keyring_core:text(entries(Now, [{Byte, Ago}])) end,
    Server = server(vault(Made(2, 50), 2)),
    {DirA, _} = dirs(Config, vault_options(Server, [{refresh, 600}]), [1]),
    A = node_in(Config, DirA, [{"TEST_TOKEN", "s.token"}]),
    answer(Server, vault(Made(1, 100), 1)),
    [{error, {secrets, {_, {older, _, _}}}} = refresh(A) || _ <- [1, 2]],
    uses(A, [2]),
    merlon_peers:wait(fun() -> events(A, secret_stale) =/= [] end),
    [#{text := Text}] = events(A, secret_stale), % told once
    {match, _} = re:run(Text, "gives an older keyring than the one in use.*newer entry"),
    answer(Server, vault(Made(3, 10), 3)),
    {ok, reloaded} = refresh(A),
    uses(A, [3]),
    %% Nor one entry that was taken out, beside the newest.
    answer(Server, vault(merlon_keyring_core:text(entries(Now, [{3, 10}, {2, 50}])), 4)),
    {error, {secrets, {_, {back, _}} = Reason}} = refresh(A),
    {match, _} = re:run(merlon_secrets:format_error(Reason), ["brings back entry ", id(2)]),
    uses(A, [3]),
    answer(Server, vault(merlon_keyring_core:text(entries(Now, [{4, 5}, {3, 10}, {2, 50}])), 5)),
    {ok, reloaded} = refresh(A), % somebody has wanted that
    uses(A, [4, 3, 2]).

entries(Now, All) -> [(merlon_keyring_ct:entry(Byte))#{created := Now - Ago} || {Byte, Ago} <- All].

%% Unless the application needs them.
credentials_of_aws_are_gone_from_the_environment(Config) ->
    Quoted = binary:replace(text([1]), <<"\n">>, <<"\\n">>, [global]),
    Server = server(reply(200, ["{\"SecretString\":\"", Quoted, "\",\"VersionId\":\"v\"}"])),
    Env = [{"AWS_ACCESS_KEY_ID", "AKIDOFTHETEST"}, {"AWS_SECRET_ACCESS_KEY", "keyOfTheTest"}, {"AWS_SESSION_TOKEN", "tokenOfTheTest"}],
    Start = fun(More) ->
                    Options = [{region, "eu-central-1"}, {secret, "merlon"}, {endpoint, url(Server)} | More],
                    {DirA, _} = dirs(Config, {aws_secretsmanager, Options}, [1]),
                    A = node_in(Config, DirA, Env),
                    uses(A, [1]),
                    {ok, unchanged} = refresh(A), % they are still known to the native library
                    {A, [merlon_ct:call(A, os, getenv, [Name]) || {Name, _} <- Env]}
            end,
    {A, [false, false, false]} = Start([]),
    nomatch = string:find(merlon_ct:call(A, os, cmd, ["env"]), "OfTheTest"),
    {_, ["AKIDOFTHETEST" | _]} = Start([{environment, "keep"}]).
