%% SPDX-License-Identifier: Apache-2.0
%% Command line arguments by a description of them; the help text comes from the same description.
-module(merlon_cli_args).

-export([parse/2, help/2]).
-export_type([spec/0, options/0]).

%% `days` is a whole number from 1; `{many, _}` may be given several times.
-type kind() :: flag | days | {text, Meta :: string()} | {many, Meta :: string()} |
                {one_of, [atom()]}.
-type spec() ::
        #{summary := string(),
          argument := none | {required | optional | several, Meta :: string()},
          options := [{Name :: atom(), kind(), Meaning :: string()}],
          details => string()}.
%% The argument is under `argument`, `several` as a list; options that were not given are absent.
-type options() :: #{atom() => term()}.

-spec parse(spec(), [string()]) -> {ok, options()} | help | {error, iodata()}.
parse(Spec, Args) ->
    try
        complete(Spec, parse(Args, Spec, #{}))
    catch
        throw:help -> help;
        throw:{wrong, Text} -> {error, Text}
    end.

parse([], _Spec, Options) -> Options;
parse([Help | _], _Spec, _Options) when Help =:= "--help"; Help =:= "-h" -> throw(help);
parse(["--" | Rest], Spec, Options) ->
    lists:foldl(fun(Argument, Acc) -> argument(Argument, Spec, Acc) end, Options, Rest);
parse(["--" ++ Option | Rest], Spec, Options) -> option(Option, Rest, Spec, Options);
parse(["-" ++ [_ | _] = Short | _], Spec, _Options) -> unknown(Short, Spec);
parse([Argument | Rest], Spec, Options) -> parse(Rest, Spec, argument(Argument, Spec, Options)).

argument(Argument, #{argument := {several, _}}, Options) ->
    Options#{argument => maps:get(argument, Options, []) ++ [Argument]};
argument(Argument, #{argument := {_, _}}, Options) when not is_map_key(argument, Options) ->
    Options#{argument => Argument};
argument(Argument, _Spec, _Options) ->
    wrong(["unexpected argument ", Argument]).

%% `--name value` and `--name=value`.
option(Option, Rest, Spec, Options) ->
    {Long, Given} = case string:split(Option, "=") of
                        [Name, Value] -> {Name, [Value]};
                        [Name] -> {Name, []}
                    end,
    {Key, Kind} = known(Long, Spec),
    {Values, Left} = taken(Kind, Given, Rest, Long),
    parse(Left, Spec, put_value(Key, Kind, value(Kind, Values, Long), Options)).

known(Long, #{options := Known} = Spec) ->
    case [{Key, Kind} || {Key, Kind, _} <- Known, atom_to_list(Key) =:= Long] of
        [Found] -> Found;
        [] -> unknown("--" ++ Long, Spec)
    end.

-spec unknown(string(), spec()) -> no_return().
unknown(Option, #{options := Known}) ->
    Names = ["--" ++ atom_to_list(Key) || {Key, _, _} <- Known] ++ ["--help"],
    case merlon_text:nearest(Option, Names) of
        {ok, Near} -> wrong(["unknown option ", Option, ": is it ", Near, " that you mean?"]);
        none -> wrong(["unknown option ", Option])
    end.

taken(flag, [], Rest, _Long) -> {[], Rest};
taken(flag, _, _Rest, Long) -> wrong(["--", Long, " takes no value"]);
taken(_Kind, [Value], Rest, _Long) -> {[Value], Rest};
taken(_Kind, [], [Value | Rest], _Long) -> {[Value], Rest};
taken(Kind, [], [], Long) -> wrong(["--", Long, " needs a value: ", meta(Kind)]).

value(flag, [], _Long) -> true;
value(_Kind, [""], Long) -> wrong(["--", Long, " is empty"]);
value(days, [Text], Long) ->
    case string:to_integer(Text) of
        {Days, ""} when is_integer(Days), Days > 0, Days =< 36500 -> Days;
        _ -> wrong(["--", Long, " must be a number of days from 1 to 36500, not ", Text])
    end;
value({one_of, Words} = Kind, [Text], Long) ->
    case [Word || Word <- Words, atom_to_list(Word) =:= Text] of
        [Word] -> Word;
        [] -> wrong(["--", Long, " must be ", meta(Kind), ", not ", Text])
    end;
value(_Text, [Text], _Long) -> Text.

put_value(Key, {many, _}, Value, Options) ->
    Options#{Key => maps:get(Key, Options, []) ++ [Value]};
put_value(Key, _Kind, _Value, Options) when is_map_key(Key, Options) ->
    wrong(["--", atom_to_list(Key), " is given twice"]);
put_value(Key, _Kind, Value, Options) ->
    Options#{Key => Value}.

complete(#{argument := {required, Meta}}, Options) when not is_map_key(argument, Options) ->
    {error, [Meta, " is missing"]};
complete(_Spec, Options) ->
    {ok, Options}.

-spec wrong(iodata()) -> no_return().
wrong(Text) -> throw({wrong, Text}).

%% ---- help ----

-spec help(spec(), Program :: string()) -> iodata().
help(#{summary := Summary, argument := Argument, options := Options} = Spec, Program) ->
    Rows = Options ++ [{help, flag, "this text"}],
    ["Usage: ", Program, named(Argument), " [options]\n\n", Summary, ".\n\n",
     [row(Row) || Row <- Rows], details(Spec)].

named(none) -> "";
named({required, Meta}) -> [$\s, Meta];
named({several, Meta}) -> [" [", Meta, "...]"];
named({optional, Meta}) -> [" [", Meta, $]].

row({Key, Kind, Meaning}) ->
    Left = lists:flatten(["--", atom_to_list(Key), [[$\s, meta(Kind)] || Kind =/= flag]]),
    case length(Left) > 18 of
        true -> ["  ", Left, "\n", lists:duplicate(22, $\s), Meaning, $\n];
        false -> io_lib:format("  ~-18s  ~ts~n", [Left, Meaning])
    end.

meta(flag) -> "";
meta(days) -> "N";
meta({text, Meta}) -> Meta;
meta({many, Meta}) -> Meta;
meta({one_of, Words}) -> lists:join("|", [atom_to_list(Word) || Word <- Words]).

details(#{details := Text}) -> [$\n, Text, $\n];
details(_) -> "".
