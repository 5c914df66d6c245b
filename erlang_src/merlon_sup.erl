%% SPDX-License-Identifier: Apache-2.0
%% The application's supervisor. The carrier's own processes live beside net_kernel, since they
%% must be there before any application is (merlon_registry).
-module(merlon_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 1, period => 5}, [merlon_status_sup:child_spec()]}}.
