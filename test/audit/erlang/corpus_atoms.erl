%% SPDX-License-Identifier: Apache-2.0
-module(corpus_atoms).
-export([dynamic_atom/1, dynamic_atom_near/1, dynamic_atom_tricky/3, request/1, fixed/0, numbered/1, decoded/1,
         kept/1]).
-define(ATOM(X), list_to_atom(X)).

dynamic_atom(Name) -> list_to_atom(Name). %! dynamic_atom medium

dynamic_atom_near(Name) ->
    {list_to_existing_atom(Name), binary_to_existing_atom(list_to_binary(Name)), atom_to_list(near)}.

dynamic_atom_tricky(Name, Names, Prefix) ->
    A = [binary_to_atom(N, utf8) || N <- Names], %! dynamic_atom medium
    B = lists:map(fun list_to_atom/1, Names), %! dynamic_atom medium
    C = lists:foldl(fun(N, Acc) -> [erlang:list_to_atom(Prefix ++ N) | Acc] end, [], Names), %! dynamic_atom medium
    D = ?ATOM(Name), %! dynamic_atom medium
    E = erl_scan:string(Name), %! dynamic_atom medium
    {A, B, C, D, E}.

request(Req) ->
    {Name, _} = cowboy_req:binding(name, Req),
    binary_to_atom(Name). %! dynamic_atom high

fixed() -> list_to_atom("fixed"). %! dynamic_atom note

%% An integer that a caller gives.
numbered(N) when is_integer(N) -> list_to_atom("worker_" ++ integer_to_list(N)). %! dynamic_atom low

decoded(Json) -> {jsx:decode(Json, [{labels, atom}]), jsx:decode(Json, [{labels, existing_atom}])}. %! dynamic_atom medium

%% A field of a process's state is not what it was once sent.
kept({Name, Socket}) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, _} -> list_to_atom(Name) %! dynamic_atom medium
    end.
