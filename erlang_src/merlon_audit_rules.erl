%% SPDX-License-Identifier: Apache-2.0
%% The rules of the audit: one table, whose rows are kept by subject (`merlon_audit_rules_*`). A scanner says which
%% rule and how far the data came; severity, words and references are here alone.
-module(merlon_audit_rules).

-export([all/0, ids/0, find/1, severity/2, rank/1, severities/0, worst/1, flows/0]).
-export_type([id/0, row/0, severity/0, flow/0]).

-type id() :: atom().
-type severity() :: note | low | medium | high | critical.
%% What reaches the dangerous argument: a literal; something computed, such as configuration; a parameter of a
%% function that others call, a message, a file; what came from a socket or a request.
-type flow() :: literal | computed | parameter | input.
-type row() ::
        #{id := id(),
          otp := binary(),            % rule of OTP's secure coding guidelines, <<"-">> for none
          cwe := pos_integer(),
          %% One for all, or one each for literal, computed, parameter, input. `none`: no finding.
          severity := severity() | {graded(), graded(), graded(), graded()},
          title := binary(),
          why := binary(),
          fix := binary(),            % with code
          refs := [binary()]}.
-type graded() :: severity() | none.

%% Whoever adds a scanner adds its rows here.
-spec all() -> [row()].
all() ->
    merlon_audit_rules_data:rows() ++ merlon_audit_rules_link:rows() ++ merlon_audit_rules_conf:rows()
        ++ merlon_audit_rules_artefact:rows() ++ merlon_audit_rules_wire:rows().

-spec ids() -> [id()].
ids() -> [Id || #{id := Id} <- all()].

-spec find(id() | binary() | string()) -> {ok, row()} | none.
find(Id) when is_atom(Id) -> find(atom_to_binary(Id));
find(Id) ->
    Text = unicode:characters_to_binary(Id),
    case [Row || #{id := Known} = Row <- all(), atom_to_binary(Known) =:= Text] of
        [Row] -> {ok, Row};
        [] -> none
    end.

-spec severity(row(), flow() | none) -> severity() | none.
severity(#{severity := Severity}, _Flow) when is_atom(Severity) -> Severity;
severity(#{severity := {Literal, _, _, _}}, literal) -> Literal;
severity(#{severity := {_, Computed, _, _}}, Flow) when Flow =:= computed; Flow =:= none -> Computed;
severity(#{severity := {_, _, Parameter, _}}, parameter) -> Parameter;
severity(#{severity := {_, _, _, Input}}, input) -> Input.

%% 0 for a note up to 4.
-spec rank(severity()) -> 0..4.
rank(note) -> 0;
rank(low) -> 1;
rank(medium) -> 2;
rank(high) -> 3;
rank(critical) -> 4.

-spec severities() -> [severity()].
severities() -> [note, low, medium, high, critical].

%% Of what a rule gives the most severe.
-spec worst(row()) -> severity().
worst(Row) ->
    Severities = [S || Flow <- flows(), S <- [severity(Row, Flow)], S =/= none],
    element(2, lists:max([{rank(S), S} || S <- Severities])).

-spec flows() -> [flow()].
flows() -> [literal, computed, parameter, input].
