%% SPDX-License-Identifier: Apache-2.0
%% What a link keeps while its socket is full (native/nif/src/send.rs), and when its reader may look again by itself
%% (native/nif/src/recv.rs): over a connection without TLS, whose peer writes what the test says.
-module(merlon_link_buffer_tests).

-include_lib("eunit/include/eunit.hrl").

-define(FRAME, 100000).
-define(FRAMES, 10).

%% A buffer that grows has room for up to twice of what is in it: that must not stay with the link.
a_blocked_link_keeps_what_it_must_and_no_room_beside_it_test() ->
    with_peer(fun(Conn, _Peer) ->
                      Frame = {?FRAME, [binary:copy(<<7>>, ?FRAME)]},
                      blocked = merlon_nif:send(Conn, lists:duplicate(?FRAMES, Frame)),
                      #{unsent := Unsent, buffers := Buffers} = merlon_nif:stats(Conn),
                      ?assert(Unsent > 8 * ?FRAME),
                      ?assert(Buffers =< ?FRAMES * (?FRAME + 4))
              end).

who_has_read_a_small_frame_may_look_again_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, frame(100)),
                      ?assertMatch({[<<_:100/binary>>], empty}, read(Conn, 1)),
                      ?assertEqual({[], empty}, merlon_nif:recv(Conn, 1)),
                      ok = gen_tcp:send(Peer, frame(100)),
                      ?assertMatch({[<<_:100/binary>>], wait}, read(Conn, 0))
              end).

%% With less the VM wakes a scheduler that has nothing to do, time and again (VAIN_COST).
a_look_in_vain_costs_400_reductions_test() ->
    with_peer(fun(Conn, _Peer) ->
                      Looks = fun(Looking) ->
                                      erlang:yield(), % all of a time slice is left
                                      {reductions, Before} = process_info(self(), reductions),
                                      Result = [merlon_nif:recv(Conn, Looking) || _ <- [1, 2, 3, 4]],
                                      {reductions, After} = process_info(self(), reductions),
                                      {lists:usort(Result), After - Before}
                              end,
                      {[{[], empty}], Vain} = Looks(1),
                      ?assert(Vain >= 1600),
                      {[{[], wait}], Waiting} = Looks(0),
                      ?assert(Waiting < 1600)
              end).

who_has_read_a_part_of_a_frame_waits_for_the_rest_test() ->
    with_peer(fun(Conn, Peer) ->
                      <<Part:1000/binary, Rest/binary>> = frame(2000),
                      ok = gen_tcp:send(Peer, Part),
                      ?assertEqual({[<<>>], {part, 1000}}, read(Conn, 1)),
                      ok = gen_tcp:send(Peer, Rest),
                      receive {select, _, _, ready_input} -> ok end,
                      ?assertMatch({[<<_:2000/binary>>], empty}, merlon_nif:recv(Conn, 1))
              end).

who_has_read_a_small_frame_and_a_part_of_the_next_waits_for_the_rest_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, [frame(100), <<200:32, 0>>]),
                      ?assertMatch({[<<_:100/binary>>], {part, 109}}, read(Conn, 1))
              end).

who_pauses_in_a_frame_is_not_told_of_its_rest_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, <<200:32, 0:100/unit:8>>),
                      ?assertEqual({[<<>>], {part, 104}}, read(Conn, 0)),
                      ?assertEqual({[], {part, 0}}, merlon_nif:recv(Conn, pause)),
                      ok = gen_tcp:send(Peer, <<0:50/unit:8>>),
                      receive {select, _, _, ready_input} -> ok end, % it was to be told before it paused
                      ?assertEqual({[<<>>], {part, 50}}, merlon_nif:recv(Conn, pause)),
                      ok = gen_tcp:send(Peer, <<0:50/unit:8>>),
                      receive {select, _, _, _} = Told -> error(Told) after 50 -> ok end,
                      ?assertMatch({[<<_:200/binary>>], wait}, merlon_nif:recv(Conn, pause)),
                      ok = gen_tcp:send(Peer, frame(1)),
                      receive {select, _, _, ready_input} -> ok end
              end).

