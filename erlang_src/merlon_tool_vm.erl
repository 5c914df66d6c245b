%% SPDX-License-Identifier: Apache-2.0
%% A VM for a moment, with a distribution of its own, for commands that have to talk with a node: it dials, nobody can
%% dial it, it links to nothing by itself. Driven over its standard input. Its cookie comes that way too, and is in
%% no argument.
-module(merlon_tool_vm).

-export([start/1, stop/1, call/5, name/2, epmd/4]).
-export_type([options/0]).

-type carrier() :: merlon | merlon6 | inet_tcp | inet6_tcp | inet_tls | inet6_tls.
-type options() :: #{name := string(), carrier := carrier(), dir => string(), optfile => string(), target => string(),
                     cookie => fun(() -> binary())}.

-define(BOOT, 30000).

%% `target`: the node to dial, which says whether epmd has to be asked.
-spec start(options()) -> {ok, pid()} | {error, iodata()}.
start(#{carrier := Carrier} = Options) ->
    {Erl, Boot} = runtime(code:root_dir()),
    case peer:start(#{connection => standard_io, wait_boot => ?BOOT, args => Boot ++ args(Options), env => environment(), exec => Erl}) of
        {ok, Vm, _} -> distributed(Vm, Carrier, Options);
        {error, Reason} -> {error, io_lib:format("a VM to dial from can't be started (~0p)", [Reason])}
    end.

%% A release has its erl elsewhere, and not every boot file: that of the VM that asks (bin/merlon) is there.
runtime(Root) ->
    Erl = filename:join([Root, "bin", "erl"]),
    case {filelib:is_regular(Erl), init:get_argument(boot)} of
        {false, {ok, [[Boot] | _]}} ->
            {filename:join([Root, "erts-" ++ erlang:system_info(version), "bin", "erl"]),
             ["-boot", Boot, "-boot_var", "RELEASE_LIB", filename:join(Root, "lib")]};
        _ -> {Erl, ["-boot", "no_dot_erlang"]}
    end.

args(#{carrier := Carrier} = Options) ->
    ["+S", "1", "-nocookie", "-pa", merlon_doctor_emit:ebin(), "-proto_dist", atom_to_list(Carrier),
     "-kernel", "dist_auto_connect", "never", "-kernel", "logger_level", "none"]
        ++ lists:append([["-merlon_dir", Dir] || #{dir := Dir} <- [Options]])
        ++ lists:append([["-ssl_dist_optfile", File] || #{optfile := File} <- [Options]])
        ++ lists:append([finding(Target, Options) || #{target := Target} <- [Options]]).

finding(Target, #{dir := Dir, name := Own, carrier := Carrier}) ->
    case {merlon_config:load(Dir), Carrier} of
        {{ok, Config}, merlon} -> epmd(Target, Own, Config, inet);
        {{ok, Config}, merlon6} -> epmd(Target, Own, Config, inet6);
        _ -> []
    end;
finding(_Target, _Options) -> [].

%% The arguments with which Own finds Target: those of merlon_epmd where the strategy of merlon.config knows its port.
-spec epmd(Target :: string(), Own :: string(), merlon_config:config(), inet | inet6) -> [string()].
epmd(Target, Own, Config, Family) ->
    case merlon_registry:listening() of
        true -> [Arg || net_kernel:epmd_module() =:= merlon_epmd, Arg <- without_epmd()];
        false ->
            [Name, Host] = string:split(Own, "@"),
            [At, AtHost] = string:split(Target, "@"),
            [Arg || {ok, _} <- [merlon_node:borrow(Name, Host, Config)],
                    {ok, _Ip, _Port, _} <- [merlon_epmd:address_please(At, AtHost, Family)], Arg <- without_epmd()]
    end.

without_epmd() -> ["-epmd_module", "merlon_epmd", "-start_epmd", "false"].

%% What is meant for nodes of this host is not meant for this.
environment() ->
    [{Name, ""} || Name <- ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS"]] ++ [{"ERL_CRASH_DUMP_BYTES", "0"}].

distributed(Vm, Carrier, #{name := Name} = Options) ->
    _ = [{ok, _} = call(Vm, application, ensure_all_started, [ssl], ?BOOT) || Carrier =:= inet_tls orelse Carrier =:= inet6_tls],
    %% merlon: allow dynamic_atom until 2027-11-30 because the operator has typed the name, or it is the dir's
    Node = list_to_atom(Name),
    Start = #{name_domain => domain(Name), dist_listen => false, hidden => true},
    try call(Vm, net_kernel, start, [Node, Start], ?BOOT) of
        {ok, _} -> with_cookie(Vm, Options);
        {error, Reason} -> failed(Vm, Reason)
    catch _:_ -> failed(Vm, no_answer)
    end.

%% An error would show its arguments.
with_cookie(Vm, #{cookie := Cookie}) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because there is one cookie
    try call(Vm, erlang, set_cookie, [binary_to_atom(Cookie())], ?BOOT) of
        true -> {ok, Vm}
    catch _:_ -> failed(Vm, no_answer)
    end;
with_cookie(Vm, _Options) -> {ok, Vm}.

failed(Vm, Reason) ->
    stop(Vm),
    {error, io_lib:format("a VM to dial from can't start its distribution (~0p): `merlon doctor` says why", [Reason])}.

-spec stop(pid()) -> ok.
stop(Vm) ->
    try peer:stop(Vm)
    catch _:_ -> ok
    end.

-spec call(pid(), module(), atom(), list(), timeout()) -> term().
call(Vm, Module, Function, Args, Timeout) -> peer:call(Vm, Module, Function, Args, Timeout).

%% Long names where the host is one.
domain(Name) ->
    [_ | Host] = string:split(Name, "@"),
    case lists:any(fun(C) -> C =:= $. orelse C =:= $: end, lists:append(Host)) of
        true -> longnames;
        false -> shortnames
    end.

%% The name to dial Target with: the one that was asked for, else one that tools have, on the host of a tool's
%% certificate of the merlon dir.
-spec name(Target :: string(), #{as => string(), dir => string(), carrier := carrier(), _ => _}) ->
          {ok, string()} | {error, iodata()}.
name(_Target, #{as := Name}) -> {ok, Name};
name(Target, #{carrier := Carrier, dir := Dir}) when Carrier =:= merlon; Carrier =:= merlon6 ->
    case merlon_config:load(Dir) of
        {ok, #{identity := secret}} -> {ok, tool(local(Target))};
        {ok, _} -> of_dir(Dir);
        {error, {config, Reason}} -> {error, merlon_config:format_error(Reason)}
    end;
name(Target, _) -> {ok, tool(local(Target))}.

%% As `bin/RELEASE rpc` calls itself.
tool(Host) -> lists:flatten(io_lib:format("rpc-~4.16.0b-merlon@~ts", [rand:uniform(16#ffff), Host])).

of_dir(Dir) ->
    case {tools(Dir), merlon_doctor_dir:names(Dir)} of
        {[Host | _], _} -> {ok, tool(Host)};
        {[], [Name | _]} -> {ok, Name};
        {[], []} -> {error, ["there is no certificate for tools in ", Dir, ": issue one with `merlon cert --cli \"$USER\" HOST --dir ",
                             Dir, "` where the CA is"]}
    end.

%% Hosts of tools' certificates, this user's first.
tools(Dir) ->
    case merlon_dir:list(merlon_dir:path([Dir, "cli"])) of
        {ok, Names} ->
            Own = unicode:characters_to_binary(os:getenv("USER", "")),
            Found = [{User =/= Own, unicode:characters_to_list(Host)} || Name <- Names, [User, Host] <- [binary:split(Name, <<"@">>)]],
            [Host || {_, Host} <- lists:sort(Found)];
        {error, _} -> []
    end.

local(Target) ->
    {ok, Short} = inet:gethostname(),
    [_ | Host] = string:split(Target, "@"),
    case {domain(Target), lists:member($., net_adm:localhost())} of
        {shortnames, _} -> Short;
        {longnames, true} -> net_adm:localhost();
        {longnames, false} -> case lists:append(Host) of "127." ++ _ = Loopback -> Loopback; _ -> "127.0.0.1" end
    end.
