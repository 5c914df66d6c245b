%% SPDX-License-Identifier: Apache-2.0
%% Peers that do not keep to the protocol, against a running node: what they send at each step, or
%% do not send, and what others notice of it.
-module(merlon_attack_bytes_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([plaintext_distribution_is_refused/1, a_plaintext_node_is_refused/1,
         a_tls_1_2_client_is_refused/1, a_client_without_alpn_is_refused/1,
         a_client_of_another_protocol_is_refused/1, bytes_that_are_no_tls_are_refused/1,
         an_oversize_record_is_refused_at_its_header/1,
         data_in_place_of_a_hello_is_refused/1, an_altered_record_is_refused/1,
         data_before_the_preamble_is_refused/1, a_preamble_that_can_not_be_read_is_refused/1,
         a_preamble_out_of_turn_is_refused/1, handshake_messages_after_the_handshake_are_refused/1,
         a_record_of_nothing_is_refused/1, a_name_that_would_break_the_log_does_not/1,
         an_oversize_record_inside_tls_is_refused/1,
         an_oversize_frame_of_the_dist_handshake_is_refused/1,
         a_malformed_dist_handshake_is_refused/1,
         an_oversize_frame_ends_a_link/1, a_link_that_is_cut_is_reported_and_gone/1]).

-import(merlon_attacker, [refusal/2]).

-define(COOKIE, <<"merlontest">>).
-define(MAX_FRAME, 65536).

all() ->
    [plaintext_distribution_is_refused, a_plaintext_node_is_refused,
     a_tls_1_2_client_is_refused, a_client_without_alpn_is_refused,
     a_client_of_another_protocol_is_refused, bytes_that_are_no_tls_are_refused,
     an_oversize_record_is_refused_at_its_header,
     data_in_place_of_a_hello_is_refused, an_altered_record_is_refused,
     data_before_the_preamble_is_refused, a_preamble_that_can_not_be_read_is_refused,
     a_preamble_out_of_turn_is_refused, handshake_messages_after_the_handshake_are_refused,
     a_record_of_nothing_is_refused, a_name_that_would_break_the_log_does_not,
     an_oversize_record_inside_tls_is_refused,
     an_oversize_frame_of_the_dist_handshake_is_refused,
     a_malformed_dist_handshake_is_refused,
     an_oversize_frame_ends_a_link, a_link_that_is_cut_is_reported_and_gone].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    Mallory = merlon_peers:node(merlon_peers:name("mallory")),
    ok = merlon_peers:add_node(Dir, Mallory),
    Victim = merlon_attacker:victim("victim", Dir, [{max_frame, ?MAX_FRAME}], []),
    Folder = filename:join([Dir, "nodes", atom_to_list(Mallory)]),
    [{victim, Victim}, {dir, Dir}, {mallory, Mallory},
     {certified, merlon_attacker:ssl_opts(Folder)} | Config].

end_per_suite(Config) ->
    merlon_attacker:stop(victim(Config)).

%% Whatever the case did: no peer was reported twice, nobody is linked.
end_per_testcase(_Case, Config) ->
    #{pid := Pid} = Victim = victim(Config),
    ok = merlon_attacker:once(Victim),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, merlon, connections, []) =:= [] end).

%% ---- before TLS ----

plaintext_distribution_is_refused(Config) ->
    Name = <<"mallory@127.0.0.1">>,
    Packet = <<$N, 0:64, 1:32, (byte_size(Name)):16, Name/binary>>,
    told(10, plaintext_dist, <<(byte_size(Packet)):16, Packet/binary>>, Config).

