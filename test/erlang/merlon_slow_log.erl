%% SPDX-License-Identifier: Apache-2.0
%% A logger handler that holds up whoever logs an error of merlon's for 5 seconds.
-module(merlon_slow_log).

-export([log/2]).

-spec log(logger:log_event(), logger:handler_config()) -> ok.
log(#{msg := {report, #{app := merlon}}}, _) -> timer:sleep(5000);
log(_, _) -> ok.
