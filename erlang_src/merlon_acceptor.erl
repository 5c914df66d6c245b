%% SPDX-License-Identifier: Apache-2.0
%% The listening side up to the point where dist_util takes over: one process takes connections
%% from the listener; each gets a process of its own for TLS and preamble, at most
%% `max_handshakes` at once. When more come, the address that has the most unfinished ones loses its
%% oldest: who floods a node from one address is in its own way only.
-module(merlon_acceptor).

-export([listen/2, listen/3, start/2, close/1]).
-export([init/3, handshake/4, source/1, gives_way/2]).
-export_type([listen_result/0]).

-type listen_result() ::
        {ok, {merlon_nif:listener(), NetAddress :: tuple(), Creation :: integer()}} |
        {error, term()}.

-record(state, {kernel :: pid(),
                family :: inet | inet6,
                listener :: merlon_nif:listener(),
                pending = [] :: [pending()],   % newest first
                %% Evicted, and now saying so in the log: newest first.
                leaving = [] :: [{reference(), pid()}]}).

%% Whoever has proven the cookie gives way to nobody.
-type pending() :: {reference(), pid(), source() | proven, merlon_nif:conn()}.
%% Who may well be one and the same peer: an IPv4 address, an IPv6 /64.
-type source() :: inet:ip4_address() | {0..65535, 0..65535, 0..65535, 0..65535, net}.

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
    {ok, Port} = merlon_hs:epmd_call(Epmd, listen_port_please, [Name, Host]),
    case open(Family, merlon_hs:port_range(Port)) of
        {ok, Listener} ->
            {ok, {_, Actual} = Address} = merlon_nif:sockname(Listener),
            register_node(Epmd, Family, Name, Actual, Address, Listener);
        {error, Reason} ->
            merlon_node:fatal({listen, merlon_hs:port_range(Port), Reason})
    end.

register_node(Epmd, Family, Name, Port, Address, Listener) ->
    case Epmd:register_node(Name, Port, merlon_hs:driver(Family)) of
        {ok, Creation} ->
            merlon_event:listening(Address),
            {ok, {Listener, merlon_hs:address(Family, inet_host(), Address), Creation}};
        Error ->
            ok = merlon_nif:close(Listener),
            Error
    end.

inet_host() ->
    {ok, Host} = inet:gethostname(),
    Host.

open(_Family, {First, Last}) when First > Last ->
    {error, eaddrinuse};
open(Family, {First, Last}) ->
    {Ip, Backlog, Opts} = merlon_hs:listen_options(Family),
    try merlon_nif:listen(Ip, First, Backlog, Opts) of
        {error, eaddrinuse} -> open(Family, {First + 1, Last});
        Result -> Result
    catch
        error:badarg -> {error, einval}
    end.

-spec close(merlon_nif:listener()) -> ok.
close(Listener) ->
    merlon_nif:close(Listener).

%% Called by net_kernel, to which the acceptor stays linked, and again when an acceptor has died: so
%% the listener is net_kernel's own, and closed when that ends.
-spec start(inet | inet6, merlon_nif:listener()) -> pid().
start(Family, Listener) ->
    ok = merlon_nif:set_owner(Listener, self()),
    spawn_opt(?MODULE, init, [self(), Family, Listener],
              dist_util:net_ticker_spawn_options()).

