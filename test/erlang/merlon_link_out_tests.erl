%% SPDX-License-Identifier: Apache-2.0
%% A small message beside bulk is not starved: merlon_link_out itself, with the VM and the library around it replaced by
%% the functions of this module, which have no clock, so that nothing here depends on one.
%%
%% The VM: a run queue. Who finds the queue to the peer full is suspended, with nothing in it; all who are suspended are let
%% run again, in their order, as soon as it is not full. The bulk sender always has more, and sends until it is full. The small
%% sender has one message. Whoever is awake runs while the carrier waits for the socket and, when that has normal
%% priority, while it sends; while it waits for data with high priority only until it is told of some.
-module(merlon_link_out_tests).

-include_lib("eunit/include/eunit.hrl").

-export([waits/0, send/2, flush/1, link_info/1, peername/1, link_up/1, link_up/3, start/2, note/1]).
-export([dist_ctrl_get_data/1, dist_ctrl_get_data_notification/1, dist_ctrl_set_opt/3, dist_ctrl_input_handler/2,
         monotonic_time/1]).

%% As with `+zdbbl 512`; a fragment of OTP's.
-define(BUSY, 512 * 1024).
-define(FRAME, 65536).
%% Of merlon_link_out.
-define(BATCH, 262144).
-define(ROOM, 917504).

