-module(merlon_config_tests).
-include_lib("eunit/include/eunit.hrl").

%% What load/1 makes of a merlon.config with this text; errors as `{Line, Problem}` and words.
load(Text) ->
    merlon_test_dir:with(fun(Dir) ->
        ok = file:write_file(filename:join(Dir, "merlon.config"), Text),
        case merlon_config:load(Dir) of
            {ok, Config} -> {ok, maps:remove(dir, Config)};
            {error, {config, {File, Line, Problem} = Reason}} ->
                ?assertEqual(iolist_to_binary([Dir, "/merlon.config"]), File),
                {Line, Problem, iolist_to_binary(merlon_config:format_error(Reason))}
        end
    end).

defaults_are_complete_test() ->
    ?assertMatch({ok, #{cluster := <<"shop">>, handshake_timeout := 7000, max_handshakes := 64,
                        key_update_after := 8388608, max_frame := 2147483648, busy_poll := 100,
                        require_carrier := false, cli_names := default, stale_crl := refuse,
                        grace := 0, revoked_grace := 0, rotate_secret := never,
                        identity := certificate,
                        core_files := without_memory, secret := none, secret_wait := 30000, listen := default, deny := [],
                        source_burst := 64, source_rate := 2, source_backoff := 5000, log_interval := 60, epmd := {names, #{port := 4370}},
                        interop := #{inet_tls := false, plain := none}, status := off,
                        derived_names := [<<"{name}_prelaunch_*">>]}},
                 load("{cluster, \"shop\"}.")).

