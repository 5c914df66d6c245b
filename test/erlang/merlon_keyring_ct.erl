%% SPDX-License-Identifier: Apache-2.0
%% What the suites about keyrings share: entries whose secrets are known, files of them, dirs of one cluster.
-module(merlon_keyring_ct).

-export([secret/1, id/1, entry/1, entry/3, put_keyring/2, copy_of/1]).

secret(Byte) -> binary:copy(<<Byte>>, 32).

id(Byte) ->
    {ok, {Id, _}} = merlon_nif:keyring_entry(secret(Byte), 0, never),
    Id.

entry(Byte) -> entry(Byte, -3600, never).

%% Seconds from now on.
entry(Byte, Begin, End) ->
    Now = erlang:system_time(second),
    #{id => id(Byte), created => Now, not_before => Now + Begin,
      not_after => if End =:= never -> never; true -> Now + End end, kdf => expand,
      secret => fun() -> secret(Byte) end}.

put_keyring(Dir, Entries) ->
    File = filename:join(Dir, "keyring"),
    ok = merlon_peers:write_secret(File ++ ".new", merlon_keyring_core:text(Entries)),
    ok = file:rename(File ++ ".new", File).

%% Another dir with the same in it, CA and all.
copy_of(Dir) ->
    Copy = Dir ++ "b",
    "" = os:cmd("cp -a " ++ Dir ++ " " ++ Copy),
    Copy.
