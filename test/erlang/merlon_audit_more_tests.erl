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
