%% SPDX-License-Identifier: Apache-2.0
-module(merlon_reprove_core_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_reprove_core, [new/0, add/3, mark/3, mark_all/2, owes/3, settled/3, changed/1, due/2, wait/2, forget/2]).

-define(COOKIE, <<"0000000000000000">>).
%% Monotonic time may be negative.
-define(NOW, -500000).

kinds(Now, Links) ->
    {Due, Next} = due(Now, Links),
    {lists:sort(lists:append([Kinds || {_, Kinds} <- Due])), Next}.

what_is_new_is_said_at_once_and_once_test() ->
    {[certificate, keys], Said} = kinds(?NOW, add(self(), [keys, certificate], new())),
    ?assertMatch({[], _}, kinds(?NOW + 5000, Said)),
    ?assertMatch({[], _}, kinds(?NOW, add(self(), [], new()))),
    ?assertMatch({[], _}, kinds(?NOW + 5000, forget(self(), mark(self(), [keys], Said)))),
    ?assertMatch({[], _}, kinds(?NOW, mark(self(), [keys], new()))).

%% Ten thousand reloads are no flood for the peers.
a_link_is_told_things_together_and_not_often_test() ->
    {[certificate], Said} = kinds(?NOW, add(self(), [certificate], new())),
    Again = mark_all([certificate], mark(self(), [keys], mark_all([certificate], Said))),
    {[], Later} = kinds(?NOW + 999, Again),
    ?assertMatch({[certificate, keys], _}, kinds(?NOW + 1000, Later)).

%% Nothing waits for longer than it has to: a chain of keys, question and answer would else take two seconds for each.
what_had_to_wait_is_said_when_it_may_be_test() ->
    ?assertEqual(never, wait(?NOW, add(self(), [], new()))),
    ?assertEqual(0, wait(?NOW, add(self(), [keys], new()))),
    {[keys], Said} = kinds(?NOW, add(self(), [keys], new())),
    ?assertEqual(never, wait(?NOW, Said)),
    Waiting = mark(self(), [keys], Said),
    ?assertEqual(700, wait(?NOW + 300, Waiting)),
    {[keys], Later} = kinds(?NOW + 1000, Waiting),
    ?assertEqual(never, wait(?NOW + 1000, Later)).

whoever_keeps_to_that_is_within_what_a_peer_may_say_test() ->
    Steps = [?NOW + Ms || Ms <- lists:seq(0, 600000, 1000)],
    Say = fun(Now, Budget) -> {ok, Left} = merlon_reprove_core:spend(3, Now, Budget), Left end,
    ?assertMatch({_, _}, lists:foldl(Say, merlon_reprove_core:budget(?NOW), Steps)).

who_says_more_is_a_flood_test() ->
    Budget = merlon_reprove_core:budget(?NOW),
    ?assertEqual(flood, merlon_reprove_core:spend(65, ?NOW, Budget)),
    {ok, Spent} = merlon_reprove_core:spend(64, ?NOW, Budget),
    ?assertEqual(flood, merlon_reprove_core:spend(1, ?NOW + 249, Spent)),
    {ok, _} = merlon_reprove_core:spend(1, ?NOW + 250, Spent),
    %% Rest is not saved up without end, and no part of it is lost.
    ?assertEqual(flood, merlon_reprove_core:spend(65, ?NOW + 1000000, Spent)),
    {ok, Part} = merlon_reprove_core:spend(0, ?NOW + 249, Spent),
    ?assertMatch({ok, _}, merlon_reprove_core:spend(1, ?NOW + 250, Part)),
    %% At a steady five a second it is over within a minute or so.
    Steady = fun(Ms, {ok, Left}) -> merlon_reprove_core:spend(1, ?NOW + Ms, Left); (_, flood) -> flood end,
    ?assertEqual(flood, lists:foldl(Steady, {ok, Budget}, lists:seq(0, 70000, 200))).

