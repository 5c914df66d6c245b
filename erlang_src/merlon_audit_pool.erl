%% SPDX-License-Identifier: Apache-2.0
%% Work on many files at once, each in a process of its own that may neither take all memory nor all time.
-module(merlon_audit_pool).

-export([files/3, map/3]).
-export([work/2]). % a worker's start
-export_type([options/0]).

%% `progress` is called with how many are done of how many.
-type options() :: #{workers => pos_integer(), progress => fun((non_neg_integer(), non_neg_integer()) -> term()),
                     words => pos_integer(), timeout => pos_integer()}.

%% 256 MB of heap for one file: what OTP's largest module takes is a fifth of it.
-define(WORDS, 16#2000000).
-define(TIMEOUT, 60000).

%% Bytes from which on a file is looked at alone: its code may take a hundred times as much.
-define(LARGE, 16#60000).

%% Each file with what Fun gives for it; the large ones one after the other.
-spec files(fun((merlon_audit_files:file()) -> Result), [merlon_audit_files:file()], options()) ->
          [{merlon_audit_files:file(), Result | {error, {worker, timeout | killed | crashed}}}].
files(Fun, Files, Options) ->
    {Large, Others} = lists:partition(fun(#{size := Size}) -> Size > ?LARGE end, Files),
    Counts = fun(Before, Given) -> counting(Before, length(Files), Given) end,
    First = map(Fun, Others, Counts(0, Options)),
    lists:zip(Others ++ Large, First ++ map(Fun, Large, Counts(length(Others), Options#{workers => 1}))).

%% One count over both.
counting(Before, Total, #{progress := Progress} = Options) ->
    Options#{progress := fun(Done, _) -> Progress(Before + Done, Total) end};
counting(_Before, _Total, Options) -> Options.

%% In the order of Items. A worker that dies gives {error, {worker, Why}}.
-spec map(fun((Item) -> Result), [Item], options()) -> [Result | {error, {worker, timeout | killed | crashed}}].
map(Fun, Items, Options) ->
    Workers = maps:get(workers, Options, erlang:system_info(schedulers_online)),
    Total = length(Items),
    State = #{work => Fun, total => Total, options => Options, done => 0, busy => #{}, results => #{}},
    #{results := Results} = feed(lists:zip(lists:seq(1, Total), Items), Workers, State),
    [maps:get(N, Results) || N <- lists:seq(1, Total)].

feed([{N, Item} | Items], Free, State) when Free > 0 -> feed(Items, Free - 1, start(N, Item, State));
feed([], _Free, #{busy := Busy} = State) when map_size(Busy) =:= 0 -> State;
feed(Items, Free, State) -> feed(Items, Free + 1, collect(State)).

start(N, Item, #{work := Fun, busy := Busy, options := Options} = State) ->
    Words = maps:get(words, Options, ?WORDS),
    Limit = #{size => Words, kill => true, error_logger => false},
    {Pid, Monitor} = spawn_opt(?MODULE, work, [Fun, Item], [monitor, {max_heap_size, Limit}]),
    Timer = erlang:start_timer(maps:get(timeout, Options, ?TIMEOUT), self(), {slow, Pid}),
    State#{busy := Busy#{Monitor => {N, Pid, Timer}}}.

%% A report of the crash would have the file's content in it.
-spec work(fun((Item) -> term()), Item) -> no_return().
work(Fun, Item) ->
    exit(try {done, Fun(Item)} catch _:_ -> crashed end).

collect(#{busy := Busy} = State) ->
    receive
        {'DOWN', Monitor, process, _, Why} when is_map_key(Monitor, Busy) ->
            {{N, _, Timer}, Left} = maps:take(Monitor, Busy),
            stop(Timer),
            counted(State#{busy := Left}, N, result(Why));
        {timeout, _, {slow, Pid}} ->
            exit(Pid, timeout),
            collect(State)
    end.

stop(Timer) ->
    case erlang:cancel_timer(Timer) of
        false -> receive {timeout, Timer, _} -> ok after 0 -> ok end;
        _ -> ok
    end.

result({done, Result}) -> Result;
result(timeout) -> {error, {worker, timeout}};
result(killed) -> {error, {worker, killed}};
result(_) -> {error, {worker, crashed}}.

counted(#{done := Done, total := Total, results := Results, options := Options} = State, N, Result) ->
    _ = (maps:get(progress, Options, fun(_, _) -> ok end))(Done + 1, Total),
    State#{done := Done + 1, results := Results#{N => Result}}.
