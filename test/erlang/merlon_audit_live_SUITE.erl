%% SPDX-License-Identifier: Apache-2.0
%% The audit of running nodes: over merlon and plain, one and a cluster, and that nothing is changed or loaded there.
-module(merlon_audit_live_SUITE).

-export([all/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([merlon_nodes_are_clean_and_in_the_table/1, a_plain_cluster_is_found_out/1, nothing_is_loaded_or_changed/1,
         resolvers_and_writable_paths_are_found/1, certificates_that_end_soon_are_found/1, advisories_are_those_of_the_table/1,
         a_node_that_is_not_there_is_exit_2/1, listeners_are_read_from_the_kernels_table/1, disagreements_are_told/1,
         a_proto_dist_given_twice_is_found/1, answers_that_make_no_sense_do_no_harm/1,
         an_inet_tls_cluster_is_told_apart/1, a_port_beside_the_distributions_is_a_note/1, only_open_addresses_are_findings/1,
         a_cookie_that_can_be_guessed_is_found/1, what_the_optfile_lets_in_is_found/1, settings_decide_what_is_reached/1,
         only_the_named_node_is_dialled/1, an_answer_to_one_question_does_no_harm/1, a_cookie_comes_over_known_carriers_only/1]).

all() ->
    [merlon_nodes_are_clean_and_in_the_table, a_plain_cluster_is_found_out, nothing_is_loaded_or_changed,
     resolvers_and_writable_paths_are_found, certificates_that_end_soon_are_found, advisories_are_those_of_the_table,
     a_node_that_is_not_there_is_exit_2, listeners_are_read_from_the_kernels_table, disagreements_are_told,
     a_proto_dist_given_twice_is_found, answers_that_make_no_sense_do_no_harm,
     an_inet_tls_cluster_is_told_apart, a_port_beside_the_distributions_is_a_note, only_open_addresses_are_findings,
     a_cookie_that_can_be_guessed_is_found, what_the_optfile_lets_in_is_found, settings_decide_what_is_reached,
     only_the_named_node_is_dialled, an_answer_to_one_question_does_no_harm, a_cookie_comes_over_known_carriers_only].

init_per_suite(Config0) ->
    Config = lists:keystore(merlon_dir, 1, merlon_ct:open(Config0), {merlon_dir, old_dir(Config0)}),
    ok = merlon_peers:add_cli(merlon_ct:dir(Config), "operator", "127.0.0.1"),
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "cookie"),
    ok = merlon_peers:write_secret(Cookie, "merlontest"),
    [{cookie, Cookie} | Config].

%% Of a CA that is some days old.
old_dir(Config) -> merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "carrier-tests", erlang:system_time(second) - 4 * 86400).

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% With certificates that last.
node(Config, Base) ->
    Node = merlon_peers:node(merlon_peers:name(Base)),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Node, #{days => 5}),
    merlon_ct:start(Config, Node, ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"], #{certify => false}).

plain(Config, More) -> merlon_net_ct:plain(Config, "merlontest", More).

audit({_, Node, _}, Config, More) -> audit_name(atom_to_list(Node), Config, More).

audit_name(Node, Config, More) ->
    merlon_cli:run(["audit", "--node", Node, "--dir", merlon_ct:dir(Config), "--cookie", proplists:get_value(cookie, Config),
                    "--skip", "live_epmd" | More]).

over_tcp({_, Node, _}, Config, More) ->
    merlon_cli:run(["audit", "--node", atom_to_list(Node), "--over", "inet_tcp", "--cookie", proplists:get_value(cookie, Config) | More]).

has(Text, Pattern) -> {match, _, _} = {re:run(Text, Pattern, [{capture, none}]), Pattern, Text}.

merlon_nodes_are_clean_and_in_the_table(Config) ->
    {_, A, _} = One = node(Config, "one"),
    {_, B, _} = Two = node(Config, "two"),
    ok = merlon_ct:connect(One, Two),
    {0, Text, <<>>} = audit(One, Config, ["--cluster", "--fail-on", "medium", "--skip", "otp_unmaintained"]),
    [has(Text, [atom_to_list(Node), " +[0-9.]+ +[0-9.-]+ +merlon +normal +TLS 1.3 +1 merlon +127.0.0.1:[0-9]+ +[0-9]+ +low_entropy +20"]) || Node <- [A, B]],
    has(Text, "2 nodes scanned: 0 critical, 0 high"),
    nomatch = binary:match(Text, <<"merlontest">>),
    {0, Json, <<>>} = audit(One, Config, ["--cluster", "--fail-on", "medium", "--skip", "otp_unmaintained", "--format", "json"]),
    has(Json, "\"nodes\":\\[\\{\"node\":\""),
    has(Json, "\"carrier\":\"merlon\""),
    {0, Html, <<>>} = audit(One, Config, ["--cluster", "--fail-on", "medium", "--skip", "otp_unmaintained", "--format", "html"]),
    [has(Html, ["<tr><td>", atom_to_list(Node), "<td>[0-9.*]+<td>[0-9.-]+<td>merlon<td>normal<td>TLS 1.3<td>1 merlon"]) || Node <- [A, B]].

a_plain_cluster_is_found_out(Config) ->
    {_, A, _} = One = plain(Config, []),
    {_, B, _} = Two = plain(Config, ["-hidden", "-kernel", "net_ticktime", "33"]),
    true = merlon_ct:call(One, net_kernel, connect_node, [B]),
    {1, Text, <<>>} = over_tcp(One, Config, ["--cluster"]),
    has(Text, [atom_to_list(A), "  to ", atom_to_list(B), " \\(hidden\\)"]),
    has(Text, [atom_to_list(A), " +[0-9.]+ +- +inet_tcp +normal +- +1 tcp"]),
    has(Text, [atom_to_list(B), " +[0-9.]+ +- +inet_tcp +hidden +- +1 tcp"]),
    has(Text, ["net_ticktime: 33 \\(", atom_to_list(B), "\\); 60 \\(", atom_to_list(A), "\\)"]),
    has(Text, [atom_to_list(B), "  to ", atom_to_list(A)]),
    has(Text, "of the kind low_entropy"),
    has(Text, "the distribution's port [0-9]+ at 0.0.0.0"),
    nomatch = binary:match(Text, <<"merlontest">>),
    nomatch = binary:match(Text, <<"merlon@">>),
    [A] = merlon_ct:call(Two, erlang, nodes, [connected]).

an_inet_tls_cluster_is_told_apart(Config) ->
    {_, Node, _} = One = merlon_net_ct:inet_tls(Config, []),
    {_, B, _} = merlon_net_ct:inet_tls(Config, []),
    true = merlon_ct:call(One, net_kernel, connect_node, [B]),
    Own = merlon_peers:node(merlon_peers:name("asks")),
    {1, Text, <<>>} = merlon_cli:run(["audit", "--node", atom_to_list(Node), "--over", "inet_tls", "--as", atom_to_list(Own), "--optfile",
                                      merlon_net_ct:optfile(Config, Own, []), "--cookie", proplists:get_value(cookie, Config)]),
    has(Text, [atom_to_list(Node), "  to ", atom_to_list(B)]),
    has(Text, "live_tls_link"),
    has(Text, [atom_to_list(Node), " +[0-9.]+ +- +inet_tls +normal +TLS 1.2 +1 tls "]),
    has(Text, [atom_to_list(Node), "  the distribution's server does not verify"]),
    has(Text, [atom_to_list(Node), "  the distribution takes TLS 1.2"]),
    nomatch = binary:match(Text, <<"live_plain_link">>).

a_port_beside_the_distributions_is_a_note(_Config) ->
    [#{rule := live_port, severity := note, what := <<"port 8080 at 10.0.0.7">>}] =
        judged(#{port => 9100, listeners => [{{10, 0, 0, 7}, 8080}, {{10, 0, 0, 7}, 9100}]}).

only_open_addresses_are_findings(_Config) ->
    Rules = fun(More) -> [Rule || #{rule := Rule} <- judged(More)] end,
    [live_listener] = Rules(#{port => 9100, listeners => [{{0, 0, 0, 0}, 9100}]}),
    [live_listener] = Rules(#{port => 9100, listeners => [{{0, 0, 0, 0, 0, 0, 0, 0}, 9100}]}),
    [] = Rules(#{port => 9100, listeners => [{{127, 0, 0, 1}, 9100}]}),
    [live_epmd, live_epmd] = Rules(#{epmd => [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}]}),
    [] = Rules(#{epmd => [{127, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}]}).

a_cookie_that_can_be_guessed_is_found(_Config) ->
    Rules = fun(Cookie, More) -> [Rule || #{rule := Rule} <- judged(More#{cookie => fun() -> Cookie end})] end,
    [live_cookie] = Rules(<<"secretcookie">>, #{}),
    [live_cookie] = Rules(<<"shop">>, #{node => 'shop@web1'}),
    [] = Rules(<<"uF4mZp0cQ7vXk2Rj9sLwT1yBnHd6eGa3">>, #{}),
    [] = Rules(<<"shop">>, #{node => 'shop@web1', carrier => merlon}).

what_the_optfile_lets_in_is_found(_Config) ->
    Good = #{{server, versions} => {ok, ['tlsv1.3']}, {client, versions} => {ok, ['tlsv1.3']}, {server, verify} => {ok, verify_peer},
             {server, fail_if_no_peer_cert} => {ok, true}},
    Rules = fun(More) -> [Rule || #{rule := Rule} <- judged(#{carrier => inet_tls, tls => maps:merge(Good, More)})] end,
    [] = Rules(#{}),
    [tls_verify_none] = Rules(#{{server, verify} => {ok, verify_none}}),
    [tls_verify_none] = Rules(#{{server, verify} => none}),
    [tls_client_cert] = Rules(#{{server, fail_if_no_peer_cert} => none}),
    [wire_tls_old] = Rules(#{{server, versions} => none}),
    [tls_versions] = Rules(#{{client, versions} => {ok, ['tlsv1.3', 'tlsv1.1']}}),
    %% What was not answered is not told.
    [] = [Rule || #{rule := Rule} <- judged(#{carrier => inet_tls, tls => #{}})],
    [] = [Rule || #{rule := Rule} <- judged(#{carrier => inet_tls})].

%% The same OTP: what an advisory needs is there or not.
settings_decide_what_is_reached(_Config) ->
    Reached = fun(Id, More) ->
                  Told = [{Rule, What} || #{rule := Rule, what := What} <- merlon_audit_live:judge(facts(More#{otp => <<"26.0">>}), 0, #{})],
                  [Rule] = [Rule || {Rule, What} <- Told, binary:match(What, Id) =/= nomatch],
                  Rule
              end,
    Only = fun(Version) -> #{carrier => inet_tls, tls => #{{server, versions} => {ok, [Version]}, {client, versions} => {ok, [Version]}}} end,
    otp_advisory = Reached(<<"CVE-2026-55953">>, Only('tlsv1.2')),
    otp_unreached = Reached(<<"CVE-2026-55953">>, Only('tlsv1.3')),
    otp_advisory = Reached(<<"CVE-2026-89422">>, Only('tlsv1.3')),
    otp_unreached = Reached(<<"CVE-2026-89422">>, Only('tlsv1.2')),
    otp_advisory = Reached(<<"CVE-2026-48860">>, (Only('tlsv1.3'))#{settings => [{check_ip, true}]}),
    otp_unreached = Reached(<<"CVE-2026-48860">>, (Only('tlsv1.3'))#{settings => [{check_ip, false}]}),
    otp_advisory = Reached(<<"CVE-2026-28810">>, #{settings => [{inet_res, true}]}),
    otp_unreached = Reached(<<"CVE-2026-28810">>, #{settings => [{inet_res, false}]}).

%% The others are asked by the node, through links that it has.
only_the_named_node_is_dialled(_Config) ->
    Self = self(),
    Info = fun(Name) -> {Name, [{state, up}, {type, normal}, {address, {net_address, x, "h", tcp, inet}}]} end,
    Call = fun(M, F, A, _) -> Self ! {called, M, F, A}, answer(M, F, A, Info) end,
    {ok, [#{name := <<"a@h">>}, #{name := <<"b@h">>} | _], [_, _]} =
        merlon_audit_live:scan('a@h', #{call => Call, cluster => true, secretly => false, now => 0}),
    Calls = called(),
    [['a@h']] = [Args || {net_kernel, connect_node, Args} <- Calls],
    ['a@h'] = lists:usort([Asked || {erpc, call, [Asked | _]} <- Calls]),
    [] = [Call1 || {M, F, _} = Call1 <- Calls, not lists:member({M, F}, [{net_kernel, connect_node}, {erlang, node}, {erpc, call}])].

%% A node a@h that is linked to b@h, as the VM that holds the link gives it.
answer(net_kernel, connect_node, _, _) -> true;
answer(erlang, node, [], _) -> 'me@h';
answer(erpc, call, ['a@h', erpc, call, ['b@h', M, F, A, _], _], _) -> told(M, F, A, []);
answer(erpc, call, ['a@h', M, F, A, _], Info) -> told(M, F, A, [Info('b@h')]).

told(erlang, system_info, [otp_release], _) -> "25";
told(net_kernel, nodes_info, [], Links) -> {ok, Links};
told(_, _, _, _) -> error({exception, undef, []}).

called() ->
    receive {called, M, F, A} -> [{M, F, A} | called()]
    after 0 -> []
    end.

nothing_is_loaded_or_changed(Config) ->
    Vm = plain(Config, []),
    State = fun() -> [lists:sort(merlon_ct:call(Vm, M, F, A)) || {M, F, A} <-
        [{erlang, nodes, [connected]}, {application, which_applications, []}, {erlang, registered, []}]] end,
    %% Audited twice: what the first time loads of OTP's own modules is there the second time.
    {1, _, <<>>} = over_tcp(Vm, Config, []),
    Loaded = [Module || {Module, _} <- merlon_ct:call(Vm, code, all_loaded, [])],
    [] = [Module || Module <- Loaded, lists:prefix("merlon_audit", atom_to_list(Module))
                                          orelse lists:prefix("merlon_live_facts", atom_to_list(Module))],
    merlon_peers:wait(fun() -> merlon_ct:call(Vm, erlang, nodes, [connected]) =:= [] end),
    Before = State(),
    {1, _, <<>>} = over_tcp(Vm, Config, []),
    merlon_peers:wait(fun() -> merlon_ct:call(Vm, erlang, nodes, [connected]) =:= [] end),
    Before = State().

resolvers_and_writable_paths_are_found(Config) ->
    Open = filename:join(proplists:get_value(priv_dir, Config), "open"),
    ok = filelib:ensure_dir(filename:join(Open, "x")),
    ok = file:change_mode(Open, 8#777),
    Vm = plain(Config, ["-pa", Open]),
    Register = fun(Name, Who, Resolve) -> merlon_ct:call(Vm, global, register_name, [Name, merlon_ct:call(Vm, erlang, whereis, [Who]), Resolve]) end,
    yes = Register(good, init, fun global:random_notify_name/3),
    yes = Register(evil, rex, fun merlon_work:resolve/3),
    {1, Text, <<>>} = over_tcp(Vm, Config, ["--only", "global_resolver", "--only", "live_code_path"]),
    has(Text, "of the name evil, merlon_work:resolve/3"),
    has(Text, Open),
    nomatch = binary:match(Text, <<"of the name good">>).

certificates_that_end_soon_are_found(Config) ->
    Node = merlon_peers:node(merlon_peers:name("short")),
    ok = merlon_peers:add_node(merlon_ct:dir(Config), Node, #{days => 4, now => erlang:system_time(second) - 3 * 86400 - 43200}),
    Vm = merlon_ct:start(Config, Node, [], #{certify => false}),
    {1, Text, <<>>} = audit(Vm, Config, ["--only", "live_certificate"]),
    has(Text, [atom_to_list(Node), "  its own, in 1[12] hours"]),
    %% One that a node makes itself anew every few hours is none of them.
    Dates = fun(More, Now) -> [What || #{rule := live_certificate, what := What} <-
                                   merlon_audit_live:judge(maps:remove(otp, facts(More)), Now, #{})] end,
    [] = Dates(#{ends => 1000}, 999),
    [<<"its own, 1 second ago">>] = Dates(#{ends => 1000}, 1001),
    [] = Dates(#{own => {0, 1000}}, 700),
    [<<"its own, in 4 minutes">>] = Dates(#{own => {0, 1000}}, 760).

facts(More) ->
    maps:merge(#{node => 'a@b', otp => <<"25.3">>, carrier => inet_tcp, hidden => false, links => [], merlon_links => [], names => [],
                 path => [], listeners => [], epmd => [], settings => [], apps => [ssh]}, More).

%% Of a version of OTP that nothing is known of.
judged(More) -> merlon_audit_live:judge(maps:remove(otp, facts(More)), 0, #{}).

%% By merlon's own table: the same fault is reached over inet_tls, and not over merlon.
advisories_are_those_of_the_table(_Config) ->
    Told = fun(More) -> [{Rule, What} || #{rule := Rule, what := What, file := <<"a@b">>} <- merlon_audit_live:judge(facts(More), 0, #{})] end,
    Tls = <<"OTP 25.3: CVE-2026-55953, a TLS 1.2 client accepts a server without any certificate; mended in 27.3.4.15">>,
    Ssh = <<"OTP 25.3: CVE-2025-32433, ">>,
    Is = fun(Rule, Begin, Found) -> [Rule] =:= [R || {R, What} <- Found, string:prefix(What, Begin) =/= nomatch] end,
    [true = Is(Rule, Tls, Told(#{carrier => Carrier})) || {Carrier, Rule} <- [{inet_tls, otp_advisory}, {merlon, otp_unreached}]],
    [true = Is(Rule, Ssh, Told(#{apps => Apps})) || {Apps, Rule} <- [{[ssh], otp_advisory}, {[], otp_unreached}]],
    true = lists:member({otp_unmaintained, <<"OTP 25">>}, Told(#{})),
    %% As a patched installation writes it; mended; what is no version at all.
    [] = Told(#{otp => <<"29.99**">>}),
    true = Told(#{otp => <<"25.3**">>}) =:= Told(#{}),
    [[] = Told(#{otp => Text}) || Text <- [<<>>, <<"29.0-rc1">>, <<"a.b">>, <<"25.3.">>, <<"25.3\e[2J">>, <<"-1">>]].

a_node_that_is_not_there_is_exit_2(Config) ->
    {2, <<>>, Error} = audit_name("nobody@127.0.0.1", Config, []),
    has(Error, "merlon doctor nobody@127.0.0.1").

listeners_are_read_from_the_kernels_table(_Config) ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    {ok, Table} = prim_file:read_file("/proc/self/net/tcp"),
    Links = [Link || Name <- element(2, file:list_dir("/proc/self/fd")), {ok, Link} <- [file:read_link("/proc/self/fd/" ++ Name)]],
    true = lists:member({{127, 0, 0, 1}, Port}, merlon_live_facts:listeners([Table], own, Links)),
    true = lists:member({{127, 0, 0, 1}, Port}, merlon_live_facts:listeners([Table], all, [])),
    false = lists:member({{127, 0, 0, 1}, Port}, merlon_live_facts:listeners([Table], own, [])),
    [] = merlon_live_facts:listeners([<<255, "garbage\n 0: zz">>], all, []),
    Six = <<"   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
            "00000000     0        0 77 1 0 100 0 0 10 0\n">>,
    [{{0, 0, 0, 0, 0, 0, 0, 1}, 8080}] = merlon_live_facts:listeners([Six], own, ["socket:[77]"]).

disagreements_are_told(_Config) ->
    Secret = fun(Text) -> fun() -> Text end end,
    A = facts(#{node => 'a@h', cookie => Secret(<<"one">>), links => [#{node => 'b@h', carrier => tcp, type => normal}]}),
    B = facts(#{node => 'b@h', otp => <<"27.1">>, cookie => Secret(<<"two">>)}),
    Whats = [What || #{rule := live_disagree, what := What} <- merlon_audit_live:disagreements([A, B])],
    Joined = iolist_to_binary(lists:join($\n, Whats)),
    has(Joined, "otp: 25.3 \\(a@h\\); 27.1 \\(b@h\\)"),
    has(Joined, "cookie: number 1 \\(a@h\\); number 2 \\(b@h\\)"),
    has(Joined, "a@h is linked to b@h, which is not linked to it"),
    3 = length(Whats),
    [] = merlon_audit_live:disagreements([A#{links := []}, A#{node := 'c@h', links := []}]).

a_proto_dist_given_twice_is_found(_Config) ->
    Rules = fun(More) -> [Rule || #{rule := Rule} <- judged(More)] end,
    [live_flags] = Rules(#{flags => [["merlon"], ["inet_tls"]]}),
    [live_flags] = Rules(#{flags => [["merlon"]]}),
    [] = Rules(#{flags => [["merlon"]], carrier => merlon}),
    [] = Rules(#{}).

%% A node may answer anything to anything.
answers_that_make_no_sense_do_no_harm(_Config) ->
    Evil = <<"\e]0;owned\a\e[2J">>,
    Answers = [[], [[]], ok, {ok, ok}, {ok, []}, {ok, [x | y]}, Evil, {ok, Evil}, {ok, [Evil]}, [{x, y}], {ok, [{x, [{state, up}, {address, 7}]}]},
               {ok, [{"x", [{state, up}]}]}, [#{node => 7, not_after => x}], {[[a, fun lists:map/2], [b, 7]], x}, 1.5, "25", [1 | 2],
               fun() -> exit(evil) end, #{}, list_to_atom(binary_to_list(Evil))],
    [begin
         Call = fun(net_kernel, connect_node, _, _) -> true;
                   (erlang, node, [], _) -> 'me@h';
                   (erpc, call, [_, erlang, system_info, [otp_release], _], _) -> "25";
                   (erpc, call, _, _) -> Answer
                end,
         Options = #{call => Call, cluster => true, secretly => true, now => 0},
         [nomatch = binary:match(Text, <<"\e">>) || Text <- shown(merlon_audit_live:scan('x@h', Options))]
     end || Answer <- Answers].

%% Where all others are as they should be.
an_answer_to_one_question_does_no_harm(_Config) ->
    [begin
         {ok, _, _} = Told = merlon_audit_live:scan('x@h', #{call => answering(Asked, Answer), cluster => false, secretly => false, now => 0}),
         [nomatch = binary:match(Text, <<"\e">>) || Text <- shown(Told)]
     end || {Asked, Answer} <- [{{net_kernel, nodes_info}, linked_over('\e]0;owned\a\e[2J')}, {{net_kernel, nodes_info}, linked_over('\x{8a9e}')},
                                {{init, get_argument}, {ok, [x, y | z]}}]].

%% One that is not known may be plain.
a_cookie_comes_over_known_carriers_only(_Config) ->
    [begin
         Self = self(),
         Answering = answering({net_kernel, nodes_info}, linked_over(Carrier)),
         Call = fun(M, F, ['x@h', erpc, call, ['b@h', Module, Function | _], _], Timeout) ->
                        Self ! {asked, {Module, Function}},
                        Answering(M, F, ['b@h', Module, Function, [], 0], Timeout);
                   (M, F, Args, Timeout) -> Answering(M, F, Args, Timeout)
                end,
         {ok, _, _} = merlon_audit_live:scan('x@h', #{call => Call, cluster => true, secretly => true, now => 0}),
         {Carrier, Expected} = {Carrier, lists:member({erlang, get_cookie}, all_asked())}
     end || {Carrier, Expected} <- [{tcp, false}, {quic, false}, {tls, true}, {merlon, true}]].

all_asked() -> receive {asked, What} -> [What | all_asked()] after 0 -> [] end.

linked_over(Carrier) -> {ok, [{'b@h', [{state, up}, {address, {net_address, a, b, Carrier, c}}]}]}.

answering(Asked, Answer) ->
    fun(net_kernel, connect_node, _, _) -> true;
       (erlang, node, [], _) -> 'me@h';
       (erpc, call, [_, erlang, system_info | _], _) -> "25";
       (erpc, call, [_, M, F | _], _) when {M, F} =:= Asked -> Answer;
       (erpc, call, _, _) -> undefined
    end.

shown({error, Text}) -> [unicode:characters_to_binary(Text)];
shown({ok, Results, Table}) ->
    Report = (merlon_audit:assembled(node, Results, #{}))#{nodes => Table},
    [unicode:characters_to_binary(Said)
     || Said <- [merlon_audit_report:text(Report, #{}), merlon_audit_report:json(Report), merlon_audit_html:encode(Report)]].
