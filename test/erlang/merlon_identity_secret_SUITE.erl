%% SPDX-License-Identifier: Apache-2.0
%% Nodes with a keyring and no certificate: who is let in, what happens when the keyring changes or
%% time goes by, and that no second kind of identity mixes in.
-module(merlon_identity_secret_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([one_file_makes_a_cluster/1, a_node_with_another_keyring_is_refused/1,
         a_node_with_a_certificate_is_refused/1, two_entries_are_both_trusted/1,
         an_expired_entry_is_not_trusted/1, a_link_ends_with_the_entry_that_opened_it/1,
         a_dropped_entry_is_no_longer_trusted/1, a_new_keyring_gives_a_new_certificate/1,
         a_certificate_is_made_anew_while_the_node_runs/1, certificates_are_not_mixed_in/1,
         a_remote_shell_needs_no_certificate/1, the_same_passphrase_links_two_machines/1]).
-export([chain/0, make_due/0]).

-import(merlon_live_ct, [events/2, taken/1, reload/1]).
-import(merlon_secret_ct, [entry/1, entry/3, put_keyring/2, unlinked/2, apart/2]).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [one_file_makes_a_cluster, a_node_with_another_keyring_is_refused, a_node_with_a_certificate_is_refused,
     two_entries_are_both_trusted, an_expired_entry_is_not_trusted, a_link_ends_with_the_entry_that_opened_it,
     a_dropped_entry_is_no_longer_trusted, a_new_keyring_gives_a_new_certificate,
     a_certificate_is_made_anew_while_the_node_runs, certificates_are_not_mixed_in,
     a_remote_shell_needs_no_certificate, the_same_passphrase_links_two_machines].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% ---- dirs and nodes ----

new_dir(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config),
                        lists:concat(["secret", erlang:unique_integer([positive])])),
    ok = file:make_dir(Dir),
    Dir.

%% As an administrator makes one.
init(Dir, Args) ->
    {0, _, <<>>} = merlon_cli:run(["init", "--secret", "--dir", Dir | Args]),
    Dir.

copy(Dir, To) ->
    {ok, _} = file:copy(filename:join(Dir, "keyring"), filename:join(To, "keyring")),
    ok = file:change_mode(filename:join(To, "keyring"), 8#600),
    To.

dir_with(Config, Entries) ->
    Dir = new_dir(Config),
    put_keyring(Dir, Entries),
    Dir.

node_in(Config, Dir) ->
    merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("s")), [], #{dir => Dir, certify => false}).

pair(Config, EntriesA, EntriesB) ->
    [DirA, DirB] = [dir_with(Config, Entries) || Entries <- [EntriesA, EntriesB]],
    {DirA, node_in(Config, DirA), DirB, node_in(Config, DirB)}.

dial(A, {_, NodeB, _}) -> merlon_ct:call(A, net_kernel, connect_node, [NodeB]).

%% Whoever dials, once both have seen that a link before is gone.
refused(A, B) ->
    ok = apart(A, B),
    false = dial(A, B),
    false = dial(B, A),
    ok.

