%% SPDX-License-Identifier: Apache-2.0
%% Which revocation lists are newer than which. Pure. Of two lists of one CA the one that was made
%% later counts; of the same second, that with the higher number (RFC 5280, 5.2.3).
-module(merlon_crl_core).

-export([newest/1, is_newer/2, wanted/2, gained/2, older/2]).

-type id() :: merlon_nif:list_id().

%% CAs in one offer. Who trusts more does not get all lists passed on.
-define(OFFERED, 64).

%% Of each CA the list that counts.
-spec newest([id()]) -> [id()].
newest(Ids) ->
    maps:values(lists:foldl(fun newest/2, #{}, Ids)).

newest({Ca, _, _} = Id, Known) ->
    case Known of
        #{Ca := Other} -> Known#{Ca := later(Id, Other)};
        #{} -> Known#{Ca => Id}
    end.

later(A, B) ->
    case age(A) > age(B) of
        true -> A;
        false -> B
    end.

age({_, ThisUpdate, Number}) -> {ThisUpdate, byte_size(Number), Number}.

%% Whether it is newer than all lists of its CA that are known.
-spec is_newer(id(), [id()]) -> boolean().
is_newer({Ca, _, _} = Id, Known) ->
    lists:all(fun(Other) -> age(Id) > age(Other) end, [Other || {Of, _, _} = Other <- Known, Of =:= Ca]).

%% The CAs of whose lists a newer one is offered; what a peer offers may be anything.
-spec wanted(term(), [id()]) -> [Ca :: binary()].
wanted(Offered, Known) ->
    [Ca || {Ca, _, _} = Id <- offered(Offered, ?OFFERED), is_newer(Id, Known)].

offered([{Ca, ThisUpdate, Number} = Id | More], Left)
  when Left > 0, byte_size(Ca) =:= 32, is_integer(ThisUpdate), byte_size(Number) =< 20 ->
    [Id | offered(More, Left - 1)];
offered(_, _) ->
    [].

%% Whether there is a list that is newer than those known before.
-spec gained([id()], [id()]) -> boolean().
gained(New, Known) ->
    lists:any(fun(Id) -> is_newer(Id, Known) end, New).

%% The list that has been replaced by an older one of its CA: when that was made, and when this was.
%% A CA of which there is no list any more does not count.
-spec older([id()], [id()]) -> none | {Made :: integer(), InUse :: integer()}.
older(New, Known) ->
    Newest = newest(Known),
    case [{Made, InUse} || {Ca, Made, _} = Id <- newest(New), {Of, InUse, _} = Other <- Newest,
                           Of =:= Ca, age(Id) < age(Other)] of
        [] -> none;
        [Found | _] -> Found
    end.
