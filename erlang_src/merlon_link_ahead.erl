%% SPDX-License-Identifier: Apache-2.0
%% Reads and opens the next part of a stream while the reader of the link hands on the last one. To hand frames on one by one
%% wakes another scheduler again and again, to open them keeps its own busy: by two processes both are faster. One part ahead,
%% which the library keeps until the reader takes it; and none on a link that rests.
-module(merlon_link_ahead).

-export([read/2, done/1, stop/1]).
-export([init/2]).
-export_type([helper/0]).

%% off: this node could have no more processes, and would log each try.
-type helper() :: none | off | pid().

%% Has the next part read by a process of the caller's, linked to it.
-spec read(helper(), merlon_nif:conn()) -> helper().
read(none, Conn) ->
    try spawn_opt(?MODULE, init, [self(), Conn], [link, {fullsweep_after, 0}]) of
        Helper -> read(Helper, Conn)
    catch
        error:system_limit -> off
    end;
read(off, _Conn) ->
    off;
read(Helper, _Conn) ->
    Helper ! read,
    Helper.

%% When it is read: how long that took, in microseconds.
-spec done(pid()) -> non_neg_integer().
done(Helper) ->
    receive {Helper, Time} -> Time end.

%% The link rests.
-spec stop(helper()) -> none.
stop(Helper) ->
    _ = [Helper ! stop || is_pid(Helper)],
    none.

-spec init(pid(), merlon_nif:conn()) -> ok.
init(Reader, Conn) ->
    receive
        read ->
            Since = erlang:monotonic_time(microsecond),
            %% What is wrong the reader is told as well.
            _ = merlon_nif:read_ahead(Conn),
            Reader ! {self(), erlang:monotonic_time(microsecond) - Since},
            init(Reader, Conn);
        stop ->
            ok
    end.
