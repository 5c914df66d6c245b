%% SPDX-License-Identifier: Apache-2.0
%% Which of many refusals the log is told of, so that who is refused can't fill it: one in 10 seconds,
%% with the number of those in between. Pure; the time is in seconds.
-module(merlon_quiet_core).

-export([new/0, refused/2]).
-export_type([quiet/0]).

%% When the next may be told, and how many were not.
-opaque quiet() :: {integer(), non_neg_integer()}.

-define(QUIET, 10).

-spec new() -> quiet().
new() -> {0, 0}.

%% Takes a refusal; `{tell, Untold}` if the log is to be told now.
-spec refused(Now :: integer(), quiet()) -> {{tell, Untold :: non_neg_integer()} | silent, quiet()}.
%% A clock that was ahead and is put right silences nobody.
refused(Now, {Next, Untold}) when Now >= Next; Next - Now > ?QUIET -> {{tell, Untold}, {Now + ?QUIET, 0}};
refused(_Now, {Next, Untold}) -> {silent, {Next, Untold + 1}}.
