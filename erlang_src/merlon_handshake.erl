%% SPDX-License-Identifier: Apache-2.0
%% Drives TLS and preamble of one connection over the NIF, in the calling process, under one
%% deadline (monotonic milliseconds) for all steps together.
-module(merlon_handshake).

-export([dial/5, connect/2, serve/3, serve_names/3, cookie/1, evicted/0, send/3, recv/2, time_left/1]).
-export_type([claim/0, deadline/0]).

-type deadline() :: integer().
-type address() :: {inet:ip_address(), inet:port_number()}.
%% The client's own name as bound to its certificate: `<<"name@host">>`, or `<<"@host">>` for a
%% node that asks for a dynamic name. Without TLS (`carrier`) it is bound to nothing.
-type claim() :: #{name := binary(), carrier => merlon_interop:carrier(), identity => tuple(), _ => _}.
-type failure() :: merlon_nif:failure() | #{atom() => term()}.

%% Connects and shakes hands with Node, which must prove that very name. The peer is `silent` if not even its first byte
%% has come by Answer. `foreign`: a node of inet_tls, where it may be one, that has proven its name as far as its certificate
%% does. Cookie says what vouches for links to Node without a keyring.
-spec dial(node(), address(), MyNode :: node() | string(), Cookie :: fun((node()) -> binary()),
           {Answer :: deadline(), deadline()}) -> {ok | foreign, merlon_nif:conn()} | {error, failure()}.
dial(Node, Address, MyNode, Cookie, {Answer, Deadline}) ->
    connect(Address, Deadline, fun(Conn) -> [fun() -> foreign(Conn, merlon_interop:dials_inet_tls(Node)) end,
                                             fun() -> start_dial(Conn, Node, MyNode, Cookie) end,
                                             fun() -> answered(Conn, Answer, Deadline) end]
                               end).

%% TCP and nothing else.
-spec connect(address(), deadline()) -> {ok | foreign, merlon_nif:conn()} | {error, failure()}.
connect(Address, Deadline) ->
    connect(Address, Deadline, fun(_) -> [] end).

connect({Ip, Port}, Deadline, Steps) ->
    {Source, Opts} = merlon_hs:connect_options(),
    case merlon_nif:connect(Ip, Port, Source, Opts) of
        {ok, Conn} -> close_on_error(Conn, explained(run([fun() -> connected(Conn, Deadline) end | Steps(Conn)])));
        {error, Reason} -> {error, tcp(Reason)}
    end.

explained({error, Failure}) -> {error, merlon_roots:explained(Failure)};
explained(Done) -> Done.

%% Sends the ClientHello and goes on if anything comes by Answer. It may have come, and all be done, in that very step.
answered(Conn, Deadline, Deadline) ->
    advance(Conn, fun no_claim/1, Deadline, none);
