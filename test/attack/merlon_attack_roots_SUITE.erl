%% SPDX-License-Identifier: Apache-2.0
%% A linked peer with a good certificate that wants another node to trust a root of its own, or none at all.
-module(merlon_attack_roots_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_root_that_the_old_one_has_not_signed_is_not_trusted/1,
         a_new_root_that_has_not_signed_takes_nobodys_place/1,
         a_statement_that_was_undone_is_not_taken_again/1,
         a_rotation_rolled_back_before_a_node_joined_is_not_taken_by_it/1,
         a_statement_of_a_root_that_was_dropped_is_not_taken/1,
         a_statement_for_another_cluster_is_not_taken/1,
         a_root_of_another_cluster_is_not_trusted/1,
         what_is_no_statement_is_refused_with_one_line/1,
         who_asks_where_a_node_is_gets_no_more/1,
         who_cant_use_its_files_drops_nothing_and_says_that_it_is_not_ready/1,
         what_cant_be_done_keeps_nothing_else_from_being_done/1]).

-import(merlon_roots_ct, [roots/1, ca_id/1, id/1]).
-import(merlon_live_ct, [events/2, dir_of/2]).

-define(CLUSTER, <<"live">>).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_root_that_the_old_one_has_not_signed_is_not_trusted, a_new_root_that_has_not_signed_takes_nobodys_place,
     a_rotation_rolled_back_before_a_node_joined_is_not_taken_by_it,
     a_statement_that_was_undone_is_not_taken_again, a_statement_of_a_root_that_was_dropped_is_not_taken,
     a_statement_for_another_cluster_is_not_taken, a_root_of_another_cluster_is_not_trusted,
     what_is_no_statement_is_refused_with_one_line, who_asks_where_a_node_is_gets_no_more,
     who_cant_use_its_files_drops_nothing_and_says_that_it_is_not_ready, what_cant_be_done_keeps_nothing_else_from_being_done].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

%% A victim and a peer that has been taken over, on machines of their own.
init_per_testcase(_Case, Config) ->
    Dir = merlon_roots_ct:dir(Config),
    [Victim, Mallory] = [merlon_roots_ct:node_away(Config, Dir) || _ <- [1, 2]],
    ok = merlon_ct:connect(Mallory, Victim),
    [{dir, Dir}, {victim, Victim}, {mallory, Mallory} | Config].

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

in(Key, Config) -> proplists:get_value(Key, Config).

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.

now_s() -> erlang:system_time(second).

%% The cluster's root with its key, which the attacker does not have, and one of his own.
root(Dir) -> #{cert => read(filename:join([Dir, "ca", "ca.pem"])), key => read(filename:join([Dir, "ca", "ca.key"]))}.

new_root() -> new_root(?CLUSTER).

