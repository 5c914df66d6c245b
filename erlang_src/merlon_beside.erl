%% SPDX-License-Identifier: Apache-2.0
%% Links with nodes that have no merlon: plain TCP, and OTP's inet_tls (merlon_interop says with which). Who comes so is read up to
%% its name under the same deadline, places and order of leaving as everybody else, and holds its place until the cookie's
%% challenge is over.
-module(merlon_beside).

-export([serve/3, watched/3, dial/4, dial/5]).

%% A merlon node answers a ClientHello within this many milliseconds; a node without TLS waits for more of it.
-define(SILENCE, 1000).

-type failure() :: #{phase := atom(), reason := atom(), text := binary(), _ => _}.

%% ---- accepting ----

%% As merlon_handshake:serve/3, for whoever speaks without TLS too if anybody may.
-spec serve(merlon_nif:conn(), pid(), merlon_handshake:deadline()) ->
          {ok, merlon_handshake:claim()} | join | {error, failure()}.
serve(Conn, Acceptor, Deadline) ->
    case merlon_interop:is_on() andalso until({Acceptor, Deadline}, fun() -> merlon_nif:first(Conn) end) of
        {ok, Byte} when Byte < 4 -> plain(Conn, {Acceptor, Deadline});
        {ended, Failure} -> {error, Failure};
        _ -> over_tls(Conn, {Acceptor, Deadline})
    end.

over_tls(Conn, {Acceptor, Deadline} = Limits) ->
    case merlon_handshake:serve(Conn, Acceptor, Deadline) of
        foreign -> named(inet_tls, Conn, Limits);
        Result -> Result
    end.

%% A length of 2 bytes, whose first one is never that of a TLS record, then a name.
plain(Conn, Limits) ->
    {ok, {Ip, _}} = merlon_nif:peername(Conn),
    case merlon_interop:admits(Ip) of
        ok ->
            ok = merlon_nif:plain(Conn),
            named(plain, Conn, Limits);
        {error, _} = Error -> Error
    end.

%% What dist_util reads again.
named(Carrier, Conn, Limits) ->
    case until(Limits, fun() -> merlon_nif:peek_one(Conn) end) of
        {ok, <<$N, Flags:64, _Creation:32, Len:16, Name:Len/binary, _/binary>>} when Len > 0 ->
            claimed(Carrier, Conn, unicode:characters_to_binary(binary_to_list(Name)), merlon_probe:is_nameless(Flags));
        {ok, _} -> {error, failure(malformed, <<"what it speaks is no dist handshake">>)};
        {ended, Failure} -> {error, Failure};
        {error, Reason} -> {error, failure(Reason, <<"the connection broke during the handshake">>)}
    end.

%% A node that asks for a dynamic name has no past.
claimed(Carrier, Conn, Host, true) -> allowed(Carrier, Conn, <<$@, Host/binary>>, merlon_handshake:cookie(<<$@, Host/binary>>));
claimed(Carrier, Conn, Name, false) -> allowed(Carrier, Conn, Name, may_claim(Carrier, Conn, Name)).

%% By its past, under this name and under that of its certificate; and as the cookie alone is to prove it.
may_claim(Carrier, Conn, Name) ->
    run([fun() -> merlon_interop:may_claim(Each, Carrier) end || Each <- [Name | certified(Conn)]]
        ++ [fun() -> merlon_handshake:cookie(Name) end]).

certified(Conn) ->
    case merlon_nif:link_info(Conn) of
        #{identity := {node, _, Name, Host}} -> [<<Name/binary, $@, Host/binary>>];
        #{} -> []
    end.

run([]) -> ok;
run([Step | Steps]) ->
    case Step() of
        ok -> run(Steps);
        {error, _} = Error -> Error
    end.

