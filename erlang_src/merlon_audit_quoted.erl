%% SPDX-License-Identifier: Apache-2.0
%% Elixir's quoted expressions in the abstract format of Erlang, as far as the audit needs it: calls, values and where
%% they go. What is not known is kept as a block of its parts. Names that are no atoms yet come as binaries.
-module(merlon_audit_quoted).

-export([context/1, attributes/2, imports/1, line/1, expr/2, exprs/2, guards/2, blocks/3, module_name/2]).
-export_type([context/0]).

%% Of a source: its aliases by their last part, the modules that it imports, its module attributes.
-opaque context() :: #{aliases := #{term() => [term()]}, imports := [term()], attributes := #{term() => term()}}.

-define(FUEL, 200000).

%% Aliases and imports are taken for the whole file, wherever they stand.
-spec context(expanded | term()) -> context().
context(expanded) -> #{aliases => #{}, imports => [], attributes => #{}};
context(Ast) ->
    Directives = directives(Ast),
    Aliases = maps:from_list(lists:flatmap(fun aliased/1, Directives)),
    Context = #{aliases => Aliases, imports => [], attributes => #{}},
    Context#{imports := [module_name(M, Context) || {import, _, [M | _]} <- Directives]}.

directives(Ast) ->
    merlon_audit_expr:find_all(fun({Kind, _, [_ | _]} = D) when Kind =:= alias; Kind =:= import -> [D];
                                  (_) -> []
                               end, Ast, ?FUEL).

aliased({alias, _, [{'__aliases__', _, Parts}]}) -> [{lists:last(Parts), Parts}];
aliased({alias, _, [{'__aliases__', _, Parts}, Options]}) ->
    case lists:keyfind(as, 1, [O || O <- aslist(Options), is_tuple(O)]) of
        {as, {'__aliases__', _, [As]}} -> [{As, Parts}];
        _ -> [{lists:last(Parts), Parts}]
    end;
aliased({alias, _, [Module, [{as, {'__aliases__', _, [As]}}]]}) when is_atom(Module) -> [{As, [Module]}];
aliased({alias, _, [{{'.', _, [{'__aliases__', _, Parts}, '{}']}, _, Several}]}) ->
    [{lists:last(More), Parts ++ More} || {'__aliases__', _, More} <- Several];
aliased(_) -> [].

aslist(Options) when is_list(Options) -> Options;
aslist(_) -> [].

%% With the attributes that these statements set.
-spec attributes([term()], context()) -> context().
attributes(Statements, Context) ->
    Set = [{Name, Value} || {'@', _, [{Name, _, [Value]}]} <- Statements],
    Context#{attributes := maps:from_list(Set)}.

