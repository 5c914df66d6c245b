%% SPDX-License-Identifier: Apache-2.0
%% Whatever ends a change to DIR/ca, there is a CA, and its key is its certificate's.
-module(merlon_ca_files_tests).

-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with/1, init/1]).

file(Dir, Name) -> filename:join([Dir, "ca", Name]).

locked(Dir, Change) -> merlon_dir_write:locked(list_to_binary(Dir), Change).

%% A dir in which a rotation has begun.
begun(Dir) ->
    _ = init(Dir),
    {ok, #{ca_cert := Cert} = Ca} = merlon_cli_cert:ca(Dir),
    {ok, New} = merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second)}),
    ok = locked(Dir, fun(Work) -> merlon_ca_files:begin_with(Dir, Work, Ca, New) end),
    {Cert, maps:get(cert, New)}.

%% One in which nodes were told of it: the old root's id and the new root.
told(Dir) ->
    {_Old, New} = begun(Dir),
    {ok, #{old := #{id := OldId, cert := OldCert, key := OldKey}}} = merlon_ca_files:rotation(Dir),
    {ok, NewKey} = file:read_file(file(Dir, "next.key")),
    {ok, Text} = merlon_nif:rotation_say(#{cluster => <<"test">>, sequence => 7, stage => trust, old_cert => OldCert,
                                           old_key => OldKey, new_cert => New, new_key => NewKey}),
    {ok, _} = locked(Dir, fun(Work) -> merlon_roots_files:take(Dir, Work, <<"test">>, Text, erlang:system_time(second)) end),
    {OldId, New}.

%% What commands that use the CA see.
usable(Dir) ->
    {ok, #{ca_cert := Cert, ca_key := Key}} = merlon_cli_cert:ca(Dir),
    ?assert(merlon_nif:pki_matches(Cert, Key)),
    {0, _, <<>>} = merlon_cli:run(["cert", "app@here", "--force", "--dir", Dir]),
    Cert.

a_new_root_does_not_issue_before_it_is_told_to_test() ->
    with(fun(Dir) ->
        {Old, New} = begun(Dir),
        {ok, #{issuing := old, old := #{cert := Old}, new := #{cert := New} = Next}} = merlon_ca_files:rotation(Dir),
        Old = usable(Dir),
        ?assertEqual(lists:sort([Old, Old, New]), lists:sort(merlon_ca_files:issuers(Dir))),
        [?assertEqual(8#600, merlon_test_dir:mode(file(Dir, Key))) || Key <- ["ca.key", "old.key", "next.key"]],
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Next) end),
        New = usable(Dir),
        {ok, #{issuing := new}} = merlon_ca_files:rotation(Dir)
    end).

an_exchange_cut_off_leaves_a_key_that_fits_test() ->
    with(fun(Dir) ->
        {Old, New} = begun(Dir),
        %% Forward, and back, after the first of two files.
        {ok, _} = file:copy(file(Dir, "next.pem"), file(Dir, "ca.pem")),
        New = usable(Dir),
        {ok, #{issuing := new, old := OldRoot, new := NewRoot}} = merlon_ca_files:rotation(Dir),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, NewRoot) end),
        {ok, _} = file:copy(file(Dir, "old.pem"), file(Dir, "ca.pem")),
        Old = usable(Dir),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, OldRoot) end),
        Old = usable(Dir)
    end).

%% Nobody believes what an old root says that is not trusted any more.
what_is_said_too_late_is_not_said_test() ->
    with(fun(Dir) ->
        {OldId, New} = told(Dir),
        ok = file:write_file(filename:join([Dir, "trust", "ca.pem"]), New),
        {1, _, Said} = merlon_cli:run(["rotate", "ca", "--rollback", "--dir", Dir]),
        ?assertNotEqual(nomatch, binary:match(iolist_to_binary(Said), <<"not trusted here any more">>)),
        ?assertEqual(7, merlon_roots_files:sequence(Dir, OldId))
    end).

%% Whoever looks, and not only who goes on, is told that the rotation is not over.
a_rotation_whose_first_sign_is_lost_is_not_said_to_be_none_test() ->
    with(fun(Dir) ->
        _ = told(Dir),
        [ok = file:delete(file(Dir, Name)) || Name <- ["next.pem", "next.key", "old.pem", "old.key"]],
        [begin
             {1, _, Said} = merlon_cli:run(["rotate", "ca", "--dir", Dir | More]),
             ?assertNotEqual(nomatch, binary:match(iolist_to_binary(Said), <<"next.pem is not there: put it back">>))
         end || More <- [[], ["--status"]]]
    end).

a_root_that_has_run_out_is_not_rotated_test() ->
    with(fun(Dir) ->
        _ = init(Dir),
        {ok, #{cert := Cert, key := Key}} =
            merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second) - 20 * 86400}),
        [ok = file:write_file(filename:join([Dir | Path]), Text)
         || {Path, Text} <- [{["ca", "ca.pem"], Cert}, {["ca", "ca.key"], Key}, {["trust", "ca.pem"], Cert}]],
        {1, _, Said} = merlon_cli:run(["rotate", "ca", "--dir", Dir]),
        ?assertNotEqual(nomatch, binary:match(iolist_to_binary(Said), <<"has run out">>)),
        ?assertEqual(none, merlon_ca_files:rotation(Dir))
    end).

