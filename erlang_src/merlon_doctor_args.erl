%% SPDX-License-Identifier: Apache-2.0
%% The doctor's look at a vm.args file, and at the flags that the environment adds to it.
-module(merlon_doctor_args).

-export([read/1, lines/1, ports/1, parse/1]).
-export_type([args/0]).

%% Flags in their order, each with its values and where it stands.
-type flag() :: {Flag :: string(), Values :: [string()], Where :: iodata()}.
-type args() :: none | {ok, string(), [flag()]} | {error, string(), file:posix() | badarg | terminated | system_limit}.

%% bin/merlon unsets the first three for itself and says under MERLON_SEEN_ what was in them.
-define(VARIABLES, ["ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS"]).
-define(MOST, 1024 * 1024).

-spec read(#{args => string(), _ => _}) -> args().
read(#{args := File}) ->
    case file:read_file(File) of
        {ok, Text} when byte_size(Text) =< ?MOST -> {ok, File, flags(Text, File)};
        {ok, _} -> {error, File, badarg};
        {error, Posix} -> {error, File, Posix}
    end;
read(_) -> none.

flags(Text, File) ->
    Lines = binary:split(Text, <<"\n">>, [global]),
    Numbered = lists:zip(lists:seq(1, length(Lines)), Lines),
    Own = flatten([{Word, [File, $:, integer_to_list(N)]} || {N, Line} <- Numbered, Word <- parse(Line)]),
    Own ++ lists:append([flatten([{Word, Variable} || Word <- parse(environment(Variable))]) || Variable <- ?VARIABLES]).

environment(Variable) ->
    [[unicode:characters_to_binary(os:getenv(Name, "")), $\s] || Name <- [Variable, "MERLON_SEEN_" ++ Variable]].

%% The words of a line: as the emulator takes them, # begins a comment, quotes hold blanks.
-spec parse(iodata()) -> [string()].
parse(Line) ->
    {match, Words} = case re:run(Line, "#.*$|(?:\"[^\"]*\"|'[^']*'|\\\\.|[^\\s\"'#\\\\])+",
                                 [global, {capture, first, list}]) of
                         nomatch -> {match, []};
                         Found -> Found
                     end,
    [re:replace(Word, "[\"'\\\\]", "", [global, {return, list}]) || [Word] <- Words, hd(Word) =/= $#].

flatten(Words) -> flatten(Words, []).

flatten([], Flags) -> lists:reverse(Flags);
flatten([{[Sign | _] = Flag, Where} | Words], Flags) when Sign =:= $-; Sign =:= $+ ->
    {Values, Rest} = lists:splitwith(fun({Word, _}) -> not is_flag(Word) end, Words),
    flatten(Rest, [{Flag, [Value || {Value, _} <- Values], Where} | Flags]);
flatten([_ | Words], Flags) -> flatten(Words, Flags).

%% A number below 0 is a value.
is_flag([Sign, C | _]) when Sign =:= $-; Sign =:= $+ -> not (C >= $0 andalso C =< $9);
is_flag(_) -> false.

%% ---- what is said of it ----

-spec lines(args()) -> [merlon_doctor:line()].
lines(none) -> [];
lines({error, File, Reason}) ->
    [{args, fail, [File, " can't be read (", file:format_error(Reason), "): name the node's vm.args with --args"]}];
lines({ok, File, Flags}) ->
    [protocol(all("-proto_dist", Flags), File) | cookie(all("-setcookie", Flags)) ++ name(Flags, File)].

all(Name, Flags) -> [Flag || {Known, _, _} = Flag <- Flags, Known =:= Name].

%% Given twice, OTP before 27 takes neither.
protocol([], File) ->
    {args, fail, ["-proto_dist is not in ", File, ": add the line `-proto_dist merlon`, or links are plain TCP"]};
protocol([{_, [Proto], _}], File) when Proto =:= "merlon"; Proto =:= "merlon6" ->
    {args, ok, ["-proto_dist ", Proto, " is in ", File, ", once"]};
protocol([{_, Values, Where}], _File) ->
    {args, fail, ["-proto_dist ", lists:join($\s, Values), " in ", Where, " is not merlon alone: write `-proto_dist merlon`"]};
protocol([_, _ | _] = Several, _File) ->
    {args, fail, ["-proto_dist is given ", integer_to_list(length(Several)), " times (",
                  lists:join(", ", [Where || {_, _, Where} <- Several]), "): OTP before 27 then takes none and links are plain "
                  "TCP; leave one of them"]}.

cookie([]) -> [];
cookie([{_, _, Where} | _]) ->
    [{args, warn, ["-setcookie in ", Where, " shows the cookie to everybody on this host: take it out, and put a keyring into the "
                   "merlon dir (`merlon keyring --new`)"]}].

%% A release may say it in its environment.
name(Flags, File) ->
    case [Value || {Flag, [Value], _} <- Flags, Flag =:= "-name" orelse Flag =:= "-sname"] of
        [] -> [];
        [Name] -> [{args, ok, ["the node of ", File, " is ", Name]}];
        Names -> [{args, fail, [File, " names the node ", integer_to_list(length(Names)), " times: leave one -name or -sname"]}]
    end.

%% Where the node of these arguments is to listen.
-spec ports(args()) -> default | {inet:port_number(), inet:port_number()}.
ports({ok, _, Flags}) ->
    Values = maps:from_list(lists:append([pairs(Pairs) || {"-kernel", Pairs, _} <- Flags])),
    case {port(Values, "inet_dist_listen_min"), port(Values, "inet_dist_listen_max")} of
        {none, _} -> default;
        {Min, none} -> {Min, Min};
        {Min, Max} when Max >= Min -> {Min, Max};
        {Min, _} -> {Min, Min}
    end;
ports(_) -> default.

pairs([Key, Value | More]) -> [{Key, Value} | pairs(More)];
pairs(_) -> [].

port(Values, Key) ->
    case string:to_integer(maps:get(Key, Values, "")) of
        {Port, ""} when is_integer(Port), Port > 0, Port < 65536 -> Port;
        _ -> none
    end.
