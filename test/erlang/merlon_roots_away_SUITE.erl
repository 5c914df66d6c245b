%% SPDX-License-Identifier: Apache-2.0
%% Nodes that were left out of a stage of a rotation, and come back.
-module(merlon_roots_away_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_node_left_out_of_a_rollback_trusts_its_root_no_more/1,
         a_node_left_out_of_the_first_stage_is_told_why_it_is_refused_in_the_second/1]).

-import(merlon_roots_ct, [three/1, rotate/2, roots/1, ca_id/1]).
-import(merlon_live_ct, [events/2]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_node_left_out_of_a_rollback_trusts_its_root_no_more,
     a_node_left_out_of_the_first_stage_is_told_why_it_is_refused_in_the_second].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

without(Vm) -> ["--without", atom_to_list(name(Vm)), "--wait", "30s"].

next_id(Dir) ->
    {ok, Pem} = file:read_file(filename:join([Dir, "ca", "next.pem"])),
    merlon_roots_ct:id(Pem).

%% It hears of the next rotation first, or as well: of one old root there are several words then.
a_node_left_out_of_a_rollback_trusts_its_root_no_more(Config) ->
    {Dir, [A, B, C]} = three(Config),
    Old = ca_id(Dir),
    _ = rotate(Dir, ["--until", "trust", "--wait", "30s"]),
    First = next_id(Dir),
    true = lists:member(First, roots(C)),
    ok = merlon_ct:drop(C),
    _ = rotate(Dir, ["--rollback" | without(C)]),
    _ = rotate(Dir, ["--until", "trust" | without(C)]),
    Second = next_id(Dir),
    Back = merlon_roots_ct:again_away(Config, Dir, name(C)),
    [ok = merlon_ct:connect(Back, Vm) || Vm <- [A, B]],
    ok = merlon_live_ct:within(15000, fun() -> roots(Back) =:= lists:sort([Old, Second]) end),
    _ = rotate(Dir, ["--wait", "30s"]),
    [[Second] = roots(Vm) || Vm <- [A, B, Back]].

%% Others have certificates of a root then that it has never heard of, and over no link can it hear of that.
a_node_left_out_of_the_first_stage_is_told_why_it_is_refused_in_the_second(Config) ->
    {Dir, [A, _, C]} = three(Config),
    Old = ca_id(Dir),
    ok = merlon_ct:drop(C),
    _ = rotate(Dir, ["--until", "issue" | without(C)]),
    Back = merlon_roots_ct:again_away(Config, Dir, name(C)),
    false = merlon_ct:call(Back, net_kernel, connect_node, [name(A)]),
    merlon_peers:wait(fun() -> told(A, "is being rotated.*merlon cert NODE --force") end, 10000),
    %% That, or back.
    _ = rotate(Dir, ["--rollback" | without(C)]),
    Old = ca_id(Dir),
    ok = merlon_ct:connect(Back, A),
    [Old] = roots(Back).

told(Vm, Pattern) ->
    lists:any(fun(#{text := Text}) -> re:run(Text, Pattern, [{capture, none}]) =:= match end, events(Vm, refused)).
