%% SPDX-License-Identifier: Apache-2.0
%% `merlon renew`: the next certificate of a node, now.
-module(merlon_cli_renew).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

%% Milliseconds: how often the flag is looked at, until a running node must have seen it, and until it
%% must have answered.
-define(LOOK, 100).
-define(SEEN, 5000).
-define(ANSWERED, 65000).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Gives a node its next key and certificate",
      argument => {optional, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"}],
      details => "NODE may be left out if DIR has one only. Where the CA is (DIR/ca), the new pair is written to\n"
                 "DIR/nodes/NODE; a running node takes it within 5 seconds. Elsewhere the running node is asked\n"
                 "to get it from a node that holds the CA's key."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> in_dir(node_name(Dir, Options), Dir);
        {error, _} = Error -> Error
    end.

node_name(_Dir, #{argument := Node}) ->
    case merlon_cli_cert:subject(Node, #{}) of
        {ok, {node, Name, Host}} -> {ok, Name ++ "@" ++ Host};
        {error, Text} -> {usage, Text}
    end;
node_name(Dir, _Options) ->
    case merlon_dir:list(merlon_dir:path([Dir, "nodes"])) of
        {ok, [Node]} -> {ok, Node};
        {ok, [_, _ | _] = Nodes} -> {usage, ["say which node to renew: ", lists:join(", ", Nodes)]};
        _ -> {error, {refused, ["there is no node in ", merlon_dir:path([Dir, "nodes"]),
                                ": issue a certificate with `merlon cert NODE`"]}}
    end.

in_dir({ok, Node}, Dir) ->
    Folder = merlon_dir:path([Dir, "nodes", Node]),
    Path = merlon_dir:path([Dir]),
    Ca = merlon_dir:path([Dir, "ca", "ca.key"]),
    case {merlon_dir:read(merlon_identity_files:cert(Folder)), merlon_dir:exists(Ca)} of
        {{error, _} = Error, _} -> Error;
        {{ok, Cert}, true} -> merlon_dir_write:locked(Path, fun(Work) -> issue(Cert, Dir, Folder, Work) end);
        {{ok, _}, false} -> ask(Folder)
    end;
in_dir(Wrong, _Dir) ->
    Wrong.

%% ---- where the CA is ----

issue(Cert, Dir, Folder, Work) ->
    case {merlon_cli_cert:ca(Dir), merlon_identity:inspect(Cert)} of
        {{ok, Ca}, {ok, [#{identity := {Kind, _, Name, Host}} = Info | _]}} ->
            signed(Ca, {Kind, Name, Host}, Info, {Dir, Folder, Work});
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error;
        {_, {ok, _}} -> {error, {identity, {unusable, merlon_identity_files:cert(Folder), no_identity}}}
    end.

%% As the one that it follows: same names, same kind of key, same life.
signed(#{ca_cert := CaCert} = Ca, Identity, Info, {Dir, Folder, Work}) ->
    #{ips := Ips, key_alg := Alg, not_before := From, not_after := End} = Info,
    Now = erlang:system_time(second),
    CaEnd = case merlon_identity:inspect(CaCert) of
                {ok, [#{not_after := Last} | _]} -> Last;
                _ -> End
            end,
    Args = #{identity => Identity, ips => Ips, alg => merlon_renew_core:alg(Alg), now => Now,
             days => merlon_renew_core:days(From, End, CaEnd)},
    case merlon_nif:pki_issue(maps:merge(Ca, Args)) of
        {ok, #{cert := Cert, key := Key}} ->
            case merlon_issued:record(merlon_dir:path([Dir]), Work, Cert, Now) of
                ok -> written(merlon_identity_write:put_pair(Folder, Work, Cert, Key), Folder);
                {error, _} = Error -> Error
            end;
        {error, {pki, Reason}} ->
            {error, {refused, [merlon_dir:path([Dir, "ca"]), ": ", merlon_pki_text:words(Reason)]}}
    end.

written(ok, Folder) -> {ok, report(Folder)};
written({error, _} = Error, _Folder) -> Error.

report(Folder) ->
    {ok, Cert} = merlon_dir:read(merlon_identity_files:cert(Folder)),
    {ok, [#{not_after := End} | _]} = merlon_nif:pki_inspect(Cert),
    ["Renewed the certificate of ", filename:basename(Folder), ", valid until ", merlon_text:date(End), ":\n\n  ",
     Folder, "/cert.pem\n  ", Folder, "/key.pem\n"].

%% ---- where a node is asked ----

ask(Folder) ->
    Flag = merlon_renew:flag(Folder),
    case prim_file:write_file(Flag, <<>>) of
        ok -> seen(Flag, Folder, ?SEEN);
        {error, Posix} -> {error, {file, {write, Flag, Posix}}}
    end.

%% Until a node has taken the flag.
seen(Flag, Folder, Left) ->
    case merlon_dir:exists(Flag) of
        false -> answered(merlon_renew:taken(Folder), Folder, ?ANSWERED);
        true when Left > 0 ->
            timer:sleep(?LOOK),
            seen(Flag, Folder, Left - ?LOOK);
        true ->
            gone(Flag, Folder, " does not run with this merlon dir: start it, or run this where the CA is and "
                               "copy the files")
    end.

%% Until it has removed the flag, or written there why it could not.
answered(Taken, Folder, Left) ->
    case merlon_dir:read(Taken) of
        {error, {file, {read, _, enoent}}} -> {ok, report(Folder)};
        {ok, <<>>} when Left > 0 ->
            timer:sleep(?LOOK),
            answered(Taken, Folder, Left - ?LOOK);
        {ok, <<>>} -> gone(Taken, Folder, " has not answered: look at its log");
        {ok, Text} -> gone(Taken, Folder, [": ", string:trim(Text)]);
        {error, _} = Error -> Error
    end.

gone(File, Folder, Text) ->
    _ = prim_file:delete(File),
    {error, {refused, [filename:basename(Folder), Text]}}.
