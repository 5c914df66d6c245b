%% SPDX-License-Identifier: Apache-2.0
%% Which nodes have linked before, and how often DIR/linked-nodes is read for that.
-module(merlon_linked_tests).

-include_lib("eunit/include/eunit.hrl").

-define(NODE, {merlon_node, node}).

%% In a dir of its own, without nodes.
with_dir(Test) ->
    merlon_test_dir:with(fun(Dir) ->
        persistent_term:put(?NODE, #{config => #{dir => Dir, interop => merlon_interop:none()}}),
        ok = merlon_linked:start(),
        try Test(Dir, filename:join(Dir, "linked-nodes"))
        after
            ets:delete(merlon_linked),
            persistent_term:erase(?NODE)
        end
    end).

up(Name) -> merlon_linked:note(#{carrier => merlon, identity => {node, <<"shop">>, Name, <<"host">>}}).

kept(File) ->
    {ok, Bytes} = file:read_file(File),
    lists:sort(binary:split(Bytes, <<"\n">>, [global, trim_all])).

%% As if all had been seen in the file long ago.
later() ->
    [ets:insert(merlon_linked, {Line, erlang:monotonic_time(millisecond) - 3600000}) || {Line, _} <- ets:tab2list(merlon_linked)].

each_node_is_kept_once_test() ->
    with_dir(fun(_Dir, File) ->
        [ok = up(Name) || Name <- [<<"a">>, <<"b">>, <<"a">>]],
        ?assertEqual([<<"a@host">>, <<"b@host">>], kept(File)),
        _ = later(),
        [ok = up(Name) || Name <- [<<"b">>, <<"a">>]],
        ?assertEqual([<<"a@host">>, <<"b@host">>], kept(File)),
        ?assert(merlon_linked:is_known(<<"a@host">>, plain)),
        ?assertNot(merlon_linked:is_known(<<"c@host">>, plain))
    end).

%% Many links at once read the file once, not each of them.
what_was_seen_just_now_is_not_looked_for_again_test() ->
    with_dir(fun(_Dir, File) ->
        [ok = up(Name) || Name <- [<<"a">>, <<"b">>]],
        _ = later(),
        ok = up(<<"a">>),
        ok = file:delete(File),
        [ok = up(Name) || Name <- [<<"a">>, <<"b">>]],
        ?assertNot(filelib:is_file(File)),
        ?assert(merlon_linked:is_known(<<"b@host">>, plain))
    end).

what_is_gone_from_the_file_is_written_again_test() ->
    with_dir(fun(_Dir, File) ->
        [ok = up(Name) || Name <- [<<"a">>, <<"b">>]],
        ok = file:write_file(File, "b@host\n"),
        _ = later(),
        [ok = up(Name) || Name <- [<<"a">>, <<"b">>]],
        ?assertEqual([<<"a@host">>, <<"b@host">>], kept(File))
    end).

%% Nothing counts as kept that could not be written.
what_can_not_be_written_is_tried_again_at_the_next_link_test() ->
    with_dir(fun(_Dir, File) ->
        ok = file:make_dir(File),
        ok = up(<<"a">>),
        ok = file:del_dir(File),
        ok = up(<<"a">>),
        ?assertEqual([<<"a@host">>], kept(File))
    end).
