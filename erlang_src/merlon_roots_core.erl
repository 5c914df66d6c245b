%% SPDX-License-Identifier: Apache-2.0
%% A new root in the place of an old one: what a node has to do next, whether it has done it, and what the command at
%% the CA does next. Pure.
-module(merlon_roots_core).

-export([is_early/3, renewed/4]).
-export([in_force/1, is_fresh/3, drops/2, todo/2, reached/3, missing/4]).
-export([phase/4, next/2, then/1, is_beyond/2, holds/2, standing/1, query/1, status/1, parse/1]).
-export_type([renewals/0, here/0, standing/0, way/0, step/0, phase/0]).

-type stage() :: merlon_nif:stage().
%% Which of the two roots are trusted, and whether the node's own certificate is good without the one that goes.
-type here() :: #{old := boolean(), new := boolean(), ready := boolean()}.
%% The same of what is in use, and the linked nodes that would lose their links if that root went now.
-type standing() :: #{old := boolean(), new := boolean(), ready := boolean(), behind := [binary()]}.
-type way() :: forward | rollback | anew.
%% `none`: nothing is under way; `prepared`: there is a new root, of which nobody knows.
-type phase() :: none | prepared | elsewhere | stage().
-type step() :: prepare | {say, stage()} | {issue_by, old | new} | {await, stage()} | clean | done |
                {refuse, rolling_back | finished | nothing | unsaid | elsewhere}.

%% What came of renewals that a statement wanted: its number, how many certificates they may have cost, until when none more is asked for.
-type renewals() :: none | {Number :: non_neg_integer(), Count :: pos_integer(), Until :: integer()}.

%% Seconds until one that has not helped is followed by another, twice as long each time, and at most.
-define(RENEWED, 5).
-define(RENEWED_MAX, 21600).
%% Names in one answer.
-define(BEHIND, 1000).

%% Of statements, the newest first, those that say what is to be done: of an old root the newest, and whatever takes a new one
%% back, which both roots have signed and which stays true whatever comes after it.
-spec in_force([merlon_nif:statement()]) -> [merlon_nif:statement()].
in_force(Statements) -> in_force(Statements, []).

