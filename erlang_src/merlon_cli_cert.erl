%% SPDX-License-Identifier: Apache-2.0
%% `merlon cert`: a key and a certificate for a node or for a person's tools.
-module(merlon_cli_cert).
-behaviour(merlon_cli).

-export([spec/0, run/1, dir/1, ca/1]).
-export([subject/2, addresses/1, folder/2, unless_there/3, bytes/1, next/2]).

-define(DAYS, 90).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Issues a key and a certificate for a node, or for tools",
      argument => {required, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir with the CA; by default this user's"},
                  {days, days, "how long the certificate is valid; default 90"},
                  {ip, {many, "IP"}, "an address to put beside the host's name; may be repeated"},
                  {cli, {text, "USER"}, "for the remote shells and tools of USER, not for a node"},
                  {alg, {one_of, [p256, p384, ed25519]}, "its kind of key; default p256"},
                  {force, flag, "replace the one that exists"}],
      details => "NODE is the full node name, NAME@HOST. With --cli it may be the HOST alone."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Node} = Options) ->
    case {subject(Node, Options), addresses(maps:get(ip, Options, []))} of
        {{ok, Subject}, {ok, Ips}} -> issue(dir(Options), Subject, Ips, Options);
        {{error, Text}, _} -> {usage, Text};
        {_, {error, Text}} -> {usage, Text}
    end.

