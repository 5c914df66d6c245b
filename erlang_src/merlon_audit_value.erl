%% SPDX-License-Identifier: Apache-2.0
%% How a value came to be, for merlon_audit_flow and merlon_audit_eval: how far from outside, and with which parameters of its
%% function in it.
-module(merlon_audit_value).

-export([join/2, soft/1, outcome/1, returned/2, result/2, settled/2]).
-export_type([value/0]).

%% 0 a literal, 1 computed, 2 a parameter, 3 input, 4 a name (an atom, or a term with atoms in it) that was made of input.
%% Parameters by bits; those from bit 256 on count as a parameter at most: a field of a record or a process's state is not
%% what the socket sent because something in it was. Of those from bit 512 on a name was made.
-type value() :: {0..4, Parameters :: non_neg_integer()}.

-define(LITERAL, {0, 0}).
-define(COMPUTED, {1, 0}).
-define(PARAMETER, {2, 0}).
-define(INPUT, {3, 0}).
-define(NAME, 4).
-define(LOW, ((1 bsl 256) - 1)).

-spec join(value(), value()) -> value().
join({A, X}, {B, Y}) -> {max(A, B), X bor Y}.

%% Of a record's field, a process's state.
-spec soft(value()) -> value().
soft({Base, Mask}) -> {min(Base, 2), (hard(Mask) bor softly(Mask) bor named(Mask)) bsl 256}.

hard(Mask) -> Mask band ?LOW.
softly(Mask) -> (Mask bsr 256) band ?LOW.
named(Mask) -> Mask bsr 512.

%% What a function gives that is not looked into: which name it gives is a choice of its own, whatever it was given.
-spec outcome([value()]) -> value().
outcome(Values) -> chosen(lists:foldl(fun join/2, ?COMPUTED, Values)).

chosen({Base, Mask}) -> {min(Base, 3), Mask band ((1 bsl 512) - 1)}.

%% Made an atom: from here on input can name a module, a function or a node.
name({Base, Mask}) when Base >= 3 -> {?NAME, Mask};
name({Base, Mask}) -> {Base, Mask bor (hard(Mask) bsl 512)}.

%% ---- functions of the module ----

%% Parameters in what the callee returns are this call's arguments.
-spec returned(value() | unknown, [value()]) -> value().
returned(unknown, Values) -> lists:foldl(fun join/2, ?LITERAL, Values);
returned({Base, Mask}, Values) ->
    Soft = given(softly(Mask), [soft(Value) || Value <- Values], ?LITERAL),
    Named = given(named(Mask), [name(Value) || Value <- Values], Soft),
    join(Named, given(hard(Mask), Values, {Base, 0})).

given(0, _Values, Value) -> Value;
given(_Mask, [], Value) -> Value;
given(Mask, [First | Values], Value) when Mask band 1 =:= 1 -> given(Mask bsr 1, Values, join(Value, First));
given(Mask, [_ | Values], Value) -> given(Mask bsr 1, Values, Value).

%% The same with the levels of its parameters, when all calls of the module are known. No parameters: nobody calls it.
-spec settled(value(), [0..4]) -> value().
settled({Base, Mask}, Levels) ->
    Hard = level(hard(Mask), Levels, Base),
    Named = case level(named(Mask), Levels, 0) of 3 -> ?NAME; Level -> Level end,
    {lists:max([Hard, min(level(softly(Mask), Levels, 0), 2), Named]), 0}.

level(0, _Levels, Most) -> Most;
level(_Mask, [], Most) -> max(Most, 2);
level(Mask, [Level | Levels], Most) when Mask band 1 =:= 1 -> level(Mask bsr 1, Levels, max(Most, Level));
level(Mask, [_ | Levels], Most) -> level(Mask bsr 1, Levels, Most).

%% ---- functions of other modules ----

%% By the kind that merlon_audit_sinks gives.
-spec result(merlon_audit_sinks:result() | other, [value()]) -> value().
result(input, _) -> ?INPUT;
result(file, _) -> ?PARAMETER;
result(stored, _) -> ?COMPUTED;
result(other, Values) -> outcome(Values);
result({lookup, Key}, Values) when length(Values) >= Key ->
    {Before, [Given | After]} = lists:split(Key - 1, Values),
    made(pure, joined([chosen(Given) | Before ++ After]));
result(Kind, Values) -> made(Kind, joined(Values)).

joined(Values) -> lists:foldl(fun join/2, ?LITERAL, Values).

made(_, ?LITERAL) -> ?LITERAL;
made(clean, _) -> ?COMPUTED;
made(named, Value) -> join(?COMPUTED, name(Value));
made(_, Value) -> join(?COMPUTED, Value).
