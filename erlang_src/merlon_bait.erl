%% SPDX-License-Identifier: Apache-2.0
%% A decoy node: shows whether a node dials a stranger and answers its challenge, which gives whoever listens a digest to
%% search the cookie with. Who dials over TLS is told apart and shown nothing. A digest is used to see whether it is of
%% the operator's own cookie, and forgotten, unless `keep` says where to.
-module(merlon_bait).

-export([run/2, format_error/1]).
-export([look/3]).

-type options() ::
        #{milliseconds := pos_integer(), name := binary(),
          cookies := [{Where :: string(), fun(() -> binary())}],    % to compare digests with
          gossip => {inet:ip_address(), inet:port_number()},        % where a heartbeat of libcluster's goes
          keep => string(),                                         % file for challenge and digest
          epmd => inet:port_number(),
          told => fun((iodata()) -> term())}.
-type reason() :: {listen, inet:ip_address(), inet:posix()} | {epmd, term()} | {gossip, inet:posix()}.

-define(HANDSHAKE, 5000).
%% Connections that are looked at, in all and at a time.
-define(MOST, 1000).
-define(AT_ONCE, 32).
-define(PACKET, 2048).

%% Listens at Ip until the time is over. The decoy is NAME@Ip.
-spec run(inet:ip_address(), options()) -> {ok, [map()]} | {error, reason()}.
run(Ip, Options) ->
    Family = case Ip of {_, _, _, _} -> inet; _ -> inet6 end,
    case gen_tcp:listen(0, [Family, binary, {ip, Ip}, {active, false}, {packet, raw}, {backlog, ?AT_ONCE}]) of
        {ok, Listener} ->
            try named(Ip, Listener, Options) after gen_tcp:close(Listener) end;
        {error, Posix} -> {error, {listen, Ip, Posix}}
    end.

