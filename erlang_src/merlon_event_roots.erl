%% SPDX-License-Identifier: Apache-2.0
%% What merlon_roots logs; as merlon_event.
-module(merlon_event_roots).

-export([root_stage/2, root_refused/3, root_failed/1]).

%% This node follows a rotation of the root: it has taken a statement, or done what one says.
-spec root_stage(taken | add | renew | drop_old | drop_new, merlon_nif:statement()) -> ok.
root_stage(Done, #{stage := Stage, old := Old, new := New}) ->
    merlon_event:log(info, #{event => root_stage, stage => Stage, done => Done, old => Old, new => New,
                             text => iolist_to_binary([words(Done), ", as the CA's rotation says (", atom_to_binary(Stage), ")"])}).

words(taken) -> "a statement about a new root was taken";
words(add) -> "the new root is trusted";
words(renew) -> "this node has another certificate";
words(drop_old) -> "the old root is not trusted any more";
words(drop_new) -> "the new root is not trusted any more".

%% A node has sent a statement that is no good, and some before of which nothing was said.
-spec root_refused(node(), iodata(), non_neg_integer()) -> ok.
root_refused(Node, Text, Untold) ->
    merlon_event:log(warning, #{event => root_refused, node => Node, text => iolist_to_binary([Text, others(Untold)])}).

others(0) -> "";
others(Count) -> io_lib:format(" (and ~b more since the last line)", [Count]).

%% What a statement says could not be done. It is tried again.
-spec root_failed(iodata()) -> ok.
root_failed(Text) ->
    merlon_event:log(error, #{event => root_failed,
                              text => iolist_to_binary(["this node can't follow the rotation of the root and tries again: ", Text])}).