%% By another process, who is not told of more: the reader is, when he has taken it.
what_was_read_ahead_is_given_next_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, [frame(100), <<200:32, 0>>]),
                      timer:sleep(100), % all of it is there
                      ok = ahead(Conn),
                      ok = gen_tcp:send(Peer, <<0:99/unit:8>>),
                      timer:sleep(100),
                      ok = ahead(Conn), % once is all that is kept
                      ?assertMatch({[<<_:100/binary>>], {part, 109}}, merlon_nif:recv(Conn, 0)),
                      receive {select, _, _, ready_input} -> ok end,
                      ?assertEqual({[<<>>], {part, 99}}, merlon_nif:recv(Conn, 0)),
                      ok = gen_tcp:send(Peer, [<<0:100/unit:8>>, <<-1:32>>]),
                      receive {select, _, _, ready_input} -> ok end,
                      timer:sleep(100),
                      ok = ahead(Conn),
                      ?assertMatch({[<<_:200/binary>>], more}, merlon_nif:recv(Conn, 0)),
                      ok = ahead(Conn), % the end that was found behind it
                      ?assertEqual({error, frame_too_long}, merlon_nif:recv(Conn, 0))
              end).

%% Nothing of a stream stays with who holds the connection still.
who_is_closed_reads_nothing_ahead_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, frame(100)),
                      timer:sleep(100),
                      ok = merlon_nif:close(Conn),
                      ok = ahead(Conn),
                      ?assertMatch({error, _}, merlon_nif:recv(Conn, 0))
              end).

ahead(Conn) ->
    {Pid, Ref} = spawn_monitor(fun() ->
                                       ok = merlon_nif:read_ahead(Conn),
                                       receive {select, _, _, _} = Told -> exit(Told) after 50 -> ok end
                               end),
    receive {'DOWN', Ref, process, Pid, normal} -> ok end.

who_has_read_much_waits_test() ->
    with_peer(fun(Conn, Peer) ->
                      ok = gen_tcp:send(Peer, frame(40000)),
                      timer:sleep(100), % all of it is there
                      ?assertMatch({[<<_:40000/binary>>], wait}, read(Conn, 1))
              end).

no_more_readers_look_again_than_may_test() ->
    with_peer(fun(One, _) ->
                      with_peer(fun(Other, _) ->
                                        ?assertEqual({[], empty}, merlon_nif:recv(One, 1)),
                                        ?assertEqual({[], wait}, merlon_nif:recv(Other, 1)),
                                        ?assertEqual({[], empty}, merlon_nif:recv(One, 1)),
                                        ?assertEqual({[], empty}, merlon_nif:recv(Other, 2)),
                                        ?assertEqual({[], wait}, merlon_nif:recv(Other, 0)),
                                        ?assertEqual({[], wait}, merlon_nif:recv(Other, 1)),
                                        ?assertEqual({[], wait}, merlon_nif:recv(One, 0)),
                                        ?assertEqual({[], empty}, merlon_nif:recv(Other, 1))
                                end)
              end).

who_is_closed_looks_no_more_test() ->
    with_peer(fun(One, _) ->
                      ?assertEqual({[], empty}, merlon_nif:recv(One, 1)),
                      ok = merlon_nif:close(One),
                      with_peer(fun(Other, _) -> ?assertEqual({[], empty}, merlon_nif:recv(Other, 1)) end),
                      ?assertMatch({error, _}, merlon_nif:recv(One, 1))
              end).

frame(Size) -> <<Size:32, 0:Size/unit:8>>.

%% What the reader gets as soon as there is something.
read(Conn, Looking) ->
    case merlon_nif:recv(Conn, Looking) of
        {[], wait} -> receive {select, _, _, ready_input} -> read(Conn, Looking) end;
        {[], empty} -> read(Conn, Looking);
        Read -> Read
    end.

with_peer(Fun) ->
    ok = merlon_nif:load(),
    ok = flush(), % one that is closed may still have been told
    Options = [binary, {ip, {127, 0, 0, 1}}, {active, false}, {nodelay, true}, {recbuf, 4096}],
    {ok, Listener} = gen_tcp:listen(0, Options),
    {ok, {Ip, Port}} = inet:sockname(Listener),
    {ok, Conn} = merlon_nif:connect(Ip, Port, undefined, [{sndbuf, 4096}]),
    {ok, Peer} = gen_tcp:accept(Listener),
    try
        ok = up(merlon_nif:connected(Conn), Conn),
        ok = merlon_nif:plain(Conn),
        ok = merlon_nif:limits(Conn, 2 * ?FRAME), % the dist handshake is over
        Fun(Conn, Peer)
    after
        merlon_nif:close(Conn),
        gen_tcp:close(Peer),
        gen_tcp:close(Listener)
    end.

flush() ->
    receive {select, _, _, _} -> flush() after 0 -> ok end.

up(wait, Conn) ->
    receive {select, _, _, _} -> up(merlon_nif:connected(Conn), Conn) end;
up(ok, _Conn) ->
    ok.
