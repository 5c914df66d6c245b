-module(merlon_identity_secret_tests).
-include_lib("eunit/include/eunit.hrl").

%% Argon2id, as cheap as is allowed.
-define(CHEAP, {argon2id, 7168, 5, 1}).

-import(merlon_secret_ct, [entry/3, entry/4, put_keyring/2]).

in_dir(Test) -> merlon_test_dir:with(Test).

run(Args) -> merlon_cli:run(Args).

matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

load(Dir, Node) ->
    case merlon_config:load(Dir) of
        {ok, Config} -> merlon_identity:load(Node, Config);
        {error, _} = Error -> Error
    end.

refused(Dir, Node, Words) ->
    {error, Problem} = load(Dir, Node),
    Said = unicode:characters_to_binary(merlon_identity:format_error(Problem)),
    ?assertMatch({{match, _}, _}, {re:run(Said, Words), Said}),
    Problem.

%% ---- merlon init --secret ----

a_keyring_is_all_that_is_made_test() ->
    in_dir(fun(Dir) ->
        {0, Out, <<>>} = run(["init", "--secret", "--dir", Dir ++ "/d"]),
        ?assert(matches("copy keyring", Out)),
        ?assertEqual({ok, ["keyring"]}, file:list_dir(Dir ++ "/d")),
        ?assertEqual(8#600, merlon_test_dir:mode(Dir ++ "/d/keyring")),
        ?assertMatch({ok, #{identity := {node, <<"merlon">>, <<"app">>, <<"web1">>}}},
                     load(Dir ++ "/d", 'app@web1'))
    end).

a_named_cluster_has_its_config_beside_it_test_() ->
    [{lists:append(Args),
      fun() -> in_dir(fun(Dir) ->
          {0, Out, <<>>} = run(["init", "--secret", "--dir", Dir | Args]),
          ?assert(matches("cluster shop.*copy keyring and merlon.config", Out)),
          ?assertMatch({ok, #{cluster := <<"shop">>, identity := secret}}, merlon_config:load(Dir)),
          ?assertMatch({ok, #{identity := {node, <<"shop">>, _, _}}}, load(Dir, 'app@web1'))
      end) end} || Args <- [["shop"], ["--cluster", "shop"]]].

nothing_that_is_there_is_overwritten_test_() ->
    [{File, fun() -> in_dir(fun(Dir) ->
          merlon_test_dir:put_file(Dir ++ File, "precious"),
          {1, <<>>, Error} = run(["init", "--secret", "shop", "--dir", Dir]),
          ?assert(matches("exists already", Error)),
          ?assertEqual({ok, <<"precious">>}, file:read_file(Dir ++ File)),
          ?assertEqual(1, length(filelib:wildcard(Dir ++ "/**/*.*")
                                 ++ [Dir || File =:= "/keyring"]))
      end) end} || File <- ["/keyring", "/merlon.config", "/trust/ca.pem", "/nodes/a@b/key.pem"]].

%% The config is written first.
a_run_that_was_killed_can_be_repeated_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "shop", "--dir", Dir]),
        ok = file:delete(Dir ++ "/keyring"),
        ?assertMatch({1, <<>>, _}, run(["init", "--secret", "other", "--dir", Dir])),
        ?assertMatch({0, _, <<>>}, run(["init", "--secret", "shop", "--dir", Dir]))
    end).

wrong_usage_test_() ->
    [{lists:flatten(lists:join(" ", Args)),
      fun() ->
          {2, <<>>, Error} = run(Args ++ ["--dir", "/nonexistent/x"]),
          ?assertMatch({true, _}, {matches(Words, Error), Error})
      end}
     || {Args, Words} <-
            [{["init", "--secret", "a", "--cluster", "b"], "one thing"},
             {["init", "--secret", "--days", "3"], "--days is for an authority"},
             {["init", "--secret", "--alg", "p256"], "--alg is for an authority"},
             {["init", "--secret", "A b"], "a cluster's name is"},
             {["init", "--secret", "merlon"], "take another"},
             {["init", "--cluster", "a", "--passphrase"], "belongs to --secret"},
             {["init", "--secret", "--passphrase-file", "/nonexistent/x"], "needs CLUSTER"},
             {["keyring", "--passphrase"], "--passphrase belongs to --new"},
             {["keyring", "--not-before", "2027-01-01"], "--not-before belongs to --new"},
             {["keyring", "--new", "--not-before", "soon"], "--not-before must be a UTC time"},
             {["keyring", "--new", "--not-before", "2099-01-02", "--not-after", "2099-01-01"], "later than"}]].

%% ---- kinds are not mixed ----

certificates_beside_the_secret_identity_are_named_test_() ->
    [{File, fun() -> in_dir(fun(Dir) ->
          {0, _, <<>>} = run(["init", "--secret", "shop", "--dir", Dir]),
          merlon_test_dir:put_file(Dir ++ File, "x"),
          ?assertMatch({identity, {mixed, _, [_]}}, refused(Dir, 'app@web1', "remove " ++ Dir ++ Path ++ ";")),
          ?assertMatch({1, _, _}, run(["inspect", Dir]))
      end) end} || {File, Path} <- [{"/trust/ca.pem", "/trust"}, {"/nodes/a@b/cert.pem", "/nodes"},
                                    {"/cli/a@b/cert.pem", "/cli"}, {"/ca/ca.pem", "/ca"},
                                    {"/crl.pem", "/crl.pem"}, {"/crl/a.crl", "/crl"}]].

%% Not even a certificate's dir that has lost its config becomes another kind.
a_keyring_and_certificates_without_a_config_are_refused_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "--dir", Dir]),
        merlon_test_dir:put_file(Dir ++ "/trust/ca.pem", "x"),
        ?assertMatch({config, {_, 0, {mixed, [_]}}}, refused(Dir, 'app@web1', "remove " ++ Dir ++ "/trust")),
        {1, Out, <<>>} = run(["inspect", Dir]),
        ?assert(matches("PROBLEM: .*remove", Out)),
        ok = file:delete(Dir ++ "/trust/ca.pem"), % an empty folder is no certificate
        ?assertMatch({ok, _}, load(Dir, 'app@web1'))
    end).

