%% SPDX-License-Identifier: Apache-2.0
%% How a reader goes on. Who has read everything may look again by itself for a while before it asks to be woken: a NIF's
%% socket is polled in another thread, and to be woken by that takes longer than an answer is under way. Who has read a
%% part of a stream lets those run first whom it is for, unless they and others have much to do. And who is woken for
%% each piece of a slow one pauses in its place, since the VM's schedulers do not sleep between two pieces.
%% Pure: times come in, in monotonic microseconds, which may be anything.
-module(merlon_link_in_core).

-export([new/2, looking/1, more/1, gives_way/1, gave_way/3, empty/3, part/3, whole/1, woken/3]).
-export_type([pace/0]).

%% Who waited at most so many times as long as it would have looked tries it: where both ends look, both waits
%% get shorter than that.
-define(SOON, 5).
%% One of so many schedulers may be kept busy by it.
-define(SHARE, 4).
%% Microseconds that others ran, half a time slice, after which a reader does more in its next turn: this many parts of a
%% stream, as many as fill a time slice of its own.
-define(LONG, 500).
-define(PARTS, 4).

%% A stream that has come on for so many microseconds at less than so many bytes each is slow: 2.4 Gbit/s. One that is as
%% fast as its sender is faster, or at the end of a message each time that there is no more.
-define(STREAM, 8000).
-define(SLOW, 300).

-record(pace, {time :: non_neg_integer(),
               most :: non_neg_integer(),
               until = off :: off | integer(),
               parts = 1 :: non_neg_integer(), % before it gives way, from now on
               stream = none :: none | {Since :: integer(), Bytes :: non_neg_integer()}, % in which no message has ended
               slow = false :: boolean()}).
-opaque pace() :: #pace{}.

%% Looks for Time microseconds after the last thing that was read; 0: never. Who has one scheduler only needs it for others.
-spec new(Time :: non_neg_integer(), Schedulers :: pos_integer()) -> pace().
new(Time, 1) -> #pace{time = Time, most = 0};
new(Time, Schedulers) -> #pace{time = Time, most = max(1, Schedulers div ?SHARE)}.

%% How many readers may look at once, if this one is to be one of them; 0: it isn't. Or it pauses after a part.
-spec looking(pace()) -> non_neg_integer() | pause.
looking(#pace{slow = true}) -> pause;
looking(#pace{until = off}) -> 0;
looking(#pace{most = Most}) -> Most.

%% There is more to read: a stream, whose next part is seldom there at once.
-spec more(pace()) -> pace().
more(#pace{parts = Parts} = Pace) -> Pace#pace{until = off, parts = max(0, Parts - 1)}.

%% Whether others run before the next part is read.
-spec gives_way(pace()) -> boolean().
gives_way(#pace{parts = Parts}) -> Parts =:= 0.

%% They ran from Since until Now.
-spec gave_way(Since :: integer(), Now :: integer(), pace()) -> pace().
gave_way(Since, Now, Pace) when Now - Since >= ?LONG -> Pace#pace{parts = ?PARTS};
gave_way(_Since, _Now, Pace) -> Pace#pace{parts = 1}.

%% There is nothing more to read for now than Frames. A tick is no answer.
-spec empty(Frames :: [binary()], Now :: integer(), pace()) -> pace().
empty(Frames, Now, #pace{until = Until} = Pace) when Frames =:= []; Frames =:= [<<>>] ->
    case Now < Until of
        true -> Pace;
        false -> Pace#pace{until = off}
    end;
empty(_Frames, Now, #pace{time = Time} = Pace) ->
    Pace#pace{until = Now + Time}.

%% There are no more for now than Bytes, in the midst of a message; none: its sender has stopped.
-spec part(Bytes :: non_neg_integer(), Now :: integer(), pace()) -> pace().
part(0, _Now, Pace) -> whole(Pace);
part(_Bytes, Now, #pace{stream = none} = Pace) -> Pace#pace{stream = {Now, 0}};
part(Bytes, Now, #pace{stream = {Since, Sum}} = Pace) when Now - Since < ?STREAM ->
    Pace#pace{stream = {Since, Sum + Bytes}};
part(Bytes, Now, #pace{stream = {Since, Sum}} = Pace) ->
    Pace#pace{stream = {Now, 0}, slow = Sum + Bytes < ?SLOW * (Now - Since)}.

%% There is no more for now, and the last message has ended.
-spec whole(pace()) -> pace().
whole(Pace) -> Pace#pace{stream = none, slow = false}.

%% It has asked to be woken at Since, and has been woken.
-spec woken(Since :: integer(), Now :: integer(), pace()) -> pace().
woken(Since, Now, #pace{time = Time} = Pace) when Now - Since < ?SOON * Time -> Pace#pace{until = Now + Time};
woken(_Since, _Now, Pace) -> Pace#pace{until = off}.
