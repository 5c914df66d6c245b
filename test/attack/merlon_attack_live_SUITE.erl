%% SPDX-License-Identifier: Apache-2.0
%% A peer with a valid certificate whose link is up, and that says to the other carrier what no carrier says: each time
%% one line in the log with the reason, the end of its link, and nothing else.
-module(merlon_attack_live_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_certificate_with_a_bad_signature_is_refused/1, another_nodes_certificate_is_refused/1,
         a_proof_of_another_link_is_refused/1, a_proof_of_ours_sent_back_is_refused/1,
         a_secret_that_is_not_held_is_refused/1, a_message_that_is_none_is_refused/1,
         a_message_too_long_is_refused/1, a_flood_of_messages_is_refused/1,
         a_message_before_the_link_is_up_is_refused/1, asking_again_and_again_gets_few_answers/1,
         ones_own_proof_again_changes_nothing/1, a_message_of_an_unknown_kind_is_passed_over/1]).

-define(COOKIE, <<"merlontest">>).
-define(ASK, <<3>>).

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [a_certificate_with_a_bad_signature_is_refused, another_nodes_certificate_is_refused,
     a_proof_of_another_link_is_refused, a_proof_of_ours_sent_back_is_refused,
     a_secret_that_is_not_held_is_refused, a_message_that_is_none_is_refused, a_message_too_long_is_refused,
     a_flood_of_messages_is_refused, a_message_before_the_link_is_up_is_refused,
     asking_again_and_again_gets_few_answers, ones_own_proof_again_changes_nothing,
     a_message_of_an_unknown_kind_is_passed_over].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

%% A victim of its own for each: a keyring can't be taken away again.
init_per_testcase(_Case, Config) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "attacked"),
    [Mallory, Other] = [merlon_peers:node(merlon_peers:name(Base)) || Base <- ["mallory", "other"]],
    [ok = merlon_peers:add_node(Dir, Node) || Node <- [Mallory, Other]],
    [{victim, merlon_attacker:victim("victim", Dir, [], [])}, {dir, Dir}, {mallory, Mallory}, {other, Other}
     | Config].

end_per_testcase(_Case, Config) ->
    merlon_attacker:stop(victim(Config)).

victim(Config) -> proplists:get_value(victim, Config).
mallory(Config) -> proplists:get_value(mallory, Config).

identity(Node, Config) -> merlon_attacker:identity(proplists:get_value(dir, Config), Node).

linked(Config) ->
    merlon_attacker:linked(victim(Config), identity(mallory(Config), Config), mallory(Config)).

%% TLS and proofs are done, and no more.
established(Config) ->
    #{node := Node} = victim(Config),
    {established, Conn, Local} =
        merlon_attacker:dial(victim(Config), identity(mallory(Config), Config),
                             atom_to_binary(mallory(Config)), atom_to_binary(Node), ?COOKIE),
    %% Else the proof waits for the first packet.
    ok = merlon_nif:flush(Conn),
    {Conn, Local}.

say(Conn, Messages) -> merlon_nif:send_control(Conn, Messages).

certificate(Conn, Node, Config) ->
    {ok, Message} = merlon_nif:live_certificate(Conn, identity(Node, Config)),
    Message.

%% What the victim has to say to the other carrier, within that many milliseconds.
heard(Conn, Patience) -> heard(Conn, erlang:monotonic_time(millisecond) + Patience, []).

heard(Conn, End, Heard) ->
    case merlon_nif:recv(Conn, 0) of
        {_, Next, Controls} -> await(Next, Conn, End, Heard ++ Controls);
        {_, Next} -> await(Next, Conn, End, Heard)
    end.

await(more, Conn, End, Heard) -> heard(Conn, End, Heard);
await(_, Conn, End, Heard) ->
    receive {select, _, _, _} -> heard(Conn, End, Heard)
    after max(0, End - erlang:monotonic_time(millisecond)) -> Heard
    end.

connections(Config) ->
    [Link || #{node := Node} = Link <- merlon_peers:call(maps:get(pid, victim(Config)), merlon, connections, []),
             Node =:= mallory(Config)].

