%% SPDX-License-Identifier: Apache-2.0
%% `merlon csr`: a key, and a request for its certificate that another CA can sign.
-module(merlon_cli_csr).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-import(merlon_cli_cert, [bytes/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Makes a key and a signing request for a node, for a CA that is not merlon's",
      argument => {required, "NODE"},
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {cluster, {text, "NAME"}, "the cluster, when DIR has no merlon.config yet"},
                  {ip, {many, "IP"}, "an address to ask for beside the host's name; may be repeated"},
                  {cli, {text, "USER"}, "for the remote shells and tools of USER, not for a node"},
                  {alg, {one_of, [p256, p384, ed25519]}, "the kind of key; default p256"},
                  {force, flag, "replace the key that exists"}],
      details => "NODE is the full node name, NAME@HOST. With --cli it may be the HOST alone.\n"
                 "The key never leaves DIR; only csr.pem goes to the CA."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Node} = Options) ->
    case {merlon_cli_cert:subject(Node, Options),
          merlon_cli_cert:addresses(maps:get(ip, Options, []))} of
        {{ok, Subject}, {ok, Ips}} -> in_dir(merlon_cli_cert:dir(Options), Subject, Ips, Options);
        {{error, Text}, _} -> {usage, Text};
        {_, {error, Text}} -> {usage, Text}
    end.

in_dir({error, _} = Error, _Subject, _Ips, _Options) ->
    Error;
in_dir({ok, Dir}, Subject, Ips, Options) ->
    case cluster(Dir, Options) of
        {ok, Cluster} ->
            Make = fun(Work) -> make(Dir, Work, Cluster, Subject, Ips, Options) end,
            merlon_dir_write:locked(merlon_dir:path([Dir]), Make);
        {error, _} = Error -> Error
    end.

%% That of the dir, which a request for another would only seem to fit.
cluster(Dir, Options) ->
    File = merlon_config:file(Dir),
    case {merlon_dir:exists(File), Options} of
        {false, #{cluster := Given}} -> {ok, bytes(Given)};
        {false, _} ->
            {error, {refused, [File, " does not exist, so the cluster is not known: "
                               "give --cluster NAME"]}};
        {true, _} -> agreed(merlon_config:load(Dir), File, Options)
    end.

agreed({ok, #{cluster := Cluster}}, File, #{cluster := Given}) ->
    case bytes(Given) of
        Cluster -> {ok, Cluster};
        _ -> {error, {refused, ["the cluster of ", File, " is ", Cluster, ", not ", Given,
                                ": leave --cluster out, or name another --dir"]}}
    end;
agreed({ok, #{cluster := Cluster}}, _File, _Options) -> {ok, Cluster};
agreed({error, _} = Error, _File, _Options) -> Error.

make(Dir, Work, Cluster, {Kind, Name, Host} = Subject, Ips, Options) ->
    Folder = merlon_cli_cert:folder(Dir, Subject),
    case merlon_cli_cert:unless_there(Folder, ["key.pem", "csr.pem"], Options) of
        ok ->
            Args = #{cluster => Cluster, identity => {Kind, bytes(Name), bytes(Host)},
                     alg => maps:get(alg, Options, p256), ips => Ips},
            write(merlon_nif:pki_new_csr(Args), Dir, Work, Folder, Cluster, Subject);
        {error, _} = Error -> Error
    end.

write({error, {pki, Reason}}, _Dir, _Work, _Folder, _Cluster, _Subject) ->
    {error, {refused, merlon_pki_text:words(Reason)}};
write({ok, #{csr := Csr, key := Key}}, Dir, Work, Folder, Cluster, Subject) ->
    Outdated = merlon_dir:exists(merlon_dir:path([Folder, "cert.pem"])),
    case merlon_dir_write:put_folder(Folder, Work, [{"key.pem", Key, 8#600}, {"csr.pem", Csr, 8#644}]) of
        ok -> {ok, report(Dir, Folder, Cluster, Subject, Outdated)};
        {error, _} = Error -> Error
    end.

report(Dir, Folder, Cluster, {_, Name, Host}, Outdated) ->
    Base = merlon_dir:path([Dir]),
    ["Made a key and a signing request for ", Name, $@, Host, " of cluster ", Cluster, ":\n\n  ",
     Folder, "/key.pem (stays here)\n  ", Folder, "/csr.pem\n\n",
     "Next:\n"
     "  1. Have your CA sign csr.pem, with every alternative name that it asks for, extended key\n"
     "     usage serverAuth and clientAuth, key usage digitalSignature.\n"
     "  2. Put the certificate, and intermediate CAs behind it, into ", Folder, "/cert.pem\n"
     "  3. Put the root CA's certificate into ", Base, "/trust/, as a *.pem file.\n",
     config(Dir, Cluster),
     "  5. See that all fits: merlon inspect ", Base, "\n",
     [["\nThe cert.pem that is there is for the key that was replaced: until the new one is in its\n"
       "place the node can't start.\n"] || Outdated]].

config(Dir, Cluster) ->
    File = merlon_config:file(Dir),
    case merlon_dir:exists(File) of
        true -> ["  4. (", File, " is there.)\n"];
        false -> ["  4. Put this line into ", File, ":  {cluster, \"", Cluster, "\"}.\n"]
    end.
