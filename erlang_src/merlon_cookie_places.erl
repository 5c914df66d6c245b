%% SPDX-License-Identifier: Apache-2.0
%% Where a cookie lies, and who else can read it there.
-module(merlon_cookie_places).

-export([marks/2]).

-include_lib("kernel/include/file.hrl").

-spec marks(Cookie :: binary(), file:filename_all() | none) ->
          [{mode, non_neg_integer()} | owner | otp_file | argv | environment | release].
marks(Cookie, File) ->
    file(File)
        ++ [argv || in_argv(Cookie)]
        ++ [environment || lists:any(fun(Entry) -> is_variable(Cookie, Entry) end, os:getenv())]
        ++ [release || in_release(Cookie)].

%% It may stand in flags, as in ERL_FLAGS="-setcookie ...".
is_variable(Cookie, Entry) ->
    [_ | Value] = string:split(Entry, "="),
    Text = unicode:characters_to_binary(Value),
    Text =:= Cookie orelse (is_binary(Text) andalso is_flag(Cookie, words(Text))).

file(none) -> [];
file(File) ->
    case file:read_file_info(File, [{time, local}]) of
        {ok, Info} -> file_marks(Info);
        {error, _} -> []
    end.

%% OTP gives its file mode 0400 and the midnight before as its time, to hide the seed.
file_marks(#file_info{mode = Mode, mtime = {_, Time}, uid = Owner}) ->
    [{mode, Mode band 8#777} || Mode band 8#077 =/= 0]
        ++ [owner || Owner =/= own_uid()]
        ++ [otp_file || Mode band 8#777 =:= 8#400, Time =:= {0, 0, 0}].

own_uid() ->
    case file:read_file_info("/proc/self") of
        {ok, #file_info{uid = Uid}} -> Uid;
        {error, _} -> unknown
    end.

%% Anyone on the host can read these. This VM's own are among them.
in_argv(Cookie) ->
    lists:any(fun(Pid) -> is_argument(Cookie, prim_file:read_file(["/proc/", Pid, "/cmdline"])) end, pids()).

%% Without the file server: there may be thousands.
pids() ->
    case prim_file:list_dir("/proc") of
        {ok, Names} -> [Name || [Digit | _] = Name <- Names, Digit >= $0, Digit =< $9];
        {error, _} -> []
    end.

%% Alone, as `--cookie=...`, or in what a shell was told to run.
is_argument(Cookie, {ok, Line}) ->
    Arguments = binary:split(Line, <<0>>, [global]),
    is_flag(Cookie, Arguments ++ words(Line));
is_argument(_Cookie, {error, _}) ->
    false.

is_flag(Cookie, Words) -> lists:member(Cookie, Words) andalso lists:any(fun is_setcookie/1, Words).

is_setcookie(Word) -> lists:member(Word, [<<"-setcookie">>, <<"--cookie">>]).

words(Text) -> binary:split(Text, [<<C>> || C <- [0 | "\t\n\r \"'="]], [global]).

%% In an image everyone who has the image has it.
in_release(Cookie) ->
    case os:getenv("RELEASE_ROOT") of
        false -> false;
        Root ->
            Files = [File || Pattern <- ["releases/COOKIE", "releases/*/{vm.args,remote.vm.args,env.sh}"],
                             File <- filelib:wildcard(Pattern, Root)],
            lists:any(fun(File) -> holds(file:read_file(filename:join(Root, File)), Cookie) end, Files)
    end.

holds({ok, Text}, Cookie) ->
    lists:member(Cookie, binary:split(Text, [<<" ">>, <<"\n">>], [global]) ++ words(Text));
holds({error, _}, _Cookie) ->
    false.
