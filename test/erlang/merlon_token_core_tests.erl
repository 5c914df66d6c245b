-module(merlon_token_core_tests).
-include_lib("eunit/include/eunit.hrl").

token() ->
    #{kind => node, pin => binary:copy(<<16#a5>>, 32), id => <<1:64>>, secret => fun() -> <<7:128>> end,
      at => [{<<"ca.example">>, 4379}, {<<"::1">>, 1}], names => [<<"app@web1">>, <<"app*@*.example">>]}.

opened(#{secret := Secret} = Token) -> Token#{secret := Secret()}.

text() -> merlon_token_core:encode(token()).

what_is_written_is_read_test() ->
    [begin
         Token = maps:merge(token(), Other),
         {ok, Read} = merlon_token_core:decode(merlon_token_core:encode(Token)),
         ?assertEqual(opened(Token), opened(Read))
     end || Other <- [#{}, #{kind => cli}, #{names => [<<"a@b">>]}
                      | [#{names => [<<(binary:copy(<<"n">>, N))/binary, "@h">>]} || N <- lists:seq(1, 12)]]].

a_token_is_one_word_of_capitals_and_digits_test() ->
    ?assertMatch({match, _}, re:run(text(), "\\AMRLN-1-[0-9A-HJKMNP-TV-Z]+\\z")).

the_secret_is_not_printed_with_a_token_that_was_read_test() ->
    {ok, Read} = merlon_token_core:decode(text()),
    ?assertEqual(nomatch, re:run(io_lib:format("~p", [Read]), "0,0,0,0,0,7")).

every_truncation_is_refused_test() ->
    Text = text(),
    [?assertMatch({error, _}, merlon_token_core:decode(binary:part(Text, 0, Length)))
     || Length <- lists:seq(0, byte_size(Text) - 1)],
    [?assertMatch({error, _}, merlon_token_core:decode(<<Text/binary, More/binary>>))
     || More <- [<<"0">>, <<"Z">>, <<" ">>, <<"\n">>, <<"=">>, <<"00000000">>]].

every_flipped_bit_is_refused_test() ->
    Text = text(),
    [begin
         Flipped = flip(Text, Bit),
         ?assertMatch({error, _}, merlon_token_core:decode(Flipped))
     end || Bit <- lists:seq(0, bit_size(Text) - 1)].

flip(Text, Bit) ->
    <<Before:Bit, One:1, After/bitstring>> = Text,
    <<Before:Bit, (1 - One):1, After/bitstring>>.

every_wrong_character_is_refused_test() ->
    Text = text(),
    [begin
         <<Before:At/binary, Char, After/binary>> = Text,
         [?assertMatch({error, _}, merlon_token_core:decode(<<Before/binary, Other, After/binary>>))
          || Other <- "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabz-_ ", Other =/= Char]
     end || At <- lists:seq(7, byte_size(Text) - 1)].

neighbours_that_changed_places_are_found_test() ->
    Text = text(),
    [begin
         <<Before:At/binary, A, B, After/binary>> = Text,
         A =/= B andalso ?assertMatch({error, _}, merlon_token_core:decode(<<Before/binary, B, A, After/binary>>))
     end || At <- lists:seq(7, byte_size(Text) - 2)].

what_is_wrong_is_said_test() ->
    Text = text(),
    Says = fun(Bad) -> {error, Problem} = merlon_token_core:decode(Bad), Problem end,
    ?assertEqual(no_token, Says(<<"hello">>)),
    ?assertEqual(version, Says(<<"MRLN-2-ABC">>)),
    <<Prefix:7/binary, Digits/binary>> = Text,
    ?assertEqual(character, Says(<<Prefix/binary, (string:lowercase(Digits))/binary>>)),
    ?assertEqual(too_long, Says(binary:copy(<<"A">>, 20000))),
    ?assertEqual(checksum, Says(<<"MRLN-1-", (binary:copy(<<"0">>, 80))/binary>>)).

%% With a right checksum, but not what encode/1 writes.
forged_fields_are_refused_test() ->
    Body = fun(Kind, At, Names) -> <<Kind, 0:256, 0:64, 0:128, At/binary, Names/binary>> end,
    At = <<1, 1:16, 1, "h">>,
    Names = <<1, 3, "a@b">>,
    ?assertMatch({ok, _}, merlon_token_core:decode(written(Body(0, At, Names)))),
    [?assertEqual({error, malformed}, merlon_token_core:decode(written(Bad)))
     || Bad <- [Body(2, At, Names), Body(0, <<0>>, Names), Body(0, <<5>>, Names), Body(0, <<1, 0:16, 1, "h">>, Names),
                Body(0, <<1, 1:16, 0>>, Names), Body(0, <<1, 1:16, 9, "h">>, Names), Body(0, At, <<0>>),
                Body(0, At, <<17>>), Body(0, At, <<1, 3, "a@b", 0>>), Body(0, At, <<1, 2, "ab">>),
                Body(0, At, <<1, 5, "a@b@c">>), Body(0, At, <<1, 2, "@b">>), Body(0, At, <<1, 5, "../@h">>),
                Body(0, At, <<1, 4, "a\e@h">>), Body(0, At, <<1, 3, 255, "@h">>), <<0>>]].

written(Body) ->
    Bits = <<Body/binary, (erlang:crc32(["MRLN-1-", Body])):32>>,
    Missing = (5 - bit_size(Bits) rem 5) rem 5,
    Digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    iolist_to_binary(["MRLN-1-", [lists:nth(Digit + 1, Digits) || <<Digit:5>> <= <<Bits/binary, 0:Missing>>]]).

a_pattern_covers_what_its_stars_stand_for_test() ->
    Covers = fun(Name, Names) -> merlon_token_core:covers(Name, Names) end,
    ?assertEqual(exact, Covers(<<"app@web1">>, [<<"*@web1">>, <<"app@web1">>])),
    [?assertEqual(pattern, Covers(Name, [Pattern]))
     || {Name, Pattern} <- [{<<"app7@web1">>, <<"app*@web1">>}, {<<"app@web1">>, <<"app*@web*">>},
                            {<<"app@a.b.example">>, <<"app@*.example">>}, {<<"xaybz@h">>, <<"x*y*z@h">>},
                            {<<"aab@h">>, <<"a*ab@h">>}, {<<"ab@h">>, <<"*a*b*@h">>}]],
    [?assertEqual(false, Covers(Name, [Pattern]))
     || {Name, Pattern} <- [{<<"app@web2">>, <<"app@web1">>}, {<<"apq@web1">>, <<"app*@web1">>},
                            {<<"app@web1.evil">>, <<"app@web1">>}, {<<"a@evil.web1x">>, <<"a@*web1">>},
                            {<<"ab@h">>, <<"a*ab@h">>}, {<<"app">>, <<"app*">>}, {<<"a*@h">>, <<"a@h">>},
                            %% A star does not reach over the @.
                            {<<"a@b@h">>, <<"a*@h">>}]],
    %% Who asks for the pattern itself gets it as one of its names, never as an exact one.
    ?assertEqual(pattern, Covers(<<"a*@h">>, [<<"a*@h">>])).

a_pattern_with_many_stars_takes_no_long_time_test() ->
    Name = <<(binary:copy(<<"a">>, 250))/binary, "@h">>,
    Pattern = <<(binary:copy(<<"*a">>, 100))/binary, "b@h">>,
    {Time, false} = timer:tc(fun() -> merlon_token_core:covers(Name, [Pattern]) =/= false end),
    ?assert(Time < 100000).

addresses_test() ->
    [?assertEqual({ok, Address}, merlon_token_core:address(Text))
     || {Text, Address} <- [{<<"a.example:1">>, {<<"a.example">>, 1}}, {<<"1.2.3.4:65535">>, {<<"1.2.3.4">>, 65535}},
                            {<<"[::1]:80">>, {<<"::1">>, 80}}]],
    [?assertEqual(error, merlon_token_core:address(Text))
     || Text <- [<<"a">>, <<"a:">>, <<":1">>, <<"a:0">>, <<"a:65536">>, <<"::1:80">>, <<"a b:1">>, <<"a:1:2">>]].
