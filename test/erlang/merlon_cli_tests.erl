-module(merlon_cli_tests).
-include_lib("eunit/include/eunit.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).

init(Dir) -> merlon_cli:run(["init", "--dir", Dir, "--cluster", "test"]).
matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

%% ---- arguments ----

wrong_usage_exits_with_2_and_says_what_is_wrong_test_() ->
    [{lists:flatten(lists:join(" ", Args)),
      fun() ->
          {Code, Out, Error} = merlon_cli:run(Args),
          ?assertEqual({2, <<>>}, {Code, Out}),
          ?assertMatch({true, _}, {matches(Words, Error), Error}),
          ?assertMatch({true, _}, {matches("--help`|Usage", Error), Error})
      end}
     || {Args, Words} <-
        [{[], "Usage: merlon COMMAND"},
         {["inti"], "unknown command inti: is it init"},
         {["xyzzy"], "unknown command xyzzy\n"},
         {["init"], "--cluster NAME is missing"},
         {["init", "--clutser", "a"], "unknown option --clutser: is it --cluster"},
         {["init", "-d"], "unknown option d|-d"},
         {["init", "--cluster"], "--cluster needs a value: NAME"},
         {["init", "--cluster", ""], "--cluster is empty"},
         {["init", "--cluster", "a", "--cluster", "b"], "--cluster is given twice"},
         {["init", "--cluster", "a", "b"], "unexpected argument b"},
         {["init", "--cluster", "a", "--days", "0"], "--days must be a number of days from 1"},
         {["init", "--cluster", "a", "--days", "99999999999"], "--days must be"},
         {["init", "--cluster", "a", "--days", "1e3"], "--days must be"},
         {["init", "--cluster", "a", "--alg", "rsa"], "--alg must be p256.p384.ed25519, not rsa"},
         {["init", "--cluster", "A b", "--dir", "/nonexistent/x"], "a cluster's name is"},
         {["init", "--cluster", "a", "--node", "app", "--dir", "/nonexistent/x"], "app is not a full node name"},
         {["init", "--secret", "--node", "app@h"], "--secret goes without --node"},
         {["cert"], "NODE is missing"},
         {["cert", "app"], "app is not a full node name: give NAME@HOST"},
         {["cert", "@h"], "form NAME@HOST"},
         {["cert", "a@"], "form NAME@HOST"},
         {["cert", "a@b@c"], "form NAME@HOST"},
         {["cert", "a@b/../../x"], "without /"},
         {["cert", "h", "--cli", "../x"], "without /"},
         {["cert", "a@b", "--ip", "10.0.0"], "10.0.0 is not an IP address"},
         {["cert", "a@b", "--force=yes"], "--force takes no value"},
         {["inspect"], "FILE.DIR is missing"},
         {["revoke"], "say what to revoke: NODE or SERIAL"},
         {["revoke", "a@b", "c@d"], "unexpected argument c@d"},
         {["revoked", "a@b"], "unexpected argument a@b"},
         {["cookie", "a", "b"], "unexpected argument b"},
         {["cookie", "a", "--prove", "1:2"], "--prove takes no FILE"}]].

help_is_for_every_command_test_() ->
    [?_assertMatch({0, <<"Usage: merlon ", _/binary>>, <<>>}, merlon_cli:run(Args))
     || Args <- [["--help"], ["-h"], ["help"], ["init", "--help"], ["cert", "x", "-h"],
                 ["inspect", "--help", "--nonsense"], ["revoke", "--help"], ["revoked", "-h"],
                 ["cookie", "--help"], ["audit", "--help"], ["audit", "a", "b", "-h"]]].

version_is_the_applications_test() ->
    ?assertMatch({0, <<"merlon 0.", _/binary>>, <<>>}, merlon_cli:run(["--version"])).

another_program_has_its_own_name_in_help_and_errors_test() ->
    ?assertMatch({0, <<"Usage: mix merlon.init ", _/binary>>, <<>>},
                 merlon_cli:command("init", ["--help"], "mix merlon.init")),
    ?assertMatch({2, <<>>, <<"mix merlon.init: ", _/binary>>},
                 merlon_cli:command("init", [], "mix merlon.init")).

%% ---- init ----

init_makes_a_dir_whose_secrets_are_private_test() ->
    ?in_dir(Dir, begin
        {0, Out, <<>>} = init(Dir),
        ?assert(matches("Made .*merlon cert NAME@HOST --dir " ++ Dir, Out)),
        ?assertEqual([8#700, 8#600, 8#644, 8#644],
                     [merlon_test_dir:mode(Dir ++ File)
                      || File <- ["/ca", "/ca/ca.key", "/trust/ca.pem", "/merlon.config"]]),
        ?assertMatch({ok, #{cluster := <<"test">>}}, merlon_config:load(Dir))
    end).

init_is_ten_years_of_p256_unless_told_otherwise_test() ->
    [?in_dir(Dir, begin
        {0, _, <<>>} = merlon_cli:run(["init", "--dir", Dir, "--cluster", "test" | More]),
        {ok, Pem} = file:read_file(Dir ++ "/ca/ca.pem"),
        {ok, [#{key_alg := Found, is_ca := true, path_len := 0, not_before := S, not_after := E}]} =
            merlon_nif:pki_inspect(Pem),
        ?assertEqual({Alg, Days}, {Found, (E - S) div 86400})
     end) || {More, Alg, Days} <- [{[], <<"EC P-256">>, 3650}, {["--alg", "p384"], <<"EC P-384">>, 3650},
                                   {["--alg=ed25519", "--days=30"], <<"Ed25519">>, 30}]].

init_can_issue_the_first_nodes_certificate_test() ->
    ?in_dir(Dir, begin
        {0, Out, <<>>} = merlon_cli:run(["init", "--dir", Dir, "--cluster", "test", "--node", "app@h"]),
        ?assert(matches("Made .*-proto_dist merlon", Out)),
        ?assertMatch({ok, _}, file:read_file(Dir ++ "/nodes/app@h/key.pem"))
    end).

init_overwrites_nothing_test_() ->
    [?_test(?in_dir(Dir, begin
        merlon_test_dir:put_file(Dir ++ File, "precious"),
        {1, <<>>, Error} = init(Dir),
        ?assert(matches(File ++ " exists already", Error)),
        ?assertEqual({ok, <<"precious">>}, file:read_file(Dir ++ File)),
        ?assertEqual(1, length(filelib:wildcard(Dir ++ "/**/*.*")))
     end)) || File <- ["/ca/ca.key", "/ca/ca.pem", "/trust/ca.pem", "/merlon.config"]].

a_dir_that_can_not_be_made_is_named_test() ->
    ?in_dir(Dir, begin
        merlon_test_dir:put_file(Dir ++ "/file", ""),
        {1, <<>>, Error} = init(Dir ++ "/file/dir"),
        ?assert(matches("file/dir.* can't be made: ", Error))
    end).

%% ---- cert ----

a_nodes_certificate_says_what_the_design_says_test() ->
    ?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        {0, Out, <<>>} = merlon_cli:run(["cert", "app@web1.example.org", "--dir", Dir, "--days", "7",
                                         "--ip", "10.0.0.7", "--ip", "fd00::7"]),
        ?assert(matches("-name app@web1.example.org\n *-proto_dist merlon\n *-merlon_dir " ++ Dir, Out)),
        Folder = Dir ++ "/nodes/app@web1.example.org",
        ?assertEqual([8#700, 8#600, 8#644], [merlon_test_dir:mode(Folder ++ File)
                                             || File <- ["", "/key.pem", "/cert.pem"]]),
        {ok, Pem} = file:read_file(Folder ++ "/cert.pem"),
        {ok, [Info]} = merlon_nif:pki_inspect(Pem),
        ?assertMatch(#{uris := [<<"spiffe://test/node/web1.example.org/app">>],
                       dns := [<<"web1.example.org">>], ips := [<<"10.0.0.7">>, <<"fd00::7">>],
                       is_ca := false, identity := {node, <<"test">>, <<"app">>, <<"web1.example.org">>}},
                     Info),
        ?assertEqual([<<"clientAuth">>, <<"serverAuth">>], lists:sort(maps:get(eku, Info)))
    end).

the_carrier_for_ipv6_hosts_is_merlon6_test() ->
    ?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        {0, Out, <<>>} = merlon_cli:run(["cert", "f@::1", "--dir", Dir]),
        ?assert(matches("-name f@::1\n *-proto_dist merlon6\n", Out))
    end).

a_tools_certificate_lies_under_cli_test_() ->
    [?_test(?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        {0, Out, <<>>} = merlon_cli:run(["cert", Argument, "--cli", "eva", "--dir", Dir]),
        ?assert(matches("-remsh", Out)),
        {ok, Pem} = file:read_file(Dir ++ "/cli/eva@web1/cert.pem"),
        ?assertMatch({ok, [#{identity := {cli, <<"test">>, <<"eva">>, <<"web1">>}}]},
                     merlon_nif:pki_inspect(Pem)),
        ?assertEqual(8#600, merlon_test_dir:mode(Dir ++ "/cli/eva@web1/key.pem"))
     end)) || Argument <- ["web1", "app@web1"]].

cert_replaces_only_when_forced_test() ->
    ?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        Args = ["cert", "a@h", "--dir", Dir],
        Key = Dir ++ "/nodes/a@h/key.pem",
        {0, _, <<>>} = merlon_cli:run(Args),
        {ok, First} = file:read_file(Key),
        {1, <<>>, Error} = merlon_cli:run(Args),
        ?assert(matches("exists already: give --force", Error)),
        ?assertEqual({ok, First}, file:read_file(Key)),
        {0, _, <<>>} = merlon_cli:run(Args ++ ["--force"]),
        {ok, Second} = file:read_file(Key),
        ?assertNotEqual(First, Second),
        ?assertMatch({0, _, <<>>}, merlon_cli:run(["inspect", Dir]))
    end).

cert_needs_a_ca_and_a_private_ca_key_test() ->
    ?in_dir(Dir, begin
        {1, <<>>, NoCa} = merlon_cli:run(["cert", "a@h", "--dir", Dir]),
        ?assert(matches("holds no CA .*merlon init", NoCa)),
        {0, _, _} = init(Dir),
        ok = file:change_mode(Dir ++ "/ca/ca.key", 8#644),
        {1, <<>>, TooOpen} = merlon_cli:run(["cert", "a@h", "--dir", Dir]),
        ?assert(matches("chmod 600 .*/ca/ca.key", TooOpen)),
        ok = file:change_mode(Dir ++ "/ca/ca.key", 8#600),
        ok = file:write_file(Dir ++ "/ca/ca.key", "garbage"),
        {1, <<>>, Garbage} = merlon_cli:run(["cert", "a@h", "--dir", Dir]),
        ?assert(matches("/ca: ", Garbage)),
        ?assertEqual(false, filelib:is_dir(Dir ++ "/nodes/a@h"))
    end).

%% ---- two at once, a kill, a full disk ----

%% The CA's key and certificate belong together and are what is trusted, nothing unfinished is
%% left, and each node has a key that belongs to its certificate.
whole(Dir, Nodes) ->
    {ok, Ca} = file:read_file(Dir ++ "/ca/ca.pem"),
    ?assertEqual({ok, Ca}, file:read_file(Dir ++ "/trust/ca.pem")),
    [?assertEqual(public(Dir ++ File ++ Cert, "x509 -noout -pubkey"), public(Dir ++ File ++ Key, "pkey -pubout"))
     || {File, Cert, Key} <- [{"/ca/ca", ".pem", ".key"} |
                              [{"/nodes/" ++ Node, "/cert.pem", "/key.pem"} || Node <- Nodes]]],
    ?assertEqual([], unfinished(Dir)),
    ?assertMatch({0, _, <<>>}, merlon_cli:run(["inspect", Dir])).

public(File, What) ->
    "-----BEGIN PUBLIC KEY" ++ _ = os:cmd("openssl " ++ What ++ " -in " ++ File).

unfinished(Dir) -> string:lexemes(os:cmd("find " ++ Dir ++ " -name '.merlon*'"), "\n").

of_two_at_once_one_wins_test_() ->
    [{timeout, 60, fun() -> [two_at_once(Runs) || _ <- lists:seq(1, Rounds)] end}
     || {Rounds, Runs} <- [{2, fun(Args) -> element(1, sh(Args)) end},
                           {8, fun(Args) -> element(1, merlon_cli:run(Args)) end}]].

two_at_once(Run) ->
    ?in_dir(Dir, begin
        ?assertEqual([0, 1], both(Run, ["init", "--dir", Dir, "--cluster", "test"])),
        ?assertEqual([0, 1], both(Run, ["cert", "a@h", "--dir", Dir])),
        whole(Dir, ["a@h"])
    end).

both(Run, Args) ->
    Me = self(),
    Pids = [spawn_link(fun() -> Me ! {self(), Run(Args)} end) || _ <- [1, 2]],
    lists:sort([receive {Pid, Code} -> Code end || Pid <- Pids]).

%% Killed where it would give a file its place, for every such place; then once more.
what_a_kill_left_is_finished_or_undone_test_() ->
    {timeout, 60, fun() ->
        case os:cmd("strace -o /dev/null true 2>&1") of
            "" ->
                ?assertEqual([1, 2, 3], [N || N <- lists:seq(1, 4), killed_init(N)]),
                ?assertEqual([1, 2, 3], [N || N <- lists:seq(1, 4), killed_cert(N)]);
            Why -> ?debugFmt("strace can't be used, not tested: ~s", [Why])
        end
    end}.

killed_init(N) ->
    ?in_dir(Dir, begin
        Killed = killed(N, ["init", "--dir", Dir, "--cluster", "test"]),
        [begin
             ?assertMatch([_ | _], unfinished(Dir)),
             {1, <<>>, NoCa} = merlon_cli:run(["cert", "a@h", "--dir", Dir]),
             ?assert(matches("holds no CA", NoCa)),
             ?assertEqual({ok, []}, file:list_dir_all(Dir)),
             ?assertEqual(true, killed(N, ["init", "--dir", Dir, "--cluster", "test"])),
             {0, _, <<>>} = init(Dir)
         end || Killed],
        whole(Dir, []),
        Killed
    end).

killed_cert(N) ->
    ?in_dir(Dir, begin
        {0, _, <<>>} = init(Dir),
        merlon_test_dir:cert(Dir, "a@h"),
        Old = file:read_file(Dir ++ "/nodes/a@h/key.pem"),
        Killed = killed(N, ["cert", "a@h", "--force", "--dir", Dir]),
        [begin
             ?assertMatch([_ | _], unfinished(Dir)),
             merlon_test_dir:cert(Dir, "b@h"),
             ?assertEqual(Old, file:read_file(Dir ++ "/nodes/a@h/key.pem")),
             whole(Dir, ["a@h", "b@h"]),
             merlon_test_dir:cert(Dir, "a@h", ["--force"])
         end || Killed],
        whole(Dir, ["a@h"]),
        ?assertNotEqual(Old, file:read_file(Dir ++ "/nodes/a@h/key.pem")),
        Killed
    end).

%% strace counts for each thread, so there is one only for files.
killed(N, Args) ->
    Ebin = filename:dirname(code:which(merlon_cli)),
    Renames = "rename,renameat,renameat2",
    Said = os:cmd("strace -f -o /dev/null -e trace=" ++ Renames ++ " -e inject=" ++ Renames ++
                  ":signal=SIGKILL:when=" ++ integer_to_list(N) ++
                  " erl -noshell -noinput -boot no_dot_erlang +fnu +SDio 1 -pa " ++ Ebin ++
                  " -eval 'merlon_cli:main(init:get_plain_arguments()).' -extra "
                  ++ lists:join($\s, Args) ++ "; echo exit $?"),
    case lists:reverse(string:lexemes(Said, "\n")) of
        ["exit 0" | _] -> false;
        ["exit 137" | _] -> true
    end.

a_full_disk_leaves_nothing_and_what_was_there_test_() ->
    {timeout, 60, fun() ->
        ?in_dir(Dir, case os:cmd("mount -t tmpfs -o size=4k none " ++ Dir ++ " 2>&1") of
            "" -> try full_disk(Dir) after os:cmd("umount " ++ Dir) end;
            Why -> ?debugFmt("no small disk to fill, not tested: ~s", [Why])
        end)
    end}.

full_disk(Mount) ->
    Dir = Mount ++ "/d",
    _ = [begin
             resize(Mount, Pages),
             {1, <<>>, Full} = init(Dir),
             ?assert(matches("no space left on device", Full)),
             ?assertEqual({ok, []}, file:list_dir_all(Mount))
         end || Pages <- [1, 2, 3, 4]],
    resize(Mount, 100),
    {0, _, <<>>} = init(Dir),
    merlon_test_dir:cert(Dir, "a@h"),
    Old = file:read_file(Dir ++ "/nodes/a@h/key.pem"),
    %% ca.key, ca.pem, ca/issued, trust/ca.pem, merlon.config and the node's two.
    _ = [begin
             resize(Mount, Pages),
             {1, <<>>, _} = merlon_cli:run(["cert", Node, "--force", "--dir", Dir]),
             ?assertEqual(Old, file:read_file(Dir ++ "/nodes/a@h/key.pem")),
             ?assertEqual({ok, ["a@h"]}, file:list_dir_all(Dir ++ "/nodes")),
             whole(Dir, ["a@h"])
         end || Pages <- [7, 8], Node <- ["a@h", "b@h"]],
    resize(Mount, 100),
    merlon_test_dir:cert(Dir, "a@h", ["--force"]),
    whole(Dir, ["a@h"]).

resize(Mount, Pages) ->
    "" = os:cmd("mount -o remount,size=" ++ integer_to_list(Pages * 4) ++ "k " ++ Mount).

%% ---- inspect ----

inspect_tells_a_dir_in_words_test() ->
    ?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        merlon_test_dir:cert(Dir, "a@h"),
        merlon_test_dir:cert(Dir, "h", ["--cli", "eva"]),
        {0, Out, <<>>} = merlon_cli:run(["inspect", Dir]),
        [?assertMatch({true, _}, {matches(Words, Out), Words})
         || Words <- ["certificate authority", "node a@h of cluster test.*expires in 90 days",
                      "is dialled and dials", "tools of eva on h", "a private key"]],
        ?assertEqual(false, matches("BEGIN|PROBLEM", Out)),
        [?assertMatch({0, _, <<>>}, merlon_cli:run(["inspect", Dir ++ Part]))
         || Part <- ["/nodes/a@h", "/nodes/a@h/cert.pem", "/nodes/a@h/key.pem", "/trust/ca.pem"]]
    end).

inspect_exits_with_1_when_something_is_unusable_test_() ->
    [{Words, fun() -> ?in_dir(Dir, begin
        {0, _, _} = init(Dir),
        merlon_test_dir:cert(Dir, "a@h"),
        Break(Dir),
        {1, Out, <<>>} = merlon_cli:run(["inspect", Dir]),
        ?assertMatch({true, _}, {matches("PROBLEM: .*" ++ Words, Out), Out})
      end) end}
     || {Words, Break} <-
        [{"chmod 600", fun(Dir) -> file:change_mode(Dir ++ "/nodes/a@h/key.pem", 8#644) end},
         {"chmod 600 .*ca.key", fun(Dir) -> file:change_mode(Dir ++ "/ca/ca.key", 8#640) end},
         {"key.pem does not exist", fun(Dir) -> file:delete(Dir ++ "/nodes/a@h/key.pem") end},
         {"trust holds no", fun(Dir) -> file:delete(Dir ++ "/trust/ca.pem") end},
         {"unknown setting", fun(Dir) -> file:write_file(Dir ++ "/merlon.config", "{clusterr, \"a\"}.") end}]].

what_is_no_certificate_is_told_and_never_shown_test() ->
    ?in_dir(Dir, begin
        [begin
             merlon_test_dir:put_file(Dir ++ "/x", Content),
             {1, Out, <<>>} = merlon_cli:run(["inspect", Dir ++ "/x"]),
             ?assert(matches("PROBLEM: ", Out))
         end || Content <- [<<>>, <<"text">>, <<0, 255>>,
                            <<"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n">>]],
        ?assertMatch({1, _, <<>>}, merlon_cli:run(["inspect", Dir ++ "/nothing"])),
        ?assertMatch({1, _, <<>>}, merlon_cli:run(["inspect", Dir]))
    end).

%% ---- bin/merlon ----

the_script_passes_arguments_and_exit_codes_on_test_() ->
    {timeout, 60, fun() ->
        ?in_dir(Dir, begin
            Odd = Dir ++ "/it's a \"dir\" $HOME *",
            ?assertMatch({0, _}, sh(["init", "--dir", Odd, "--cluster", "test"])),
            ?assertMatch({1, _}, sh(["init", "--dir", Odd, "--cluster", "test"])),
            ?assertMatch({2, _}, sh(["init", "--dir", Odd, "--clutser", "test"])),
            ?assertMatch({0, _}, sh(["cert", "a@h", "--dir", Odd])),
            ?assert(filelib:is_file(Odd ++ "/nodes/a@h/key.pem")),
            ?assertMatch({0, _}, sh(["cert", "e@b1" ++ [233], "--dir", Odd])),
            ?assert(filelib:is_file(unicode:characters_to_binary(Odd ++ "/nodes/e@b1" ++ [233] ++ "/key.pem"))),
            ?assertMatch({0, _}, sh(["inspect", Odd])),
            {2, Help} = sh([]),
            ?assert(matches("Usage: merlon", Help))
        end)
    end}.

%% It would hold what is in memory, such as the CA's key.
the_script_writes_no_crash_dump_test() ->
    ?in_dir(Dir, begin
        merlon_test_dir:put_file(Dir ++ "/erl", "#!/bin/sh\necho dump $ERL_CRASH_DUMP_BYTES\n", 8#755),
        ?assertEqual("dump 0\n", os:cmd("PATH=" ++ Dir ++ ":$PATH " ++ filename:absname("bin/merlon", root())))
    end).

%% Options for nodes in the environment must not make the command a node.
sh(Args) ->
    Script = filename:absname("bin/merlon", root()),
    Port = open_port({spawn_executable, Script},
                     [{args, [unicode:characters_to_binary(Arg) || Arg <- Args]}, exit_status,
                      stderr_to_stdout, binary,
                      {env, [{"ERL_FLAGS", "-sname nonsense@@ -proto_dist nonsense"}, {"LANG", "C"}]}]),
    collect(Port, <<>>).

collect(Port, Said) ->
    receive
        {Port, {data, Bytes}} -> collect(Port, <<Said/binary, Bytes/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 30000 -> timeout
    end.

%% rebar3 compiles the tests in _build/test/lib/merlon.
root() ->
    {ok, Dir} = file:get_cwd(),
    Dir.
