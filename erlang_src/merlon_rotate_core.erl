%% SPDX-License-Identifier: Apache-2.0
%% What a node knows of the cluster's keyring entries, and what follows from it: a state-based CRDT of ids and dates, which
%% peers exchange, beside the entries whose secrets this node holds. Pure: events and the time come in, actions come out.
%%
%% Dates of one id merge by the least of each, so in any order, any number of times, to the same. An end is only ever moved
%% forward; an entry that has ended stays known without its secret, so that no peer brings it back.
%%
%% A rotation is a new entry that counts only from `not_before`, and an end for all before it, written at once by whoever
%% rotates. Phase 1: it spreads; links go on by the old ones. Phase 2: all known nodes have it, so its begin is moved to
%% before now (else its begin comes by itself). Phase 3: the ends of the old ones come, after the grace.
-module(merlon_rotate_core).

-export([new/2, event/3, digest/1, valid/1, valid_want/2, fresh/3, learnt/2, keep/1, ended/2, phase/2]).
-export_type([state/0, event/0, action/0, id/0, dates/0, digest/0, peer/0, kept/0, entry/0]).

-type id() :: binary().
-type time() :: non_neg_integer().
-type dates() :: {Created :: time(), NotBefore :: time(), NotAfter :: time() | never}.
-type peer() :: #{seen := time(), has := [id()]}.
%% What an entry of the keyring says of itself; what else is in it does not count here.
-type entry() :: #{id := id(), created := time(), not_before := time(), not_after := time() | never, _ => _}.
%% What goes to peers, and comes from them.
-type digest() :: #{entries := [{id(), time(), time(), time() | never}], has := [id()]}.
%% What survives the node: what it knows, when entries that were made here may begin, which node has what.
-type kept() :: #{known := #{id() => dates()}, begins := #{id() => time()}, peers := #{node() => peer()}}.
-opaque state() :: #{self := node(), known := #{id() => dates()}, held := #{id() => dates()},
                     begins := #{id() => time()}, peers := #{node() => peer()}, up := [node()],
                     asked := #{id() => {node(), time()}}, behind := none | time(), told := time()}.
-type event() :: {disk, [entry()], kept()} | {kept, kept()} | {up, node()} | {down, node()} |
                 {digest, node(), digest(), Answer :: boolean()} | {want, node(), id(), [id()]} |
                 {not_given, id()} | {tick, Every :: never | {pos_integer(), Grace :: non_neg_integer()}}.
-type change() :: {id(), NotBefore :: time(), NotAfter :: time() | never} | {drop, id()}.
-type action() :: {tell, node(), digest(), Answer :: boolean()} |
                  {want, node(), id(), Accepts :: [id()]} |
                  {give, node(), id(), By :: id()} | {nothing_in_common, node(), id()} | {edit, [change()]} |
                  keep | {rotate, Grace :: non_neg_integer()}.

%% As many as a keyring file has; learning leaves room for two rotations.
-define(MAX, 16).
-define(MAX_LEARNT, 14).
%% Entries that are known but not held: those that have ended, and those that nobody would give.
-define(MAX_KNOWN, 64).
-define(MAX_PEERS, 512).
%% Seconds: that ends wait for entries which a peer has but does not give; until an unanswered request is made again; between two digests without a change; until a node that is away is
%% not waited for; that an expired entry stays in the file; that a new entry waits at most.
-define(BEHIND, 120).
-define(ASK_AGAIN, 15).
-define(TELL_AGAIN, 60).
-define(FORGET, 86400).
-define(EXPIRED, 3600).
-define(WAIT, 600).

-spec new(node(), kept()) -> state().
new(Self, Kept) ->
    State = #{self => Self, known => #{}, held => #{}, begins => #{}, peers => #{}, up => [], asked => #{}, behind => none,
              told => 0},
    merge_kept(Kept, State).

