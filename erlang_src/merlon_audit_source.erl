%% SPDX-License-Identifier: Apache-2.0
%% Sources of which there is no BEAM file.
-module(merlon_audit_source).

-export([scan/3]).

%% A source's bytes; OTP's largest has a quarter.
-define(BYTES, 16#800000).

%% One result for each of Files; headers are read from among All.
-spec scan([merlon_audit_files:file()], All :: [merlon_audit_files:file()], map()) -> [map()].
scan(Files, All, #{options := Options} = Run) ->
    Headers = maps:from_list([{Name, File} || #{name := Name, kind := erl} = File <- All]),
    Work = fun(File) -> source(File, Headers, Run) end,
    Results = merlon_audit_pool:files(Work, Files, maps:with([workers, progress, timeout], Options)),
    [placed(File, Result) || {File, Result} <- Results].

placed(#{name := Name}, {ok, Raws, Faults}) ->
    #{name => Name, kind => source, covers => [], raws => [Raw#{file := on(File)} || #{file := File} = Raw <- Raws],
      result => judged(Faults)};
placed(#{name := Name}, {error, Reason}) ->
    #{name => Name, kind => source, covers => [], raws => [], result => {error, 0, merlon_audit_fault:words(Reason)}}.

on(File) -> iolist_to_binary(File).

judged([]) -> ok;
judged([{Line, _} | _] = Faults) -> {error, Line, merlon_audit_fault:words({forms, length(Faults), Line})}.

source(#{kind := ex}, _Headers, #{options := Options}) when not is_map_key(parser, Options) -> {error, no_parser};
source(#{kind := Kind, name := Name} = File, Headers, #{index := Index} = Run) ->
    case text(File, Run) of
        {ok, Text} -> found(units(Kind, Name, Text, Headers, Run), Index);
        {error, _} = Error -> Error
    end.

text(File, #{atoms := Atoms}) ->
    case merlon_audit_files:read(File, ?BYTES) of
        {ok, Text} ->
            case merlon_audit_atoms:has_room(Text, Atoms) of
                true -> {ok, Text};
                false -> {error, atoms}
            end;
        {error, _} = Error -> Error
    end.

units(erl, Name, Text, Headers, Run) ->
    Read = fun(Path) -> header(Path, Headers, Run) end,
    {ok, Unit, Faults} = merlon_audit_erl:parse(binary_to_list(Name), Text, Read),
    {ok, [Unit], Faults};
units(ex, Name, Text, _Headers, #{options := #{parser := Parser}}) ->
    case Parser(Text, Name) of
        {ok, Ast} -> {ok, merlon_audit_ex:quoted(Ast, binary_to_list(Name)), []};
        {error, {Line, Words}} -> {error, {syntax, Line, Words}}
    end.

found({ok, Units, Faults}, Index) ->
    {ok, lists:flatmap(fun(Unit) -> merlon_audit_code:findings(Unit, Index) end, Units), Faults};
found({error, _} = Error, _Index) -> Error.

%% Only what the walk over the tree has found.
header(Path, Headers, Run) ->
    Name = plain(Path),
    case Headers of
        #{Name := File} -> text(File, Run);
        _ -> {error, not_in_tree}
    end.

%% As the walk names files.
plain(Path) ->
    Parts = lists:foldl(fun("..", [_ | Acc]) -> Acc;
                           (".", Acc) -> Acc;
                           (Part, Acc) -> [Part | Acc]
                        end, [], filename:split(Path)),
    try iolist_to_binary(lists:join($/, lists:reverse(Parts)))
    catch error:badarg -> <<>>
    end.
