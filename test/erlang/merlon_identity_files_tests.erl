%% SPDX-License-Identifier: Apache-2.0
-module(merlon_identity_files_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [cert/2, put_file/2]).

in_dir(Test) ->
    merlon_test_dir:with(fun(Dir) ->
        merlon_test_dir:init(Dir),
        Test(Dir, cert(Dir, "app@here"))
    end).

stamp(Dir, Folder) ->
    merlon_identity_files:stamp(merlon_dir:path([Folder]), Dir).

%% By a new name, as everything that writes certificates does.
replace(File, Content) ->
    put_file(File ++ ".new", Content),
    ok = file:rename(File ++ ".new", File).

every_file_that_matters_changes_the_stamp_and_no_other_does_test() ->
    in_dir(fun(Dir, Folder) ->
        Changes = fun(Change) -> Before = stamp(Dir, Folder), Change(), stamp(Dir, Folder) =/= Before end,
        Path = fun(Name) -> filename:join(Dir, Name) end,
        {ok, Ca} = file:read_file(Path("trust/ca.pem")),
        [?assert(Changes(fun() -> replace(File, Content) end))
         || {File, Content} <- [{Path("trust/ca.pem"), Ca}, {Path("trust/other.pem"), Ca},
                                {Path("merlon.config"), "{cluster, \"test\"}."}, {Path("crl.pem"), "x"},
                                {Path("crl/a.pem"), "x"}, {Path("crl/b.crl"), "x"},
                                {filename:join(Folder, "cert.pem"), "x"},
                                {filename:join(Folder, "key.pem"), "x"}]],
        [?assert(Changes(fun() -> ok = file:delete(Path(Name)) end))
         || Name <- ["crl.pem", "crl/b.crl", "trust/other.pem"]],
        ?assert(Changes(fun() -> ok = file:change_mode(filename:join(Folder, "key.pem"), 8#600) end)),
        [?assertNot(Changes(fun() -> replace(Path(Name), "x") end))
         || Name <- ["crl/notes.txt", "trust/README", "nodes/other@here/cert.pem", "trust/.hidden.pem"]]
    end).

files_that_have_just_changed_are_not_settled_test() ->
    in_dir(fun(Dir, Folder) ->
        Stamp = stamp(Dir, Folder),
        Now = erlang:system_time(second),
        ?assertNot(merlon_identity_files:settled(Stamp, Now)),
        ?assert(merlon_identity_files:settled(Stamp, Now + 10)),
        %% A file server's clock that is wrong must not make every poll read everything.
        ?assert(merlon_identity_files:settled(Stamp, Now - 1000))
    end).

the_digest_tells_contents_and_settings_apart_and_not_names_test() ->
    in_dir(fun(Dir, Folder) ->
        Digest = fun() ->
                     {ok, Config} = merlon_config:load(Dir),
                     {ok, Files} = merlon_identity_files:read({node, merlon_dir:path([Folder])}, Config),
                     merlon_identity_files:digest(Files, Config)
                 end,
        First = Digest(),
        {ok, Cert} = file:read_file(filename:join(Folder, "cert.pem")),
        replace(filename:join(Folder, "cert.pem"), Cert),
        ?assertEqual(First, Digest()),
        replace(filename:join(Folder, "cert.pem"), [Cert, "\n"]),
        Second = Digest(),
        replace(filename:join(Dir, "merlon.config"), "{cluster, \"test\"}. {grace, 1}."),
        ?assertEqual(3, length(lists:usort([First, Second, Digest()])))
    end).

lists_in_the_folder_are_read_in_pem_and_der_test() ->
    in_dir(fun(Dir, _Folder) ->
        {0, _, _} = merlon_cli:run(["revoke", "app@here", "--dir", Dir]),
        {ok, Pem} = file:read_file(filename:join(Dir, "crl.pem")),
        [{_, Der, _}] = public_key:pem_decode(Pem),
        put_file(filename:join(Dir, "crl/a.crl"), Der),
        put_file(filename:join(Dir, "crl/b.pem"), Pem),
        put_file(filename:join(Dir, "crl/notes.txt"), "not a list"),
        {ok, Lists} = merlon_identity_files:crls(Dir),
        ?assertEqual([Pem, Der, Pem], [Content || {_, Content} <- Lists]),
        put_file(filename:join(Dir, "crl/c.pem"), "not a list"),
        ?assertMatch({error, {identity, {not_pem, _, <<"X509 CRL">>}}}, merlon_identity_files:crls(Dir))
    end).

%% It may hold a list that revokes somebody: as if there were none would take him back.
a_folder_of_lists_that_can_not_be_listed_is_not_an_empty_one_test() ->
    in_dir(fun(Dir, _Folder) ->
        ?assertEqual({ok, []}, merlon_identity_files:crls(Dir)),
        Folder = filename:join(Dir, "crl"),
        put_file(Folder, "not a folder"),
        ?assertMatch({error, {file, {list, _, enotdir}}}, merlon_identity_files:crls(Dir)),
        ok = file:delete(Folder),
        ok = file:make_symlink("gone", Folder),
        ?assertMatch({error, {file, {list, _, enoent}}}, merlon_identity_files:crls(Dir)),
        ok = file:delete(Folder),
        ok = file:rename(filename:join(Dir, "trust"), filename:join(Dir, "away")),
        ?assertMatch({error, {identity, {no_trust, _}}}, merlon_identity_files:trust(Dir))
    end).
