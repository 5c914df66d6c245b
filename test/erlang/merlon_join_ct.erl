%% SPDX-License-Identifier: Apache-2.0
%% What the tests of joining share: a CA, a service without the limit of attempts, honest and dishonest clients.
-module(merlon_join_ct).

-export([ca/1, ca/2, token/2, token/3, decoded/1, at/2, join/2, join/3, issued/1, state/2]).
-export([service/1, service/2, outcomes/1, connect/2, hello/2, prove/2, request/3, tell/2, hear/1, rogue/4, wrong/2, relay/2]).

-define(PATIENCE, 10000).

%% A merlon dir with a new CA.
ca(Config) -> ca(Config, "joined").

ca(Config, Cluster) ->
    merlon_peers:new_dir(proplists:get_value(priv_dir, Config), Cluster).

%% A token's text for those names at that port, made by the command.
token(Dir, Names) -> token(Dir, Names, []).

token(Dir, Names, More) ->
    {0, Out, <<>>} = merlon_cli:run(["token", "--dir", Dir, "--at", "127.0.0.1:1" | Names ++ More]),
    hd(binary:split(Out, <<"\n">>)).

decoded(Text) ->
    {ok, Token} = merlon_token_core:decode(Text),
    Token.

at(Token, Port) -> Token#{at := [{<<"127.0.0.1">>, Port}]}.

%% Joins with a decoded token in a process of its own, into a new dir or that one.
join(Token, Name) ->
    join(Token, Name, merlon_test_dir:new()).

join(Token, Name, Dir) ->
    {_, Ref} = spawn_monitor(fun() -> exit({joined, merlon_join_client:join(Token, Name, Dir, p256)}) end),
    receive
        {'DOWN', Ref, process, _, {joined, Result}} -> {Result, Dir};
        {'DOWN', Ref, process, _, Crash} -> error(Crash)
    end.