new_root(Cluster) ->
    {ok, Root} = merlon_nif:pki_new_ca(#{cluster => Cluster, alg => p256, days => 9, now => now_s()}),
    Root.

say(Stage, Number, Old, New) -> say(?CLUSTER, Stage, Number, Old, New).

say(Cluster, Stage, Number, #{cert := OldCert, key := OldKey}, #{cert := NewCert, key := NewKey}) ->
    {ok, Text} = merlon_nif:rotation_say(#{cluster => Cluster, sequence => Number, stage => Stage, old_cert => OldCert,
                                           old_key => OldKey, new_cert => NewCert, new_key => NewKey}),
    Text.

%% The body of one statement with the signature lines of another.
signed_as(Body, Signed) ->
    [Before, _] = binary:split(Body, <<"by-old ">>),
    [_, After] = binary:split(Signed, <<"by-old ">>),
    <<Before/binary, "by-old ", After/binary>>.

%% Signed by the new root, in the place of the old one too.
by_new_twice(Text) ->
    [Before, Signatures] = binary:split(Text, <<"by-old ">>),
    [_, <<ByNew/binary>>] = binary:split(Signatures, <<"by-new ">>),
    <<Before/binary, "by-old ", ByNew/binary, "by-new ", ByNew/binary>>.

without_new(Text) ->
    [Before, _] = binary:split(Text, <<"by-new ">>),
    <<Before/binary, "by-new \n">>.

send(Text, Config) ->
    Pid = merlon_ct:call(in(mallory, Config), erlang, whereis, [merlon_roots]),
    _ = merlon_ct:call(in(mallory, Config), erlang, send, [{merlon_roots, name(in(victim, Config))}, {merlon_roots, 1, Pid, Text}]),
    ok.

count(What, Config) -> maps:get(What, merlon_ct:call(in(victim, Config), merlon_roots, counts, [])).

%% Each of them is refused, and the victim trusts what it did.
refused(Texts, Config) -> left(refused, Texts, Config).

left(What, Texts, Config) ->
    Roots = roots(in(victim, Config)),
    [begin
         Before = count(What, Config),
         ok = send(Text, Config),
         merlon_peers:wait(fun() -> count(What, Config) > Before end)
     end || Text <- Texts],
    timer:sleep(1500), % it looks at its files once a second
    Roots = roots(in(victim, Config)),
    [Only] = Roots,
    Only.

taken(Text, Config) ->
    Before = count(taken, Config),
    ok = send(Text, Config),
    merlon_peers:wait(fun() -> count(taken, Config) > Before end).

trusts(Roots, Config) ->
    merlon_peers:wait(fun() -> roots(in(victim, Config)) =:= lists:sort(Roots) end, 10000).

a_root_that_the_old_one_has_not_signed_is_not_trusted(Config) ->
    Dir = in(dir, Config),
    {Old, Evil} = {root(Dir), new_root()},
    Number = now_s(),
    Own = dir_of(Dir, name(in(mallory, Config))),
    File = fun(Name) -> read(filename:join([Own, "nodes", name(in(mallory, Config)), Name])) end,
    %% What it can sign with: its own root, twice; and its node's key, which the old root's certificate does not go with.
    ByEvil = say(trust, Number, Evil, new_root()),
    {error, {pki, key_mismatch}} =
        merlon_nif:rotation_say(#{cluster => ?CLUSTER, sequence => Number, stage => trust, old_cert => maps:get(cert, Old),
                                  old_key => File("key.pem"), new_cert => maps:get(cert, Evil), new_key => maps:get(key, Evil)}),
    %% As if the old root had signed: a real one with another root in it, or another's signatures under it.
    Real = say(trust, Number, Old, new_root()),
    Meant = say(trust, Number, Old, Evil),
    Root = id(maps:get(cert, Old)),
    Root = refused([ByEvil, signed_as(Meant, ByEvil), signed_as(Meant, Real), by_new_twice(Meant)], Config),
    [#{level := warning} | _] = events(in(victim, Config), root_refused),
    %% The very same, signed by the old root, counts, whoever sends it.
    ok = taken(Meant, Config),
    trusts([Root, id(maps:get(cert, Evil))], Config).

%% Who has only the old root's key can do much, but not have nodes drop it for a root whose key he does not have.
a_new_root_that_has_not_signed_takes_nobodys_place(Config) ->
    {Old, New} = {root(in(dir, Config)), new_root()},
    Root = id(maps:get(cert, Old)),
    Root = refused([without_new(say(Stage, now_s(), Old, New)) || Stage <- [trust, issue, finish, back, undo]], Config),
    [] = events(in(victim, Config), root_stage).

a_statement_that_was_undone_is_not_taken_again(Config) ->
    {Old, New} = {root(in(dir, Config)), new_root()},
    Root = id(maps:get(cert, Old)),
    Number = now_s(),
    [Trust, Undo] = [say(trust, Number, Old, New), say(undo, Number + 2, Old, New)],
    ok = taken(Trust, Config),
    trusts([Root, id(maps:get(cert, New))], Config),
    ok = taken(Undo, Config),
    trusts([Root], Config),
    Root = left(known, [Trust, say(trust, Number + 1, Old, New), say(issue, Number + 2, Old, New), Undo], Config),
    %% Nor after a start of the node.
    Victim = in(victim, Config),
    ok = merlon_ct:drop(Victim),
    Again = merlon_roots_ct:again_away(Config, in(dir, Config), name(Victim)),
    ok = merlon_ct:connect(in(mallory, Config), Again),
    Root = left(known, [Trust], lists:keyreplace(victim, 1, Config, {victim, Again})).

%% Nobody else may be there who would tell it.
a_rotation_rolled_back_before_a_node_joined_is_not_taken_by_it(Config) ->
    {Dir, New} = {in(dir, Config), new_root()},
    #{cert := Cert} = Old = root(Dir),
    Number = now_s(),
    [Trust, Undo] = [say(trust, Number, Old, New), say(undo, Number + 2, Old, New)],
    Take = fun(Work) -> merlon_roots_files:take(Dir, Work, ?CLUSTER, Undo, now_s()) end,
    {ok, _} = merlon_dir_write:locked(list_to_binary(Dir), Take),
    Node = merlon_peers:node(merlon_peers:name("n")),
    Token = merlon_join_ct:at(merlon_join_ct:decoded(merlon_join_ct:token(Dir, [atom_to_list(Node)])), merlon_join_ct:service(Dir)),
    Own = dir_of(Dir, Node),
    {{ok, #{wrote := Wrote}}, Own} = merlon_join_ct:join(Token, atom_to_binary(Node), Own),
    [File] = filelib:wildcard(filename:join([Own, "rotation", "*.txt"])),
    true = lists:member(list_to_binary(File), Wrote),
    Joined = merlon_roots_ct:again(Config, Own, Node),
    ok = merlon_ct:connect(in(mallory, Config), Joined),
    Root = left(known, [Trust], lists:keyreplace(victim, 1, Config, {victim, Joined})),
    Root = id(Cert).

%% The victim stands on the new root and trusts both.
standing_on_new(Number, Old, New, Config) ->
    {Dir, Victim} = {in(dir, Config), in(victim, Config)},
    ok = taken(say(trust, Number, Old, New), Config),
    trusts([id(Cert) || #{cert := Cert} <- [Old, New]], Config),
    %% A certificate of the new root for the victim, by hand.
    Ca = #{ca_cert => maps:get(cert, New), ca_key => maps:get(key, New), alg => p256, ips => [], days => 5, now => now_s()},
    [ok = certified(Ca, dir_of(Dir, name(Vm)), Vm) || Vm <- [Victim, in(mallory, Config)]],
    [{ok, _} = file:copy(Trust, filename:join([dir_of(Dir, name(in(mallory, Config))), "trust", filename:basename(Trust)]))
     || Trust <- filelib:wildcard(filename:join([dir_of(Dir, name(Victim)), "trust", "merlon-*.pem"]))],
    [ok = merlon_live_ct:taken(Vm) || Vm <- [Victim, in(mallory, Config)]],
    ok.

a_statement_of_a_root_that_was_dropped_is_not_taken(Config) ->
    {Dir, Victim} = {in(dir, Config), in(victim, Config)},
    {Old, New} = {root(Dir), new_root()},
    NewId = id(maps:get(cert, New)),
    Number = now_s(),
    ok = standing_on_new(Number, Old, New, Config),
    ok = taken(say(finish, Number + 1, Old, New), Config),
    trusts([NewId], Config),
    [] = filelib:wildcard(filename:join([dir_of(Dir, name(Victim)), "trust", "ca.pem"])),
    %% The old root's key says that it goes back, or on to another one.
    NewId = refused([say(undo, Number + 5, Old, New), say(trust, Number + 6, Old, new_root()),
                     say(trust, Number, Old, New)], Config),
    %% Somebody puts it back by hand: it goes again, and what was said before stays said.
    ok = file:write_file(filename:join([dir_of(Dir, name(Victim)), "trust", "back.pem"]), maps:get(cert, Old)),
    ok = merlon_live_ct:taken(Victim),
    trusts([NewId], Config).

certified(Ca, Dir, Vm) ->
    [Name, Host] = binary:split(atom_to_binary(name(Vm)), <<"@">>),
    {ok, #{cert := Cert, key := Key}} = merlon_nif:pki_issue(Ca#{identity => {node, Name, Host}}),
    Folder = filename:join([Dir, "nodes", name(Vm)]),
    Put = fun(Work) -> merlon_identity_write:put_pair(list_to_binary(Folder), Work, Cert, Key) end,
    %% Trusted and certified at once: till then the node refuses its files as a whole.
    merlon_dir_write:locked(list_to_binary(Dir), Put).

a_statement_for_another_cluster_is_not_taken(Config) ->
    {Old, New} = {root(in(dir, Config)), new_root()},
    Root = id(maps:get(cert, Old)),
    Root = refused([say(<<"staging">>, trust, now_s(), Old, Next) || Next <- [New, new_root(<<"staging">>)]], Config).

a_root_of_another_cluster_is_not_trusted(Config) ->
    Old = root(in(dir, Config)),
    Root = id(maps:get(cert, Old)),
    Root = refused([say(trust, now_s(), Old, new_root(<<"staging">>))], Config).

what_is_no_statement_is_refused_with_one_line(Config) ->
    Good = say(trust, now_s(), root(in(dir, Config)), new_root()),
    Half = binary:part(Good, 0, byte_size(Good) div 2),
    _ = refused([rubbish, [], <<>>, <<255, 254>>, Half, <<Good/binary, "more">>, binary:copy(<<"A">>, 16385),
                 binary:replace(Good, <<"old ">>, <<"old ../../../">>)], Config),
    [_] = events(in(victim, Config), root_refused),
    Request = fun(What) ->
                      merlon_ct:call(in(mallory, Config), gen_server, call, [{merlon_roots, name(in(victim, Config))}, What])
              end,
    Process = merlon_ct:call(in(victim, Config), erlang, whereis, [merlon_roots]),
    NoText = binary:copy(<<255>>, 64),
    [{error, bad_request} = Request(Bad)
     || Bad <- [anything, {standing, 1, 2, 3}, {standing, <<>>, <<>>, <<>>}, {standing, NoText, NoText, NoText}]],
    Process = merlon_ct:call(in(victim, Config), erlang, whereis, [merlon_roots]).

%% Nothing but what a TLS handshake shows anyway.
who_asks_where_a_node_is_gets_no_more(Config) ->
    Old = ca_id(in(dir, Config)),
    Other = id(maps:get(cert, new_root())),
    {standing, Said} = merlon_ct:call(in(mallory, Config), gen_server, call,
                                      [{merlon_roots, name(in(victim, Config))}, {standing, Old, Other, Other}]),
    #{old := true, new := false, ready := true, behind := []} = Said,
    [behind, new, old, ready] = lists:sort(maps:keys(Said)).

standing(Query, Config) ->
    {standing, Said} = merlon_ct:call(in(mallory, Config), gen_server, call, [{merlon_roots, name(in(victim, Config))}, Query]),
    Said.

%% Else it would start no more: its files are taken as a whole or not at all. And the command at the CA would go on without
%% knowing whose links end.
who_cant_use_its_files_drops_nothing_and_says_that_it_is_not_ready(Config) ->
    {Old, New} = {root(in(dir, Config)), new_root()},
    [OldId, NewId] = [id(Cert) || #{cert := Cert} <- [Old, New]],
    Number = now_s(),
    ok = standing_on_new(Number, Old, New, Config),
    #{ready := true} = standing({standing, OldId, NewId, OldId}, Config),
    Own = dir_of(in(dir, Config), name(in(victim, Config))),
    Spoilt = filename:join([Own, "crl", "spoilt.pem"]),
    ok = filelib:ensure_dir(Spoilt),
    ok = file:write_file(Spoilt, "no list"),
    #{ready := false} = standing({standing, OldId, NewId, OldId}, Config),
    ok = send(say(finish, Number + 1, Old, New), Config),
    merlon_peers:wait(fun() -> events(in(victim, Config), root_failed) =/= [] end, 15000),
    timer:sleep(4000),
    true = filelib:is_file(filename:join([Own, "trust", "ca.pem"])),
    %% As soon as it can.
    ok = file:delete(Spoilt),
    trusts([NewId], Config).

%% A certificate of the new root can't be had, as nobody here is a CA. Another root comes in the place of another one.
what_cant_be_done_keeps_nothing_else_from_being_done(Config) ->
    {Victim, Old, New} = {in(victim, Config), root(in(dir, Config)), new_root()},
    {Second, Next} = {after_it(id(maps:get(cert, Old))), new_root()},
    ok = file:write_file(filename:join([dir_of(in(dir, Config), name(Victim)), "trust", "second.pem"]), maps:get(cert, Second)),
    ok = merlon_live_ct:taken(Victim),
    Plan = fun() -> element(2, merlon_ct:call(Victim, sys, get_state, [merlon_renew])) end,
    merlon_peers:wait(fun() -> Plan() =/= none end),
    #{tries := 0} = Before = Plan(),
    ok = taken(say(issue, now_s() + 1, Old, New), Config),
    merlon_peers:wait(fun() -> events(Victim, root_failed) =/= [] end, 15000),
    ok = taken(say(trust, now_s(), Second, Next), Config),
    trusts([id(Cert) || #{cert := Cert} <- [Old, New, Second, Next]], Config),
    %% Nor does it bring forward what is due in weeks, and is then tried more and more often.
    Before = Plan().

%% So that the file of what was said of it comes after that of the other.
after_it(Id) ->
    case new_root() of
        #{cert := Cert} = Root ->
            case id(Cert) > Id of
                true -> Root;
                false -> after_it(Id)
            end
    end.
