%% SPDX-License-Identifier: Apache-2.0
%% The doctor's look at a built release: whether the carrier is in it, and loaded before the node listens.
-module(merlon_doctor_release).

-export([lines/1]).

-define(MOST, 16 * 1024 * 1024).

-spec lines(#{release => string(), _ => _}) -> [merlon_doctor:line()].
lines(#{release := Root}) ->
    case filelib:wildcard("releases/*/*.boot", Root) of
        [] -> [{release, fail, [Root, " holds no release (releases/VERSION/*.boot): name a folder that `mix release` or "
                                "`rebar3 release` has made"]}];
        Boots -> [library(Root) | [boot(filename:join(Root, Boot)) || Boot <- Boots, is_a_nodes(Boot)]]
    end;
lines(_) -> [].

%% start_clean and the like are for tools, which load what they need.
is_a_nodes(Boot) -> not lists:member(filename:basename(Boot, ".boot"), ["start_clean", "start_none", "no_dot_erlang"]).

library(Root) ->
    case filelib:wildcard("lib/merlon-*/priv/merlon_nif.so", Root) of
        [Library | _] -> {release, ok, [filename:join(Root, Library), " is there"]};
        [] -> {release, fail, [Root, " has no lib/merlon-VERSION/priv/merlon_nif.so: add merlon to the release's applications and build "
                               "it again"]}
    end.

boot(File) ->
    case file:read_file(File) of
        {ok, Bytes} when byte_size(Bytes) =< ?MOST -> script(File, merlon_term:decode(Bytes, #{bytes => ?MOST, terms => 4000000, new_atoms => 100000}));
        _ -> {release, warn, [File, " can't be read: run this as the release's owner"]}
    end.

script(File, {ok, {script, {Name, Version}, Steps}}) when is_list(Steps) ->
    case [Step || {primLoad, Modules} = Step <- Steps, is_list(Modules), lists:member(merlon_dist, Modules)] of
        [_ | _] -> {release, ok, [io_lib:format("~ts ~ts", [Name, Version]), " has the carrier in its boot script"]};
        [] -> {release, fail, [File, " does not load merlon_dist: add merlon to the release's applications and build it again, or in "
                               "embedded mode the node starts without its carrier"]}
    end;
script(File, _) -> {release, fail, [File, " is no boot script: build the release again"]}.
