%% SPDX-License-Identifier: Apache-2.0
%% A report as text for people, or as JSON; a rule as text.
-module(merlon_audit_report).

-export([text/2, summary/1, looked/1, json/1, explain/1, rules/0]).

%% `notes`: shows notes too. `colour`: for a terminal.
-spec text(merlon_audit:report(), #{notes => boolean(), colour => boolean()}) -> iodata().
text(#{findings := Findings} = Report, Options) ->
    Shown = case Options of
                #{notes := true} -> Findings;
                _ -> [Finding || #{severity := Severity} = Finding <- Findings, Severity =/= note]
            end,
    Paint = painter(maps:get(colour, Options, false)),
    [[group(Row, Shown, Paint) || Row <- ranked(Shown)], [[table(Nodes), $\n] || #{nodes := [_ | _] = Nodes} <- [Report]], summary(Report)].

%% One row for each node.
table([First | _] = Rows) ->
    Heads = [atom_to_binary(Key) || {Key, _} <- First],
    Cells = [Heads | [[Cell || {_, Cell} <- Row] || Row <- Rows]],
    Widths = [lists:max([string:length(lists:nth(N, Line)) || Line <- Cells]) || N <- lists:seq(1, length(Heads))],
    [[string:trim(iolist_to_binary(lists:join("  ", [string:pad(Cell, Width) || {Cell, Width} <- lists:zip(Line, Widths)])), trailing), $\n]
     || Line <- Cells].

%% Rules with the most severe finding first.
ranked(Findings) ->
    Worst = lists:foldl(fun(#{rule := Rule, severity := Severity}, Acc) ->
                            Rank = merlon_audit_rules:rank(Severity),
                            maps:update_with(Rule, fun(Known) -> max(Known, Rank) end, Rank, Acc)
                        end, #{}, Findings),
    Rows = [{-maps:get(Id, Worst), Row} || #{id := Id} = Row <- merlon_audit_rules:all(), is_map_key(Id, Worst)],
    [Row || {_, Row} <- lists:keysort(1, Rows)].

group(#{id := Id, title := Title, why := Why, otp := Otp, cwe := Cwe}, Findings, Paint) ->
    Own = lists:sort(fun is_worse/2, [Finding || #{rule := Rule} = Finding <- Findings, Rule =:= Id]),
    [Paint(bold, [Title, "  "]), Paint(dim, [atom_to_binary(Id), ", ", [[Otp, ", "] || Otp =/= <<"-">>],
                                             "CWE-", integer_to_list(Cwe)]), $\n,
     wrapped(Why, "  "), [finding(Finding, Paint) || Finding <- together(Id, Own)], $\n].

%% A built release has hundreds of BEAM files without debug information: those of one folder are one line.
together(unscanned, Findings) ->
    Groups = lists:foldr(fun(#{file := File, what := What} = Finding, Acc) ->
                             Key = {filename:dirname(File), filename:extension(File), What},
                             maps:update_with(Key, fun(Known) -> [Finding | Known] end, [Finding], Acc)
                         end, #{}, Findings),
    lists:append([folder(Key, Group) || {Key, Group} <- lists:sort(maps:to_list(Groups))]);
together(_Id, Findings) -> Findings.

folder({Folder, Extension, What}, [First, _, _, _ | _] = Group) ->
    [First#{file := <<Folder/binary, "/*", Extension/binary>>, line := 0,
            what := <<"(", (integer_to_binary(length(Group)))/binary, " files)  ", What/binary>>}];
folder(_, Group) -> Group.

is_worse(#{severity := A} = X, #{severity := B} = Y) ->
    {-merlon_audit_rules:rank(A), where(X)} =< {-merlon_audit_rules:rank(B), where(Y)}.

where(#{file := File, line := Line}) -> {File, Line}.

finding(#{severity := Severity, file := File, line := Line, what := What} = Finding, Paint) ->
    ["  ", Paint(Severity, string:pad(atom_to_binary(Severity), 9)), File, [[$:, integer_to_list(Line)] || Line > 0],
     "  ", What, [[" in ", Place] || #{place := Place} <- [Finding]],
     [[", given ", flow(Flow)] || #{flow := Flow} <- [Finding]], $\n,
     [["           ", Paint(dim, Snippet), $\n] || #{snippet := Snippet} <- [Finding]]].

flow(literal) -> "a literal";
flow(computed) -> "what is computed here";
flow(parameter) -> "a parameter";
flow(input) -> "input from outside".

%% At most 96 columns.
wrapped(Text, Indent) ->
    Lines = lists:foldl(fun(Word, [Line | Lines]) when length(Line) + length(Word) < 94 -> [Line ++ " " ++ Word | Lines];
                           (Word, Lines) -> [Word | Lines]
                        end, [], string:lexemes(unicode:characters_to_list(Text), " \n")),
    [[Indent, Line, $\n] || Line <- lists:reverse(Lines)].

painter(false) -> fun(_, Text) -> Text end;
painter(true) -> fun(How, Text) -> ["\e[", code(How), $m, Text, "\e[0m"] end.

code(bold) -> "1";
code(dim) -> "2";
code(critical) -> "1;31";
code(high) -> "31";
code(medium) -> "33";
code(low) -> "36";
code(note) -> "2".

%% How much was looked at and how much was found.
-spec summary(merlon_audit:report()) -> iodata().
summary(#{findings := Findings, suppressed := Suppressed, known := Known, scanned := Scanned, unscanned := Unscanned,
          left := Left}) ->
    [looked(Scanned), " scanned: ",
     lists:join(", ", [[integer_to_list(N), $\s, atom_to_list(Severity)] || {Severity, N} <- severities(Findings)]),
     [[", ", integer_to_list(length(Suppressed)), " allowed by comments"] || Suppressed =/= []],
     [[", ", integer_to_list(length(Known)), " in the baseline"] || Known =/= []], ".\n",
     [[count(length(Unscanned), "file"), " could not be scanned.\n"] || Unscanned =/= []],
     [[count(length(Left), "Elixir script"), " left out (", merlon_audit_texts:printable(hd(Left)),
       "...): `mix merlon.audit` reads them.\n"]
      || Left =/= []]].

%% What was looked at, counted.
-spec looked(#{atom() => non_neg_integer()}) -> iodata().
looked(#{node := Nodes}) -> count(Nodes, "node");
looked(#{port := Ports}) -> count(Ports, "port");
looked(#{connection := Connections}) -> count(Connections, "connection");
looked(#{beam := Beams, source := Sources, config := Configs}) ->
    [count(Beams, "BEAM file"), ", ", count(Sources, "source"), " and ", count(Configs, "configuration file")].

severities(Findings) ->
    [{Severity, length([F || #{severity := S} = F <- Findings, S =:= Severity])}
     || Severity <- lists:reverse(merlon_audit_rules:severities())].

count(1, Thing) -> ["1 ", Thing];
count(N, Thing) -> [integer_to_list(N), $\s, Thing, $s].

%% ---- JSON ----

-spec json(merlon_audit:report()) -> iodata().
json(#{findings := Findings, suppressed := Suppressed, known := Known, scanned := Scanned, unscanned := Unscanned, left := Left} = Report) ->
    [merlon_audit_json:encode(
       {[{version, 1},
         {scanned, {lists:sort(maps:to_list(Scanned))}},
         {unscanned, [{[{file, merlon_audit_texts:printable(File)}, {why, Why}]} || {File, Why} <- Unscanned]},
         {left, [merlon_audit_texts:printable(File) || File <- Left]},
         {counts, {severities(Findings)}},
         {findings, [object(Finding) || Finding <- Findings]},
         {suppressed, [object(Finding) || Finding <- Suppressed]},
         {known, [object(Finding) || Finding <- Known]}]
        ++ [{nodes, [{Row} || Row <- Nodes]} || #{nodes := Nodes} <- [Report]]}), $\n].

object(#{rule := Rule} = Finding) ->
    {ok, #{otp := Otp, cwe := Cwe, title := Title}} = merlon_audit_rules:find(Rule),
    Keys = [rule, severity, source, file, line, what, place, flow, snippet, fingerprint],
    {[{Key, maps:get(Key, Finding)} || Key <- Keys, is_map_key(Key, Finding)]
     ++ [{title, Title}, {cwe, Cwe}] ++ [{otp, Otp} || Otp =/= <<"-">>]}.

%% ---- rules ----

-spec explain(merlon_audit_rules:row()) -> iodata().
explain(#{id := Id, otp := Otp, cwe := Cwe, title := Title, why := Why, fix := Fix, refs := Refs, severity := Severity}) ->
    [atom_to_binary(Id), ": ", Title, "\n\n", wrapped(Why, ""), $\n,
     "Severity  ", levels(Severity), $\n,
     [["OTP rule  ", Otp, $\n] || Otp =/= <<"-">>],
     "Weakness  CWE-", integer_to_list(Cwe), " (https://cwe.mitre.org/data/definitions/", integer_to_list(Cwe), ".html)\n\n",
     Fix, "\n", [[$\n, Ref] || Ref <- Refs], $\n].

levels(Severity) when is_atom(Severity) -> atom_to_binary(Severity);
levels(Severities) ->
    lists:join(", ", [[atom_to_binary(Severity), " for ", flow(Flow)]
                      || {Severity, Flow} <- lists:zip(tuple_to_list(Severities), merlon_audit_rules:flows()),
                         Severity =/= none]).

%% One line for each, with the most severe that it gives.
-spec rules() -> iodata().
rules() ->
    [[string:pad(atom_to_binary(Id), 18), string:pad(Otp, 9), string:pad(["CWE-", integer_to_list(Cwe)], 9),
      string:pad(atom_to_binary(merlon_audit_rules:worst(Row)), 9), Title, $\n]
     || #{id := Id, otp := Otp, cwe := Cwe, title := Title} = Row <- merlon_audit_rules:all()].
