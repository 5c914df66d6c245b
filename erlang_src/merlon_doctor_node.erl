%% SPDX-License-Identifier: Apache-2.0
%% The doctor's handshake with a node: what `merlon explain` does, as this user's tool or a node of the dir.
-module(merlon_doctor_node).

-export([handshake/2, cookie/1]).

-spec handshake(Node :: string(), #{dir => string(), as => string(), cookie => string()}) -> [merlon_doctor:line()].
handshake(Node, Options) ->
    case {merlon_nif:load(), re:run(Node, "\\A[^@\\s\\x00-\\x1f]{1,200}@[^@\\s\\x00-\\x1f]{1,200}\\z", [{capture, none}]), dir(Options)} of
        {{error, _}, _, _} -> [{node, fail, "nobody can be dialled without the native library: mend that first"}];
        {ok, nomatch, _} -> [{node, fail, "that is no node's name: it has to be NAME@HOST"}];
        {ok, match, {error, Text}} -> [{node, fail, Text}];
        %% merlon: allow dynamic_atom until 2027-11-30 because the operator has typed the name
        {ok, match, {ok, Dir}} -> asked(merlon_registry:listening(), list_to_atom(Node), Options#{dir => Dir, carrier => merlon})
    end.

dir(#{dir := Dir}) -> {ok, filename:absname(Dir)};
dir(_) ->
    case merlon_dir:find() of
        {ok, _} = Found -> Found;
        {error, Reason} -> {error, merlon_dir:format_error(Reason)}
    end.

%% A mix task may run in a node.
asked(true, Node, _Options) -> told({ok, merlon_explain:explain(Node)}, atom_to_list(node()));
asked(false, Node, #{dir := Dir} = Options) ->
    case {merlon_tool_vm:name(atom_to_list(Node), Options), merlon_config:load(Dir)} of
        {{ok, Own}, {ok, Config}} ->
            [Name, Host] = string:split(Own, "@"),
            told(merlon_explain_as:explain(Node, {Name, Host}, Config, maps:with([cookie], Options)), Own);
        {{error, Text}, _} -> [{node, fail, Text}];
        {_, {error, {config, Reason}}} -> [{node, fail, merlon_config:format_error(Reason)}]
    end.

told({ok, #{steps := Steps}}, Own) -> [{node, ok, ["dialled as ", Own]} | [step(Step) || Step <- Steps]];
told({error, {refused, Text}}, _Own) -> [{node, fail, Text}];
told({error, Reason}, _Own) -> [{node, fail, merlon_identity:format_error(Reason)}].

step({Step, ok, Text}) -> {Step, ok, Text};
step({Step, failed, Text}) -> {Step, fail, Text}.

%% The cookie of that file, of the user's if none is named. It stays in a fun.
-spec cookie(#{cookie => string(), _ => _}) -> {ok, fun(() -> binary())} | none.
cookie(Options) ->
    case merlon_cookie:read(maps:get(cookie, Options, merlon_cookie:default_file())) of
        {ok, Cookie} -> {ok, fun() -> Cookie end};
        {error, _} -> none
    end.
