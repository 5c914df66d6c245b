%% SPDX-License-Identifier: Apache-2.0
%% Whether a reader that has read everything looks again by itself for a while before it asks to be woken. A NIF's
%% socket is polled in another thread, and to be woken by that takes longer than an answer is under way.
%% Pure: times come in, in monotonic microseconds, which may be anything.
-module(merlon_busy_poll_core).

-export([new/1, is_on/1, more/1, empty/3, woken/3]).
-export_type([poll/0]).

%% Who waited at most so many times as long as it would have looked tries it: where both ends look, both waits
%% get shorter than that.
-define(SOON, 5).

-opaque poll() :: {Time :: non_neg_integer(), Until :: off | integer()}.

%% Looks for Time microseconds after the last thing that was read; 0: never.
-spec new(Time :: non_neg_integer()) -> poll().
new(Time) -> {Time, off}.

-spec is_on(poll()) -> boolean().
is_on({_Time, Until}) -> Until =/= off.

%% There is more to read: a stream, whose next part is seldom there at once.
-spec more(poll()) -> poll().
more({Time, _Until}) -> {Time, off}.

%% There is nothing more to read for now.
-spec empty(Found :: boolean(), Now :: integer(), poll()) -> poll().
empty(true, Now, {Time, _Until}) -> {Time, Now + Time};
empty(false, Now, {_Time, Until} = Poll) when Now < Until -> Poll;
empty(false, _Now, {Time, _Until}) -> {Time, off}.

%% It has asked to be woken at Since, and has been woken.
-spec woken(Since :: integer(), Now :: integer(), poll()) -> poll().
woken(Since, Now, {Time, _Until}) when Now - Since < ?SOON * Time -> {Time, Now + Time};
woken(_Since, _Now, {Time, _Until}) -> {Time, off}.
