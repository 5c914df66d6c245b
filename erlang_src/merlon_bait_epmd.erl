%% SPDX-License-Identifier: Apache-2.0
%% Where a dialling node looks for the decoy's port: the epmd of this host, else one that answers nothing but that.
-module(merlon_bait_epmd).

-export([start/4, stop/1]).
-export_type([epmd/0]).

-opaque epmd() :: {registered, gen_tcp:socket()} | {own, pid(), gen_tcp:socket()}.

-define(WAIT, 2000).

-spec start(inet:ip_address(), inet:port_number(), Name :: binary(), At :: inet:port_number()) ->
          {ok, epmd()} | {error, term()}.
start(Ip, Port, Name, At) ->
    case gen_tcp:listen(Port, [binary, {ip, Ip}, {active, false}, {packet, raw}, {reuseaddr, true}]) of
        {ok, Listener} -> {ok, {own, spawn_link(fun() -> accept(Listener, At) end), Listener}};
        {error, eaddrinuse} -> registered(merlon_wire_epmd:register(Ip, Port, Name, At));
        {error, _} = Error -> Error
    end.

registered({ok, Socket}) -> {ok, {registered, Socket}};
registered({error, _} = Error) -> Error.

-spec stop(epmd()) -> ok.
stop({registered, Socket}) -> gen_tcp:close(Socket);
stop({own, Pid, Listener}) ->
    unlink(Pid),
    exit(Pid, kill),
    gen_tcp:close(Listener).

%% One after the other, each for a moment.
accept(Listener, At) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            _ = answer(Socket, At, merlon_wire_io:deadline(?WAIT)),
            gen_tcp:close(Socket),
            accept(Listener, At);
        {error, _} -> ok
    end.

answer(Socket, At, Deadline) ->
    case merlon_wire_io:read(Socket, 3, Deadline) of
        {ok, <<Size:16, $z>>} when Size > 1, Size < 1024 ->
            case merlon_wire_io:read(Socket, Size - 1, Deadline) of
                {ok, Name} -> gen_tcp:send(Socket, <<$w, 0, At:16, $H, 0, 6:16, 5:16, (byte_size(Name)):16, Name/binary, 0:16>>);
                {error, _} -> ok
            end;
        _ -> ok
    end.
