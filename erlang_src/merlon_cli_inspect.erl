%% SPDX-License-Identifier: Apache-2.0
%% `merlon inspect`: what a certificate file or a merlon dir holds, in words, and what is wrong.
-module(merlon_cli_inspect).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Says what a certificate, or a whole merlon dir, is good for",
      argument => {required, "FILE|DIR"},
      options => [],
      details => "Exits with 1 when anything in it can't be used."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Argument}) ->
    Path = merlon_dir:path([Argument]),
    Reports = case {merlon_dir:is_dir(Path), is_merlon_dir(Path), is_identity(Path)} of
                  {false, _, _} -> [file(Path)];
                  {true, true, _} -> dir(filename:absname(Argument));
                  {true, false, true} -> identity_folder(filename:absname(Argument));
                  {true, false, false} -> [{[Path], [], not_a_merlon_dir(Path)}]
              end,
    result(Reports).

is_merlon_dir(Path) ->
    lists:any(fun(Name) -> merlon_dir:exists(merlon_dir:path([Path, Name])) end,
              ["merlon.config", "keyring", "nodes", "cli", "ca"]).

is_identity(Path) ->
    merlon_dir:exists(merlon_dir:path([Path, "cert.pem"])).

not_a_merlon_dir(Path) ->
    [["not a merlon dir: no merlon.config in it; make one with `merlon init --cluster NAME --dir ",
      Path, "`"]].

%% A report is {Title, Lines, Problems}.
result(Reports) ->
    Text = lists:join("\n", [report(Report) || Report <- Reports]),
    case [Problem || {_, _, Problems} <- Reports, Problem <- Problems] of
        [] -> {ok, Text};
        _ -> {unusable, Text}
    end.

report({Title, Lines, Problems}) ->
    [Title, $\n, [["  ", Line, $\n] || Line <- Lines],
     [["  PROBLEM: ", Problem, $\n] || Problem <- Problems]].

%% ---- a file ----

file(Path) ->
    case merlon_dir:read(Path) of
        {ok, Text} -> pem(Path, Text);
        {error, {file, {read, _, enoent}}} -> {[Path], [], ["there is no such file"]};
        {error, {file, Reason}} -> {[Path], [], [merlon_dir:format_error(Reason)]}
    end.

pem(Path, Text) ->
    case binary:match(Text, <<"PRIVATE KEY-----">>) of
        nomatch -> certificates(Path, Text);
        _ -> key(Path)
    end.

%% What is in a key is nobody's business.
key(Path) ->
    {[Path], ["a private key"], secret_problems(Path)}.

secret_problems(Path) ->
    case merlon_dir:secret_mode(Path) of
        ok -> [];
        {error, {file, Reason}} -> [merlon_dir:format_error(Reason)]
    end.

certificates(Path, Text) ->
    case merlon_identity:inspect(Text) of
        {ok, Infos} ->
            Now = erlang:system_time(second),
            {[Path], lists:append(lists:join([""], [lines(Info, Now) || Info <- Infos])),
             lists:append([problems(Info, Now) || Info <- Infos])};
        {error, {pki, Reason}} ->
            {[Path], [], [merlon_pki_text:words(Reason)]}
    end.

lines(Info, Now) ->
    #{not_before := Start, not_after := End, serial := Serial, sha256 := Fingerprint,
      key_alg := Key, issuer := Issuer} = Info,
    [who(Info),
     ["valid      ", merlon_text:date(Start), " to ", merlon_text:date(End),
      " (", expiry(End, Now), ")"],
     ["good for   ", purpose(Info)],
     ["names      ", names(Info)],
     ["issued by  ", Issuer],
     ["key        ", Key],
     ["serial     ", Serial],
     ["SHA-256    ", Fingerprint]].

