-module(merlon_cli_csr_tests).
-include_lib("eunit/include/eunit.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(NODE, "app@web1.example").

csr(Dir, More) -> merlon_cli:run(["csr", ?NODE, "--dir", Dir | More]).
matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.
folder(Dir) -> Dir ++ "/nodes/" ++ ?NODE.

a_request_for_a_new_dir_needs_the_cluster_and_says_what_to_do_next_test() ->
    ?in_dir(Dir, begin
        {1, <<>>, Error} = csr(Dir, []),
        ?assert(matches("merlon.config does not exist.*--cluster NAME", Error)),
        {0, Out, <<>>} = csr(Dir, ["--cluster", "shop", "--ip", "10.0.0.7"]),
        [?assertMatch({true, _}, {matches(Words, Out), Words})
         || Words <- ["csr.pem\n", "into " ++ folder(Dir) ++ "/cert.pem\n", "{cluster, \"shop\"}",
                      Dir ++ "/trust/", "merlon inspect " ++ Dir]],
        ?assertEqual([8#700, 8#600, 8#644], [merlon_test_dir:mode(folder(Dir) ++ File)
                                             || File <- ["", "/key.pem", "/csr.pem"]]),
        {ok, Csr} = file:read_file(folder(Dir) ++ "/csr.pem"),
        ?assertEqual({ok, {node, <<"shop">>, <<"app">>, <<"web1.example">>}},
                     merlon_pki:csr_identity(Csr)),
        ?assertNot(matches("PRIVATE", Out))
    end).

the_cluster_is_the_dirs_test() ->
    ?in_dir(Dir, begin
        merlon_test_dir:put_file(Dir ++ "/merlon.config", "{cluster, \"shop\"}.\n"),
        {1, <<>>, Error} = csr(Dir, ["--cluster", "other"]),
        ?assert(matches("is shop, not other", Error)),
        {0, _, <<>>} = csr(Dir, []),
        {ok, Csr} = file:read_file(folder(Dir) ++ "/csr.pem"),
        ?assertMatch({ok, {node, <<"shop">>, _, _}}, merlon_pki:csr_identity(Csr))
    end).

a_key_is_never_replaced_without_force_test() ->
    ?in_dir(Dir, begin
        merlon_test_dir:put_file(folder(Dir) ++ "/key.pem", "precious", 8#600),
        {1, <<>>, Error} = csr(Dir, ["--cluster", "shop"]),
        ?assert(matches("key.pem exists already: give --force", Error)),
        ?assertEqual({ok, <<"precious">>}, file:read_file(folder(Dir) ++ "/key.pem")),
        merlon_test_dir:put_file(folder(Dir) ++ "/cert.pem", "old"),
        {0, Out, <<>>} = csr(Dir, ["--cluster", "shop", "--force"]),
        ?assert(matches("until the new one is in its\nplace the node can't start", Out)),
        {ok, <<"-----BEGIN PRIVATE KEY", _/binary>>} = file:read_file(folder(Dir) ++ "/key.pem"),
        ?assertEqual({ok, <<"old">>}, file:read_file(folder(Dir) ++ "/cert.pem"))
    end).

what_is_no_node_or_cluster_is_refused_test() ->
    ?in_dir(Dir, begin
        ?assertMatch({2, <<>>, _}, merlon_cli:run(["csr", "app", "--dir", Dir])),
        ?assertMatch({2, <<>>, _}, csr(Dir, ["--cluster", "shop", "--ip", "10.0.0"])),
        {1, <<>>, Error} = csr(Dir, ["--cluster", "No Cluster"]),
        ?assert(matches("a cluster's name is", Error)),
        ?assertNot(filelib:is_file(folder(Dir) ++ "/key.pem"))
    end).

tools_have_requests_too_test() ->
    ?in_dir(Dir, begin
        {0, _, <<>>} = merlon_cli:run(["csr", "web1", "--cli", "root", "--cluster", "shop", "--dir", Dir]),
        {ok, Csr} = file:read_file(Dir ++ "/cli/root@web1/csr.pem"),
        ?assertEqual({ok, {cli, <<"shop">>, <<"root">>, <<"web1">>}}, merlon_pki:csr_identity(Csr))
    end).
