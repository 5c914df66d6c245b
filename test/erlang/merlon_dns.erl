%% SPDX-License-Identifier: Apache-2.0
%% A DNS server on loopback that knows SRV records and nothing else.
-module(merlon_dns).

-export([start/1, stop/1]).

-define(NXDOMAIN, 3).

-type srv() :: {Owner :: string(), inet:port_number(), Target :: string()}.

-spec start([srv()]) -> {pid(), inet:port_number()}.
start(Records) ->
    Self = self(),
    Pid = spawn(fun() ->
                        {ok, Socket} = gen_udp:open(0, [binary, {ip, {127, 0, 0, 1}}, {active, true}]),
                        {ok, Port} = inet:port(Socket),
                        Self ! {self(), Port},
                        loop(Socket, Records)
                end),
    receive {Pid, Port} -> {Pid, Port} after 5000 -> error(timeout) end.

-spec stop(pid()) -> ok.
stop(Pid) ->
    true = exit(Pid, kill),
    ok.

loop(Socket, Records) ->
    receive
        {udp, Socket, Ip, Port, Packet} ->
            {ok, Request} = inet_dns:decode(Packet),
            ok = gen_udp:send(Socket, Ip, Port, inet_dns:encode(answer(Request, Records))),
            loop(Socket, Records)
    end.

%% Without the record definitions, which not every installation of OTP has.
answer(Request, Records) ->
    [Query] = inet_dns:msg(Request, qdlist),
    Owner = inet_dns:dns_query(Query, domain),
    Type = inet_dns:dns_query(Query, type),
    Found = [inet_dns:make_rr([{domain, Owner}, {type, srv}, {class, in}, {ttl, 1}, {data, {0, 0, Port, Target}}])
             || {Name, Port, Target} <- Records, Type =:= srv, string:lowercase(Name) =:= string:lowercase(Owner)],
    Code = case Found of [] -> ?NXDOMAIN; _ -> 0 end,
    Header = inet_dns:make_header(inet_dns:msg(Request, header), [{qr, true}, {aa, true}, {rcode, Code}]),
    inet_dns:make_msg(Request, [{header, Header}, {anlist, Found}, {arlist, []}]).
