%% SPDX-License-Identifier: Apache-2.0
%% What statements change on a node's disk: taken once, in trust/ what they say and nothing else.
-module(merlon_roots_files_tests).

-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with/1, init/1]).

new_root() ->
    {ok, #{cert := Cert, key := Key}} =
        merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => now_s()}),
    {ok, [#{sha256 := Id}]} = merlon_nif:pki_inspect(Cert),
    #{cert => Cert, key => Key, id => Id}.

now_s() -> erlang:system_time(second).

old_root(Dir) ->
    {ok, #{ca_cert := Cert, ca_key := Key}} = merlon_cli_cert:ca(Dir),
    {ok, [#{sha256 := Id}]} = merlon_nif:pki_inspect(Cert),
    #{cert => Cert, key => Key, id => Id}.

say(Stage, Number, #{cert := OldCert, key := OldKey}, #{cert := NewCert, key := NewKey}) ->
    {ok, Text} = merlon_nif:rotation_say(#{cluster => <<"test">>, sequence => Number, stage => Stage, old_cert => OldCert,
                                           old_key => OldKey, new_cert => NewCert, new_key => NewKey}),
    Text.

locked(Dir, Change) -> merlon_dir_write:locked(list_to_binary(Dir), Change).

take(Dir, Text) -> locked(Dir, fun(Work) -> merlon_roots_files:take(Dir, Work, <<"test">>, Text, now_s()) end).

drop(Dir, Root) -> locked(Dir, fun(Work) -> merlon_roots_files:drop(Dir, Work, Root) end).

add(Dir, Said) -> locked(Dir, fun(Work) -> merlon_roots_files:add(Dir, Work, Said) end).

roots(Dir) ->
    {ok, Roots} = merlon_roots_files:roots(Dir),
    lists:sort(Roots).

a_statement_is_taken_once_and_none_before_it_test() ->
    with(fun(Dir) ->
        Old = #{id := OldId} = old_root(init(Dir)),
        New = #{id := NewId} = new_root(),
        ?assertEqual(0, merlon_roots_files:sequence(Dir, OldId)),
        Issue = say(issue, 5, Old, New),
        {ok, #{stage := issue, old := OldId, new := NewId}} = take(Dir, Issue),
        ?assertEqual(5, merlon_roots_files:sequence(Dir, OldId)),
        ?assertEqual([Issue], [Text || {Text, _} <- merlon_roots_files:statements(Dir)]),
        [?assertEqual({error, {pki, old_statement}}, take(Dir, Text)) || Text <- [Issue, say(trust, 4, Old, New)]],
        %% The next one takes its place; taking one changes no trust by itself.
        {ok, _} = take(Dir, say(finish, 6, Old, New)),
        ?assertMatch([{_, #{stage := finish}}], merlon_roots_files:statements(Dir)),
        ?assertEqual([OldId], roots(Dir)),
        %% One that was spoilt is none, and hides no other.
        ok = file:write_file(filename:join([Dir, "rotation", "spoilt.txt"]), "merlon ca rotation 1\n"),
        ?assertMatch([{_, #{stage := finish}}], merlon_roots_files:statements(Dir))
    end).

%% Who was away while a new root was taken back, and has heard of the next one first, does not trust it for ever.
what_was_taken_back_is_heard_of_late_test() ->
    with(fun(Dir) ->
        Old = old_root(init(Dir)),
        [First, Second] = [new_root(), new_root()],
        [Trust, Undo, Next] = [say(trust, 5, Old, First), say(undo, 7, Old, First), say(trust, 9, Old, Second)],
        {ok, _} = take(Dir, Trust),
        {ok, _} = take(Dir, Next),
        {ok, #{stage := undo}} = take(Dir, Undo),
        %% But nothing else, and that once.
        [?assertEqual({error, {pki, old_statement}}, take(Dir, Text)) || Text <- [Undo, Trust, say(issue, 8, Old, First), say(back, 8, Old, Second)]],
        Said = [Said || {_, Said} <- merlon_roots_files:statements(Dir)],
        ?assertMatch([#{sequence := 9}, #{sequence := 7}], Said),
        ?assertMatch([#{stage := trust}, #{stage := undo}], merlon_roots_core:in_force(Said))
    end).

%% Of two copies of one CA: what one has taken back does not stand in the way of the other's rotation.
an_undo_is_about_its_own_two_roots_test() ->
    with(fun(Dir) ->
        Old = old_root(init(Dir)),
        [First, Second] = [new_root(), new_root()],
        {ok, _} = take(Dir, say(trust, 1, Old, First)),
        {ok, _} = take(Dir, say(undo, 7, Old, First)),
        {ok, #{stage := finish}} = take(Dir, say(finish, 5, Old, Second))
    end).

%% A file by the name that an older merlon gave it.
a_newer_statement_hides_an_older_file_test() ->
    with(fun(Dir) ->
        Old = #{id := OldId} = old_root(init(Dir)),
        New = new_root(),
        {ok, _} = take(Dir, say(finish, 2, Old, New)),
        ok = file:write_file(filename:join([Dir, "rotation", binary_to_list(OldId) ++ ".txt"]), say(trust, 1, Old, New)),
        ?assertMatch([{_, #{stage := finish}}], merlon_roots_files:statements(Dir))
    end).

roots_come_and_go_alone_test() ->
    with(fun(Dir) ->
        Old = #{id := OldId} = old_root(init(Dir)),
        New = #{id := NewId} = new_root(),
        #{cert := Other, id := OtherId} = new_root(),
        %% Another root in the same file as the old one.
        Bundle = filename:join([Dir, "trust", "ca.pem"]),
        ok = file:write_file(Bundle, [maps:get(cert, Old), "some words\n", Other]),
        {ok, Said} = take(Dir, say(trust, 1, Old, New)),
        [ok = add(Dir, Said) || _ <- [once, again]],
        ?assertEqual(lists:sort([OldId, OtherId, NewId]), roots(Dir)),
        [ok = drop(Dir, OldId) || _ <- [once, again]],
        ?assertEqual(lists:sort([OtherId, NewId]), roots(Dir)),
        ?assert(filelib:is_file(Bundle)),
        ok = drop(Dir, NewId),
        ?assertEqual(["ca.pem"], filelib:wildcard("*", filename:join(Dir, "trust"))),
        %% A node that trusts nobody would not start.
        ?assertMatch({error, {refused, _}}, drop(Dir, OtherId)),
        ?assertEqual([OtherId], roots(Dir))
    end).

%% The old root's name makes a file name: a statement whose old root is not trusted here makes none.
no_file_is_written_for_a_root_that_is_not_trusted_test() ->
    with(fun(Dir) ->
        _ = init(Dir),
        ?assertEqual({error, {pki, unknown_issuer}}, take(Dir, say(trust, 1, new_root(), new_root()))),
        ?assertNot(filelib:is_dir(filename:join(Dir, "rotation")))
    end).
