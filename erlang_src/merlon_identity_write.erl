%% SPDX-License-Identifier: Apache-2.0
%% Puts a new key and its certificate into the place of those that a node uses. Whatever ends it, there
%% is a certificate with its key: merlon_identity_files:key_in_use/1.
-module(merlon_identity_write).

-export([put_pair/4, room/1]).

%% Bytes for a few keys, certificates and lists.
-define(ROOM, 65536).

%% In a locked merlon dir; Work is merlon_dir_write:locked/2's.
-spec put_pair(Folder :: merlon_dir:path(), Work :: merlon_dir:path(), Cert :: iodata(), Key :: iodata()) ->
          ok | {error, {file, merlon_dir:reason()}}.
put_pair(Folder, Work, Cert, Key) ->
    Put = fun(File, Content, Mode) -> merlon_dir_write:put_file(File, Work, Content, Mode) end,
    merlon_dir_write:each([fun() -> settle(Folder) end,
                           fun() -> Put(merlon_identity_files:next_key(Folder), Key, 8#600) end,
                           fun() -> Put(merlon_identity_files:cert(Folder), Cert, 8#644) end,
                           fun() -> settle(Folder) end]).

%% Whether some more can be written in a locked dir: for who must not find out that it can't when something has been spent.
-spec room(Work :: merlon_dir:path()) -> ok | {error, {file, merlon_dir:reason()}}.
room(Work) ->
    Path = merlon_dir:path([Work, "room"]),
    Found = merlon_dir_write:put_file(Path, Work, <<0:(8 * ?ROOM)>>, 8#600),
    _ = prim_file:delete(Path),
    in_dir(Found, filename:dirname(Work)).

in_dir({error, {file, {Operation, _, Posix}}}, Dir) -> {error, {file, {Operation, Dir, Posix}}};
in_dir(ok, _Dir) -> ok.

%% Moves the new key into its place once its certificate is there: also what an earlier one has left,
%% whose key must not be lost.
settle(Folder) ->
    Next = merlon_identity_files:next_key(Folder),
    case merlon_identity_files:key_in_use(Folder) of
        Next -> merlon_dir_write:move(Next, merlon_identity_files:key(Folder));
        _ -> ok
    end.
