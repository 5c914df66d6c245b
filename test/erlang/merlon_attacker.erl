%% SPDX-License-Identifier: Apache-2.0
%% What a hostile peer has: raw sockets, OTP's ssl with any certificate, and the carrier's own NIF
%% driven as a client that lies. And the victim: a merlon node whose log says how it took it.
-module(merlon_attacker).

-export([victim/4, stop/1, refusal/2, refusal/3, refusals/1, once/1]).
-export([identity/2, identity/3, identity/4, ssl_opts/1, forged/3, fingerprint/1]).
-export([tcp/1, last_words/1, client_hello/0, verdict/2, alert/1]).
-export([dial/5, linked/3, conn/1, until/1, frame/2, frames/3, hello/2, shake/3, gone/1]).
-export([impersonate/2]).
-export_type([victim/0, address/0]).

-include_lib("public_key/include/public_key.hrl").

-type address() :: {inet:ip_address(), inet:port_number()}.
-type victim() :: #{pid := pid(), node := node(), dir := file:filename(), address := address()}.
-type folder() :: string().

-define(COOKIE, <<"merlontest">>).
-define(PATIENCE, 10000).

%% ---- the victim ----

%% A merlon node named after Base, its certificate from the CA of Dir, with these settings added
%% to the dir's merlon.config.
-spec victim(string(), file:filename(), [{atom(), term()}], [string()]) -> victim().
victim(Base, Dir, Settings, Args) ->
    Name = merlon_peers:name(Base),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    ok = file:write_file(filename:join(Dir, "merlon.config"),
                         [io_lib:format("~p.~n", [Setting]) || Setting <- Settings], [append]),
    {ok, Pid, Node} = merlon_peers:start(Name, merlon_peers:args(Dir) ++ Args),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    #{pid => Pid, node => Node, dir => Dir, address => {{127, 0, 0, 1}, Port}}.

