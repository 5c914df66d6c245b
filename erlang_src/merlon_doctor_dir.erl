%% SPDX-License-Identifier: Apache-2.0
%% The doctor's look at a merlon dir: what a node checks when it boots, and what it will stumble over soon.
-module(merlon_doctor_dir).

-export([names/1, trust/2, nodes/3, tools/2, minted/2, clock/2, secret/2]).

-define(DAY, 86400).
%% Certificates that end sooner are told.
-define(SOON, 7 * ?DAY).
-define(CA_SOON, 30 * ?DAY).
%% Clocks are never quite the same.
-define(SKEW, 60).

%% The nodes that have a folder, NAME@HOST each.
-spec names(string()) -> [string()].
names(Dir) -> folders(Dir, "nodes").

folders(Dir, Kind) ->
    case merlon_dir:list(merlon_dir:path([Dir, Kind])) of
        {ok, Names} -> [unicode:characters_to_list(Name) || Name <- Names, binary:match(Name, <<"@">>) =/= nomatch];
        {error, _} -> []
    end.

%% ---- trust ----

-spec trust(merlon_config:config(), Now :: integer()) -> [merlon_doctor:line()].
trust(#{dir := Dir}, Now) ->
    case merlon_identity_files:trust(Dir) of
        {ok, Texts} -> [anchor(File, Info, Now) || {File, Text} <- Texts, Info <- infos(Text)];
        {error, Problem} -> [{trust, fail, merlon_identity:format_error(Problem)}]
    end.

infos(Text) ->
    case merlon_identity:inspect(Text) of
        {ok, Infos} -> Infos;
        {error, _} -> []
    end.

anchor(File, #{is_ca := false}, _Now) ->
    {trust, fail, [File, " is no CA's certificate: put ca.pem of the machine that ran `merlon init` there"]};
anchor(File, #{not_after := End}, Now) when End < Now ->
    {trust, fail, [File, " ended ", merlon_text:left(End, Now), ": have the CA renewed and put its certificate there"]};
anchor(File, #{not_before := Begin}, Now) when Begin > Now ->
    {trust, fail, [File, " begins only on ", merlon_text:date(Begin), ": set this machine's clock"]};
anchor(File, #{not_after := End}, Now) when End < Now + ?CA_SOON ->
    {trust, warn, [File, " ends ", merlon_text:left(End, Now), ": plan a new CA"]};
anchor(File, #{not_after := End}, Now) ->
    {trust, ok, [File, ", ends ", merlon_text:left(End, Now)]}.

%% ---- identities ----

-spec nodes([string()], merlon_config:config(), Now :: integer()) -> [merlon_doctor:line()].
nodes([], #{dir := Dir}, _Now) ->
    [{identity, fail, ["there is no node in ", Dir, "/nodes: issue one with `merlon cert NAME@HOST --dir ", Dir,
                       "` where the CA is"]}];
nodes(Names, Config, Now) -> [identity(Name, Config, Now) || Name <- Names].

%% All that a node checks when it boots.
identity(Name, Config, Now) ->
    [Base | Host] = string:split(Name, "@"),
    case merlon_identity:load({Base, lists:append(Host)}, Config) of
        {ok, #{not_after := End}} when End < Now + ?SOON ->
            {identity, warn, [Name, " ends ", merlon_text:left(End, Now), ": `merlon renew ", Name, "`, or see in its log why it "
                              "has not been renewed"]};
        {ok, #{not_after := End}} -> {identity, ok, [Name, ", ends ", merlon_text:left(End, Now)]};
        {error, Problem} -> {identity, fail, merlon_identity:format_error(Problem)}
    end.

%% Remote shells and release commands.
-spec tools(merlon_config:config(), Now :: integer()) -> [merlon_doctor:line()].
tools(#{dir := Dir} = Config, Now) ->
    case folders(Dir, "cli") of
        [] -> [{tools, warn, ["there is no certificate for remote shells and tools: `merlon cert --cli \"$USER\" HOST --dir ",
                              Dir, "` where the CA is"]}];
        Names -> [tool(merlon_dir:path([Dir, "cli", Name]), Name, Config, Now) || Name <- Names]
    end.

tool(Folder, Name, Config, Now) ->
    case merlon_identity:load_folder({cli, Folder}, Config) of
        {ok, #{not_after := End}} -> {tools, ok, [Name, ", ends ", merlon_text:left(End, Now)]};
        %% Others' tools are theirs.
        {error, {file, {read, _, eacces}}} -> {tools, ok, [Name, " (of another user)"]};
        {error, Problem} -> {tools, fail, merlon_identity:format_error(Problem)}
    end.

%% Certificates that nodes make themselves of the keyring.
-spec minted([string()], merlon_config:config()) -> [merlon_doctor:line()].
minted(Names, Config) ->
    Some = case Names of
               [] -> {"doctor", "localhost"};
               [Name | _] -> list_to_tuple(string:split(Name, "@") ++ ["" || not lists:member($@, Name)])
           end,
    case merlon_identity:load(Some, Config) of
        {ok, _} -> [{identity, ok, "nodes can make themselves certificates of the keyring"}];
        {error, Problem} -> [{identity, fail, merlon_identity:format_error(Problem)}]
    end.

%% ---- the clock ----

%% What was made later than now says that the clock is behind, or was far ahead where it was made.
-spec clock(merlon_config:config(), Now :: integer()) -> [merlon_doctor:line()].
clock(#{dir := Dir}, Now) ->
    Files = certificates(Dir),
    Begins = [{Begin, File} || File <- Files, {ok, Text} <- [merlon_dir:read(File)], #{not_before := Begin} <- infos(Text)],
    case [Late || {Begin, _} = Late <- Begins, Begin > Now + ?SKEW] of
        [] -> [{clock, ok, [merlon_text:date(Now), ", after every certificate's begin"]}];
        Late ->
            {Begin, File} = lists:max(Late),
            [{clock, fail, ["this machine's clock says ", merlon_text:date(Now), ", but ", File, " begins on ",
                            merlon_text:date(Begin), ": set the clock (timedatectl set-ntp true), or have the certificate issued "
                            "again if that other machine's clock was wrong"]}]
    end.

certificates(Dir) ->
    [merlon_dir:path([Dir, Kind, Name, "cert.pem"]) || Kind <- ["nodes", "cli"], Name <- folders(Dir, Kind)]
        ++ case merlon_dir:list(merlon_dir:path([Dir, "trust"])) of
               {ok, Names} -> [merlon_dir:path([Dir, "trust", Name]) || Name <- Names, filename:extension(Name) =:= <<".pem">>];
               {error, _} -> []
           end.

%% ---- keyring or cookie ----

%% What proves beside the certificate.
-spec secret(merlon_config:config(), merlon_doctor:asked()) -> [merlon_doctor:line()].
secret(#{secret := Provider}, _Asked) when Provider =/= none ->
    [{secret, ok, [merlon_secrets:name(Provider), " gives the keyring; a node says at boot whether it can"]}];
secret(#{dir := Dir}, Asked) ->
    case merlon_dir:exists(merlon_keyring:file(Dir)) of
        true -> [keyring(merlon_keyring:read(Dir), Dir)];
        false -> [cookie(maps:get(cookie, Asked, merlon_cookie:default_file()), maps:get(native, Asked, merlon_nif:load()))]
    end.

keyring({ok, Entries}, Dir) ->
    {secret, ok, [merlon_keyring:file(Dir), " has ", integer_to_list(length(Entries)), " entries"]};
keyring({error, Problem}, _Dir) -> {secret, fail, merlon_identity:format_error(Problem)}.

cookie(_File, {error, _}) -> {secret, warn, "the cookie can't be looked at without the native library"};
cookie(File, ok) ->
    case merlon_cookie:read(File) of
        {ok, Cookie} -> judged(File, merlon_cookie:analyse(Cookie, #{file => File}));
        {error, {cookie, {read, _, enoent}}} ->
            {secret, warn, ["there is neither a keyring nor ", File, ": `merlon keyring --new`, and copy the file to every node"]};
        {error, {cookie, Reason}} -> {secret, warn, merlon_cookie:format_error(Reason)}
    end.

judged(File, #{weak := false}) -> {secret, ok, ["the cookie in ", File, ", which nobody guesses"]};
judged(File, #{class := Class}) ->
    {secret, warn, ["the cookie in ", File, " is weak (", atom_to_list(Class), "; `merlon cookie` says more): `merlon keyring --new`, "
                    "and copy the file to every node"]}.
