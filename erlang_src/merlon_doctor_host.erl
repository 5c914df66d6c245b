%% SPDX-License-Identifier: Apache-2.0
%% The doctor's look at this host: names, ports, epmd, who can write where.
-module(merlon_doctor_host).

-export([name/1, port/3, epmd/0, writable/1]).

-include_lib("kernel/include/file.hrl").

%% Ports of a range that are tried.
-define(TRIES, 64).
-define(EPMD_WAIT, 2000).

%% ---- names ----

%% As a dialling node looks it up, and whether it is this machine.
-spec name(string()) -> merlon_doctor:line().
name("") -> {name, fail, "a node's name is NAME@HOST: give the host too"};
name(Host) ->
    case [Ip || Family <- [inet, inet6], {ok, Ip} <- [inet:getaddr(Host, Family)]] of
        [] -> {name, fail, [Host, " does not resolve here: add it to DNS, or to /etc/hosts of every host, or correct the node's name"]};
        [Ip | _] = Ips -> found(Host, Ip, [Own || Own <- Ips, is_own(Own)])
    end.

found(Host, Ip, []) ->
    {name, warn, [Host, " is ", inet:ntoa(Ip), ", an address that this machine does not have: right behind NAT or for a node of "
                  "another host, else correct DNS or /etc/hosts"]};
found(Host, Ip, _) ->
    {name, ok, [Host, " is ", inet:ntoa(Ip), ", start the node with ",
                case lists:any(fun(C) -> C =:= $. orelse C =:= $: end, Host) of true -> "-name"; false -> "-sname" end]}.

is_own({127, _, _, _}) -> true;
is_own(Ip) ->
    case inet:getifaddrs() of
        {ok, Interfaces} -> lists:any(fun({_, Opts}) -> lists:member({addr, Ip}, Opts) end, Interfaces);
        {error, _} -> true
    end.

%% ---- ports ----

-spec port(Host :: string(), merlon_config:config(), default | {inet:port_number(), inet:port_number()}) ->
          merlon_doctor:line().
port(Host, #{listen := Places}, Ports) ->
    case merlon_listen:addresses(inet, Host, {Places, none}, fun interfaces/0) of
        {ok, Ips} -> listened(Ips, Ports);
        {error, {no_address, inet}} -> {port, ok, "only IPv6 is to be listened on: start the node with -proto_dist merlon6"};
        {error, Reason} -> {port, fail, merlon_listen:format_error(Reason)}
    end.

interfaces() ->
    case inet:getifaddrs() of
        {ok, Interfaces} -> Interfaces;
        {error, _} -> []
    end.

listened(Ips, default) ->
    case try_all(Ips, 0) of
        ok -> {port, ok, [where(Ips), ", any free port; a firewall wants -kernel inet_dist_listen_min and inet_dist_listen_max"]};
        {error, Reason} -> {port, fail, merlon_listen:format_error({listen, {0, 0}, Reason})}
    end;
listened(Ips, {First, Last} = Range) ->
    Tried = [{Port, try_all(Ips, Port)} || Port <- lists:seq(First, min(Last, First + ?TRIES - 1))],
    case [Port || {Port, ok} <- Tried] of
        [Port | _] -> {port, ok, [where(Ips), ", port ", integer_to_list(Port), " is free"]};
        [] ->
            {_, {error, Reason}} = hd(Tried),
            {port, fail, merlon_listen:format_error({listen, Range, Reason})}
    end.

where(Ips) -> lists:join(", ", [inet:ntoa(Ip) || Ip <- Ips]).

try_all([], _Port) -> ok;
try_all([Ip | Ips], Port) ->
    case gen_tcp:listen(Port, [{ip, Ip}, {reuseaddr, true}]) of
        {ok, Socket} ->
            ok = gen_tcp:close(Socket),
            try_all(Ips, Port);
        {error, _} = Error -> Error
    end.

%% ---- epmd ----

%% None is no fault: a node starts it.
-spec epmd() -> merlon_doctor:line().
epmd() ->
    Port = merlon_wire_epmd:port(),
    case {merlon_wire_epmd:names({127, 0, 0, 1}, Port, ?EPMD_WAIT), everywhere(Port)} of
        {{ok, Names}, true} ->
            {epmd, warn, ["epmd tells everybody who can reach this host the names of its nodes (", count(Names), "): start it with "
                          "ERL_EPMD_ADDRESS=127.0.0.1 if all nodes are on this host, else let only the cluster reach port ",
                          integer_to_list(Port)]};
        {{ok, Names}, false} -> {epmd, ok, ["epmd knows ", count(Names)]};
        {{error, econnrefused}, _} -> {epmd, ok, "no epmd runs; the first node starts it"};
        {{error, Reason}, _} ->
            {epmd, warn, [io_lib:format("what listens on port ~b is no epmd (~0p)", [Port, Reason]), ": end it, or set "
                          "ERL_EPMD_PORT for all nodes"]}
    end.

count([_]) -> "1 node";
count(Names) -> [integer_to_list(length(Names)), " nodes"].

%% Whether it takes connections at an address of this machine that is not loopback.
everywhere(Port) ->
    Others = [Ip || {_, Opts} <- interfaces(), {addr, {A, _, _, _} = Ip} <- Opts, A =/= 127],
    lists:any(fun(Ip) -> answers(Ip, Port) end, lists:sublist(Others, 4)).

answers(Ip, Port) ->
    case gen_tcp:connect(Ip, Port, [], 500) of
        {ok, Socket} -> gen_tcp:close(Socket), true;
        {error, _} -> false
    end.

%% ---- files ----

%% Whether others can put something into a folder.
-spec writable(file:filename_all()) -> no | group | all.
writable(Path) ->
    case file:read_file_info(Path) of
        {ok, #file_info{mode = Mode}} when Mode band 8#002 =/= 0 -> all;
        {ok, #file_info{mode = Mode}} when Mode band 8#020 =/= 0 -> group;
        _ -> no
    end.
