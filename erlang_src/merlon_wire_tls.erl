%% SPDX-License-Identifier: Apache-2.0
%% TLS as a stranger without a certificate has it: which versions are taken (1.0 and 1.1: merlon_wire_tls_old), whether a
%% certificate is asked for and missed, what the server's own one tells.
-module(merlon_wire_tls).

-export([probe/4]).
-export([attempt/2]).

%% More handshake bytes than any chain has.
-define(MOST, 65536).
-define(NAMES, 16).

-type found() :: {Rule :: atom(), What :: iodata()}.

%% `none`: it is no TLS, or nothing answers.
-spec probe(inet:ip_address(), inet:port_number(), Stranger :: binary(), Milliseconds :: pos_integer()) ->
          {ok, [found()]} | {error, none}.
probe(Ip, Port, Stranger, Wait) ->
    case application:ensure_all_started(ssl) of
        {ok, _} -> probed(Ip, Port, Stranger, Wait);
        {error, _} -> {error, none}
    end.

probed(Ip, Port, Stranger, Wait) ->
    Old = attempt(Ip, Port, ['tlsv1.2'], [], Stranger, Wait),
    New = attempt(Ip, Port, ['tlsv1.3'], [<<"merlon/1">>], Stranger, Wait),
    case {[Answer || Answer <- [New, Old], Answer =/= none], deprecated(Ip, Port, Wait)} of
        {[], []} -> {error, none};
        {Answers, Deprecated} -> {ok, Deprecated ++ [{wire_tls_old, "takes TLS 1.2"} || Old =/= none] ++ judged(Answers)}
    end.

%% Who says nothing to one is not asked for the other.
deprecated(Ip, Port, Wait) ->
    case merlon_wire_tls_old:takes(Ip, Port, 'tlsv1.1', Wait) of
        silent -> [];
        Takes ->
            [{wire_tls_deprecated, "takes TLS 1.1"} || Takes]
                ++ [{wire_tls_deprecated, "takes TLS 1.0"} || merlon_wire_tls_old:takes(Ip, Port, 'tlsv1', Wait) =:= true]
    end.

judged(Answers) ->
    lists:usort([{wire_client_cert, ["lets a stranger without certificate through TLS, and calls itself ", Node]}
                 || #{dist := {offered, Node}} <- Answers])
        ++ [{wire_names, ["shows a stranger ", lists:join(", ", Names)]}
            || Names <- lists:sublist([Names || #{names := [_ | _] = Names} <- Answers], 1)].

%% One handshake. `hello`: the server chose this version; `names`: of its certificate; `dist`: what came after it.
attempt(Ip, Port, Versions, Protocols, Stranger, Wait) ->
    Self = self(),
    Tag = make_ref(),
    {Pid, Monitor} = spawn_monitor(?MODULE, attempt, [{Ip, Port, Stranger, Wait}, options(Versions, Protocols, {Self, Tag})]),
    Result = receive
                 {'DOWN', Monitor, process, Pid, {tried, Done}} -> Done;
                 {'DOWN', Monitor, process, Pid, _} -> none
             after 3 * Wait ->
                     exit(Pid, kill),
                     _ = demonitor(Monitor, [flush]),
                     none
             end,
    with_names(Result, Tag).

%% The certificate comes before the server misses one of ours, so that it is seen even when the handshake fails.
with_names(Result, Tag) ->
    case seen(Tag, none) of
        none -> Result;
        Cert -> #{hello => true, names => names(Cert), dist => dist(Result)}
    end.

%% The last one is the leaf.
seen(Tag, Known) ->
    receive {Tag, Cert} -> seen(Tag, Cert)
    after 20 -> Known
    end.

dist(#{dist := Dist}) -> Dist;
dist(none) -> none.

-spec attempt({inet:ip_address(), inet:port_number(), binary(), pos_integer()}, list()) -> no_return().
attempt({Ip, Port, Stranger, Wait}, Options) ->
    case (ssl()):connect(Ip, Port, Options, Wait) of
        {ok, Socket} -> exit({tried, #{hello => true, dist => greet(Socket, Stranger, Wait)}});
        {error, _} -> exit({tried, none})
    end.

%% OTP's TLS is there where commands run; the carrier needs none of it, so that it is no dependency that tools know of.
ssl() -> list_to_existing_atom("ssl").

%% Whatever certificate it has is looked at and believed in nothing: nothing is sent but a stranger's name.
options(Versions, Protocols, {Pid, Tag}) ->
    See = fun(Cert, Event, State) ->
              _ = [Pid ! {Tag, Cert} || is_leaf(Cert, Event)],
              {valid, State}
          end,
    [binary, {active, false}, {packet, raw}, {versions, Versions}, {verify, verify_peer}, {cacerts, []},
     {verify_fun, {See, none}}, {server_name_indication, disable}, {max_handshake_size, ?MOST}, {log_level, none}]
        ++ [{alpn_advertised_protocols, Protocols} || Protocols =/= []].

is_leaf(_Cert, valid_peer) -> true;
is_leaf(_Cert, {bad_cert, _}) -> true;
is_leaf(_Cert, _) -> false.

%% With TLS 1.3 the server's refusal of a client without certificate comes after the client believes to be through.
greet(Socket, Stranger, Wait) ->
    Deadline = merlon_wire_io:deadline(Wait),
    Transport = #{send => fun(Packet) -> (ssl()):send(Socket, [<<(byte_size(Packet)):32>>, Packet]) end,
                  recv => fun() -> packet(Socket, Deadline) end},
    case merlon_wire_dist:greet(Stranger, Transport) of
        {offered, Node} -> {offered, merlon_wire_io:printable(Node)};
        {refused, _} -> {offered, <<"nothing yet">>};
        {error, _} -> closed
    end.

packet(Socket, Deadline) ->
    case (ssl()):recv(Socket, 4, merlon_wire_io:left(Deadline)) of
        {ok, <<Size:32>>} when Size > 0, Size < ?MOST -> (ssl()):recv(Socket, Size, merlon_wire_io:left(Deadline));
        {ok, _} -> {error, too_long};
        {error, _} = Error -> Error
    end.

%% ---- the certificate ----

%% Names of hosts, addresses, URIs.
%% public_key's records: extensions are the last thing of what is signed, 2.5.29.17 the alternative names.
names({'OTPCertificate', Tbs, _, _}) ->
    Extensions = case lists:last(tuple_to_list(Tbs)) of
                     Known when is_list(Known) -> Known;
                     _ -> []
                 end,
    Alternatives = lists:append([Names || {'Extension', {2, 5, 29, 17}, _, Names} <- Extensions, is_list(Names)]),
    lists:sublist([merlon_wire_io:printable(Text) || Name <- Alternatives, Text <- text(Name)], ?NAMES);
names(_) -> [].

text({Kind, Text}) when is_list(Text), Kind =:= dNSName orelse Kind =:= uniformResourceIdentifier ->
    [unicode:characters_to_binary([C || C <- Text, is_integer(C), C >= 0, C < 256])];
text({iPAddress, <<A, B, C, D>>}) -> [list_to_binary(inet:ntoa({A, B, C, D}))];
text({iPAddress, <<Parts:16/binary>>}) -> [list_to_binary(inet:ntoa(list_to_tuple([P || <<P:16>> <= Parts])))];
text(_) -> [].
