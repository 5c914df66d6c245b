%% SPDX-License-Identifier: Apache-2.0
%% `merlon init`: a certificate authority, and the merlon dir around it.
-module(merlon_cli_init).
-behaviour(merlon_cli).

-export([spec/0, run/1, config/1]).

-define(DAYS, 3650).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Makes a cluster's certificate authority and its merlon dir",
      argument => {optional, "CLUSTER"},
      options => [{dir, {text, "DIR"}, "where to; by default the merlon dir of this user"},
                  {cluster, {text, "NAME"}, "the cluster's name: a-z 0-9 . _ - (required)"},
                  {days, days, "how long the authority is valid; default 3650"},
                  {alg, {one_of, [p256, p384, ed25519]}, "its kind of key; default p256"},
                  {node, {text, "NAME@HOST"}, "issue the certificate of this machine's node, too"},
                  {secret, flag, "no authority: only a keyring, of which each node makes itself a\n"
                   "                      certificate; CLUSTER or --cluster may be left out"}]
                 ++ merlon_cli_passphrase:options(),
      details => "Nothing that exists is overwritten."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{secret := true, node := _}) -> {usage, "--secret goes without --node: each node makes its certificate by itself"};
run(#{secret := true} = Options) -> merlon_cli_init_secret:run(Options);
run(#{argument := Argument}) -> {usage, ["unexpected argument ", Argument]};
run(Options) when is_map_key(passphrase, Options); is_map_key('passphrase-file', Options) ->
    {usage, "a passphrase belongs to --secret"};
run(#{cluster := Cluster} = Options) ->
    case {merlon_cli_cert:dir(Options), subject(Options)} of
        {{ok, Dir}, {ok, _}} -> with_node(new_ca(Dir, Cluster, Options), Dir, Options);
        {_, {error, Text}} -> {usage, Text};
        {{error, _} = Error, _} -> Error
    end;
run(_Options) ->
    {usage, "--cluster NAME is missing"}.

%% A name that is none is said before anything is made.
subject(#{node := Node}) -> merlon_cli_cert:subject(Node, #{});
subject(_Options) -> {ok, none}.

with_node({ok, Said}, Dir, #{node := Node}) ->
    case merlon_cli_cert:run(#{argument => Node, dir => Dir}) of
        {ok, More} -> {ok, [Said, $\n, More]};
        Other -> Other
    end;
with_node(Result, _Dir, _Options) ->
    Result.

new_ca(Dir, Cluster, Options) ->
    Days = maps:get(days, Options, ?DAYS),
    Now = erlang:system_time(second),
    Args = #{cluster => unicode:characters_to_binary(Cluster), days => Days, now => Now,
             alg => maps:get(alg, Options, p256)},
    case merlon_nif:pki_new_ca(Args) of
        {ok, #{cert := Cert, key := Key}} ->
            Ca = #{cert => Cert, key => Key, config => config(Cluster)},
            Path = merlon_dir:path([Dir]),
            Written = merlon_dir_write:locked(Path, fun(Work) -> unless_there(Path, Work, Ca) end),
            written(Written, Dir, Cluster, Now + Days * 86400);
        {error, {pki, bad_cluster}} -> {usage, ["--cluster: ", merlon_pki_text:words(bad_cluster)]};
        {error, _} = Error -> Error
    end.

unless_there(Dir, Work, Ca) ->
    case [File || Parts <- [["ca", "ca.key"], ["ca", "ca.pem"], ["trust", "ca.pem"], ["merlon.config"]],
                  File <- [merlon_dir:path([Dir | Parts])], merlon_dir:exists(File)] of
        [] -> merlon_dir_write:put_ca(Dir, Work, Ca);
        [File | _] ->
            {error, {refused, [File, " exists already, and nothing is overwritten: "
                               "choose another --dir, or move it away"]}}
    end.

%% merlon.config of a new merlon dir.
-spec config(unicode:chardata()) -> iodata().
config(Cluster) ->
    ["%% Settings of every node of this cluster: {Key, Value}.\n{cluster, \"", Cluster, "\"}.\n"].

written(ok, Dir, Cluster, End) ->
    Path = merlon_dir:path([Dir]),
    {ok, ["Made the certificate authority of cluster ", Cluster, ", valid until ",
          merlon_text:date(End), ".\n\n",
          "  ", Path, "/ca/ca.key      signs new nodes; never needed to run one\n",
          "  ", Path, "/trust/ca.pem   what every node trusts\n",
          "  ", Path, "/merlon.config  settings of every node\n\n",
          "Next, for each node:\n\n",
          "  merlon cert NAME@HOST --dir ", Path, "\n\n",
          "and copy merlon.config, trust/ and the node's own nodes/NAME@HOST to its machine. Or copy nothing:\n\n"
          "  merlon enroll --dir ", Path, "\n"
          "  merlon token NAME@HOST --dir ", Path, "\n\n",
          "and on its machine `merlon join TOKEN`.\n"]};
written({error, _} = Error, _Dir, _Cluster, _End) ->
    Error.