%% ---- what was not believed ----

who_was_not_believed_is_asked_when_that_may_have_changed_test() ->
    Links = owes(self(), {certificate, ?NOW}, add(self(), [], new())),
    ?assertMatch({[], _}, kinds(?NOW, Links)),
    ?assertMatch({[ask], _}, kinds(?NOW, changed(Links))),
    ?assertMatch({[], _}, kinds(?NOW, changed(settled(self(), certificate, Links)))),
    ?assertMatch({[], _}, kinds(?NOW, changed(add(self(), [], new())))),
    Both = owes(self(), {keys, ?NOW}, Links),
    ?assertMatch({[ask], _}, kinds(?NOW, changed(settled(self(), certificate, Both)))),
    ?assertMatch({[], _}, kinds(?NOW, changed(settled(self(), keys, settled(self(), certificate, Both))))).

and_once_a_minute_by_itself_test() ->
    Links = owes(self(), {keys, ?NOW}, add(self(), [], new())),
    {[], Waiting} = kinds(?NOW + 59999, owes(self(), {keys, ?NOW + 30000}, Links)),
    {[ask], Asked} = kinds(?NOW + 60000, Waiting),
    {[], Still} = kinds(?NOW + 119999, Asked),
    ?assertMatch({[ask], _}, kinds(?NOW + 120000, Still)),
    ?assertMatch({[], _}, kinds(?NOW + 120000, settled(self(), keys, Still))).

%% ---- secrets ----

-define(OLD(End), {<<"old">>, accepted, End}).
-define(NEW, {<<"new">>, accepted, never}).

secret(Proved, States) -> merlon_reprove_core:secret(Proved, States).

a_secret_counts_as_long_as_an_entry_that_was_proved_test() ->
    ?assertEqual({ok, never}, secret([<<"new">>], [?NEW])),
    ?assertEqual({ok, 999}, secret([<<"old">>], [?NEW, ?OLD(1000)])),
    ?assertEqual({ok, never}, secret([<<"new">>, <<"old">>], [?NEW, ?OLD(1000)])),
    %% The newer one is taken back.
    ?assertEqual({ok, 999}, secret([<<"new">>, <<"old">>], [?OLD(1000)])).

an_entry_that_is_gone_or_has_ended_is_told_apart_test() ->
    ?assertEqual({error, {keyring, {entry_dropped, #{id => <<"old">>}}}}, secret([<<"old">>], [?NEW])),
    ?assertEqual({error, {keyring, {entry_expired, #{id => <<"old">>, not_after => 1000}}}},
                 secret([<<"x">>, <<"old">>], [?NEW, {<<"old">>, expired, 1000}])),
    %% The clock was set back: it does not count either.
    ?assertMatch({error, {keyring, {entry_dropped, _}}}, secret([<<"old">>], [{<<"old">>, not_yet, never}])),
    ?assertMatch({error, {keyring, {entry_dropped, _}}}, secret([], [?NEW])).

the_cookie_counts_until_an_entry_was_proved_test() ->
    ?assertEqual({ok, never}, secret([?COOKIE], none)),
    ?assertEqual({ok, never}, secret([?COOKIE], [?NEW])),
    ?assertMatch({error, {keyring, {entry_dropped, _}}}, secret([<<"old">>, ?COOKIE], [?NEW])).

the_newest_that_counts_is_told_test() ->
    With = fun merlon_reprove_core:proved_with/2,
    ?assertEqual({ok, <<"new">>}, With([<<"old">>, <<"new">>], [?NEW, ?OLD(1000)])),
    ?assertEqual({ok, <<"old">>}, With([<<"old">>], [?NEW, ?OLD(1000)])),
    ?assertEqual({error, ended}, With([<<"old">>], [?NEW])),
    ?assertEqual({error, vm_cookie}, With([?COOKIE], [?NEW])),
    ?assertEqual({error, vm_cookie}, With([?COOKIE], none)).
