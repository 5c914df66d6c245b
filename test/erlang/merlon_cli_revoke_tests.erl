%% SPDX-License-Identifier: Apache-2.0
-module(merlon_cli_revoke_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [cert/2, cert/3, put_file/2, put_file/3]).

in_dir(Test) -> merlon_test_dir:with_node(Test).

run(Command, Dir, Args) -> merlon_cli:run([Command | Args] ++ ["--dir", Dir]).

-define(assertSaid(Regex, Text),
        ?assertMatch({match, _}, {re:run(Text, Regex, [{capture, none}, dotall]), Text})).

list(Dir) ->
    {ok, Text} = file:read_file(filename:join(Dir, "crl.pem")),
    {ok, [List | _]} = merlon_nif:pki_lists(Text),
    List.

serial(Dir, Folder) ->
    {ok, Text} = file:read_file(filename:join([Dir, Folder, "cert.pem"])),
    {ok, [#{serial := Serial} | _]} = merlon_nif:pki_inspect(Text),
    Serial.

load(Dir, Node) ->
    {ok, Config} = merlon_config:load(Dir),
    merlon_identity:load(Node, Config).

a_revoked_node_can_not_start_and_others_can_test() ->
    in_dir(fun(Dir) ->
        cert(Dir, "other@here"),
        {0, Out, <<>>} = run("revoke", Dir, ["app@here", "--reason", "key_compromise"]),
        ?assertSaid("Revocation list 1 has 1 of them and counts until .*/crl\\.pem", Out),
        ?assertMatch({error, {identity, {unusable, _, {revoked, _}}}}, load(Dir, 'app@here')),
        ?assertMatch({ok, _}, load(Dir, 'other@here')),
        ?assertEqual(8#644, merlon_test_dir:mode(filename:join(Dir, "crl.pem"))),
        ?assertEqual([], [Name || "." ++ _ = Name <- element(2, file:list_dir(Dir))])
    end).

a_second_run_changes_nothing_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run("revoke", Dir, ["app@here"]),
        {ok, Before} = file:read_file_info(filename:join(Dir, "crl.pem")),
        {0, Out, <<>>} = run("revoke", Dir, ["app@here"]),
        ?assertSaid("is revoked already, since ", Out),
        ?assertEqual({ok, Before}, file:read_file_info(filename:join(Dir, "crl.pem")))
    end).

numbers_rise_and_what_is_revoked_stays_test() ->
    in_dir(fun(Dir) ->
        cert(Dir, "ann", ["--cli", "root"]),
        First = serial(Dir, "nodes/app@here"),
        {0, _, <<>>} = run("revoke", Dir, ["app@here", "--days", "7"]),
        #{number := 1, this_update := Made, next_update := Due} = list(Dir),
        ?assertEqual(7 * 86400, Due - Made),
        {0, _, <<>>} = run("revoke", Dir, ["root@ann"]),
        Colons = lists:join($:, [[A, B] || <<A, B>> <= string:uppercase(<<"01ab23">>)]),
        {0, _, <<>>} = run("revoke", Dir, [lists:flatten(Colons)]),
        {0, _, <<>>} = run("revoke", Dir, ["--renew"]),
        #{number := 4, revoked := Entries} = list(Dir),
        ?assertEqual([First, serial(Dir, "cli/root@ann"), <<"01ab23">>],
                     [Serial || #{serial := Serial} <- Entries])
    end).

%% The one that was replaced may be the one that was stolen.
a_node_is_revoked_with_all_its_certificates_test() ->
    in_dir(fun(Dir) ->
        Serials = [begin
                       cert(Dir, "app@here", ["--force"]),
                       serial(Dir, "nodes/app@here")
                   end || _ <- "123"],
        cert(Dir, "other@here"),
        ok = file:del_dir_r(filename:join(Dir, "nodes")), % it was moved to its machine
        {0, _, <<>>} = run("revoke", Dir, ["app@here"]),
        #{revoked := Entries} = list(Dir),
        ?assertEqual(4, length(Entries)),
        ?assertEqual([], Serials -- [Serial || #{serial := Serial} <- Entries]),
        ?assertEqual(8#600, merlon_test_dir:mode(filename:join(Dir, "ca/issued")))
    end).

%% The newest list of a CA counts, so that the next one must have what is revoked wherever it was put.
what_lists_in_the_folder_revoke_stays_revoked_test_() ->
    [{Name, fun() -> in_dir(fun(Dir) ->
         cert(Dir, "other@here"),
         {0, _, <<>>} = run("revoke", Dir, ["app@here", "--reason", "superseded"]),
         {ok, Pem} = file:read_file(filename:join(Dir, "crl.pem")),
         ok = file:delete(filename:join(Dir, "crl.pem")),
         put_file(filename:join(Dir, "crl/old.crl"), As(Pem)),
         {0, _, <<>>} = run("revoke", Dir, ["other@here"]),
         ?assertMatch(#{number := 2, revoked := [#{reason := superseded}, #{reason := unspecified}]}, list(Dir)),
         [?assertMatch({error, {identity, {unusable, _, {revoked, _}}}}, load(Dir, Node))
          || Node <- ['app@here', 'other@here']]
     end) end}
     || {Name, As} <- [{"PEM", fun(Pem) -> Pem end},
                       {"DER", fun(Pem) -> [{_, Der, _}] = public_key:pem_decode(Pem), Der end}]].

%% A crash would print the key.
a_ca_that_is_no_text_is_refused_in_words_test_() ->
    [{Name ++ " " ++ hd(Command), fun() -> in_dir(fun(Dir) ->
         File = filename:join([Dir, "ca", Name]),
         {ok, Pem} = file:read_file(File),
         put_file(File, <<"M\xfcller\n", Pem/binary>>, 8#600),
         {1, <<>>, Error} = run(hd(Command), Dir, tl(Command)),
         ?assertSaid(["ca/", Name, " holds no readable "], Error)
     end) end}
     || Name <- ["ca.pem", "ca.key"], Command <- [["revoke", "app@here"], ["cert", "new@here"]]].

%% Nobody else's, and not the expired ones that nobody accepts anyway.
what_has_run_out_is_not_kept_test() ->
    in_dir(fun(Dir) ->
        {ok, Cert} = file:read_file(filename:join(Dir, "nodes/app@here/cert.pem")),
        Path = merlon_dir:path([Dir]),
        Record = fun(Now) ->
                     ok = merlon_dir_write:locked(Path, fun(Work) -> merlon_issued:record(Path, Work, Cert, Now) end),
                     {ok, Text} = file:read_file(filename:join(Dir, "ca/issued")),
                     length(binary:split(Text, <<"\n">>, [global, trim]))
                 end,
        Now = erlang:system_time(second),
        ?assertEqual([2, 3, 1], [Record(Now), Record(Now), Record(Now + 91 * 86400)])
    end).

revoked_lists_what_is_revoked_and_whose_it_was_test() ->
    in_dir(fun(Dir) ->
        {0, None, <<>>} = run("revoked", Dir, []),
        ?assertSaid("nothing is revoked", None),
        {0, _, <<>>} = run("revoke", Dir, ["app@here", "--reason", "superseded"]),
        {0, _, <<>>} = run("revoke", Dir, ["abcdef"]),
        {ok, Pem} = file:read_file(filename:join(Dir, "crl.pem")),
        put_file(filename:join(Dir, "crl/copy.pem"), Pem),
        {0, Out, <<>>} = run("revoked", Dir, []),
        ?assertSaid("/crl\\.pem\n.*number 2, made .*, counts until ", Out),
        ?assertSaid(<<(serial(Dir, "nodes/app@here"))/binary, "  [-0-9]+ [:0-9]+ UTC  superseded  app@here\n">>,
                    Out),
        ?assertSaid("abcdef  [-0-9]+ [:0-9]+ UTC  unspecified\n", Out),
        ?assertSaid("/crl/copy\\.pem\n", Out)
    end).

what_can_not_be_revoked_is_refused_test_() ->
    [{Args, fun() -> in_dir(fun(Dir) ->
         Change(Dir),
         {Code, <<>>, Error} = run("revoke", Dir, [Args]),
         ?assertSaid(Words, Error),
         ?assertNot(Change =:= fun nothing/1 andalso filelib:is_file(filename:join(Dir, "crl.pem")))
     end) end}
     || {Args, Code, Change, Words} <-
        [{"nobody@here", 1, fun nothing/1, "no certificate of nobody@here .*serial number"},
         {"app@here", 1, fun another_ca/1, "no certificate of app@here was issued by the CA in .*where its CA is"},
         {"app@here", 1, fun(Dir) -> cert(Dir, "here", ["--cli", "app"]) end, "a node and a tool"},
         {"app@here", 1, fun(Dir) -> put_file(filename:join(Dir, "crl.pem"), "x") end, "crl.pem: not a "},
         {"app@here", 1, fun(Dir) -> ok = file:delete(filename:join(Dir, "ca/ca.key")) end, "holds no CA"},
         {"../x@here", 2, fun nothing/1, "without /"},
         {"xyz", 2, fun nothing/1, "neither NAME@HOST nor a serial number"},
         {"00", 2, fun nothing/1, "neither"},
         {"--renew=1", 2, fun nothing/1, "takes no value"},
         {"--reason=spite", 2, fun nothing/1, "--reason must be unspecified.key_compromise"}]].

nothing(_Dir) -> ok.

another_ca(Dir) ->
    merlon_peers:new_ca(Dir, "test", erlang:system_time(second)).

two_at_once_lose_nothing_test_() ->
    {timeout, 60, fun() -> in_dir(fun(Dir) ->
        Serials = ["0" ++ integer_to_list(N) || N <- lists:seq(1, 8)],
        Runs = [spawn_monitor(fun() -> exit({ran, retried(Dir, Serial)}) end) || Serial <- Serials],
        [receive {'DOWN', Ref, process, _, Result} -> ?assertEqual({ran, 0}, Result) end || {_, Ref} <- Runs],
        #{number := 8, revoked := Entries} = list(Dir),
        ?assertEqual([list_to_binary(Serial) || Serial <- Serials],
                     lists:sort([Serial || #{serial := Serial} <- Entries]))
    end) end}.

%% One that finds the dir taken says so, and is run again.
retried(Dir, Serial) ->
    case run("revoke", Dir, [Serial]) of
        {1, <<>>, Error} -> ?assertSaid("another merlon command", Error), retried(Dir, Serial);
        {Code, _, _} -> Code
    end.