in_force([], _Known) -> [];
in_force([#{old := Old, new := New, stage := Stage} = Said | More], Known) ->
    case {lists:member(Old, Known) orelse lists:member({Old, New}, Known), Stage} of
        {_, undo} -> [Said | in_force(More, [{Old, New} | Known])];
        {true, _} -> in_force(More, Known);
        {false, _} -> [Said | in_force(More, [Old | Known])]
    end.

%% Whether peers may still have to hear of it: not for ever of what has ended, and of a root that has gone only that.
-spec is_fresh(merlon_nif:statement(), Roots :: [binary()], Since :: integer()) -> boolean().
is_fresh(#{stage := finish, sequence := Time}, _Roots, Since) -> Time >= Since;
is_fresh(#{stage := undo, sequence := Time}, _Roots, Since) when Time < Since -> false;
is_fresh(#{old := Old}, Roots, _Since) -> lists:member(Old, Roots).

%% The root that goes at the end of what a stage belongs to.
-spec drops(stage(), #{old := Root, new := Root, _ => _}) -> Root.
drops(Stage, #{new := New}) when Stage =:= back; Stage =:= undo -> New;
drops(_Stage, #{old := Old}) -> Old.

%% What a node has to do next. No root goes as long as the node's own certificate needs it.
-spec todo(stage(), here()) -> none | add | renew | drop_old | drop_new.
todo(undo, #{new := false}) -> none;
%% Of a root that has gone here nothing counts any more: whom it introduced once may have gone since, by the next
%% rotation or by hand, and stays away.
todo(_Stage, #{old := false, new := false}) -> none;
todo(Stage, #{new := false}) when Stage =/= undo -> add;
todo(trust, _) -> none;
todo(_Stage, #{ready := false}) -> renew;
todo(finish, #{old := true}) -> drop_old;
todo(undo, #{new := true}) -> drop_new;
todo(_Stage, _) -> none.

%% Whether it is early for another certificate. A CA that gives useless ones, or a node that can't write them, must not
%% use up all that the node's name may have.
-spec is_early(Number :: non_neg_integer(), Now :: integer(), renewals()) -> boolean().
is_early(Number, Now, {Number, _, Until}) -> Now < Until;
is_early(_Number, _Now, _) -> false.

%% Nobody gave one if nobody was there who does, or was asked at all. Who has not answered may have signed one all the same.
-spec renewed(Number :: non_neg_integer(), Result :: term(), Now :: integer(), renewals()) -> renewals().
renewed(_Number, {error, {renew, no_issuer}}, _Now, Before) -> Before;
renewed(_Number, {error, {renew, {unasked, _}}}, _Now, Before) -> Before;
renewed(_Number, {error, {renew, {refused, _, Why}}}, _Now, Before) when Why =/= no_answer -> Before;
renewed(Number, _Result, Now, {Number, Count, _}) ->
    {Number, Count + 1, Now + min(?RENEWED_MAX, ?RENEWED bsl min(Count, 20))};
renewed(Number, _Result, Now, _Before) -> {Number, 1, Now + ?RENEWED}.

%% Whether a node is where that stage wants all to be, but for what Without have to do with it.
-spec reached(stage(), standing(), Without :: [binary()]) -> boolean().
reached(trust, #{new := New}, _Without) -> New;
reached(finish, #{old := Old}, _Without) -> not Old;
reached(undo, #{new := New}, _Without) -> not New;
reached(_, #{ready := Ready, behind := Behind}, Without) -> Ready andalso Behind -- Without =:= [].

%% Who keeps a stage from being complete, and why. Expected are those who have certificates.
-spec missing(stage(), #{binary() => standing() | unknown}, Expected :: [binary()], Without :: [binary()]) ->
          [{binary(), away | unknown | standing()}].
missing(Stage, Live, Expected, Without) ->
    All = lists:usort(maps:keys(Live) ++ Expected) -- Without,
    [{Node, Where} || Node <- All, Where <- [maps:get(Node, Live, away)],
                      not is_map(Where) orelse not reached(Stage, Where, Without)].

%% How far the rotation from the one root to the other is, by what was said of the old one, the newest first. After another rotation
%% of that root, from a copy of this CA, it is not gone on with (but where that one is lost: `anew`); once it is taken back, it is
%% begun anew.
-spec phase(way(), Old :: binary(), New :: binary(), [merlon_nif:statement()]) -> phase() | elsewhere.
phase(Way, Old, New, Statements) ->
    {Newer, Rest} = lists:splitwith(fun(#{new := By}) -> By =/= New end, [Said || #{old := Of} = Said <- Statements, Of =:= Old]),
    Own = hd([Stage || #{stage := Stage} <- Rest] ++ [prepared]),
    case lists:usort([Stage || #{stage := Stage} <- Newer]) of
        [] -> Own;
        _ when Way =:= rollback; Way =:= anew -> Own;
        [undo] when Own =:= trust; Own =:= issue -> prepared;
        [undo] -> Own;
        _ -> elsewhere
    end.

%% What the command at the CA does next. A root issues before anybody is told to stand on it, as all trust both.
-spec next(way(), {phase(), Issuing :: old | new}) -> step().
next(anew, How) -> next(forward, How);
next(forward, {none, _}) -> prepare;
next(forward, {prepared, _}) -> {say, trust};
next(forward, {elsewhere, _}) -> {refuse, elsewhere};
%% A rollback was cut off before it said anything.
next(forward, {Stage, old}) when Stage =:= issue; Stage =:= finish -> {issue_by, new};
next(forward, {Stage, _}) when Stage =:= trust; Stage =:= issue; Stage =:= finish -> {await, Stage};
next(forward, {_, _}) -> {refuse, rolling_back};
next(rollback, {none, _}) -> {refuse, nothing};
next(rollback, {prepared, old}) -> clean;
next(rollback, {finish, _}) -> {refuse, finished};
%% It issues, so nodes were told; how far they are is not known here any more.
next(rollback, {prepared, new}) -> {refuse, unsaid};
next(rollback, {_, new}) -> {issue_by, old};
next(rollback, {trust, old}) -> {say, back};
next(rollback, {issue, old}) -> {say, back};
next(rollback, {Stage, old}) -> {await, Stage}.

%% Whether a run that is to end at that stage has no more to do where all have reached this one.
-spec is_beyond(stage(), Until :: trust | issue) -> boolean().
is_beyond(trust, trust) -> true;
is_beyond(issue, _Until) -> true;
is_beyond(_Stage, _Until) -> false.

%% What follows a stage that all have reached.
-spec then(stage()) -> [step()].
then(trust) -> [{issue_by, new}, {say, issue}];
then(issue) -> [{say, finish}];
then(back) -> [{say, undo}];
then(Stage) when Stage =:= finish; Stage =:= undo -> [clean].

%% Whether a step may be done where that is how far it is. The root that goes must not be the one that issues.
-spec holds(step(), {phase(), Issuing :: old | new}) -> boolean().
holds({say, Stage}, {_, Issuing}) when Stage =:= issue; Stage =:= finish -> Issuing =:= new;
holds({say, Stage}, {_, Issuing}) when Stage =:= back; Stage =:= undo -> Issuing =:= old;
holds(clean, {finish, Issuing}) -> Issuing =:= new;
holds(clean, {Phase, Issuing}) when Phase =:= undo; Phase =:= prepared -> Issuing =:= old;
holds(clean, _) -> false;
holds(_, _) -> true.

%% ---- what goes between nodes, and what the command reads ----

%% What a peer has said of itself: anything may come.
-spec standing(term()) -> standing() | unknown.
standing({standing, #{old := Old, new := New, ready := Ready, behind := Behind}})
  when is_boolean(Old), is_boolean(New), is_boolean(Ready) ->
    case names(Behind, ?BEHIND) of
        error -> unknown;
        Names -> #{old => Old, new => New, ready => Ready, behind => Names}
    end;
standing(_) -> unknown.

names([], _Left) -> [];
names([Name | More], Left) when is_binary(Name), byte_size(Name) =< 255, Left > 0 ->
    case {is_plain(unicode:characters_to_list(Name)), names(More, Left - 1)} of
        {true, Names} when is_list(Names) -> [Name | Names];
        _ -> error
    end;
names(_, _Left) -> error.

%% It stands between tabs and commas, and on a terminal.
is_plain(Chars) ->
    is_list(Chars) andalso lists:all(fun(Char) -> Char > 32 andalso Char =/= $, andalso (Char < 127 orelse Char > 160) end, Chars).

%% Roots that a peer asks about.
-spec query(term()) -> {ok, #{old := binary(), new := binary(), drop := binary()}} | error.
query({standing, <<_:64/binary>> = Old, <<_:64/binary>> = New, Drop}) when Drop =:= Old; Drop =:= New ->
    case is_hex(Old) andalso is_hex(New) of
        true -> {ok, #{old => Old, new => New, drop => Drop}};
        false -> error
    end;
query(_) -> error.

%% What is no text would be a crash in the native library.
is_hex(Text) -> lists:all(fun(Char) -> Char >= $0 andalso Char =< $9 orelse Char >= $a andalso Char =< $f end, binary_to_list(Text)).

%% A line for each node.
-spec status(#{binary() => standing() | unknown}) -> iodata().
status(Live) ->
    [[Node, $\t, fields(Standing), $\n] || {Node, Standing} <- lists:sort(maps:to_list(Live)),
                                           binary:match(Node, [<<"\n">>, <<"\t">>]) =:= nomatch].

fields(unknown) -> "unknown";
fields(#{old := Old, new := New, ready := Ready, behind := Behind}) ->
    [lists:join($\t, [atom_to_binary(Flag) || Flag <- [Old, New, Ready]]), $\t, lists:join($,, Behind)].

-spec parse(binary()) -> #{binary() => standing() | unknown}.
parse(Text) ->
    Lines = binary:split(Text, <<"\n">>, [global, trim]),
    maps:from_list([{Node, read(Fields)} || Line <- Lines, [Node | Fields] <- [binary:split(Line, <<"\t">>, [global])]]).

read([Old, New, Ready, Behind]) ->
    #{old => Old =:= <<"true">>, new => New =:= <<"true">>, ready => Ready =:= <<"true">>,
      behind => [Name || Name <- binary:split(Behind, <<",">>, [global]), Name =/= <<>>]};
read(_) -> unknown.
