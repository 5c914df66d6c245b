%% SPDX-License-Identifier: Apache-2.0
%% How many may try to join: a few a second from one address, and not many more in all. Some of these places are for
%% addresses that were not let in within the last ten minutes, so that those that come again and again keep nobody out.
%% Pure; times are milliseconds.
-module(merlon_join_rate_core).

-export([new/0, admit/3]).
-export_type([rate/0]).

%% Who was let in within the last second, and whether for the first time; when each was let in last (600 * ?OF_ALL at most).
-opaque rate() :: #{recent := [{integer(), term(), first | again}], known := #{term() => integer()},
                    told := integer() | never}.

-define(SECOND, 1000).
-define(MEMORY, 600000).
-define(OF_ONE, 3).
-define(OF_AGAIN, 3).
-define(OF_ALL, 5).

-spec new() -> rate().
new() -> #{recent => [], known => #{}, told => never}.

%% Whether one from Source may try now; `tell`: not, and nothing was said of it for a second.
-spec admit(Source :: term(), Now :: integer(), rate()) -> {yes | no | tell, rate()}.
admit(Source, Now, #{recent := Before, known := Known, told := Told} = Rate) ->
    Recent = [Each || {Time, _, _} = Each <- Before, Now - Time < ?SECOND],
    Kind = kind(Known, Source, Now),
    case has_place(Source, Kind, Recent) of
        true -> {yes, Rate#{recent := [{Now, Source, Kind} | Recent], known := remembered(site(Source), Now, Known)}};
        false when Told =:= never; Now - Told >= ?SECOND -> {tell, Rate#{recent := Recent, told := Now}};
        false -> {no, Rate#{recent := Recent}}
    end.

kind(Known, Source, Now) ->
    Site = site(Source),
    case Known of
        #{Site := Time} when Now - Time < ?MEMORY -> again;
        _ -> first
    end.

%% Whoever has a /64 of IPv6 mostly has the /48 around it: as many first times as he likes.
site({A, B, C, _, net}) -> {A, B, C, net};
site(Source) -> Source.

has_place(Source, Kind, Recent) ->
    length(Recent) < ?OF_ALL andalso length([Same || {_, Of, _} = Same <- Recent, Of =:= Source]) < ?OF_ONE
        andalso (Kind =:= first orelse length([Again || {_, _, again} = Again <- Recent]) < ?OF_AGAIN).

remembered(Source, Now, Known) ->
    maps:put(Source, Now, maps:filter(fun(_, Time) -> Now - Time < ?MEMORY end, Known)).
