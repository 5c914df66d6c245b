%% SPDX-License-Identifier: Apache-2.0
%% What the suites about renewals share: three nodes, and a request as a node sends it.
-module(merlon_renew_ct).

-export([three/2, request/3, ask/3, file/3, read/1]).

-import(merlon_live_ct, [dir/1, node_in/2, node_away/2, node_away/3]).

%% A CA's node, and two on machines of their own, all linked. B is for the opts.
three(Config, Opts) ->
    Dir = dir(Config),
    Ca = node_in(Config, Dir),
    B = node_away(Config, Dir, Opts),
    C = node_away(Config, Dir),
    [ok = merlon_ct:connect(X, Y) || {X, Y} <- [{C, B}, {C, Ca}]],
    {Dir, Ca, B, C}.

%% What a node sends, with the files of Vm in Dir; Opts put something else in.
request(Dir, Vm, Opts) ->
    [Name, Host] = binary:split(atom_to_binary(maps:get(as, Opts, name(Vm))), <<"@">>),
    {ok, #{csr := Csr}} = merlon_nif:pki_new_csr(#{cluster => <<"live">>, identity => {node, Name, Host}, alg => p256,
                                                   ips => maps:get(ips, Opts, [])}),
    {ok, Signature} = merlon_nif:pki_vouch(maps:get(key, Opts, read(file(Dir, Vm, "key.pem"))), Csr),
    #{csr => maps:get(csr, Opts, Csr), signature => Signature,
      chain => maps:get(chain, Opts, read(file(Dir, Vm, "cert.pem")))}.

ask(From, Ca, Request) ->
    merlon_ct:call(From, gen_server, call, [{merlon_ca, name(Ca)}, {renew, Request}]).

name({_, Node, _}) -> Node.

file(Dir, Vm, Name) -> filename:join([Dir, "nodes", name(Vm), Name]).

read(File) ->
    {ok, Text} = file:read_file(File),
    Text.
