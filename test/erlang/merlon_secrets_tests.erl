%% SPDX-License-Identifier: Apache-2.0
-module(merlon_secrets_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_secrets_ct, [hex/1]).

setup() -> ok = merlon_nif:load().

provider(Term) ->
    setup(),
    merlon_secrets:check(Term).

must(Term) ->
    {error, Must} = provider(Term),
    iolist_to_binary(Must).

%% ---- settings ----

settings_that_work_test_() ->
    [fun() -> ?assertMatch({Term, {ok, {_, _}}}, {Term, provider(Term)}) end
     || Term <- [{env, "MERLON_KEYRING"}, {file, "/run/secrets/keyring"}, {systemd, <<"merlon">>},
                 {exec, "/usr/bin/pass", ["show", "merlon"]}, {exec, "/bin/true", [], [{refresh, 10}]},
                 {vault, [{url, "https://v:8200"}, {path, "merlon"}, {token, {file, "/t"}}, {refresh, 5}]},
                 {vault, [{url, "https://v"}, {path, "m"}, {role_id, "r"}, {secret_id, {env, "S"}}]},
                 {vault, [{url, "https://v"}, {path, "m"}, {role, "r"}, {namespace, "n"}, {ca, "/ca"}]},
                 {aws_secretsmanager, [{secret, "merlon"}]},
                 {aws_secretsmanager, [{secret, "m"}, {region, "eu-central-1"}, {credentials, "instance"}]},
                 {aws_secretsmanager, [{secret, "m"}, {access_key_id, "A"}, {secret_access_key, {env, "S"}}]},
                 {gcp_secret_manager, [{project, "p"}, {secret, "s"}]}]].

settings_that_do_not_work_say_what_they_must_be_test_() ->
    [fun() ->
             Must = must(Term),
             ?assertMatch({Term, Must, {match, _}}, {Term, Must, re:run(Must, Words)})
     end
     || {Term, Words} <-
        [{none_such, "one of {env"}, {{none_such, "x"}, "one of {env"}, {{module, none_such, x}, "one of"},
         {{env, ""}, "name of a variable"}, {{env, "A=B"}, "name of a variable"}, {{env, "A\0B"}, "name of a variable"},
         {{file, "relative"}, "absolute"}, {{file, "/a\0b"}, "absolute"}, {{systemd, "../x"}, "credential"},
         {{systemd, ".."}, "credential"}, {{systemd, "a/b"}, "credential"},
         {{exec, "true", []}, "absolute"}, {{exec, "/bin/true", "args"}, "ARGUMENT"}, {{exec, "/bin/true", [1]}, "ARGUMENT"},
         {{vault, x}, "{vault, \\["}, {{vault, [{url, "https://v"}, {path, "p"}]}, "no way to log in"},
         {{vault, [{pth, "p"}]}, "is it path that"}, {{vault, [{path, "p"}, {path, "p"}]}, "only once"},
         {{vault, [{url, "http://vault:8200"}, {path, "p"}, {token, {env, "T"}}]}, "must begin with https"},
         {{vault, [{url, "https://v"}, {path, "p"}, {token, "s.inthe.clear"}]}, "token with {file"},
         {{vault, [{url, "https://v"}, {path, "p"}, {refresh, 0}]}, "refresh, SECONDS"},
         {{aws_secretsmanager, []}, "secret is not set"},
         {{aws_secretsmanager, [{secret, "m"}, {credentials, "guess"}]}, "with one of"},
         {{aws_secretsmanager, [{secret, "m"}, {metadata, "http://10.0.0.1"}]}, "metadata must begin with https"},
         {{gcp_secret_manager, [{project, "p"}]}, "secret is not set"}]].

