%% SPDX-License-Identifier: Apache-2.0
%% Spreads the entries of the keyring over the node's links and rotates them: does what merlon_rotate_core says. Between
%% nodes go ids and dates, and on request an entry's secret, sealed for the asker by the native library. Messages are sent
%% to the process of this name on the peer and nobody waits for an answer: an older merlon has no such process.
-module(merlon_rotate).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, rotate/1, status/0, explained/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds between two looks at the links, the keyring in use and the clock.
-define(POLL, 1000).
%% Seconds until a change that failed is tried again; seconds in which a peer gets so many answers at most.
-define(RETRY, 5).
-define(WINDOW, 15).
-define(ANSWERS, 20).
%% Seconds that clocks may be apart, for a rotation by schedule.
-define(SKEW, 300).
%% Of a request, and of what Transfer in native/secret makes.
-define(NONCE, 32).
-define(SEALED, 73).

-record(state, {core = none :: none | merlon_rotate_core:state(),
                %% What core was made for, and the keyring that it was told of.
                place = none :: none | {node(), string()},
                keyring = none :: none | [map()],
                links = #{} :: #{node() => pid()},
                %% To whom requests went, with what nonce.
                asked = #{} :: #{binary() => {node(), binary()}},
                answers = #{} :: #{node() => {Since :: integer(), pos_integer()}},
                refused = #{} :: #{node() => #{atom() => pos_integer()}},
                preferred = none :: none | binary(),
                unsaved = false :: boolean(), retry = up_s() :: integer(),
                %% What the log has been told since a change last succeeded.
                failed = [] :: [term()]}).

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% Makes a new entry in this node's keyring: see merlon_keyring:rotate/1.
-spec rotate(#{grace := non_neg_integer(), skew := non_neg_integer()}) ->
          {ok, Id :: binary()} | {error, term()}.
rotate(Opts) -> call({rotate, Opts}).

%% Which entries this node knows, which of them it holds, which its peers held when they last said, and how many of a
%% peer's messages were refused, and why.
-spec status() -> {ok, #{phase := term(), entries := map(), held := [binary()], peers := map(), refused := map()}} |
                  {error, not_distributed}.
status() -> call(status).

call(Request) ->
    try gen_server:call(?MODULE, Request, infinity)
    catch exit:{noproc, _} -> {error, not_distributed}
    end.

%% A failed handshake of a peer that offers these ids: if one has ended by a rotation, the words say so.
-spec explained([binary()], map()) -> map().
explained(Ids, #{reason := no_common_key} = Failure) ->
    %% The table goes with its process.
    Ended = try [Entry || Id <- Ids, Entry <- ets:lookup(?MODULE, Id)]
            catch error:badarg -> []
            end,
    case Ended of
        [] -> Failure;
        [{Id, End} | _] -> Failure#{text => iolist_to_binary(ended(Id, End))}
    end;
explained(_Ids, Failure) -> Failure.

ended(Id, End) ->
    ["the two nodes have no secret in common: the peer offers keyring entry ", Id, ", which was rotated out and ended at ",
     merlon_keyring_core:time_text(End), "; it was away for longer than the grace: copy this node's keyring to it"].

-spec init([]) -> {ok, #state{}}.
init([]) ->
    _ = ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    self() ! poll,
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call({rotate, Opts}, From, State) ->
    {Result, Next} = make(Opts, look(State)),
    merlon_ask:answered(From, Result, Next);
handle_call(status, From, State) ->
    Next = look(State),
    merlon_ask:answered(From, said(Next), Next);
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    _ = erlang:send_after(?POLL, self(), poll),
    {noreply, tick(look(State))};
handle_info({?MODULE, 1, Pid, Body}, State) when is_pid(Pid), node(Pid) =/= node() ->
    {noreply, from(node(Pid), Body, look(State))};
handle_info(_, State) ->
    {noreply, State}.

now_s() -> erlang:system_time(second).
%% Goes on when the clock is set back.
up_s() -> erlang:monotonic_time(second).

said(#state{core = none}) -> {error, not_distributed};
said(#state{core = Core, keyring = Entries, refused = Refused}) ->
    #{known := Known, peers := Peers} = merlon_rotate_core:keep(Core),
    {ok, #{phase => merlon_rotate_core:phase(Entries, now_s()), entries => Known, peers => Peers, refused => Refused,
           held => maps:get(has, merlon_rotate_core:digest(Core))}}.

%% ---- what there is: keyring and links ----

%% Tools have nothing to spread, and no node gives them anything. What a provider gives is changed there, and comes from there.
look(State) ->
    case {merlon_node:current(), node()} of
        {{ok, #{identity := {node, _, _, _}, keyring := [_ | _] = Entries, config := #{rotate_secret := Rule, secret := none, dir := Dir}}},
         Node} when Node =/= nonode@nohost, Rule =/= off ->
            links(keyring(merlon_keyring:public(Entries), Dir, placed({Node, Dir}, State)));
        _ ->
            placed(none, State)
    end.

placed(Place, #state{place = Place} = State) -> State;
placed(none, _State) ->
    true = ets:delete_all_objects(?MODULE),
    #state{};
placed({Node, Dir} = Place, _State) ->
    #state{place = Place, core = merlon_rotate_core:new(Node, merlon_rotate_files:kept(Dir))}.

%% Who changes the keyring may have written the status, too.
keyring(Entries, _Dir, #state{keyring = Entries} = State) -> State;
keyring(Entries, Dir, State) ->
    event({disk, Entries, merlon_rotate_files:kept(Dir)}, State#state{keyring = Entries}).

links(#state{links = Known} = State) ->
    Now = maps:from_list([{Node, Pid} || {Pid, _, #{node := Node, carrier := merlon, identity := {node, _, _, _}}} <- merlon_registry:links()]),
    Gone = [{down, Node} || {Node, Pid} <- maps:to_list(Known), maps:get(Node, Now, none) =/= Pid],
    New = [{up, Node} || {Node, Pid} <- maps:to_list(Now), maps:get(Node, Known, none) =/= Pid],
    Left = State#state{links = Now, refused = maps:with(maps:keys(Now), State#state.refused),
                       answers = maps:with(maps:keys(Now), State#state.answers)},
    lists:foldl(fun event/2, Left, Gone ++ New).

tick(#state{core = none} = State) -> State;
tick(#state{unsaved = true, retry = Retry} = State) ->
    case up_s() >= Retry of
        true -> ticked(act(keep, State));
        false -> ticked(State)
    end;
tick(State) -> ticked(State).

ticked(State) ->
    #{rotate_secret := Rule} = merlon_node:config(),
    Ended = merlon_rotate_core:ended(now_s(), State#state.core),
    _ = [ets:delete(?MODULE, Id) || {Id, _} <- ets:tab2list(?MODULE), not is_map_key(Id, Ended)],
    true = ets:insert(?MODULE, maps:to_list(Ended)),
    preferred(merlon_keyring:preferred(merlon_node:keyring(), now_s()), event({tick, Rule}, State)).

preferred(Id, #state{preferred = Before} = State) ->
    _ = Id =/= Before andalso Id =/= none andalso Before =/= none andalso spawn(merlon_event, entry_preferred, [Id]),
    State#state{preferred = Id}.

event(Event, #state{core = Core} = State) ->
    {Actions, Next} = merlon_rotate_core:event(Event, now_s(), Core),
    lists:foldl(fun act/2, State#state{core = Next}, Actions).

%% ---- what to do ----

act({tell, Node, Digest, Answer}, State) ->
    send(Node, {digest, Digest, Answer}, State);
act({want, Node, Id, Accepts}, #state{asked = Asked} = State) ->
    Nonce = nonce(),
    %% Those that were never answered do not pile up.
    Left = case map_size(Asked) < 64 of true -> Asked; false -> #{} end,
    send(Node, {want, Id, Accepts, Nonce}, State#state{asked = Left#{Id => {Node, Nonce}}});
act({nothing_in_common, Node, _Id}, State) ->
    refuse(Node, nothing_in_common, State);
act({edit, Changes}, State) ->
    change(Changes, none, State);
act(keep, #state{place = {_, Dir}, core = Core} = State) ->
    Kept = merlon_rotate_files:keep(Dir, merlon_rotate_core:keep(Core)),
    written(Kept, State#state{unsaved = Kept =/= ok});
act({rotate, Grace}, #state{retry = Retry} = State) ->
    case up_s() >= Retry of
        true -> scheduled(make(#{grace => Grace, skew => min(?SKEW, Grace)}, State));
        false -> State
    end.

%% Random, and nothing but a nonce: it is shown to the peer.
nonce() ->
    {ok, {_, Random}} = merlon_nif:keyring_new(),
    Random.

send(Node, Body, State) ->
    _ = erlang:send({?MODULE, Node}, {?MODULE, 1, self(), Body}, [noconnect, nosuspend]),
    State.

make(_Opts, #state{core = none} = State) -> {{error, {rotate, no_place(merlon_node:current())}}, State};
make(Opts, #state{place = {_, Dir}, core = Core, keyring = Entries} = State) ->
    case merlon_rotate_files:make(Dir, Entries, Opts, merlon_rotate_core:keep(Core)) of
        {ok, Id} ->
            _ = spawn(merlon_event, rotated, [Id, Opts]),
            {{ok, Id}, reloaded(State)};
        {error, _} = Error ->
            {Error, State}
    end.

no_place({ok, #{config := #{secret := {_, _} = Provider}}}) -> {provider, merlon_secrets:name(Provider)};
no_place(_) -> no_keyring.

scheduled({{ok, _}, State}) -> State;
scheduled({{error, _} = Error, State}) -> written(Error, State).

%% The keyring in use is what counts: what can't be used is not held.
change(Changes, Addition, #state{place = {_, Dir}, core = Core, retry = Retry} = State) ->
    case Addition =/= none orelse up_s() >= Retry of
        true ->
            Result = merlon_rotate_files:edit(Dir, Changes, Addition, merlon_rotate_core:keep(Core)),
            changed(Result, Addition, State);
        false ->
            State
    end.

changed({ok, _}, none, State) -> reloaded(written(ok, State));
changed({ok, Id}, {sealed, Id, {_, From, _, _}, _, _, _}, State) ->
    _ = spawn(merlon_event, entry_learnt, [Id, From]),
    reloaded(written(ok, State));
changed({error, {rotate, {edit, _, bad_transfer}}}, {sealed, Id, {_, From, _, _}, _, _, _}, State) ->
    refuse(binary_to_existing_atom(From), bad_transfer, event({not_given, Id}, State));
changed({error, _} = Error, _Addition, State) -> written(Error, State).

%% What the core says next must be about what there is now.
reloaded(#state{place = {_, Dir}} = State) ->
    _ = merlon_reload:reload(),
    keyring(merlon_keyring:public(merlon_node:keyring()), Dir, State).

%% A failure is told once, and tried again later.
written(ok, State) -> State#state{failed = []};
written({error, Reason}, State) -> (failed(Reason, State))#state{retry = up_s() + ?RETRY}.

%% Two kinds of failures may take turns: of the keyring, and of the status beside it.
failed(Reason, #state{failed = Told} = State) ->
    case lists:member(Reason, Told) of
        true -> State;
        false ->
            _ = spawn(merlon_event, rotation_failed, [merlon:format_error(Reason)]),
            State#state{failed = lists:sublist([Reason | Told], 8)}
    end.

%% ---- what peers send ----

from(Node, Body, #state{core = Core, links = Links} = State) when Core =/= none, is_map_key(Node, Links) ->
    heard(Node, Body, State);
from(_Node, _Body, State) ->
    State.

heard(Node, {digest, Digest, Answer}, State) when is_boolean(Answer) ->
    case merlon_rotate_core:valid(Digest) of
        true -> event({digest, Node, Digest, Answer}, State);
        false -> refuse(Node, malformed, State)
    end;
heard(Node, {want, Id, Accepts, <<Nonce:?NONCE/binary>>}, State) ->
    case {merlon_rotate_core:valid_want(Id, Accepts), answers(Node, State)} of
        {true, {ok, Next}} -> answer(Node, {Id, Accepts, Nonce}, Next);
        {true, {too_many, Next}} -> refuse(Node, too_many, Next);
        {false, _} -> refuse(Node, malformed, State)
    end;
heard(Node, {give, Id, Nonce, <<_:?SEALED/binary>> = Sealed}, #state{asked = Asked} = State) ->
    case Asked of
        #{Id := {Node, Nonce}} -> learn(Node, Id, Nonce, Sealed, State#state{asked = maps:remove(Id, Asked)});
        #{} -> refuse(Node, not_asked, State)
    end;
heard(Node, _Body, State) ->
    refuse(Node, malformed, State).

answers(Node, #state{answers = Answers} = State) ->
    Now = now_s(),
    case Answers of
        #{Node := {Since, Count}} when abs(Now - Since) < ?WINDOW, Count >= ?ANSWERS -> {too_many, State};
        #{Node := {Since, Count}} when abs(Now - Since) < ?WINDOW ->
            {ok, State#state{answers = Answers#{Node := {Since, Count + 1}}}};
        #{} -> {ok, State#state{answers = Answers#{Node => {Now, 1}}}}
    end.

answer(Node, {Id, Accepts, Nonce}, #state{core = Core} = State) ->
    {[Action], Next} = merlon_rotate_core:event({want, Node, Id, Accepts}, now_s(), Core),
    case Action of
        {give, Node, Id, By} -> give(Node, Id, By, Nonce, State#state{core = Next});
        {nothing_in_common, _, _} -> act(Action, State#state{core = Next})
    end.

give(Node, Id, By, Nonce, #state{place = {Self, Dir}} = State) ->
    Sealed = [merlon_nif:keyring_seal(merlon_keyring:file(Dir), Ref, Id, request(Self, Node, Nonce), now_s())
              || #{id := Found, ref := Ref} <- merlon_node:keyring(), Found =:= By],
    case Sealed of
        [{ok, Bytes}] -> send(Node, {give, Id, Nonce, Bytes}, State);
        %% That a peer asks for what can't be given, a passphrase, holds up nothing of this node's own.
        [{error, Reason}] -> failed({rotate, {edit, merlon_keyring:file(Dir), Reason}}, State);
        [] -> State
    end.

learn(Node, Id, Nonce, Sealed, #state{place = {Self, _}, core = Core} = State) ->
    case merlon_rotate_core:learnt(Id, Core) of
        unknown -> refuse(Node, not_asked, State);
        Dates ->
            By = [Ref || #{ref := Ref} <- merlon_node:keyring()],
            change([], {sealed, Id, request(Node, Self, Nonce), Sealed, By, Dates}, State)
    end.

request(From, To, Nonce) ->
    #{cluster := Cluster} = merlon_node:config(),
    {Cluster, atom_to_binary(From), atom_to_binary(To), Nonce}.

%% Counted; the first of its kind since the link is up is told.
refuse(Node, Why, #state{refused = Refused} = State) ->
    Counts = maps:get(Node, Refused, #{}),
    _ = is_map_key(Why, Counts) orelse spawn(merlon_event, rotation_refused, [Node, Why]),
    State#state{refused = Refused#{Node => Counts#{Why => maps:get(Why, Counts, 0) + 1}}}.
