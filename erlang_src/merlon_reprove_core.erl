%% SPDX-License-Identifier: Apache-2.0
%% What is to be said on which live link and when, what a peer may say, and whether the secrets that it
%% has proved still count. Pure: times come in.
-module(merlon_reprove_core).

-export([new/0, is_known/2, add/3, forget/2, mark/3, mark_all/2, owes/3, settled/3, changed/1, due/2, wait/2]).
-export([budget/1, spend/3, secret/2, proved_with/2]).
-export_type([links/0, kind/0, budget/0, state/0, reason/0]).

-type kind() :: ask | certificate | keys.
%% What is to be said; not before when, in monotonic milliseconds; what the peer has that was not believed
%% yet; when it is asked for that by itself.
-type link() :: {Due :: ordsets:ordset(kind()), NotBefore :: integer(), Owes :: ordsets:ordset(kind()),
                 Ask :: integer() | never}.
-opaque links() :: #{pid() => link()}.
-opaque budget() :: {Left :: non_neg_integer(), Since :: integer()}.
%% An entry of the keyring: its id, whether it counts now, and until when.
-type state() :: {binary(), not_yet | accepted | expired, integer() | never}.
-type reason() :: {entry_expired, #{id := binary(), not_after := integer()}} |
                  {entry_dropped, #{id := binary()}}.

%% Milliseconds between two times that a link is told anything, three messages at most.
-define(PAUSE, 1000).
%% Milliseconds after which a peer is asked again for what was not believed.
-define(ASK_AGAIN, 60000).
%% Messages that a peer may send at once, and milliseconds until it may send one more: it keeps PAUSE too.
-define(BURST, 64).
-define(REFILL, 250).
%% The id of the VM's cookie.
-define(COOKIE, <<"0000000000000000">>).

-spec new() -> links().
new() -> #{}.

-spec is_known(pid(), links()) -> boolean().
is_known(Pid, Links) -> is_map_key(Pid, Links).

%% A link that is up, and what is to be said on it.
-spec add(pid(), [kind()], links()) -> links().
add(Pid, Kinds, Links) when is_map_key(Pid, Links) -> mark(Pid, Kinds, Links);
add(Pid, Kinds, Links) -> Links#{Pid => {ordsets:from_list(Kinds), none(), [], never}}.

%% Monotonic time may be anything.
none() -> -(1 bsl 63).

-spec forget(pid(), links()) -> links().
forget(Pid, Links) -> maps:remove(Pid, Links).

-spec mark(pid(), [kind()], links()) -> links().
mark(Pid, Kinds, Links) ->
    case Links of
        #{Pid := Link} -> Links#{Pid => marked(Kinds, Link)};
        #{} -> Links
    end.

-spec mark_all([kind()], links()) -> links().
mark_all(Kinds, Links) ->
    maps:map(fun(_, Link) -> marked(Kinds, Link) end, Links).

marked(Kinds, {Due, NotBefore, Owes, Ask}) ->
    {ordsets:union(Due, ordsets:from_list(Kinds)), NotBefore, Owes, Ask}.

%% The peer has shown something that is not believed now: it is asked again when that may have changed.
-spec owes(pid(), {certificate | keys, Now :: integer()}, links()) -> links().
owes(Pid, {Kind, Now}, Links) ->
    case Links of
        #{Pid := {Due, NotBefore, Owes, never}} ->
            Links#{Pid => {Due, NotBefore, ordsets:add_element(Kind, Owes), Now + ?ASK_AGAIN}};
        #{Pid := {Due, NotBefore, Owes, Ask}} ->
            Links#{Pid => {Due, NotBefore, ordsets:add_element(Kind, Owes), Ask}};
        #{} ->
            Links
    end.

-spec settled(pid(), certificate | keys, links()) -> links().
settled(Pid, Kind, Links) ->
    case Links of
        #{Pid := {Due, NotBefore, Owes, Ask}} ->
            case ordsets:del_element(Kind, Owes) of
                [] -> Links#{Pid => {Due, NotBefore, [], never}};
                Left -> Links#{Pid => {Due, NotBefore, Left, Ask}}
            end;
        #{} ->
            Links
    end.

%% What is believed has changed.
-spec changed(links()) -> links().
changed(Links) ->
    maps:map(fun(_, {_, _, [], _} = Link) -> Link;
                (_, Link) -> marked([ask], Link)
             end, Links).

%% What is to be said now; it then counts as said.
-spec due(Now :: integer(), links()) -> {[{pid(), [kind()]}], links()}.
due(Now, Links) ->
    Asked = maps:map(fun(_, Link) -> asked(Now, Link) end, Links),
    Due = maps:filter(fun(_, {Kinds, NotBefore, _, _}) -> Kinds =/= [] andalso NotBefore =< Now end, Asked),
    Said = maps:map(fun(_, {_, _, Owes, Ask}) -> {[], Now + ?PAUSE, Owes, Ask} end, Due),
    {[{Pid, Kinds} || {Pid, {Kinds, _, _, _}} <- maps:to_list(Due)], maps:merge(Asked, Said)}.

%% Milliseconds until there is something to say that had to wait.
-spec wait(Now :: integer(), links()) -> non_neg_integer() | never.
wait(Now, Links) ->
    lists:min([never | [max(0, NotBefore - Now) || {[_ | _], NotBefore, _, _} <- maps:values(Links)]]). % never is more than any number

asked(Now, {Due, NotBefore, Owes, Ask}) when is_integer(Ask), Ask =< Now ->
    {ordsets:add_element(ask, Due), NotBefore, Owes, Now + ?ASK_AGAIN};
asked(_Now, Link) ->
    Link.

%% ---- what a peer may say ----

-spec budget(Now :: integer()) -> budget().
budget(Now) -> {?BURST, Now}.

%% So many messages have come, each of which costs a signature's check or two.
-spec spend(non_neg_integer(), Now :: integer(), budget()) -> {ok, budget()} | flood.
spend(Messages, Now, {Left, Since}) ->
    More = max(0, Now - Since) div ?REFILL,
    case min(?BURST, Left + More) - Messages of
        Rest when Rest >= 0 -> {ok, {Rest, Since + More * ?REFILL}};
        _ -> flood
    end.

%% ---- secrets ----

%% Whether one of the secrets that a peer has proved counts now, and the last second of which that is
%% sure. A link that stands on the VM's cookie goes on when a keyring comes, until an entry is proved.
-spec secret(Proved :: [binary()], none | [state()]) ->
          {ok, integer() | never} | {error, {keyring, reason()}}.
secret(_Proved, none) -> {ok, never};
secret([?COOKIE], _States) -> {ok, never};
secret(Proved, States) ->
    Known = [State || {Id, _, _} = State <- States, lists:member(Id, Proved)],
    case [End || {_, accepted, End} <- Known] of
        [_ | _] = Ends -> {ok, last_second(lists:max(Ends))}; % never is more than any number
        [] -> {error, {keyring, ended(Proved, [{End, Id} || {Id, expired, End} <- Known])}}
    end.

last_second(never) -> never;
last_second(End) -> End - 1.

ended(_Proved, [_ | _] = Expired) ->
    {End, Id} = lists:max(Expired),
    {entry_expired, #{id => Id, not_after => End}};
ended([Last | _], []) ->
    {entry_dropped, #{id => Last}};
ended([], []) ->
    {entry_dropped, #{id => ?COOKIE}}.

%% Of the entries, the newest first, the first that counts now and was proved.
-spec proved_with(Proved :: [binary()], none | [state()]) -> {ok, binary()} | {error, vm_cookie | ended}.
proved_with([?COOKIE], _States) -> {error, vm_cookie};
proved_with(_Proved, none) -> {error, vm_cookie};
proved_with(Proved, States) ->
    case [Id || {Id, accepted, _} <- States, lists:member(Id, Proved)] of
        [Id | _] -> {ok, Id};
        [] -> {error, ended}
    end.