who(#{identity := {node, Cluster, Name, Host}}) ->
    ["node ", Name, $@, Host, " of cluster ", Cluster];
who(#{identity := {cli, Cluster, User, Host}}) ->
    ["tools of ", User, " on ", Host, ", cluster ", Cluster];
who(#{is_ca := true, subject := Subject}) ->
    ["certificate authority ", Subject];
who(#{subject := Subject}) ->
    ["neither a node's nor a tool's: ", Subject].

expiry(End, Now) when End >= Now -> ["expires ", merlon_text:left(End, Now)];
expiry(End, Now) -> ["expired ", merlon_text:left(End, Now)].

purpose(#{is_ca := true}) -> "signing the certificates of nodes and tools";
purpose(#{identity := {node, _, _, _}} = Info) ->
    either(roles(Info), "links between nodes: ");
purpose(#{identity := {cli, _, _, _}} = Info) ->
    either(roles(Info), "remote shells and tools: ");
purpose(_Info) -> "nothing here".

either([], _What) -> "nothing: neither TLS server nor TLS client";
either(Roles, What) -> [What, lists:join(" and ", Roles)].

roles(#{eku := Usages}) ->
    [Role || {Usage, Role} <- [{<<"serverAuth">>, "is dialled"}, {<<"clientAuth">>, "dials"}],
             lists:member(Usage, Usages)].

names(#{uris := Uris, dns := Dns, ips := Ips}) ->
    lists:join(", ", Uris ++ Dns ++ Ips).

problems(#{not_before := Start, not_after := End} = Info, Now) ->
    [merlon_pki_text:words({expired, #{not_after => End, now => Now}}) || Now > End]
        ++ [merlon_pki_text:words({not_yet_valid, #{not_before => Start, now => Now}})
            || Now < Start]
        ++ missing(Info).

missing(#{is_ca := true}) -> [];
missing(#{identity := none}) -> [merlon_pki_text:words(no_identity)];
missing(Info) ->
    [["extended key usage ", Usage, " is missing: a node needs it"]
     || {Usage, Role} <- [{"serverAuth", "is dialled"}, {"clientAuth", "dials"}],
        not lists:member(Role, roles(Info))].

%% ---- a merlon dir, or one identity of it ----

dir(Dir) ->
    case merlon_config:load(Dir) of
        {ok, #{identity := secret} = Config} -> [config(Config) | secret(Config)];
        {ok, Config} -> [config(Config) | trust(Dir) ++ ca(Dir) ++ identities(Config)];
        {error, {config, {File, _, {mixed, _}} = Reason}} ->
            [{[File], [], [merlon_config:format_error(Reason)]}];
        {error, {config, Reason}} ->
            [{[merlon_config:file(Dir)], [], [merlon_config:format_error(Reason)]} | trust(Dir)]
    end.

config(#{dir := Dir, cluster := Cluster}) ->
    {[merlon_config:file(Dir)], [["cluster    ", Cluster]], []}.

%% The CAs that nodes derive; their fingerprints are the same wherever the keyring is.
secret(#{cluster := Cluster} = Config) ->
    File = merlon_secrets:source(Config),
    case merlon_identity_files:read({secret, {node, <<"any">>, <<"host">>}}, Config) of
        {ok, #{keyring := Keyring}} ->
            case merlon_identity_secret:cas(Keyring, Cluster, erlang:system_time(second)) of
                [] -> [{[File], [], [merlon_identity_secret:words({not_minted, not_accepted})]}];
                Cas -> [certificates(<<File/binary, ", entry ", Id/binary>>, Pem) || {Id, Pem} <- Cas]
            end;
        {error, Problem} -> [{[File], [], [merlon_identity:format_error(Problem)]}]
    end.

trust(Dir) ->
    case merlon_identity_files:trust(Dir) of
        {ok, Texts} -> [certificates(Path, Text) || {Path, Text} <- Texts];
        {error, Problem} ->
            [{merlon_dir:path([Dir, "trust"]), [], [merlon_identity:format_error(Problem)]}]
    end.

ca(Dir) ->
    Keys = [merlon_dir:path([Dir, "ca", Name]) || Name <- ["ca.key", "old.key", "next.key"]],
    [key(Key) || Key <- Keys, merlon_dir:exists(Key)].

identities(#{dir := Dir} = Config) ->
    [identity({Kind, merlon_dir:path([Dir, Name, Folder])}, Config)
     || {Kind, Name} <- [{node, "nodes"}, {cli, "cli"}],
        {ok, Folders} <- [merlon_dir:list(merlon_dir:path([Dir, Name]))],
        Folder <- Folders].

%% All that a node checks when it boots.
identity({_, Folder} = Identity, Config) ->
    {Title, Lines, _} = file(merlon_dir:path([Folder, "cert.pem"])),
    case merlon_identity:load_folder(Identity, Config) of
        {ok, _} -> {Title, Lines, []};
        {error, Problem} -> {Title, Lines, [merlon_identity:format_error(Problem)]}
    end.

%% With the dir that it is in, when it is in one; else the files by themselves.
identity_folder(Folder) ->
    Above = filename:dirname(Folder),
    case {kind(filename:basename(Above)), merlon_config:load(filename:dirname(Above))} of
        {{ok, Kind}, {ok, Config}} -> [identity({Kind, merlon_dir:path([Folder])}, Config)];
        _ -> [file(merlon_dir:path([Folder, Name])) || Name <- ["cert.pem", "key.pem"]]
    end.

kind("nodes") -> {ok, node};
kind("cli") -> {ok, cli};
kind(_) -> none.
