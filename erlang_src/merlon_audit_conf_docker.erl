%% SPDX-License-Identifier: Apache-2.0
%% Dockerfiles: what goes into an image and how it is started.
-module(merlon_audit_conf_docker).

-export([items/1]).

-spec items(binary()) -> [merlon_audit_conf_words:item()].
items(Text) -> lists:append([instruction(string:trim(Line), N) || {N, Line} <- instructions(Text)]).

%% Comments may stand between the lines of one instruction.
instructions(Text) ->
    Lines = [Line || {_, Raw} = Line <- merlon_audit_conf_shell:raw(Text), not is_comment(string:trim(Raw))],
    merlon_audit_conf_shell:joined(Lines).

is_comment(<<$#, _/binary>>) -> true;
is_comment(_) -> false.

instruction(Line, N) ->
    case re:run(Line, "^([A-Za-z]+)\\s+(.*)$", [{capture, [1, 2], binary}, dotall]) of
        {match, [Name, Rest]} -> instruction(string:uppercase(Name), Rest, N);
        nomatch -> []
    end.

instruction(<<"FROM">>, Rest, N) ->
    case [Word || {_, Word} <- merlon_audit_conf_words:split(Rest, N), binary:first(Word) =/= $-] of
        [Image | _] -> [{image, N, Image}];
        [] -> []
    end;
instruction(<<"ENV">>, Rest, N) -> pairs(Rest, N);
instruction(<<"ARG">>, Rest, N) -> pairs(Rest, N);
instruction(<<"EXPOSE">>, Rest, N) -> [{port, N, Port} || Word <- lexemes(Rest), Port <- port(Word)];
instruction(<<"ONBUILD">>, Rest, N) -> instruction(Rest, N);
instruction(Copy, Rest, N) when Copy =:= <<"COPY">>; Copy =:= <<"ADD">> ->
    Sources = lists:droplast([<<>> | [Word || Word <- lexemes(Rest), binary:first(Word) =/= $-]]),
    [{found, N, cookie_literal, <<"a cookie's file is copied into the image">>}
     || [] =/= [S || S <- Sources, re:run(S, "\\.erlang\\.cookie$|releases/COOKIE$", [{capture, none}]) =:= match]];
instruction(Run, Rest, N) when Run =:= <<"RUN">>; Run =:= <<"CMD">>; Run =:= <<"ENTRYPOINT">>; Run =:= <<"HEALTHCHECK">> ->
    run(Rest, N);
instruction(_, _, _) -> [].

%% As a list, or for a shell.
run(<<$[, _/binary>> = List, N) ->
    merlon_audit_conf_shell:exec([{N, Text} || Text <- merlon_audit_conf_yaml:flow(List), is_binary(Text)], N);
run(Command, N) -> merlon_audit_conf_shell:line(Command, N).

%% ENV A=b C="d e", and of old ENV A b
pairs(Rest, N) ->
    case re:run(Rest, "^([A-Za-z_0-9]+)\\s+([^=]+|\\S.*)$", [{capture, [1, 2], binary}]) of
        {match, [Name, Value]} -> merlon_audit_conf_words:env(N, Name, first(Value, N));
        nomatch -> lists:append([pair(Word, N) || {_, Word} <- merlon_audit_conf_words:split(Rest, N)])
    end.

first(Value, N) ->
    case merlon_audit_conf_words:split(Value, N) of
        [{_, Word}] -> Word;
        _ -> Value
    end.

pair(Word, N) ->
    case binary:split(Word, <<"=">>) of
        [Name, Value] -> merlon_audit_conf_words:env(N, Name, Value);
        _ -> []
    end.

port(Word) ->
    try [binary_to_integer(hd(binary:split(Word, <<"/">>)))] catch error:badarg -> [] end.

lexemes(Text) -> binary:split(Text, [<<" ">>, <<"\t">>], [global, trim_all]).
