%% SPDX-License-Identifier: Apache-2.0
%% The listening side up to the point where dist_util takes over: one process takes connections
%% from the listeners, closes those that may not come (`deny`, `allow`) or come too often (merlon_source_core),
%% and gives each other one a process of its own for TLS and preamble, at most `max_handshakes` at once. When
%% more come, the address that has the most unfinished ones loses its oldest: who floods a node from one address
%% is in its own way only.
-module(merlon_acceptor).

-export([listen/2, listen/3, start/2, close/1, setopts/2]).
-export([init/3, handshake/4, admitted/1, ended/3, gives_way/2]).
-export_type([listen_result/0, listeners/0, serve/0]).

%% On one port; the first is the one that net_kernel is told of.
-type listeners() :: [merlon_nif:listener(), ...].

%% What becomes of a connection: a function, whose last arguments are the connection and the acceptor. A process
%% begins in it; it may go on once admitted/1 returns, and says `{proven, self()}` when it knows the peer.
-type serve() :: {module(), atom(), [term()]}.

-type listen_result() ::
        {ok, {listeners(), NetAddress :: tuple(), Creation :: integer()}} |
        {error, term()}.

-record(state, {serve :: serve(),
                counted :: inet | inet6 | none, % as whose pending handshakes
                listeners :: listeners(),
                sources = merlon_source_core:new() :: merlon_source_core:sources(),
                pending = [] :: [pending()],   % newest first
                %% Evicted or turned away, and now saying so in the log: newest first.
                leaving = [] :: [{reference(), pid()}]}).

%% Whoever has proven the cookie gives way to nobody.
-type pending() :: {reference(), pid(), merlon_source_core:source() | proven, merlon_nif:conn()}.

%% Pause after a failed accept(2), in ms: EMFILE must not spin a scheduler.
-define(BACK_OFF, 200).
%% Evicted ones that may wait for the log, their connections closed.
-define(LEAVING, 1000).
%% net_kernel starts an acceptor again at once, whatever it died of.
-define(LISTENER_GONE, 1000).

-spec listen(inet | inet6, atom()) -> listen_result().
listen(Family, Name) ->
    {ok, Host} = inet:gethostname(),
    listen(Family, Name, Host).

%% Checks the identity first: a node that could not prove itself must not listen at all.
-spec listen(inet | inet6, atom(), string()) -> listen_result().
listen(Family, Name, Host) ->
    case merlon_node:start(atom_to_list(Name), Host) of
        {ok, _Node} -> listen_socket(Family, Name, Host);
        {error, Reason} -> merlon_node:fatal(Reason)
    end.

listen_socket(Family, Name, Host) ->
    Epmd = net_kernel:epmd_module(),
    case merlon_hs:epmd_call(Epmd, listen_port_please, [Name, Host]) of
        {ok, Port} -> listen_socket(Epmd, Family, Name, Host, merlon_listen:port_range(Port));
        {error, Reason} -> merlon_node:fatal(Reason)
    end.

listen_socket(Epmd, Family, Name, Host, Ports) ->
    case merlon_listen:open(Family, Host, Ports) of
        {ok, [Listener | _] = Listeners} ->
            {ok, {_, Actual} = Address} = merlon_nif:sockname(Listener),
            register_node(Epmd, Family, Name, Actual, Address, Listeners);
        {error, Reason} ->
            merlon_node:fatal(Reason)
    end.

register_node(Epmd, Family, Name, Port, Address, Listeners) ->
    case Epmd:register_node(Name, Port, merlon_hs:driver(Family)) of
        {ok, Creation} ->
            lists:foreach(fun said/1, Listeners),
            {ok, {Listeners, merlon_hs:address(Family, inet_host(), Address), Creation}};
        Error ->
            ok = close(Listeners),
            Error
    end.

said(Listener) ->
    {ok, Address} = merlon_nif:sockname(Listener),
    merlon_event:listening(Address).

inet_host() ->
    {ok, Host} = inet:gethostname(),
    Host.

-spec close(listeners()) -> ok.
close(Listeners) ->
    lists:foreach(fun(Family) -> merlon_stats:pending(Family, 0) end, [inet, inet6]),
    lists:foreach(fun merlon_nif:close/1, Listeners).

-spec setopts(listeners(), list()) -> ok | {error, term()}.
setopts(Listeners, Opts) ->
    lists:foldl(fun(Listener, ok) -> merlon_hs:setopts(Listener, Opts);
                   (_, Error) -> Error
                end, ok, Listeners).

%% Called by net_kernel, to which the acceptor stays linked, and again when an acceptor has died: so
%% the listeners are net_kernel's own, and closed when that ends.
-spec start(inet | inet6, listeners()) -> pid().
start(Family, Listeners) ->
    lists:foreach(fun(Listener) -> ok = merlon_nif:set_owner(Listener, self()) end, Listeners),
    spawn_opt(?MODULE, init, [{?MODULE, handshake, [self(), Family]}, Family, Listeners],
              dist_util:net_ticker_spawn_options()).

