%% SPDX-License-Identifier: Apache-2.0
-module(merlon_stats_tests).
-include_lib("eunit/include/eunit.hrl").

root() -> filename:dirname(filename:dirname(filename:dirname(filename:dirname(filename:dirname(
              filename:dirname(code:which(merlon_stats))))))).

text(Path) ->
    {ok, Text} = file:read_file(filename:join(root(), Path)),
    Text.

%% The words of `Error::code` of each crate whose errors can end a handshake.
codes(Crate) ->
    Text = text("native/" ++ Crate ++ "/src/error.rs"),
    {match, Bodies} = re:run(Text, "fn code\\(&self\\).*?\n    }\n", [global, dotall, {capture, first, binary}]),
    {match, Words} = re:run(iolist_to_binary(Bodies), "=> \"([a-z_0-9]+)\"", [global, {capture, all_but_first, list}]),
    [list_to_atom(Word) || [Word] <- Words].

every_reason_of_the_core_is_counted_by_its_name_test() ->
    Codes = [{Crate, Code} || Crate <- ["tls", "pki", "record", "wire"], Code <- codes(Crate)],
    ?assert(length(Codes) > 80),
    ?assertEqual([], [Each || {_, Code} = Each <- Codes, not lists:member(Code, merlon_stats:reasons())]).

the_words_are_each_there_once_test() ->
    [?assertEqual([], Words -- lists:usort(Words))
     || Words <- [merlon_stats:reasons(), merlon_stats:events(), merlon_stats:phases()]].

%% Each `event => Name` that merlon_event writes, or is given, has a counter and a row in the guide's table.
every_event_is_counted_and_documented_test() ->
    {match, Found} = re:run([text("erlang_src/" ++ File) || File <- ["merlon_event.erl", "merlon_event_roots.erl", "merlon_event_names.erl"]], "event => ([a-z_]+)",
                            [global, {capture, all_but_first, list}]),
    Events = lists:usort([list_to_atom(Name) || [Name] <- Found]),
    ?assertEqual(lists:sort([other | Events]), lists:sort(merlon_stats:events())),
    Guide = text("docs/guides/operate.md"),
    ?assertEqual([], [Event || Event <- Events,
                               binary:match(Guide, list_to_binary(["| `", atom_to_list(Event), "` |"])) =:= nomatch]).

%% So that one function says what an event means, whoever has it.
each_event_is_written_by_one_function_test() ->
    Written = [{Event, {File, Name}} || File <- filelib:wildcard(filename:join(root(), "erlang_src/merlon_event*.erl")),
                                        {ok, Forms} <- [epp:parse_file(File, [])], {function, _, Name, _, _} = Form <- Forms,
                                        Event <- lists:usort(events(Form))],
    ?assert(length(Written) > 40),
    ?assertEqual([], Written -- lists:ukeysort(1, Written)).

events({map_field_assoc, _, {atom, _, event}, {atom, _, Event}}) -> [Event];
events(Form) when is_tuple(Form) -> events(tuple_to_list(Form));
events([Form | Forms]) -> events(Form) ++ events(Forms);
events(_) -> [].

unknown_words_are_counted_as_other_and_make_nothing_grow_test() ->
    ok = merlon_stats:start(),
    #{refusals := Before, handshakes := #{accept := #{failed := #{dist := Dist}}}} = merlon_stats:read(),
    [merlon_stats:refused(accept, dist, {made_up, N}) || N <- lists:seq(1, 1000)],
    merlon_stats:event(made_up),
    #{refusals := After, events := Events, handshakes := #{accept := #{failed := #{dist := Now}}}} = merlon_stats:read(),
    ?assertEqual(1000, maps:get(other, After) - maps:get(other, Before, 0)),
    ?assertEqual(1000, Now - Dist),
    ?assertMatch(#{other := _}, Events),
    ?assertEqual([], maps:keys(After) -- merlon_stats:reasons()).

%% However it is read while links end, a total never goes back.
totals_never_go_back_test() ->
    ok = merlon_stats:start(),
    #{bytes_in := Start} = merlon_stats:read(),
    Writer = spawn_monitor(fun() -> [merlon_stats:ended(#{bytes_in => 1}, fun() -> ok end)
                                     || _ <- lists:seq(1, 20000)] end),
    Seen = read_until_down(Writer, []),
    ?assertEqual(lists:sort(Seen), Seen),
    ?assertMatch(#{bytes_in := N} when N =:= Start + 20000, merlon_stats:read()).

read_until_down({Pid, Ref} = Writer, Seen) ->
    #{bytes_in := N} = merlon_stats:read(),
    receive {'DOWN', Ref, process, Pid, normal} -> lists:reverse([N | Seen])
    after 0 -> read_until_down(Writer, [N | Seen])
    end.
