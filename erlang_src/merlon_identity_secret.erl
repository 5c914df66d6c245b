%% SPDX-License-Identifier: Apache-2.0
%% The secret identity: a merlon dir with a keyring and no certificate. The node makes itself a
%% certificate of a day, from a CA that the native library derives from a keyring's entry, and trusts
%% the CAs of all entries that count now. Runs while the node boots, before there is a file server.
-module(merlon_identity_secret).

-export([default_cluster/0, bare/1, foreign/1, read/2, subject/2, mint/3, again/2, cas/3, words/1]).
-export_type([subject/0, reason/0]).

-type subject() :: {node | cli, Name :: binary(), Host :: binary()}.
-type reason() :: {mixed, merlon_dir:path(), [merlon_dir:path(), ...]} |
                  {no_keyring, merlon_dir:path()} | {not_minted, merlon_nif:pki_reason() | not_accepted}.

%% Seconds by which the clocks of two nodes may differ, as in native/secret.
-define(SKEW, 300).

%% The cluster of a dir in which there is nothing but a keyring.
-spec default_cluster() -> binary().
default_cluster() -> <<"merlon">>.

%% ---- the dir ----

%% Whether a keyring is all that there is, so that not even merlon.config is needed.
-spec bare(string()) -> boolean().
bare(Dir) ->
    merlon_dir:exists(merlon_keyring:file(Dir)) andalso foreign(Dir) =:= [].

%% What only nodes with certificates have. A folder in which there is nothing is no sign of any.
-spec foreign(string()) -> [merlon_dir:path()].
foreign(Dir) ->
    [Path || Name <- ["trust", "nodes", "cli", "ca", "crl.pem", "crl"],
             Path <- [merlon_dir:path([Dir, Name])],
             merlon_dir:exists(Path), merlon_dir:list(Path) =/= {ok, []}].

%% The one file, or what a provider gives in its place.
-spec read(subject(), merlon_config:config()) ->
          {ok, merlon_identity_files:files()} | {error, merlon_identity:problem()}.
read(Subject, #{dir := Dir} = Config) ->
    case foreign(Dir) of
        [] -> with(merlon_secrets:keyring(Config), Subject, Dir);
        Foreign -> {error, {identity, {mixed, merlon_dir:path([Dir]), Foreign}}}
    end.

with({ok, none}, _Subject, Dir) -> {error, {identity, {no_keyring, merlon_keyring:file(Dir)}}};
with({ok, Keyring}, Subject, Dir) ->
    {ok, #{kind => secret, subject => Subject, folder => merlon_dir:path([Dir]), keyring => Keyring}};
with({error, _} = Error, _Subject, _Dir) -> Error.

%% ---- who ----

%% A name that tools have is this OS user's tools', every other one is a node's. A tool never gets a
%% node's certificate: peers tell them apart by the same rules.
-spec subject({Name :: binary(), Host :: binary()}, merlon_config:config()) -> subject().
subject({Name, Host}, #{cli_names := CliNames, derived_names := DerivedNames}) ->
    Tool = {cli, user(), Host},
    Claimed = case Name =:= <<>> orelse Name =:= <<"undefined">> of
                  true -> <<$@, Host/binary>>;
                  false -> <<Name/binary, $@, Host/binary>>
              end,
    case merlon_nif:binds(Tool, Claimed, CliNames, DerivedNames) of
        true -> Tool;
        false -> {node, Name, Host}
    end.

user() ->
    case [merlon_dir:path([User]) || Variable <- ["USER", "LOGNAME"],
                                     User <- [os:getenv(Variable)], User =/= false, User =/= ""] of
        [User | _] -> User;
        [] -> <<"tools">>
    end.

%% ---- certificates ----

-spec mint(subject(), merlon_identity_files:files(), merlon_config:config()) ->
          {ok, merlon_identity:loaded()} | {error, merlon_identity:problem()}.
mint(Subject, #{keyring := Keyring, folder := Folder} = Files, Config) ->
    minted(Subject, Keyring, Config,
           #{dir => Folder, digest => merlon_identity_files:digest(Files, Config)}, now_s()).

minted({_, _, _} = Subject, Keyring, Config, More, Now) ->
    Args = maps:with([cluster, cli_names, derived_names, key_update_after], Config),
    case merlon_nif:identity_mint(Args#{entries => [Ref || #{ref := Ref} <- Keyring],
                                        identity => Subject, now => Now}) of
        {ok, Ref} ->
            #{not_after := End} = Info = merlon_nif:identity_info(Ref),
            Loaded = maps:merge(More, Info),
            {ok, Loaded#{ref => Ref, chain => erlang:md5(merlon_nif:identity_chain(Ref)), joins => none, subject => Subject, keyring => Keyring, config => Config,
                         due => due(Now, End, Keyring)}};
        {error, {pki, Reason}} -> {error, {identity, {not_minted, Reason}}};
        {error, not_accepted} -> {error, {identity, {not_minted, not_accepted}}}
    end.

%% At half of its life, or when another entry begins or ends to count, here or by another's clock.
due(Now, End, Keyring) ->
    Times = [Time || #{not_before := Begin, not_after := Last} <- Keyring,
                     Time <- [Begin, Begin + ?SKEW | ends(Last)], Time > Now],
    lists:min([Now + (End - Now) div 2 | Times]).

ends(never) -> [];
ends(Last) -> [Last - ?SKEW + 1, Last].

%% What a running node is to use from now on, if it is due: made of what it has in memory, so that it
%% goes on whatever has become of the files.
-spec again(map(), Now :: integer()) -> not_due | {ok, merlon_identity:loaded()} |
          {error, merlon_identity:problem()}.
again(#{due := Due, not_before := Begin, subject := Subject, keyring := Keyring, config := Config} = Node, Now)
  when Now >= Due; Now < Begin -> % the clock was set back
    minted(Subject, Keyring, Config, maps:with([dir, digest], Node), Now);
again(_Node, _Now) ->
    not_due.

now_s() -> erlang:system_time(second).

%% The CAs that nodes with this keyring trust now: {Id, Pem} of each entry that is accepted.
-spec cas([merlon_keyring:entry()], Cluster :: binary(), Now :: integer()) -> [{binary(), binary()}].
cas(Keyring, Cluster, Now) ->
    [{Id, Pem} || #{id := Id, ref := Ref} <- Keyring,
                  {ok, Pem} <- [merlon_nif:keyring_ca(Ref, Cluster, Now)]].

%% ---- words ----

-spec words(reason()) -> iodata().
words({mixed, Dir, Files}) ->
    [Dir, " is for the secret identity, which has a keyring and no certificates: remove ",
     lists:join(", ", Files), "; or, for certificates, take {identity, secret} out of merlon.config"];
words({no_keyring, File}) ->
    [File, " does not exist: copy the cluster's keyring there (mode 0600), or make one with "
     "`merlon keyring --new`"];
words({not_minted, not_accepted}) ->
    "no certificate can be made: no entry of the keyring is accepted now; add one with "
    "`merlon keyring --new`";
words({not_minted, Reason}) ->
    ["no certificate can be made: ", merlon_pki_text:words(Reason)].