-spec stop(victim()) -> ok.
stop(#{pid := Pid}) ->
    merlon_peers:stop(Pid).

%% What the victim logged when it refused the peer with that address: waits for it.
-spec refusal(victim(), address()) -> map().
refusal(Victim, Peer) ->
    merlon_peers:wait(fun() -> refused(Victim, Peer) =/= [] end),
    [Report] = refused(Victim, Peer),
    Report.

%% The same of the Nth time that a peer had that address: ports come again.
-spec refusal(victim(), address(), pos_integer()) -> map().
refusal(Victim, Peer, Nth) ->
    merlon_peers:wait(fun() -> length(refused(Victim, Peer)) >= Nth end),
    lists:nth(Nth, refused(Victim, Peer)).

refused(Victim, Peer) ->
    [Report || #{peer := From} = Report <- refusals(Victim), From =:= Peer].

%% Everything that the victim refused so far.
-spec refusals(#{pid := pid(), _ => _}) -> [map()].
refusals(#{pid := Pid}) ->
    [Report || #{event := refused} = Report <- merlon_peers:log(Pid)].

%% No peer was refused more than once, so the log has one line for each.
-spec once(victim()) -> ok.
once(Victim) ->
    Peers = [Peer || #{peer := Peer, side := accept} <- refusals(Victim)],
    [] = Peers -- lists:usort(Peers),
    ok.

%% ---- certificates ----

%% A node's or tool's identity for the NIF: its folder, and the dir whose CA is trusted.
-spec identity(file:filename(), node() | folder()) -> merlon_nif:identity().
identity(Dir, Whose) ->
    identity(Dir, Whose, Dir).

-spec identity(file:filename(), node() | folder(), file:filename()) -> merlon_nif:identity().
identity(Dir, Whose, TrustDir) ->
    identity(Dir, Whose, TrustDir, <<"attacked">>).

-spec identity(file:filename(), node() | folder(), file:filename(), binary()) -> merlon_nif:identity().
identity(Dir, Whose, TrustDir, Cluster) ->
    Read = fun(File) -> {ok, Text} = file:read_file(File), Text end,
    {ok, Ref} = merlon_nif:identity_new(
                  #{cert => Read(filename:join(folder(Dir, Whose), "cert.pem")),
                    key => Read(filename:join(folder(Dir, Whose), "key.pem")),
                    trust => [Read(filename:join([TrustDir, "trust", "ca.pem"]))], crls => [],
                    stale_crl => refuse,
                    cluster => Cluster, cli_names => default, derived_names => [],
                    key_update_after => 1 bsl 23, now => erlang:system_time(second)}),
    Ref.

folder(Dir, Node) when is_atom(Node) -> filename:join([Dir, "nodes", atom_to_list(Node)]);
folder(Dir, Folder) -> filename:join(Dir, Folder).

%% The same for OTP's ssl.
-spec ssl_opts(folder()) -> [tuple()].
ssl_opts(Folder) ->
    [{certfile, filename:join(Folder, "cert.pem")}, {keyfile, filename:join(Folder, "key.pem")}].

%% A certificate of Node's that Change has been at, signed by the key in SignKey. Gives ssl options.
-spec forged({file:filename(), node()}, file:filename(),
             fun((#'OTPTBSCertificate'{}) -> #'OTPTBSCertificate'{})) -> [tuple()].
forged({Dir, Node}, SignKey, Change) ->
    Folder = folder(Dir, Node),
    [{_, Der, _}] = pem(filename:join(Folder, "cert.pem")),
    [KeyEntry] = pem(filename:join(Folder, "key.pem")),
    [SignEntry] = pem(SignKey),
    #'OTPCertificate'{tbsCertificate = Tbs} = public_key:pkix_decode_cert(Der, otp),
    Cert = public_key:pkix_sign(Change(Tbs), public_key:pem_entry_decode(SignEntry)),
    [{cert, Cert}, {key, {element(1, KeyEntry), element(2, KeyEntry)}}].

pem(File) ->
    {ok, Text} = file:read_file(File),
    public_key:pem_decode(Text).

%% As the carrier's log has it.
-spec fingerprint([tuple()]) -> binary().
fingerprint(Opts) ->
    Der = case lists:keyfind(cert, 1, Opts) of
              {cert, Cert} -> Cert;
              false -> element(2, hd(pem(proplists:get_value(certfile, Opts))))
          end,
    string:lowercase(binary:encode_hex(crypto:hash(sha256, Der))).

%% ---- raw TCP and ssl ----

-spec tcp(victim()) -> {gen_tcp:socket(), address()}.
tcp(#{address := {Ip, Port}}) ->
    {ok, Socket} = gen_tcp:connect(Ip, Port, [binary, {active, false}, {nodelay, true}]),
    {ok, Local} = inet:sockname(Socket),
    {Socket, Local}.

%% All that still comes before the end of the stream.
-spec last_words(gen_tcp:socket()) -> binary().
last_words(Socket) ->
    last_words(Socket, <<>>).

last_words(Socket, Bytes) ->
    case gen_tcp:recv(Socket, 0, ?PATIENCE) of
        {ok, More} -> last_words(Socket, <<Bytes/binary, More/binary>>);
        {error, Reason} when Reason =/= timeout -> Bytes
    end.

%% The first record that an ordinary client of the carrier sends.
-spec client_hello() -> binary().
client_hello() ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    Client = spawn(fun() -> ssl:connect({127, 0, 0, 1}, Port, client([])) end),
    {ok, Socket} = gen_tcp:accept(Listener, ?PATIENCE),
    {ok, <<_:3/binary, Len:16>> = Head} = gen_tcp:recv(Socket, 5, ?PATIENCE),
    {ok, Body} = gen_tcp:recv(Socket, Len, ?PATIENCE),
    exit(Client, kill),
    [ok = gen_tcp:close(Each) || Each <- [Socket, Listener]],
    <<Head/binary, Body/binary>>.

%% Shakes hands by OTP's ssl and waits for what the victim makes of it: the name of its alert, or
%% what it sent. The caller's address goes with it.
-spec verdict(victim(), [tuple()]) -> {atom() | term(), address()}.
verdict(Victim, Opts) ->
    {Tcp, Local} = tcp(Victim),
    case ssl:connect(Tcp, client(Opts), ?PATIENCE) of
        {ok, Ssl} ->
            Heard = receive
                        {ssl_error, Ssl, Reason} -> alert({error, Reason});
                        {ssl, Ssl, Bytes} -> Bytes;
                        {ssl_closed, Ssl} -> closed
                    after ?PATIENCE -> error(timeout)
                    end,
            ok = ssl:close(Ssl),
            {Heard, Local};
        Refused -> {alert(Refused), Local}
    end.

%% The value `none` stands for an option not to be given.
client(Opts) ->
    Defaults = [{versions, ['tlsv1.3']}, {verify, verify_none}, {log_level, none},
                {alpn_advertised_protocols, [<<"merlon/1">>]}, {active, true}, {mode, binary}],
    [Opt || {_, Value} = Opt <- Opts, Value =/= none] ++
        [Default || {Key, _} = Default <- Defaults, not lists:keymember(Key, 1, Opts)].

-spec alert(term()) -> atom() | term().
alert({error, {tls_alert, {Name, _}}}) -> Name;
alert(Other) -> Other.

%% ---- the carrier's own client, lying ----

%% Dials Victim as Own with this identity and cookie.
-spec dial(victim(), merlon_nif:identity(), binary(), binary(), binary()) ->
          {established | {error, map()}, merlon_nif:conn(), address()}.
dial(Victim, Identity, Own, Target, Cookie) ->
    {Conn, Local} = conn(Victim),
    ok = merlon_nif:dial(Conn, Identity, Own, Target, [{vm_cookie, Cookie}],
                         erlang:system_time(second)),
    {until(fun() -> merlon_nif:advance(Conn) end), Conn, Local}.

%% A link that is up, with a client that is no VM.
-spec linked(victim(), merlon_nif:identity(), node()) -> merlon_nif:conn().
linked(#{pid := Pid, node := Victim} = Attacked, Identity, Node) ->
    {established, Conn, _} = dial(Attacked, Identity, atom_to_binary(Node), atom_to_binary(Victim), ?COOKIE),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    {ok, <<$a, _:16/binary>>} = shake(Conn, atom_to_binary(Node), Cookie),
    merlon_peers:wait(fun() -> [] =/= [Up || #{node := Up} <- merlon_peers:call(Pid, merlon, connections, []),
                                             Up =:= Node] end),
    Conn.

-spec conn(victim()) -> {merlon_nif:conn(), address()}.
conn(#{address := {Ip, Port}}) ->
    {ok, Conn} = merlon_nif:connect(Ip, Port, undefined, [{nodelay, true}]),
    ok = until(fun() -> merlon_nif:connected(Conn) end),
    {ok, Local} = merlon_nif:sockname(Conn),
    {Conn, Local}.

%% Calls Step until it has not to wait for the socket any more.
-spec until(fun(() -> wait | Result)) -> Result.
until(Step) ->
    case Step() of
        wait -> receive {select, _, _, _} -> until(Step) after ?PATIENCE -> error(timeout) end;
        Result -> Result
    end.

%% Sends one frame.
-spec frame(merlon_nif:conn(), iodata()) -> ok.
frame(Conn, Bytes) ->
    ok = merlon_nif:send(Conn, [sized(iolist_to_binary(Bytes))]).

%% Sends frames whose bytes may be more than the socket takes; the peer may end it at any time.
-spec frames(merlon_nif:conn(), pos_integer(), binary()) -> ok | {error, term()}.
frames(Conn, Count, Bytes) ->
    written(Conn, merlon_nif:send(Conn, lists:duplicate(Count, sized(Bytes)))).

sized(Bytes) -> {byte_size(Bytes), [Bytes]}.

written(Conn, blocked) ->
    receive {select, _, _, ready_output} -> written(Conn, merlon_nif:flush(Conn))
    after ?PATIENCE -> error(timeout)
    end;
written(_Conn, Result) ->
    Result.

%% The name packet of dist_util's handshake.
-spec hello(merlon_nif:conn(), binary()) -> ok.
hello(Conn, Name) ->
    {erts_dflags, Flags, _, _, _, _} = erts_internal:get_dflags(),
    frame(Conn, <<$N, Flags:64, 4711:32, (byte_size(Name)):16, Name/binary>>).

%% dist_util's handshake as the node Name, to its end, with the pair cookie or another.
-spec shake(merlon_nif:conn(), binary(), binary()) -> {ok, binary()} | {error, term()}.
shake(Conn, Name, Cookie) ->
    hello(Conn, Name),
    {ok, <<"sok">>} = receive_one(Conn),
    {ok, <<$N, _Flags:64, Challenge:32, _/binary>>} = receive_one(Conn),
    Digest = erlang:md5([Cookie, integer_to_list(Challenge)]),
    frame(Conn, <<$r, 1234:32, Digest/binary>>),
    receive_one(Conn).

receive_one(Conn) ->
    until(fun() -> merlon_nif:recv_one(Conn) end).

%% Waits for the end of a link and gives its reason.
-spec gone(merlon_nif:conn()) -> term().
gone(Conn) ->
    case until(fun() -> merlon_nif:recv_one(Conn) end) of
        {error, Reason} -> Reason;
        {ok, _} -> gone(Conn)
    end.

%% ---- epmd ----

%% Registers Name with epmd for a port that is not that node's. It holds as long as the socket.
-spec impersonate(string(), inet:port_number()) -> gen_tcp:socket().
impersonate(Name, Port) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, 4369, [binary, {active, false}, {packet, raw}]),
    Request = [<<120, Port:16, 77, 0, 6:16, 5:16, (length(Name)):16>>, Name, <<0:16>>],
    ok = gen_tcp:send(Socket, [<<(iolist_size(Request)):16>> | Request]),
    {ok, <<_, 0, _/binary>>} = gen_tcp:recv(Socket, 0, ?PATIENCE),
    Socket.
