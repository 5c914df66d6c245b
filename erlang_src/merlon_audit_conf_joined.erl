%% SPDX-License-Identifier: Apache-2.0
%% What only several files together say: does a node that has a name have a carrier, once, with the options that fit it; is its
%% certificate for its host; does an advisory reach it.
-module(merlon_audit_conf_joined).

-export([findings/1]).
-export_type([file/0]).

-type file() :: {Name :: binary(), merlon_audit_conf_kind:kind(), [merlon_audit_conf_words:item()]}.
-type found() :: {File :: binary(), merlon_audit_conf_rules:found()}.

-define(TLS, [<<"inet_tls">>, <<"inet6_tls">>]).

-spec findings([file()]) -> [found()].
findings(Files) ->
    Starts = lists:append([starts(Folder) || Folder <- folders(Files)]),
    lists:append([twice(Start) ++ fitting(Start) || Start <- Starts]) ++ deployed(Files) ++ named(Starts, Files)
        ++ environments(Files, Starts) ++ released(Files) ++ remote(Files) ++ certificates(Files) ++ moved(Files)
        ++ merlon_audit_advisories:findings(Files, facts(Starts, Files)).

%% ---- what starts together ----

folders(Files) ->
    Grouped = lists:foldl(fun({Name, _, _} = File, Acc) ->
                              maps:update_with(filename:dirname(Name), fun(Known) -> [File | Known] end, [File], Acc)
                          end, #{}, Files),
    [lists:reverse(Group) || {_, Group} <- lists:sort(maps:to_list(Grouped))].

%% Each args file with the variables of its folder; each command with those of its file; variables alone.
starts(Folder) ->
    Env = [{Name, Item} || {Name, env, Items} <- Folder, {flag, _, _, _, {env, _}} = Item <- Items],
    [[{Name, Item} || {flag, _, _, _, file} = Item <- Items] ++ Env || {Name, vm_args, Items} <- Folder]
        ++ [Env || Env =/= [], not lists:keymember(vm_args, 2, Folder)]
        ++ lists:append([own(File) || {_, Kind, _} = File <- Folder, Kind =/= vm_args]).

own({Name, Kind, Items}) ->
    Env = [{Name, Item} || {flag, _, _, _, {env, _}} = Item <- Items],
    Commands = lists:usort([Scope || {flag, _, _, _, {command, _} = Scope} <- Items]),
    [[{Name, Item} || {flag, _, _, _, S} = Item <- Items, S =:= Scope] ++ Env || Scope <- Commands]
        ++ [Env || Env =/= [], Commands =:= [], Kind =/= env].

flags(Name, Start) -> [Flag || {_, {flag, _, N, _, _}} = Flag <- Start, N =:= Name].

carriers(Start) -> [Word || {_, {flag, _, <<"-proto_dist">>, [{_, Word} | _], _}} <- Start].

%% ---- -proto_dist more than once ----

%% The same variable set on two lines has one value in the end.
twice(Start) ->
    Given = [{File, Line, Scope} || {File, {flag, Line, _, _, Scope}} <- flags(<<"-proto_dist">>, Start)],
    case lists:usort([{Scope, here(Scope, Line)} || {_, Line, Scope} <- Given]) of
        [_, _ | _] ->
            {File, Line, _} = lists:last(Given),
            [{File, {Line, proto_dist_twice, <<"-proto_dist is given ", (integer_to_binary(length(Given)))/binary, " times">>}}];
        _ -> one_line(Given)
    end.

here({env, _}, _Line) -> any;
here(_, Line) -> Line.

one_line(Given) ->
    Counts = lists:foldl(fun(At, Acc) -> maps:update_with(At, fun(N) -> N + 1 end, 1, Acc) end, #{}, Given),
    [{File, {Line, proto_dist_twice, <<"-proto_dist is given twice">>}} || {{File, Line, _}, N} <- maps:to_list(Counts), N > 1].

%% What a container or a service sets comes on top of the release's own args file, wherever that lies in the tree.
deployed(Files) ->
    Own = [Name || {Name, vm_args, Items} <- Files, merlon_audit_conf_kind:start(Name) =:= node,
                   {flag, _, <<"-proto_dist">>, _, _} <- Items],
    [{File, {Line, proto_dist_twice, <<"-proto_dist in ", Variable/binary, ", and in ", (hd(Own))/binary>>}}
     || Own =/= [], {File, Kind, Items} <- Files, Kind =/= env, Kind =/= vm_args,
        {flag, Line, <<"-proto_dist">>, _, {env, Variable}} <- Items].

%% ---- options and carrier ----

fitting(Start) ->
    Tls = [C || C <- carriers(Start), lists:member(C, ?TLS)] =/= [],
    Files = flags(<<"-ssl_dist_optfile">>, Start),
    Given = flags(<<"-ssl_dist_opt">>, Start),
    unused(Files ++ Given, Tls) ++ bare(Start, Tls, Files ++ Given) ++ both(Files, Given).

unused([{File, {flag, Line, Name, _, _}} | _], false) ->
    [{File, {Line, dist_flags, <<Name/binary, " without -proto_dist inet_tls: the distribution is plain TCP">>}}];
unused(_, _) -> [].

bare(Start, true, []) ->
    [{File, {Line, dist_flags, <<"-proto_dist inet_tls without -ssl_dist_optfile or -ssl_dist_opt">>}}
     || {File, {flag, Line, _, [{_, C} | _], _}} <- lists:sublist(flags(<<"-proto_dist">>, Start), 1), lists:member(C, ?TLS)];
bare(_, _, _) -> [].

both([_ | _], [{File, {flag, Line, _, _, _}} | _]) ->
    [{File, {Line, dist_flags, <<"-ssl_dist_opt beside -ssl_dist_optfile: which of them counts is not obvious">>}}];
both(_, _) -> [].

%% ---- names ----

named(Starts, Files) ->
    Bound = [] =/= [Address || {_, _, Items} <- Files, {setting, _, inet_dist_use_interface, Address} <- Items],
    lists:usort(lists:append([name(Start, Bound) || Start <- Starts])).

name(Start, Bound) ->
    Names = [Flag || Flag <- flags(<<"-name">>, Start) ++ flags(<<"-sname">>, Start)],
    case {Names, flags(<<"-args_file">>, Start)} of
        {[{File, {flag, Line, Name, _, _}} | _], []} -> exposed(File, Line, Name, carriers(Start), Start, Bound);
        _ -> []
    end.

exposed(File, Line, Name, Carriers, Start, Bound) ->
    Own = is_bound([Item || {_, Item} <- Start]),
    Loopback = is_loopback([Item || {_, Item} <- Start]),
    [{File, {Line, plain_dist, <<Name/binary, " and no carrier that encrypts">>}}
     || not lists:any(fun is_carrier/1, Carriers), not Loopback]
        ++ [{File, {Line, dist_interface, <<Name/binary, " and no inet_dist_use_interface">>}}
            || not Own, not Bound, not lists:any(fun is_merlon/1, Carriers)].

is_carrier(Carrier) -> lists:member(Carrier, ?TLS) orelse not lists:member(Carrier, [<<"inet_tcp">>, <<"inet6_tcp">>]).

%% merlon.config says where merlon listens.
is_merlon(Carrier) -> lists:member(Carrier, [<<"merlon">>, <<"merlon6">>]).

is_bound(Items) -> interfaces(Items) =/= [].

is_loopback(Items) -> lists:member(loopback, interfaces(Items)).

interfaces(Items) ->
    [Address || {setting, _, inet_dist_use_interface, Address} <- Items]
        ++ [merlon_audit_conf_rules:address(Address) || {flag, _, <<"-kernel">>, Args, _} <- Items,
                                                        Address <- interface([Word || {_, Word} <- Args])].

interface([<<"inet_dist_use_interface">>, Address | _]) -> [Address];
interface([_ | Words]) -> interface(Words);
interface([]) -> [].

%% Elixir's releases take their name from variables; the args file may be anywhere in the tree.
environments(Files, Starts) ->
    Carried = lists:any(fun(Start) -> lists:any(fun is_carrier/1, carriers(Start)) end, Starts),
    [{File, {Line, plain_dist, <<Name/binary, "=", Value/binary, " and no carrier that encrypts">>}}
     || not Carried, {File, _, Items} <- Files, {env, Line, <<"RELEASE_DISTRIBUTION">> = Name, Value} <- Items,
        lists:member(Value, [<<"name">>, <<"sname">>])].

%% A release as mix builds it: without a word from its env.sh it has a short name, and plain TCP.
released(Files) ->
    Roots = [filename:dirname(Name) || {Name, cookie, _} <- Files, filename:basename(Name) =:= <<"COOKIE">>],
    lists:append([release(Root, [File || {Name, _, _} = File <- Files, is_below(Name, Root)]) || Root <- Roots]).

is_below(Name, Root) -> binary:longest_common_prefix([Name, <<Root/binary, "/">>]) =:= byte_size(Root) + 1.

release(Root, Files) ->
    Items = lists:append([Items || {_, _, Items} <- Files]),
    Said = [V || {env, _, <<"RELEASE_DISTRIBUTION">>, V} <- Items],
    Flags = [Flag || {flag, _, Flag, _, _} <- Items],
    Quiet = Said =:= [] andalso not lists:any(fun(F) -> lists:member(F, [<<"-proto_dist">>, <<"-name">>, <<"-sname">>]) end, Flags),
    [{<<Root/binary, "/COOKIE">>, {1, plain_dist, <<"a release whose env.sh does not set RELEASE_DISTRIBUTION: a short name, plain TCP">>}}
     || Quiet, lists:keymember(vm_args, 2, Files)].

%% The remote shell's args file has to have what the node's has.
remote(Files) ->
    lists:append([beside(Name, Items, Files) || {Name, vm_args, Items} <- Files,
                                                merlon_audit_conf_kind:start(Name) =:= remote]).

beside(Name, Items, Files) ->
    Folder = filename:dirname(Name),
    Own = carriers([{Name, Item} || Item <- Items]),
    Nodes = [Carrier || {Other, vm_args, Theirs} <- Files, filename:dirname(Other) =:= Folder,
                        merlon_audit_conf_kind:start(Other) =:= node,
                        Carrier <- carriers([{Other, Item} || Item <- Theirs])],
    [{Name, {0, dist_flags, <<"the node has -proto_dist ", (hd(Nodes))/binary, ", its remote shell has not">>}}
     || Nodes =/= [], Own =:= []].

%% ---- certificates ----

%% Of the optfile's certificates those that lie in the tree, against the names of nodes with a host.
certificates(Files) ->
    Hosts = lists:usort([Host || {_, _, Items} <- Files, Host <- hosts(Items)]),
    Named = [filename:basename(Path) || {_, optfile, Items} <- Files, {setting, _, certfile, Path} <- Items],
    [{Name, {Line, cert_name, <<"no node of this tree has a host of the certificate">>}}
     || Hosts =/= [], {Name, pem, Items} <- Files, lists:member(filename:basename(Name), Named),
        {cert, Line, #{is_ca := false} = Info} <- lists:sublist([C || {cert, _, _} = C <- Items], 1),
        maps:get(dns, Info) ++ maps:get(ips, Info) =/= [], not lists:any(fun(Host) -> is_for(Host, Info) end, Hosts)].

%% DIR/nodes/NAME@HOST of a merlon dir holds the certificate of that node.
moved(Files) ->
    [{Name, {Line, cert_name, <<"it is of ", Node/binary, ", its folder of ", Folder/binary>>}}
     || {Name, pem, Items} <- Files, [Folder, <<"nodes">> | _] <- [tl(lists:reverse(filename:split(Name)))],
        binary:match(Folder, <<"@">>) =/= nomatch,
        {cert, Line, #{identity := {node, _, Own, Host}}} <- lists:sublist([C || {cert, _, _} = C <- Items], 1),
        Node <- [<<Own/binary, "@", Host/binary>>], Node =/= Folder].

hosts(Items) ->
    [Host || {flag, _, <<"-name">>, [{_, Name} | _], _} <- Items, [_, Host] <- [binary:split(Name, <<"@">>)],
             not merlon_audit_conf_words:is_elsewhere(Host)]
        ++ [Host || {env, _, <<"RELEASE_NODE">>, Name} <- Items, is_binary(Name), [_, Host] <- [binary:split(Name, <<"@">>)]].

is_for(Host, #{dns := Names, ips := Ips}) ->
    lists:member(Host, Ips) orelse lists:any(fun(Name) -> matches(Name, Host) end, Names).

matches(<<"*.", Rest/binary>>, Host) ->
    case binary:split(Host, <<".">>) of
        [_, Tail] -> string:lowercase(Tail) =:= string:lowercase(Rest);
        _ -> false
    end;
matches(Name, Host) -> string:lowercase(Name) =:= string:lowercase(Host).

%% ---- what advisories ask ----

facts(Starts, Files) ->
    Carriers = lists:usort(lists:append([carriers(Start) || Start <- Starts])),
    Items = lists:append([Items || {_, _, Items} <- Files]),
    Names = [N || {flag, _, N, _, _} <- Items, N =:= <<"-name">> orelse N =:= <<"-sname">>],
    [tls_dist || C <- Carriers, lists:member(C, ?TLS)]
        ++ [tcp_dist || Names =/= [], not lists:any(fun is_carrier/1, Carriers)]
        ++ [tcp_dist || {_, _, <<"RELEASE_DISTRIBUTION">>, V} <- Items, V =:= <<"name">> orelse V =:= <<"sname">>, Carriers =:= []]
        ++ lists:usort([Name || {setting, _, Name, true} <- Items, lists:member(Name, [check_ip, tls13, tickets, sni])])
        ++ [tls12 || not lists:keymember(tls13, 3, Items)]
        ++ [inet_res || {found, _, inetrc_dns, _} <- Items]
        ++ [ssh || {app, <<"ssh">>, _} <- Items] ++ [inets || {app, <<"inets">>, _} <- Items].
