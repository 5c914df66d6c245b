%% SPDX-License-Identifier: Apache-2.0
%% `merlon renew` where the CA is. With running nodes: merlon_renew_SUITE.
-module(merlon_cli_renew_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with/1, with_node/1, cert/2, cert/3]).

renew(Dir, Args) -> merlon_cli:run(["renew", "--dir", Dir | Args]).

info(Dir, Node) ->
    {ok, Text} = file:read_file(filename:join([Dir, "nodes", Node, "cert.pem"])),
    {ok, [Info]} = merlon_nif:pki_inspect(Text),
    Info.

matches(Text, Pattern) -> ?assertMatch({match, _}, re:run(Text, Pattern)).

the_next_certificate_is_like_the_one_before_and_written_down_test() ->
    with_node(fun(Dir) ->
        cert(Dir, "b@here", ["--ip", "192.0.2.1", "--days", "7", "--alg", "ed25519"]),
        Before = info(Dir, "b@here"),
        {0, Said, <<>>} = renew(Dir, ["b@here"]),
        matches(Said, "Renewed the certificate of b@here"),
        #{serial := Serial, not_before := From, not_after := To} = After = info(Dir, "b@here"),
        Changing = [serial, sha256, not_before, not_after],
        ?assertEqual(maps:without(Changing, Before), maps:without(Changing, After)),
        ?assertNotEqual(maps:get(serial, Before), Serial),
        ?assertEqual(7, (To - From) div 86400),
        {ok, Known} = merlon_issued:known(list_to_binary(Dir), <<"b@here">>),
        ?assertEqual(2, length(Known)),
        {ok, Settings} = merlon_config:load(Dir),
        ?assertMatch({ok, _}, merlon_identity:load('b@here', Settings)),
        %% A revocation by name takes both.
        {0, Revoked, <<>>} = merlon_cli:run(["revoke", "b@here", "--dir", Dir]),
        ?assertMatch({match, [_, _]}, re:run(Revoked, "Revoked serial", [global]))
    end).

the_only_node_needs_no_name_test() ->
    with_node(fun(Dir) ->
        Before = info(Dir, "app@here"),
        ?assertMatch({0, _, <<>>}, renew(Dir, [])),
        ?assertNotEqual(Before, info(Dir, "app@here")),
        cert(Dir, "b@here"),
        {2, <<>>, Which} = renew(Dir, []),
        matches(Which, "say which node to renew: app@here, b@here")
    end).

what_is_not_there_is_not_renewed_test() ->
    with_node(fun(Dir) ->
        {1, <<>>, Unknown} = renew(Dir, ["c@here"]),
        matches(Unknown, "merlon cert c@here"),
        {2, <<>>, NoName} = renew(Dir, ["c"]),
        matches(NoName, "NAME@HOST"),
        {1, <<>>, None} = with(fun(Empty) -> renew(Empty, []) end),
        matches(None, "there is no node")
    end).
