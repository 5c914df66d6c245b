%% SPDX-License-Identifier: Apache-2.0
%% Which files are configuration or what a build leaves behind, by their names. What is inside decides later whether they
%% say anything about a node.
-module(merlon_audit_conf_kind).

-export([kind/1, start/1]).
-export_type([kind/0]).

-type kind() :: vm_args | env | script | sys_config | optfile | inetrc | rebar | mix | exs | docker | yaml | unit | toml |
                pem | cookie | crash_dump | otp_version | start_erl | versions.

%% By the path below the root, with /.
-spec kind(binary()) -> kind() | none.
kind(Path) ->
    Name = string:lowercase(filename:basename(Path)),
    Folder = filename:basename(filename:dirname(Path)),
    case exact(Name, Folder) of
        none -> like(Name, filename:split(filename:dirname(Path)));
        Kind -> Kind
    end.

exact(<<"cookie">>, <<"releases">>) -> cookie;
exact(<<".erlang.cookie">>, _) -> cookie;
exact(<<"erl_crash.dump">>, _) -> crash_dump;
exact(<<"otp_version">>, _) -> otp_version;
exact(<<"start_erl.data">>, _) -> start_erl;
exact(<<".tool-versions">>, _) -> versions;
exact(<<"config.exs">>, <<"rel">>) -> mix; % Distillery's
exact(<<"rebar.config">>, _) -> rebar;
exact(<<"rabbitmq-env.conf">>, _) -> env;
exact(<<"ejabberdctl.cfg">>, _) -> env;
exact(<<"ejabberd">>, <<"default">>) -> env;
exact(<<"rabbitmq-server">>, <<"default">>) -> env;
exact(<<".env">>, _) -> env;
exact(<<"fly.toml">>, _) -> toml;
exact(_, _) -> none.

%% Start scripts of releases and packages have no extension; what is in config/ may be of any environment.
like(Name, Folders) ->
    case {like(Name), filename:extension(Name)} of
        {none, <<>>} -> in([lists:last(Folders)], [<<"bin">>, <<"sbin">>], script);
        {none, <<".exs">>} when Name =/= <<"test.exs">> -> in(Folders, [<<"config">>], exs);
        {Kind, _} -> Kind
    end.

in(Folders, Known, Kind) ->
    case [Folder || Folder <- Folders, lists:member(Folder, Known)] of
        [] -> none;
        _ -> Kind
    end.

%% Patterns of names, the first that fits.
like(Name) ->
    Patterns = [{"vm\\.args(\\.(eex|src|dist))?$", vm_args}, {"^env(\\.sh)(\\.(eex|src))?$", env}, {"\\.env$", env},
                {"^sys\\.config(\\.src)?$|^(advanced|app)\\.config$|\\.sys\\.config$", sys_config},
                {"^(ssl_dist|inter_node_tls|tls_dist).*\\.(conf|config|optfile)(\\.eex)?$|ssl_dist_opt|\\.optfile$",
                 optfile},
                {"^\\.?(erl_)?inetrc$", inetrc},
                {"^mix\\.exs$", mix}, {"^(config|runtime|prod|dev|releases)\\.exs$", exs},
                {"^(docker|container)file(\\..*)?$|\\.dockerfile$", docker}, {"\\.ya?ml$", yaml},
                {"\\.(service|socket)$", unit}, {"\\.(pem|crt|cer|key)$", pem}, {"\\.sh(\\.eex)?$", script}],
    case [Kind || {Pattern, Kind} <- Patterns, re:run(Name, Pattern, [{capture, none}]) =:= match] of
        [Kind | _] -> Kind;
        [] -> none
    end.

%% Files of one folder that start a node together: the node's own, and those of its remote shell.
-spec start(binary()) -> node | remote | none.
start(Path) ->
    case {kind(Path), string:prefix(filename:basename(Path), "remote")} of
        {vm_args, nomatch} -> node;
        {vm_args, _} -> remote;
        _ -> none
    end.