%% That many attempts at once, once each, with the token's id and not its secret: the seconds that it took, those begun
%% too, and what each was told.
wrong(Count, Token) ->
    {Self, Wrong, Begun} = {self(), Token#{secret := fun() -> <<0:128>> end}, erlang:monotonic_time(millisecond)},
    [spawn_link(fun() -> Self ! {tried, attempt(Wrong)} end) || _ <- lists:seq(1, Count)],
    Tried = [receive {tried, Told} -> Told end || _ <- lists:seq(1, Count)],
    {1 + (erlang:monotonic_time(millisecond) - Begun) div 1000, Tried}.

attempt(#{at := [{_, Port}], pin := Pin} = Token) ->
    case merlon_join_wire:connect({127, 0, 0, 1}, Port, Pin, deadline()) of
        {ok, Conn} ->
            tell(Conn, hello(Conn, Token)),
            merlon_join_core:read(proof, hear(Conn));
        {error, _} -> turned_away
    end.

%% The names of what the CA has issued by joins, sorted.
issued(Dir) ->
    Lines = case file:read_file(filename:join([Dir, "ca", "issued"])) of
                {ok, Text} -> binary:split(Text, <<"\n">>, [global, trim]);
                {error, enoent} -> []
            end,
    lists:sort([lists:nth(4, binary:split(Line, <<"\t">>, [global])) || Line <- Lines]).

state(Dir, #{id := Id}) ->
    {ok, Fate, Record} = merlon_token:find(Dir, merlon_token_core:id_text(Id)),
    merlon_token:state({Fate, Record}, erlang:system_time(second)).

%% ---- the service, one process per session, nobody turned away ----

service(Dir) -> service(Dir, ?PATIENCE).

%% Its port. It lives as long as the caller.
service(Dir, Session) ->
    ok = merlon_peers:add_node(Dir, 'served@127.0.0.1'),
    Read = fun(File) -> {ok, Text} = file:read_file(filename:join([Dir, "nodes", "served@127.0.0.1", File])), Text end,
    {ok, Server} = merlon_join_server:shown(Dir, Read("cert.pem"), Read("key.pem"), erlang:system_time(second)),
    Self = self(),
    Pid = spawn_link(fun() -> listen(Dir, Server, Session, Self) end),
    receive {Pid, Port} -> Port after ?PATIENCE -> error(timeout) end.

listen(Dir, Server, Session, Owner) ->
    {ok, Listener} = merlon_nif:listen({127, 0, 0, 1}, 0, 128, []),
    {ok, {_, Port}} = merlon_nif:sockname(Listener),
    Owner ! {self(), Port},
    accept(Listener, Dir, Server, Session, Owner).

accept(Listener, Dir, Server, Session, Owner) ->
    Conn = merlon_attacker:until(fun() -> patient(Listener) end),
    Pid = spawn(fun() ->
              receive go -> ok end,
              ok = merlon_nif:join_accept(Conn, Server, erlang:system_time(second)),
              Deadline = erlang:monotonic_time(millisecond) + Session,
              Owner ! {outcome, merlon_join_server:serve(Conn, Dir, Deadline)}
          end),
    ok = merlon_nif:set_owner(Conn, Pid),
    Pid ! go,
    accept(Listener, Dir, Server, Session, Owner).

patient(Listener) ->
    case merlon_nif:accept(Listener) of
        {ok, Conn} -> Conn;
        wait -> receive {select, _, _, _} -> patient(Listener) end
    end.

%% The next N outcomes of sessions.
outcomes(N) ->
    [receive {outcome, Outcome} -> Outcome after ?PATIENCE -> error(timeout) end || _ <- lists:seq(1, N)].

%% ---- a client that keeps to nothing ----

connect(#{pin := Pin}, Port) ->
    {ok, Conn} = merlon_join_wire:connect({127, 0, 0, 1}, Port, Pin, deadline()),
    Conn.

deadline() -> erlang:monotonic_time(millisecond) + ?PATIENCE.

%% The honest first message of that session.
hello(Conn, #{id := Id, secret := Secret}) ->
    {ok, Key} = merlon_nif:join_key(Id, Secret()),
    {ok, Proof} = merlon_nif:join_proof(Conn, Key, client),
    merlon_join_core:hello(Id, Proof).

%% Proves the token, and hears the server's proof.
prove(Conn, Token) ->
    tell(Conn, hello(Conn, Token)),
    {ok, _} = merlon_join_core:read(proof, hear(Conn)),
    ok.

%% Asks for Name with a signing request for that identity.
request(Conn, Name, {_, _, _} = Identity) ->
    {ok, #{csr := Csr}} = merlon_nif:pki_new_csr(#{cluster => <<"joined">>, identity => Identity, alg => p256, ips => []}),
    tell(Conn, merlon_join_core:request(Name, Csr)),
    merlon_join_core:read(grant, hear(Conn)).

tell(Conn, Message) -> ok = merlon_join_wire:send(Conn, Message, deadline()).

hear(Conn) ->
    case merlon_join_wire:recv(Conn, deadline()) of
        {ok, Message} -> Message;
        {error, _} = Error -> Error
    end.

%% ---- a server that is OTP's ssl: any certificate of Folder, the CA of Root behind it ----

%% Serves one client by Act(Socket, Hello), with the frame of the first message off. Gives the port.
rogue(Folder, Root, Act, Alpn) ->
    {ok, _} = application:ensure_all_started(ssl),
    Self = self(),
    Pid = spawn_link(fun() ->
              {ok, Listener} = ssl:listen(0, merlon_attacker:ssl_opts(Folder)
                                          ++ [{cacertfile, filename:join([Root, "ca", "ca.pem"])}, binary, {ip, {127, 0, 0, 1}},
                                              {active, false}, {versions, ['tlsv1.3']}, {log_level, none},
                                              {alpn_preferred_protocols, [Alpn]}]),
              {ok, {_, Port}} = ssl:sockname(Listener),
              Self ! {self(), Port},
              {ok, Tcp} = ssl:transport_accept(Listener, ?PATIENCE),
              Heard = case ssl:handshake(Tcp, ?PATIENCE) of
                          {ok, Ssl} -> heard(ssl:recv(Ssl, 4, ?PATIENCE), Ssl, Act);
                          {error, Reason} -> {no_tls, Reason}
                      end,
              Self ! {rogue, Heard}
          end),
    receive {Pid, Port} -> Port after ?PATIENCE -> error(timeout) end.

heard({ok, <<Len:32>>}, Ssl, Act) ->
    {ok, Hello} = ssl:recv(Ssl, Len, ?PATIENCE),
    Act(Ssl, Hello);
heard({error, Reason}, _Ssl, _Act) ->
    {nothing, Reason}.

%% ---- between the two ----

%% Carries bytes between a client, whose socket is this process's, and the service, until one hangs up: what the client has sent.
relay(Client, Port) ->
    {ok, Server} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, true}]),
    ok = inet:setopts(Client, [{active, true}]),
    relayed(Client, Server, <<>>).

relayed(Client, Server, Sent) ->
    receive
        {tcp, Client, Bytes} ->
            ok = gen_tcp:send(Server, Bytes),
            relayed(Client, Server, <<Sent/binary, Bytes/binary>>);
        {tcp, Server, Bytes} ->
            _ = gen_tcp:send(Client, Bytes),
            relayed(Client, Server, Sent);
        {tcp_closed, Client} -> Sent;
        {tcp_closed, Server} -> relayed(Client, Server, Sent)
    end.
