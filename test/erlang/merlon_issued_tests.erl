%% SPDX-License-Identifier: Apache-2.0
%% What a CA remembers of those that it has issued: all that count, and never more than so many of one name.
-module(merlon_issued_tests).

-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with/1, init/1]).

-define(MOST, 100).

entry(Name, N, End) ->
    [integer_to_binary(N, 16), $\t, integer_to_binary(End), "\tnode\t", Name, "\tsome CA\n"].

filled(Dir, Name, Count, End) ->
    File = filename:join([Dir, "ca", "issued"]),
    ok = file:write_file(File, [entry(Name, N, End) || N <- lists:seq(1, Count)]),
    File.

cert(Dir, Name) -> merlon_cli:run(["cert", Name, "--force", "--dir", Dir]).

%% Nothing is forgotten to make room: it could not be revoked by its name any more.
a_name_gets_no_more_certificates_than_are_remembered_test() ->
    with(fun(Dir) ->
        Far = erlang:system_time(second) + 1000,
        File = filled(init(Dir), "app@here", ?MOST - 1, Far),
        {0, _, <<>>} = cert(Dir, "app@here"),
        {ok, Full} = file:read_file(File),
        {1, <<>>, Said} = cert(Dir, "app@here"),
        ?assertMatch({match, _}, re:run(Said, "app@here has 100 certificates")),
        ?assertEqual({ok, Full}, file:read_file(File)),
        %% Others are not held up by it.
        {0, _, <<>>} = cert(Dir, "other@here")
    end).

what_has_run_out_makes_room_test() ->
    with(fun(Dir) ->
        File = filled(init(Dir), "app@here", ?MOST, erlang:system_time(second) - 1),
        {0, _, <<>>} = cert(Dir, "app@here"),
        {ok, Text} = file:read_file(File),
        ?assertMatch([_], binary:split(Text, <<"\n">>, [global, trim]))
    end).
