%% SPDX-License-Identifier: Apache-2.0
%% How many may try to join: a few a second from one address, and not many more in all. Pure; times are milliseconds.
-module(merlon_join_rate_core).

-export([new/0, admit/3]).
-export_type([rate/0]).

-opaque rate() :: #{admitted := [{integer(), term()}], told := integer() | never}.

-define(SECOND, 1000).
-define(OF_ONE, 3).
-define(OF_ALL, 10).

-spec new() -> rate().
new() -> #{admitted => [], told => never}.

%% Whether one from Source may try now; `tell`: not, and nothing was said of it for a second.
-spec admit(Source :: term(), Now :: integer(), rate()) -> {yes | no | tell, rate()}.
admit(Source, Now, #{admitted := Before, told := Told} = Rate) ->
    Recent = [Each || {Time, _} = Each <- Before, Now - Time < ?SECOND],
    Same = [Each || {_, From} = Each <- Recent, From =:= Source],
    case length(Recent) < ?OF_ALL andalso length(Same) < ?OF_ONE of
        true -> {yes, Rate#{admitted := [{Now, Source} | Recent]}};
        false when Told =:= never; Now - Told >= ?SECOND -> {tell, Rate#{admitted := Recent, told := Now}};
        false -> {no, Rate#{admitted := Recent}}
    end.
