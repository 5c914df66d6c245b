%% SPDX-License-Identifier: Apache-2.0
%% What one link is to send next. Small frames go at once, in one stream. Big ones, which OTP would cut into fragments,
%% go in pieces on lanes beside it, so that they hold up nobody else, and small frames of the same sender wait behind
%% them: signals from one process to another stay in order.
-module(merlon_lanes_core).

-export([new/0, is_idle/1, is_busy/1, wants/1, add/2, next/1, sent/3]).
-export_type([lanes/0, frame/0, piece/0, lane/0]).

%% As dist_ctrl_get_data gives it: bytes, binaries.
-type frame() :: {non_neg_integer(), [binary()]}.
%% What is left of a frame on a lane: its bytes, those to be sent, where in the first binary they begin.
-type piece() :: {pos_integer(), pos_integer(), non_neg_integer(), [binary()]}.
-type lane() :: 0..7.

%% Longer frames go on lanes. OTP cuts frames of half that length into fragments, so nobody can rely on the order
%% between senders.
-define(BIG, 131072).
%% Bytes of small frames that are taken from the VM at once.
-define(BATCH, 524288).
%% Bytes that may wait here beside the giants under way: frames longer than this.
-define(HELD, 655360).
-define(LANES, [0, 1, 2, 3, 4, 5, 6, 7]).

-record(lanes, {small = [] :: [frame()], % newest first
                small_bytes = 0 :: non_neg_integer(),
                free = ?LANES :: [lane()],
                turns = [] :: [lane()],
                work = #{} :: #{lane() => queue:queue({sender(), piece()})},
                senders = #{} :: #{sender() => {lane(), pos_integer()}},
                held = 0 :: non_neg_integer(),
                %% A frame that nothing may overtake: waiting for the lanes to be empty, or on one.
                barrier = none :: none | {waiting, frame()} | sending}).

-opaque lanes() :: #lanes{}.
-type sender() :: merlon_frame_core:sender() | barrier.

-spec new() -> lanes().
new() -> #lanes{}.