reports(Config) ->
    [Report || #{node := Node} = Report <- merlon_peers:log(maps:get(pid, victim(Config))), Node =:= mallory(Config)].

%% One line says why the link was closed, one that it went.
closed(Reason, Down, Event, Conn, Config) ->
    merlon_peers:wait(fun() -> connections(Config) =:= [] end),
    merlon_peers:wait(fun() -> length(reports(Config)) >= 3 end),
    Expected = lists:sort([{Event, Reason}, {link_down, Down}]),
    Expected = lists:sort([{Name, Why} || #{event := Name, reason := Why} <- reports(Config)]),
    #{started := _} = merlon_peers:call(maps:get(pid, victim(Config)), merlon_work, net_kernel_state, [5000]),
    %% Not sooner: a connection that nobody knows any more is closed.
    ok = merlon_nif:close(Conn).

proof_refused(Reason, Conn, Config) -> closed(Reason, {peer_proof, Reason}, link_closed, Conn, Config).

link_failed(Reason, Conn, Config) -> closed(Reason, connection_closed, link_failed, Conn, Config).

up(Config) ->
    [#{} = Link] = connections(Config),
    Link.

%% ---- proofs ----

a_certificate_with_a_bad_signature_is_refused(Config) ->
    Conn = linked(Config),
    Message = certificate(Conn, mallory(Config), Config),
    Size = byte_size(Message) - 8,
    <<Start:Size/binary, Byte, Rest/binary>> = Message,
    ok = say(Conn, [<<Start/binary, (Byte bxor 1), Rest/binary>>]),
    proof_refused(key_not_held, Conn, Config).

%% It has that node's key and all.
another_nodes_certificate_is_refused(Config) ->
    Conn = linked(Config),
    ok = say(Conn, [certificate(Conn, proplists:get_value(other, Config), Config)]),
    proof_refused(wrong_name, Conn, Config).

a_proof_of_another_link_is_refused(Config) ->
    Conn = linked(Config),
    {Another, _} = established(Config),
    ok = say(Conn, [certificate(Another, mallory(Config), Config)]),
    proof_refused(key_not_held, Conn, Config),
    ok = merlon_nif:close(Another).

a_proof_of_ours_sent_back_is_refused(Config) ->
    Conn = linked(Config),
    ok = say(Conn, [?ASK]),
    [<<1, _/binary>> = Certificate] = heard(Conn, 2000),
    ok = say(Conn, [Certificate]),
    proof_refused(key_not_held, Conn, Config).

%% The victim has got a keyring since.
a_secret_that_is_not_held_is_refused(Config) ->
    Conn = linked(Config),
    #{pid := Pid, dir := Dir} = victim(Config),
    merlon_keyring_ct:put_keyring(Dir, [merlon_keyring_ct:entry(1)]),
    {ok, _} = merlon_peers:call(Pid, merlon, reload, []),
    Id = binary:decode_hex(merlon_keyring_ct:id(1)),
    %% One that the victim does not know proves nothing and is no crime.
    ok = say(Conn, [<<2, 1, 5:64, 0:256>>]),
    timer:sleep(200),
    #{} = up(Config),
    ok = say(Conn, [<<2, 1, Id/binary, 0:256>>]),
    proof_refused(wrong_proof, Conn, Config).

ones_own_proof_again_changes_nothing(Config) ->
    Conn = linked(Config),
    #{fingerprint := Fingerprint} = up(Config),
    Message = certificate(Conn, mallory(Config), Config),
    ok = say(Conn, lists:duplicate(5, Message)),
    merlon_peers:wait(fun() -> maps:get(controls_in, up(Config)) =:= 5 end),
    timer:sleep(200),
    #{fingerprint := Fingerprint} = up(Config),
    ok = merlon_nif:close(Conn).

%% ---- messages ----

a_message_that_is_none_is_refused(Config) ->
    Conn = linked(Config),
    ok = say(Conn, [<<1, 2, 3>>]),
    proof_refused(bad_control, Conn, Config).

a_message_too_long_is_refused(Config) ->
    Conn = linked(Config),
    _ = say(Conn, [<<0:(8 * 65537)>>]),
    link_failed(control_too_long, Conn, Config).

%% In one go, and more slowly than that.
a_flood_of_messages_is_refused(Config) ->
    Conn = linked(Config),
    _ = say(Conn, lists:duplicate(10000, ?ASK)),
    link_failed(control_flood, Conn, Config),
    Again = linked(Config),
    _ = [begin say(Again, lists:duplicate(10, ?ASK)), timer:sleep(50) end || _ <- lists:seq(1, 12)],
    merlon_peers:wait(fun() -> connections(Config) =:= [] end),
    [control_flood, control_flood] = [Reason || #{event := link_failed, reason := Reason} <- reports(Config)],
    ok = merlon_nif:close(Again).

a_message_before_the_link_is_up_is_refused(Config) ->
    {Conn, Local} = established(Config),
    ok = say(Conn, [?ASK]),
    #{reason := early_control} = merlon_attacker:refusal(victim(Config), Local),
    ok = merlon_nif:close(Conn).

%% Each answer costs the victim a signature.
asking_again_and_again_gets_few_answers(Config) ->
    Conn = linked(Config),
    ok = say(Conn, lists:duplicate(30, ?ASK)),
    Heard = heard(Conn, 3000),
    true = length(Heard) >= 1 andalso length(Heard) =< 2,
    #{} = up(Config),
    ok = merlon_nif:close(Conn).

a_message_of_an_unknown_kind_is_passed_over(Config) ->
    Conn = linked(Config),
    ok = say(Conn, [<<200, "from a newer carrier">>, <<0>>]),
    merlon_peers:wait(fun() -> maps:get(controls_unknown, up(Config)) =:= 2 end),
    #{controls_in := 2} = up(Config),
    ok = merlon_nif:close(Conn).
