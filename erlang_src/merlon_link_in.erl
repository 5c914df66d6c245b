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

-spec init(pid(), merlon_nif:conn(), erlang:dist_handle()) -> no_return().
init(Out, Conn, DHandle) ->
    #{busy_poll := Time} = merlon_node:config(),
    receive
        {Out, go} ->
            loop(Out, Conn, DHandle, merlon_reprove_core:budget(now_ms()),
                 merlon_link_in_core:new(Time, erlang:system_info(schedulers_online)))
    end.

loop(Out, Conn, DHandle, Budget, Pace) ->
    case merlon_nif:recv(Conn, merlon_link_in_core:goes_on(Pace)) of
        {Frames, Next} when is_list(Frames) ->
            put_frames(DHandle, Frames),
            loop(Out, Conn, DHandle, Budget, await(Next, Frames, Pace));
        {Frames, Next, Controls} ->
            put_frames(DHandle, Frames),
            Left = control(Out, Conn, Controls, Budget),
            loop(Out, Conn, DHandle, Left, await(Next, Frames, Pace));
        {error, Reason} ->
            failed(Out, Reason)
    end.

%% What the other carrier says is judged elsewhere. A peer that says more than it may loses its link.
control(Out, Conn, Controls, Budget) ->
    case merlon_reprove_core:spend(length(Controls), now_ms(), Budget) of
        {ok, Left} -> ok = merlon_reprove:received(Out, Conn, Controls), Left;
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

await(more, _Frames, Pace) ->
    Next = merlon_link_in_core:more(Pace),
    case merlon_link_in_core:gives_way(Next) of
        true ->
            Since = now_us(),
            erlang:yield(),
            merlon_link_in_core:gave_way(Since, now_us(), Next);
        false -> Next
    end;
await(empty, Frames, Pace) ->
    Next = merlon_link_in_core:empty(Frames, now_us(), Pace),
    erlang:yield(),
    Next;
await({part, Bytes}, _Frames, Pace) ->
    Next = merlon_link_in_core:part(Bytes, now_us(), Pace),
    case merlon_link_in_core:goes_on(Pace) of
        pause -> receive after ?PAUSE -> Next end;
        _ -> woken(Next)
    end;
await(wait, _Frames, Pace) ->
    woken(merlon_link_in_core:whole(Pace)).

woken(Pace) ->
    Since = now_us(),
    receive
        {select, _, _, ready_input} -> ok
    after ?REST ->
            erlang:garbage_collect(),
            receive {select, _, _, ready_input} -> ok end
    end,
    merlon_link_in_core:woken(Since, now_us(), Pace).

now_us() -> erlang:monotonic_time(microsecond).
