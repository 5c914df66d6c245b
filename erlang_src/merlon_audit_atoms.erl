%% SPDX-License-Identifier: Apache-2.0
%% Atoms that the audit may make of what it reads. They are never freed and the VM stops when there are too many, so a
%% source is only scanned when the VM has room for an atom of each of its words that it does not know yet.
-module(merlon_audit_atoms).

-export([start/0, start/1, left/1, has_room/2]).
-export_type([budget/0]).

-opaque budget() :: #{first := non_neg_integer(), most := non_neg_integer()}.

%% For a whole run: all of OTP's sources have a tenth of this.
-define(MOST, 400000).

-spec start() -> budget().
start() -> start(?MOST).

%% Never more than a quarter of what the table has left: others run at the same time.
-spec start(Most :: non_neg_integer()) -> budget().
start(Most) ->
    Count = erlang:system_info(atom_count),
    #{first => Count, most => min(Most, (erlang:system_info(atom_limit) - Count) div 4)}.

%% How many may still be made.
-spec left(budget()) -> non_neg_integer().
left(#{first := First, most := Most}) -> max(0, Most - (erlang:system_info(atom_count) - First)).

%% Room for all words of Text that are no atoms yet: more than it can need, comments are among them.
-spec has_room(binary(), budget()) -> boolean().
has_room(Text, Budget) ->
    Left = left(Budget),
    Words = words(Text, #{}),
    map_size(Words) =< Left orelse length([W || W <- maps:keys(Words), not is_known(W)]) =< Left.

is_known(Word) when byte_size(Word) > 1020 -> true; % no atom is that long
is_known(Word) ->
    try is_atom(binary_to_existing_atom(Word))
    catch error:_ -> false
    end.

-define(is_letter(C), (C >= $a andalso C =< $z orelse C >= $A andalso C =< $Z orelse C >= 128 orelse C =:= $_)).
-define(is_part(C), (?is_letter(C) orelse C >= $0 andalso C =< $9 orelse C =:= $@)).

words(<<C, _/binary>> = Text, Words) when ?is_letter(C) ->
    Length = part(Text, 0),
    <<Word:Length/binary, Rest/binary>> = Text,
    words(Rest, Words#{Word => true});
words(<<Quote, Rest/binary>>, Words) when Quote =:= $'; Quote =:= $" -> quoted(Rest, Quote, Words);
words(<<_, Rest/binary>>, Words) -> words(Rest, Words);
words(<<>>, Words) -> Words.

part(Text, Length) ->
    case Text of
        <<_:Length/binary, C, _/binary>> when ?is_part(C) -> part(Text, Length + 1);
        _ -> Length
    end.

%% What is quoted may be one atom, up to the next quote, and has words of its own: both are counted.
quoted(Text, Quote, Words) ->
    case binary:match(Text, <<Quote>>) of
        {Length, 1} when Length =< 1020 -> words(Text, Words#{binary:part(Text, 0, Length) => true});
        _ -> words(Text, Words)
    end.
