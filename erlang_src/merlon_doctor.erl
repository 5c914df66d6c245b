%% SPDX-License-Identifier: Apache-2.0
%% What `merlon doctor` looks at, in the order in which a node would fail over it. Each line says what is so and, where
%% it is not good, what to do. Nothing is changed.
-module(merlon_doctor).

-export([examine/1]).
-export_type([line/0, status/0, asked/0]).

-type status() :: ok | warn | fail.
-type line() :: {Check :: atom(), status(), Text :: iodata()}.
%% `ports`: where the node is to listen, `default` for what vm.args say or any. `native` is for tests.
-type asked() :: #{now := integer(), ports := default | {inet:port_number(), inet:port_number()},
                   dir => string(), as => string(), args => string(), release => string(), cookie => string(),
                   native => ok | {error, term()}}.

-spec examine(asked()) -> [line()].
examine(Asked) ->
    Args = merlon_doctor_args:read(Asked),
    Native = native(maps:get(native, Asked, merlon_nif:load())),
    [otp(), Native | carrier()] ++ merlon_doctor_args:lines(Args) ++ merlon_doctor_release:lines(Asked)
        ++ in_dir(dir(Asked), Native, ports(Asked, Args), Asked).

otp() ->
    Release = erlang:system_info(otp_release),
    case list_to_integer(Release) of
        Number when Number >= 25 -> {otp, ok, ["OTP ", Release, " in ", code:root_dir()]};
        _ -> {otp, fail, ["OTP ", Release, " is too old: install OTP 25 or newer"]}
    end.

native(ok) -> {native, ok, "the native library loads"};
native({error, Reason}) -> {native, fail, merlon_identity:format_error(Reason)}.

%% Where a node finds it when this very tree is on its path.
carrier() ->
    Ebin = merlon_doctor_emit:ebin(),
    Missing = [Module || Module <- ["merlon_dist", "merlon6_dist", "merlon_nif"],
                         not filelib:is_regular(filename:join(Ebin, Module ++ ".beam"))],
    case Missing of
        [] -> [{carrier, ok, ["the carrier is in ", Ebin, ": `merlon doctor --emit erl|mix|rebar3|rabbitmq|ejabberd` writes "
                              "the arguments"]}];
        _ -> [{carrier, fail, [Ebin, " lacks ", lists:join(", ", Missing), ": build it with `make build`"]}]
    end.

ports(#{ports := default}, Args) -> merlon_doctor_args:ports(Args);
ports(#{ports := Range}, _Args) -> Range.

dir(#{dir := Dir}) -> there(filename:absname(Dir));
dir(_) ->
    case merlon_dir:find() of
        {ok, Dir} -> there(Dir);
        {error, _} = Error -> Error
    end.

%% MERLON_DIR may name what is not there.
there(Dir) ->
    case merlon_dir:is_dir(merlon_dir:path([Dir])) of
        true -> {ok, Dir};
        false -> {error, {no_dir, [Dir]}}
    end.

%% ---- the merlon dir ----

in_dir({error, Reason}, _Native, _Ports, _Asked) ->
    [{dir, fail, merlon_dir:format_error(Reason)}];
in_dir({ok, Dir}, Native, Ports, Asked) ->
    [place(Dir) | config(merlon_config:load(Dir), Native, Ports, Asked)].

%% Who can write here decides whom the node trusts.
place(Dir) ->
    case merlon_doctor_host:writable(Dir) of
        no -> {dir, ok, Dir};
        group -> {dir, warn, [Dir, " can be written by its group: chmod g-w ", Dir]};
        all -> {dir, fail, [Dir, " can be written by everybody, who can then put a CA into trust/: chmod go-w ", Dir]}
    end.

config({error, {config, Reason}}, _Native, _Ports, _Asked) ->
    [{config, fail, merlon_config:format_error(Reason)}];
config({ok, #{cluster := Cluster, identity := Kind} = Config}, Native, Ports, Asked) ->
    [{config, ok, ["cluster ", Cluster, ", identity ", atom_to_list(Kind)]}
     | identities(Native, Config, Asked) ++ secret(Config, Asked) ++ host(names(Config, Asked), Config, Ports)].

identities({native, fail, _}, _Config, _Asked) ->
    [{identity, fail, "certificates can't be looked at without the native library: mend that first"}];
identities(_, #{identity := secret} = Config, Asked) ->
    merlon_doctor_dir:minted(names(Config, Asked), Config);
identities(_, Config, #{now := Now} = Asked) ->
    merlon_doctor_dir:trust(Config, Now) ++ merlon_doctor_dir:nodes(names(Config, Asked), Config, Now)
        ++ merlon_doctor_dir:tools(Config, Now) ++ merlon_doctor_dir:clock(Config, Now).

secret(Config, Asked) -> merlon_doctor_dir:secret(Config, Asked).

host([], _Config, _Ports) -> [merlon_doctor_host:epmd()];
host(Names, Config, Ports) ->
    Hosts = lists:usort([Host || Full <- Names, [_, Host] <- [string:split(Full, "@")]]),
    [merlon_doctor_host:name(Host) || Host <- Hosts]
        ++ [merlon_doctor_host:port(Host, Config, Ports) || Host <- Hosts] ++ [merlon_doctor_host:epmd()].

%% The nodes that this is about.
names(_Config, #{as := Name}) -> [Name];
names(#{dir := Dir}, _Asked) -> merlon_doctor_dir:names(Dir).
