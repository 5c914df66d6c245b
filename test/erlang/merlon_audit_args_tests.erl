%% SPDX-License-Identifier: Apache-2.0
%% `merlon audit` as people type it: odd arguments and files that are in the way.
-module(merlon_audit_args_tests).
-include_lib("eunit/include/eunit.hrl").

-define(in_dir(Dir, Body), merlon_test_dir:with(fun(Dir) -> Body end)).
-define(EVIL, "-module(evil).\n-export([run/1]).\nrun(X) -> os:cmd(X).\n").

put_source(Dir, Name, Text) -> merlon_test_dir:put_file(Dir ++ "/" ++ Name, Text).

cli(Args) -> merlon_cli:run(["audit" | Args]).

matches(Regex, Text) -> re:run(Text, Regex, [{capture, none}, dotall]) =:= match.

%% Written anew with the old one in force, it holds both.
a_baseline_written_over_another_loses_nothing_test() ->
    ?in_dir(Dir, begin
        Base = Dir ++ "/baseline",
        put_source(Dir, "a.erl", ?EVIL),
        {0, _, <<>>} = cli([Dir, "--write-baseline", Base]),
        put_source(Dir, "a.erl", [?EVIL, "-export([g/1]).\ng(X) -> list_to_atom(X).\n"]),
        ?assertMatch({0, <<"2 findings are in", _/binary>>, <<>>}, cli([Dir, "--baseline", Base, "--write-baseline", Base])),
        ?assertMatch({0, _, <<>>}, cli([Dir, "--baseline", Base])),
        {ok, Before} = file:read_file(Base),
        ?assertMatch({2, <<>>, _}, cli([Dir, "--baseline", Base, "--only", "dynamic_atom", "--write-baseline", Base])),
        ?assertEqual({ok, Before}, file:read_file(Base))
    end).

%% As a program: what is wrong with the arguments is no finding (1), and no crash.
an_argument_that_is_no_text_is_wrong_usage_test_() ->
    {timeout, 60, fun() ->
        Paths = ["-pa", filename:dirname(code:which(merlon_cli))],
        Port = open_port({spawn_executable, os:find_executable("erl")},
                         [{args, ["-noinput", "+fnu", "-boot", "no_dot_erlang" | Paths]
                                 ++ ["-eval", "merlon_cli:main(init:get_plain_arguments()).", "-extra", "audit", <<"x", 255, 254>>]},
                          exit_status, stderr_to_stdout, binary]),
        {Status, Said} = said(Port, <<>>),
        ?assertEqual(2, Status),
        ?assert(matches("an argument is not UTF-8", Said))
    end}.

said(Port, Said) ->
    receive
        {Port, {data, More}} -> said(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 30000 -> {none, Said}
    end.

an_archive_is_told_to_be_unpacked_test() ->
    ?in_dir(Dir, begin
        ok = file:write_file(Dir ++ "/shop.tar.gz", zlib:gzip("x")),
        {2, <<>>, Why} = cli([Dir ++ "/shop.tar.gz"]),
        ?assert(matches("unpack an archive first", Why))
    end).
