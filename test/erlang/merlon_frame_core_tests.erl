%% SPDX-License-Identifier: Apache-2.0
%% Whose frame is it: frames of every control message, put together by hand (erl_dist_protocol), and what is none.
%% merlon_lanes_SUITE asks the same of frames that a VM has made.
-module(merlon_frame_core_tests).

-include_lib("eunit/include/eunit.hrl").

-define(ID, <<4711:32, 3:32, 16#650A0B0C:32>>).
-define(OTHER, <<99:32, 1:32, 7:32>>).

%% ---- every control message ----

a_signal_is_its_senders_test_() ->
    [{lists:concat(["operation ", Op, ", ", Refs, " references"]),
      ?_assertEqual({ok, ?ID}, sender(known(Refs), Control))}
     || {Op, Control} <- told(), Refs <- refs()].

%% What does not name its sender first, or names somebody else: the leader in GROUP_LEADER is not who sends it.
who_is_not_named_is_not_guessed_test_() ->
    [{lists:concat(["operation ", Op, ", ", Refs, " references"]),
      ?_assertEqual(unknown, sender(known(Refs), Control))}
     || {Op, Control} <- untold(), Refs <- refs()].

told() ->
    [{Op, message(Op, [pid(?ID), pid(?OTHER) | Rest])}
     || {Op, Rest} <- [{1, []}, {3, [atom()]}, {4, []}, {8, [atom()]}, {13, [token(), atom()]}, {18, [token(), atom()]},
                       {19, [reference(3)]}, {20, [reference(3)]}, {21, [reference(3), atom()]}, {22, []},
                       {23, [token()]}, {24, []}, {25, [token()]}, {26, []}, {27, [token()]}, {28, [reference(3)]}]]
        ++ [{6, message(6, [pid(?ID), atom(), atom()])}, {16, message(16, [pid(?ID), atom(), atom(), token()])},
            {19, message(19, [pid(?ID), atom(), reference(3)])},
            {33, message(33, [pid(?ID), reference(5)])}, {34, message(34, [pid(?ID), reference(5), token()])}]
        ++ [{Op, message(Op, [reference(Words), pid(?ID), pid(?OTHER), mfa(), <<106>> | Token])}
            || {Op, Token} <- [{29, []}, {30, [token()]}], Words <- [1, 3, 5]]
        ++ [{Op, message(Op, [Number, pid(?ID), pid(?OTHER)])}
            || Op <- [35, 36], Number <- [<<97, 200>>, <<98, 70000:32>>, <<110, 8, 0, -1:64>>, <<110, 5, 0, 9:40>>]].

untold() ->
    [{2, message(2, [atom(), pid(?ID)])}, {2, message(2, [pid(?OTHER), pid(?ID)])}, {5, message(5, [])},
     {7, message(7, [pid(?OTHER), pid(?ID)])}, {12, message(12, [atom(), pid(?ID), token()])},
     {21, message(21, [atom(), pid(?ID), reference(3), atom()])}, {28, message(28, [atom(), pid(?ID), reference(3)])},
     {31, message(31, [reference(3), pid(?ID), <<97, 0>>, pid(?OTHER)])},
     {31, message(31, [pid(?ID), reference(3)])}, {32, message(32, [pid(?ID), reference(3)])},
     {37, message(37, [<<97, 0>>, pid(?ID), pid(?OTHER)])},
     {35, message(35, [<<111, 1:32, 0, 9>>, pid(?ID), pid(?OTHER)])}].

%% ---- the atom cache ----

a_new_atom_makes_it_unknown_test_() ->
    {_, Control} = hd(told()),
    [{lists:concat(["new atom ", New, " of ", Refs]),
      ?_assertEqual(unknown, sender(header([Ref =:= New || Ref <- lists:seq(1, Refs)]), Control))}
     || Refs <- refs(), New <- lists:seq(1, Refs)].

%% Segments and the long-atoms flag are no new atoms; whatever else is, is seen.
any_new_atom_is_seen_test() ->
    _ = rand:seed(exsss, 1),
    {_, Control} = hd(told()),
    [begin
         News = [rand:uniform(20) =:= 1 || _ <- lists:seq(1, rand:uniform(256) - 1)],
         Expected = case lists:member(true, News) of true -> unknown; false -> {ok, ?ID} end,
         ?assertEqual(Expected, sender(header(News), Control))
     end || _ <- lists:seq(1, 3000)].

%% ---- what is no frame ----

what_can_not_be_read_is_unknown_test_() ->
    {_, Control} = hd(told()),
    [?_assertEqual(unknown, merlon_frame_core:sender(Iovec))
     || Iovec <- [[], [<<>>], [<<131, 68, 0>>], [<<131, 68>>, Control], [Control],
                  [<<131, 68, 2, 0>>, Control], [<<131, 68, 255, 0, 0>>, Control], [<<131, 68, 0, Control/binary>>],
                  [<<131, 69, 1:64, 2:64, 0>>, Control], [<<131, 70, 1:64, 1:64>>, Control], [<<112>>, Control],
                  [<<131, 104, 2>>, Control], [<<131, 68, 0>>, <<>>], [<<131, 68, 0>>, <<104, 3, 98, 22:32>>]]].

a_cut_control_message_is_unknown_or_whose_it_is_test() ->
    [?assert(lists:member(sender(known(2), binary:part(Control, 0, Len)), [unknown, {ok, ?ID}]))
     || {_, Control} <- told(), Len <- lists:seq(0, byte_size(Control))],
    [?assertEqual(unknown, sender(known(2), binary:part(Control, 0, Len)))
     || {_, Control} <- told(), Len <- lists:seq(0, 15)].

no_bytes_make_it_crash_test_() ->
    {timeout, 60, fun() -> _ = rand:seed(exsss, 2), [mutated() || _ <- lists:seq(1, 20000)] end}.

mutated() ->
    Controls = told() ++ untold(),
    {_, Control} = lists:nth(rand:uniform(length(Controls)), Controls),
    News = [rand:uniform(9) =:= 1 || _ <- lists:seq(1, rand:uniform(20))],
    Iovec = [mutate(Part) || Part <- [header(News), Control, <<"payload">>]],
    case merlon_frame_core:sender(lists:sublist(Iovec, rand:uniform(3))) of
        unknown -> ok;
        {ok, Id} -> ?assertEqual(12, byte_size(Id))
    end.

mutate(Bytes) ->
    At = rand:uniform(byte_size(Bytes)) - 1,
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    case rand:uniform(6) of
        1 -> Before;
        2 -> <<Before/binary, After/binary>>;
        3 -> <<Before/binary, (rand:uniform(256) - 1), After/binary>>;
        4 -> <<Before/binary, (Byte bxor (1 bsl (rand:uniform(8) - 1))), After/binary>>;
        5 -> <<Before/binary, (rand:bytes(4))/binary, After/binary>>;
        6 -> Bytes
    end.

%% ---- frames ----

sender(Header, Control) -> merlon_frame_core:sender([Header, Control, <<"payload">>]).

refs() -> [0, 1, 2, 3, 4, 7, 8, 255].

known(Refs) -> header(lists:duplicate(Refs, false)).

%% References in the order of the list, each a new atom or not, with segments that set their lower three bits.
header([]) ->
    <<131, 68, 0>>;
header(News) ->
    Flags = [flag(New) bor (Index band 7) || {Index, New} <- lists:zip(lists:seq(1, length(News)), News)] ++ [1],
    Atoms = [case New of true -> <<7, 3:16, "new">>; false -> <<7>> end || New <- News],
    iolist_to_binary([131, 68, length(News), pairs(Flags), Atoms]).

flag(true) -> 8;
flag(false) -> 0.

%% The first of two is the lower half of their byte.
pairs([Low, High | Rest]) -> [High bsl 4 bor Low | pairs(Rest)];
pairs([Low]) -> [Low];
pairs([]) -> [].

message(Op, Elements) -> iolist_to_binary([104, length(Elements) + 1, 97, Op, Elements]).

pid(Id) -> <<88, 82, 0, Id/binary>>.
reference(Words) -> <<90, Words:16, 82, 0, 5:32, 0:(32 * Words)>>.
atom() -> <<82, 1>>.
token() -> <<104, 0>>.
mfa() -> <<104, 3, 82, 1, 82, 2, 97, 0>>.
