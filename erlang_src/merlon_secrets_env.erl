%% SPDX-License-Identifier: Apache-2.0
%% `{env, Variable}`: the keyring in a variable of the environment. The native library reads it from the environment
%% that the operating system has given to the process, so that it becomes no term; then the VM's own
%% copy goes, so that neither os:getenv/1 nor programs that the VM starts have it.
-module(merlon_secrets_env).
-behaviour(merlon_secrets).

-export([check/1, name/1, open/1, fetch/2, watch/1]).

-spec check(tuple()) -> {ok, binary()} | {error, iodata()}.
check({env, Variable}) ->
    case merlon_secrets_text:text(Variable) of
        {ok, Name} ->
            case re:run(Name, "\\A[A-Za-z_][A-Za-z0-9_]*\\z", [{capture, none}]) of
                match -> {ok, Name};
                nomatch -> {error, must()}
            end;
        error -> {error, must()}
    end;
check(_) -> {error, must()}.

must() -> "{env, \"VARIABLE\"} with the name of a variable".

-spec name(binary()) -> iodata().
name(Variable) -> ["environment variable ", Variable].

-spec open(binary()) -> {ok, binary()}.
open(Variable) -> {ok, Variable}.

%% What os:putenv/2 has set is in the VM's copy alone, and asked for only then: it is a term.
-spec fetch(binary(), pos_integer()) -> {ok, merlon_secrets:delivered()} | {error, merlon_secrets:fault()}.
fetch(Variable, _Timeout) ->
    Name = binary_to_list(Variable),
    Found = case merlon_nif:fetch_variable(Variable) of
                {ok, Text} -> {ok, #{text => Text, version => none}};
                {error, unset} -> put_by_the_vm(os:getenv(Name), Variable)
            end,
    true = os:unsetenv(Name),
    true = erlang:garbage_collect(),
    Found.

put_by_the_vm(Value, Variable) when Value =:= false; Value =:= "" ->
    {error, {fetch, #{code => no_variable, variable => Variable}}};
put_by_the_vm(Value, _Variable) ->
    {ok, Text} = merlon_nif:secret_new(unicode:characters_to_binary(Value)),
    {ok, #{text => Text, version => none}}.

%% The environment of a process is given once.
-spec watch(binary()) -> never.
watch(_Variable) -> never.
