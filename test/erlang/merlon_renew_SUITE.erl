%% SPDX-License-Identifier: Apache-2.0
%% Certificates that follow each other: in time, by themselves, for nobody but who has the one before.
-module(merlon_renew_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_node_has_its_next_certificate_in_time_and_loses_no_link/1,
         a_node_that_finds_no_ca_warns_and_asks_when_one_comes/1,
         a_node_is_not_renewed_where_that_is_not_wanted/1,
         a_node_is_renewed_by_hand/1,
         what_a_ca_that_lies_gives_is_not_used/1,
         a_renewal_undoes_nothing_that_was_put_there_meanwhile/1,
         a_node_killed_while_it_writes_has_a_certificate_with_its_key/1]).
-export([write_for_ever/2, answer_with/1, answer_after/3, supervisor/0]).

-import(merlon_live_ct, [dir/1, node_in/2, node_away/2, node_away/3, dir_of/2, events/2, downs/1, watch/1, config/2,
                         fingerprint/1]).
-import(merlon_renew_ct, [three/2, request/3, ask/3, file/3, read/1]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_node_has_its_next_certificate_in_time_and_loses_no_link,
     a_node_that_finds_no_ca_warns_and_asks_when_one_comes, a_node_is_not_renewed_where_that_is_not_wanted,
     a_node_is_renewed_by_hand, what_a_ca_that_lies_gives_is_not_used,
     a_renewal_undoes_nothing_that_was_put_there_meanwhile,
     a_node_killed_while_it_writes_has_a_certificate_with_its_key].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

shown(At, Vm) ->
    #{fingerprint := Fingerprint} = merlon_ct:the_link(At, name(Vm)),
    Fingerprint.

%% ---- in time ----

