-module(merlon_text_tests).
-include_lib("eunit/include/eunit.hrl").

a_slip_of_the_finger_finds_its_word_test() ->
    Options = ["--alg", "--cli", "--days", "--dir", "--force", "--help", "--ip"],
    [?assertEqual({Word, {ok, Meant}}, {Word, merlon_text:nearest(Word, Options)})
     || {Word, Meant} <- [{"--dri", "--dir"}, {"--dirs", "--dir"}, {"--day", "--days"},
                          {"--forse", "--force"}, {"--dayz", "--days"}]].

a_word_like_none_of_them_is_not_guessed_at_test() ->
    ?assertEqual(none, merlon_text:nearest("--verbose-output", ["--dir", "--ip"])),
    ?assertEqual(none, merlon_text:nearest("x", [])).

dates_are_utc_and_distances_are_words_test() ->
    ?assertEqual("2027-02-19 19:15 UTC", merlon_text:date(1803064500)),
    ?assertEqual("in 90 days", merlon_text:left(90 * 86400 - 1, 0)),
    ?assertEqual("3 hours ago", merlon_text:left(0, 3 * 3600 + 59)),
    ?assertEqual("in 1 second", merlon_text:left(1, 0)).
