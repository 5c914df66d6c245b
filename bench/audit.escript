#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% How long `merlon audit` takes over OTP's own applications, and how much memory at most. Build first (`make`):
%%
%%   escript bench/audit.escript [PATH]
%%
%% Ends with 1 if it took more than it may (20 s, 500 MB), or saw too little to say so (1,000 BEAM files).
-mode(compile).

-define(SECONDS, 20).
-define(MEGABYTES, 500).
-define(BEAMS, 1000).

main([]) -> main([code:lib_dir()]);
main([Path]) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    true = code:add_patha(filename:join(Root, "_build/default/lib/merlon/ebin")),
    {Micros, {ok, #{scanned := #{beam := Beams}, findings := Findings}}} = timer:tc(fun() -> merlon_audit:scan([Path], #{}) end),
    Megabytes = peak(),
    io:format("OTP ~s: ~b BEAM files in ~.1f s on ~b schedulers, at most ~b MB, ~b findings~n",
              [erlang:system_info(otp_release), Beams, Micros / 1.0e6, erlang:system_info(schedulers_online), Megabytes, length(Findings)]),
    Wrong = ["more than 20 s" || Micros > ?SECONDS * 1000000] ++ ["more than 500 MB" || Megabytes > ?MEGABYTES]
        ++ ["fewer than 1,000 BEAM files" || Beams < ?BEAMS],
    [io:format("~s~n", [Text]) || Text <- Wrong],
    halt(min(1, length(Wrong))).

%% What this VM has had in memory at most, as Linux counts it.
peak() ->
    {ok, Io} = file:open("/proc/self/status", [read]),
    {ok, Status} = file:read(Io, 8192),
    ok = file:close(Io),
    {match, [Kilobytes]} = re:run(Status, "VmHWM:\\s+([0-9]+) kB", [{capture, all_but_first, list}]),
    list_to_integer(Kilobytes) div 1000.