-spec init(pid(), inet | inet6, merlon_nif:listener()) -> no_return().
init(Kernel, Family, Listener) ->
    loop(#state{kernel = Kernel, family = Family, listener = Listener}).

loop(#state{listener = Listener} = State) ->
    case merlon_nif:accept(Listener) of
        {ok, Conn} -> loop(admit(Conn, State));
        wait -> loop(await(infinity, State));
        {error, Reason} when Reason =:= enotconn; Reason =:= ebadf; Reason =:= einval ->
            timer:sleep(?LISTENER_GONE), % when net_kernel has closed it, the end comes now
            _ = spawn(merlon_event, accept_failed, [Reason]),
            exit({listener_closed, Reason});
        {error, econnaborted} -> loop(State);
        {error, Reason} ->
            %% Nothing waits for the log here.
            _ = spawn(merlon_event, accept_failed, [Reason]),
            loop(await(?BACK_OFF, State))
    end.

await(Timeout, State) ->
    receive
        {select, _, _, ready_input} -> State;
        {'DOWN', _, process, _, _} = Down -> await(Timeout, told(Down, State));
        {proven, _} = Proven -> await(Timeout, told(Proven, State))
    after Timeout -> State
    end.

admit(Conn, State) ->
    {ok, {Ip, _}} = merlon_nif:peername(Conn),
    Source = source(Ip),
    #state{kernel = Kernel, family = Family, pending = Pending} = Left =
        make_room(Source, reap(State)),
    {Pid, Ref} = spawn_opt(?MODULE, handshake, [Kernel, Family, Conn, self()], [monitor]),
    ok = merlon_nif:set_owner(Conn, Pid),
    Pid ! {self(), go},
    Left#state{pending = [{Ref, Pid, Source, Conn} | Pending]}.

reap(State) ->
    receive
        {'DOWN', _, process, _, _} = Down -> reap(told(Down, State));
        {proven, _} = Proven -> reap(told(Proven, State))
    after 0 -> State
    end.

told({'DOWN', Ref, process, _, _}, #state{pending = Pending, leaving = Leaving} = State) ->
    State#state{pending = lists:keydelete(Ref, 1, Pending), leaving = lists:keydelete(Ref, 1, Leaving)};
told({proven, Pid}, #state{pending = Pending} = State) ->
    case lists:keyfind(Pid, 2, Pending) of
        {Ref, Pid, _, Conn} ->
            State#state{pending = lists:keyreplace(Pid, 2, Pending, {Ref, Pid, proven, Conn})};
        false -> State
    end.

%% The acceptor waits for no process that gives way: it closes the connection itself.
make_room(Source, #state{pending = Pending} = State) ->
    #{max_handshakes := Max} = merlon_node:config(),
    case length(Pending) >= Max of
        true -> evict(Source, State);
        false -> State
    end.

evict(Source, #state{pending = Pending, leaving = Leaving} = State) ->
    case gives_way(Source, Pending) of
        {Ref, Pid, _, Conn} = Evicted ->
            Pid ! {self(), evicted},
            ok = merlon_nif:close(Conn),
            Left = State#state{pending = lists:delete(Evicted, Pending),
                               leaving = [{Ref, Pid} | Leaving]},
            make_room(Source, hurry(Left));
        none ->
            receive
                {'DOWN', _, process, _, _} = Down -> make_room(Source, told(Down, State))
            end
    end.

%% A log that is slower than a flood loses lines; it does not make processes pile up.
hurry(#state{leaving = Leaving} = State) when length(Leaving) > ?LEAVING ->
    {Ref, Oldest} = lists:last(Leaving),
    erlang:demonitor(Ref, [flush]),
    exit(Oldest, kill),
    State#state{leaving = lists:droplast(Leaving)};
hurry(State) ->
    State.

%% Of the source that has the most, the newcomer counted in, the oldest; of several such the oldest.
-spec gives_way(source(), NewestFirst :: [pending()]) -> pending() | none.
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

-spec source(inet:ip_address()) -> source().
source({A, B, C, D, _, _, _, _}) -> {A, B, C, D, net};
source(Ip) -> Ip.

%% One inbound handshake: ends with the link in the hands of dist_util, or with one log line.
-spec handshake(pid(), inet | inet6, merlon_nif:conn(), pid()) -> ok.
handshake(Kernel, Family, Conn, Acceptor) ->
    MRef = erlang:monitor(process, Acceptor),
    receive
        {Acceptor, go} -> ok;
        {'DOWN', MRef, process, _, _} -> exit(shutdown)
    end,
    #{handshake_timeout := Timeout} = merlon_node:config(),
    Deadline = erlang:monotonic_time(millisecond) + Timeout,
    case merlon_handshake:serve(Conn, Acceptor, Deadline) of
        {ok, Claim} ->
            Acceptor ! {proven, self()},
            hand_over(Kernel, Family, {Conn, Claim, Deadline});
        join -> merlon_enroll:serve(Conn, Deadline);
        {error, Failure} -> refused(Conn, cause(Acceptor, Failure))
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
            ok;
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
