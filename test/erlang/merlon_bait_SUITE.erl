%% SPDX-License-Identifier: Apache-2.0
%% What a decoy node learns of those who dial it.
-module(merlon_bait_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([a_plain_node_shows_a_digest/1, a_digest_of_another_cookie_is_told_apart/1, a_digest_is_kept_only_when_asked/1,
         a_digest_that_can_not_be_kept_is_told_all_the_same/1,
         a_merlon_node_shows_nothing/1, an_inet_tls_node_shows_nothing/1, what_is_no_node_is_no_finding/1, the_heartbeat_is_one_that_gossip_decodes/1,
         gossip_without_a_secret_dials_the_decoy/1, gossip_with_a_secret_does_not/1, gossip_of_a_merlon_node_shows_nothing/1,
         an_epmd_of_its_own_names_the_decoy/1, the_command_reports_it/1]).

-define(LOCAL, {127, 0, 0, 1}).

all() ->
    [a_plain_node_shows_a_digest, a_digest_of_another_cookie_is_told_apart, a_digest_is_kept_only_when_asked,
     a_digest_that_can_not_be_kept_is_told_all_the_same,
     a_merlon_node_shows_nothing, an_inet_tls_node_shows_nothing, what_is_no_node_is_no_finding, the_heartbeat_is_one_that_gossip_decodes,
     gossip_without_a_secret_dials_the_decoy, gossip_with_a_secret_does_not, gossip_of_a_merlon_node_shows_nothing,
     an_epmd_of_its_own_names_the_decoy, the_command_reports_it].

init_per_suite(Config) -> merlon_ct:open(Config).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

plain(Config, Cookie) -> merlon_net_ct:plain(Config, Cookie, []).

%% Runs a decoy, and Lure with its node's name once it is up.
bait(Options, Lure) ->
    Name = list_to_binary(merlon_peers:name("bait")),
    Self = self(),
    Decoy = <<Name/binary, "@127.0.0.1">>,
    Told = fun(Text) -> Self ! {told, iolist_to_binary(Text)} end,
    {Pid, Monitor} = spawn_monitor(fun() ->
        exit({done, merlon_bait:run(?LOCAL, maps:merge(#{milliseconds => 1500, name => Name, cookies => [], told => Told}, Options))})
    end),
    receive {told, <<"The decoy is ", _/binary>>} -> ok after 5000 -> error(no_decoy) end,
    _ = Lure(binary_to_atom(Decoy)),
    receive {'DOWN', Monitor, process, Pid, {done, Result}} -> Result after 20000 -> error(no_end) end.

rules({ok, Raws}) -> [{Rule, What} || #{rule := Rule, what := What, source := wire} <- Raws].

dials(Vm) -> fun(Decoy) -> false = merlon_ct:call(Vm, net_kernel, connect_node, [Decoy]) end.

says(What, Part) -> true = binary:match(What, Part) =/= nomatch.

a_plain_node_shows_a_digest(Config) ->
    {_, Node, _} = Vm = plain(Config, "secretcookie"),
    Known = #{cookies => [{"/the/file", fun() -> <<"secretcookie">> end}]},
    [{bait_digest, What}] = rules(bait(Known, dials(Vm))),
    says(What, atom_to_binary(Node)),
    says(What, <<"that of /the/file: known, found in less than a second on one core">>),
    nomatch = binary:match(What, <<"secretcookie">>).

a_digest_of_another_cookie_is_told_apart(Config) ->
    Vm = plain(Config, "quite_another"),
    [{bait_digest, What}] = rules(bait(#{cookies => [{"/the/file", fun() -> <<"mine">> end}]}, dials(Vm))),
    says(What, <<"none that this command knows">>).

a_digest_is_kept_only_when_asked(Config) ->
    Vm = plain(Config, "opensesame"),
    File = filename:join(proplists:get_value(priv_dir, Config), "digests"),
    [{bait_digest, _}] = rules(bait(#{}, dials(Vm))),
    false = filelib:is_file(File),
    [{bait_digest, Said}] = rules(bait(#{keep => File}, dials(Vm))),
    {ok, Line} = file:read_file(File),
    8#600 = merlon_test_dir:mode(File),
    [Challenge, Digest] = binary:split(string:trim(Line), <<":">>),
    Digest = binary:encode_hex(erlang:md5(["opensesame", Challenge])),
    nomatch = binary:match(Said, Digest).

a_digest_that_can_not_be_kept_is_told_all_the_same(Config) ->
    Vm = plain(Config, "opensesame"),
    [{bait_digest, _}] = rules(bait(#{keep => "/proc/nothing/digests"}, dials(Vm))),
    ok = told("It could not be kept in /proc/nothing/digests: ").

told(Start) ->
    receive
        {told, Text} ->
            case string:prefix(Text, Start) of
                nomatch -> told(Start);
                _ -> ok
            end
    after 0 -> never_told
    end.

a_merlon_node_shows_nothing(Config) ->
    Vm = merlon_ct:start(Config, "wary"),
    [{bait_tls, _}] = rules(bait(#{}, dials(Vm))).

an_inet_tls_node_shows_nothing(Config) ->
    Vm = merlon_net_ct:inet_tls(Config, []),
    [{bait_tls, _}] = rules(bait(#{}, dials(Vm))).

what_is_no_node_is_no_finding(_Config) ->
    Sends = fun(Bytes) ->
        fun(Decoy) ->
            [Name, _] = string:split(atom_to_list(Decoy), "@"),
            {port, Port, _} = erl_epmd:port_please(Name, ?LOCAL),
            {ok, Socket} = gen_tcp:connect(?LOCAL, Port, [binary, {active, false}]),
            _ = gen_tcp:send(Socket, Bytes),
            gen_tcp:shutdown(Socket, write)
        end
    end,
    [[] = rules(bait(#{milliseconds => 600}, Sends(Bytes)))
     || Bytes <- [<<>>, <<"GET / HTTP/1.0\r\n\r\n">>, <<255, 255, $N, 0:80000>>, <<3:16, "Nxy">>, <<0:80000>>]],
    %% Bytes that a terminal would obey, in a name.
    Evil = merlon_wire_dist:name(<<"x\e[2J@y">>),
    [{bait_dialled, What}] = rules(bait(#{milliseconds => 600}, Sends([<<(byte_size(Evil)):16>>, Evil]))),
    match = re:run(What, "\\A[ -~]*\\z", [{capture, none}]).

the_heartbeat_is_one_that_gossip_decodes(_Config) ->
    {ok, Socket} = gen_udp:open(0, [binary, {active, false}, {ip, ?LOCAL}]),
    {ok, Port} = inet:port(Socket),
    Self = self(),
    {ok, []} = bait(#{milliseconds => 300, gossip => {?LOCAL, Port}}, fun(Decoy) -> Self ! {decoy, Decoy} end),
    {ok, {_, _, <<"heartbeat::", Term/binary>>}} = gen_udp:recv(Socket, 0, 1000),
    Map = binary_to_term(Term),
    receive {decoy, Decoy} -> Map = #{node => Decoy} end,
    {error, timeout} = gen_udp:recv(Socket, 0, 200).

%% By itself: nobody tells the node to dial. By unicast, by broadcast, and by multicast as libcluster's own settings have it.
gossip_without_a_secret_dials_the_decoy(Config) ->
    {_, Node, _} = Vm = plain(Config, "secretcookie"),
    [begin
         Port = merlon_ct:call(Vm, merlon_gossip, start, [Group, 0, plain]),
         Known = #{cookies => [{"/the/file", fun() -> <<"secretcookie">> end}], gossip => {To, Port}},
         {To, [{bait_digest, What}]} = {To, rules(bait(Known, fun(_) -> ok end))},
         says(What, atom_to_binary(Node)),
         says(What, <<"that of /the/file: known">>)
     end || {Group, To} <- [{none, ?LOCAL}, {none, {127, 255, 255, 255}}, {{230, 1, 1, 251}, {230, 1, 1, 251}}]].

gossip_with_a_secret_does_not(Config) ->
    Vm = plain(Config, "secretcookie"),
    Port = merlon_ct:call(Vm, merlon_gossip, start, [none, 0, secret]),
    {ok, []} = bait(#{gossip => {?LOCAL, Port}, milliseconds => 1000}, fun(_) -> ok end).

%% It dials whom gossip names, and shows no digest.
gossip_of_a_merlon_node_shows_nothing(Config) ->
    Vm = merlon_ct:start(Config, "wary"),
    Port = merlon_ct:call(Vm, merlon_gossip, start, [none, 0, plain]),
    [{bait_tls, _}] = rules(bait(#{gossip => {?LOCAL, Port}}, fun(_) -> ok end)).

%% Where no epmd runs, the decoy answers for itself.
an_epmd_of_its_own_names_the_decoy(Config) ->
    {ok, Free} = gen_tcp:listen(0, [{ip, ?LOCAL}, {reuseaddr, true}]),
    {ok, Port} = inet:port(Free),
    ok = gen_tcp:close(Free),
    Vm = plain(Config, "merlontest"),
    Lure = fun(Decoy) ->
        true = merlon_ct:call(Vm, os, putenv, ["ERL_EPMD_PORT", integer_to_list(Port)]),
        [Name, _] = string:split(atom_to_list(Decoy), "@"),
        {port, _, _} = ask(Name, Port)
    end,
    {ok, []} = bait(#{epmd => Port, milliseconds => 1000}, Lure).

%% PORT_PLEASE2_REQ by hand.
ask(Name, Port) ->
    {ok, Socket} = gen_tcp:connect(?LOCAL, Port, [binary, {active, false}]),
    ok = gen_tcp:send(Socket, [<<(length(Name) + 1):16, $z>>, Name]),
    {ok, <<$w, 0, At:16, _/binary>>} = gen_tcp:recv(Socket, 0, 1000),
    {port, At, 6}.

the_command_reports_it(Config) ->
    Vm = plain(Config, "merlontest"),
    Self = self(),
    spawn_link(fun() -> Self ! {done, merlon_cli:run(["audit", "--bait", "127.0.0.1", "--for", "2s"])} end),
    Name = "merlon_bait_" ++ os:getpid(),
    merlon_peers:wait(fun() -> {ok, Names} = erl_epmd:names(?LOCAL), lists:keymember(Name, 1, Names) end),
    (dials(Vm))(list_to_atom(Name ++ "@127.0.0.1")),
    receive {done, {1, Text, <<>>}} -> match = re:run(Text, "1 connection scanned: 1 critical", [{capture, none}]) end.
