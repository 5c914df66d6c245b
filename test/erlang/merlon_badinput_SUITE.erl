%% SPDX-License-Identifier: Apache-2.0
%% What an operator gets for a mistake: one sentence with the fix, on standard error, a non-zero
%% exit within 5 seconds, and neither an open port nor a name in epmd before that.
-module(merlon_badinput_SUITE).

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_key_that_can_not_be_read/1, a_key_that_others_can_read/1, a_dir_that_is_missing/1,
         a_key_that_is_missing/1, a_key_that_is_not_the_certificates/1,
         a_certificate_for_another_node/1, a_node_without_a_certificate/1,
         a_clock_before_the_certificate_is_valid/1, a_certificate_that_has_expired/1,
         a_certificate_of_another_ca/1, a_certificate_that_is_none/1, no_trust_anchor/1,
         a_port_in_use/1, an_interface_that_is_no_address/1, an_unknown_option/1, a_bad_value/1, a_config_that_is_no_erlang_terms/1,
         a_config_without_a_cluster/1, a_good_dir_does_start/1,
         proto_dist_given_twice_is_said_loudly/1, no_proto_dist_is_said_loudly/1,
         proto_dist_given_twice_stops_the_application_that_requires_the_carrier/1]).

-define(PATIENCE, 5000).

all() ->
    [a_key_that_can_not_be_read, a_key_that_others_can_read, a_dir_that_is_missing,
     a_key_that_is_missing, a_key_that_is_not_the_certificates,
     a_certificate_for_another_node, a_node_without_a_certificate,
     a_clock_before_the_certificate_is_valid, a_certificate_that_has_expired,
     a_certificate_of_another_ca, a_certificate_that_is_none, no_trust_anchor,
     a_port_in_use, an_interface_that_is_no_address, an_unknown_option, a_bad_value, a_config_that_is_no_erlang_terms,
     a_config_without_a_cluster, a_good_dir_does_start,
     proto_dist_given_twice_is_said_loudly, no_proto_dist_is_said_loudly,
     proto_dist_given_twice_stops_the_application_that_requires_the_carrier].

%% A good merlon dir, which the case then spoils; and what must not be touched: a port that is
%% taken already, so that whoever tries to listen says that instead, and an epmd that only counts.
init_per_testcase(_Case, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "bad"),
    Node = merlon_peers:node(merlon_peers:name("bad")),
    ok = merlon_peers:add_node(Dir, Node),
    [Taken, Epmd] = [begin
                         {ok, Socket} = gen_tcp:listen(0, [{active, false}, {reuseaddr, false}]),
                         Socket
                     end || _ <- [taken, epmd]],
    [{dir, Dir}, {node, Node}, {taken, Taken}, {epmd, Epmd} | Config].

end_per_testcase(_Case, Config) ->
    [gen_tcp:close(proplists:get_value(Key, Config)) || Key <- [taken, epmd]],
    ok.

%% ---- the key ----