%% The same for whatever else is served behind the same door.
-spec init(serve(), Counted :: inet | inet6 | none, listeners()) -> no_return().
init(Serve, Counted, Listeners) ->
    loop(#state{serve = Serve, counted = Counted, listeners = Listeners}).

%% One from each listener in turn, until none has any.
loop(#state{listeners = Listeners} = State) ->
    count(State),
    case lists:foldl(fun accept/2, {infinity, State}, Listeners) of
        {0, Next} -> loop(Next);
        {Pause, Next} -> loop(await(Pause, Next))
    end.

%% How long to wait: not at all as long as somebody has come.
accept(Listener, {Pause, State}) ->
    case merlon_nif:accept(Listener) of
        {ok, Conn} -> {0, admit(Conn, State)};
        wait -> {Pause, State};
        {error, Reason} when Reason =:= enotconn; Reason =:= ebadf; Reason =:= einval ->
            timer:sleep(?LISTENER_GONE), % when net_kernel has closed it, the end comes now
            _ = spawn(merlon_event, accept_failed, [Reason]),
            exit({listener_closed, Reason});
        {error, econnaborted} -> {0, State};
        {error, Reason} ->
            %% Nothing waits for the log here.
            _ = spawn(merlon_event, accept_failed, [Reason]),
            {min(Pause, ?BACK_OFF), State}
    end.

await(Timeout, State) ->
    receive
        {select, _, _, ready_input} -> State;
        {'DOWN', _, process, _, _} = Down -> waited(Timeout, told(Down, State));
        {proven, _} = Proven -> waited(Timeout, told(Proven, State))
    after Timeout -> State
    end.

waited(Timeout, State) ->
    count(State),
    await(Timeout, State).

count(#state{counted = none}) -> ok;
count(#state{counted = Family, pending = Pending}) -> merlon_stats:pending(Family, length(Pending)).

%% ---- at the door: nothing of the connection has been read ----

admit(Conn, State) ->
    {ok, {Ip, _} = Address} = merlon_nif:peername(Conn),
    Source = merlon_source_core:source(Ip),
    case may_come(Ip, Source, rules(State), reap(State)) of
        {ok, Next} -> serve(Conn, Source, Next);
        {Reason, Next} -> turn_away(Conn, Reason, Address, Next)
    end.

%% This host's own nodes can always register their names.
rules(#state{serve = {merlon_names_server, _, _}}) ->
    #{allow := Allow} = Config = merlon_node:config(),
    Config#{allow := merlon_cidr:loopback() ++ Allow};
rules(_) -> merlon_node:config().

may_come(Ip, Source, #{allow := Allow, deny := Deny} = Config, #state{sources = Sources} = State) ->
    case merlon_cidr:member(Ip, Deny) orelse not merlon_cidr:member(Ip, Allow) of
        true -> {denied, State};
        false ->
            {Verdict, Known} = measured(Ip, Source, Config, Sources),
            {Verdict, State#state{sources = Known}}
    end.

measured(Ip, Source, #{unlimited := Unlimited} = Config, Sources) ->
    case merlon_cidr:member(Ip, Unlimited) of
        true -> {ok, Sources};
        false -> merlon_source_core:admit(Source, now_ms(), Config, Sources)
    end.

turn_away(Conn, Reason, Address, State) ->
    ok = merlon_nif:close(Conn),
    case merlon_event:turned_away(Reason, Address) of
        counted -> State;
        {say, Say} -> leaving(spawn_monitor(Say), State)
    end.

now_ms() -> erlang:monotonic_time(millisecond).

serve(Conn, Source, State) ->
    #state{serve = {M, F, A}, pending = Pending} = Left = make_room(Source, State),
    {Pid, Ref} = spawn_opt(M, F, A ++ [Conn, self()], [monitor]),
    ok = merlon_nif:set_owner(Conn, Pid),
    Pid ! {self(), go},
    Left#state{pending = [{Ref, Pid, Source, Conn} | Pending]}.

reap(State) ->
    receive
        {'DOWN', _, process, _, _} = Down -> reap(told(Down, State));
        {proven, _} = Proven -> reap(told(Proven, State))
    after 0 -> State
    end.

told({'DOWN', Ref, process, _, Reason}, #state{pending = Pending, leaving = Leaving} = State) ->
    case lists:keytake(Ref, 1, Pending) of
        {value, {_, _, Source, _}, Left} -> blamed(Reason, Source, State#state{pending = Left});
        false -> State#state{leaving = lists:keydelete(Ref, 1, Leaving)}
    end;
told({proven, Pid}, #state{pending = Pending} = State) ->
    case lists:keyfind(Pid, 2, Pending) of
        {Ref, Pid, Source, Conn} ->
            State#state{pending = lists:keyreplace(Pid, 2, Pending, {Ref, Pid, proven, Conn}),
                        sources = merlon_source_core:proven(Source, State#state.sources)};
        false -> State
    end.

blamed({shutdown, failed}, Source, #state{sources = Sources} = State) when Source =/= proven ->
    State#state{sources = merlon_source_core:failed(Source, now_ms(), merlon_node:config(), Sources)};
blamed(_, _, State) -> State.

%% The acceptor waits for no process that gives way: it closes the connection itself.
make_room(Source, #state{pending = Pending} = State) ->
    #{max_handshakes := Max} = merlon_node:config(),
    case length(Pending) >= Max of
        true -> evict(Source, State);
        false -> State
    end.

evict(Source, #state{pending = Pending} = State) ->
    case gives_way(Source, Pending) of
        {Ref, Pid, _, Conn} = Evicted ->
            Pid ! {self(), evicted},
            ok = merlon_nif:close(Conn),
            merlon_stats:evicted(),
            make_room(Source, leaving({Pid, Ref}, State#state{pending = lists:delete(Evicted, Pending)}));
        none ->
            receive
                {'DOWN', _, process, _, _} = Down -> make_room(Source, told(Down, State))
            end
    end.

%% A log that is slower than a flood loses lines; it does not make processes pile up.
leaving({Pid, Ref}, #state{leaving = Leaving} = State) ->
    hurry(State#state{leaving = [{Ref, Pid} | Leaving]}).

hurry(#state{leaving = Leaving} = State) when length(Leaving) > ?LEAVING ->
    {Ref, Oldest} = lists:last(Leaving),
    erlang:demonitor(Ref, [flush]),
    exit(Oldest, kill),
    State#state{leaving = lists:droplast(Leaving)};
hurry(State) ->
    State.

%% Of the source that has the most, the newcomer counted in, the oldest; of several such the oldest.
-spec gives_way(merlon_source_core:source(), NewestFirst :: [pending()]) -> pending() | none.
gives_way(Newcomer, Pending) ->
    Sources = [Source || {_, _, Source, _} <- Pending, Source =/= proven],
    Counts = lists:foldl(fun(Source, Map) -> maps:update_with(Source, fun(N) -> N + 1 end, 1, Map) end,
                         #{}, [Newcomer | Sources]),
    Most = lists:max([0 | [maps:get(Source, Counts) || Source <- Sources]]),
    Able = [Each || {_, _, Source, _} = Each <- Pending, maps:get(Source, Counts, none) =:= Most],
    case Able of
        [] -> none;
        _ -> lists:last(Able)
    end.

%% One inbound handshake: ends with the link in the hands of dist_util, or with one log line.
-spec handshake(pid(), inet | inet6, merlon_nif:conn(), pid()) -> ok.
handshake(Kernel, Family, Conn, Acceptor) ->
    Deadline = admitted(Acceptor),
    case merlon_beside:serve(Conn, Acceptor, Deadline) of
        {ok, #{carrier := _} = Claim} ->
            Linked = hand_over(Kernel, Family, {Conn, Claim, Deadline}),
            _ = is_pid(Linked) andalso merlon_beside:watched(Linked, Acceptor, Conn),
            ok;
        {ok, Claim} ->
            Acceptor ! {proven, self()},
            _ = hand_over(Kernel, Family, {Conn, Claim, Deadline}),
            ok;
        join -> merlon_enroll:serve(Conn, Deadline);
        {error, Failure} -> ended(Conn, Acceptor, Failure)
    end.

%% The connection is this process's own now, until the deadline.
-spec admitted(pid()) -> merlon_handshake:deadline().
admitted(Acceptor) ->
    MRef = erlang:monitor(process, Acceptor),
    receive
        {Acceptor, go} -> ok;
        {'DOWN', MRef, process, _, _} -> exit(shutdown)
    end,
    #{handshake_timeout := Timeout} = merlon_node:config(),
    erlang:monotonic_time(millisecond) + Timeout.

%% The acceptor hears whether the peer is to blame.
-spec ended(merlon_nif:conn(), pid(), map()) -> ok.
ended(Conn, Acceptor, Failed) ->
    Failure = cause(Acceptor, Failed),
    refused(Conn, Failure),
    case merlon_source_core:blames(Failure) of
        true -> exit({shutdown, failed});
        false -> ok
    end.

%% That the connection was closed on this side may be seen before the word that came first.
cause(Acceptor, Failure) ->
    receive {Acceptor, evicted} -> maps:merge(Failure, merlon_handshake:evicted())
    after 0 -> Failure
    end.

hand_over(Kernel, Family, {Conn, Claim, Deadline} = Link) ->
    Kernel ! {accept, self(), Link, Family, merlon},
    receive
        {Kernel, controller, Supervisor} ->
            ok = merlon_nif:set_owner(Conn, Supervisor),
            Supervisor ! {self(), controller},
            Supervisor;
        {Kernel, unsupported_protocol} ->
            refused(Conn, Claim#{phase => dist, reason => unsupported_protocol,
                                 text => <<"net_kernel has no such listener">>})
    after merlon_handshake:time_left(Deadline) ->
            refused(Conn, Claim#{phase => dist, reason => timeout,
                                 text => <<"net_kernel did not answer">>})
    end.

%% Closes first: a log may be slow.
refused(Conn, Failure) ->
    ok = merlon_nif:close(Conn),
    merlon_event:refused(accept, Failure, merlon_nif:peername(Conn)).
