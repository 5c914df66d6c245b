%% SPDX-License-Identifier: Apache-2.0
%% When to ask a provider again, and when to say that it does not answer. Pure.
-module(merlon_secrets_core).

-export([pause/2, passes/1, older/2, new/2, due/2, looked/2, answered/2, failed/2]).
-export_type([watch/0]).

%% Times are seconds of a clock that does not jump.
-type time() :: integer().
%% `fresh`: when it last answered; `failing`: since when it does not, with the time of the next warning.
-type watch() :: #{every := pos_integer(), next := time(), fresh := time(),
                   failing := none | {Next :: time(), Step :: pos_integer()}}.

%% Seconds between two warnings: a minute, then twice as long each time, at most an hour.
-define(FIRST, 60).
-define(MOST, 3600).

%% Milliseconds until the next try at boot: 0.2 s, twice as long each time, at most 5 s; by up to a half more, as the nodes
%% of a cluster start together and should not ask together.
-spec pause(Tries :: non_neg_integer(), Random :: non_neg_integer()) -> pos_integer().
pause(Tries, Random) ->
    Base = min(5000, 200 bsl min(Tries, 10)),
    Base + Random rem (Base div 2).

%% Whether asking again may help: of what people have to mend nothing passes by itself.
-spec passes(merlon_secrets:fault() | {keyring, term()}) -> boolean().
passes({fetch, #{code := status, why := Why}}) when Why =:= 'ThrottlingException'; Why =:= 'Throttling' ->
    true; % AWS says it with 400
passes({fetch, #{code := status, status := Status}}) ->
    Status >= 500 orelse Status =:= 408 orelse Status =:= 429;
passes({fetch, #{code := file, why := enoent}}) -> true; % it may come yet, of a side-car for example
passes({fetch, #{code := Code}}) ->
    lists:member(Code, [host_not_found, connect, timeout, no_credentials, not_http, malformed, exit_status, signal, empty]);
passes(_) -> false.

%% ---- what it gives ----

%% Whether what a provider gives was made before what is in use: by the newest entry of each, and with the same newest one
%% by what it brings back. An end is only ever moved forward, here as between nodes. Of a secret alone nobody knows when
%% it was made.
-spec older(Given :: [map()], InUse :: [map()]) -> no | {older, Given :: integer(), InUse :: integer()} | {back, Id :: binary()}.
older(Given, InUse) ->
    case {made(Given), made(InUse)} of
        {Made, Known} when Made > 0, Made < Known -> {older, Made, Known};
        {Made, Made} -> back([Id || #{id := Id} = Entry <- Given, is_back(Entry, InUse, Made)]);
        _ -> no
    end.

back([]) -> no;
back([Id | _]) -> {back, Id}.

%% It was taken out, or was to end sooner. `never` is an atom, and so after all numbers.
is_back(#{id := Id, created := Created, not_after := End}, InUse, Newest) ->
    case [Last || #{id := Known, not_after := Last} <- InUse, Known =:= Id] of
        [Last] -> End > Last;
        [] -> Created < Newest
    end.

made(Entries) -> lists:max([0 | [Created || #{created := Created} <- Entries]]).

%% ---- when it is asked ----

%% First looked after `every` seconds from now.
-spec new(pos_integer(), time()) -> watch().
new(Every, Now) -> #{every => Every, next => Now + Every, fresh => Now, failing => none}.

-spec due(time(), watch()) -> boolean().
due(Now, #{next := Next}) -> Now >= Next.

-spec looked(time(), watch()) -> watch().
looked(Now, #{every := Every} = Watch) -> Watch#{next := Now + Every}.

%% `{back, Age}` if it did not answer before: for how long.
-spec answered(time(), watch()) -> {quiet | {back, Age :: non_neg_integer()}, watch()}.
answered(Now, #{failing := none} = Watch) -> {quiet, Watch#{fresh := Now}};
answered(Now, #{fresh := Fresh} = Watch) -> {{back, Now - Fresh}, Watch#{fresh := Now, failing := none}}.

%% `{warn, Age}`: how old is what is used on.
-spec failed(time(), watch()) -> {quiet | {warn, Age :: non_neg_integer()}, watch()}.
failed(Now, #{failing := none} = Watch) -> warn(Now, ?FIRST, Watch);
failed(Now, #{failing := {Next, Step}} = Watch) when Now >= Next -> warn(Now, min(?MOST, Step * 2), Watch);
failed(_Now, Watch) -> {quiet, Watch}.

warn(Now, Step, #{fresh := Fresh} = Watch) ->
    {{warn, Now - Fresh}, Watch#{failing := {Now + Step, Step}}}.
