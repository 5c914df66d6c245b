%% SPDX-License-Identifier: Apache-2.0
%% Reads the next part of a stream while the reader of the link hands on the last one: what hands on frames one by one wakes
%% another scheduler with each, what reads and opens keeps its own busy. One part ahead, never more; not on an idle link.
-module(merlon_link_ahead).

-export([read/2, taken/1, stop/1]).
-export([init/2]).
-export_type([helper/0]).

-type helper() :: none | pid().

%% Has the next part read. The helper is the caller's, to which it is linked.
-spec read(helper(), merlon_nif:conn()) -> pid().
read(none, Conn) ->
    read(spawn_opt(?MODULE, init, [self(), Conn], [link, {message_queue_data, off_heap}, {fullsweep_after, 0}]), Conn);
read(Helper, _Conn) ->
    Helper ! read,
    Helper.

%% What it has read, as merlon_nif:recv/2 says it.
-spec taken(pid()) -> merlon_nif:received().
taken(Helper) ->
    receive {Helper, Received} -> Received end.

-spec stop(helper()) -> none.
stop(none) -> none;
stop(Helper) ->
    Helper ! stop,
    none.

-spec init(pid(), merlon_nif:conn()) -> ok.
init(Reader, Conn) ->
    receive
        read ->
            Reader ! {self(), merlon_nif:recv(Conn, ahead)},
            %% It may be long until it reads again, and a message may be big.
            erlang:garbage_collect(),
            init(Reader, Conn);
        stop ->
            ok
    end.
