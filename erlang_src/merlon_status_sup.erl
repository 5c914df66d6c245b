%% SPDX-License-Identifier: Apache-2.0
%% Keeps the status page alive, and everything else alive without it: however often it dies, the application's own
%% supervisor hears nothing of it.
-module(merlon_status_sup).
-behaviour(supervisor).

-export([child_spec/0, start_link/0]).
-export([init/1]).

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => temporary,
      shutdown => 2000, type => supervisor, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link(?MODULE, []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% Neither child does anything that can fail before its first message.
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 1000, period => 1},
          [Child:child_spec() || Child <- [merlon_status, merlon_status_http]]}}.
