%% SPDX-License-Identifier: Apache-2.0
%% Cookies keep the meaning that they have on every carrier, though none is ever sent.
-module(merlon_cookie_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_wrong_cookie_is_refused/1, a_cookie_for_one_node_is_for_that_node/1,
         a_cookie_can_change_while_links_are_up/1, the_cookie_that_the_user_set_is_the_one_shown/1,
         any_word_is_a_cookie/1, no_cookie_is_no_secret/1,
          a_cookie_may_be_given_for_a_node_at_start/1,
         reconnecting_makes_no_atoms/1, tools_share_a_cookie/1,
         the_registry_survives_nonsense_and_shows_no_cookie/1]).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_wrong_cookie_is_refused, a_cookie_for_one_node_is_for_that_node,
     a_cookie_can_change_while_links_are_up, the_cookie_that_the_user_set_is_the_one_shown,
     any_word_is_a_cookie, no_cookie_is_no_secret,
     a_cookie_may_be_given_for_a_node_at_start, reconnecting_makes_no_atoms,
     tools_share_a_cookie, the_registry_survives_nonsense_and_shows_no_cookie].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

vms(Config, Bases) ->
    %% Only the tests dial.
    merlon_ct:start_all(Config, Bases, ["-connect_all", "false",
                                        "-kernel", "dist_auto_connect", "never"]).

set(Vm, Args) -> true = merlon_ct:call(Vm, erlang, set_cookie, Args).

dial(Vm, {_, Node, _}) -> merlon_ct:call(Vm, net_kernel, connect_node, [Node]).

%% The side that was dialled knows of the link a little later.
disconnect(A, {_, NodeB, _} = B) ->
    merlon_peers:wait(fun() -> lists:member(NodeB, merlon_ct:call(A, erlang, nodes, [connected])) end),
    merlon_ct:unlink(A, B).

