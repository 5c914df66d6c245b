%% SPDX-License-Identifier: Apache-2.0
%% Finds a cookie of OTP's generator from one captured answer of the handshake: ranges of seeds are
%% handed to workers, each of which keeps one dirty scheduler busy for a moment at a time.
-module(merlon_cookie_prove).

-export([run/3]).
-export_type([options/0]).

%% `state`: a file to go on from. It holds a number and a hash of the capture, nothing secret.
%% `progress` is called about once a second with the seeds that are done and the rate.
-type options() :: #{workers => pos_integer(), last => non_neg_integer(), state => file:filename_all(),
                     progress => fun((Done :: non_neg_integer(), PerSecond :: float()) -> term())}.

-define(SEEDS, (1 bsl 36)).
-define(RANGE, (1 bsl 22)).
-define(TICK, 1000).

%% Challenge and digest as the node sent them. The seed is as good as the cookie, so it is in a fun.
-spec run(Challenge :: 0..16#ffffffff, Digest :: <<_:128>>, options()) ->
          {found, fun(() -> non_neg_integer())} | not_found | {error, {state, term()}}.
run(Challenge, Digest, Options) ->
    ok = merlon_nif:load(),
    Capture = capture_id(Challenge, Digest),
    case resume(Options, Capture) of
        {ok, First} -> search(Challenge, Digest, First, Capture, Options);
        {error, _} = Error -> Error
    end.

search(Challenge, Digest, First, Capture, Options) ->
    Default = erlang:system_info(dirty_cpu_schedulers_online),
    Self = self(),
    Work = fun(From, Count) -> merlon_nif:cookie_search(Challenge, Digest, From, Count) end,
    Workers = [spawn_link(fun() -> worker(Self, Work) end)
               || _ <- lists:seq(1, maps:get(workers, Options, Default))],
    Now = erlang:monotonic_time(millisecond),
    State = #{next => First, busy => #{}, last => min(maps:get(last, Options, ?SEEDS), ?SEEDS),
              first => First, since => Now, told => Now, capture => Capture, options => Options},
    Result = collect(lists:foldl(fun hand_out/2, State, Workers)),
    lists:foreach(fun stop/1, Workers),
    Result.

%% With what it may still have said.
stop(Worker) ->
    Monitor = monitor(process, Worker),
    unlink(Worker),
    exit(Worker, kill),
    receive {'DOWN', Monitor, process, Worker, _} -> ok end,
    receive {done, Worker, _} -> ok after 0 -> ok end.

worker(Master, Work) ->
    receive
        {range, From, Count} ->
            Master ! {done, self(), Work(From, Count)},
            worker(Master, Work)
    end.

hand_out(_Worker, #{next := Next, last := Last} = State) when Next >= Last -> State;
hand_out(Worker, #{next := Next, last := Last, busy := Busy} = State) ->
    Count = min(?RANGE, Last - Next),
    Worker ! {range, Next, Count},
    State#{next := Next + Count, busy := Busy#{Worker => Next}}.

collect(#{busy := Busy} = State) when map_size(Busy) =:= 0 -> finished(State, not_found);
collect(State) ->
    receive
        {done, _Worker, {ok, Seed}} -> finished(State, {found, fun() -> Seed end});
        {done, Worker, none} ->
            #{busy := Busy} = State,
            collect(tell(hand_out(Worker, State#{busy := maps:remove(Worker, Busy)})))
    end.

finished(#{options := #{state := File}}, Result) ->
    _ = file:delete(File),
    Result;
finished(_State, Result) ->
    Result.

%% All below is done.
done(#{busy := Busy, next := Next}) -> lists:min([Next | maps:values(Busy)]).

tell(#{told := Told, since := Since, first := First, options := Options} = State) ->
    case erlang:monotonic_time(millisecond) of
        Now when Now - Told >= ?TICK ->
            Done = done(State),
            Progress = maps:get(progress, Options, fun(_, _) -> ok end),
            _ = Progress(Done, (Done - First) * 1000 / (Now - Since)),
            _ = save(State, Done),
            State#{told := Now};
        _ -> State
    end.

%% ---- the state file ----

%% Tells captures apart. Who has the file has no digest to search with.
capture_id(Challenge, Digest) ->
    integer_to_binary(erlang:phash2({Challenge, Digest}), 16).

%% That it can be written is seen now, and not after hours.
resume(#{state := File} = Options, Capture) ->
    case file:read_file(File) of
        {error, enoent} -> begun(save(#{options => Options, capture => Capture}, 0), File);
        {error, Posix} -> {error, {state, {File, Posix}}};
        {ok, Text} -> resumed(string:lexemes(Text, " \n"), Capture, File)
    end;
resume(_Options, _Capture) -> {ok, 0}.

begun(ok, _File) -> {ok, 0};
begun({error, Posix}, File) -> {error, {state, {File, Posix}}}.

resumed([<<"merlon-prove">>, <<"1">>, Capture, Number], Capture, File) ->
    case string:to_integer(Number) of
        {Done, <<>>} when is_integer(Done), Done >= 0, Done =< ?SEEDS -> {ok, Done};
        _ -> {error, {state, {File, damaged}}}
    end;
resumed([<<"merlon-prove">>, <<"1">>, _, _], _Capture, File) -> {error, {state, {File, other_capture}}};
resumed(_, _Capture, File) -> {error, {state, {File, damaged}}}.

%% Never through a link that another user has put there.
save(#{options := #{state := File}, capture := Capture}, Done) ->
    Unfinished = [File, ".new"],
    Text = ["merlon-prove 1 ", Capture, $\s, integer_to_binary(Done), $\n],
    _ = file:delete(Unfinished),
    case file:write_file(Unfinished, Text, [sync, exclusive]) of
        ok -> file:rename(Unfinished, File);
        {error, _} = Error -> Error
    end;
save(_State, _Done) -> ok.
