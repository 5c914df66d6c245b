%% SPDX-License-Identifier: Apache-2.0
%% The code scanner: from a module's functions to what the rules find in them.
-module(merlon_audit_code).

-export([unit/1, findings/2]).
-export_type([raw/0]).

%% A finding before its file is known to the reader: `file` is as the code says.
-type raw() :: #{rule := merlon_audit_rules:id(), severity := merlon_audit_rules:severity(),
                 flow => merlon_audit_rules:flow(), file := string(), line := non_neg_integer(),
                 place := binary(), what := binary()}.

%% Erlang's abstract forms as a unit.
-spec unit([term()]) -> merlon_audit_flow:unit().
unit(Forms) ->
    {_, Functions} = lists:foldl(fun form/2, {"", []}, Forms),
    Defined = [{Name, Arity} || {_, {function, _, Name, Arity, _}} <- Functions],
    Imports = [{{F, A}, M} || {attribute, _, import, {M, FAs}} <- Forms, is_list(FAs), {F, A} <- FAs,
                              not lists:member({F, A}, Defined)],
    #{module => hd([M || {attribute, _, module, M} <- Forms] ++ [none]), language => erlang,
      functions => lists:reverse(Functions), exports => exports(Forms), imports => maps:from_list(Imports),
      open_imports => []}.

form({attribute, _, file, {File, _}}, {_, Functions}) when is_list(File) -> {File, Functions};
form({function, _, _, _, Clauses} = Function, {File, Functions}) when is_list(Clauses) ->
    {File, [{File, Function} | Functions]};
form(_, Acc) -> Acc.

exports(Forms) ->
    All = [all || {attribute, _, compile, Options} <- Forms,
                  Options =:= export_all orelse (is_list(Options) andalso lists:member(export_all, Options))],
    case All of
        [] -> lists:append([FAs || {attribute, _, export, FAs} <- Forms, is_list(FAs)]);
        _ -> all
    end.

-spec findings(merlon_audit_flow:unit(), merlon_audit_sinks:index()) -> [raw()].
findings(Unit, Index) ->
    Found = lists:flatmap(fun(Site) -> site(Site, Unit) end, merlon_audit_flow:run(Unit, Index)),
    strongest(Found).

site(#{kind := call, sinks := Sinks, values := Values} = Site, Unit) ->
    [finding(Rule, lowered(Rule, flow(Rule, Args, Values), Site), What, Site, Unit)
     || {Rule, Args, Check} <- Sinks, merlon_audit_checks:check(Check, Site),
        What <- [what(Rule, Site)]];
site(Site, Unit) ->
    [finding(Rule, none, What, Site, Unit) || {Rule, What} <- merlon_audit_checks:others(Site)].

%% Of a call whose arguments are not seen one by one all that is known is one value.
flow(_Rule, any, _Values) -> none;
flow(Rule, Args, [{Level, _}] = Values) when Args =/= [1], length(Values) =:= 1 -> level(Rule, Level);
flow(Rule, Args, Values) ->
    level(Rule, lists:max([0 | [element(1, lists:nth(At, Values)) || At <- Args, At =< length(Values)]])).

%% What kind of term it is the code says itself: <<131, 88, ...>> is a pid.
lowered(unsafe_term, Flow, Site) when Flow =:= parameter; Flow =:= input ->
    case merlon_audit_checks:is_assembled(Site) of
        true -> computed;
        false -> Flow
    end;
lowered(_Rule, Flow, _Site) -> Flow.

%% Bytes from outside name no module and no node until something makes atoms of them.
level(Rule, 3) when Rule =:= dynamic_call; Rule =:= remote_node; Rule =:= dial -> parameter;
level(_, 0) -> literal;
level(_, 1) -> computed;
level(_, 2) -> parameter;
level(_, _) -> input.

finding(Rule, Flow, What, #{file := File, line := Line, function := Function}, #{module := Module}) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    Base = #{rule => Rule, severity => merlon_audit_rules:severity(Row, Flow), file => File, line => Line,
             place => place(Module, Function), what => What},
    case Flow of
        none -> Base;
        _ -> Base#{flow => Flow}
    end.

%% A cookie is weighed, and not shown. Without names: those of this host are none of the code's.
what(cookie_literal, #{resolved := Args} = Site) ->
    case merlon_audit_expr:text(lists:last(Args)) of
        none -> what(Site);
        Cookie -> iolist_to_binary([what(Site), "; ", merlon_cookie_text:worth(merlon_cookie:analyse(Cookie, #{names => []}))])
    end;
what(_Rule, Site) -> what(Site).

what(#{name := {erlang, apply}, args := [_, _]}) -> <<"a call by name">>;
what(#{name := {M, F}, args := Args}) -> iolist_to_binary([module(M), separator(M), text(F), $/,
                                                           integer_to_list(length(Args))]).

separator(M) ->
    case text(M) of
        <<"Elixir", $., _/binary>> -> $.;
        _ -> $:
    end.

module(M) ->
    case text(M) of
        <<"Elixir", $., Name/binary>> -> Name;
        Name -> Name
    end.

place(Module, {'(body)', 0}) -> module(Module);
place(Module, {{macro, Name}, Arity}) -> place(Module, {Name, Arity});
place(Module, {Name, Arity}) ->
    iolist_to_binary([module(Module), separator(Module), text(Name), $/, integer_to_list(Arity)]).

text(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
text(Text) when is_binary(Text) -> Text;
text(_) -> <<"?">>.

%% One finding of a rule per call and line: the most severe.
strongest(Found) ->
    Kept = lists:foldl(fun(#{severity := none}, Acc) -> Acc;
                          (#{rule := Rule, file := File, line := Line, what := What} = New, Acc) ->
                               maps:update_with({File, Line, Rule, What}, fun(Old) -> stronger(Old, New) end, New, Acc)
                       end, #{}, Found),
    [Finding || {_, Finding} <- lists:sort(maps:to_list(Kept))].

stronger(#{severity := A} = Old, #{severity := B} = New) ->
    case merlon_audit_rules:rank(B) > merlon_audit_rules:rank(A) of
        true -> New;
        false -> Old
    end.
