%% SPDX-License-Identifier: Apache-2.0
%% What to make of files that have changed. Pure.
-module(merlon_reload_core).

-export([config/2, telling/3]).
-export_type([refused/0]).

%% The refusal of files with that stamp: just seen, or told.
-type refused() :: none | {merlon_identity_files:stamp(), seen | told}.

%% The configuration to use while the node runs, and the settings that wait for its next start.
-spec config(Now :: merlon_config:config(), OnDisk :: merlon_config:config()) ->
          {merlon_config:config(), Later :: [atom()]}.
config(Now, OnDisk) ->
    Kept = maps:with([dir | merlon_config:at_start()], Now),
    {maps:merge(OnDisk, Kept),
     [Key || Key <- merlon_config:at_start(), maps:get(Key, OnDisk) =/= maps:get(Key, Now)]}.

%% Whether a refusal is to be logged: once for the same files. A poll may come between a new
%% certificate and its key, so what it finds is told when the next one finds the same.
-spec telling(poll | asked, merlon_identity_files:stamp(), refused()) -> {boolean(), refused()}.
telling(_How, Stamp, {Stamp, told}) -> {false, {Stamp, told}};
telling(poll, Stamp, {Stamp, seen}) -> {true, {Stamp, told}};
telling(poll, Stamp, _) -> {false, {Stamp, seen}};
telling(asked, Stamp, _) -> {true, {Stamp, told}}.