on_a_slow_line_a_small_message_goes_out_beside_bulk_test() ->
    ?assertMatch(#{small := {sent, Turn}} when Turn < 20, world(10)).

to_a_slow_line_a_bounded_part_is_taken_ahead_test() ->
    #{most := Most} = world(10),
    ?assert(Most > ?BATCH),
    ?assert(Most =< ?ROOM + ?FRAME).

%% After 20 ms; more often would cost throughput.
on_a_fast_line_it_goes_out_a_little_later_test() ->
    #{small := {sent, Turn}, ahead := Ahead} = world(2),
    ?assert(Turn > 10 andalso Turn < 17),
    ?assert(Ahead > 4 andalso Ahead =< 10).

%% What is taken ahead waits in the library, and waits for more: only where somebody has waited for it.
bulk_that_begins_after_a_rest_is_sent_at_once_test() ->
    ?assertMatch(#{most := ?BATCH, ahead := 0}, world(0)).

%% ---- the world ----

%% What has come of 100 turns where the socket, once full, is full for so many milliseconds.
%% most: bytes that were taken from the VM in one turn; ahead: turns with more than a batch. A second goes by before the first.
world(Full) ->
    Module = module(),
    World = #{full => Full, now => 0, turns => 0, taken => 0, most => 0, ahead => 0, rest => 1000, queue => queue:new(), size => 0, busy => false,
              armed => false, blocked => false, awake => [bulk, small], suspended => [], small => waits},
    {Pid, Ref} = spawn_monitor(fun() ->
                                       put(world, World),
                                       self() ! {complete, self(), make_ref(), there, handle},
                                       Module:init(self(), {conn, dial}, #{})
                               end),
    receive {'DOWN', Ref, process, Pid, Reason} -> {over, End} = Reason, End after 10000 -> error(no_end) end.

%% merlon_link_out from its debug information, under another name.
module() ->
    {ok, {_, [{abstract_code, {raw_abstract_v1, Forms}}]}} =
        beam_lib:chunks(code:which(merlon_link_out), [abstract_code]),
    {ok, Module, Beam} = compile:forms(replaced([Form || Form <- Forms, not is_spec(Form)]), [nowarn_unused_type]),
    {module, Module} = code:load_binary(Module, "replaced", Beam),
    Module.

is_spec({attribute, _, spec, _}) -> true;
is_spec(_) -> false.

replaced({attribute, L, module, Name}) ->
    {attribute, L, module, list_to_atom(atom_to_list(Name) ++ "_replaced")};
replaced({remote, L, {atom, _, erlang}, {atom, _, F}} = Call) ->
    case erlang:function_exported(?MODULE, F, 1) orelse erlang:function_exported(?MODULE, F, 2) orelse
        erlang:function_exported(?MODULE, F, 3) of
        true -> {remote, L, {atom, L, ?MODULE}, {atom, L, F}};
        false -> Call
    end;
replaced({'receive', _, _, {integer, _, 0}, _} = Look) -> Look;
replaced(Receive) when element(1, Receive) =:= 'receive' ->
    L = element(2, Receive),
    {block, L, [{call, L, {remote, L, {atom, L, ?MODULE}, {atom, L, waits}}, []},
                list_to_tuple([replaced(Part) || Part <- tuple_to_list(Receive)])]};
replaced({atom, L, Module}) when Module =:= merlon_nif; Module =:= merlon_registry; Module =:= merlon_link_in;
                                 Module =:= merlon_event; Module =:= merlon_linked ->
    {atom, L, ?MODULE};
replaced(Form) when is_tuple(Form) -> list_to_tuple([replaced(Part) || Part <- tuple_to_list(Form)]);
replaced([Form | Forms]) -> [replaced(Form) | replaced(Forms)];
replaced(Other) -> Other.

world() -> get(world).

change(Changes) ->
    World = maps:merge(world(), Changes),
    put(world, World),
    World.

%% ---- the library ----

%% All that is given is taken, and then the socket is full.
send(_Conn, Frames) ->
    #{turns := Turns, small := Small, taken := Taken, most := Most, ahead := Before} = world(),
    Ahead = Before + length([Taken || Taken > ?BATCH]),
    Now = case lists:member([small], [Data || {_, Data} <- Frames]) of true -> {sent, Turns}; false -> Small end,
    World = change(#{turns => Turns + 1, taken => 0, most => max(Most, Taken), ahead => Ahead, small => Now, blocked => true}),
    _ = [exit({over, World}) || Turns =:= 100],
    beside(),
    blocked.

flush(_Conn) ->
    beside(),
    ok.

%% While this process, with normal priority, is busy.
beside() ->
    case process_info(self(), priority) of
        {priority, normal} -> run(length(maps:get(awake, world())));
        _ -> ok
    end.

%% Before each receive: with nothing to receive, others run. A full socket leaves them time for all they want.
waits() ->
    _ = [rested() || {_, 0} <- [process_info(self(), message_queue_len)]],
    case {process_info(self(), message_queue_len), process_info(self(), priority), world()} of
        {{_, N}, _, _} when N > 0 -> ok;
        {_, _, #{blocked := true, now := Now, full := Full}} ->
            run(all),
            change(#{now => Now + Full, blocked => false}),
            self() ! {select, conn, make_ref(), ready_output};
        {_, {priority, high}, _} -> run(told);
        {_, {priority, normal}, #{awake := Awake}} -> run(length(Awake))
    end.

rested() ->
    #{now := Now, rest := Rest} = world(),
    change(#{now => Now + Rest, rest => 0}).

link_info(_Conn) -> #{}.
peername(_Conn) -> {error, closed}.
link_up(_Info) -> ok.
link_up(_Pid, _Conn, _Info) -> ok.
start(_Conn, _Handle) -> spawn(fun() -> ok end).
note(_Info) -> ok.

%% ---- the VM ----

monotonic_time(millisecond) -> maps:get(now, world()).
dist_ctrl_set_opt(_Handle, get_size, true) -> false.
dist_ctrl_input_handler(_Handle, _Pid) -> ok.

dist_ctrl_get_data_notification(_Handle) ->
    case world() of
        #{size := 0} -> change(#{armed => true});
        _ -> self() ! dist_data
    end.

dist_ctrl_get_data(_Handle) ->
    #{queue := Queue, size := Size, taken := Taken} = world(),
    case queue:out(Queue) of
        {empty, _} -> none;
        {{value, {Bytes, _} = Frame}, Rest} ->
            change(#{queue => Rest, size => Size - Bytes, taken => Taken + Bytes}),
            _ = [not_busy() || Size - Bytes < ?BUSY],
            Frame
    end.

not_busy() ->
    #{awake := Awake, suspended := Suspended} = world(),
    change(#{busy => false, awake => Awake ++ Suspended, suspended => []}).

%% So many turns of whoever is awake; all: until nobody is; told: until the carrier is told of something to send.
run(0) -> ok;
run(How) ->
    case world() of
        #{awake := []} -> ok;
        #{awake := [Who | Others], armed := Armed} ->
            #{armed := Still} = turn(Who, change(#{awake => Others})),
            case How of
                told when Armed, not Still -> ok;
                N when is_integer(N) -> run(N - 1);
                _ -> run(How)
            end
    end.

turn(Who, #{busy := true, suspended := Suspended}) -> change(#{suspended => Suspended ++ [Who]});
turn(small, _) -> enqueue(16, small);
turn(bulk, _) -> turn(bulk, enqueue(?FRAME, bulk)).

enqueue(Bytes, Who) ->
    #{queue := Queue, size := Size, armed := Armed} = world(),
    _ = [self() ! dist_data || Armed],
    change(#{queue => queue:in({Bytes, [Who]}, Queue), size => Size + Bytes, busy => Size + Bytes >= ?BUSY, armed => false}).