every_setting_can_be_set_test() ->
    {ok, Config} = load("%% comment\n{cluster, <<\"a-b.c_1\">>}. {cli_names, [\"x-*\", <<\"y\">>]}.\n"
                        "{derived_names, []}.\n{handshake_timeout, 100}.\n{max_handshakes, 1}.\n"
                        "{key_update_after, 1}.\n{max_frame, 65536}. {busy_poll, 0}.\n{require_carrier, true}.\n"
                        "{stale_crl, warn}. {grace, 0}. {revoked_grace, 2592000}.\n"
                        "{renew, false}. {issue, false}. {enroll, true}.\n"
                        "{rotate_secret, {every, {30, days}}}.\n{identity, secret}. {core_files, whole}.\n"
                        "{listen, [\"127.0.0.1\", \"eth0\"]}. {allow, [\"10.0.0.0/8\"]}. {deny, [\"::1\"]}.\n"
                        "{unlimited, []}. {source_burst, 5}. {source_rate, 1}. {source_backoff, 0}. {log_interval, 0}.\n{epmd, {port, 9000}}.\n"
                        "{secret, {env, \"KEYRING\"}}. {secret_wait, 1000}. {status, {\"127.0.0.1\", 4371}}.\n"
                        "{interop, {plain, [{allow, \"::1\"}, {until, {1970, 1, 2}}, {nodes, [\"a@b\", 'c@d']}]}}."),
    {ok, Ten} = merlon_cidr:parse(<<"10.0.0.0/8">>),
    {ok, One} = merlon_cidr:parse(<<"::1">>),
    ?assertEqual(#{cluster => <<"a-b.c_1">>, cli_names => [<<"x-*">>, <<"y">>], derived_names => [],
                   handshake_timeout => 100, max_handshakes => 1, key_update_after => 1,
                   max_frame => 65536, busy_poll => 0, require_carrier => true, stale_crl => warn, grace => 0,
                   revoked_grace => 2592000, renew => false, issue => false, enroll => true,
                   rotate_secret => {30 * 86400, 86400}, identity => secret, core_files => whole,
                   secret => {merlon_secrets_env, <<"KEYRING">>}, secret_wait => 1000,
                   listen => [{ip, {127, 0, 0, 1}}, {interface, "eth0"}], allow => [Ten], deny => [One],
                   unlimited => [], source_burst => 5, source_rate => 1, source_backoff => 0,
                   log_interval => 0, epmd => {port, 9000}, status => {{127, 0, 0, 1}, 4371},
                   interop => #{inet_tls => false, plain => #{allow => [One], until => 2 * 86400, nodes => [<<"a@b">>, <<"c@d">>]}}}, Config),
    ?assertEqual(lists:sort([Key || {Key, _, _, _} <- merlon_config:keys()]),
                 lists:sort(maps:keys(Config))).

rotations_are_scheduled_in_words_test_() ->
    Load = fun(Value) -> load("{cluster, \"a\"}.\n{rotate_secret, " ++ Value ++ "}.") end,
    [[{Value, ?_assertMatch({ok, #{rotate_secret := Rule}}, Load(Value))}
      || {Value, Rule} <- [{"off", off}, {"never", never}, {"{every, {10, seconds}}", {10, 5}},
                           {"{every, {2, hours}, {grace, {90, minutes}}}", {7200, 5400}},
                           {"{every, {1, days}, {grace, {4, days}}}", {86400, 4 * 86400}}]],
     [{Value, ?_assertMatch({2, {bad_value, rotate_secret, rotation}, _}, Load(Value))}
      || Value <- ["always", "{every, {9, seconds}}", "{every, {0, days}}", "{every, {1, weeks}}", "{every, 10}",
                   "{every, {1, days}, {grace, {5, days}}}", "{every, {1.5, days}}"]]].

only_an_end_and_networks_let_plain_nodes_in_test_() ->
    Load = fun(Value) -> load("{cluster, \"a\"}.\n{interop, " ++ Value ++ "}.") end,
    [[{Value, ?_assertMatch({ok, #{interop := #{plain := #{until := _, allow := [_ | _]}}}}, Load(Value))}
      || Value <- ["{plain, [{until, \"2027-02-28\"}, {allow, [\"10.0.0.0/8\", \"::1\"]}]}",
                   "{plain, [{allow, <<\"10.0.0.0/8\">>}, {until, {2028, 2, 29}}, {nodes, []}]}"]],
     [{Value, ?_assertMatch({2, {bad_value, interop, interop}, _}, Load(Value))}
      || Value <- ["plain", "{plain, []}", "{plain, [{allow, \"10.0.0.0/8\"}]}", "{plain, [{until, {2027, 1, 1}}]}",
                   "{plain, [{allow, []}, {until, {2027, 1, 1}}]}", "{plain, [{allow, \"10.0.0.1/8\"}, {until, {2027, 1, 1}}]}",
                   "{plain, [{allow, \"::1\"}, {until, {2027, 2, 29}}]}", "{plain, [{allow, \"::1\"}, {until, forever}]}",
                   "{plain, [{allow, \"::1\"}, {until, \"27-1-1\"}]}", "{plain, [{allow, \"::1\"}, {until, {2027, x, 1}}]}",
                   "{plain, [{allow, \"::1\"}, {until, {2027, 1, 1}}, {nodes, [\"a\"]}]}",
                   "{plain, [{allow, \"::1\"}, {until, {2027, 1, 1}}, {nodes, \"a@b\"}]}",
                   "{plain, [{allow, \"::1\"}, {allow, \"::1\"}, {until, {2027, 1, 1}}]}",
                   "{plain, [{allow, \"::1\"}, {until, {2027, 1, 1}}, {note, 1}]}", "[inet_tls | plain]",
                   "{plain, [{allow, \"::1\"} | none]}", "{plain, [{allow, [\"::1\" | none]}, {until, {2027, 1, 1}}]}",
                   "{plain, [{allow, \"::1\"}, {until, {2027, 1, 1}}, {nodes, [\"a@b\" | none]}]}",
                   "{plain, [{allow, \"::1\"}, {until, [1000]}]}", "{plain, [{allow, \"::1\"}, {until, [a]}]}"]]].

text_that_is_no_utf8_is_a_problem_of_its_line_test() ->
    ?assertMatch({2, _, _}, load("{cluster, \"shop\"}.\n{cli_names, [<<114,112,99,45,255>>]}.")).

problems_stop_the_node_with_file_and_line_test_() ->
    [{Text, fun() ->
                {Line, Problem, Said} = load(Text),
                ?assertMatch({match, _}, re:run(Said, "/merlon\\.config:" ++ integer_to_list(Line) ++ ": ")),
                ?assertMatch({{match, _}, _}, {re:run(Said, Words), Said})
            end}
     || {Text, Line, Problem, Words} <-
        [{"{cluster, \"a\"}.\n{max_frames, 1}.", 2, {unknown_key, max_frames}, "is it max_frame "},
         {"{cluster, \"a\"}.\n\n{xyzzy, 1}.", 3, {unknown_key, xyzzy}, "known ones are cluster"},
         {"{cluster, \"Upper\"}.", 1, {bad_value, cluster, cluster}, "cluster must be"},
         {"{cluster, \"a\"}. {stale_crl, ignore}.", 1, {bad_value, stale_crl, {one_of, [refuse, warn]}},
          "must be refuse or warn"},
         {"{cluster, \"a\"}. {grace, -1}.", 1, {bad_value, grace, {integer, 0, 2592000}}, "from 0 to 2592000"},
         {"{cluster, \"\"}.", 1, {bad_value, cluster, cluster}, "cluster must be"},
         {"{cluster, \"a\n\"}.", 1, {bad_value, cluster, cluster}, "cluster must be"},
         {"{cluster, a}.", 1, {bad_value, cluster, cluster}, "double quotes"},
         {"{cluster, \"a\"}.\n{cluster, \"b\"}.", 2, {twice, cluster}, "cluster is set twice"},
         {"{cluster, \"a\"}.\n{max_frame, 10}.", 2, {bad_value, max_frame, {integer, 65536, 1099511627776}},
          "from 65536 to 1099511627776"},
         {"{cluster, \"a\"}.\n{handshake_timeout, infinity}.", 2,
          {bad_value, handshake_timeout, {integer, 100, 600000}}, "a whole number"},
         {"{cluster, \"a\"}.\n{require_carrier, yes}.", 2, {bad_value, require_carrier, boolean},
          "true or false"},
         {"{cluster, \"a\"}.\n{cli_names, [\"*\"]}.", 2, {bad_value, cli_names, patterns}, "\\* alone"},
         {"{cluster, \"a\"}.\n{cli_names, [\"a@b\"]}.", 2, {bad_value, cli_names, patterns}, "without|none"},
         {"{cluster, \"a\"}.\n{deny, [\"10.0.0.1/8\"]}.", 2, {bad_value, deny, networks}, "bits behind the prefix"},
         {"{cluster, \"a\"}.\n{allow, \"10.0.0.0/8\"}.", 2, {bad_value, allow, networks}, "a list of networks"},
         {"{cluster, \"a\"}.\n{listen, []}.", 2, {bad_value, listen, places}, "at least one"},
         {"{cluster, \"a\"}.\n{listen, [\"no such place\"]}.", 2, {bad_value, listen, places}, "interfaces"},
         {"{cluster, \"a\"}.\n{status, {\"localhost\", 4370}}.", 2, {bad_value, status, {status, status_must("localhost")}},
          "status must be off or \\{Address, Port\\}"},
         {"{cluster, \"a\"}.\nfoo.", 2, not_a_setting, "Key, Value"},
         {<<"{cluster, \"a\"}.\n%", 255, "\n">>, 2, not_utf8, "UTF-8"}]].

status_must(Ip) ->
    {error, Must} = merlon_status_core:place({Ip, 4370}),
    Must.

%% A token of a vault, for example.
no_syntax_error_shows_what_stands_there_test_() ->
    [fun() ->
             {1, {syntax, _}, Words} = load(["{cluster, \"a\"}. {secret, {vault, [{token, ", Wrong, "}]}}.\n"]),
             ?assertEqual({Wrong, nomatch}, {Wrong, re:run(Words, "anted")})
     end
     || Wrong <- ["{value \"s.Planted\"}", "{value, \"s.Planted}", "{value, \"s.Pl\"anted\"}", "{value, s Planted}",
                  "{value, 's.Planted}", "{value, \"s\" 'Planted'}", "{value, <<\"s.Planted\">> \"Planted\"}",
                  "{value, \"s.\"Planted}"]].

syntax_errors_have_their_line_test() ->
    ?assertMatch({2, {syntax, _}, _}, load("{cluster, \"a\"}.\n{max_frame 1}.")),
    ?assertMatch({1, {syntax, _}, _}, load("{cluster, \"a\"}")),
    ?assertMatch({2, {syntax, _}, _}, load("{cluster, \"a\"}.\n\"open")).

a_missing_cluster_and_a_missing_file_say_what_to_do_test() ->
    {0, {missing, cluster}, Said} = load("{max_frame, 65536}."),
    ?assertMatch({match, _}, re:run(Said, "add {cluster, \"NAME\"}")),
    {error, {config, Reason}} = merlon_config:load("/nonexistent"),
    ?assertMatch({match, _}, re:run(merlon_config:format_error(Reason), "merlon init")).

%% docs/guides/settings.md, which the README refers to.
every_setting_is_documented_test() ->
    {ok, Guide} = file:read_file(filename:join([code:lib_dir(merlon), "..", "..", "..", "..", "docs", "guides", "settings.md"])),
    ?assertEqual([], [Key || {Key, _, _, _} <- merlon_config:keys(),
                             binary:match(Guide, list_to_binary(["`", atom_to_list(Key), "`"])) =:= nomatch]).
