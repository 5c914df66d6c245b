%% SPDX-License-Identifier: Apache-2.0
%% Random schedules of rotations, partitions, crashes, clocks and lost messages (PropEr) over merlon_rotate_core: nobody who
%% has heard of the rotations in time is ever locked out, nothing that has ended is accepted, and all come to the same.
-module(merlon_rotate_prop_tests).

-include_lib("eunit/include/eunit.hrl").

%% Debian's package of PropEr has no header.
-import(proper_types, [integer/2, list/1, vector/2, frequency/1, elements/1]).
-import(merlon_rotate_world, [names/1, accepts/3, informed/2, time/1]).
-define(FORALL(X, Type, Property), proper:forall(Type, fun(X) -> Property end)).

properties_test_() ->
    [{atom_to_list(Name), {timeout, 170, fun() -> check(Property, Tests) end}}
     || {Name, Property, Tests} <- [{no_schedule_locks_out_who_has_heard_in_time, schedules(), 3000},
                                    {dates_merge_in_any_order_any_number_of_times, merges(), 500},
                                    {any_term_is_a_digest_or_not, digests(), 500}]].

check(Property, Tests) ->
    case proper:quickcheck(Property, [{numtests, Tests}, {max_size, 60}, {on_output, fun(_, _) -> ok end}]) of
        true -> ok;
        Failed -> erlang:error({Failed, lists:flatten(io_lib:format("~0tP", [why(proper:counterexample()), 2000]))})
    end.

why([{Count, [_ | _] = Commands}] = Example) when is_integer(Count) -> {Example, verdict(Count, Commands)};
why(Example) -> Example.

%% ---- schedules ----

schedules() ->
    ?FORALL({Count, Commands}, {integer(2, 5), list(command())}, verdict(Count, Commands) =:= ok).

%% This PropEr can't print exceptions of newer OTPs.
verdict(Count, Commands) ->
    try holds(Count, Commands), ok
    catch error:Reason:Stack -> {Reason, hd(Stack)}
    end.

command() ->
    N = integer(0, 4),
    frequency([{6, {wait, integer(1, 40)}}, {3, {rotate, N, elements([done, done, done, file, status])}},
               {3, {split, vector(5, integer(0, 2))}}, {2, heal}, {2, {crash, N}}, {1, {loss, elements([0, 10, 50])}},
               {2, {clock, N, integer(0, merlon_rotate_world:skew())}}, {1, {drop, N}}]).

holds(Count, Commands) ->
    Check = fun check_now/1,
    World = merlon_rotate_world:run(Commands, {merlon_rotate_world:new(Count), Check}),
    same_in_the_end(merlon_rotate_world:settle(World, Check)).

check_now(World) ->
    _ = [common(A, B, World) || A <- names(World), B <- names(World), A < B],
    _ = [same(A, B, World) || merlon_rotate_world:is_calm(World), A <- names(World), B <- names(World), A < B],
    _ = [ended(Name, Rotation, World) || Name <- names(World), Rotation <- merlon_rotate_world:made(World)],
    _ = [gone(Drop, World) || Drop <- merlon_rotate_world:dropped(World)],
    ok.

%% An entry that both accept, unless one has not heard of a rotation within its grace.
common(A, B, World) ->
    Both = [Id || Id <- maps:keys(merlon_rotate_world:file(A, World)), accepts(A, Id, World), accepts(B, Id, World)],
    Informed = informed(A, World) andalso informed(B, World),
    (Both =/= [] orelse not Informed) orelse error({nothing_in_common, A, B, time(World)}).

