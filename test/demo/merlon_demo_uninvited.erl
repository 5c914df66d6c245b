%% SPDX-License-Identifier: Apache-2.0
%% Those whom the demo's first node has not invited. Each must be refused, and the node must have
%% said so in one log line, which is shown.
-module(merlon_demo_uninvited).

-export([run/1]).

-include_lib("public_key/include/public_key.hrl").

-define(HOST, "127.0.0.1").

-spec run(map()) -> ok.
run(#{node := Node} = Scene0) ->
    Scene = Scene0#{port => port(Node)},
    [expect(Text, Reason, Try, Scene) || {Text, Reason, Try} <- guests()],
    scanner(Scene).

guests() ->
    [{"the right cookie, but no certificate", no_certificate, fun no_certificate/1},
     {"a certificate of another CA", unknown_issuer, fun other_ca/1},
     {"a valid certificate that claims another node's name", wrong_name, fun wrong_name/1},
     {"an expired certificate", expired, fun expired/1},
     {"a valid certificate with a wrong cookie", proof_refused, fun wrong_cookie/1},
     {"a plain TCP distribution node", plaintext_dist, fun plain_node/1}].

%% The port that the node listens on, as epmd says.
port(Node) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    Port.

expect(Text, Reason, Try, #{peer := Peer} = Scene) ->
    Before = merlon_peers:call(Peer, erlang, nodes, [connected]),
    Seen = length(merlon_peers:log(Peer)),
    ok = Try(Scene),
    Report = refusal(Peer, Seen),
    {Reason, _} = {maps:get(reason, Report), Text},
    Before = merlon_peers:call(Peer, erlang, nodes, [connected]),
    show(Text, Report).

refusal(Peer, Seen) ->
    Refused = fun() -> [R || #{event := refused} = R <- lists:nthtail(Seen, merlon_peers:log(Peer))] end,
    merlon_peers:wait(fun() -> Refused() =/= [] end),
    hd(Refused()).

show(Text, Report) ->
    {Format, Args} = merlon_event_text:format(Report),
    io:format("  refused: ~s~n           ~ts~n", [Text, io_lib:format(Format, Args)]).

no_certificate(Scene) ->
    tls(Scene, []).

%% A TLS client of OTP's own, up to the refusal.
tls(#{port := Port, dir := Dir}, Certificate) ->
    {ok, _} = application:ensure_all_started(ssl),
    Options = [{versions, ['tlsv1.3']}, {alpn_advertised_protocols, [<<"merlon/1">>]},
               {verify, verify_peer}, {cacertfile, filename:join([Dir, "trust", "ca.pem"])},
               {server_name_indication, disable}, {log_level, none}, {active, false}
               | Certificate],
    case ssl:connect(?HOST, Port, Options, 5000) of
        {ok, Socket} -> {error, _} = ssl:recv(Socket, 0, 5000), ok;
        {error, _} -> ok
    end.

%% Somebody who trusts our CA, as far as that goes, and has made a CA of the same name.
other_ca(#{tmp := Tmp, root := Root, dir := Dir} = Scene) ->
    Other = filename:join(Tmp, "other"),
    Mole = merlon_peers:node(merlon_peers:name("mole")),
    Merlon = filename:join([Root, "bin", "merlon"]),
    [_ = os:cmd(lists:join($\s, [Merlon | Args]))
     || Args <- [["init", "--dir", Other, "--cluster", "demo"],
                 ["cert", atom_to_list(Mole), "--dir", Other]]],
    lie(Scene, Other, [Dir], Mole, atom_to_binary(Mole)).

wrong_cookie(#{dir := Dir, node := Node}) ->
    Name = merlon_peers:name("guesser"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    ping(Name, merlon_peers:args(Dir, "guess"), Node).

plain_node(#{node := Node, cookie := Cookie}) ->
    ping(merlon_peers:name("plain"), ["-setcookie", Cookie], Node).

ping(Name, Args, Node) ->
    Peer = merlon_demo:start(Name, Args),
    pang = merlon_peers:call(Peer, net_adm, ping, [Node]),
    merlon_peers:stop(Peer).

%% Merlon's own nodes would not do this: the library is driven by hand.
wrong_name(#{dir := Dir, victim := Victim} = Scene) ->
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    lie(Scene, Dir, [], Mallory, atom_to_binary(Victim)).

%% A certificate of the demo's own CA, its dates set back and signed again with the CA's key.
expired(#{dir := Dir} = Scene) ->
    Late = merlon_peers:node(merlon_peers:name("late")),
    ok = merlon_peers:add_node(Dir, Late),
    Folder = filename:join([Dir, "nodes", atom_to_list(Late)]),
    [Cert] = pem(filename:join(Folder, "cert.pem")),
    [CaKey] = pem(filename:join([Dir, "ca", "ca.key"])),
    #'OTPCertificate'{tbsCertificate = Tbs} =
        public_key:pkix_decode_cert(element(2, Cert), otp),
    Past = #'Validity'{notBefore = {utcTime, "200101000000Z"}, notAfter = {utcTime, "200102000000Z"}},
    Old = public_key:pkix_sign(Tbs#'OTPTBSCertificate'{validity = Past},
                               public_key:pem_entry_decode(CaKey)),
    tls(Scene, [{cert, Old}, {keyfile, filename:join(Folder, "key.pem")}]).

pem(File) ->
    {ok, Pem} = file:read_file(File),
    public_key:pem_decode(Pem).

%% Dials with Node's certificate of Dir, calling itself Own; trusts the CAs of More dirs too.
lie(#{port := Port, node := Target, cookie := Cookie}, Dir, More, Node, Own) ->
    Now = erlang:system_time(second),
    Folder = filename:join([Dir, "nodes", atom_to_list(Node)]),
    Read = fun(Parts) -> {ok, Pem} = file:read_file(filename:join(Parts)), Pem end,
    [Cert, Key] = [Read([Folder, File]) || File <- ["cert.pem", "key.pem"]],
    Trust = [Read([D, "trust", "ca.pem"]) || D <- [Dir | More]],
    {ok, Identity} =
        merlon_nif:identity_new(#{cert => Cert, key => Key, trust => Trust, crls => [], stale_crl => refuse,
                                  cluster => <<"demo">>, cli_names => default,
                                  derived_names => [], key_update_after => 1 bsl 23, now => Now}),
    {ok, Conn} = merlon_nif:connect({127, 0, 0, 1}, Port, undefined, []),
    connected(Conn),
    ok = merlon_nif:dial(Conn, Identity, Own, atom_to_binary(Target),
                         [{vm_cookie, list_to_binary(Cookie)}], Now),
    {error, _} = advance(Conn),
    merlon_nif:close(Conn).

connected(Conn) ->
    case merlon_nif:connected(Conn) of
        ok -> ok;
        wait -> receive {select, _, _, _} -> connected(Conn) after 5000 -> error(timeout) end
    end.

advance(Conn) ->
    case merlon_nif:advance(Conn) of
        wait -> receive {select, _, _, _} -> advance(Conn) after 5000 -> error(timeout) end;
        Other -> Other
    end.

%% Says nothing; meanwhile another node joins.
scanner(#{peer := Peer, port := Port, dir := Dir, node := Node, cookie := Cookie}) ->
    Seen = length(merlon_peers:log(Peer)),
    Silent = [begin {ok, S} = gen_tcp:connect(?HOST, Port, []), S end || _ <- lists:seq(1, 20)],
    Name = merlon_peers:name("dora"),
    ok = merlon_peers:add_node(Dir, merlon_peers:node(Name)),
    Dora = merlon_demo:start(Name, merlon_peers:args(Dir, Cookie)),
    {Time, pong} = timer:tc(fun() -> merlon_peers:call(Dora, net_adm, ping, [Node]) end),
    Report = #{reason := timeout} = refusal(Peer, Seen),
    show(io_lib:format("20 port scanners that say nothing (dora joined meanwhile, in ~b ms)",
                       [Time div 1000]), Report),
    merlon_peers:stop(Dora),
    [gen_tcp:close(S) || S <- Silent],
    ok.
