%% SPDX-License-Identifier: Apache-2.0
%% Elixir's modules as units. Elixir's syntax tree is Erlang terms, so that Elixir itself is not needed: not for what is
%% in a BEAM file (expanded), and for sources only to parse them. Expressions: merlon_audit_quoted.
-module(merlon_audit_ex).

-export([definitions/1, quoted/2]).

-define(is_def(Kind), (Kind =:= def orelse Kind =:= defp orelse Kind =:= defmacro orelse Kind =:= defmacrop)).

%% The definitions of a compiled module.
-spec definitions(map()) -> {ok, merlon_audit_flow:unit()} | {error, {beam, merlon_audit_beam:reason()}}.
definitions(#{definitions := Definitions} = Map) when is_list(Definitions) ->
    try
        Functions = [{Kind, expanded(Definition)} || {_, Kind, _, _} = Definition <- Definitions],
        {ok, unit(maps:get(module, Map, none), file(Map), Functions, [])}
    catch
        error:_ -> {error, {beam, {debug_info, elixir}}}
    end;
definitions(_) -> {error, {beam, {debug_info, elixir}}}.

file(#{file := File}) when is_binary(File) -> unicode:characters_to_list(File);
file(_) -> "".

expanded({{Name, Arity}, Kind, Meta, Clauses}) ->
    Context = merlon_audit_quoted:context(expanded),
    {function, merlon_audit_quoted:line(Meta), named(Kind, Name), Arity,
     [{clause, merlon_audit_quoted:line(M), merlon_audit_quoted:exprs(Args, Context),
       merlon_audit_quoted:guards(Guards, Context), [merlon_audit_quoted:expr(Body, Context)]}
      || {M, Args, Guards, Body} <- Clauses]}.

named(Kind, Name) when Kind =:= defmacro; Kind =:= defmacrop -> {macro, Name};
named(_, Name) -> Name.

unit(Module, File, Functions, Open) ->
    #{module => Module, language => elixir, functions => [{File, Function} || {_, Function} <- Functions],
      exports => [{Name, Arity} || {Kind, {function, _, Name, Arity, _}} <- Functions, Kind =/= defp],
      imports => #{}, open_imports => Open}.

%% ---- sources ----

%% The modules of a parsed source, and what stands outside of them.
-spec quoted(term(), File :: string()) -> [merlon_audit_flow:unit()].
quoted(Ast, File) ->
    Context = merlon_audit_quoted:context(Ast),
    [source_unit(Module, Body, File, Context) || {Module, Body} <- modules(none, Ast, Context)].

%% Nested ones are modules of their own.
modules(Name, Ast, Context) ->
    {Own, Nested} = lists:partition(fun(E) -> not is_module(E) end, statements(Ast)),
    [{Name, Own} | lists:flatmap(fun(E) -> module(E, Context) end, Nested)].

is_module({Kind, _, [_ | _]}) -> lists:member(Kind, [defmodule, defimpl, defprotocol]);
is_module(_) -> false.

module({_, _, [Name | _] = Args}, Context) ->
    case body(lists:last(Args)) of
        none -> [];
        Body -> modules(merlon_audit_quoted:module_name(Name, Context), Body, Context)
    end.

body([{do, Body} | _]) -> Body;
body([_ | Rest]) -> body(Rest);
body(_) -> none.

statements({'__block__', _, Statements}) when is_list(Statements) -> Statements;
statements(Statement) -> [Statement].

source_unit(Module, Statements, File, Context) ->
    Known = merlon_audit_quoted:attributes(Statements, Context),
    {Definitions, Others} = lists:partition(fun is_definition/1, lists:filter(fun is_code/1, lists:map(fun delegate/1, Statements))),
    Functions = joined([definition(D, Known) || D <- Definitions]),
    Body = {def, {function, 0, '(body)', 0, [{clause, 0, [], [], merlon_audit_quoted:exprs(Others, Known)}]}},
    unit(Module, File, [Body | Functions], merlon_audit_quoted:imports(Known)).

%% A delegate is a function that does nothing but call.
delegate({defdelegate, Meta, [{Name, _, Args} = Head, Options]} = Statement) when is_list(Args), is_list(Options) ->
    case lists:keyfind(to, 1, Options) of
        {to, Module} ->
            {_, As} = hd([O || {as, _} = O <- Options] ++ [{as, Name}]),
            {def, Meta, [Head, [{do, {{'.', Meta, [Module, As]}, Meta, [given(A) || A <- Args]}}]]};
        false -> Statement
    end;
delegate(Statement) -> Statement.

%% What is said about the code is no code.
is_code({Kind, _, _}) when Kind =:= alias; Kind =:= import; Kind =:= require; Kind =:= defdelegate -> false;
is_code({'@', _, [{Kind, _, _}]}) when Kind =:= spec; Kind =:= type; Kind =:= typep; Kind =:= opaque; Kind =:= doc;
                                       Kind =:= moduledoc; Kind =:= typedoc; Kind =:= callback; Kind =:= impl -> false;
is_code(_) -> true.

is_definition({Kind, _, [_, [_ | _]]}) when ?is_def(Kind) -> true;
is_definition(_) -> false.

definition({Kind, Meta, [Head, Blocks]}, Context) ->
    {Named, Guards} = guarded(Head),
    {Name, Args} = signature(Named),
    Line = merlon_audit_quoted:line(Meta),
    Clause = {clause, Line, merlon_audit_quoted:exprs([given(A) || A <- Args], Context),
              merlon_audit_quoted:guards(Guards, Context), [merlon_audit_quoted:blocks(Blocks, Line, Context)]},
    {Kind, {function, Line, named(Kind, Name), length(Args), [Clause]}}.

guarded({'when', _, [Head | Guards]}) -> {Head, Guards};
guarded(Head) -> {Head, []}.

signature({Name, _, Args}) when is_list(Args) -> {Name, Args};
signature({Name, _, _}) -> {Name, []};
signature(_) -> {none, []}.

given({'\\\\', _, [Parameter, _Default]}) -> Parameter;
given(Parameter) -> Parameter.

%% The clauses of one function stand one by one in the source.
joined(Definitions) ->
    Keys = lists:uniq([{Kind, Name, Arity} || {Kind, {function, _, Name, Arity, _}} <- Definitions]),
    [{Kind, {function, 0, Name, Arity, [Clause || {_, {function, _, N, A, [Clause]}} <- Definitions,
                                                  N =:= Name, A =:= Arity]}}
     || {Kind, Name, Arity} <- Keys].
