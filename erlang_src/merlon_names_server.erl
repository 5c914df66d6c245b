%% SPDX-License-Identifier: Apache-2.0
%% One session of the keeper of a host's names, behind merlon_acceptor's door: TLS, one question, one answer. Who has
%% registered stays connected, in a process that holds no place at the door any more.
-module(merlon_names_server).

-export([serve/4, stay/2]).

%% Milliseconds between two looks at whether it is time to judge a peer again.
-define(LOOK, 2000).

%% Milliseconds until a process that was made for a session and not told to go on gives up.
-define(FORGOTTEN, 10000).

%% Called by the acceptor's process for the connection.
-spec serve(Names :: pid(), inet | inet6, merlon_nif:conn(), Acceptor :: pid()) -> ok.
serve(Names, Family, Conn, Acceptor) ->
    Deadline = merlon_acceptor:admitted(Acceptor),
    case up(Conn, Acceptor, Deadline) of
        {ok, Peer} ->
            ok = asked(merlon_join_wire:recv(Conn, Deadline), {Names, Family}, Peer, Conn, Deadline),
            %% Not before: a session is to give way to others until it is over, or its owner could hold all places.
            Acceptor ! {proven, self()},
            ok;
        {error, Failure} -> merlon_acceptor:ended(Conn, Acceptor, known(Failure))
    end.

up(Conn, Acceptor, Deadline) ->
    case merlon_handshake:serve_names(Conn, Acceptor, Deadline) of
        join -> known_once(merlon_join_wire:up(Conn, Deadline), Conn);
        {error, _} = Error -> Error
    end.

known_once(ok, Conn) -> merlon_nif:names_peer(Conn);
known_once({error, _} = Error, _Conn) -> Error.

known(#{text := Text} = Failure) ->
    maps:merge(#{phase => tls}, Failure#{text := <<"name service: ", Text/binary>>}).

%% Somebody of the cluster: what goes wrong from here on is nobody's attack, but for what is said in so many words.
asked({ok, Bytes}, Names, Peer, Conn, Deadline) ->
    Answer = case merlon_names_core:read_request(Bytes) of
                 {ok, Request} -> allowed(Request, Names, Peer, Conn);
                 {error, malformed} -> {refused, malformed}
             end,
    told(Answer, Peer, Conn, Deadline);
asked({error, _}, _Names, _Peer, Conn, _Deadline) -> merlon_nif:close(Conn).

allowed({register, Name, Port}, Names, #{identity := Owner}, Conn) ->
    case {may_register(Owner, Name), is_here(merlon_nif:peername(Conn))} of
        {false, _} -> {refused, not_yours};
        {true, false} -> {refused, not_here};
        {true, true} -> entered(Name, Port, Owner, Names)
    end;
allowed({find, Name}, {Server, Family}, #{identity := Asker}, _Conn) ->
    case merlon_names_core:find(Name, may_learn(Asker), merlon_names:table(Server, Family)) of
        {ok, Port} -> {port, Port};
        none -> {refused, unknown}
    end;
allowed(list, {Server, Family}, #{identity := Asker}, _Conn) ->
    {names, merlon_names_core:list(may_learn(Asker), merlon_names:table(Server, Family))}.

may_register(Owner, Name) ->
    #{cli_names := Cli, derived_names := Derived} = merlon_node:config(),
    merlon_nif:names_may_register(merlon_names_core:parts(Owner), Name, Cli, Derived).

may_learn(Asker) ->
    #{cli_names := Cli, derived_names := Derived} = merlon_node:config(),
    fun(Name, Owner) ->
            merlon_nif:names_may_learn(merlon_names_core:parts(Asker), merlon_names_core:parts(Owner), Name, Cli, Derived)
    end.

%% A host's names are those of its own nodes.
is_here({ok, {Ip, _}}) -> merlon_cidr:member(Ip, merlon_cidr:loopback());
is_here({error, _}) -> false.

entered(Name, Port, Owner, {Server, Family}) ->
    Session = spawn(?MODULE, stay, [Server, self()]),
    case merlon_names:enter(Server, Family, Name, #{port => Port, owner => Owner, pid => Session}) of
        ok -> {registered, {Session, Name}};
        {error, Why} ->
            exit(Session, kill),
            {refused, Why}
    end.

told({registered, {Session, Name}}, Peer, Conn, Deadline) ->
    case send(Conn, registered, Deadline) of
        ok ->
            ok = merlon_nif:set_owner(Conn, Session),
            Session ! {self(), go, Conn, Peer#{claimed => Name}},
            ok;
        {error, _} ->
            exit(Session, kill),
            merlon_nif:close(Conn)
    end;
told({refused, Why} = Answer, Peer, Conn, Deadline) when Why =:= not_yours; Why =:= malformed; Why =:= not_here ->
    _ = send(Conn, Answer, Deadline),
    refused(Why, Peer, Conn);
told(Answer, _Peer, Conn, Deadline) ->
    _ = send(Conn, Answer, Deadline),
    merlon_nif:close(Conn).

send(Conn, Answer, Deadline) -> merlon_join_wire:send(Conn, merlon_names_core:answer(Answer), Deadline).

refused(Why, Peer, Conn) ->
    Address = merlon_nif:peername(Conn),
    ok = merlon_nif:close(Conn),
    Reason = case Why of
                 malformed -> malformed;
                 _ -> wrong_name
             end,
    merlon_event:refused(accept, Peer#{phase => preamble, reason => Reason, text => words(Why)}, Address).

words(malformed) -> <<"name service: its question can't be read">>;
words(not_yours) -> <<"name service: it wants to register a name that its certificate does not carry">>;
words(not_here) -> <<"name service: it wants to register from another host">>.

%% A registered session. It ends with the peer, with what the peer says, with the keeper, or when the peer would not be let in any
%% more.
-spec stay(Names :: pid(), From :: pid()) -> ok.
stay(Names, From) ->
    Ref = erlang:monitor(process, Names),
    receive
        {From, go, Conn, Peer} ->
            Live = merlon_live_core:came_up(self(), now_s(), merlon_live_core:new()),
            held(#{conn => Conn, ref => Ref, peer => Peer, live => Live})
    after ?FORGOTTEN -> ok
    end.

held(#{conn := Conn} = Session) ->
    case merlon_nif:join_advance(Conn) of
        wait -> looked(Session);
        _ -> merlon_nif:close(Conn)
    end.

%% Not only when nothing comes: who drips bytes would put it off.
looked(#{live := Live} = Session) ->
    case merlon_live_core:due(now_s(), Live) of
        [] -> waiting(Session);
        _ -> judged(Session)
    end.

waiting(#{conn := Conn, ref := Ref} = Session) ->
    receive
        {select, _, _, _} -> held(Session);
        judge -> judged(Session);
        {'DOWN', Ref, process, _, _} -> merlon_nif:close(Conn)
    after ?LOOK -> looked(Session)
    end.

%% By the rules and with the grace of links.
judged(#{conn := Conn, peer := Peer, live := Live} = Session) ->
    Now = now_s(),
    Verdict = merlon_nif:names_judge(Conn, merlon_node:identity(), Now),
    case merlon_live_core:judged(self(), Verdict, Now, merlon_node:config(), Live) of
        {keep, Later} -> waiting(Session#{live := Later});
        {{close, _}, _} ->
            {error, Reason} = Verdict,
            ok = merlon_nif:close(Conn),
            merlon_event_names:names_dropped(Peer, Reason)
    end.

now_s() -> erlang:system_time(second).
