%% SPDX-License-Identifier: Apache-2.0
-module(merlon_cidr_tests).
-include_lib("eunit/include/eunit.hrl").

in(Address, Networks) ->
    {ok, Ip} = inet:parse_strict_address(Address),
    merlon_cidr:member(Ip, [begin {ok, Cidr} = merlon_cidr:parse(list_to_binary(Net)), Cidr end || Net <- Networks]).

members_are_those_with_the_prefix_test_() ->
    [{Address ++ " " ++ lists:concat(Nets), ?_assertEqual(Expected, in(Address, Nets))}
     || {Address, Nets, Expected} <-
            [{"10.1.2.3", ["10.0.0.0/8"], true}, {"11.1.2.3", ["10.0.0.0/8"], false},
             {"10.1.2.3", ["10.1.2.3"], true}, {"10.1.2.4", ["10.1.2.3"], false},
             {"10.1.2.3", ["10.1.2.2/31"], true}, {"10.1.2.4", ["10.1.2.2/31"], false},
             {"192.168.3.255", ["192.168.0.0/22"], true}, {"192.168.4.0", ["192.168.0.0/22"], false},
             {"0.0.0.0", ["0.0.0.0/0"], true}, {"255.255.255.255", ["0.0.0.0/0"], true},
             {"10.0.0.1", [], false}, {"10.0.0.1", ["11.0.0.0/8", "10.0.0.0/8"], true},
             {"2001:db8::1", ["2001:db8::/32"], true}, {"2001:db9::1", ["2001:db8::/32"], false},
             {"2001:db8::1", ["2001:db8::1"], true}, {"2001:db8::1", ["::/0"], true},
             %% The two families are apart, but for IPv4 in IPv6's clothes, on either side.
             {"10.0.0.1", ["::/0"], false}, {"::1", ["0.0.0.0/0"], false},
             {"::ffff:10.0.0.1", ["10.0.0.0/8"], true}, {"::ffff:10.0.0.1", ["::/0"], false},
             {"10.0.0.1", ["::ffff:10.0.0.0/104"], true}, {"11.0.0.1", ["::ffff:10.0.0.0/104"], false},
             {"10.0.0.1", ["::ffff:10.0.0.1"], true}, {"10.0.0.1", ["::ffff:0:0/96"], true}]].

%% Each prefix length, against arithmetic on numbers.
every_prefix_length_is_exact_test() ->
    <<N:32>> = <<203, 0, 113, 77>>,
    [begin
         Base = (N bsr (32 - Len)) bsl (32 - Len),
         <<A, B, C, D>> = <<Base:32>>,
         Net = lists:concat([inet:ntoa({A, B, C, D}), "/", Len]),
         Last = Base bor ((1 bsl (32 - Len)) - 1),
         [?assertEqual({Net, Ip, Ip >= Base andalso Ip =< Last}, {Net, Ip, in(v4(Ip), [Net])})
          || Ip <- [0, Base, N, Last, 16#FFFFFFFF, max(0, Base - 1), min(16#FFFFFFFF, Last + 1)]]
     end || Len <- lists:seq(0, 32)].

v4(N) ->
    <<A, B, C, D>> = <<N:32>>,
    inet:ntoa({A, B, C, D}).

what_is_no_network_is_refused_test_() ->
    [{Text, ?_assertEqual(error, merlon_cidr:parse(list_to_binary(Text)))}
     || Text <- ["", "/", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0/8",
                 "10/8", "10.0.0.1/8", "10.0.0.256/32", "host", "10.0.0.0/8/8", "2001:db8::/129", "2001:db8::1/64",
                 "fe80::1%lo", "::/0\n", "10.0.0.0/8 "]].

everything_and_loopback_test() ->
    [?assert(merlon_cidr:member(Ip, merlon_cidr:any())) || Ip <- [{1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8}]],
    [?assert(merlon_cidr:member(Ip, merlon_cidr:loopback()))
     || Ip <- [{127, 0, 0, 1}, {127, 255, 1, 2}, {0, 0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 16#FFFF, 16#7F00, 1}]],
    [?assertNot(merlon_cidr:member(Ip, merlon_cidr:loopback())) || Ip <- [{128, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 2}]].
