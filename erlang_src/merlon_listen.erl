%% SPDX-License-Identifier: Apache-2.0
%% Where a node listens: the places of merlon.config's `listen`, else what kernel's `inet_dist_use_interface`
%% or `inet_dist_listen_options` say, else loopback only if the node's name says that nobody else is to come,
%% else everywhere. All on one port, since one port is registered.
-module(merlon_listen).

-export([place/1, open/3, open_names/3, loopback/1, port_range/1, addresses/4, format_error/1]).
-export_type([place/0, reason/0]).

%% An address, or an interface by its name.
-type place() :: {ip, inet:ip_address()} | {interface, string()}.
-type reason() :: {no_such_interface, string(), Known :: [string()]} | {no_address, inet | inet6} |
                  {listen, {inet:port_number(), inet:port_number()}, inet:posix()}.
-type interfaces() :: [{string(), [{atom(), term()}]}].

%% The other addresses get the port that the first one was given by the system: it may be taken there.
-define(TRIES, 20).
%% The last label first.
-define(LOOPBACK, [["localdomain", "localhost"], ["localhost4"], ["localhost6"], ["localdomain4", "localhost4"],
                   ["localdomain6", "localhost6"], ["ip6-localhost"], ["ip6-loopback"]]).

-spec place(Text :: binary()) -> {ok, place()} | error.
place(Text) ->
    case {merlon_cidr:address(Text), re:run(Text, "\\A[a-zA-Z0-9._:@-]{1,15}\\z", [{capture, none}])} of
        {{ok, Ip}, _} -> {ok, {ip, Ip}};
        {error, match} -> {ok, {interface, binary_to_list(Text)}};
        {error, nomatch} -> error
    end.

%% Listeners on all of the node's places, on the first port of the range that is free on each.
-spec open(inet | inet6, Host :: string(), {inet:port_number(), inet:port_number()}) ->
          {ok, [merlon_nif:listener(), ...]} | {error, reason()}.
open(Family, Host, Range) -> open(Family, Host, Range, fun(Ips) -> Ips end).

%% The same and on loopback, where the nodes of this host register their names.
-spec open_names(inet | inet6, Host :: string(), inet:port_number()) ->
          {ok, [merlon_nif:listener(), ...]} | {error, reason()}.
open_names(Family, Host, Port) ->
    Everywhere = any(Family),
    open(Family, Host, {Port, Port}, fun(Ips) ->
                                             case lists:member(Everywhere, Ips) of
                                                 true -> [Everywhere];
                                                 false -> lists:uniq([loopback(Family) | Ips])
                                             end
                                     end).

open(Family, Host, Range, Which) ->
    {Default, Backlog, Opts} = listen_options(),
    #{listen := Places} = merlon_node:config(),
    case addresses(Family, Host, {Places, Default}, fun interfaces/0) of
        {ok, Ips} -> open_all(Which(Ips), Range, {Backlog, Opts}, ?TRIES);
        {error, _} = Error -> Error
    end.

%% `inet_dist_listen_min/max`, unless the epmd module names a port.
-spec port_range(inet:port_number()) -> {inet:port_number(), inet:port_number()}.
port_range(0) ->
    case {application:get_env(kernel, inet_dist_listen_min),
          application:get_env(kernel, inet_dist_listen_max)} of
        {{ok, Min}, {ok, Max}} when is_integer(Min), is_integer(Max) -> {Min, Max};
        {{ok, Min}, _} when is_integer(Min) -> {Min, Min};
        _ -> {0, 0}
    end;
port_range(Port) ->
    {Port, Port}.

listen_options() ->
    Opts = env(inet_dist_listen_options, []),
    Ip = case {env(inet_dist_use_interface, none), lists:keyfind(ip, 1, Opts)} of
             {none, false} -> none;
             {none, {ip, Of}} -> {ok, Of};
             {Given, _} -> {ok, Given}
         end,
    {Ip, proplists:get_value(backlog, Opts, 128), Opts}.

env(Key, Default) ->
    application:get_env(kernel, Key, Default).

interfaces() ->
    case inet:getifaddrs() of
        {ok, Interfaces} -> Interfaces;
        {error, _} -> []
    end.

%% ---- which addresses ----

-spec addresses(inet | inet6, Host :: string(),
                {Places :: default | [place()], Kernel :: term()}, fun(() -> interfaces())) ->
          {ok, [term(), ...]} | {error, reason()}.
addresses(_Family, _Host, {default, {ok, Ip}}, _) -> {ok, [Ip]};
addresses(Family, Host, {default, none}, _) -> {ok, [by_name(Family, string:lowercase(Host))]};
addresses(Family, _Host, {Places, _}, Interfaces) ->
    try lists:uniq([Ip || Place <- Places, Ip <- of_place(Place, Interfaces), family(Ip) =:= Family]) of
        [] -> {error, {no_address, Family}};
        Ips -> {ok, Ips}
    catch throw:{no_such_interface, _, _} = Reason -> {error, Reason}
    end.

