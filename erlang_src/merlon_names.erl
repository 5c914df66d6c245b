%% SPDX-License-Identifier: Apache-2.0
%% The name service of this host, `{epmd, {names, ...}}`: the first node binds the port and keeps the names, the others
%% register with it and stay connected. When the keeper ends, the system closes those connections: all of them try to
%% bind at once, one succeeds, and the others register anew. The port numbers are believed, and nothing else: the link
%% that follows is bound to the node's name by its certificate.
-module(merlon_names).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, register/3, find/3, list/2, keeps/1, judge/0]).
-export([table/2, enter/4]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-type family() :: inet | inet6.
-record(own, {node :: binary(), port :: inet:port_number(),
              asked = none :: none | gen_server:from(),
              until :: integer() | infinity, % when it is an error
              role = seeking :: seeking | keeper | {asking, pid()} | {member, pid()},
              keeper = <<>> :: binary(), % whose name this node is registered with
              silent = false :: boolean()}). % that it does not answer has been said
-record(state, {owns = #{} :: #{family() => #own{}},
                tables = #{} :: #{family() => merlon_names_core:table()}}).

%% Milliseconds that a starting node tries: the port may just be changing hands, or its own name be about to be freed.
-define(PATIENCE, 3000).
%% Between two tries, and at most as much again by chance.
-define(PAUSE, 50).
%% The same for a node that has tried for long.
-define(LONG_PAUSE, 500).
%% Between two questions of a registered node to the keeper for its own name: one that hangs keeps its sessions open.
-define(CHECK, 5000).

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

%% This node listens on that port, and stays registered until the distribution ends.
-spec register(family(), Node :: binary(), inet:port_number()) ->
          ok | {error, duplicate_name | {names, merlon_names_core:reason()}}.
register(Family, Node, Port) ->
    try gen_server:call(?MODULE, {register, Family, Node, Port}, infinity)
    catch exit:_ -> {error, {names, {not_kept, names_port(), "its server has ended"}}}
    end.

%% Where a node listens, says the host of that address.
-spec find(inet:ip_address(), Source :: inet:ip_address() | undefined, Name :: binary()) ->
          {ok, inet:port_number()} | noport | {error, term()}.
find(Ip, Source, Name) ->
    case merlon_names_client:ask({Ip, names_port()}, Source, {find, Name}) of
        {ok, {port, Port}} -> {ok, Port};
        {ok, _} -> noport;
        %% Where nobody listens there is no node.
        {error, #{reason := econnrefused}} -> noport;
        {error, #{reason := Reason}} -> {error, {names, Reason}}
    end.

%% All names there that this node may know.
-spec list(inet:ip_address(), Source :: inet:ip_address() | undefined) ->
          {ok, [{Node :: binary(), inet:port_number()}]} | {error, term()}.
list(Ip, Source) ->
    case merlon_names_client:ask({Ip, names_port()}, Source, list) of
        {ok, {names, Names}} -> {ok, Names};
        {ok, _} -> {error, address};
        {error, #{reason := econnrefused}} -> {ok, []};
        {error, #{reason := Reason}} -> {error, {names, Reason}}
    end.

%% Whether this node is the keeper.
-spec keeps(family()) -> boolean().
keeps(Family) -> gen_server:call(?MODULE, {keeps, Family}).

%% Other people are trusted or revoked now: whoever is registered is judged again.
-spec judge() -> ok.
judge() -> gen_server:cast(?MODULE, judge).

%% ---- for merlon_names_server ----

-spec table(pid(), family()) -> merlon_names_core:table().
table(Names, Family) -> gen_server:call(Names, {table, Family}).

-spec enter(pid(), family(), Name :: binary(), merlon_names_core:entry()) -> ok | {error, taken | full}.
enter(Names, Family, Name, Entry) -> gen_server:call(Names, {enter, Family, Name, Entry}).

%% ---- the process ----

-spec init([]) -> {ok, #state{}, {continue, resume}}.
init([]) -> {ok, #state{}, {continue, resume}}.

%% After a crash: what merlon_epmd has registered. When the distribution starts there is none yet.
-spec handle_continue(resume, #state{}) -> {noreply, #state{}}.
handle_continue(resume, State) ->
    {noreply, lists:foldl(fun({Family, Node, Port}, Next) -> seek(Family, own(Node, Port, none), Next) end,
                          State, merlon_epmd:named())}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call({register, Family, _, _}, From, #state{owns = Owns} = State) when is_map_key(Family, Owns) ->
    merlon_ask:answered(From, {error, duplicate_name}, State);
handle_call({register, Family, Node, Port}, From, State) ->
    {noreply, seek(Family, own(Node, Port, From), State)};
handle_call({table, Family}, From, #state{tables = Tables} = State) ->
    merlon_ask:answered(From, maps:get(Family, Tables, merlon_names_core:new()), State);
handle_call({enter, Family, Name, Entry}, From, State) ->
    {Result, Next} = entered(Family, Name, Entry, State),
    merlon_ask:answered(From, Result, Next);
handle_call({keeps, Family}, From, #state{owns = Owns} = State) ->
    merlon_ask:answered(From, is_map_key(Family, Owns) andalso (map_get(Family, Owns))#own.role =:= keeper, State);
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

own(Node, Port, Asked) -> #own{node = Node, port = Port, asked = Asked, until = now_ms() + ?PATIENCE}.

entered(Family, Name, #{pid := Pid} = Entry, #state{tables = Tables} = State) ->
    case merlon_names_core:enter(Name, Entry, maps:get(Family, Tables)) of
        {ok, Table} ->
            _ = erlang:monitor(process, Pid),
            {ok, State#state{tables = Tables#{Family => Table}}};
        {error, _} = Error -> {Error, State}
    end.

-spec handle_cast(judge | term(), #state{}) -> {noreply, #state{}}.
handle_cast(judge, #state{tables = Tables} = State) ->
    _ = [Pid ! judge || Table <- maps:values(Tables), Pid <- merlon_names_core:sessions(Table), Pid =/= self()],
    {noreply, State};
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({member, Pid, Keeper}, #state{owns = Owns} = State) ->
    case [{Family, Own} || {Family, #own{role = {asking, Asking}} = Own} <- maps:to_list(Owns), Asking =:= Pid] of
        [{Family, Own}] ->
            check_later(Family, Pid),
            {noreply, settled(Family, Own#own{role = {member, Pid}, keeper = Keeper, silent = false}, State)};
        [] -> {noreply, State}
    end;
handle_info({check, Family, Pid}, #state{owns = Owns} = State) ->
    case Owns of
        #{Family := #own{role = {member, Pid}} = Own} -> check(Family, Own);
        #{} -> ok
    end,
    {noreply, State};
handle_info({checked, Family, Pid, Answer}, #state{owns = Owns} = State) ->
    case Owns of
        #{Family := #own{role = {member, Pid}} = Own} -> {noreply, with(Family, checked(Answer, Own), State)};
        #{} -> {noreply, State}
    end;
handle_info({'DOWN', _, process, Pid, Reason}, #state{owns = Owns, tables = Tables} = State) ->
    case [{Family, Own} || {Family, #own{role = {_, Its}} = Own} <- maps:to_list(Owns), Its =:= Pid] of
        [{Family, Own}] -> {noreply, again(Reason, Family, Own, State)};
        [] -> {noreply, State#state{tables = maps:map(fun(_, Table) -> merlon_names_core:left(Pid, Table) end, Tables)}}
    end;
handle_info({seek, Family}, #state{owns = Owns} = State) ->
    case Owns of
        #{Family := #own{role = seeking} = Own} -> {noreply, seek(Family, Own, State)};
        #{} -> {noreply, State}
    end;
handle_info(_, State) ->
    {noreply, State}.

%% ---- keeper or member ----

seek(Family, Own, State) ->
    Port = names_port(),
    case merlon_node:is_tool() orelse merlon_listen:open_names(Family, own_host(), Port) of
        %% Nobody would believe a tool.
        true -> follow(Family, Own, Port, State);
        {ok, Listeners} -> keep(Family, Own, Listeners, State);
        {error, {listen, _, eaddrinuse}} -> follow(Family, Own, Port, State);
        {error, Reason} -> failed({names, {listen, Port, Reason}}, Family, Own, State)
    end.

follow(Family, #own{node = Node, port = Port} = Own, NamesPort, State) ->
    To = {merlon_listen:loopback(Family), NamesPort},
    {Pid, _} = spawn_monitor(merlon_names_client, member, [self(), To, Node, Port]),
    with(Family, Own#own{role = {asking, Pid}}, State).

%% A tool is not told of tools.
check_later(Family, Pid) ->
    _ = merlon_node:is_tool() orelse erlang:send_after(?CHECK, self(), {check, Family, Pid}),
    ok.

check(Family, #own{node = Node, role = {member, Pid}}) ->
    {Self, To} = {self(), {merlon_listen:loopback(Family), names_port()}},
    _ = spawn(fun() -> Self ! {checked, Family, Pid, merlon_names_client:ask(To, undefined, {find, Node})} end),
    check_later(Family, Pid).

%% A keeper that answers and does not know this node is told again.
checked({ok, {port, Port}}, #own{port = Port, silent = Silent, keeper = Keeper} = Own) ->
    _ = Silent andalso said(names_back, [Keeper]),
    Own#own{silent = false};
checked({ok, _}, #own{role = {member, Pid}} = Own) ->
    true = exit(Pid, lost),
    Own;
%% Who refuses, or has just ended, does not hang.
checked({error, #{reason := timeout, text := Text}}, #own{silent = false, keeper = Keeper} = Own) ->
    said(names_silent, [Keeper, Text]),
    Own#own{silent = true};
checked({error, _}, Own) -> Own.

%% The acceptor is linked: without it there is no keeper, and this process is started anew.
keep(Family, #own{node = Node, port = Port} = Own, [First | _] = Listeners, #state{tables = Tables} = State) ->
    lists:foreach(fun(Listener) -> ok = merlon_nif:set_owner(Listener, self()) end, Listeners),
    {ok, #{identity := Identity}} = merlon_node:current(),
    {ok, Table} = merlon_names_core:enter(Node, #{port => Port, owner => Identity, pid => self()}, merlon_names_core:new()),
    _ = spawn_link(merlon_acceptor, init, [{merlon_names_server, serve, [self(), Family]}, none, Listeners]),
    {ok, Local} = merlon_nif:sockname(First),
    said(names_kept, [Local]),
    settled(Family, Own#own{role = keeper}, State#state{tables = Tables#{Family => Table}}).

settled(Family, Own, State) ->
    answered(ok, Own),
    with(Family, Own#own{asked = none}, State).

answered(_Answer, #own{asked = none}) -> ok;
answered(Answer, #own{asked = From}) -> merlon_ask:reply(From, Answer).

with(Family, Own, #state{owns = Owns} = State) -> State#state{owns = Owns#{Family => Own}}.

%% The keeper is gone, or did not take this node's name.
again(lost, Family, Own, State) -> seek(Family, Own#own{role = seeking, until = now_ms() + ?PATIENCE}, State);
again({refused, taken}, Family, Own, State) -> failed(duplicate_name, Family, Own, State);
again({refused, full}, Family, Own, State) -> failed({names, {full, names_port()}}, Family, Own, State);
again({refused, Why}, Family, Own, State) ->
    failed({names, {not_kept, names_port(), ["it says ", atom_to_list(Why)]}}, Family, Own, State);
again({failed, #{text := Text}}, Family, Own, State) ->
    failed({names, {not_kept, names_port(), Text}}, Family, Own, State);
again(_Crash, Family, Own, State) -> failed({names, {not_kept, names_port(), "internal"}}, Family, Own, State).

%% A starting node gives up after a while; a running one never does, and says so once. A tool goes on without: it
%% dials, and is hardly ever dialled.
failed(Reason, Family, #own{asked = Asked, until = Until} = Own, #state{owns = Owns} = State) ->
    case {merlon_node:is_tool() andalso Reason =/= duplicate_name, Asked, now_ms() < Until} of
        {true, _, _} ->
            answered(ok, Own),
            later(Family, Own#own{asked = none}, State);
        {false, _, true} -> later(Family, Own, State);
        {false, none, false} ->
            said(names_lost, [words(Reason)]),
            later(Family, Own#own{until = infinity}, State);
        {false, _, false} ->
            answered({error, Reason}, Own),
            State#state{owns = maps:remove(Family, Owns)}
    end.

%% A log may be slow.
said(Event, Args) ->
    _ = spawn(merlon_event_names, Event, Args),
    ok.

words(duplicate_name) -> "another node of this host has registered this node's name";
words({names, Reason}) -> merlon_names_core:format_error(Reason).

later(Family, Own, State) ->
    Pause = pause(Own),
    _ = erlang:send_after(Pause + rand:uniform(Pause), self(), {seek, Family}),
    with(Family, Own#own{role = seeking}, State).

pause(#own{until = Until}) ->
    case is_integer(Until) andalso now_ms() < Until of
        true -> ?PAUSE;
        false -> ?LONG_PAUSE
    end.

names_port() ->
    #{epmd := {names, #{port := Port}}} = merlon_node:config(),
    Port.

own_host() ->
    [_, Host] = string:split(merlon_node:name(), "@"),
    Host.

now_ms() -> erlang:monotonic_time(millisecond).
