%% SPDX-License-Identifier: Apache-2.0
%% A new key and certificate, put into place step by step: after each step there is a pair.
-module(merlon_identity_write_tests).
-include_lib("eunit/include/eunit.hrl").

-import(merlon_test_dir, [with_node/1]).

-define(NODE, "app@here").

path(Dir, Name) -> list_to_binary(filename:join([Dir, "nodes", ?NODE, Name])).

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.

%% Another pair for the same node.
another(Dir) ->
    Read = fun(Name) -> read(filename:join([Dir, "ca", Name])) end,
    {ok, #{cert := Cert, key := Key}} =
        merlon_nif:pki_issue(#{ca_cert => Read("ca.pem"), ca_key => Read("ca.key"), ips => [], days => 3, alg => p256,
                               identity => {node, <<"app">>, <<"here">>}, now => erlang:system_time(second)}),
    {Cert, Key}.

put_pair(Dir, {Cert, Key}) ->
    merlon_dir_write:locked(list_to_binary(Dir),
                            fun(Work) -> merlon_identity_write:put_pair(path(Dir, ""), Work, Cert, Key) end).

%% The certificate with which a node would start now.
starts_with(Dir) ->
    {ok, Settings} = merlon_config:load(Dir),
    {ok, #{sha256 := Sha256}} = merlon_identity:load(list_to_atom(?NODE), Settings),
    Sha256.

sha256(Cert) ->
    {ok, [#{sha256 := Sha256} | _]} = merlon_nif:pki_inspect(Cert),
    Sha256.

secret(File, Content) ->
    ok = file:write_file(File, Content),
    ok = file:change_mode(File, 8#600).

a_new_pair_is_in_its_place_with_its_modes_test() ->
    with_node(fun(Dir) ->
        {Cert, _} = Pair = another(Dir),
        ok = put_pair(Dir, Pair),
        ?assertEqual(Pair, {read(path(Dir, "cert.pem")), read(path(Dir, "key.pem"))}),
        ?assertEqual(sha256(Cert), starts_with(Dir)),
        ?assertEqual([8#644, 8#600], [merlon_test_dir:mode(path(Dir, Name)) || Name <- ["cert.pem", "key.pem"]]),
        ?assertEqual(["cert.pem", "key.pem"], lists:sort(filelib:wildcard("*", binary_to_list(path(Dir, "")))))
    end).

ended_after_any_step_there_is_a_pair_test() ->
    with_node(fun(Dir) ->
        Old = sha256(read(path(Dir, "cert.pem"))),
        {Cert, Key} = another(Dir),
        secret(path(Dir, "key.next.pem"), Key),
        ?assertEqual(Old, starts_with(Dir)),
        ok = file:write_file(path(Dir, "cert.pem"), Cert),
        ?assertEqual(sha256(Cert), starts_with(Dir)),
        ok = file:rename(path(Dir, "key.next.pem"), path(Dir, "key.pem")),
        ?assertEqual(sha256(Cert), starts_with(Dir))
    end).

%% It was ended before the last step: the next one must not write over the only key.
what_another_has_left_is_finished_first_test() ->
    with_node(fun(Dir) ->
        {Cert, Key} = another(Dir),
        secret(path(Dir, "key.next.pem"), Key),
        ok = file:write_file(path(Dir, "cert.pem"), Cert),
        %% One that fails after its first step.
        ok = file:rename(path(Dir, "cert.pem"), path(Dir, "aside")),
        ok = file:make_dir(path(Dir, "cert.pem")),
        ?assertMatch({error, {file, _}}, put_pair(Dir, another(Dir))),
        ok = file:del_dir(path(Dir, "cert.pem")),
        ok = file:rename(path(Dir, "aside"), path(Dir, "cert.pem")),
        {Next, _} = Pair = another(Dir),
        ok = put_pair(Dir, Pair),
        ?assertEqual(sha256(Next), starts_with(Dir))
    end).

a_new_key_that_others_may_read_or_that_is_none_is_not_used_test() ->
    with_node(fun(Dir) ->
        {Cert, Key} = another(Dir),
        ok = file:write_file(path(Dir, "cert.pem"), Cert),
        secret(path(Dir, "key.next.pem"), Key),
        ok = file:change_mode(path(Dir, "key.next.pem"), 8#644),
        {ok, Settings} = merlon_config:load(Dir),
        Load = fun() -> merlon_identity:load(list_to_atom(?NODE), Settings) end,
        ?assertMatch({error, {identity, {unusable, _, key_mismatch}}}, Load()),
        secret(path(Dir, "key.next.pem"), <<"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n">>),
        ?assertMatch({error, {identity, {unusable, _, key_mismatch}}}, Load()),
        secret(path(Dir, "key.next.pem"), Key),
        ?assertEqual(sha256(Cert), starts_with(Dir))
    end).
