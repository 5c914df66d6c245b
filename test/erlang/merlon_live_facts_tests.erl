%% SPDX-License-Identifier: Apache-2.0
%% What a running node is asked, and what of its answers is taken.
-module(merlon_live_facts_tests).
-include_lib("eunit/include/eunit.hrl").

-define(NODE, 'a@127.0.0.1').

%% Asks this very VM, and remembers.
here(M, F, A) ->
    Answer = try {ok, apply(M, F, A)} catch _:Reason -> {error, Reason} end,
    self() ! {asked, {M, F}, Answer},
    Answer.

%% A node that answers these alone.
scripted(Answers) ->
    fun(M, F, A) ->
        case [Answer || {Of, Answer} <- Answers, Of =:= {M, F} orelse Of =:= {M, F, A}] of
            [Answer | _] -> {ok, Answer};
            [] -> {error, undef}
        end
    end.

facts(Answers) ->
    {ok, Facts} = merlon_live_facts:of_node(?NODE, scripted([{{erlang, system_info}, "25"} | Answers]), true),
    Facts.

asked() ->
    receive {asked, Call, Answer} -> [{Call, Answer} | asked()]
    after 0 -> []
    end.

with_optfile(Options, Test) ->
    ssl_dist_opts = ets:new(ssl_dist_opts, [set, protected, named_table]),
    true = ets:insert(ssl_dist_opts, Options),
    try Test() after ets:delete(ssl_dist_opts) end.

%% ---- nothing changes, nothing secret goes ----

only_questions_are_asked_test() ->
    {ok, _} = merlon_live_facts:of_node(node(), fun here/3, true),
    Questions = [{application, get_env}, {application, get_key}, {application, which_applications}, {code, get_path}, {code, root_dir},
                 {erl_epmd, names}, {erlang, get_cookie}, {erlang, system_info}, {erlang, whereis}, {ets, info}, {ets, match},
                 {file, read_file}, {inet_db, res_option}, {init, get_argument}, {lists, map}, {merlon, connections}, {merlon, metrics},
                 {merlon_config, dir}, {net_kernel, get_net_ticktime}, {net_kernel, nodes_info}, {prim_file, list_dir},
                 {prim_file, read_file}],
    ?assertEqual([], lists:usort([Call || {Call, _} <- asked()]) -- Questions).

over_an_open_link_the_cookie_is_not_asked_for_test() ->
    {ok, Facts} = merlon_live_facts:of_node(node(), fun here/3, false),
    ?assertNot(is_map_key(cookie, Facts)),
    ?assertEqual([], [Call || {{erlang, get_cookie} = Call, _} <- asked()]).

options_of_tls_leave_the_node_one_by_one_test() ->
    Server = [{certfile, "/c"}, {password, "opensesame"}, {versions, ['tlsv1.3', 'tlsv1.2']}, inet6, {verify, verify_peer},
              {versions, [later]}, {fail_if_no_peer_cert, true}],
    with_optfile([{server, Server}, {client, [{password, "opensesame"}]}], fun() ->
        {ok, #{tls := Tls}} = merlon_live_facts:of_node(node(), fun here/3, true),
        ?assertEqual(#{{server, versions} => {ok, ['tlsv1.3', 'tlsv1.2']}, {client, versions} => none, {server, verify} => {ok, verify_peer},
                       {server, fail_if_no_peer_cert} => {ok, true}}, Tls),
        Answers = iolist_to_binary(io_lib:format("~0tp", [asked()])),
        ?assertEqual(nomatch, binary:match(Answers, <<"opensesame">>)),
        ?assertEqual(nomatch, binary:match(Answers, <<"certfile">>))
    end).

without_an_optfile_nothing_is_said_of_tls_test() ->
    {ok, Facts} = merlon_live_facts:of_node(node(), fun here/3, true),
    ?assertNot(is_map_key(tls, Facts)).

%% ---- what is taken ----

settings_test() ->
    #{settings := Settings} = facts([{{application, get_env, [kernel, check_ip, false]}, true}, {{inet_db, res_option}, [file, dns]}]),
    ?assertEqual([{check_ip, true}, {inet_res, true}], Settings),
    ?assertEqual([{inet_res, false}], maps:get(settings, facts([{{inet_db, res_option}, [native]}]))),
    ?assertEqual([], maps:get(settings, facts([{{inet_db, res_option}, [a | b]}]))).

%% 127.0.0.1:9001 is the node's own, by its descriptor; epmd listens everywhere.
listeners_and_epmd_test() ->
    Epmd = string:right(integer_to_list(merlon_wire_epmd:port(), 16), 4, $0),
    Row = fun(Address, Port, Inode) ->
              ["   0: ", Address, $:, Port, " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 ", Inode, " 1 0 100 0 0 10 0\n"]
          end,
    Table = iolist_to_binary(["  sl  local_address ...\n", Row("0100007F", "2329", "77"), Row("00000000", Epmd, "78")]),
    Facts = facts([{{prim_file, read_file, ["/proc/self/net/tcp"]}, {ok, Table}}, {{prim_file, list_dir}, {ok, ["3"]}},
                   {{lists, map}, [{ok, "socket:[77]"}]}, {{erl_epmd, names}, {ok, [{"b", 1}, {"a", 9001}]}}]),
    ?assertMatch(#{listeners := [{{127, 0, 0, 1}, 9001}], epmd := [{0, 0, 0, 0}], port := 9001}, Facts).

carriers_of_links_and_hidden_nodes_test() ->
    Link = fun(Name, Protocol, Type, State) -> {Name, [{state, State}, {type, Type}, {address, {net_address, x, "h", Protocol, inet}}]} end,
    #{links := Links, hidden := true} =
        facts([{{net_kernel, nodes_info}, {ok, [Link(b@h, tcp, normal, up), Link(c@h, merlon, hidden, up), Link(d@h, tls, normal, pending)]}},
               {{init, get_argument, [hidden]}, {ok, [[]]}}]),
    ?assertEqual([#{node => b@h, carrier => tcp, type => normal}, #{node => c@h, carrier => merlon, type => hidden}], Links),
    ?assertMatch(#{hidden := false}, facts([])).

the_patch_level_is_of_the_installation_test() ->
    ?assertMatch(#{otp := <<"25.3.2.8">>},
                 facts([{{code, root_dir}, "/otp"}, {{file, read_file, ["/otp/releases/25/OTP_VERSION"]}, {ok, <<"25.3.2.8\n">>}}])),
    ?assertMatch(#{otp := <<"25">>}, facts([])).
