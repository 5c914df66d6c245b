%% SPDX-License-Identifier: Apache-2.0
%% Findings that somebody accepts: by a comment in the source, with a reason and an end,
%%
%%   %% merlon: allow RULE until 2027-03-01 because REASON        (# in Elixir)
%%
%% on the line of the finding or alone above it, or all at once by a baseline file. A comment that does not hold is a
%% finding itself.
-module(merlon_audit_allow).

-export([apply/3, unscanned/2, baseline/1, baseline_text/1]).

-define(COMMENT, "(?:%+|#+)[ \\t]*merlon:[ \\t]*allow\\b(.*)$").
-define(GRAMMAR, "^\\s+([a-z_]+)\\s+until\\s+(\\d{4})-(\\d\\d)-(\\d\\d)\\s+because\\s+(\\S.*)$").

%% Findings that stay, those of comments that do not hold among them, and findings that a comment accepts.
-spec apply([map()], merlon_audit_texts:texts(), merlon_audit:options()) -> {Kept :: [map()], Allowed :: [map()]}.
apply(Raws, Texts, Options) ->
    Today = maps:get(today, Options, date()),
    Comments = [{{Name, Line}, Comment} || Name <- merlon_audit_texts:names(Texts),
                                           {Line, Comment} <- comments(merlon_audit_texts:lines(Name, Texts), Today)],
    Holding = maps:from_list([{{File, At, Rule}, true} || {{File, _}, {allow, Rule, Lines}} <- Comments, At <- Lines]),
    {Allowed, Kept} = lists:partition(fun(#{file := File, line := Line, rule := Rule}) ->
                                          is_map_key({File, Line, Rule}, Holding)
                                      end, Raws),
    {Kept ++ [Raw || Raw <- bad(Comments), is_wanted(Options)], Allowed}.

is_wanted(#{only := Only}) -> lists:member(suppression, Only);
is_wanted(Options) -> not lists:member(suppression, maps:get(skip, Options, [])).

bad(Comments) ->
    {ok, #{severity := Severity}} = merlon_audit_rules:find(suppression),
    [#{rule => suppression, severity => Severity, file => File, line => Line, what => Why}
     || {{File, Line}, {bad, Why}} <- Comments].

comments(Lines, Today) -> comments(Lines, 1, Today).

comments([], _N, _Today) -> [];
comments([Line | Lines], N, Today) ->
    case binary:match(Line, <<"merlon:">>) =/= nomatch
        andalso re:run(Line, ?COMMENT, [{capture, [0, 1], index}]) of
        {match, [{At, _}, Rest]} ->
            Before = binary:part(Line, 0, At),
            [{N, comment(part(Line, Rest), Before, Lines, N, Today)} || is_code(Before)] ++ comments(Lines, N + 1, Today);
        _ -> comments(Lines, N + 1, Today)
    end.

%% Not inside a string or a comment that talks about such comments.
is_code(Before) ->
    length(binary:matches(Before, <<"\"">>)) rem 2 =:= 0
        andalso re:run(Before, "^\\s*[%#]", [{capture, none}]) =:= nomatch.

part(Line, {At, Length}) -> binary:part(Line, At, Length).

comment(Rest, Before, Lines, N, Today) ->
    case re:run(Rest, ?GRAMMAR, [{capture, all_but_first, binary}]) of
        {match, [Rule, Year, Month, Day, _Reason]} ->
            Until = {binary_to_integer(Year), binary_to_integer(Month), binary_to_integer(Day)},
            allowed(merlon_audit_rules:find(Rule), Until, Today, targets(Before, Lines, N));
        nomatch -> {bad, <<"not of the form: allow RULE until YYYY-MM-DD because REASON">>}
    end.

allowed(none, _Until, _Today, _Lines) -> {bad, <<"there is no such rule">>};
allowed({ok, #{id := Id}}, _Until, _Today, _Lines) when Id =:= suppression; Id =:= unscanned ->
    {bad, <<"this can't be allowed by a comment">>};
allowed({ok, #{id := Id}}, Until, Today, Lines) ->
    case calendar:valid_date(Until) of
        true when Until >= Today -> {allow, Id, Lines};
        true -> {bad, <<"it has run out">>};
        false -> {bad, <<"there is no such date">>}
    end.

%% Beside code it is meant for that line, alone for the next line of code.
targets(Before, Lines, N) ->
    case string:trim(Before) of
        <<>> -> [next_code(Lines, N + 1)];
        _ -> [N]
    end.

next_code([Line | Lines], N) ->
    case string:trim(Line) of
        <<>> -> next_code(Lines, N + 1);
        <<C, _/binary>> when C =:= $%; C =:= $# -> next_code(Lines, N + 1);
        _ -> N
    end;
next_code([], N) -> N.

%% ---- files that could not be scanned ----

-spec unscanned([map()], [{binary(), term()}]) -> [map()].
unscanned(Results, Faults) ->
    {ok, #{severity := Severity}} = merlon_audit_rules:find(unscanned),
    [#{rule => unscanned, severity => Severity, file => Name, line => Line, what => iolist_to_binary(Words)}
     || {Name, Line, Words} <-
            [{Name, 0, merlon_audit_fault:words({files, Reason})} || {Name, Reason} <- Faults]
                ++ [{Name, Line, Words} || #{name := Name, result := {error, Line, Words}} <- Results]].

%% ---- the baseline ----

%% One finding a line: its fingerprint, and what is only for people.
-spec baseline(binary()) -> {ok, #{binary() => true}} | {error, pos_integer()}.
baseline(Text) ->
    Lines = lists:zip(lists:seq(1, length(binary:split(Text, <<"\n">>, [global]))),
                      [string:trim(Line) || Line <- binary:split(Text, <<"\n">>, [global])]),
    entries([Line || {_, Entry} = Line <- Lines, Entry =/= <<>>, binary:first(Entry) =/= $#], #{}).

entries([], Known) -> {ok, Known};
entries([{N, Line} | Lines], Known) ->
    case re:run(Line, "^([0-9a-f]{32}:[0-9]+)(\\s|$)", [{capture, [1], binary}]) of
        {match, [Print]} -> entries(Lines, Known#{Print => true});
        nomatch -> {error, N}
    end.

-spec baseline_text([merlon_audit:finding()]) -> iodata().
baseline_text(Findings) ->
    ["# Findings that are known: merlon audit --baseline THIS reports new ones only. Made by --write-baseline.\n",
     [[Print, "  ", atom_to_binary(Rule), "  ", File, $:, integer_to_list(Line), $\n]
      || #{fingerprint := Print, rule := Rule, file := File, line := Line} <- Findings, Rule =/= unscanned]].
