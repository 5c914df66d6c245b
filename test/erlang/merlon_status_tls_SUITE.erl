%% SPDX-License-Identifier: Apache-2.0
%% The status page where others can reach it: who gets to see it, and who gets nothing at all.
-module(merlon_status_tls_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_tool_sees_the_page/1, who_is_no_tool_of_the_cluster_gets_nothing/1, who_is_revoked_gets_nothing_from_then_on/1,
         what_is_no_https_gets_nothing/1, the_node_proves_who_it_is/1, the_door_of_the_node_counts/1,
         it_is_never_served_in_the_clear_there/1, silent_ones_keep_nobody_out/1]).

-define(REQUEST(Path), "GET " Path " HTTP/1.1\r\nHost: any.example\r\n\r\n").
-define(HTTP, {alpn_advertised_protocols, [<<"h2">>, <<"http/1.1">>]}).

all() ->
    [a_tool_sees_the_page, who_is_no_tool_of_the_cluster_gets_nothing, who_is_revoked_gets_nothing_from_then_on,
     what_is_no_https_gets_nothing, the_node_proves_who_it_is, the_door_of_the_node_counts,
     it_is_never_served_in_the_clear_there, silent_ones_keep_nobody_out].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Opened = merlon_ct:open(Config),
    setting(Opened, "{\"0.0.0.0\", 0}", ""),
    {0, _, <<>>} = merlon_cli:run(["cert", "--cli", "alice", "127.0.0.1", "--dir", merlon_ct:dir(Opened)]),
    Opened.

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) ->
    setting(Config, "{\"0.0.0.0\", 0}", ""),
    merlon_ct:cleanup(Config).

a_tool_sees_the_page(Config) ->
    A = served(Config),
    <<"HTTP/1.1 200 OK\r\n", Page/binary>> = page(A, Config),
    {match, _} = re:run(Page, ["<main>(?s).*", atom_to_list(name(A))]),
    <<"HTTP/1.1 200 OK\r\n", Json/binary>> = https(A, alice(Config), ?REQUEST("/status.json")),
    {match, _} = re:run(Json, ["\"node\":\"", atom_to_list(name(A))]),
    %% A byte at a time, too.
    {ok, Socket} = connect(A, alice(Config)),
    [ok = ssl:send(Socket, [Byte]) || Byte <- ?REQUEST("/x")],
    <<"HTTP/1.1 404 Not Found\r\n", _/binary>> = all_of(Socket, []),
    [] = refusals(A).

