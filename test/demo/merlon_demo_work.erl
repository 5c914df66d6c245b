%% SPDX-License-Identifier: Apache-2.0
%% What the nodes of the demo do.
-module(merlon_demo_work).

-export([write/1, keys/0, join/1, members/1, register/1, ask/1, exchange/2]).

-spec write(pos_integer()) -> [tuple()].
write(N) ->
    [begin
         Key = {node(), I},
         {atomic, ok} = mnesia:transaction(fun() -> mnesia:write({work, Key, I * I}) end),
         Key
     end || I <- lists:seq(1, N)].

-spec keys() -> [tuple()].
keys() -> lists:sort(mnesia:dirty_all_keys(work)).

-spec join(atom()) -> ok.
join(Group) ->
    _ = pg:start(demo_scope),
    pg:join(demo_scope, Group, spawn(fun() -> receive stop -> ok end end)).

-spec members(atom()) -> [node()].
members(Group) -> lists:sort([node(P) || P <- pg:get_members(demo_scope, Group)]).

-spec register(atom()) -> yes | no.
register(Name) -> global:register_name(Name, spawn(fun answer/0)).

answer() ->
    receive {ping, From} -> From ! {pong, node()}, answer() end.

-spec ask(atom()) -> {pong, node()}.
ask(Name) ->
    global:whereis_name(Name) ! {ping, self()},
    receive {pong, _} = Pong -> Pong after 5000 -> error(timeout) end.

%% Sends about Bytes of mixed terms to a process on Node. Both ends make a checksum of what they
%% saw; gives the number of terms and both sums.
-spec exchange(node(), pos_integer()) -> {pos_integer(), {binary(), binary()}}.
exchange(Node, Bytes) ->
    Sink = spawn_link(Node, fun() -> sink(erlang:md5_init()) end),
    {Terms, Sum} = source(Sink, Bytes, rand:seed(exsss, erlang:unique_integer()), 0, erlang:md5_init()),
    Sink ! {stop, self()},
    receive {sum, Theirs} -> {Terms, {Sum, Theirs}} end.

source(_Sink, Bytes, _Seed, Terms, Md5) when Bytes =< 0 ->
    {Terms, erlang:md5_final(Md5)};
source(Sink, Bytes, Seed0, Terms, Md5) ->
    {Term, Seed} = term(Terms rem 8, Seed0),
    Sink ! {term, Term},
    Binary = term_to_binary(Term),
    source(Sink, Bytes - byte_size(Binary), Seed, Terms + 1, erlang:md5_update(Md5, Binary)).

sink(Md5) ->
    receive
        {term, Term} -> sink(erlang:md5_update(Md5, term_to_binary(Term)));
        {stop, From} -> From ! {sum, erlang:md5_final(Md5)}
    end.

term(0, Seed) -> rand:bytes_s(100, Seed);
term(1, Seed) -> rand:bytes_s(5000, Seed);
term(2, Seed) -> rand:bytes_s(1 bsl 20, Seed);
term(3, Seed) ->
    {N, Next} = rand:uniform_s(1 bsl 58, Seed),
    {{self(), make_ref(), N, N * N * N * N, -N, N / 3, "text", <<"text">>}, Next};
term(4, Seed) ->
    {N, Next} = rand:uniform_s(1000, Seed),
    {lists:seq(N, N + 20000), Next};
term(5, Seed) ->
    {N, Next} = rand:uniform_s(1000000, Seed),
    {[{I, #{number => I, name => <<"a name">>}} || I <- lists:seq(N, N + 500)], Next};
term(6, Seed) ->
    {B, Next} = rand:bytes_s(200000, Seed),
    {[B, {B, [B]}], Next};
term(7, Seed) -> {[], Seed}.
