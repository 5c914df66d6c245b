%% SPDX-License-Identifier: Apache-2.0
-module(merlon_roots_core_tests).

-include_lib("eunit/include/eunit.hrl").

-define(STAGES, [trust, issue, finish, back, undo]).

here(Old, New, Ready) -> #{old => Old, new => New, ready => Ready}.

standing(Old, New, Ready, Behind) -> (here(Old, New, Ready))#{behind => Behind}.

no_root_goes_that_the_nodes_own_certificate_needs_test() ->
    [?assertNot(lists:member(merlon_roots_core:todo(Stage, here(Old, New, false)), [drop_old, drop_new]))
     || Stage <- ?STAGES, Old <- [true, false], New <- [true, false]].

a_root_goes_in_the_last_stage_only_test() ->
    ?assertEqual([finish], [Stage || Stage <- ?STAGES, merlon_roots_core:todo(Stage, here(true, true, true)) =:= drop_old]),
    ?assertEqual([undo], [Stage || Stage <- ?STAGES, merlon_roots_core:todo(Stage, here(true, true, true)) =:= drop_new]).

%% Done one after the other, what a node is told leads to where the stage wants it, from wherever it was.
what_is_to_be_done_ends_and_leads_there_test() ->
    [begin
         {Steps, End} = worked(Stage, here(Old, New, Ready), []),
         ?assert(length(Steps) =< 3),
         ?assert(merlon_roots_core:reached(Stage, End#{behind => []}, []))
     end || Stage <- ?STAGES, {Old, New, Ready} <- [{true, false, false}, {true, false, true}, {true, true, false},
                                                    {true, true, true}, {false, true, true}],
            %% A node that has finished is told nothing of a rollback: there is none then.
            not (Stage =:= undo andalso not Old)].

worked(Stage, Here, Steps) when length(Steps) < 9 ->
    case merlon_roots_core:todo(Stage, Here) of
        none -> {Steps, Here};
        Step -> worked(Stage, done(Step, Here), [Step | Steps])
    end.

done(add, Here) -> Here#{new := true};
done(renew, Here) -> Here#{ready := true};
done(drop_old, Here) -> Here#{old := false};
done(drop_new, Here) -> Here#{new := false}.

%% The statement of the rotation before brings nobody back who went in this one.
a_root_that_has_gone_introduces_nobody_test() ->
    [?assertEqual(none, merlon_roots_core:todo(Stage, here(false, false, Ready))) || Stage <- ?STAGES, Ready <- [true, false]].

%% What was said is not there to be read: nothing is taken back by guessing.
nothing_is_rolled_back_that_is_not_known_test() ->
    ?assertEqual({refuse, unsaid}, merlon_roots_core:next(rollback, {prepared, new})).

what_a_peer_calls_others_is_fit_for_a_terminal_test() ->
    [?assertEqual(unknown, merlon_roots_core:standing({standing, standing(true, true, true, [Name])}))
     || Name <- [<<"a\e[2Jb@h">>, <<"a\rb@h">>, <<"a,b@h">>, <<"a b@h">>, <<255, "@h">>, <<"a\x{9b}1m@h"/utf8>>]],
    ?assertMatch(#{behind := [_]}, merlon_roots_core:standing({standing, standing(true, true, true, [<<"a\x{e9}@h"/utf8>>])})).

a_stage_waits_for_links_that_would_be_lost_test() ->
    Behind = standing(true, true, true, [<<"c@h">>]),
    [?assertNot(merlon_roots_core:reached(Stage, Behind, [])) || Stage <- [issue, back]],
    [?assert(merlon_roots_core:reached(Stage, Behind, [<<"c@h">>])) || Stage <- [issue, back]],
    ?assert(merlon_roots_core:reached(trust, Behind, [])).

those_who_are_away_are_missing_unless_left_out_test() ->
    Good = standing(true, true, true, []),
    Live = #{<<"a@h">> => Good, <<"b@h">> => standing(true, false, false, []), <<"old@h">> => unknown},
    ?assertEqual([{<<"b@h">>, standing(true, false, false, [])}, {<<"c@h">>, away}, {<<"old@h">>, unknown}],
                 merlon_roots_core:missing(trust, Live, [<<"a@h">>, <<"c@h">>], [])),
    ?assertEqual([], merlon_roots_core:missing(trust, Live, [<<"a@h">>, <<"c@h">>], [<<"b@h">>, <<"c@h">>, <<"old@h">>])).

%% In the five days of a certificate it gets some twenty others, not the hundred that its name may have.
certificates_that_do_not_help_are_not_asked_for_all_the_time_test() ->
    Gets = fun Gets(Now, Before, Count) when Now < 5 * 86400 ->
                   case merlon_roots_core:is_early(7, Now, Before) of
                       true -> Gets(Now + 1, Before, Count);
                       false -> Gets(Now + 1, merlon_roots_core:renewed(7, {element(1 + Count rem 2, {ok, error}), any}, Now, Before), Count + 1)
                   end;
               Gets(_Now, _Before, Count) -> Count
           end,
    Got = Gets(0, none, 0),
    ?assert(Got > 10 andalso Got < 50),
    %% Another statement is another thing; who found nobody has cost nobody anything.
    Known = merlon_roots_core:renewed(7, {ok, #{}}, 100, none),
    ?assert(merlon_roots_core:is_early(7, 101, Known)),
    ?assertNot(merlon_roots_core:is_early(8, 101, Known)),
    [?assertEqual(Known, merlon_roots_core:renewed(7, {error, {renew, Why}}, 200, Known))
     || Why <- [no_issuer, {refused, a@h, not_ours}, {unasked, {file, {write, <<"dir">>, enospc}}}, {unasked, {renew, {locked, "it is locked"}}}]],
    %% Who does not answer may have signed one.
    [?assertMatch({7, 2, _}, merlon_roots_core:renewed(7, {error, Why}, 200, Known))
     || Why <- [{renew, {refused, a@h, no_answer}}, {renew, {bad_answer, a@h}}, {file, {write, <<"dir">>, enospc}}, {renew, {locked, "in use"}}]].

%% ---- the command at the CA ----

%% Runs the steps on a model of the files; Cut says after how many steps it is killed and begun again with the way given.
run(Way, State, Log, Left) when Left > 0 ->
    case merlon_roots_core:next(Way, State) of
        {await, Stage} -> steps(merlon_roots_core:then(Stage), Way, State, [{await, Stage} | Log], Left);
        {refuse, Why} -> {refused, Why, lists:reverse(Log)};
        Step -> steps([Step], Way, State, Log, Left)
    end;
run(_Way, State, Log, 0) -> {cut, State, lists:reverse(Log)}.

steps(_, _Way, State, Log, 0) -> {cut, State, lists:reverse(Log)};
steps([], Way, State, Log, Left) -> run(Way, State, Log, Left);
steps([clean | _], _Way, {_, Issuing}, Log, _Left) -> {done, Issuing, lists:reverse([clean | Log])};
steps([Step | Steps], Way, State, Log, Left) -> steps(Steps, Way, after_step(Step, State), [Step | Log], Left - 1).

after_step(prepare, _) -> {prepared, old};
after_step({say, Stage}, {_, Issuing}) -> {Stage, Issuing};
after_step({issue_by, Which}, {Phase, _}) -> {Phase, Which}.

a_rotation_goes_through_all_stages_test() ->
    {done, new, Log} = run(forward, {none, old}, [], 99),
    ?assertEqual([prepare, {say, trust}, {await, trust}, {issue_by, new}, {say, issue}, {await, issue}, {say, finish},
                  {await, finish}, clean], Log).

cut_off_anywhere_it_is_gone_on_with_test() ->
    [begin
         {cut, State, _} = run(forward, {none, old}, [], Cut),
         ?assertMatch({done, new, _}, run(forward, State, [], 99)),
         Back = run(rollback, State, [], 99),
         case State of
             {finish, _} -> ?assertMatch({refused, finished, _}, Back);
             _ -> ?assertMatch({done, old, _}, Back)
         end
     end || Cut <- lists:seq(1, 5)].

%% A rollback was killed before it had said anything, or could not write that.
who_is_told_to_stand_on_the_new_root_is_given_its_certificates_test() ->
    [?assertMatch({done, new, [{issue_by, new}, {await, Stage} | _]}, run(forward, {Stage, old}, [], 99)) || Stage <- [issue, finish]].

the_root_that_goes_does_not_issue_test() ->
    [?assertEqual(Holds, merlon_roots_core:holds(Step, State))
     || {Step, State, Holds} <- [{clean, {finish, new}, true}, {clean, {finish, old}, false}, {clean, {undo, old}, true},
                                 {clean, {undo, new}, false}, {clean, {prepared, old}, true}, {clean, {prepared, new}, false},
                                 {clean, {issue, new}, false}, {{say, finish}, {issue, new}, true}, {{say, finish}, {issue, old}, false},
                                 {{say, issue}, {trust, old}, false}, {{say, back}, {issue, new}, false}, {{say, undo}, {back, new}, false},
                                 {{say, undo}, {back, old}, true}]],
    %% What the command does, it may.
    [?assert(merlon_roots_core:holds(Step, State)) || {Step, State} <- each_step(forward, {none, old}, 99) ++ each_step(rollback, {issue, new}, 99)].

each_step(Way, State, Left) when Left > 0 ->
    case merlon_roots_core:next(Way, State) of
        {await, Stage} -> each_then(merlon_roots_core:then(Stage), Way, State, Left);
        Step -> each_then([Step], Way, State, Left)
    end.

each_then([], Way, State, Left) -> each_step(Way, State, Left - 1);
each_then([clean | _], _Way, State, _Left) -> [{clean, State}];
each_then([Step | Steps], Way, State, Left) -> [{Step, State} | each_then(Steps, Way, after_step(Step, State), Left)].

%% `--until trust`, typed once more when stage 2 is under way, does not do what can't be undone.
a_run_ends_no_later_than_it_is_told_to_test() ->
    ?assertEqual([{trust, trust}, {issue, trust}, {issue, issue}],
                 [{Stage, Until} || Stage <- ?STAGES, Until <- [trust, issue], merlon_roots_core:is_beyond(Stage, Until)]).

said(Old, New, Stage, Number) ->
    #{old => Old, new => New, stage => Stage, sequence => Number, cluster => <<"c">>, cert => <<>>}.

%% Of one old root the last word counts; that a new one was taken back is true for ever.
what_came_before_is_not_in_force_test() ->
    [Undone, Other] = [said(<<"o">>, <<"a">>, undo, 3), said(<<"p">>, <<"q">>, finish, 1)],
    Last = said(<<"o">>, <<"b">>, trust, 5),
    ?assertEqual([Last, Undone, Other],
                 merlon_roots_core:in_force([Last, said(<<"o">>, <<"c">>, issue, 4), Undone, said(<<"o">>, <<"a">>, trust, 2), Other])).

%% A node that has been away and was mended by hand does not tell those who have long dropped the root of it for ever.
peers_are_told_again_of_what_they_may_have_to_hear_test() ->
    Fresh = fun(Stage, Time, Roots) -> merlon_roots_core:is_fresh(said(<<"o">>, <<"n">>, Stage, Time), Roots, 100) end,
    [?assert(Fresh(Stage, 1, [<<"o">>, <<"n">>])) || Stage <- [trust, issue, back]],
    [?assertNot(Fresh(Stage, 200, [<<"n">>])) || Stage <- [trust, issue, back, undo]],
    ?assert(Fresh(finish, 200, [<<"n">>])),
    ?assert(Fresh(undo, 200, [<<"o">>])),
    [?assertNot(Fresh(Stage, 99, [<<"o">>, <<"n">>])) || Stage <- [finish, undo]].

%% Two machines with copies of one CA.
a_rotation_that_another_has_followed_is_not_gone_on_with_test() ->
    Phase = fun(Way, Said) -> merlon_roots_core:phase(Way, <<"o">>, <<"a">>, Said) end,
    [Own, Theirs, Undone] = [said(<<"o">>, <<"a">>, trust, 1), said(<<"o">>, <<"b">>, issue, 2), said(<<"o">>, <<"b">>, undo, 3)],
    ?assertEqual(trust, Phase(forward, [Own])),
    ?assertEqual(prepared, Phase(forward, [])),
    [?assertEqual({refuse, elsewhere}, merlon_roots_core:next(forward, {Phase(forward, Said), old})) || Said <- [[Theirs, Own], [Theirs]]],
    ?assertEqual({say, back}, merlon_roots_core:next(rollback, {Phase(rollback, [Theirs, Own]), old})),
    %% Theirs was taken back: nodes may not have heard of ours.
    ?assertEqual({say, trust}, merlon_roots_core:next(forward, {Phase(forward, [Undone, Own]), old})),
    ?assertEqual(finish, Phase(forward, [Undone, Own#{stage := finish}])).

%% The old root issues before anybody drops the new one; nobody drops it who has a certificate of it.
a_rollback_goes_back_through_both_test() ->
    {done, old, Log} = run(rollback, {issue, new}, [], 99),
    ?assertEqual([{issue_by, old}, {say, back}, {await, back}, {say, undo}, {await, undo}, clean], Log),
    [begin
         {cut, State, _} = run(rollback, {issue, new}, [], Cut),
         ?assertMatch({done, old, _}, run(rollback, State, [], 99))
     end || Cut <- lists:seq(1, 3)],
    ?assertMatch({refused, nothing, _}, run(rollback, {none, old}, [], 99)),
    [?assertMatch({refused, rolling_back, _}, run(forward, {Stage, old}, [], 99)) || Stage <- [back, undo]].

%% ---- what comes from peers ----

what_a_peer_says_of_itself_may_be_anything_test() ->
    Good = standing(true, false, true, [<<"a@h">>]),
    ?assertEqual(Good, merlon_roots_core:standing({standing, Good})),
    ?assertEqual(Good, merlon_roots_core:standing({standing, Good#{more => 1}})),
    [?assertEqual(unknown, merlon_roots_core:standing(Bad))
     || Bad <- [none, {standing, #{}}, {standing, Good#{old := 1}}, {standing, Good#{behind := [a]}},
                {standing, Good#{behind := [<<"a@h">> | <<"b">>]}}, {standing, Good#{behind := [<<"a\tb">>]}},
                {standing, Good#{behind := [<<"a\nb">>]}}, {standing, Good#{behind := [binary:copy(<<"a">>, 256)]}},
                {standing, Good#{behind := lists:duplicate(1001, <<"a">>)}}]].

a_question_is_about_two_roots_of_which_one_goes_test() ->
    [Old, New] = [binary:copy(Digit, 64) || Digit <- [<<"a">>, <<"b">>]],
    ?assertEqual({ok, #{old => Old, new => New, drop => New}}, merlon_roots_core:query({standing, Old, New, New})),
    [?assertEqual(error, merlon_roots_core:query(Bad))
     || Bad <- [{standing, Old, New, <<>>}, {standing, Old, <<"b">>, Old}, anything, {standing, Old, New},
                {standing, binary:copy(<<255>>, 64), New, binary:copy(<<255>>, 64)}, {standing, Old, binary:copy(<<"A">>, 64), Old}]].

what_was_written_is_read_test() ->
    Live = #{<<"a@h">> => standing(true, true, false, [<<"b@h">>, <<"c@h">>]), <<"b@h">> => unknown,
             <<"c@h">> => standing(false, true, true, [])},
    ?assertEqual(Live, merlon_roots_core:parse(iolist_to_binary(merlon_roots_core:status(Live)))),
    ?assertEqual(#{}, merlon_roots_core:parse(<<>>)).
