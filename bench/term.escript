#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%%! +sbwt none +sbwtdcpu none +sbwtdio none
%% merlon_term:decode/2 against decoding first and looking afterwards, in turn in one run. Build first (`make`):
%%
%%   escript bench/term.escript
%%
%% Prints microseconds of CPU per term (median of rounds; schedulers do not spin) and the median of the rounds' ratios; then
%% how long a call takes on an ordinary scheduler for the bytes that take longest, the slowest of 200 but for ten: other
%% programs interrupt it too.
-mode(compile).

-define(ROUNDS, 9).

main(_) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    true = code:add_patha(filename:join(Root, "_build/default/lib/merlon/ebin")),
    ok = merlon_nif:load(),
    io:format("OTP ~s, times in us per term~n~n", [erlang:system_info(otp_release)]),
    io:format("~-22s ~10s ~14s ~14s ~14s ~9s~n",
              ["term", "bytes", "binary_to_term", "decode + walk", "merlon_term", "ratio"]),
    [compare(Size ++ " " ++ Name, Term, Opts, Budget)
     || {Size, N} <- [{"small", 1}, {"medium", 42}, {"large", 4400}],
        {Name, Term, Opts, Budget} <- [{"session", session(N), [], #{}}, {"numbers", numbers(N), [], #{}},
                                       {"compressed", session(N), [compressed], #{}},
                                       {"own budget", session(N), [], own()}]],
    io:format("~na call on an ordinary scheduler, at most so many bytes, the 95th percentile:~n", []),
    [io:format("~-22s ~-8s ~10b us~n", [Name, What, slow(Call, Bin)]) || {What, Call, Size} <- calls(), {Name, Bin} <- worst(Size)],
    [io:format("~-22s ~-8s ~10b us~n", [Name, "inflate", slow(term_decode, Bin)]) || {Name, Bin} <- worst_zipped()],
    ok.

%% ---- what is compared ----

own() ->
    {ok, Budget} = merlon_term:budget(#{terms => 150000, depth => 50}),
    Budget.

compare(Name, Term, Opts, Budget) ->
    Bin = term_to_binary(Term, Opts),
    Ways = [fun(B) -> binary_to_term(B, [safe]) end, fun walked/1,
            fun(B) -> {ok, T} = merlon_term:decode(B, Budget), T end],
    [Term, Term, Term] = [Way(Bin) || Way <- Ways],
    Times = [[time(Way, Bin) || Way <- Ways] || _ <- lists:seq(1, ?ROUNDS)],
    [Bare, Walk, Ours] = [median([lists:nth(At, Row) || Row <- Times]) || At <- [1, 2, 3]],
    Ratio = median([O / W || [_, W, O] <- Times]),
    io:format("~-22s ~10b ~14.2f ~14.2f ~14.2f ~9.2f~n", [Name, byte_size(Bin), Bare, Walk, Ours, Ratio]).

%% In a process of its own, so that one way's garbage is not another's.
time(Way, Bin) ->
    Times = max(10, min(60000, 8000000 div inflated(Bin))),
    Self = self(),
    spawn_link(fun() ->
        {Before, _} = statistics(runtime),
        ok = repeat(Times, Way, Bin),
        {After, _} = statistics(runtime),
        Self ! {time, (After - Before) * 1000 / Times}
    end),
    receive {time, Time} -> Time end.

inflated(<<131, 80, Inflated:32, _/binary>>) -> Inflated;
inflated(Bin) -> byte_size(Bin).

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

%% As merlon_term chooses.
calls() -> [{"decode", term_decode, 8192}, {"scan", term_scan, 32768}].

worst(Size) ->
    Fill = fun(Unit) -> binary:copy(Unit, (Size - 8) div byte_size(Unit)) end,
    List = fun(Unit) -> <<131, 108, ((Size - 8) div byte_size(Unit)):32, (Fill(Unit))/binary, 106>> end,
    Pairs = (Size - 8) div 6,
    [{"empty lists", List(<<106>>)}, {"small integers", List(<<97, 1>>)}, {"atoms", List(<<119, 1, $a>>)},
     {"bignums", List(<<110, 1, 0, 255>>)}, {"tuples", List(<<104, 1, 106>>)}, {"maps", List(<<116, 1:32, 106, 106>>)},
     {"maps in each other", <<131, (Fill(<<116, 1:32, 106>>))/binary, 106>>},
     {"and a range's name", <<131, (binary:copy(<<116, 1:32, 106>>, (Size - 16) div 6))/binary, 119, 12, (atom_to_binary('Elixir.Range'))/binary>>},
     {"a map", iolist_to_binary([<<131, 116, Pairs:32>>, [<<98, I:32, 106>> || I <- lists:seq(1, Pairs)]])},
     {"maps of bytes", List(iolist_to_binary([<<116, 256:32>>, [<<97, I, 106>> || I <- lists:seq(0, 255)]]))},
     {"floats as text", List(<<99, "1.50000000000000000000e+00", 0:40>>)},
     {"pids of elsewhere", List(<<88, 119, 13, "nonode@nohost", 1:32, 0:32, 7:32>>)}].

worst_zipped() ->
    [{"inflated", zipped(<<108, 16370:32, (binary:copy(<<106>>, 16371))/binary>>)}, {"inflated maps", zipped(iolist_to_binary([<<108, 21:32>>, lists:duplicate(21, [<<116, 256:32>>, [<<97, I, 106>> || I <- lists:seq(0, 255)]]), 106]))},
     {"heads of blocks", heads(360)}].

zipped(Inner) -> <<131, 80, (byte_size(Inner)):32, (zlib:compress(Inner))/binary>>.

%% Empty blocks, each with codes of its own, and the term at the end.
heads(N) ->
    Lengths = [case At of 2 -> 1; 17 -> 1; _ -> 0 end || At <- lists:seq(0, 17)],
    Block = [{0, 1}, {2, 2}, {0, 5}, {0, 5}, {14, 4}] ++ [{L, 3} || L <- Lengths]
        ++ [{1, 1}, {127, 7}, {1, 1}, {107, 7}, {0, 1}, {0, 1}, {0, 1}],
    {Bits, Size} = lists:foldl(fun({Value, Width}, {Acc, At}) -> {Acc bor (Value bsl At), At + Width} end, {0, 0},
                               lists:append(lists:duplicate(N, Block)) ++ [{1, 3}]),
    Bytes = (Size + 7) div 8,
    <<131, 80, 1:32, 16#78, 16#9C, Bits:Bytes/little-unit:8, 1:16/little, (bnot 1):16/little, 106, (erlang:adler32(<<106>>)):32>>.

slow(Call, Bin) ->
    Budget = <<-1:504, 31>>,
    Sure = merlon_nif:Call(Bin, Budget),
    true = Sure =:= ok orelse element(1, Sure) =:= ok,
    lists:nth(190, lists:sort([element(1, timer:tc(merlon_nif, Call, [Bin, Budget])) || _ <- lists:seq(1, 200)])).
