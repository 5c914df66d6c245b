%% SPDX-License-Identifier: Apache-2.0
%% A strict reader of Prometheus' text exposition format 0.0.4, for tests: it knows nothing of how merlon writes
%% it and dies of whatever the format's description does not allow.
-module(merlon_prometheus).

-export([parse/1]).

-type family() :: #{type := counter | gauge, help := binary(), samples := #{Labels :: #{binary() => binary()} => integer()}}.

-define(NAME, "[a-zA-Z_:][a-zA-Z0-9_:]*").
-define(LABEL, "[a-zA-Z_][a-zA-Z0-9_]*").

%% Each family once: HELP, TYPE, then its samples, no two with the same labels.
-spec parse(iodata()) -> #{binary() => family()}.
parse(Text) ->
    Bytes = iolist_to_binary(Text),
    true = is_list(unicode:characters_to_list(Bytes)),
    Lines = binary:split(Bytes, <<"\n">>, [global]),
    <<>> = lists:last(Lines),
    families(lists:droplast(Lines), #{}).

families([], Families) -> Families;
families([<<"# HELP ", Help/binary>>, <<"# TYPE ", Type/binary>> | Rest], Families) ->
    [Name, Words] = binary:split(Help, <<" ">>),
    [Name, Kind] = binary:split(Type, <<" ">>),
    match = re:run(Name, "\\A" ?NAME "\\z", [{capture, none}]),
    false = is_map_key(Name, Families),
    nomatch = re:run(Words, "\\\\[^n\\\\]", [{capture, none}]),
    {Lines, Others} = lists:splitwith(fun(<<C, _/binary>>) -> C =/= $# end, Rest),
    true = Lines =/= [],
    Samples = [sample(Name, Line) || Line <- Lines],
    true = length(Samples) =:= map_size(maps:from_list(Samples)),
    families(Others, Families#{Name => family(Name, Kind, Words, Samples)}).

family(Name, <<"counter">>, Help, Samples) ->
    <<"_total">> = binary:part(Name, byte_size(Name), -6),
    true = lists:all(fun({_, Value}) -> Value >= 0 end, Samples),
    #{type => counter, help => Help, samples => maps:from_list(Samples)};
family(Name, <<"gauge">>, Help, Samples) ->
    nomatch = re:run(Name, "_(total|count|sum|bucket)\\z", [{capture, none}]),
    #{type => gauge, help => Help, samples => maps:from_list(Samples)}.

sample(Name, Line) ->
    Size = byte_size(Name),
    <<Name:Size/binary, Rest/binary>> = Line,
    {Labels, <<" ", Value/binary>>} = labels(Rest),
    {Labels, binary_to_integer(Value)}.

labels(<<"{", Rest/binary>>) -> pairs(Rest, #{});
labels(Rest) -> {#{}, Rest}.

pairs(Text, Labels) ->
    {match, [{0, Len}]} = re:run(Text, "\\A" ?LABEL, [{capture, first}]),
    <<Label:Len/binary, "=\"", Rest/binary>> = Text,
    false = is_map_key(Label, Labels),
    {Value, After} = value(Rest, <<>>),
    case After of
        <<",", More/binary>> -> pairs(More, Labels#{Label => Value});
        <<"}", More/binary>> -> {Labels#{Label => Value}, More}
    end.

value(<<"\"", Rest/binary>>, Value) -> {Value, Rest};
value(<<"\\n", Rest/binary>>, Value) -> value(Rest, <<Value/binary, "\n">>);
value(<<"\\", C, Rest/binary>>, Value) when C =:= $\\; C =:= $" -> value(Rest, <<Value/binary, C>>);
value(<<C, Rest/binary>>, Value) when C =/= $\\, C =/= $\n -> value(Rest, <<Value/binary, C>>).
