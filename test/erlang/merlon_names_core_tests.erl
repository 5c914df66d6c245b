%% SPDX-License-Identifier: Apache-2.0
-module(merlon_names_core_tests).
-include_lib("eunit/include/eunit.hrl").

-define(CORE, merlon_names_core).
%% FROM_KEEPER_MAX in native/tls: a longer answer ends the session of whoever asked.
-define(ANSWER, 96 * 1024).

messages_are_read_as_they_are_written_test_() ->
    [?_assertEqual({ok, Request}, ?CORE:read_request(?CORE:request(Request)))
     || Request <- [list, {find, <<"a@h">>}, {register, <<"a@h">>, 65535}]]
        ++ [?_assertEqual({ok, Answer}, ?CORE:read_answer(?CORE:answer(Answer)))
            || Answer <- [registered, {port, 1}, {names, []}, {names, [{<<"a@h">>, 1}, {<<"b@h">>, 2}]}
                          | [{refused, Why} || Why <- [malformed, not_yours, not_here, taken, full, unknown]]]].

%% However long the names are that certificates allow: the list of all of them can be sent and read.
a_full_table_fits_into_one_answer_test_() ->
    [{lists:concat([Bytes, " bytes a name, ", Kind]),
      fun() ->
              {Table, Refused} = filled(Kind, Bytes, 2000),
              ?assertEqual(full, Refused),
              All = ?CORE:list(fun(_, _) -> true end, Table),
              Answer = ?CORE:answer({names, All}),
              ?assert(byte_size(Answer) =< ?ANSWER),
              ?assertEqual({ok, {names, All}}, ?CORE:read_answer(Answer))
      end} || Bytes <- [12, 100, 255, 400, 1020], Kind <- [node, cli]].

%% Many tools with the longest names leave room for nodes.
tools_can_not_fill_what_an_answer_holds_test() ->
    {Table, full} = filled(cli, 1020, 2000),
    {Full, full} = fill(node, 255, lists:seq(1, 300), Table),
    ?assert(maps:size(maps:filter(fun(_, #{owner := Owner}) -> element(1, Owner) =:= node end, Full)) >= 128).

%% A tool is as good as another certificate after every 30 names.
filled(Kind, Bytes, Count) -> fill(Kind, Bytes, lists:seq(1, Count), ?CORE:new()).

fill(_Kind, _Bytes, [], Table) -> {Table, room};
fill(Kind, Bytes, [N | More], Table) ->
    Name = iolist_to_binary(string:pad(io_lib:format("~s~4..0b@h", [Kind, N]), Bytes, leading, $x)),
    Entry = #{port => N, pid => self(), owner => {Kind, <<"c">>, integer_to_binary(N div 30), <<"h">>}},
    case ?CORE:enter(Name, Entry, Table) of
        {ok, Next} -> fill(Kind, Bytes, More, Next);
        {error, Why} -> {Table, Why}
    end.

%% What a node that finds no room says when it does not start.
a_full_host_is_told_what_to_do_test() ->
    ?assertMatch({match, _}, re:run(?CORE:format_error({full, 4370}), "port 4370, is full: .*256 names of 96 KiB.*another port")).

a_name_leaves_with_its_process_test() ->
    Entry = #{port => 1, pid => self(), owner => {node, <<"c">>, <<"a">>, <<"h">>}},
    {ok, Table} = ?CORE:enter(<<"a@h">>, Entry, ?CORE:new()),
    ?assertEqual([self()], ?CORE:sessions(Table)),
    ?assertEqual({error, taken}, ?CORE:enter(<<"a@h">>, Entry, Table)),
    ?assertEqual(?CORE:new(), ?CORE:left(self(), Table)).
