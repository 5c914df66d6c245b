%% SPDX-License-Identifier: Apache-2.0
%% The status page of real nodes, and what hostile clients get of it.
-module(merlon_status_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_page_and_json_tell_of_links/1, a_link_comes_and_goes_on_the_page/1, peers_tell_of_links_between_others/1,
         refusals_and_the_keyring_are_on_it/1, nothing_secret_is_on_it/1, there_is_no_page_unless_it_is_configured/1,
         a_port_that_is_taken_is_told_and_tried_again/1,
         a_foreign_host_gets_nothing/1, only_get_and_head/1, a_request_that_is_too_big_is_refused/1,
         a_slow_client_is_cut_off/1, a_hundred_silent_connections_keep_nobody_out/1, a_dead_page_harms_no_link/1]).

-define(LOCAL, "Host: 127.0.0.1\r\n").

all() ->
    [a_page_and_json_tell_of_links, a_link_comes_and_goes_on_the_page, peers_tell_of_links_between_others,
     refusals_and_the_keyring_are_on_it, nothing_secret_is_on_it, there_is_no_page_unless_it_is_configured,
     a_port_that_is_taken_is_told_and_tried_again,
     a_foreign_host_gets_nothing, only_get_and_head, a_request_that_is_too_big_is_refused,
     a_slow_client_is_cut_off, a_hundred_silent_connections_keep_nobody_out, a_dead_page_harms_no_link].

init_per_suite(Config) ->
    Opened = merlon_ct:open(Config),
    setting(Opened, "{\"127.0.0.1\", 0}"),
    Opened.

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) ->
    setting(Config, "{\"127.0.0.1\", 0}"),
    merlon_ct:cleanup(Config).

%% ---- what it shows ----

a_page_and_json_tell_of_links(Config) ->
    [A, B] = nodes_with_page(Config, ["a", "b"]),
    ok = merlon_ct:connect(A, B),
    Page = page(A),
    #{fingerprint := Print, cipher_suite := Cipher} = merlon_ct:link_of(A, name(B)),
    [{_, _} = {binary:match(Page, Text), Text} || Text <- [bin(A), bin(B), Cipher, <<"&rarr; dialled">>, <<"carrier-tests">>]],
    {match, _} = re:run(page(B), "&larr; accepted"),
    Json = json(A),
    [{match, _} = re:run(Json, Words)
     || Words <- [["\"fingerprint\":\"", Print], ["\"node\":\"", bin(B)], ["\"cipher_suite\":\"", Cipher], "\"direction\":\"dial\""]],
    {Head, _} = request(A, "GET / HTTP/1.1\r\n" ?LOCAL "\r\n"),
    [{match, _} = re:run(Head, Words) || Words <- ["default-src 'none'; script-src 'sha256-", "no-store", "nosniff", "frame-ancestors 'none'"]],
    nomatch = re:run(Head, "Access-Control|Set-Cookie|unsafe", [caseless]),
    ok.

a_link_comes_and_goes_on_the_page(Config) ->
    [A, B] = nodes_with_page(Config, ["a", "b"]),
    Shows = fun() -> binary:match(page(A), <<"<bdi>", (bin(B))/binary>>) =/= nomatch end,
    false = Shows(),
    ok = merlon_ct:connect(A, B),
    true = Shows(),
    true = merlon_ct:call(A, erlang, disconnect_node, [name(B)]),
    merlon_peers:wait(fun() -> not Shows() end),
    {match, _} = re:run(page(A), "No links"),
    %% Nor has looking at it made the link again.
    [] = merlon_ct:call(A, erlang, nodes, [connected]),
    ok = merlon_ct:connect(B, A),
    true = Shows(),
    {match, _} = re:run(page(A), "accepted").

