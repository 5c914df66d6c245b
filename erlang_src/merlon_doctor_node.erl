%% SPDX-License-Identifier: Apache-2.0
%% The doctor's handshake with a node: merlon:explain/1 in a VM of its own, so that neither a node has to run here nor a
%% link comes of it.
-module(merlon_doctor_node).

-export([handshake/2, cookie/1]).

-define(EXPLAIN, 90000).

-spec handshake(Node :: string(), #{dir => string(), as => string(), cookie => string()}) -> [merlon_doctor:line()].
handshake(Node, Options) ->
    case {re:run(Node, "\\A[^@\\s\\x00-\\x1f]{1,200}@[^@\\s\\x00-\\x1f]{1,200}\\z", [{capture, none}]), dir(Options)} of
        {nomatch, _} -> [{node, fail, "that is no node's name: it has to be NAME@HOST"}];
        {match, {error, Text}} -> [{node, fail, Text}];
        {match, {ok, Dir}} -> from(Node, Options#{dir => Dir, carrier => merlon})
    end.

dir(#{dir := Dir}) -> {ok, filename:absname(Dir)};
dir(_) ->
    case merlon_dir:find() of
        {ok, _} = Found -> Found;
        {error, Reason} -> {error, merlon_dir:format_error(Reason)}
    end.

from(Node, Options) ->
    case merlon_tool_vm:name(Node, Options) of
        {ok, Own} -> started(Node, Own, merlon_tool_vm:start(maps:merge(maps:with([dir, carrier], Options), with(Own, Options))));
        {error, Text} -> [{node, fail, Text}]
    end.

with(Own, Options) ->
    case cookie(Options) of
        {ok, Cookie} -> #{name => Own, cookie => Cookie};
        none -> #{name => Own}
    end.

%% The cookie of that file, of the user's if none is named. It stays in a fun.
-spec cookie(#{cookie => string(), _ => _}) -> {ok, fun(() -> binary())} | none.
cookie(Options) ->
    case merlon_cookie:read(maps:get(cookie, Options, merlon_cookie:default_file())) of
        {ok, Cookie} -> {ok, fun() -> Cookie end};
        {error, _} -> none
    end.

started(_Node, _Own, {error, Text}) -> [{node, fail, Text}];
started(Node, Own, {ok, Vm}) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because the operator has typed the name
    try merlon_tool_vm:call(Vm, merlon, explain, [list_to_atom(Node)], ?EXPLAIN) of
        #{steps := Steps} -> [{node, ok, ["dialled as ", Own]} | [step(Step) || Step <- Steps]]
    catch
        _:_ -> [{node, fail, "the handshake has not come to an end: try it again, and look at the node's log"}]
    after
        merlon_tool_vm:stop(Vm)
    end.

step({Step, ok, Text}) -> {Step, ok, Text};
step({Step, failed, Text}) -> {Step, fail, Text}.
