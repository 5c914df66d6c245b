%% SPDX-License-Identifier: Apache-2.0
-module(merlon_status_tests).
-include_lib("eunit/include/eunit.hrl").

-define(NOW, 1800000000).
-define(EVIL, '<script>alert("1")</script>&\'\e@127.0.0.1').

%% ---- where ----

places_test_() ->
    [[{lists:flatten(io_lib:format("~tp", [Value])), ?_assertEqual({ok, Place}, merlon_status_core:place(Value))}
      || {Value, Place} <- [{off, off}, {{"127.0.0.1", 4370}, {{127, 0, 0, 1}, 4370}}, {{<<"127.9.9.9">>, 0}, {{127, 9, 9, 9}, 0}},
                            {{"::1", 65535}, {{0, 0, 0, 0, 0, 0, 0, 1}, 65535}}, {{{127, 0, 0, 1}, 1}, {{127, 0, 0, 1}, 1}},
                            {{"::ffff:127.0.0.1", 1}, {{127, 0, 0, 1}, 1}}, {{"10.0.0.1", 80}, {{10, 0, 0, 1}, 80}}]],
     [{lists:flatten(io_lib:format("~tp", [Value])), ?_assertMatch({error, _}, merlon_status_core:place(Value))}
      || Value <- [{"localhost", 80}, {"127.1", 80}, {"127.0.0.1", 65536}, {"127.0.0.1", -1}, {"127.0.0.1", "80"}, {{1, 2}, 80},
                   {[256], 80}, {"", 80}, on, {}, {a, 1}]]].

whoever_is_not_on_loopback_must_show_a_certificate_test_() ->
    [{Text, ?_assertEqual(Viewer, merlon_status_core:viewer(Ip))}
     || {Viewer, Texts} <- [{local, ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]},
                            {tool, ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "128.0.0.1", "::2"]}],
        Text <- Texts, {ok, {Ip, 80}} <- [merlon_status_core:place({Text, 80})]].

%% ---- which requests ----

a_foreign_host_gets_nothing_test_() ->
    [[{Host, ?_assertEqual(page, ask('GET', <<"/">>, [Host]))}
      || Host <- [<<"localhost">>, <<"LOCALHOST:4370">>, <<"127.0.0.1:80">>, <<"127.9.8.7">>, <<"[::1]:4370">>]],
     [{Host, ?_assertEqual(421, ask(Method, <<"/status.json">>, [Host]))}
      || Method <- ['GET', 'POST'],
         Host <- [<<"evil.example">>, <<"127.0.0.1.evil.example">>, <<"localhost.evil.example:4370">>, <<"evil.example#localhost">>,
                  <<>>, <<"localhost\n">>, <<"x@localhost">>, <<"10.0.0.1">>, <<"127.0.0.1:4370:1">>, <<"::1">>]],
     %% Over TLS the certificate says who this host is.
     ?_assertEqual(page, merlon_status_core:request(tool, 'GET', {abs_path, <<"/">>}, [<<"a.example:4371">>])),
     ?_assertEqual(400, merlon_status_core:request(tool, 'GET', {abs_path, <<"/">>}, [])),
     ?_assertEqual(405, merlon_status_core:request(tool, 'POST', {abs_path, <<"/">>}, [<<"a.example">>])),
     ?_assertEqual(400, ask('GET', <<"/">>, [])),
     ?_assertEqual(400, ask('GET', <<"/">>, [<<"localhost">>, <<"evil.example">>]))].

only_get_and_head_of_two_resources_test() ->
    Local = [<<"localhost">>],
    ?assertEqual([page, page, json, 404, 404], [ask(Method, Path, Local) || {Method, Path} <-
        [{'GET', <<"/">>}, {'HEAD', <<"/">>}, {'GET', <<"/status.json">>}, {'GET', <<"/../etc/passwd">>}, {'GET', <<"/?x">>}]]),
    ?assertEqual([405, 405, 405], [ask(Method, <<"/">>, Local) || Method <- ['POST', 'OPTIONS', <<"BREW">>]]),
    ?assertEqual([400, 400], [merlon_status_core:request(local, 'GET', Target, Local)
                              || Target <- ['*', {absoluteURI, http, <<"localhost">>, undefined, <<"/">>}]]).

ask(Method, Path, Hosts) -> merlon_status_core:request(local, Method, {abs_path, Path}, Hosts).

%% ---- the last hour ----

