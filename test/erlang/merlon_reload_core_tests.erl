%% SPDX-License-Identifier: Apache-2.0
-module(merlon_reload_core_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_reload_core, [telling/3, config/2]).

config(Text) ->
    merlon_test_dir:with(fun(Dir) ->
        ok = file:write_file(filename:join(Dir, "merlon.config"), Text),
        {ok, Config} = merlon_config:load(Dir),
        Config
    end).

settings_of_the_start_keep_their_value_and_are_named_test() ->
    Now = config("{cluster, \"a\"}."),
    OnDisk = config("{cluster, \"b\"}. {max_handshakes, 3}. {require_carrier, true}."),
    {Config, Later} = config(Now, OnDisk),
    ?assertEqual([cluster, require_carrier], lists:sort(Later)),
    ?assertEqual(Now#{max_handshakes => 3}, Config),
    ?assertEqual({Now, []}, config(Now, Now)).

%% Every setting is in one of the two groups, and those of the start exist.
settings_of_the_start_are_settings_test() ->
    ?assertEqual([], merlon_config:at_start() -- [Key || {Key, _, _, _} <- merlon_config:keys()]).

a_refusal_found_by_polling_is_told_when_the_next_poll_finds_it_too_test() ->
    {false, Once} = telling(poll, [one], none),
    {true, Twice} = telling(poll, [one], Once),
    {false, Thrice} = telling(poll, [one], Twice),
    {false, Thrice} = telling(asked, [one], Thrice),
    %% Other files are another refusal.
    {false, _} = telling(poll, [two], Thrice).

a_refusal_found_when_asked_is_told_at_once_and_once_test() ->
    {true, Told} = telling(asked, [one], none),
    {false, Told} = telling(asked, [one], Told),
    {false, Told} = telling(poll, [one], Told),
    {true, _} = telling(asked, [two], Told).
