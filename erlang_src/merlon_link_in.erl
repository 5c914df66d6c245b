%% SPDX-License-Identifier: Apache-2.0
%% The receiving half of one link: reads until the socket is empty and hands whole frames to the
%% VM. What ends the link is seen here first and said here.
-module(merlon_link_in).

-export([start/2]).
-export([init/3]).

%% Milliseconds in which a slow stream comes on.
-define(PAUSE, 1).
%% Milliseconds without anything to read after which no message is kept alive that has been handed on.
-define(REST, 500).

%% Started by the dist controller, to which it stays linked.
-spec start(merlon_nif:conn(), erlang:dist_handle()) -> pid().
start(Conn, DHandle) ->
    spawn_opt(?MODULE, init, [self(), Conn, DHandle],
              [link, {message_queue_data, off_heap}, {fullsweep_after, 0}]).

-record(state, {out :: pid(),
                conn :: merlon_nif:conn(),
                handle :: erlang:dist_handle(),
                budget :: merlon_reprove_core:budget(),
                pace :: merlon_link_in_core:pace(),
                ahead = none :: merlon_link_ahead:helper()}).

-spec init(pid(), merlon_nif:conn(), erlang:dist_handle()) -> no_return().
init(Out, Conn, DHandle) ->
    #{busy_poll := Time} = merlon_node:config(),
    receive
        {Out, go} ->
            loop(#state{out = Out, conn = Conn, handle = DHandle, budget = merlon_reprove_core:budget(now_ms()),
                        pace = merlon_link_in_core:new(Time, erlang:system_info(schedulers_online))})
    end.

loop(#state{conn = Conn, handle = DHandle, pace = Pace} = State) ->
    case merlon_nif:recv(Conn, merlon_link_in_core:goes_on(Pace)) of
        {Frames, more} when is_list(Frames) ->
            loop(part(Frames, State#state{pace = merlon_link_in_core:more(Pace)}));
        {Frames, Next} when is_list(Frames) ->
            put_frames(DHandle, Frames),
            loop(await(Next, Frames, State));
        {Frames, Next, Controls} ->
            put_frames(DHandle, Frames),
            loop(await(Next, Frames, control(Controls, State)));
        {error, Reason} ->
            failed(State#state.out, Reason)
    end.

%% Of a stream.
part(Frames, #state{conn = Conn, handle = DHandle, pace = Pace, ahead = Ahead} = State) ->
    Way = merlon_link_in_core:gives_way(Pace),
    case Way =:= ahead andalso merlon_link_ahead:read(Ahead, Conn) of
        Helper when is_pid(Helper) ->
            put_frames(DHandle, Frames),
            Since = now_us(),
            Time = merlon_link_ahead:done(Helper),
            State#state{ahead = Helper, pace = merlon_link_in_core:gave_way(Since + Time, now_us(), Pace)};
        false ->
            put_frames(DHandle, Frames),
            gave_way(Way, State);
        off ->
            put_frames(DHandle, Frames),
            gave_way(yield, State#state{ahead = off})
    end.

gave_way(no, State) ->
    State;
gave_way(_Way, #state{pace = Pace} = State) ->
    Since = now_us(),
    erlang:yield(),
    State#state{pace = merlon_link_in_core:gave_way(Since, now_us(), Pace)}.

%% What the other carrier says is judged elsewhere. A peer that says more than it may loses its link.
control(Controls, #state{out = Out, conn = Conn, budget = Budget} = State) ->
    case merlon_reprove_core:spend(length(Controls), now_ms(), Budget) of
        {ok, Left} -> ok = merlon_reprove:received(Out, Conn, Controls), State#state{budget = Left};
        flood -> failed(Out, control_flood)
    end.

-spec failed(pid(), atom()) -> no_return().
failed(Out, Reason) ->
    merlon_event:link_failed(Out, Reason),
    exit(connection_closed).

now_ms() -> erlang:monotonic_time(millisecond).

put_frames(DHandle, [Frame | Frames]) ->
    erlang:dist_ctrl_put_data(DHandle, Frame),
    put_frames(DHandle, Frames);
put_frames(_DHandle, []) ->
    ok.

await(more, _Frames, #state{pace = Pace} = State) ->
    Next = merlon_link_in_core:more(Pace),
    gave_way(merlon_link_in_core:gives_way(Next), State#state{pace = Next});
await(empty, Frames, #state{pace = Pace} = State) ->
    Next = merlon_link_in_core:empty(Frames, now_us(), Pace),
    erlang:yield(),
    State#state{pace = Next};
await({part, Bytes}, _Frames, #state{pace = Pace} = State) ->
    Next = State#state{pace = merlon_link_in_core:part(Bytes, now_us(), Pace)},
    case merlon_link_in_core:goes_on(Pace) of
        pause -> receive after ?PAUSE -> Next end;
        _ -> woken(Next)
    end;
await(wait, _Frames, #state{pace = Pace} = State) ->
    woken(State#state{pace = merlon_link_in_core:whole(Pace)}).

woken(State) ->
    Since = now_us(),
    Next = receive
               {select, _, _, ready_input} -> State
           after ?REST -> rested(State)
           end,
    Next#state{pace = merlon_link_in_core:woken(Since, now_us(), Next#state.pace)}.

rested(#state{ahead = Ahead} = State) ->
    Next = State#state{ahead = merlon_link_ahead:stop(Ahead)},
    erlang:garbage_collect(),
    receive {select, _, _, ready_input} -> Next end.

now_us() -> erlang:monotonic_time(microsecond).
