%% SPDX-License-Identifier: Apache-2.0
%% The files that make an identity: which they are, what is in them, whether they have changed. Used
%% while the node boots, before there is a file server, and by every poll after that.
-module(merlon_identity_files).

-export([read/2, trust/1, crls/1, cert/1, key/1, next_key/1, key_in_use/1, is_pem/1, digest/2, stamp/2, settled/2]).
-export_type([files/0, stamp/0]).

-include_lib("kernel/include/file.hrl").

-type texts() :: [{merlon_dir:path(), binary()}].
-type files() :: #{kind := node | cli, folder := merlon_dir:path(), cert := binary(), key := binary(),
                   trust := texts(), crls := texts(), keyring := merlon_keyring:keyring()} |
                 #{kind := secret, folder := merlon_dir:path(),
                   subject := merlon_identity_secret:subject(), keyring := [merlon_keyring:entry()]}.
%% What tells a changed file: where it is, its size, its times.
-opaque stamp() :: [{merlon_dir:path(), tuple() | file:posix()}].

%% File systems keep times of a second, some of two.
-define(GRAIN, 3).

-spec read(merlon_identity:folder(), merlon_config:config()) ->
          {ok, files()} | {error, merlon_identity:problem()}.
read({secret, Subject}, Config) -> merlon_identity_secret:read(Subject, Config);
read({Kind, Folder}, #{dir := Dir} = Config) ->
    collect([{cert, fun() -> pem(cert(Folder), certificate) end},
             {key, fun() -> pem(key_in_use(Folder), key) end},
             {trust, fun() -> trust(Dir) end},
             {crls, fun() -> crls(Dir) end},
             {keyring, fun() -> merlon_secrets:keyring(Config) end}], #{kind => Kind, folder => Folder}).

collect([], Files) -> {ok, Files};
collect([{Key, Read} | More], Files) ->
    case Read() of
        {ok, Value} -> collect(More, Files#{Key => Value});
        {error, _} = Error -> Error
    end.

-spec cert(merlon_dir:path()) -> merlon_dir:path().
cert(Folder) -> merlon_dir:path([Folder, "cert.pem"]).

-spec key(merlon_dir:path()) -> merlon_dir:path().
key(Folder) -> merlon_dir:path([Folder, "key.pem"]).

%% Where a renewal puts the new key while the old one is still in its place.
-spec next_key(merlon_dir:path()) -> merlon_dir:path().
next_key(Folder) -> merlon_dir:path([Folder, "key.next.pem"]).

%% The file with the certificate's key. A renewal puts the new key beside the old one, then the
%% certificate into its place, then the key: whatever ends it, one of the two is the certificate's.
-spec key_in_use(merlon_dir:path()) -> merlon_dir:path().
key_in_use(Folder) ->
    Next = next_key(Folder),
    case merlon_dir:exists(Next) andalso {pem(Next, key), pem(cert(Folder), certificate)} of
        {{ok, Key}, {ok, Cert}} -> one_of(merlon_nif:pki_matches(Cert, Key), Next, Folder);
        _ -> key(Folder)
    end.

one_of(true, Next, _Folder) -> Next;
one_of(false, _Next, Folder) -> key(Folder).

%% The files of DIR/trust and their PEM texts.
-spec trust(string()) -> {ok, texts()} | {error, merlon_identity:problem()}.
trust(Dir) ->
    case anchors(Dir) of
        {ok, []} -> {error, {identity, {no_trust, merlon_dir:path([Dir, "trust"])}}};
        {ok, Files} -> read_all(Files, certificate);
        {error, _} = Error -> Error
    end.

anchors(Dir) -> below(Dir, "trust", [<<".pem">>]).

%% The revocation lists: DIR/crl.pem, and any number in DIR/crl. PEM or DER.
-spec crls(string() | merlon_dir:path()) -> {ok, texts()} | {error, merlon_identity:problem()}.
crls(Dir) ->
    case lists(Dir) of
        {ok, Files} -> read_all(Files, crl);
        {error, _} = Error -> Error
    end.

lists(Dir) ->
    File = merlon_dir:path([Dir, "crl.pem"]),
    case below(Dir, "crl", [<<".pem">>, <<".crl">>]) of
        {ok, Files} -> {ok, [File || merlon_dir:exists(File)] ++ Files};
        {error, _} = Error -> Error
    end.

%% None if there is no such folder. In one that can't be listed may be what revokes somebody.
below(Dir, Name, Extensions) ->
    Folder = merlon_dir:path([Dir, Name]),
    case {merlon_dir:list(Folder), merlon_dir:exists(Folder)} of
        {{ok, Names}, _} -> {ok, [merlon_dir:path([Folder, File])
                                  || File <- Names, lists:member(filename:extension(File), Extensions)]};
        {{error, {file, {list, _, enoent}}}, false} -> {ok, []};
        {{error, _} = Error, _} -> Error
    end.

read_all(Files, Kind) -> read_all(Files, Kind, []).

read_all([], _Kind, Texts) -> {ok, lists:reverse(Texts)};
read_all([File | Files], Kind, Texts) ->
    case pem(File, Kind) of
        {ok, Text} -> read_all(Files, Kind, [{File, Text} | Texts]);
        {error, _} = Error -> Error
    end.

%% The PEM text of a file that holds at least one of what it should.
pem(File, Kind) ->
    Read = case Kind of
               key -> merlon_dir:read_secret(File);
               _ -> merlon_dir:read(File)
           end,
    case Read of
        {ok, Text} ->
            case holds(Kind, Text) of
                true -> {ok, Text};
                false -> {error, {identity, {not_pem, File, label(Kind)}}}
            end;
        {error, _} = Error -> Error
    end.

%% A list may be in DER, too: native/pki reads it.
holds(crl, <<16#30, _/binary>>) -> true;
holds(Kind, Text) ->
    is_pem(Text) andalso binary:match(Text, <<(label(Kind))/binary, "-----">>) =/= nomatch
        andalso (Kind =/= certificate orelse element(1, merlon_identity:inspect(Text)) =:= ok).

-spec is_pem(binary()) -> boolean().
is_pem(Text) ->
    is_binary(unicode:characters_to_binary(Text))
        andalso binary:match(Text, <<"-----BEGIN ">>) =/= nomatch.

label(certificate) -> <<"CERTIFICATE">>;
label(key) -> <<"PRIVATE KEY">>;
label(crl) -> <<"X509 CRL">>.

%% ---- changes ----

%% Tells contents apart. Nothing is secured by it: who can write these files needs no collision.
-spec digest(files(), merlon_config:config()) -> binary().
digest(#{keyring := Keyring} = Files, Config) ->
    Known = (maps:without([kind, folder], Files))#{keyring := merlon_keyring:public(Keyring)},
    %% Funs are not the same in two processes; where the keyring comes from does not change while the node runs.
    erlang:md5(term_to_binary({Known, maps:remove(secret, Config)})).

%% What is there now, links followed, so that a secret mount that changes its links has changed.
-spec stamp(merlon_dir:path(), string()) -> stamp().
stamp(Folder, Dir) ->
    Files = [merlon_config:file(Dir), merlon_keyring:file(Dir), cert(Folder), key(Folder)],
    [{File, look(File)} || File <- Files ++ found(Dir, "trust", anchors(Dir)) ++ found(Dir, "crl", lists(Dir))].

found(_Dir, _Name, {ok, Files}) -> Files;
found(Dir, Name, {error, _}) -> [merlon_dir:path([Dir, Name])].

look(File) ->
    case prim_file:read_file_info(File, [{time, posix}]) of
        {ok, #file_info{size = Size, mtime = Changed, ctime = Moved, inode = Inode,
                        major_device = Device, mode = Mode, uid = Owner}} ->
            {Size, Changed, Moved, Inode, Device, Mode, Owner};
        {error, Posix} -> Posix
    end.

%% A file that changed in the second in which it was looked at may change again and look the same.
-spec settled(stamp(), Now :: integer()) -> boolean().
settled(Stamp, Now) ->
    lists:all(fun({_, Look}) -> is_atom(Look) orelse
                                    (away(element(2, Look), Now) andalso away(element(3, Look), Now))
              end, Stamp).

away(Time, Now) -> abs(Time - Now) > ?GRAIN.
