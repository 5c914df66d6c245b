-module(merlon_dir_tests).
-include_lib("eunit/include/eunit.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).

%% ---- where the dir is ----

env_test_() ->
    Names = ["MERLON_DIR", "RELEASE_ROOT", "XDG_CONFIG_HOME", "HOME"],
    {foreach,
     fun() -> [{Name, os:getenv(Name)} || Name <- Names] end,
     fun(Saved) -> [restore(Name, Value) || {Name, Value} <- Saved] end,
     [fun what_is_said_counts_even_if_it_does_not_exist/0,
      fun a_release_comes_before_the_home/0,
      fun nothing_there_names_the_places/0,
      fun an_empty_variable_is_none/0]}.

restore(Name, false) -> os:unsetenv(Name);
restore(Name, Value) -> os:putenv(Name, Value).

what_is_said_counts_even_if_it_does_not_exist() ->
    os:putenv("MERLON_DIR", "/nowhere/merlon"),
    ?assertEqual({ok, "/nowhere/merlon"}, merlon_dir:find()).

a_release_comes_before_the_home() ->
    ?in_dir(Dir, begin
        os:unsetenv("MERLON_DIR"),
        os:putenv("RELEASE_ROOT", Dir ++ "/rel"),
        os:putenv("XDG_CONFIG_HOME", Dir ++ "/xdg"),
        ok = filelib:ensure_dir(Dir ++ "/xdg/merlon/x"),
        ?assertEqual({ok, Dir ++ "/xdg/merlon"}, merlon_dir:find()),
        ok = filelib:ensure_dir(Dir ++ "/rel/merlon/x"),
        ?assertEqual({ok, Dir ++ "/rel/merlon"}, merlon_dir:find())
    end).

nothing_there_names_the_places() ->
    ?in_dir(Dir, begin
        os:unsetenv("MERLON_DIR"), os:unsetenv("RELEASE_ROOT"), os:unsetenv("XDG_CONFIG_HOME"),
        os:putenv("HOME", Dir),
        Home = Dir ++ "/.config/merlon",
        ?assertEqual({error, {no_dir, [Home]}}, merlon_dir:find()),
        ?assertEqual({ok, Home}, merlon_dir:default()),
        Said = iolist_to_binary(merlon_dir:format_error({no_dir, [Home]})),
        ?assertMatch({match, _}, re:run(Said, "merlon init"))
    end).

an_empty_variable_is_none() ->
    ?in_dir(Dir, begin
        os:putenv("MERLON_DIR", ""), os:putenv("XDG_CONFIG_HOME", ""),
        os:unsetenv("RELEASE_ROOT"), os:putenv("HOME", Dir),
        ?assertMatch({error, {no_dir, [_]}}, merlon_dir:find())
    end).

%% init's arguments can't be set from inside: another VM answers.
flags_test_() ->
    [{Flags, {timeout, 30, ?_assertEqual({Flags, Dir}, {Flags, found(Flags)})}}
     || {Flags, Dir} <- [{"-merlon dir /a/b", "/a/b"}, {"-merlon dir '\"/a/b\"'", "/a/b"},
                         {"-merlon_dir /a/b", "/a/b"}, {"-merlon dir /a -merlon_dir /b", "/b"},
                         {"-merlon dir /a -merlon dir /b", "/b"}]].

found(Flags) ->
    Ebin = filename:dirname(code:which(merlon_dir)),
    os:cmd("MERLON_DIR=/env erl -noshell -boot no_dot_erlang -pa " ++ Ebin ++ " " ++ Flags ++
           " -eval '{ok, Dir} = merlon_dir:find(), io:put_chars(Dir), halt().'").

%% ---- files ----

others_access_to_a_secret_is_refused_with_the_chmod_test_() ->
    [?_test(?in_dir(Dir, begin
        Path = iolist_to_binary([Dir, "/key.pem"]),
        merlon_test_dir:put_file(Path, "secret", Mode),
        ?assertEqual({error, {file, {too_open, Path, Mode}}}, merlon_dir:read_secret(Path)),
        Said = iolist_to_binary(merlon_dir:format_error({too_open, Path, Mode})),
        ?assertMatch({match, _}, re:run(Said, ["chmod 600 ", Path]))
     end)) || Mode <- [8#604, 8#640, 8#620, 8#610, 8#644, 8#666]].

own_secrets_are_read_whole_test() ->
    ?in_dir(Dir, begin
        Path = iolist_to_binary([Dir, "/key.pem"]),
        [begin merlon_test_dir:put_file(Path, Content, Mode),
               ?assertEqual({ok, Content}, merlon_dir:read_secret(Path)) end
         || Mode <- [8#600, 8#400], Content <- [<<"secret">>, <<>>, binary:copy(<<"x">>, 100000)],
            ok =:= file:delete(Path) orelse true]
    end).

a_pipe_does_not_hold_up_the_boot_test() ->
    ?in_dir(Dir, begin
        Path = iolist_to_binary([Dir, "/key.pem"]),
        "" = os:cmd("mkfifo " ++ binary_to_list(Path)),
        ?assertEqual({error, {file, {not_a_file, Path}}}, merlon_dir:read_secret(Path)),
        ?assertEqual({error, {file, {not_a_file, <<"/dev/zero">>}}}, merlon_dir:read(<<"/dev/zero">>))
    end).

a_huge_file_is_not_read_test() ->
    ?in_dir(Dir, begin
        Path = iolist_to_binary([Dir, "/crl.pem"]),
        {ok, File} = file:open(Path, [write, raw]),
        {ok, _} = file:position(File, 17 * 1024 * 1024),
        ok = file:truncate(File), ok = file:close(File),
        ?assertEqual({error, {file, {too_big, Path}}}, merlon_dir:read(Path))
    end).

%% strace sees every moment: with umask 0, no secret byte is written to a file that others could
%% have opened, because its folder is closed before the file is made.
a_secret_is_never_open_to_others_for_a_moment_test_() ->
    {timeout, 60, fun() ->
        case os:find_executable("strace") of
            false -> ?debugMsg("strace is missing: not tested");
            _ -> ?in_dir(Dir, traced(Dir))
        end
    end}.

traced(Dir) ->
    Ebin = filename:dirname(code:which(merlon_dir)),
    _ = os:cmd("umask 0; strace -f -s 40 -e trace=mkdir,chmod,openat,write,pwrite64,writev,rename -o " ++
               Dir ++ "/trace erl -noshell -boot no_dot_erlang -pa " ++ Ebin ++
               " -eval 'Dir = <<\"" ++ Dir ++ "/d\">>, ok = merlon_dir_write:locked(Dir, fun(Work) -> "
               "merlon_dir_write:put_ca(Dir, Work, #{key => \"SECRET-BYTES\", cert => \"c\", config => \"\"}) "
               "end), halt().'"),
    {ok, Trace} = file:read_file(Dir ++ "/trace"),
    Lines = binary:split(Trace, <<"\n">>, [global]),
    Order = [What || Line <- Lines, {What, Regex} <-
                [{folder, "mkdir\\(.*/\\.merlon-[^/]*\""}, {closed, "chmod\\(.*/\\.merlon-[^/]*\", 0700"},
                 {file, "openat\\(.*/\\.merlon-.*/ca.key\".*O_CREAT"},
                 {private, "chmod\\(.*/ca.key\", 0600"}, {secret, "write.*SECRET-BYTES"},
                 {renamed, "rename\\(.*/d/ca\""}],
             re:run(Line, Regex, [{capture, none}]) =:= match],
    ?assertEqual([folder, closed, file, private, secret, renamed], Order),
    ?assertEqual([8#700, 8#600], [merlon_test_dir:mode(Dir ++ File) || File <- ["/d/ca", "/d/ca/ca.key"]]).

folders_get_their_mode_and_files_in_the_way_are_told_test() ->
    ?in_dir(Dir, begin
        New = iolist_to_binary([Dir, "/a/b/c"]),
        ok = merlon_dir_write:make(New, 8#700),
        ok = merlon_dir_write:make(New, 8#700),
        ?assertEqual(8#700, merlon_test_dir:mode(New)),
        ?assertEqual(8#755, merlon_test_dir:mode(filename:dirname(New))),
        File = <<New/binary, "/f">>,
        merlon_test_dir:put_file(File, ""),
        ?assertEqual({error, {file, {make, File, enotdir}}}, merlon_dir_write:make(File, 8#700))
    end).

unfinished_writes_are_not_listed_test() ->
    ?in_dir(Dir, begin
        [ok = file:make_dir(filename:join(Dir, Name)) || Name <- ["b@h", "a@h", ".merlon-1-2-3"]],
        ?assertEqual({ok, [<<"a@h">>, <<"b@h">>]}, merlon_dir:list(iolist_to_binary(Dir)))
    end).

%% ---- one command at a time ----

locked(Dir, Change) -> merlon_dir_write:locked(iolist_to_binary(Dir), Change).

a_lock_is_refused_while_its_owner_lives_test() ->
    ?in_dir(Dir, begin
        {error, {refused, Text}} = locked(Dir, fun(_) -> locked(Dir, fun(_) -> ok end) end),
        ?assertEqual(iolist_to_binary(["another merlon command (pid ", os:getpid(), ") is working on ", Dir]),
                     iolist_to_binary(Text)),
        ?assertEqual(ok, locked(Dir, fun(_) -> ok end))
    end).

who_waits_his_turn_has_it_when_the_owner_is_done_and_is_refused_at_the_deadline_test() ->
    ?in_dir(Dir, begin
        InTurn = fun(Millis) ->
            merlon_dir_write:in_turn(iolist_to_binary(Dir), fun(_) -> {error, {refused, mine}} end,
                                     erlang:monotonic_time(millisecond) + Millis)
        end,
        ?assertMatch({error, {refused, [_ | _]}}, locked(Dir, fun(_) -> InTurn(300) end)),
        Self = self(),
        Owner = fun(_) -> Self ! held, timer:sleep(800) end,
        _ = spawn_link(fun() -> locked(Dir, Owner) end),
        receive held -> ok end,
        ?assertEqual({done, {error, {refused, mine}}}, InTurn(10000))
    end).

a_lock_ends_with_an_exception_and_leaves_no_dir_that_it_made_test() ->
    ?in_dir(Dir, begin
        ?assertError(oops, locked(Dir, fun(Work) ->
            merlon_test_dir:put_file(<<Work/binary, "/a/b">>, "x"),
            error(oops)
        end)),
        ?assertEqual({ok, []}, file:list_dir_all(Dir)),
        ?assertEqual({error, no}, locked(Dir ++ "/new", fun(_) -> {error, no} end)),
        ?assertEqual({ok, []}, file:list_dir_all(Dir))
    end).

%% A node lives on when one of its processes is killed in the middle of a change.
a_killed_processs_lock_is_taken_over_and_swept_test() ->
    ?in_dir(Dir, begin
        Self = self(),
        {Pid, Ref} = spawn_monitor(fun() ->
            locked(Dir, fun(Work) ->
                merlon_test_dir:put_file(<<Work/binary, "/key">>, "half"),
                Self ! {in, self()},
                receive after infinity -> ok end
            end)
        end),
        receive {in, Pid} -> ok end,
        ?assertMatch({error, {refused, _}}, locked(Dir, fun(_) -> ok end)),
        exit(Pid, kill),
        receive {'DOWN', Ref, process, Pid, killed} -> ok end,
        ?assertEqual(ok, locked(Dir, fun(_) -> ok end)),
        ?assertEqual({ok, []}, file:list_dir_all(Dir))
    end).

%% A pid of a process that is gone, and one that another process has since.
a_dead_owners_lock_is_taken_over_and_swept_test() ->
    ?in_dir(Dir, begin
        Here = place(Dir),
        [ok = filelib:ensure_dir(Dir ++ Name ++ "-" ++ Here ++ "-ABC-0.1.0/x/key")
         || Name <- ["/.merlon-99999999-1", "/.merlon-" ++ os:getpid() ++ "-1",
                     "/nodes/.merlon-99999999-2"]],
        %% Not of ours.
        ok = filelib:ensure_dir(Dir ++ "/.merlon-backup/x"),
        ?assertEqual(ok, locked(Dir, fun(_) -> ok end)),
        ?assertEqual({ok, []}, file:list_dir_all(Dir ++ "/nodes")),
        {ok, Left} = file:list_dir_all(Dir),
        ?assertEqual([".merlon-backup", "nodes"], lists:sort(Left))
    end).

%% What a temporary's name says of the host and the pid namespace.
place(Dir) ->
    Name = locked(Dir, fun(Work) -> filename:basename(Work) end),
    [_, _, _, Place, _ | _] = string:lexemes(binary_to_list(Name), "-"),
    Place.

a_lock_from_elsewhere_is_never_taken_over_test() ->
    ?in_dir(Dir, begin
        ok = filelib:ensure_dir(Dir ++ "/.merlon-99999999-1-ELSEWHERE-ABC-0.1.0/x"),
        {error, {refused, Text}} = locked(Dir, fun(_) -> ok end),
        ?assertMatch({match, _}, re:run(Text, "another host or container.*remove .*-ELSEWHERE-ABC"))
    end).

names_of_any_script_are_no_obstacle_test() ->
    ?in_dir(Dir, begin
        [ok = filelib:ensure_dir(Dir ++ Name ++ "/x") || Name <- ["/nodes/\x{436}@h", "/\x{43a}"]],
        ?assertEqual(ok, locked(Dir, fun(_) -> ok end))
    end).

%% Nobody but the dir's owner may be able to put names there that a command then sweeps.
a_dir_that_others_can_write_in_is_refused_test() ->
    ?in_dir(Dir, begin
        ok = filelib:ensure_dir(Dir ++ "/nodes/a@h/x"),
        [begin
             ok = file:change_mode(Folder, 8#775),
             {error, {refused, Text}} = locked(Dir, fun(_) -> ok end),
             ?assertMatch({match, _}, re:run(Text, "chmod go-w " ++ Folder)),
             ok = file:change_mode(Folder, 8#755)
         end || Folder <- [Dir, Dir ++ "/nodes"]],
        ?assertEqual(ok, locked(Dir, fun(_) -> ok end)),
        ok = file:make_symlink(Dir ++ "/nodes", Dir ++ "/cli"),
        {error, {refused, Link}} = locked(Dir, fun(_) -> ok end),
        ?assertMatch({match, _}, re:run(Link, "cli is not a folder"))
    end).

a_dir_of_another_user_is_refused_test() ->
    ?in_dir(Dir, begin
        ok = filelib:ensure_dir(Dir ++ "/nodes/x"),
        case file:change_owner(Dir ++ "/nodes", 12345) of
            ok ->
                {error, {refused, Text}} = locked(Dir, fun(_) -> ok end),
                ?assertMatch({match, _}, re:run(Text, "another user's: run this as its owner"));
            {error, eperm} -> ok % not root: that folder could not be entered anyway
        end
    end).

only_one_at_a_time_test_() ->
    {timeout, 60, fun() ->
        ?in_dir(Dir, begin
            Alone = fun(_) ->
                ok = file:make_dir(Dir ++ "/alone"),
                timer:sleep(rand:uniform(3)),
                file:del_dir(Dir ++ "/alone")
            end,
            Try = fun() -> [locked(Dir, Alone) || _ <- lists:seq(1, 20)] end,
            Me = self(),
            Pids = [spawn_link(fun() -> Me ! {self(), Try()} end) || _ <- lists:seq(1, 4)],
            Results = lists:append([receive {Pid, Some} -> Some end || Pid <- Pids]),
            ?assertEqual([], [Result || Result <- Results, Result =/= ok,
                                        element(1, element(2, Result)) =/= refused]),
            ?assert(lists:member(ok, Results)),
            ?assertEqual({ok, []}, file:list_dir_all(Dir))
        end)
    end}.

%% Whoever tries again and again can tell that it is the same.
a_failure_names_the_file_and_is_the_same_each_time_test() ->
    ?in_dir(Dir, begin
        File = <<(list_to_binary(Dir))/binary, "/f">>,
        Put = fun(Work) -> merlon_dir_write:put_file(File, <<Work/binary, "/none">>, "x", 8#600) end,
        [?assertEqual({error, {file, {write, File, enoent}}}, merlon_dir_write:locked(list_to_binary(Dir), Put)) || _ <- [1, 2]],
        %% Nobody can make a folder there.
        [?assertMatch({error, {file, {write, <<"/proc/self">>, _}}}, merlon_dir_write:locked(<<"/proc/self">>, Put)) || _ <- [1, 2]]
    end).

a_folder_replaces_another_whole_and_keeps_what_else_is_in_it_test() ->
    ?in_dir(Dir, begin
        Folder = iolist_to_binary([Dir, "/nodes/a@h"]),
        Put = fun(Content) ->
            locked(Dir, fun(Work) ->
                merlon_dir_write:put_folder(Folder, Work, [{"key.pem", Content, 8#600}, {"cert.pem", Content, 8#644}])
            end)
        end,
        ok = Put("one"),
        merlon_test_dir:put_file(<<Folder/binary, "/notes">>, "mine"),
        ok = Put("two"),
        ?assertEqual([{ok, <<"two">>}, {ok, <<"two">>}, {ok, <<"mine">>}],
                     [file:read_file(filename:join(Folder, Name)) || Name <- ["key.pem", "cert.pem", "notes"]]),
        ?assertEqual([8#700, 8#600, 8#644],
                     [merlon_test_dir:mode(filename:join(Folder, Name)) || Name <- ["", "key.pem", "cert.pem"]]),
        ?assertEqual({ok, ["a@h"]}, file:list_dir_all(Dir ++ "/nodes")),
        ?assertEqual({ok, ["nodes"]}, file:list_dir_all(Dir))
    end).

commands_to_type_are_quoted_for_the_shell_test() ->
    Said = iolist_to_binary(merlon_dir:format_error({too_open, <<"/a b/it's">>, 8#644})),
    ?assertMatch({match, _}, re:run(Said, "chmod 600 '/a b/it'\\\\''s'$")).
