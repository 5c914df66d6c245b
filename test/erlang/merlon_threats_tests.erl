%% SPDX-License-Identifier: Apache-2.0
%% docs/threat-model.md, test/attack/README.md and docs/guides/operate.md say which test shows what: each of these is there and is run, and no threat
%% is without one.
-module(merlon_threats_tests).
-include_lib("eunit/include/eunit.hrl").

-define(CASE, "`(merlon_\\w+_SUITE):(\\w+)`").

each_case_that_is_named_is_run_test_() ->
    [{File, ?_assertEqual([], [Case || {Suite, Name} = Case <- cases(File), not lists:member(Name, all_of(Suite))])}
     || File <- ["docs/threat-model.md", "test/attack/README.md", "docs/guides/operate.md"]].

there_are_cases_test() ->
    ?assert(length(cases("docs/threat-model.md")) >= 50),
    ?assert(length(cases("test/attack/README.md")) >= 15).

each_suite_and_module_of_tests_that_is_named_is_there_test() ->
    {match, Named} = re:run(text("docs/threat-model.md"), "`(merlon_\\w+_(?:SUITE|tests))[:`]", [global, {capture, all_but_first, list}]),
    ?assertEqual([], [Name || [Name] <- Named, code:ensure_loaded(list_to_atom(Name)) =/= {module, list_to_atom(Name)}]).

each_file_that_is_named_is_there_test() ->
    Paths = [Path || {_, Shown} <- threats(), Path <- paths(Shown)],
    ?assert(length(Paths) >= 20),
    ?assertEqual([], [Path || Path <- Paths, not filelib:is_file(path(Path))]).

each_suite_of_attacks_is_in_their_readme_test() ->
    Suites = [filename:basename(File, ".erl") || File <- filelib:wildcard(path("test/attack/*_SUITE.erl"))],
    ?assert(length(Suites) >= 10),
    ?assertEqual(lists:sort(Suites), lists:sort([Suite || [Suite] <- found(text("test/attack/README.md"), "\\| `(merlon_\\w+_SUITE)` \\|")])).

%% An attack that lives elsewhere is not found.
attacks_are_in_one_folder_test() ->
    ?assertEqual([], filelib:wildcard(path("test/erlang/merlon_attack_*_SUITE.erl"))).

each_threat_has_a_number_of_its_own_and_something_that_shows_it_test() ->
    Threats = threats(),
    ?assertEqual(["T" ++ integer_to_list(N) || N <- lists:seq(1, length(Threats))], [Id || {Id, _} <- Threats]),
    ?assert(length(Threats) >= 36),
    ?assertEqual([], [Id || {Id, Shown} <- Threats, re:run(Shown, "`?merlon_\\w+_(SUITE|tests)|native/\\w+ `\\w+\\.rs`|test/support/[\\w-]+\\.sh") =:= nomatch]).

%% ---- what stands there ----

%% The rows of the table: id, who, threat, what stops it, shown by.
threats() ->
    {match, Rows} = re:run(text("docs/threat-model.md"), "^\\| (T\\d+) \\|[^|]+\\|[^|]+\\|[^|]+\\|([^|]+)\\|$",
                           [global, multiline, {capture, all_but_first, list}]),
    Lines = [Line || Line <- string:split(text("docs/threat-model.md"), "\n", all), string:prefix(Line, "| T") =/= nomatch],
    ?assertEqual(length(Lines), length(Rows)),
    [{Id, Shown} || [Id, Shown] <- Rows].

%% native/CRATE `FILE.rs` is in that crate's tests.
paths(Shown) ->
    [filename:join(["native", Crate, "tests", File]) || [Crate, File] <- found(Shown, "native/(\\w+) `(\\w+\\.rs)`")] ++
        [Script || [Script] <- found(Shown, "(test/support/[\\w-]+\\.sh)")].

cases(File) ->
    [{list_to_atom(Suite), list_to_atom(Case)} || [Suite, Case] <- found(text(File), ?CASE)].

found(Text, Pattern) ->
    case re:run(Text, Pattern, [global, {capture, all_but_first, list}]) of
        {match, Found} -> Found;
        nomatch -> []
    end.

all_of(Suite) ->
    lists:flatmap(fun({group, Group}) -> group(Group, Suite:groups());
                     (Case) -> [Case]
                  end, Suite:all()).

group(Name, Groups) ->
    {Name, _, Cases} = lists:keyfind(Name, 1, Groups),
    Cases.

text(File) ->
    {ok, Text} = file:read_file(path(File)),
    unicode:characters_to_list(Text).

path(File) -> filename:join([code:lib_dir(merlon), "..", "..", "..", "..", File]).
