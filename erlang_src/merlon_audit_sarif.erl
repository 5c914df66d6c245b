%% SPDX-License-Identifier: Apache-2.0
%% A report as SARIF 2.1.0 (OASIS standard), as code scanning of forges reads it.
-module(merlon_audit_sarif).

-export([encode/1]).

-define(SCHEMA, <<"https://json.schemastore.org/sarif-2.1.0.json">>).

-spec encode(merlon_audit:report()) -> iodata().
encode(#{findings := Findings, suppressed := Suppressed, unscanned := Unscanned} = Report) ->
    Rows = merlon_audit_rules:all(),
    Index = maps:from_list(lists:zip([Id || #{id := Id} <- Rows], lists:seq(0, length(Rows) - 1))),
    Place = place(Report),
    Results = [result(Finding, Place, Index, []) || Finding <- Findings]
        ++ [result(Finding, Place, Index, [{suppressions, [{[{kind, <<"inSource">>}]}]}]) || Finding <- Suppressed]
        ++ [result(Finding, Place, Index, [{suppressions, [{[{kind, <<"external">>}]}]}]) || Finding <- maps:get(known, Report)],
    Run = {[{tool, {[{driver, driver(Rows)}]}},
            {columnKind, <<"unicodeCodePoints">>},
            {invocations, [{[{executionSuccessful, Unscanned =:= []},
                             {toolExecutionNotifications, [notification(Fault, Place) || Fault <- Unscanned]}]}]},
            {results, Results}]},
    [merlon_audit_json:encode({[{<<"$schema">>, ?SCHEMA}, {version, <<"2.1.0">>}, {runs, [Run]}]}), $\n].

driver(Rows) -> {[{name, <<"merlon audit">>}, {version, version()}, {rules, [rule(Row) || Row <- Rows]}]}.

version() ->
    _ = application:load(merlon),
    case application:get_key(merlon, vsn) of
        {ok, Version} -> list_to_binary(Version);
        undefined -> <<"0">>
    end.

rule(#{id := Id, otp := Otp, cwe := Cwe, title := Title, why := Why, fix := Fix, refs := Refs} = Row) ->
    Worst = merlon_audit_rules:worst(Row),
    Number = integer_to_binary(Cwe),
    {[{id, Id}, {name, Id},
      {shortDescription, text(Title)}, {fullDescription, text(Why)},
      {help, {[{text, <<Why/binary, "\n\n", Fix/binary>>}, {markdown, markdown(Why, Fix, Refs)}]}},
      {helpUri, hd(Refs ++ [<<"https://cwe.mitre.org/data/definitions/", Number/binary, ".html">>])},
      {defaultConfiguration, {[{level, level(Worst)}]}},
      {properties, {[{'security-severity', score(Worst)}, {precision, <<"high">>},
                     {tags, [<<"security">>, <<"external/cwe/cwe-", Number/binary>>]
                      ++ [<<"otp/", Otp/binary>> || Otp =/= <<"-">>]}]}}]}.

text(Text) -> {[{text, Text}]}.

%% The fix's code is what is indented.
markdown(Why, Fix, Refs) ->
    iolist_to_binary([Why, "\n\n", Fix, "\n", [["\n- <", Ref, ">"] || Ref <- Refs]]).

result(#{rule := Rule, severity := Severity, fingerprint := Print} = Finding, Place, Index, More) ->
    {[{ruleId, Rule}, {ruleIndex, maps:get(Rule, Index)}, {level, level(Severity)},
      {message, text(message(Finding))},
      {locations, [location(Finding, Place)]},
      {partialFingerprints, {[{<<"merlon/v1">>, Print}]}},
      {properties, {[{'security-severity', score(Severity)}] ++ [{flow, Flow} || #{flow := Flow} <- [Finding]]}}
      | More]}.

message(#{rule := Rule, what := What} = Finding) ->
    {ok, #{title := Title}} = merlon_audit_rules:find(Rule),
    iolist_to_binary([Title, ": ", What, [[" in ", Place] || #{place := Place} <- [Finding]]]).

%% A node or a port is no file, and its name no URI.
place(#{scanned := #{beam := _}}) -> file;
place(_) -> node.

location(#{file := Node}, node) -> resource(Node);
%% A line 0 is the file as a whole.
location(#{file := File, line := Line} = Finding, file) ->
    Artifact = {artifactLocation, {[{uri, uri(File)}, {uriBaseId, <<"%SRCROOT%">>}]}},
    Snippet = [{snippet, text(Text)} || #{snippet := Text} <- [Finding]],
    Region = [{region, {[{startLine, Line} | Snippet]}} || Line > 0],
    Logical = [{logicalLocations, [{[{fullyQualifiedName, Place}, {kind, <<"function">>}]}]} || #{place := Place} <- [Finding]],
    {[{physicalLocation, {[Artifact | Region]}} | Logical]}.

resource(Name) -> {[{logicalLocations, [{[{name, Name}, {fullyQualifiedName, Name}, {kind, <<"resource">>}]}]}]}.

uri(File) -> unicode:characters_to_binary(uri_string:quote(unicode:characters_to_list(File), "/")).

notification({File, Why}, Place) ->
    {[{level, <<"error">>}, {message, text(Why)},
      {locations, [location(#{file => merlon_audit_texts:printable(File), line => 0}, Place)]}]}.

level(note) -> <<"note">>;
level(low) -> <<"note">>;
level(medium) -> <<"warning">>;
level(_) -> <<"error">>.

%% As GitHub reads them: above 9 critical, 7 high, 4 medium.
score(critical) -> <<"9.5">>;
score(high) -> <<"8.0">>;
score(medium) -> <<"5.5">>;
score(low) -> <<"3.0">>;
score(note) -> <<"1.0">>.