%% A real one: it learns nothing but that it is not let in.
a_plaintext_node_is_refused(Config) ->
    #{node := Node} = Victim = victim(Config),
    Before = merlon_attacker:refusals(Victim),
    {ok, Peer, Plain} = merlon_peers:start(merlon_peers:name("plain"), ["-setcookie", "merlontest"]),
    Connected = merlon_peers:call(Peer, net_kernel, connect_node, [Node]),
    merlon_peers:stop(Peer),
    false = Connected,
    [#{phase := tls, reason := plaintext_dist, side := accept}] =
        merlon_attacker:refusals(Victim) -- Before,
    false = lists:member(Plain, merlon_peers:call(maps:get(pid, Victim), erlang, nodes, [known])).

a_tls_1_2_client_is_refused(Config) ->
    refused(protocol_version, old_tls, [{versions, ['tlsv1.2']}], Config).

a_client_without_alpn_is_refused(Config) ->
    Opts = [{alpn_advertised_protocols, none} | certified(Config)],
    refused(no_application_protocol, no_alpn, Opts, Config).

a_client_of_another_protocol_is_refused(Config) ->
    Opts = [{alpn_advertised_protocols, [<<"h2">>, <<"merlon/2">>]} | certified(Config)],
    refused(no_application_protocol, wrong_alpn, Opts, Config).

bytes_that_are_no_tls_are_refused(Config) ->
    told(10, not_tls, <<"GET / HTTP/1.1\r\nHost: victim\r\n\r\n">>, Config),
    told(10, not_tls, <<255, (crypto:strong_rand_bytes(5000))/binary>>, Config).

%% At once: not after the bytes that the header promises.
an_oversize_record_is_refused_at_its_header(Config) ->
    told(22, record_overflow, <<22, 3, 1, 16#FFFF:16>>, Config).

data_in_place_of_a_hello_is_refused(Config) ->
    {Socket, Local} = merlon_attacker:tcp(victim(Config)),
    ok = gen_tcp:send(Socket, <<23, 3, 3, 100:16, 0:800>>),
    <<21, 3, _, 2:16, 2, _>> = merlon_attacker:last_words(Socket),
    #{phase := tls} = refusal(victim(Config), Local),
    gen_tcp:close(Socket).

%% ---- inside TLS, before the preamble is done ----

an_altered_record_is_refused(Config) ->
    Junk = crypto:strong_rand_bytes(64),
    forge(fun(Forger) -> merlon_forger:raw(Forger, <<23, 3, 3, 64:16, Junk/binary>>) end,
          20, bad_record_mac, Config).

data_before_the_preamble_is_refused(Config) ->
    forge(fun(Forger) -> merlon_forger:send(Forger, 23, <<0:32>>) end, 10, early_data, Config).

a_preamble_that_can_not_be_read_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    Hello = <<1, 1, (byte_size(Own)):16, Own/binary, 1, 0:64>>,
    Cut = binary:part(Hello, 0, byte_size(Hello) - 1),
    [forge(fun(Forger) -> merlon_forger:send(Forger, 16#F0, Message) end, 50, Reason, Config)
     || {Message, Reason} <- [{<<>>, preamble_cut}, {Cut, preamble_cut},
                              {<<Hello/binary, 0>>, preamble_trailing_bytes},
                              {<<2, 1>>, bad_preamble_version},
                              {<<1, 1, 16#FFFF:16>>, bad_name_length},
                              {<<1, 1, 1:16, "a", 255, 0:(255 * 64)>>, bad_key_count},
                              {<<0:(8 * 16000)>>, bad_preamble_version}]],
    ok.

a_preamble_out_of_turn_is_refused(Config) ->
    forge(fun(Forger) -> merlon_forger:send(Forger, 16#F0, <<1, 3, 0:256>>) end, 50,
          bad_preamble_message, Config).

%% A ticket, which only a server might send; a second ClientHello; half a KeyUpdate.
handshake_messages_after_the_handshake_are_refused(Config) ->
    [forge(fun(Forger) -> merlon_forger:send(Forger, 22, Message) end, 10, Reason, Config)
     || {Message, Reason} <- [{<<4, 0, 0, 1, 0>>, unexpected_handshake},
                              {<<1, 0, 0, 1, 0>>, unexpected_handshake},
                              {<<24, 0, 0>>, misplaced_key_update}]],
    ok.

%% All padding, and no content type.
a_record_of_nothing_is_refused(Config) ->
    forge(fun(Forger) -> merlon_forger:send(Forger, 0, <<0:800>>) end, 10, no_content_type, Config).

%% The line is one line, without what a terminal would obey.
a_name_that_would_break_the_log_does_not(Config) ->
    Name = <<"a\n\e[2J\r=ERROR: all is well", 155, "@127.0.0.1">>,
    {Forger0, Local} = merlon_forger:connect(victim(Config), certified(Config)),
    Hello = <<1, 1, (byte_size(Name)):16, Name/binary, 1, 0:64>>,
    Forger1 = merlon_forger:send(Forger0, 16#F0, Hello),
    {{21, <<2, 49>>}, Forger2} = merlon_forger:read(Forger1),
    ok = merlon_forger:close(Forger2),
    #{claimed := _, fingerprint := _} = Report = refusal(victim(Config), Local),
    {Format, Words} = merlon_event_text:format(Report),
    [] = [Char || Char <- lists:flatten(io_lib:format(Format, Words)), Char < 32 orelse Char > 126].

an_oversize_record_inside_tls_is_refused(Config) ->
    forge(fun(Forger) -> merlon_forger:raw(Forger, <<23, 3, 3, 16#FFFF:16>>) end, 22,
          record_overflow, Config).

%% ---- authenticated ----

an_oversize_frame_of_the_dist_handshake_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    {Conn, Local} = dial(Config),
    _ = merlon_attacker:frames(Conn, 1, <<$N, 0:(8 * 70000)>>),
    ended = ended(merlon_attacker:gone(Conn)),
    #{phase := dist, reason := frame_too_long, claimed := Own, fingerprint := _} =
        refusal(victim(Config), Local).

a_malformed_dist_handshake_is_refused(Config) ->
    Own = atom_to_binary(mallory(Config)),
    [begin
         {Conn, Local} = dial(Config),
         merlon_attacker:frame(Conn, Packet),
         ended = ended(merlon_attacker:gone(Conn)),
         #{phase := dist, claimed := Own, fingerprint := _} = refusal(victim(Config), Local)
     end || Packet <- [<<>>, <<"N">>, <<"n">>, <<$N, -1:64, 1:32, 1000:16, "a@b">>,
                       <<$N, 0:64, 1:32, 0:16>>, crypto:strong_rand_bytes(2000)]],
    ok.

%% A tick passes; a frame that is one byte longer than allowed ends the link.
an_oversize_frame_ends_a_link(Config) ->
    {Conn, _} = linked(Config),
    ok = merlon_attacker:frames(Conn, 1, <<>>),
    _ = merlon_attacker:frames(Conn, 1, <<0:(8 * (?MAX_FRAME + 1))>>),
    ended = ended(merlon_attacker:gone(Conn)),
    down(frame_too_long, Config).

a_link_that_is_cut_is_reported_and_gone(Config) ->
    {Conn, _} = linked(Config),
    ok = merlon_nif:close(Conn),
    down(closed, Config).

%% ---- helpers ----

victim(Config) -> proplists:get_value(victim, Config).
mallory(Config) -> proplists:get_value(mallory, Config).
certified(Config) -> proplists:get_value(certified, Config).

%% Sends Bytes, gets that fatal alert (RFC 8446 6) and nothing else; the log has Reason.
told(Alert, Reason, Bytes, Config) ->
    {Socket, Local} = merlon_attacker:tcp(victim(Config)),
    ok = gen_tcp:send(Socket, Bytes),
    <<21, 3, 3, 2:16, 2, Alert>> = merlon_attacker:last_words(Socket),
    #{phase := tls, reason := Reason, side := accept} = refusal(victim(Config), Local),
    ok = gen_tcp:close(Socket).

refused(Alert, Reason, Opts, Config) ->
    {Told, Local} = merlon_attacker:verdict(victim(Config), Opts),
    {Alert, Alert} = {Alert, Told},
    #{phase := tls, reason := Reason, side := accept} = refusal(victim(Config), Local),
    ok.

%% With a good certificate, but not with good records.
forge(Attack, Alert, Reason, Config) ->
    Fingerprint = merlon_attacker:fingerprint(certified(Config)),
    {Forger0, Local} = merlon_forger:connect(victim(Config), certified(Config)),
    {{21, <<2, Told>>}, Forger1} = merlon_forger:read(Attack(Forger0)),
    {Alert, Alert} = {Alert, Told},
    {closed, Forger2} = merlon_forger:read(Forger1),
    ok = merlon_forger:close(Forger2),
    #{phase := tls, reason := Reason, fingerprint := Fingerprint} =
        refusal(victim(Config), Local).

dial(Config) ->
    #{node := Node} = Victim = victim(Config),
    Identity = merlon_attacker:identity(proplists:get_value(dir, Config), mallory(Config)),
    {established, Conn, Local} =
        merlon_attacker:dial(Victim, Identity, atom_to_binary(mallory(Config)),
                             atom_to_binary(Node), ?COOKIE),
    {Conn, Local}.

%% A link that is up, with a client that is no VM.
linked(Config) ->
    {Conn, Local} = dial(Config),
    {ok, Cookie} = merlon_nif:pair_cookie(Conn),
    Own = atom_to_binary(mallory(Config)),
    {ok, <<$a, _:16/binary>>} = merlon_attacker:shake(Conn, Own, Cookie),
    #{pid := Pid} = victim(Config),
    merlon_peers:wait(fun() -> length(merlon_peers:call(Pid, merlon, connections, [])) =:= 1 end),
    {Conn, Local}.

%% The victim reported why the link ended, and that it ended; the node is gone.
down(Reason, Config) ->
    #{pid := Pid} = victim(Config),
    Node = mallory(Config),
    merlon_peers:wait(fun() -> merlon_peers:call(Pid, erlang, nodes, [connected]) =:= [] end),
    Reports = merlon_peers:log(Pid),
    #{reason := Reason} = lists:last([Report || #{event := link_failed, node := At} = Report
                                                    <- Reports, At =:= Node]),
    #{reason := connection_closed} =
        lists:last([Report || #{event := link_down, node := At} = Report <- Reports, At =:= Node]).

ended(Reason) when Reason =:= closed; Reason =:= truncated; Reason =:= peer_alert;
                   Reason =:= econnreset -> ended.
