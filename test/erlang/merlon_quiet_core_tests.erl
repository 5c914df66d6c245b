%% SPDX-License-Identifier: Apache-2.0
-module(merlon_quiet_core_tests).
-include_lib("eunit/include/eunit.hrl").

one_refusal_in_ten_seconds_is_told_with_the_number_of_the_others_test() ->
    {{tell, 0}, First} = merlon_quiet_core:refused(100, merlon_quiet_core:new()),
    {silent, Second} = merlon_quiet_core:refused(100, First),
    {silent, Third} = merlon_quiet_core:refused(109, Second),
    {{tell, 2}, Fourth} = merlon_quiet_core:refused(110, Third),
    ?assertMatch({{tell, 0}, _}, merlon_quiet_core:refused(120, Fourth)).

%% A clock that was ahead and is put right.
a_clock_that_goes_back_does_not_silence_the_log_test() ->
    {{tell, 0}, Ahead} = merlon_quiet_core:refused(1000000, merlon_quiet_core:new()),
    {silent, Same} = merlon_quiet_core:refused(1000000, Ahead),
    ?assertMatch({{tell, 1}, _}, merlon_quiet_core:refused(5000, Same)).
