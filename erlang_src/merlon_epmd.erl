%% SPDX-License-Identifier: Apache-2.0
%% `-epmd_module merlon_epmd`: which port a node has, by `{epmd, Strategy}` of merlon.config instead of OTP's epmd
%% (contract: ERTS User's Guide, "Alternative Node Discovery"). Lives in net_sup from before the node listens: a crash
%% here would take the distribution down, so the process itself does next to nothing. What it tells is trusted for
%% nothing but where to knock: the link is bound to the node's name by its certificate.
-module(merlon_epmd).
-behaviour(gen_server).

-export([start_link/0, listen_port_please/2, register_node/2, register_node/3, registered_as/0, named/0]).
-export([address_please/3, next_port/3, port_please/2, port_please/3, names/0, names/1, own_family/0]).
-export([init/1, handle_call/3, handle_cast/2]).

%% The version of the distribution protocol; nobody has looked at it since OTP 25.
-define(VERSION, 6).
%% Milliseconds for DNS while somebody waits for a link.
-define(DNS_TIMEOUT, 2000).
%% The same for asking other nodes.
-define(ASK_TIMEOUT, 1000).

-type name() :: atom() | string().
-type host() :: atom() | string() | inet:ip_address().
-type driver() :: inet | inet6 | inet_tcp | inet6_tcp.
-type own() :: {inet | inet6, Name :: string(), inet:port_number()}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% ---- the node itself ----

%% Called by the carrier, which has loaded configuration and identity before.
-spec listen_port_please(name(), host()) -> {ok, inet:port_number()} | {error, {epmd, merlon_epmd_core:reason()}}.
listen_port_please(Name, Host) ->
    case {strategy(), merlon_node:current()} of
        {daemon, _} -> erl_epmd:listen_port_please(Name, Host);
        {Strategy, {ok, #{identity := Identity}}} -> own_port(Strategy, string(Name), string(Host), Identity);
        {_, none} -> {ok, 0}
    end.

own_port(Strategy, Name, Host, Identity) ->
    Node = {unicode:characters_to_binary(Name), unicode:characters_to_binary(Host)},
    case merlon_epmd_core:own_port(Strategy, Node, Identity) of
        {ok, Port} -> {ok, Port};
        ask -> {ok, own_srv(Strategy, Name, Host, merlon_listen:port_range(0))};
        {error, Reason} -> {error, {epmd, Reason}}
    end.

%% Unless `inet_dist_listen_min` says it. A pod of Kubernetes may be in DNS only once it runs.
own_srv(Strategy, Name, Host, {0, 0}) ->
    case srv(Strategy, Name, Host) of
        {ok, Port} -> Port;
        noport -> 0
    end;
own_srv(_, _, _, _) -> 0.

-spec register_node(name(), inet:port_number()) -> {ok, integer()} | {error, term()}.
register_node(Name, Port) -> register_node(Name, Port, inet).

%% -1: net_kernel makes the creation up.
-spec register_node(name(), inet:port_number(), driver()) -> {ok, integer()} | {error, term()}.
register_node(Name, Port, Driver) ->
    case {strategy(), merlon_node:current()} of
        {daemon, _} ->
            ok = gen_server:call(?MODULE, daemon, infinity),
            erl_epmd:register_node(Name, Port, Driver);
        %% Another carrier listens, on a port that is not the strategy's and that no merlon node could use.
        {_, none} -> merlon_node:fatal({epmd, no_carrier});
        {Strategy, _} -> registered(Strategy, {family(Driver), string(Name), Port})
    end.

registered(Strategy, {Family, _, _} = Own) ->
    case gen_server:call(?MODULE, {register, Own}, infinity) of
        ok -> told(Strategy, Own, fun() -> gen_server:call(?MODULE, {forget, Family}, infinity) end);
        {error, already_registered} = Error -> Error
    end.

%% What nobody can dial is in no name service: a name derived from that of the certificate.
told({names, _}, {Family, Name, Port}, Forget) ->
    case listed_name(Name) of
        none -> {ok, -1};
        Node ->
            case merlon_names:register(Family, Node, Port) of
                ok -> {ok, -1};
                {error, Reason} ->
                    ok = Forget(),
                    not_registered(Reason)
            end
    end;
told(_Strategy, _Own, _Forget) -> {ok, -1}.

not_registered(duplicate_name) -> {error, duplicate_name};
not_registered(Reason) -> merlon_node:fatal(Reason).

listed_name(Name) ->
    {ok, #{name := Node, identity := Identity}} = merlon_node:current(),
    [_, Host] = string:split(Node, "@"),
    Full = unicode:characters_to_binary([Name, $@, Host]),
    case Identity of
        {cli, _, _, _} -> Full;
        {node, _, Certified, At} when <<Certified/binary, $@, At/binary>> =:= Full -> Full;
        _ -> none
    end.

%% For merlon_names, when it is started anew.
-spec named() -> [{inet | inet6, Node :: binary(), inet:port_number()}].
named() ->
    case registered_as() of
        [] -> [];
        Registered ->
            Names = element(1, strategy()) =:= names,
            [{Family, Node, Port} || {Family, Name, Port} <- Registered, Names, Node <- [listed_name(Name)], Node =/= none]
    end.

%% What has been registered since the distribution was started.
-spec registered_as() -> [own()].
registered_as() ->
    %% However long it takes: what is not known here is not said to the name service again.
    try gen_server:call(?MODULE, registered, infinity)
    catch exit:_ -> []
    end.

%% ---- other nodes ----

-spec address_please(name(), host(), inet | inet6) ->
          {ok, inet:ip_address()} | {ok, inet:ip_address(), inet:port_number(), integer()} | {error, term()}.
address_please(Name, Host, Family) ->
    case strategy() of
        daemon -> erl_epmd:address_please(Name, Host, Family);
        Strategy -> located(Strategy, string(Name), Host, Family)
    end.

%% A tool has no port of its own: whoever is linked to it can ask it where it listens.
located(Strategy, Name, Host, Family) ->
    case element(1, Strategy) =/= names andalso is_tool(Name, string(Host)) of
        true -> with_port(inet:getaddr(Host, Family), fun(_) -> elsewhere([Name, $@, string(Host)]) end);
        false -> placed(Strategy, Name, Host, Family)
    end.

placed(Strategy, Name, Host, Family) ->
    case merlon_epmd_core:place(Strategy, Name, string(Host)) of
        {at, At, Port} -> with_port(inet:getaddr(At, Family), fun(_) -> {ok, Port} end);
        none -> inet:getaddr(Host, Family);
        ask -> with_port(inet:getaddr(Host, Family), fun(Ip) -> asked(Strategy, Name, string(Host), Ip) end)
    end.

with_port({ok, Ip}, Port) ->
    case Port(Ip) of
        {ok, Number} -> {ok, Ip, Number, ?VERSION};
        noport -> {ok, Ip};
        {error, _} = Error -> Error
    end;
with_port({error, _} = Error, _Port) -> Error.

%% For the carrier, which has an address and no port by address_please/3 of that module. Here that is the answer: by the
%% name alone the namesake on another host would be found.
-spec next_port(module(), name(), inet:ip_address()) -> {port, inet:port_number(), integer()} | noport | {error, term()}.
next_port(?MODULE, Name, Ip) ->
    case strategy() of
        daemon -> erl_epmd:port_please(Name, Ip);
        _ -> noport
    end;
next_port(Epmd, Name, Ip) -> Epmd:port_please(Name, Ip).

-spec port_please(name(), host()) -> {port, inet:port_number(), integer()} | noport | {error, term()}.
port_please(Name, Host) -> port_please(Name, Host, infinity).

-spec port_please(name(), host(), timeout()) -> {port, inet:port_number(), integer()} | noport | {error, term()}.
port_please(Name, Host, Timeout) ->
    case strategy() of
        daemon -> erl_epmd:port_please(Name, Host, Timeout);
        Strategy -> port(Strategy, string(Name), Host)
    end.

%% Of an address alone the host's name is not known.
port({names, _}, Name, Ip) when is_tuple(Ip) -> numbered(found(Ip, unicode:characters_to_binary(Name)));
port(Strategy, Name, Ip) when is_tuple(Ip) ->
    case {is_tool(Name, string(Ip)), merlon_epmd_core:port_of(Strategy, Name)} of
        {false, Port} when is_integer(Port) -> {port, Port, ?VERSION};
        _ -> noport
    end;
port(Strategy, Name, Host) ->
    Family = own_family(),
    case located(Strategy, Name, Host, Family) of
        {ok, _Ip, Port, Version} -> {port, Port, Version};
        {ok, _Ip} -> noport;
        {error, _} = Error -> Error
    end.

numbered({ok, Port}) -> {port, Port, ?VERSION};
numbered(NoPort) -> NoPort.

asked({dns_srv, _, _} = Strategy, Name, Host, _Ip) -> srv(Strategy, Name, Host);
asked({names, _}, Name, Host, Ip) -> found(Ip, unicode:characters_to_binary([Name, $@, Host])).

%% Without an identity there is nothing to ask with.
found(Ip, Name) ->
    case merlon_node:current() of
        {ok, _} -> merlon_names:find(Ip, source(Ip), Name);
        none -> noport
    end.

%% As links are dialled.
source({127, _, _, _}) -> undefined;
source(_) -> element(1, merlon_hs:connect_options()).

srv({dns_srv, Domain, _} = Strategy, Name, Host) ->
    case merlon_epmd_core:srv_port(records(Strategy, merlon_epmd_core:srv_name(Name, Domain)), Host, Domain) of
        none -> noport;
        Port -> {ok, Port}
    end.

records(_Strategy, none) -> [];
records({dns_srv, _, Nameservers}, {ok, Service}) ->
    Options = [{nameservers, Nameservers} || Nameservers =/= []],
    inet_res:lookup(Service, in, srv, Options, ?DNS_TIMEOUT).

%% Brokers of RabbitMQ dial tools that are linked to another one of them.
elsewhere(Name) ->
    Answers = merlon_ask:all(?MODULE, merlon_ask:peers(), {where, unicode:characters_to_binary(Name)}, ?ASK_TIMEOUT),
    first([Port || {_, {ok, Port}} <- Answers, is_integer(Port), Port > 0, Port < 65536]).

%% Asked by another node: of a node that this one is linked to.
where(Name) ->
    Linked = [Node || Node <- nodes(connected), atom_to_binary(Node) =:= Name],
    first([Port || Node <- Linked, {_, _, Port} <- registered_at(Node)]).

first([Port | _]) -> {ok, Port};
first([]) -> noport.

registered_at(Node) ->
    case merlon_ask:call(?MODULE, Node, registered, ?ASK_TIMEOUT div 2) of
        {ok, [_ | _] = Registered} -> Registered;
        _ -> []
    end.

%% By the very rules by which its certificate is bound to its name.
is_tool(Name, Host) ->
    case merlon_node:current() of
        {ok, #{config := #{cli_names := Cli, derived_names := Derived}}} ->
            At = unicode:characters_to_binary(Host),
            merlon_nif:binds({cli, <<"tool">>, At}, unicode:characters_to_binary([Name, $@, Host]), Cli, Derived);
        none -> false
    end.

%% ---- who there is ----

-spec names() -> {ok, [{string(), inet:port_number()}]} | {error, term()}.
names() ->
    {ok, Host} = inet:gethostname(),
    names(Host).

%% Without somebody to ask: this node, those that it is linked to, and those of merlon.config that listen.
-spec names(host()) -> {ok, [{string(), inet:port_number()}]} | {error, term()}.
names(Host) ->
    case strategy() of
        daemon -> erl_epmd:names(Host);
        {names, _} -> kept(Host, merlon_node:current());
        Strategy -> known(Strategy, on_host(Host))
    end.

kept(_Host, none) -> {error, address};
kept(Host, {ok, _}) ->
    case asked_at(Host) of
        {ok, Ip} -> before_host(merlon_names:list(Ip, source(Ip)));
        {error, _} -> {error, address}
    end.

%% Of this host by loopback, where its names are kept in any case.
asked_at(Ip) when is_tuple(Ip) -> {ok, Ip};
asked_at(Host) ->
    {ok, Short} = inet:gethostname(),
    case lists:member(string(Host), [own_host(), Short, "localhost"]) of
        true -> {ok, merlon_listen:loopback(own_family())};
        false -> inet:getaddr(Host, own_family())
    end.

before_host({ok, Names}) -> {ok, lists:usort([{short(Node), Port} || {Node, Port} <- Names])};
before_host({error, _} = Error) -> Error.

short(Node) -> unicode:characters_to_list(hd(binary:split(Node, <<"@">>))).

known(Strategy, OnHost) ->
    Own = [{Name, Port} || OnHost(own_host()), {_, Name, Port} <- registered_as()],
    Linked = [{Name, Port} || Node <- nodes(connected), {node, Name, At} <- [dist_util:split_node(Node)], OnHost(At),
                              not is_tool(Name, At), {port, Port, _} <- [port(Strategy, Name, At)]],
    {ok, lists:usort(Own ++ Linked ++ listening(merlon_epmd_core:listed(Strategy, OnHost)))}.

%% Of these the ones that are up: what is listed and down is no node, as for OTP's epmd.
listening(Listed) ->
    Looks = [{short(Node), Port, own(Node, Port, fun() -> look(At, Port) end)} || {Node, At, Port} <- Listed],
    [{Name, Port} || {Name, Port, Look} <- Looks, is_up(Look)].

look(At, Port) ->
    {Self, Ref} = {self(), make_ref()},
    _ = spawn(fun() -> Self ! {Ref, listens(At, Port)} end),
    Ref.

is_up(Ref) when is_reference(Ref) -> receive {Ref, Is} -> Is after 2 * ?ASK_TIMEOUT -> false end;
is_up(Known) -> Known.

listens(At, Port) ->
    case gen_tcp:connect(At, Port, [own_family()], ?ASK_TIMEOUT) of
        {ok, Socket} -> ok =:= gen_tcp:close(Socket);
        {error, _} -> false
    end.

%% RabbitMQ looks for a namesake while it listens where it is going to, under another name: its own port says nothing.
own(Node, Port, Else) ->
    case {merlon_node:current(), lists:keyfind(Port, 3, registered_as())} of
        {{ok, #{identity := {node, _, Name, Host}}}, {_, As, Port}} when Node =:= <<Name/binary, $@, Host/binary>> ->
            As =:= unicode:characters_to_list(Name);
        _ -> Else()
    end.

%% Whether a host of that name is meant by Host: by name, else by address.
on_host(Host) ->
    Wanted = addresses(Host),
    fun(Other) -> Other =:= Host orelse Other =:= string(Host) orelse
                      lists:any(fun(Ip) -> lists:member(Ip, Wanted) end, addresses(Other))
    end.

addresses(Ip) when is_tuple(Ip) -> [Ip | loopback(Ip)];
addresses(Host) ->
    case inet:getaddr(Host, own_family()) of
        {ok, Ip} -> [Ip | loopback(Ip)];
        {error, _} -> []
    end.

%% 127.0.1.1, as which /etc/hosts of Debian has a host's own name, is the host that 127.0.0.1 is.
loopback({127, 0, 1, 1}) -> [{127, 0, 0, 1}];
loopback(_) -> [].

own_host() ->
    case dist_util:split_node(node()) of
        {node, _, Host} when node() =/= nonode@nohost -> Host;
        _ -> {ok, Host} = inet:gethostname(), Host
    end.

%% As net_kernel does: the first carrier that is asked takes every name.
-spec own_family() -> inet | inet6.
own_family() ->
    case init:get_argument(proto_dist) of
        {ok, [["merlon6" | _] | _]} -> inet6;
        _ -> inet
    end.

family(Family) when Family =:= inet6_tcp; Family =:= inet6 -> inet6;
family(_) -> inet.

%% A tool that is not distributed yet may ask for names before the carrier has read anything.
strategy() ->
    case merlon_node:current() of
        {ok, #{config := #{epmd := Strategy}}} -> Strategy;
        none -> from_file(merlon_config:dir())
    end.

from_file({ok, Dir}) ->
    case merlon_config:load(Dir) of
        {ok, #{epmd := Strategy}} -> Strategy;
        {error, _} -> {static, []}
    end;
from_file({error, _}) -> {static, []}.

string(Ip) when is_tuple(Ip) -> inet:ntoa(Ip);
string(Atom) when is_atom(Atom) -> atom_to_list(Atom);
string(Text) -> Text.

%% ---- the process: what was registered, and OTP's own client where that is wanted ----

-spec init([]) -> {ok, [own()]}.
init([]) -> {ok, []}.

-spec handle_call(term(), gen_server:from(), [own()]) -> {noreply, [own()]}.
handle_call({where, Name}, From, Registered) ->
    _ = spawn(fun() -> merlon_ask:reply(From, where(Name)) end),
    {noreply, Registered};
handle_call(Request, From, Registered) ->
    {Answer, Next} = answer(Request, Registered),
    merlon_ask:answered(From, Answer, Next).

answer({register, {Family, _, _} = Own}, Registered) ->
    case lists:keymember(Family, 1, Registered) of
        true -> {{error, already_registered}, Registered};
        false -> {ok, [Own | Registered]}
    end;
answer({forget, Family}, Registered) -> {ok, lists:keydelete(Family, 1, Registered)};
answer(registered, Registered) -> {Registered, Registered};
answer(daemon, Registered) -> {daemon(erl_epmd:start_link()), Registered};
answer(_, Registered) -> {{error, unknown_call}, Registered}.

daemon({ok, _}) -> ok;
daemon({error, {already_started, _}}) -> ok.

-spec handle_cast(term(), [own()]) -> {noreply, [own()]}.
handle_cast(_, Registered) -> {noreply, Registered}.
