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

%% Of each rule about code: one that is found, one that is near it and is not, one in a spelling that hides it, in Erlang and in
%% Elixir. Which is which the names say: RULE, RULE_near, RULE_tricky.
every_code_rule_has_its_three_kinds_in_both_languages_test_() ->
    [{lists:concat([Language, " ", Rule]), fun() -> ?assertEqual([], missing(Rule, Functions)) end}
     || Language <- [erlang, elixir], Functions <- [functions(Language)],
        #{id := Rule} <- merlon_audit_rules_data:rows() ++ merlon_audit_rules_link:rows(),
        not is_key({Language, Rule}, senseless())].

%% What is in the table has no case at all.
what_makes_no_sense_in_a_language_has_no_case_test_() ->
    [{lists:concat([Language, " ", Rule]),
      ?_assertEqual([], [Name || {Name, Marks} <- functions(Language), lists:keymember(Rule, 1, Marks)])}
     || {{Language, Rule}, Why} <- senseless(), is_list(Why)].

%% Rules that make no sense in a language, or in none, and why.
senseless() ->
    [{{erlang, gossip}, "libcluster's topologies stand in Elixir or in sys.config, of which test/audit/conf has them"},
     {{erlang, dns_discovery}, "the same"}]
        ++ [{{Language, Rule}, "it is about comments and files, not about code: merlon_audit_tests"}
            || Language <- [erlang, elixir], Rule <- [suppression, unscanned]].

is_key(Key, Pairs) -> lists:keymember(Key, 1, Pairs).

missing(Rule, Functions) ->
    Name = atom_to_list(Rule),
    Found = fun(Named) -> [x || {F, Marks} <- Functions, F =:= Named orelse lists:prefix(Named ++ "_", F), is_key(Rule, Marks)] =/= [] end,
    Near = [Marks || {F, Marks} <- Functions, lists:prefix(Name ++ "_near", F)],
    [positive || [] =:= [x || {F, Marks} <- Functions, F =:= Name, is_key(Rule, Marks)]]
        ++ [near || Near =:= []] ++ [near_is_found || [] =/= [x || Marks <- Near, {R, Severity} <- Marks, R =:= Rule, is_severe(Rule, Severity)]]
        ++ [tricky || not Found(Name ++ "_tricky")].

%% What comes near may be a note, or what a parameter gives where input is meant.
is_severe(Rule, Severity) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    merlon_audit_rules:rank(Severity) >= min(2, merlon_audit_rules:rank(merlon_audit_rules:worst(Row))).

%% {Name, [{Rule, Severity}]} of each function of the corpus.
functions(Language) ->
    {Pattern, Head} = case Language of
                          erlang -> {"erlang/*.erl", "^([a-z_]+)\\("};
                          elixir -> {"elixir/*.ex", "^ +defp? ([a-z_]+)|^ +defdelegate ([a-z_]+)"}
                      end,
    lists:append([functions(File, Head) || File <- filelib:wildcard(root("test/audit/") ++ Pattern)]).

functions(File, Head) ->
    {ok, Text} = file:read_file(File),
    Marks = expected(File),
    Lines = binary:split(Text, <<"\n">>, [global]),
    {_, Found} = lists:foldl(fun({N, Line}, {Name, Acc}) ->
                                 Own = case re:run(Line, Head, [{capture, all_but_first, list}]) of
                                           {match, Names} -> lists:last(Names);
                                           nomatch -> Name
                                       end,
                                 {Own, [{Own, [{Rule, Severity} || {_, At, Rule, Severity} <- Marks, At =:= N]} | Acc]}
                             end, {"", []}, lists:zip(lists:seq(1, length(Lines)), Lines)),
    [{Name, lists:append([M || {Own, M} <- Found, Own =:= Name])} || Name <- lists:usort([Own || {Own, _} <- Found])].

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
