%% SPDX-License-Identifier: Apache-2.0
%% What holds for any term and any bytes (PropEr): decode/2 gives what binary_to_term gives, or an error.
-module(merlon_term_prop_tests).

%% Debian's package of PropEr has no header.
-import(proper_types, [integer/0, float/0, binary/0, binary/1, bitstring/0, list/1, vector/2, oneof/1, elements/1,
                       string/0, range/2, byte/0, non_neg_integer/0]).
-define(FORALL(X, Type, Property), proper:forall(Type, fun(X) -> Property end)).
-define(LET(X, Type, Generator), proper_types:bind(Type, fun(X) -> Generator end, false)).
-define(SIZED(Size, Generator), proper_types:sized(fun(Size) -> Generator end)).
-define(LAZY(X), proper_types:lazy(fun() -> X end)).

-export([properties_test_/0]).


properties_test_() ->
    [{atom_to_list(Name),
      {timeout, 120, fun() -> check(Property, Tests) end}}
     || {Name, Property, Tests} <- [{the_same_as_binary_to_term, the_same(), 500},
                                    {the_same_as_binary_to_term_on_mutations, the_same_mutated(), 250},
                                    {counts_are_those_of_the_term, counts(), 400},
                                    {a_budget_is_exact, exact(), 400},
                                    {any_bytes_are_answered, any_bytes(), 5000}]].

check(Property, Tests) ->
    case proper:quickcheck(Property, [{numtests, Tests}, {on_output, fun(_, _) -> ok end}]) of
        true -> ok;
        Failed -> erlang:error({Failed, io_lib:format("~0tP", [proper:counterexample(), 200])})
    end.

%% ---- properties ----

the_same() ->
    ?FORALL({Term, Opts}, {any_term(), options()},
            begin
                Bin = term_to_binary(Term, Opts),
                {ok, binary_to_term(Bin)} =:= merlon_term:decode(Bin, all())
                    andalso element(1, merlon_term:scan(Bin, all())) =:= ok
            end).

%% Refused by both, or the same from both; but for what this module refuses on purpose.
the_same_mutated() ->
    ?FORALL({Bin, Mutants}, {encoded(), vector(12, list(mutation()))},
            lists:all(fun(Mutations) -> agree(lists:foldl(fun mutate/2, Bin, Mutations)) end, Mutants)).

%% The VM is asked first: afterwards the new atoms are there.
agree(Bin) ->
    Vm = vm(Bin),
    agree(Vm, merlon_term:decode(Bin, all()), Bin).

agree({ok, Term, Used}, {ok, Term}, Bin) -> Used =:= byte_size(Bin);
agree({ok, _, Used}, {error, {term, {malformed, trailing, Left}}}, <<131, 80, _/binary>> = Bin) ->
    Used =:= byte_size(Bin) orelse Used + Left =:= byte_size(Bin);
agree({ok, _, Used}, {error, {term, {malformed, trailing, Left}}}, Bin) -> Used + Left =:= byte_size(Bin);
agree({ok, _, _}, {error, {term, {over, _, _}}}, _Bin) -> true;
agree({ok, _, _}, {error, {term, {malformed, tag, At}}}, Bin) -> is_private(binary:at(plain(Bin), At));
agree({ok, _, _}, {error, {term, {malformed, local, 0}}}, _Bin) -> true;
agree({ok, _, _}, _, _Bin) -> false;
%% New to the VM, and within our budget.
agree(badarg, {ok, Term}, Bin) -> {ok, Term, byte_size(Bin)} =:= vm(Bin);
agree(badarg, {error, {term, _}}, _Bin) -> true.

%% The VM's own tables by index, which it writes for itself alone and yet reads from anybody.
is_private(Tag) -> Tag =:= 73 orelse Tag =:= 75.

plain(<<131, 80, _:32, Zip/binary>>) -> zlib:uncompress(Zip);
plain(Bin) -> Bin.

vm(Bin) ->
    try binary_to_term(Bin, [safe, used]) of
        {Term, Used} -> {ok, Term, Used}
    catch error:badarg -> badarg
    end.

counts() ->
    ?FORALL(Term, data(),
            begin
                {Terms, Depth} = cost(Term),
                {ok, Counts} = merlon_term:scan(term_to_binary(Term), all()),
                {Terms, Depth} =:= {maps:get(terms, Counts), maps:get(depth, Counts)}
            end).

