%% SPDX-License-Identifier: Apache-2.0
%% A question that a node asks in place of the dist handshake, once it has proven itself: what would stand in
%% the way of a link? net_kernel of neither side hears of it. What goes over the wire is
%%   `P` 1                    the question
%%   `p` 1 Flags:64 Bits:8    the answer: the node's distribution flags; whether net_kernel:allow/1 lets the
%%                            asker in (bit 0), whether a link with the asker is up already (bit 1)
%% A node that does not know the question ends the connection, as it does with any wrong first packet.
-module(merlon_probe).

-export([ask/2, answer/4, missing/1, is_nameless/1]).
-export_type([answer/0]).

-type answer() :: #{flags := non_neg_integer(), allowed := boolean(), linked := boolean()}.

-define(VERSION, 1).

-spec ask(merlon_nif:conn(), merlon_handshake:deadline()) -> {ok, answer()} | {error, term()}.
ask(Conn, Deadline) ->
    case merlon_handshake:send(Conn, <<$P, ?VERSION>>, Deadline) of
        ok -> heard(merlon_handshake:recv(Conn, Deadline));
        {error, _} = Error -> Error
    end.

heard({ok, <<$p, ?VERSION, Flags:64, _:6, Linked:1, Allowed:1>>}) ->
    {ok, #{flags => Flags, allowed => Allowed =:= 1, linked => Linked =:= 1}};
heard({ok, _}) -> {error, unexpected};
heard({error, _} = Error) -> Error.

%% Whether Packet was the question; if so it has been answered. Claimed is bound to the asker's certificate.
-spec answer(binary(), {merlon_nif:conn(), merlon_handshake:deadline()}, Claimed :: binary(),
             Allowed :: boolean()) -> boolean().
answer(<<$P, ?VERSION>>, {Conn, Deadline}, Claimed, Allowed) ->
    {Flags, _} = flags(),
    Packet = <<$p, ?VERSION, Flags:64, 0:6, (bit(linked(Claimed))):1, (bit(Allowed)):1>>,
    _ = merlon_handshake:send(Conn, Packet, Deadline),
    true;
answer(_, _, _, _) ->
    false.

%% No atom is made for a name that no link ever had.
linked(Claimed) ->
    try lists:member(binary_to_existing_atom(Claimed), nodes(connected))
    catch error:badarg -> false
    end.

bit(true) -> 1;
bit(false) -> 0.

%% The distribution flags that this node demands and a peer with Flags does not have.
-spec missing(Flags :: non_neg_integer()) -> non_neg_integer().
missing(Flags) ->
    {_, Mandatory} = flags(),
    Mandatory band bnot Flags.

%% Whether a node with Flags asks to be given a name (DFLAG_NAME_ME).
-spec is_nameless(Flags :: non_neg_integer()) -> boolean().
is_nameless(Flags) -> Flags band 16#200000000 =/= 0.

%% As dist_util gets them (OTP 22 on).
flags() ->
    Dflags = erts_internal:get_dflags(),
    {element(2, Dflags), element(3, Dflags)}.
