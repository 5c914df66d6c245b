%% SPDX-License-Identifier: Apache-2.0
-module(merlon_metrics_tests).
-include_lib("eunit/include/eunit.hrl").

stats() ->
    maps:merge(merlon_stats:read(), #{refusals => #{not_tls => 7, timeout => 2}, events => #{refused => 9},
                                      pending => 3, evicted => 4, links => 1, bytes_in => 1 bsl 60, bytes_out => 5}).

link(Node, Since, End) -> #{node => Node, since => Since, not_after => End, unsent => 0}.

samples(Name, Text) ->
    maps:get(samples, maps:get(Name, merlon_prometheus:parse(Text))).

the_numbers_are_those_of_stats_test() ->
    Text = merlon_metrics:text(stats(), [link('a@h', 100, 200)], 300),
    ?assertEqual(#{#{<<"reason">> => <<"not_tls">>} => 7, #{<<"reason">> => <<"timeout">>} => 2},
                 samples(<<"merlon_refusals_total">>, Text)),
    ?assertEqual(#{#{<<"event">> => <<"refused">>} => 9}, samples(<<"merlon_events_total">>, Text)),
    ?assertEqual(#{#{<<"direction">> => <<"in">>} => 1 bsl 60, #{<<"direction">> => <<"out">>} => 5},
                 samples(<<"merlon_bytes_total">>, Text)),
    ?assertEqual(#{#{} => 3}, samples(<<"merlon_handshakes_pending">>, Text)),
    ?assertEqual(#{#{} => 4}, samples(<<"merlon_handshakes_evicted_total">>, Text)),
    ?assertEqual(#{#{} => 300}, samples(<<"merlon_certificate_end_timestamp_seconds">>, Text)),
    ?assertEqual(#{#{<<"node">> => <<"a@h">>} => 200},
                 samples(<<"merlon_peer_certificate_end_timestamp_seconds">>, Text)).

names_that_would_break_the_format_do_not_test() ->
    Evil = binary_to_atom(<<"a\"} 1\nmerlon_links 99\\@h", "ä"/utf8>>),
    Text = merlon_metrics:text(stats(), [link(Evil, 1, 2)], none),
    ?assertEqual(#{#{<<"node">> => atom_to_binary(Evil)} => 1},
                 samples(<<"merlon_link_up_timestamp_seconds">>, Text)),
    ?assertEqual(#{#{} => 1}, samples(<<"merlon_links">>, Text)).

two_links_to_one_node_give_one_sample_test() ->
    Text = merlon_metrics:text(stats(), [link('a@h', 5, 50), link('a@h', 9, 90)], none),
    ?assertEqual(#{#{<<"node">> => <<"a@h">>} => 9}, samples(<<"merlon_link_up_timestamp_seconds">>, Text)),
    ?assertEqual(#{#{<<"node">> => <<"a@h">>} => 90},
                 samples(<<"merlon_peer_certificate_end_timestamp_seconds">>, Text)).

a_node_without_the_carrier_has_metrics_too_test() ->
    Families = merlon_prometheus:parse(merlon:metrics()),
    ?assert(is_map_key(<<"merlon_handshakes_total">>, Families)),
    ?assertEqual(12, map_size(samples(<<"merlon_handshakes_total">>, merlon:metrics()))).

%% The reader is strict, or what it accepts means nothing.
the_reader_refuses_what_is_wrong_test_() ->
    [{Text, ?_assertError(_, merlon_prometheus:parse(Text))}
     || Text <- ["# HELP a b\n# TYPE a gauge\na 1", "a 1\n", "# HELP a b\n# TYPE a counter\na 1\n",
                 "# HELP a_total b\n# TYPE a_total gauge\na_total 1\n", "# HELP a b\n# TYPE a gauge\na{x=\"\n\"} 1\n",
                 "# HELP a b\n# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n", "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
                 "# HELP a b\n# TYPE a gauge\na{x=\"\\z\"} 1\n", "# HELP a b\n# TYPE a gauge\n",
                 "# HELP a b\n# TYPE a gauge\na{} 1\n", "# HELP a b\n# TYPE a gauge\na{x=\"1\"}1\n"]].