%% Root may read everything, so that it has to be somebody else.
a_key_that_can_not_be_read(Config0) ->
    Config = [{as, nobody()} | Config0],
    Key = file(Config, "key.pem"),
    ok = file:change_mode(Key, case nobody() of [] -> 8#000; _ -> 8#600 end),
    Visible = "test -x \"$0\" -a -r \"$1\" -a ! -r \"$2\"",
    case run(["/bin/sh", "-c", Visible, dir(Config), code:which(merlon_nif), Key], Config) of
        {0, _, _} -> refused(["key\\.pem can't be read: permission denied", "chown"], Config);
        _ -> {skip, "there is no other user here to whom the merlon dir is visible"}
    end.

nobody() ->
    case {os:cmd("id -u"), os:find_executable("setpriv")} of
        {"0\n", Setpriv} when is_list(Setpriv) ->
            [Setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        _ -> []
    end.

a_key_that_others_can_read(Config) ->
    [begin
         ok = file:change_mode(file(Config, "key.pem"), Mode),
         refused(["key\\.pem is a secret", "chmod 600 /.*key\\.pem"], Config)
     end || Mode <- [8#640, 8#604, 8#660]],
    ok.

a_key_that_is_missing(Config) ->
    ok = file:delete(file(Config, "key.pem")),
    refused(["key\\.pem does not exist", "merlon cert "], Config).

a_key_that_is_not_the_certificates(Config) ->
    Other = merlon_peers:node("other"),
    ok = merlon_peers:add_node(dir(Config), Other),
    {ok, Key} = file:read_file(filename:join([dir(Config), "nodes", atom_to_list(Other),
                                              "key.pem"])),
    ok = merlon_peers:write_secret(file(Config, "key.pem"), Key),
    refused(["key\\.pem is not the key of /.*cert\\.pem", "merlon cert "], Config).

%% ---- the certificate ----

a_certificate_for_another_node(Config) ->
    ok = merlon_peers:add_node(dir(Config), merlon_peers:node("other"),
                               #{as => proplists:get_value(node, Config)}),
    refused(["cert\\.pem is for other@127\\.0\\.0\\.1", "merlon cert "], Config).

a_node_without_a_certificate(Config) ->
    ok = file:rename(filename:dirname(file(Config, "key.pem")),
                     filename:join([dir(Config), "nodes", "other@127.0.0.1"])),
    refused(["no certificate for bad_", "merlon cert "], Config).

a_clock_before_the_certificate_is_valid(Config) ->
    issued(erlang:system_time(second) + 86400, Config),
    refused(["valid from", "clock"], Config).

a_certificate_that_has_expired(Config) ->
    Past = erlang:system_time(second) - 20 * 86400,
    {ok, #{cert := Cert, key := Key}} =
        merlon_nif:pki_new_ca(#{cluster => <<"bad">>, alg => p256, days => 40, now => Past}),
    [ok = file:write_file(filename:join([dir(Config) | File]), Text)
     || {File, Text} <- [{["ca", "ca.pem"], Cert}, {["ca", "ca.key"], Key},
                         {["trust", "ca.pem"], Cert}]],
    issued(Past, Config),
    refused(["expired", "merlon cert "], Config).

a_certificate_of_another_ca(Config) ->
    Other = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "bad"),
    {ok, _} = file:copy(filename:join([Other, "ca", "ca.pem"]),
                        filename:join([dir(Config), "trust", "ca.pem"])),
    refused(["not trusted here", "/trust"], Config).

a_certificate_that_is_none(Config) ->
    ok = file:write_file(file(Config, "cert.pem"), "hello"),
    refused(["cert\\.pem .*PEM"], Config).

no_trust_anchor(Config) ->
    ok = file:delete(filename:join([dir(Config), "trust", "ca.pem"])),
    refused(["/trust holds no \\*\\.pem file", "copy"], Config).

%% ---- the rest ----

a_dir_that_is_missing(Config) ->
    Missing = filename:join(dir(Config), "missing"),
    refused(["missing/merlon\\.config does not exist", "merlon init "],
            lists:keyreplace(dir, 1, Config, {dir, Missing})).

a_port_in_use(Config) ->
    {ok, Port} = inet:port(proplists:get_value(taken, Config)),
    refused([integer_to_list(Port), "in use", "inet_dist_listen_min"], Config).

an_interface_that_is_no_address(Config) ->
    More = ["-kernel", "inet_dist_use_interface", "\"127.0.0.1\""],
    refused(["inet_dist_use_interface"], [{more, More} | Config]).

an_unknown_option(Config) ->
    configured("{max_frames, 1}.", Config),
    refused(["merlon\\.config:2: unknown setting max_frames: is it max_frame"], Config).

a_bad_value(Config) ->
    configured("{max_frame, lots}.", Config),
    refused(["merlon\\.config:2: max_frame must be a whole number from"], Config).

a_config_that_is_no_erlang_terms(Config) ->
    configured("max_frame = 1", Config),
    refused(["merlon\\.config:2: ", "\\{Key, Value\\}"], Config).

a_config_without_a_cluster(Config) ->
    ok = file:write_file(filename:join(dir(Config), "merlon.config"), ""),
    refused(["no cluster is set", "\\{cluster, "], Config).

%% The cases above fail for what they say, not for anything else.
a_good_dir_does_start(Config) ->
    [Name, _] = string:split(atom_to_list(proplists:get_value(node, Config)), "@"),
    {ok, Peer, _} = merlon_peers:start(Name, merlon_peers:args(dir(Config))),
    true = merlon_peers:call(Peer, merlon_registry, listening, []),
    merlon_peers:stop(Peer).

%% ---- the carrier that is not there ----

%% net_kernel then listens with plain TCP (OTP 25) or takes the first (OTP 27): all that is left is
%% to say so.
proto_dist_given_twice_is_said_loudly(Config) ->
    said_by_the_application(["-proto_dist", "inet_tcp" | merlon_peers:args(dir(Config))],
                            "given 2 times", Config).

no_proto_dist_is_said_loudly(Config) ->
    ["-proto_dist", "merlon" | Args] = merlon_peers:args(dir(Config)),
    said_by_the_application(Args, "without -proto_dist merlon", Config).

proto_dist_given_twice_stops_the_application_that_requires_the_carrier(Config) ->
    configured("{require_carrier, true}.", Config),
    plain(["-proto_dist", "inet_tcp" | merlon_peers:args(dir(Config))],
          fun(Peer) ->
                  {error, Reason} = merlon_peers:call(Peer, application, start, [merlon]),
                  {match, _} = re:run(io_lib:format("~p", [Reason]), "not_the_carrier")
          end, Config).

said_by_the_application(Args, Words, Config) ->
    plain(Args,
          fun(Peer) ->
                  ok = merlon_peers:call(Peer, application, start, [merlon]),
                  [#{text := Text}] = [Report || #{event := not_the_carrier} = Report
                                                     <- merlon_peers:log(Peer)],
                  {match, _} = re:run(Text, Words)
          end, Config).

plain(Args, Check, Config) ->
    Quoted = [case Arg =:= dir(Config) of true -> [$"] ++ Arg ++ [$"]; false -> Arg end
              || Arg <- Args],
    {ok, Peer, _} = merlon_peers:start(merlon_peers:name("plain"), Quoted),
    try
        false = merlon_peers:call(Peer, merlon_registry, listening, []),
        Check(Peer)
    after
        merlon_peers:stop(Peer)
    end.

%% ---- helpers ----

dir(Config) -> proplists:get_value(dir, Config).

file(Config, Name) ->
    filename:join([dir(Config), "nodes", atom_to_list(proplists:get_value(node, Config)), Name]).

issued(Now, Config) ->
    ok = merlon_peers:add_node(dir(Config), proplists:get_value(node, Config),
                               #{now => Now, days => 2}).

configured(Line, Config) ->
    ok = file:write_file(filename:join(dir(Config), "merlon.config"), [Line, "\n"], [append]).

%% The node says one sentence with all of Patterns in it and ends, having touched nothing.
refused(Patterns, Config) ->
    Began = erlang:monotonic_time(millisecond),
    {Status, Out, Err} = run(erl(Config), Config),
    Took = erlang:monotonic_time(millisecond) - Began,
    ct:log("~b ms, status ~p: ~ts", [Took, Status, Err]),
    {1, <<>>} = {Status, Out},
    true = Took < ?PATIENCE,
    [<<"merlon: ", Sentence/binary>>, <<>>] = binary:split(Err, <<"\n">>, [global]),
    [{match, _, _} = {re:run(Sentence, Pattern, [{capture, none}]), Pattern, Sentence}
     || Pattern <- Patterns],
    untouched(Config).

%% Nobody has asked epmd for anything; the port could not have been opened.
untouched(Config) ->
    {error, timeout} = gen_tcp:accept(proplists:get_value(epmd, Config), 0),
    ok.

erl(Config) ->
    {ok, Port} = inet:port(proplists:get_value(taken, Config)),
    Range = integer_to_list(Port),
    [filename:join([code:root_dir(), "bin", "erl"]), "-noinput",
     "-name", atom_to_list(proplists:get_value(node, Config)),
     "-kernel", "inet_dist_listen_min", Range, "inet_dist_listen_max", Range
     | proplists:get_value(more, Config, []) ++ merlon_peers:args(dir(Config))].

%% Runs a command; gives its status and what it said.
run(Command, Config) ->
    [Program | Args] = proplists:get_value(as, Config, []) ++ Command,
    {ok, EpmdPort} = inet:port(proplists:get_value(epmd, Config)),
    Err = filename:join(proplists:get_value(priv_dir, Config), merlon_peers:name("stderr")),
    Port = open_port({spawn_executable, "/bin/sh"},
                     [{args, ["-c", "exec \"$0\" \"$@\" 2>" ++ Err, Program | Args]},
                      {env, [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)}, {"ERL_FLAGS", false},
                             {"ERL_AFLAGS", false}, {"ERL_ZFLAGS", false}]},
                      exit_status, binary]),
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    {Status, Out} = collect(Port, Os, <<>>),
    {ok, Said} = file:read_file(Err),
    {Status, Out, Said}.

collect(Port, Os, Said) ->
    receive
        {Port, {data, Bytes}} -> collect(Port, Os, <<Said/binary, Bytes/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 2 * ?PATIENCE ->
            _ = os:cmd("kill -9 " ++ integer_to_list(Os)),
            {still_running, Said}
    end.