certificates_with_a_keyring_beside_them_stay_certificates_test() ->
    merlon_test_dir:with_node(fun(Dir) ->
        {0, _, <<>>} = run(["keyring", "--new", "--dir", Dir]),
        {ok, Loaded} = load(Dir, 'app@here'),
        ?assertNot(is_map_key(subject, Loaded)),
        ?assertMatch({identity, {no_identity, _, _}}, refused(Dir, 'other@here', "no certificate for other@here"))
    end).

without_a_keyring_there_is_no_secret_identity_test() ->
    in_dir(fun(Dir) ->
        merlon_test_dir:put_file(Dir ++ "/merlon.config", "{cluster, \"shop\"}. {identity, secret}."),
        ?assertMatch({identity, {no_keyring, _}}, refused(Dir, 'app@web1', "keyring does not exist"))
    end).

an_open_keyring_is_refused_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "--dir", Dir]),
        ok = file:change_mode(Dir ++ "/keyring", 8#640),
        ?assertMatch({file, {too_open, _, _}}, refused(Dir, 'app@web1', "chmod 600"))
    end).

%% ---- who ----

tools_are_told_from_nodes_by_their_names_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "--dir", Dir]),
        Kind = fun(Name) -> {ok, #{identity := Identity}} = load(Dir, Name), element(1, Identity) end,
        [?assertEqual({Name, cli}, {Name, Kind(Name)})
         || Name <- [{"undefined", "here"}, {"", "here"}, 'rem-a1b2-app@here', 'rabbitmqcli-7-app@here']],
        [?assertEqual({Name, node}, {Name, Kind(Name)})
         || Name <- ['app@here', 'app_prelaunch_1@localhost', 'd@b1#c', 'f@::1']]
    end).

%% ---- what is minted ----

