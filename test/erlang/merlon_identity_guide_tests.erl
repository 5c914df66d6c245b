%% SPDX-License-Identifier: Apache-2.0
%% docs/guides/identity.md names test cases: each exists, and is run.
-module(merlon_identity_guide_tests).
-include_lib("eunit/include/eunit.hrl").

each_case_that_the_guide_names_is_run_test() ->
    {ok, Guide} = file:read_file(filename:join([code:lib_dir(merlon), "..", "..", "..", "..", "docs", "guides", "identity.md"])),
    {match, Named} = re:run(Guide, "`(merlon_\\w+_SUITE):(\\w+)`", [global, {capture, all_but_first, list}]),
    Cases = [{list_to_atom(Suite), list_to_atom(Case)} || [Suite, Case] <- Named],
    ?assert(length(Cases) >= 15),
    ?assertEqual([], [Case || {Suite, Name} = Case <- Cases, not lists:member(Name, Suite:all())]).
