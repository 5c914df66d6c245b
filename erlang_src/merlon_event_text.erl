%% SPDX-License-Identifier: Apache-2.0
%% Reports of merlon_event as text. Pure.
-module(merlon_event_text).

-export([format/1, printable/1, door/1, unanswered/1, closing/1, refusal/1, failure_level/2]).

%% One line of text for a report.
-spec format(map()) -> {io:format(), [term()]}.
format(#{event := Event} = Report) ->
    Words = [pair(Key, maps:get(Key, Report))
             || Key <- [side, phase, reason, node, claimed, peer, local, identity, fingerprint,
                        carrier, direction, suite, group, answer, repeated, seconds],
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

%% Why a connection was closed before it was read.
-spec door(denied | throttled | backing_off) -> binary().
door(denied) -> <<"its address is on merlon.config's deny list, or not on its allow list">>;
door(throttled) -> <<"its address opens connections faster than source_burst and source_rate let it">>;
door(backing_off) -> <<"its address has failed several times in a row: it may try again in a few seconds">>.

%% More of why a node has not been found than it is down.
-spec unanswered(term()) -> #{text => binary()}.
unanswered({error, {names, Reason}}) ->
    #{text => iolist_to_binary(io_lib:format("the name service of its host gives no answer (~tp): the node that keeps the names there "
                                             "hangs, or is none of this cluster", [Reason]))};
unanswered(_) -> #{}.

%% Why this node closes a link.
-spec closing({pki, merlon_nif:pki_reason()} | {keyring, merlon_reprove_core:reason()} | {reproof, atom()}) -> iodata().
closing({reproof, _}) -> "the peer's proof on the live link is wrong";
closing({pki, Reason}) -> merlon_pki_text:words(Reason);
closing({keyring, {entry_expired, #{id := Id, not_after := End}}}) ->
    ["the peer has proved no newer secret than entry ", Id, ", which ended on ", merlon_text:date(End)];
closing({keyring, {entry_dropped, #{id := Id}}}) ->
    ["the peer has proved no other secret than entry ", Id, ", which is not in this node's keyring any more"].

%% Why a peer's message about keyring entries was thrown away.
-spec refusal(malformed | bad_transfer | not_asked | too_many | nothing_in_common) -> string().
refusal(malformed) -> "it sent something that is no message about keyring entries";
refusal(bad_transfer) -> "it sent an entry that was not sealed for this node and this request";
refusal(not_asked) -> "it sent an entry that this node has not asked it for";
refusal(too_many) -> "it asks for entries all the time";
refusal(nothing_in_common) -> "it asks for an entry, but accepts none that this node accepts: copy the keyring to it".

%% Nodes go away every day, and a tool that has done its work just halts: only what a peer should
%% not have done is an error.
-spec failure_level(atom() | tuple(), map()) -> info | warning | error.
failure_level(closed, _) -> info;
failure_level(truncated, #{identity := {cli, _, _, _}}) -> info;
failure_level(Reason, _) ->
    case lists:member(Reason, [truncated, econnreset, epipe, etimedout, ehostunreach]) of
        true -> warning;
        false -> error
    end.