%% Turns red when a token in merlon.config may be read by others.
a_secret_in_the_configuration_makes_it_one_test() ->
    setup(),
    merlon_test_dir:with(fun(Dir) ->
        File = filename:join(Dir, "merlon.config"),
        Text = "{cluster, \"a\"}.\n{secret, {vault, [{url, \"https://v\"}, {path, \"p\"}, {token, {value, \"s.secret\"}}]}}.",
        ok = merlon_test_dir:put_file(File, Text, 8#644),
        {error, {config, Reason}} = merlon_config:load(Dir),
        ?assertMatch({match, _}, re:run(merlon_config:format_error(Reason), "chmod 600")),
        ok = file:change_mode(File, 8#600),
        {ok, #{secret := Provider} = Config} = merlon_config:load(Dir),
        {ok, Config} = merlon_config:load(Dir), % the same again
        ?assertEqual(nomatch, re:run(io_lib:format("~p", [Config]), "s\\.secret")),
        ?assertEqual(<<"the secret of vault https://v secret/p">>, merlon_secrets:name(Provider))
    end).

a_bad_provider_is_told_with_file_and_line_test() ->
    merlon_test_dir:with(fun(Dir) ->
        ok = file:write_file(filename:join(Dir, "merlon.config"), "{cluster, \"a\"}.\n{secret, {env, 1}}."),
        {error, {config, Reason}} = merlon_config:load(Dir),
        ?assertMatch({match, _}, re:run(merlon_config:format_error(Reason), "config:2: secret must be {env, "))
    end).

%% ---- what a provider may give ----

delivered(Text) ->
    setup(),
    {ok, Secret} = merlon_nif:secret_new(iolist_to_binary(Text)),
    merlon_keyring:delivered(<<"it">>, Secret, <<"a">>).

the_text_of_a_keyring_is_taken_as_from_a_file_test() ->
    setup(),
    {ok, [#{id := New}, #{id := Old}] = Entries} =
        delivered(merlon_keyring_core:text([merlon_keyring_ct:entry(1), merlon_keyring_ct:entry(2, -60, never)])),
    ?assertEqual({maps:get(id, merlon_keyring_ct:entry(2)), maps:get(id, merlon_keyring_ct:entry(1))}, {New, Old}),
    ?assert(lists:all(fun(Entry) -> not is_map_key(secret, Entry) andalso is_reference(maps:get(ref, Entry)) end, Entries)).

%% Of 31 to 33 bytes: 64 digits are a passphrase, too.
a_passphrase_is_the_same_entry_as_from_a_file_test_() ->
    {timeout, 60, fun() ->
        setup(),
        Entries = [begin
                       {ok, Entry} = merlon_cli_keyring:stretched(fun() -> binary:copy(<<"p">>, Size) end, <<"a">>, 100, {0, never},
                                                                  {argon2id, 7168, 5, 1}),
                       Entry
                   end || Size <- [31, 32, 33]],
        {ok, Delivered} = delivered(merlon_keyring_core:text(Entries)),
        ?assertEqual(lists:sort([Id || #{id := Id} <- Entries]), lists:sort([Id || #{id := Id} <- Delivered])),
        ?assert(lists:all(fun(Entry) -> not is_map_key(secret, Entry) andalso is_reference(maps:get(ref, Entry)) end, Delivered)),
        {ok, Other} = merlon_nif:secret_new(merlon_keyring_core:text(Entries)),
        ?assertMatch({error, {keyring, {<<"it">>, 2, other_passphrase}}},
                     merlon_keyring:delivered(<<"it">>, Other, <<"b">>))
    end}.

one_secret_alone_is_a_keyring_test() ->
    setup(),
    {ok, [#{id := Id, not_after := never}]} = delivered([hex(1), "\n"]),
    ?assertEqual(maps:get(id, merlon_keyring_ct:entry(1)), Id).

what_is_no_keyring_is_refused_with_its_line_and_not_shown_test_() ->
    [fun() ->
             {error, {keyring, {<<"it">>, Line, Problem} = Reason}} = delivered(Text),
             ?assertEqual({Text, Wanted}, {Text, {Line, Problem}}),
             ?assertEqual(nomatch, binary:match(iolist_to_binary(merlon_keyring:format_error(Reason)), hex(1)))
     end
     || {Text, Wanted} <-
        [{"", {0, not_stored}}, {"a passphrase", {0, not_stored}}, {[hex(1), "0"], {0, not_stored}},
         {["merlon keyring 1\n", hex(1), "\n"], {2, no_checksum}},
         {"merlon keyring 9\n", {1, version}},
         {["merlon keyring 1\n", "a b c d expand ", hex(1), "\n", "sha256 ", hex(1), "\n"], {3, checksum}}]].

%% ---- words ----

every_fault_has_words_test_() ->
    [?_assert(iolist_size(merlon_secrets_text:words({fetch, Fault})) > 5)
     || Fault <- [#{code => Code} || Code <- [no_credentials_directory, no_credentials, host_not_found, timeout, not_http,
                                              too_large, redirected, store_checksum, empty]] ++
            [#{code => file, path => <<"/p">>, why => Why}
             || Why <- [enoent, eacces, too_open, not_a_file, too_big, empty, no_certificate, enotdir, eio, not_text]] ++
            [#{code => program, why => Why} || Why <- [not_absolute, enoent, not_executable, too_open, not_a_file, eacces]] ++
            [#{code => tls, why => Why}
             || Why <- [unknown_issuer, wrong_name, expired, not_yet_valid, no_roots, no_tls, bad_certificate, handshake]] ++
            [#{code => status, step => Step, status => Status, why => accessdenied}
             || Step <- [login, read], Status <- [400, 403, 404, 429, 500, 503]] ++
            [#{code => connect, why => econnrefused}, #{code => malformed, step => read}, #{code => bad_key, path => <<"/p">>},
             #{code => missing_option, option => region}, #{code => bad_url, option => url}, #{code => plaintext, option => url},
             #{code => no_variable, variable => <<"V">>}, #{code => no_field, field => <<"f">>},
             #{code => exit_status, status => 1}, #{code => signal, signal => 9}]].

%% ---- programs, in a VM that ignores SIGCHLD as all do ----

run(Script) ->
    setup(),
    {ok, Setting} = merlon_secrets_exec:check({exec, "/bin/sh", ["-c", Script]}),
    merlon_secrets_exec:fetch(Setting, 5000).

a_program_has_a_status_although_the_vm_ignores_its_children_test() ->
    Ignored = os:cmd("grep SigIgn /proc/" ++ os:getpid() ++ "/status"),
    ?assertMatch({ok, #{text := _}}, run("echo x")),
    ?assertMatch({error, {fetch, #{code := exit_status, status := 7}}}, run("echo x; exit 7")),
    ?assertEqual(Ignored, os:cmd("grep SigIgn /proc/" ++ os:getpid() ++ "/status")),
    %% Without the status nothing is believed.
    ?assertMatch({error, {fetch, #{code := program, why := no_status}}},
                 merlon_nif:fetch_program(<<"/bin/echo">>, [<<"x">>], 5000)).

%% Nothing that is given later can be newer.
a_clock_that_was_ahead_is_spoken_of_test() ->
    Said = merlon_secrets:format_error({<<"the secret of x">>, {older, 7, 1 bsl 33}}),
    ?assertMatch({match, _}, re:run(Said, "newer entry .*made by a clock that was ahead, restart the node")).
