%% SPDX-License-Identifier: Apache-2.0
%% What `merlon audit --wire` finds at plain, inet_tls and merlon nodes, and that no answer of a scanned side hurts.
-module(merlon_wire_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_plain_node_is_found_out/1, an_inet_tls_node_without_client_certificates_is_found_out/1,
         an_inet_tls_node_with_client_certificates_lets_no_stranger_in/1, a_merlon_node_tells_names_and_nothing_else/1,
         epmd_tells_names_and_the_ports_behind_them_are_looked_at/1, endless_bytes_end/1, silence_ends/1,
         escapes_in_names_do_not_reach_the_terminal/1, what_is_no_distribution_is_said_so/1, targets/1,
         the_command_exits_as_the_code_audit_does/1, an_inet_tls_node_with_old_versions_is_found_out/1,
         old_versions_of_openssl_are_told_from_new_ones/1, what_only_looks_like_old_tls_is_none/1,
         nobody_but_the_given_address_is_contacted/1]).

-import(merlon_net_ct, [inet_tls/2, port/1]).

-define(LOCAL, {127, 0, 0, 1}).

all() ->
    [a_plain_node_is_found_out, an_inet_tls_node_without_client_certificates_is_found_out,
     an_inet_tls_node_with_client_certificates_lets_no_stranger_in, a_merlon_node_tells_names_and_nothing_else,
     epmd_tells_names_and_the_ports_behind_them_are_looked_at, endless_bytes_end, silence_ends,
     escapes_in_names_do_not_reach_the_terminal, what_is_no_distribution_is_said_so, targets,
     the_command_exits_as_the_code_audit_does, an_inet_tls_node_with_old_versions_is_found_out,
     old_versions_of_openssl_are_told_from_new_ones, what_only_looks_like_old_tls_is_none,
     nobody_but_the_given_address_is_contacted].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% Rules and what was found, of one port.