%% A has no link to C. D's application is not started.
peers_tell_of_links_between_others(Config) ->
    Apart = ["-connect_all", "false"],
    [A, B, C] = nodes_with_page(Config, ["a", "b", "c"], Apart),
    D = started(Config, "d", Apart),
    [ok = merlon_ct:connect(From, To) || {From, To} <- [{A, B}, {B, C}, {A, D}]],
    merlon_peers:wait(fun() -> binary:match(page(A), bin(C)) =/= nomatch end),
    {match, [Silent]} = re:run(page(A), "Not told by <bdi>([^<]*)</bdi>\\.", [{capture, all_but_first, binary}]),
    Silent = bin(D),
    %% What has no shape that it must have is not taken, and a stranger's word is not either.
    [begin
         _ = merlon_ct:call(B, erlang, send, [{merlon_status, name(A)}, {merlon_status, 1, From, {links, Said}}]),
         true = is_binary(page(A))
     end || From <- [control_of(B), self(), none], Said <- [nonsense, [1 | 2], [#{node => '<script>'}]]],
    nomatch = binary:match(page(A), <<"&lt;script">>),
    true = merlon_ct:call(B, erlang, disconnect_node, [name(C)]),
    merlon_peers:wait(fun() -> binary:match(page(A), bin(C)) =:= nomatch end).

refusals_and_the_keyring_are_on_it(Config) ->
    [Dir] = merlon_rotate_ct:dirs(1, Config),
    merlon_rotate_ct:put_keyring(Dir, [merlon_rotate_ct:entry(1, -100, never), merlon_rotate_ct:entry(2, -200, 3000)]),
    A = with_keyring(Config, Dir),
    [{match, _} = re:run(page(A), [merlon_rotate_ct:id(Byte), "</code><td>", Stage])
     || {Byte, Stage} <- [{1, "<b class=\"good\">in use"}, {2, "grace"}]],
    {match, _} = re:run(page(A), "Nobody was refused"),
    {port, Port, _} = erl_epmd:port_please(hd(string:split(atom_to_list(name(A)), "@")), {127, 0, 0, 1}),
    [begin
         {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
         ok = gen_tcp:send(Socket, <<"GET / HTTP/1.1\r\n\r\n">>),
         _ = merlon_attacker:last_words(Socket)
     end || _ <- lists:seq(1, 3)],
    merlon_peers:wait(fun() -> re:run(page(A), "<code>not_tls</code><td><span class=\"number\">3<", [{capture, none}]) =:= match end),
    {match, _} = re:run(json(A), "\"reasons\":\\[\\{\"count\":3,\"reason\":\"not_tls\"").

nothing_secret_is_on_it(Config) ->
    [Dir] = merlon_rotate_ct:dirs(1, Config),
    A = with_keyring(Config, Dir),
    {ok, Keyring} = file:read_file(filename:join(Dir, "keyring")),
    {ok, Key} = file:read_file(filename:join([Dir, "nodes", bin(A), "key.pem"])),
    Secret = merlon_rotate_ct:secret(1),
    [_, Pem | _] = binary:split(Key, <<"\n">>, [global]),
    {match, _} = re:run(Keyring, hex(Secret)),
    [nomatch = binary:match(Shown, Hidden)
     || Shown <- [page(A), json(A)],
        Hidden <- [hex(Secret), string:uppercase(hex(Secret)), base64:encode(Secret), Secret, Pem, <<"merlontest">>, <<"PRIVATE">>,
                   unicode:characters_to_binary(Dir)]],
    ok.

there_is_no_page_unless_it_is_configured(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    {_, Port} = merlon_ct:call(A, merlon_status, address, []),
    setting(Config, "off"),
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_status, address, []) =:= off end),
    {error, econnrefused} = gen_tcp:connect({127, 0, 0, 1}, Port, []),
    %% What is no place is refused, with the line: what was in use stays.
    setting(Config, "{\"localhost\", 0}"),
    {error, {config, _} = Reason} = merlon_ct:call(A, merlon, reload, []),
    {match, _} = re:run(merlon:format_error(Reason), "merlon.config:3: status must be off or"),
    off = merlon_ct:call(A, merlon_status, address, []),
    setting(Config, "{\"::1\", 0}"),
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_status, address, []) =/= off end),
    {{0, 0, 0, 0, 0, 0, 0, 1}, _} = merlon_ct:call(A, merlon_status, address, []),
    {match, _} = re:run(page(A), "<main>").

a_port_that_is_taken_is_told_and_tried_again(Config) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    setting(Config, ["{\"127.0.0.1\", ", integer_to_list(Port), "}"]),
    A = started(Config, "a", []),
    ok = merlon_ct:call(A, application, start, [merlon]),
    Told = fun() -> [Text || #{event := status_failed, text := Text} <- merlon_peers:log(element(1, A))] end,
    merlon_peers:wait(fun() -> Told() =/= [] end),
    timer:sleep(2500),
    [Text] = Told(),
    {match, _} = re:run(Text, ["port ", integer_to_list(Port), ": address already in use; free it"]),
    ok = gen_tcp:close(Listener),
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_status, address, []) =:= {{127, 0, 0, 1}, Port} end),
    {match, _} = re:run(page(A), "<main>").