who_waits_in_a_rollback_has_a_certificate_of_the_old_root_test() ->
    Standing = #{old => true, new => true, ready => true, behind => []},
    [?assertNotEqual(nomatch, string:find(merlon_rotate_ca_text:where(Stage, Standing), Which))
     || {Stage, Which} <- [{undo, "old one"}, {back, "old one"}, {issue, "new one"}]].

the_end_leaves_the_key_of_the_one_that_issues_and_no_other_test() ->
    [with(fun(Dir) ->
         {Old, New} = begun(Dir),
         {ok, #{old := OldRoot, new := NewRoot}} = merlon_ca_files:rotation(Dir),
         {Stays, Root} = case Which of
                             old -> {Old, OldRoot};
                             new -> {New, NewRoot}
                         end,
         ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Root) end),
         ok = locked(Dir, fun(Work) -> merlon_ca_files:clean(Dir, Work) end),
         Stays = usable(Dir),
         none = merlon_ca_files:rotation(Dir),
         ?assertEqual([Stays], merlon_ca_files:issuers(Dir)),
         ?assertEqual(["ca.key", "ca.pem", "issued"], lists:sort(filelib:wildcard("*", filename:join(Dir, "ca"))))
     end) || Which <- [old, new]].

%% The end was cut off after any of its removals, or the begin before its last file: then the next command sweeps. An end
%% is told from a begin, so that it is not begun anew.
what_was_left_half_is_swept_away_test() ->
    Halves = [{["next.key"], ending}, {["next.key", "old.key"], ending}, {["next.key", "old.key", "old.pem"], ending},
              {["next.pem"], none}, {["next.pem", "next.key"], none}, {["next.pem", "next.key", "old.pem"], none}],
    [with(fun(Dir) ->
         {Old, _} = begun(Dir),
         [ok = file:delete(file(Dir, Name)) || Name <- Gone],
         Told = merlon_ca_files:rotation(Dir),
         Old = usable(Dir),
         ok = locked(Dir, fun(Work) -> merlon_ca_files:clean(Dir, Work) end),
         Old = usable(Dir),
         ?assertEqual(["ca.key", "ca.pem", "issued"], lists:sort(filelib:wildcard("*", filename:join(Dir, "ca"))))
     end) || {Gone, Told} <- Halves].

