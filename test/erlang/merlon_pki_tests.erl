-module(merlon_pki_tests).
-include_lib("eunit/include/eunit.hrl").

ca() ->
    {ok, #{cert := _, key := _} = Ca} = merlon_pki:new_ca(#{cluster => "shop"}),
    Ca.

trusting(#{cert := Ca}, Usage) -> #{trust => [Ca], cluster => <<"shop">>, usage => Usage}.

what_is_issued_is_verified_in_both_roles_test() ->
    Ca = ca(),
    {ok, #{cert := Cert, key := Key}} =
        merlon_pki:issue(Ca, #{subject => 'app@web1.example', ips => [{10, 0, 0, 1}], days => 7}),
    ?assertMatch(<<"-----BEGIN PRIVATE KEY-----", _/binary>>, Key()),
    [?assertMatch({ok, #{identity := {node, <<"shop">>, <<"app">>, <<"web1.example">>}}},
                  merlon_pki:verify(Cert, trusting(Ca, Usage))) || Usage <- [server, client]],
    {ok, [Info]} = merlon_pki:inspect(Cert),
    ?assertMatch(#{uris := [<<"spiffe://shop/node/web1.example/app">>], ips := [<<"10.0.0.1">>],
                   dns := [<<"web1.example">>], is_ca := false}, Info).

%% Its judgement of the path; a node of inet_tls is in merlon_interop_SUITE.
otp_and_openssl_accept_what_is_issued_test_() ->
    [{atom_to_list(Alg), {timeout, 30, fun() -> merlon_test_dir:with(fun(Dir) -> accepted(Alg, Dir) end) end}}
     || Alg <- [p256, p384, ed25519]].

accepted(Alg, Dir) ->
    {ok, #{cert := CaPem} = Ca} = merlon_pki:new_ca(#{cluster => "shop", alg => Alg}),
    {ok, #{cert := Issued}} = merlon_pki:issue(Ca, #{subject => 'app@web1.example', alg => Alg}),
    {ok, #{csr := Csr}} = merlon_pki:csr(#{cluster => "shop", subject => 'app@web1.example', alg => Alg}),
    {ok, Signed} = merlon_pki:sign_csr(Ca, #{csr => Csr, subject => 'app@web1.example'}),
    ok = file:write_file(Dir ++ "/ca.pem", CaPem),
    [begin
         ?assertMatch({ok, _}, public_key:pkix_path_validation(der(CaPem), [der(Pem)], [])),
         ok = file:write_file(Dir ++ "/node.pem", Pem),
         ?assertEqual("node.pem: OK\n",
                      os:cmd("cd " ++ Dir ++ " && openssl verify -x509_strict -purpose sslserver"
                             " -verify_hostname web1.example -CAfile ca.pem node.pem 2>&1"))
     end || Pem <- [Issued, Signed]],
    {ok, #{cert := Other}} = merlon_pki:new_ca(#{cluster => "shop", alg => Alg}),
    ?assertMatch({error, _}, public_key:pkix_path_validation(der(Other), [der(Issued)], [])).

der(Pem) ->
    [{'Certificate', Der, not_encrypted}] = public_key:pem_decode(Pem),
    Der.

verification_has_the_clock_that_it_is_given_test() ->
    Ca = ca(),
    {ok, #{cert := Cert}} = merlon_pki:issue(Ca, #{subject => {node, "app", "h"}, days => 1}),
    Later = erlang:system_time(second) + 2 * 86400,
    {error, Reason} = merlon_pki:verify(Cert, (trusting(Ca, client))#{now => Later}),
    ?assertMatch({pki, {expired, #{now := Later}}}, Reason),
    ?assertMatch({match, _}, re:run(merlon_pki:format_error(Reason), "expired on")).

other_cas_and_clusters_are_refused_test() ->
    Ca = ca(),
    {ok, #{cert := Cert}} = merlon_pki:issue(Ca, #{subject => 'app@h'}),
    ?assertEqual({error, {pki, unknown_issuer}}, merlon_pki:verify(Cert, trusting(ca(), client))),
    Other = (trusting(Ca, client))#{cluster => "other"},
    ?assertMatch({error, {pki, {wrong_cluster, #{found := <<"shop">>}}}},
                 merlon_pki:verify(Cert, Other)),
    ?assertEqual({error, {pki, no_anchors}},
                 merlon_pki:verify(Cert, #{trust => [], cluster => "shop", usage => client})).

a_request_becomes_a_certificate_for_what_the_issuer_says_test() ->
    Ca = ca(),
    {ok, #{csr := Csr}} = merlon_pki:csr(#{cluster => "shop", subject => 'app@h'}),
    ?assertEqual({ok, {node, <<"shop">>, <<"app">>, <<"h">>}}, merlon_pki:csr_identity(Csr)),
    {ok, Cert} = merlon_pki:sign_csr(Ca, #{csr => Csr, subject => 'app@h', days => 3}),
    ?assertMatch({ok, #{identity := {node, <<"shop">>, <<"app">>, <<"h">>}}},
                 merlon_pki:verify(Cert, trusting(Ca, server))),
    ?assertEqual({error, {pki, csr_name}},
                 merlon_pki:sign_csr(Ca, #{csr => Csr, subject => 'other@h'})),
    ?assertEqual({error, {pki, csr_name}},
                 merlon_pki:sign_csr(Ca, #{csr => Csr, subject => {cli, "app", "h"}})).

requests_are_bounded_and_must_be_requests_test() ->
    ?assertEqual({error, {pki, csr_too_large}}, merlon_pki:csr_identity(binary:copy(<<"x">>, 8193))),
    ?assertEqual({error, {pki, malformed_csr}}, merlon_pki:csr_identity(maps:get(cert, ca()))).

requests_of_openssl_are_taken_when_they_ask_for_no_more_test_() ->
    {timeout, 30, fun() -> merlon_test_dir:with(fun requests_of_openssl/1) end}.

requests_of_openssl(Dir) ->
    Uri = "subjectAltName=URI:spiffe://shop/node/h/app",
    Made = fun(Name, More) ->
               File = filename:join(Dir, Name),
               Command = ["cd ", Dir, " && openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256"
                          " -keyout k.pem -out ", Name, " -addext ", Uri, More, " 2>&1"],
               Said = os:cmd(lists:flatten(Command)),
               {ok, Csr} = case file:read_file(File) of
                               {ok, _} = Read -> Read;
                               Error -> {Error, Said}
                           end,
               Csr
           end,
    Ca = ca(),
    Sign = fun(Csr) -> merlon_pki:sign_csr(Ca, #{csr => Csr, subject => 'app@h'}) end,
    ?assertMatch({ok, _}, Sign(Made("good.csr", " -subj /CN=app@h"))),
    ?assertEqual({error, {pki, csr_name}}, Sign(Made("subject.csr", " -subj /CN=admin"))),
    ?assertMatch({error, {pki, {csr_extension, #{oid := <<"2.5.29.19">>}}}},
                 Sign(Made("ca.csr", " -subj /CN=app@h -addext basicConstraints=critical,CA:TRUE"))).

errors_are_words_test() ->
    Words = fun(Reason) -> iolist_to_binary(merlon_pki:format_error({pki, Reason})) end,
    [?assert(byte_size(Words(Code)) > 20, Code)
     || Code <- [csr_name, csr_signature, csr_too_large, malformed_csr, path_length, name_constraint,
                 unknown_critical, {csr_extension, #{oid => <<"2.5.29.19">>}}]].

%% An exception's stacktrace goes into logs.
a_wrong_argument_is_a_badarg_without_the_key_test() ->
    Ca = (ca())#{key => <<255, "not text">>},
    try merlon_pki:issue(Ca, #{subject => 'app@h'}) of
        _ -> error(accepted)
    catch
        error:badarg:Stack ->
            ?assertNot(lists:any(fun({_, _, Args, _}) -> is_list(Args) end, [hd(Stack)]))
    end.

a_missing_argument_is_a_badarg_without_the_key_test_() ->
    {ok, #{cert := Cert, key := Key}} = merlon_pki:new_ca(#{cluster => "shop"}),
    Ca = #{cert => Cert, key => Key()},
    [{Name, fun() ->
         try Call() of
             Result -> error({accepted, Result})
         catch
             error:badarg:Stack ->
                 ?assertEqual(nomatch, binary:match(term_to_binary(Stack), <<"PRIVATE KEY">>))
         end
     end} || {Name, Call} <-
         [{"new_ca", fun() -> merlon_pki:new_ca(#{}) end},
          {"issue", fun() -> merlon_pki:issue(Ca, #{}) end},
          {"issue, not a map", fun() -> merlon_pki:issue(Ca, [{subject, 'app@h'}]) end},
          {"a CA that is its key", fun() -> merlon_pki:issue(Key(), #{subject => 'app@h'}) end},
          {"verify", fun() -> merlon_pki:verify(Cert, #{trust => [Cert]}) end},
          {"verify, no lists", fun() -> merlon_pki:verify(Cert, (trusting(Ca, client))#{crls => none}) end},
          {"inspect", fun() -> merlon_pki:inspect(none) end},
          {"csr", fun() -> merlon_pki:csr(#{cluster => "shop"}) end},
          {"csr_identity", fun() -> merlon_pki:csr_identity(#{}) end},
          {"sign_csr", fun() -> merlon_pki:sign_csr(Ca, #{subject => 'app@h'}) end}]].

%% Whoever reads a bundle, no scheduler waits for it.
reading_certificates_holds_up_no_scheduler_test_() ->
    {timeout, 60, fun() ->
        #{cert := Cert} = ca(),
        Bundle = binary:copy(Cert, 20000),
        Before = erlang:system_monitor(self(), [{long_schedule, 100}]),
        try
            {Reader, Ref} = spawn_monitor(fun() -> {ok, Infos} = merlon_pki:inspect(Bundle),
                                                   exit({read, length(Infos)}) end),
            receive {'DOWN', Ref, process, _, Result} -> ?assertEqual({read, 20000}, Result) end,
            receive {monitor, Reader, long_schedule, What} -> error({long_schedule, What}) after 200 -> ok end
        after
            erlang:system_monitor(Before)
        end
    end}.