named(Ip, Listener, #{name := Name} = Options) ->
    {ok, Port} = inet:port(Listener),
    case merlon_bait_epmd:start(Ip, maps:get(epmd, Options, merlon_wire_epmd:port()), Name, Port) of
        {ok, Epmd} ->
            try gossiped(Ip, Listener, Options) after merlon_bait_epmd:stop(Epmd) end;
        {error, Reason} -> {error, {epmd, Reason}}
    end.

gossiped(Ip, Listener, Options) ->
    Node = node_name(Ip, Options),
    case gossip(Ip, Node, Options) of
        ok ->
            say(Options, ["The decoy is ", Node, ". Let a node dial it, or wait for one that does by itself.\n"]),
            {ok, serve(Listener, Node, merlon_wire_io:deadline(maps:get(milliseconds, Options)), Options, 0, [], [])};
        {error, Posix} -> {error, {gossip, Posix}}
    end.

node_name(Ip, #{name := Name}) -> iolist_to_binary([Name, $@, inet:ntoa(Ip)]).

%% What Cluster.Strategy.Gossip without a secret sends: a word and a map with the sender's name. By multicast or broadcast it
%% goes to the network that the decoy's own address is in.
gossip(Own, Node, #{gossip := {Ip, Port}}) ->
    {ok, Socket} = gen_udp:open(0, [binary, {active, false}, {multicast_ttl, 1}, {broadcast, true}
                                    | [{multicast_if, Own} || tuple_size(Own) =:= 4]]),
    Heartbeat = <<131, $t, 1:32, $w, 4, "node", $w, (byte_size(Node)), Node/binary>>,
    Sent = gen_udp:send(Socket, Ip, Port, [<<"heartbeat::">>, Heartbeat]),
    gen_udp:close(Socket),
    Sent;
gossip(_Own, _Node, _Options) -> ok.

%% ---- who comes ----

serve(Listener, Node, Deadline, Options, Count, Busy, Found) ->
    {Still, New} = collected(Busy, 0),
    case merlon_wire_io:left(Deadline) of
        0 -> Found ++ New ++ element(2, collected(Still, ?HANDSHAKE));
        Left ->
            More = accepted(Listener, min(200, Left), Node, Options, Count, length(Still)),
            serve(Listener, Node, Deadline, Options, Count + length(More), More ++ Still, Found ++ New)
    end.

%% Nobody is let in any more: then time has to pass by itself.
accepted(_Listener, Wait, _Node, _Options, Count, Busy) when Count >= ?MOST; Busy >= ?AT_ONCE -> timer:sleep(Wait), [];
accepted(Listener, Wait, Node, Options, _Count, _Busy) ->
    case gen_tcp:accept(Listener, Wait) of
        {ok, Socket} -> [started(Socket, Node, Options)];
        {error, _} -> []
    end.

started(Socket, Node, Options) ->
    Worker = {Pid, _} = spawn_monitor(?MODULE, look, [Socket, Node, Options]),
    _ = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    Worker.

-spec look(gen_tcp:socket(), binary(), options()) -> no_return().
look(Socket, Node, Options) ->
    receive go -> exit({seen, looked_at(Socket, Node, Options)})
    after ?HANDSHAKE -> exit(late)
    end.

collected(Busy, Wait) ->
    lists:foldl(fun(Worker, {Still, Found}) ->
                    case ended(Worker, Wait) of
                        {done, New} -> {Still, Found ++ New};
                        busy -> {[Worker | Still], Found}
                    end
                end, {[], []}, Busy).

ended({Pid, Monitor}, Wait) ->
    receive
        {'DOWN', Monitor, process, Pid, {seen, Found}} -> {done, Found};
        {'DOWN', Monitor, process, Pid, _} -> {done, []}
    after Wait -> busy
    end.

looked_at(Socket, Node, Options) ->
    {ok, {Ip, _}} = inet:peername(Socket),
    Deadline = merlon_wire_io:deadline(?HANDSHAKE),
    Found = first(merlon_wire_io:read(Socket, 3, Deadline), Socket, Node, Deadline),
    gen_tcp:close(Socket),
    [raw(Rule, Ip, What) || {Rule, What} <- told(Found, Options)].

%% A TLS record, or the length of a dist packet and its tag.
first({ok, <<22, 3, _>>}, _Socket, _Node, _Deadline) -> tls;
first({ok, <<Size:16, $N>>}, Socket, Node, Deadline) when Size > 1, Size =< ?PACKET ->
    case merlon_wire_io:read(Socket, Size - 1, Deadline) of
        {ok, Rest} -> named(merlon_wire_dist:parse(<<$N, Rest/binary>>), Socket, Node, Deadline);
        {error, _} -> nothing
    end;
first(_, _Socket, _Node, _Deadline) -> nothing.

named({name, Flags, Dialler}, Socket, Node, Deadline) ->
    Challenge = rand:uniform(16#100000000) - 1,
    _ = send(Socket, merlon_wire_dist:status(<<"ok">>)),
    _ = send(Socket, merlon_wire_dist:challenge(Node, Challenge, Flags)),
    {dialled, merlon_wire_io:printable(Dialler), reply(merlon_wire_io:read(Socket, 23, Deadline), Challenge)};
named(_, _Socket, _Node, _Deadline) -> nothing.

send(Socket, Packet) -> gen_tcp:send(Socket, [<<(byte_size(Packet)):16>>, Packet]).

%% That the digest is of that challenge nobody can say who has not the cookie.
reply({ok, <<21:16, Packet:21/binary>>}, Challenge) ->
    case merlon_wire_dist:parse(Packet) of
        {reply, _, Digest} -> {revealed, Challenge, Digest};
        _ -> nothing
    end;
reply(_, _Challenge) -> nothing.

%% ---- what that means ----

told({dialled, Dialler, {revealed, Challenge, Digest}}, Options) ->
    say(Options, [Dialler, " has shown a digest.\n"]),
    unkept(kept(Options, Challenge, Digest), Options),
    [{bait_digest, [Dialler, " dials a stranger and shows a digest of its cookie, ", worth(Challenge, Digest, Options)]}];
told({dialled, Dialler, nothing}, _Options) ->
    [{bait_dialled, [Dialler, " dials a stranger and names itself, but answers no challenge"]}];
told(tls, _Options) ->
    [{bait_tls, "dials a stranger over TLS, and shows it nothing before the stranger has proven itself"}];
told(nothing, _Options) -> [].

worth(Challenge, Digest, #{cookies := Cookies}) ->
    case [{Where, Cookie} || {Where, Cookie} <- Cookies, digest(Cookie(), Challenge) =:= Digest] of
        [{Where, Cookie} | _] -> ["that of ", Where, ": ", time(merlon_cookie:analyse(Cookie()))];
        [] -> "which is none that this command knows: one that OTP has made is found in a second on one GPU"
    end.

%% As dist_util makes it.
digest(Cookie, Challenge) -> erlang:md5([Cookie, integer_to_binary(Challenge)]).

time(#{class := fine}) -> "nobody guesses it, but who has it runs anything on the node";
time(#{class := Class, gpu_seconds := Gpu, cpu_seconds := Cpu}) ->
    io_lib:format("~s, found in ~ts on one core, ~ts on one GPU", [Class, merlon_cookie_text:time(Cpu), merlon_cookie_text:time(Gpu)]).

%% Whoever has it can search for the cookie: nobody else may read it.
kept(#{keep := File}, Challenge, Digest) ->
    Line = [integer_to_binary(Challenge), $:, binary:encode_hex(Digest), $\n],
    case file:open(File, [append, raw]) of
        {ok, Io} -> written(file:change_mode(File, 8#600), Io, Line);
        {error, _} = Error -> Error
    end;
kept(_, _Challenge, _Digest) -> ok.

written(ok, Io, Line) ->
    Written = file:write(Io, Line),
    Closed = file:close(Io),
    case Written of
        ok -> Closed;
        {error, _} -> Written
    end;
written({error, _} = Error, Io, _Line) ->
    _ = file:close(Io),
    Error.

%% That a node has shown a digest is a finding, kept or not.
unkept(ok, _Options) -> ok;
unkept({error, Reason}, #{keep := File} = Options) ->
    say(Options, ["It could not be kept in ", File, ": ", file:format_error(Reason), $\n]).

say(#{told := Told}, Text) -> _ = Told(Text), ok;
say(_, _Text) -> ok.

raw(Rule, Ip, What) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    #{rule => Rule, severity => merlon_audit_rules:severity(Row, none), source => wire, file => list_to_binary(inet:ntoa(Ip)),
      line => 0, what => iolist_to_binary(What)}.

-spec format_error(reason()) -> iodata().
format_error({listen, Ip, Posix}) ->
    ["can't listen at ", inet:ntoa(Ip), " (", inet:format_error(Posix), "): give an address of this machine"];
format_error({epmd, refused}) ->
    "the epmd of this host does not take the decoy's name: wait until the other decoy has ended";
format_error({epmd, Reason}) ->
    io_lib:format("neither can epmd's port be listened on nor the epmd there be asked (~0p): set ERL_EPMD_PORT as the nodes have it",
                  [Reason]);
format_error({gossip, Posix}) -> ["the heartbeat can't be sent: ", inet:format_error(Posix)].
