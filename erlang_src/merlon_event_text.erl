%% SPDX-License-Identifier: Apache-2.0
%% Reports of merlon_event as text. Pure.
-module(merlon_event_text).

-export([format/1, printable/1]).

%% One line of text for a report.
-spec format(map()) -> {io:format(), [term()]}.
format(#{event := Event} = Report) ->
    Words = [pair(Key, maps:get(Key, Report))
             || Key <- [side, phase, reason, node, claimed, peer, local, identity, fingerprint,
                        direction, suite, group, answer, repeated, seconds],
                is_map_key(Key, Report)],
    Text = case Report of
               #{text := Said} -> [": ", Said];
               _ -> []
           end,
    {"merlon: ~ts~ts~ts", [atom_to_list(Event), Words, Text]}.

pair(Key, {Ip, Port}) when is_tuple(Ip), is_integer(Port), (Key =:= peer orelse Key =:= local) ->
    [$\s, atom_to_list(Key), $=, address(Ip), $:, integer_to_list(Port)];
pair(peer, Source) when is_tuple(Source) ->
    [" peer=", address(Source)];
pair(identity, {Kind, Cluster, Name, Host}) ->
    [" identity=", atom_to_list(Kind), $:, printable(Cluster), $:, printable(Name), $@, printable(Host)];
pair(Key, Value) when is_binary(Value) ->
    [$\s, atom_to_list(Key), $=, printable(Value)];
pair(Key, Value) ->
    [$\s, atom_to_list(Key), $=, io_lib:format("~0tp", [Value])].

address({A, B, C, D, net}) -> [inet:ntoa({A, B, C, D, 0, 0, 0, 0}), "/64"];
address(Ip) when tuple_size(Ip) =:= 8 -> [$[, inet:ntoa(Ip), $]];
address(Ip) -> inet:ntoa(Ip).

%% A claimed name comes from a peer: nothing in it may break the line.
-spec printable(binary()) -> iolist().
printable(Value) ->
    [case Char of
         _ when Char > 32, Char < 127 -> Char;
         _ -> io_lib:format("\\x~2.16.0b", [Char])
     end || <<Char>> <= Value].
