%% SPDX-License-Identifier: Apache-2.0
%% Terms from outside: every encoding that the VM knows, every line of the budget, and the bombs. What holds for any
%% term is in merlon_term_prop_tests.
-module(merlon_term_tests).

-include_lib("eunit/include/eunit.hrl").
-export([decode_at_once/1]).

%% ---- the same as binary_to_term ----

every_encoding_gives_what_the_vm_gives_test_() ->
    [{lists:flatten(io_lib:format("~0tp", [Bin])),
      ?_assertEqual({ok, binary_to_term(Bin)}, merlon_term:decode(Bin, all()))} || Bin <- encodings()].

%% By hand, as term_to_binary writes some of them no more.
encodings() ->
    Node = <<119, 7, "a@b.tld">>,
    [<<131, Term/binary>>
     || Term <- [<<97, 200>>, <<98, -1:32>>, <<98, 16#7FFFFFFF:32>>, <<99, "1.50000000000000000000e+00", 0:40>>,
                 <<70, 1.5:64/float>>, <<70, -0.0:64/float>>, <<100, 4:16, "true">>, <<115, 4, "true">>,
                 <<118, 4:16, "true">>, <<119, 4, "true">>, <<115, 1, 228>>, <<119, 2, "ä"/utf8>>, <<100, 0:16>>,
                 <<104, 0>>, <<104, 2, 97, 1, 106>>, <<105, 0:32>>, <<105, 1:32, 97, 1>>, <<106>>,
                 <<107, 3:16, 1, 2, 3>>, <<107, 0:16>>, <<108, 1:32, 97, 1, 106>>, <<108, 1:32, 97, 1, 97, 2>>,
                 <<108, 0:32, 106>>, <<108, 0:32, 97, 7>>, <<109, 0:32>>, <<109, 3:32, "abc">>, <<77, 1:32, 3, 160>>,
                 <<77, 2:32, 8, "ab">>, <<110, 9, 0, 1:72>>, <<110, 0, 0>>, <<110, 4, 1, 1:32>>,
                 <<110, 20, 1, -1:160>>, <<111, 300:32, 0, -1:2400>>, <<116, 0:32>>,
                 <<116, 2:32, 97, 1, 97, 2, 97, 3, 116, 0:32>>, <<113, 119, 5, "lists", 119, 3, "map", 97, 2>>,
                 <<103, Node/binary, 1:32, 0:32, 1>>, <<88, Node/binary, 1:32, 0:32, 7:32>>,
                 <<102, Node/binary, 1:32, 1>>, <<89, Node/binary, 1:32, 7:32>>, <<120, Node/binary, 1:64, 7:32>>,
                 <<101, Node/binary, 1:32, 1>>, <<114, 3:16, Node/binary, 1, 1:32, 2:32, 3:32>>,
                 <<90, 5:16, Node/binary, 7:32, 0:160>>]]
        ++ [term_to_binary(T, Opts)
            || T <- [fun lists:map/2, fun() -> self() end, self(), make_ref(), alias(), hd(erlang:ports()),
                     lists:seq(1, 1000), #{a => #{b => [c]}}, maps:from_list([{I, I} || I <- lists:seq(1, 100)])],
               Opts <- [[], [compressed], [{compressed, 1}], [{minor_version, 1}]]].

what_the_vm_refuses_is_refused_test_() ->
    [{lists:flatten(io_lib:format("~0tp", [Bin])),
      [?_assertError(badarg, binary_to_term(Bin)), ?_assertMatch({error, {term, _}}, merlon_term:decode(Bin, all()))]}
     || Bin <- [<<>>, <<131>>, <<130, 106>>, <<131, 80>>, <<131, 80, 1:32>>, <<131, 80, 1:32, "x">>, <<131, 0>>,
                <<131, 68, 0, 106>>, <<131, 82, 0>>, <<131, 117, 0:32>>, <<131, 98, 1>>, <<131, 70, -1:64>>,
                <<131, 99, "not a float", 0:160>>, <<131, 119, 1, 255>>, <<131, 100, 256:16, 0:2048>>,
                <<131, 118, 256:16, 0:2048>>, <<131, 104, 2, 106>>, <<131, 77, 1:32, 9, 0>>, <<131, 77, 1:32, 0, 0>>,
                <<131, 116, 2:32, 97, 1, 106, 97, 1, 106>>, <<131, 107, 9:16, 1>>, <<131, 109, 9:32, 1>>,
                <<131, 110, 9, 0, 1>>, <<131, 113, 119, 1, "a", 119, 1, "b", 106>>]].

a_cut_term_is_refused_at_every_byte_test() ->
    Bin = term_to_binary({a, [1, 2 | 3], <<"binary">>, #{k => 1.5}, 1 bsl 100, self(), make_ref(), fun() -> Bin0 = 1, Bin0 end}),
    [?assertMatch({error, {term, {malformed, _, _}}}, merlon_term:decode(binary:part(Bin, 0, Len), all()))
     || Len <- lists:seq(0, byte_size(Bin) - 1)].

bytes_behind_the_term_are_refused_test() ->
    ?assertEqual([], binary_to_term(<<131, 106, 1, 2>>)),
    ?assertEqual({error, {term, {malformed, trailing, 2}}}, merlon_term:decode(<<131, 106, 1, 2>>)),
    Zip = term_to_binary(lists:duplicate(100, 1), [compressed]),
    ?assertEqual({error, {term, {malformed, trailing, 1}}}, merlon_term:decode(<<Zip/binary, 0>>)),
    ?assertEqual({error, {term, {malformed, trailing, 1}}}, merlon_term:decode(zipped(<<106, 0>>, 2))).

%% Needs a VM that knows the option: OTP 26.
a_term_in_local_format_is_refused_test() ->
    Local = try term_to_binary(self(), [local]) catch error:badarg -> <<131, 121, 0:64, 106>> end,
    ?assertEqual({error, {term, {malformed, local, 0}}}, merlon_term:decode(Local, all())).

%% ---- kinds ----

what_is_more_than_data_is_let_in_by_name_only_test_() ->
    [{atom_to_list(Kind),
      [?_assertEqual({error, {term, {not_allowed, Kind}}}, merlon_term:decode(Bin)),
       ?_assertEqual({error, {term, {not_allowed, Kind}}}, merlon_term:decode(Bin, #{allow => Others -- [Kind]})),
       ?_assertEqual({ok, [Term]}, merlon_term:decode(Bin, #{allow => [Kind]}))]}
     || {Kind, Term} <- [{funs, fun() -> ok end}, {exports, fun lists:map/2}, {pids, self()}, {ports, hd(erlang:ports())},
                         {refs, make_ref()}],
        Others <- [maps:get(allow, all())], Bin <- [term_to_binary([Term])]].

%% A fun hides in a map's key, a fun's environment, a list's tail; everywhere it is seen.
a_fun_is_found_wherever_it_hides_test() ->
    Fun = fun() -> ok end,
    [?assertEqual({error, {term, {not_allowed, funs}}}, merlon_term:decode(term_to_binary(Term, Opts)))
     || Term <- [#{Fun => 1}, #{1 => Fun}, [1 | Fun], {[#{a => {Fun}}]}], Opts <- [[], [{compressed, 9}]]].

an_export_that_does_not_exist_is_not_made_test() ->
    Bin = <<131, 113, 119, 5, "lists", 119, 3, "map", 97, 200>>,
    ?assertEqual({error, {term, {refused_by_vm, badarg}}}, merlon_term:decode(Bin, all())),
    ?assertEqual({error, {term, {refused_by_vm, badarg}}}, merlon_term:decode(Bin, (all())#{new_atoms => 9})).

%% CVE-2026-116293 and CVE-2026-117642: what writes past the heap or exhausts a scheduler's stack in OTP's own decoder, with
%% [safe] too, never gets there, whatever the budget allows.
what_crashes_the_vm_is_refused_before_it_is_built_test_() ->
    Node = <<119, 7, "a@b.tld">>,
    Module = <<119, 5, "lists">>,
    Fun = fun(Index, Uniq) -> <<112, 100:32, 0, 0:128, 0:32, 0:32, Module/binary, Index/binary, Uniq/binary, 103, Node/binary, 1:32, 0:32, 1>> end,
    Small = <<97, 1>>,
    [{Name, ?_assertMatch({error, {term, {malformed, _, _}}}, merlon_term:Call(<<131, Term/binary>>, all()))}
     || Call <- [decode, scan],
        {Name, Term} <- [{"a reference without words", <<90, 0:16, Node/binary, 7:32, 106, 106>>},
                         {"an older one", <<114, 0:16, Node/binary, 1, 106, 106, 106, 106>>},
                         {"a fun as the index of a fun", Fun(Fun(Small, Small), Small)},
                         {"a fun as its unique value", Fun(Small, Fun(Small, Small))},
                         {"a fun as an export's arity", <<113, Module/binary, 119, 3, "map", (Fun(Small, Small))/binary>>}]].

%% ---- limits ----

each_limit_is_exact_test_() ->
    [{lists:flatten(io_lib:format("~p of ~0tp", [Key, Term])),
      [?_assertEqual({ok, Term}, merlon_term:decode(Bin, #{Key => Max})),
       ?_assertEqual({error, {term, {over, Key, Max - 1}}}, merlon_term:decode(Bin, #{Key => Max - 1})),
       ?_assertMatch({ok, #{Key := Max}}, merlon_term:scan(Bin, #{}))]}
     || {Key, Max, Term, Opts} <-
            [{bytes, 5, {1}, []}, {terms, 1, [], []}, {terms, 4, "abc", []}, {terms, 4, [300, 400], []},
             {terms, 5, #{1 => 2, 3 => 4}, []}, {depth, 1, {1}, []}, {depth, 3, {[#{1 => 2}]}, []},
             {binary, 7, <<"seven..">>, []}, {binary, 2, <<1:9>>, []}, {bignum, 5, 1 bsl 39, []},
             {bignum, 256, 1 bsl 2047, []}, {inflated, 107, lists:duplicate(104, 1), [{compressed, 9}]}],
        Bin <- [term_to_binary(Term, Opts)]].

a_compiled_budget_is_the_same_test() ->
    {ok, Budget} = merlon_term:budget(#{depth => 2, allow => [pids]}),
    [?assertEqual(merlon_term:Call(Bin, #{depth => 2, allow => [pids]}), merlon_term:Call(Bin, Budget))
     || Call <- [decode, scan], Term <- [{1}, [[[1]]], {self()}, fun lists:map/2], Bin <- [term_to_binary(Term)]],
    {ok, All} = merlon_term:budget(#{depth => infinity, bytes => 16#FFFFFFFFFFFFFFFF}),
    ?assertEqual({ok, {1}}, merlon_term:decode(term_to_binary({1}), All)),
    ?assertEqual({error, {budget, {unknown_key, deep}}}, merlon_term:budget(#{deep => 1})).

%% 42 hash maps of 256 small keys: some KB inflated are thousands of insertions.
what_takes_long_to_build_is_built_on_a_dirty_scheduler_test() ->
    Map = [<<116, 256:32>>, [<<97, I, 106>> || I <- lists:seq(0, 255)]],
    Inner = iolist_to_binary([<<108, 42:32>>, lists:duplicate(42, Map), 106]),
    Bin = zipped(Inner, byte_size(Inner)),
    ?assert(byte_size(Bin) =< 4096),
    {ok, []} = merlon_term:decode(<<131, 106>>),
    Pid = spawn_link(fun() -> receive go -> {ok, _} = merlon_term:decode(Bin) end end),
    1 = erlang:trace(Pid, true, [call]),
    _ = erlang:trace_pattern({merlon_nif, '_', '_'}, true, []),
    Pid ! go,
    Called = [receive {trace, Pid, call, {merlon_nif, Name, Args}} -> {Name, Args} after 5000 -> none end || _ <- [1, 2]],
    _ = erlang:trace_pattern({merlon_nif, '_', '_'}, false, []),
    [{term_decode, [_, Limits]}, {term_decode_dirty, [_, Limits]}] = Called,
    %% What the ordinary scheduler says of all that is not for it.
    [?assertEqual(later, merlon_nif:term_decode(More, Limits))
     || More <- [Bin, <<131, 107, 8190:16, 0:65520>>, zipped(<<107, 16382:16, 0:131056>>, 16385), <<131, 80, 9:32, 0:32768>>]],
    ?assertMatch({ok, _}, merlon_nif:term_decode(zipped(<<107, 16381:16, 0:131048>>, 16384), Limits)).

ranges_have_a_size_test_() ->
    Mod = 'Elixir.Range',
    Range = fun(First, Last, Step) -> #{'__struct__' => Mod, first => First, last => Last, step => Step} end,
    [?_assertMatch({ok, #{range := Size}}, merlon_term:scan(term_to_binary(Term), #{range => infinity}))
     || {Size, Term} <- [{10, Range(1, 10, 1)}, {10, Range(10, 1, -1)}, {0, Range(1, 10, -1)}, {0, Range(10, 1, 1)},
                         {4, Range(1, 10, 3)}, {3, Range(-1, 1, 1)}, {9999999999, Range(1, 9999999999, 1)},
                         {16#FFFFFFFFFFFFFFFF, Range(0, 1 bsl 200, 1)}, {16#FFFFFFFFFFFFFFFF, Range(-(1 bsl 200), 1, 1)},
                         {10, maps:remove(step, Range(10, 1, 0))}, {10, (Range(1, 10, 1))#{more => 1}},
                         {0, (Range(1, 10, 1))#{'__struct__' := other}}, {0, #{first => 1, last => 10}}]]
        ++ [?_assertEqual({error, {term, {over, range, 1000000}}}, merlon_term:decode(term_to_binary(Term)))
            || Range1 <- [Range(1, 9999999999, 1)],
               Term <- [Range1, [Range1], #{a => Range1}, #{Range1 => 1}, #{a => {Range1}, b => #{}}]]
        ++ [?_assertEqual({error, {term, {over, range, 1000000}}}, merlon_term:decode(term_to_binary(Term)))
            || Term <- [Range(0, nil, 1), Range(0, <<>>, 1), Range(0, [a], 1), Range(0, {1}, 1), Range(0, #{}, 1), Range(0, #{a => 1}, 1),
                        Range(0, 1.0e300, 1), Range(0.0, 9999999999, 1), Range(0, 1, 1.0e-300), maps:remove(step, Range(0, nil, 1))]]
        ++ [?_assertMatch({error, {term, {over, range, _}}}, merlon_term:decode(hidden_range(Keys)))
            || Keys <- [[s, f, l], [l, x, s, f], [f, s, x, l]]].

%% Keys in another order than the VM writes, and containers between them.
hidden_range(Keys) ->
    Pairs = [case Key of
                 s -> <<115, 10, "__struct__", 118, 12:16, "Elixir.Range">>;
                 f -> <<100, 5:16, "first", 97, 1>>;
                 l -> <<119, 4, "last", 110, 5, 0, 9999999999:40/little>>;
                 x -> <<116, 1:32, 106, 106, 116, 1:32, 97, 1, 104, 1, 106>>
             end || Key <- Keys],
    iolist_to_binary([<<131, 116, (length(Keys)):32>>, Pairs]).

%% ---- atoms ----

new_atoms_are_counted_once_and_made_within_the_budget_only_test() ->
    Names = [<<"merlon_new_", (integer_to_binary(erlang:unique_integer([positive])))/binary, Tail/binary>>
             || Tail <- [<<"a">>, <<"ä"/utf8>>, <<"語"/utf8>>]],
    Bin = iolist_to_binary([131, 104, 7, [[119, byte_size(N), N] || N <- Names ++ Names], 119, 4, "true"]),
    ?assertEqual({error, {term, {over, new_atoms, 0}}}, merlon_term:decode(Bin)),
    ?assertEqual({error, {term, {over, new_atoms, 2}}}, merlon_term:decode(Bin, #{new_atoms => 2})),
    [?assertError(badarg, binary_to_existing_atom(Name, utf8)) || Name <- Names],
    ?assertMatch({ok, #{new_atoms := 3}}, merlon_term:scan(Bin, #{new_atoms => 3})),
    [?assertError(badarg, binary_to_existing_atom(Name, utf8)) || Name <- Names],
    ?assertEqual({ok, binary_to_term(Bin)}, merlon_term:decode(Bin, #{new_atoms => 3})),
    ?assertEqual({ok, binary_to_term(Bin)}, merlon_term:decode(Bin)).

latin1_and_utf8_spell_the_same_new_atom_test() ->
    Name = iolist_to_binary(["merlon_latin_", integer_to_list(erlang:unique_integer([positive]))]),
    Bin = <<131, 104, 2, 115, (byte_size(Name) + 1), Name/binary, 228, 119, (byte_size(Name) + 2), Name/binary, "ä"/utf8>>,
    {ok, {Atom, Atom}} = merlon_term:decode(Bin, #{new_atoms => 1}).

a_term_that_is_refused_for_another_reason_makes_no_atom_test() ->
    Name = iolist_to_binary(["merlon_unmade_", integer_to_list(erlang:unique_integer([positive]))]),
    Bin = <<131, 104, 2, 119, (byte_size(Name)), Name/binary, 109, 99:32, 0:792>>,
    {error, {term, {over, binary, 9}}} = merlon_term:decode(Bin, #{new_atoms => 9, binary => 9}),
    ?assertError(badarg, binary_to_existing_atom(Name, utf8)).

a_full_atom_table_is_not_filled_further_test_() ->
    {timeout, 60, fun() ->
        Path = filename:dirname(code:which(merlon_term)),
        {ok, Peer, _Node} = peer:start(#{connection => standard_io, args => ["+t", "40000", "-pa", Path]}),
        Call = fun(M, F, Args) -> peer:call(Peer, M, F, Args, 30000) end,
        try
            {Count, Limit} = {Call(erlang, system_info, [atom_count]), Call(erlang, system_info, [atom_limit])},
            ?assertMatch({error, {term, {atom_table_full, _, Limit}}},
                         Call(merlon_term, decode, [atoms(Limit - Count - 1000), #{new_atoms => infinity}])),
            %% Modules were loaded meanwhile, but none of the term's atoms are there.
            ?assert(Call(erlang, system_info, [atom_count]) < Count + 1000),
            ?assertMatch({ok, [_ | _]}, Call(merlon_term, decode, [atoms(1000), #{new_atoms => 1000}]))
        after
            peer:stop(Peer)
        end
    end}.

%% Each finds room for its own, all together do not.
many_terms_at_once_do_not_fill_the_atom_table_test_() ->
    {timeout, 60, fun() ->
        Paths = [filename:dirname(code:which(Module)) || Module <- [merlon_term, ?MODULE]],
        {ok, Peer, _Node} = peer:start(#{connection => standard_io, env => [{"ERL_CRASH_DUMP_BYTES", "0"}],
                                   args => ["+t", "40000", "-pa" | Paths]}),
        try
            Results = peer:call(Peer, ?MODULE, decode_at_once, [20], 30000),
            ?assertEqual([], [Result || Result <- Results, Result =/= ok, Result =/= atom_table_full])
        after
            peer:stop(Peer)
        end
    end}.

decode_at_once(Many) ->
    Me = self(),
    Bins = [iolist_to_binary([131, 108, <<5000:32>>,
                              [<<119, 12, "mr", N:16, (binary:encode_hex(<<I:32>>))/binary>> || I <- lists:seq(1, 5000)], 106])
            || N <- lists:seq($a bsl 8 + $a, $a bsl 8 + $a + Many - 1)],
    Pids = [spawn_link(fun() -> Me ! {self(), merlon_term:decode(Bin, #{new_atoms => infinity})} end) || Bin <- Bins],
    [receive
         {Pid, {ok, _}} -> ok;
         {Pid, {error, {term, Why}}} -> element(1, Why)
     end || Pid <- Pids].

atoms(N) -> iolist_to_binary([131, 108, <<N:32>>, [<<119, 12, "mrln", (binary:encode_hex(<<I:32>>))/binary>> || I <- lists:seq(1, N)], 106]).

%% ---- compressed terms ----

what_a_compressed_term_claims_is_what_it_is_test_() ->
    Inner = binary:part(term_to_binary(lists:duplicate(200000, 7)), 1, 200000),
    [{Name, [?_assertError(badarg, binary_to_term(Bin)), ?_assertMatch({error, {term, _}}, merlon_term:decode(Bin))]}
     || {Name, Bin} <- [{"a byte less", zipped(<<109, 3:32, "abc">>, 7)}, {"a byte more", zipped(<<109, 3:32, "abc">>, 9)},
                        {"checksum", flip_last(zipped(<<109, 3:32, "abc">>, 8))},
                        {"cut", cut_last(zipped(Inner, 200000))}, {"a dictionary", <<131, 80, 1:32, 16#78, 16#BB, 1:32, 0>>},
                        {"inside another", zipped(<<80, 1:32, (zlib:compress(<<106>>))/binary>>, 14)}]].

no_compressed_terms_test() ->
    Zip = term_to_binary(lists:duplicate(100, 1), [compressed]),
    ?assertEqual({error, {term, {over, inflated, 0}}}, merlon_term:decode(Zip, #{inflated => 0})).

zipped(Inner, Claimed) -> <<131, 80, Claimed:32, (zlib:compress(Inner))/binary>>.

flip_last(Bin) ->
    Size = byte_size(Bin) - 1,
    <<Front:Size/binary, Last>> = Bin,
    <<Front/binary, (Last bxor 1)>>.

cut_last(Bin) -> binary:part(Bin, 0, byte_size(Bin) - 1).

%% ---- budgets ----

a_budget_is_refused_as_a_whole_test_() ->
    [?_assertEqual({error, {budget, Why}}, Call(<<131, 106>>, Budget))
     || Call <- [fun merlon_term:decode/2, fun merlon_term:scan/2],
        {Why, Budget} <- [{{unknown_key, term}, #{term => 1}}, {{bad_value, terms, -1}, #{terms => -1}},
                          {{bad_value, depth, 1.0}, #{depth => 1.0}}, {{bad_value, bytes, 1 bsl 64}, #{bytes => 1 bsl 64}},
                          {{bad_value, allow, fun_}, #{allow => fun_}}, {{bad_value, allow, [pid]}, #{allow => [pid]}}]].

the_default_budget_is_what_no_budget_means_test() ->
    Default = merlon_term:default_budget(),
    ?assertEqual(9, map_size(Default)),
    [?assertEqual(merlon_term:scan(Bin, #{}), merlon_term:scan(Bin, Default)) || Bin <- encodings()],
    #{terms := Terms} = Default,
    Over = <<131, 108, Terms:32, (binary:copy(<<106>>, Terms + 1))/binary>>,
    ?assertEqual({error, {term, {over, terms, Terms}}}, merlon_term:decode(Over)).

every_refusal_says_what_to_do_test_() ->
    [{lists:flatten(io_lib:format("~0tp", [Reason])),
      fun() ->
          Text = unicode:characters_to_list(merlon:format_error(Reason)),
          ?assertNotEqual(nomatch, string:find(Text, "; ")),
          ?assertEqual(nomatch, string:find(Text, "\n"))
      end}
     || Reason <- [{term, {over, Key, 1}} || Key <- maps:keys(merlon_term:default_budget()), Key =/= allow]
            ++ [{term, {over, inflated, 0}}, {term, {refused_by_vm, badarg}}, {term, {atom_table_full, 9, 10}}]
            ++ [{term, {not_allowed, Kind}} || Kind <- maps:get(allow, all())]
            ++ [{term, {malformed, What, 1}} || What <- [version, cut, tag, atom, value, trailing, zlib, inflated_size, local]]
            ++ [{budget, {unknown_key, term}}, {budget, {unknown_key, <<"x">>}}, {budget, {bad_value, terms, x}},
                {budget, {bad_value, allow, x}}]].

% A function: newer compilers warn of a literal that is updated.
all() -> #{allow => [funs, exports, pids, ports, refs]}.

%% Between the first try and the search for new atoms another process may have made them.
atoms_that_others_make_at_the_same_time_are_no_refusal_test() ->
    [begin
         Atoms = [begin
                      Name = iolist_to_binary(io_lib:format("merlon_race_~b_~b", [N, erlang:unique_integer([positive])])),
                      <<119, (byte_size(Name)), Name/binary>>
                  end || _ <- lists:seq(1, 50)],
         Bin = iolist_to_binary([<<131, 108, 50:32>>, Atoms, <<106>>]),
         Workers = [spawn_monitor(fun() -> exit(merlon_term:decode(Bin, #{new_atoms => 50})) end) || _ <- lists:seq(1, 8)],
         [receive {'DOWN', Monitor, _, _, Result} -> ?assertMatch({ok, [_ | _]}, Result) end || {_, Monitor} <- Workers]
     end || N <- lists:seq(1, 600)].
