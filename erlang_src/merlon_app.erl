%% SPDX-License-Identifier: Apache-2.0
%% The OTP application. The carrier does not need it: it runs long before any application. What
%% the application adds is the check that the carrier is really in use.
-module(merlon_app).
-behaviour(application).

-export([start/2, stop/1]).
-export([carrier/3]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    case {carrier(node(), merlon_registry:listening(), init:get_argument(proto_dist)),
          required()} of
        {ok, _} -> start();
        {{error, Text}, true} -> {error, {not_the_carrier, Text}};
        {{error, Text}, false} ->
            merlon_event:not_the_carrier(Text),
            merlon_sup:start_link()
    end.

%% The distribution came up before some of the configuration was known: that is taken now, or refused.
start() ->
    case merlon_config_env:take() of
        ok -> merlon_sup:start_link();
        {error, Reason} ->
            {error, {configuration, unicode:characters_to_list(merlon_config_env:format_error(Reason))}}
    end.

-spec stop(term()) -> ok.
stop(_State) -> ok.

%% Whether the distribution of Node is merlon's; if not, why, and what to do. A node that is not
%% alive has none to secure.
-spec carrier(node(), Listening :: boolean(), {ok, [[string()]]} | error) ->
          ok | {error, string()}.
carrier(nonode@nohost, _Listening, _Flags) -> ok;
carrier(Node, true, {ok, [Protos | _] = Flags}) ->
    case Protos -- ["merlon", "merlon6"] of
        [] -> ok;
        _ -> carrier(Node, false, {ok, Flags})
    end;
carrier(Node, _Listening, Flags) ->
    {error, lists:flatten([atom_to_list(Node), " is not secured by merlon: ", cause(Flags)])}.

cause({ok, [_, _ | _] = Flags}) ->
    ["-proto_dist is given ", integer_to_list(length(Flags)), " times (",
     lists:join(", ", [lists:join(" ", Values) || Values <- Flags]), "), of which OTP takes the "
     "first or, before OTP 27, none and uses plain TCP: give it once, in vm.args or in ERL_FLAGS, "
     "ERL_AFLAGS or ERL_ZFLAGS"];
cause({ok, [Values]}) ->
    ["it was started with -proto_dist ", lists:join(" ", Values), ", so that links need not be "
     "merlon's: use -proto_dist merlon alone"];
cause(error) ->
    "it was started without -proto_dist merlon: add that to its vm.args".

%% Said by the application's environment, else by merlon.config. A configuration that can't be read
%% demands nothing here: with it no carrier would have started.
required() ->
    case application:get_env(merlon, require_carrier) of
        {ok, Required} -> Required =/= false;
        undefined -> configured(merlon_config:dir())
    end.

configured({ok, Dir}) ->
    case merlon_config:load(Dir) of
        {ok, #{require_carrier := Required}} -> Required;
        {error, _} -> false
    end;
configured({error, _}) ->
    false.
