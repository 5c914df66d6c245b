%% SPDX-License-Identifier: Apache-2.0
%% The doctor beside running nodes: a handshake in steps, lines that really start a node, a library that does not load.
-module(merlon_doctor_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_handshake_with_a_good_node_passes_and_leaves_no_link/1,
         a_tool_certificate_is_taken_first/1,
         a_handshake_with_a_node_that_is_not_there_says_what_to_do/1,
         a_handshake_with_a_plain_node_says_what_to_do/1,
         another_cookie_says_what_to_do/1,
         the_emitted_line_starts_a_node_over_merlon/1, the_emitted_vm_args_start_a_node_over_merlon/1,
         the_command_says_that_the_library_does_not_load_and_what_is_missing/1]).

all() ->
    [a_handshake_with_a_good_node_passes_and_leaves_no_link, a_tool_certificate_is_taken_first,
     a_handshake_with_a_node_that_is_not_there_says_what_to_do, a_handshake_with_a_plain_node_says_what_to_do,
     another_cookie_says_what_to_do, the_emitted_line_starts_a_node_over_merlon, the_emitted_vm_args_start_a_node_over_merlon,
     the_command_says_that_the_library_does_not_load_and_what_is_missing].

init_per_suite(Config0) ->
    Config = merlon_ct:open(Config0),
    Own = merlon_peers:node(merlon_peers:name("asks")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Own),
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "cookie"),
    ok = merlon_peers:write_secret(Cookie, "merlontest"),
    [{own, atom_to_list(Own)}, {cookie, Cookie} | Config].

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

handshake(Node, Config, More) ->
    Options = maps:merge(#{dir => merlon_ct:dir(Config), cookie => proplists:get_value(cookie, Config),
                           as => proplists:get_value(own, Config)}, More),
    asked(Node, Config, Options).

