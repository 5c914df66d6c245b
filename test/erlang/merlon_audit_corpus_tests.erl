%% The corpus of the audit (test/audit): each line says what must be found in it. From BEAM files and from sources the
%% same, all of it and nothing else.
-module(merlon_audit_corpus_tests).
-include_lib("eunit/include/eunit.hrl").
-export([expected/1, found/1]).

erlang_beam_files_give_what_the_corpus_says_test_() ->
    {timeout, 60, fun() ->
        merlon_test_dir:with(fun(Dir) ->
            Files = copied("test/audit/erlang", ".erl", Dir ++ "/src"),
            ok = file:make_dir(Dir ++ "/ebin"),
            [{ok, _} = compile:file(File, [debug_info, {outdir, Dir ++ "/ebin"}]) || File <- Files],
            Report = scanned(Dir, #{}),
            ?assertMatch(#{scanned := #{beam := Count, source := 0}, unscanned := []} when Count =:= length(Files), Report),
            same(Files, Report)
        end)
    end}.

erlang_sources_give_what_the_corpus_says_test_() ->
    {timeout, 60, fun() ->
        merlon_test_dir:with(fun(Dir) ->
            Files = copied("test/audit/erlang", ".erl", Dir ++ "/src"),
            Report = scanned(Dir, #{}),
            ?assertMatch(#{scanned := #{beam := 0, source := Count}, unscanned := []} when Count =:= length(Files), Report),
            same(Files, Report)
        end)
    end}.

%% Each at least once. What is near it and not found, and spellings that hide it, stand beside it in the corpus.
every_rule_is_in_the_corpus_test() ->
    Expected = lists:append([expected(File) || Pattern <- ["erlang/*.erl", "elixir/*.ex"],
                                               File <- filelib:wildcard(root("test/audit/") ++ Pattern)]),
    Rules = lists:usort([Rule || {_, _, Rule, _} <- Expected] ++ merlon_audit_conf_tests:rules()),
    OnTheWire = [Id || #{id := Id} <- merlon_audit_rules_wire:rows()],
    ?assertEqual([unscanned], lists:sort((merlon_audit_rules:ids() -- OnTheWire) -- Rules)).

scanned(Dir, Options) ->
    {ok, Report} = merlon_audit:scan([Dir], Options),
    Report.

same(Files, Report) ->
    Expected = lists:sort(lists:append([expected(File) || File <- Files])),
    ?assert(length(Expected) > 100),
    Found = found(Report),
    ?assertEqual({[], []}, {Expected -- Found, Found -- Expected}). % missed, false alarms

%% {File, Line, Rule, Severity}: what `%! RULE SEVERITY, ...` or `#! ...` says at the end of lines.
expected(File) ->
    {ok, Text} = file:read_file(File),
    Lines = binary:split(Text, <<"\n">>, [global]),
    [{filename:basename(File), N, binary_to_atom(Rule), binary_to_atom(Severity)}
     || {N, Line} <- lists:zip(lists:seq(1, length(Lines)), Lines),
        {match, [Marks]} <- [re:run(Line, "[%#]! ([a-z_, ]+)$", [{capture, [1], binary}])],
        Mark <- binary:split(Marks, <<", ">>, [global]),
        [Rule, Severity] <- [binary:split(Mark, <<" ">>)]].

found(#{findings := Findings}) ->
    lists:sort([{binary_to_list(filename:basename(File)), Line, Rule, Severity}
                || #{file := File, line := Line, rule := Rule, severity := Severity} <- Findings]).

copied(From, Extension, To) ->
    ok = file:make_dir(To),
    [begin
         Target = filename:join(To, filename:basename(File)),
         {ok, _} = file:copy(File, Target),
         Target
     end || File <- filelib:wildcard(root(From) ++ "/*" ++ Extension)].

root(Path) ->
    {ok, Cwd} = file:get_cwd(),
    filename:join(Cwd, Path) ++ [$/ || lists:last(Path) =:= $/].
