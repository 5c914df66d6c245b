%% SPDX-License-Identifier: Apache-2.0
%% env.sh, .env files, start scripts and the like, line by line: assignments and commands. No shell's logic: of branches all
%% are taken, and a value that the shell would make up is a reference.
-module(merlon_audit_conf_shell).

-export([items/1, script/1, line/2, exec/2, lines/1, raw/1, joined/1]).

-define(ASSIGNMENT, "^(?:export\\s+|readonly\\s+|local\\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$").

-spec items(binary()) -> [merlon_audit_conf_words:item()].
items(Text) -> lists:append([line(Line, N) || {N, Line} <- lines(Text)]).

%% A script that has to do with Erlang; `none` for others. What it takes for a variable that nobody has set is no setting:
%% the release's env.sh comes before.
-spec script(binary()) -> {ok, [merlon_audit_conf_words:item()]} | none.
script(Text) ->
    case re:run(Text, "\\A#!\\S*/(env +)?(ba|da|k|z)?sh\\b.*(\\b(erl|erlexec|iex|elixir|epmd)\\b|\\b(ERL|RELEASE|RELX)_|cookie)",
                [caseless, dotall, {capture, none}]) of
        match -> {ok, [Item || {N, Line} <- lines(Text), Item <- line(Line, N), not is_fallback(Item, Line)]};
        nomatch -> none
    end.

is_fallback({env, _, <<"RELEASE_DISTRIBUTION">> = Name, _}, Line) -> binary:match(Line, <<"${", Name/binary, ":-">>) =/= nomatch;
is_fallback(_, _) -> false.

%% Lines that end in \ are one with the next.
-spec lines(binary()) -> [{pos_integer(), binary()}].
lines(Text) -> joined(raw(Text)).

%% As they are, with their numbers.
-spec raw(binary()) -> [{pos_integer(), binary()}].
raw(Text) ->
    Lines = binary:split(Text, <<"\n">>, [global]),
    lists:zip(lists:seq(1, length(Lines)), [string:trim(Line, trailing, "\r") || Line <- Lines]).

-spec joined([{pos_integer(), binary()}]) -> [{pos_integer(), binary()}].
joined([{N, Line} | Lines]) ->
    {Parts, Rest} = continued(Line, Lines, []),
    [{N, iolist_to_binary(lists:reverse(Parts))} | joined(Rest)];
joined([]) -> [].

continued(Line, [{_, Next} | Lines], Parts) when Line =/= <<>>, binary_part(Line, byte_size(Line), -1) =:= <<"\\">> ->
    continued(Next, Lines, [" ", binary:part(Line, 0, byte_size(Line) - 1) | Parts]);
continued(Line, Lines, Parts) -> {[Line | Parts], Lines}.

%% One command, or several between ; && ||.
-spec line(binary(), pos_integer()) -> [merlon_audit_conf_words:item()].
line(Line, N) ->
    case string:trim(Line) of
        <<$#, _/binary>> -> [];
        <<>> -> [];
        Command ->
            written(Command, N) ++ lists:flatmap(fun(Part) -> part(string:trim(Part), N) end,
                                                 merlon_audit_conf_words:outside(Command, [<<";">>, <<"&&">>, <<"||">>]))
    end.

part(<<": ", Rest/binary>>, N) -> default(Rest, N);
part(Part, N) ->
    case re:run(Part, ?ASSIGNMENT, [{capture, [1, 2], binary}]) of
        {match, [Name, Value]} -> merlon_audit_conf_words:env(N, Name, first(Value, N));
        nomatch -> merlon_audit_conf_words:command(merlon_audit_conf_words:split(Part, N), N)
    end.

%% A command with its arguments apart, as a unit, an image or a container has it. What a shell is given is a line of its own.
-spec exec([merlon_audit_conf_words:word()], pos_integer()) -> [merlon_audit_conf_words:item()].
exec(Words, N) ->
    case lists:dropwhile(fun({_, Word}) -> not is_shell(Word) end, Words) of
        [_, {_, <<$-, _/binary>> = Option}, {Line, Text} | _] when binary_part(Option, byte_size(Option), -1) =:= <<"c">> ->
            lists:append([line(Part, At) || {At, Part} <- numbered(Text, Line)]);
        _ -> merlon_audit_conf_words:command(lists:flatmap(fun({Line, Text}) -> merlon_audit_conf_words:split(Text, Line) end, Words), N)
    end.

is_shell(Word) -> lists:member(filename:basename(Word), [<<"sh">>, <<"bash">>, <<"dash">>, <<"ash">>, <<"ksh">>, <<"zsh">>]).

numbered(Text, First) -> [{N + First - 1, Line} || {N, Line} <- lines(Text)].

%% : "${NAME:=default}"
default(Rest, N) ->
    case re:run(Rest, "\\$\\{([A-Za-z_0-9]+):?=([^}]*)\\}", [{capture, [1, 2], binary}]) of
        {match, [Name, Value]} -> merlon_audit_conf_words:env(N, Name, first(Value, N));
        nomatch -> []
    end.

%% The first word of a value: A="b c" is `b c`. A command's result is not known.
first(Value, N) ->
    case merlon_audit_conf_words:value(Value) of
        Known when is_binary(Known), Known =/= Value -> Known;
        _ ->
            case merlon_audit_conf_words:split(Value, N) of
                [{_, Word} | _] -> Word;
                [] -> <<>>
            end
    end.

%% echo COOKIE > ~/.erlang.cookie
written(Command, N) ->
    case re:run(Command, "(?:echo|printf)\\s+(?:-n\\s+|-e\\s+|'?%s'?\\s+)*[\"']?([^\"'\\s>]+)[\"']?\\s*>+\\s*\\S*(?:\\.erlang\\.cookie|releases/COOKIE)",
                [{capture, [1], binary}]) of
        {match, [Cookie]} -> [{cookie, N, Cookie} || not merlon_audit_conf_words:is_elsewhere(Cookie)];
        nomatch -> []
    end.
