%% The audit's scanner as an attacker's tree, suppressions, reports, commands.
-module(merlon_audit_tests).
-include_lib("eunit/include/eunit.hrl").

-define(slow(Dir, Body), {timeout, 60, fun() -> ?in_dir(Dir, Body) end}).
-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(EVIL, "-module(evil).\n-export([run/1]).\nrun(X) -> os:cmd(X).\n").

put_source(Dir, Name, Text) -> merlon_test_dir:put_file(Dir ++ "/" ++ Name, Text).

scan(Dir) -> scan(Dir, #{}).
scan(Dir, Options) ->
    {ok, Report} = merlon_audit:scan([Dir], Options),
    Report.

rules(#{findings := Findings}) -> [{Rule, Line} || #{rule := Rule, line := Line} <- Findings].

cli(Args) -> merlon_cli:run(["audit" | Args]).

matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

%% ---- hostile trees ----

links_in_the_tree_are_not_followed_test() ->
    ?in_dir(Dir, begin
        ok = file:make_dir(Dir ++ "/outside"),
        ok = file:make_dir(Dir ++ "/tree"),
        put_source(Dir ++ "/outside", "evil.erl", ?EVIL),
        put_source(Dir ++ "/tree", "good.erl", "-module(good).\n"),
        ok = file:make_symlink(Dir ++ "/outside", Dir ++ "/tree/linked"),
        ok = file:make_symlink(Dir ++ "/outside/evil.erl", Dir ++ "/tree/evil.erl"),
        ?assertMatch(#{findings := [], scanned := #{source := 1}}, scan(Dir ++ "/tree")),
        %% What the user names himself is.
        ?assertMatch(#{findings := [_]}, scan(Dir ++ "/tree/linked"))
    end).

a_header_outside_of_the_tree_is_not_opened_test() ->
    ?in_dir(Dir, begin
        ok = file:make_dir(Dir ++ "/tree"),
        put_source(Dir, "secret.hrl", "-define(RUN(X), os:cmd(X)).\n"),
        put_source(Dir ++ "/tree", "a.erl", "-module(a).\n-export([f/1]).\n-include(\"../secret.hrl\").\nf(X) -> ?RUN(X).\n"),
        ?assertMatch(#{findings := []}, scan(Dir ++ "/tree")),
        ?assertMatch(#{findings := [#{file := <<"tree/a.erl">>, line := 4}]}, scan(Dir))
    end).

%% The path in a BEAM file is the attacker's: what is shown comes from the tree or not at all.
a_beam_file_can_not_show_files_of_the_host_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "secret.txt", "top secret line\n"),
        Forms = [{attribute, 1, file, {Dir ++ "/secret.txt", 1}}, {attribute, 1, module, peek},
                 {attribute, 1, export, [{f, 1}]},
                 {function, 1, f, 1, [{clause, 1, [{var, 1, 'X'}], [],
                                       [{call, 1, {remote, 1, {atom, 1, os}, {atom, 1, cmd}}, [{var, 1, 'X'}]}]}]}],
        {ok, peek, Beam} = compile:forms(Forms, [debug_info]),
        ok = file:make_dir(Dir ++ "/tree"),
        ok = file:write_file(Dir ++ "/tree/peek.beam", Beam),
        #{findings := [Finding]} = scan(Dir ++ "/tree"),
        ?assertMatch(#{rule := os_command, file := <<"peek.beam">>}, Finding),
        ?assertNot(is_map_key(snippet, Finding))
    end).

a_source_with_too_many_names_makes_no_atoms_test() ->
    ?in_dir(Dir, begin
        Names = [["merlon_never_seen_", integer_to_list(N), "() -> ok.\n"] || N <- lists:seq(1, 3000)],
        put_source(Dir, "many.erl", ["-module(many).\n", Names]),
        _ = scan(Dir, #{new_atoms => 1000}), % loads what the audit needs
        Before = erlang:system_info(atom_count),
        ?assertMatch(#{unscanned := [{<<"many.erl">>, _}], findings := [#{rule := unscanned}]},
                     scan(Dir, #{new_atoms => 1000})),
        ?assert(erlang:system_info(atom_count) - Before < 100),
        ?assertMatch(#{unscanned := []}, scan(Dir))
    end).

a_beam_file_with_too_many_atoms_makes_none_test() ->
    ?in_dir(Dir, begin
        %% Names as text: the test itself must not make them. An atom is {119, Length, Name} in external format.
        Names = [iolist_to_binary(["merlon_unseen_", integer_to_list(N)]) || N <- lists:seq(1, 3000)],
        Atoms = << <<119, (byte_size(Name)), Name/binary>> || Name <- Names >>,
        Rest = binary:part(term_to_binary([]), 1, 1),
        List = <<108, 3000:32, Atoms/binary, Rest/binary>>,
        Pair = <<104, 2, List/binary, Rest/binary>>,
        Head = binary:part(term_to_binary({debug_info_v1, erl_abstract_code, x}), 0,
                           byte_size(term_to_binary({debug_info_v1, erl_abstract_code, x})) -
                               (byte_size(term_to_binary(x)) - 1)),
        Dbgi = <<Head/binary, Pair/binary>>,
        Padding = (4 - byte_size(Dbgi) rem 4) rem 4,
        Chunk = <<"Dbgi", (byte_size(Dbgi)):32, Dbgi/binary, 0:(8 * Padding)>>,
        ok = file:write_file(Dir ++ "/many.beam", <<"FOR1", (byte_size(Chunk) + 4):32, "BEAM", Chunk/binary>>),
        _ = scan(Dir, #{new_atoms => 1000}), % loads what the audit needs
        Before = erlang:system_info(atom_count),
        ?assertMatch(#{unscanned := [{<<"many.beam">>, _}]}, scan(Dir, #{new_atoms => 1000})),
        ?assert(erlang:system_info(atom_count) - Before < 100),
        ?assertMatch(#{unscanned := []}, scan(Dir))
    end).

an_inflated_bomb_in_a_beam_file_is_refused_test_() ->
    ?slow(Dir, begin
        Bomb = term_to_binary(binary:copy(<<0>>, 300000000), [compressed]),
        Padding = (4 - byte_size(Bomb) rem 4) rem 4,
        Chunk = <<"Dbgi", (byte_size(Bomb)):32, Bomb/binary, 0:(8 * Padding)>>,
        ok = file:write_file(Dir ++ "/bomb.beam", <<"FOR1", (byte_size(Chunk) + 4):32, "BEAM", Chunk/binary>>),
        #{unscanned := [{<<"bomb.beam">>, Why}]} = scan(Dir),
        ?assert(matches("budget", Why))
    end).

%% Each macro doubles the one before.
macros_that_explode_are_told_and_cost_little_test_() ->
    ?slow(Dir, begin
        Macros = [io_lib:format("-define(M~b, ?M~b, ?M~b).~n", [N, N - 1, N - 1]) || N <- lists:seq(1, 60)],
        put_source(Dir, "laughs.erl", ["-module(laughs).\n-define(M0, a).\n", Macros, "f() -> [?M60].\n"]),
        {Time, Report} = timer:tc(fun() -> scan(Dir) end),
        ?assertMatch(#{unscanned := [{<<"laughs.erl">>, _}]}, Report),
        ?assert(Time < 10000000)
    end).

%% Each variable has the one before twice: followed to the end there are 2^60 of the first.
values_that_double_cost_little_test_() ->
    ?slow(Dir, begin
        Lines = [io_lib:format("    X~b = {X~b, [X~b | X~b]},~n", [N, N - 1, N - 1, N - 1]) || N <- lists:seq(1, 60)],
        put_source(Dir, "a.erl", ["-module(a).\n-export([f/1]).\nf(X0) ->\n", Lines, "    {Y, _} = X60,\n    os:cmd(Y).\n"]),
        {Time, Report} = timer:tc(fun() -> scan(Dir, #{timeout => 5000}) end),
        ?assertMatch(#{unscanned := [], findings := [#{rule := os_command, severity := high, line := 65}]}, Report),
        ?assert(Time < 5000000)
    end).

funs_that_call_each_other_twice_cost_little_test_() ->
    ?slow(Dir, begin
        Lines = [io_lib:format("    F~b = fun(X) -> lists:map(F~b, lists:map(F~b, X)) end,~n", [N, N - 1, N - 1])
                 || N <- lists:seq(1, 60)],
        put_source(Dir, "a.erl", ["-module(a).\n-export([f/1]).\nf(A) ->\n    F0 = fun(X) -> os:cmd(X) end,\n", Lines, "    F60(A).\n"]),
        {Time, Report} = timer:tc(fun() -> scan(Dir, #{timeout => 5000}) end),
        ?assertMatch(#{unscanned := [], findings := [#{rule := os_command}]}, Report),
        ?assert(Time < 5000000)
    end).

no_parse_transform_or_code_of_the_tree_is_run_test() ->
    ?in_dir(Dir, begin
        Proof = Dir ++ "/ran",
        put_source(Dir, "pt.erl", ["-module(pt).\n-export([parse_transform/2]).\n-on_load(go/0).\n",
                                   "go() -> file:write_file(\"", Proof, "\", \"ran\").\n",
                                   "parse_transform(F, _) -> go(), F.\n"]),
        {ok, _} = compile:file(Dir ++ "/pt.erl", [debug_info, {outdir, Dir}]),
        put_source(Dir, "user.erl", "-module(user_of).\n-compile({parse_transform, pt}).\n-export([f/1]).\nf(X) -> os:cmd(X).\n"),
        ?assertEqual([{os_command, 4}], rules(scan(Dir))),
        ?assertNot(filelib:is_file(Proof))
    end).

what_is_printed_has_no_terminal_escapes_test() ->
    ?in_dir(Dir, begin
        Name = <<"\e[31mevil\e]0;title\a.erl">>,
        ok = file:write_file(filename:join(list_to_binary(Dir), Name),
                             "-module('evil\\e[2J').\n-export(['run\\e]0;x\\a'/1]).\n"
                             "'run\\e]0;x\\a'(X) -> os:cmd(\"\e[2J\x{9b}31m\" ++ X).\n"),
        [ok = file:write_file(filename:join(list_to_binary(Dir), Other), "")
         || Other <- [<<"\e[31mleft\a.exs">>, <<"\e[31mbroken\a.beam">>]],
        {2, Text, <<>>} = cli([Dir]),
        ?assertEqual(nomatch, re:run(Text, "[\\x00-\\x09\\x0b-\\x1f\\x7f]", [{capture, none}])),
        ?assert(matches("in evil .*given a parameter", Text)),
        {2, Html, <<>>} = cli([Dir, "--format", "html"]),
        ?assertEqual(nomatch, re:run(Html, "[\\x00-\\x09\\x0b-\\x1f\\x7f]", [{capture, none}]))
    end).

a_page_holds_sources_as_text_only_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", "-module(a).\n-export([f/1]).\nf(X) -> os:cmd(\"<script>alert(1)</script>\" ++ X).\n"),
        {1, Html, <<>>} = cli([Dir, "--format", "html"]),
        ?assertEqual(nomatch, re:run(Html, "<script>alert", [{capture, none}])),
        ?assert(matches("&lt;script&gt;alert", Html)),
        ?assert(matches("Content-Security-Policy", Html)),
        {1, Json, <<>>} = cli([Dir, "--format", "json"]),
        ?assert(matches("\\\\u003cscript", Json))
    end).

a_cookie_in_the_source_is_found_and_never_shown_test_() ->
    [{Format, fun() -> ?in_dir(Dir, begin
         put_source(Dir, "a.erl", "-module(a).\n-export([f/1]).\nf(X) -> erlang:set_cookie('hunter2hunter2'), os:cmd(X).\n"),
         {1, Out, <<>>} = cli([Dir, "--format", Format]),
         ?assert(matches("cookie_literal", Out)),
         ?assertNot(matches("hunter2", Out))
     end) end} || Format <- ["text", "json", "sarif", "html"]].

a_file_takes_neither_all_time_nor_all_memory_test() ->
    Work = fun(slow) -> receive never -> ok end;
              (greedy) -> length(lists:seq(1, 10000000));
              (crash) -> error(crash);
              (Item) -> {ok, Item}
           end,
    Limits = #{workers => 2, timeout => 200, words => 100000},
    ?assertEqual([{ok, 1}, {error, {worker, timeout}}, {error, {worker, killed}}, {error, {worker, crashed}}, {ok, 2}],
                 merlon_audit_pool:map(Work, [1, slow, greedy, crash, 2], Limits)).

%% ---- what could not be scanned ----

nothing_scanned_is_no_success_test() ->
    ?in_dir(Dir, begin
        ?assertMatch({2, <<>>, _}, cli([Dir])),
        ?assertMatch({2, <<>>, _}, cli([Dir ++ "/none"])),
        put_source(Dir, "readme.txt", "text"),
        ?assertMatch({2, <<>>, _}, cli([Dir]))
    end).

files_that_can_not_be_understood_are_told_and_count_test_() ->
    [{Name, fun() -> ?in_dir(Dir, begin
         put_source(Dir, "good.erl", "-module(good).\n"),
         put_source(Dir, Name, Text),
         {2, Out, <<>>} = cli([Dir, "--fail-on", "critical"]),
         ?assert(matches(Name ++ ".*1 file could not be scanned", Out)),
         ?assertMatch({0, _, <<>>}, cli([Dir, "--skip", "unscanned"])),
         ?assertMatch({0, _, <<>>}, cli([Dir, "--exclude", "**/" ++ Name]))
     end) end}
     || {Name, Text} <- [{"broken.erl", "-module(broken).\nf( -> x.\n"}, {"junk.beam", "junk"},
                         {"a.ex", "defmodule A do end"}]].

many_of_one_folder_are_one_line_for_people_and_each_its_own_for_programs_test() ->
    ?in_dir(Dir, begin
        ok = file:make_dir(Dir ++ "/ebin"),
        [put_source(Dir, "ebin/junk" ++ N ++ ".beam", "junk") || N <- ["1", "2", "3", "4"]],
        {2, Text, <<>>} = cli([Dir]),
        ?assert(matches("ebin/\\*\\.beam  \\(4 files\\)  no BEAM file.*4 files could not be scanned", Text)),
        ?assert(matches("junk1\\.beam.*junk4\\.beam", element(2, cli([Dir, "--format", "json"]))))
    end).

a_faulty_form_does_not_hide_the_others_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", "-module(a).\n-export([f/1]).\ng() -> (.\nf(X) -> os:cmd(X).\nh() -> \"a\\x{zz}\".\n\ni() -> file:consult(f(1)).\n"),
        ?assertMatch([{unscanned, 3}, {os_command, 4} | _], rules(scan(Dir)))
    end).

%% ---- sources and BEAM files ----

a_source_that_changed_since_it_was_compiled_is_read_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "evil.erl", "-module(evil).\n-export([run/1]).\nrun(X) -> X.\n"),
        {ok, _} = compile:file(Dir ++ "/evil.erl", [debug_info, {outdir, Dir}]),
        ?assertMatch(#{findings := [], scanned := #{beam := 1, source := 0}}, scan(Dir)),
        put_source(Dir, "evil.erl", ?EVIL),
        ok = file:change_time(Dir ++ "/evil.erl", {{2038, 1, 1}, {0, 0, 0}}),
        ?assertMatch(#{findings := [#{rule := os_command}], scanned := #{beam := 1, source := 1}}, scan(Dir))
    end).

both_branches_of_ifdef_are_read_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", "-module(a).\n-export([f/1]).\n-ifdef(X).\nf(X) -> os:cmd(X).\n-else.\nf(X) -> file:eval(X).\n-endif.\n"),
        ?assertEqual([{os_command, 4}, {eval, 6}], rules(scan(Dir)))
    end).

others_code_is_left_out_unless_asked_for_test() ->
    ?in_dir(Dir, begin
        Own = Dir ++ "/src",
        Others = [Dir ++ Part || Part <- ["/deps/x/src", "/test", "/_build/default/lib/dep/src", "/_build/dev/lib/x/ebin"]],
        [ok = filelib:ensure_path(Folder) || Folder <- [Own, Dir ++ "/.git" | Others]],
        [put_source(Folder, "evil.erl", ?EVIL) || Folder <- [Own, Dir ++ "/.git" | Others]],
        put_source(Dir, "mix.exs", "x"),
        ?assertMatch(#{findings := [#{file := <<"src/evil.erl">>}], left := [<<"mix.exs">>], unscanned := []}, scan(Dir)),
        ?assertEqual(5, length(maps:get(findings, scan(Dir, #{all => true})))),
        ?assertEqual({error, {audit, nothing_to_scan}}, merlon_audit:scan([Dir], #{exclude => ["src", "mix.exs"]}))
    end).

%% ---- suppressions ----

comments_allow_findings_until_they_run_out_test_() ->
    [{Comment, fun() -> ?in_dir(Dir, begin
         put_source(Dir, "a.erl", ["-module(a).\n-export([f/1]).\n", Comment, "\nf(X) -> os:cmd(X).\n"]),
         #{findings := Findings} = Report = scan(Dir, #{today => {2026, 11, 27}}),
         ?assertEqual(Expected, [Rule || {Rule, _} <- rules(Report)]),
         ?assertEqual(Expected =:= [], length(maps:get(suppressed, Report)) =:= 1),
         ?assert(lists:all(fun(#{fingerprint := P}) -> byte_size(P) > 32 end, Findings))
     end) end}
     || {Comment, Expected} <-
            [{"%% merlon: allow os_command until 2026-11-27 because an operator calls it", []},
             {"%% merlon: allow os_command until 2027-01-01 because of this\n%% and that\n", []},
             {"%% merlon: allow eval until 2027-01-01 because another rule", [os_command]},
             {"%% merlon: allow os_command until 2026-11-26 because it was so", [suppression, os_command]},
             {"%% merlon: allow os_command until 2027-02-30 because of no such day", [suppression, os_command]},
             {"%% merlon: allow os_command until 2027-01-01", [suppression, os_command]},
             {"%% merlon: allow os_command because it is fine", [suppression, os_command]},
             {"%% merlon: allow everything until 2027-01-01 because no such rule", [suppression, os_command]},
             {"%% merlon: allow", [suppression, os_command]},
             {"s() -> \"%% merlon: allow os_command until 2027-01-01 because a string\".", [os_command]}]].

a_baseline_keeps_what_is_known_and_shows_what_is_new_test() ->
    ?in_dir(Dir, begin
        Base = Dir ++ "/baseline",
        put_source(Dir, "a.erl", ?EVIL),
        ?assertMatch({0, <<"1 finding is in", _/binary>>, <<>>}, cli([Dir, "--write-baseline", Base])),
        ?assertMatch({0, _, <<>>}, cli([Dir, "--baseline", Base])),
        %% The line moves, the finding is the same.
        put_source(Dir, "a.erl", ["\n\n%% moved\n", ?EVIL]),
        ?assertMatch({0, _, <<>>}, cli([Dir, "--baseline", Base])),
        put_source(Dir, "a.erl", [?EVIL, "-export([g/1]).\ng(X) -> os:cmd(X).\n"]),
        {1, Out, <<>>} = cli([Dir, "--baseline", Base]),
        ?assert(matches("a.erl:5 .*1 high, .*1 in the baseline", Out)),
        put_source(Dir, "baseline", "nonsense\n"),
        ?assertMatch({2, <<>>, _}, cli([Dir, "--baseline", Base]))
    end).

%% ---- the command ----

only_skip_and_fail_on_choose_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", [?EVIL, "-export([g/1]).\ng(X) -> list_to_atom(X).\n"]),
        ?assertMatch({1, _, <<>>}, cli([Dir])),
        {1, Only, <<>>} = cli([Dir, "--only", "dynamic_atom"]),
        ?assertNot(matches("os_command", Only)),
        ?assertMatch({0, _, <<>>}, cli([Dir, "--only", "dynamic_atom", "--fail-on", "high"])),
        ?assertMatch({0, _, <<>>}, cli([Dir, "--skip", "os_command", "--skip", "dynamic_atom"])),
        {2, <<>>, Error} = cli([Dir, "--only", "os_comand"]),
        ?assert(matches("is it os_command", Error))
    end).

explain_prints_the_row_of_every_rule_test() ->
    [begin
         {0, Text, <<>>} = cli(["--explain", atom_to_list(Id)]),
         ?assert(matches("^" ++ atom_to_list(Id) ++ ": .*Severity .*CWE-\\d+", Text))
     end || Id <- merlon_audit_rules:ids()],
    {0, All, <<>>} = cli(["--explain", "all"]),
    ?assertEqual(length(merlon_audit_rules:ids()), length(binary:split(All, <<"\n">>, [global, trim]))).

%% id, OTP's rule, CWE, severity, why, fix with code, references.
every_row_says_all_that_it_has_to_test_() ->
    [{atom_to_list(Id), fun() ->
         ?assertEqual([], [Key || {Key, false} <- [{otp, is_otp_rule(Row)}, {cwe, maps:get(cwe, Row) > 0}, {severity, is_severity(Row)},
                                                   {title, byte_size(maps:get(title, Row)) > 10}, {why, byte_size(maps:get(why, Row)) > 30},
                                                   {fix, has_code(maps:get(fix, Row))}, {refs, has_references(Row)}]])
     end} || #{id := Id} = Row <- merlon_audit_rules:all()].

%% The rules of OTP's secure coding guidelines. Two of ours are about the audit itself.
is_otp_rule(#{id := Id, otp := Otp}) ->
    Last = #{<<"STL">> => 3, <<"DEP">> => 6, <<"DSG">> => 11, <<"LNG">> => 3, <<"MSC">> => 7},
    case re:run(Otp, "^([A-Z]{3})-(\\d{3})$", [{capture, [1, 2], binary}]) of
        {match, [Part, Number]} -> binary_to_integer(Number) >= 1 andalso binary_to_integer(Number) =< maps:get(Part, Last, 0);
        nomatch -> lists:member(Id, [suppression, unscanned])
    end.

is_severity(#{severity := Severity}) when is_atom(Severity) -> lists:member(Severity, merlon_audit_rules:severities());
is_severity(#{severity := Severities}) ->
    tuple_size(Severities) =:= 4
        andalso lists:all(fun(S) -> lists:member(S, [none | merlon_audit_rules:severities()]) end, tuple_to_list(Severities)).

%% A line to type or to write: indented, or a call, a flag or an option in the sentence.
has_code(Fix) ->
    re:run(Fix, "(^|\\n)    \\S|[a-z_]+:[a-z_]+/\\d|-[a-z]+_[a-z]+ |merlon [a-z]+|--[a-z]+|\\{[a-z_]+, |: \\{|\\+[a-z_]+", [{capture, none}]) =:= match.

has_references(#{refs := Refs, id := Id}) ->
    lists:all(fun(<<"https://", _/binary>>) -> true; (_) -> false end, Refs)
        andalso (Refs =/= [] orelse lists:member(Id, [suppression, unscanned])).

%% A page is one file, whoever reads it; its filters are there.
a_page_needs_nothing_from_elsewhere_and_filters_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", [?EVIL, "-export([g/1]).\ng(X) -> list_to_atom(X).\n"]),
        {1, Out, <<>>} = cli([Dir, "--format", "html"]),
        Html = iolist_to_binary(Out),
        ?assertEqual(nomatch, re:run(Html, "<(link|img|iframe|object|base|meta http-equiv=.refresh)|\\ssrc=|@import|url\\(|fetch\\(|XMLHttp")),
        ?assert(matches("default-src 'none'", Html)),
        [?assert(matches(["<input type=\"checkbox\" name=\"severity\" value=\"", Severity, "\""], Html))
         || Severity <- ["critical", "high", "medium", "low", "note"]],
        [?assert(matches(["<option>", Rule, "</option>"], Html)) || Rule <- ["os_command", "dynamic_atom"]],
        ?assert(matches("<tr data-severity=\"high\" data-rule=\"os_command\">", Html)),
        %% The policy lets this one script run, and no other.
        {match, [Script]} = re:run(Html, "<script>(.*)</script>", [{capture, [1], binary}, dotall]),
        ?assert(binary:match(Html, base64:encode(crypto:hash(sha256, Script))) =/= nomatch)
    end).

%% A node's name is no path of a file.
sarif_of_nodes_has_no_files_test() ->
    {ok, #{severity := Severity}} = merlon_audit_rules:find(live_plain_link),
    Raw = #{rule => live_plain_link, severity => Severity, source => live, file => <<"shop@web1">>, line => 0, what => <<"to b@c">>},
    Results = [#{name => <<"shop@web1">>, kind => node, result => ok, covers => [], raws => [Raw]},
               #{name => <<"shop@web2">>, kind => node, result => {error, 0, "it does not answer"}, covers => [], raws => []}],
    Sarif = iolist_to_binary(merlon_audit_sarif:encode(merlon_audit:assembled(node, Results, #{}))),
    ?assertEqual(nomatch, re:run(Sarif, "physicalLocation|artifactLocation|\"uri\"")),
    ?assert(matches("\"logicalLocations\":\\[\\{\"name\":\"shop@web1\",\"fullyQualifiedName\":\"shop@web1\",\"kind\":\"resource\"", Sarif)),
    ?assert(matches("toolExecutionNotifications.*shop@web2", Sarif)).

sarif_is_what_the_standard_asks_for_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a b.erl", ?EVIL),
        Out = Dir ++ "/out.sarif",
        ?assertMatch({1, _, <<>>}, cli([Dir, "--format", "sarif", "--output", Out])),
        {ok, Sarif} = file:read_file(Out),
        [?assert(matches(Part, Sarif))
         || Part <- ["\"version\":\"2.1.0\"", "\"uri\":\"a%20b.erl\"", "\"startLine\":3", "\"security-severity\":\"8.0\"",
                     "\"partialFingerprints\":{\"merlon/v1\":\"[0-9a-f]{32}:1\"}", "\"ruleId\":\"os_command\"",
                     "external/cwe/cwe-78"]]
    end).

%% A value as code says itself and does nothing; what has been compiled is found where that is done, and not where it is loaded.
code_that_only_says_a_value_is_not_code_made_of_data_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", ["-module(a).\n-export([value/1, forms/1]).\n"
                                  "value(V) ->\n"
                                  "    {ok, own, Beam} = compile:forms([erl_syntax:revert(erl_syntax:abstract(V))], []),\n"
                                  "    code:load_binary(own, \"own\", Beam).\n"
                                  "forms(Forms) ->\n"
                                  "    {ok, own, Beam} = compile:forms(Forms, []),\n"
                                  "    code:load_binary(own, \"own\", Beam).\n"]),
        {ok, #{findings := Findings}} = merlon_audit:scan([Dir], #{only => [eval]}),
        ?assertEqual([{4, low}, {5, low}, {7, high}, {8, low}], [{Line, Severity} || #{line := Line, severity := Severity} <- Findings])
    end).
