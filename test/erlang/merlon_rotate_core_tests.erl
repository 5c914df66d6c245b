%% SPDX-License-Identifier: Apache-2.0
%% A peer whose clock or word is wrong: what it says of entries never leaves this node without one, nor with a keyring
%% that no node reads.
-module(merlon_rotate_core_tests).

-include_lib("eunit/include/eunit.hrl").

-define(NOW, 1000000000).
-define(OLD, <<"00000000000000aa">>).
-define(NEW, <<"00000000000000bb">>).
-define(PEER, b@h).

entry(Id, Created, Begin, End) -> #{id => Id, created => Created, not_before => Begin, not_after => End}.

nothing() -> #{known => #{}, begins => #{}, peers => #{}}.

%% A node with these entries, and what it does when the peer says that of them.
told(Entries, Said) ->
    {_, With} = merlon_rotate_core:event({disk, Entries, nothing()}, ?NOW, merlon_rotate_core:new(a@h, nothing())),
    {_, Linked} = merlon_rotate_core:event({up, ?PEER}, ?NOW, With),
    Digest = #{entries => Said, has => [Id || #{id := Id} <- Entries]},
    case merlon_rotate_core:valid(Digest) of
        true -> changes(merlon_rotate_core:event({digest, ?PEER, Digest, false}, ?NOW, Linked));
        false -> malformed
    end.

changes({Actions, _}) -> lists:append([Changes || {edit, Changes} <- Actions]).

old(End) -> {?OLD, ?NOW - 5000, ?NOW - 5000, End}.

an_old_entry_ends_when_the_newest_counts_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW - 100, ?NOW - 100, never)],
    ?assertEqual([{?OLD, ?NOW - 5000, ?NOW - 1}], told(Entries, [old(?NOW - 1)])).

an_old_entry_ends_later_when_the_newest_counts_by_then_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW, ?NOW + 600, never)],
    ?assertEqual([{?OLD, ?NOW - 5000, ?NOW + 601}], told(Entries, [old(?NOW + 601)])).

no_peer_ends_what_counts_before_another_one_does_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW, ?NOW + 600, never)],
    ?assertEqual([], told(Entries, [old(?NOW - 1)])),
    ?assertEqual([], told(Entries, [old(?NOW + 600 - 1)])).

%% Though an older one still counts: by that a thief of it could undo every rotation.
no_peer_ends_the_newest_entry_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW - 100, ?NOW - 100, never)],
    [?assertEqual([], told(Entries, [{?NEW, Created, ?NOW - 100, End}]))
     || Created <- [0, ?NOW - 100, ?NOW], End <- [?NOW - 1, ?NOW, ?NOW + 600]].

no_peer_ends_all_that_count_at_once_test() ->
    Third = <<"00000000000000cc">>,
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(Third, ?NOW - 4000, ?NOW - 4000, never),
               entry(?NEW, ?NOW, ?NOW + 600, never)],
    ?assertEqual([], told(Entries, [old(?NOW - 1), {Third, ?NOW - 4000, ?NOW - 4000, ?NOW - 1}])).

%% A keyring file with it is refused by every node that starts.
an_entry_that_ends_before_time_began_is_no_entry_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW - 100, ?NOW - 100, never)],
    ?assertEqual(malformed, told(Entries, [old(0)])),
    ?assertEqual([{?OLD, 0, 1}], told(Entries, [old(1)])).

%% Between the request and the answer the peer makes this node forget the entry.
what_is_not_known_any_more_is_not_learnt_test() ->
    ?assertEqual(unknown, merlon_rotate_core:learnt(?OLD, merlon_rotate_core:new(a@h, nothing()))).

%% ---- entries that were made for later ----

%% Whoever took the file of today would have it then.
an_entry_planned_for_later_does_not_outlive_a_rotation_test() ->
    Later = <<"00000000000000cc">>,
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(Later, ?NOW - 4000, ?NOW + 86400, never)],
    {ok, Dates, Begin, Changes} = merlon_rotate_core:fresh(Entries, ?NOW, #{grace => 3600, skew => 300}),
    ?assertMatch({?NOW, _, never}, Dates),
    ?assert(Begin < ?NOW),
    ?assertEqual([{?OLD, ?NOW - 5000, ?NOW + 600 + 3600 + 300}, {Later, ?NOW - 301, ?NOW - 300}], Changes).

%% One that another rotation has just made, by a clock that is ahead, still has its grace.
an_entry_of_a_rotation_under_way_ends_after_the_grace_test() ->
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(?NEW, ?NOW + 300, ?NOW + 900, never)],
    {ok, _, _, Changes} = merlon_rotate_core:fresh(Entries, ?NOW, #{grace => 3600, skew => 300}),
    ?assertMatch([{?OLD, _, ?NOW + 4500}, {?NEW, ?NOW - 300, ?NOW + 4500}], lists:sort(Changes)).

%% Nodes that hold it end it, too, once they have the new one.
peers_end_an_entry_planned_for_later_test() ->
    Later = <<"00000000000000cc">>,
    Entries = [entry(?OLD, ?NOW - 5000, ?NOW - 5000, never), entry(Later, ?NOW - 4000, ?NOW + 86400, never),
               entry(?NEW, ?NOW, ?NOW - 300, never)],
    ?assertEqual([{Later, ?NOW - 301, ?NOW - 300}], told(Entries, [{Later, ?NOW - 4000, ?NOW - 301, ?NOW - 300}])).
