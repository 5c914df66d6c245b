%% SPDX-License-Identifier: Apache-2.0
%% `merlon init --secret`: a keyring, and, for a cluster with a name of its own, merlon.config beside it.
-module(merlon_cli_init_secret).

-export([run/1]).

-define(SKEW, 300).

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := _, cluster := _}) -> {usage, "CLUSTER and --cluster are one thing: give one"};
run(#{days := _}) -> {usage, "--days is for an authority: --secret makes none"};
run(#{alg := _}) -> {usage, "--alg is for an authority: --secret makes none"};
run(Options) ->
    case {name(Options), maps:without([dir, secret], Options)} of
        {{usage, _} = Usage, _} -> Usage;
        {none, More} when map_size(More) > 0 ->
            {usage, "a passphrase needs CLUSTER: it is stretched under the cluster's name"};
        {Cluster, _} -> run(Cluster, merlon_cli_passphrase:read(Options), Options)
    end.

run(Cluster, none, Options) -> in_dir(Options, Cluster, fun random/1);
run(Cluster, {ok, Words}, Options) -> in_dir(Options, Cluster, fun(Now) -> stretched(Words, Cluster, Now) end);
run(_Cluster, Other, _Options) -> Other.

name(#{argument := Name}) -> name(#{cluster => Name});
name(#{cluster := Name}) ->
    Cluster = unicode:characters_to_binary(Name),
    Known = Cluster =:= merlon_identity_secret:default_cluster(),
    case re:run(Cluster, "\\A[a-z0-9._-]{1,255}\\z", [{capture, none}]) of
        match when not Known -> Cluster;
        match -> {usage, ["--cluster: ", Name, " is the name of those that have none: take another"]};
        nomatch -> {usage, ["--cluster: ", merlon_pki_text:words(bad_cluster)]}
    end;
name(_Options) -> none.

random(Now) -> merlon_cli_keyring:random(Now, Now - ?SKEW, never).

stretched(Words, Cluster, Now) ->
    merlon_cli_keyring:stretched(Words, Cluster, Now, {Now - ?SKEW, never}, default).

in_dir(Options, Cluster, Make) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} ->
            Path = merlon_dir:path([Dir]),
            made(merlon_dir_write:locked(Path, fun(Work) -> unless_there(Dir, Work, Cluster, Make) end), Path, Cluster);
        {error, _} = Error -> Error
    end.

%% A merlon.config that says the same may be there from a run that was killed before it had made the keyring.
unless_there(Dir, Work, Cluster, Make) ->
    Config = merlon_config:file(Dir),
    Known = Cluster =/= none andalso merlon_dir:read(Config) =:= {ok, config(Cluster)},
    Files = [merlon_keyring:file(Dir)] ++ [Config || not Known],
    case merlon_identity_secret:foreign(Dir) ++ [File || File <- Files, merlon_dir:exists(File)] of
        [] -> put_files(Dir, Work, Cluster, Make(erlang:system_time(second)));
        [File | _] ->
            {error, {refused, [File, " exists already, and nothing is overwritten: "
                               "choose another --dir, or move it away"]}}
    end.

put_files(_Dir, _Work, _Cluster, {error, _} = Error) -> Error;
put_files(Dir, Work, Cluster, {ok, Entry}) ->
    case put_config(Dir, Work, Cluster) of
        ok -> merlon_dir_write:put_file(merlon_keyring:file(Dir), Work, merlon_keyring_core:text([Entry]), 8#600);
        {error, _} = Error -> Error
    end.

put_config(_Dir, _Work, none) -> ok;
put_config(Dir, Work, Cluster) ->
    merlon_dir_write:put_file(merlon_config:file(Dir), Work, config(Cluster), 8#644).

config(Cluster) ->
    <<"%% Settings of every node of this cluster: {Key, Value}.\n{cluster, \"", Cluster/binary, "\"}.\n"
      "{identity, secret}.\n">>.

made({error, _} = Error, _Path, _Cluster) -> Error;
made(ok, Path, Cluster) ->
    Name = case Cluster of
               none -> merlon_identity_secret:default_cluster();
               _ -> Cluster
           end,
    {ok, ["Made the secret of cluster ", Name, ". Whoever has it is a node of the cluster.\n\n",
          "  ", Path, "/keyring        the one secret (0600)\n",
          [["  ", Path, "/merlon.config  settings of every node\n"] || Cluster =/= none],
          "\nNext, copy ", files(Cluster), " to the merlon dir of every machine, and start each node with\n\n",
          "  -proto_dist merlon -merlon_dir ", Path, "\n"]}.

files(none) -> "keyring (and nothing else)";
files(_) -> "keyring and merlon.config".