minted(Dir) ->
    {ok, #{ref := Ref, keyring := Keyring} = Loaded} = load(Dir, 'app@web1.example'),
    Now = erlang:system_time(second),
    [{_, Ca} | _] = Cas = merlon_identity_secret:cas(Keyring, <<"shop">>, Now),
    {merlon_nif:identity_chain(Ref), Ca, [Pem || {_, Pem} <- Cas], Loaded}.

otp_and_openssl_accept_what_is_minted_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "shop", "--dir", Dir]),
        {Leaf, Ca, _, #{not_before := Begin, not_after := End}} = minted(Dir),
        ?assertEqual(86400 + 300, End - Begin),
        ?assertMatch({ok, _}, public_key:pkix_path_validation(der(Ca), [der(Leaf)], [])),
        ok = file:write_file(Dir ++ "/ca.crt", Ca),
        ok = file:write_file(Dir ++ "/leaf.crt", Leaf),
        [?assertEqual("leaf.crt: OK\n",
                      os:cmd("cd " ++ Dir ++ " && openssl verify -x509_strict -purpose " ++ Purpose ++
                             " -verify_hostname web1.example -CAfile ca.crt leaf.crt 2>&1"))
         || Purpose <- ["sslserver", "sslclient"]],
        {ok, [#{uris := Uris, dns := Dns, eku := Eku, key_alg := Alg}]} = merlon_nif:pki_inspect(Leaf),
        ?assertEqual({[<<"spiffe://shop/node/web1.example/app">>], [<<"web1.example">>],
                      [<<"serverAuth">>, <<"clientAuth">>], <<"EC P-256">>}, {Uris, Dns, Eku, Alg}),
        %% A copy of the file has the very same CA, and another leaf.
        {Other, Same, _, _} = minted(Dir),
        ?assertEqual(Ca, Same),
        ?assertNotEqual(Leaf, Other)
    end).

der(Pem) ->
    [{'Certificate', Der, not_encrypted}] = public_key:pem_decode(Pem),
    Der.

%% Entries of a second: what clocks differ by decides.
the_leaf_is_of_the_newest_entry_that_no_clock_disputes_test() ->
    in_dir(fun(Dir) ->
        ok = merlon_nif:load(),
        merlon_test_dir:put_file(Dir ++ "/merlon.config", "{cluster, \"shop\"}. {identity, secret}."),
        Issuer = fun(Entries) ->
                     put_keyring(Dir, Entries),
                     {Leaf, _, Cas, _} = minted(Dir),
                     {length(Cas), [N || {N, Ca} <- lists:zip(lists:seq(1, length(Cas)), Cas),
                                         element(1, public_key:pkix_path_validation(der(Ca), [der(Leaf)], [])) =:= ok]}
                 end,
        ?assertEqual({2, [1]}, Issuer([entry(1, -9000, never), entry(2, -900, never)])),
        ?assertEqual({2, [2]}, Issuer([entry(1, -9000, never), entry(2, -200, never)])), % too new
        ?assertEqual({2, [2]}, Issuer([entry(1, -9000, never), entry(2, -900, 200)])),   % ends soon
        ?assertEqual({1, [1]}, Issuer([entry(1, -9000, never), entry(2, 200, never)])),  % not yet
        ?assertEqual({1, [1]}, Issuer([entry(1, -9000, -1), entry(2, -200, 200)])),      % there is no other
        put_keyring(Dir, [entry(1, -9000, -1)]),
        ?assertMatch({keyring, {none_accepted, _}}, refused(Dir, 'app@web1', "no entry"))
    end).

%% Half of a day, or before an entry begins or ends to count.
it_is_due_in_good_time_test() ->
    in_dir(fun(Dir) ->
        ok = merlon_nif:load(),
        merlon_test_dir:put_file(Dir ++ "/merlon.config", "{cluster, \"shop\"}. {identity, secret}."),
        Due = fun(Entries) ->
                  put_keyring(Dir, Entries),
                  {_, _, _, #{due := At}} = minted(Dir),
                  At - erlang:system_time(second)
              end,
        About = fun(Expected, Found) -> ?assert(abs(Expected - Found) =< 3) end,
        About(43200, Due([entry(1, -9000, never)])),
        About(100, Due([entry(1, -9000, never), entry(2, 100, never)])),
        About(200, Due([entry(1, -9000, never), entry(2, -100, never)])),
        About(301, Due([entry(1, -9000, never), entry(2, -9000, 600)])),
        About(200, Due([entry(1, -9000, never), entry(2, -9000, 200)])),
        {_, _, _, #{due := At} = Loaded} = minted(Dir),
        ?assertEqual(not_due, merlon_identity_secret:again(Loaded, At - 1)),
        {ok, #{sha256 := New}} = merlon_identity_secret:again(Loaded, At),
        ?assertNotEqual(maps:get(sha256, Loaded), New),
        %% The clock has been set back: by it the certificate is not valid yet.
        Begin = maps:get(not_before, Loaded),
        ?assertEqual(not_due, merlon_identity_secret:again(Loaded, Begin)),
        {ok, #{not_before := Earlier}} = merlon_identity_secret:again(Loaded, Begin - 1),
        ?assert(Earlier < Begin)
    end).

%% ---- passphrases ----

phrase(Words, Cluster) ->
    {argon2id, KiB, Passes, Lanes} = ?CHEAP,
    {ok, {Id, _}} = merlon_nif:keyring_stretch(none, {KiB, Passes, Lanes}, Words, Cluster, {0, never}, 65536),
    entry(Id, ?CHEAP, {-900, never}, Words).

a_passphrase_is_written_and_read_again_test() ->
    ok = merlon_nif:load(),
    #{id := Id} = Entry = phrase(<<"correct horse battery">>, <<"shop">>),
    Text = merlon_keyring_core:text([Entry, entry(1, -900, never)]),
    ?assert(matches(" argon2id,m=7168,t=5,p=1 636f7272", Text)),
    {ok, [#{id := Id, kdf := ?CHEAP}, #{kdf := expand}]} = merlon_keyring:parse(<<"/x/keyring">>, Text, <<"shop">>),
    %% The name of the cluster is in it.
    ?assertEqual({error, {keyring, {<<"/x/keyring">>, 2, other_passphrase}}},
                 merlon_keyring:parse(<<"/x/keyring">>, Text, <<"test">>)),
    Other = merlon_keyring_core:text([Entry#{secret := fun() -> <<"correct horse batterx">> end}]),
    ?assertEqual({error, {keyring, {<<"/x/keyring">>, 2, other_passphrase}}},
                 merlon_keyring:parse(<<"/x/keyring">>, Other, <<"shop">>)).

malformed_passphrase_entries_are_named_test_() ->
    ok = merlon_nif:load(),
    Text = merlon_keyring_core:text([phrase(<<"correct horse battery">>, <<"shop">>)]),
    [Header, Line | _] = binary:split(Text, <<"\n">>, [global]),
    Fields = binary:split(Line, <<" ">>, [global]),
    Parse = fun(N, New) ->
                {Before, [_ | After]} = lists:split(N - 1, Fields),
                Body = iolist_to_binary([Header, $\n, lists:join($\s, Before ++ [New | After]), $\n]),
                Sum = string:lowercase(binary:encode_hex(merlon_nif:kdf_digest(sha256, Body))),
                merlon_keyring:parse(<<"f">>, <<Body/binary, "sha256 ", Sum/binary, "\n">>, <<"shop">>)
            end,
    [{lists:flatten(io_lib:format("~p ~p", [N, New])),
      ?_assertMatch({error, {keyring, {<<"f">>, 2, Problem}}}, Parse(N, New))}
     || {N, New, Problem} <-
            [{5, "argon2i,m=7168,t=5,p=1", kdf}, {5, "argon2id,m=07168,t=5,p=1", kdf},
             {5, "argon2id,m=7168,t=5", kdf}, {5, "argon2id,m=7168,t=5,p=1,x=1", kdf},
             {6, "6", passphrase}, {6, "", passphrase}, {6, "6X", passphrase},
             {6, lists:duplicate(2050, $a), passphrase}]]
        ++
    [?_assertMatch({error, {keyring, {<<"f">>, 2, {kdf, {weak, costs}}}}}, Parse(5, "argon2id,m=64,t=1,p=1")),
     ?_assertMatch({error, {keyring, {<<"f">>, 2, {kdf, {memory, _}}}}}, Parse(5, "argon2id,m=999999999,t=1,p=1"))].

%% What is stretched is kept as long as its entry is in the file.
a_passphrase_is_stretched_once_test_() ->
    {timeout, 60, fun() -> in_dir(fun(Dir) ->
        ok = file:write_file(Dir ++ "/phrase", "six words that nobody ever said\n"),
        ok = file:change_mode(Dir ++ "/phrase", 8#600),
        {0, _, <<>>} = run(["init", "--secret", "shop", "--passphrase-file", Dir ++ "/phrase", "--dir", Dir]),
        Read = fun() -> timer:tc(merlon_keyring, read, [Dir, <<"shop">>]) end,
        {First, {ok, [#{id := Id, kdf := {argon2id, _, _, _}}]}} = Read(),
        {Second, {ok, [#{id := Id}]}} = Read(),
        ?assert(Second * 5 < First),
        %% With another passphrase under the same id it is another.
        {ok, Text} = file:read_file(Dir ++ "/keyring"),
        {ok, [Entry]} = merlon_keyring_core:parse(Text),
        put_keyring(Dir, [Entry#{secret := fun() -> <<"five words">> end}]),
        {_, {error, {keyring, {_, 2, other_passphrase}}}} = Read(),
        {Wrong, {error, {keyring, {_, 2, other_passphrase}}}} = Read(), % as every 2 seconds
        ?assert(Wrong * 5 < First),
        put_keyring(Dir, [Entry#{secret := fun() -> <<"four words">> end}]),
        {_, {error, {keyring, {_, 2, other_passphrase}}}} = Read(),
        {Other, {error, {keyring, {_, 2, other_passphrase}}}} = Read(),
        ?assert(Other * 5 < First),
        put_keyring(Dir, [Entry#{not_after := erlang:system_time(second) - 1}]),
        {_, {ok, [Expired]}} = Read(),
        ?assertEqual(expired, merlon_keyring:state(Expired, erlang:system_time(second))),
        put_keyring(Dir, [entry(1, -900, never)]),
        {_, {ok, [_]}} = Read(),
        ?assertEqual(#{}, persistent_term:get({merlon_keyring, stretched}))
    end) end}.

the_same_words_are_the_same_entry_on_every_machine_test_() ->
    {timeout, 60, fun() -> in_dir(fun(Dir) ->
        ok = file:write_file(Dir ++ "/phrase", "six words that nobody ever said"),
        ok = file:change_mode(Dir ++ "/phrase", 8#600),
        New = fun(Name, Cluster) ->
                  Made = Dir ++ "/" ++ Name,
                  {0, _, <<>>} = run(["init", "--secret", Cluster, "--passphrase-file", Dir ++ "/phrase",
                                      "--dir", Made]),
                  {ok, [#{id := Id}]} = merlon_keyring:read(Made),
                  {0, Listed, <<>>} = run(["keyring", "--dir", Made]),
                  ?assert(matches(<<Id/binary, " .*argon2id  preferred">>, Listed)),
                  ?assertNot(matches("words", Listed)),
                  Id
              end,
        Id = New("a", "shop"),
        ?assertEqual(Id, New("b", "shop")),
        ?assertNotEqual(Id, New("c", "test"))
    end) end}.

bad_passphrases_are_refused_test() ->
    in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "shop", "--dir", Dir]),
        File = Dir ++ "/phrase",
        Try = fun(Text, Mode) ->
                  ok = file:write_file(File, Text),
                  ok = file:change_mode(File, Mode),
                  {Code, <<>>, Error} = run(["keyring", "--new", "--passphrase-file", File, "--dir", Dir]),
                  {Code, Error}
              end,
        {2, Short} = Try("eleven char\nmore", 8#600),
        ?assert(matches("fewer than 12", Short)),
        {2, Long} = Try(lists:duplicate(1025, $a), 8#600),
        ?assert(matches("at most 1024", Long)),
        {2, _} = Try(<<255, "not any text at all">>, 8#600),
        {1, Open} = Try("twelve or more", 8#644),
        ?assert(matches("chmod 600", Open)),
        %% The name of the cluster is the salt.
        ok = file:delete(Dir ++ "/merlon.config"),
        {1, Nameless} = Try("twelve or more", 8#600),
        ?assert(matches("one of its own", Nameless))
    end).

%% bin/merlon leaves standard input to the command; nothing is in its arguments.
a_passphrase_comes_over_standard_input_test_() ->
    {timeout, 60, fun() -> in_dir(fun(Dir) ->
        {0, _, <<>>} = run(["init", "--secret", "shop", "--dir", Dir]),
        Bin = filename:absname("bin/merlon", project()),
        Said = os:cmd("printf 'six words that nobody ever said\\n' | " ++ Bin ++ " keyring --new --passphrase --dir " ++ Dir),
        ?assert(matches("Added [0-9a-f]{16}", Said)),
        {ok, Entries} = merlon_keyring:read(Dir),
        ?assertMatch([_], [Entry || #{kdf := {argon2id, 131072, 4, 1}} = Entry <- Entries])
    end) end}.

project() ->
    [Project, _] = string:split(filename:dirname(code:which(merlon_nif)), "/_build/"),
    Project.

%% ---- core files ----

a_filter_keeps_no_memory_test() ->
    ?assertEqual(<<"0x10">>, merlon_dump:mask(<<"00000033\n">>)),
    ?assertEqual(<<"0x1C">>, merlon_dump:mask(<<"000001ff\n">>)),
    ?assertEqual(<<"0x0">>, merlon_dump:mask(<<"00000000\n">>)).
