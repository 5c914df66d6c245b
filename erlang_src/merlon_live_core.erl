%% SPDX-License-Identifier: Apache-2.0
%% When to look at a live link's peer again, and when the link has to end. Pure: verdicts and the
%% time come in. Times are seconds since 1970.
-module(merlon_live_core).

-export([new/0, is_known/2, came_up/3, judged/5, forget/2, due/2]).
-export_type([links/0, verdict/0]).

%% When to look next, and since when the peer would not be accepted any more.
-opaque links() :: #{pid() => {Look :: integer(), good | {bad, Since :: integer()}}}.
-type verdict() :: {ok, Until :: integer()} | {error, {pki, merlon_nif:pki_reason()} |
                                                     {keyring, merlon_reprove_core:reason()}}.
-type grace() :: #{grace := non_neg_integer(), revoked_grace := non_neg_integer(), _ => _}.

%% A link that was told to end and has not, in seconds.
-define(AGAIN, 2).
%% Seconds for a peer to show what it has now, when this node believes in less than before: two nodes do not
%% take up new files at the same moment.
-define(SETTLE, 4).

-spec new() -> links().
new() -> #{}.

-spec is_known(pid(), links()) -> boolean().
is_known(Pid, Links) -> is_map_key(Pid, Links).

%% A link that the handshake has judged, which may have begun under files that have been replaced since: to be
%% looked at soon, but not while it is being made.
-spec came_up(pid(), Now :: integer(), links()) -> links().
came_up(Pid, Now, Links) -> Links#{Pid => {Now, good}}.

%% Takes a verdict on a link's peer, and says whether the link is to end now, and why.
-spec judged(pid(), verdict(), Now :: integer(), grace(), links()) ->
          {keep | {close, Code :: atom()}, links()}.
judged(Pid, {ok, Until}, Now, _Grace, Links) ->
    {keep, Links#{Pid => {max(Until, Now) + 1, good}}};
judged(Pid, {error, {_Class, Reason}}, Now, Grace, Links) ->
    Since = since(Reason, Now, Links, Pid),
    case Since + grace(code(Reason), Grace) of
        End when End =< Now -> {{close, code(Reason)}, Links#{Pid => {Now + ?AGAIN, {bad, Since}}}};
        End -> {keep, Links#{Pid => {End, {bad, Since}}}}
    end.

%% An expiry has a time of its own; anything else began when it was first seen.
since({expired, #{not_after := End}}, _Now, _Links, _Pid) -> End;
since({entry_expired, #{not_after := End}}, _Now, _Links, _Pid) -> End;
since({anchor_not_valid, #{not_after := End}}, Now, _Links, _Pid) when End < Now -> End;
since(_Reason, Now, Links, Pid) ->
    case Links of
        #{Pid := {_, {bad, Since}}} -> Since;
        _ -> Now
    end.

grace(revoked, #{revoked_grace := Seconds}) -> Seconds;
grace(Code, #{grace := Seconds}) when Code =:= unknown_issuer; Code =:= entry_dropped; Code =:= entry_expired ->
    max(?SETTLE, Seconds);
grace(_, #{grace := Seconds}) -> Seconds.

code({Code, _}) -> Code;
code(Code) -> Code.

-spec forget(pid(), links()) -> links().
forget(Pid, Links) -> maps:remove(Pid, Links).

%% The links whose peers are to be judged again.
-spec due(Now :: integer(), links()) -> [pid()].
due(Now, Links) ->
    [Pid || {Pid, {Look, _}} <- maps:to_list(Links), Look =< Now].
