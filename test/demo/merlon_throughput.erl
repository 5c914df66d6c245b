%% SPDX-License-Identifier: Apache-2.0
%% The demo's last table: one line of `make bench` in short.
-module(merlon_throughput).

-export([report/2]).

%% Prints MB/s (10^6 bytes) for messages of Size bytes over each carrier, and how that compares to plain
%% TCP. The nodes share this machine's cores: read the ratios.
-spec report(file:filename(), pos_integer()) -> ok.
report(Tmp, Size) ->
    #{carriers := Carriers} = Quick = merlon_bench_options:default(true),
    {_, Rows} = merlon_bench:measure_all(#{tmp => Tmp}, Quick#{only := [throughput], sizes := [Size],
                                                                       progress := false}),
    [#{tcp := Plain} = Rates] = [Medians || {{_, {_, "one_way_1", _, "MB/s"}}, Medians} <- Rows],
    [io:format("  ~-18s ~9.1f MB/s ~5.2fx~n", [Carrier, Rate, Rate / Plain])
     || Carrier <- Carriers, Rate <- [maps:get(Carrier, Rates)]],
    ok.