of_place({ip, Ip}, _) -> [Ip];
of_place({interface, Name}, Interfaces) ->
    Known = Interfaces(),
    case lists:keyfind(Name, 1, Known) of
        %% A link-local address is nothing without its zone.
        {Name, Opts} -> [Ip || {addr, Ip} <- Opts, not link_local(Ip)];
        false -> throw({no_such_interface, Name, lists:usort([Each || {Each, _} <- Known])})
    end.

link_local({A, _, _, _, _, _, _, _}) -> A band 16#FFC0 =:= 16#FE80;
link_local(_) -> false.

family(Ip) when tuple_size(Ip) =:= 4 -> inet;
family(_) -> inet6.

%% RFC 6761 6.3: localhost and what ends in it is loopback, as are the names that /etc/hosts of Linux
%% distributions has for it. 127.0.0.0/8 is too, at that very address; one of the other family never means everywhere.
by_name(Family, Host) ->
    case {merlon_cidr:address(list_to_binary(Host)), lists:reverse(string:split(string:trim(Host, trailing, "."), ".", all))} of
        {{ok, {127, _, _, _} = Ip}, _} when Family =:= inet -> Ip;
        {{ok, Ip}, _} -> of_address(Family, merlon_cidr:member(Ip, merlon_cidr:loopback()));
        {error, ["localhost" | _]} -> loopback(Family);
        {error, [_ | _] = Labels} -> of_address(Family, lists:member(Labels, ?LOOPBACK))
    end.

of_address(Family, true) -> loopback(Family);
of_address(Family, false) -> any(Family).

-spec loopback(inet | inet6) -> inet:ip_address().
loopback(inet) -> {127, 0, 0, 1};
loopback(inet6) -> {0, 0, 0, 0, 0, 0, 0, 1}.

any(inet) -> {0, 0, 0, 0};
any(inet6) -> {0, 0, 0, 0, 0, 0, 0, 0}.

%% ---- sockets ----

open_all(_Ips, {First, Last} = Range, _, _) when First > Last ->
    {error, {listen, Range, eaddrinuse}};
open_all([Ip | Ips], {Port, Last} = Range, How, Tries) ->
    case open_one(Ip, Port, How) of
        {ok, Listener} ->
            {ok, {_, Actual}} = merlon_nif:sockname(Listener),
            case others(Ips, Actual, How, [Listener]) of
                {error, eaddrinuse} when Port =:= 0, Tries > 1 -> open_all([Ip | Ips], Range, How, Tries - 1);
                Result -> next([Ip | Ips], Range, How, Result)
            end;
        Error -> next([Ip | Ips], {Port, Last}, How, Error)
    end.

next(Ips, {Port, Last}, How, {error, eaddrinuse}) when Port < Last ->
    open_all(Ips, {Port + 1, Last}, How, ?TRIES);
next(_Ips, Range, _How, {error, Reason}) -> {error, {listen, Range, Reason}};
next(_Ips, _Range, _How, {ok, Listeners}) -> {ok, Listeners}.

others([], _Port, _How, Open) -> {ok, lists:reverse(Open)};
others([Ip | Ips], Port, How, Open) ->
    case open_one(Ip, Port, How) of
        {ok, Listener} -> others(Ips, Port, How, [Listener | Open]);
        {error, _} = Error ->
            lists:foreach(fun merlon_nif:close/1, Open),
            Error
    end.

open_one(Ip, Port, {Backlog, Opts}) ->
    try merlon_nif:listen(Ip, Port, Backlog, Opts)
    catch error:badarg -> {error, einval}
    end.

-spec format_error(reason()) -> iodata().
format_error({no_such_interface, Name, Known}) ->
    ["{listen, ...} in merlon.config names the interface ", Name, ", which this machine does not have: it has ",
     lists:join(", ", Known)];
format_error({no_address, inet}) ->
    "{listen, ...} in merlon.config holds no IPv4 address: add one, or start the node with -proto_dist merlon6";
format_error({no_address, inet6}) ->
    "{listen, ...} in merlon.config holds no IPv6 address: add one, or start the node with -proto_dist merlon";
format_error({listen, _, einval}) ->
    "a kernel setting for listening is not valid: look at inet_dist_use_interface (a tuple, "
    "{127,0,0,1} for example), inet_dist_listen_options, inet_dist_listen_min and _max";
format_error({listen, _, eaddrnotavail}) ->
    "an address to listen on is not this machine's: look at {listen, ...} in merlon.config and at "
    "-kernel inet_dist_use_interface";
format_error({listen, {Port, Port}, Reason}) ->
    io_lib:format("port ~b can't be listened on: ~ts; free it or choose another with "
                  "-kernel inet_dist_listen_min", [Port, inet:format_error(Reason)]);
format_error({listen, {First, Last}, Reason}) ->
    io_lib:format("no port from ~b to ~b can be listened on: ~ts; widen the range with "
                  "-kernel inet_dist_listen_min and inet_dist_listen_max",
                  [First, Last, inet:format_error(Reason)]).
