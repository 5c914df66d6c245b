%% SPDX-License-Identifier: Apache-2.0
%% What people see of an audit, and what is easily left out of one.
-module(merlon_audit_more_tests).
-include_lib("eunit/include/eunit.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(EVIL, "-module(evil).\n-export([run/1]).\nrun(X) -> os:cmd(X).\n").

put_source(Dir, Name, Text) -> merlon_test_dir:put_file(Dir ++ "/" ++ Name, Text).

scan(Dir) ->
    {ok, Report} = merlon_audit:scan([Dir], #{}),
    Report.

cli(Args) -> merlon_cli:run(["audit" | Args]).

matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

%% Nobody says who includes it: all its functions can be called.
a_header_without_a_module_has_callers_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.hrl", "run(X) -> os:cmd(X).\n"),
        ?assertMatch(#{findings := [#{rule := os_command, severity := high, file := <<"a.hrl">>, line := 1}]}, scan(Dir))
    end).

%% Large files come last and one by one, but are counted with the others.
the_bar_counts_each_file_once_test() ->
    Self = self(),
    Files = [#{size => Size} || Size <- [1, 16#100000, 1, 16#100000]],
    Results = merlon_audit_pool:files(fun(_) -> done end, Files, #{progress => fun(Done, Total) -> Self ! {bar, Done, Total} end}),
    ?assertEqual([done, done, done, done], [Result || {_, Result} <- Results]),
    ?assertEqual([{1, 4}, {2, 4}, {3, 4}, {4, 4}], bars()).

bars() ->
    receive {bar, Done, Total} -> [{Done, Total} | bars()] after 0 -> [] end.

%% One heading for a rule, below it each place with its line; colours for a terminal alone.
findings_are_grouped_with_their_lines_and_coloured_when_asked_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", [?EVIL, "-export([again/1, atom/1]).\nagain(Y) -> os:cmd(Y).\natom(X) -> list_to_atom(X).\n"]),
        Report = scan(Dir),
        Plain = unicode:characters_to_binary(merlon_audit_report:text(Report, #{})),
        ?assertMatch({match, [_]}, re:run(Plain, "os_command, ", [global, {capture, first, binary}])),
        ?assert(matches("os_command, .*a\\.erl:3 [^\n]*\n *run\\(X\\) -> os:cmd\\(X\\)\\.\n.*"
                        "a\\.erl:5 [^\n]*\n *again\\(Y\\) -> os:cmd\\(Y\\)\\.\n.*dynamic_atom, .*a\\.erl:6 ", Plain)),
        ?assertEqual(nomatch, binary:match(Plain, <<"\e">>)),
        Coloured = unicode:characters_to_binary(merlon_audit_report:text(Report, #{colour => true})),
        ?assert(matches("\e\\[1m.*\e\\[31mhigh *\e\\[0m", Coloured)),
        ?assertEqual(Plain, re:replace(Coloured, "\e\\[[0-9;]*m", "", [global, {return, binary}]))
    end).

%% The cookie itself stays where it is (merlon_audit_tests).
a_cookie_in_code_says_how_long_it_takes_to_find_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", "-module(a).\n-export([f/0, g/0]).\nf() -> erlang:set_cookie(monster).\n"
                                 "g() -> erlang:set_cookie('q7Vd0ZtX3mBfL9wKc2RjYh5NsPgU8aEoTi4xMzWv6rC1').\n"),
        [Known, Fine] = [What || #{rule := cookie_literal, what := What} <- maps:get(findings, scan(Dir))],
        ?assert(matches("set_cookie/1; a default that everyone knows; a dictionary, on-line: less than a second on one core, .* on one GPU", Known)),
        ?assert(matches("set_cookie/1; no known weakness$", Fine)),
        ?assertNot(matches("monster", Known))
    end).

%% DIR/nodes/NAME@HOST: a folder that was renamed or copied is found before a node does not start with it.
a_certificate_in_the_folder_of_another_node_is_found_test() ->
    ?in_dir(Dir, begin
        Now = erlang:system_time(second),
        {ok, #{cert := Ca, key := Key}} = merlon_pki:new_ca(#{cluster => "shop", now => Now}),
        {ok, #{cert := Cert}} = merlon_pki:issue(#{cert => Ca, key => Key}, #{subject => {node, "shop", "db.example.com"}, now => Now}),
        [ok = filelib:ensure_path(Dir ++ "/nodes/" ++ Node) || Node <- ["shop@db.example.com", "db1"]],
        put_source(Dir, "nodes/shop@db.example.com/cert.pem", Cert),
        put_source(Dir, "nodes/db1/cert.pem", Cert),
        ?assertMatch(#{findings := []}, scan(Dir)),
        ok = file:rename(Dir ++ "/nodes/shop@db.example.com", Dir ++ "/nodes/shop@db2.example.com"),
        ?assertMatch(#{findings := [#{rule := cert_name, severity := medium, line := 1, file := <<"nodes/shop@db2.example.com/cert.pem">>,
                                      what := <<"it is of shop@db.example.com, its folder of shop@db2.example.com">>}]}, scan(Dir))
    end).

%% What came later is not in it: who reads a report or the guide must see the day.
the_day_of_the_advisories_is_seen_test() ->
    {Year, Month, Day} = merlon_audit_advisories:as_of(),
    Date = iolist_to_binary(io_lib:format("~4..0b-~2..0b-~2..0b", [Year, Month, Day])),
    {0, Text, <<>>} = cli(["--explain", "otp_advisory"]),
    {ok, Guide} = file:read_file("docs/guides/audit.md"),
    [?assertNotEqual(nomatch, binary:match(Where, Date)) || Where <- [Text, Guide]].

%% GitHub and others show it beside the finding.
sarif_explains_each_rule_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "a.erl", ?EVIL),
        {1, Sarif, <<>>} = cli([Dir, "--format", "sarif"]),
        {ok, #{why := Why}} = merlon_audit_rules:find(os_command),
        Help = iolist_to_binary(["\"help\":{\"text\":", binary:part(iolist_to_binary(merlon_audit_json:encode(Why)), 0, byte_size(Why))]),
        ?assertNotEqual(nomatch, binary:match(iolist_to_binary(Sarif), Help)),
        ?assert(matches("\"help\":\\{\"text\":\"[^\"]{30,}.*\",\"markdown\":\"[^\"]{30,}", Sarif))
    end).

%% What runs has no corpus: each of its rules is named where nodes, ports and decoys are tested.
each_rule_about_what_runs_is_tested_test_() ->
    Suites = [Text || Suite <- ["wire", "bait", "audit_live"],
                      {ok, Text} <- [file:read_file("test/erlang/merlon_" ++ Suite ++ "_SUITE.erl")]],
    [{atom_to_list(Id), ?_assert(lists:any(fun(Text) -> matches("\\b" ++ atom_to_list(Id) ++ "\\b", Text) end, Suites))}
     || #{id := Id} <- merlon_audit_rules_wire:rows()].

a_newer_otps_types_are_read_by_an_older_one_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "newer.erl", "-module(newer).\n-export([f/1]).\n-nominal t() :: string().\n-spec f(t()) -> t().\nf(X) -> os:cmd(X).\n"),
        ?assertMatch(#{unscanned := [], findings := [#{rule := os_command, line := 5}]}, scan(Dir))
    end).

%% As what can not be parsed: silence would look like a clean tree.
a_file_that_is_too_big_counts_as_not_scanned_test() ->
    ?in_dir(Dir, begin
        put_source(Dir, "good.erl", "-module(good).\n"),
        {ok, Io} = file:open(Dir ++ "/big.erl", [write, raw]),
        ok = file:pwrite(Io, 16#800000, <<"\n">>),
        ok = file:close(Io),
        {2, Out, <<>>} = cli([Dir]),
        ?assert(matches("big\\.erl.*8388609 bytes, more than is looked at.*1 file could not be scanned", Out))
    end).
