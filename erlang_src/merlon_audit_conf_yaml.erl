%% SPDX-License-Identifier: Apache-2.0
%% YAML as manifests use it, line by line: keys, values and list items with their indent. Read are mappings and lists in
%% blocks, plain and quoted scalars, block scalars, comments, several documents, and flow mappings and lists on one line. Not
%% read are anchors, aliases, tags, merge keys, flow collections over several lines and quoted scalars over several lines:
%% what stands in those is passed over.
-module(merlon_audit_conf_yaml).

-export([nodes/1, scalar/1, flow/1]).
-export_type([tree/0]).

%% `key` is <<>> for a list's item without one; `path` are the keys above, the nearest first. An item `- k: v` stands with
%% the column of k, and `item` numbers the list's items, so that keys of one item can be told.
-type tree() :: #{line := pos_integer(), indent := non_neg_integer(), key := binary(), value := binary(),
                  path := [binary()], item := non_neg_integer()}.

-define(DEEP, 200).

-spec nodes(binary()) -> [tree()].
nodes(Text) -> lines(merlon_audit_conf_shell:raw(Text), [], 0, []).

%% Open: keys that are open, {Indent, Key}, the nearest first.
lines([], _Open, _Item, Acc) -> lists:reverse(Acc);
lines([{N, Line} | Lines], Open, Item, Acc) ->
    Text = string:trim(Line),
    Indent = indent(Line, 0),
    case Text of
        <<>> -> lines(Lines, Open, Item, Acc);
        <<$#, _/binary>> -> lines(Lines, Open, Item, Acc);
        <<"---", _/binary>> -> lines(Lines, [], Item + 1, Acc);
        <<"- ", _/binary>> -> item(Text, Indent, N, Lines, Open, Item + 1, Acc);
        <<"-">> -> lines(Lines, closed(Open, Indent), Item + 1, Acc);
        _ -> entry(Text, Indent, N, Lines, closed(Open, Indent), Item, Acc)
    end.

%% A list may stand in the same column as its key. Nobody nests them as deep as that.
item(_Text, Indent, _N, Lines, Open, Item, Acc) when Indent > ?DEEP -> lines(Lines, Open, Item, Acc);
item(<<$-, Rest/binary>>, Indent, N, Lines, Open, Item, Acc) ->
    Own = Indent + 1 + indent(Rest, 0),
    Above = [Key || {At, Name} = Key <- Open, At < Indent orelse (At =:= Indent andalso Name =/= <<>>)],
    case string:trim(Rest) of
        <<"- ", _/binary>> = Nested -> item(Nested, Own, N, Lines, Above, Item, Acc);
        Text -> entry(Text, Own, N, Lines, Above, Item, Acc)
    end.

entry(Text, Indent, N, Lines, Open, Item, Acc) ->
    {Key, Value} = pair(Text),
    Node = #{line => N, indent => Indent, key => Key, value => Value, path => [K || {_, K} <- Open], item => Item},
    case re:run(Value, "^[|>][0-9+-]*$", [{capture, none}]) of
        match ->
            {Inside, Rest} = block(Lines, Indent, []),
            Texts = [Node#{line := L, key := <<>>, value := string:trim(T), path := [Key | maps:get(path, Node)]}
                     || {L, T} <- Inside],
            lines(Rest, Open, Item, lists:reverse(Texts) ++ [Node#{value := <<>>} | Acc]);
        nomatch when Value =:= <<>>, Key =/= <<>> -> lines(Lines, [{Indent, Key} | Open], Item, [Node | Acc]);
        nomatch -> lines(Lines, Open, Item, [Node | Acc])
    end.

block([{_, Line} = First | Lines], Indent, Acc) ->
    case string:trim(Line) =:= <<>> orelse indent(Line, 0) > Indent of
        true -> block(Lines, Indent, [First | Acc]);
        false -> {lists:reverse(Acc), [First | Lines]}
    end;
block([], _Indent, Acc) -> {lists:reverse(Acc), []}.

closed(Open, Indent) -> lists:dropwhile(fun({At, _}) -> At >= Indent end, Open).

indent(<<$\s, Rest/binary>>, N) -> indent(Rest, N + 1);
indent(_, N) -> N.

%% key: value, "key": value; {flow} and plain text are values without key.
pair(<<C, _/binary>> = Text) when C =:= ${; C =:= $[ -> {<<>>, comment_off(Text)};
pair(Text) ->
    case re:run(Text, "^(?:\"([^\"]*)\"|'([^']*)'|([^\\s:#\"'{\\[][^:#]*?))\\s*:(?:\\s+(.*))?$", [{capture, all_but_first, binary}]) of
        {match, Parts} -> {lists:max([P || P <- lists:sublist(Parts, 3)]), comment_off(part(4, Parts))};
        nomatch -> {<<>>, comment_off(Text)}
    end.

part(N, Parts) when length(Parts) >= N -> lists:nth(N, Parts);
part(_, _) -> <<>>.

comment_off(<<Q, Rest/binary>> = Text) when Q =:= $"; Q =:= $' ->
    case binary:match(Rest, <<Q>>) of
        {At, 1} -> binary:part(Text, 0, At + 2);
        nomatch -> Text
    end;
comment_off(<<$#, _/binary>>) -> <<>>;
%% Of an empty text re:split/3 gives one part or, from OTP 28 on, none.
comment_off(<<>>) -> <<>>;
comment_off(Text) -> string:trim(hd(re:split(Text, "\\s#", [{return, binary}]))).

%% Without quotes.
-spec scalar(binary()) -> binary().
scalar(<<Q, Rest/binary>> = Text) when Q =:= $"; Q =:= $' ->
    case binary:match(Rest, <<Q>>) of
        {At, 1} -> binary:part(Rest, 0, At);
        nomatch -> Text
    end;
scalar(Text) -> Text.

%% [a, "b"] and {k: v} on one line: scalars, or pairs; an empty list of anything else.
-spec flow(binary()) -> [binary() | {binary(), binary()}].
flow(<<C, Rest/binary>>) when C =:= $[; C =:= ${ ->
    Inside = string:trim(string:trim(Rest), trailing, "]}"),
    Parts = merlon_audit_conf_words:outside(Inside, [<<",">>]),
    [flow_part(C, string:trim(Part)) || Part <- Parts, string:trim(Part) =/= <<>>];
flow(_) -> [].

flow_part($[, Part) -> scalar(Part);
flow_part(${, Part) ->
    {Key, Value} = pair(re:replace(Part, "^(\"[^\"]*\"|[^\\s:]+):(?=\\S)", "\\1: ", [{return, binary}])),
    {Key, scalar(Value)}.
