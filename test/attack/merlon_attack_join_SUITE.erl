%% SPDX-License-Identifier: Apache-2.0
%% Joining under attack: tokens that are stolen, raced for, out of time or for somebody else; servers that are not the
%% cluster's; clients that keep to nothing. What must hold each time: who may not have a certificate gets none, and an
%% attack that proves no token spends none.
-module(merlon_attack_join_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([a_stolen_token_works_once_and_the_second_use_is_told/1, of_20_who_race_one_joins/1,
         of_many_processes_one_takes_a_token/1, an_expired_token_is_refused/1, a_token_that_runs_out_after_its_proof_is_refused/1,
         a_revoked_token_is_refused/1, a_token_for_another_name_is_refused/1, a_request_for_more_than_the_token_allows_is_refused/1,
         a_pattern_gives_no_name_that_has_a_certificate/1, a_join_server_of_another_ca_is_shown_nothing/1,
         a_join_server_that_is_a_tool_is_shown_nothing/1, a_join_server_that_does_not_know_the_token_gets_no_request/1,
         a_proof_from_another_session_is_refused/1, a_replayed_join_is_refused/1, a_wrong_secret_is_refused/1,
         a_message_out_of_turn_is_refused/1, garbage_is_refused/1, an_oversized_message_is_refused/1,
         a_slow_client_is_dropped/1, attempts_are_limited/1, a_flood_from_many_addresses_locks_nobody_out/1, what_is_kept_of_a_token_does_not_give_it_away/1,
         a_record_that_others_can_read_is_no_token/1]).
-export([take_all/2]).

-import(merlon_join_ct, [ca/1, token/2, decoded/1, at/2, join/2, issued/1, state/2, service/1, service/2,
                         outcomes/1, connect/2, hello/2, prove/2, request/3, tell/2, hear/1, rogue/4, wrong/2, relay/2]).

-define(NODE, <<"app@web1.example">>).
-define(ALPN, <<"merlon-join/1">>).

all() ->
    [a_stolen_token_works_once_and_the_second_use_is_told, of_20_who_race_one_joins,
     of_many_processes_one_takes_a_token, an_expired_token_is_refused,
     a_token_that_runs_out_after_its_proof_is_refused, a_revoked_token_is_refused,
     a_token_for_another_name_is_refused, a_request_for_more_than_the_token_allows_is_refused,
     a_pattern_gives_no_name_that_has_a_certificate, a_join_server_of_another_ca_is_shown_nothing,
     a_join_server_that_is_a_tool_is_shown_nothing, a_join_server_that_does_not_know_the_token_gets_no_request,
     a_proof_from_another_session_is_refused, a_replayed_join_is_refused, a_wrong_secret_is_refused,
     a_message_out_of_turn_is_refused, garbage_is_refused, an_oversized_message_is_refused,
     a_slow_client_is_dropped, attempts_are_limited, a_flood_from_many_addresses_locks_nobody_out, what_is_kept_of_a_token_does_not_give_it_away,
     a_record_that_others_can_read_is_no_token].

%% What is joined is below the folder of the run.
init_per_suite(Config) ->
    ok = merlon_nif:load(),
    Before = os:getenv("TMPDIR"),
    true = os:putenv("TMPDIR", proplists:get_value(priv_dir, Config)),
    [{tmpdir, Before} | Config].

end_per_suite(Config) ->
    case proplists:get_value(tmpdir, Config) of
        false -> os:unsetenv("TMPDIR");
        Before -> os:putenv("TMPDIR", Before)
    end.

%% ---- tokens ----

a_stolen_token_works_once_and_the_second_use_is_told(Config) ->
    {Dir, Token, _} = served(Config, ["app@web1.example"]),
    {{ok, _}, _} = join(Token, ?NODE),
    {{error, {refused, Text}}, Thief} = join(Token, ?NODE),
    says("the token was used before. If that was not you", Text),
    [{joined, #{name := ?NODE}}, {refused, #{reason := used, token := _}}] = outcomes(2),
    [?NODE] = issued(Dir),
    [] = files(Thief).

of_20_who_race_one_joins(Config) ->
    {Dir, Token, _} = served(Config, ["app*@web1.example"]),
    Self = self(),
    Names = [<<"app", (integer_to_binary(N))/binary, "@web1.example">> || N <- lists:seq(1, 20)],
    [spawn_link(fun() -> Self ! {raced, Name, element(1, join(Token, Name))} end) || Name <- Names],
    Raced = [receive {raced, Name, Result} -> {Name, Result} end || Name <- Names],
    [Winner] = [Name || {Name, {ok, _}} <- Raced],
    19 = length([says("used before", Text) || {_, {error, {refused, Text}}} <- Raced]),
    [Winner] = issued(Dir),
    used = state(Dir, Token).

%% Without the lock that joins are under: the rename alone decides, between VMs as within one.
of_many_processes_one_takes_a_token(Config) ->
    Dir = ca(Config),
    Ids = [merlon_token_core:id_text(maps:get(id, decoded(token(Dir, ["app@web1.example"])))) || _ <- lists:seq(1, 15)],
    Eval = lists:flatten(io_lib:format("~p:take_all(~p, ~p), halt().", [?MODULE, Dir, Ids])),
    Args = ["-noshell", "-boot", "no_dot_erlang", "-pa", filename:dirname(code:which(?MODULE)),
            filename:dirname(code:which(merlon_nif)), "-eval", Eval],
    Ports = [open_port({spawn_executable, os:find_executable("erl")},
                       [{args, Args}, exit_status, stderr_to_stdout, binary, {line, 1000}]) || _ <- [1, 2, 3, 4]],
    Taken = lists:append([took(Port) || Port <- Ports]),
    true = lists:sort(Ids) =:= lists:sort(Taken),
    spent = element(2, merlon_token:take(Dir, hd(Ids))).

%% Each tries each, in 5 processes.
take_all(Dir, Ids) ->
    Self = self(),
    Takers = [spawn_monitor(fun() -> [Self ! {took, Id} || Id <- Ids, merlon_token:take(Dir, Id) =:= ok] end)
              || _ <- lists:seq(1, 5)],
    [receive {'DOWN', Ref, process, _, normal} -> ok end || {_, Ref} <- Takers],
    said().

said() ->
    receive {took, Id} -> io:format("took ~s~n", [Id]), said() after 0 -> ok end.

took(Port) ->
    receive
        {Port, {data, {eol, <<"took ", Id/binary>>}}} -> [Id | took(Port)];
        {Port, {data, {_, Other}}} -> error({said, Other});
        {Port, {exit_status, 0}} -> []
    after 30000 -> error(timeout)
    end.

an_expired_token_is_refused(Config) ->
    {Dir, Token, _} = served(Config, ["app@web1.example", "--ttl", "1s"]),
    timer:sleep(1100),
    {{error, {refused, Text}}, _} = join(Token, ?NODE),
    says("expired", Text),
    [{refused, #{reason := expired}}] = outcomes(1),
    {expired, []} = {state(Dir, Token), issued(Dir)}.

%% Who has proven it in time may not keep it open by asking late.
a_token_that_runs_out_after_its_proof_is_refused(Config) ->
    {Dir, Token, Port} = served(Config, ["app@web1.example", "--ttl", "3s"]),
    Conn = connect(Token, Port),
    prove(Conn, Token),
    timer:sleep(3100),
    {refused, expired} = request(Conn, ?NODE, {node, <<"app">>, <<"web1.example">>}),
    [{refused, #{reason := expired, name := ?NODE}}] = outcomes(1),
    {expired, []} = {state(Dir, Token), issued(Dir)}.

a_revoked_token_is_refused(Config) ->
    {Dir, #{id := Id} = Token, _} = served(Config, ["app@web1.example"]),
    {0, _, <<>>} = merlon_cli:run(["token", "--dir", Dir, "--revoke", binary_to_list(merlon_token_core:id_text(Id))]),
    {{error, {refused, Text}}, _} = join(Token, ?NODE),
    says("revoked", Text),
    [{refused, #{reason := revoked}}] = outcomes(1),
    {revoked, []} = {state(Dir, Token), issued(Dir)}.

%% The text of a token may say what it likes: the server's record counts.
a_token_for_another_name_is_refused(Config) ->
    {Dir, Token, _} = served(Config, ["app@web1.example"]),
    {{error, {refused, Here}}, _} = join(Token, <<"db@web1.example">>),
    says("the token is not for db@web1.example, but for app@web1.example", Here),
    {{error, {refused, There}}, _} = join(Token#{names := [<<"*@*">>]}, <<"db@web1.example">>),
    says("not for that name", There),
    {{error, {refused, Tool}}, _} = join(Token#{kind := cli}, ?NODE),
    says("takes no such request", Tool),
    [{refused, #{reason := not_covered, name := <<"db@web1.example">>}}, {refused, #{reason := bad_request}}] = outcomes(2),
    [] = issued(Dir).

a_request_for_more_than_the_token_allows_is_refused(Config) ->
    Dir = ca(Config),
    Port = service(Dir),
    [begin
         Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
         Conn = connect(Token, Port),
         prove(Conn, Token),
         {refused, bad_request} = request(Conn, ?NODE, Identity),
         [{refused, #{reason := bad_request, name := ?NODE}}] = outcomes(1),
         used = state(Dir, Token)
     end || Identity <- [{node, <<"db">>, <<"web1.example">>}, {node, <<"app">>, <<"web2.example">>},
                         {cli, <<"app">>, <<"web1.example">>}]],
    [] = issued(Dir).

a_pattern_gives_no_name_that_has_a_certificate(Config) ->
    {Dir, Token, Port} = served(Config, ["app*@web1.example"]),
    {0, _, <<>>} = merlon_cli:run(["cert", "app1@web1.example", "--dir", Dir]),
    {{error, {refused, Text}}, _} = join(Token, <<"app1@web1.example">>),
    says("has a certificate already", Text),
    open = state(Dir, Token),
    {{ok, _}, _} = join(Token, <<"app2@web1.example">>),
    %% Who means that very node says so.
    {{ok, _}, _} = join(at(decoded(token(Dir, ["app1@web1.example"])), Port), <<"app1@web1.example">>).

a_wrong_secret_is_refused(Config) ->
    {Dir, Token, _} = served(Config, ["app@web1.example"]),
    {{error, {refused, Text}}, _} = join(Token#{secret := fun() -> <<0:128>> end}, ?NODE),
    says("not known there", Text),
    {{error, {refused, Same}}, _} = join(Token#{id := <<0:64>>}, ?NODE),
    true = iolist_to_binary(Text) =:= iolist_to_binary(Same),
    [{refused, #{reason := unknown_token, claimed := _}}, {refused, #{reason := unknown_token}}] = outcomes(2),
    open = state(Dir, Token).

what_is_kept_of_a_token_does_not_give_it_away(Config) ->
    {Dir, #{secret := Secret, id := Id} = Token, _} = served(Config, ["app@web1.example"]),
    File = merlon_token:file(Dir, merlon_token_core:id_text(Id)),
    {ok, Text} = file:read_file(File),
    nomatch = binary:match(string:uppercase(Text), binary:encode_hex(Secret())),
    {8#600, 8#700} = {merlon_test_dir:mode(File), merlon_test_dir:mode(filename:dirname(File))},
    {{ok, _}, _} = join(Token, ?NODE),
    {0, List, <<>>} = merlon_cli:run(["token", "--dir", Dir, "--list"]),
    [nomatch = binary:match(Said, [merlon_token_core:encode(Token), binary:encode_hex(Secret())])
     || Said <- [List | [iolist_to_binary(merlon_join_server:text(Outcome)) || Outcome <- outcomes(1)]]].

a_record_that_others_can_read_is_no_token(Config) ->
    {Dir, #{id := Id} = Token, _} = served(Config, ["app@web1.example"]),
    ok = file:change_mode(merlon_token:file(Dir, merlon_token_core:id_text(Id)), 8#644),
    {{error, {refused, Text}}, _} = join(Token, ?NODE),
    says("not known there", Text),
    [] = issued(Dir).

%% ---- servers ----

a_join_server_of_another_ca_is_shown_nothing(Config) ->
    {Dir, Other} = {ca(Config), ca(Config)},
    Port = service(Other),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    {{error, {refused, Text}}, Joiner} = join(Token, ?NODE),
    says("not of the CA that the token names", Text),
    [{refused, #{reason := peer_alert} = Known}] = outcomes(1),
    false = is_map_key(claimed, Known),
    [] = files(Joiner),
    open = state(Dir, Token).

a_join_server_that_is_a_tool_is_shown_nothing(Config) ->
    Dir = ca(Config),
    ok = merlon_peers:add_cli(Dir, "eve", "127.0.0.1"),
    Port = rogue(filename:join([Dir, "cli", "eve@127.0.0.1"]), Dir, fun(_, Hello) -> Hello end, ?ALPN),
    {{error, {refused, Text}}, _} = join(at(decoded(token(Dir, ["app@web1.example"])), Port), ?NODE),
    says("tool's certificate", Text),
    {no_tls, _} = heard().

%% A real node of the cluster that is not the CA's: it can't answer the proof, be it by the client's own.
a_join_server_that_does_not_know_the_token_gets_no_request(Config) ->
    Dir = ca(Config),
    ok = merlon_peers:add_node(Dir, 'bad@127.0.0.1'),
    Reflect = fun(Ssl, <<1, _Id:8/binary, Tag:32/binary>>) ->
                  ok = ssl:send(Ssl, <<33:32, (merlon_join_core:proof(Tag))/binary>>),
                  ssl:recv(Ssl, 0, 5000)
              end,
    Port = rogue(filename:join([Dir, "nodes", "bad@127.0.0.1"]), Dir, Reflect, ?ALPN),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    {{error, {refused, Text}}, Joiner} = join(Token, ?NODE),
    says("does not know the token's secret", Text),
    {error, _} = heard(),
    [] = files(Joiner),
    open = state(Dir, Token).

%% The same node relays the client's proof to the CA's server: it is bound to the other session.
a_proof_from_another_session_is_refused(Config) ->
    {Dir, Token, Port} = served(Config, ["app@web1.example"]),
    ok = merlon_peers:add_node(Dir, 'bad@127.0.0.1'),
    Relay = fun(_Ssl, Hello) ->
                Conn = connect(Token, Port),
                tell(Conn, Hello),
                hear(Conn)
            end,
    Between = rogue(filename:join([Dir, "nodes", "bad@127.0.0.1"]), Dir, Relay, ?ALPN),
    {{error, _}, _} = join(at(Token, Between), ?NODE),
    {refused, unknown_token} = merlon_join_core:read(proof, heard()),
    [{refused, #{reason := unknown_token}}] = outcomes(1),
    {open, []} = {state(Dir, Token), issued(Dir)}.

heard() -> receive {rogue, Heard} -> Heard after 10000 -> error(timeout) end.

%% ---- clients ----

%% All bytes of a good join, and its messages, a second time.
a_replayed_join_is_refused(Config) ->
    {Dir, Token, Port} = served(Config, ["app@web1.example"]),
    Conn = connect(Token, Port),
    Hello = hello(Conn, Token),
    ok = merlon_nif:close(Conn),
    [{refused, _}] = outcomes(1),
    Again = connect(Token, Port),
    tell(Again, Hello),
    {refused, unknown_token} = merlon_join_core:read(proof, hear(Again)),
    [{refused, #{reason := unknown_token}}] = outcomes(1),
    Recorded = recorded(Token, Port),
    [{joined, _}] = outcomes(1),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    ok = gen_tcp:send(Socket, Recorded),
    _ = merlon_attacker:last_words(Socket),
    [{refused, #{reason := tls} = Known}] = outcomes(1),
    false = is_map_key(claimed, Known),
    [?NODE] = issued(Dir).

%% What a client sends in a good join, taken down on the way.
recorded(Token, Port) ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Between} = inet:port(Listener),
    Self = self(),
    spawn_link(fun() ->
        {ok, Client} = gen_tcp:accept(Listener),
        Self ! {recorded, relay(Client, Port)}
    end),
    {{ok, _}, _} = join(at(Token, Between), ?NODE),
    receive {recorded, Bytes} -> Bytes after 10000 -> error(timeout) end.

a_message_out_of_turn_is_refused(Config) ->
    {Dir, Token, Port} = served(Config, ["app@web1.example"]),
    [begin
         Conn = connect(Token, Port),
         tell(Conn, Message),
         {error, _} = hear(Conn),
         [{refused, #{reason := malformed}}] = outcomes(1)
     end || Message <- [<<0>>, <<1, 0:64>>, merlon_join_core:request(?NODE, <<"csr">>),
                        merlon_join_core:proof(<<0:256>>), merlon_join_core:refusal(used),
                        merlon_join_core:grant([{cert, <<"c">>}])]],
    Conn = connect(Token, Port),
    prove(Conn, Token),
    tell(Conn, hello(Conn, Token)),
    {error, _} = hear(Conn),
    [{refused, #{reason := malformed, token := _}}] = outcomes(1),
    {open, []} = {state(Dir, Token), issued(Dir)}.

garbage_is_refused(Config) ->
    {_, Token, Port} = served(Config, ["app@web1.example"]),
    [begin
         {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
         ok = gen_tcp:send(Socket, Bytes),
         ok = gen_tcp:shutdown(Socket, write),
         _ = merlon_attacker:last_words(Socket),
         [{refused, #{reason := Reason}}] = outcomes(1),
         true = lists:member(Reason, Reasons)
     end || {Bytes, Reasons} <- [{<<"GET / HTTP/1.1\r\n\r\n">>, [not_tls]}, {<<>>, [peer_closed]},
                                 {<<22, 3, 1, 255, 255>>, [overflow, record_overflow]},
                                 {crypto:strong_rand_bytes(2000), [not_tls, plaintext_dist, tls, record_overflow, overflow]},
                                 {merlon_attacker:client_hello(), [wrong_alpn, tls, peer_closed]}]],
    {{ok, _}, _} = join(Token, ?NODE).

an_oversized_message_is_refused(Config) ->
    {Dir, Token, Port} = served(Config, ["app@web1.example"]),
    Conn = connect(Token, Port),
    tell(Conn, binary:copy(<<1>>, 13000)),
    {error, _} = hear(Conn),
    [{refused, #{reason := too_much}}] = outcomes(1),
    Long = connect(Token, Port),
    prove(Long, Token),
    tell(Long, merlon_join_core:request(?NODE, binary:copy(<<"x">>, 9000))),
    {error, _} = hear(Long),
    [{refused, #{reason := malformed}}] = outcomes(1),
    open = state(Dir, Token).

a_slow_client_is_dropped(Config) ->
    Dir = ca(Config),
    Port = service(Dir, 300),
    Token = decoded(token(Dir, ["app@web1.example"])),
    {ok, Silent} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    [{refused, #{reason := timeout}}] = outcomes(1),
    {error, closed} = gen_tcp:recv(Silent, 0, 5000),
    Conn = connect(Token, Port),
    prove(Conn, Token),
    [{refused, #{reason := timeout, token := _}}] = outcomes(1),
    {error, _} = hear(Conn),
    open = state(Dir, Token).

%% The real service: 30 at once from one address, and a good token among them afterwards.
attempts_are_limited(Config) ->
    Dir = ca(Config),
    {Pid, Port} = enroll(Dir),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    {Seconds, _} = wrong(30, Token),
    Lines = lines(),
    Served = length([Line || Line <- Lines, binary:match(Line, <<"unknown_token">>) =/= nomatch]),
    Told = length([Line || Line <- Lines, binary:match(Line, <<"too many attempts">>) =/= nomatch]),
    ct:log("~b s: ~b served, ~b lines about others", [Seconds, Served, Told]),
    true = Served >= 1 andalso Served =< 3 * (Seconds + 1),
    true = Told >= 1 andalso Told =< Seconds + 1,
    {{ok, _}, _} = join(Token, ?NODE), % who is turned away comes again
    unlink(Pid),
    exit(Pid, kill).

%% As `merlon enroll` serves; its lines come as messages.
enroll(Dir) ->
    Self = self(),
    Say = fun(Line) -> Self ! {line, iolist_to_binary(Line)}, ok end,
    {ok, Pid, {_, Port}} = merlon_cli_enroll:start(Dir, {127, 0, 0, 1}, 0, Say),
    {Pid, Port}.

%% Ten addresses take each place as soon as it is free; one that comes from elsewhere has one at its first try.
a_flood_from_many_addresses_locks_nobody_out(Config) ->
    Dir = ca(Config),
    {Pid, Port} = enroll(Dir),
    Token = at(decoded(token(Dir, ["app@web1.example"])), Port),
    Flood = [spawn_link(fun() -> flood({127, 0, 7, Last}, Port) end) || Last <- lists:seq(1, 10)],
    timer:sleep(3500),
    Conn = connect(Token, Port),
    prove(Conn, Token),
    {ok, [{cert, _} | _]} = request(Conn, ?NODE, {node, <<"app">>, <<"web1.example">>}),
    [begin unlink(Each), exit(Each, kill) end || Each <- [Pid | Flood]],
    true = [] =/= [Line || Line <- lines(), binary:match(Line, <<"too many attempts">>) =/= nomatch],
    true = lists:member(?NODE, issued(Dir)).

flood(From, Port) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [{ip, From}, {active, false}]),
    timer:sleep(10),
    ok = gen_tcp:close(Socket),
    flood(From, Port).

lines() -> receive {line, Line} -> [Line | lines()] after 500 -> [] end.

%% ---- helpers ----

%% A CA, a decoded token of it and the port where it is served.
served(Config, Args) ->
    Dir = ca(Config),
    Port = service(Dir),
    {Dir, at(decoded(token(Dir, Args)), Port), Port}.

%% Nothing is left of a join that failed.
files(Dir) ->
    case file:list_dir(Dir) of
        {ok, Names} -> Names;
        {error, enoent} -> []
    end.

says(Words, Text) ->
    {_, true} = {iolist_to_binary(Text), re:run(Text, Words, [{capture, none}]) =:= match}.
