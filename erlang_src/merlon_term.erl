%% SPDX-License-Identifier: Apache-2.0
%% Terms from outside, decoded within a budget.
%%
%% `binary_to_term(Bin, [safe])` keeps new atoms out and nothing else: 200 KB can inflate to 200 MB, lists take sixteen
%% times their bytes, and funs come in. decode/2 reads the bytes first (Rust, native/wire/src/etf.rs), refuses what is
%% over the budget before the VM allocates anything for it, and only then lets `binary_to_term(Bin, [safe])` build the
%% term: what comes out is what that gives, or an error.
%%
%% A budget is a map; keys that are left out have the default. All are the largest value accepted, `infinity` for none.
%%
%%   key        default        of
%%   bytes      1 MiB          the binary as it came
%%   inflated   4 MiB          a compressed term (131, 80) when inflated; 0: no compressed terms
%%   terms      200,000        terms: every element, key, value, tail, and every character of a string
%%   depth      200            containers inside each other
%%   new_atoms  0              atoms that this VM does not have yet; they are made, and stay for ever
%%   binary     1 MiB          bytes of the largest binary or bit string
%%   bignum     512            bytes of the largest integer beyond 32 bits
%%   range      1,000,000      numbers in an Elixir `Range`, which is 60 bytes however many they are
%%   allow      []             what is more than data: funs, exports (fun M:F/A), pids, ports, refs
%%
%% Allowed funs are code that the sender chose, exports any exported function of this VM; `[safe]` still refuses an
%% export that is not loaded. A term in a node's local format (`term_to_binary(T, [local])`) is refused, and so is a tag
%% that this version does not know (native records of OTP 29). Stricter than binary_to_term/1: bytes after the term are
%% refused, not ignored. What `bytes` and `inflated` allow bounds the time; `terms`, with up to 16 bytes each and some
%% more for maps, identifiers and floats, bounds the heap.
-module(merlon_term).

-export([decode/1, decode/2, scan/2, budget/1, default_budget/0, format_error/1]).
-export_type([budget/0, compiled/0, counts/0, kind/0, refusal/0, reason/0]).

-type kind() :: funs | exports | pids | ports | refs.
-type limit() :: bytes | inflated | terms | depth | new_atoms | binary | bignum | range.
-type budget() :: #{limit() => non_neg_integer() | infinity, allow => [kind()]}.
%% A budget, looked through once.
-opaque compiled() :: {?MODULE, merlon_nif:term_budget()}.
%% What a term costs: `binary`, `bignum` and `range` are the largest one's.
-type counts() :: #{limit() => non_neg_integer()}.
%% The number: of bytes before the fault (cut, tag, atom, value), too many (trailing), claimed (inflated_size), or 0.
-type malformed() :: {malformed, version | cut | tag | atom | value | trailing | zlib | inflated_size | local,
                      non_neg_integer()}.
-type refusal() :: {over, limit(), Max :: non_neg_integer()} | {not_allowed, kind()} | malformed().
-type reason() :: {term, refusal() | {refused_by_vm, badarg}
                         | {atom_table_full, Count :: non_neg_integer(), Limit :: pos_integer()}}
                | {budget, {unknown_key, term()} | {bad_value, term(), term()}}
                | {nif, string()}.

-compile({inline, [packed/1]}).

