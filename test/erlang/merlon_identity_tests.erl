-module(merlon_identity_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [cert/2, cert/3]).

%% Each test gets a merlon dir of its own cluster, with the node app@here in it.
in_dir(Test) -> merlon_test_dir:with_node(Test).

load(Dir, Node) ->
    {ok, Config} = merlon_config:load(Dir),
    merlon_identity:load(Node, Config).

%% The error, after a look at its one sentence.
refused(Dir, Node, Words) ->
    {error, Problem} = load(Dir, Node),
    Said = unicode:characters_to_binary(merlon_identity:format_error(Problem)),
    ?assertMatch({{match, _}, _}, {re:run(Said, Words), Said}),
    ?assertMatch({nomatch, _}, {re:run(Said, "\n|-----BEGIN"), Said}),
    Problem.

a_good_identity_loads_test() ->
    in_dir(fun(Dir) ->
        {ok, Loaded} = load(Dir, 'app@here'),
        ?assertMatch(#{ref := _, identity := {node, <<"test">>, <<"app">>, <<"here">>},
                       config := #{cluster := <<"test">>}}, Loaded),
        #{not_before := Start, not_after := End, dir := Folder} = Loaded,
        ?assertEqual(90 * 86400 + 300, End - Start),
        ?assertEqual(iolist_to_binary([Dir, "/nodes/app@here"]), Folder),
        ?assertMatch({ok, _}, load(Dir, {"app", "here"})),
        ?assertMatch({ok, _}, load(Dir, {<<"app">>, <<"here">>}))
    end).

names_of_otps_own_suites_have_identities_test() ->
    in_dir(fun(Dir) ->
        [begin
             cert(Dir, Node),
             ?assertMatch({Node, {ok, _}}, {Node, load(Dir, list_to_atom(Node))})
         end || Node <- ["a_1@b", "b@b1-c", "d@b1#c", "f@::1", "1@b1", "e@b1" ++ [233]]]
    end).

a_name_without_a_certificate_says_the_command_test() ->
    in_dir(fun(Dir) ->
        ?assertMatch({identity, {no_identity, <<"other@here">>, _}},
                     refused(Dir, 'other@here', "merlon cert other@here --dir " ++ Dir)),
        ?assertMatch({identity, {no_identity, _, _}}, refused(Dir, 'app@there', "merlon cert app@there")),
        ?assertMatch({identity, {no_identity, _, _}}, refused(Dir, 'b_prelaunch_1@there', "merlon cert b@there "))
    end).

a_name_can_not_walk_out_of_the_dir_test() ->
    in_dir(fun(Dir) ->
        [?assertMatch({identity, {bad_name, _}}, refused(Dir, Name, "can't be used"))
         || Name <- [{"../nodes/app", "here"}, {"app", "here/../app@here"}, {"a\0", "here"}]]
    end).

%% ---- which identity ----

rabbitmqs_prelaunch_node_uses_its_brokers_identity_test() ->
    in_dir(fun(Dir) ->
        [?assertMatch({ok, #{identity := {node, _, <<"app">>, <<"here">>}}}, load(Dir, Node))
         || Node <- ['app_prelaunch_4711@here', 'app_prelaunch_4711@localhost']],
        [?assertMatch({Node, {error, {identity, {no_identity, _, _}}}}, {Node, load(Dir, Node)})
         || Node <- ['app_prelaunch_4711@there', 'xapp_prelaunch_1@here', 'app_prelaunch_@here',
                     'app_prelaunch@here', 'app2_prelaunch_1@here']]
    end).

tools_get_a_tools_identity_and_never_a_nodes_test() ->
    in_dir(fun(Dir) ->
        Tools = [{"", "here"}, {"undefined", "here"}, 'rem-a1b2-app@here', 'rabbitmqcli-7-app@here'],
        [?assertMatch({Name, {error, {identity, {no_identity, _, _}}}}, {Name, load(Dir, Name)})
         || Name <- Tools],
        cert(Dir, "here", ["--cli", "someone"]),
        [?assertMatch({Name, {ok, #{identity := {cli, _, <<"someone">>, <<"here">>}}}},
                      {Name, load(Dir, Name)}) || Name <- Tools],
        [?assertMatch({Name, {error, {identity, {no_identity, _, _}}}}, {Name, load(Dir, Name)})
         || Name <- ['rem-a1b2-app@there', 'other@here']]
    end).

the_users_own_tools_identity_comes_first_test() ->
    in_dir(fun(Dir) ->
        [cert(Dir, "here", ["--cli", User]) || User <- ["aaa", "me", "zzz"]],
        Saved = os:getenv("USER"),
        os:putenv("USER", "me"),
        try
            ?assertMatch({ok, #{identity := {cli, _, <<"me">>, _}}}, load(Dir, {"", "here"}))
        after
            case Saved of
                false -> os:unsetenv("USER");
                _ -> os:putenv("USER", Saved)
            end
        end
    end).

a_node_without_name_is_told_how_to_get_a_tools_certificate_test() ->
    in_dir(fun(Dir) -> refused(Dir, {"undefined", "here"}, "merlon cert --cli .* here --dir") end).

%% ---- what can be wrong with it ----

a_key_that_others_can_read_is_refused_test() ->
    in_dir(fun(Dir) ->
        ok = file:change_mode(Dir ++ "/nodes/app@here/key.pem", 8#640),
        ?assertMatch({file, {too_open, _, 8#640}}, refused(Dir, 'app@here', "chmod 600 .*/app@here/key.pem$"))
    end).

missing_files_are_named_test() ->
    [in_dir(fun(Dir) ->
        ok = file:delete(Dir ++ "/nodes/app@here/" ++ File),
        refused(Dir, 'app@here', File ++ " does not exist: .*merlon cert app@here --force")
     end) || File <- ["cert.pem", "key.pem"]],
    in_dir(fun(Dir) ->
        ok = file:delete(Dir ++ "/trust/ca.pem"),
        ?assertMatch({identity, {no_trust, _}}, refused(Dir, 'app@here', "trust holds no"))
    end).

a_key_of_another_certificate_is_refused_test() ->
    in_dir(fun(Dir) ->
        cert(Dir, "other@here"),
        {ok, _} = file:copy(Dir ++ "/nodes/other@here/key.pem", Dir ++ "/nodes/app@here/key.pem"),
        ?assertMatch({identity, {unusable, _, key_mismatch}},
                     refused(Dir, 'app@here', "key.pem is not the key of .*--force"))
    end).

a_certificate_in_anothers_folder_is_refused_test() ->
    in_dir(fun(Dir) ->
        ok = file:rename(Dir ++ "/nodes/app@here", Dir ++ "/nodes/other@here"),
        ?assertMatch({identity, {wrong_folder, _, <<"app@here">>}},
                     refused(Dir, 'other@here', "is for app@here"))
    end).

a_tools_certificate_can_not_stand_in_for_a_nodes_test() ->
    in_dir(fun(Dir) ->
        cert(Dir, "here", ["--cli", "tool"]),
        ok = file:rename(Dir ++ "/cli/tool@here", Dir ++ "/nodes/tool@here"),
        ?assertMatch({identity, {wrong_folder, _, _}}, refused(Dir, 'tool@here', "is for tool@here|tool"))
    end).

a_certificate_of_another_ca_is_refused_test() ->
    in_dir(fun(Dir) ->
        merlon_test_dir:with(fun(Other) ->
            merlon_test_dir:init(Other),
            {ok, _} = file:copy(Other ++ "/trust/ca.pem", Dir ++ "/trust/ca.pem"),
            ?assertMatch({identity, {unusable, _, Reason}}
                           when Reason =:= unknown_issuer orelse Reason =:= bad_signature,
                         refused(Dir, 'app@here', "app@here/cert.pem: "))
        end)
    end).

a_certificate_of_another_cluster_is_refused_test() ->
    in_dir(fun(Dir) ->
        ok = file:write_file(Dir ++ "/merlon.config", "{cluster, \"other\"}."),
        ?assertMatch({identity, {unusable, _, {wrong_cluster, _}}},
                     refused(Dir, 'app@here', "of cluster test, not other: set {cluster"))
    end).

%% Certificates of other times, from the same functions that the commands use.
issue_at(Dir, Now, Days) ->
    {ok, CaCert} = file:read_file(Dir ++ "/ca/ca.pem"),
    {ok, CaKey} = file:read_file(Dir ++ "/ca/ca.key"),
    {ok, #{cert := Cert, key := Key}} =
        merlon_nif:pki_issue(#{ca_cert => CaCert, ca_key => CaKey, identity => {node, <<"app">>, <<"here">>},
                               alg => p256, ips => [], days => Days, now => Now}),
    merlon_test_dir:put_file(Dir ++ "/nodes/app@here/cert.pem", Cert),
    merlon_test_dir:put_file(Dir ++ "/nodes/app@here/key.pem", Key, 8#600).

an_expired_certificate_says_since_when_test() ->
    merlon_test_dir:with(fun(Dir) ->
        Then = erlang:system_time(second) - 30 * 86400,
        {ok, #{cert := CaCert, key := CaKey}} =
            merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 3650, now => Then}),
        merlon_test_dir:put_file(Dir ++ "/ca/ca.pem", CaCert),
        merlon_test_dir:put_file(Dir ++ "/ca/ca.key", CaKey, 8#600),
        merlon_test_dir:put_file(Dir ++ "/trust/ca.pem", CaCert),
        merlon_test_dir:put_file(Dir ++ "/merlon.config", "{cluster, \"test\"}."),
        issue_at(Dir, Then, 10),
        ?assertMatch({identity, {unusable, _, {expired, _}}},
                     refused(Dir, 'app@here', "expired on .* \\(20 days ago\\): .*merlon cert app@here --force")),
        {1, Out, _} = merlon_cli:run(["inspect", Dir]),
        ?assertMatch({match, _}, re:run(Out, "expired 20 days ago.*PROBLEM: .*expired on", [dotall]))
    end).

a_clock_before_not_before_is_told_test() ->
    in_dir(fun(Dir) ->
        issue_at(Dir, erlang:system_time(second) + 86400, 10),
        ?assertMatch({identity, {unusable, _, {not_yet_valid, _}}},
                     refused(Dir, 'app@here', "valid from .*clock says .*set this machine's clock"))
    end).

garbage_in_any_file_is_refused_and_named_test_() ->
    [{File, fun() -> in_dir(fun(Dir) ->
        merlon_test_dir:put_file(filename:join(Dir, File), Garbage, 8#600),
        refused(Dir, 'app@here', Named)
      end) end}
     || {File, Named} <- [{"nodes/app@here/cert.pem", "cert.pem"}, {"nodes/app@here/key.pem", "key.pem"},
                          {"trust/ca.pem", "trust"}, {"crl.pem", "crl.pem"}],
        Garbage <- [<<>>, <<"hello">>, <<255, 0, 254>>,
                    <<"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n">>]].