answered(Conn, Answer, Deadline) ->
    case merlon_nif:advance(Conn) of
        wait ->
            receive {select, _, _, _} -> answered(Conn, Deadline, Deadline)
            after time_left(Answer) ->
                    {error, #{phase => tls, reason => silent, text => <<"the peer does not answer a TLS ClientHello">>}}
            end;
        Result -> advanced(Result, Conn, {fun no_claim/1, Deadline, none})
    end.

start_dial(Conn, Node, MyNode, Cookie) ->
    with_secrets(Node, Cookie, fun(Secrets) ->
                                       merlon_nif:dial(Conn, merlon_node:identity(), own_name(MyNode),
                                                       atom_to_binary(Node), Secrets,
                                                       erlang:system_time(second))
                               end).

foreign(Conn, true) -> merlon_nif:foreign(Conn);
foreign(_Conn, false) -> ok.

%% A client never gets a claim.
no_claim(_) ->
    {error, #{phase => preamble, reason => internal, text => <<"claim on the dialling side">>}}.

%% Shakes hands with whoever connected. Evictor may end it by `{Evictor, evicted}`. `join`: no node, but one who
%% wants to become one; merlon_enroll goes on.
%% `foreign`: a node of inet_tls; merlon_beside goes on.
-spec serve(merlon_nif:conn(), pid(), deadline()) -> {ok, claim()} | join | foreign | {error, failure()}.
serve(Conn, Evictor, Deadline) ->
    Claims = fun(Claim) -> put(?MODULE, Claim), prove(Conn, Claim) end,
    Steps = [fun() -> foreign(Conn, merlon_interop:takes_inet_tls()) end,
             fun() -> start_serve(Conn, merlon_node:joins()) end,
             fun() -> advance(Conn, Claims, Deadline, Evictor) end],
    case {run(Steps), get(?MODULE)} of
        {join, undefined} -> join;
        {foreign, undefined} -> foreign;
        {ok, Claim} when is_map(Claim) -> {ok, maps:remove(key_ids, Claim)};
        {{error, Failure}, undefined} -> {error, merlon_roots:explained(Failure)};
        {{error, Failure}, #{key_ids := Ids} = Claim} ->
            {error, merlon_rotate:explained(Ids, known(Failure, Claim))}
    end.

start_serve(Conn, none) ->
    merlon_nif:serve(Conn, merlon_node:identity(), own_name(node()), erlang:system_time(second));
start_serve(Conn, {on, Server}) ->
    merlon_nif:serve_joining(Conn, merlon_node:identity(), Server, own_name(node()), erlang:system_time(second)).

%% The same for who asks for the names of this host: merlon_join_wire goes on with `join`.
-spec serve_names(merlon_nif:conn(), pid(), deadline()) -> join | {error, failure()}.
serve_names(Conn, Evictor, Deadline) ->
    run([fun() -> merlon_nif:names_accept(Conn, merlon_node:identity(), erlang:system_time(second)) end,
         fun() -> advance(Conn, fun no_claim/1, Deadline, Evictor) end]).

%% A failure after the claim: whoever it was is known, and TLS was up.
known(Failure, #{name := Name} = Claim) ->
    maps:merge(maps:with([fingerprint, identity], Claim),
               Failure#{phase => preamble, claimed => Name}).

prove(Conn, #{name := Name}) ->
    with_secrets(known_node(Name), fun merlon_registry:secret/1,
                 fun(Secrets) -> merlon_nif:prove(Conn, Secrets) end).

%% With a keyring the cookie counts for nothing. Which entries are good now is for the native library to say.
with_secrets(Node, Cookie, Use) ->
    case merlon_node:keyring() of
        none -> with_cookie(Cookie(Node), Use);
        Entries ->
            Now = erlang:system_time(second),
            used(Use, [{keyring, Ref, Now} || #{ref := Ref} <- Entries])
    end.

%% Whether there is a cookie that can prove a node of that name by itself.
-spec cookie(Name :: binary()) -> ok | {error, failure()}.
cookie(Name) ->
    with_cookie(merlon_registry:secret(known_node(Name)), fun(_) -> ok end).

%% A node without a cookie (`nocookie` says so) has nothing to prove and takes no proof.
with_cookie(None, _Use) when None =:= <<"nocookie">>; None =:= <<>> ->
    {error, #{phase => preamble, reason => no_cookie,
              text => <<"this node has no cookie: give it one with -setcookie">>}};
with_cookie(Cookie, Use) ->
    used(Use, [{vm_cookie, Cookie}]).

%% A stacktrace would hold the cookie.
used(Use, Secrets) ->
    try Use(Secrets)
    catch error:_ ->
            {error, #{phase => preamble, reason => internal,
                      text => <<"the native library refused its arguments">>}}
    end.

%% No atom is made for a name before the peer has proven the secret.
known_node(Name) ->
    try binary_to_existing_atom(Name)
    catch error:_ -> undefined
    end.

own_name(nonode@nohost) -> own_name(merlon_node:name());
own_name(Node) when is_atom(Node) -> own_name(atom_to_list(Node));
own_name("undefined@" ++ Host) -> unicode:characters_to_binary([$@ | Host]);
own_name(Name) -> unicode:characters_to_binary(Name).

run([Step]) ->
    Step();
run([Step | Steps]) ->
    case Step() of
        ok -> run(Steps);
        {error, _} = Error -> Error
    end.

close_on_error(Conn, ok) ->
    {ok, Conn};
close_on_error(Conn, foreign) ->
    {foreign, Conn};
close_on_error(Conn, Error) ->
    ok = merlon_nif:close(Conn),
    Error.

connected(Conn, Deadline) ->
    case merlon_nif:connected(Conn) of
        ok -> ok;
        wait -> wait_then(ready_output, Deadline, none, tcp, fun() -> connected(Conn, Deadline) end);
        {error, Reason} -> {error, tcp(Reason)}
    end.

advance(Conn, Claims, Deadline, Evictor) ->
    advanced(merlon_nif:advance(Conn), Conn, {Claims, Deadline, Evictor}).

advanced(Result, Conn, {Claims, Deadline, Evictor}) ->
    Again = fun() -> advance(Conn, Claims, Deadline, Evictor) end,
    case Result of
        established -> ok;
        join -> join;
        foreign -> foreign;
        wait -> wait_then(any, Deadline, Evictor, tls, Again);
        {claim, Claim} -> run([fun() -> Claims(Claim) end, Again]);
        {error, Failure} -> {error, Failure}
    end.

wait_then(Ready, Deadline, Evictor, Phase, Next) ->
    receive
        {select, _, _, Which} when Ready =:= any; Ready =:= Which -> Next();
        {Evictor, evicted} ->
            {error, (evicted())#{phase => Phase}};
        {'DOWN', _, process, Evictor, _} ->
            {error, #{phase => Phase, reason => shutdown, text => <<"the acceptor ended">>}}
    after time_left(Deadline) ->
            {error, #{phase => Phase, reason => timeout,
                      text => <<"no answer within the handshake deadline">>}}
    end.

%% Why a handshake ends for the sake of others.
-spec evicted() -> #{reason := evicted, text := binary()}.
evicted() ->
    #{reason => evicted,
      text => <<"gave way to newer connections: too many unfinished handshakes">>}.

%% ---- dist_util's packets ----

-spec send(merlon_nif:conn(), binary(), deadline()) -> ok | {error, term()}.
send(Conn, Packet, Deadline) ->
    flushed(Conn, merlon_nif:send(Conn, [{byte_size(Packet), [Packet]}]), Deadline).

flushed(_Conn, ok, _Deadline) -> ok;
flushed(Conn, blocked, Deadline) ->
    receive
        {select, _, _, ready_output} -> flushed(Conn, merlon_nif:flush(Conn), Deadline)
    after time_left(Deadline) -> {error, timeout}
    end;
flushed(_Conn, {error, Reason}, _Deadline) -> {error, Reason}.

-spec recv(merlon_nif:conn(), deadline()) -> {ok, binary()} | {error, term()}.
recv(Conn, Deadline) ->
    case merlon_nif:recv_one(Conn) of
        wait ->
            receive
                {select, _, _, ready_input} -> recv(Conn, Deadline)
            after time_left(Deadline) -> {error, timeout}
            end;
        Result -> Result
    end.

-spec time_left(deadline()) -> non_neg_integer().
time_left(Deadline) ->
    max(0, Deadline - erlang:monotonic_time(millisecond)).

tcp(Reason) ->
    #{phase => tcp, reason => Reason, text => list_to_binary(inet:format_error(Reason))}.
