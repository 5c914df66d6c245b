%% SPDX-License-Identifier: Apache-2.0
%% What the run has found: tables for people, one tidy CSV file, and data files for bench/plot.sh.
-module(merlon_bench_report).

-export([header/1, print/2, write/3, bytes/1]).

%% What all lines of the CSV file begin with.
-type facts() :: #{date := string(), otp := string(), cores := pos_integer(), cpu := string(),
                   kernel := string(), vsn := string()}.

-spec header(facts()) -> ok.
header(#{date := Date, otp := Otp, cores := Cores, cpu := Cpu, kernel := Kernel, vsn := Vsn}) ->
    say("merlon ~s, OTP ~s, ~b x ~s, Linux ~s, ~s", [Vsn, Otp, Cores, Cpu, Kernel, Date]),
    say("All nodes share this machine: read ratios (x = times tcp), not absolute numbers.", []).

%% 64B, 16KiB, 1MiB.
-spec bytes(none | mixed | pos_integer()) -> string().
bytes(none) -> "";
bytes(mixed) -> "";
bytes(Size) when Size >= 1 bsl 20, Size rem (1 bsl 20) =:= 0 -> lists:concat([Size bsr 20, "MiB"]);
bytes(Size) when Size >= 1 bsl 10, Size rem (1 bsl 10) =:= 0 -> lists:concat([Size bsr 10, "KiB"]);
bytes(Size) -> lists:concat([Size, "B"]).

%% Rows are medians over the rounds, in the order in which they were measured.
-spec print([merlon_bench:row()], [atom()]) -> ok.
print(Rows, Carriers) ->
    _ = [table(Title, [Row || {{T, _}, _} = Row <- Rows, T =:= Title], Carriers)
         || Title <- unique([Title || {{Title, _}, _} <- Rows])],
    summary([{Row, Values} || {{{loopback, _}, Row}, Values} <- Rows]).

unique([]) -> [];
unique([First | Rest]) -> [First | unique([Other || Other <- Rest, Other =/= First])].

table({Network, Measure}, Rows, Carriers) ->
    say("~n== ~s, ~s (medians)", [Measure, Network]),
    say("~-36s~s~s", ["", [io_lib:format("~19s", [C]) || C <- Carriers], "   goal for merlon"]),
    _ = [say("~-36s~s~s", [label(Row), [cell(C, Values) || C <- Carriers], goals(Network, Row, Values)])
         || {{_, Row}, Values} <- Rows],
    ok.

label({_, Variant, Size, Unit}) ->
    lists:join($\s, [Part || Part <- [Variant, bytes(Size), Unit], Part =/= ""]).

cell(Carrier, Values) ->
    case Values of
        #{Carrier := Value} when is_integer(Value) -> io_lib:format("~11b        ", [Value]);
        #{Carrier := Value, tcp := Base} when Base /= 0 ->
            io_lib:format("~11s ~6sx", [number(Value), ratio(Value / Base)]);
        #{Carrier := Value} -> io_lib:format("~11s        ", [number(Value)]);
        _ -> io_lib:format("~19s", ["-"])
    end.

%% Whole numbers count events: their ratios tell nothing.
ratio(Ratio) when abs(Ratio) >= 1000 -> integer_to_list(round(Ratio));
ratio(Ratio) -> io_lib:format("~.2f", [Ratio]).

number(Value) when is_integer(Value) -> integer_to_list(Value);
number(Value) when abs(Value) >= 1000 -> integer_to_list(round(Value));
number(Value) when abs(Value) >= 10 -> io_lib:format("~.1f", [Value]);
number(Value) -> io_lib:format("~.3f", [Value]).

%% The goals are those for the loopback.
goals(loopback, Row, Values) ->
    [["   ", merlon_bench_goals:text(Goal), verdict(merlon_bench_goals:verdict(Goal, Values))]
     || Goal <- merlon_bench_goals:of_row(Row)];
goals(_, _, _) -> "".

verdict(pass) -> " pass";
verdict(miss) -> " MISS";
verdict(unknown) -> " ?".

summary(Rows) ->
    Results = [{merlon_bench_goals:verdict(Goal, Values), Goal, Row, Values}
               || {Row, Values} <- Rows, Goal <- merlon_bench_goals:of_row(Row)],
    Count = fun(Verdict) -> length([V || {V, _, _, _} <- Results, V =:= Verdict]) end,
    say("~n== goals: ~b pass, ~b missed, ~b not comparable", [Count(pass), Count(miss), Count(unknown)]),
    _ = [missed(Goal, Row, Values) || {miss, Goal, Row, Values} <- Results],
    against_tuned(merlon_bench_goals:everything(Rows)).

missed({_, _, Against} = Goal, {Measure, _, _, _} = Row, #{merlon := Merlon} = Values) ->
    Is = case Against of
             absolute -> number(Merlon);
             _ -> io_lib:format("~.2fx", [Merlon / maps:get(Against, Values)])
         end,
    say("missed  ~-50s ~s, is ~s", [[atom_to_list(Measure), $\s, label(Row)],
                                     merlon_bench_goals:text(Goal), Is]).

against_tuned({_, []}) -> ok;
against_tuned({Limit, [{Least, {Measure, _, _, _} = Row} | _] = All}) ->
    Reached = length([Times || {Times, _} <- All, Times >= Limit]),
    Median = merlon_bench_stat:median([Times || {Times, _} <- All]),
    say("against inet_tls_tuned: ~wx better or more in ~b of ~b rows; median ~.2fx; worst ~.2fx (~s ~s)",
        [Limit, Reached, length(All), Median, Least, Measure, label(Row)]),
    _ = [say("less     ~-50s ~.2fx", [[atom_to_list(Name), $\s, label(Less)], Times])
         || {Times, {Name, _, _, _} = Less} <- All, Times < Limit],
    ok.

%% Every sample to bench.csv, and a table of medians for each plot.
-spec write(file:filename(), facts(), {[merlon_bench:value()], [merlon_bench:row()], [atom()]}) -> ok.
write(Out, Facts, {Records, Rows, Carriers}) ->
    Prefix = [[field(maps:get(K, Facts)), $,] || K <- [date, otp, cores, cpu, kernel]],
    ok = file:write_file(filename:join(Out, "bench.csv"),
                         ["date,otp,cores,cpu,kernel,network,carrier,measure,variant,size,unit,round,value\n",
                          [[Prefix, line(Record), $\n] || Record <- Records]]),
    ok = filelib:ensure_path(filename:join(Out, "plots")),
    Plots = unique([{Title, Unit} || {{Title, {Measure, _, _, Unit}}, _} <- Rows,
                                     Measure =/= refusals,
                                     Measure =/= counts orelse Unit =/= "calls" andalso Unit =/= "us"]),
    lists:foreach(fun(Plot) -> plot_data(Out, Plot, Rows, Carriers) end, Plots).

line({Network, Carrier, {Measure, Variant, Size, Unit}, Round, Value}) ->
    Size1 = case Size of none -> ""; _ -> Size end,
    lists:join($,, [field(F) || F <- [Network, Carrier, Measure, Variant, Size1, Unit, Round, Value]]).

field(Value) when is_float(Value) -> float_to_list(Value, [{decimals, 6}, compact]);
field(Value) when is_list(Value) -> string:replace(Value, ",", ";", all);
field(Value) when is_atom(Value) -> atom_to_list(Value);
field(Value) -> integer_to_list(Value).

%% NETWORK-MEASURE-UNIT.dat: a line per row, a column per carrier, as gnuplot reads it.
plot_data(Out, {{Network, Measure}, Unit}, Rows, Carriers) ->
    Lines = [[$", label(setelement(4, Row, "")), $", [[$\s, plot_value(C, Values)] || C <- Carriers], $\n]
             || {{{N, M}, {_, _, _, U} = Row}, Values} <- Rows, {N, M, U} =:= {Network, Measure, Unit}],
    Short = re:replace(Unit, "[^A-Za-z]+", "_", [global, {return, list}]),
    File = filename:join([Out, "plots", lists:concat([Network, "-", Measure, "-", Short, ".dat"])]),
    ok = file:write_file(File, [$", Unit, $", [[$\s, $", atom_to_list(C), $"] || C <- Carriers], $\n, Lines]).

plot_value(Carrier, Values) ->
    case Values of #{Carrier := Value} -> field(Value); _ -> "?" end.

say(Format, Args) -> io:format(Format ++ "~n", Args).
