%% SPDX-License-Identifier: Apache-2.0
%% `merlon cookie`: what a cookie is worth, and the proof of it.
-module(merlon_cli_cookie).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Says how easily a cookie is guessed, without showing it",
      argument => {optional, "FILE|-"},
      options => [{'show-seed', flag, "also print the seed of OTP's generator: as good as the cookie"},
                  {prove, {text, "CHALLENGE:DIGEST|-"},
                   "search OTP's 2^36 cookies for the one that gave this answer (digest in hex)"},
                  {state, {text, "PATH"}, "with --prove: a file to go on from when interrupted"},
                  {'show-cookie', flag, "with --prove: print the cookie that was found"}],
      details => "FILE is ~/.erlang.cookie when none is given. --prove - reads the pair from standard\n"
                 "input: others on this host see arguments.\n"
                 "Exits with 0 when the cookie is fine (or not found), 1 when it is weak, 2 when it\n"
                 "could not be read."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := _, prove := _}) -> {usage, "--prove takes no FILE"};
run(#{prove := "-"} = Options) ->
    case merlon_cookie:read("/dev/stdin") of
        {ok, Pair} -> pair(binary_to_list(Pair), Options);
        {error, _} -> bad_pair()
    end;
run(#{prove := Pair} = Options) -> pair(Pair, Options);
run(#{state := _}) -> {usage, "--state is for --prove"};
run(#{'show-cookie' := _}) -> {usage, "--show-cookie is for --prove: a cookie that is analysed is not shown"};
run(#{argument := "-"} = Options) -> analyse("/dev/stdin", #{}, Options);
run(Options) ->
    File = maps:get(argument, Options, merlon_cookie:default_file()),
    analyse(File, #{file => File}, Options).

analyse(File, Context, Options) ->
    case merlon_cookie:read(File) of
        {ok, Cookie} -> result(merlon_cookie:analyse(Cookie, Context), Options);
        {error, {cookie, Reason}} -> {unreadable, merlon_cookie:format_error(Reason)}
    end.

result(#{weak := true} = Report, Options) -> {unusable, lines(Report, Options)};
result(Report, Options) -> {ok, lines(Report, Options)}.

lines(#{class := Class, length := Length, bits := Bits, marks := Marks} = Report, Options) ->
    #{cpu_seconds := Cpu, gpu_seconds := Gpu} = Report,
    [io_lib:format("length    ~b characters~nverdict   ~ts~n", [Length, verdict(Class)]),
     seed(Report, Options),
     io_lib:format("strength  at most ~.1f bits~n", [Bits]),
     ["attack    ", merlon_cookie_text:attack(Class), ": ", merlon_cookie_text:time(Cpu), " on one core, ", merlon_cookie_text:time(Gpu), " on one GPU\n"],
     [["mark      ", mark(Mark), $\n] || Mark <- Marks],
     ["attack    reading it there: at once, without any reckoning\n" || Marks -- [otp_file] =/= []],
     advice(Report)].

verdict(fine) -> merlon_cookie_text:verdict(fine);
verdict(Class) -> ["WEAK: ", merlon_cookie_text:verdict(Class)].

%% A tenth of a second still leaves an attacker what the verdict says anyway.
seed(#{seed := Seed}, Options) ->
    [io_lib:format("made      ~.1f s after its VM started (or a multiple of 68.7 s later)~n", [Seed() / 1.0e9]),
     [["seed      ", integer_to_list(Seed()), $\n] || is_map_key('show-seed', Options)]];
seed(_Report, _Options) -> "".

mark({mode, Mode}) -> io_lib:format("WEAK: others may use its file (mode ~4.8.0b)", [Mode]);
mark(owner) -> "WEAK: its file belongs to another user";
mark(otp_file) -> "its file is as OTP writes it: mode 0400, changed at midnight";
mark(argv) -> "WEAK: it is in the arguments of a process, where all users see it";
mark(environment) -> "WEAK: it is in this environment";
mark(release) -> "WEAK: it is in the release's folder, and so in every copy of it".

advice(#{weak := true}) -> "do        replace it: head -c 32 /dev/urandom | base64 | tr -d '=+/\\n'\n";
advice(_) -> "".

%% ---- --prove ----

pair(Pair, Options) ->
    case string:split(Pair, ":") of
        [Challenge, Digest] -> prove(number(Challenge), digest(Digest), Options);
        _ -> bad_pair()
    end.

prove({ok, Challenge}, {ok, Digest}, Options) ->
    Start = erlang:monotonic_time(millisecond),
    Search = (maps:with([state], Options))#{progress => fun progress/2},
    Result = merlon_cookie_prove:run(Challenge, Digest, Search),
    proved(Result, (erlang:monotonic_time(millisecond) - Start) / 1000, Options);
prove(_, _, _Options) -> bad_pair().

bad_pair() ->
    {usage, "--prove wants CHALLENGE:DIGEST (or - and this on standard input), a number below 2^32 and 32 hexadecimal digits"}.

proved({found, Seed}, Seconds, Options) ->
    {unusable,
     [io_lib:format("FOUND in ~.1f s: a cookie of OTP's generator, made ~.1f s after its VM started~n",
                    [Seconds, Seed() / 1.0e9]),
      [["seed      ", integer_to_list(Seed()), $\n] || is_map_key('show-seed', Options)],
      [["cookie    ", merlon_nif:cookie_of_seed(Seed()), $\n] || is_map_key('show-cookie', Options)]]};
proved(not_found, Seconds, _Options) ->
    {ok, io_lib:format("not found in ~.1f s: no cookie of OTP's generator~n", [Seconds])};
proved({error, {state, {File, other_capture}}}, _Seconds, _Options) ->
    {unreadable, [File, " is the state of another search: give another --state"]};
proved({error, {state, {File, damaged}}}, _Seconds, _Options) ->
    {unreadable, [File, " is not the state of a search: remove it, or give another --state"]};
proved({error, {state, {File, Posix}}}, _Seconds, _Options) ->
    {unreadable, [File, " can't be read or written: ", file:format_error(Posix), "; give another --state"]}.

progress(Done, Rate) ->
    Left = ((1 bsl 36) - Done) / max(Rate, 1.0),
    io:format(standard_error, "~.1f % done, ~.1f million a second, at most ~ts to go~n",
              [Done * 100 / (1 bsl 36), Rate / 1.0e6, merlon_cookie_text:time(Left)]).

number(Text) ->
    case string:to_integer(Text) of
        {Number, ""} when is_integer(Number), Number >= 0, Number < 1 bsl 32 -> {ok, Number};
        _ -> error
    end.

digest(Text) ->
    case re:run(Text, "^[0-9a-fA-F]{32}$", [{capture, none}]) of
        match -> {ok, <<(list_to_integer(Text, 16)):128>>};
        nomatch -> error
    end.