reasons(Vm) -> lists:usort([Reason || #{reason := Reason} <- events(Vm, refused)]).

%% ---- who is let in ----

one_file_makes_a_cluster(Config) ->
    DirA = init(new_dir(Config), []),
    {ok, ["keyring"]} = file:list_dir(DirA),
    Vms = [A, B, C] = [node_in(Config, Dir) || Dir <- [DirA, copy(DirA, new_dir(Config)), copy(DirA, new_dir(Config))]],
    [ok = merlon_ct:connect(One, Other) || {One, Other} <- [{A, B}, {B, C}, {C, A}]],
    [begin
         #{identity := {node, <<"merlon">>, Name, <<"127.0.0.1">>}, tls_version := <<"1.3">>} = Link
             = merlon_ct:the_link(Vm, Node),
         true = atom_to_binary(Node) =:= <<Name/binary, "@127.0.0.1">>,
         true = maps:get(not_after, Link) - erlang:system_time(second) =< 86400,
         ok = merlon_ct:call(Vm, merlon_work, echo, [Node, hello])
     end || Vm <- Vms, {_, Node, _} <- Vms -- [Vm]],
    %% Nothing was written but what nodes know of each other's keyrings, and that they have linked.
    {ok, Written} = file:list_dir(DirA),
    [] = Written -- ["keyring", "keyring.status", "linked-nodes"].

a_node_with_another_keyring_is_refused(Config) ->
    [A, B] = [node_in(Config, init(new_dir(Config), [])) || _ <- [a, b]],
    ok = refused(A, B),
    true = lists:member(unknown_issuer, reasons(A) ++ reasons(B)).

%% Though it has the very same keyring.
a_node_with_a_certificate_is_refused(Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "merlon"),
    put_keyring(Dir, [entry(1)]),
    A = merlon_ct:start(Config, merlon_peers:node(merlon_peers:name("c")), [], #{dir => Dir}),
    B = node_in(Config, dir_with(Config, [entry(1)])),
    ok = refused(A, B),
    true = lists:member(unknown_issuer, reasons(A) ++ reasons(B)).

two_entries_are_both_trusted(Config) ->
    %% A has made the new one a minute ago: not all clocks agree on it.
    {DirA, A, DirB, B} = pair(Config, [entry(1), entry(2, -60, never)], [entry(1)]),
    ok = merlon_ct:connect(A, B),
    unlinked(A, B),
    put_keyring(DirA, [entry(1, -7200, never), entry(2)]),
    put_keyring(DirB, [entry(2, -7200, never), entry(1)]),
    [ok = taken(Vm) || Vm <- [A, B]],
    [IssuerA, IssuerB] = [issuer(Vm) || Vm <- [A, B]],
    true = IssuerA =/= IssuerB,
    ok = merlon_ct:connect(B, A).

issuer(Vm) ->
    Ref = merlon_ct:call(Vm, ?MODULE, chain, []),
    {ok, [#{issuer := Issuer}]} = merlon_nif:pki_inspect(Ref),
    Issuer.

%% On the node.
chain() -> merlon_nif:identity_chain(merlon_node:identity()).

an_expired_entry_is_not_trusted(Config) ->
    {_, A, DirB, B} = pair(Config, [entry(1, -3600, -60), entry(2)], [entry(1), entry(3, -7200, never)]),
    ok = refused(A, B),
    true = lists:member(unknown_issuer, reasons(A)),
    put_keyring(DirB, [entry(1), entry(2, -7200, never)]), % trusts A, but shows what A does not trust
    ok = taken(B),
    ok = refused(A, B).

%% ---- while nodes run ----

a_link_ends_with_the_entry_that_opened_it(Config) ->
    Ends = 10,
    {_, A, _, B} = pair(Config, [entry(1, -3600, Ends), entry(2, -7200, never)],
                        [entry(1), entry(2, -7200, never)]),
    [ok = merlon_rotate_ct:stop_spreading(Vm) || Vm <- [A, B]], % or B hears of the end, and shows another one in time
    ok = merlon_ct:connect(A, B),
    ok = merlon_live_ct:watch(A),
    {_, NodeB, _} = B,
    merlon_peers:wait(fun() -> merlon_live_ct:downs(A) =/= [] end, (Ends + 10) * 1000),
    {peer_certificate, Reason} = merlon_live_ct:down_reason(A, NodeB),
    true = lists:member(Reason, [unknown_issuer, anchor_not_valid]),
    ok = refused(A, B).

a_dropped_entry_is_no_longer_trusted(Config) ->
    {DirA, A, _, B} = pair(Config, [entry(1), entry(2, -60, never)], [entry(1)]),
    ok = merlon_ct:connect(A, B),
    ok = merlon_live_ct:watch(A),
    put_keyring(DirA, [entry(2, -60, never)]),
    ok = taken(A),
    {peer_certificate, unknown_issuer} = merlon_live_ct:down_reason(A, element(2, B)),
    ok = refused(A, B).

a_new_keyring_gives_a_new_certificate(Config) ->
    {_, A, DirB, B} = pair(Config, [entry(1)], [entry(2)]),
    ok = refused(A, B),
    Before = issuer(B),
    put_keyring(DirB, [entry(1)]),
    ok = taken(B),
    true = issuer(B) =/= Before,
    ok = merlon_ct:connect(A, B),
    [_ | _] = events(B, reloaded).

%% Half a day has gone by, and the keyring can't be read just then.
a_certificate_is_made_anew_while_the_node_runs(Config) ->
    {_, A, DirB, B} = pair(Config, [entry(1)], [entry(1)]),
    ok = merlon_ct:connect(A, B),
    Before = merlon_ct:call(B, ?MODULE, chain, []),
    ok = file:delete(filename:join(DirB, "keyring")),
    ok = merlon_ct:call(B, ?MODULE, make_due, []),
    merlon_peers:wait(fun() -> merlon_ct:call(B, ?MODULE, chain, []) =/= Before end),
    [#{not_after := End}] = events(B, minted),
    true = abs(End - erlang:system_time(second) - 86400) < 30,
    #{} = merlon_ct:link_of(A, element(2, B)), % which goes on
    unlinked(A, B),
    ok = merlon_ct:connect(B, A).

%% On the node.
make_due() ->
    {ok, Node} = merlon_node:current(),
    merlon_node:replace(Node, Node#{due => 0}).

certificates_are_not_mixed_in(Config) ->
    {DirA, A, _, B} = pair(Config, [entry(1)], [entry(1)]),
    Trust = filename:join([DirA, "trust", "ca.pem"]),
    ok = filelib:ensure_dir(Trust),
    ok = file:write_file(Trust, "x"),
    {error, {config, {_, 0, {mixed, [Named]}}}} = reload(A),
    Named = iolist_to_binary([DirA, "/trust"]),
    ok = merlon_ct:connect(A, B), % as before
    {Status, Said} = boot(DirA),
    1 = Status,
    {match, _} = re:run(Said, "merlon: .*remove " ++ DirA ++ "/trust"),
    ok = file:delete(Trust),
    {0, _} = boot(DirA).

boot(Dir) ->
    Args = merlon_peers:args(Dir) ++ ["-noshell", "-name", merlon_peers:name("m") ++ "@127.0.0.1", "-eval", "halt(0)."],
    Port = open_port({spawn_executable, os:find_executable("erl")},
                     [{args, Args}, exit_status, stderr_to_stdout, binary]),
    said(Port, <<>>).

said(Port, Said) ->
    receive
        {Port, {data, More}} -> said(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 30000 -> error(timeout)
    end.

%% ---- tools ----

a_remote_shell_needs_no_certificate(Config) ->
    Dir = dir_with(Config, [entry(1)]),
    {_, NodeA, _} = A = node_in(Config, Dir),
    Tool = merlon_ct:run(Config, merlon_peers:args(Dir) ++ ["-name", "undefined@127.0.0.1"],
                         #{env => [{"USER", "alice"}]}),
    true = dial(Tool, A),
    Name = merlon_ct:call(Tool, erlang, node, []),
    ok = merlon_ct:call(Tool, merlon_work, echo, [NodeA, hello]),
    #{identity := {cli, <<"merlon">>, <<"alice">>, <<"127.0.0.1">>}} = merlon_ct:the_link(A, Name),
    [Name] = merlon_ct:call(A, erlang, nodes, [hidden]),
    %% rabbitmqctl: its name says what it is.
    Ctl = list_to_atom("rabbitmqcli-" ++ os:getpid() ++ "-" ++ atom_to_list(NodeA)),
    C = merlon_ct:start(Config, Ctl, ["-hidden"], #{dir => Dir, certify => false}),
    true = dial(C, A),
    #{identity := {cli, _, _, _}} = merlon_ct:the_link(A, Ctl).

%% ---- passphrases ----

the_same_passphrase_links_two_machines(Config) ->
    Typed = fun(Words) ->
                    Dir = new_dir(Config),
                    File = Dir ++ ".phrase",
                    ok = merlon_peers:write_secret(File, [Words, $\n]),
                    node_in(Config, init(Dir, ["shop", "--passphrase-file", File]))
            end,
    [A, B, C] = [Typed(Words) || Words <- ["six words that nobody ever said", "six words that nobody ever said",
                                           "six words that everybody said"]],
    ok = merlon_ct:connect(A, B),
    #{identity := {node, <<"shop">>, _, _}} = merlon_ct:the_link(A, element(2, B)),
    ok = refused(A, C).