%% ---- hostile clients ----

a_foreign_host_gets_nothing(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    [begin
         {Head, Body} = request(A, ["GET ", Path, " HTTP/1.1\r\n", Hosts, "\r\n"]),
         {match, _} = re:run(Head, ["^HTTP/1.1 ", Status]),
         nomatch = binary:match(Body, bin(A))
     end || Path <- ["/", "/status.json"],
            {Hosts, Status} <- [{"Host: evil.example\r\n", "421"}, {"Host: 127.0.0.1.evil.example\r\n", "421"}, {"", "400"},
                                {"Host: localhost\r\nHost: evil.example\r\n", "400"}, {"Host: evil.example\r\n" ?LOCAL, "400"}]],
    {match, _} = re:run(element(1, request(A, "GET http://127.0.0.1/ HTTP/1.1\r\n" ?LOCAL "\r\n")), "^HTTP/1.1 400").

only_get_and_head(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    [{match, _} = re:run(element(1, request(A, [Method, " / HTTP/1.1\r\n" ?LOCAL "Content-Length: 5\r\n\r\nhello"])), Status)
     || {Method, Line} <- [{"POST", "405 .*\r\nAllow: GET, HEAD"}, {"PUT", "405 "}, {"DELETE", "405 "}, {"OPTIONS", "405 "}, {"BREW", "405 "}],
        Status <- [["(?s)^HTTP/1.1 ", Line]]],
    {Head, <<>>} = request(A, "HEAD / HTTP/1.1\r\n" ?LOCAL "\r\n"),
    {match, _} = re:run(Head, "^HTTP/1.1 200 OK"),
    [{match, _} = re:run(element(1, request(A, Bytes)), "^HTTP/1.1 (400|404|505)")
     || Bytes <- ["GET /x HTTP/1.1\r\n" ?LOCAL "\r\n", "GET /../../etc/passwd HTTP/1.1\r\n" ?LOCAL "\r\n", "GET /\r\n\r\n",
                  [22, 3, 1, 2, 0, "\r\n\r\n"], "PRI * HTTP/2.0\r\n\r\n"]],
    ok.

a_request_that_is_too_big_is_refused(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    Long = binary:copy(<<"x">>, 100000),
    [begin
         {Head, Body} = request(A, Bytes),
         nomatch = re:run([Head, Body], "200 OK|<main>"),
         match = re:run(Head, "^(HTTP/1.1 (400|431) .*)?", [{capture, none}])
     end || Bytes <- [["GET /", Long, " HTTP/1.1\r\n" ?LOCAL "\r\n"], ["GET / HTTP/1.1\r\n" ?LOCAL "X: ", Long, "\r\n\r\n"],
                      ["GET / HTTP/1.1\r\n" ?LOCAL, ["X: y\r\n" || _ <- lists:seq(1, 100)], "\r\n"]]],
    {match, _} = re:run(element(1, request(A, ["GET / HTTP/1.1\r\n" ?LOCAL, ["X: y\r\n" || _ <- lists:seq(1, 100)], "\r\n"])), "^HTTP/1.1 431"),
    {match, _} = re:run(page(A), "<main>").

a_slow_client_is_cut_off(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    Socket = connect(A),
    Start = erlang:monotonic_time(millisecond),
    ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\n" ?LOCAL),
    Gone = drip(Socket, Start + 15000),
    Took = Gone - Start,
    ct:log("cut off after ~b ms", [Took]),
    true = Took > 3000 andalso Took < 9000.

%% A header every 200 ms, until the other side has had enough.
drip(Socket, Until) ->
    true = erlang:monotonic_time(millisecond) < Until,
    case {gen_tcp:send(Socket, "X: y\r\n"), gen_tcp:recv(Socket, 0, 200)} of
        {ok, {error, timeout}} -> drip(Socket, Until);
        {_, {ok, <<"HTTP/1.1 4", _/binary>>}} -> erlang:monotonic_time(millisecond);
        {_, {error, _}} -> erlang:monotonic_time(millisecond)
    end.

a_hundred_silent_connections_keep_nobody_out(Config) ->
    [A] = nodes_with_page(Config, ["a"]),
    #{fds := Before} = merlon_ct:resources(A),
    Silent = [connect(A) || _ <- lists:seq(1, 100)],
    {match, _} = re:run(page(A), "<main>"),
    merlon_peers:wait(fun() -> maps:get(fds, merlon_ct:resources(A)) - Before =< 33 end, 3000),
    [_ = gen_tcp:close(Socket) || Socket <- Silent],
    merlon_peers:wait(fun() -> maps:get(fds, merlon_ct:resources(A)) - Before =< 1 end).

a_dead_page_harms_no_link(Config) ->
    [A, B] = nodes_with_page(Config, ["a", "b"]),
    ok = merlon_ct:connect(A, B),
    #{since := Since} = merlon_ct:link_of(A, name(B)),
    [begin
         Pid = merlon_ct:call(A, erlang, whereis, [Name]),
         true = merlon_ct:call(A, erlang, exit, [Pid, kill]),
         merlon_peers:wait(fun() -> not lists:member(merlon_ct:call(A, erlang, whereis, [Name]), [Pid, undefined]) end)
     end || Name <- [merlon_status, merlon_status_http, merlon_status, merlon_status_http, merlon_status]],
    merlon_peers:wait(fun() -> merlon_ct:call(A, merlon_status, address, []) =/= off end),
    {match, _} = re:run(page(A), bin(B)),
    #{since := Since} = merlon_ct:link_of(A, name(B)).

%% ---- helpers ----

setting(Config, Value) -> setting_in(merlon_ct:dir(Config), "carrier-tests", Value).

setting_in(Dir, Cluster, Value) ->
    File = filename:join(Dir, "merlon.config"),
    ok = file:write_file(File ++ ".new", ["{cluster, \"", Cluster, "\"}.\n{log_interval, 0}.\n{status, ", Value, "}.\n"]),
    ok = file:rename(File ++ ".new", File).

nodes_with_page(Config, Bases) -> nodes_with_page(Config, Bases, []).

nodes_with_page(Config, Bases, Args) ->
    [served(started(Config, Base, Args)) || Base <- Bases].

started(Config, Base, Args) -> started_in(Config, merlon_ct:dir(Config), merlon_peers:node(merlon_peers:name(Base)), Args).

%% In double quotes: an application is not started with an environment that is no Erlang term.
started_in(Config, Dir, Node, Args) ->
    ok = merlon_peers:add_node(Dir, Node),
    merlon_ct:start(Config, Node, Args, #{dir => lists:append(["\"", Dir, "\""]), certify => false}).

served(Vm) ->
    ok = merlon_ct:call(Vm, application, start, [merlon]),
    merlon_peers:wait(fun() -> merlon_ct:call(Vm, merlon_status, address, []) =/= off end),
    Vm.

with_keyring(Config, Dir) ->
    setting_in(Dir, "live", "{\"127.0.0.1\", 0}"),
    served(started_in(Config, Dir, merlon_peers:node(merlon_peers:name("k")), [])).

name({_, Node, _}) -> Node.
bin(Vm) -> atom_to_binary(name(Vm)).
control_of(Vm) -> merlon_ct:call(Vm, erlang, whereis, [merlon_status]).
hex(Bytes) -> string:lowercase(binary:encode_hex(Bytes)).

page(Vm) -> ok_body(Vm, "/").
json(Vm) -> ok_body(Vm, "/status.json").

ok_body(Vm, Path) ->
    {<<"HTTP/1.1 200 OK\r\n", _/binary>>, Body} = request(Vm, ["GET ", Path, " HTTP/1.1\r\n" ?LOCAL "\r\n"]),
    Body.

connect(Vm) ->
    {Ip, Port} = merlon_ct:call(Vm, merlon_status, address, []),
    {ok, Socket} = gen_tcp:connect(Ip, Port, [binary, {active, false}, {packet, raw}]),
    Socket.

%% What comes back until the other side closes: head and body; nothing, if it just hangs up.
request(Vm, Bytes) ->
    Socket = connect(Vm),
    _ = gen_tcp:send(Socket, Bytes),
    All = merlon_attacker:last_words(Socket),
    _ = gen_tcp:close(Socket),
    case binary:split(All, <<"\r\n\r\n">>) of
        [Head, Body] -> {Head, Body};
        [Rest] -> {Rest, <<>>}
    end.
