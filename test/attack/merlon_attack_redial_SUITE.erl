%% SPDX-License-Identifier: Apache-2.0
%% Nodes that are to stay apart: nothing of merlon makes a link, neither what it has to say to a node that was disconnected a moment ago,
%% nor its answer to a question that a peer has asked in the name of another node. The nodes dial at every message, as nodes do by default.
-module(merlon_attack_redial_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([who_is_disconnected_stays_so/1, an_answer_after_a_disconnect_makes_no_link/1,
         a_question_in_the_name_of_another_makes_no_link/1, a_question_to_who_is_not_linked_makes_no_link/1,
         a_question_ends_with_its_link/1, who_does_not_read_holds_up_no_server/1]).

-import(merlon_live_ct, [dir/1, dir_of/2, node_away/2, events/2, revoke/2, taken/1]).

%% All that a peer can reach by name, and to each of them questions that it answers.
-define(SERVERS, [merlon_ca, merlon_crl, merlon_enroll, merlon_epmd, merlon_names, merlon_registry, merlon_reload, merlon_renew,
                  merlon_repeats, merlon_reprove, merlon_roots, merlon_rotate, merlon_secrets_watch, merlon_status, merlon_status_http]).
-define(QUESTIONS, [{merlon_ca, issues}, {merlon_crl, counts}, {merlon_enroll, {admit, nobody}}, {merlon_epmd, registered},
                    {merlon_names, {keeps, inet}}, {merlon_registry, {secret, node()}}, {merlon_reload, reload},
                    {merlon_renew, {renew, by_hand}}, {merlon_roots, counts}, {merlon_rotate, status},
                    {merlon_rotate, {rotate, #{grace => 0, skew => 0}}}, {merlon_secrets_watch, refresh}, {merlon_status, seen},
                    {merlon_status_http, address}]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [who_is_disconnected_stays_so, an_answer_after_a_disconnect_makes_no_link,
     a_question_in_the_name_of_another_makes_no_link, a_question_to_who_is_not_linked_makes_no_link,
     a_question_ends_with_its_link, who_does_not_read_holds_up_no_server].

%% Three nodes on machines of their own, which have a revocation list to offer to whoever they are linked to.
init_per_suite(Config0) ->
    Config = merlon_ct:open(Config0),
    Dir = dir(Config),
    Gone = merlon_peers:node(merlon_peers:name("gone")),
    ok = merlon_peers:add_node(Dir, Gone),
    ok = revoke(Dir, [Gone]),
    [{nodes, [with_servers(with_list(node_away(Config, Dir), Dir)) || _ <- "abc"]} | Config].

%% Those, too, that only some nodes have.
with_servers(Vm) ->
    [{ok, _} = merlon_ct:call(Vm, gen_server, start, [{local, Server}, Server, [], []])
     || Server <- [merlon_epmd, merlon_status, merlon_status_http]],
    ?SERVERS = [Name || Name <- lists:sort(merlon_ct:call(Vm, erlang, registered, [])), lists:prefix("merlon_", atom_to_list(Name)),
                        merlon_ct:call(Vm, erlang, function_exported, [Name, handle_call, 3])],
    Vm.

with_list(Vm, Dir) ->
    {ok, _} = file:copy(filename:join(Dir, "crl.pem"), filename:join(dir_of(Dir, name(Vm)), "crl.pem")),
    ok = taken(Vm),
    Vm.

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) ->
    [A, B, C] = three(Config),
    [merlon_ct:unlink(X, Y) || {X, Y} <- [{A, B}, {A, C}, {B, C}]].

three(Config) -> proplists:get_value(nodes, Config).

name({_, Node, _}) -> Node.

linked(Vm) -> merlon_ct:call(Vm, erlang, nodes, [connected]).

links_made(Vm) -> length(events(Vm, link_up)).

%% Neither has made a link since there were so many.
still_apart(Counted) ->
    timer:sleep(500),
    [{true, []} = {links_made(Vm) =< Count, linked(Vm)} || {Vm, Count} <- Counted].

counted(Vms) -> [{Vm, links_made(Vm)} || Vm <- Vms].

server(Vm, Server) -> merlon_ct:call(Vm, erlang, whereis, [Server]).

%% ---- after a disconnect ----

%% Each link begins with offers and answers, which the disconnect meets under way. net_kernel hears of a link, and of its end, later
%% than nodes/1 knows: until then it says no, and neither cuts nor dials.
who_is_disconnected_stays_so(Config) ->
    [A, B, _] = three(Config),
    Before = counted([A, B]),
    [begin
         Asks = fun(Vm, M, F, Node) -> merlon_peers:wait(fun() -> merlon_ct:call(Vm, M, F, [Node]) end) end,
         Asks(A, net_kernel, connect_node, name(B)),
         merlon_peers:wait(fun() -> {linked(A), linked(B)} =:= {[name(B)], [name(A)]} end), % who is dialled may be later
         timer:sleep(Round div 2),
         Asks(Ends, erlang, disconnect_node, name(Other)),
         merlon_peers:wait(fun() -> {[], []} =:= {linked(A), linked(B)} end)
     end || Round <- lists:seq(1, 10), {Ends, Other} <- [{A, B}, {B, A}]],
    still_apart([{Vm, Count + 20} || {Vm, Count} <- Before]).

an_answer_after_a_disconnect_makes_no_link(Config) ->
    [A, B, _] = three(Config),
    ok = merlon_ct:connect(A, B),
    Asked = ?SERVERS -- [merlon_registry], % by which the test sees links
    [ok = merlon_ct:call(B, sys, suspend, [Server]) || Server <- Asked],
    Ref = merlon_ct:call(A, erlang, make_ref, []),
    [question(A, {Server, name(B)}, {server(A, Server), Ref}, whatever) || Server <- Asked],
    ok = merlon_ct:call(A, merlon_work, echo, [name(B), they_are_there]),
    ok = merlon_ct:unlink(A, B),
    Apart = counted([A, B]),
    [ok = merlon_ct:call(B, sys, resume, [Server]) || Server <- Asked],
    [merlon_ct:call(B, sys, get_state, [Server]) || Server <- Asked], % it has answered
    still_apart(Apart).

%% ---- in the name of another ----

%% Who sends a message is what the message says: B makes A answer to C.
a_question_in_the_name_of_another_makes_no_link(Config) ->
    [A, B, C] = three(Config),
    ok = merlon_ct:connect(A, B),
    Apart = counted([A, C]),
    Pid = server(C, merlon_ca),
    Ref = merlon_ct:call(C, erlang, make_ref, []),
    [question(B, {Server, name(A)}, {Pid, Tag}, whatever) || Server <- ?SERVERS, Tag <- [Ref, [alias | Ref], [[alias | Ref], more]]],
    [{error, _} = merlon_ct:call(B, gen_server, call, [{Server, name(A)}, whatever]) || Server <- ?SERVERS],
    [begin
         _ = question(B, {Server, name(A)}, {Pid, Ref}, Question),
         Answer = merlon_ct:call(B, gen_server, call, [{Server, name(A)}, Question, 30000]),
         {Server, false} = {Server, lists:member(Answer, [{error, bad_request}, {error, unknown_call}])}
     end || {Server, Question} <- ?QUESTIONS],
    [] = ?SERVERS -- [merlon_repeats, merlon_reprove | [Server || {Server, _} <- ?QUESTIONS]], % which answer none
    timer:sleep(500),
    {_, []} = {C, linked(C)},
    [{Vm, Count} = {Vm, links_made(Vm)} || {Vm, Count} <- Apart].

question(Vm, To, From, Question) -> merlon_ct:call(Vm, erlang, send, [To, {'$gen_call', From, Question}]).

%% ---- what merlon itself asks ----

a_question_to_who_is_not_linked_makes_no_link(Config) ->
    [A, B, _] = three(Config),
    Apart = counted([A, B]),
    {Time, none} = timer:tc(fun() -> ask(A, [merlon_crl, name(B), whatever, 10000]) end),
    true = Time < 2000000,
    ok = merlon_ct:call(A, merlon_ask, cast, [merlon_crl, name(B), whatever]),
    still_apart(Apart),
    %% Of this very node too there may be nobody to ask.
    {ok, {error, bad_request}} = ask(A, [merlon_crl, name(A), whatever, 10000]),
    none = ask(A, [merlon_none, name(A), whatever, 10000]).

a_question_ends_with_its_link(Config) ->
    [A, B, _] = three(Config),
    ok = merlon_ct:connect(A, B),
    {ok, {error, bad_request}} = ask(A, [merlon_crl, name(B), whatever, 10000]),
    ok = merlon_ct:call(B, sys, suspend, [merlon_crl]),
    {_, Ref} = spawn_monitor(fun() -> exit(timer:tc(fun() -> ask(A, [merlon_crl, name(B), whatever, 30000]) end)) end),
    timer:sleep(300),
    ok = merlon_ct:unlink(A, B),
    receive {'DOWN', Ref, process, _, {Time, none}} -> true = Time < 5000000 end,
    Apart = counted([A, B]),
    ok = merlon_ct:call(B, sys, resume, [merlon_crl]),
    still_apart(Apart).

ask(Vm, Args) -> merlon_ct:call(Vm, merlon_ask, call, Args).

%% B asks and then stands still: what A has to say to it does not go out any more, and C is answered all the same.
who_does_not_read_holds_up_no_server(Config) ->
    [A, B, C] = three(Config),
    [ok = merlon_ct:connect(A, Vm) || Vm <- [B, C]],
    Asker = server(B, merlon_ca),
    ok = merlon_ct:signal(B, "STOP"),
    Full = merlon_ct:call(A, merlon_work, flood, [name(B), 65536, 1000]),
    merlon_peers:wait(fun() -> merlon_ct:call(A, erlang, process_info, [Full, status]) =:= {status, suspended} end),
    [begin
         _ = question(A, Server, {Asker, make_ref()}, whatever),
         {error, _} = merlon_ct:call(C, gen_server, call, [{Server, name(A)}, whatever, 3000])
     end || Server <- ?SERVERS],
    ok = merlon_ct:signal(B, "CONT").
