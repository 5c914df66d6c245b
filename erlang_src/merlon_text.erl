%% SPDX-License-Identifier: Apache-2.0
%% Words for people: dates, near misses, lists. Pure, and safe before any server of the kernel runs.
-module(merlon_text).

-export([nearest/2, date/1, left/2]).

-define(DAY, 86400).

%% The candidate that is most like Word, for "did you mean"; `none` if nothing is close. Of two
%% equally close ones it is the one with the same letters in another order.
-spec nearest(string(), [string()]) -> {ok, string()} | none.
nearest(_Word, []) ->
    none;
nearest(Word, Candidates) ->
    {Distance, _, Best} = lists:min([{distance(Word, C), length(Word -- C), C} || C <- Candidates]),
    case Distance =< max(2, length(Best) div 2) of
        true -> {ok, Best};
        false -> none
    end.

%% Levenshtein's: single letters put in, left out or exchanged.
distance(A, B) ->
    First = lists:seq(0, length(B)),
    lists:last(lists:foldl(fun(Char, Row) -> next_row(Char, B, Row) end, First, A)).

next_row(Char, B, [First | _] = Row) ->
    next_row(Char, B, Row, First + 1, [First + 1]).

next_row(_Char, [], [_], _Left, Acc) ->
    lists:reverse(Acc);
next_row(Char, [Char | B], [Diagonal | [_ | _] = Row], _Left, Acc) ->
    next_row(Char, B, Row, Diagonal, [Diagonal | Acc]);
next_row(Char, [_ | B], [Diagonal | [Up | _] = Row], Left, Acc) ->
    Cost = 1 + min(Diagonal, min(Up, Left)),
    next_row(Char, B, Row, Cost, [Cost | Acc]).

%% "2027-03-01 12:00 UTC" from seconds since 1970.
-spec date(integer()) -> string().
date(Seconds) ->
    {{Year, Month, Day}, {Hour, Minute, _}} = calendar:gregorian_seconds_to_datetime(
                                                Seconds + 62167219200),
    lists:flatten(io_lib:format("~4..0b-~2..0b-~2..0b ~2..0b:~2..0b UTC",
                                [Year, Month, Day, Hour, Minute])).

%% How far Then is from Now: "in 90 days", "3 hours ago".
-spec left(Then :: integer(), Now :: integer()) -> string().
left(Then, Now) when Then >= Now -> "in " ++ span(Then - Now);
left(Then, Now) -> span(Now - Then) ++ " ago".

span(Seconds) when Seconds >= 2 * ?DAY -> count((Seconds + ?DAY div 2) div ?DAY, "day");
span(Seconds) when Seconds >= 2 * 3600 -> count(Seconds div 3600, "hour");
span(Seconds) when Seconds >= 60 -> count(Seconds div 60, "minute");
span(Seconds) -> count(Seconds, "second").

count(1, Unit) -> "1 " ++ Unit;
count(N, Unit) -> integer_to_list(N) ++ " " ++ Unit ++ "s".
