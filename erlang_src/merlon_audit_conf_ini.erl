%% SPDX-License-Identifier: Apache-2.0
%% Files of sections with `Key=Value` lines: units of systemd, and fly.toml as far as it is so (no arrays over several
%% lines, no dotted keys).
-module(merlon_audit_conf_ini).

-export([unit/1, toml/1]).

-spec unit(binary()) -> [merlon_audit_conf_words:item()].
unit(Text) -> lists:append([setting(Key, Value, N) || {N, _, Key, Value} <- entries(merlon_audit_conf_shell:lines(Text))]).

setting(<<"Environment">>, Value, N) ->
    lists:append([merlon_audit_conf_words:env(N, Name, Given)
                  || {_, Word} <- merlon_audit_conf_words:split(Value, N),
                     [Name, Given] <- [binary:split(Word, <<"=">>)]]);
setting(<<"Exec", _/binary>>, Value, N) ->
    Command = string:trim(Value, leading, "-+!@:"),
    merlon_audit_conf_shell:exec(merlon_audit_conf_words:split(Command, N), N);
setting(<<"LimitCORE">>, Value, N) ->
    [{found, N, core_dump, <<"LimitCORE=infinity">>} || lists:member(<<"infinity">>, binary:split(Value, <<":">>, [global]))];
setting(<<"ListenStream">>, Value, N) -> [{port, N, Port} || Port <- listened(Value)];
setting(_, _, _) -> [].

%% A bare port is one on all addresses.
listened(Value) ->
    case re:run(Value, "^(?:(.*):)?([0-9]+)$", [{capture, [1, 2], binary}]) of
        {match, [Address, Port]} ->
            [binary_to_integer(Port) || not lists:member(Address, [<<"127.0.0.1">>, <<"[::1]">>, <<"localhost">>])];
        nomatch -> []
    end.

-spec toml(binary()) -> [merlon_audit_conf_words:item()].
toml(Text) -> lists:append([fly(Section, Key, Value, N) || {N, Section, Key, Value} <- entries(merlon_audit_conf_shell:raw(Text))]).

fly(<<"env">>, Key, Value, N) -> merlon_audit_conf_words:env(N, unquoted(Key), unquoted(Value));
fly(<<"build">>, <<"image">>, Value, N) -> [{image, N, unquoted(Value)}];
fly(Section, <<"internal_port">>, Value, N) ->
    [{port, N, Port} || binary:match(Section, <<"service">>) =/= nomatch, Port <- listened(unquoted(Value))];
fly(_, _, _, _) -> [].

unquoted(Value) -> merlon_audit_conf_yaml:scalar(string:trim(strip(Value))).

%% A comment behind the value.
strip(<<Q, _/binary>> = Value) when Q =:= $"; Q =:= $' -> Value;
strip(Value) -> hd(binary:split(Value, <<"#">>)).

entries(Lines) -> entries(Lines, <<>>).

entries([{N, Line} | Lines], Section) ->
    case re:run(Line, "^\\s*\\[+\\s*([^\\]\\s]+)\\s*\\]|^\\s*([^\\s#;=]+)\\s*=\\s*(.*?)\\s*$", [{capture, all_but_first, binary}]) of
        {match, [Name]} -> entries(Lines, Name);
        {match, [_, Key, Value]} -> [{N, Section, Key, Value} | entries(Lines, Section)];
        nomatch -> entries(Lines, Section)
    end;
entries([], _Section) -> [].