a_node_has_its_next_certificate_in_time_and_loses_no_link(Config) ->
    {Dir, Ca, B, C} = three(Config, #{life => 40, ips => [<<"192.0.2.7">>], alg => p384}),
    Own = dir_of(Dir, name(B)),
    [OldKey, OldCert] = [read(file(Own, B, Name)) || Name <- ["key.pem", "cert.pem"]],
    Old = shown(C, B),
    ok = watch(C),
    ok = merlon_ct:connect(B, Ca),
    merlon_peers:wait(fun() -> events(B, renewed) =/= [] end, 20000),
    [#{node := Issuer, not_after := End, fingerprint := New}] = events(B, renewed),
    Issuer = name(Ca),
    true = End > erlang:system_time(second) + 80000,
    %% All is as before, but for the key, the time and the number.
    [NewKey, NewCert] = [read(file(Own, B, Name)) || Name <- ["key.pem", "cert.pem"]],
    true = NewKey =/= OldKey,
    {ok, [Before]} = merlon_nif:pki_inspect(OldCert),
    {ok, [After]} = merlon_nif:pki_inspect(NewCert),
    Same = [uris, dns, ips, eku, key_usage, key_alg, issuer, subject],
    true = maps:with(Same, Before) =:= maps:with(Same, After),
    {ok, Entries} = merlon_issued:known(list_to_binary(Dir), atom_to_binary(name(B))),
    [_] = [Entry || #{serial := Serial} = Entry <- Entries, Serial =:= maps:get(serial, After)],
    [#{fingerprint := New}] = events(Ca, issued),
    %% The link is the same; the next one has the new certificate.
    true = shown(C, B) =:= Old orelse shown(C, B) =:= New,
    [] = downs(C),
    ok = merlon_ct:unlink(C, B),
    ok = merlon_ct:connect(C, B),
    New = shown(C, B),
    %% It and the others now have all the time they need.
    timer:sleep(3000),
    [_] = events(B, renewed),
    [] = events(C, renewed) ++ events(Ca, renewed).

a_node_that_finds_no_ca_warns_and_asks_when_one_comes(Config) ->
    Dir = dir(Config),
    B = node_away(Config, Dir, #{life => 60}),
    C = node_away(Config, Dir),
    ok = merlon_ct:connect(B, C),
    merlon_peers:wait(fun() -> events(B, renew_failed) =/= [] end, 15000),
    [#{level := warning, text := Text}] = events(B, renew_failed),
    {match, _} = re:run(Text, "holds the CA's key"),
    {error, {renew, no_issuer}} = merlon_ct:call(B, merlon, renew, []),
    [_] = events(B, renew_failed), % once a day
    Ca = node_in(Config, Dir),
    ok = merlon_ct:connect(B, Ca),
    merlon_peers:wait(fun() -> events(B, renewed) =/= [] end, 8000).

a_node_is_not_renewed_where_that_is_not_wanted(Config) ->
    {Dir, Ca, B, _C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    ok = config(Dir, "{issue, false}.\n"),
    {ok, _} = merlon_live_ct:reload(Ca),
    {error, {renew, no_issuer}} = merlon_ct:call(B, merlon, renew, []),
    {error, not_issuing} = ask(B, Ca, request(dir_of(Dir, name(B)), B, #{})),
    ok = config(Dir, ""),
    {ok, _} = merlon_live_ct:reload(Ca),
    %% {renew, false} is for what the node does by itself.
    Own = dir_of(Dir, name(B)),
    ok = config(Own, "{renew, false}.\n"),
    {ok, _} = merlon_live_ct:reload(B),
    {Old, Key} = {read(file(Dir, Ca, "cert.pem")), read(file(Dir, Ca, "key.pem"))},
    ok = merlon_peers:add_node(Dir, name(B), #{days => 1, now => erlang:system_time(second) + 100 - 86400}),
    [{ok, _} = file:copy(file(Dir, B, Name), file(Own, B, Name)) || Name <- ["cert.pem", "key.pem"]],
    {ok, _} = merlon_live_ct:reload(B),
    timer:sleep(3000),
    [] = events(B, renewed),
    %% Nobody brings one, and that is told in time.
    [#{level := warning, text := Text}] = events(B, renew_failed),
    {match, _} = re:run(Text, "come from elsewhere, and none has come"),
    {ok, #{issuer := Issuer}} = merlon_ct:call(B, merlon, renew, []),
    Issuer = name(Ca),
    {Old, Key} = {read(file(Dir, Ca, "cert.pem")), read(file(Dir, Ca, "key.pem"))}.

a_node_is_renewed_by_hand(Config) ->
    {Dir, Ca, B, C} = three(Config, #{}),
    Own = dir_of(Dir, name(B)),
    Renew = fun(In, Args) -> merlon_cli:run(["renew", "--dir", In | Args]) end,
    %% Nobody is there to give one.
    {1, <<>>, No} = Renew(Own, []),
    {match, _} = re:run(No, "holds the CA's key"),
    false = filelib:is_file(file(Own, B, "renew.taken")),
    ok = merlon_ct:connect(B, Ca),
    Before = read(file(Own, B, "cert.pem")),
    {0, Said, <<>>} = Renew(Own, [atom_to_list(name(B))]),
    {match, _} = re:run(Said, "Renewed the certificate of " ++ atom_to_list(name(B))),
    After = read(file(Own, B, "cert.pem")),
    true = Before =/= After,
    {ok, #{sha256 := InUse}} = merlon_ct:call(B, merlon_node, current, []),
    InUse = fingerprint(After),
    %% Where the CA is, on the files; and the CA's own node for itself.
    {0, _, <<>>} = Renew(Dir, [atom_to_list(name(Ca))]),
    {ok, _} = merlon_live_ct:reload(Ca), % if no poll was faster
    {ok, #{issuer := Itself}} = merlon_ct:call(Ca, merlon, renew, []),
    Itself = name(Ca),
    %% No node runs with that dir.
    ok = merlon_ct:drop(C),
    {1, <<>>, Stopped} = Renew(dir_of(Dir, name(C)), []),
    {match, _} = re:run(Stopped, "does not run"),
    false = filelib:is_file(file(dir_of(Dir, name(C)), C, "renew")).

%% ---- a CA that lies ----

%% Runs on a node: in the place of its merlon_ca, something that gives each asker that answer.
answer_with(Answer) ->
    answer_by(fun(_) -> Answer end).

%% The same, but the answer is good, and those files are written before it.
answer_after(Dir, Node, Files) ->
    Ca = #{ca_cert => read(filename:join([Dir, "ca", "ca.pem"])), ca_key => read(filename:join([Dir, "ca", "ca.key"]))},
    [Name, Host] = binary:split(atom_to_binary(Node), <<"@">>),
    Grant = Ca#{identity => {node, Name, Host}, ips => [], days => 200, now => erlang:system_time(second)},
    answer_by(fun(#{csr := Csr}) ->
        [ok = file:write_file(File, Text) || {File, Text} <- Files],
        merlon_nif:pki_sign_csr(Grant#{csr => Csr})
    end).

answer_by(Answer) ->
    ok = supervisor:terminate_child(supervisor(), merlon_ca),
    Self = self(),
    _ = spawn(fun() -> true = register(merlon_ca, self()), Self ! registered, serve(Answer) end),
    receive registered -> ok end.

%% Runs on a node: the supervisor of merlon_ca, which itself tells nothing.
supervisor() ->
    {dictionary, Known} = process_info(whereis(merlon_crl), dictionary),
    [Sup | _] = proplists:get_value('$ancestors', Known),
    Sup.

serve(Answer) ->
    receive
        {'$gen_call', From, issues} -> gen_server:reply(From, true), serve(Answer);
        {'$gen_call', From, {renew, Request}} -> gen_server:reply(From, Answer(Request)), serve(Answer);
        stop -> ok
    end.

what_a_ca_that_lies_gives_is_not_used(Config) ->
    Dir = dir(Config),
    B = node_away(Config, Dir),
    Liar = node_away(Config, Dir),
    ok = merlon_ct:connect(B, Liar),
    Own = dir_of(Dir, name(B)),
    Files = fun() -> [read(file(Own, B, Name)) || Name <- ["cert.pem", "key.pem"]] end,
    Before = Files(),
    ok = merlon_peers:add_node(Dir, name(B)), % trusted, for B, but for another key
    Forged = read(file(Dir, B, "cert.pem")),
    [begin
         ok = merlon_ct:call(Liar, ?MODULE, answer_with, [Answer]),
         {error, {renew, Problem}} = merlon_ct:call(B, merlon, renew, []),
         true = is_list(unicode:characters_to_list(merlon_renew:format_error(Problem))),
         {Expected, Expected} = {element(1, Problem), Expected},
         _ = merlon_ct:call(Liar, erlang, send, [merlon_ca, stop]),
         merlon_peers:wait(fun() -> merlon_ct:call(Liar, erlang, whereis, [merlon_ca]) =:= undefined end),
         ok = restore(Liar)
     end || {Expected, Answer} <- [{bad_answer, {ok, Forged}}, {bad_answer, {ok, <<"rubbish">>}}, {bad_answer, {ok, []}},
                                   {bad_answer, {ok, binary:copy(<<"A">>, 100000)}}, {bad_answer, {ok, hd(Before)}},
                                   {bad_answer, whatever}, {refused, {error, {pki, revoked}}},
                                   {refused, {error, lists:seq(1, 1000)}}]],
    Before = Files(),
    false = filelib:is_file(file(Own, B, "key.next.pem")),
    ok = merlon_ct:alive(B).

restore(Vm) ->
    {ok, _} = merlon_ct:call(Vm, supervisor, restart_child, [merlon_ct:call(Vm, ?MODULE, supervisor, []), merlon_ca]),
    ok.

%% An operator, or a rotation of the CA, may be faster than an answer.
a_renewal_undoes_nothing_that_was_put_there_meanwhile(Config) ->
    Dir = dir(Config),
    B = node_away(Config, Dir),
    Other = node_away(Config, Dir),
    ok = merlon_ct:connect(B, Other),
    ok = merlon_peers:add_node(Dir, name(B)),
    Files = [{file(dir_of(Dir, name(B)), B, Name), read(file(Dir, B, Name))} || Name <- ["cert.pem", "key.pem"]],
    ok = merlon_ct:call(Other, ?MODULE, answer_after, [Dir, name(B), Files]),
    {error, {renew, {locked, _}}} = merlon_ct:call(B, merlon, renew, []),
    Files = [{File, read(File)} || {File, _} <- Files],
    {ok, _} = merlon_live_ct:reload(B),
    {ok, #{sha256 := InUse}} = merlon_ct:call(B, merlon_node, current, []),
    InUse = fingerprint(read(file(Dir, B, "cert.pem"))).

%% ---- killed ----

%% Runs on a VM: puts one pair after the other into place, as fast as it can.
write_for_ever(Dir, Node) ->
    ok = merlon_nif:load(),
    Folder = list_to_binary(filename:join([Dir, "nodes", Node])),
    Ca = #{ca_cert => read(filename:join([Dir, "ca", "ca.pem"])), ca_key => read(filename:join([Dir, "ca", "ca.key"]))},
    [Name, Host] = binary:split(atom_to_binary(Node), <<"@">>),
    Issue = Ca#{identity => {node, Name, Host}, alg => p256, ips => [], days => 2, now => erlang:system_time(second)},
    Pairs = [Pair || _ <- lists:seq(1, 5), {ok, Pair} <- [merlon_nif:pki_issue(Issue)]],
    _ = spawn(fun() -> over_and_over(Pairs, Pairs, list_to_binary(Dir), Folder) end),
    ok.

over_and_over([], Pairs, Dir, Folder) -> over_and_over(Pairs, Pairs, Dir, Folder);
over_and_over([#{cert := Cert, key := Key} | More], Pairs, Dir, Folder) ->
    ok = merlon_dir_write:locked(Dir, fun(Work) -> merlon_identity_write:put_pair(Folder, Work, Cert, Key) end),
    over_and_over(More, Pairs, Dir, Folder).

a_node_killed_while_it_writes_has_a_certificate_with_its_key(Config) ->
    Dir = dir(Config),
    Node = merlon_peers:node(merlon_peers:name("killed")),
    ok = merlon_peers:add_node(Dir, Node),
    {ok, Settings} = merlon_config:load(Dir),
    Seen = [begin
                Vm = merlon_ct:run(Config, merlon_peers:args(Dir), #{}),
                ok = merlon_ct:call(Vm, ?MODULE, write_for_ever, [Dir, Node]),
                timer:sleep(50 + rand:uniform(60)),
                ok = merlon_ct:drop(Vm),
                Between = filelib:is_file(filename:join([Dir, "nodes", Node, "key.next.pem"])),
                {ok, #{sha256 := Sha256}} = merlon_identity:load(Node, Settings),
                {Sha256, Between}
            end || _ <- lists:seq(1, 12)],
    %% It was between the steps at least once, and has written at least once.
    true = lists:keymember(true, 2, Seen),
    true = length(lists:usort([Sha256 || {Sha256, _} <- Seen])) > 1,
    Vm = merlon_ct:start(Config, Node, [], #{dir => Dir, certify => false}),
    {ok, _} = merlon_ct:call(Vm, merlon, renew, []).