what_is_older_than_an_hour_does_not_count_test() ->
    Minute = fun(N, Samples) -> merlon_status_core:sample(N * 60, #{no_alpn => N, timeout => 1}, Samples) end,
    Samples = lists:foldl(Minute, [{0, #{}}], lists:seq(1, 200)),
    ?assert(length(Samples) =< 61),
    ?assertEqual({3600, [{no_alpn, 63}]}, merlon_status_core:hour(12000, #{no_alpn => 203, timeout => 1}, Samples)),
    ?assertEqual({30, [{timeout, 2}, {no_alpn, 1}]}, merlon_status_core:hour(30, #{no_alpn => 1, timeout => 2}, [{0, #{}}])),
    ?assertEqual({0, []}, merlon_status_core:hour(99999, #{no_alpn => 1}, Samples)).

%% ---- what peers tell ----

a_peer_can_tell_nothing_but_links_test() ->
    Good = #{node => <<"x@y">>, direction => dial, cipher => <<"TLS">>, not_after => 1},
    ?assertEqual({ok, [Good]}, merlon_status_core:told([Good#{more => <<"things">>}])),
    ?assertEqual({ok, []}, merlon_status_core:told([])),
    [?assertEqual(error, merlon_status_core:told(Bad))
     || Bad <- [nothing, [Good | Good], [#{}], lists:duplicate(513, Good) | 
                [[Good#{Key => Value}] || {Key, Value} <- [{node, a}, {node, binary:copy(<<"x">>, 513)}, {direction, up}, {cipher, 1},
                                                           {cipher, <<1:1>>}, {not_after, never}, {not_after, -1}, {not_after, 1 bsl 60}]]]],
    ?assertEqual({ok, [#{node => <<"b@h">>, direction => accept, cipher => <<"TLS_AES_128_GCM_SHA256">>, not_after => ?NOW + 5 * 86400}]},
                 merlon_status_core:told(merlon_status_core:tells([link_of('b@h', accept)]))).

%% ---- what is shown ----

hostile_names_are_text_in_the_page_test() ->
    Page = page(hostile()),
    ?assertMatch({match, _}, re:run(Page, "&lt;script&gt;alert\\(&quot;1&quot;\\)&lt;/script&gt;&amp;&#39;\\?@127")),
    ?assertEqual(1, length(binary:matches(Page, <<"<script">>))),
    ?assertEqual(1, length(binary:matches(Page, <<"</script">>))),
    ?assertEqual([], [Tag || Tag <- [<<"<img">>, <<"\e">>, <<"<b onclick">>], binary:match(Page, Tag) =/= nomatch]).

hostile_names_are_text_in_json_test() ->
    Json = iolist_to_binary(merlon_status_core:json(hostile())),
    ?assertEqual(nomatch, binary:match(Json, [<<"<">>, <<"\e">>, <<">">>])),
    ?assertMatch({match, _}, re:run(Json, "\"node\":\"\\\\u003Cscript", [caseless])).

the_policy_allows_the_two_inline_parts_and_nothing_else_test() ->
    Page = page(view()),
    Policy = iolist_to_binary(merlon_status_html:policy()),
    [begin
         {match, [Inline]} = re:run(Page, "<" ++ Tag ++ ">(.*)</" ++ Tag ++ ">", [dotall, {capture, all_but_first, binary}]),
         Source = iolist_to_binary([Tag, "-src 'sha256-", merlon_kdf:digest(sha256, Inline, base64), "';"]),
         ?assertMatch({_, _}, binary:match(Policy, Source))
     end || Tag <- ["script", "style"]],
    ?assertMatch({0, _}, binary:match(Policy, <<"default-src 'none'; ">>)),
    ?assertEqual(nomatch, re:run(Policy, "unsafe|\\*|https?:")),
    ?assertEqual(nomatch, re:run(Page, "\\s(src|href|action|on[a-z]+)=|style=|https?:|@import|url\\(")).

links_say_how_they_are_secured_test() ->
    #{links := [Dialled, Other], peers := [#{tells := false}]} = View = view(),
    ?assertMatch(#{carrier := merlon, identity := <<"node b@h of shop">>, peer := <<"[::1]:99">>}, Dialled),
    ?assertEqual(#{node => <<"plain@h">>, carrier => other}, Other),
    [?assertMatch({match, _}, re:run(page(View), Words))
     || Words <- ["TLS_AES_128_GCM_SHA256", "&rarr; dialled", "not merlon", "1 not over merlon", "in 5 days", "Not told by <bdi>b@h",
                  "<code>no_alpn</code><td><span class=\"number\">7<", "aaaaaaaaaaaaaaaa</code><td><b class=\"good\">in use",
                  "bbbbbbbbbbbbbbbb</code><td>grace", "cccccccccccccccc</code><td>spreading"]].

%% However much is known of a link, an entry or this node: what is not meant for the page is not in it.
nothing_else_gets_out_test() ->
    Facts = #{links := [Link], entries := [First | Rest], own := {ok, Own}} = facts(),
    More = Facts#{links := [Link#{cookie => <<"PLANTED">>}], entries := [First#{secret => <<"PLANTED">>} | Rest],
                  own := {ok, Own#{keyring => <<"PLANTED">>, dir => <<"PLANTED">>}}},
    View = merlon_status_core:view(More),
    ?assertEqual([nomatch, nomatch], [binary:match(iolist_to_binary(Text), <<"PLANTED">>)
                                      || Text <- [page(View), merlon_status_core:json(View)]]).

a_node_without_the_carrier_has_a_page_too_test() ->
    View = merlon_status_core:view((facts())#{own := none, links := [], connected := ['x@y'], entries := []}),
    ?assertMatch({match, _}, re:run(page(View), "without the carrier")),
    ?assertMatch({match, _}, re:run(merlon_status_core:json(View), "\"certificate\":null")).

%% What is not encrypted is not said to be merlon's.
a_link_beside_merlon_is_shown_as_what_it_is_test() ->
    Links = [(maps:without([tls_version, cipher_suite, identity], link_of('p@h', accept)))#{carrier => plain},
             (link_of('t@h', dial))#{carrier => inet_tls, identity => {hosts, [<<"h.example">>]}}],
    View = merlon_status_core:view((facts())#{links := Links, connected := ['p@h', 't@h']}),
    [?assertMatch({match, _}, re:run(page(View), Text)) || Text <- ["plain, not encrypted", "inet_tls, TLS 1.3", "any node of h.example"]],
    ?assertEqual(nomatch, re:run(page(View), "all over merlon")),
    ?assertMatch({match, _}, re:run(merlon_status_core:json(View), "\"carrier\":\"plain\"")).

page(View) -> iolist_to_binary(merlon_status_html:page(View)).

view() -> merlon_status_core:view(facts()).

hostile() ->
    Evil = atom_to_binary(?EVIL),
    Link = (link_of(?EVIL, accept))#{identity := {node, <<"<img>">>, <<"<b onclick=1>">>, <<"\e">>}},
    Facts = facts(),
    merlon_status_core:view(Facts#{node := ?EVIL, links := [Link], connected := [?EVIL, '<img src=x>@h'],
                                   own := {ok, #{config => #{cluster => <<"<img>">>}, not_after => ?NOW, sha256 => <<"<img>">>}},
                                   peers := #{?EVIL => [#{node => Evil, direction => dial, cipher => <<"<img>", 255>>, not_after => 1}]}}).

facts() ->
    #{node => 'a@h', now => ?NOW, at => 1000,
      own => {ok, #{config => #{cluster => <<"shop">>}, not_after => ?NOW + 100, sha256 => <<"ab">>}},
      links => [link_of('b@h', dial)], connected => ['b@h', 'plain@h'],
      stats => #{refusals => #{no_alpn => 7}, handshakes => #{accept => #{up => 1, failed => #{tls => 7}}}, pending => 0},
      samples => [{0, #{}}], peers => #{}, preferred => <<"aaaaaaaaaaaaaaaa">>,
      entries => [#{id => <<"cccccccccccccccc">>, created => ?NOW, not_before => ?NOW + 50, not_after => never, kdf => expand},
                  #{id => <<"aaaaaaaaaaaaaaaa">>, created => ?NOW - 50, not_before => ?NOW - 50, not_after => never, kdf => expand},
                  #{id => <<"bbbbbbbbbbbbbbbb">>, created => ?NOW - 90, not_before => ?NOW - 90, not_after => ?NOW + 9, kdf => expand}]}.

link_of(Node, Direction) ->
    #{node => Node, direction => Direction, identity => {node, <<"shop">>, <<"b">>, <<"h">>}, fingerprint => <<"cd">>,
      peer => {{0, 0, 0, 0, 0, 0, 0, 1}, 99}, local => undefined, not_after => ?NOW + 5 * 86400, since => ?NOW - 60,
      tls_version => <<"1.3">>, cipher_suite => <<"TLS_AES_128_GCM_SHA256">>, key_exchange_group => <<"X25519">>,
      bytes_in => 1234567, bytes_out => 99, unsent => 0}.
