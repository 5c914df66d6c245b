%% SPDX-License-Identifier: Apache-2.0
%% Revocation lists that nodes pass on to each other: they reach everybody, once, and nothing else does.
-module(merlon_spread_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_revocation_reaches_nodes_that_are_not_linked_to_the_ca/1,
         a_node_that_was_away_gets_the_list_at_its_next_link/1,
         a_node_that_trusts_another_ca_gets_its_list_over_links_that_are_up/1,
         a_node_whose_dir_is_locked_for_long_says_so_and_gets_the_list_after_that/1,
         a_list_that_is_known_is_not_passed_on/1,
         a_list_that_no_trusted_ca_has_signed_is_refused/1,
         rubbish_costs_nothing_but_one_line/1,
         an_older_list_is_taken_neither_from_a_peer_nor_from_the_disk/1,
         a_stale_or_partial_list_is_not_taken/1,
         a_list_that_is_too_big_stays_where_it_is/1]).

-import(merlon_live_ct, [dir/1, node_in/2, node_away/2, dir_of/2, events/2, watch/1, revoke/2, down_reason/2]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_revocation_reaches_nodes_that_are_not_linked_to_the_ca, a_node_that_was_away_gets_the_list_at_its_next_link,
     a_node_that_trusts_another_ca_gets_its_list_over_links_that_are_up,
     a_node_whose_dir_is_locked_for_long_says_so_and_gets_the_list_after_that,
     a_list_that_is_known_is_not_passed_on, a_list_that_no_trusted_ca_has_signed_is_refused,
     rubbish_costs_nothing_but_one_line, an_older_list_is_taken_neither_from_a_peer_nor_from_the_disk,
     a_stale_or_partial_list_is_not_taken, a_list_that_is_too_big_stays_where_it_is].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.

counts(Vm) -> merlon_ct:call(Vm, merlon_crl, counts, []).

taken(Vm) -> maps:get(taken, counts(Vm)).

