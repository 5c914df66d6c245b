%% SPDX-License-Identifier: Apache-2.0
%% The distribution handshake as a stranger has it (erts user's guide, "Distribution Protocol"): how far a listener goes
%% with somebody unknown, and what a dialling node shows a decoy. The same packets with a length of 2 bytes over TCP
%% and 4 over TLS. Packets are bounded, names bytes.
-module(merlon_wire_dist).

-export([name/1, challenge/3, status/1, parse/1, greet/2]).
-export_type([message/0, transport/0]).

-type message() :: {name, Flags :: non_neg_integer(), Name :: binary()} |
                   {challenge, Flags :: non_neg_integer(), Challenge :: non_neg_integer(), Name :: binary()} |
                   {status, binary()} | {reply, Challenge :: non_neg_integer(), Digest :: binary()} | other.
%% How packets go and come.
-type transport() :: #{send := fun((binary()) -> ok | {error, term()}), recv := fun(() -> {ok, binary()} | {error, term()})}.

%% Flags as an OTP 25 node offers them, as far as a handshake needs.
-define(FLAGS, 16#d07df7fbd).

%% What the dialling side says first.
-spec name(Name :: binary()) -> binary().
name(Name) -> <<$N, ?FLAGS:64, 4:32, (byte_size(Name)):16, Name/binary>>.

%% What the accepting side says then.
-spec status(binary()) -> binary().
status(Word) -> <<$s, Word/binary>>.

-spec challenge(Name :: binary(), Challenge :: 0..16#ffffffff, Flags :: non_neg_integer()) -> binary().
challenge(Name, Challenge, Flags) ->
    <<$N, (Flags bor ?FLAGS):64, Challenge:32, 4:32, (byte_size(Name)):16, Name/binary>>.

%% `N` is both a name and a challenge; lengths tell which.
-spec parse(binary()) -> message().
parse(<<$N, Flags:64, Challenge:32, _:32, Size:16, Name:Size/binary>>) -> {challenge, Flags, Challenge, Name};
parse(<<$N, Flags:64, _:32, Size:16, Name:Size/binary, _/binary>>) -> {name, Flags, Name};
parse(<<$n, _:16, Flags:32, Name/binary>>) -> {name, Flags, Name};
parse(<<$s, Status/binary>>) -> {status, Status};
parse(<<$r, Challenge:32, Digest:16/binary>>) -> {reply, Challenge, Digest};
parse(_) -> other.

%% Says a name and hears how far that gets. Nothing is answered to a challenge.
-spec greet(Name :: binary(), transport()) ->
          {offered, Node :: binary()} | {refused, Status :: binary()} | {error, term()}.
greet(Name, #{send := Send, recv := Recv}) ->
    case Send(name(Name)) of
        ok -> greeted(heard(Recv()), Recv);
        {error, _} = Error -> Error
    end.

heard({ok, Packet}) -> parse(Packet);
heard({error, _} = Error) -> Error.

greeted({status, Word}, Recv) when Word =:= <<"ok">>; Word =:= <<"ok_simultaneous">> ->
    case heard(Recv()) of
        {challenge, _, _, Node} -> {offered, Node};
        {error, _} = Error -> Error;
        _ -> {error, no_challenge}
    end;
greeted({status, Word}, _Recv) -> {refused, Word};
greeted({error, _} = Error, _Recv) -> Error;
greeted(_, _Recv) -> {error, no_status}.