%% What is linked has the same; but for a full keyring, which learns nothing. Until a new entry begins the last one that
%% counts may keep another end at each, as none is taken from a peer that nothing follows.
same(A, B, World) ->
    Live = [merlon_rotate_world:live(Name, World) || Name <- [A, B]],
    Begins = lists:any(fun(Name) -> merlon_rotate_world:begins(Name, World) end, [A, B]),
    Is = [case Begins of true -> maps:map(fun(_, {Created, Begin, _}) -> {Created, Begin} end, Each); false -> Each end || Each <- Live],
    Full = lists:any(fun(Name) -> map_size(merlon_rotate_world:file(Name, World)) > 12 end, [A, B]),
    (Full orelse length(lists:usort(Is)) =:= 1 orelse not merlon_rotate_world:can_learn(A, B, World))
        orelse error({not_the_same, A, B, time(World)}).

%% Who holds what came after accepts nothing that it ended beyond grace and skew, and the 2 minutes from then or
%% from its coming that ends wait for entries which a peer has. But who is left with no newer entry that counts, since it never got the one of a second
%% rotation, keeps its last one, as who was away all the time does.
ended(Name, {New, At, Olds}, World) ->
    Last = At + merlon_rotate_world:wait() + merlon_rotate_world:grace() + 2 * merlon_rotate_world:skew(),
    Counts = [Id || {Id, Made, _} <- merlon_rotate_world:made(World), Made >= At, not lists:member(Id, Olds),
                    accepts(Name, Id, World)],
    Late = is_map_key(New, merlon_rotate_world:file(Name, World))
        andalso time(World) > max(Last, merlon_rotate_world:got(Name, New, World)) + 120 + 20
        andalso (Counts =/= [] orelse informed(Name, World)),
    [error({accepted_too_long, Name, Old, time(World)}) || Late, Old <- Olds, accepts(Name, Old, World)].

%% Where it was dropped it stays so, whatever peers say.
gone({Id, Name}, World) ->
    accepts(Name, Id, World) andalso error({back_again, Name, Id, time(World)}).

%% Whoever can link has linked, and all that are linked have the same; what one has dropped no one accepts.
same_in_the_end(World) ->
    _ = [begin
             Linked = merlon_rotate_world:linked(A, B, World),
             Informed = informed(A, World) andalso informed(B, World),
             same(A, B, World),
             (Linked orelse not Informed) orelse error({not_linked, A, B})
         end || A <- names(World), B <- names(World), A < B],
    _ = [error({back_again, Other, Id}) || {Id, Name} <- merlon_rotate_world:dropped(World), Other <- names(World),
                                           Other =:= Name orelse merlon_rotate_world:linked(Name, Other, World),
                                           time(World) > 0, accepts_late(Other, Id, World)],
    true.