%% Nothing is to be sent.
-spec is_idle(lanes()) -> boolean().
is_idle(#lanes{small = Small, turns = Turns}) -> Small =:= [] andalso Turns =:= [].

%% Big frames are on their way.
-spec is_busy(lanes()) -> boolean().
is_busy(#lanes{turns = Turns}) -> Turns =/= [].

%% Whether more is to be taken from the VM. What is not taken counts for its busy limit.
-spec wants(lanes()) -> boolean().
wants(#lanes{barrier = none, small_bytes = Small, held = Held, work = Work}) ->
    Small < ?BATCH andalso Small + Held - lists:sum([excused(queue:get(Q)) || Q <- maps:values(Work)]) < ?HELD;
wants(_) ->
    false.

%% A giant under way, of which there is one on a lane at most, must not keep the small ones in the VM.
excused({_, {Total, Left, _, _}}) when Total > ?HELD -> Left;
excused(_) -> 0.

-spec add(frame(), lanes()) -> lanes().
add({Size, _} = Frame, #lanes{turns = []} = Lanes) when Size =< ?BIG ->
    small(Frame, Lanes);
add({Size, Iovec} = Frame, #lanes{turns = Turns, senders = Senders} = Lanes) ->
    case merlon_frame_core:sender(Iovec) of
        {ok, Sender} when is_map_key(Sender, Senders) -> big(Sender, Frame, Lanes);
        {ok, _} when Size =< ?BIG -> small(Frame, Lanes);
        {ok, Sender} -> big(Sender, Frame, Lanes);
        unknown when Turns =:= [] -> big(barrier, Frame, Lanes#lanes{barrier = sending});
        unknown -> Lanes#lanes{barrier = {waiting, Frame}}
    end.

small({Size, _} = Frame, #lanes{small = Small, small_bytes = Bytes} = Lanes) ->
    Lanes#lanes{small = [Frame | Small], small_bytes = Bytes + Size}.

big(Sender, {Size, Iovec}, Lanes0) ->
    {Lane, #lanes{work = Work, senders = Senders, held = Held} = Lanes} = lane(Sender, Lanes0),
    Queue = maps:get(Lane, Work, queue:new()),
    {_, Count} = maps:get(Sender, Senders, {Lane, 0}),
    Lanes#lanes{work = Work#{Lane => queue:in({Sender, {Size, Size, 0, Iovec}}, Queue)},
                senders = Senders#{Sender => {Lane, Count + 1}}, held = Held + Size}.

%% The lane of this sender, else a free one, else the one whose turn is the farthest.
lane(Sender, #lanes{senders = Senders, free = Free, turns = Turns} = Lanes) ->
    case {Senders, Free} of
        {#{Sender := {Lane, _}}, _} -> {Lane, Lanes};
        {_, [Lane | Rest]} -> {Lane, Lanes#lanes{free = Rest, turns = Turns ++ [Lane]}};
        {_, []} -> {lists:last(Turns), Lanes}
    end.

%% All small frames, oldest first, and a piece of a big one.
-spec next(lanes()) -> {[frame()], none | {lane(), piece()}, lanes()}.
next(#lanes{small = Small, turns = Turns, work = Work} = Lanes) ->
    Piece = case Turns of
                [] -> none;
                [Lane | _] -> {Lane, element(2, queue:get(maps:get(Lane, Work)))}
            end,
    {lists:reverse(Small), Piece, Lanes#lanes{small = [], small_bytes = 0}}.

%% What is left of the piece that was sent on this lane; the next lane has its turn.
-spec sent(lane(), done | piece(), lanes()) -> lanes().
sent(Lane, Rest, #lanes{turns = [Lane | Turns], work = Work, held = Held} = Lanes) ->
    {{value, {Sender, {_, Left, _, _}}}, Queue} = queue:out(maps:get(Lane, Work)),
    case Rest of
        {_, Still, _, _} ->
            Lanes#lanes{turns = Turns ++ [Lane], held = Held - Left + Still,
                        work = Work#{Lane => queue:in_r({Sender, Rest}, Queue)}};
        done ->
            done(Lane, Queue, forget(Sender, Lanes#lanes{turns = Turns, held = Held - Left}))
    end.

%% Small frames that have come behind a big one go on in the stream: its last record is sent. Else a sender that always
%% has more would stay on its lane for ever.
done(Lane, Queue, #lanes{held = Held} = Lanes) ->
    case queue:peek(Queue) of
        {value, {Sender, {Size, Size, 0, Iovec}}} when Size =< ?BIG ->
            done(Lane, queue:drop(Queue), forget(Sender, small({Size, Iovec}, Lanes#lanes{held = Held - Size})));
        _ ->
            turn_over(Lane, Queue, Lanes)
    end.

turn_over(Lane, Queue, #lanes{free = Free, turns = Turns, work = Work} = Lanes) ->
    case queue:is_empty(Queue) of
        true -> settle(Lanes#lanes{free = [Lane | Free], work = maps:remove(Lane, Work)});
        false -> Lanes#lanes{turns = Turns ++ [Lane], work = Work#{Lane => Queue}}
    end.

forget(Sender, #lanes{senders = Senders} = Lanes) ->
    case Senders of
        #{Sender := {_, 1}} -> Lanes#lanes{senders = maps:remove(Sender, Senders)};
        #{Sender := {Lane, Count}} -> Lanes#lanes{senders = Senders#{Sender := {Lane, Count - 1}}}
    end.

settle(#lanes{turns = [], barrier = {waiting, Frame}} = Lanes) -> add(Frame, Lanes#lanes{barrier = none});
settle(#lanes{turns = [], barrier = sending} = Lanes) -> Lanes#lanes{barrier = none};
settle(Lanes) -> Lanes.
