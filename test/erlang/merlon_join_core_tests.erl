-module(merlon_join_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(ID, <<5:64>>).
-define(TAG, <<6:256>>).

messages() ->
    [{hello, merlon_join_core:hello(?ID, ?TAG), {?ID, ?TAG}},
     {proof, merlon_join_core:proof(?TAG), ?TAG},
     {request, merlon_join_core:request(<<"a@h">>, <<"csr">>), {<<"a@h">>, <<"csr">>}},
     {grant, merlon_join_core:grant([{cert, <<"c">>}, {trust, <<>>}, {crl, <<"x">>}, {keyring, <<"k">>}]),
      [{cert, <<"c">>}, {trust, <<>>}, {crl, <<"x">>}, {keyring, <<"k">>}]}].

each_message_is_read_where_it_is_due_and_nowhere_else_test() ->
    [?assertEqual(case Kind of Due -> {ok, Content}; _ -> {error, malformed} end,
                  merlon_join_core:read(Due, Message))
     || {Kind, Message, Content} <- messages(), Due <- [hello, proof, request, grant]].

what_is_cut_short_or_has_more_behind_is_refused_test() ->
    [?assertEqual({error, malformed}, merlon_join_core:read(Kind, binary:part(Message, 0, Length)))
     || {Kind, Message, _} <- messages(), Kind =/= request, Length <- lists:seq(0, byte_size(Message) - 1),
        %% A grant may end behind any of its parts.
        Kind =/= grant orelse not lists:member(Length, [1, 7, 12, 18])],
    [?assertEqual({error, malformed}, merlon_join_core:read(Kind, <<Message/binary, 0>>))
     || {Kind, Message, _} <- messages(), Kind =/= request].

a_request_for_what_is_no_name_is_refused_test() ->
    [?assertEqual({error, malformed},
                  merlon_join_core:read(request, <<3, (byte_size(Name)), Name/binary, "csr">>))
     || Name <- [<<>>, <<"a">>, <<"@">>, <<"a@">>, <<"@h">>, <<"a@b@c">>, <<"../x@h">>, <<"a b@h">>, <<"a\n@h">>, <<255, "@h">>]],
    ?assertEqual({error, malformed}, merlon_join_core:read(request, <<3, 200, "a@h">>)),
    ?assertEqual({error, malformed}, merlon_join_core:read(request, <<3, 3, "a@h", 255, 254>>)),
    Long = binary:copy(<<"x">>, 8193),
    ?assertEqual({error, malformed}, merlon_join_core:read(request, merlon_join_core:request(<<"a@h">>, Long))).

refusals_are_for_the_client_alone_test() ->
    [begin
         Message = merlon_join_core:refusal(Why),
         ?assertEqual({refused, Why}, merlon_join_core:read(proof, Message)),
         ?assertEqual({refused, Why}, merlon_join_core:read(grant, Message)),
         ?assertEqual({error, malformed}, merlon_join_core:read(hello, Message)),
         ?assert(iolist_size(merlon_join_core:words(Why)) > 20)
     end || Why <- [unknown_token, used, expired, revoked, not_covered, name_taken, bad_request, internal]],
    ?assertEqual({error, malformed}, merlon_join_core:read(proof, <<0, 99>>)).

too_many_parts_are_refused_test() ->
    Parts = [{trust, <<>>} || _ <- lists:seq(1, 257)],
    ?assertEqual({error, malformed}, merlon_join_core:read(grant, merlon_join_core:grant(Parts))).

one_source_gets_a_few_attempts_a_second_and_all_together_not_many_more_test() ->
    Try = fun({Source, Time}, {Answers, Rate}) ->
              {Answer, Next} = merlon_join_rate_core:admit(Source, Time, Rate),
              {[Answer | Answers], Next}
          end,
    Run = fun(Tries) -> {Answers, _} = lists:foldl(Try, {[], merlon_join_rate_core:new()}, Tries), lists:reverse(Answers) end,
    ?assertEqual([yes, yes, yes, tell, no, no, yes], Run([{a, T} || T <- [0, 1, 2, 3, 4, 5]] ++ [{b, 6}])),
    Many = Run([{N, 0} || N <- lists:seq(1, 100)]),
    ?assertEqual({5, 1, 94}, {length([yes || yes <- Many]), length([tell || tell <- Many]), length([no || no <- Many])}),
    ?assertEqual([yes, yes, yes, tell, yes], Run([{a, T} || T <- [0, 0, 0, 999, 1000]])),
    %% Twenty that come every 10 ms for a minute and more, and one that comes then.
    Flood = [{N, T} || T <- lists:seq(0, 70000, 10), N <- lists:seq(1, 20)],
    ?assertMatch([yes, Turned] when Turned =/= yes, lists:nthtail(length(Flood), Run(Flood ++ [{new, 70001}, {1, 70002}]))),
    %% All /64 of a /48, each once, and one from elsewhere.
    Net = [{{16#2001, 16#db8, 7, T, net}, T} || T <- lists:seq(0, 5000)],
    ?assertEqual([yes], lists:nthtail(length(Net), Run(Net ++ [{{16#2001, 16#db8, 8, 1, net}, 5001}]))).
