-module(merlon_app_tests).
-include_lib("eunit/include/eunit.hrl").

cause(Flags) ->
    {error, Text} = merlon_app:carrier('a@b', false, Flags),
    Text.

a_carrier_that_runs_or_no_distribution_is_fine_test() ->
    ?assertEqual(ok, merlon_app:carrier('a@b', true, {ok, [["merlon"]]})),
    ?assertEqual(ok, merlon_app:carrier(nonode@nohost, false, error)).

proto_dist_given_twice_is_named_test() ->
    Text = cause({ok, [["merlon"], ["merlon"]]}),
    ?assertMatch({match, _}, re:run(Text, "^a@b is not secured .*-proto_dist is given 2 times")),
    ?assertMatch({match, _}, re:run(Text, "plain TCP")).

another_carrier_and_none_at_all_say_what_to_add_test() ->
    ?assertMatch({match, _}, re:run(cause({ok, [["inet_tls"]]}), "-proto_dist inet_tls,.*use -proto_dist merlon")),
    ?assertMatch({match, _}, re:run(cause(error), "without -proto_dist merlon")).

a_second_carrier_beside_merlon_is_named_test() ->
    [?assertMatch({error, _}, merlon_app:carrier('a@b', true, {ok, [Protos]}))
     || Protos <- [["inet_tcp", "merlon"], ["merlon", "inet_tls"]]],
    ?assertEqual(ok, merlon_app:carrier('a@b', true, {ok, [["merlon", "merlon6"]]})).

%% Real nodes over plain TCP: the application says so, or refuses.
plain_nodes_test_() ->
    {timeout, 60,
     [{timeout, 30, ?_assertMatch({match, _}, re:run(start("-sname merlon_app_a"),
                                   "not secured by merlon: it was started without"))},
      {timeout, 30, ?_assertMatch({match, _}, re:run(start("-sname merlon_app_b -merlon require_carrier true"),
                                   "refused not_the_carrier.*without -proto_dist merlon", [dotall]))},
      {timeout, 30, ?_assertMatch({match, _}, re:run(start(""), "^started ok$"))}]}.

start(Flags) ->
    Ebin = filename:dirname(code:which(merlon_app)),
    Eval = "case application:start(merlon) of ok -> io:format(\"started ok\"); "
           "{error, {{W, T}, _}} -> io:format(\"refused ~p ~s\", [W, T]); "
           "{error, {W, T}} -> io:format(\"refused ~p ~p\", [W, T]) end, timer:sleep(500), halt().",
    os:cmd("MERLON_DIR=/nonexistent erl -noshell -boot no_dot_erlang -pa " ++ Ebin ++ " " ++ Flags
           ++ " -eval '" ++ Eval ++ "' 2>&1").
