%% SPDX-License-Identifier: Apache-2.0
%% Serves the status page where `{status, {Ip, Port}}` of merlon.config says, and follows that setting: on loopback to whoever
%% asks, elsewhere through merlon_status_tls. One request for each connection, with one deadline for all of it; of too
%% many connections the oldest gives way, so that those that say nothing keep nobody out.
-module(merlon_status_http).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, address/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds between two looks at the setting, and for a whole request.
-define(POLL, 1000).
-define(DEADLINE, 5000).
-define(CONNECTIONS, 32).

-record(state, {place = off :: merlon_status_core:place(), listener = none :: none | {tcp, gen_tcp:socket()} | {tls, merlon_status_tls:listener()},
                failed = none :: none | {merlon_status_core:place(), term()},
                connections = [] :: [pid()]}).   % the youngest first

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

-spec address() -> merlon_status_core:place().
address() ->
    try gen_server:call(?MODULE, address)
    catch exit:{noproc, _} -> off
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    self() ! poll,
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(address, From, #state{listener = none} = State) ->
    merlon_ask:answered(From, off, State);
handle_call(address, From, #state{listener = Listener} = State) ->
    {ok, Address} = sockname(Listener),
    merlon_ask:answered(From, Address, State);
handle_call({connection, Pid}, From, #state{connections = Others} = State) ->
    _ = erlang:monitor(process, Pid),
    {Kept, Over} = lists:split(min(?CONNECTIONS, length(Others) + 1), [Pid | Others]),
    _ = [exit(Oldest, kill) || Oldest <- Over],
    merlon_ask:answered(From, ok, State#state{connections = Kept});
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    _ = erlang:send_after(?POLL, self(), poll),
    {noreply, follow(wanted(merlon_node:current()), State)};
handle_info({'DOWN', _, process, Pid, _}, #state{connections = Connections} = State) ->
    {noreply, State#state{connections = lists:delete(Pid, Connections)}};
handle_info(_, State) ->
    {noreply, State}.

%% ---- listening ----

wanted({ok, #{config := #{status := Place}}}) -> Place;
wanted(_) -> off.

follow(Place, #state{place = Place, listener = Listener} = State) when Place =:= off; Listener =/= none -> State;
follow(Place, #state{listener = Before} = State) ->
    ok = close(Before),
    listen(Place, State#state{place = Place, listener = none}).

listen(off, State) -> State#state{failed = none};
listen({Ip, Port} = Place, #state{failed = Failed} = State) ->
    case open(merlon_status_core:viewer(Ip), Ip, Port) of
        {ok, Listener} -> State#state{listener = Listener, failed = none};
        {error, Reason} ->
            %% Tried again, told once.
            _ = Failed =/= {Place, Reason} andalso spawn(merlon_event, status_failed, [failed(Place, Reason)]),
            State#state{failed = {Place, Reason}}
    end.

open(local, Ip, Port) ->
    case gen_tcp:listen(Port, options(Ip)) of
        {ok, Socket} ->
            Server = self(),
            _ = spawn_link(fun() -> accept(Socket, Server) end),
            {ok, {tcp, Socket}};
        {error, _} = Error -> Error
    end;
open(tool, Ip, Port) ->
    case merlon_status_tls:listen(Ip, Port) of
        {ok, Listener} -> {ok, {tls, Listener}};
        {error, _} = Error -> Error
    end.

close(none) -> ok;
close({tcp, Socket}) -> gen_tcp:close(Socket);
close({tls, Listener}) -> merlon_status_tls:close(Listener).

sockname({tcp, Socket}) -> inet:sockname(Socket);
sockname({tls, Listener}) -> merlon_status_tls:sockname(Listener).

options(Ip) ->
    family(Ip) ++ [binary, {ip, Ip}, {active, false}, {reuseaddr, true}, {backlog, 128}, {packet, raw},
                   {send_timeout, ?DEADLINE}, {send_timeout_close, true}].

family(Ip) when tuple_size(Ip) =:= 8 -> [inet6, {ipv6_v6only, true}];
family(_) -> [inet].

failed({Ip, Port}, Reason) ->
    io_lib:format("the status page can't be served on ~s, port ~b: ~ts; free it, or change {status, ...} in merlon.config",
                  [inet:ntoa(Ip), Port, inet:format_error(Reason)]).

accept(Listener, Server) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            hand_over(Socket, Server),
            accept(Listener, Server);
        {error, closed} -> ok;
        %% EMFILE for example.
        {error, _} ->
            timer:sleep(100),
            accept(Listener, Server)
    end.

hand_over(Socket, Server) ->
    Pid = spawn(fun() -> receive serve -> serve(Socket) after ?DEADLINE -> ok end end),
    case gen_tcp:controlling_process(Socket, Pid) of
        ok ->
            ok = gen_server:call(Server, {connection, Pid}, infinity),
            Pid ! serve;
        {error, _} ->
            gen_tcp:close(Socket),
            exit(Pid, kill)
    end.

%% ---- one connection ----

serve(Socket) ->
    Deadline = now_ms() + ?DEADLINE,
    ok = merlon_status_talk:answer(<<>>, #{recv => fun() -> gen_tcp:recv(Socket, 0, max(0, Deadline - now_ms())) end,
                                           send => fun(Bytes) -> gen_tcp:send(Socket, Bytes) end, viewer => local}),
    ok = linger(Socket),
    gen_tcp:close(Socket).

now_ms() -> erlang:monotonic_time(millisecond).

%% What was sent and not read would turn the answer into a reset. A little of it, for a little while.
linger(Socket) ->
    _ = gen_tcp:shutdown(Socket, write),
    drain(Socket, now_ms() + 500, 64).

drain(_Socket, _Until, 0) -> ok;
drain(Socket, Until, Left) ->
    case gen_tcp:recv(Socket, 0, max(0, Until - now_ms())) of
        {ok, _} -> drain(Socket, Until, Left - 1);
        {error, _} -> ok
    end.