-spec event(event(), time(), state()) -> {[action()], state()}.
%% The keyring in use, and what was kept beside it when it was written: both at once, as one is about the other.
event({disk, Entries, Kept}, Now, State) ->
    Held = maps:from_list([{Id, dates(Entry)} || #{id := Id} = Entry <- Entries]),
    Next = know(Held, merge_kept(Kept, State#{held := Held})),
    settled(State, Next#{asked := maps:without(maps:keys(Held), maps:get(asked, Next))}, Now);
event({kept, Kept}, Now, State) ->
    settled(State, merge_kept(Kept, State), Now);
event({up, Node}, _Now, #{up := Up} = State) ->
    Next = State#{up := lists:usort([Node | Up])},
    {[{tell, Node, digest(Next), true} || has_keyring(Next)], Next};
%% What it was asked for another one may have.
event({down, Node}, Now, #{up := Up, asked := Asked} = State) ->
    Left = maps:filter(fun(_, {Giver, _}) -> Giver =/= Node end, Asked),
    settled(State, State#{up := lists:delete(Node, Up), asked := Left}, Now);
event({digest, Node, Digest, Answer}, Now, State) ->
    Heard = heard(Node, Digest, Now, State),
    {Actions, Next} = settled(State, Heard, Now),
    Missing = Answer andalso same(Digest) =/= same(digest(Next)) andalso has_keyring(Next),
    {[{tell, Node, digest(Next), false} || Missing] ++ Actions, Next};
event({want, Node, Id, Accepts}, Now, State) ->
    {[wanted(Node, Id, Accepts, Now, State)], State};
event({not_given, Id}, _Now, #{asked := Asked} = State) ->
    {[], State#{asked := maps:remove(Id, Asked)}};
event({tick, Every}, Now, #{asked := Asked} = State) ->
    Again = State#{asked := maps:filter(fun(_, {_, Since}) -> abs(Now - Since) < ?ASK_AGAIN end, Asked)},
    {Tell, Told} = tell_again(Now, Again),
    {Actions, Next} = settled(Told, Told, Now),
    {Tell ++ Actions ++ due(Every, Now, Next), Next}.

has_keyring(#{held := Held}) -> map_size(Held) > 0.

same(#{entries := Entries, has := Has}) -> {lists:sort(Entries), lists:sort(Has)}.

dates(#{created := Created, not_before := Begin, not_after := End}) -> {Created, Begin, End}.

%% ---- what is known ----

%% `never` is an atom, and so after all numbers.
merge({CreatedA, BeginA, EndA}, {CreatedB, BeginB, EndB}) ->
    {min(CreatedA, CreatedB), min(BeginA, BeginB), min(EndA, EndB)}.

know(More, #{known := Known} = State) ->
    bounded(State#{known := union(fun merge/2, Known, More)}).

union(Merge, A, B) ->
    maps:fold(fun(Key, Value, All) when is_map_key(Key, All) -> All#{Key := Merge(maps:get(Key, All), Value)};
                 (Key, Value, All) -> All#{Key => Value}
              end, A, B).

%% The newest of those that are not held.
bounded(#{known := Known, held := Held} = State) ->
    case maps:without(maps:keys(Held), Known) of
        Others when map_size(Others) =< ?MAX_KNOWN -> State;
        Others ->
            Oldest = lists:sort([{Dates, Id} || {Id, Dates} <- maps:to_list(Others)]),
            Gone = lists:sublist(Oldest, map_size(Others) - ?MAX_KNOWN),
            State#{known := maps:without([Id || {_, Id} <- Gone], Known)}
    end.

merge_kept(#{known := Known, begins := Begins, peers := Peers}, #{begins := Had, peers := Met} = State) ->
    Later = fun(#{seen := A} = PeerA, #{seen := B} = PeerB) ->
                    case A >= B of true -> PeerA; false -> PeerB end
            end,
    know(Known, State#{begins := union(fun min/2, Had, Begins), peers := union(Later, Met, Peers)}).

-spec keep(state()) -> kept().
keep(#{held := Held, known := Known} = State) ->
    Begins = maps:with(maps:keys(maps:merge(Held, Known)), maps:get(begins, State)),
    (maps:with([known, peers], State))#{begins => Begins}.

heard(Node, #{entries := Entries, has := Has}, Now, #{peers := Peers, self := Self} = State) ->
    %% Of a clock that is wrong by more than a day nothing is taken: it would be the newest for ever.
    Known = maps:from_list([{Id, {Created, Begin, End}} || {Id, Created, Begin, End} <- Entries,
                                                           Created =< Now + ?FORGET]),
    Met = case Node of
              Self -> Peers;
              _ -> recent(Peers#{Node => #{seen => Now, has => lists:usort(Has)}})
          end,
    know(Known, State#{peers := Met}).

recent(Peers) when map_size(Peers) =< ?MAX_PEERS -> Peers;
recent(Peers) ->
    [{_, Oldest} | _] = lists:sort([{Seen, Node} || {Node, #{seen := Seen}} <- maps:to_list(Peers)]),
    maps:remove(Oldest, Peers).

%% With which dates an entry is written that a peer gives; of an entry that is not known any more nothing is written.
-spec learnt(id(), state()) -> dates() | unknown.
learnt(Id, #{known := Known}) ->
    case Known of
        #{Id := {Created, Begin, End}} -> {Created, in_order(Begin, End), End};
        #{} -> unknown
    end.

%% The entries that no node may use any more, and since when.
-spec ended(time(), state()) -> #{id() => time()}.
ended(Now, #{known := Known}) ->
    maps:from_list([{Id, End} || {Id, {_, _, End}} <- maps:to_list(Known), End =< Now]).

%% ---- digests ----

-spec digest(state()) -> digest().
digest(#{known := Known, held := Held}) ->
    #{entries => [{Id, Created, Begin, End} || {Id, {Created, Begin, End}} <- maps:to_list(Known)],
      has => maps:keys(Held)}.

%% Whether a peer's term is a digest that an honest node may send.
-spec valid(term()) -> boolean().
valid(#{entries := Entries, has := Has}) ->
    all(fun valid_entry/1, Entries, ?MAX + ?MAX_KNOWN) andalso all(fun valid_id/1, Has, ?MAX);
valid(_) -> false.

-spec valid_want(Id :: term(), Accepts :: term()) -> boolean().
valid_want(Id, Accepts) -> valid_id(Id) andalso all(fun valid_id/1, Accepts, ?MAX).

%% Not a byte of a list is looked at beyond its bound, proper or not.
all(_Valid, [], _Left) -> true;
all(Valid, [Term | Terms], Left) when Left > 0 -> Valid(Term) andalso all(Valid, Terms, Left - 1);
all(_Valid, _, _) -> false.

valid_entry({Id, Created, Begin, End}) ->
    valid_id(Id) andalso valid_time(Created) andalso valid_time(Begin)
        andalso (End =:= never orelse (valid_time(End) andalso End > 0)); % something comes before every end
valid_entry(_) -> false.

valid_id(<<_:16/binary>> = Id) ->
    lists:all(fun(Char) -> (Char >= $0 andalso Char =< $9) orelse (Char >= $a andalso Char =< $f) end,
              binary_to_list(Id));
valid_id(_) -> false.

%% Up to the year 9999, which is what a file can say.
valid_time(Time) -> is_integer(Time) andalso Time >= 0 andalso Time < 253402300800.

tell_again(Now, #{told := Told} = State) when abs(Now - Told) < ?TELL_AGAIN -> {[], State};
tell_again(Now, State) -> {tell_all(true, State), State#{told := Now}}.

tell_all(Answer, #{up := Up} = State) ->
    [{tell, Node, digest(State), Answer} || has_keyring(State), Node <- Up].

%% ---- what follows ----

settled(Before, State, Now) ->
    {Wants, Asked} = wants(Now, State),
    Next = behind(Now, State#{asked := Asked}),
    News = maps:with([known, held], Before) =/= maps:with([known, held], Next),
    Kept = News orelse has(Before) =/= has(Next),
    {[keep || Kept] ++ [Tell || News, Tell <- tell_all(false, Next)] ++ Wants ++ edits(Now, Next), Next}.

has(#{peers := Peers}) -> maps:map(fun(_, #{has := Has}) -> Has end, Peers).

%% Live entries that a linked peer has and this node has not, one request for each.
wants(Now, #{held := Held, asked := Asked} = State) ->
    Room = max(0, ?MAX_LEARNT - map_size(Held)),
    Accepts = [Id || {Id, Dates} <- maps:to_list(Held), accepted(Dates, Now)],
    Wants = [{want, Node, Id, Accepts} || {Id, Node} <- missing(Now, State), not is_map_key(Id, Asked)],
    Made = lists:sublist(Wants, Room),
    {Made, maps:merge(Asked, maps:from_list([{Id, {Node, Now}} || {want, Node, Id, _} <- Made]))}.

missing(Now, #{known := Known, held := Held} = State) ->
    [{Id, Node} || {Id, {_, _, End}} <- maps:to_list(Known), End > Now, not is_map_key(Id, Held), map_size(Held) > 0,
                   [Node | _] <- [givers(Id, Now, State)]].

%% Since when there is something that this node lacks.
behind(Now, #{behind := Since} = State) ->
    case missing(Now, State) of
        [] -> State#{behind := none};
        _ when Since =:= none; Since > Now -> State#{behind := Now};
        _ -> State
    end.

%% Another one each time, in case that one does not give.
givers(Id, Now, #{up := Up, peers := Peers}) ->
    Having = [Node || Node <- Up, #{has := Has} <- [maps:get(Node, Peers, none)], lists:member(Id, Has)],
    case Having of
        [] -> [];
        _ -> lists:nthtail((Now div ?ASK_AGAIN) rem length(Having), Having)
    end.

%% By the newest entry that both accept now; without one nothing is given.
wanted(Node, Id, Accepts, Now, #{held := Held}) ->
    Common = [{Created, By} || {By, {Created, _, _} = Dates} <- maps:to_list(Held), accepted(Dates, Now),
                               lists:member(By, Accepts)],
    Gives = case Held of
                #{Id := {_, _, End}} -> End > Now;
                #{} -> false
            end,
    case lists:reverse(lists:sort(Common)) of
        [{_, By} | _] when Gives -> {give, Node, Id, By};
        _ -> {nothing_in_common, Node, Id}
    end.

accepted({_, Begin, End}, Now) -> Begin =< Now andalso Now < End.

edits(Now, State) ->
    Dates = [Change || {Id, Was} <- maps:to_list(maps:get(held, State)),
                       {_, Begin, End} = Is <- [target(Id, Was, Now, State)], Is =/= Was,
                       Change <- [{Id, Begin, End}]],
    Dropped = drops(Now, State),
    case [Change || {Id, _, _} = Change <- Dates, not lists:member({drop, Id}, Dropped)] ++ Dropped of
        [] -> [];
        Changes -> [{edit, Changes}]
    end.

%% What the file is to say. First come new entries, then the ends of old ones, by which they may have to come. And nobody
%% but this node's own keyring ends its newest entry, or the last one that counts.
target(Id, {Created, Begin, End}, Now, #{known := Known, held := Held} = State) ->
    {_, Sooner, Ended} = maps:get(Id, Known),
    Earliest = case begins(Id, Now, State) of
                   {ok, Time} -> min(Time, Sooner);
                   no -> Sooner
               end,
    Last = case Id =/= newest(Held, Now) andalso not waits(Now, State) andalso follows(Id, max(Now, Ended), Now, State) of
               true -> Ended;
               false -> End
           end,
    {Created, in_order(min(Begin, Earliest), Last), Last}.

%% Whether another entry counts at that time, whatever ends by what peers say.
follows(_Id, never, _Now, _State) -> true;
follows(Id, Time, Now, #{held := Held, known := Known}) ->
    Newest = newest(Held, Now),
    Counts = fun(Other, {_, Begin, End}) ->
                     {_, Sooner, Ended} = maps:get(Other, Known),
                     Last = case Other of Newest -> End; _ -> Ended end,
                     Other =/= Id andalso accepted({none, min(Begin, Sooner), Last}, Time)
             end,
    lists:any(fun({Other, Dates}) -> Counts(Other, Dates) end, maps:to_list(Held)).

waits(Now, #{behind := Since}) -> Since =/= none andalso Now - Since < ?BEHIND.

in_order(Begin, never) -> Begin;
in_order(Begin, End) -> max(0, min(Begin, End - 1)).

newest(Held, Now) ->
    case lists:sort([{Created, Id} || {Id, {Created, _, End}} <- maps:to_list(Held), End > Now]) of
        [] -> none;
        Live -> element(2, lists:last(Live))
    end.

%% Phase 2 of an entry that was made here: all nodes of late, and all that are linked now, have it.
begins(Id, Now, #{begins := Begins, peers := Peers, up := Up, held := Held}) ->
    {_, Begin, _} = maps:get(Id, Held),
    Awaited = lists:usort(Up ++ [Node || {Node, #{seen := Seen}} <- maps:to_list(Peers), Now - Seen < ?FORGET]),
    Having = fun(Node) -> lists:member(Id, maps:get(has, maps:get(Node, Peers, #{has => []}))) end,
    case Begins of
        #{Id := Time} when Begin > Now -> case lists:all(Having, Awaited) of true -> {ok, Time}; false -> no end;
        #{} -> no
    end.

%% Expired entries leave the file after a while, or when there is little room; never the last one.
drops(Now, #{held := Held}) ->
    Expired = lists:sort([{End, Id} || {Id, {_, _, End}} <- maps:to_list(Held), End =< Now]),
    Crowded = max(0, map_size(Held) - (?MAX_LEARNT - 2)),
    {Soon, Later} = lists:split(min(Crowded, length(Expired)), Expired),
    Old = [Entry || {End, _} = Entry <- Later, End + ?EXPIRED =< Now],
    [{drop, Id} || {_, Id} <- lists:sublist(Soon ++ Old, max(0, map_size(Held) - 1))].

%% ---- rotating ----

%% A new entry's dates, its begin when all have it, and what happens to the others: after the grace they end; those that no
%% clock has begun and no rotation has made, at once, since they were never in use: whoever has the file of today would
%% have them then. Skew is how far apart clocks may be. `full`: 16 entries, none of them expired.
-spec fresh([entry()], time(), #{grace := non_neg_integer(), skew := non_neg_integer()}) ->
          {ok, dates(), Begin :: time(), [change()]} | full.
fresh(Entries, Now, #{grace := Grace, skew := Skew}) ->
    Wait = min(?WAIT, Grace div 4),
    End = Now + Wait + Grace + Skew,
    Latest = Now + ?WAIT + Skew,
    Live = [{Id, sooner(dates(Entry), Now, Skew)} || #{id := Id, not_after := Ends, not_before := Begins} = Entry <- Entries,
                                                    Ends > Now, Begins =< Latest],
    Planned = [{Id, in_order(Begins, max(1, Now - Skew)), max(1, Now - Skew)}
               || #{id := Id, not_after := Ends, not_before := Begins} <- Entries, Ends > Now, Begins > Latest],
    Created = lists:max([Now | [Made + 1 || #{created := Made} <- Entries, Made < Now + ?FORGET]]),
    Begin = lists:max([Now - Skew | [Begins + 1 || {_, {_, Begins, _}} <- Live]]),
    Ended = [{Id, in_order(Begins, min(Ends, End)), min(Ends, End)} || {Id, {_, Begins, Ends}} <- Live],
    Expired = lists:sort([{Ends, Id} || #{id := Id, not_after := Ends} <- Entries, Ends =< Now]),
    Drops = [{drop, Id} || {_, Id} <- lists:sublist(Expired, max(0, length(Entries) + 1 - ?MAX))],
    case length(Entries) + 1 - length(Drops) > ?MAX of
        true -> full;
        false -> {ok, {Created, begin_of(Wait, Begin, Now), never}, Begin, Ended ++ Planned ++ Drops}
    end.

%% A rotation that is under way gives way: its entry counts at once, so that it is older than the next one.
sooner({Created, Begin, End}, Now, Skew) when Begin > Now -> {Created, Now - Skew, End};
sooner(Dates, _Now, _Skew) -> Dates.

begin_of(0, Begin, _Now) -> Begin;
begin_of(Wait, _Begin, Now) -> Now + Wait.

%% A scheduled rotation: of the linked nodes that hold the newest entry, the one with the lowest name; each at a moment of
%% its own. That two do it at once is no harm.
due(never, _Now, _State) -> [];
due({Every, Grace}, Now, #{held := Held, self := Self, up := Up, peers := Peers}) ->
    case newest(Held, Now) of
        none -> [];
        Id ->
            {Created, Begin, _} = maps:get(Id, Held),
            Jitter = erlang:phash2({Id, Self}, min(3600, max(1, Every div 10))),
            Others = [Node || Node <- Up, #{has := Has} <- [maps:get(Node, Peers, none)], lists:member(Id, Has)],
            [{rotate, Grace} || Begin =< Now, Now >= Created + Every + Jitter,
                                lists:all(fun(Node) -> Self < Node end, Others)]
    end.

%% How far the rotation to the newest of these entries is.
-spec phase([entry()], time()) -> none | {spreading | grace | done, id()}.
phase(Entries, Now) ->
    Held = maps:from_list([{Id, dates(Entry)} || #{id := Id} = Entry <- Entries]),
    case newest(Held, Now) of
        none -> none;
        Id ->
            {_, Begin, _} = maps:get(Id, Held),
            Ending = [Other || {Other, {_, _, End}} <- maps:to_list(Held), Other =/= Id, End =/= never, End > Now],
            {phase_of(Begin > Now, Ending), Id}
    end.

phase_of(true, _) -> spreading;
phase_of(false, [_ | _]) -> grace;
phase_of(false, []) -> done.
