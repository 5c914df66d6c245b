%% SPDX-License-Identifier: Apache-2.0
%% One request for the status page and its answer, over whatever carries bytes.
-module(merlon_status_talk).

-export([answer/2]).
-export_type([wire/0]).

%% How bytes come and go, until when (monotonic milliseconds), and who may be at the other end.
-type wire() :: #{recv := fun(() -> {ok, binary()} | {error, term()}),
                  send := fun((iodata()) -> term()),
                  viewer := merlon_status_core:viewer()}.

%% Bytes of a line of a request, and how many headers it may have.
-define(LINE_SIZE, 4096).
-define(HEADERS, 64).

%% What came already, and what is to come.
-spec answer(Read :: binary(), wire()) -> ok.
answer(Read, #{send := Send} = Wire) ->
    {Method, Answer} = first(Read, Wire),
    _ = Send(reply(Method, Answer)),
    ok.

%% ---- the request ----

first(Read, Wire) ->
    case line(http_bin, Read, Wire) of
        {ok, {http_request, Method, Target, {1, _}}, Rest} -> headers(Rest, Wire, {Method, Target}, ?HEADERS, []);
        {ok, {http_request, _, _, _}, _} -> {'GET', 505};
        Other -> {'GET', fault(Other)}
    end.

headers(_Read, _Wire, {Method, _}, 0, _Hosts) -> {Method, 431};
headers(Read, #{viewer := Viewer} = Wire, {Method, Target} = Request, Left, Hosts) ->
    case line(httph_bin, Read, Wire) of
        {ok, {http_header, _, 'Host', _, Host}, Rest} -> headers(Rest, Wire, Request, Left - 1, [Host | Hosts]);
        {ok, {http_header, _, _, _, _}, Rest} -> headers(Rest, Wire, Request, Left - 1, Hosts);
        {ok, http_eoh, _} -> {Method, merlon_status_core:request(Viewer, Method, Target, Hosts)};
        Other -> {Method, fault(Other)}
    end.

line(_Type, Read, _Wire) when byte_size(Read) > 2 * ?LINE_SIZE -> {error, emsgsize};
line(Type, Read, #{recv := Recv} = Wire) ->
    case erlang:decode_packet(Type, Read, [{packet_size, ?LINE_SIZE}]) of
        {more, _} ->
            case Recv() of
                {ok, More} -> line(Type, <<Read/binary, More/binary>>, Wire);
                {error, _} = Error -> Error
            end;
        {ok, _, _} = Line -> Line;
        {error, _} -> {error, emsgsize}
    end.

fault({ok, _, _}) -> 400;
fault({error, emsgsize}) -> 431;
fault({error, timeout}) -> 408;
fault({error, _}) -> 400.

%% ---- the answer ----

reply(Method, Answer) ->
    {Status, Type, More, Body} = content(Answer),
    Bytes = iolist_to_binary(Body),
    Head = ["HTTP/1.1 ", Status, "\r\nContent-Type: ", Type, "; charset=utf-8\r\nContent-Length: ",
            integer_to_list(byte_size(Bytes)), "\r\n", common(), More, "\r\n"],
    [Head | [Bytes || Method =/= 'HEAD']].

content(page) ->
    {"200 OK", "text/html", ["Content-Security-Policy: ", merlon_status_html:policy(), "\r\n"],
     merlon_status_html:page(merlon_status:view())};
content(json) -> {"200 OK", "application/json", nothing_runs(), merlon_status_core:json(merlon_status:view())};
content(Status) -> {status(Status), "text/plain", [nothing_runs(), [["Allow: GET, HEAD\r\n"] || Status =:= 405]],
                    [status(Status), $\n]}.

status(400) -> "400 Bad Request";
status(404) -> "404 Not Found";
status(405) -> "405 Method Not Allowed";
status(408) -> "408 Request Timeout";
status(421) -> "421 Misdirected Request";
status(431) -> "431 Request Header Fields Too Large";
status(505) -> "505 HTTP Version Not Supported".

nothing_runs() -> "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n".

common() ->
    "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n".