%% As the command is run: by a VM that is no node.
asked(Node, Config, Options) ->
    Vm = merlon_ct:run(Config, ["-pa", merlon_doctor_emit:ebin()], #{}),
    Lines = merlon_ct:call(Vm, merlon_doctor_node, handshake, [Node, Options]),
    merlon_ct:drop(Vm),
    [{Step, Status, unicode:characters_to_binary(Text)} || {Step, Status, Text} <- Lines].

a_handshake_with_a_good_node_passes_and_leaves_no_link(Config) ->
    {_, Node, _} = Vm = merlon_ct:start(Config, "good"),
    Lines = handshake(atom_to_list(Node), Config, #{}),
    [] = [Line || {_, Status, _} = Line <- Lines, Status =/= ok],
    [true = lists:keymember(Step, 1, Lines) || Step <- [carrier, resolve, port, connect, tls, certificate, secret, agreement]],
    [] = merlon_ct:call(Vm, erlang, nodes, [connected]).

a_tool_certificate_is_taken_first(Config) ->
    {_, Node, _} = merlon_ct:start(Config, "good"),
    ok = merlon_peers:add_cli(merlon_ct:dir(Config), "operator", "127.0.0.1"),
    Dir = merlon_ct:dir(Config),
    [{node, ok, <<"dialled as rpc-", _/binary>>} | Lines] =
        asked(atom_to_list(Node), Config, #{dir => Dir, cookie => proplists:get_value(cookie, Config)}),
    {agreement, ok, _} = lists:last(Lines).

a_handshake_with_a_node_that_is_not_there_says_what_to_do(Config) ->
    Node = atom_to_list(merlon_peers:node(merlon_peers:name("nobody"))),
    {port, fail, Text} = lists:last(handshake(Node, Config, #{})),
    match = re:run(Text, "start", [{capture, none}]).

a_handshake_with_a_plain_node_says_what_to_do(Config) ->
    {_, Node, _} = merlon_ct:run(Config, ["-setcookie", "merlontest", "-pa", merlon_doctor_emit:ebin()],
                                 #{name => merlon_peers:name("plain"), host => "127.0.0.1", longnames => true}),
    {tls, fail, Text} = lists:last(handshake(atom_to_list(Node), Config, #{})),
    match = re:run(Text, "-proto_dist merlon", [{capture, none}]).

another_cookie_says_what_to_do(Config) ->
    {_, Node, _} = merlon_ct:start(Config, "good"),
    Other = filename:join(proplists:get_value(priv_dir, Config), "other_cookie"),
    ok = merlon_peers:write_secret(Other, "quite_another"),
    {secret, fail, Text} = lists:last(handshake(atom_to_list(Node), Config, #{cookie => Other})),
    match = re:run(Text, "same cookie or keyring", [{capture, none}]).

the_emitted_line_starts_a_node_over_merlon(Config) ->
    {0, Line, <<>>} = merlon_cli:run(["doctor", "--dir", merlon_ct:dir(Config), "--emit", "erl", "--as",
                                      proplists:get_value(own, Config)]),
    Said = os:cmd(string:trim(binary_to_list(Line)) ++ " -setcookie x -noshell -eval "
                  "'io:format(\"~p ~p~n\", [node(), merlon_registry:listening()]), halt().'"),
    Expected = proplists:get_value(own, Config) ++ " true",
    {Expected, _} = {re:replace(string:trim(Said), "'", "", [global, {return, list}]), Said}.

%% As the start scripts of mix and relx take it; the release's name for the node is in env.sh, of which the comment tells. RabbitMQ and
%% ejabberd are started with theirs by test/support/rabbitmq.sh and ejabberd.sh.
the_emitted_vm_args_start_a_node_over_merlon(Config) ->
    Own = proplists:get_value(own, Config),
    [begin
         {0, Lines, <<>>} = merlon_cli:run(["doctor", "--dir", merlon_ct:dir(Config), "--emit", Kind, "--as", Own]),
         File = filename:join(proplists:get_value(priv_dir, Config), Kind ++ ".vm.args"),
         ok = file:write_file(File, Lines),
         Said = os:cmd(["erl ", named(Kind, Lines, Own), " -args_file ", File, " -pa ", merlon_doctor_emit:ebin(), " -setcookie x -noshell -noinput "
                        "-eval 'io:format(\"~s ~p\", [node(), merlon_registry:listening()]), halt().'"]),
         {Kind, _, true} = {Kind, Said, Said =:= Own ++ " true"}
     end || Kind <- ["mix", "rebar3"]].

named("rebar3", _Lines, _Own) -> "";
named("mix", Lines, Own) ->
    {match, [Distribution]} = re:run(Lines, ["RELEASE_DISTRIBUTION=(\\S+) RELEASE_NODE=", Own, "\n"], [{capture, [1], list}]),
    ["-", Distribution, " ", Own].

%% A copy of what is installed, with a library that is none.
the_command_says_that_the_library_does_not_load_and_what_is_missing(Config) ->
    Root = filename:join(proplists:get_value(priv_dir, Config), "copy"),
    Ebin = merlon_doctor_emit:ebin(),
    [ok = filelib:ensure_dir(filename:join([Root, Folder, "x"])) || Folder <- ["ebin", "bin", "priv"]],
    [{ok, _} = file:copy(File, filename:join([Root, "ebin", filename:basename(File)]))
     || File <- filelib:wildcard(filename:join(Ebin, "*.{beam,app}"))],
    Script = filename:join([Root, "bin", "merlon"]),
    {ok, _} = file:copy(script(Ebin), Script),
    ok = file:change_mode(Script, 8#755),
    ok = file:write_file(filename:join([Root, "priv", "merlon_nif.so"]), "no library"),
    ok = file:delete(filename:join([Root, "ebin", "merlon6_dist.beam"])),
    Said = os:cmd(Script ++ " doctor --dir " ++ merlon_ct:dir(Config) ++ "; echo code $?"),
    match = re:run(Said, "fail +native +the native library can't be loaded .*make build", [{capture, none}]),
    match = re:run(Said, "fail +carrier +/.*/ebin lacks merlon6_dist: build it", [{capture, none}]),
    match = re:run(Said, "code 1", [{capture, none}]).

%% bin/merlon of the checkout that Ebin was built in.
script(Ebin) ->
    case filelib:is_regular(filename:join([Ebin, "..", "bin", "merlon"])) of
        true -> filename:join([Ebin, "..", "bin", "merlon"]);
        false -> up(filename:dirname(Ebin))
    end.

up(Dir) ->
    Script = filename:join([Dir, "bin", "merlon"]),
    case filelib:is_regular(Script) of
        true -> Script;
        false when Dir =/= "/" -> up(filename:dirname(Dir))
    end.
