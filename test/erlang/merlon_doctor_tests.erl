%% SPDX-License-Identifier: Apache-2.0
-module(merlon_doctor_tests).
-include_lib("eunit/include/eunit.hrl").

-define(NODE, 'app@127.0.0.1').
-define(DAY, 86400).

now_s() -> erlang:system_time(second).

%% A dir of a CA that was made Days ago (or will be), and its node as Opts say.
with(Days, Node, Opts, Test) ->
    merlon_test_dir:with(fun(Base) ->
        Then = now_s() - Days * ?DAY,
        Dir = merlon_peers:new_dir(Base, "test", Then),
        ok = merlon_peers:add_node(Dir, Node, maps:merge(#{now => Then}, Opts)),
        Test(Dir)
    end).

with(Test) -> with(0, ?NODE, #{}, Test).

examine(Dir, More) ->
    [{Check, Status, unicode:characters_to_binary(Text)}
     || {Check, Status, Text} <- merlon_doctor:examine(maps:merge(#{now => now_s(), ports => default, dir => Dir}, More))].

failed(Dir) -> failed(Dir, #{}).
failed(Dir, More) -> [{Check, Text} || {Check, fail, Text} <- examine(Dir, More)].

%% That check failed, and its line names the fix.
assert_failed(Check, Fix, Failed) ->
    Texts = [Text || {Found, Text} <- Failed, Found =:= Check],
    ?assertNotEqual({[], Failed}, {Texts, Failed}),
    ?assert(lists:any(fun(Text) -> binary:match(Text, Fix) =/= nomatch end, Texts)).

%% The one line says it, whether the dir comes from --dir or from the environment.
a_dir_that_is_not_there_is_not_ok_test() ->
    merlon_test_dir:with(fun(Base) ->
        ok = file:write_file(Base ++ "/file", "x"),
        [begin
             true = os:putenv("MERLON_DIR", Dir),
             try [{dir, fail, Text}] = [Line || {Check, _, _} = Line <- merlon_doctor:examine(#{now => now_s(), ports => default}),
                                                Check =:= dir orelse Check =:= config],
                 ?assertMatch({_, _}, binary:match(unicode:characters_to_binary(Text), <<"merlon init">>))
             after os:unsetenv("MERLON_DIR")
             end
         end || Dir <- [Base ++ "/none", Base ++ "/file"]]
    end).

a_good_dir_passes_test() ->
    with(0, ?NODE, #{days => 9}, fun(Dir) ->
        ?assertEqual([], failed(Dir)),
        Oks = [Check || {Check, ok, _} <- examine(Dir, #{})],
        [?assert(lists:member(Check, Oks)) || Check <- [otp, native, carrier, dir, config, identity, clock, name, port]]
    end).

a_key_that_others_can_read_test() ->
    with(fun(Dir) ->
        ok = file:change_mode(filename:join([Dir, "nodes", ?NODE, "key.pem"]), 8#644),
        assert_failed(identity, <<"chmod 600 ">>, failed(Dir))
    end).

an_expired_certificate_test() ->
    with(8, ?NODE, #{days => 5}, fun(Dir) -> assert_failed(identity, <<"merlon cert app@127.0.0.1">>, failed(Dir)) end).

a_certificate_that_ends_soon_is_a_warning_test() ->
    with(8, ?NODE, #{days => 9}, fun(Dir) ->
        ?assertEqual([], failed(Dir)),
        [Text] = [Text || {identity, warn, Text} <- examine(Dir, #{})],
        ?assertNotEqual(nomatch, binary:match(Text, <<"merlon renew app@127.0.0.1">>))
    end).

a_certificate_for_another_name_test() ->
    with(0, 'other@127.0.0.1', #{as => ?NODE}, fun(Dir) ->
        assert_failed(identity, <<"is for other@127.0.0.1: rename its folder">>, failed(Dir))
    end).

a_clock_that_is_behind_test() ->
    with(-1, ?NODE, #{}, fun(Dir) ->
        assert_failed(clock, <<"set the clock">>, failed(Dir)),
        assert_failed(trust, <<"set this machine's clock">>, failed(Dir)),
        assert_failed(identity, <<"clock">>, failed(Dir))
    end).

no_trust_test() ->
    with(fun(Dir) ->
        ok = file:delete(filename:join([Dir, "trust", "ca.pem"])),
        assert_failed(trust, <<"ca.pem of the machine that ran `merlon init`">>, failed(Dir)),
        assert_failed(identity, <<"copy the certificate of the cluster's CA there">>, failed(Dir))
    end).

an_expired_ca_test() ->
    with(11, ?NODE, #{days => 9}, fun(Dir) -> assert_failed(trust, <<"have the CA renewed">>, failed(Dir)) end).

a_host_that_does_not_resolve_test() ->
    with(0, 'app@no-such-host.invalid', #{}, fun(Dir) -> assert_failed(name, <<"add it to DNS">>, failed(Dir)) end).

a_port_that_is_taken_test() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    with(fun(Dir) ->
        assert_failed(port, <<"free it or choose another">>, failed(Dir, #{ports => {Port, Port}})),
        ok = gen_tcp:close(Socket),
        ?assertEqual([], failed(Dir, #{ports => {Port, Port}}))
    end).

a_library_that_does_not_load_test() ->
    with(fun(Dir) -> assert_failed(native, <<"make build">>, failed(Dir, #{native => {error, {nif, "no such file"}}})) end).

a_dir_that_is_not_there_test() ->
    assert_failed(dir, <<"merlon init">>, failed("/nonexistent/merlon")).

a_dir_that_everybody_can_write_test() ->
    with(fun(Dir) ->
        ok = file:change_mode(Dir, 8#777),
        assert_failed(dir, <<"chmod go-w">>, failed(Dir))
    end).

a_bad_setting_test() ->
    with(fun(Dir) ->
        ok = file:write_file(filename:join(Dir, "merlon.config"), "{cluster, \"test\"}.\n{grave, 1}.\n"),
        assert_failed(config, <<"merlon.config:2: ">>, failed(Dir))
    end).

a_dir_without_a_node_test() ->
    with(fun(Dir) ->
        ok = file:del_dir_r(filename:join(Dir, "nodes")),
        assert_failed(identity, <<"merlon cert NAME@HOST">>, failed(Dir))
    end).

the_secret_identity_test() ->
    merlon_test_dir:with(fun(Dir) ->
        {0, _, <<>>} = merlon_cli:run(["init", "--secret", "--dir", Dir, "--cluster", "test"]),
        ?assertEqual([], failed(Dir)),
        ok = file:change_mode(filename:join(Dir, "keyring"), 8#644),
        assert_failed(identity, <<"chmod 600 ">>, failed(Dir))
    end).

a_file_in_trust_that_is_no_ca_test() ->
    with(fun(Dir) ->
        {ok, _} = file:copy(filename:join([Dir, "nodes", ?NODE, "cert.pem"]), filename:join([Dir, "trust", "node.pem"])),
        assert_failed(trust, <<"is no CA's certificate: put ca.pem">>, failed(Dir))
    end).

%% ---- what could be better ----

warned(Dir, More) -> [{Check, Text} || {Check, warn, Text} <- examine(Dir, More)].

a_ca_that_ends_soon_test() -> with(fun(Dir) -> assert_failed(trust, <<"plan a new CA">>, warned(Dir, #{})) end).

a_dir_that_its_group_can_write_test() ->
    with(fun(Dir) ->
        ok = file:change_mode(Dir, 8#770),
        assert_failed(dir, <<"chmod g-w">>, warned(Dir, #{}))
    end).

a_host_whose_address_is_elsewhere_test() ->
    with(0, 'app@192.0.2.1', #{}, fun(Dir) -> assert_failed(name, <<"an address that this machine does not have">>, warned(Dir, #{})) end).

tools_test() ->
    with(fun(Dir) ->
        assert_failed(tools, <<"merlon cert --cli">>, warned(Dir, #{})),
        ok = merlon_peers:add_cli(Dir, "operator", "127.0.0.1"),
        ?assertMatch([{tools, ok, _}], [Line || {tools, _, _} = Line <- examine(Dir, #{})]),
        [Key] = filelib:wildcard(filename:join([Dir, "cli", "*", "key.pem"])),
        ok = file:change_mode(Key, 8#644),
        assert_failed(tools, <<"chmod 600 ">>, failed(Dir))
    end).

keyring_or_cookie_test() ->
    with(fun(Dir) ->
        Said = fun(More) -> [{secret, Status, Text}] = [Line || {secret, _, _} = Line <- examine(Dir, More)], {Status, Text} end,
        File = filename:join(Dir, "cookie"),
        Cookie = fun(Text) -> ok = merlon_peers:write_secret(File, Text), Said(#{cookie => File}) end,
        {warn, Neither} = Said(#{cookie => "/nonexistent"}),
        ?assertNotEqual(nomatch, binary:match(Neither, <<"merlon keyring --new">>)),
        {warn, Weak} = Cookie("secretcookie"),
        ?assertNotEqual(nomatch, binary:match(Weak, <<"is weak (known;">>)),
        ?assertMatch({ok, _}, Cookie("uF4mZp0cQ7vXk2Rj9sLwT1yBnHd6eGa3")),
        {0, _, <<>>} = merlon_cli:run(["keyring", "--new", "--dir", Dir]),
        {ok, Keyring} = Said(#{}),
        ?assertNotEqual(nomatch, binary:match(Keyring, <<"keyring has 1 entries">>)),
        ok = file:change_mode(filename:join(Dir, "keyring"), 8#644),
        ?assertMatch({fail, _}, Said(#{}))
    end).

%% At a port of its own, whatever runs on this host.
epmd_test() ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    Pid = spawn(fun() -> {ok, Socket} = gen_tcp:accept(Listener), gen_tcp:send(Socket, "SSH-2.0-x\r\n"), receive stop -> ok end end),
    ok = gen_tcp:controlling_process(Listener, Pid),
    true = os:putenv("ERL_EPMD_PORT", integer_to_list(Port)),
    try
        {epmd, warn, Text} = merlon_doctor_host:epmd(),
        ?assertNotEqual(nomatch, string:find(unicode:characters_to_binary(Text), "is no epmd")),
        exit(Pid, kill),
        merlon_peers:wait(fun() -> merlon_doctor_host:epmd() =:= {epmd, ok, "no epmd runs; the first node starts it"} end)
    after os:unsetenv("ERL_EPMD_PORT")
    end.

%% ---- vm.args ----

args(Text, Test) ->
    merlon_test_dir:with(fun(Dir) ->
        File = filename:join(Dir, "vm.args"),
        ok = file:write_file(File, Text),
        Test(File)
    end).

of_args(Text) ->
    args(Text, fun(File) -> [{Status, unicode:characters_to_binary(Said)}
                             || {args, Status, Said} <- merlon_doctor_args:lines(merlon_doctor_args:read(#{args => File}))] end).

said(Status, Part, Lines) ->
    ?assert(lists:any(fun({Found, Text}) -> Found =:= Status andalso binary:match(Text, Part) =/= nomatch end, Lines)).

proto_dist_once_test() ->
    said(ok, <<"once">>, of_args("# -proto_dist inet_tls\n-name a@b.c\n-proto_dist merlon\n-kernel x '-proto_dist y'\n")).

proto_dist_twice_test() ->
    Lines = of_args("-proto_dist merlon\n-sname a\n-proto_dist inet_tls\n"),
    said(fail, <<"vm.args:1">>, Lines),
    said(fail, <<"leave one of them">>, Lines).

proto_dist_in_the_environment_too_test() ->
    true = os:putenv("MERLON_SEEN_ERL_AFLAGS", "-proto_dist merlon"),
    try said(fail, <<"ERL_AFLAGS">>, of_args("-proto_dist merlon\n"))
    after os:unsetenv("MERLON_SEEN_ERL_AFLAGS")
    end.

no_proto_dist_test() -> said(fail, <<"add the line `-proto_dist merlon`">>, of_args("-name a@b.c\n")).

another_carrier_test() ->
    said(fail, <<"not merlon alone">>, of_args("-proto_dist inet_tls")),
    said(fail, <<"not merlon alone">>, of_args("-proto_dist merlon inet_tcp")).

a_cookie_in_the_arguments_is_not_shown_test() ->
    Lines = of_args("-proto_dist merlon\n-setcookie opensesame\n"),
    said(warn, <<"merlon keyring --new">>, Lines),
    [?assertEqual(nomatch, binary:match(Text, <<"opensesame">>)) || {_, Text} <- Lines].

ports_of_the_arguments_test() ->
    Ports = fun(Text) -> args(Text, fun(File) -> merlon_doctor_args:ports(merlon_doctor_args:read(#{args => File})) end) end,
    ?assertEqual({9100, 9110}, Ports("-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9110\n")),
    ?assertEqual({9100, 9100}, Ports("-kernel inet_dist_listen_min 9100\n")),
    ?assertEqual(default, Ports("-proto_dist merlon\n")),
    ?assertEqual(default, Ports("-kernel inet_dist_listen_min 99999\n")).

args_that_are_not_there_test() ->
    [{args, fail, Text}] = merlon_doctor_args:lines(merlon_doctor_args:read(#{args => "/nonexistent/vm.args"})),
    ?assertNotEqual(nomatch, string:find(unicode:characters_to_binary(Text), "--args")).

%% ---- releases ----

a_release_needs_the_carrier_in_its_boot_script_test() ->
    merlon_test_dir:with(fun(Root) ->
        {With, Without} = {release(Root, "with", [merlon]), release(Root, "without", [])},
        ?assertEqual([], [Text || {release, fail, Text} <- merlon_doctor_release:lines(#{release => With})]),
        Failed = [{Check, unicode:characters_to_binary(Text)}
                  || {Check, fail, Text} <- merlon_doctor_release:lines(#{release => Without})],
        assert_failed(release, <<"add merlon to the release's applications">>, Failed),
        ?assertEqual(2, length(Failed)),
        [{release, fail, _}] = merlon_doctor_release:lines(#{release => Root ++ "/none"}),
        %% A big release's boot script has more than a MiB.
        Big = filename:join([With, "releases", "1", "start.boot"]),
        {ok, Boot} = file:read_file(Big),
        {script, Id, Steps} = binary_to_term(Boot),
        ok = file:write_file(Big, term_to_binary({script, Id, Steps ++ [{progress, lists:duplicate(600000, 1)}]})),
        ?assertEqual([], [Text || {release, fail, Text} <- merlon_doctor_release:lines(#{release => With})])
    end).

release(Root, Name, More) ->
    Dir = filename:join(Root, Name),
    Place = filename:join([Dir, "releases", "1"]),
    ok = filelib:ensure_dir(filename:join(Place, "x")),
    Vsn = fun(App) -> _ = application:load(App), {ok, V} = application:get_key(App, vsn), V end,
    Rel = {release, {"shop", "1"}, {erts, erlang:system_info(version)}, [{App, Vsn(App)} || App <- [kernel, stdlib | More]]},
    ok = file:write_file(filename:join(Place, "start.rel"), io_lib:format("~p.~n", [Rel])),
    {ok, _, _} = systools:make_script(filename:join(Place, "start"), [silent, {path, [merlon_doctor_emit:ebin()]},
                                                                      {outdir, Place}]),
    [ok = merlon_test_dir:put_file(filename:join([Dir, "lib", "merlon-1", "priv", "merlon_nif.so"]), "") || More =/= []],
    Dir.

%% ---- the command ----

exit_codes_and_formats_test() ->
    with(fun(Dir) ->
        {0, Text, <<>>} = merlon_cli:run(["doctor", "--dir", Dir]),
        ?assertNotEqual(nomatch, binary:match(Text, <<"identity    app@127.0.0.1">>)),
        %% There is no tool's certificate: a warning fails nothing.
        ?assertMatch({match, _}, re:run(Text, "^warn  tools .*Nothing stands in the way; [0-9]+ things? could be better", [multiline, dotall])),
        ok = file:change_mode(filename:join([Dir, "nodes", ?NODE, "key.pem"]), 8#644),
        {1, Json, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--format", "json"]),
        ?assertNotEqual(nomatch, binary:match(Json, <<"{\"version\":1,\"failed\":1,">>)),
        ?assertNotEqual(nomatch, binary:match(Json, <<"{\"check\":\"identity\",\"status\":\"fail\",\"text\":\"">>)),
        {2, <<>>, _} = merlon_cli:run(["doctor", "--dir", Dir, "--port", "70000"]),
        {2, <<>>, _} = merlon_cli:run(["doctor", "--port", "9-1"]),
        {1, Wrong, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "no node"]),
        ?assertNotEqual(nomatch, binary:match(Wrong, <<"NAME@HOST">>))
    end).

%% Those that --emit writes, for a node of that name and port.
the_page_ends_with_the_lines_of_each_packaging_test() ->
    with(fun(Dir) ->
        Args = ["doctor", "--dir", Dir, "--as", atom_to_list(?NODE), "--port", "9100-9110"],
        {0, Page, <<>>} = merlon_cli:run(Args),
        {0, Json, <<>>} = merlon_cli:run(Args ++ ["--format", "json"]),
        [_, Lines] = binary:split(Page, <<"\nTo add to the node's arguments">>),
        [begin
             {0, Text, <<>>} = merlon_cli:run(Args ++ ["--emit", atom_to_list(Kind)]),
             Shown = ["\n", atom_to_list(Kind), ":\n", [["    ", Line, "\n"] || Line <- binary:split(Text, <<"\n">>, [global, trim])]],
             ?assertNotEqual(nomatch, binary:match(Lines, iolist_to_binary(Shown))),
             Member = [$", atom_to_list(Kind), "\":", merlon_audit_json:encode(Text)],
             ?assertNotEqual(nomatch, binary:match(Json, iolist_to_binary(Member)))
         end || Kind <- merlon_doctor_emit:kinds()]
    end).

a_page_without_a_dir_says_why_it_has_no_lines_test() ->
    with(fun(Dir) ->
        Moved = filename:join(filename:dirname(Dir), "with blanks"),
        ok = file:rename(Dir, Moved),
        {_, Page, <<>>} = merlon_cli:run(["doctor", "--dir", Moved]),
        ?assertMatch({match, _}, re:run(Page, "There are no lines to add: .*with blanks has blanks")),
        {_, Json, <<>>} = merlon_cli:run(["doctor", "--dir", Moved, "--format", "json"]),
        ?assertNotEqual(nomatch, binary:match(Json, <<"\"lines\":{}">>))
    end).

%% ---- --emit ----

lines_for_each_packaging_test() ->
    with(fun(Dir) ->
        [begin
             {0, Text, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--emit", atom_to_list(Kind), "--as", "app@web1.example.com",
                                               "--port", "9100-9110"]),
             ?assertNotEqual(nomatch, binary:match(Text, <<"-proto_dist merlon">>)),
             ?assertNotEqual(nomatch, binary:match(Text, iolist_to_binary(["-merlon_dir ", Dir]))),
             ?assertEqual(1, length(binary:matches(uncommented(Text, Kind), <<"app@web1.example.com">>)))
         end || Kind <- merlon_doctor_emit:kinds()]
    end).

%% mix has the name in env.sh.
uncommented(Text, mix) -> Text;
uncommented(Text, _Kind) -> re:replace(Text, "^#.*$", "", [multiline, global, {return, binary}]).

what_vm_args_take_is_what_the_doctor_finds_in_them_test() ->
    with(fun(Dir) ->
        [begin
             {0, Text, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--emit", Kind, "--port", "9100"]),
             said(ok, <<"once">>, of_args(Text)),
             ?assertEqual({9100, 9100}, args(Text, fun(F) -> merlon_doctor_args:ports(merlon_doctor_args:read(#{args => F})) end))
         end || Kind <- ["mix", "rebar3"]]
    end).

code_is_on_the_path_where_it_is_no_release_test() ->
    with(fun(Dir) ->
        [begin
             {0, Text, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--emit", Kind]),
             ?assertNotEqual(nomatch, binary:match(Text, iolist_to_binary(["-pa ", merlon_doctor_emit:ebin(), " "])))
         end || Kind <- ["erl", "rabbitmq", "ejabberd"]],
        {0, Rabbit, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--emit", "rabbitmq"]),
        [?assertNotEqual(nomatch, binary:match(Rabbit, Key)) || Key <- [<<"SERVER_ADDITIONAL_ERL_ARGS=\"">>, <<"CTL_ERL_ARGS=\"">>]]
    end).

%% Both files are read by a shell.
a_shell_reads_what_rabbitmq_and_ejabberd_get_test() ->
    with(fun(Dir) ->
        Expected = "-pa " ++ merlon_doctor_emit:ebin() ++ " -proto_dist merlon -merlon_dir " ++ Dir,
        [begin
             {0, Text, <<>>} = merlon_cli:run(["doctor", "--dir", Dir, "--emit", Kind, "--as", "app@web1.example.com", "--port", "9100"]),
             File = filename:join(Dir, Kind),
             ok = file:write_file(File, Text),
             Said = os:cmd(lists:flatten(["set -eu; . ", File, "; echo \"", lists:join($|, [[$$, V] || V <- Arguments ++ Others]), $"])),
             ?assertEqual([Expected || _ <- Arguments] ++ More, string:split(string:trim(Said), "|", all))
         end || {Kind, Arguments, Others, More} <-
                    [{"rabbitmq", ["SERVER_ADDITIONAL_ERL_ARGS", "CTL_ERL_ARGS"], ["NODENAME", "USE_LONGNAME", "DIST_PORT"],
                      ["app@web1.example.com", "true", "9100"]},
                     {"ejabberd", ["ERL_OPTIONS"], ["ERLANG_NODE", "FIREWALL_WINDOW"], ["app@web1.example.com", "9100-9110"]}]]
    end).

a_path_that_scripts_would_take_apart_is_refused_test() ->
    {1, <<>>, Error} = merlon_cli:run(["doctor", "--dir", "/tmp/a b", "--emit", "rabbitmq"]),
    ?assertNotEqual(nomatch, binary:match(Error, <<"blanks">>)).
