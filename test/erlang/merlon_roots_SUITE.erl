%% SPDX-License-Identifier: Apache-2.0
%% A new root in the place of the old one: under traffic, cut off anywhere, rolled back, with nodes that are away.
-module(merlon_roots_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_root_is_rotated_under_traffic_and_no_link_is_lost/1,
         a_command_killed_again_and_again_goes_on/1,
         the_nodes_killed_at_each_stage_go_on/1,
         two_commands_at_once_make_one_rotation/1,
         forwards_and_back_at_once_leave_a_ca_that_all_trust/1,
         a_rollback_cut_off_at_its_begin_can_be_gone_on_with_forwards/1,
         a_rotation_is_rolled_back_from_each_stage_and_no_link_is_lost/1,
         a_node_that_is_away_is_waited_for/1,
         a_node_that_was_left_out_is_told_why_it_is_refused/1,
         a_node_without_this_keeps_a_stage_from_being_complete/1,
         a_token_works_until_its_root_issues_no_more/1,
         a_root_that_ends_before_the_nodes_certificates_is_stood_on/1,
         a_ca_that_gives_the_wrong_certificates_is_not_asked_all_the_time/1,
         no_node_runs_there/1]).
-export([without_roots/0, with_roots/0, a_second_rotation_ends_as_the_first_did/1]).

-import(merlon_roots_ct, [three/1, link_all/1, rotate/2, rotate/3, roots/1, ca_id/1, driver/3, kill/1, ended/2]).
-import(merlon_live_ct, [events/2, watch/1, downs/1, dir_of/2]).

suite() -> [{timetrap, {seconds, 150}}].

all() ->
    [a_root_is_rotated_under_traffic_and_no_link_is_lost, a_second_rotation_ends_as_the_first_did, a_command_killed_again_and_again_goes_on,
     the_nodes_killed_at_each_stage_go_on, two_commands_at_once_make_one_rotation,
     forwards_and_back_at_once_leave_a_ca_that_all_trust, a_rollback_cut_off_at_its_begin_can_be_gone_on_with_forwards,
     a_rotation_is_rolled_back_from_each_stage_and_no_link_is_lost,
     a_node_that_is_away_is_waited_for, a_node_that_was_left_out_is_told_why_it_is_refused,
     a_node_without_this_keeps_a_stage_from_being_complete, a_token_works_until_its_root_issues_no_more,
     a_root_that_ends_before_the_nodes_certificates_is_stood_on, a_ca_that_gives_the_wrong_certificates_is_not_asked_all_the_time,
     no_node_runs_there].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

text(Vm) -> atom_to_list(name(Vm)).

says(Text, Pattern) ->
    case re:run(Text, Pattern, [{capture, none}]) of
        match -> ok;
        nomatch -> error({not_said, Pattern, Text})
    end.

%% All trust just these, and each shows the others a certificate that is good without any other root.
stand_on(Roots, Vms, Dir) ->
    Sorted = lists:sort(Roots),
    [Sorted = roots(Vm) || Vm <- Vms],
    Root = ca_id(Dir),
    true = lists:member(Root, Roots),
    ok.

%% ---- all of it ----