refusals({Peer, _, _}) ->
    [{maps:get(side, Report), maps:get(reason, Report)}
     || #{event := refused} = Report <- merlon_peers:log(Peer)].

a_wrong_cookie_is_refused(Config) ->
    [A, B, C] = vms(Config, ["a", "b", "c"]),
    set(A, [wrong]),
    [] = [true || _ <- [1, 2, 3], dial(A, B)],
    [{dial, wrong_proof} | _] = refusals(A),
    [{accept, proof_refused} | _] = refusals(B),
    false = dial(B, A),
    true = dial(C, B),
    [] = merlon_ct:links(A),
    [ok = merlon_ct:alive(Vm) || Vm <- [A, B, C]].

a_cookie_for_one_node_is_for_that_node(Config) ->
    [{_, NodeA, _} = A, {_, NodeB, _} = B, C] = vms(Config, ["a", "b", "c"]),
    set(A, [NodeB, special]),
    false = dial(A, B),
    false = dial(B, A),
    true = dial(A, C),
    true = dial(C, B),
    set(B, [NodeA, special]),
    true = dial(A, B),
    [begin disconnect(A, B), true = dial(From, To) end || {From, To} <- [{B, A}, {A, B}, {B, A}]],
    %% Taken back on one side, it no longer opens.
    disconnect(A, B),
    set(B, [NodeA, merlontest]),
    false = dial(A, B),
    set(A, [NodeB, merlontest]),
    true = dial(A, B).

a_cookie_can_change_while_links_are_up(Config) ->
    [A, {_, NodeB, _} = B] = vms(Config, ["a", "b"]),
    true = dial(A, B),
    set(A, [changed]),
    ok = merlon_ct:call(A, merlon_work, echo, [NodeB, still_up]),
    disconnect(A, B),
    false = dial(A, B),
    false = dial(B, A),
    set(B, [changed]),
    true = dial(A, B),
    set(A, [merlontest]),
    set(B, [merlontest]),
    disconnect(A, B),
    true = dial(B, A).

%% The cookie that is derived for a pair of nodes is nobody's business but the carrier's.
the_cookie_that_the_user_set_is_the_one_shown(Config) ->
    [A, B] = vms(Config, ["a", "b"]),
    true = dial(A, B),
    [merlontest = merlon_ct:call(Vm, erlang, get_cookie, []) || Vm <- [A, B]],
    {_, NodeB, _} = B,
    Derived = merlon_ct:call(A, erlang, get_cookie, [NodeB]),
    true = Derived =/= merlontest,
    disconnect(A, B),
    %% Who uses the derived one as a secret gets nowhere.
    set(A, [Derived]),
    false = dial(A, B).

any_word_is_a_cookie(Config) ->
    [A, B] = vms(Config, ["a", "b"]),
    [begin
         set(A, [Cookie]),
         false = dial(A, B),
         set(B, [Cookie]),
         {Cookie, true} = {Cookie, dial(A, B)},
         disconnect(A, B)
     end || Cookie <- ['NONE', '*', 'with space', list_to_atom([233, 1080]),
                       list_to_atom(lists:duplicate(255, $x))]].

%% Two nodes without one have nothing in common.
no_cookie_is_no_secret(Config) ->
    [A, B] = vms(Config, ["a", "b"]),
    [begin
         [set(Vm, [None]) || Vm <- [A, B]],
         [false, false] = [dial(A, B), dial(B, A)]
     end || None <- [nocookie, '']],
    [{dial, no_cookie} | _] = refusals(A),
    set(A, [merlontest]),
    false = dial(A, B),
    true = lists:member({accept, no_cookie}, refusals(B)),
    set(B, [merlontest]),
    true = dial(A, B).

a_cookie_may_be_given_for_a_node_at_start(Config) ->
    [{_, NodeA, _} = A] = vms(Config, ["a"]),
    Node = merlon_peers:node(merlon_peers:name("b")),
    B = merlon_ct:start(Config, Node, ["-connect_all", "false",
                                       "-setcookie", atom_to_list(NodeA), "special"], #{}),
    false = dial(A, B),
    set(A, [Node, special]),
    true = dial(A, B).

reconnecting_makes_no_atoms(Config) ->
    [A, {_, NodeB, _} = B] =
        merlon_ct:start_all(Config, ["z", "a"], ["-connect_all", "false",
                                                 "-kernel", "dist_auto_connect", "never"]),
    _ = merlon_ct:call(A, merlon_work, cycles, [NodeB, 10]),
    Atoms = fun() -> [merlon_ct:call(Vm, erlang, system_info, [atom_count]) || Vm <- [A, B]] end,
    Before = Atoms(),
    _ = merlon_ct:call(A, merlon_work, cycles, [NodeB, 100]),
    ct:log("~p ~p", [Before, Atoms()]),
    [] = [More || {Was, Is} <- lists:zip(Before, Atoms()), More <- [Is - Was], More > 5].

%% Each run of a tool has a name of its own: that must not make a cookie atom each.
tools_share_a_cookie(Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "tools"),
    ok = merlon_peers:add_cli(Dir, "bob", "127.0.0.1"),
    Server = merlon_peers:node(merlon_peers:name("server")),
    {_, Node, _} = A = merlon_ct:start(Config, Server, [], #{dir => Dir}),
    Tools = [list_to_atom(lists:concat(["rpc-", N, "-", Node])) || N <- ["a0b1", "c2d3"]],
    Cookies = [begin
                   Vm = merlon_ct:start(Config, Tool, ["-hidden"], #{dir => Dir, certify => false}),
                   true = dial(Vm, A),
                   merlon_peers:wait(fun() -> merlon_ct:link_of(A, Tool) =/= none end),
                   Cookie = merlon_ct:call(A, auth, get_cookie, [Tool]),
                   Cookie = merlon_ct:call(Vm, auth, get_cookie, [Node]),
                   Cookie
               end || Tool <- Tools],
    [Shared, Shared] = Cookies,
    true = Shared =/= merlon_ct:call(A, auth, get_cookie, []).

the_registry_survives_nonsense_and_shows_no_cookie(Config) ->
    [A, {_, NodeB, _} = B] = vms(Config, ["a", "b"]),
    true = dial(A, B),
    {error, unknown_call} = merlon_ct:call(A, gen_server, call, [merlon_registry, nonsense]),
    Cookies = [atom_to_list(merlon_ct:call(A, auth, get_cookie, Args)) || Args <- [[], [NodeB]]],
    Shown = [merlon_ct:call(A, sys, get_status, [merlon_registry]),
             merlon_ct:call(A, sys, get_state, [merlon_registry])],
    Text = lists:flatten(io_lib:format("~p", [Shown])),
    [nomatch = string:find(Text, Cookie) || Cookie <- Cookies],
    ok.
