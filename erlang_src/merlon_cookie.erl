%% SPDX-License-Identifier: Apache-2.0
%% What a cookie is worth to who wants to guess it. Nothing here shows the cookie; a seed of OTP's
%% generator is as good as the cookie, so it comes in a fun.
-module(merlon_cookie).

-export([analyse/1, analyse/2, read/1, default_file/0, format_error/1]).
-export_type([report/0, class/0, reason/0, context/0]).

%% From the cheapest to guess to what nobody guesses.
-type class() :: known | derived | otp | livebook | low_entropy | fine.
-type report() ::
        #{class := class(),
          weak := boolean(),
          length := non_neg_integer(),
          bits := float(),                        % log2 of what an attacker has to try, at most
          seed => fun(() -> non_neg_integer()),   % otp only: nanoseconds after the VM's start, mod 2^36
          cpu_seconds := float(),                 % on one core, with one captured digest
          gpu_seconds := float(),
          marks := [mark()]}.
%% What is wrong with where it lies; `otp_file` only says that OTP wrote the file.
-type mark() :: {mode, non_neg_integer()} | owner | otp_file | argv | environment | release.
%% Names that a cookie may be derived from (default: this node's and host's), and its file.
-type context() :: #{names => [binary()], file => file:filename_all()}.
-type reason() :: {read, file:filename_all(), file:posix() | badarg | terminated | system_limit} |
                  {not_a_cookie, file:filename_all()}.

%% Seeds a second. One core: native/dev/bench (`cookie/search/avx2`, AMD EPYC). GPU, MD5 alone: RTX 3090 in hashcat's
%% published benchmark.
-define(CPU_RATE, 7.0e7).
-define(GPU_RATE, 6.8e10).
%% Below this a farm of GPUs finds it.
-define(ENOUGH_BITS, 80).

-spec analyse(Cookie :: binary()) -> report().
analyse(Cookie) -> analyse(Cookie, #{}).

%% Any bytes; anything else is refused without being shown: a stack trace would show it.
-spec analyse(Cookie :: binary(), context()) -> report().
analyse(Cookie, Context) ->
    is_binary(Cookie) orelse error(badarg),
    ok = merlon_nif:load(),
    {Class, Bits, More} = class(Cookie, maps:get(names, Context, names())),
    Tries = math:pow(2, min(Bits, 1000.0)),
    Marks = merlon_cookie_places:marks(Cookie, maps:get(file, Context, none)),
    Exposed = [Mark || Mark <- Marks, Mark =/= otp_file],
    More#{class => Class, weak => Class =/= fine orelse Exposed =/= [], length => byte_size(Cookie),
          bits => Bits, cpu_seconds => Tries / ?CPU_RATE, gpu_seconds => Tries / ?GPU_RATE,
          marks => Marks}.

class(Cookie, Names) ->
    Checks = [fun() -> known(Cookie) end, fun() -> derived(Cookie, Names) end,
              fun() -> otp(Cookie) end, fun() -> livebook(Cookie) end],
    first(Checks, Cookie).

first([], Cookie) ->
    Bits = entropy(Cookie),
    case Bits < ?ENOUGH_BITS of
        true -> {low_entropy, Bits, #{}};
        false -> {fine, Bits, #{}}
    end;
first([Check | Checks], Cookie) ->
    case Check() of
        none -> first(Checks, Cookie);
        Found -> Found
    end.

known(Cookie) ->
    case merlon_cookie_known:is_known(Cookie) of
        true -> {known, math:log2(merlon_cookie_known:count()), #{}};
        false -> none
    end.

%% The name itself, maybe with a common word or some digits around it.
derived(Cookie, Names) ->
    Plain = plain(Cookie),
    case Plain =/= <<>> andalso [Name || Name <- Names, byte_size(Name) > 2, plain(Name) =:= Plain] of
        [_ | _] -> {derived, 10.0, #{}};
        _ -> none
    end.

plain(Text) ->
    re:replace(merlon_cookie_known:lowercase(Text), "cookie|secret|[^a-z]", "", [global, {return, binary}]).

otp(Cookie) ->
    case merlon_nif:cookie_seed(Cookie) of
        {ok, Seed} -> {otp, 36.0, #{seed => fun() -> Seed end}};
        none -> none
    end.

%% Livebook on Windows: cookie-DATE_TIME_RANDOM.
livebook(Cookie) ->
    case re:run(Cookie, "^cookie-[A-Za-z0-9 ./-]{6,16}_[ 0-9:.,-]{4,12}_[0-9]{1,5}$", [{capture, none}]) of
        match -> {livebook, math:log2(86400 * 365 * 32768), #{}};
        nomatch -> none
    end.

%% The most that its length and its kinds of characters allow, less for few different ones.
entropy(Cookie) ->
    Characters = binary_to_list(Cookie),
    Kinds = [26 || has($a, $z, Characters)] ++ [26 || has($A, $Z, Characters)]
        ++ [10 || has($0, $9, Characters)]
        ++ [33 || lists:any(fun(C) -> not alphanumeric(C) end, Characters)],
    Different = length(lists:usort(Characters)),
    min(byte_size(Cookie) * math:log2(max(2, lists:sum(Kinds))), Different * 8.0).

has(From, To, Characters) -> lists:any(fun(C) -> C >= From andalso C =< To end, Characters).

alphanumeric(C) -> has($a, $z, [C]) orelse has($A, $Z, [C]) orelse has($0, $9, [C]).

names() ->
    {ok, Host} = inet:gethostname(),
    [unicode:characters_to_binary(Part)
     || Part <- [Host, "nonode" | string:lexemes(atom_to_list(node()), "@.")]].

%% The cookie in a file, as OTP reads it: without the newlines and blanks at its end.
-spec read(file:filename_all()) -> {ok, binary()} | {error, {cookie, reason()}}.
read(Path) ->
    case file:read_file(Path) of
        {ok, Text} when byte_size(Text) < 4096 -> cookie(string:trim(Text, trailing, "\r\n "), Path);
        {ok, _} -> {error, {cookie, {not_a_cookie, Path}}};
        {error, Posix} -> {error, {cookie, {read, Path, Posix}}}
    end.

cookie(Cookie, Path) ->
    case re:run(Cookie, "^[ -~]{1,255}$", [{capture, none}, dollar_endonly]) of
        match -> {ok, Cookie};
        nomatch -> {error, {cookie, {not_a_cookie, Path}}}
    end.

%% Where OTP looks for it.
-spec default_file() -> file:filename_all().
default_file() ->
    Home = filename:join(os:getenv("HOME", "/"), ".erlang.cookie"),
    Xdg = filename:join(filename:basedir(user_config, "erlang"), ".erlang.cookie"),
    case {filelib:is_file(Home), filelib:is_file(Xdg)} of
        {false, true} -> Xdg;
        _ -> Home
    end.

-spec format_error(reason()) -> iodata().
format_error({read, Path, Posix}) ->
    [Path, " can't be read: ", file:format_error(Posix), "; name the cookie's file, or - for standard input"];
format_error({not_a_cookie, Path}) ->
    [Path, " holds no cookie: give a file with one line of 1 to 255 printable characters"].
