%% SPDX-License-Identifier: Apache-2.0
-module(merlon_cookie_tests).
-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(STRONG, <<"qB7x0Zk3Vt9LmW2eRy5UoP8sHd4Jf6Gn">>).

%% auth:random_cookie/3 and auth:next_random/1 of OTP, once more.
otp(Seed) -> list_to_binary(otp(20, Seed, [])).

otp(0, _, Result) -> Result;
otp(Count, X0, Result) ->
    X = (X0 * 17059465 + 1) band 16#fffffffff,
    otp(Count - 1, X, [X * 26 div 16#1000000000 + $A | Result]).

digest(Cookie, Challenge) -> erlang:md5([Cookie | integer_to_list(Challenge)]).

analyse(Cookie) -> merlon_cookie:analyse(Cookie, #{names => [<<"shop">>, <<"web1">>]}).
class(Cookie) -> maps:get(class, analyse(Cookie)).
matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

setup_test() -> ok = merlon_nif:load().

%% ---- what it is ----

a_cookie_of_otps_generator_is_told_with_its_seed_test() ->
    [begin
         #{class := otp, weak := true, seed := Found, bits := 36.0} = analyse(otp(Seed)),
         ?assertEqual(Seed band 16#fffffffff, Found())
     end || Seed <- [0, 1, 515646815, (1 bsl 36) - 1, 1 bsl 40
                     | [rand:uniform(1 bsl 36) || _ <- lists:seq(1, 5)]]],
    [?assertEqual({ok, Seed}, merlon_nif:cookie_seed(otp(Seed)))
     || _ <- lists:seq(1, 5000), Seed <- [rand:uniform(1 bsl 36) - 1]].

%% The VM's own file, made by OTP itself.
a_cookie_that_otp_has_just_made_is_told_test_() ->
    {timeout, 60, fun() -> ?in_dir(Dir, begin
        Out = os:cmd("HOME=" ++ Dir ++ " erl -noinput -sname merlon_cookie_" ++ os:getpid()
                     ++ " -start_epmd false -dist_listen false -eval 'halt().'"),
        File = Dir ++ "/.erlang.cookie",
        ?assertMatch({true, _}, {filelib:is_file(File), Out}),
        {ok, Cookie} = merlon_cookie:read(File),
        #{class := otp, marks := Marks} = merlon_cookie:analyse(Cookie, #{file => File}),
        ?assert(lists:member(otp_file, Marks))
    end) end}.

weak_cookies_are_told_by_their_kind_test_() ->
    [?_assertEqual({Class, Cookie}, {class(Cookie), Cookie})
     || {Class, Cookie} <-
        [{known, <<"monster">>}, {known, <<"MONSTER">>}, {known, <<"emqxsecretcookie">>},
         {derived, <<"shop">>}, {derived, <<"Shop_cookie">>}, {derived, <<"web1-secret-2024">>},
         {livebook, <<"cookie-2024-05-31_12-30-59_12345">>},
         {low_entropy, <<"hunter2">>}, {low_entropy, binary:copy(<<"aB">>, 40)},
         {fine, <<"QWERTYUIOPASDFGHJKLZ">>}, {fine, ?STRONG}, {fine, <<(?STRONG)/binary, 228, 255>>}]].

%% A host whose name has no letters shares none with a cookie without letters.
digits_are_not_derived_from_other_digits_test() ->
    Digits = <<"0351798246085317942680135792468">>,
    ?assertMatch(#{class := fine}, merlon_cookie:analyse(Digits, #{names => [<<"10-0-0-5">>]})).

what_is_no_cookie_is_refused_without_being_shown_test() ->
    [try merlon_cookie:analyse(Cookie) of _ -> error(accepted)
     catch error:badarg:Stack -> ?assertEqual(nomatch, string:find(io_lib:format("~p", [Stack]), "ohnonotme"))
     end || Cookie <- [ohnonotme, "ohnonotme"]].

the_exact_check_takes_less_than_10_microseconds_test() ->
    Cookie = otp(515646815),
    Times = [begin
                 {Time, _} = timer:tc(fun() -> repeat(1000, Cookie) end),
                 Time / 1000
             end || _ <- lists:seq(1, 20)],
    ?assert(lists:min(Times) < 10).

repeat(0, _) -> ok;
repeat(N, Cookie) ->
    {ok, _} = merlon_nif:cookie_seed(Cookie),
    repeat(N - 1, Cookie).

%% ---- where it lies ----

a_file_that_others_can_read_makes_any_cookie_weak_test() ->
    ?in_dir(Dir, begin
        File = Dir ++ "/c",
        ok = file:write_file(File, ?STRONG),
        ok = file:change_mode(File, 8#644),
        #{class := fine, weak := true, marks := Marks} = merlon_cookie:analyse(?STRONG, #{file => File}),
        ?assertEqual([{mode, 8#644}], Marks),
        ok = file:change_mode(File, 8#600),
        ?assertMatch(#{weak := false, marks := []}, merlon_cookie:analyse(?STRONG, #{file => File}))
    end).

a_file_of_another_user_makes_any_cookie_weak_test() ->
    ?in_dir(Dir, begin
        File = Dir ++ "/c",
        ok = file:write_file(File, ?STRONG),
        Others = case file:write_file_info(File, #file_info{uid = 12345, mode = 8#600}) of
                     ok -> File;
                     {error, eperm} -> "/etc/hostname"
                 end,
        #{weak := true, marks := Marks} = merlon_cookie:analyse(?STRONG, #{file => Others}),
        ?assert(lists:member(owner, Marks))
    end).

a_cookie_in_the_environment_is_told_test_() ->
    [?_test(begin
         os:putenv("MERLON_TEST_COOKIE", Value),
         try ?assertEqual({Value, Marks}, {Value, maps:get(marks, analyse(?STRONG))})
         after os:unsetenv("MERLON_TEST_COOKIE") end
     end) || Cookie <- [binary_to_list(?STRONG)],
             {Value, Marks} <- [{Cookie, [environment]}, {"-name a@b -setcookie " ++ Cookie, [environment]},
                                {"--cookie '" ++ Cookie ++ "'", [environment]}, {"-cookie x" ++ Cookie, []}]].

%% Of a node, of Elixir's scripts, and of a shell that is to start one.
a_cookie_in_the_arguments_of_a_process_is_told_test_() ->
    [{timeout, 60, fun() -> in_the_arguments(Arguments) end}
     || Arguments <- [["-setcookie", ?STRONG], ["--cookie=" ++ binary_to_list(?STRONG)],
                      ["exec erl -setcookie '" ++ binary_to_list(?STRONG) ++ "' -s x"]]].

in_the_arguments(Arguments) ->
    Port = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", "read x", "x" | Arguments]}, exit_status]),
    try ?assertMatch(#{weak := true, marks := [argv]}, once_marked(?STRONG, 100))
    after port_close(Port) end.

%% The process has to become what it was started for first.
once_marked(Cookie, Tries) ->
    case analyse(Cookie) of
        #{marks := []} when Tries > 0 ->
            timer:sleep(50),
            once_marked(Cookie, Tries - 1);
        Report -> Report
    end.

a_cookie_in_a_release_is_told_test_() ->
    [?_test(?in_dir(Dir, begin
        File = Dir ++ "/releases/" ++ Name,
        ok = filelib:ensure_dir(File),
        ok = file:write_file(File, io_lib:format(Format, [?STRONG])),
        os:putenv("RELEASE_ROOT", Dir),
        try ?assertEqual({Name, [release]}, {Name, maps:get(marks, analyse(?STRONG))})
        after os:unsetenv("RELEASE_ROOT") end
     end)) || {Name, Format} <- [{"COOKIE", "~s"}, {"1.0.0/vm.args", "-name a@b\n-setcookie\t~s\n"},
                                 {"1.0.0/remote.vm.args", "-setcookie ~s"}, {"1.0.0/env.sh", "export RELEASE_COOKIE=\"~s\"\n"}]].

%% ---- --prove ----

prove_finds_a_seed_anywhere_in_what_it_searches_test_() ->
    [{timeout, 120, ?_test(begin
                 {found, Found} = merlon_cookie_prove:run(Challenge, digest(otp(Seed), Challenge),
                                                          #{workers => 2, last => 1 bsl 24}),
                 ?assertEqual(Seed, Found()),
                 ?assertEqual([], element(2, process_info(self(), messages)))
             end)} || {Seed, Challenge} <- [{0, 1}, {4194303, 4294967295}, {4194304, 0}, {9000001, 77}]].

prove_finds_nothing_where_there_is_nothing_test_() ->
    {timeout, 120,
     ?_assertEqual(not_found,
                   merlon_cookie_prove:run(1, digest(?STRONG, 1), #{last => (1 bsl 23) + 5}))}.

prove_goes_on_where_it_stopped_and_only_for_the_same_capture_test() ->
    ?in_dir(Dir, begin
        File = Dir ++ "/state",
        Digest = digest(otp(5), 1),
        Options = #{state => File, last => 1000},
        Id = integer_to_list(erlang:phash2({1, Digest}), 16),
        ok = file:write_file(File, ["merlon-prove 1 ", Id, " 6\n"]),
        ?assertEqual(not_found, merlon_cookie_prove:run(1, Digest, Options)),
        ?assertEqual(false, filelib:is_file(File)),
        ok = file:write_file(File, ["merlon-prove 1 ", Id, " 5\n"]),
        ?assertMatch({found, _}, merlon_cookie_prove:run(1, Digest, Options)),
        ok = file:write_file(File, ["merlon-prove 1 ", Id, " 5\n"]),
        ?assertEqual({error, {state, {File, other_capture}}},
                     merlon_cookie_prove:run(2, Digest, Options)),
        ok = file:write_file(File, "rubbish"),
        ?assertEqual({error, {state, {File, damaged}}}, merlon_cookie_prove:run(1, Digest, Options))
    end).

%% Else it would be noticed when there is nothing to go on from.
a_state_that_cannot_be_written_is_an_error_at_once_test() ->
    ?in_dir(Dir, begin
        File = Dir ++ "/none/state",
        ?assertEqual({error, {state, {File, enoent}}},
                     merlon_cookie_prove:run(1, digest(otp(5), 1), #{state => File, last => 1000}))
    end).

a_link_at_the_place_of_the_state_is_not_followed_test() ->
    ?in_dir(Dir, begin
        [File, Victim] = [Dir ++ "/state", Dir ++ "/victim"],
        ok = file:write_file(Victim, "mine"),
        ok = file:make_symlink(Victim, File ++ ".new"),
        ?assertEqual(not_found, merlon_cookie_prove:run(1, digest(?STRONG, 1), #{state => File, last => 1000})),
        ?assertEqual({ok, <<"mine">>}, file:read_file(Victim)),
        ?assertEqual({ok, ["victim"]}, file:list_dir(Dir))
    end).

a_search_that_is_stopped_leaves_a_state_without_a_secret_test_() ->
    {timeout, 60, fun() -> ?in_dir(Dir, stopped(Dir ++ "/state")) end}.

stopped(File) ->
    Self = self(),
    Digest = digest(?STRONG, 1),
    Options = #{state => File, workers => 1, progress => fun(Done, _) -> Self ! {progress, Done} end},
    {Pid, Monitor} = spawn_monitor(fun() -> merlon_cookie_prove:run(1, Digest, Options) end),
    receive {progress, First} -> ?assert(First > 0) after 30000 -> error(no_progress) end,
    receive {progress, Second} -> ?assert(Second > 0) after 30000 -> error(no_progress) end,
    exit(Pid, kill),
    receive {'DOWN', Monitor, _, _, _} -> ok end,
    {ok, Text} = file:read_file(File),
    ?assert(matches("^merlon-prove 1 [0-9A-F]+ [0-9]+\n$", Text)),
    ?assertEqual(nomatch, binary:match(Text, string:uppercase(binary:encode_hex(Digest)))).

%% ---- the command ----

the_command_never_shows_the_cookie_test_() ->
    [?_test(?in_dir(Dir, begin
        File = Dir ++ "/c",
        ok = file:write_file(File, Cookie),
        ok = file:change_mode(File, 8#600),
        {Code, Out, <<>>} = merlon_cli:run(["cookie", File]),
        ?assertEqual({Expected, Out}, {Code, Out}),
        ?assertEqual(nomatch, binary:match(Out, string:trim(Cookie))),
        ?assertNot(matches("515646815|seed  ", Out))
     end)) || {Expected, Cookie} <- [{1, otp(515646815)}, {0, ?STRONG}, {0, <<(?STRONG)/binary, "\n">>},
                                     {1, <<"Emqxsecretcookie">>}]].

%% What it costs whom, whatever it is.
the_command_says_the_cheapest_attack_and_its_time_test_() ->
    [?_test(?in_dir(Dir, begin
        File = Dir ++ "/c",
        ok = file:write_file(File, Cookie),
        ok = file:change_mode(File, Mode),
        {_, Out, <<>>} = merlon_cli:run(["cookie", File]),
        ?assertEqual({true, Out}, {matches(Words, Out), Out}),
        ?assert(matches("attack +[^\n]+: [^\n]+ on one core, [^\n]+ on one GPU\n", Out)),
        ?assertEqual(Mode =/= 8#600, matches("attack +reading it there: at once", Out))
     end)) || {Cookie, Mode, Words} <-
        [{otp(515646815), 8#600, "made +0.5 s after its VM started.*all seeds against one captured digest: 16 min on one core, 1 s on"},
         {<<"monster">>, 8#600, "a dictionary, on-line: less than a second"}, {<<"nonode">>, 8#600, "variants of the names, on-line"},
         {<<"cookie-2024-05-31_12-30-59_12345">>, 8#600, "Livebook.* on one core, "}, {<<"hunter2">>, 8#600, "too short.*19 min on one core"},
         {?STRONG, 8#640, "more than 100 years on one core.*mode 0640"}]].

what_is_no_cookie_exits_with_2_and_is_not_shown_test_() ->
    [?_test(?in_dir(Dir, begin
        File = Dir ++ "/c",
        _ = [ok = file:write_file(File, Text) || Text =/= none],
        {2, <<>>, Error} = merlon_cli:run(["cookie", File]),
        ?assert(matches(Words, Error)),
        ?assertEqual(nomatch, binary:match(Error, <<"TOPSECRET">>))
     end)) || {Text, Words} <- [{none, "can't be read: no such file"}, {"", "holds no cookie"},
                                {"TOPSECRET\nTOPSECRET", "holds no cookie"}, {<<"TOPSECRET", 0>>, "holds no cookie"},
                                {binary:copy(<<"TOPSECRET">>, 9999), "holds no cookie"}]].

the_command_finds_a_cookie_and_shows_it_only_when_told_test_() ->
    {timeout, 60, fun found_and_shown/0}.

found_and_shown() ->
    Cookie = otp(1000),
    Pair = "4711:" ++ binary_to_list(binary:encode_hex(digest(Cookie, 4711))),
    {1, Out, <<>>} = merlon_cli:run(["cookie", "--prove", Pair]),
    ?assert(matches("FOUND", Out)),
    ?assertEqual(nomatch, binary:match(Out, Cookie)),
    {1, Shown, <<>>} = merlon_cli:run(["cookie", "--prove", Pair, "--show-cookie", "--show-seed"]),
    ?assertNotEqual(nomatch, binary:match(Shown, Cookie)),
    ?assert(matches("seed +1000\n", Shown)).

options_of_the_search_are_not_passed_over_without_it_test_() ->
    [?_assertMatch({2, <<>>, <<"merlon cookie: --", _/binary>>}, merlon_cli:run(["cookie" | Args]))
     || Args <- [["--state", "/tmp/x"], ["--show-cookie"]]].

a_pair_that_is_none_is_wrong_usage_test_() ->
    [?_assertMatch({2, <<>>, <<"merlon cookie: --prove wants", _/binary>>},
                   merlon_cli:run(["cookie", "--prove", Pair]))
     || Pair <- ["1", "x:00", "1:00", "4294967296:" ++ lists:duplicate(32, $0), "1:" ++ lists:duplicate(32, $g)]].