a_root_is_rotated_under_traffic_and_no_link_is_lost(Config) ->
    {Dir, Vms} = three(Config),
    Old = ca_id(Dir),
    ok = merlon_roots_ct:traffic(Vms),
    [ok = watch(Vm) || Vm <- Vms],
    Before = [merlon_ct:links(Vm) || Vm <- Vms],
    says(rotate(Dir, ["--status"]), "No rotation"),
    says(rotate(Dir, ["--until", "trust"]), "reached stage trust"),
    Next = merlon_roots_ct:id(read(filename:join([Dir, "ca", "next.pem"]))),
    ok = stand_on([Old, Next], Vms, Dir),
    Old = ca_id(Dir),
    Trusting = rotate(Dir, ["--status"]),
    [says(Trusting, text(Vm) ++ " +trusts both roots\n") || Vm <- Vms],
    says(rotate(Dir, ["--until", "issue"]), "reached stage issue"),
    ok = stand_on([Old, Next], Vms, Dir),
    Next = ca_id(Dir),
    Issued = rotate(Dir, ["--status"]),
    [says(Issued, text(Vm) ++ " +trusts both roots, has a certificate of the new one\n") || Vm <- Vms],
    %% Who types the same once more does not go on to what can't be undone.
    says(rotate(Dir, ["--until", "trust"]), "reached stage issue"),
    ok = stand_on([Old, Next], Vms, Dir),
    says(rotate(Dir, []), "The root is rotated"),
    ok = stand_on([Next], Vms, Dir),
    false = filelib:is_file(filename:join([Dir, "ca", "old.key"])),
    says(rotate(Dir, ["--rollback"], 1), "nothing to roll back"),
    %% Well beyond the time in which links to those who show nothing else are closed.
    timer:sleep(6000),
    [[] = downs(Vm) || Vm <- Vms],
    Since = fun(Links) -> lists:sort([{Node, At} || #{node := Node, since := At} <- Links]) end,
    [true = Since(Links) =:= Since(merlon_ct:links(Vm)) || {Links, Vm} <- lists:zip(Before, Vms)],
    Sent = merlon_roots_ct:settled(Vms),
    ct:log("messages: ~p", [Sent]),
    %% New links, a node that starts anew, and the next renewal.
    [A, B, C] = Vms,
    ok = merlon_ct:drop(B),
    Again = merlon_roots_ct:again_away(Config, Dir, name(B)),
    ok = merlon_ct:connect(Again, A),
    ok = merlon_ct:connect(C, Again),
    {ok, #{issuer := Issuer}} = merlon_ct:call(C, merlon, renew, []),
    true = Issuer =:= name(A).

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.

%% ---- cut off ----

%% At no point chosen by us: by the clock, and a little later each time.
a_command_killed_again_and_again_goes_on(Config) ->
    {Dir, Vms} = three(Config),
    Old = ca_id(Dir),
    [ok = watch(Vm) || Vm <- Vms],
    Kills = killed(Dir, Config, 250, 0),
    ct:log("killed ~b times", [Kills]),
    true = Kills >= 3,
    New = ca_id(Dir),
    true = New =/= Old,
    ok = stand_on([New], Vms, Dir),
    none = merlon_ca_files:rotation(Dir),
    timer:sleep(5000),
    [[] = downs(Vm) || Vm <- Vms].

killed(Dir, Config, Time, Count) when Count < 60 ->
    Driver = driver(Dir, [], Config),
    case ended(Driver, Time) of
        running ->
            _ = kill(Driver),
            {ok, _} = merlon_cli_cert:ca(Dir),
            killed(Dir, Config, Time + 60, Count + 1);
        0 -> Count
    end.

%% At each stage the CA's node, and one away, die in the midst of it, and are started again.
the_nodes_killed_at_each_stage_go_on(Config) ->
    {Dir, [A, B, C]} = three(Config),
    Vms1 = killed_during(["--until", "trust"], Dir, [A, B, C], Config),
    Vms2 = killed_during(["--until", "issue"], Dir, Vms1, Config),
    Vms3 = killed_during([], Dir, Vms2, Config),
    ok = stand_on([ca_id(Dir)], Vms3, Dir).

killed_during(More, Dir, [A, B, C], Config) ->
    Driver = driver(Dir, More, Config),
    Ended = ended(Driver, 700),
    [ok = merlon_ct:drop(Vm) || Vm <- [A, B]],
    _ = [kill(Driver) || Ended =:= running],
    NewA = merlon_roots_ct:again(Config, Dir, name(A)),
    NewB = merlon_roots_ct:again_away(Config, Dir, name(B)),
    Vms = [NewA, NewB, C],
    ok = link_all(Vms),
    _ = rotate(Dir, More),
    Vms.

two_commands_at_once_make_one_rotation(Config) ->
    {Dir, Vms} = three(Config),
    Old = ca_id(Dir),
    Drivers = [driver(Dir, [], Config) || _ <- [1, 2]],
    [0, 0] = [ended(Driver, 60000) || Driver <- Drivers],
    ok = stand_on([ca_id(Dir)], Vms, Dir),
    %% Only of the one old root something was said.
    [{_, #{old := Old, stage := finish}}] = merlon_roots_files:statements(Dir),
    [{ok, [_]} = merlon_roots_files:roots(dir_of(Dir, name(Vm))) || Vm <- tl(Vms)].

%% Whichever wins.
forwards_and_back_at_once_leave_a_ca_that_all_trust(Config) ->
    {Dir, Vms} = three(Config),
    Ends = [begin
                _ = rotate(Dir, ["--until", "issue"]),
                Drivers = [driver(Dir, More, Config) || More <- [[], ["--rollback"]]],
                Codes = [ended(Driver, 60000) || Driver <- Drivers],
                none = merlon_ca_files:rotation(Dir),
                {ok, #{ca_cert := Cert, ca_key := Key}} = merlon_cli_cert:ca(Dir),
                true = merlon_nif:pki_matches(Cert, Key),
                ok = stand_on([ca_id(Dir)], Vms, Dir),
                Codes
            end || _ <- lists:seq(1, 4)],
    ct:log("~p", [Ends]).

%% The old root issues again, and nobody was told: who goes on forwards then must not end with a CA that nobody trusts.
a_rollback_cut_off_at_its_begin_can_be_gone_on_with_forwards(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--until", "issue"]),
    New = ca_id(Dir),
    {ok, #{old := Old}} = merlon_ca_files:rotation(Dir),
    ok = merlon_dir_write:locked(list_to_binary(Dir), fun(Work) -> merlon_ca_files:issue_by(Dir, Work, Old) end),
    _ = rotate(Dir, []),
    New = ca_id(Dir),
    ok = stand_on([New], Vms, Dir).

%% ---- back ----

a_rotation_is_rolled_back_from_each_stage_and_no_link_is_lost(Config) ->
    {Dir, Vms} = three(Config),
    Old = ca_id(Dir),
    [ok = watch(Vm) || Vm <- Vms],
    Certs = [fingerprint(Dir, Vm) || Vm <- tl(Vms)],
    _ = rotate(Dir, ["--until", "trust"]),
    Replayed = merlon_roots_ct:statement(Dir),
    says(rotate(Dir, ["--rollback"]), "rolled back"),
    ok = stand_on([Old], Vms, Dir),
    %% Nobody needed another certificate for that.
    Certs = [fingerprint(Dir, Vm) || Vm <- tl(Vms)],
    %% What was said before says nothing any more.
    [A, B, _] = Vms,
    _ = merlon_ct:call(B, erlang, send, [{merlon_roots, name(A)}, {merlon_roots, 1, a_pid(B), Replayed}]),
    merlon_peers:wait(fun() -> maps:get(known, merlon_ct:call(A, merlon_roots, counts, [])) > 0 end),
    ok = stand_on([Old], Vms, Dir),
    _ = rotate(Dir, ["--until", "issue"]),
    New = ca_id(Dir),
    true = New =/= Old,
    says(rotate(Dir, ["--rollback"]), "rolled back"),
    Old = ca_id(Dir),
    ok = stand_on([Old], Vms, Dir),
    none = merlon_ca_files:rotation(Dir),
    timer:sleep(5000),
    [[] = downs(Vm) || Vm <- Vms],
    %% And forward once more.
    _ = rotate(Dir, []),
    ok = stand_on([ca_id(Dir)], Vms, Dir),
    [[] = downs(Vm) || Vm <- Vms].

fingerprint(Dir, Vm) ->
    merlon_live_ct:fingerprint(read(filename:join([dir_of(Dir, name(Vm)), "nodes", name(Vm), "cert.pem"]))).

a_pid(Vm) -> merlon_ct:call(Vm, erlang, whereis, [merlon_roots]).

%% ---- those who are away ----

a_node_that_is_away_is_waited_for(Config) ->
    {Dir, [A, B, C]} = three(Config),
    ok = merlon_ct:drop(C),
    %% It is not known who has certificates: then nobody is taken for absent for good.
    [Issued, Kept] = [filename:join([Dir, "ca", Name]) || Name <- ["issued", "issued.kept"]],
    ok = file:rename(Issued, Kept),
    ok = file:make_dir(Issued),
    says(rotate(Dir, ["--until", "trust", "--wait", "3s"], 1), "issued"),
    ok = file:del_dir(Issued),
    ok = file:rename(Kept, Issued),
    %% An answer that can't be written as a whole is none.
    Question = fun(Ask) -> merlon_dir:path([Dir, "rotation", Ask]) end,
    Id = ca_id(Dir),
    ok = file:make_dir(Question("status-full.new")),
    ok = file:write_file(Question("ask-full"), [Id, $\n, Id, $\n, Id, $\n]),
    merlon_peers:wait(fun() -> not merlon_dir:exists(Question("ask-full")) end, 10000),
    timer:sleep(2000),
    false = merlon_dir:exists(Question("status-full")),
    Said = rotate(Dir, ["--wait", "3s"], 1),
    says(Said, text(C) ++ " \\(is not linked\\)"),
    says(Said, "--without NODE"),
    says(rotate(Dir, ["--status"]), text(C) ++ " +is not linked"),
    %% It learns all that was said when it comes back, and the next run ends it.
    Back = merlon_roots_ct:again_away(Config, Dir, name(C)),
    ok = merlon_ct:connect(Back, A),
    ok = merlon_ct:connect(Back, B),
    _ = rotate(Dir, []),
    ok = stand_on([ca_id(Dir)], [A, B, Back], Dir).

a_node_that_was_left_out_is_told_why_it_is_refused(Config) ->
    {Dir, [A, B, C]} = three(Config),
    ok = merlon_ct:drop(C),
    says(rotate(Dir, ["--without", text(C)]), "The root is rotated"),
    ok = stand_on([ca_id(Dir)], [A, B], Dir),
    Back = merlon_roots_ct:again_away(Config, Dir, name(C)),
    false = merlon_ct:call(Back, net_kernel, connect_node, [name(A)]),
    Refused = fun() -> [Text || #{reason := peer_alert, text := Text} <- events(A, refused)] end,
    merlon_peers:wait(fun() -> Refused() =/= [] end, 10000),
    says(hd(Refused()), "root was rotated on 20.*merlon cert NODE --force"),
    %% The other way round, it is this node that does not trust the other one.
    false = merlon_ct:call(A, net_kernel, connect_node, [name(C)]),
    [Failed | _] = [Text || #{reason := unknown_issuer, text := Text} <- events(A, refused)],
    says(Failed, "root was rotated on 20"),
    %% What the line says helps.
    Own = dir_of(Dir, name(C)),
    {0, _, <<>>} = merlon_cli:run(["cert", text(C), "--force", "--dir", Dir]),
    [{ok, _} = file:copy(filename:join([Dir, "nodes", text(C), File]), filename:join([Own, "nodes", text(C), File]))
     || File <- ["cert.pem", "key.pem"]],
    [Trusted] = filelib:wildcard(filename:join([Dir, "trust", "*.pem"])),
    {ok, _} = file:copy(Trusted, filename:join([Own, "trust", "ca.pem"])),
    ok = merlon_live_ct:taken(Back),
    ok = merlon_ct:connect(Back, A).

%% As an older merlon, which has no such process.
a_node_without_this_keeps_a_stage_from_being_complete(Config) ->
    {Dir, [A, B, C]} = three(Config),
    ok = merlon_ct:call(C, ?MODULE, without_roots, []),
    says(rotate(Dir, ["--wait", "2s"], 1), text(C) ++ " \\(does not say\\)(.|\n)*older merlon"),
    Both = [ca_id(Dir), merlon_roots_ct:id(read(filename:join([Dir, "ca", "next.pem"])))],
    ok = stand_on(Both, [A, B], Dir),
    %% What it had no use for is told again, though no command runs.
    {ok, _} = merlon_ct:call(C, ?MODULE, with_roots, []),
    ok = merlon_live_ct:within(30000, fun() -> roots(C) =:= lists:sort(Both) end).

%% These run on the node.
without_roots() -> supervisor:terminate_child(roots_sup(), merlon_roots).

with_roots() -> supervisor:restart_child(roots_sup(), merlon_roots).

roots_sup() ->
    {dictionary, Known} = process_info(whereis(merlon_crl), dictionary),
    hd(proplists:get_value('$ancestors', Known)).

%% ---- tokens ----

a_token_works_until_its_root_issues_no_more(Config) ->
    {Dir, Vms} = three(Config),
    Token = fun(Name) -> merlon_join_ct:token(Dir, [Name]) end,
    Join = fun(Text, Name, Port) -> merlon_join_ct:join(merlon_join_ct:at(merlon_join_ct:decoded(Text), Port), Name) end,
    [First, Second] = [Token("first@127.0.0.1"), Token("second@127.0.0.1")],
    _ = rotate(Dir, ["--until", "trust"]),
    {{ok, _}, Joined} = Join(First, <<"first@127.0.0.1">>, merlon_join_ct:service(Dir)),
    %% Who joins now trusts both.
    {ok, [_, _]} = merlon_roots_files:roots(Joined),
    %% A run that can't have the new root issue takes no token out of use.
    Fate = fun(Text) ->
                   {ok, Is, _} = merlon_token:find(Dir, merlon_token_core:id_text(maps:get(id, merlon_join_ct:decoded(Text)))),
                   Is
           end,
    Held = merlon_dir_write:locked(list_to_binary(Dir), fun(_) ->
               Driver = driver(Dir, ["--until", "issue", "--without", "first@127.0.0.1"], Config),
               {ended(Driver, 60000), Fate(Second)}
           end),
    {1, open} = Held,
    %% It has a certificate and is not there.
    says(rotate(Dir, ["--until", "issue", "--without", "first@127.0.0.1"]), "stage issue"),
    revoked = Fate(Second),
    Port = merlon_join_ct:service(Dir),
    {{error, {refused, Text}}, _} = Join(Second, <<"second@127.0.0.1">>, Port),
    says(iolist_to_binary(Text), "the CA has changed since"),
    {{ok, _}, _} = Join(Token("third@127.0.0.1"), <<"third@127.0.0.1">>, Port),
    _ = Vms,
    ok.

%% Forwards by --days, back as the old root is about to end, as is a reason to rotate one.
%% What the first one has said brings none of its roots back.
a_second_rotation_ends_as_the_first_did(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--wait", "30s"]),
    ok = stand_on([ca_id(Dir)], Vms, Dir),
    Middle = ca_id(Dir),
    _ = rotate(Dir, ["--wait", "30s"]),
    Last = ca_id(Dir),
    true = Last =/= Middle,
    ok = stand_on([Last], Vms, Dir),
    Told = [length(events(Vm, root_stage)) || Vm <- Vms],
    timer:sleep(4000),
    ok = stand_on([Last], Vms, Dir),
    Told = [length(events(Vm, root_stage)) || Vm <- Vms].

a_root_that_ends_before_the_nodes_certificates_is_stood_on(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--days", "2", "--wait", "20s"]),
    ok = stand_on([ca_id(Dir)], Vms, Dir),
    Short = ca_id(Dir),
    _ = rotate(Dir, ["--until", "issue", "--wait", "20s"]),
    %% Certificates of the new root, that last longer.
    [{0, _, <<>>} = merlon_cli:run(["cert", text(Vm), "--days", "60", "--force", "--dir", Dir]) || Vm <- [hd(Vms)]],
    ok = merlon_live_ct:taken(hd(Vms)),
    _ = rotate(Dir, ["--rollback", "--wait", "20s"]),
    Short = ca_id(Dir),
    ok = stand_on([Short], Vms, Dir).

%% The old root issues, as by a copy of ca/ that was forgotten, and all were told to stand on the new one.
a_ca_that_gives_the_wrong_certificates_is_not_asked_all_the_time(Config) ->
    {Dir, Vms} = three(Config),
    _ = rotate(Dir, ["--until", "trust"]),
    {ok, #{old := Old, new := New}} = merlon_ca_files:rotation(Dir),
    [{_, #{cluster := Cluster, sequence := Number}}] = merlon_roots_files:statements(Dir),
    {ok, Text} = merlon_nif:rotation_say(#{cluster => Cluster, sequence => Number + 1, stage => issue,
                                           old_cert => maps:get(cert, Old), old_key => maps:get(key, Old),
                                           new_cert => maps:get(cert, New), new_key => maps:get(key, New)}),
    ok = merlon_dir_write:locked(list_to_binary(Dir), fun(Work) -> merlon_roots_files:keep(Dir, Work, #{old => maps:get(id, Old), new => maps:get(id, New)}, Text) end),
    timer:sleep(22000),
    {ok, Entries} = merlon_issued:all(list_to_binary(Dir)),
    [begin
         Count = length([Name || #{name := Name} <- Entries, Name =:= list_to_binary(text(Vm))]),
         ct:log("~p", [Count]),
         true = Count > 1 andalso Count =< 5
     end || Vm <- Vms],
    %% The command puts that right.
    _ = rotate(Dir, []),
    ok = stand_on([ca_id(Dir)], Vms, Dir).

no_node_runs_there(Config) ->
    Dir = merlon_roots_ct:dir(Config),
    says(rotate(Dir, [], 1), "no node runs with"),
    says(rotate(Dir, ["--rollback"], 1), "no node runs with"),
    Usage = fun(More) ->
                    {2, <<>>, Said} = merlon_cli:run(merlon_roots_ct:args(Dir) ++ More),
                    Said
            end,
    says(Usage(["--wait", "soon"]), "--wait must be a time"),
    says(Usage(["--grace", "1h"]), "--grace is of `rotate secret`").
