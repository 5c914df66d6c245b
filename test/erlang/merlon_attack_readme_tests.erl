%% SPDX-License-Identifier: Apache-2.0
%% test/attack/README.md names suites and cases: each exists and is run, and no suite of attacks is left out.
-module(merlon_attack_readme_tests).
-include_lib("eunit/include/eunit.hrl").

each_case_that_the_readme_names_is_run_test() ->
    Cases = [{list_to_atom(Suite), list_to_atom(Case)} || [Suite, Case] <- named("`(merlon_\\w+_SUITE):(\\w+)`")],
    ?assert(length(Cases) >= 15),
    ?assertEqual([], [Case || {Suite, Name} = Case <- Cases, not lists:member(Name, Suite:all())]).

each_suite_of_attacks_is_in_the_readme_test() ->
    Suites = [filename:basename(File, ".erl") || File <- filelib:wildcard(path("*_SUITE.erl"))],
    ?assert(length(Suites) >= 10),
    ?assertEqual(lists:sort(Suites), lists:sort([Suite || [Suite] <- named("\\| `(merlon_\\w+_SUITE)` \\|")])).

%% An attack that lives elsewhere is not found.
attacks_are_in_one_folder_test() ->
    ?assertEqual([], filelib:wildcard(path("../erlang/merlon_attack_*_SUITE.erl"))).

named(Pattern) ->
    {ok, Readme} = file:read_file(path("README.md")),
    {match, Named} = re:run(Readme, Pattern, [global, {capture, all_but_first, list}]),
    Named.

path(Name) -> filename:join([code:lib_dir(merlon), "..", "..", "..", "..", "test", "attack", Name]).