in_use(Vm) ->
    {ok, #{crls := Ids}} = merlon_ct:call(Vm, merlon_node, current, []),
    lists:usort(Ids).

%% The files that a node has been given.
files(Dir, Vm) -> filelib:wildcard(filename:join([dir_of(Dir, name(Vm)), "crl", "*"])).

gone(A, B) ->
    false = merlon_ct:call(A, net_kernel, connect_node, [name(B)]),
    none = merlon_ct:link_of(A, name(B)).

%% A (the CA's), B and C, each on a machine of its own, linked as a chain.
chain(Config) ->
    Dir = dir(Config),
    A = node_in(Config, Dir),
    [B, C] = [node_away(Config, Dir) || _ <- "bc"],
    [ok = merlon_ct:connect(X, Y) || {X, Y} <- [{B, A}, {C, B}]],
    {Dir, A, B, C}.

%% ---- it reaches everybody, once ----

a_revocation_reaches_nodes_that_are_not_linked_to_the_ca(Config) ->
    {Dir, A, B, C} = chain(Config),
    D = node_away(Config, Dir),
    ok = merlon_ct:connect(C, D),
    ok = watch(C),
    Serial = serial(Dir, D),
    {0, _, <<>>} = merlon_cli:run(["revoke", Serial, "--dir", Dir]),
    {peer_certificate, revoked} = down_reason(C, name(D)),
    none = merlon_ct:link_of(A, name(C)),
    [gone(Vm, D) || Vm <- [A, B, C]],
    [#{level := info, node := From}] = events(C, crl_taken),
    From = name(B),
    %% It is on the disk there, and so it counts from the next start on.
    [File] = files(Dir, C),
    [[#{revoked := [#{serial := Listed}]}]] = [Lists || {ok, Lists} <- [merlon_nif:pki_lists(read(File))]],
    Listed = list_to_binary(Serial),
    ok = merlon_ct:drop(C),
    C2 = again(Config, Dir, C),
    [_] = in_use(C2),
    gone(C2, D),
    {ok, unchanged} = merlon_live_ct:reload(C2).

serial(Dir, Vm) ->
    {ok, [#{serial := Serial} | _]} = merlon_nif:pki_inspect(read(filename:join([dir_of(Dir, name(Vm)), "nodes", name(Vm),
                                                                                "cert.pem"]))),
    binary_to_list(Serial).

again(Config, Dir, Vm) ->
    merlon_ct:start(Config, name(Vm), ["-connect_all", "false"], #{dir => dir_of(Dir, name(Vm)), certify => false}).

a_node_that_was_away_gets_the_list_at_its_next_link(Config) ->
    {Dir, A, B, C} = chain(Config),
    D = node_away(Config, Dir),
    ok = merlon_ct:drop(C),
    {0, _, <<>>} = merlon_cli:run(["revoke", serial(Dir, D), "--dir", Dir]),
    merlon_peers:wait(fun() -> in_use(B) =/= [] end),
    C2 = again(Config, Dir, C),
    [] = in_use(C2),
    ok = merlon_ct:connect(C2, D), % it does not know yet
    ok = watch(C2),
    ok = merlon_ct:connect(C2, B),
    {peer_certificate, revoked} = down_reason(C2, name(D)),
    true = in_use(C2) =:= in_use(A).

%% As in a rotation of the root, or by hand: what was no good when it was offered is, then.
a_node_that_trusts_another_ca_gets_its_list_over_links_that_are_up(Config) ->
    {Dir, A, B, _} = chain(Config),
    Now = erlang:system_time(second),
    {ok, #{cert := Cert, key := Key}} = merlon_nif:pki_new_ca(#{cluster => <<"live">>, alg => p256, days => 9, now => Now}),
    {ok, List} = merlon_nif:pki_revoke(#{ca_cert => Cert, ca_key => Key, crl => <<>>, serials => [<<"0a">>], reason => unspecified,
                                         days => 5, now => Now}),
    Put = fun(In, Name, Text) ->
                  File = filename:join(In, Name),
                  ok = filelib:ensure_dir(File),
                  ok = file:write_file(File, Text)
          end,
    Put(Dir, "crl/second.crl.pem", List),
    Put(Dir, "trust/second.pem", Cert),
    ok = merlon_live_ct:taken(A),
    merlon_peers:wait(fun() -> maps:get(refused, counts(B)) > 0 end),
    [] = in_use(B),
    Put(dir_of(Dir, name(B)), "trust/second.pem", Cert),
    ok = merlon_live_ct:taken(B),
    ok = merlon_live_ct:within(10000, fun() -> in_use(B) =:= in_use(A) end),
    1 = length(in_use(B)).

%% By what has died in another container, say.
a_node_whose_dir_is_locked_for_long_says_so_and_gets_the_list_after_that(Config) ->
    {Dir, A, B, C} = chain(Config),
    D = node_away(Config, Dir),
    Locked = list_to_binary(dir_of(Dir, name(B))),
    {Pid, Ref} = spawn_monitor(fun() ->
        merlon_dir_write:locked(Locked, fun(_) -> receive go -> ok end end)
    end),
    {0, _, <<>>} = merlon_cli:run(["revoke", serial(Dir, D), "--dir", Dir]),
    merlon_peers:wait(fun() -> events(B, crl_refused) =/= [] end),
    [#{level := warning, text := Text, node := From}] = events(B, crl_refused),
    {match, _} = re:run(Text, "another merlon command"),
    From = name(A),
    [] = in_use(B),
    Pid ! go,
    receive {'DOWN', Ref, process, Pid, normal} -> ok end,
    merlon_peers:wait(fun() -> in_use(C) =/= [] end),
    gone(B, D).

%% All are linked to all, and the list crosses each link once at most.
a_list_that_is_known_is_not_passed_on(Config) ->
    {Dir, A, B, C} = chain(Config),
    D = node_away(Config, Dir),
    Vms = [A, B, C, D],
    [ok = merlon_ct:connect(X, Y) || {X, Y} <- [{A, C}, {A, D}, {B, D}, {C, D}]],
    [begin
         Gone = merlon_peers:node(merlon_peers:name("gone")),
         ok = merlon_peers:add_node(Dir, Gone),
         ok = revoke(Dir, [Gone]),
         merlon_peers:wait(fun() -> [taken(Vm) || Vm <- [B, C, D]] =:= [Round, Round, Round] end)
     end || Round <- [1, 2]],
    timer:sleep(3000), % a poll
    0 = taken(A),
    Before = [counts(Vm) || Vm <- Vms],
    %% Each might have been sent it by three, in each of two rounds.
    [true = Known =< 4 || #{known := Known} <- Before],
    [0 = Refused || #{refused := Refused} <- Before],
    [_] = lists:usort([in_use(Vm) || Vm <- Vms]),
    [{ok, _} = merlon_live_ct:reload(Vm) || Vm <- Vms],
    timer:sleep(3000),
    Before = [counts(Vm) || Vm <- Vms].

%% ---- a peer that has been taken over ----

send(From, To, List) ->
    merlon_ct:call(From, gen_server, call, [{merlon_crl, name(To)}, {list, List}]).

%% A list of that dir's CA, in DER, that revokes those serials.
list(Dir, Before, Serials, Days, Now) ->
    Ca = [read(filename:join([Dir, "ca", Name])) || Name <- ["ca.pem", "ca.key"]],
    {ok, Pem} = merlon_nif:pki_revoke(#{ca_cert => hd(Ca), ca_key => lists:last(Ca), crl => Before, serials => Serials,
                                        reason => unspecified, days => Days, now => Now}),
    der(Pem).

der(Pem) ->
    [{'CertificateList', Der, not_encrypted} | _] = public_key:pem_decode(Pem),
    Der.

now_s() -> erlang:system_time(second).

nothing_happened(Dir, Vm) ->
    [] = in_use(Vm),
    [] = files(Dir, Vm),
    #{taken := 0} = counts(Vm),
    ok = merlon_ct:alive(Vm).

a_list_that_no_trusted_ca_has_signed_is_refused(Config) ->
    {Dir, _A, B, C} = chain(Config),
    Good = list(Dir, <<>>, [<<"0a">>], 5, now_s()),
    Other = dir(Config),
    {error, unknown_issuer} = send(C, B, list(Other, <<>>, [<<"0a">>], 5, now_s())),
    Size = byte_size(Good) - 1,
    <<Start:Size/binary, Last>> = Good,
    {error, bad_crl} = send(C, B, <<Start/binary, (Last bxor 1)>>),
    %% Another number on it, and the same signature.
    [Head, Tail] = binary:split(Good, <<16#0a, 16#17>>),
    {error, bad_crl} = send(C, B, <<Head/binary, 16#0b, 16#17, Tail/binary>>),
    %% The right names, and another CA's key.
    {error, bad_crl} = send(C, B, signed_by(Other, Good)),
    nothing_happened(Dir, B),
    [#{level := warning, node := From}] = events(B, crl_refused),
    From = name(C),
    ok = send(C, B, Good),
    [_] = in_use(B).

%% The list, signed anew with the CA key of another dir.
signed_by(Dir, Der) ->
    [Entry] = public_key:pem_decode(read(filename:join([Dir, "ca", "ca.key"]))),
    {'CertificateList', Tbs, Algorithm, _} = public_key:der_decode('CertificateList', Der),
    Signature = public_key:sign(public_key:der_encode('TBSCertList', Tbs), sha256, public_key:pem_entry_decode(Entry)),
    public_key:der_encode('CertificateList', {'CertificateList', Tbs, Algorithm, Signature}).

rubbish_costs_nothing_but_one_line(Config) ->
    {Dir, _A, B, C} = chain(Config),
    Good = list(Dir, <<>>, [<<"0a">>], 5, now_s()),
    {error, too_big} = send(C, B, binary:copy(<<48>>, 1048577)),
    [{error, malformed_crl} = send(C, B, Bad)
     || Bad <- [<<>>, <<"rubbish">>, binary:copy(<<48, 128>>, 500000), <<48, 132, 255, 255, 255, 255>>,
                binary:part(Good, 0, 100), <<Good/binary, 0>>, public_key:pem_encode([{'CertificateList', Good, not_encrypted}])]],
    [{error, bad_request} = send(C, B, Bad) || Bad <- [[], rubbish, #{}, <<1:1>>]],
    Offer = fun(Ids) -> merlon_ct:call(C, gen_server, call, [{merlon_crl, name(B)}, {offer, Ids}]) end,
    [{want, []} = Offer(Bad) || Bad <- [rubbish, [rubbish], [{a, b, c}], [{<<>>, 1, <<>>} | tail],
                                        [{binary:copy(<<"a">>, 32), now, <<1>>}],
                                        [{binary:copy(<<"a">>, 32), 1, binary:copy(<<1>>, 21)}]]],
    {want, Many} = Offer([{list_to_binary(io_lib:format("~32..0b", [N])), 1, <<>>} || N <- lists:seq(1, 10000)]),
    true = length(Many) =< 64,
    {error, bad_request} = merlon_ct:call(C, gen_server, call, [{merlon_crl, name(B)}, whatever]),
    _ = merlon_ct:call(C, gen_server, cast, [{merlon_crl, name(B)}, whatever]),
    _ = merlon_ct:call(C, erlang, send, [{merlon_crl, name(B)}, whatever]),
    #{refused := 12} = counts(B),
    nothing_happened(Dir, B),
    [_] = events(B, crl_refused).

an_older_list_is_taken_neither_from_a_peer_nor_from_the_disk(Config) ->
    {Dir, A, B, C} = chain(Config),
    D = node_away(Config, Dir),
    Old = list(Dir, <<>>, [<<"0a">>], 5, now_s()),
    ok = file:write_file(filename:join(Dir, "crl.pem"), public_key:pem_encode([{'CertificateList', Old, not_encrypted}])),
    {0, _, <<>>} = merlon_cli:run(["revoke", serial(Dir, D), "--dir", Dir]),
    merlon_peers:wait(fun() -> in_use(C) =/= [] andalso in_use(C) =:= in_use(A) end),
    [{error, known} = send(C, B, List) || List <- [Old, der(read(filename:join(Dir, "crl.pem")))]],
    %% Put back by somebody who has a backup.
    [File] = files(Dir, B),
    New = read(File),
    ok = file:write_file(File ++ ".new", Old),
    ok = file:rename(File ++ ".new", File),
    {error, {identity, {older_list, _, _, _}} = Problem} = merlon_live_ct:reload(B),
    {match, _} = re:run(merlon_ct:call(B, merlon, format_error, [Problem]), "older than the one in use"),
    gone(B, D),
    %% A newer one from a peer mends that; so does the operator.
    ok = file:write_file(File ++ ".new", New),
    ok = file:rename(File ++ ".new", File),
    {ok, _} = merlon_live_ct:reload(B),
    gone(B, D).

a_stale_or_partial_list_is_not_taken(Config) ->
    {Dir, _A, B, C} = chain(Config),
    {error, crl_expired} = send(C, B, list(Dir, <<>>, [<<"0a">>], 1, now_s() - 86410)),
    [Entry] = public_key:pem_decode(read(filename:join([Dir, "ca", "ca.key"]))),
    {'CertificateList', Tbs, Algorithm, _} =
        public_key:der_decode('CertificateList', list(Dir, <<>>, [<<"0a">>], 5, now_s())),
    %% For certificates of users only (RFC 5280, 5.2.5), signed by the CA itself.
    Partial = {'Extension', {2, 5, 29, 28}, true, <<48, 12, 160, 7, 160, 5, 134, 3, "u:x", 129, 1, 255>>},
    Part = setelement(8, Tbs, element(8, Tbs) ++ [Partial]),
    Signature = public_key:sign(public_key:der_encode('TBSCertList', Part), sha256, public_key:pem_entry_decode(Entry)),
    {error, bad_crl} = send(C, B, public_key:der_encode('CertificateList', {'CertificateList', Part, Algorithm, Signature})),
    nothing_happened(Dir, B).

a_list_that_is_too_big_stays_where_it_is(Config) ->
    {Dir, A, B, _C} = chain(Config),
    Serials = [binary:encode_hex(<<1, N:128>>) || N <- lists:seq(1, 30000)],
    Big = list(Dir, <<>>, [string:lowercase(Serial) || Serial <- Serials], 5, now_s()),
    true = byte_size(Big) > 1048576,
    File = filename:join(Dir, "crl.pem"),
    ok = file:write_file(File ++ ".new", Big),
    ok = file:rename(File ++ ".new", File),
    merlon_peers:wait(fun() -> events(A, crl_too_big) =/= [] end),
    [#{level := warning}] = events(A, crl_too_big),
    [_] = in_use(A),
    timer:sleep(1000),
    nothing_happened(Dir, B),
    #{refused := 0} = counts(B).