scan(Port) -> scan(Port, #{}).

scan(Port, Options) ->
    {ok, [#{result := Result, raws := Raws}]} = merlon_wire:scan({"127.0.0.1", Port}, Options),
    {Result, [{Rule, What} || #{rule := Rule, what := What} <- Raws]}.

plain(Config) -> merlon_net_ct:plain(Config, "merlontest", []).

a_plain_node_is_found_out(Config) ->
    {_, Node, _} = Vm = plain(Config),
    {ok, [{wire_plain, What}]} = scan(port(Vm)),
    true = binary:match(What, atom_to_binary(Node)) =/= nomatch,
    %% Nobody is linked, and the node goes on.
    [] = merlon_ct:call(Vm, erlang, nodes, [connected]).

an_inet_tls_node_without_client_certificates_is_found_out(Config) ->
    {_, Node, _} = Vm = inet_tls(Config, []),
    {ok, Found} = scan(port(Vm)),
    {_, Said} = lists:keyfind(wire_client_cert, 1, Found),
    true = binary:match(Said, atom_to_binary(Node)) =/= nomatch,
    {_, _} = lists:keyfind(wire_tls_old, 1, Found),
    {_, Names} = lists:keyfind(wire_names, 1, Found),
    true = binary:match(Names, <<"spiffe://carrier-tests/node/127.0.0.1/">>) =/= nomatch.

an_inet_tls_node_with_client_certificates_lets_no_stranger_in(Config) ->
    Vm = inet_tls(Config, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, ['tlsv1.3']}]),
    {ok, [{wire_names, _}]} = scan(port(Vm)).

%% As OTP takes them where ssl_dist_optfile asks for them. OTP 27 answers "insufficient security" there, whatever is offered
%% (openssl s_client is told the same): with an ECDSA certificate it takes none, unless TLS 1.0 is all that it has.
an_inet_tls_node_with_old_versions_is_found_out(Config) ->
    [begin
         Vm = inet_tls(Config, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, Versions}]),
         {ok, Found} = scan(port(Vm)),
         Taken = case erlang:system_info(otp_release) =:= "25" orelse Versions =:= ['tlsv1'] of true -> Said; false -> [] end,
         {Versions, Taken} = {Versions, [What || {wire_tls_deprecated, What} <- Found]}
     end || {Versions, Said} <- [{['tlsv1.2', 'tlsv1.1', 'tlsv1'], [<<"takes TLS 1.1">>, <<"takes TLS 1.0">>]},
                                 {['tlsv1.2', 'tlsv1.1'], [<<"takes TLS 1.1">>]},
                                 {['tlsv1'], [<<"takes TLS 1.0">>]}, {['tlsv1.3', 'tlsv1.2'], []}]].

%% A server of another make, with an RSA key.
old_versions_of_openssl_are_told_from_new_ones(Config) ->
    case merlon_openssl:version() of
        {ok, _} ->
            Key = filename:join(merlon_ct:dir(Config), "rsa.key"),
            Cert = filename:join(merlon_ct:dir(Config), "rsa.pem"),
            _ = os:cmd("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=old -days 2 -keyout " ++ Key ++ " -out " ++ Cert),
            [begin
                 {Tool, Port} = merlon_openssl:server(["-cert", Cert, "-key", Key, "-cipher", "DEFAULT:@SECLEVEL=0", Flag]),
                 {Flag, Takes} = {Flag, [merlon_wire_tls_old:takes(?LOCAL, Port, Version, 5000) || Version <- ['tlsv1', 'tlsv1.1']]},
                 merlon_openssl:stop(Tool)
             end || {Flag, Takes} <- [{"-tls1", [true, false]}, {"-tls1_1", [false, true]}, {"-tls1_2", [false, false]},
                                      {"-tls1_3", [false, false]}]];
        none -> {skip, "no openssl"}
    end.

%% A ServerHello in two records is one; another version, an alert, something else in a record and silence are none.
what_only_looks_like_old_tls_is_none(_Config) ->
    Answers = fun(Bytes) -> hostile(fun(Socket, _) -> {ok, _} = gen_tcp:recv(Socket, 5), gen_tcp:send(Socket, Bytes), timer:sleep(1000) end) end,
    [{Bytes, Result} = {Bytes, merlon_wire_tls_old:takes(?LOCAL, Answers(Bytes), 'tlsv1.1', 500)}
     || {Bytes, Result} <- [{<<22, 3, 2, 6:16, 2, 70:24, 3, 2>>, true},
                            {<<22, 3, 2, 4:16, 2, 70:24, 22, 3, 2, 2:16, 3, 2>>, true},
                            {<<22, 3, 1, 6:16, 2, 70:24, 3, 1>>, false}, {<<22, 3, 3, 6:16, 2, 70:24, 3, 3>>, false},
                            {<<21, 3, 2, 2:16, 2, 70>>, false}, {<<22, 3, 2, 6:16, 1, 70:24, 3, 2>>, false},
                            {<<22, 3, 2, 1:16, 2, 22, 3, 2, 1:16, 0, 22, 3, 2, 1:16, 0, 22, 3, 2, 1:16, 70, 22, 3, 2, 2:16, 3, 2>>, false},
                            {<<22, 3, 2, 0:16>>, false}, {<<22, 3, 2, -1:16>>, false}, {<<"SSH-2.0-x\r\n">>, false},
                            {<<22, 3>>, silent}, {<<>>, silent}]].

a_merlon_node_tells_names_and_nothing_else(Config) ->
    {_, Node, _} = Vm = merlon_ct:start(Config, "walled"),
    {ok, [{wire_names, Names}]} = scan(port(Vm)),
    [Name, _] = string:split(atom_to_list(Node), "@"),
    true = binary:match(Names, list_to_binary(Name)) =/= nomatch.

epmd_tells_names_and_the_ports_behind_them_are_looked_at(Config) ->
    {_, Node, _} = Vm = plain(Config),
    Port = port(Vm),
    [Name, _] = string:split(atom_to_list(Node), "@"),
    with_epmd(["name ", Name, " at port ", integer_to_list(Port), "\n"], fun() ->
        {ok, [#{raws := [#{rule := wire_epmd, what := Told}]}, #{raws := [#{rule := wire_plain}]}]} =
            merlon_wire:scan({"127.0.0.1", default}, #{}),
        true = binary:match(Told, list_to_binary(Name)) =/= nomatch
    end).

%% Whatever the one that is asked says of others: names of hosts in epmd's answer, names and places in a certificate (where its CA
%% and its revocation lists are), a redirect. Nothing is looked up either. The tracer sees what is meant to happen, so that it sees.
nobody_but_the_given_address_is_contacted(Config) ->
    Redirect = hostile(fun(Socket, _) ->
        gen_tcp:send(Socket, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.3:80/\r\n\r\n"),
        gen_tcp:close(Socket)
    end),
    case merlon_openssl:version() of
        {ok, _} ->
            {Tool, Tls} = merlon_openssl:server(talkative(Config)),
            Names = [["name ", Name, " at port ", integer_to_list(Port), "\n"]
                     || {Name, Port} <- [{"far@127.0.0.4", Tls}, {"away.invalid", Redirect}]],
            with_epmd(Names, fun() ->
                Epmd = list_to_integer(os:getenv("ERL_EPMD_PORT")),
                {Results, Contacts} = contacts(fun() -> merlon_wire:scan({"127.0.0.1", default}, #{wait => 2000}) end),
                {ok, [#{raws := [#{rule := wire_epmd}]} | Ports]} = Results,
                [_ | _] = [x || #{raws := Raws} <- Ports, #{what := What} <- Raws, binary:match(What, <<"other.invalid">>) =/= nomatch],
                Expected = lists:sort([{prim_inet, connect, {?LOCAL, Port}} || Port <- [Epmd, Redirect, Tls]]),
                Expected = lists:usort(Contacts)
            end),
            merlon_openssl:stop(Tool);
        none -> {skip, "no openssl"}
    end.

%% A server's certificate that names others wherever one can.
talkative(Config) ->
    Base = filename:join(merlon_ct:dir(Config), "talkative"),
    ok = file:write_file(Base ++ ".cnf", ["[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=other.invalid\n[v3]\n",
                                         "subjectAltName=DNS:other.invalid,URI:http://127.0.0.5/,IP:127.0.0.6\n",
                                         "authorityInfoAccess=OCSP;URI:http://127.0.0.7/,caIssuers;URI:http://127.0.0.8/\n",
                                         "crlDistributionPoints=URI:http://127.0.0.9/crl\n"]),
    _ = os:cmd(["openssl req -x509 -newkey rsa:2048 -nodes -days 2 -config ", Base, ".cnf -keyout ", Base, ".key -out ", Base, ".pem"]),
    ["-cert", Base ++ ".pem", "-key", Base ++ ".key"].

%% Where connections and datagrams go while Does runs, and what is looked up.
contacts(Does) ->
    Traced = [{prim_inet, connect, 4}, {prim_inet, sendto, '_'}, {prim_inet, sendmsg, '_'}, {socket, connect, '_'}, {socket, sendto, '_'},
              {inet_gethost_native, gethostbyname, '_'}, {inet_gethost_native, gethostbyaddr, '_'}, {inet_res, resolve, '_'}],
    [{module, _} = code:ensure_loaded(M) || {M, _, _} <- Traced],
    _ = [erlang:trace_pattern(Mfa, true, [local]) || Mfa <- Traced],
    _ = erlang:trace(all, true, [call]),
    %% Whoever traces is not traced.
    {Pid, Monitor} = spawn_monitor(fun() -> exit({done, Does()}) end),
    Result = receive {'DOWN', Monitor, process, Pid, Ended} -> Ended end,
    _ = erlang:trace(all, false, [call]),
    _ = [erlang:trace_pattern(Mfa, false, [local]) || Mfa <- Traced],
    {done, Value} = Result,
    {Value, seen()}.

seen() ->
    receive
        {trace, _, call, {prim_inet, connect, [_, {Ip, Port}, 0 | _]}} -> [{prim_inet, connect, {Ip, Port}} | seen()];
        {trace, _, call, {prim_inet, connect, [_, Ip, Port | _]}} -> [{prim_inet, connect, {Ip, Port}} | seen()];
        {trace, _, call, {M, F, Args}} -> [{M, F, Args} | seen()]
    after 100 -> []
    end.

%% An epmd of our own, at a port of its own.
with_epmd(Text, Test) ->
    Port = hostile(fun(Socket, At) -> {ok, _} = gen_tcp:recv(Socket, 3), gen_tcp:send(Socket, [<<At:32>>, Text]) end),
    true = os:putenv("ERL_EPMD_PORT", integer_to_list(Port)),
    try Test() after os:unsetenv("ERL_EPMD_PORT") end.

%% Somebody at a port who does that with each who comes.
hostile(Does) ->
    Self = self(),
    _ = spawn_link(fun() ->
        {ok, Listener} = gen_tcp:listen(0, [binary, {ip, ?LOCAL}, {active, false}]),
        {ok, Port} = inet:port(Listener),
        Self ! {port, Port},
        received(Listener, Port, Does)
    end),
    receive {port, Port} -> Port end.

received(Listener, Port, Does) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> Does(Socket, Port) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    received(Listener, Port, Does).

timed(Test) ->
    {Micros, Result} = timer:tc(Test),
    {Micros div 1000, Result}.

endless(Socket, Bytes) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> endless(Socket, Bytes);
        {error, _} -> ok
    end.

endless_bytes_end(_Config) ->
    Before = erlang:memory(binary),
    [begin
         Port = hostile(fun(Socket, _) -> endless(Socket, binary:copy(Bytes, 8192)) end),
         {Time, {ok, [#{result := {error, 0, _}, raws := []}]}} =
             timed(fun() -> merlon_wire:scan({"127.0.0.1", Port}, #{wait => 500}) end),
         true = Time < 8000
     end || Bytes <- [<<"name x at port 1\n">>, <<0>>, <<255>>, <<22, 3, 3, 64, 0>>]],
    Port = hostile(fun(Socket, At) -> _ = gen_tcp:send(Socket, <<At:32>>), endless(Socket, binary:copy(<<"name x at port 1\n">>, 999)) end),
    {error, too_long} = merlon_wire_epmd:names(?LOCAL, Port, 5000),
    true = erlang:memory(binary) - Before < 16#2000000.

silence_ends(_Config) ->
    Port = hostile(fun(_Socket, _) -> timer:sleep(60000) end),
    {Time, {{error, 0, Why}, []}} = timed(fun() -> scan(Port, #{wait => 300}) end),
    true = Time < 4000,
    match = re:run(Why, "does not answer", [{capture, none}]),
    {error, silent} = merlon_wire_epmd:names(?LOCAL, Port, 300).

escapes_in_names_do_not_reach_the_terminal(_Config) ->
    Evil = <<"x\e[2J\e]0;owned\a\r\n@", 155, "2J">>,
    Node = hostile(fun(Socket, _) ->
        {ok, <<Size:16>>} = gen_tcp:recv(Socket, 2),
        {ok, _} = gen_tcp:recv(Socket, Size),
        Challenge = merlon_wire_dist:challenge(Evil, 1, 0),
        gen_tcp:send(Socket, [<<3:16, "sok">>, <<(byte_size(Challenge)):16>>, Challenge])
    end),
    {ok, [{wire_plain, What}]} = scan(Node),
    match = re:run(What, "\\A[ -~]*\\z", [{capture, none}]),
    match = re:run(What, "owned", [{capture, none}]),
    with_epmd(["name ", Evil, " at port 9\n", "name good at port 7\n"], fun() ->
        {ok, [#{raws := [#{what := Told}]} | _]} = merlon_wire:scan({"127.0.0.1", default}, #{wait => 300}),
        match = re:run(Told, "\\A[ -~]*\\z", [{capture, none}])
    end).

what_is_no_distribution_is_said_so(_Config) ->
    Port = hostile(fun(Socket, _) -> gen_tcp:send(Socket, "SSH-2.0-OpenSSH_9\r\n"), gen_tcp:close(Socket) end),
    {{error, 0, _}, []} = scan(Port),
    {ok, Free} = gen_tcp:listen(0, [{ip, ?LOCAL}]),
    {ok, Closed} = inet:port(Free),
    ok = gen_tcp:close(Free),
    {{error, 0, "nothing listens there" ++ _}, []} = scan(Closed).

targets(_Config) ->
    {ok, {"host.example", default}} = merlon_wire:target("host.example"),
    {ok, {"10.0.0.1", 9100}} = merlon_wire:target("10.0.0.1:9100"),
    {ok, {"::1", 9100}} = merlon_wire:target("[::1]:9100"),
    {ok, {"::1", default}} = merlon_wire:target("::1"),
    {ok, {"::1", default}} = merlon_wire:target("[::1]"),
    [error = merlon_wire:target(Text) || Text <- ["", "a:b", "a:70000", "a:0", "a b", "[::1", ":9"]].

the_command_exits_as_the_code_audit_does(Config) ->
    Vm = plain(Config),
    At = "127.0.0.1:" ++ integer_to_list(port(Vm)),
    {1, Text, <<>>} = merlon_cli:run(["audit", "--wire", At]),
    match = re:run(Text, "1 port scanned: 0 critical, 1 high", [{capture, none}]),
    {0, _, <<>>} = merlon_cli:run(["audit", "--wire", At, "--fail-on", "critical"]),
    {1, Sarif, <<>>} = merlon_cli:run(["audit", "--wire", At, "--format", "sarif"]),
    match = re:run(Sarif, "\"ruleId\":\"wire_plain\"", [{capture, none}]),
    {1, Json, <<>>} = merlon_cli:run(["audit", "--wire", At, "--format", "json"]),
    match = re:run(Json, "\"scanned\":{\"port\":1}", [{capture, none}]),
    {1, _, <<>>} = merlon_cli:run(["audit", "--wire", At, "--format", "html"]),
    {0, _, <<>>} = merlon_cli:run(["audit", "--wire", At, "--skip", "wire_plain"]),
    [{2, <<>>, _} = merlon_cli:run(["audit" | Args])
     || Args <- [["--wire", "a:b"], ["--wire", At, "--node", "x@y"], ["lib", "--wire", At], ["--cluster"], ["--wire", At, "--keep", "f"],
                 ["--bait", "nowhere"], ["--bait", "127.0.0.1", "--for", "1y"], ["--node", "x"]]].
