%% SPDX-License-Identifier: Apache-2.0
-module(merlon_config_env_tests).
-include_lib("eunit/include/eunit.hrl").

%% Runs Fun(Dir) with a merlon dir of cluster "file" and this application environment, and puts the old one back.
with(Env, Fun) ->
    Before = application:get_all_env(merlon),
    set(Env),
    try
        merlon_test_dir:with(fun(Dir) ->
            ok = file:write_file(filename:join(Dir, "merlon.config"), "{cluster, \"file\"}.\n{grace, 5}.\n"),
            Fun(Dir)
        end)
    after
        set(Before)
    end.

set(Env) ->
    [application:unset_env(merlon, Key) || {Key, _} <- application:get_all_env(merlon), Key =/= included_applications],
    [application:set_env(merlon, Key, Value) || {Key, Value} <- Env, Key =/= included_applications].

load(Env) -> with(Env, fun merlon_config:load/1).

what_the_application_says_counts_more_than_the_file_test() ->
    ?assertMatch({ok, #{cluster := <<"file">>, grace := 5}}, load([])),
    ?assertMatch({ok, #{cluster := <<"file">>, grace := 7}}, load([{grace, 7}])),
    ?assertMatch({ok, #{cluster := <<"other">>, grace := 5}}, load([{cluster, <<"other">>}])).

what_is_not_merlons_setting_but_the_applications_is_left_test() ->
    ?assertMatch({ok, _}, load([{kdf_memory, 1000000}, {dir, "/etc/merlon"}])).

unknown_or_bad_is_refused_with_the_place_test_() ->
    [{Words, fun() ->
                 {error, {config, Reason}} = load(Env),
                 ?assertMatch({_, application, _}, Reason),
                 Said = merlon_config:format_error(Reason),
                 ?assertMatch({match, _}, re:run(Said, "config :merlon.*" ++ Words))
             end}
     || {Env, Words} <- [{[{max_frames, 1}], "is it max_frame that you mean"}, {[{grace, -1}], "from 0 to"},
                         {[{cluster, "UPPER"}], "cluster must be"}, {[{dir, 17}], "unknown setting dir"}]].

a_secret_does_not_stand_there_test() ->
    Vault = fun(Token) -> [{secret, {vault, [{url, "https://vault.example"}, {path, "merlon"}, {token, {value, Token}}]}}] end,
    {error, {config, {_, application, inline_secret} = Reason}} = load(Vault("s.secret")),
    ?assertEqual(nomatch, re:run(merlon_config:format_error(Reason), "s\\.secret")),
    ?assertMatch({ok, _}, load([{secret, {vault, [{url, "https://vault.example"}, {path, "merlon"}, {token, {env, "VAULT_TOKEN"}}]}}])).

the_dir_is_found_there_last_of_what_is_said_test() ->
    Before = os:getenv("MERLON_DIR"),
    try
        os:unsetenv("MERLON_DIR"),
        ?assertEqual({ok, "/etc/a"}, with([{dir, <<"/etc/a">>}], fun(_) -> merlon_dir:find() end)),
        os:putenv("MERLON_DIR", "/etc/b"),
        ?assertEqual({ok, "/etc/b"}, with([{dir, "/etc/a"}], fun(_) -> merlon_dir:find() end))
    after
        case Before of
            false -> os:unsetenv("MERLON_DIR");
            _ -> os:putenv("MERLON_DIR", Before)
        end
    end.

a_node_without_links_has_nothing_to_take_test() ->
    ?assertEqual(ok, with([{listen, ["127.0.0.1"]}], fun(_) -> merlon_config_env:take() end)).

%% On a node that has started with Dir and the file's settings.
take(Env) ->
    with([], fun(Dir) ->
        {ok, Config} = merlon_config:load(Dir),
        Key = {merlon_node, node},
        Before = persistent_term:get(Key, none),
        persistent_term:put(Key, #{name => "a@b", dir => <<"/nodes">>, config => Config}),
        try with(Env(Dir), fun(_) -> merlon_config_env:take() end)
        after
            case Before of none -> persistent_term:erase(Key); _ -> persistent_term:put(Key, Before) end
        end
    end).

what_comes_too_late_is_refused_test() ->
    ?assertEqual({error, {too_late, [listen]}}, take(fun(_) -> [{listen, ["127.0.0.1"]}, {grace, 5}] end)),
    ?assertEqual({error, {too_late, [cluster]}}, take(fun(_) -> [{cluster, "other"}] end)),
    ?assertMatch({match, _}, re:run(merlon_config_env:format_error({too_late, [cluster, listen]}),
                                    "sets cluster, listen after the distribution")).

another_dir_is_refused_test() ->
    {error, {other_dir, "/elsewhere", _} = Reason} = take(fun(_) -> [{dir, "/elsewhere"}] end),
    ?assertMatch({match, _}, re:run(merlon_config_env:format_error(Reason), "-merlon_dir /elsewhere")),
    ?assertEqual(ok, take(fun(Dir) -> [{dir, list_to_binary(Dir ++ "/")}] end)).

%% Nothing runs here that could take it, and it is said.
what_is_in_time_is_taken_by_a_reload_test() ->
    ?assertEqual({error, not_distributed}, take(fun(_) -> [{grace, 9}] end)),
    ?assertEqual({error, not_distributed}, take(fun(_) -> [{cluster, "file"}] end)),
    ?assertEqual({error, not_distributed}, take(fun(_) -> [{require_carrier, true}] end)).
