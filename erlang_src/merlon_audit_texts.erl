%% SPDX-License-Identifier: Apache-2.0
%% The sources beside the findings: the line that is shown, and a fingerprint that stays when lines move. What comes out
%% is UTF-8 without control characters, whatever is in the file.
-module(merlon_audit_texts).

-export([new/1, names/1, lines/2, findings/2, printable/1]).
-export_type([texts/0]).

-opaque texts() :: #{binary() => merlon_audit_files:file()}.

-define(BYTES, 16#800000).
-define(SHOWN, 200).

-spec new([merlon_audit_files:file()]) -> texts().
new(Files) -> maps:from_list([{Name, File} || #{name := Name} = File <- Files]).

-spec names(texts()) -> [binary()].
names(Texts) -> lists:sort(maps:keys(Texts)).

%% The lines of a source of the tree; none of anything else.
-spec lines(binary(), texts()) -> [binary()].
lines(Name, Texts) ->
    case Texts of
        #{Name := File} ->
            case merlon_audit_files:read(File, ?BYTES) of
                {ok, Text} -> binary:split(Text, <<"\n">>, [global]);
                {error, _} -> []
            end;
        _ -> []
    end.

%% By file, line and rule. The same finding from two BEAM files of one source is one.
-spec findings([map()], texts()) -> [merlon_audit:finding()].
findings(Raws, Texts) ->
    ByFile = lists:foldl(fun(#{file := File} = Raw, Acc) ->
                             maps:update_with(File, fun(Known) -> [Raw | Known] end, [Raw], Acc)
                         end, #{}, Raws),
    lists:append([of_file(File, lists:usort(fun is_before/2, maps:get(File, ByFile)), lines(File, Texts))
                  || File <- lists:sort(maps:keys(ByFile))]).

is_before(A, B) -> key(A) =< key(B).

key(#{line := Line, rule := Rule, what := What} = Raw) -> {Line, Rule, What, maps:get(place, Raw, <<>>)}.

of_file(File, Raws, Lines) ->
    Table = list_to_tuple(Lines),
    {Findings, _} = lists:mapfoldl(fun(Raw, Seen) -> finding(Raw, File, Table, Seen) end, #{}, Raws),
    Findings.

finding(#{line := Line, rule := Rule} = Raw, File, Lines, Seen) ->
    Shown = shown(Raw, Rule, Line, Lines),
    Print = print(Raw, File, Shown),
    Count = maps:get(Print, Seen, 0),
    Known = maps:with([rule, severity, flow, line, place, what, allowed], Raw),
    Plain = maps:map(fun(Key, Text) when Key =:= file; Key =:= what; Key =:= place -> printable(Text);
                        (_, Value) -> Value
                     end, Known#{file => File, source => maps:get(source, Raw, code),
                                 fingerprint => <<Print/binary, $:, (integer_to_binary(Count + 1))/binary>>}),
    {with_snippet(Plain, Shown), Seen#{Print => Count + 1}}.

with_snippet(Finding, <<>>) -> Finding;
with_snippet(Finding, Shown) -> Finding#{snippet => Shown}.

%% A cookie is never shown, nor is it in the fingerprint: reports go to more people than sources.
shown(#{hide := true}, _Rule, _Line, _Lines) -> <<>>;
shown(_Raw, Rule, _Line, _Lines) when Rule =:= cookie_literal; Rule =:= cookie_weak -> <<>>;
shown(#{source := config}, _Rule, Line, Lines) -> unless("cookie|private key", snippet(Line, Lines));
shown(#{file := File}, _Rule, Line, Lines) ->
    case filename:extension(File) of
        <<".exs">> -> unless("cookie", snippet(Line, Lines));
        _ -> unless("set_?cookie", snippet(Line, Lines))
    end.

%% A line that speaks of a cookie may hold it in a spelling that nobody has thought of.
unless(Words, Shown) ->
    case re:run(Shown, Words, [caseless, {capture, none}]) of
        match -> <<>>;
        nomatch -> Shown
    end.

snippet(Line, Lines) when Line > 0, Line =< tuple_size(Lines) -> string:trim(printable(element(Line, Lines)));
snippet(_, _) -> <<>>.

%% Not of the line's number: what stands there, and where.
print(#{rule := Rule, what := What} = Raw, File, Shown) ->
    Squeezed = re:replace(Shown, "\\s+", "", [global, {return, binary}]),
    Parts = [atom_to_binary(Rule), 0, File, 0, maps:get(place, Raw, <<>>), 0, What, 0, Squeezed],
    binary:part(merlon_kdf:digest(sha256, Parts, hex), 0, 32).

%% Text for people: no control characters (a terminal would obey them), none that turn the direction of writing, no more
%% than a line's worth.
-spec printable(binary()) -> binary().
printable(Bytes) ->
    Text = case unicode:characters_to_binary(Bytes) of
               Known when is_binary(Known) -> Known;
               _ -> << <<(if C < 128 -> C; true -> $? end)>> || <<C>> <= Bytes >>
           end,
    Safe = re:replace(Text, "[\\x{00}-\\x{1f}\\x{7f}-\\x{9f}\\x{200b}-\\x{200f}\\x{2028}-\\x{202e}\\x{2060}-\\x{206f}\\x{feff}]",
                      " ", [global, unicode, {return, binary}]),
    string:slice(Safe, 0, ?SHOWN).
