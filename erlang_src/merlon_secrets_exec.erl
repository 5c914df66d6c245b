%% SPDX-License-Identifier: Apache-2.0
%% `{exec, Program, Args}`: what a program writes, with no shell between. The native library runs it, not a port:
%% a port's output is a binary on the heap of a process, which nothing wipes.
-module(merlon_secrets_exec).
-behaviour(merlon_secrets).

-export([check/1, name/1, open/1, fetch/2, watch/1]).

%% Seconds between two runs.
-define(EVERY, 300).
%% On Linux, but for MIPS.
-define(SIGCHLD, 17).

-type setting() :: {Program :: binary(), Args :: [binary()], Every :: pos_integer()}.

-spec check(tuple()) -> {ok, setting()} | {error, iodata()}.
check({exec, Program, Args}) -> check({exec, Program, Args, []});
check({exec, Program, Args, Options}) when is_list(Args), is_list(Options) ->
    Texts = [merlon_secrets_text:text(Arg) || Arg <- Args],
    case {merlon_secrets_text:text(Program), lists:member(error, Texts), Options} of
        {{ok, <<$/, _/binary>> = Path}, false, []} -> {ok, {Path, [Text || {ok, Text} <- Texts], ?EVERY}};
        {{ok, <<$/, _/binary>> = Path}, false, [{refresh, Every}]} when is_integer(Every), Every > 0 ->
            {ok, {Path, [Text || {ok, Text} <- Texts], Every}};
        _ -> {error, must()}
    end;
check(_) -> {error, must()}.

must() ->
    "{exec, \"/PROGRAM\", [\"ARGUMENT\", ...]} with an absolute path, optionally with [{refresh, SECONDS}]".

-spec name(setting()) -> iodata().
name({Program, _Args, _Every}) -> ["program ", Program].

-spec open(setting()) -> {ok, setting()}.
open(Setting) -> {ok, Setting}.

-spec fetch(setting(), pos_integer()) -> {ok, merlon_secrets:delivered()} | {error, merlon_secrets:fault()}.
fetch({Program, Args, _Every}, Timeout) ->
    case with_status(fun() -> merlon_nif:fetch_program(Program, Args, Timeout) end) of
        {ok, Text} -> {ok, #{text => Text, version => none}};
        {error, _} = Error -> Error
    end.

%% The VM ignores SIGCHLD. The children of a process that does leave no exit status, and ignore it themselves. Its own
%% ports have another parent.
with_status(Run) ->
    case ignores_children() of
        true ->
            ok = os:set_signal(sigchld, default),
            try Run() after ok = os:set_signal(sigchld, ignore) end;
        false -> Run() % somebody has changed that, and may want it so
    end.

ignores_children() ->
    case prim_file:read_file(<<"/proc/self/status">>) of
        {ok, Status} ->
            {match, [Ignored]} = re:run(Status, "SigIgn:\\s*([0-9a-f]+)", [{capture, all_but_first, binary}]),
            binary_to_integer(Ignored, 16) band (1 bsl (?SIGCHLD - 1)) =/= 0;
        {error, _} -> true % no Linux; as a VM begins
    end.

-spec watch(setting()) -> pos_integer().
watch({_Program, _Args, Every}) -> Every.