who_is_no_tool_of_the_cluster_gets_nothing(Config) ->
    Dir = merlon_ct:dir(Config),
    Other = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests"),
    ok = merlon_peers:add_cli(Other, "alice", "127.0.0.1"),
    Old = older(Dir, Config),
    A = served(Config),
    nothing(A, [], no_certificate),
    nothing(A, files([Dir, "nodes", name(A)]), not_a_tool),
    nothing(A, files([Other, "cli", "alice@127.0.0.1"]), unknown_issuer),
    nothing(A, files([Old, "cli", "late@127.0.0.1"]), expired),
    <<"HTTP/1.1 200", _/binary>> = page(A, Config),
    {match, _} = re:run([Text || #{reason := not_a_tool, text := Text} <- refusals(A)], "status page: .*merlon cert --cli").

who_is_revoked_gets_nothing_from_then_on(Config) ->
    Dir = merlon_ct:dir(Config),
    {0, _, <<>>} = merlon_cli:run(["cert", "--cli", "mallory", "127.0.0.1", "--dir", Dir]),
    A = served(Config),
    Mallory = files([Dir, "cli", "mallory@127.0.0.1"]),
    <<"HTTP/1.1 200", _/binary>> = https(A, Mallory, ?REQUEST("/")),
    {0, _, <<>>} = merlon_cli:run(["revoke", "mallory@127.0.0.1", "--dir", Dir]),
    {ok, _} = merlon_ct:call(A, merlon, reload, []),
    nothing(A, Mallory, revoked),
    <<"HTTP/1.1 200", _/binary>> = page(A, Config).

what_is_no_https_gets_nothing(Config) ->
    A = served(Config),
    {ok, Plain} = gen_tcp:connect({127, 0, 0, 1}, port(A), [binary, {active, false}]),
    ok = gen_tcp:send(Plain, ?REQUEST("/")),
    nomatch = re:run(merlon_attacker:last_words(Plain), "HTTP|main"),
    said(A, not_tls),
    %% Nor does what dials links, or names, get a page; or what speaks older TLS.
    [begin
         {_, <<>>} = {Alpn, https(A, lists:keydelete(alpn_advertised_protocols, 1, alice(Config)) ++ Alpn, ?REQUEST("/"))},
         said(A, wrong_alpn)
     end || Alpn <- [[], [{alpn_advertised_protocols, [<<"merlon/1">>]}], [{alpn_advertised_protocols, [<<"merlon-names/1">>]}]]],
    {error, _} = connect(A, lists:keyreplace(versions, 1, alice(Config), {versions, ['tlsv1.2']})),
    said(A, old_tls).

%% With the very names of its certificate: the client here compares them.
the_node_proves_who_it_is(Config) ->
    A = served(Config),
    <<"HTTP/1.1 200", _/binary>> = page(A, Config),
    {ok, Socket} = connect(A, alice(Config)),
    {ok, Cert} = ssl:peercert(Socket),
    true = public_key:pkix_verify_hostname(Cert, [{ip, {127, 0, 0, 1}}]),
    false = public_key:pkix_verify_hostname(Cert, [{dns_id, "evil.example"}]),
    ok = ssl:close(Socket).

the_door_of_the_node_counts(Config) ->
    A = served(Config),
    setting(Config, "{\"0.0.0.0\", 0}", "{deny, [\"127.0.0.0/8\"]}.\n"),
    {ok, _} = merlon_ct:call(A, merlon, reload, []),
    {error, _} = connect(A, alice(Config)),
    said(A, denied),
    %% The exception for the host's own nodes is the port of names'.
    Denied = length([R || #{reason := denied} = R <- refusals(A)]),
    setting(Config, "{\"0.0.0.0\", 0}", "{allow, [\"10.0.0.0/8\"]}.\n"),
    {ok, _} = merlon_ct:call(A, merlon, reload, []),
    {error, _} = connect(A, alice(Config)),
    merlon_peers:wait(fun() -> length([R || #{reason := denied} = R <- refusals(A)]) > Denied end).

%% The same node goes from loopback to everywhere and back.
it_is_never_served_in_the_clear_there(Config) ->
    A = served(Config),
    setting(Config, "{\"127.0.0.1\", 0}", ""),
    wait_for(A, {127, 0, 0, 1}),
    {match, _} = re:run(plain(A), "^HTTP/1.1 421"), % of a foreign host, but in the clear
    {error, _} = connect(A, alice(Config)),
    setting(Config, "{\"::\", 0}", ""),
    wait_for(A, {0, 0, 0, 0, 0, 0, 0, 0}),
    setting(Config, "{\"0.0.0.0\", 0}", ""),
    wait_for(A, {0, 0, 0, 0}),
    nomatch = re:run(plain(A), "HTTP"),
    <<"HTTP/1.1 200", _/binary>> = page(A, Config).

silent_ones_keep_nobody_out(Config) ->
    A = served(Config),
    Silent = [element(2, {ok, _} = gen_tcp:connect({127, 0, 0, 1}, port(A), [])) || _ <- lists:seq(1, 100)],
    <<"HTTP/1.1 200", _/binary>> = page(A, Config),
    [_ = gen_tcp:close(Socket) || Socket <- Silent],
    ok.

%% ---- helpers ----

%% Has a tool whose certificate has run out, of a CA that Dir trusts too.
older(Dir, Config) ->
    Then = erlang:system_time(second) - 9 * 86400,
    Old = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests", Then),
    {ok, _} = file:copy(filename:join([Old, "ca", "ca.pem"]), filename:join([Dir, "trust", "old.pem"])),
    ok = merlon_peers:add_cli(Old, "late", "127.0.0.1", #{now => Then}),
    Old.

setting(Config, Value, More) ->
    File = filename:join(merlon_ct:dir(Config), "merlon.config"),
    ok = file:write_file(File ++ ".new", ["{cluster, \"carrier-tests\"}.\n{log_interval, 0}.\n{status, ", Value, "}.\n", More]),
    ok = file:rename(File ++ ".new", File).

served(Config) ->
    Dir = merlon_ct:dir(Config),
    Node = merlon_peers:node(merlon_peers:name("s")),
    ok = merlon_peers:add_node(Dir, Node),
    %% In double quotes: an application is not started with an environment that is no Erlang term.
    Vm = merlon_ct:start(Config, Node, [], #{dir => lists:append(["\"", Dir, "\""]), certify => false}),
    ok = merlon_ct:call(Vm, application, start, [merlon]),
    wait_for(Vm, {0, 0, 0, 0}),
    Vm.

wait_for(Vm, Ip) ->
    merlon_peers:wait(fun() ->
                              case merlon_ct:call(Vm, merlon_status, address, []) of
                                  {Ip, _} -> true;
                                  _ -> false
                              end
                      end).

name({_, Node, _}) -> Node.

port(Vm) ->
    {_, Port} = merlon_ct:call(Vm, merlon_status, address, []),
    Port.

alice(Config) ->
    Dir = merlon_ct:dir(Config),
    [{verify, verify_peer}, {cacertfile, filename:join([Dir, "trust", "ca.pem"])} | files([Dir, "cli", "alice@127.0.0.1"])].

files(Folder) ->
    [{certfile, filename:join(Folder ++ ["cert.pem"])}, {keyfile, filename:join(Folder ++ ["key.pem"])}, {versions, ['tlsv1.3']}, ?HTTP].

connect(Vm, Opts) ->
    Full = case lists:keymember(verify, 1, Opts) of
               true -> Opts;
               false -> [{verify, verify_none}, ?HTTP | lists:keydelete(alpn_advertised_protocols, 1, Opts)]
           end,
    ssl:connect({127, 0, 0, 1}, port(Vm), [binary, {active, false}, {log_level, none} | Full], 5000).

page(Vm, Config) -> https(Vm, alice(Config), ?REQUEST("/")).

%% All that came until the node hung up; in TLS 1.3 a client hears only then that it is refused.
https(Vm, Opts, Request) ->
    case connect(Vm, Opts) of
        {ok, Socket} ->
            _ = ssl:send(Socket, Request),
            all_of(Socket, []);
        {error, _} -> <<>>
    end.

all_of(Socket, Got) ->
    case ssl:recv(Socket, 0, 5000) of
        {ok, Bytes} -> all_of(Socket, [Got, Bytes]);
        {error, _} ->
            _ = ssl:close(Socket),
            iolist_to_binary(Got)
    end.

plain(Vm) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, port(Vm), [binary, {active, false}]),
    ok = gen_tcp:send(Socket, ?REQUEST("/")),
    merlon_attacker:last_words(Socket).

nothing(Vm, Opts, Reason) ->
    {_, <<>>} = {Reason, https(Vm, Opts, ?REQUEST("/"))},
    said(Vm, Reason).

said(Vm, Reason) ->
    merlon_peers:wait(fun() -> [yes || #{reason := Said} <- refusals(Vm), Said =:= Reason] =/= [] end).

refusals({Peer, _, _}) -> [Report || #{event := refused} = Report <- merlon_peers:log(Peer)].
