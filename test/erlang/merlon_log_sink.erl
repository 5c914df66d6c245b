%% SPDX-License-Identifier: Apache-2.0
%% A logger handler that keeps merlon's reports, for tests to look at.
-module(merlon_log_sink).

-export([install/0, reports/0, only_count/0, counts/0]).
-export([log/2]).

-spec install() -> ok.
install() ->
    Pid = spawn(fun() -> loop([]) end),
    true = register(?MODULE, Pid),
    ok = logger:set_primary_config(level, info),
    logger:add_handler(?MODULE, ?MODULE, #{level => info}).

-spec reports() -> [map()].
reports() ->
    ?MODULE ! {self(), get},
    receive {?MODULE, Reports} -> lists:reverse(Reports) after 5000 -> error(timeout) end.

%% From now on reports are counted and not kept, those that are here are forgotten: where memory is measured.
-spec only_count() -> ok.
only_count() ->
    ?MODULE ! only_count,
    ok.

%% How many there were of each event since.
-spec counts() -> #{Event :: atom() => pos_integer()}.
counts() ->
    ?MODULE ! {self(), get},
    receive {?MODULE, #{} = Counts} -> Counts after 5000 -> error(timeout) end.

-spec log(logger:log_event(), logger:handler_config()) -> ok.
log(#{level := Level, msg := {report, #{app := merlon} = Report}}, _) ->
    ?MODULE ! {report, Report#{level => Level}},
    ok;
log(_, _) ->
    ok.

loop(Reports) ->
    receive
        {report, Report} -> loop([Report | Reports]);
        {From, get} -> From ! {?MODULE, Reports}, loop(Reports);
        only_count -> count(#{})
    end.

count(Counts) ->
    receive
        {report, #{event := Event}} -> count(maps:update_with(Event, fun(N) -> N + 1 end, 1, Counts));
        {From, get} -> From ! {?MODULE, Counts}, count(Counts)
    end.
