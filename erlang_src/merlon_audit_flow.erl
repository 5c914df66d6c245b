%% SPDX-License-Identifier: Apache-2.0
%% Data flow within a module: at each place that a rule is about, what reaches each argument. A value is how it came
%% to be and which parameters of its function are in it; the parameters are replaced by what the module's own calls
%% give them, for functions that only the module calls.
-module(merlon_audit_flow).

-export([run/2]).
-export_type([site/0, value/0, unit/0, expr/0]).

-import(merlon_audit_value, [settled/2]).

-type value() :: merlon_audit_value:value().
%% An expression in Erlang's abstract format; those of Elixir are translated to it.
-type expr() :: term().
-type unit() ::
        #{module := term(),
          language := erlang | elixir,
          functions := [{File :: string(), Function :: tuple()}],
          exports := all | [{term(), arity()}],
          imports := #{{term(), arity()} => module()},
          open_imports := [module()]}.         % imported as a whole
%% `args` are as written, `resolved` with the variables replaced whose value is seen.
-type site() ::
        #{kind := call | option | list | compare,
          line := non_neg_integer(), file := string(), function := {term(), arity()},
          name := {term(), term()} | term(), sinks := [merlon_audit_sinks:sink()],
          args := [expr()], resolved := [expr()], values := [value()]}.

%% How often callees are looked at again to learn what they give.
-define(ROUNDS, 3).

-spec run(unit(), merlon_audit_sinks:index()) -> [site()].
run(#{functions := Functions, imports := Imports, open_imports := Open, language := Language} = Unit, Index) ->
    Defined = maps:from_list([{{Name, Arity}, true} || {_, {function, _, Name, Arity, _}} <- Functions]),
    Context = #{defined => Defined, imports => Imports, open_imports => Open, index => Index, returns => #{},
                rebinds => Language =:= elixir, module => maps:get(module, Unit)},
    settle(Functions, Context, Unit, ?ROUNDS).

%% Most modules have no place that a rule is about: one look is enough.
settle(Functions, Context, Unit, Rounds) ->
    {Sites, Edges, Returns} = look(Functions, Context),
    case Rounds > 1 andalso Sites =/= [] andalso Returns =/= maps:get(returns, Context) of
        true -> settle(Functions, Context#{returns := Returns}, Unit, Rounds - 1);
        false -> finish(Sites, Edges, Unit)
    end.

look(Functions, Context) ->
    lists:foldl(fun({File, {function, _, Name, Arity, Clauses}}, {Sites, Edges, Returns}) ->
                    {Value, NewSites, NewEdges} =
                        merlon_audit_eval:function(Clauses, Context#{function => {Name, Arity}, file => File}),
                    {NewSites ++ Sites, NewEdges ++ Edges, Returns#{{Name, Arity} => Value}}
                end, {[], [], #{}}, Functions).

finish([], _Edges, _Unit) -> [];
finish(Sites, Edges, Unit) ->
    Parameters = parameters(Edges, Unit),
    [Site#{values := [settled(Value, maps:get(Function, Parameters, [])) || Value <- Values]}
     || #{function := Function, values := Values} = Site <- Sites].

%% ---- what the parameters are ----

%% From the calls inside the module, until nothing changes: levels only rise, so this ends.
parameters(Edges, #{functions := Functions} = Unit) ->
    Names = [{{Name, Arity}, Clauses} || {_, {function, _, Name, Arity, Clauses}} <- Functions],
    raise(Edges, maps:from_list([{Name, first(Name, Clauses, Unit)} || {Name, Clauses} <- Names])).

raise(Edges, Parameters) ->
    case lists:foldl(fun raise_one/2, Parameters, Edges) of
        Parameters -> Parameters;
        Raised -> raise(Edges, Raised)
    end.

raise_one({Caller, Callee, Values}, Parameters) ->
    case Parameters of
        #{Callee := Known} when length(Known) =:= length(Values) ->
            Own = maps:get(Caller, Parameters, []),
            Levels = [element(1, settled(Value, Own)) || Value <- Values],
            Parameters#{Callee := lists:zipwith(fun erlang:max/2, Known, Levels)};
        _ -> Parameters
    end.

%% Functions of the module's own start with nothing, exported ones with what their callers may give.
first({_, Arity} = Name, Clauses, Unit) ->
    case is_exported(Name, Unit) of
        true -> exported(Name, Clauses);
        false -> lists:duplicate(Arity, 0)
    end.

is_exported(_Name, #{exports := all}) -> true;
is_exported(Name, #{exports := Exports}) -> lists:member(Name, Exports).

%% The state of a behaviour's process and what its supervisor hands it are the system's own.
exported({init, 1}, _) -> [1];
exported({start_link, Arity}, _) -> lists:duplicate(Arity, 1);
exported({child_spec, 1}, _) -> [1];
exported({start, 2}, _) -> [1, 1];
exported({handle_call, 3}, _) -> [2, 1, 1];
exported({handle_cast, 2}, _) -> [2, 1];
exported({handle_info, 2}, _) -> [2, 1];
exported({handle_continue, 2}, _) -> [1, 1];
exported({handle_event, 4}, _) -> [1, 2, 1, 1];
exported({terminate, _} = Name, _) -> own(Name);
exported({code_change, _} = Name, _) -> own(Name);
exported({format_status, _} = Name, _) -> own(Name);
exported({'(body)', 0}, _) -> [];
exported({{macro, _}, Arity}, _) -> lists:duplicate(Arity, 1);
exported({parse_transform, 2}, _) -> [1, 1];
exported({_, Arity}, Clauses) -> request(Arity, Clauses).

own({_, Arity}) -> lists:duplicate(Arity, 1).

%% Phoenix hands what the client has sent to actions, sockets and channels.
request(Arity, [{clause, _, Parameters, _, _} | _] = Clauses) ->
    case [merlon_audit_expr:name(P) || P <- Parameters] of
        [Conn, _] when Conn =:= <<"conn">>; Conn =:= <<"_conn">> -> [2, 3];
        [_, _, Socket] when Socket =:= <<"socket">>; Socket =:= <<"_socket">> -> [2, 3, 1];
        _ -> either(Arity, Clauses)
    end;
request(Arity, _) -> lists:duplicate(Arity, 2).

%% The name may stand in another clause than the first.
either(Arity, [_ | Clauses]) when Clauses =/= [], Arity > 1, Arity < 4 -> request(Arity, Clauses);
either(Arity, _) -> lists:duplicate(Arity, 2).
