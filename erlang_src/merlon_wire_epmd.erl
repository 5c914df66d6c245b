%% SPDX-License-Identifier: Apache-2.0
%% epmd as a stranger sees it (protocol: erts user's guide, "Distribution Protocol"), and a decoy's name in it.
-module(merlon_wire_epmd).

-export([port/0, names/3, register/4, parse_names/1]).

%% An epmd knows some dozens of names; no more is read.
-define(MOST, 65536).
-define(NAMES, 256).

%% Where an epmd is to be expected.
-spec port() -> inet:port_number().
port() ->
    case string:to_integer(os:getenv("ERL_EPMD_PORT", "4369")) of
        {Port, ""} when is_integer(Port), Port > 0, Port < 65536 -> Port;
        _ -> 4369
    end.

%% The names that it tells anybody, and their ports. `not_epmd`: something else listens there.
-spec names(inet:ip_address(), inet:port_number(), Milliseconds :: pos_integer()) ->
          {ok, [{binary(), inet:port_number()}]} | {error, term()}.
names(Ip, Port, Milliseconds) ->
    Deadline = merlon_wire_io:deadline(Milliseconds),
    case merlon_wire_io:connect(Ip, Port, Deadline) of
        {ok, Socket} ->
            try asked(Socket, Port, Deadline) after gen_tcp:close(Socket) end;
        {error, _} = Error -> Error
    end.

asked(Socket, Port, Deadline) ->
    case gen_tcp:send(Socket, <<1:16, $n>>) of
        ok -> answered(merlon_wire_io:read_all(Socket, ?MOST, Deadline), Port);
        {error, _} = Error -> Error
    end.

%% The answer begins with the epmd's own port.
answered({ok, <<Port:32, Text/binary>>}, Port) -> {ok, parse_names(Text)};
answered({ok, _}, _Port) -> {error, not_epmd};
answered({error, timeout}, _Port) -> {error, silent};
answered({error, _} = Error, _Port) -> Error.

%% Lines "name NAME at port PORT"; others are passed over.
-spec parse_names(binary()) -> [{binary(), inet:port_number()}].
parse_names(Text) ->
    Lines = lists:sublist(binary:split(Text, <<"\n">>, [global]), ?NAMES),
    [{Name, binary_to_integer(Port)}
     || Line <- Lines,
        {match, [Name, Port]} <- [re:run(Line, "\\Aname (.{1,255}) at port ([0-9]{1,5})\\z",
                                         [{capture, all_but_first, binary}, dotall])],
        binary_to_integer(Port) > 0, binary_to_integer(Port) < 65536].

%% Registers a hidden node; it stays as long as the socket is open.
-spec register(inet:ip_address(), inet:port_number(), Name :: binary(), At :: inet:port_number()) ->
          {ok, gen_tcp:socket()} | {error, term()}.
register(Ip, Port, Name, At) ->
    Deadline = merlon_wire_io:deadline(3000),
    case merlon_wire_io:connect(Ip, Port, Deadline) of
        {ok, Socket} ->
            Ask = <<$x, At:16, $H, 0, 6:16, 5:16, (byte_size(Name)):16, Name/binary, 0:16>>,
            ok = gen_tcp:send(Socket, <<(byte_size(Ask)):16, Ask/binary>>),
            registered(Socket, merlon_wire_io:read(Socket, 4, Deadline));
        {error, _} = Error -> Error
    end.

registered(Socket, {ok, <<Kind, 0, _/binary>>}) when Kind =:= $y; Kind =:= $v -> {ok, Socket};
registered(Socket, _) ->
    gen_tcp:close(Socket),
    {error, refused}.