%% Beyond what clocks may differ.
accepts_late(Name, Id, World) ->
    accepts(Name, Id, World#{now := time(World) + merlon_rotate_world:skew()}).

%% ---- merging ----

merges() ->
    ?FORALL({Digests, Seed}, {list(digest()), integer(0, 1000000)},
            begin
                _ = rand:seed(exsss, Seed),
                Shuffled = [D || {_, D} <- lists:sort([{rand:uniform(), D} || D <- Digests ++ Digests])],
                known(Digests) =:= known(Shuffled)
            end).

digest() ->
    Time = integer(1000, 100000),
    Entry = {elements([id(N) || N <- lists:seq(1, 20)]), Time, Time, frequency([{1, never}, {3, Time}])},
    proper_types:bind(list(Entry), fun(Entries) -> #{entries => lists:sublist(Entries, 80), has => []} end, false).

id(N) -> iolist_to_binary(io_lib:format("~16.16.0b", [N])).

known(Digests) ->
    New = merlon_rotate_core:new(a, nothing()),
    Hear = fun(Digest, Core) -> element(2, merlon_rotate_core:event({digest, b, Digest, false}, 5000, Core)) end,
    maps:get(known, merlon_rotate_core:keep(lists:foldl(Hear, New, Digests))).

%% ---- what peers may send ----

digests() ->
    ?FORALL(Term, proper_types:any(),
            begin
                Nested = [Term, #{entries => Term, has => []}, #{entries => [], has => Term},
                          #{entries => [{id(1), Term, 1, 2}], has => []}, #{entries => [Term | Term], has => []}],
                lists:all(fun(Digest) -> is_boolean(merlon_rotate_core:valid(Digest)) end, Nested)
            end).

%% ---- by hand ----

%% What the property once found: of two rotations at once a node gets the first one's entry, and by loss not the second's.
who_gets_the_first_of_two_rotations_keeps_its_last_entry_test() ->
    Apart = [{split, [1, 0, 0, 0, 0]}, {rotate, 1, done}, {rotate, 1, done}, {loss, 50}, {wait, 80}, heal, {wait, 18}],
    ?assertEqual(ok, verdict(2, Apart)),
    World = merlon_rotate_world:run(Apart, {merlon_rotate_world:new(2), fun check_now/1}),
    #{<<"0000000000000000">> := {_, _, never}, <<"0000000000000001">> := _} = File = merlon_rotate_world:file(n1, World),
    ?assertEqual(2, map_size(File)).

%% Found in the same way: what has ended by the clock of the one who has it is not given, and the ends of others wait for it.
ends_that_wait_for_what_a_faster_clock_does_not_give_are_the_same_in_time_test() ->
    Apart = [{rotate, 0, done}, {rotate, 0, done}, {clock, 0, 220}, {split, [1, 0, 0, 0, 0]}, {rotate, 1, done}, {wait, 1},
             {split, [0, 1, 0, 0, 0]}, {wait, 9}, {rotate, 0, done}, {wait, 68}, {split, [1, 1, 0, 0, 0]}],
    ?assertEqual(ok, verdict(3, Apart ++ [{wait, 6}])),
    ?assertEqual(ok, verdict(3, Apart ++ [{wait, 40}])).

an_end_of_the_newest_entry_is_not_taken_from_a_peer_test() ->
    {Core, Id} = holding(1),
    {Actions, _} = merlon_rotate_core:event({digest, b, #{entries => [{Id, 1000, 700, 2000}], has => [Id]}, false}, 5000, Core),
    ?assertEqual([], [Edit || {edit, _} = Edit <- Actions]).

an_old_entry_is_not_asked_for_test() ->
    {Core, _} = holding(1),
    Digest = #{entries => [{id(2), 900, 600, 4999}], has => [id(2)]},
    {_, Up} = merlon_rotate_core:event({up, b}, 5000, Core),
    {Actions, Knows} = merlon_rotate_core:event({digest, b, Digest, false}, 5000, Up),
    ?assertEqual([], [Want || {want, _, _, _} = Want <- Actions]),
    %% Nor when a peer that was away knows of no end.
    Stale = #{entries => [{id(2), 900, 600, never}], has => [id(2)]},
    {Again, _} = merlon_rotate_core:event({digest, b, Stale, false}, 5000, Knows),
    ?assertEqual([], [Want || {want, _, _, _} = Want <- Again]).

nothing_is_given_without_an_accepted_entry_in_common_test() ->
    {Core, Id} = holding(1),
    Want = fun(Accepts) -> element(1, merlon_rotate_core:event({want, b, Id, Accepts}, 5000, Core)) end,
    ?assertEqual([{nothing_in_common, b, Id}], Want([])),
    ?assertEqual([{nothing_in_common, b, Id}], Want([id(2)])),
    ?assertEqual([{give, b, Id, Id}], Want([id(2), Id])).

a_clock_that_is_wrong_by_years_makes_no_entry_the_newest_for_ever_test() ->
    {Core, Id} = holding(1),
    Digest = #{entries => [{id(2), 5000 + 86401, 1, never}], has => [id(2)]},
    {_, Up} = merlon_rotate_core:event({up, b}, 5000, Core),
    {Actions, Next} = merlon_rotate_core:event({digest, b, Digest, false}, 5000, Up),
    ?assertEqual([], [Want || {want, _, _, _} = Want <- Actions]),
    ?assertEqual([Id], maps:keys(maps:get(known, merlon_rotate_core:keep(Next)))).

ends_wait_for_the_entries_by_which_they_may_have_to_come_test() ->
    New = merlon_rotate_core:new(a, nothing()),
    Entries = [#{id => id(N), created => N, not_before => 0, not_after => never} || N <- [1, 2]],
    {_, Held} = merlon_rotate_core:event({disk, Entries, nothing()}, 5000, New),
    {_, Up} = merlon_rotate_core:event({up, b}, 5000, Held),
    Digest = #{entries => [{id(1), 1, 0, 4000}, {id(3), 3, 0, never}], has => [id(3)]},
    Edits = fun(Now, Acc) ->
                    {Actions, Next} = merlon_rotate_core:event({digest, b, Digest, false}, Now, Acc),
                    {[Edit || {edit, _} = Edit <- Actions], Next}
            end,
    {[], Waits} = Edits(5000, Up),
    {[], Still} = Edits(5119, Waits),
    %% But not for ever, for one that nobody gives.
    ?assertMatch({[{edit, [{_, 0, 4000}]}], _}, Edits(5120, Still)).

what_one_that_is_gone_was_asked_for_is_asked_of_another_test() ->
    {Core, _} = holding(1),
    Digest = #{entries => [{id(2), 2000, 1700, never}], has => [id(2)]},
    Hear = fun(Node, Acc) ->
                   {_, Up} = merlon_rotate_core:event({up, Node}, 5000, Acc),
                   merlon_rotate_core:event({digest, Node, Digest, false}, 5000, Up)
           end,
    {First, Asked} = Hear(b, Core),
    ?assertMatch([{want, b, _, _}], [Want || {want, _, _, _} = Want <- First]),
    {Second, Both} = Hear(c, Asked),
    ?assertEqual([], [Want || {want, _, _, _} = Want <- Second]),
    {Third, _} = merlon_rotate_core:event({down, b}, 5000, Both),
    ?assertMatch([{want, c, _, _}], [Want || {want, _, _, _} = Want <- Third]).

strangers_ids_do_not_grow_what_is_known_test() ->
    {Core, Id} = holding(1),
    Hear = fun(N, Acc) ->
                   Digest = #{entries => [{id(N), N, 1, never}], has => []},
                   element(2, merlon_rotate_core:event({digest, b, Digest, false}, 5000, Acc))
           end,
    #{entries := Entries} = merlon_rotate_core:digest(lists:foldl(Hear, Core, lists:seq(2, 500))),
    ?assertEqual(65, length(Entries)),
    ?assert(lists:keymember(Id, 1, Entries)).

only_one_node_rotates_by_schedule_test() ->
    {Core, Id} = holding(1),
    Tick = fun(Now, Acc) -> [Rotate || {rotate, _} = Rotate <- element(1, merlon_rotate_core:event({tick, {10000, 50}}, Now, Acc))] end,
    ?assertEqual([], Tick(10999, Core)),
    ?assertEqual([{rotate, 50}], Tick(13000, Core)),
    Lower = linked('0', [Id], Core),
    ?assertEqual([], Tick(13000, Lower)),
    ?assertEqual([{rotate, 50}], Tick(13000, linked('0', [], Core))),
    ?assertEqual([{rotate, 50}], Tick(13000, linked(z, [Id], Core))).

linked(Node, Has, Core) ->
    {_, Up} = merlon_rotate_core:event({up, Node}, 5000, Core),
    element(2, merlon_rotate_core:event({digest, Node, #{entries => [], has => Has}, false}, 5000, Up)).

nothing() -> #{known => #{}, begins => #{}, peers => #{}}.

holding(N) ->
    New = merlon_rotate_core:new(a, nothing()),
    Entry = #{id => id(N), created => 1000, not_before => 700, not_after => never},
    {element(2, merlon_rotate_core:event({disk, [Entry], nothing()}, 5000, New)), id(N)}.