exact() ->
    ?FORALL({Term, Key}, {data(), oneof([bytes, terms, depth, binary])},
            begin
                Bin = term_to_binary(Term),
                {ok, #{Key := Max}} = merlon_term:scan(Bin, all()),
                {ok, Term} =:= merlon_term:decode(Bin, (all())#{Key => Max})
                    andalso (Max =:= 0 orelse
                             {error, {term, {over, Key, Max - 1}}} =:= merlon_term:decode(Bin, (all())#{Key => Max - 1}))
            end).

any_bytes() ->
    ?FORALL(Bytes, binary(),
            lists:all(fun agree/1,
                      [Bytes, <<131, Bytes/binary>>, <<131, 80, 50:32, Bytes/binary>>])).

%% What a term costs, told from the term: how term_to_binary/1 writes lists of bytes is all that has to be known.
cost([]) -> {1, 0};
cost([_ | _] = List) -> cost_of_list(List, is_string(List));
cost(Tuple) when is_tuple(Tuple) -> container(tuple_to_list(Tuple));
cost(Map) when map_size(Map) > 0 -> container(maps:keys(Map) ++ maps:values(Map));
cost(_) -> {1, 0}.

cost_of_list(List, true) -> {1 + length(List), 0};
cost_of_list(List, false) -> container(parts(List)).

container([]) -> {1, 0};
container(Terms) ->
    {Counts, Depths} = lists:unzip([cost(Term) || Term <- Terms]),
    {1 + lists:sum(Counts), 1 + lists:max(Depths)}.

parts([Head | Tail]) -> [Head | parts(Tail)];
parts(Tail) -> [Tail].

is_string(List) ->
    length_of(List) =< 65535 andalso lists:all(fun(C) -> is_integer(C) andalso C >= 0 andalso C =< 255 end, List).

%% More than any string for an improper list.
length_of(List) -> try length(List) catch error:badarg -> 65536 end.

%% ---- terms ----

data() -> ?SIZED(Size, data(min(Size, 20), scalar())).

any_term() -> ?SIZED(Size, data(min(Size, 20), oneof([scalar(), scalar(), identifier()]))).

data(0, Scalar) ->
    Scalar;
data(Size, Scalar) ->
    Inner = proper_types:resize(Size div 3, ?LAZY(data(Size div 3, Scalar))),
    oneof([Scalar, list(Inner), ?LET(Terms, list(Inner), list_to_tuple(Terms)), ?LET(Pairs, list({Inner, Inner}), maps:from_list(Pairs)),
           ?LET({Head, Tail}, {Inner, Inner}, [Head | Tail]), ?LET(N, range(30, 40), large_map(N))]).

%% Beyond 32 keys the VM has another kind of map.
large_map(N) -> maps:from_list(lists:zip(lists:seq(1, N), lists:seq(1, N))).

scalar() ->
    oneof([integer(), small(), big(), float(), binary(), bitstring(), elements(atoms()), string(), [],
           ?LET(N, range(0, 40), lists:duplicate(N, $x))]).

small() -> range(-16#90000000, 16#90000000).

big() -> ?LET({N, Shift}, {integer(), range(0, 5000)}, N bsl Shift).

atoms() -> [true, '', 'ä', '語', list_to_atom(lists:duplicate(255, $a)), list_to_atom(lists:duplicate(255, 16#8A9E)),
            '__struct__', first, last].

identifier() ->
    oneof([?LET(X, scalar(), fun() -> X end), ?LAZY(fun lists:map/2), ?LAZY(self()), ?LAZY(make_ref()), ?LAZY(alias()),
           ?LAZY(hd(erlang:ports())), ?LAZY(fun(A, B) -> A + B end), elements(foreign())]).

foreign() ->
    Node = <<119, 7, "x@y.tld">>,
    [binary_to_term(<<131, Term/binary>>)
     || Term <- [<<88, Node/binary, 1:32, 2:32, 3:32>>, <<120, Node/binary, 1:64, 3:32>>, <<89, Node/binary, 1:32, 3:32>>,
                 <<90, 3:16, Node/binary, 3:32, 1:96>>, <<90, 5:16, Node/binary, 3:32, 1:160>>]].

options() ->
    oneof([[], [compressed], ?LET(Level, range(0, 9), [{compressed, Level}]), [{minor_version, 0}], [{minor_version, 1}],
           [{minor_version, 0}, compressed]]).

%% ---- bytes ----

encoded() -> ?LET({Term, Opts}, {any_term(), options()}, term_to_binary(Term, Opts)).

mutation() ->
    oneof([{flip, nat(), range(0, 7)}, {set, nat(), byte()}, {tag, nat(), range(70, 121)}, {cut, nat()},
           {insert, nat(), binary(2)}, {drop, nat()}, {claim, nat(), oneof([0, 1, 255, 65535, 16#7FFFFFFF, 16#FFFFFFFF])}]).

nat() -> non_neg_integer().

mutate(Mutation, Bin) when byte_size(Bin) < 8 -> grow(Mutation, Bin);
mutate(Mutation, Bin) ->
    At = 1 + element(2, Mutation) rem (byte_size(Bin) - 1),
    <<Before:At/binary, After/binary>> = Bin,
    iolist_to_binary([Before, change(Mutation, After)]).

grow(_Mutation, Bin) -> <<Bin/binary, 0:64>>.

change({flip, _, Bit}, <<Byte, Rest/binary>>) -> [Byte bxor (1 bsl Bit), Rest];
change({set, _, Byte}, <<_, Rest/binary>>) -> [Byte, Rest];
change({tag, _, Tag}, <<_, Rest/binary>>) -> [Tag, Rest];
change({cut, _}, _Rest) -> [];
change({insert, _, Bytes}, Rest) -> [Bytes, Rest];
change({drop, _}, <<_, Rest/binary>>) -> Rest;
change({claim, _, N}, <<_:32, Rest/binary>>) -> [<<N:32>>, Rest];
change({claim, _, _}, Rest) -> Rest.

% A function: newer compilers warn of a literal that is updated.
all() -> #{allow => [funs, exports, pids, ports, refs], new_atoms => 10, bignum => infinity,
           bytes => infinity, inflated => infinity, terms => infinity, binary => infinity}.
