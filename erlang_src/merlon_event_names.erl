%% SPDX-License-Identifier: Apache-2.0
%% What the name service of a host logs; as merlon_event.
-module(merlon_event_names).

-export([names_kept/1, names_lost/1, names_silent/2, names_back/1, names_dropped/2]).

%% This node keeps the names of its host from now on.
-spec names_kept({inet:ip_address(), inet:port_number()}) -> ok.
names_kept(Local) -> merlon_event:log(info, #{event => names_kept, local => Local}).

%% This node can neither keep the names nor say its own to who does. It is tried again.
-spec names_lost(iodata()) -> ok.
names_lost(Text) -> merlon_event:log(error, #{event => names_lost, text => iolist_to_binary(Text)}).

%% The keeper does not answer those whom it has registered. Told once, until it answers again.
-spec names_silent(Keeper :: binary(), Why :: binary()) -> ok.
names_silent(Keeper, Why) ->
    Text = [Keeper, " keeps the names of this host and does not answer (", Why, "). Until it goes on or ends, no node of this host can "
            "start or be dialled anew; links that are up stay. Let its process go on (kill -CONT), or end it: another node then "
            "keeps the names at once"],
    merlon_event:log(error, #{event => names_silent, text => iolist_to_binary(Text)}).

-spec names_back(Keeper :: binary()) -> ok.
names_back(Keeper) -> merlon_event:log(info, #{event => names_back, text => <<Keeper/binary, " answers again">>}).

%% A registered node or tool would not be let in any more.
-spec names_dropped(Peer :: #{claimed := binary(), _ => _}, {pki, merlon_nif:pki_reason()}) -> ok.
names_dropped(Peer, {pki, Reason}) ->
    merlon_event:log(warning, Peer#{event => names_dropped, reason => code(Reason),
                                    text => iolist_to_binary(merlon_event_text:closing({pki, Reason}))}).

code({Code, _}) -> Code;
code(Code) -> Code.
