%% SPDX-License-Identifier: Apache-2.0
%% What the log has been told is not said again at once: of each kind of event and source the first goes
%% through, the others are counted, and every `log_interval` seconds one line says how many there were. A flood
%% writes as many lines as it has sources and kinds, and keeps as much memory as ?ROWS rows.
-module(merlon_repeats).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, note/4]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TABLE, ?MODULE).
%% More sources than that share one line for each kind. Kinds are words of ours, so there are few.
-define(ROWS, 256).
-define(LOOK, 250).

-type kind() :: {Event :: atom(), Details :: tuple()}.
-record(state, {since :: integer()}).

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

%% Whether the caller is to say it. If not, it has been counted. Without the server all is said.
-spec note(kind(), Source :: term(), logger:level(), map()) -> say | counted.
note(Kind, Source, Level, Report) ->
    case interval() of
        0 -> say;
        _ ->
            try noted(Kind, Source, Level, Report)
            catch error:badarg -> say
            end
    end.

noted(Kind, Source, Level, Report) ->
    Key = {Kind, Source},
    case ets:member(?TABLE, Key) orelse ets:info(?TABLE, size) < ?ROWS of
        true -> count({Key, 0, Level, Report});
        false -> count({{Kind, others}, 0, Level, Report})
    end.

count({Key, _, _, _} = Row) ->
    case ets:insert_new(?TABLE, Row) of
        true -> say;
        false ->
            _ = ets:update_counter(?TABLE, Key, 1, Row),
            counted
    end.

%% Seconds; 0: everything is said.
interval() ->
    case merlon_node:current() of
        {ok, #{config := #{log_interval := Seconds}}} -> Seconds;
        _ -> 0
    end.

%% ---- the server: it owns the table and says the sums ----

-spec init([]) -> {ok, #state{}}.
init([]) ->
    _ = ets:new(?TABLE, [named_table, public, {write_concurrency, true}]),
    look_later(),
    {ok, #state{since = now_ms()}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(_, From, State) -> merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(look, #state{since = Since} = State) ->
    look_later(),
    Now = now_ms(),
    case Now - Since >= interval() * 1000 of
        true ->
            lists:foreach(fun(Row) -> sum_up(Row, Now - Since) end, ets:tab2list(?TABLE)),
            {noreply, State#state{since = Now}};
        false -> {noreply, State}
    end;
handle_info(_, State) -> {noreply, State}.

%% What has not come again since the last sum is forgotten: the next one of it is news.
sum_up({{_, Source} = Key, _, Level, Report}, Time) ->
    [Count, _] = ets:update_counter(?TABLE, Key, [{2, 0}, {2, 1, 0, 0}]),
    case Count of
        0 -> ets:match_delete(?TABLE, {Key, 0, '_', '_'});
        _ -> merlon_event:repeated(Level, Report, Source, Count, Time div 1000)
    end.

look_later() ->
    _ = erlang:send_after(?LOOK, self(), look),
    ok.

now_ms() -> erlang:monotonic_time(millisecond).
