%% SPDX-License-Identifier: Apache-2.0
%% How a reader goes on. Who has read everything may look again by itself for a while before it asks to be woken: a NIF's
%% socket is polled in another thread, and to be woken by that takes longer than an answer is under way. Who has read a
%% part of a stream lets those run first whom it is for, unless they and others have much to do. And who is woken for
%% each piece of a slow one pauses in its place, since the VM's schedulers do not sleep between two pieces.
%% Pure: times come in, in monotonic microseconds, which may be anything.
-module(merlon_link_in_core).

-export([new/2, goes_on/1, more/1, gives_way/1, gave_way/3, empty/3, part/3, whole/1, woken/3]).
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

%% Microseconds after which it is judged how fast a stream has come on, and those without anything that end one.
-define(STREAM, 32000).
-define(GAP, 8000).
%% Bytes a millisecond (2.4 Gbit/s) below which it is slow. One that is as fast as its sender is faster, or at the end of a
%% message each time that there is no more.
-define(SLOW, 300000).
%% What it must come to while the reader pauses, in parts of ten of what it was before: a small receive buffer is soon full.
%% Else it doesn't for so many microseconds.
-define(KEPT, 8).
-define(AGAIN, 1000000).

-record(pace, {time :: non_neg_integer(),
               most :: non_neg_integer(),
               until = off :: off | integer(),
               parts = 1 :: non_neg_integer(), % before it gives way, from now on
               busy = false :: boolean(), % others have much to do
               %% Each time that there was no more it was in the midst of a message.
               stream = none :: none | {Since :: integer(), Bytes :: non_neg_integer()},
               %% Bytes a millisecond, while it pauses.
               slow = no :: no | non_neg_integer() | {not_before, integer()}}).
-opaque pace() :: #pace{}.

%% Looks for Time microseconds after the last thing that was read; 0: never. Who has one scheduler only needs it for others.
-spec new(Time :: non_neg_integer(), Schedulers :: pos_integer()) -> pace().
new(Time, 1) -> #pace{time = Time, most = 0};
new(Time, Schedulers) -> #pace{time = Time, most = max(1, Schedulers div ?SHARE)}.

%% How many readers may look at once, if this one is to be one of them; 0: it isn't. Or it pauses in the midst of a message.
-spec goes_on(pace()) -> non_neg_integer() | pause.
goes_on(#pace{slow = Rate}) when is_integer(Rate) -> pause;
goes_on(#pace{until = off}) -> 0;
goes_on(#pace{most = Most}) -> Most.

%% There is more to read: a stream, whose next part is seldom there at once.
-spec more(pace()) -> pace().
more(#pace{parts = Parts} = Pace) -> Pace#pace{until = off, parts = max(0, Parts - 1)}.

%% Whether others run before the next part is read, and who reads it then: somebody else ahead, while this one hands on the last,
%% or, where others have much to do and it would wait for two turns, or with one scheduler, this one.
-spec gives_way(pace()) -> no | ahead | yield.
gives_way(#pace{parts = Parts}) when Parts > 0 -> no;
gives_way(#pace{busy = true}) -> yield;
gives_way(#pace{most = 0}) -> yield;
gives_way(_Pace) -> ahead.

%% They ran from Since until Now.
-spec gave_way(Since :: integer(), Now :: integer(), pace()) -> pace().
gave_way(Since, Now, Pace) when Now - Since >= ?LONG -> Pace#pace{parts = ?PARTS, busy = true};
gave_way(_Since, _Now, Pace) -> Pace#pace{parts = 1, busy = false}.

%% There is nothing more to read for now than Frames, which ends in no part of a message. A tick is no answer.
-spec empty(Frames :: [binary()], Now :: integer(), pace()) -> pace().
empty(Frames, Now, #pace{until = Until} = Pace) when Frames =:= []; Frames =:= [<<>>] ->
    case Now < Until of
        true -> whole(Pace);
        false -> whole(Pace#pace{until = off})
    end;
empty(_Frames, Now, #pace{time = Time} = Pace) ->
    whole(Pace#pace{until = Now + Time}).

%% There are no more for now than Bytes, in the midst of a message; none: its sender has stopped.
-spec part(Bytes :: non_neg_integer(), Now :: integer(), pace()) -> pace().
part(0, _Now, Pace) -> whole(Pace);
part(_Bytes, Now, #pace{stream = none} = Pace) -> Pace#pace{stream = {Now, 0}};
part(Bytes, Now, #pace{stream = {Since, Sum}} = Pace) when Now - Since < ?STREAM ->
    Pace#pace{stream = {Since, Sum + Bytes}};
part(Bytes, Now, #pace{stream = {Since, Sum}} = Pace) ->
    judged((Sum + Bytes) * 1000 div (Now - Since), Now, Pace#pace{stream = {Now, 0}}).

judged(_Rate, Now, #pace{slow = {not_before, Then}} = Pace) when Now < Then -> Pace;
judged(Rate, _Now, Pace) when Rate >= ?SLOW -> Pace#pace{slow = no};
judged(Rate, Now, #pace{slow = Before} = Pace) when is_integer(Before), Rate * 10 < Before * ?KEPT ->
    Pace#pace{slow = {not_before, Now + ?AGAIN}};
judged(Rate, _Now, #pace{slow = Before} = Pace) when is_integer(Before) -> Pace#pace{slow = max(Rate, Before)};
judged(Rate, _Now, Pace) -> Pace#pace{slow = Rate}.

%% There is no more for now, and the last message has ended.
-spec whole(pace()) -> pace().
whole(#pace{slow = Rate} = Pace) when is_integer(Rate) -> Pace#pace{stream = none, slow = no};
whole(Pace) -> Pace#pace{stream = none}.

%% It has asked to be woken at Since, and has been woken.
-spec woken(Since :: integer(), Now :: integer(), pace()) -> pace().
woken(Since, Now, Pace) when Now - Since >= ?GAP -> whole(Pace#pace{until = off});
woken(Since, Now, #pace{time = Time} = Pace) when Now - Since < ?SOON * Time -> Pace#pace{until = Now + Time};
woken(_Since, _Now, Pace) -> Pace#pace{until = off}.
