#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% merlon_term:decode/2 against decoding first and looking afterwards, in turn in one run. Build first (`make`):
%%
%%   escript bench/term.escript
%%
%% Prints microseconds per term (median of rounds) and the ratio; then how long a scan takes on an ordinary scheduler
%% for the bytes that take longest, the slowest of 200 but for ten: other programs interrupt it too.
-mode(compile).

-define(ROUNDS, 9).

main(_) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    true = code:add_patha(filename:join(Root, "_build/default/lib/merlon/ebin")),
    ok = merlon_nif:load(),
    io:format("OTP ~s, times in us per term~n~n", [erlang:system_info(otp_release)]),
    io:format("~-22s ~10s ~14s ~14s ~14s ~9s~n",
              ["term", "bytes", "binary_to_term", "decode + walk", "merlon_term", "ratio"]),
    [compare(Name, Term, Opts)
     || {Size, N} <- [{"small", 1}, {"medium", 42}, {"large", 4400}],
        {Name, Term, Opts} <- [{Size ++ " session", session(N), []}, {Size ++ " numbers", numbers(N), []},
                               {Size ++ " compressed", session(N), [compressed]}]],
    io:format("~na scan on an ordinary scheduler, at 32 KiB, the 95th percentile:~n", []),
    [io:format("~-22s ~10b us~n", [Name, slow(Bin)]) || {Name, Bin} <- worst()],
    ok.

%% ---- what is compared ----

compare(Name, Term, Opts) ->
    Bin = term_to_binary(Term, Opts),
    Ways = [fun(B) -> binary_to_term(B, [safe]) end, fun walked/1,
            fun(B) -> {ok, T} = merlon_term:decode(B), T end],
    [Term, Term, Term] = [Way(Bin) || Way <- Ways],
    Times = [[time(Way, Bin) || Way <- Ways] || _ <- lists:seq(1, ?ROUNDS)],
    [Bare, Walk, Ours] = [median([lists:nth(At, Row) || Row <- Times]) || At <- [1, 2, 3]],
    io:format("~-22s ~10b ~14.2f ~14.2f ~14.2f ~9.2f~n", [Name, byte_size(Bin), Bare, Walk, Ours, Ours / Walk]).

%% In a process of its own, so that one way's garbage is not another's.
time(Way, Bin) ->
    Times = max(3, min(20000, 4000000 div byte_size(Bin))),
    Self = self(),
    spawn_link(fun() ->
        {Time, ok} = timer:tc(fun() -> repeat(Times, Way, Bin) end),
        Self ! {time, Time / Times}
    end),
    receive {time, Time} -> Time end.

repeat(0, _Way, _Bin) -> ok;
repeat(N, Way, Bin) -> _ = Way(Bin), repeat(N - 1, Way, Bin).

median(Times) -> lists:nth((length(Times) + 1) div 2, lists:sort(Times)).

%% What libraries do: build it, then refuse it if there is a fun in it.
walked(Bin) ->
    Term = binary_to_term(Bin, [safe]),
    ok = walk(Term),
    Term.

walk(List) when is_list(List) -> walk_list(List);
walk(Tuple) when is_tuple(Tuple) -> walk_tuple(Tuple, tuple_size(Tuple));
walk(Map) when is_map(Map) -> maps:fold(fun(Key, Value, ok) -> ok = walk(Key), walk(Value) end, ok, Map);
walk(Other) when is_atom(Other); is_number(Other); is_bitstring(Other); is_pid(Other); is_reference(Other) -> ok.

walk_list([]) -> ok;
walk_list([Head | Tail]) when is_list(Tail) -> ok = walk(Head), walk_list(Tail);
walk_list([Head | Tail]) -> ok = walk(Head), walk(Tail).

walk_tuple(_Tuple, 0) -> ok;
walk_tuple(Tuple, N) -> ok = walk(element(N, Tuple)), walk_tuple(Tuple, N - 1).

%% ---- terms ----

%% About 195 bytes each.
session(1) -> user(1);
session(N) -> [user(I) || I <- lists:seq(1, N)].

user(I) ->
    #{id => I, name => <<"user-", (integer_to_binary(I))/binary>>, email => <<"somebody@example.com">>, admin => false,
      roles => [read, write], seen => {1700000000 + I, 123456}, cart => [{<<"sku-1">>, 2}, {<<"sku-2">>, 1}],
      token => <<I:256>>, score => I * 1.5}.

numbers(N) -> [I * 100003 rem 70000 || I <- lists:seq(1, 40 * N)].

%% ---- how long a call can take ----

worst() ->
    Fill = fun(Unit) -> binary:copy(Unit, 32760 div byte_size(Unit)) end,
    List = fun(Unit) -> <<131, 108, (32760 div byte_size(Unit)):32, (Fill(Unit))/binary, 106>> end,
    [{"empty lists", List(<<106>>)}, {"small integers", List(<<97, 1>>)}, {"atoms", List(<<119, 1, $a>>)},
     {"bignums", List(<<110, 1, 0, 255>>)}, {"tuples", List(<<104, 1, 106>>)}, {"maps", List(<<116, 1:32, 106, 106>>)},
     {"maps in each other", <<131, (Fill(<<116, 1:32, 106>>))/binary, 106>>},
     {"inflated", zipped(binary:part(List(<<106>>), 1, 32760))}].

zipped(Inner) -> <<131, 80, (byte_size(Inner)):32, (zlib:compress(Inner))/binary>>.

slow(Bin) ->
    Max = 16#FFFFFFFFFFFFFFFF,
    Budget = {Max, Max, Max, Max, Max, Max, Max, Max, 31},
    lists:nth(190, lists:sort([element(1, timer:tc(merlon_nif, term_scan, [Bin, Budget])) || _ <- lists:seq(1, 200)])).
