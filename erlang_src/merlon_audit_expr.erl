%% SPDX-License-Identifier: Apache-2.0
%% Looking at expressions in abstract format: names, lists, options. Whatever walks one has a bound, since what is
%% looked at was written by others.
-module(merlon_audit_expr).

-export([line/1, name/1, words/1, elements/1, options/1, has_option/3, text/1, is_literal/1, find/2,
         find_all/3, is_small/1]).

%% Parts of an expression that are looked at.
-define(FUEL, 4000).
-define(SMALL, 600).
-define(ELEMENTS, 100000).

-spec line(term()) -> non_neg_integer().
line(Line) when is_integer(Line), Line >= 0 -> Line;
line({Line, _}) when is_integer(Line), Line >= 0 -> Line;
line(Anno) when is_list(Anno) ->
    case lists:keyfind(location, 1, Anno) of
        {location, Location} -> line(Location);
        _ -> 0
    end;
line(_) -> 0.

%% A variable's name; `none` of anything else.
-spec name(term()) -> binary() | none.
name({var, _, {Name, Version}}) when not is_atom(Version) -> name({var, 0, Name});
name({var, _, Name}) when is_atom(Name) -> atom_to_binary(Name);
name({var, _, Name}) when is_binary(Name) -> Name;
name({match, _, A, B}) ->
    case name(A) of
        none -> name(B);
        Name -> Name
    end;
name({block, _, [{field, _, Field}, _]}) when is_binary(Field) -> Field;
name({record_field, _, _, _, {atom, _, Field}}) -> atom_to_binary(Field);
name(_) -> none.

%% Names of variables and fields in an expression, in lower case.
-spec words(term()) -> [binary()].
words(Expr) ->
    Names = find(fun({var, _, _} = Var) -> one(name(Var));
                    ({record_field, _, _, _, {atom, _, Field}}) -> one(atom_to_binary(Field));
                    ({field, _, Field}) -> one(Field);
                    (_) -> []
                 end, Expr),
    [string:lowercase(Name) || Name <- Names].

one(Name) when is_binary(Name) -> [Name];
one(_) -> [].

%% What Pick gives for the parts of an expression, outermost first.
-spec find(fun((term()) -> [Found]), term()) -> [Found].
find(Pick, Expr) -> find_all(Pick, Expr, ?FUEL).

%% In no more than Fuel parts.
-spec find_all(fun((term()) -> [Found]), term(), non_neg_integer()) -> [Found].
find_all(Pick, Expr, Fuel) ->
    {Found, _} = look(Pick, Expr, [], Fuel),
    lists:reverse(Found).

look(_Pick, _Expr, Found, 0) -> {Found, 0};
look(Pick, Expr, Found, Fuel) when is_tuple(Expr) ->
    each(Pick, tuple_to_list(Expr), lists:reverse(Pick(Expr), Found), Fuel - 1);
look(Pick, [_ | _] = Exprs, Found, Fuel) -> each(Pick, Exprs, Found, Fuel - 1);
look(_Pick, _Expr, Found, Fuel) -> {Found, Fuel}.

each(Pick, [Expr | Exprs], Found, Fuel) when Fuel > 0 ->
    {More, Left} = look(Pick, Expr, Found, Fuel),
    each(Pick, Exprs, More, Left);
each(_Pick, _, Found, Fuel) -> {Found, Fuel}.

%% No more than a few hundred parts.
-spec is_small(term()) -> boolean().
is_small(Expr) ->
    {_, Left} = look(fun(_) -> [] end, Expr, [], ?SMALL),
    Left > 0.

%% The elements of a list and whether they are all of it.
-spec elements(term()) -> {[term()], Complete :: boolean()}.
elements(Expr) -> elements(Expr, [], ?ELEMENTS).

elements({cons, _, Head, Tail}, Acc, Fuel) when Fuel > 0 -> elements(Tail, [Head | Acc], Fuel - 1);
elements({nil, _}, Acc, _) -> {lists:reverse(Acc), true};
elements({op, _, '++', A, B}, Acc, Fuel) when Fuel > 0 ->
    {First, Whole} = elements(A, Acc, Fuel - 1),
    {All, Complete} = elements(B, lists:reverse(First), Fuel div 2),
    {All, Whole andalso Complete};
elements(_, Acc, _) -> {lists:reverse(Acc), false}.

%% The options in a list of them: {Name, Value expression or `true`}.
-spec options(term()) -> {[{term(), term()}], Complete :: boolean()}.
options(Expr) ->
    {Elements, Complete} = elements(Expr),
    Named = lists:flatmap(fun({tuple, _, [{atom, _, Name}, Value]}) -> [{Name, Value}];
                             ({atom, _, Name}) -> [{Name, true}];
                             (_) -> []
                          end, Elements),
    {Named, Complete andalso length(Named) =:= length(Elements)}.

-spec has_option(term(), term(), term()) -> boolean().
has_option(Name, Value, Expr) ->
    {Options, _} = options(Expr),
    lists:any(fun({Known, {atom, _, V}}) -> Known =:= Name andalso V =:= Value;
                 ({Known, true}) -> Known =:= Name andalso Value =:= true;
                 (_) -> false
              end, Options).

%% A literal string, binary or atom as text.
-spec text(term()) -> binary() | none.
text({string, _, Text}) when is_binary(Text) -> Text;
text({string, _, Text}) when is_list(Text) -> utf8(Text);
text({atom, _, Atom}) when is_atom(Atom) -> atom_to_binary(Atom);
text({atom, _, Text}) when is_binary(Text) -> Text;
text({bin, _, [{bin_element, _, String, _, _}]}) -> text(String);
text(_) -> none.

utf8(Text) ->
    try unicode:characters_to_binary(Text) of
        Bytes when is_binary(Bytes) -> Bytes;
        _ -> none
    catch error:badarg -> none
    end.

-spec is_literal(term()) -> boolean().
is_literal({Kind, _, _}) when Kind =:= atom; Kind =:= integer; Kind =:= float; Kind =:= char; Kind =:= string -> true;
is_literal({nil, _}) -> true;
is_literal({bin, _, Elements}) ->
    lists:all(fun({bin_element, _, Expr, _, _}) -> is_literal(Expr); (_) -> false end, Elements);
is_literal({cons, _, Head, Tail}) -> is_literal(Head) andalso is_literal(Tail);
is_literal({tuple, _, Elements}) -> lists:all(fun is_literal/1, Elements);
is_literal({map, _, []}) -> true;
is_literal(_) -> false.
