%% SPDX-License-Identifier: Apache-2.0
%% JSON (RFC 8259) for reports; OTP has an encoder only since 27. Objects are lists of pairs in a tuple, so that they
%% keep their order: {[{<<"a">>, 1}]}.
-module(merlon_audit_json).

-export([encode/1]).
-export_type([value/0]).

-type value() :: {[{binary() | atom(), value()}]} | [value()] | binary() | number() | boolean() | null | atom().

-spec encode(value()) -> iodata().
encode({Members}) -> [${, lists:join($,, [[string(Name), $:, encode(Value)] || {Name, Value} <- Members]), $}];
encode(Values) when is_list(Values) -> [$[, lists:join($,, [encode(Value) || Value <- Values]), $]];
encode(Number) when is_integer(Number) -> integer_to_binary(Number);
encode(Number) when is_float(Number) -> float_to_binary(Number, [short]);
encode(Word) when Word =:= true; Word =:= false; Word =:= null -> atom_to_binary(Word);
encode(Text) -> string(Text).

string(Name) when is_atom(Name) -> string(atom_to_binary(Name));
string(Text) -> [$", escaped(Text), $"].

%% Also < and >, so that a page can hold it. What is no UTF-8 is replaced.
escaped(Text) -> << <<(character(C))/binary>> || <<C/utf8>> <= valid(Text) >>.

valid(Text) ->
    case unicode:characters_to_binary(Text) of
        Known when is_binary(Known) -> Known;
        _ -> << <<(if C < 128 -> C; true -> $? end)>> || <<C>> <= Text >>
    end.

character($") -> <<"\\\"">>;
character($\\) -> <<"\\\\">>;
character($\n) -> <<"\\n">>;
character(C) when C < 32; C =:= $<; C =:= $>; C =:= $&; C =:= 127; C =:= 16#2028; C =:= 16#2029 ->
    iolist_to_binary(io_lib:format("\\u~4.16.0b", [C]));
character(C) -> <<C/utf8>>.
