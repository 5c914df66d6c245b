%% SPDX-License-Identifier: Apache-2.0
%% The receiving half of one link: reads until the socket is empty and hands whole frames to the
%% VM. What ends the link is seen here first and said here.
-module(merlon_link_in).

-export([start/3]).
-export([init/4]).

%% Milliseconds without anything to read after which no message is kept alive that has been handed on.
-define(REST, 500).

%% Started by the dist controller, to which it stays linked.
-spec start(merlon_nif:conn(), erlang:dist_handle(), map()) -> pid().
start(Conn, DHandle, Info) ->
    spawn_opt(?MODULE, init, [self(), Conn, DHandle, Info],
              [link, {message_queue_data, off_heap}, {fullsweep_after, 0}]).

-spec init(pid(), merlon_nif:conn(), erlang:dist_handle(), map()) -> no_return().
init(Out, Conn, DHandle, Info) ->
    receive
        {Out, go} -> loop(Out, Conn, DHandle, Info)
    end.

loop(Out, Conn, DHandle, Info) ->
    case merlon_nif:recv(Conn) of
        {Frames, Next} when is_list(Frames) ->
            put_frames(DHandle, Frames),
            await(Next),
            loop(Out, Conn, DHandle, Info);
        {error, Reason} ->
            merlon_event:link_failed(Out, Reason),
            exit(connection_closed)
    end.

put_frames(DHandle, [Frame | Frames]) ->
    erlang:dist_ctrl_put_data(DHandle, Frame),
    put_frames(DHandle, Frames);
put_frames(_DHandle, []) ->
    ok.

await(more) -> ok;
await(wait) ->
    receive
        {select, _, _, ready_input} -> ok
    after ?REST ->
            erlang:garbage_collect(),
            receive {select, _, _, ready_input} -> ok end
    end.
