%% SPDX-License-Identifier: Apache-2.0
%% Runs in every node of the benchmark and notes when something has held a scheduler for 10 ms or
%% more (long_schedule of erlang:system_monitor/2), and where that was.
-module(merlon_bench_watch).

-export([start/0, take/0, is_carrier/2]).

-define(MS, 10).

-spec start() -> true.
start() ->
    Pid = spawn(fun() -> loop(#{}) end),
    _ = erlang:system_monitor(Pid, [{long_schedule, ?MS}]),
    register(?MODULE, Pid).

%% What happened since the last call: how often in each place, and the longest of them in ms.
-spec take() -> #{string() => {pos_integer(), pos_integer()}}.
take() ->
    ?MODULE ! {take, self()},
    receive {?MODULE, Places} -> Places end.

loop(Places) ->
    receive
        {take, From} ->
            From ! {?MODULE, Places},
            loop(#{});
        {monitor, Who, long_schedule, Info} ->
            {timeout, Ms} = lists:keyfind(timeout, 1, Info),
            loop(maps:update_with(place(Who, Info), fun({N, Most}) -> {N + 1, max(Ms, Most)} end,
                                  {1, Ms}, Places))
    end.

%% "PROCESS in M:F/A out M:F/A" or "port NAME OPERATION".
place(Port, Info) when is_port(Port) ->
    Name = case erlang:port_info(Port, name) of {name, N} -> N; undefined -> "closed" end,
    text("port ~s ~p", [Name, proplists:get_value(port_op, Info)]);
place(Pid, Info) ->
    text("~s in ~s out ~s", [who(Pid) | [mfa(proplists:get_value(K, Info)) || K <- [in, out]]]).

who(Pid) ->
    case process_info(Pid, [registered_name, dictionary, initial_call]) of
        undefined -> "gone";
        [{_, Name} | _] when is_atom(Name) -> atom_to_list(Name);
        [_, {_, Dictionary}, {_, Call}] -> mfa(proplists:get_value('$initial_call', Dictionary, Call))
    end.

mfa({M, F, A}) -> text("~s:~s/~b", [M, F, A]);
mfa(Other) -> text("~p", [Other]).

text(Format, Args) -> lists:flatten(io_lib:format(Format, Args)).

%% Whether a place is in the code of that carrier, and not in the runtime's or the benchmark's.
-spec is_carrier(atom(), string()) -> boolean().
is_carrier(Carrier, Place) ->
    Pattern = case Carrier of
                  merlon -> "merlon6?_(?!bench|log_sink)|merlon_nif";
                  tcp -> "tcp_inet|inet_tcp|gen_tcp";
                  _ -> "tls|ssl|tcp_inet|inet_tcp|gen_tcp"
              end,
    re:run(Place, Pattern, [{capture, none}]) =:= match.
