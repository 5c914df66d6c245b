%% SPDX-License-Identifier: Apache-2.0
%% What `merlon rotate ca` says. Pure.
-module(merlon_rotate_ca_text).

-export([refusal/1, lost/0, saying/1, who/2, where/2, advice/2]).

-type stage() :: merlon_nif:stage().
-type found() :: away | unknown | merlon_roots_core:standing().

-spec refusal(rolling_back | finished | nothing | unsaid | elsewhere | too_late) -> iodata().
refusal(elsewhere) -> "another new root was put into the place of this one since, on a machine with a copy of this CA: take this one back "
                      "here with `merlon rotate ca --rollback`, before stage 3 there, and go on there; or roll it back there, and run this again";
refusal(too_late) -> "the old root is not trusted here any more, so nodes believe nothing that it says: remove the new one (--status names it) from "
                     "every trust/ by hand, and copy ca/ anew from where the root was rotated";
refusal(unsaid) -> "nodes were told of the new root, and rotation/ does not say how far they are: put its file back, or run "
                   "this without --rollback, which says it again";
refusal(rolling_back) -> "this rotation is being rolled back: end that with `merlon rotate ca --rollback`, then begin anew";
refusal(finished) -> "the old root is dropped already: a rotation can't be rolled back then. Rotate once more";
refusal(nothing) -> "there is nothing to roll back: no rotation is under way".

%% Of files that are not to be put back.
-spec lost() -> iodata().
lost() -> "; if it is lost for good, begin another one with `merlon rotate ca --anew` (docs/guides/identity.md, When the CA is lost midway)".

%% What is done at a stage.
-spec saying(stage()) -> string().
saying(trust) -> "Stage 1 of 3, trust: all nodes are to trust both roots";
saying(issue) -> "Stage 2 of 3, issue: the new root issues, and all nodes are to have a certificate of it";
saying(finish) -> "Stage 3 of 3, finish: all nodes are to drop the old root";
saying(back) -> "Rollback 1 of 2: the old root issues again, and all nodes are to have a certificate of it";
saying(undo) -> "Rollback 2 of 2: all nodes are to drop the new root".

%% For whom it waits.
-spec who(stage(), [{binary(), found()}]) -> iodata().
who(Stage, Missing) ->
    ["Stage ", atom_to_binary(Stage), " waits for ",
     lists:join("; ", [[Node, " (", where(Stage, Where), ")"] || {Node, Where} <- Missing])].

-spec where(stage(), found()) -> iodata().
where(_Stage, away) -> "is not linked";
where(_Stage, unknown) -> "does not say";
where(trust, #{old := true, new := true}) -> "trusts both roots";
where(_Stage, #{old := true, new := false}) -> "trusts the old root";
where(_Stage, #{old := false, new := true}) -> "trusts the new root";
where(_Stage, #{old := false, new := false}) -> "trusts neither";
where(_Stage, #{ready := false}) -> "trusts both roots, needs another certificate";
where(Stage, #{behind := []}) when Stage =:= back; Stage =:= undo -> "trusts both roots, has a certificate of the old one";
where(_Stage, #{behind := []}) -> "trusts both roots, has a certificate of the new one";
where(_Stage, #{behind := Behind}) ->
    ["trusts both roots, has another certificate, has not been shown one by ", lists:join(", ", Behind)].

-spec advice(stage(), [{binary(), found()}]) -> iodata().
advice(Stage, Missing) ->
    ["\nRun this again to go on. To go on without a node: --without NODE; without all that are not linked: --force (", left_out(Stage), ")",
     [". To go back: --rollback" || Stage =:= trust orelse Stage =:= issue],
     [" (nodes with an older merlon know nothing of this: update them)" || lists:keymember(unknown, 2, Missing)]].

%% From when on nobody links with it who has gone on.
left_out(trust) -> "they can't link any more as soon as others have a certificate of the new root, in stage 2";
left_out(issue) -> "they can't link any more after stage 3";
left_out(_Stage) -> "they can't link any more after that".
