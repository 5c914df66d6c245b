%% SPDX-License-Identifier: Apache-2.0
%% What the application's own configuration says: `config :merlon, Key: Value` of Elixir, `{merlon, [{Key, Value}]}` of
%% sys.config. The distribution is up before much of it is known: what a release has in its sys.config is there when the
%% node begins to listen, what config/runtime.exs says is not, unless the release reboots after it. Runs while the node boots.
-module(merlon_config_env).

-export([dir/0, settings/0, take/0, format_error/1]).
-export_type([reason/0]).

-type reason() :: {too_late, [atom()]} | {other_dir, Said :: string(), InUse :: string()} |
                  merlon_identity:problem().

%% The merlon dir that the application's configuration names.
-spec dir() -> string() | none.
dir() ->
    case application:get_env(merlon, dir) of
        {ok, Dir} -> text(Dir);
        undefined -> none
    end.

text(Dir) ->
    try unicode:characters_to_list(Dir) of
        [_ | _] = Text -> Text;
        _ -> none
    catch
        error:badarg -> none
    end.

%% The settings of merlon.config that stand there, unchecked. `kdf_memory` is a matter of merlon_kdf.
-spec settings() -> [{atom(), term()}].
settings() ->
    [{Key, Value} || {Key, Value} <- application:get_all_env(merlon),
                     not lists:member(Key, [included_applications, kdf_memory]),
                     Key =/= dir orelse text(Value) =:= none].

%% For the application's start, when all is known that will be: settings that are followed count from now on. Those that
%% count at the node's start must be what the node has started with.
-spec take() -> ok | {error, reason()}.
take() ->
    case {merlon_node:current(), settings(), dir()} of
        {none, _, _} -> ok;
        {_, [], none} -> ok;
        {{ok, #{config := #{dir := InUse} = Config}}, Settings, Dir} -> taken(same(Dir, InUse), Settings, Config)
    end.

taken({error, _} = Error, _Settings, _Config) -> Error;
taken(ok, [], _Config) -> ok;
taken(ok, Settings, #{dir := InUse} = Config) ->
    case merlon_config:load(InUse) of
        {ok, New} -> in_time(late(Settings, merlon_reload_core:config(Config, New)));
        {error, _} = Error -> Error
    end.

%% Links, `..` and the like are the operator's.
same(none, _InUse) -> ok;
same(Dir, InUse) ->
    %% What counts more may have said another one.
    case filename:absname(Dir) =:= filename:absname(InUse) orelse merlon_dir:find() =:= {ok, InUse} of
        true -> ok;
        false -> {error, {other_dir, Dir, InUse}}
    end.

%% merlon_app itself asks for require_carrier.
late(Settings, {_Config, Later}) ->
    [Key || Key <- Later -- [require_carrier], lists:keymember(Key, 1, Settings)].

in_time([_ | _] = Late) -> {error, {too_late, Late}};
in_time([]) ->
    case merlon_reload:reload() of
        {ok, _} -> ok;
        {error, _} = Error -> Error
    end.

-spec format_error(reason()) -> iodata().
format_error({too_late, Keys}) ->
    ["config :merlon sets ", lists:join(", ", [atom_to_binary(Key) || Key <- Keys]), " after the distribution has started "
     "with another value: put it into merlon.config or config/config.exs, or set reboot_system_after_config in the release"];
format_error({other_dir, Said, InUse}) ->
    ["config :merlon says dir ", Said, " after the distribution has started with ", InUse,
     ": say it in vm.args (-merlon_dir ", Said, ") or in config/config.exs, or set reboot_system_after_config in the release"];
format_error(Reason) ->
    merlon_node:format_error(Reason).
