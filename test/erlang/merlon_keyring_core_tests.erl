%% SPDX-License-Identifier: Apache-2.0
-module(merlon_keyring_core_tests).

-include_lib("eunit/include/eunit.hrl").

-define(NOW, 1764201600).
-define(PATH, <<"/x/keyring">>).

entry(Byte) -> entry(Byte, never).

entry(Byte, End) ->
    ok = merlon_nif:load(),
    Secret = binary:copy(<<Byte>>, 32),
    {ok, {Id, _}} = merlon_nif:keyring_entry(Secret, 0, never),
    #{id => Id, created => ?NOW, not_before => ?NOW - 300, not_after => End, kdf => expand,
      secret => fun() -> Secret end}.

text() -> merlon_keyring_core:text([entry(1), entry(2, ?NOW + 60)]).

shown(Entries) -> [Entry#{secret := Secret()} || #{secret := Secret} = Entry <- Entries].

what_is_written_is_read_again_test() ->
    Entries = [entry(1), entry(2, ?NOW + 60)],
    {ok, Read} = merlon_keyring_core:parse(merlon_keyring_core:text(Entries)),
    ?assertEqual(shown(Entries), shown(Read)).

%% A change that the checksum goes with is found by its line.
changed(Change) ->
    [Header, First, Second | _] = binary:split(text(), <<"\n">>, [global]),
    Lines = Change(Header, First, Second),
    Body = iolist_to_binary([[Line, $\n] || Line <- Lines]),
    Sum = string:lowercase(binary:encode_hex(merlon_nif:kdf_digest(sha256, Body))),
    merlon_keyring_core:parse(<<Body/binary, "sha256 ", Sum/binary, "\n">>).

field(N, New) ->
    changed(fun(Header, First, Second) ->
                    {Before, [_ | After]} = lists:split(N - 1, binary:split(Second, <<" ">>, [global])),
                    [Header, First, lists:join($\s, Before ++ [New | After])]
            end).

every_malformed_line_is_named_test_() ->
    ok = merlon_nif:load(),
    Long = binary:copy(<<"a">>, 64),
    [{lists:flatten(io_lib:format("~p", [Expected])), ?_assertEqual({error, Expected}, Got)}
     || {Expected, Got} <-
            [{{1, no_header}, changed(fun(_, A, B) -> ["keyring", A, B] end)},
             {{1, version}, changed(fun(_, A, B) -> ["merlon keyring 2", A, B] end)},
             {{0, empty}, changed(fun(H, _, _) -> [H] end)},
             {{3, fields}, changed(fun(H, A, B) -> [H, A, [B, " more"]] end)},
             {{3, fields}, changed(fun(H, A, B) -> [H, A, [B, " "]] end)},
             {{3, fields}, changed(fun(H, A, B) -> [H, A, "", B] end)},
             {{3, secret}, changed(fun(H, A, B) -> [H, A, [B, "\r"]] end)},
             {{3, twice}, changed(fun(H, A, _) -> [H, A, A] end)},
             {{18, too_many}, changed(fun(H, A, _) -> [H | lists:duplicate(17, A)] end)},
             {{3, id}, field(1, "0123")}, {{3, id}, field(1, "0123456789ABCDEF")},
             {{3, {time, created}}, field(2, "2026-02-30T00:00:00Z")},
             {{3, {time, created}}, field(2, "never")},
             {{3, {time, not_before}}, field(3, "2026-01-01t00:00:00Z")},
             {{3, {time, not_before}}, field(3, "1969-12-31T23:59:59Z")},
             {{3, {time, not_after}}, field(4, "2026-01-01T00:00:60Z")},
             {{3, order}, field(4, "2020-01-01T00:00:00Z")},
             {{3, kdf}, field(5, "argon2id")},
             {{3, secret}, field(6, "00")}, {{3, secret}, field(6, string:uppercase(Long))},
             {{0, empty}, merlon_keyring_core:parse(<<>>)},
             {{1, cut_short}, merlon_keyring_core:parse(<<"merlon keyring 1">>)},
             {{1, no_checksum}, merlon_keyring_core:parse(<<"merlon keyring 1\n">>)}]].

a_file_cut_anywhere_is_refused_test() ->
    Text = text(),
    [?assertMatch({error, {_, _}}, merlon_keyring_core:parse(binary_part(Text, 0, Size)))
     || Size <- lists:seq(0, byte_size(Text) - 1)].

every_changed_byte_is_refused_test() ->
    Text = text(),
    [begin
         <<Before:At/binary, Byte, After/binary>> = Text,
         Changed = <<Before/binary, (Byte bxor (1 bsl rand:uniform(7))), After/binary>>,
         ?assertMatch({error, {_, _}}, merlon_keyring_core:parse(Changed))
     end || At <- lists:seq(0, byte_size(Text) - 1)].

random_insertions_and_removals_are_refused_test() ->
    Text = text(),
    [begin
         At = rand:uniform(byte_size(Text)) - 1,
         Gone = rand:uniform(byte_size(Text) - At) - 1,
         <<Before:At/binary, Cut:Gone/binary, After/binary>> = Text,
         New = rand:bytes(rand:uniform(8)),
         New =:= Cut orelse
             ?assertMatch({error, {_, _}}, merlon_keyring_core:parse(<<Before/binary, New/binary, After/binary>>))
     end || _ <- lists:seq(1, 2000)].

%% Before it is cut into lines: those of 16 MiB would take a gigabyte.
what_is_too_long_is_not_looked_at_test() ->
    Text = text(),
    [?assertEqual({error, {0, too_big}}, merlon_keyring_core:parse(Long))
     || Long <- [binary:copy(<<"\n">>, 65537), <<Text/binary, 0:(65537 * 8)>>, binary:copy(<<0>>, 1 bsl 24)]],
    Most = [(entry(N))#{kdf := {argon2id, 100000000, 100000000, 100000000}, secret := fun() -> binary:copy(<<N>>, 1024) end}
            || N <- lists:seq(1, 16)],
    ?assertMatch({ok, [_ | _]}, merlon_keyring_core:parse(merlon_keyring_core:text(Most))).

an_id_of_another_secret_is_refused_test() ->
    #{secret := Other} = entry(3),
    Text = merlon_keyring_core:text([entry(1), (entry(2))#{secret := Other}]),
    ?assertEqual({error, {keyring, {?PATH, 3, other_secret}}}, merlon_keyring:parse(?PATH, Text)).

no_error_shows_a_secret_test() ->
    Secret = binary:copy(<<"ab">>, 32),
    {error, {Line, Problem}} = changed(fun(H, A, _) -> [H, A, ["x x x x expand ", Secret]] end),
    Text = iolist_to_binary(merlon_keyring:format_error({?PATH, Line, Problem})),
    ?assertEqual(<<"/x/keyring:3: an id is 16 digits of 0-9 and a-f">>, Text),
    %% Not even what is no text at all.
    ?assertEqual({error, {keyring, {?PATH, 0, unreadable}}}, merlon_keyring:parse(?PATH, {Secret})).

every_problem_has_words_test() ->
    [?assert(iolist_size(merlon_keyring_core:words(Problem)) > 10)
     || Problem <- [too_big, no_header, version, no_checksum, checksum, cut_short, empty, too_many, fields, id,
                    secret, order, twice, other_secret, kdf, {time, created}]].

the_newest_is_the_one_that_began_last_test() ->
    Old = entry(1),
    New = (entry(2))#{not_before := ?NOW},
    ?assertEqual([New, Old], merlon_keyring_core:newest_first([Old, New])).

the_last_entry_is_not_dropped_test() ->
    #{id := Id} = Entry = entry(1),
    ?assertEqual({error, last}, merlon_keyring_core:drop(Id, [Entry])),
    ?assertEqual({error, unknown}, merlon_keyring_core:drop(<<"0">>, [Entry])),
    ?assertEqual({ok, [Entry]}, merlon_keyring_core:drop(maps:get(id, entry(2)), [Entry, entry(2)])).

a_seventeenth_entry_is_refused_test() ->
    Sixteen = [entry(Byte) || Byte <- lists:seq(1, 16)],
    ?assertEqual({error, {0, too_many}}, merlon_keyring_core:add(entry(17), Sixteen)),
    ?assertMatch({ok, [_ | _]}, merlon_keyring_core:parse(merlon_keyring_core:text(Sixteen))).

%% ---- the command ----

the_command_makes_lists_and_drops_entries_test() ->
    merlon_test_dir:with_node(fun(Dir) ->
        File = filename:join(Dir, "keyring"),
        Run = fun(Args) -> merlon_cli:run(["keyring", "--dir", Dir | Args]) end,
        ?assertMatch({1, <<>>, <<"merlon keyring: this node has no keyring", _/binary>>}, Run([])),
        {0, _, <<>>} = Run(["--new"]),
        ?assertEqual(8#600, merlon_test_dir:mode(File)),
        {0, _, <<>>} = Run(["--new", "--not-after", "2999-01-31"]),
        {0, List, <<>>} = Run([]),
        [_, First, Second] = string:lexemes(List, "\n"),
        ?assertMatch({match, _}, re:run(List, "2999-01-31T00:00:00Z")),
        ?assertEqual(1, length([Row || Row <- [First, Second], nomatch =/= string:find(Row, "preferred")])),
        {ok, Text} = file:read_file(File),
        {ok, Entries} = merlon_keyring_core:parse(Text),
        [?assertEqual(nomatch, string:find(List, string:lowercase(binary:encode_hex(Secret()))))
         || #{secret := Secret} <- Entries],
        [Id | _] = string:lexemes(First, " "),
        {0, _, <<>>} = Run(["--drop", binary_to_list(Id)]),
        ?assertMatch({1, <<>>, _}, Run(["--drop", binary_to_list(Id)])),
        {0, Left, <<>>} = Run([]),
        ?assertEqual(2, length(string:lexemes(Left, "\n"))),
        [Last | _] = string:lexemes(Second, " "),
        ?assertMatch({1, <<>>, _}, Run(["--drop", binary_to_list(Last)])),
        ?assertMatch({0, _, <<>>}, Run([]))
    end).

the_command_refuses_what_makes_no_sense_test() ->
    merlon_test_dir:with_node(fun(Dir) ->
        Run = fun(Args) -> element(1, merlon_cli:run(["keyring", "--dir", Dir | Args])) end,
        ?assertEqual(2, Run(["--new", "--drop", "x"])),
        ?assertEqual(2, Run(["--not-after", "2999-01-01"])),
        ?assertEqual(2, Run(["--new", "--not-after", "tomorrow"])),
        ?assertEqual(2, Run(["--new", "--not-after", "2020-01-01"])),
        ?assertNot(filelib:is_file(filename:join(Dir, "keyring")))
    end).

%% Whoever can make the file vanish for a moment must not bring the cookie back.
what_can_not_be_read_is_not_taken_for_no_keyring_test() ->
    merlon_test_dir:with_node(fun(Dir) ->
        File = filename:join(Dir, "keyring"),
        ?assertEqual({ok, none}, merlon_keyring:read(Dir)),
        [begin
             ok = file:make_symlink(To, File),
             ?assertMatch({error, {file, {read, _, _}}}, merlon_keyring:read(Dir)),
             ?assertMatch({error, {file, _}}, merlon_identity:load('app@here', config(Dir))),
             ok = file:delete(File)
         end || To <- ["nowhere", "keyring"]], % and one that goes round in circles
        ok = file:make_dir(File),
        ?assertMatch({error, {file, {not_a_file, _}}}, merlon_keyring:read(Dir))
    end).

config(Dir) ->
    {ok, Config} = merlon_config:load(Dir),
    Config.

%% Nothing is written over a file that can't be read.
a_bad_file_is_left_alone_test() ->
    merlon_test_dir:with_node(fun(Dir) ->
        File = filename:join(Dir, "keyring"),
        merlon_test_dir:put_file(File, "merlon keyring 1\n", 8#600),
        ?assertMatch({1, <<>>, _}, merlon_cli:run(["keyring", "--dir", Dir, "--new"])),
        ?assertEqual({ok, <<"merlon keyring 1\n">>}, file:read_file(File)),
        merlon_test_dir:put_file(File, text(), 8#640),
        {1, <<>>, Error} = merlon_cli:run(["keyring", "--dir", Dir]),
        ?assertMatch({match, _}, re:run(Error, "chmod 600"))
    end).