-spec imports(context()) -> [term()].
imports(#{imports := Imports}) -> Imports.

-spec line(term()) -> non_neg_integer().
line(Meta) when is_list(Meta) ->
    case lists:keyfind(line, 1, Meta) of
        {line, Line} when is_integer(Line), Line >= 0 -> Line;
        _ -> 0
    end;
line(_) -> 0.

-spec exprs(term(), context()) -> [merlon_audit_flow:expr()].
exprs([Expr | Exprs], C) -> [expr(Expr, C) | exprs(Exprs, C)];
exprs([], _C) -> [];
exprs(Expr, C) -> [expr(Expr, C)].

-spec guards([term()], context()) -> [[merlon_audit_flow:expr()]].
guards([], _C) -> [];
guards(Guards, C) -> [exprs(Guards, C)].

%% [{do, Body}, {rescue, Clauses}, ...] as one expression.
-spec blocks(term(), non_neg_integer(), context()) -> merlon_audit_flow:expr().
blocks([{do, Body}], _Line, C) -> expr(Body, C);
blocks(Blocks, Line, C) when is_list(Blocks) ->
    Get = fun(Key) -> [Value || {K, Value} <- Blocks, K =:= Key] end,
    {'try', Line, exprs(Get(do), C), clauses(Get('else'), C), clauses(Get(rescue) ++ Get('catch'), C),
     exprs(Get('after'), C)};
blocks(Other, _Line, C) -> expr(Other, C).

clauses(Lists, C) -> [clause(Clause, C) || List <- Lists, is_list(List), Clause <- List].

clause({'->', Meta, [Args, Body]}, C) ->
    {Patterns, Guards} = heads(Args),
    {clause, line(Meta), exprs(Patterns, C), guards(Guards, C), [expr(Body, C)]};
clause(Other, C) -> {clause, 0, [], [], [expr(Other, C)]}.

heads([{'when', _, Parts}]) -> {lists:droplast(Parts), [lists:last(Parts)]};
heads(Args) -> {Args, []}.

%% ---- expressions ----

-spec expr(term(), context()) -> merlon_audit_flow:expr().
expr(Atom, _C) when is_atom(Atom) -> {atom, 0, Atom};
expr(Number, _C) when is_integer(Number) -> {integer, 0, Number};
expr(Number, _C) when is_float(Number) -> {float, 0, Number};
expr(Text, _C) when is_binary(Text) -> {string, 0, Text};
expr([], _C) -> {nil, 0};
expr([{'|', Meta, [Head, Tail]}], C) -> {cons, line(Meta), expr(Head, C), expr(Tail, C)};
expr([Head | Tail], C) -> {cons, 0, expr(Head, C), expr(Tail, C)};
expr({A, B}, C) -> {tuple, tuple_line(A, B), [expr(A, C), expr(B, C)]};
expr({Name, Meta, Var}, _C) when is_atom(Var) -> {var, line(Meta), variable(Name, Meta)};
expr({{'.', _, Target}, Meta, Args}, C) when is_list(Args) -> dotted(Target, Meta, Args, C);
expr({Name, Meta, Args}, C) when is_list(Args) -> form(Name, line(Meta), Args, C);
expr(Map, C) when is_map(Map) -> {block, 0, [{tuple, 0, [expr(K, C), expr(V, C)]} || {K, V} <- maps:to_list(Map)]};
expr(_, _C) -> {nil, 0}.

%% A keyword has no line of its own: that of its value, if it has one.
tuple_line(A, B) -> max(own_line(A), own_line(B)).

own_line({_, Meta, _}) -> line(Meta);
own_line(_) -> 0.

%% The compiler gives each binding of a name a version.
variable(Name, Meta) when is_list(Meta) ->
    case lists:keyfind(version, 1, Meta) of
        {version, Version} when is_integer(Version) -> {Name, Version};
        _ -> Name
    end;
variable(Name, _) -> Name.

%% Without parentheses and arguments it is a field.
dotted([Module, Name], Meta, [], C) ->
    case lists:keymember(no_parens, 1, Meta) andalso not is_module_name(Module) of
        true -> {block, line(Meta), [{field, line(Meta), field(Name)}, expr(Module, C)]};
        false -> remote(Module, Name, Meta, [], C)
    end;
dotted([Module, Name], Meta, Args, C) -> remote(Module, Name, Meta, Args, C);
dotted([Fun], Meta, Args, C) -> {call, line(Meta), expr(Fun, C), exprs(Args, C)};
dotted(Other, Meta, Args, C) -> {block, line(Meta), exprs(Other, C) ++ exprs(Args, C)}.

is_module_name(Module) -> is_atom(Module) orelse (is_tuple(Module) andalso element(1, Module) =:= '__aliases__').

field(Name) when is_atom(Name) -> atom_to_binary(Name);
field(Name) when is_binary(Name) -> Name;
field(_) -> <<>>.

%% The compiler writes operators as calls.
remote(erlang, Op, Meta, [A, B], C) when Op =:= '=='; Op =:= '/='; Op =:= '=:='; Op =:= '=/='; Op =:= '++'; Op =:= '+';
                                         Op =:= '-'; Op =:= '*'; Op =:= '<'; Op =:= '>'; Op =:= '=<'; Op =:= '>=' ->
    {op, line(Meta), Op, expr(A, C), expr(B, C)};
remote(Module, Name, Meta, Args, C) ->
    Line = line(Meta),
    {call, Line, {remote, Line, expr(Module, C), {atom, Line, Name}}, exprs(Args, C)}.

form('__block__', Line, Args, C) -> {block, Line, exprs(Args, C)};
form('__aliases__', Line, Parts, C) -> {atom, Line, full_name(Parts, C)};
form('{}', Line, Args, C) -> {tuple, Line, exprs(Args, C)};
form('%{}', Line, Args, C) when is_list(Args) -> {block, Line, [field(Arg, Line, C) || Arg <- Args]};
form('<<>>', Line, Parts, C) -> {bin, Line, [{bin_element, Line, segment(P, C), default, default} || P <- Parts]};
form('=', Line, [Pattern, Expr], C) -> {match, Line, expr(Pattern, C), expr(Expr, C)};
form('<-', Line, [Pattern, Expr], C) -> {match, Line, expr(Pattern, C), expr(Expr, C)};
form('^', Line, _, _C) -> {nil, Line};
form('fn', Line, Clauses, C) -> {'fun', Line, {clauses, [clause(Clause, C) || Clause <- Clauses]}};
form('&', Line, [Captured], C) -> capture(Captured, Line, C);
form('|>', _Line, [Left, Right], C) -> piped(Left, Right, C);
form('case', Line, [Expr, [{do, Clauses}]], C) -> {'case', Line, expr(Expr, C), clauses([Clauses], C)};
form('cond', Line, [[{do, Clauses}]], C) -> {'if', Line, [cond_clause(Clause, C) || Clause <- aslist(Clauses)]};
form(Name, Line, [Expr, [{do, _} | _] = Blocks], C) when Name =:= 'if'; Name =:= unless ->
    {'case', Line, expr(Expr, C), [{clause, Line, [{var, Line, '_'}], [], exprs([Body], C)} || {_, Body} <- Blocks]};
form('receive', Line, [Blocks], C) ->
    {'receive', Line, clauses([Clauses || {_, Clauses} <- aslist(Blocks)], C)};
form('try', Line, [Blocks], C) -> blocks(Blocks, Line, C);
form('@', Line, [{Name, _, Value}], C) when is_atom(Value) -> attribute(Name, Line, C);
form('sigil_w', Line, [{'<<>>', _, Parts} = Words, "a"], C) -> words(lists:all(fun is_binary/1, Parts), Line, Words, C);
form('when', Line, Args, C) -> {block, Line, exprs(Args, C)};
form(Op, Line, [A, B], C) when Op =:= '++'; Op =:= '<>' -> {op, Line, '++', expr(A, C), expr(B, C)};
form(Op, Line, [A, B], C) when Op =:= '=='; Op =:= '>='; Op =:= '=<'; Op =:= '<='; Op =:= '>'; Op =:= '<'; Op =:= '*';
                               Op =:= '/'; Op =:= '+'; Op =:= '-'; Op =:= 'and'; Op =:= 'or'; Op =:= in ->
    {op, Line, Op, expr(A, C), expr(B, C)};
form('===', Line, [A, B], C) -> {op, Line, '=:=', expr(A, C), expr(B, C)};
form('!=', Line, [A, B], C) -> {op, Line, '/=', expr(A, C), expr(B, C)};
form('!==', Line, [A, B], C) -> {op, Line, '=/=', expr(A, C), expr(B, C)};
form(Name, Line, Args, C) when Name =:= with; Name =:= for; Name =:= quote; Name =:= '%'; Name =:= '->'; Name =:= '::' ->
    {block, Line, lists:flatmap(fun(Arg) -> part(Arg, C) end, Args)};
form(Name, Line, Args, C) -> {call, Line, {atom, Line, Name}, exprs(Args, C)}.

field({Key, {fn, _, _} = Fun}, Line, C) -> {map_field_assoc, Line, expr(Key, C), expr(Fun, C)};
field(Arg, _Line, C) -> expr(Arg, C).

%% ~w()a makes atoms; of literals those are the code's own.
words(true, Line, _Words, _C) -> {nil, Line};
words(false, Line, Words, C) ->
    {call, Line, {remote, Line, {atom, Line, erlang}, {atom, Line, binary_to_atom}}, [expr(Words, C)]}.

%% Clauses of with's else and of for's reduce.
part([{Key, _} | _] = Blocks, C) when is_atom(Key) ->
    [expr_or_clauses(Value, C) || {_, Value} <- Blocks];
part(Arg, C) -> [expr(Arg, C)].

expr_or_clauses([{'->', Meta, _} | _] = Clauses, C) ->
    {'case', line(Meta), {nil, 0}, clauses([Clauses], C)};
expr_or_clauses(Expr, C) -> expr(Expr, C).

cond_clause({'->', Meta, [[Condition], Body]}, C) ->
    {clause, line(Meta), [], [], [expr(Condition, C), expr(Body, C)]};
cond_clause(Other, C) -> clause(Other, C).

segment({'::', _, [Expr, _Type]}, C) -> expr(Expr, C);
segment(Expr, C) -> expr(Expr, C).

capture({'/', _, [{{'.', _, [Module, Name]}, _, _}, Arity]}, Line, C) when is_integer(Arity) ->
    {'fun', Line, {function, expr(Module, C), {atom, Line, Name}, {integer, Line, Arity}}};
capture({'/', _, [{Name, _, _}, Arity]}, Line, _C) when is_integer(Arity) -> {'fun', Line, {function, Name, Arity}};
capture(N, Line, _C) when is_integer(N) -> {var, Line, {'&', N}};
capture(Expr, Line, C) ->
    {'fun', Line, {clauses, [{clause, Line, [{var, Line, {'&', N}} || N <- lists:seq(1, 9)], [], [expr(Expr, C)]}]}}.

%% The left side is the first argument.
piped(Left, {Call, Meta, Args}, C) when is_list(Args) -> expr({Call, Meta, [Left | Args]}, C);
piped(Left, {Name, Meta, Var}, C) when is_atom(Var) -> expr({Name, Meta, [Left]}, C);
piped(Left, Right, C) -> {block, 0, [expr(Left, C), expr(Right, C)]}.

%% A value that names attributes itself is not followed further.
attribute(Name, Line, #{attributes := Attributes} = C) ->
    case Attributes of
        #{Name := Value} -> expr(Value, C#{attributes := #{}});
        _ -> {nil, Line}
    end.

%% ---- names of modules ----

-spec module_name(term(), context()) -> term().
module_name({'__aliases__', _, Parts}, C) -> full_name(Parts, C);
module_name(Name, _C) when is_atom(Name) -> Name;
module_name(_, _C) -> none.

%% Known atoms as atoms: a name that no rule and no module here has needs none.
full_name([First | Rest] = Parts, #{aliases := Aliases}) ->
    case maps:get(First, Aliases, Parts) of
        Parts -> joined(Parts);
        [Module] when Rest =:= [], is_atom(Module) -> erlang_or_elixir(Module);
        Full -> joined(Full ++ Rest)
    end.

%% `alias :crypto, as: C` names a module of Erlang.
erlang_or_elixir(Module) ->
    case atom_to_binary(Module) of
        <<First, _/binary>> when First >= $a, First =< $z -> Module;
        _ -> joined([Module])
    end.

joined(['Elixir' | [_ | _] = Parts]) -> joined(Parts);
joined(Parts) ->
    Name = iolist_to_binary([<<"Elixir">>, [[$., text(Part)] || Part <- Parts]]),
    try binary_to_existing_atom(Name)
    catch error:_ -> Name
    end.

text(Part) when is_atom(Part) -> atom_to_binary(Part);
text(Part) when is_binary(Part) -> Part;
text(_) -> <<"?">>.
