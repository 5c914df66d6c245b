%% SPDX-License-Identifier: Apache-2.0
%% What a link keeps while its socket is full (native/nif/src/send.rs).
-module(merlon_link_buffer_tests).

-include_lib("eunit/include/eunit.hrl").

-define(FRAME, 100000).
-define(FRAMES, 10).

%% A buffer that grows has room for up to twice of what is in it: that must not stay with the link.
a_blocked_link_keeps_what_it_must_and_no_room_beside_it_test() ->
    ok = merlon_nif:load(),
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false}, {recbuf, 4096}]),
    {ok, {Ip, Port}} = inet:sockname(Listener),
    {ok, Conn} = merlon_nif:connect(Ip, Port, undefined, [{sndbuf, 4096}]),
    {ok, Peer} = gen_tcp:accept(Listener),
    try
        ok = up(merlon_nif:connected(Conn), Conn),
        ok = merlon_nif:plain(Conn),
        ok = merlon_nif:limits(Conn, 2 * ?FRAME),
        blocked = merlon_nif:send(Conn, lists:duplicate(?FRAMES, {?FRAME, [binary:copy(<<7>>, ?FRAME)]})),
        #{unsent := Unsent, buffers := Buffers} = merlon_nif:stats(Conn),
        ?assert(Unsent > 8 * ?FRAME),
        ?assert(Buffers =< ?FRAMES * (?FRAME + 4))
    after
        merlon_nif:close(Conn),
        gen_tcp:close(Peer),
        gen_tcp:close(Listener)
    end.

up(wait, Conn) ->
    receive {select, _, _, _} -> up(merlon_nif:connected(Conn), Conn) end;
up(ok, _Conn) ->
    ok.
