%% SPDX-License-Identifier: Apache-2.0
%% Words about what a cookie is worth. Nothing of the cookie is in them.
-module(merlon_cookie_text).

-export([worth/1, verdict/1, attack/1, time/1]).

%% What it is, and how it is guessed and how long that takes.
-spec worth(merlon_cookie:report()) -> iodata().
worth(#{class := fine}) -> verdict(fine);
worth(#{class := Class, cpu_seconds := Cpu, gpu_seconds := Gpu}) ->
    [verdict(Class), "; ", attack(Class), ": ", time(Cpu), " on one core, ", time(Gpu), " on one GPU"].

-spec verdict(merlon_cookie:class()) -> string().
verdict(known) -> "a default that everyone knows";
verdict(derived) -> "derived from the node's or the host's name";
verdict(otp) -> "made by OTP's own generator, which knows 2^36 cookies";
verdict(livebook) -> "date, time and a small number, as Livebook makes it on Windows";
verdict(low_entropy) -> "too short, or of too few kinds of characters";
verdict(fine) -> "no known weakness".

-spec attack(merlon_cookie:class()) -> string().
attack(known) -> "a dictionary, on-line";
attack(derived) -> "variants of the names, on-line";
attack(otp) -> "all seeds against one captured digest";
attack(_) -> "all of its kind against one captured digest".

-spec time(Seconds :: number()) -> iodata().
time(Seconds) when Seconds < 1 -> "less than a second";
time(Seconds) when Seconds < 120 -> io_lib:format("~b s", [round(Seconds)]);
time(Seconds) when Seconds < 7200 -> io_lib:format("~b min", [round(Seconds / 60)]);
time(Seconds) when Seconds < 172800 -> io_lib:format("~b hours", [round(Seconds / 3600)]);
time(Seconds) when Seconds < 3.2e9 -> io_lib:format("~b days", [round(Seconds / 86400)]);
time(_) -> "more than 100 years".