a_node_is_revoked_with_the_certificates_of_both_roots_test() ->
    with(fun(Dir) ->
        _ = begun(Dir),
        Cert = fun() ->
                       {0, _, <<>>} = merlon_cli:run(["cert", "app@here", "--force", "--dir", Dir]),
                       {ok, Pem} = file:read_file(filename:join([Dir, "nodes", "app@here", "cert.pem"])),
                       {ok, [#{serial := Serial, issuer := Issuer}]} = merlon_nif:pki_inspect(Pem),
                       {Issuer, Serial}
               end,
        First = Cert(),
        {ok, #{new := New}} = merlon_ca_files:rotation(Dir),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, New) end),
        Second = Cert(),
        ?assertNotEqual(element(1, First), element(1, Second)),
        {0, _, <<>>} = merlon_cli:run(["revoke", "app@here", "--dir", Dir]),
        {ok, Text} = file:read_file(filename:join(Dir, "crl.pem")),
        {ok, Lists} = merlon_nif:pki_lists(Text),
        ?assertEqual(lists:sort([First, Second]),
                     lists:sort([{Issuer, Serial} || #{issuer := Issuer, revoked := Entries} <- Lists, #{serial := Serial} <- Entries])),
        %% One that has certificates of the new root only; one that has none.
        {0, _, <<>>} = merlon_cli:run(["cert", "late@here", "--dir", Dir]),
        {0, _, <<>>} = merlon_cli:run(["revoke", "late@here", "--dir", Dir]),
        {1, <<>>, _} = merlon_cli:run(["revoke", "none@here", "--dir", Dir])
    end).

a_ca_that_is_none_of_the_two_is_told_test() ->
    with(fun(Dir) ->
        _ = begun(Dir),
        {ok, #{cert := Other}} =
            merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second)}),
        ok = file:write_file(file(Dir, "ca.pem"), Other),
        {error, {refused, _}} = merlon_ca_files:rotation(Dir)
    end).

rotate(Dir, More) -> merlon_cli:run(["rotate", "ca", "--dir", Dir | More]).

said(Text, Pattern) -> ?assertEqual(match, re:run(Text, Pattern, [{capture, none}])).

%% Somebody's own key of an old CA is not removed because it has one of our names.
what_is_no_rotations_stays_test() ->
    [with(fun(Dir) ->
         _ = init(Dir),
         ok = file:write_file(file(Dir, Name), "mine"),
         [begin
              {1, <<>>, Said} = rotate(Dir, More),
              said(Said, Name ++ " is of no rotation"),
              {ok, <<"mine">>} = file:read_file(file(Dir, Name))
          end || More <- [[], ["--rollback"]]]
     end) || Name <- ["old.key", "old.pem", "next.key"]].

%% As if nodes were told to do that.
said_to(Stage, Dir) ->
    {ok, #{old := #{id := Id} = Old, new := #{id := NewId} = New} = Rotation} = merlon_ca_files:rotation(Dir),
    Keys = #{old_cert => maps:get(cert, Old), old_key => maps:get(key, Old), new_cert => maps:get(cert, New), new_key => maps:get(key, New)},
    {ok, Text} = merlon_nif:rotation_say(Keys#{cluster => <<"test">>, sequence => 7, stage => Stage}),
    ok = locked(Dir, fun(Work) -> merlon_roots_files:keep(Dir, Work, #{old => Id, new => NewId}, Text) end),
    Rotation.

%% Nodes were told of the new root, whose key must not go with what looks like the rest of an end.
a_file_that_is_lost_midway_is_no_end_test() ->
    [with(fun(Dir) ->
         _ = begun(Dir),
         #{new := New} = said_to(Stage, Dir),
         %% The one that has no copy.
         _ = Lost =:= "old.key" andalso (ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, New) end)),
         ok = file:delete(file(Dir, Lost)),
         Before = lists:sort(filelib:wildcard("*", filename:join(Dir, "ca"))),
         [begin
              {Code, Out, Err} = rotate(Dir, More),
              case Stage of
                  finish when More =:= ["--status"] -> 0 = Code, said(Out, "No rotation");
                  finish -> 0 = Code, said(Out, "what was left of it is removed");
                  _ ->
                      1 = Code,
                      said(Err, "rotation is under way, and .*" ++ Lost ++ " is gone"),
                      Before = lists:sort(filelib:wildcard("*", filename:join(Dir, "ca")))
              end
          end || More <- [["--status"], []]]
     end) || Stage <- [trust, issue, back, finish], Lost <- ["old.key", "next.key"]].

%% Two faults at once are no end either.
the_new_key_does_not_go_while_its_certificate_cannot_be_read_test() ->
    [with(fun(Dir) ->
         _ = begun(Dir),
         _ = said_to(trust, Dir),
         ok = file:delete(file(Dir, Lost)),
         {ok, Key} = file:read_file(file(Dir, "next.key")),
         ok = file:write_file(file(Dir, "next.pem"), <<"no certificate">>),
         {1, _, _} = rotate(Dir, ["--wait", "1s"]),
         ?assertEqual({ok, Key}, file:read_file(file(Dir, "next.key"))),
         {1, <<>>, _} = rotate(Dir, ["--status"])
     end) || Lost <- ["old.key", "old.pem"]].

%% The root that issues is there twice.
a_file_that_is_lost_midway_and_has_a_copy_is_put_back_test() ->
    [with(fun(Dir) ->
         Rotation = lost_with_a_copy(Issuing, Lost, Dir),
         {1, <<>>, Said} = rotate(Dir, ["--status"]),
         said(Said, hd(lists:sort(Lost)) ++ " is not there: `merlon rotate ca` puts it back"),
         ok = locked(Dir, fun(Work) -> merlon_ca_files:mend(Dir, Work) end),
         ?assertEqual({ok, Rotation}, merlon_ca_files:rotation(Dir)),
         [?assertEqual(8#600, merlon_test_dir:mode(file(Dir, Key))) || Key <- ["old.key", "next.key"]]
     end) || {Issuing, Lost} <- [{old, ["old.key"]}, {old, ["old.pem"]}, {old, ["old.key", "old.pem"]}, {new, ["next.key"]}]].

%% And waits for the nodes, of which there are none here.
the_command_goes_on_when_it_is_put_back_test_() ->
    {timeout, 60, fun() ->
        with(fun(Dir) ->
            Rotation = lost_with_a_copy(old, ["old.key"], Dir),
            {1, _, Said} = rotate(Dir, ["--anew", "--wait", "1s"]),
            ?assertEqual(nomatch, re:run(Said, "gone|lost")),
            ?assertEqual({ok, Rotation}, merlon_ca_files:rotation(Dir))
        end)
    end}.

lost_with_a_copy(Issuing, Lost, Dir) ->
    _ = begun(Dir),
    Rotation = said_to(trust, Dir),
    ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, maps:get(Issuing, Rotation)) end),
    [ok = file:delete(file(Dir, Name)) || Name <- Lost],
    Rotation#{issuing := Issuing}.

%% A CA that is none of the two is put into no place of theirs.
another_ca_is_no_copy_test() ->
    with(fun(Dir) ->
        _ = begun(Dir),
        _ = said_to(trust, Dir),
        {ok, #{cert := Cert, key := Key}} =
            merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second)}),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, #{cert => Cert, key => Key}) end),
        [ok = file:delete(file(Dir, Name)) || Name <- ["old.key", "old.pem"]],
        {lost, _} = locked(Dir, fun(Work) -> merlon_ca_files:mend(Dir, Work) end),
        [false = filelib:is_file(file(Dir, Name)) || Name <- ["old.key", "old.pem"]]
    end).

where_there_is_no_ca_no_ca_is_to_be_made_test() ->
    with(fun(Dir) ->
        _ = init(Dir),
        ok = file:delete(file(Dir, "ca.key")),
        {1, <<>>, Said} = rotate(Dir, []),
        said(Said, "run this where they are")
    end),
    with(fun(Dir) ->
        Secret = filename:join(Dir, "secret"),
        {0, _, _} = merlon_cli:run(["init", "--secret", "--cluster", "test", "--dir", Secret]),
        {1, <<>>, Said} = rotate(Secret, []),
        said(Said, "merlon rotate secret")
    end).

%% A copy of a CA whose root was rotated elsewhere, or an intermediate CA: no node would follow.
a_root_that_is_not_trusted_is_not_rotated_test() ->
    with(fun(Dir) ->
        _ = init(Dir),
        {ok, #{cert := Other}} =
            merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second)}),
        ok = file:write_file(filename:join([Dir, "trust", "ca.pem"]), Other),
        {1, Out, Said} = rotate(Dir, []),
        said(<<Out/binary, Said/binary>>, "no root that is trusted here"),
        none = merlon_ca_files:rotation(Dir)
    end).

a_rollback_has_no_stage_to_end_at_test() ->
    {2, <<>>, Said} = rotate("nowhere", ["--rollback", "--until", "trust"]),
    said(Said, "--until goes forwards only").

%% Two machines with copies of one CA: nodes do what was said last, and of two that go on neither would end.
what_a_copy_of_the_ca_has_said_since_is_not_overruled_test() ->
    with(fun(Dir) ->
        _ = begun(Dir),
        {ok, #{old := #{id := OldId} = Old, new := New}} = merlon_ca_files:rotation(Dir),
        {ok, Theirs} = merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => erlang:system_time(second)}),
        {ok, [#{sha256 := TheirId}]} = merlon_nif:pki_inspect(maps:get(cert, Theirs)),
        Keep = fun(Number, #{cert := Cert, key := Key}, Id) ->
                       {ok, Text} = merlon_nif:rotation_say(#{cluster => <<"test">>, sequence => Number, stage => trust,
                                                              old_cert => maps:get(cert, Old), old_key => maps:get(key, Old),
                                                              new_cert => Cert, new_key => Key}),
                       ok = locked(Dir, fun(Work) -> merlon_roots_files:keep(Dir, Work, #{old => OldId, new => Id}, Text) end)
               end,
        ok = Keep(7, New, maps:get(id, New)),
        ok = Keep(8, Theirs, TheirId),
        {1, <<>>, Said} = rotate(Dir, []),
        said(Said, "on a machine with a copy of this CA"),
        %% Nothing was said on top of it.
        8 = merlon_roots_files:sequence(Dir, OldId)
    end).

%% Nobody could stand on it, and who is told to go back to it is not told to go on any more.
a_root_that_has_run_out_does_not_issue_again_test() ->
    with(fun(Dir) ->
        _ = init(Dir),
        Now = erlang:system_time(second),
        {ok, Old} = merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => Now - 20 * 86400}),
        {ok, New} = merlon_nif:pki_new_ca(#{cluster => <<"test">>, alg => p256, days => 9, now => Now}),
        Ca = #{ca_cert => maps:get(cert, Old), ca_key => maps:get(key, Old)},
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Old) end),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:begin_with(Dir, Work, Ca, New) end),
        {ok, #{old := #{id := OldId}, new := #{id := NewId} = Next}} = merlon_ca_files:rotation(Dir),
        ok = locked(Dir, fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Next) end),
        {ok, Text} = merlon_nif:rotation_say(#{cluster => <<"test">>, sequence => 7, stage => issue,
                                               old_cert => maps:get(cert, Old), old_key => maps:get(key, Old),
                                               new_cert => maps:get(cert, New), new_key => maps:get(key, New)}),
        ok = locked(Dir, fun(Work) -> merlon_roots_files:keep(Dir, Work, #{old => OldId, new => NewId}, Text) end),
        {1, <<>>, Said} = rotate(Dir, ["--rollback"]),
        said(Said, "old root has run out"),
        {ok, #{issuing := new}} = merlon_ca_files:rotation(Dir)
    end).
