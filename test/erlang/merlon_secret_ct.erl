%% SPDX-License-Identifier: Apache-2.0
%% What the suites about secrets share: entries, keyrings on disk, links that end.
-module(merlon_secret_ct).

-export([entry/1, entry/3, entry/4, put_keyring/2, unlinked/2, apart/2]).

%% Of a secret that is this byte 32 times; it counts from Begin to End, seconds from now on.
entry(Byte) -> entry(Byte, -3600, never).

entry(Byte, Begin, End) ->
    Secret = binary:copy(<<Byte>>, 32),
    {ok, {Id, _}} = merlon_nif:keyring_entry(Secret, 0, never),
    entry(Id, expand, {Begin, End}, Secret).

entry(Id, Kdf, {Begin, End}, Secret) ->
    Now = erlang:system_time(second),
    #{id => Id, created => Now, not_before => Now + Begin, kdf => Kdf, secret => fun() -> Secret end,
      not_after => if End =:= never -> never; true -> Now + End end}.

%% Replaces Dir/keyring by these entries, or by this text.
put_keyring(Dir, [#{id := _} | _] = Entries) -> put_keyring(Dir, {text, merlon_keyring_core:text(Entries)});
put_keyring(Dir, {text, Text}) ->
    File = filename:join(Dir, "keyring"),
    ok = merlon_peers:write_secret(File ++ ".new", Text),
    ok = file:rename(File ++ ".new", File).

%% Ends the link of these two; both have seen it.
unlinked(A, B) -> merlon_ct:unlink(A, B).

%% Waits until neither has a link to the other.
apart({_, NodeA, _} = A, {_, NodeB, _} = B) ->
    merlon_peers:wait(fun() -> merlon_ct:link_of(A, NodeB) =:= none
                                   andalso merlon_ct:link_of(B, NodeA) =:= none end).
