%% SPDX-License-Identifier: Apache-2.0
%% The listening side up to the point where dist_util takes over: one process takes connections
%% from the listener; each gets a process of its own for TLS and preamble, at most
%% `max_handshakes` at once. When more come, the one that has waited longest gives way.
-module(merlon_acceptor).

-export([listen/2, listen/3, start/2, close/1]).
-export([init/3, handshake/4]).
-export_type([listen_result/0]).

-type listen_result() ::
        {ok, {merlon_nif:listener(), NetAddress :: tuple(), Creation :: integer()}} |
        {error, term()}.

-record(state, {kernel :: pid(),
                family :: inet | inet6,
                listener :: merlon_nif:listener(),
                max :: pos_integer(),
                pending = [] :: [{reference(), pid()}]}). % newest first

%% Pause after a failed accept(2), in ms: EMFILE must not spin a scheduler.
-define(BACK_OFF, 200).

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
    case merlon_nif:listen(Ip, First, Backlog, Opts) of
        {error, eaddrinuse} -> open(Family, {First + 1, Last});
        Result -> Result
    end.

-spec close(merlon_nif:listener()) -> ok.
close(Listener) ->
    merlon_nif:close(Listener).

%% Called by net_kernel, to which the acceptor stays linked.
-spec start(inet | inet6, merlon_nif:listener()) -> pid().
start(Family, Listener) ->
    spawn_opt(?MODULE, init, [self(), Family, Listener],
              dist_util:net_ticker_spawn_options()).

-spec init(pid(), inet | inet6, merlon_nif:listener()) -> no_return().
init(Kernel, Family, Listener) ->
    ok = merlon_nif:set_owner(Listener, self()),
    #{max_handshakes := Max} = merlon_node:config(),
    loop(#state{kernel = Kernel, family = Family, listener = Listener, max = Max}).

loop(#state{listener = Listener} = State) ->
    case merlon_nif:accept(Listener) of
        {ok, Conn} -> loop(admit(Conn, State));
        wait -> loop(await(infinity, State));
        {error, Reason} when Reason =:= enotconn; Reason =:= ebadf; Reason =:= einval ->
            exit({listener_closed, Reason});
        {error, econnaborted} -> loop(State);
        {error, Reason} ->
            merlon_event:accept_failed(Reason),
            loop(await(?BACK_OFF, State))
    end.

await(Timeout, #state{pending = Pending} = State) ->
    receive
        {select, _, _, ready_input} -> State;
        {'DOWN', Ref, process, _, _} ->
            await(Timeout, State#state{pending = lists:keydelete(Ref, 1, Pending)})
    after Timeout -> State
    end.

admit(Conn, #state{pending = Pending0, max = Max} = State) ->
    Pending1 = reap(Pending0),
    Pending2 = case length(Pending1) >= Max of
                   true -> evict(Pending1);
                   false -> Pending1
               end,
    {Pid, Ref} = spawn_opt(?MODULE, handshake,
                           [State#state.kernel, State#state.family, Conn, self()],
                           [monitor, {priority, max}]),
    ok = merlon_nif:set_owner(Conn, Pid),
    Pid ! {self(), go},
    State#state{pending = [{Ref, Pid} | Pending2]}.

reap(Pending) ->
    receive
        {'DOWN', Ref, process, _, _} -> reap(lists:keydelete(Ref, 1, Pending))
    after 0 -> Pending
    end.

evict(Pending) ->
    {Ref, Oldest} = lists:last(Pending),
    erlang:demonitor(Ref, [flush]),
    Oldest ! {self(), evicted},
    lists:droplast(Pending).

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
        {ok, Claim} -> hand_over(Kernel, Family, {Conn, Claim, Deadline});
        {error, Failure} -> refused(Conn, Failure)
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

refused(Conn, Failure) ->
    merlon_event:refused(accept, Failure, merlon_nif:peername(Conn)),
    merlon_nif:close(Conn).
