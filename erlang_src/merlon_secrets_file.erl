%% SPDX-License-Identifier: Apache-2.0
%% `{file, Path}`: a file elsewhere than DIR/keyring, as Kubernetes and Docker mount secrets. `{systemd, Name}`: a credential
%% of the unit (LoadCredential=, SetCredentialEncrypted=). Nobody but its owner may read it; of a file of root's,
%% its group may, as both hand it to users that are not root so.
-module(merlon_secrets_file).
-behaviour(merlon_secrets).

-include_lib("kernel/include/file.hrl").

-export([check/1, name/1, open/1, fetch/2, watch/1, stamp/1]).

%% Seconds between two looks at the file's stamp.
-define(EVERY, 2).

-type setting() :: {file | systemd, binary()}.

-spec check(tuple()) -> {ok, setting()} | {error, iodata()}.
check({file, Path}) ->
    case merlon_secrets_text:text(Path) of
        {ok, <<$/, _/binary>> = Absolute} -> {ok, {file, Absolute}};
        _ -> {error, "{file, \"/PATH\"} with an absolute path"}
    end;
check({systemd, Name}) ->
    case merlon_secrets_text:text(Name) of
        {ok, Credential} when Credential =/= <<".">>, Credential =/= <<"..">> ->
            case binary:match(Credential, <<"/">>) of
                nomatch -> {ok, {systemd, Credential}};
                _ -> {error, credential()}
            end;
        _ -> {error, credential()}
    end;
check(_) -> {error, "{file, \"/PATH\"} or {systemd, \"NAME\"}"}.

credential() -> "{systemd, \"NAME\"} with the name of a credential of the unit (LoadCredential=NAME:...)".

-spec name(setting()) -> iodata().
name({file, Path}) -> ["file ", Path];
name({systemd, Name}) -> ["systemd credential ", Name].

-spec open(setting()) -> {ok, merlon_dir:path()} | {error, merlon_secrets:fault()}.
open({file, Path}) -> {ok, Path};
open({systemd, Name}) ->
    case os:getenv("CREDENTIALS_DIRECTORY") of
        Dir when is_list(Dir), Dir =/= "" -> {ok, merlon_dir:path([Dir, Name])};
        _ -> {error, {fetch, #{code => no_credentials_directory}}}
    end.

-spec fetch(merlon_dir:path(), pos_integer()) -> {ok, merlon_secrets:delivered()} | {error, merlon_secrets:fault()}.
fetch(Path, _Timeout) ->
    Stamp = stamp(Path),
    case merlon_nif:fetch_file(Path) of
        {ok, Text} -> {ok, #{text => Text, version => Stamp}};
        {error, _} = Error -> Error
    end.

-spec watch(setting()) -> pos_integer().
watch(_) -> ?EVERY.

%% Links followed, so that a mount that changes its links has changed. In the second in which it was written it may be
%% written again and look the same: then no stamp is like it.
-spec stamp(merlon_dir:path()) -> term().
stamp(Path) ->
    case prim_file:read_file_info(Path, [{time, posix}]) of
        {ok, #file_info{mtime = Changed, ctime = Moved} = Info} ->
            case erlang:system_time(second) - max(Changed, Moved) of
                Age when Age > ?EVERY; Age < 0 -> Info#file_info{atime = undefined};
                _ -> make_ref()
            end;
        {error, Posix} -> Posix
    end.
