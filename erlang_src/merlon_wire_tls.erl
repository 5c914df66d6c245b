%% SPDX-License-Identifier: Apache-2.0
%% TLS as a stranger without a certificate has it: which versions are taken, whether a certificate is asked for and
%% missed, what the server's own one tells.
-module(merlon_wire_tls).

-export([probe/4]).

-include_lib("public_key/include/public_key.hrl").

%% More handshake bytes than any chain has.
-define(MOST, 65536).
-define(NAMES, 16).

-type found() :: {Rule :: atom(), What :: iodata()}.

%% `none`: it is no TLS, or nothing answers.
-spec probe(inet:ip_address(), inet:port_number(), Stranger :: binary(), Milliseconds :: pos_integer()) ->
          {ok, [found()]} | {error, none}.
probe(Ip, Port, Stranger, Wait) ->
    {ok, _} = application:ensure_all_started(ssl),
    Old = [{Version, attempt(Ip, Port, [Version], [], Stranger, Wait)} || Version <- ['tlsv1.2']],
    New = attempt(Ip, Port, ['tlsv1.3'], [<<"merlon/1">>], Stranger, Wait),
    case {[Answer || {_, Answer} <- Old, Answer =/= none], New} of
        {[], none} -> {error, none};
        _ -> {ok, judged(Old, New)}
    end.

judged(Old, New) ->
    [{wire_tls_old, ["takes ", name(Version)]} || {Version, #{hello := true}} <- Old]
        ++ lists:usort([{wire_client_cert, ["lets a stranger without certificate through TLS, and calls itself ", Node]}
                        || #{dist := {offered, Node}} <- [New | [Answer || {_, Answer} <- Old]]])
        ++ [{wire_names, ["shows a stranger ", lists:join(", ", Names)]}
            || Names <- lists:sublist([Names || #{names := [_ | _] = Names} <- [New | [Answer || {_, Answer} <- Old]]], 1)].

name('tlsv1.2') -> "TLS 1.2".

%% One handshake. `hello`: the server chose this version; `names`: of its certificate; `dist`: what came after it.
attempt(Ip, Port, Versions, Protocols, Stranger, Wait) ->
    Self = self(),
    Tag = make_ref(),
    {Pid, Monitor} = spawn_monitor(fun() -> exit({tried, connect(Ip, Port, Versions, Protocols, Stranger, Wait, {Self, Tag})}) end),
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

connect(Ip, Port, Versions, Protocols, Stranger, Wait, Witness) ->
    case ssl:connect(Ip, Port, options(Versions, Protocols, Witness), Wait) of
        {ok, Socket} ->
            try #{hello => true, dist => greet(Socket, Stranger, Wait)}
            after ssl:close(Socket)
            end;
        {error, _} -> none
    end.

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
    Transport = #{send => fun(Packet) -> ssl:send(Socket, [<<(byte_size(Packet)):32>>, Packet]) end,
                  recv => fun() -> packet(Socket, Deadline) end},
    case merlon_wire_dist:greet(Stranger, Transport) of
        {offered, Node} -> {offered, merlon_wire_io:printable(Node)};
        {refused, _} -> {offered, <<"nothing yet">>};
        {error, _} -> closed
    end.

packet(Socket, Deadline) ->
    case ssl:recv(Socket, 4, merlon_wire_io:left(Deadline)) of
        {ok, <<Size:32>>} when Size > 0, Size < ?MOST -> ssl:recv(Socket, Size, merlon_wire_io:left(Deadline));
        {ok, _} -> {error, too_long};
        {error, _} = Error -> Error
    end.

%% ---- the certificate ----

%% All that it calls itself: names of hosts and addresses, URIs, the subject's common name.
names(#'OTPCertificate'{tbsCertificate = #'OTPTBSCertificate'{extensions = Extensions}}) when is_list(Extensions) ->
    Alternatives = [Name || #'Extension'{extnID = ?'id-ce-subjectAltName', extnValue = Names} <- Extensions, is_list(Names),
                            Name <- Names],
    lists:sublist([merlon_wire_io:printable(Text) || Name <- Alternatives, Text <- text(Name)], ?NAMES);
names(_) -> [].

text({Kind, Text}) when is_list(Text), Kind =:= dNSName orelse Kind =:= uniformResourceIdentifier ->
    [unicode:characters_to_binary([C || C <- Text, is_integer(C), C >= 0, C < 256])];
text({iPAddress, <<A, B, C, D>>}) -> [list_to_binary(inet:ntoa({A, B, C, D}))];
text({iPAddress, <<Parts:16/binary>>}) -> [list_to_binary(inet:ntoa(list_to_tuple([P || <<P:16>> <= Parts])))];
text(_) -> [].
