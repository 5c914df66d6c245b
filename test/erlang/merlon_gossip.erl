%% SPDX-License-Identifier: Apache-2.0
%% Believes heartbeats as libcluster's Gossip does (its documentation: UDP, multicast or broadcast, a word and the term #{node => Name};
%% with a secret they are encrypted, and others are dropped): for who wants to see whether a stranger's is believed.
-module(merlon_gossip).

-export([start/3]).

-type how() :: plain | secret.

%% On a node: listens at that port, a member of the group if there is one.
-spec start(none | inet:ip4_address(), inet:port_number(), how()) -> inet:port_number().
start(Group, Port, How) ->
    Self = self(),
    _ = spawn(fun() ->
        Member = [{add_membership, {Group, {127, 0, 0, 1}}} || Group =/= none],
        {ok, Socket} = gen_udp:open(Port, [binary, {active, true}, {reuseaddr, true} | Member]),
        {ok, Open} = inet:port(Socket),
        Self ! {open, Open},
        listen(How)
    end),
    receive {open, Open} -> Open end.

listen(How) ->
    receive {udp, _, _, _, Packet} -> heard(How, Packet) end,
    listen(How).

heard(plain, <<"heartbeat::", Term/binary>>) ->
    #{node := Node} = binary_to_term(Term),
    [net_kernel:connect_node(Node) || Node =/= node()];
%% What has not been encrypted by its like is none.
heard(secret, _Packet) -> ignored;
heard(plain, _Packet) -> ignored.
