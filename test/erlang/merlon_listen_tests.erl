%% SPDX-License-Identifier: Apache-2.0
-module(merlon_listen_tests).
-include_lib("eunit/include/eunit.hrl").

-define(ANY, {0, 0, 0, 0}).
-define(ANY6, {0, 0, 0, 0, 0, 0, 0, 0}).
-define(LO6, {0, 0, 0, 0, 0, 0, 0, 1}).

interfaces() ->
    [{"lo", [{flags, [up]}, {addr, {127, 0, 0, 1}}, {netmask, {255, 0, 0, 0}}, {addr, ?LO6}]},
     {"eth0", [{addr, {10, 0, 0, 7}}, {addr, {16#FE80, 0, 0, 0, 0, 0, 0, 1}}, {addr, {16#2001, 16#DB8, 0, 0, 0, 0, 0, 7}}]}].

addresses(Family, Host, Places, Kernel) ->
    merlon_listen:addresses(Family, Host, {Places, Kernel}, fun interfaces/0).

a_node_with_a_loopback_name_listens_on_loopback_only_test_() ->
    [{Host, ?_assertEqual({ok, [Ip]}, addresses(Family, Host, default, none))}
     || {Family, Host, Ip} <-
            [{inet, "localhost", {127, 0, 0, 1}}, {inet, "LocalHost", {127, 0, 0, 1}},
             {inet, "localhost.localdomain", {127, 0, 0, 1}}, {inet, "app.localhost", {127, 0, 0, 1}},
             {inet, "127.0.0.1", {127, 0, 0, 1}}, {inet, "127.0.0.5", {127, 0, 0, 5}},
             {inet6, "localhost", ?LO6}, {inet6, "::1", ?LO6},
             {inet6, "127.0.0.1", ?LO6}, {inet6, "::ffff:127.0.0.1", ?LO6}, {inet, "::1", {127, 0, 0, 1}},
             {inet6, "ip6-localhost", ?LO6}, {inet6, "ip6-loopback", ?LO6}, {inet6, "localhost6", ?LO6},
             {inet6, "localhost6.localdomain6", ?LO6}, {inet, "localhost.", {127, 0, 0, 1}},
             {inet, "host", ?ANY}, {inet, "host.example.com", ?ANY}, {inet, "10.0.0.7", ?ANY},
             {inet, "localhost.example.com", ?ANY}, {inet, "notlocalhost", ?ANY}, {inet, "127.0.0.1.example.com", ?ANY},
             {inet6, "host", ?ANY6}, {inet6, "2001:db8::7", ?ANY6}]].

what_kernel_says_counts_more_than_the_name_test() ->
    ?assertEqual({ok, [?ANY]}, addresses(inet, "localhost", default, {ok, ?ANY})),
    ?assertEqual({ok, [{10, 0, 0, 7}]}, addresses(inet, "host", default, {ok, {10, 0, 0, 7}})).

what_merlon_config_says_counts_most_test() ->
    Ten = {ip, {10, 0, 0, 7}},
    ?assertEqual({ok, [{10, 0, 0, 7}]}, addresses(inet, "localhost", [Ten], {ok, ?ANY})),
    ?assertEqual({ok, [{127, 0, 0, 1}, {10, 0, 0, 7}]}, addresses(inet, "h", [{interface, "lo"}, Ten, Ten], none)),
    ?assertEqual({ok, [{16#2001, 16#DB8, 0, 0, 0, 0, 0, 7}]}, addresses(inet6, "h", [{interface, "eth0"}], none)).

what_can_not_be_is_said_in_words_test_() ->
    [{Words, fun() ->
                 {error, Reason} = Result,
                 ?assertMatch({{match, _}, _}, {re:run(merlon_node:format_error(Reason), Words), Result})
             end}
     || {Result, Words} <-
            [{addresses(inet, "h", [{interface, "eth9"}], none), "eth9.*does not have: it has eth0, lo"},
             {addresses(inet6, "h", [{ip, {10, 0, 0, 7}}], none), "no IPv6 address"},
             {addresses(inet, "h", [{ip, ?LO6}], none), "no IPv4 address"},
             {{error, {listen, {0, 0}, eaddrnotavail}}, "not this machine's"},
             {{error, {listen, {4000, 4000}, eaddrinuse}}, "port 4000 .*in use"}]].

places_are_addresses_or_interfaces_test() ->
    ?assertEqual({ok, {ip, {10, 0, 0, 7}}}, merlon_listen:place(<<"10.0.0.7">>)),
    ?assertEqual({ok, {ip, ?LO6}}, merlon_listen:place(<<"::1">>)),
    ?assertEqual({ok, {interface, "eth0.12"}}, merlon_listen:place(<<"eth0.12">>)),
    [?assertEqual(error, merlon_listen:place(Text)) || Text <- [<<"a b">>, <<"much-too-long-for-an-interface">>, <<"">>]].
