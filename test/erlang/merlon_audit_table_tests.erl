%% SPDX-License-Identifier: Apache-2.0
%% The table of functions that rules are about (merlon_audit_sinks): each row, in each of its arities, with data in each of the
%% arguments that it names, is found. A row that the scanner never reaches (a name mistyped, an arity that no call has, a check
%% that holds for nothing) is red here.
-module(merlon_audit_table_tests).
-include_lib("eunit/include/eunit.hrl").

every_row_of_the_table_is_found_test_() ->
    {timeout, 120, fun() ->
        Calls = lists:usort(lists:append([calls(Row) || Row <- rows()])),
        ?assert(length(Calls) > 250),
        Found = [{Line, Rule} || #{line := Line, rule := Rule, severity := Severity} <- findings(Calls),
                                 Severity =/= note orelse is_fixed(Rule)],
        ?assertEqual([], [Call || {Line, {Rule, _} = Call} <- numbered(Calls), not lists:member({Line, Rule}, Found)])
    end}.

%% The other way round: with literals alone a row is a note at most, where what reaches it decides.
literals_are_notes_test_() ->
    {timeout, 120, fun() ->
        Calls = lists:usort([{Rule, call(M, F, arguments(Check, Arity, none))}
                             || {M, F, Arity, {Rule, Args, Check}} <- rows(), Args =/= any, Rule =/= cookie_literal]),
        Severe = [{Line, Rule} || #{line := Line, rule := Rule, severity := Severity} <- findings(Calls), Severity =/= note],
        ?assertEqual([], [Call || {Line, {Rule, _} = Call} <- numbered(Calls), lists:member({Line, Rule}, Severe)])
    end}.

%% {Module, Function, Arity, Sink} of each.
rows() ->
    #{sinks := Sinks} = merlon_audit_sinks:index(),
    [{M, named(F), arity(Arity, Sink), Sink} || {{M, F}, Rows} <- maps:to_list(Sinks), {Arity, Sink} <- Rows].

named(any) -> whatever;
named(Function) -> Function.

%% As many as the row names, where any number does.
arity(any, {_, any, is_insecure}) -> 3;
arity(any, {_, any, _}) -> 1;
arity(any, {_, Args, _}) -> lists:max(Args);
arity(Arity, _Sink) -> Arity.

calls({M, F, Arity, {Rule, any, Check}}) -> [{Rule, call(M, F, arguments(Check, Arity, none))}];
calls({M, F, Arity, {Rule, Args, Check}}) -> [{Rule, call(M, F, arguments(Check, Arity, At))} || At <- Args].

call(M, F, Args) -> lists:flatten(io_lib:format("~p:~p(~s)", [M, F, lists:join(", ", Args)])).

%% What the check asks for, with X at a place.
arguments(always, Arity, At) -> given(lists:duplicate(Arity, "ok"), At);
arguments(is_unsafe_decode, 2, At) -> given(["<<>>", "[]"], At);
arguments(is_safe_decode, 2, At) -> given(["<<>>", "[safe]"], At);
arguments(has_entities, 2, At) -> given(["<<>>", "[]"], At);
arguments(is_public_secret, 2, none) -> ["session_secrets", "[named_table, public]"];
arguments(makes_atoms, Arity, At) -> given(lists:sublist(["<<>>", "[]"], Arity), At);
arguments(has_atom_keys, 2, At) -> given(["<<>>", "[{keys, atoms}, {labels, atom}]"], At);
arguments(is_shell, Arity, At) -> given(lists:sublist(["<<\"bash\">>", "[]", "[]"], Arity), At);
arguments(is_spawn, 2, At) -> [["{spawn, ", x(At, "\"ls\""), "}"], "[]"];
arguments(is_spawn_executable, 2, At) -> [["{spawn_executable, ", x(At, "\"/bin/ls\""), "}"], "[]"];
arguments(is_spawned_shell, 2, At) -> ["{spawn_executable, \"/bin/sh\"}", ["[{args, [\"-c\", ", x(At, "\"ls\""), "]}]"]];
arguments(is_not_nocookie, Arity, _) -> lists:nthtail(2 - Arity, ["'a@b'", "abracadabra"]);
arguments(is_own_resolver, 3, none) -> ["shop", "self()", "fun shop:resolve/3"];
arguments(lets_strangers_in, Arity, none) -> lists:sublist(["s()", "[{verify, verify_peer}]", "5000"], Arity);
arguments(has_no_versions, 4, none) -> ["\"h\"", "1", "[{verify, verify_peer}]", "5000"];
arguments(has_no_versions, 3, none) -> ["\"h\"", "1", "[{verify, verify_peer}]"];
arguments(has_no_versions, 2, none) -> ["1", "[{verify, verify_peer}]"];
arguments(is_insecure, 3, none) -> ["<<\"https://h\">>", "[]", "[insecure]"];
arguments(is_anonymous, Arity, none) -> lists:sublist(["anonymous", "'tlsv1.2'", "openssl"], Arity);
arguments(is_password, 2, none) -> ["sha256", "Password"];
arguments(is_password, 1, none) -> ["Password"];
arguments(has_few_rounds, 5, none) -> ["sha256", "Password", "<<1>>", "1000", "32"];
arguments(is_pkcs1, Arity, none) -> lists:sublist(["rsa", "X", "k()", "[{rsa_padding, rsa_pkcs1_padding}]"], 5 - Arity, Arity);
arguments(is_tool, Arity, none) -> lists:sublist(["observer", "permanent"], Arity).

given(Args, none) -> Args;
given(Args, At) ->
    {Before, [_ | After]} = lists:split(At - 1, Args),
    Before ++ ["X" | After].

x(none, Literal) -> Literal;
x(_, _) -> "X".

%% The first call is on the third line.
numbered(Calls) -> lists:zip(lists:seq(3, length(Calls) + 2), Calls).

%% The same whatever reaches it, as cookies in a source.
is_fixed(Rule) -> is_atom(graded(Rule)).

graded(Rule) ->
    {ok, #{severity := Severity}} = merlon_audit_rules:find(Rule),
    Severity.

%% Each call in an exported function of its own, whose parameters X and Password are; where only input counts, X is a name made of input.
findings(Calls) ->
    merlon_test_dir:with(fun(Dir) ->
        Functions = [io_lib:format("f~b(~s, Password) -> ~s~s.~n", [N | function(graded(Rule), Text)]) || {N, {Rule, Text}} <- numbered(Calls)],
        merlon_test_dir:put_file(Dir ++ "/rows.erl", ["-module(rows).\n-compile(export_all).\n", Functions]),
        {ok, #{findings := Findings, unscanned := []}} = merlon_audit:scan([Dir], #{}),
        Findings
    end).

function({_, _, none, _}, Text) -> ["Socket", "{ok, Bytes} = gen_tcp:recv(Socket, 0), X = binary_to_existing_atom(Bytes), ", Text];
function(_, Text) -> ["X", "", Text].
