%% SPDX-License-Identifier: Apache-2.0
%% The machine with the CA is lost in the midst of a rotation of the root (docs/guides/identity.md, When the CA is lost midway).
-module(merlon_roots_lost_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_backup_of_during_a_rotation_goes_on_with_it/1, a_backup_of_during_a_rotation_that_was_finished_since_is_brought_to_its_end/1,
         a_backup_of_before_a_rotation_begins_another_one/1]).

-import(merlon_roots_ct, [three/1, rotate/2, rotate/3, roots/1, ca_id/1]).
-import(merlon_live_ct, [dir_of/2]).

suite() -> [{timetrap, {seconds, 90}}].

all() -> [a_backup_of_during_a_rotation_goes_on_with_it, a_backup_of_during_a_rotation_that_was_finished_since_is_brought_to_its_end,
          a_backup_of_before_a_rotation_begins_another_one].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

says(Text, Pattern) -> {_, match} = {Text, re:run(Text, Pattern, [{capture, none}])}.

saved(Dir) ->
    "" = os:cmd("cp -a " ++ Dir ++ " " ++ Dir ++ ".backup"),
    ok.

%% Another machine in the place of the one that is gone.
restored(Config, Dir, [A | Others]) ->
    ok = merlon_ct:drop(A),
    ok = file:del_dir_r(Dir),
    ok = file:rename(Dir ++ ".backup", Dir),
    [merlon_roots_ct:again(Config, Dir, name(A)) | Others].

linked([A | Others]) ->
    [ok = merlon_ct:connect(A, Vm) || Vm <- Others],
    ok.

%% It is behind what the nodes were told.
a_backup_of_during_a_rotation_goes_on_with_it(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--until", "trust"]),
    ok = saved(Dir),
    _ = rotate(Dir, ["--until", "issue"]),
    New = ca_id(Dir),
    Again = restored(Config, Dir, Vms),
    true = New =/= ca_id(Dir),
    ok = linked(Again),
    _ = rotate(Dir, ["--wait", "30s"]),
    New = ca_id(Dir),
    [[New] = roots(Vm) || Vm <- Again].

%% Nobody links with what it has, nor tells it anything.
a_backup_of_during_a_rotation_that_was_finished_since_is_brought_to_its_end(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--until", "trust"]),
    ok = saved(Dir),
    _ = rotate(Dir, []),
    New = ca_id(Dir),
    [A, B | _] = Again = restored(Config, Dir, Vms),
    false = merlon_ct:call(A, net_kernel, connect_node, [name(B)]),
    says(rotate(Dir, ["--wait", "1s"], 1), "is not linked"),
    %% As if it was cut off when the new root had just begun to issue: tokens made since name that one, and stay.
    {ok, #{new := Next}} = merlon_ca_files:rotation(Dir),
    ok = merlon_dir_write:locked(list_to_binary(Dir), fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Next) end),
    Token = merlon_join_ct:decoded(merlon_join_ct:token(Dir, ["late@here"])),
    says(rotate(Dir, ["--force", "--wait", "30s"]), "The root is rotated"),
    open = merlon_join_ct:state(Dir, Token),
    ok = linked(Again),
    [[New] = roots(Vm) || Vm <- Again].

%% The nodes stand on a root whose key is gone for good.
a_backup_of_before_a_rotation_begins_another_one(Config) ->
    {Dir, Vms} = three(Config),
    Old = ca_id(Dir),
    ok = saved(Dir),
    _ = rotate(Dir, ["--until", "issue"]),
    Lost = ca_id(Dir),
    %% Others have certificates of a root that it has never heard of.
    [B | _] = tl(Vms),
    _ = os:cmd("cp -a " ++ dir_of(Dir, name(B)) ++ "/trust " ++ dir_of(Dir, name(B)) ++ "/rotation " ++ Dir ++ ".backup/"),
    [A | Others] = Again = restored(Config, Dir, Vms),
    ok = linked(Again),
    Old = ca_id(Dir),
    says(rotate(Dir, [], 1), "if it is lost for good.*--anew"),
    _ = rotate(Dir, ["--anew", "--until", "trust", "--wait", "30s"]),
    %% Once it is begun, it is as any other.
    says(rotate(Dir, ["--wait", "30s"]), "The root is rotated"),
    New = ca_id(Dir),
    [true = lists:sort([New, Lost]) =:= roots(Vm) || Vm <- Again],
    %% No node drops the root that its own certificate needs; then a certificate by a new token, and the lost root goes by hand.
    Port = merlon_join_ct:service(Dir),
    [ok = freed(Dir, Vm, Lost, Port) || Vm <- Others],
    [ok = untrusted(Own, Lost) || Own <- [Dir | [dir_of(Dir, name(Vm)) || Vm <- Others]]],
    %% A join puts the root beside a file that has it already.
    [merlon_peers:wait(fun() -> lists:usort(roots(Vm)) =:= [New] end, 10000) || Vm <- Again],
    %% What was said of it brings it back nowhere.
    timer:sleep(3000),
    [[New] = lists:usort(roots(Vm)) || Vm <- Again],
    [true = merlon_ct:link_of(A, name(Vm)) =/= none || Vm <- Others].

freed(Dir, Vm, Lost, Port) ->
    {Own, Node} = {dir_of(Dir, name(Vm)), atom_to_list(name(Vm))},
    ok = untrusted(Own, Lost),
    {error, _} = merlon_live_ct:reload(Vm),
    true = lists:member(Lost, roots(Vm)),
    Token = merlon_join_ct:at(merlon_join_ct:decoded(merlon_join_ct:token(Dir, [Node])), Port),
    ok = file:rename(filename:join([Own, "nodes", Node]), filename:join(Own, "before")),
    {{ok, _}, Own} = merlon_join_ct:join(Token, list_to_binary(Node), Own),
    merlon_live_ct:taken(Vm).

%% As the guide has it: in whatever file it is, as a join brings what the CA's node still trusts.
untrusted(Dir, Root) ->
    Found = [File || File <- filelib:wildcard(filename:join([Dir, "trust", "*.pem"])), {ok, Pem} <- [file:read_file(File)],
                     merlon_roots_ct:id(Pem) =:= Root],
    [_ | _] = Found,
    lists:foreach(fun(File) -> ok = file:delete(File) end, Found).