allowed(plain, _Conn, Name, ok) -> {ok, #{name => Name, carrier => plain}};
allowed(inet_tls, Conn, Name, ok) ->
    Known = maps:with([identity, fingerprint], merlon_nif:link_info(Conn)),
    case merlon_nif:may_claim(Conn, Name) of
        ok -> {ok, Known#{name => Name, carrier => inet_tls}};
        {error, {pki, Reason}} ->
            {error, Known#{phase => dist, reason => code(Reason), claimed => Name,
                           text => iolist_to_binary(merlon_pki_text:words(Reason))}}
    end;
allowed(_, Conn, _Name, {error, Failure}) ->
    {error, maps:merge(maps:with([identity, fingerprint], merlon_nif:link_info(Conn)), Failure)}.

code({Code, _}) -> Code;
code(Code) -> Code.

until({Acceptor, Deadline} = Limits, Step) ->
    case Step() of
        wait ->
            receive
                {select, _, _, ready_input} -> until(Limits, Step);
                {Acceptor, evicted} -> {ended, (merlon_handshake:evicted())#{phase => tls}};
                {'DOWN', _, process, Acceptor, _} -> {ended, failure(shutdown, <<"the acceptor ended">>)}
            after merlon_handshake:time_left(Deadline) ->
                    {ended, failure(timeout, <<"no answer within the handshake deadline">>)}
            end;
        Result -> Result
    end.

failure(Reason, Text) -> #{phase => tls, reason => Reason, text => Text}.

%% Waits in the place of the handshake until Supervisor has the peer's proof that it holds the cookie, or has ended.
-spec watched(pid(), pid(), merlon_nif:conn()) -> ok.
watched(Supervisor, Acceptor, Conn) ->
    MRef = erlang:monitor(process, Supervisor),
    receive
        {Supervisor, up} ->
            Acceptor ! {proven, self()},
            ok;
        {'DOWN', MRef, process, _, shutdown} -> ok;
        {'DOWN', MRef, process, _, _} -> exit({shutdown, failed});
        {Acceptor, evicted} ->
            exit(Supervisor, shutdown),
            merlon_nif:close(Conn)
    end.

%% ---- dialling ----

%% A link to Node: over merlon if it answers with TLS, else, where it is listed for that, without.
-spec dial(node(), {inet:ip_address(), inet:port_number()}, node(), merlon_handshake:deadline()) ->
          {ok, merlon_nif:conn(), merlon_handshake:claim()} | {error, failure()}.
dial(Node, Address, MyNode, Deadline) ->
    dial(Node, Address, MyNode, fun merlon_registry:secret/1, Deadline).

%% The same where Cookie, and not merlon_registry, says what vouches for links to Node without a keyring.
-spec dial(node(), {inet:ip_address(), inet:port_number()}, node() | string(), Cookie :: fun((node()) -> binary()),
           merlon_handshake:deadline()) -> {ok, merlon_nif:conn(), merlon_handshake:claim()} | {error, failure()}.
dial(Node, Address, MyNode, Cookie, Deadline) ->
    Answer = case merlon_interop:dials(Node) of
                 true -> min(Deadline, now_ms() + ?SILENCE);
                 false -> Deadline
             end,
    case merlon_handshake:dial(Node, Address, MyNode, Cookie, {Answer, Deadline}) of
        {ok, Conn} -> {ok, Conn, claim(Node, merlon)};
        {foreign, Conn} -> proven(Conn, claim(Node, inet_tls));
        {error, #{reason := silent}} when Answer < Deadline -> without_tls(Node, Address, Deadline);
        {error, Failure} -> {error, Failure}
    end.

without_tls(Node, Address, Deadline) ->
    case merlon_handshake:connect(Address, Deadline) of
        {ok, Conn} ->
            ok = merlon_nif:plain(Conn),
            proven(Conn, claim(Node, plain));
        {error, _} = Error -> Error
    end.

%% As far as it can be before dist_util's challenge.
proven(Conn, #{name := Name, carrier := Carrier} = Claim) ->
    case may_claim(Carrier, Conn, Name) of
        ok -> {ok, Conn, Claim};
        {error, _} = Error ->
            ok = merlon_nif:close(Conn),
            Error
    end.

claim(Node, Carrier) -> #{name => atom_to_binary(Node), carrier => Carrier}.

now_ms() -> erlang:monotonic_time(millisecond).
