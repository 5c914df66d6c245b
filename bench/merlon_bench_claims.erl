%% SPDX-License-Identifier: Apache-2.0
%% Whether a link is of the carrier that its figures are printed under. Runs in the nodes and asks the VM who carries the
%% link: what the command line asked for may not be what came.
-module(merlon_bench_claims).

-export([carrier/1]).

%% {buffer, 262144} is what tuned inet_tls is tuned by.
-define(TUNED, 262144).

-spec carrier(node()) -> tcp | inet_tls | inet_tls_tuned | merlon | {unknown, term()}.
carrier(Node) ->
    case lists:keyfind(Node, 1, erlang:system_info(dist_ctrl)) of
        {Node, Port} when is_port(Port) -> by_port(erlang:port_info(Port, name));
        {Node, Pid} when is_pid(Pid) -> by_process(begun_as(Pid), Node);
        false -> {unknown, no_link}
    end.

by_port({name, "tcp_inet"}) -> tcp;
by_port(Other) -> {unknown, Other}.

begun_as(Pid) ->
    [{_, Call}, {_, Dictionary}] = process_info(Pid, [initial_call, dictionary]),
    {Module, _, _} = proplists:get_value('$initial_call', Dictionary, Call),
    Module.

by_process(tls_sender, _) ->
    Buffers = [Size || Port <- erlang:ports(), {name, "tcp_inet"} =:= erlang:port_info(Port, name),
                       {ok, _} <- [inet:peername(Port)], {ok, [{buffer, Size}]} <- [inet:getopts(Port, [buffer])]],
    case lists:any(fun(Size) -> Size >= ?TUNED end, Buffers) of true -> inet_tls_tuned; false -> inet_tls end;
by_process(merlon_link_out, Node) -> by_links(Node, 100);
by_process(Module, _) -> {unknown, Module}.

%% The VM says nodeup somewhat before the carrier is told that the handshake is over.
by_links(Node, Tries) ->
    case [Link || #{node := Peer} = Link <- merlon:connections(), Peer =:= Node] of
        [] when Tries > 0 -> timer:sleep(10), by_links(Node, Tries - 1);
        [#{carrier := merlon, tls_version := <<"1.3">>}] -> merlon;
        Links -> {unknown, [maps:with([carrier, tls_version], Link) || Link <- Links]}
    end.