%% The merlon dir that the options name, as an absolute path.
-spec dir(merlon_cli_args:options()) -> {ok, string()} | {error, term()}.
dir(#{dir := Dir}) -> {ok, filename:absname(Dir)};
dir(_Options) -> merlon_dir:default().

%% {Kind, Name, Host}
-spec subject(string(), merlon_cli_args:options()) ->
          {ok, {node | cli, string(), string()}} | {error, iodata()}.
subject(Node, #{cli := User}) ->
    Host = case string:split(Node, "@") of
               [_, After] -> After;
               [Alone] -> Alone
           end,
    valid({cli, User, Host}, Node);
subject(Node, _Options) ->
    case string:split(Node, "@") of
        [Name, Host] -> valid({node, Name, Host}, Node);
        [_] -> {error, [Node, " is not a full node name: give NAME@HOST"]}
    end.

valid({_, Name, Host} = Subject, Node) ->
    case Name =:= "" orelse Host =:= "" orelse lists:member($@, Name ++ Host)
        orelse lists:any(fun(Char) -> Char =:= $/ orelse Char < 32 end, Name ++ Host) of
        false -> {ok, Subject};
        true -> {error, [Node, " is not a node name: it has the form NAME@HOST, without /"]}
    end.

-spec addresses([string()]) -> {ok, [binary()]} | {error, iodata()}.
addresses(Texts) ->
    case [Text || Text <- Texts, element(1, inet:parse_strict_address(Text)) =:= error] of
        [] -> {ok, [list_to_binary(Text) || Text <- Texts]};
        [Bad | _] -> {error, ["--ip: ", Bad, " is not an IP address"]}
    end.

issue({error, _} = Error, _Subject, _Ips, _Options) ->
    Error;
issue({ok, Dir}, Subject, Ips, Options) ->
    Path = merlon_dir:path([Dir]),
    case merlon_dir:is_dir(Path) of
        true -> merlon_dir_write:locked(Path, fun(Work) -> issue(Dir, Work, Subject, Ips, Options) end);
        false -> no_ca(Dir)
    end.

%% Where the files of one are.
-spec folder(string(), {node | cli, string(), string()}) -> merlon_dir:path().
folder(Dir, {Kind, Name, Host}) ->
    Above = case Kind of
                node -> "nodes";
                cli -> "cli"
            end,
    merlon_dir:path([Dir, Above, bytes(Name ++ "@" ++ Host)]).

%% Names are UTF-8 whatever the locale is.
-spec bytes(string()) -> binary().
bytes(Text) ->
    <<_/binary>> = unicode:characters_to_binary(Text).

%% Nothing is replaced unless that was asked for.
-spec unless_there(merlon_dir:path(), [string()], merlon_cli_args:options()) ->
          ok | {error, {refused, iodata()}}.
unless_there(_Folder, _Names, #{force := true}) -> ok;
unless_there(Folder, Names, _Options) ->
    case [File || Name <- Names, File <- [merlon_dir:path([Folder, Name])],
                  merlon_dir:exists(File)] of
        [] -> ok;
        [File | _] -> {error, {refused, [File, " exists already: give --force to replace it"]}}
    end.

issue(Dir, Work, Subject, Ips, Options) ->
    Folder = folder(Dir, Subject),
    case unless_there(Folder, ["cert.pem", "key.pem"], Options) of
        ok -> issue(Dir, Work, Folder, Subject, Ips, Options);
        {error, _} = Error -> Error
    end.

issue(Dir, Work, Folder, {Kind, Name, Host} = Subject, Ips, Options) ->
    Now = erlang:system_time(second),
    case ca(Dir) of
        {ok, Ca} ->
            Args = #{identity => {Kind, bytes(Name), bytes(Host)},
                     ips => Ips, alg => maps:get(alg, Options, p256),
                     days => maps:get(days, Options, ?DAYS), now => Now},
            write(merlon_nif:pki_issue(maps:merge(Ca, Args)), Dir, Work, Folder, Subject, Now);
        {error, _} = Error -> Error
    end.

%% Certificate and key of the CA in Dir.
-spec ca(string()) -> {ok, #{ca_cert | ca_key := binary()}} | {error, term()}.
ca(Dir) ->
    Cert = merlon_dir:path([Dir, "ca", "ca.pem"]),
    Read = merlon_dir:read(Cert),
    Key = merlon_ca_files:key(Dir, element(2, Read)),
    case {Read, merlon_dir:read_secret(Key)} of
        {{ok, CertPem}, {ok, KeyPem}} -> texts({Cert, CertPem}, {Key, KeyPem});
        {_, {error, {file, {read, _, enoent}}}} -> no_ca(Dir);
        {{error, {file, {read, _, enoent}}}, _} -> no_ca(Dir);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% What is no text would be a crash further on, which prints the key.
texts({Cert, CertPem}, {Key, KeyPem}) ->
    case {is_text(CertPem), is_text(KeyPem)} of
        {true, true} -> {ok, #{ca_cert => CertPem, ca_key => KeyPem}};
        {false, _} -> {error, {identity, {not_pem, Cert, <<"CERTIFICATE">>}}};
        {_, false} -> {error, {identity, {not_pem, Key, <<"PRIVATE KEY">>}}}
    end.

is_text(Bytes) -> is_binary(unicode:characters_to_binary(Bytes)).

no_ca(Dir) ->
    Path = merlon_dir:path([Dir]),
    {error, {refused, [Path, " holds no CA (ca/ca.pem and ca/ca.key): run this where "
                       "`merlon init` was run, or make one with `merlon init --cluster NAME --dir ",
                       Path, "`"]}}.

write({error, {pki, Reason}}, Dir, _Work, _Folder, _Subject, _Now) ->
    {error, {refused, [merlon_dir:path([Dir, "ca"]), ": ", merlon_pki_text:words(Reason)]}};
write({ok, #{cert := Cert, key := Key}}, Dir, Work, Folder, Subject, Now) ->
    Files = [{"key.pem", Key, 8#600}, {"cert.pem", Cert, 8#644}],
    case written(merlon_issued:record(merlon_dir:path([Dir]), Work, Cert, Now), Folder, Work, Files) of
        ok -> {ok, report(Cert, Dir, Folder, Subject)};
        {error, _} = Error -> Error
    end.

written(ok, Folder, Work, Files) -> merlon_dir_write:put_folder(Folder, Work, Files);
written({error, _} = Error, _Folder, _Work, _Files) -> Error.

report(Cert, Dir, Folder, {_, Name, Host} = Subject) ->
    {ok, [#{not_after := End} | _]} = merlon_nif:pki_inspect(Cert),
    ["Issued a certificate for ", Name, $@, Host, what(Subject), ", valid until ",
     merlon_text:date(End), ":\n\n  ", Folder, "/cert.pem\n  ", Folder, "/key.pem\n\n",
     next(Subject, merlon_dir:path([Dir]))].

what({node, _, _}) -> "";
what({cli, _, _}) -> " (remote shells and tools)".

%% How to start the VM with what is in Dir.
-spec next({node | cli, string(), string()}, merlon_dir:path()) -> iodata().
next({node, Name, Host}, Dir) ->
    ["Next, in the node's vm.args (or on erl's command line):\n\n  ",
     name_flag(Host), $\s, Name, $@, Host, "\n", carrier(Host, Dir)];
next({cli, _User, Host}, Dir) ->
    ["Next, for a remote shell on ", Host, ":\n\n  erl -remsh NAME@HOST -hidden \\\n",
     "    -proto_dist ", carrier(Host), " -merlon_dir ", Dir, "\n"].

name_flag(Host) ->
    case lists:any(fun(Char) -> Char =:= $. orelse Char =:= $: end, Host) of
        true -> "-name";
        false -> "-sname"
    end.

carrier(Host, Dir) ->
    ["  -proto_dist ", carrier(Host), "\n  -merlon_dir ", Dir, "\n"].

carrier(Host) ->
    case inet:parse_ipv6strict_address(Host) of
        {ok, _} -> "merlon6";
        {error, _} -> "merlon"
    end.
