%% SPDX-License-Identifier: Apache-2.0
%% What a stranger on the network learns and may do: epmd's answer, the plain distribution handshake, TLS with and without
%% a certificate. Only what the caller names is looked at, and on an epmd's word the ports of the same address. A
%% handshake is never finished: no challenge is answered.
-module(merlon_wire).

-export([scan/2, target/1]).

-type target() :: {Host :: string(), default | inet:port_number()}.
-type raw() :: map().
-type result() :: #{name := binary(), kind := port, result := ok | {error, 0, iodata()}, covers := [], raws := [raw()]}.

-define(WAIT, 5000).
%% Ports that are looked at on an epmd's word.
-define(PORTS, 32).
%% No node's name: NAME@HOST, so that a log says who it was.
-define(STRANGER, <<"merlon_audit@merlon.invalid">>).

%% "HOST", "HOST:PORT", "[IPv6]:PORT".
-spec target(string()) -> {ok, target()} | error.
target(Text) ->
    case re:run(Text, "\\A(?:\\[([0-9a-fA-F:.]+)\\]|([^:\\s\\[\\]]+))(?::([0-9]{1,5}))?\\z", [{capture, all_but_first, list}]) of
        {match, [V6, Name]} -> {ok, {V6 ++ Name, default}};
        {match, [V6, Name, Port]} -> with_port(V6 ++ Name, list_to_integer(Port));
        {match, [V6]} -> {ok, {V6, default}};
        nomatch -> alone(Text)
    end.

with_port(Host, Port) when Port > 0, Port < 65536 -> {ok, {Host, Port}};
with_port(_, _) -> error.

alone(Text) ->
    case inet:parse_strict_address(Text) of
        {ok, _} -> {ok, {Text, default}};
        {error, _} -> error
    end.

-spec scan(target(), #{wait => pos_integer()}) -> {ok, [result()]} | {error, iodata()}.
scan({Host, Port}, Options) ->
    case address(Host) of
        {ok, Ip} -> {ok, at(Ip, Port, maps:get(wait, Options, ?WAIT))};
        error -> {error, [merlon_wire_io:printable(unicode:characters_to_binary(Host)), " does not resolve: give an address"]}
    end.

%% Of an address nobody is asked what it means.
address(Host) ->
    case inet:parse_strict_address(Host) of
        {ok, Ip} -> {ok, Ip};
        {error, _} -> resolved(Host, [inet, inet6])
    end.

resolved(_Host, []) -> error;
resolved(Host, [Family | Families]) ->
    case inet:getaddr(Host, Family) of
        {ok, Ip} -> {ok, Ip};
        {error, _} -> resolved(Host, Families)
    end.

at(Ip, default, Wait) ->
    Epmd = merlon_wire_epmd:port(),
    case merlon_wire_epmd:names(Ip, Epmd, Wait) of
        {ok, Names} ->
            Ports = lists:sublist(lists:usort([Port || {_, Port} <- Names]), ?PORTS),
            [result(Ip, Epmd, ok, [told(Ip, Epmd, Names)]) | [port(Ip, Port, Wait) || Port <- Ports]];
        {error, Reason} -> [result(Ip, Epmd, {error, 0, no_epmd(Reason)}, [])]
    end;
at(Ip, Port, Wait) -> [port(Ip, Port, Wait)].

no_epmd(econnrefused) -> "no epmd answers there: name the node's port too, HOST:PORT";
no_epmd(not_epmd) -> "what answers there is no epmd: name the node's port, HOST:PORT";
no_epmd(silent) -> "what listens there says nothing: name the node's port, HOST:PORT";
no_epmd(too_long) -> "what answers there does not stop: it is no epmd";
no_epmd(Reason) -> ["no epmd can be asked there (", word(Reason), "): name the node's port, HOST:PORT"].

word(Reason) when is_atom(Reason) -> inet:format_error(Reason);
word(_) -> "failed".

told(Ip, Port, Names) ->
    Shown = [merlon_wire_io:printable(Name) || {Name, _} <- lists:sublist(Names, 16)],
    raw(wire_epmd, Ip, Port, ["tells anybody ", integer_to_list(length(Names)), " names",
                              [[": ", lists:join(", ", Shown)] || Shown =/= []], [", ..." || length(Names) > 16]]).

%% ---- a port ----

%% A port that speaks plain speaks no TLS.
port(Ip, Port, Wait) ->
    case plain(Ip, Port, Wait) of
        {ok, Found} -> found(Ip, Port, Found);
        {error, econnrefused} -> result(Ip, Port, {error, 0, unreached(econnrefused)}, []);
        {error, Reason} ->
            case merlon_wire_tls:probe(Ip, Port, ?STRANGER, Wait) of
                {ok, Found} -> found(Ip, Port, Found);
                {error, none} -> result(Ip, Port, {error, 0, unreached(Reason)}, [])
            end
    end.

found(Ip, Port, Found) -> result(Ip, Port, ok, [raw(Rule, Ip, Port, What) || {Rule, What} <- Found]).

unreached(econnrefused) -> "nothing listens there: start the node, or correct the port";
unreached(timeout) -> "it does not answer as a distribution port, neither plain nor over TLS";
unreached(Reason) -> ["it does not answer as a distribution port, neither plain nor over TLS (", word(Reason), ")"].

plain(Ip, Port, Wait) ->
    Deadline = merlon_wire_io:deadline(Wait),
    case merlon_wire_io:connect(Ip, Port, Deadline) of
        {ok, Socket} ->
            try greeted(merlon_wire_dist:greet(?STRANGER, transport(Socket, Deadline)))
            after gen_tcp:close(Socket)
            end;
        {error, _} = Error -> Error
    end.

transport(Socket, Deadline) ->
    #{send => fun(Packet) -> gen_tcp:send(Socket, [<<(byte_size(Packet)):16>>, Packet]) end,
      recv => fun() ->
                  case merlon_wire_io:read(Socket, 2, Deadline) of
                      {ok, <<0:16>>} -> {ok, <<>>};
                      {ok, <<Size:16>>} -> merlon_wire_io:read(Socket, Size, Deadline);
                      {error, _} = Error -> Error
                  end
              end}.

greeted({offered, Node}) ->
    {ok, [{wire_plain, ["goes on to the cookie with a stranger, and calls itself ", merlon_wire_io:printable(Node)]}]};
greeted({refused, Status}) ->
    {ok, [{wire_plain, ["speaks plain distribution, and tells a stranger ", merlon_wire_io:printable(Status)]}]};
greeted({error, _} = Error) -> Error.

%% ---- results ----

result(Ip, Port, Result, Raws) ->
    #{name => where(Ip, Port), kind => port, result => Result, covers => [], raws => Raws}.

raw(Rule, Ip, Port, What) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    #{rule => Rule, severity => merlon_audit_rules:severity(Row, none), source => wire, file => where(Ip, Port), line => 0,
      what => iolist_to_binary(What)}.

where(Ip, Port) when tuple_size(Ip) =:= 8 -> iolist_to_binary([$[, inet:ntoa(Ip), "]:", integer_to_list(Port)]);
where(Ip, Port) -> iolist_to_binary([inet:ntoa(Ip), $:, integer_to_list(Port)]).
