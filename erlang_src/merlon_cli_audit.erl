%% SPDX-License-Identifier: Apache-2.0
%% `merlon audit`: what is dangerous in the code and configuration of a project, or (merlon_cli_audit_net) in what runs.
-module(merlon_cli_audit).
-behaviour(merlon_cli).

-export([spec/0, run/1, run/2]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Finds what is dangerous in code, configuration and releases, in running nodes, on the wire",
      argument => {several, "PATH"},
      options => [{format, {one_of, [text, json, sarif, html]}, "text by default"},
                  {output, {text, "FILE"}, "write the report there, and only its summary here"},
                  {'fail-on', {one_of, [critical, high, medium, low, note]},
                   "the least severity that exits with 1; low by default"},
                  {only, {many, "RULE"}, "only this rule; may be given again"},
                  {skip, {many, "RULE"}, "all but this rule; may be given again"},
                  {exclude, {many, "GLOB"}, "leave files or folders out, by their path"},
                  {all, flag, "dependencies and tests too"},
                  {templates, flag, ".eex and .heex too (mix merlon.audit)"},
                  {sources, flag, "look at sources only, not at BEAM files"},
                  {notes, flag, "show notes too: what is dangerous elsewhere, with literals only here"},
                  {baseline, {text, "FILE"}, "leave out the findings that are in it"},
                  {'write-baseline', {text, "FILE"}, "write the findings into it and exit with 0"},
                  {explain, {text, "RULE"}, "what a rule means and what to do, `all` lists the rules"} | merlon_cli_audit_net:options()],
      details => "PATH is the current folder when none is given. BEAM files (with debug_info) say most: compile\n"
                 "first. A comment allows a finding on its line or the next:\n\n"
                 "    %% merlon: allow RULE until 2027-03-01 because REASON      (# in Elixir)\n\n"
                 "Exits with 0 when nothing is found, 1 when something is, 2 when something could not be scanned\n"
                 "or there was nothing to scan."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) -> run(Options, #{}).

%% With what only the caller has: Elixir's parser.
-spec run(merlon_cli_args:options(), #{parser => merlon_audit:parser()}) -> merlon_cli:result().
run(#{explain := "all"}, _More) -> {ok, merlon_audit_report:rules()};
run(#{explain := Rule}, _More) ->
    case merlon_audit_rules:find(Rule) of
        {ok, Row} -> {ok, merlon_audit_report:explain(Row)};
        none -> unknown(Rule)
    end;
run(#{'write-baseline' := File, baseline := File} = Options, _More) when is_map_key(only, Options); is_map_key(skip, Options) ->
    {usage, "a baseline written over itself is of all rules: leave out --only and --skip"};
run(Options, More) ->
    case {rules(only, Options), rules(skip, Options), baseline(Options)} of
        {{ok, Only}, {ok, Skip}, {ok, Known}} ->
            scan(Options, lists:foldl(fun maps:merge/2, More, [Only, Skip, Known]));
        {{error, Rule}, _, _} -> unknown(Rule);
        {_, {error, Rule}, _} -> unknown(Rule);
        {_, _, {error, Text}} -> {unreadable, Text}
    end.

unknown(Rule) ->
    Ids = [atom_to_list(Id) || Id <- merlon_audit_rules:ids()],
    {usage, ["there is no rule ", Rule,
             case merlon_text:nearest(Rule, Ids) of
                 {ok, Near} -> [": is it ", Near, " that you mean?"];
                 none -> "; --explain all lists them"
             end]}.

rules(Key, Options) ->
    case Options of
        #{Key := Names} -> rules(Names, Key, []);
        _ -> {ok, #{}}
    end.

rules([], Key, Ids) -> {ok, #{Key => Ids}};
rules([Name | Names], Key, Ids) ->
    case merlon_audit_rules:find(Name) of
        {ok, #{id := Id}} -> rules(Names, Key, [Id | Ids]);
        none -> {error, Name}
    end.

baseline(#{baseline := File}) ->
    case file:read_file(File) of
        {ok, Text} ->
            case merlon_audit_allow:baseline(Text) of
                {ok, Known} -> {ok, #{baseline => Known}};
                {error, Line} -> {error, [File, $:, integer_to_list(Line), " is no line of a baseline: write it anew with "
                                          "--write-baseline"]}
            end;
        {error, Posix} -> {error, [File, " can't be read: ", file:format_error(Posix)]}
    end;
baseline(_) -> {ok, #{}}.

scan(Options, Found) ->
    case merlon_cli_audit_net:scan(Options, Found) of
        none -> scan_code(Options, Found);
        {ok, Report} -> report(Report, Options);
        Refused -> Refused
    end.

scan_code(Options, Found) ->
    Paths = maps:get(argument, Options, ["."]),
    Settings = maps:merge(maps:with([all, templates, sources, exclude], Options), Found),
    Result = merlon_audit:scan(Paths, Settings#{progress => progress()}),
    clear(),
    case Result of
        {ok, Report} -> report(Report, Options);
        {error, {audit, Reason}} -> {unreadable, merlon_audit:format_error(Reason)};
        {error, {files, Reason}} -> {unreadable, merlon_audit_files:format_error(Reason)}
    end.

%% A baseline accepts what is found, but not what was not looked at. What one accepts already goes on to the next.
report(#{findings := Findings, known := Known} = Report, #{'write-baseline' := File} = Options) ->
    Accepted = Findings ++ Known,
    Text = merlon_audit_allow:baseline_text(Accepted),
    Said = [count(length(Accepted)), " in ", File, ".\n"],
    written(File, Text, fun() -> ended(Report, clean, Said, Options) end);
report(Report, #{output := File} = Options) ->
    Short = [File, ": ", merlon_audit_report:summary(Report)],
    Then = fun() -> ended(Report, verdict(Report, Options), Short, Options) end,
    written(File, formatted(Report, Options), Then);
report(Report, Options) ->
    ended(Report, verdict(Report, Options), formatted(Report, Options#{colour => has_colour()}), Options).

count(1) -> "1 finding is";
count(N) -> [integer_to_list(N), " findings are"].

written(File, Text, Then) ->
    case file:write_file(File, unicode:characters_to_binary(Text)) of
        ok -> Then();
        {error, Posix} -> {unreadable, [File, " can't be written: ", file:format_error(Posix)]}
    end.

formatted(Report, #{format := json}) -> merlon_audit_report:json(Report);
formatted(Report, #{format := sarif}) -> merlon_audit_sarif:encode(Report);
formatted(Report, #{format := html}) -> merlon_audit_html:encode(Report);
formatted(Report, Options) -> merlon_audit_report:text(Report, Options).

verdict(Report, Options) ->
    case merlon_audit:counted(Report, maps:get('fail-on', Options, low)) of
        [] -> clean;
        _ -> found
    end.

%% An audit with holes is not clean, whatever --fail-on says; --skip unscanned accepts them.
ended(#{unscanned := Unscanned}, Verdict, Text, Options) ->
    case {Unscanned =/= [] andalso not lists:member("unscanned", maps:get(skip, Options, [])), Verdict} of
        {true, _} -> {incomplete, Text};
        {false, clean} -> {ok, Text};
        {false, found} -> {unusable, Text}
    end.

has_colour() -> os:getenv("NO_COLOR") =:= false andalso is_terminal(standard_io).

is_terminal(Device) ->
    case io:columns(Device) of
        {ok, _} -> true;
        {error, _} -> false
    end.

%% One line on a terminal that goes away again.
progress() ->
    case is_terminal(standard_error) of
        true -> fun(Done, Total) -> bar(Done, Total) end;
        false -> fun(_, _) -> ok end
    end.

bar(Done, Total) when Done rem 16 =:= 0; Done =:= Total ->
    Full = Done * 40 div Total,
    io:format(standard_error, "\r~ts~ts ~b of ~b files",
              [lists:duplicate(Full, $#), lists:duplicate(40 - Full, $.), Done, Total]);
bar(_, _) -> ok.

clear() ->
    case is_terminal(standard_error) of
        true -> io:put_chars(standard_error, "\r\e[K");
        false -> ok
    end.
