%% SPDX-License-Identifier: Apache-2.0
%% Whether a reader that has read everything looks again by itself for a while before it asks to be woken. A NIF's
%% socket is polled in another thread, and to be woken by that takes longer than an answer is under way.
%% Pure: times come in, in monotonic microseconds, which may be anything.
-module(merlon_busy_poll_core).

-export([new/2, looking/1, more/1, empty/3, woken/3]).
-export_type([poll/0]).

%% Who waited at most so many times as long as it would have looked tries it: where both ends look, both waits
%% get shorter than that.
-define(SOON, 5).
%% One of so many schedulers may be kept busy by it.
-define(SHARE, 4).

-record(poll, {time :: non_neg_integer(),
               most :: non_neg_integer(),
               until = off :: off | integer()}).
-opaque poll() :: #poll{}.

%% Looks for Time microseconds after the last thing that was read; 0: never. Who has one scheduler only needs it for others.
-spec new(Time :: non_neg_integer(), Schedulers :: pos_integer()) -> poll().
new(Time, 1) -> #poll{time = Time, most = 0};
new(Time, Schedulers) -> #poll{time = Time, most = max(1, Schedulers div ?SHARE)}.

%% How many readers may look at once, if this one is to be one of them; 0: it isn't.
-spec looking(poll()) -> non_neg_integer().
looking(#poll{until = off}) -> 0;
looking(#poll{most = Most}) -> Most.

%% There is more to read: a stream, whose next part is seldom there at once.
-spec more(poll()) -> poll().
more(Poll) -> Poll#poll{until = off}.

%% There is nothing more to read for now than Frames. A tick is no answer.
-spec empty(Frames :: [binary()], Now :: integer(), poll()) -> poll().
empty(Frames, Now, #poll{until = Until} = Poll) when Frames =:= []; Frames =:= [<<>>] ->
    case Now < Until of
        true -> Poll;
        false -> Poll#poll{until = off}
    end;
empty(_Frames, Now, #poll{time = Time} = Poll) ->
    Poll#poll{until = Now + Time}.

%% It has asked to be woken at Since, and has been woken.
-spec woken(Since :: integer(), Now :: integer(), poll()) -> poll().
woken(Since, Now, #poll{time = Time} = Poll) when Now - Since < ?SOON * Time -> Poll#poll{until = Now + Time};
woken(_Since, _Now, Poll) -> Poll#poll{until = off}.
