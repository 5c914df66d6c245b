%% SPDX-License-Identifier: Apache-2.0
%% `merlon rotate secret`, and the files that it and `merlon keyring --drop` write.
-module(merlon_cli_rotate_tests).

-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with/1]).

run(Dir, Args) -> merlon_cli:run(Args ++ ["--dir", Dir]).

rotate(Dir, Args) ->
    {0, Said, <<>>} = run(Dir, ["rotate", "secret" | Args]),
    {match, [Id]} = re:run(Said, "Added ([0-9a-f]{16}) to", [{capture, all_but_first, binary}]),
    Id.

new(Dir) ->
    {0, _, <<>>} = run(Dir, ["keyring", "--new"]),
    [#{id := Id}] = entries(Dir),
    Id.

entries(Dir) ->
    {ok, Entries} = merlon_keyring:read(Dir),
    merlon_keyring:public(Entries).

known(Dir) -> maps:get(known, merlon_rotate_files:kept(Dir)).

a_rotation_ends_all_others_and_shows_no_secret_test() ->
    with(fun(Dir) ->
        Old = new(Dir),
        Before = erlang:system_time(second),
        New = rotate(Dir, ["--grace", "2h", "--skew", "1m"]),
        [#{id := New, not_before := Begin, not_after := never}, #{id := Old, not_after := End}] =
            lists:sort(fun(#{created := A}, #{created := B}) -> A >= B end, entries(Dir)),
        ?assert(Begin - Before >= 600 andalso Begin - Before < 610),
        ?assert(End - Before >= 600 + 7260 andalso End - Before < 600 + 7270),
        ?assertEqual(8#600, merlon_test_dir:mode(filename:join(Dir, "keyring"))),
        #{begins := #{New := Sooner}} = merlon_rotate_files:kept(Dir),
        ?assert(Sooner =< Before + 60),
        {ok, Text} = file:read_file(filename:join(Dir, "keyring")),
        {ok, Entries} = merlon_keyring_core:parse(Text),
        {ok, Status} = file:read_file(filename:join(Dir, "keyring.status")),
        {0, Shown, <<>>} = run(Dir, ["rotate", "secret", "--status"]),
        {0, Table, <<>>} = run(Dir, ["keyring"]),
        [?assertEqual(nomatch, binary:match(Said, string:lowercase(binary:encode_hex(Secret()))))
         || #{secret := Secret} <- Entries, Said <- [Status, Shown, Table]],
        ?assertMatch({match, _}, re:run(Shown, ["Phase 1 of 3: entry ", New]))
    end).

%% A node that rotates by schedule has not read yet what the command has just written.
a_rotation_of_another_at_once_does_not_let_the_old_entry_live_on_test() ->
    with(fun(Dir) ->
        Old = new(Dir),
        Before = entries(Dir),
        First = rotate(Dir, ["--grace", "0s", "--skew", "10s"]),
        End = fun() -> [Last || #{id := Id, not_after := Last} <- entries(Dir), Id =:= Old] end,
        [Soon] = End(),
        {ok, Second} = merlon_rotate_files:make(Dir, Before, #{grace => 86400, skew => 300}, merlon_rotate_files:kept(Dir)),
        ?assertEqual([Soon], End()),
        ?assertEqual(lists:sort([Old, First, Second]), lists:sort([Id || #{id := Id} <- entries(Dir)]))
    end).

phases_are_told_from_dates_test() ->
    Now = 10000,
    Entry = fun(N, Begin, End) -> #{id => <<N>>, created => N, not_before => Begin, not_after => End} end,
    ?assertEqual({spreading, <<2>>}, merlon_rotate_core:phase([Entry(1, 0, 20000), Entry(2, 10100, never)], Now)),
    ?assertEqual({grace, <<2>>}, merlon_rotate_core:phase([Entry(1, 0, 20000), Entry(2, 9000, never)], Now)),
    ?assertEqual({done, <<2>>}, merlon_rotate_core:phase([Entry(1, 0, 9999), Entry(2, 9000, never)], Now)),
    ?assertEqual(none, merlon_rotate_core:phase([Entry(1, 0, 9999)], Now)).

sixteen_live_entries_are_too_many_test() ->
    with(fun(Dir) ->
        _ = new(Dir),
        _ = [{0, _, <<>>} = run(Dir, ["keyring", "--new"]) || _ <- lists:seq(1, 15)],
        {1, <<>>, Said} = run(Dir, ["rotate", "secret"]),
        ?assertMatch({match, _}, re:run(Said, "has 16 entries that are accepted: remove one")),
        ?assertEqual(16, length(entries(Dir)))
    end).

what_can_not_be_rotated_is_said_test() ->
    with(fun(Dir) ->
        {1, <<>>, None} = run(Dir, ["rotate", "secret"]),
        ?assertMatch({match, _}, re:run(None, "no keyring to rotate: .*keyring --new")),
        _ = new(Dir),
        {1, <<>>, Short} = run(Dir, ["rotate", "secret", "--grace", "5s", "--skew", "4s"]),
        ?assertMatch({match, _}, re:run(Short, "10 seconds at least")),
        [?assertMatch({{2, <<>>, _}, _}, {run(Dir, ["rotate" | Args]), Args})
         || Args <- [[], ["cookie"], ["secret", "--grace", "24"], ["secret", "--grace", "-1h"], ["secret", "--skew", "1w"],
                     ["secret", "--grace", "366d"], ["secret", "--status", "--grace", "1h"]]],
        ok = file:change_mode(filename:join(Dir, "keyring"), 8#644),
        {1, <<>>, Open} = run(Dir, ["rotate", "secret"]),
        ?assertMatch({match, _}, re:run(Open, "chmod 600"))
    end).

a_dropped_entry_is_remembered_as_ended_test() ->
    with(fun(Dir) ->
        Old = new(Dir),
        _ = rotate(Dir, []),
        %% The new one does not count yet: no node would start.
        {1, <<>>, Said} = run(Dir, ["keyring", "--drop", binary_to_list(Old)]),
        ?assertMatch({match, _}, re:run(Said, "no other entry of .* counts yet")),
        {0, _, <<>>} = run(Dir, ["keyring", "--new"]),
        {0, _, <<>>} = run(Dir, ["keyring", "--drop", binary_to_list(Old)]),
        #{Old := {_, _, End}} = known(Dir),
        ?assert(End < erlang:system_time(second))
    end).

%% ---- keyring.status ----

kept() ->
    #{known => #{<<"0123456789abcdef">> => {1000, 700, never}, <<"fedcba9876543210">> => {5, 6, 7}},
      begins => #{<<"0123456789abcdef">> => 400},
      peers => #{'a b@h' => #{seen => 5000, has => [<<"0123456789abcdef">>, <<"fedcba9876543210">>]},
                 'n@h' => #{seen => 6000, has => []}}}.

what_is_kept_comes_back_and_is_merged_test() ->
    ok = merlon_nif:load(),
    with(fun(Dir) ->
        ok = merlon_rotate_files:keep(Dir, kept()),
        ?assertEqual(kept(), merlon_rotate_files:kept(Dir)),
        Sooner = #{known => #{<<"0123456789abcdef">> => {1000, 900, 2000}}, begins => #{}, peers => #{}},
        ok = merlon_rotate_files:keep(Dir, Sooner),
        ?assertEqual({1000, 700, 2000}, maps:get(<<"0123456789abcdef">>, known(Dir))),
        ?assertEqual(8#600, merlon_test_dir:mode(filename:join(Dir, "keyring.status")))
    end).

lines_that_can_not_be_read_are_passed_over_test() ->
    with(fun(Dir) ->
        ok = merlon_rotate_files:keep(Dir, kept()),
        File = filename:join(Dir, "keyring.status"),
        {ok, Text} = file:read_file(File),
        ok = file:write_file(File, [Text, "entry x 1 2 3\nentry 0123\npeer\nbegin 0123456789abcdef soon\n", <<255, 0>>]),
        ?assertEqual(kept(), merlon_rotate_files:kept(Dir)),
        ok = file:write_file(File, "something else\n"),
        ?assertEqual(#{}, known(Dir))
    end).
