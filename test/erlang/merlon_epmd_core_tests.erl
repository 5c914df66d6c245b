%% SPDX-License-Identifier: Apache-2.0
-module(merlon_epmd_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(CORE, merlon_epmd_core).

strategies_are_read_test_() ->
    [?_assertEqual({ok, Strategy}, ?CORE:check(Given))
     || {Given, Strategy} <-
            [{daemon, daemon}, {{port, 9000}, {port, 9000}}, {{base, 1}, {base, 1}},
             {{names, []}, {names, #{port => 4370}}}, {{names, [{port, 88}]}, {names, #{port => 88}}},
             {{dns_srv, "app.ns.svc.cluster.local."}, {dns_srv, "app.ns.svc.cluster.local", []}},
             {{dns_srv, "app", [{nameserver, "::1", 8600}]}, {dns_srv, "app", [{{0, 0, 0, 0, 0, 0, 0, 1}, 8600}]}},
             {{static, [{'a@h', "10.0.0.5", 9000}, {<<"b@h">>, h2, 9001}]},
              {static, [{<<"a@h">>, "10.0.0.5", 9000}, {<<"b@h">>, "h2", 9001}]}}]].

what_makes_no_sense_is_refused_test_() ->
    [{lists:flatten(io_lib:format("~p", [Given])), ?_assertEqual(error, ?CORE:check(Given))}
     || Given <- [names, port, {port, 0}, {port, 65536}, {port, "9000"}, {base, -1}, {base, 70000}, {static, []},
                  {static, [{'a@h', "h", 0}]}, {static, [{a, "h", 1}]}, {static, [{'a@h@i', "h", 1}]},
                  {static, [{'a@', "h", 1}]}, {static, [{'a@h', "h", 1}, {"a@h", "i", 2}]}, {static, [{'a@h', <<255>>, 1}]},
                  {dns_srv, ""}, {dns_srv, "a..b"}, {dns_srv, "a b"}, {dns_srv, 5}, {dns_srv, "a", []}, {dns_srv, "a", [{nameserver, "host", 53}]},
                  {dns_srv, "a", [{nameserver, "::1", 0}]}, {names, [{port, 0}]},
                  {names, [{port, 1}, {port, 2}]}, {names, [{address, "x"}]}, {names, #{}}, []]].

a_node_listens_on_the_port_that_others_look_for_test_() ->
    [?_assertEqual({ok, Port}, ?CORE:own_port(Strategy, {Name, <<"h">>}, {node, <<"c">>, Name, <<"h">>}))
     || {Strategy, Name, Port} <-
            [{{port, 9000}, <<"a">>, 9000}, {{base, 4370}, <<"a7">>, 4377}, {{base, 4370}, <<"a">>, 4370},
             {{base, 4370}, <<"a1b02">>, 4372}, {{names, #{port => 4370}}, <<"a">>, 0},
             {{static, [{<<"a@h">>, "10.0.0.5", 9001}]}, <<"a">>, 9001}]]
        ++ [?_assertEqual(ask, ?CORE:own_port({dns_srv, "d", []}, {<<"a">>, <<"h">>}, {node, <<"c">>, <<"a">>, <<"h">>}))].

%% A remote shell that took the port would keep the node from starting.
a_tool_and_a_derived_name_never_take_a_nodes_port_test_() ->
    Strategies = [{port, 9000}, {base, 9000}, {static, [{<<"a@h">>, "h", 9000}]}, {dns_srv, "d", []}],
    [?_assertEqual({ok, 0}, ?CORE:own_port(Strategy, {Name, <<"h">>}, Identity))
     || Strategy <- Strategies,
        {Name, Identity} <- [{<<"a">>, {cli, <<"c">>, <<"alice">>, <<"h">>}},
                             {<<"rem-12ab-a">>, {cli, <<"c">>, <<"alice">>, <<"h">>}},
                             {<<"a_prelaunch_77">>, {node, <<"c">>, <<"a">>, <<"h">>}},
                             {<<"a">>, {node, <<"c">>, <<"a">>, <<"other">>}}]].

a_node_without_a_port_is_told_what_to_do_test_() ->
    [{Words, fun() ->
                 {error, Reason} = ?CORE:own_port(Strategy, {Name, <<"h">>}, {node, <<"c">>, Name, <<"h">>}),
                 ?assertMatch({match, _}, re:run(?CORE:format_error(Reason), Words))
             end}
     || {Strategy, Name, Words} <-
            [{{static, [{<<"b@h">>, "h", 9000}]}, <<"a">>, "does not name a@h: add \\{'a@h'"},
             {{base, 65000}, <<"a999">>, "no port for a999@h"},
             {{base, 1}, <<"a99999999999999999999999999">>, "smaller base"}]].

others_are_found_test_() ->
    Static = {static, [{<<"a@h">>, "10.0.0.5", 9001}, {<<"a@i">>, "10.0.0.6", 9002}, {<<"b@h">>, "10.0.0.5", 9003}]},
    [?_assertEqual(Place, ?CORE:place(Strategy, Name, Host))
     || {Strategy, Name, Host, Place} <-
            [{{port, 9000}, "a", "h", {at, "h", 9000}}, {{base, 9000}, "a12", "h", {at, "h", 9012}},
             {{base, 65530}, "a12", "h", none}, {Static, "a", "h", {at, "10.0.0.5", 9001}}, {Static, "c", "h", none},
             {{dns_srv, "d", []}, "a", "h", ask}, {{names, #{port => 1}}, "a", "h", ask}]]
        ++ [?_assertEqual(9003, ?CORE:port_of(Static, "b")),
            %% Two hosts have one.
            ?_assertEqual(none, ?CORE:port_of(Static, "a")), ?_assertEqual(none, ?CORE:port_of(Static, "c")),
            ?_assertEqual([{<<"a@h">>, "10.0.0.5", 9001}, {<<"b@h">>, "10.0.0.5", 9003}], ?CORE:listed(Static, fun(At) -> At =:= "h" end)),
            ?_assertEqual([{<<"a@i">>, "10.0.0.6", 9002}], ?CORE:listed(Static, fun(At) -> At =:= "10.0.0.6" end)),
            ?_assertEqual([], ?CORE:listed({port, 1}, fun(_) -> true end))].

srv_records_are_read_by_target_test_() ->
    Records = [{10, 0, 9002, "pod-1.app.svc"}, {10, 5, 9001, "POD-0.app.svc."}, {0, 0, 9000, "pod-0.app.svc"},
               {0, 0, 0, "pod-2.app.svc"}],
    [?_assertEqual({ok, "_app._tcp.app.svc"}, ?CORE:srv_name("app", "app.svc")),
     [?_assertEqual(none, ?CORE:srv_name(Name, "app.svc"))
      || Name <- ["", ".", "a..b", "a.b", "a b", [8364], lists:duplicate(63, $a)]],
     ?_assertEqual(none, ?CORE:srv_name("a", string:join(lists:duplicate(4, lists:duplicate(62, $d)), "."))),
     ?_assertEqual(9000, ?CORE:srv_port(Records, "pod-0.app.svc", "app.svc")),
     ?_assertEqual(9000, ?CORE:srv_port(Records, "Pod-0", "app.svc")),
     ?_assertEqual(9002, ?CORE:srv_port(Records, "pod-1.app.svc.", "app.svc")),
     %% Port 0 is no port, and another host's port is not this one's.
     ?_assertEqual(none, ?CORE:srv_port(Records, "pod-2", "app.svc")),
     ?_assertEqual(none, ?CORE:srv_port(Records, "pod-0.other.svc", "app.svc")),
     ?_assertEqual(none, ?CORE:srv_port([], "pod-0", "app.svc"))].
