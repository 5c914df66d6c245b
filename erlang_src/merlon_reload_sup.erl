%% SPDX-License-Identifier: Apache-2.0
%% Keeps merlon_reload, and those that see to certificates, proofs, lists and the keyring, alive beside net_kernel, so that
%% they are there whenever the distribution is, with or without the application. net_sup ends the distribution with any
%% permanent child that dies: this one is temporary there, and its own children may die as often as they like.
-module(merlon_reload_sup).
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

%% No child does anything that can fail before its first poll or request, so a thousand deaths take their time.
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Children = [merlon_reload, merlon_reprove, merlon_crl, merlon_ca, merlon_renew, merlon_enroll,
                merlon_rotate, merlon_roots, merlon_secrets_watch, merlon_repeats, merlon_names],
    {ok, {#{strategy => one_for_one, intensity => 1000, period => 1},
          [Child:child_spec() || Child <- Children]}}.
