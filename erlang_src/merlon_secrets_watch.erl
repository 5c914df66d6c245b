%% SPDX-License-Identifier: Apache-2.0
%% Asks the provider of the keyring again while the node runs. A new keyring is in use at once, for new links; while
%% the provider does not answer, or what it gives can't be used, the last good one stays, and the log says how old it is.
%% A process of its own: a slow server must not hold up merlon_reload.
-module(merlon_secrets_watch).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, refresh/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).

%% Milliseconds between two looks at the clock.
-define(TICK, 1000).

-record(state, {held = none :: none | term(),
                stamp = none :: term(),
                watch = none :: none | merlon_secrets_core:watch()}).

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

%% Asks now. `unchanged` when the keyring is as it was, or there is no provider that could change it.
-spec refresh() -> {ok, reloaded | unchanged} | {error, {secrets, merlon_secrets:reason()} | not_distributed}.
refresh() ->
    try gen_server:call(?MODULE, refresh, infinity)
    catch exit:{noproc, _} -> {error, not_distributed}
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(sensitive, true),
    next_tick(),
    {ok, #state{}}.

-spec handle_call(refresh | term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(refresh, From, State) ->
    case current(State) of
        #state{watch = none} = None -> merlon_ask:answered(From, {ok, unchanged}, None);
        Known ->
            {Result, Next} = look(Known#state{stamp = none}),
            merlon_ask:answered(From, Result, Next)
    end;
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(tick, State) ->
    next_tick(),
    case current(State) of
        #state{watch = none} = None -> {noreply, None};
        #state{watch = Watch} = Known ->
            case merlon_secrets_core:due(now_s(), Watch) of
                true -> {noreply, element(2, look(Known))};
                false -> {noreply, Known}
            end
    end;
handle_info(_, State) ->
    {noreply, State}.

next_tick() ->
    _ = erlang:send_after(?TICK, self(), tick),
    ok.

now_s() -> erlang:monotonic_time(second).

%% The provider is taken when the node starts and stays; here it is seen first, or again after a crash.
current(#state{held = none} = State) ->
    case merlon_secrets:held() of
        none -> State;
        #{provider := Provider} = Held -> State#state{held = Held, watch = watch(merlon_secrets:watch(Provider))}
    end;
current(State) ->
    State.

watch(never) -> none;
watch(Every) -> merlon_secrets_core:new(Every, now_s()).

%% ---- one look ----

look(#state{watch = Watch} = State) ->
    Looked = State#state{watch = merlon_secrets_core:looked(now_s(), Watch)},
    case stamp(State) of
        {known, _} -> {{ok, unchanged}, fresh(Looked)};
        {new, Stamp} -> fetch(Stamp, Looked)
    end.

%% After a failure it is read again, whatever the stamp says.
stamp(#state{held = #{provider := {Module, _}, state := Kept}, stamp = Known, watch = #{failing := Failing}}) ->
    case erlang:function_exported(Module, stamp, 1) of
        true ->
            Stamp = Module:stamp(Kept),
            {case Stamp =:= Known andalso Failing =:= none of true -> known; false -> new end, Stamp};
        false -> {new, none}
    end.

fetch(Stamp, #state{held = Held} = State) ->
    case newer(merlon_secrets:fetch(Held), Held) of
        {ok, New} -> taken(New, Held, fresh(State#state{held = New, stamp = Stamp}));
        {error, {secrets, Reason} = Error} -> {{error, Error}, stale(Reason, State)}
    end.

%% A replica that lags, or a backup that was put back: entries that were taken out would come back.
newer({ok, #{keyring := New, provider := Provider} = Given}, #{keyring := Old}) ->
    case merlon_secrets_core:older(New, Old) of
        no -> {ok, Given};
        Older -> {error, {secrets, {merlon_secrets:name(Provider), Older}}}
    end;
newer({error, _} = Error, _Held) ->
    Error.

%% By what can be seen of the entries: ids are made of the secrets.
taken(#{keyring := New} = Taken, #{keyring := Old}, State) ->
    case merlon_keyring:public(New) =:= merlon_keyring:public(Old) of
        true -> {{ok, unchanged}, State};
        false ->
            ok = merlon_secrets:hold(Taken),
            {reloaded(merlon_reload:reload()), State}
    end.

reloaded({ok, _} = Result) -> Result;
reloaded({error, _}) -> {ok, unchanged}. % of other files: it has been logged, and this keyring comes with them

fresh(#state{watch = Watch} = State) ->
    {Say, Next} = merlon_secrets_core:answered(now_s(), Watch),
    said(Say, none, State),
    State#state{watch = Next}.

stale(Reason, #state{watch = Watch} = State) ->
    {Say, Next} = merlon_secrets_core:failed(now_s(), Watch),
    said(Say, Reason, State),
    State#state{watch = Next}.

%% A logger may be slow.
said(quiet, _Reason, _State) -> ok;
said({back, Age}, _Reason, State) -> _ = spawn(merlon_event, secret_back, [name(State), Age]), ok;
said({warn, Age}, Reason, State) ->
    _ = spawn(merlon_event, secret_stale, [name(State), Age, merlon_secrets:format_error(Reason)]),
    ok.

name(#state{held = #{provider := Provider}}) -> merlon_secrets:name(Provider).

-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
    maps:map(fun(log, _) -> [];
                (reason, Reason) -> Reason;
                (_, _) -> hidden
             end, Status).
