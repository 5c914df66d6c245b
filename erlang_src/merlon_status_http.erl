%% SPDX-License-Identifier: Apache-2.0
%% Serves the status page where `{status, {Ip, Port}}` of merlon.config says, and follows that setting. One request for each
%% connection, with one deadline for all of it; of too many connections the oldest gives way, so that those that say nothing
%% keep nobody out.
-module(merlon_status_http).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, address/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds between two looks at the setting, and for a whole request.
-define(POLL, 1000).
-define(DEADLINE, 5000).
-define(CONNECTIONS, 32).
%% Bytes of a line of a request, and how many headers it may have.
-define(LINE_SIZE, 4096).
-define(HEADERS, 64).

-record(state, {place = off :: merlon_status_core:place(), listener = none :: none | gen_tcp:socket(),
                failed = none :: none | {merlon_status_core:place(), term()},
                connections = [] :: [pid()]}).   % the youngest first

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

-spec address() -> merlon_status_core:place().
address() ->
    try gen_server:call(?MODULE, address)
    catch exit:{noproc, _} -> off
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    self() ! poll,
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(address, _From, #state{listener = none} = State) ->
    {reply, off, State};
handle_call(address, _From, #state{listener = Listener} = State) ->
    {ok, Address} = inet:sockname(Listener),
    {reply, Address, State};
handle_call({connection, Pid}, _From, #state{connections = Others} = State) ->
    _ = erlang:monitor(process, Pid),
    {Kept, Over} = lists:split(min(?CONNECTIONS, length(Others) + 1), [Pid | Others]),
    _ = [exit(Oldest, kill) || Oldest <- Over],
    {reply, ok, State#state{connections = Kept}};
handle_call(_, _From, State) ->
    {reply, {error, unknown_call}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    _ = erlang:send_after(?POLL, self(), poll),
    {noreply, follow(wanted(merlon_node:current()), State)};
handle_info({'DOWN', _, process, Pid, _}, #state{connections = Connections} = State) ->
    {noreply, State#state{connections = lists:delete(Pid, Connections)}};
handle_info(_, State) ->
    {noreply, State}.

%% ---- listening ----

wanted({ok, #{config := #{status := Place}}}) -> Place;
wanted(_) -> off.

follow(Place, #state{place = Place, listener = Listener} = State) when Place =:= off; Listener =/= none -> State;
follow(Place, #state{listener = Before} = State) ->
    %% Its acceptor ends with it.
    _ = Before =/= none andalso gen_tcp:close(Before),
    listen(Place, State#state{place = Place, listener = none}).

listen(off, State) -> State#state{failed = none};
listen({Ip, Port} = Place, #state{failed = Failed} = State) ->
    case gen_tcp:listen(Port, options(Ip)) of
        {ok, Listener} ->
            Server = self(),
            _ = spawn_link(fun() -> accept(Listener, Server) end),
            State#state{listener = Listener, failed = none};
        {error, Reason} ->
            %% Tried again, told once.
            _ = Failed =/= {Place, Reason} andalso spawn(merlon_event, status_failed, [failed(Place, Reason)]),
            State#state{failed = {Place, Reason}}
    end.

options(Ip) ->
    family(Ip) ++ [binary, {ip, Ip}, {active, false}, {reuseaddr, true}, {backlog, 128}, {packet, http_bin},
                   {packet_size, ?LINE_SIZE}, {send_timeout, ?DEADLINE}, {send_timeout_close, true}].

family(Ip) when tuple_size(Ip) =:= 8 -> [inet6, {ipv6_v6only, true}];
family(_) -> [inet].

failed({Ip, Port}, Reason) ->
    io_lib:format("the status page can't be served on ~s, port ~b: ~ts; free it, or change {status, ...} in merlon.config",
                  [inet:ntoa(Ip), Port, inet:format_error(Reason)]).

accept(Listener, Server) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            hand_over(Socket, Server),
            accept(Listener, Server);
        {error, closed} -> ok;
        %% EMFILE for example.
        {error, _} ->
            timer:sleep(100),
            accept(Listener, Server)
    end.

hand_over(Socket, Server) ->
    Pid = spawn(fun() -> receive serve -> serve(Socket) after ?DEADLINE -> ok end end),
    case gen_tcp:controlling_process(Socket, Pid) of
        ok ->
            ok = gen_server:call(Server, {connection, Pid}, infinity),
            Pid ! serve;
        {error, _} ->
            gen_tcp:close(Socket),
            exit(Pid, kill)
    end.

%% ---- one connection ----

serve(Socket) ->
    Deadline = now_ms() + ?DEADLINE,
    {Method, Answer} = first(Socket, Deadline),
    ok = answer(Socket, Method, Answer),
    ok = linger(Socket),
    gen_tcp:close(Socket).

now_ms() -> erlang:monotonic_time(millisecond).

line(Socket, Deadline) -> gen_tcp:recv(Socket, 0, max(0, Deadline - now_ms())).

first(Socket, Deadline) ->
    case line(Socket, Deadline) of
        {ok, {http_request, Method, Target, {1, _}}} -> headers(Socket, Deadline, {Method, Target}, ?HEADERS, []);
        {ok, {http_request, _, _, _}} -> {'GET', 505};
        Other -> {'GET', fault(Other)}
    end.

headers(_Socket, _Deadline, {Method, _}, 0, _Hosts) -> {Method, 431};
headers(Socket, Deadline, {Method, Target} = Request, Left, Hosts) ->
    case line(Socket, Deadline) of
        {ok, {http_header, _, 'Host', _, Host}} -> headers(Socket, Deadline, Request, Left - 1, [Host | Hosts]);
        {ok, {http_header, _, _, _, _}} -> headers(Socket, Deadline, Request, Left - 1, Hosts);
        {ok, http_eoh} -> {Method, merlon_status_core:request(Method, Target, Hosts)};
        Other -> {Method, fault(Other)}
    end.

fault({ok, _}) -> 400;
fault({error, emsgsize}) -> 431;
fault({error, timeout}) -> 408;
fault({error, _}) -> 400.

answer(Socket, Method, Answer) ->
    {Status, Type, More, Body} = content(Answer),
    Bytes = iolist_to_binary(Body),
    Head = ["HTTP/1.1 ", Status, "\r\nContent-Type: ", Type, "; charset=utf-8\r\nContent-Length: ",
            integer_to_list(byte_size(Bytes)), "\r\n", common(), More, "\r\n"],
    _ = gen_tcp:send(Socket, [Head | [Bytes || Method =/= 'HEAD']]),
    ok.

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

%% What was sent and not read would turn the answer into a reset. A little of it, for a little while.
linger(Socket) ->
    _ = gen_tcp:shutdown(Socket, write),
    _ = inet:setopts(Socket, [{packet, raw}]),
    drain(Socket, now_ms() + 500, 64).

drain(_Socket, _Until, 0) -> ok;
drain(Socket, Until, Left) ->
    case gen_tcp:recv(Socket, 0, max(0, Until - now_ms())) of
        {ok, _} -> drain(Socket, Until, Left - 1);
        {error, _} -> ok
    end.
