%% SPDX-License-Identifier: Apache-2.0
%% One function, looked at for merlon_audit_flow: nothing is run, every branch is taken. Gives what the function returns,
%% the places that rules are about, and which functions of the module it calls with what.
-module(merlon_audit_eval).

-export([function/2]).

-import(merlon_audit_expr, [line/1]).
-import(merlon_audit_value, [join/2, soft/1, outcome/1, returned/2, result/2]).

%% `line` is the last one that was seen: Elixir's literals have none.
-record(st, {env = #{}, sites = [], edges = [], line = 0, context}).

-define(LITERAL, {0, 0}).
-define(COMPUTED, {1, 0}).
-define(PARAMETER, {2, 0}).
-define(INPUT, {3, 0}).
-define(is_request(Field), (Field =:= <<"params">> orelse Field =:= <<"body_params">> orelse Field =:= <<"query_params">>
                            orelse Field =:= <<"path_params">> orelse Field =:= <<"query_string">>
                            orelse Field =:= <<"req_headers">> orelse Field =:= <<"req_cookies">>
                            orelse Field =:= <<"path_info">> orelse Field =:= <<"request_path">>)).
%% Options that rules are about.
-define(is_option(Name), (Name =:= verify orelse Name =:= keep_secrets orelse Name =:= versions
                          orelse Name =:= ciphers orelse Name =:= extra_applications orelse Name =:= hackney)).

-spec function([term()], map()) ->
          {merlon_audit_flow:value(), [merlon_audit_flow:site()],
           [{{term(), arity()}, {term(), arity()}, [merlon_audit_flow:value()]}]}.
function(Clauses, Context) ->
    {Value, St} = clauses(Clauses, fun parameters/2, #st{context = Context}),
    {Value, St#st.sites, St#st.edges}.

parameters(Patterns, St) ->
    {_, After} = lists:foldl(fun(P, {Bit, Acc}) -> {Bit bsl 1, bind(P, {0, Bit}, none, Acc)} end, {1, St}, Patterns),
    After.

%% ---- clauses ----

%% Each starts from what was known before; afterwards a variable is what any of them has made it.
clauses(Clauses, Bind, #st{env = Env} = St) ->
    lists:foldl(fun(Clause, {Value, Acc}) ->
                    {New, After} = clause(Clause, Bind, Acc#st{env = Env}),
                    {join(Value, New), After#st{env = merge(Acc#st.env, After#st.env)}}
                end, {?LITERAL, St}, Clauses).

clause({clause, Anno, Patterns, Guards, Body}, Bind, St) ->
    {_, Guarded} = exprs(Guards, Bind(Patterns, at(Anno, St))),
    body(Body, Guarded);
clause(Other, _Bind, St) -> expr(Other, St).

at(Anno, St) ->
    case line(Anno) of
        0 -> St;
        Line -> St#st{line = Line}
    end.

merge(Env, Env) -> Env;
merge(A, B) ->
    maps:merge_with(fun(_, Same, Same) -> Same;
                       (_, {X, _}, {Y, _}) -> {join(X, Y), none}
                    end, A, B).

%% All patterns take from one value.
binding(Value, Expr) ->
    fun([Pattern], St) -> bind(Pattern, Value, Expr, St);
       (Patterns, St) -> lists:foldl(fun(P, Acc) -> bind(P, Value, none, Acc) end, St, Patterns)
    end.

%% ---- patterns ----

bind({var, _, '_'}, _Value, _Expr, St) -> St;
bind({var, _, Name}, Value, Expr, #st{env = Env, context = #{rebinds := Rebinds}} = St) ->
    case Rebinds orelse not is_map_key(Name, Env) of
        true -> St#st{env = Env#{Name => {Value, Expr}}};
        false -> St
    end;
bind({match, _, A, B}, Value, Expr, St) ->
    case merlon_audit_expr:is_literal(A) of
        true -> bind(B, ?LITERAL, A, St);
        false -> bind(B, Value, Expr, bind(A, Value, Expr, St))
    end;
bind({tuple, _, [{atom, _, Kind} | _] = Elements}, Value, none, St) when Kind =:= tcp; Kind =:= ssl; Kind =:= udp ->
    bind_all(Elements, message(Elements, Value), St);
bind({tuple, _, Patterns}, _Value, {tuple, _, Exprs}, St) when length(Patterns) =:= length(Exprs) ->
    lists:foldl(fun({P, E}, Acc) ->
                    {Part, _} = expr(E, Acc),
                    bind(P, Part, kept(E, Acc), Acc)
                end, St, lists:zip(Patterns, Exprs));
bind({record, _, _, Fields}, Value, _Expr, St) -> bind_all(Fields, soft(Value), St);
bind(Pattern, Value, _Expr, St) when is_tuple(Pattern) -> bind_all(tl(tuple_to_list(Pattern)), Value, St);
bind(Patterns, Value, _Expr, St) when is_list(Patterns) -> bind_all(Patterns, Value, St);
bind(_, _, _, St) -> St.

bind_all([Pattern | Patterns], Value, St) -> bind_all(Patterns, Value, bind(Pattern, Value, none, St));
bind_all(_, _Value, St) -> St.

%% {tcp, Socket, Data} and its like, of a socket in active mode.
message([_, _, _], _Value) -> ?INPUT;
message([_, _, _, _, _], _Value) -> ?INPUT;
message(_, Value) -> Value.

%% ---- expressions ----

body([Last], St) -> expr(Last, St);
body([First | Rest], St) ->
    {_, After} = expr(First, St),
    body(Rest, After);
body(_, St) -> {?LITERAL, St}.

exprs([_ | _] = Exprs, St) -> exprs(Exprs, ?LITERAL, St);
exprs(_, St) -> {?LITERAL, St}.

exprs([Expr | Exprs], Value, St) ->
    {New, After} = expr(Expr, St),
    exprs(Exprs, join(Value, New), After);
exprs(_, Value, St) -> {Value, St}.

each(Exprs, St) -> lists:mapfoldl(fun expr/2, St, Exprs).

expr({var, _, Name}, #st{env = Env} = St) ->
    case Env of
        #{Name := {_, {'fun', _, Named} = Fun}} when element(1, Named) =:= function -> expr(Fun, St);
        #{Name := {Value, _}} -> {Value, St};
        _ -> {?COMPUTED, St}
    end;
expr({Kind, _, _}, St) when Kind =:= atom; Kind =:= integer; Kind =:= float; Kind =:= char; Kind =:= string ->
    {?LITERAL, St};
%% What is called by this name is looked at where it is called.
expr({match, _, {var, _, _} = Pattern, {'fun', _, Named} = Fun}, St) when element(1, Named) =:= function ->
    {?COMPUTED, bind(Pattern, ?COMPUTED, Fun, St)};
expr({match, Anno, Pattern, Expr}, St) ->
    {Value, After} = expr(Expr, at(Anno, St)),
    {Value, bind(Pattern, Value, kept(Expr, After), After)};
expr({block, _, [{field, _, Field}, Of]}, St) when ?is_request(Field) ->
    {_, After} = expr(Of, St),
    {?INPUT, After};
expr({block, _, [{field, _, _}, Of]}, St) -> softened(Of, St);
expr({record_field, _, Of, _, _}, St) -> softened(Of, St);
expr({block, _, Body}, St) -> body(Body, St);
expr({call, Anno, Function, Args}, St) -> call(Function, Args, Anno, at(Anno, St));
expr({tuple, Anno, [{atom, _, Name}, Value] = Elements}, St) when ?is_option(Name) ->
    exprs(Elements, site(option, Name, Anno, [], [Value], [], St));
expr({cons, _, _, _} = List, St) -> list(List, St);
expr({op, Anno, Op, A, B}, St) when Op =:= '=='; Op =:= '=:='; Op =:= '/='; Op =:= '=/=' ->
    {Values, After} = each([A, B], site(compare, Op, Anno, [], [A, B], [], St)),
    {number(Values), After};
expr({op, _, Op, A, B}, St) when Op =:= '++'; Op =:= '!' -> exprs([A, B], St);
expr({op, _, _, A, B}, St) ->
    {Values, After} = each([A, B], St),
    {number(Values), After};
expr({op, _, _, A}, St) ->
    {Value, After} = expr(A, St),
    {number([Value]), After};
expr({'case', _, Expr, Clauses}, St) ->
    {Value, After} = expr(Expr, St),
    clauses(Clauses, binding(Value, kept(Expr, After)), After);
expr({'if', _, Clauses}, St) -> clauses(Clauses, binding(?COMPUTED, none), St);
expr({'receive', _, Clauses}, St) -> clauses(Clauses, binding(?PARAMETER, none), St);
expr({'receive', _, Clauses, Timeout, Body}, St) ->
    {Value, After} = clauses(Clauses, binding(?PARAMETER, none), St),
    {_, Later} = expr(Timeout, After),
    {Other, Last} = body(Body, Later),
    {join(Value, Other), Last};
expr({'try', _, Body, Clauses, Catches, Finally}, St) -> attempt(Body, Clauses, Catches, Finally, St);
expr({'fun', _, {clauses, Clauses}}, St) -> fun_of(Clauses, ?COMPUTED, St);
%% Whoever gets the map calls it with what he likes.
expr({map_field_assoc, _, _, {'fun', _, {clauses, Clauses}}}, St) -> fun_of(Clauses, ?PARAMETER, St);
expr({named_fun, _, _, Clauses}, St) -> fun_of(Clauses, ?COMPUTED, St);
expr({'fun', Anno, Named}, St) -> captured(Named, Anno, ?COMPUTED, St);
expr({Kind, _, Result, Generators}, St) when Kind =:= lc; Kind =:= bc; Kind =:= mc ->
    {_, After} = exprs(Generators, St),
    {Value, Last} = expr(Result, After),
    {Value, Last#st{env = St#st.env}};
expr({Kind, _, Pattern, Expr}, St) when Kind =:= generate; Kind =:= b_generate; Kind =:= m_generate;
                                        Kind =:= generate_strict; Kind =:= b_generate_strict;
                                        Kind =:= m_generate_strict ->
    {Value, After} = expr(Expr, St),
    {Value, bind(Pattern, Value, none, After)};
expr(Other, St) when is_tuple(Other) -> exprs(tuple_to_list(Other), St);
expr([_ | _] = Exprs, St) -> exprs(Exprs, St);
expr(_, St) -> {?LITERAL, St}.

softened(Of, St) ->
    {Value, After} = expr(Of, St),
    {soft(Value), After}.

%% Of what is compared or counted only the fact remains.
number(Values) ->
    case lists:usort(Values) -- [?LITERAL] of [] -> ?LITERAL; _ -> ?COMPUTED end.

%% The list itself is looked at by rules about libcluster's topologies.
list(List, St) ->
    {Elements, _} = merlon_audit_expr:elements(List),
    Looked = case is_topology(Elements) of
                 true -> site(list, strategy, element(2, List), [], Elements, [], St);
                 false -> St
             end,
    {Value, After} = exprs(Elements, Looked),
    {Tail, Last} = tail(List, After),
    {join(Value, Tail), Last}.

is_topology(Elements) ->
    lists:any(fun({tuple, _, [{atom, _, strategy}, _]}) -> true; (_) -> false end, Elements).

tail({cons, _, _, Tail}, St) -> tail(Tail, St);
tail({nil, _}, St) -> {?LITERAL, St};
tail(Expr, St) -> expr(Expr, St).

attempt(Body, Clauses, Catches, Finally, St) ->
    {Value, Tried} = body(Body, St),
    {Matched, A} = clauses(Clauses, binding(Value, none), Tried),
    {Caught, B} = clauses(Catches, binding(?COMPUTED, none), A),
    {_, C} = body(Finally, B),
    {join(join(Value, Matched), Caught), C}.

%% A fun's variables are its own; its parameters are what Value says.
fun_of(Clauses, Value, #st{env = Env} = St) ->
    {Result, After} = clauses(Clauses, binding(Value, none), St),
    {join(?COMPUTED, Result), After#st{env = Env}}.

%% `fun M:F/A`, `fun F/A`: a call with what its neighbours are.
captured({function, {atom, _, M}, {atom, _, F}, {integer, _, A}}, Anno, Value, St) when A < 256 ->
    {?COMPUTED, reach(M, F, Anno, lists:duplicate(A, {var, Anno, '_'}), lists:duplicate(A, Value), A, St)};
captured({function, F, A}, Anno, Value, #st{context = Context} = St) when is_integer(A), A < 256 ->
    Values = lists:duplicate(A, Value),
    case target(F, A, Context) of
        local -> {?COMPUTED, edge({F, A}, Values, St)};
        {M, Name} -> {?COMPUTED, reach(M, Name, Anno, lists:duplicate(A, {var, Anno, '_'}), Values, A, St)};
        unknown -> {?COMPUTED, St}
    end;
captured(Other, _Anno, _Value, St) -> exprs(tuple_to_list(Other), St).

%% ---- calls ----

call({remote, _, ModuleExpr, FunctionExpr}, Args, Anno, St) ->
    case {resolve(ModuleExpr, St), resolve(FunctionExpr, St)} of
        {{atom, _, M}, {atom, _, F}} -> called(M, F, Args, Anno, St);
        {Module, Function} -> dynamic([Module, Function], [ModuleExpr, FunctionExpr], Args, Anno, St)
    end;
call({atom, _, F}, Args, Anno, #st{context = Context} = St) ->
    case target(F, length(Args), Context) of
        local -> local(F, Args, St);
        {M, Name} -> called(M, Name, Args, Anno, St);
        unknown -> arguments(Args, St, fun(Values, After) -> {outcome(Values), After} end)
    end;
call(Expr, Args, Anno, St) ->
    case resolve(Expr, St) of
        {'fun', _, {function, {atom, _, M}, {atom, _, F}, _}} -> called(M, F, Args, Anno, St);
        {'fun', _, {function, F, A}} when A =:= length(Args) -> call({atom, Anno, F}, Args, Anno, St);
        _ -> arguments([Expr | Args], St, fun(Values, After) -> {outcome(Values), After} end)
    end.

%% Whose function is meant by a name alone.
target(F, Arity, #{defined := Defined, imports := Imports, open_imports := Open, index := Index}) ->
    case {Defined, Imports} of
        {#{{F, Arity} := _}, _} -> local;
        {_, #{{F, Arity} := M}} -> {M, F};
        _ ->
            case [M || M <- Open, merlon_audit_sinks:sinks(M, F, Arity, Index) =/= []] of
                [M | _] -> {M, F};
                [] -> built_in(F, Arity)
            end
    end.

built_in(F, Arity) when is_atom(F) ->
    case erl_internal:bif(F, Arity) of
        true -> {erlang, F};
        false -> unknown
    end;
built_in(_, _) -> unknown.

local(F, Args, #st{context = #{returns := Returns}} = St) ->
    arguments(Args, St, fun(Values, After) ->
        {returned(maps:get({F, length(Args)}, Returns, unknown), Values), edge({F, length(Args)}, Values, After)}
    end).

edge(Callee, Values, #st{edges = Edges, context = #{function := Caller}} = St) ->
    St#st{edges = [{Caller, Callee, Values} | Edges]}.

called(M, F, Args, Anno, #st{context = #{module := Module, defined := Defined}} = St) ->
    case M =:= Module andalso is_map_key({F, length(Args)}, Defined) of
        true -> local(F, Args, St);
        false -> arguments(Args, St, fun(Values, After) -> remote(M, F, Args, Values, Anno, After) end)
    end.

remote(M, F, Args, Values, Anno, #st{context = #{index := Index}} = St) ->
    Reached = reach(M, F, Anno, Args, Values, length(Args), St),
    {result(merlon_audit_sinks:result(M, F, Index), Values), indirect(M, F, Args, Values, Anno, Reached)}.

%% The place, when a rule is about this function.
reach(M, F, Anno, Args, Values, Arity, #st{context = #{index := Index}} = St) ->
    case merlon_audit_sinks:sinks(M, F, Arity, Index) of
        [] -> St;
        Sinks -> site(call, {M, F}, Anno, Sinks, Args, Values, St)
    end.

%% apply, spawn, rpc and their like call what their arguments say.
indirect(M, F, Args, Values, Anno, #st{context = #{index := Index}} = St) ->
    case merlon_audit_sinks:indirect(M, F, length(Args), Index) of
        none -> St;
        {AtM, AtF, AtArgs} ->
            [ModuleExpr, FunctionExpr, List] = [resolve(lists:nth(At, Args), St) || At <- [AtM, AtF, AtArgs]],
            inner(ModuleExpr, FunctionExpr, List, lists:nth(AtArgs, Values), Anno, St)
    end.

inner({atom, _, M}, {atom, _, F}, List, Value, Anno, #st{context = #{module := Module}} = St) ->
    case merlon_audit_expr:elements(List) of
        {Args, true} when M =:= Module ->
            {Values, After} = each(Args, St#st{sites = []}),
            edge({F, length(Args)}, Values, After#st{sites = St#st.sites});
        {Args, true} ->
            {Values, After} = each(Args, St#st{sites = [], edges = []}),
            reach(M, F, Anno, Args, Values, length(Args), After#st{sites = St#st.sites, edges = St#st.edges});
        {_, false} -> reach(M, F, Anno, [List], [Value], any, St)
    end;
inner(_, _, _, _, _, St) -> St.

%% Module or function is not known here.
dynamic(Exprs, Written, Args, Anno, St) ->
    {Named, First} = each(Written, St),
    Sinks = merlon_audit_sinks:sinks(erlang, apply, 3, maps:get(index, First#st.context)),
    Seen = site(call, {erlang, apply}, Anno, Sinks, Exprs, Named, First),
    arguments(Args, Seen, fun(Values, After) -> {outcome(Named ++ Values), After} end).

%% Funs among the arguments are called with what stands beside them.
arguments(Args, St, Then) ->
    {Values, After} = lists:mapfoldl(fun(Arg, Acc) -> argument(Arg, Acc) end, St, Args),
    Beside = lists:foldl(fun merlon_audit_value:join/2, ?COMPUTED, [Value || {data, Value} <- Values]),
    {Results, Last} = lists:mapfoldl(fun({data, Value}, Acc) -> {Value, Acc};
                                        ({function, Fun}, Acc) -> fun_argument(Fun, Beside, Acc)
                                     end, After, Values),
    Then(Results, Last).

argument({named_fun, _, _, Clauses}, St) -> {{function, {'fun', 0, {clauses, Clauses}}}, St};
argument(Arg, St) ->
    case resolve(Arg, St) of
        {'fun', _, _} = Fun -> {{function, Fun}, St};
        _ ->
            {Value, After} = expr(Arg, St),
            {{data, Value}, After}
    end.

fun_argument({'fun', _, {clauses, Clauses}}, Value, St) -> fun_of(Clauses, Value, St);
fun_argument({'fun', Anno, Named}, Value, St) -> captured(Named, Anno, Value, St).

%% ---- what is known about a variable ----

resolve({var, _, Name} = Var, #st{env = Env}) ->
    case Env of
        #{Name := {_, Expr}} when Expr =/= none -> Expr;
        _ -> Var
    end;
resolve({tuple, Anno, Elements}, St) -> {tuple, Anno, [resolve(E, St) || E <- Elements]};
resolve({cons, Anno, Head, Tail}, St) -> {cons, Anno, resolve(Head, St), resolve(Tail, St)};
resolve({op, Anno, '++', A, B}, St) -> {op, Anno, '++', resolve(A, St), resolve(B, St)};
resolve({match, _, _, Expr}, St) -> resolve(Expr, St);
resolve(Expr, _St) -> Expr.

%% What is worth remembering of what a variable is bound to. Small: each may have others in it many times over.
kept(Expr, St) ->
    Known = resolve(Expr, St),
    case is_kept(Known) andalso merlon_audit_expr:is_small(Known) of
        true -> Known;
        false -> none
    end.

is_kept({call, _, {remote, _, {atom, _, _}, {atom, _, _}}, _}) -> true;
is_kept({op, _, Op, _, _}) -> Op =:= '++';
is_kept({'fun', _, Named}) -> element(1, Named) =:= function;
is_kept(Expr) -> lists:member(element(1, Expr), [atom, string, integer, bin, tuple, cons, nil]).

site(Kind, Name, Anno, Sinks, Args, Values, #st{sites = Sites, context = #{function := Function, file := File}} = St) ->
    Lines = [line(Anno) | [line(element(2, Arg)) || Arg <- Args]] ++ [St#st.line],
    Site = #{kind => Kind, line => hd([Line || Line <- Lines, Line > 0] ++ [0]), file => File, function => Function, name => Name, sinks => Sinks,
             args => Args, resolved => [resolve(Arg, St) || Arg <- Args], values => Values},
    St#st{sites = [Site | Sites]}.