%% Beyond: 16#FFFFFFFFFFFFFFFF, as Rust has it.
-define(INFINITY, 16#FFFFFFFFFFFFFFFF).
-define(DEFAULT, {16#100000, 16#400000, 200000, 200, 0, 16#100000, 512, 1000000, 0}).
%% Bytes that are scanned in less than 1 ms, whatever they are (see docs/guides/terms.md).
-define(SOON, 16#8000).
%% Inflated bytes that are kept from the scan for the term. What claims more than a budget allows by default is inflated in
%% one small window first, and again when it has been found good: a lie takes no memory.
-define(KEPT, 16#400000).

%% With the default budget.
-spec decode(binary()) -> {ok, term()} | {error, reason()}.
decode(Bin) -> decode(Bin, #{}).

%% The term, if it is within the budget. New atoms are made only when all else is well; if the VM then refuses the term
%% after all (a key twice in a map), they stay.
-spec decode(binary(), budget() | compiled()) -> {ok, term()} | {error, reason()}.
decode(Bin, Budget) when is_binary(Bin) ->
    case limits(Budget) of
        {error, _} = Error -> Error;
        Limits ->
            case decoded(Bin, Limits) of
                badarg -> built_with_atoms(Bin, Limits);
                Result -> Result
            end
    end.

%% decode/2's verdict on Bin without its term, and what it costs. What only building shows is not seen: a key twice in
%% a map, a float's text, an export that does not exist.
-spec scan(binary(), budget() | compiled()) -> {ok, counts()} | {error, reason()}.
scan(Bin, Budget) when is_binary(Bin) ->
    case limits(Budget) of
        {error, _} = Error -> Error;
        Limits ->
            case surveyed(Bin, Limits) of
                {ok, Counts, _NewAtoms} -> {ok, Counts};
                {error, _} = Error -> Error
            end
    end.

%% For who decodes many small terms: reading a map takes as long as scanning 200 bytes.
-spec budget(budget()) -> {ok, compiled()} | {error, reason()}.
budget(Budget) when is_map(Budget) ->
    case limits(Budget) of
        {error, _} = Error -> Error;
        Limits -> {ok, {?MODULE, Limits}}
    end.

-spec default_budget() -> budget().
default_budget() ->
    maps:from_list([{allow, []} | [{Key, element(At, ?DEFAULT)} || {Key, At} <- keys()]]).

%% ---- scanning and building ----

%% Most terms are small: the library is asked first, and says itself what takes too long there.
decoded(Bin, Limits) ->
    try merlon_nif:term_decode(Bin, Limits) of
        later -> decoded(way(Bin), Bin, Limits);
        Result -> Result
    catch
        error:{not_loaded, merlon_nif} -> loaded(fun() -> decoded(Bin, Limits) end)
    end.

%% What is compressed is inflated once; what else takes long is built by the VM, which lets others have their turn meanwhile.
decoded(inflated, Bin, Limits) -> merlon_nif:term_decode_dirty(Bin, Limits);
decoded(scanned, Bin, Limits) -> built(merlon_nif:term_scan(Bin, Limits), Bin);
decoded(long, Bin, Limits) -> built(merlon_nif:term_scan_dirty(Bin, Limits), Bin).

way(<<131, 80, Inflated:32, _/binary>>) when Inflated =< ?KEPT -> inflated;
way(<<131, 80, _/binary>>) -> long;
way(Bin) when byte_size(Bin) =< ?SOON -> scanned;
way(_) -> long.

%% The first try is cheaper than asking for every atom, and says nothing about why it failed.
built(ok, Bin) ->
    %% merlon: allow executable_term until 2027-11-30 because the library has scanned it: funs and sizes are within the budget
    try {ok, binary_to_term(Bin, [safe])}
    catch error:badarg -> badarg
    end;
built({error, _} = Error, _Bin) -> Error.

surveyed(Bin, Limits) ->
    try merlon_nif:term_survey(Bin, Limits)
    catch error:{not_loaded, merlon_nif} -> loaded(fun() -> merlon_nif:term_survey(Bin, Limits) end)
    end.

%% Only a node that runs the carrier has the library from the start.
loaded(Call) ->
    case merlon_nif:load() of
        ok -> Call();
        {error, _} = Error -> Error
    end.

%% ---- new atoms ----

built_with_atoms(Bin, Limits) ->
    case surveyed(Bin, Limits) of
        {ok, _Counts, []} -> built_with_atoms(Bin, [], ok); % others may have made them meanwhile
        {ok, _Counts, Names} -> built_with_atoms(Bin, Names, room_for(length(Names)));
        {error, _} = Error -> Error
    end.

%% Still safe: the only atoms that are new are those that were counted, whoever else makes some meanwhile.
built_with_atoms(Bin, [Name | Names], ok) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because the budget new_atoms has counted them
    _ = binary_to_atom(Name, utf8),
    built_with_atoms(Bin, Names, room_for(1)); % others make atoms at the same time
built_with_atoms(Bin, [], _) ->
    %% merlon: allow executable_term until 2027-11-30 because the library has scanned it: funs and sizes are within the budget
    try {ok, binary_to_term(Bin, [safe])}
    catch error:badarg -> {error, {term, {refused_by_vm, badarg}}}
    end;
built_with_atoms(_Bin, _Names, {error, _} = Error) ->
    Error.

%% A budget is one term's, and a sender has many: the last fifth of the atom table, whose end is the VM's, is not theirs.
room_for(New) ->
    {Count, Limit} = {erlang:system_info(atom_count), erlang:system_info(atom_limit)},
    case Count + New > Limit div 5 * 4 of
        true -> {error, {term, {atom_table_full, Count, Limit}}};
        false -> ok
    end.

%% ---- budgets ----

%% Where in a budget's tuple.
at(bytes) -> 1;
at(inflated) -> 2;
at(terms) -> 3;
at(depth) -> 4;
at(new_atoms) -> 5;
at(binary) -> 6;
at(bignum) -> 7;
at(range) -> 8;
at(_) -> unknown.

keys() -> [{Key, at(Key)} || Key <- [bytes, inflated, terms, depth, new_atoms, binary, bignum, range]].

%% As the library takes it.
limits({?MODULE, Limits}) when is_binary(Limits) -> Limits;
limits(Budget) when map_size(Budget) =:= 0 -> packed(?DEFAULT);
limits(Budget) when is_map(Budget) -> limits(maps:to_list(Budget), ?DEFAULT).

%% 64 bytes: a binary of the process's own.
packed({Bytes, Inflated, Terms, Depth, NewAtoms, Binary, Bignum, Range, Allow}) ->
    <<Bytes:64, Inflated:64, Terms:64, NewAtoms:64, Binary:64, Bignum:64, Range:64, (min(Depth, 16#FFFFFFFFFFFFFF)):56, Allow:8>>.

limits([], Limits) ->
    packed(Limits);
limits([{allow, Kinds} | Rest], Limits) ->
    case bits(Kinds, 0) of
        error -> {error, {budget, {bad_value, allow, Kinds}}};
        Bits -> limits(Rest, setelement(9, Limits, Bits))
    end;
limits([{Key, Value} | Rest], Limits) ->
    case {at(Key), number(Value)} of
        {unknown, _} -> {error, {budget, {unknown_key, Key}}};
        {_, error} -> {error, {budget, {bad_value, Key, Value}}};
        {At, Number} -> limits(Rest, setelement(At, Limits, Number))
    end.

number(infinity) -> ?INFINITY;
number(N) when is_integer(N), N >= 0, N =< ?INFINITY -> N;
number(_) -> error.

bits([], Bits) -> Bits;
bits([funs | Rest], Bits) -> bits(Rest, Bits bor 1);
bits([exports | Rest], Bits) -> bits(Rest, Bits bor 2);
bits([pids | Rest], Bits) -> bits(Rest, Bits bor 4);
bits([ports | Rest], Bits) -> bits(Rest, Bits bor 8);
bits([refs | Rest], Bits) -> bits(Rest, Bits bor 16);
bits(_, _Bits) -> error.

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error({term, {over, inflated, 0}}) ->
    "the term is compressed, which is not allowed; if you expect that, set `inflated` in the budget";
format_error({term, {over, What, Max}}) ->
    io_lib:format("the term is over the budget: ~ts, ~b allowed; if you expect such terms, raise `~s` in the budget",
                  [over(What), Max, What]);
format_error({term, {not_allowed, Kind}}) ->
    io_lib:format("the term has ~ts in it; if you expect them from a sender that you trust, add `~s` to `allow` "
                  "in the budget", [kind(Kind), Kind]);
format_error({term, {malformed, What, Number}}) ->
    [malformed(What, Number), "; the sender must use term_to_binary/1,2 and send all of it"];
format_error({term, {refused_by_vm, badarg}}) ->
    "binary_to_term/2 refuses the term (a key twice in a map, a function that does not exist, a tag that is newer than "
    "this OTP); the sender must send another";
format_error({term, {atom_table_full, Count, Limit}}) ->
    io_lib:format("~b of ~b atoms are in use, too many to let a term make new ones; set `new_atoms` to 0, or start the "
                  "VM with a larger +t", [Count, Limit]);
format_error({budget, {unknown_key, Key}}) ->
    Names = ["allow" | [atom_to_list(Name) || {Name, _} <- keys()]],
    Said = lists:flatten(io_lib:format("~tp", [Key])),
    Hint = case merlon_text:nearest(Said, Names) of
               {ok, Name} -> ["did you mean `", Name, "`?"];
               none -> ["the keys are: ", lists:join(", ", Names)]
           end,
    ["a budget has no key ", Said, "; ", Hint];
format_error({budget, {bad_value, allow, Value}}) ->
    io_lib:format("`allow` of a budget can't be ~0tP; give a list of funs, exports, pids, ports, refs", [Value, 8]);
format_error({budget, {bad_value, Key, Value}}) ->
    io_lib:format("`~tp` of a budget can't be ~0tP; give a number from 0 on, or infinity", [Key, Value, 8]);
format_error(Reason) ->
    merlon_node:format_error(Reason).

over(bytes) -> "it is too long, in bytes";
over(inflated) -> "it inflates to too many bytes";
over(terms) -> "it holds too many terms";
over(depth) -> "it is nested too deep";
over(new_atoms) -> "it has too many atoms that are new to this VM";
over(binary) -> "a binary in it has too many bytes";
over(bignum) -> "an integer in it has too many bytes";
over(range) -> "a range in it has too many numbers".

kind(funs) -> "funs";
kind(exports) -> "external functions";
kind(pids) -> "pids";
kind(ports) -> "ports";
kind(refs) -> "references".

malformed(version, _) -> "this is no external term (its first byte is not 131)";
malformed(local, _) -> "the term is in a node's local format, which has no meaning elsewhere";
malformed(zlib, _) -> "the compressed term can't be inflated";
malformed(inflated_size, N) -> io_lib:format("the compressed term does not inflate to the ~b bytes that it claims", [N]);
malformed(trailing, N) -> io_lib:format("there are ~b bytes after the term", [N]);
malformed(cut, N) -> io_lib:format("the term ends too early, or claims more than there is, at byte ~b", [N]);
malformed(tag, N) -> io_lib:format("there is no term that begins as byte ~b does", [N]);
malformed(atom, N) -> io_lib:format("an atom that ends at byte ~b is too long or not UTF-8", [N]);
malformed(value, N) -> io_lib:format("a number or length before byte ~b can't be", [N]).
