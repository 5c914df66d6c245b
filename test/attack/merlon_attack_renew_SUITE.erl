%% SPDX-License-Identifier: Apache-2.0
%% Peers that want a certificate that is not theirs, from a node that holds the CA's key.
-module(merlon_attack_renew_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_request_for_another_node_is_refused/1,
         a_request_with_a_stolen_certificate_is_refused/1,
         a_certificate_that_is_not_a_nodes_or_another_cas_vouches_for_nothing/1,
         a_node_revoked_a_moment_ago_gets_no_certificate/1,
         rubbish_is_refused_with_one_line/1]).

-import(merlon_live_ct, [dir/1, dir_of/2, events/2]).
-import(merlon_renew_ct, [three/2, request/3, ask/3, file/3, read/1]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [a_request_for_another_node_is_refused, a_request_with_a_stolen_certificate_is_refused,
     a_certificate_that_is_not_a_nodes_or_another_cas_vouches_for_nothing,
     a_node_revoked_a_moment_ago_gets_no_certificate, rubbish_is_refused_with_one_line].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

name({_, Node, _}) -> Node.

nothing_issued(Ca) ->
    [] = events(Ca, issued),
    ok.

a_request_for_another_node_is_refused(Config) ->
    {Dir, Ca, B, C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    Own = dir_of(Dir, name(B)),
    {error, {pki, csr_name}} = ask(B, Ca, request(Own, B, #{as => name(C)})),
    {error, {pki, csr_name}} = ask(B, Ca, request(Own, B, #{ips => [<<"192.0.2.66">>]})),
    %% Another request than the one that was vouched for.
    #{csr := Other} = request(Own, B, #{}),
    {error, {pki, csr_signature}} = ask(B, Ca, request(Own, B, #{csr => Other})),
    %% B's own request, sent by C.
    {error, wrong_node} = ask(C, Ca, request(Own, B, #{})),
    ok = nothing_issued(Ca),
    {ok, Cert} = ask(B, Ca, request(Own, B, #{})),
    {ok, [#{identity := {node, <<"live">>, _, _}}]} = merlon_nif:pki_inspect(Cert),
    {error, too_often} = ask(B, Ca, request(Own, B, #{})).

%% Certificates are no secret, and a message says whatever its sender likes of who has sent it.
a_request_with_a_stolen_certificate_is_refused(Config) ->
    {Dir, Ca, B, C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    Own = dir_of(Dir, name(B)),
    Stolen = request(Own, B, #{as => name(C), chain => read(file(dir_of(Dir, name(C)), C, "cert.pem"))}),
    {error, {pki, csr_signature}} = ask(B, Ca, Stolen),
    {error, {pki, csr_signature}} = ask(C, Ca, Stolen),
    %% As if C had asked.
    Pid = merlon_ct:call(C, erlang, whereis, [merlon_renew]),
    _ = merlon_ct:call(B, erlang, send, [{merlon_ca, name(Ca)}, {'$gen_call', {Pid, make_ref()}, {renew, Stolen}}]),
    {error, {pki, csr_signature}} = ask(B, Ca, Stolen), % the one before has been dealt with
    ok = nothing_issued(Ca).

a_certificate_that_is_not_a_nodes_or_another_cas_vouches_for_nothing(Config) ->
    {Dir, Ca, B, _C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    Own = dir_of(Dir, name(B)),
    ok = merlon_peers:add_cli(Dir, "alice", "127.0.0.1"),
    Tool = fun(Name) -> read(filename:join([Dir, "cli", "alice@127.0.0.1", Name])) end,
    {error, not_a_node} = ask(B, Ca, request(Own, B, #{chain => Tool("cert.pem"), key => Tool("key.pem")})),
    %% A CA that is trusted here, but is not the one that would sign.
    Other = dir(Config),
    ok = merlon_peers:add_node(Other, name(B)),
    Foreign = request(Own, B, #{chain => read(file(Other, B, "cert.pem")), key => read(file(Other, B, "key.pem"))}),
    {error, {pki, unknown_issuer}} = ask(B, Ca, Foreign),
    {ok, _} = file:copy(filename:join([Other, "trust", "ca.pem"]), filename:join([Dir, "trust", "other.pem"])),
    {ok, _} = merlon_live_ct:reload(Ca),
    {error, not_ours} = ask(B, Ca, Foreign),
    %% One that has run out.
    ok = merlon_peers:add_node(Dir, name(B), #{days => 1, now => erlang:system_time(second) - 86500}),
    Late = request(Own, B, #{chain => read(file(Dir, B, "cert.pem")), key => read(file(Dir, B, "key.pem"))}),
    {error, {pki, expired}} = ask(B, Ca, Late),
    ok = nothing_issued(Ca).

%% Before any poll has seen the list, and while the link is up.
a_node_revoked_a_moment_ago_gets_no_certificate(Config) ->
    {Dir, Ca, B, C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    {ok, Serial} = serial(read(file(dir_of(Dir, name(B)), B, "cert.pem"))),
    Request = request(dir_of(Dir, name(B)), B, #{}),
    {0, _, <<>>} = merlon_cli:run(["revoke", Serial, "--dir", Dir]),
    Answer = try ask(B, Ca, Request)
             catch _:_ -> gone % the link was closed on the way
             end,
    true = Answer =:= {error, {pki, revoked}} orelse Answer =:= gone,
    %% From another node, over a link that stays.
    {error, {pki, revoked}} = ask(C, Ca, Request),
    ok = nothing_issued(Ca).

serial(Cert) ->
    {ok, [#{serial := Serial} | _]} = merlon_nif:pki_inspect(Cert),
    {ok, binary_to_list(Serial)}.

rubbish_is_refused_with_one_line(Config) ->
    {Dir, Ca, B, _C} = three(Config, #{}),
    ok = merlon_ct:connect(B, Ca),
    Good = request(dir_of(Dir, name(B)), B, #{}),
    [{error, bad_request} = ask(B, Ca, Bad)
     || Bad <- [rubbish, [], <<>>, #{}, Good#{csr => []}, Good#{csr => binary:copy(<<"A">>, 8193)},
                Good#{chain => binary:copy(<<"A">>, 65537)}, Good#{signature => <<0:8200>>}, maps:remove(chain, Good),
                Good#{csr => <<255, 254>>}, Good#{chain => <<255, 254>>}]],
    {error, bad_request} = merlon_ct:call(B, gen_server, call, [{merlon_ca, name(Ca)}, anything]),
    [{error, {pki, _}} = ask(B, Ca, Bad) || Bad <- [Good#{csr => <<>>}, Good#{chain => <<>>}, Good#{signature => <<>>}]],
    [#{level := warning}] = events(Ca, issue_refused),
    ok = nothing_issued(Ca),
    {ok, _} = ask(B, Ca, Good).
