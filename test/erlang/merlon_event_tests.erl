%% SPDX-License-Identifier: Apache-2.0
-module(merlon_event_tests).
-include_lib("eunit/include/eunit.hrl").

-define(FROM, {ok, {{192, 0, 2, 7}, 4711}}).
-define(FAILURE, #{phase => tls, reason => not_tls, text => <<"the peer does not speak TLS">>}).

line(Report) ->
    {Format, Args} = merlon_event_text:format(Report),
    unicode:characters_to_list(io_lib:format(Format, Args)).

%% A module named telemetry that sends what it gets to the process registered as merlon_event_tests, or dies.
with_telemetry(Body, Test) ->
    Forms = [begin {ok, Tokens, _} = erl_scan:string(Text), {ok, Form} = erl_parse:parse_form(Tokens), Form end
             || Text <- ["-module(telemetry).", "-export([execute/3]).", "execute(E, M, D) -> " ++ Body ++ "."]],
    {ok, telemetry, Code} = compile:forms(Forms),
    {module, telemetry} = code:load_binary(telemetry, "telemetry.beam", Code),
    true = register(?MODULE, self()),
    #{level := Level} = logger:get_primary_config(),
    ok = logger:set_primary_config(level, none),
    try Test()
    after
        logger:set_primary_config(level, Level),
        unregister(?MODULE),
        code:purge(telemetry), code:delete(telemetry), code:purge(telemetry)
    end.

telemetry_gets_every_event_in_the_process_that_has_it_test() ->
    with_telemetry(
      "merlon_event_tests ! {self(), E, M, D}",
      fun() ->
              ok = merlon_event:refused(accept, ?FAILURE, ?FROM),
              Self = self(),
              receive
                  {Self, Event, Measurements, Metadata} ->
                      ?assertEqual([merlon, refused], Event),
                      ?assertMatch(#{count := 1, system_time := T} when is_integer(T), Measurements),
                      ?assertMatch(#{side := accept, phase := tls, reason := not_tls, level := error,
                                     peer := {{192, 0, 2, 7}, 4711}}, Metadata)
              after 0 -> error(nothing_came)
              end,
              ok = merlon_event:link_up(#{direction => dial, node => 'a@h', name => <<"a@h">>}),
              ?assertMatch([merlon, link_up], receive {Self, E, _, #{node := 'a@h', direction := dial}} -> E after 0 -> none end),
              ok = merlon_event:repeated(error, #{event => refused, side => accept, phase => tls, reason => not_tls,
                                                  peer => {{192, 0, 2, 7}, 4711}}, s, 312, 60),
              ?assertMatch(#{count := 312}, receive {Self, [merlon, refused], M, #{repeated := 312}} -> M after 0 -> none end)
      end).

%% As one of two nodes does that dial each other at once, wherever the other has got to by then.
who_hangs_up_is_no_error_test() ->
    Level = fun(Failure) ->
                    with_telemetry("merlon_event_tests ! {E, D}",
                                   fun() ->
                                           ok = merlon_event:refused(accept, Failure#{phase => preamble, text => <<"why">>}, ?FROM),
                                           receive {[merlon, refused], #{level := Level}} -> Level after 0 -> none end
                                   end)
            end,
    Ends = [peer_closed, closed, truncated, econnreset, epipe],
    ?assertEqual([info || _ <- Ends], [Level(#{reason => Reason, claimed => <<"a@h">>}) || Reason <- Ends]),
    ?assertEqual([notice || _ <- Ends], [Level(#{reason => Reason}) || Reason <- Ends]),
    ?assertEqual(error, Level(#{reason => proof_refused, claimed => <<"a@h">>})).

%% Ten strangers a second are let in to try.
who_tries_to_join_again_and_again_can_not_fill_the_log_test() ->
    with_telemetry(
      "merlon_event_tests ! {E, D}",
      fun() ->
              {ok, Repeats} = merlon_repeats:start_link(),
              persistent_term:put({merlon_node, node}, #{config => #{log_interval => 60}}),
              Try = fun(Reason, Id) ->
                            Known = #{reason => Reason, text => <<"no such token">>, claimed => Id},
                            ok = merlon_event:join({refused, Known}, ?FROM)
                    end,
              try
                  [Try(unknown_token, integer_to_binary(N)) || N <- lists:seq(1, 50)],
                  Try(busy, <<"x">>)
              after
                  persistent_term:erase({merlon_node, node}),
                  gen_server:stop(Repeats)
              end,
              ?assertEqual([unknown_token, busy], said())
      end).

said() ->
    receive {[merlon, join_refused], #{reason := Reason}} -> [Reason | said()]
    after 0 -> []
    end.

a_telemetry_that_fails_harms_nobody_test_() ->
    [{Body, fun() -> with_telemetry(Body, fun() -> ?assertEqual(ok, merlon_event:accept_failed(emfile)) end) end}
     || Body <- ["error({E, M, D})", "exit({E, M, D})", "throw({E, M, D})"]].

without_telemetry_nothing_is_missed_test() ->
    ?assertNot(erlang:function_exported(telemetry, execute, 3)),
    ?assertEqual(ok, merlon_event:listening({{127, 0, 0, 1}, 1})).

a_sum_names_its_source_and_no_port_test_() ->
    Report = #{event => refused, side => accept, phase => tls, reason => not_tls, text => <<"why">>},
    [{Line, ?_assertEqual(Line, line(summed(Report#{peer => {Ip, 4711}}, Source)))}
     || {Ip, Source, Line} <-
            [{{192, 0, 2, 7}, x, "merlon: refused side=accept phase=tls reason=not_tls peer=192.0.2.7 repeated=312 "
              "seconds=60: why"},
             {{16#2001, 16#db8, 0, 1, 1, 2, 3, 4}, x, "merlon: refused side=accept phase=tls reason=not_tls "
              "peer=2001:db8:0:1::/64 repeated=312 seconds=60: why"},
             {{192, 0, 2, 7}, others, "merlon: refused side=accept phase=tls reason=not_tls peer=others repeated=312 "
              "seconds=60: why"}]].

%% What repeated/5 hands to telemetry is what it hands to the log.
summed(Report, Source) ->
    Got = with_telemetry("merlon_event_tests ! {E, M, D}",
                         fun() ->
                                 ok = merlon_event:repeated(error, Report, Source, 312, 60),
                                 receive {[merlon, Event], _, Data} -> Data#{event => Event} after 0 -> none end
                         end),
    maps:remove(level, Got).

turning_away_is_for_another_process_to_say_test() ->
    {say, Say} = merlon_event:turned_away(denied, {{192, 0, 2, 7}, 1}),
    with_telemetry("merlon_event_tests ! {E, D}",
                   fun() ->
                           ok = Say(),
                           ?assertMatch({[merlon, refused], #{reason := denied, phase := tcp, side := accept}},
                                        receive Got -> Got after 0 -> none end)
                   end).
