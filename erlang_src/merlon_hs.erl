%% SPDX-License-Identifier: Apache-2.0
%% Builds `#hs_data{}` for dist_util's handshake and answers what OTP asks of a carrier. The only
%% module that knows OTP-private headers.
-module(merlon_hs).

-export([accept_connection/5, setup/6, select/2, address/1, address/2, address/3, setopts/2]).
-export([do_accept/6, do_setup/7, tick/1, link_setopts/2, link_getopts/2]).
-export([epmd_call/3, driver/1, connect_options/0]).

-include_lib("kernel/include/dist.hrl").
-include_lib("kernel/include/dist_util.hrl").
-include_lib("kernel/include/net_address.hrl").

%% The `socket` of hs_data: the dist controller and the connection it is going to own. `claimed` is
%% what the peer of an accepted one is bound to; `known` is what the log is to say of the peer.
-record(link, {out :: pid(), conn :: merlon_nif:conn(), deadline :: integer(),
               claimed :: binary() | undefined, known :: map(),
               address :: {ok, {inet:ip_address(), inet:port_number()}} | {error, term()}}).

%% We give up a little before dist_util's timer, which kills without a word.
-define(MARGIN, 200).

%% In the process dictionary once the peer of an accepted link has given its name to dist_util.
-define(NAMED, {?MODULE, named}).

%% Who has accepted the link and may wait for its proof (merlon_beside).
-define(ACCEPTED_BY, {?MODULE, accepted_by}).

%% Where the process that runs con_loop keeps the channel's handle and how many ticks it has sent.
-define(CHANNEL, {?MODULE, channel}).
%% That process stays for as long as the link: where many links come up at once, each would keep an old heap of garbage.
-define(OPTIONS, [{fullsweep_after, 0} | dist_util:net_ticker_spawn_options()]).

%% ---- accepting ----

-spec accept_connection(pid(), term(), node(), list(), non_neg_integer()) -> pid().
accept_connection(AcceptPid, Link, MyNode, Allowed, SetupTime) ->
    spawn_opt(?MODULE, do_accept, [self(), AcceptPid, Link, MyNode, Allowed, SetupTime], ?OPTIONS).

-spec do_accept(pid(), pid(), term(), node(), list(), non_neg_integer()) -> no_return().
do_accept(Kernel, AcceptPid, {Conn, #{name := Claimed} = Claim, Deadline}, MyNode, Allowed,
          SetupTime) ->
    MRef = erlang:monitor(process, AcceptPid),
    receive
        {AcceptPid, controller} -> erlang:demonitor(MRef, [flush]);
        {'DOWN', MRef, process, _, _} -> shutdown(no_node, connection_setup_failed)
    end,
    Timer = dist_util:start_timer(SetupTime),
    _ = put(?ACCEPTED_BY, AcceptPid),
    pair_cookie(Conn, Claimed),
    HSData = hs_data(Conn, accept, Claim, min(Deadline, deadline(SetupTime))),
    logged(fun dist_util:handshake_other_started/1,
           HSData#hs_data{kernel_pid = Kernel, this_node = MyNode, timer = Timer,
                          allowed = allowed(dist_name(Claimed), Allowed, HSData#hs_data.socket)}).

%% The one name that is bound to the peer's certificate, unless net_kernel:allow/1 forbids it:
%% then its own list, so that dist_util refuses and says so in its own way.
allowed(Name, [], _) ->
    [Name];
allowed(Name, Allowed, Link) ->
    case dist_util:is_allowed(Name, Allowed) of
        true -> [Name];
        false ->
            refused(Link, not_allowed, <<"not among the nodes of net_kernel:allow/1">>),
            Allowed
    end.

%% A node that asks for a dynamic name stands as its host alone in the handshake.
%% dist_util's packets carry names in Latin-1, the preamble carries UTF-8.
dist_name(<<"@", Host/binary>>) -> unicode:characters_to_list(Host);
dist_name(Name) -> unicode:characters_to_list(Name).

%% ---- dialling ----

-spec setup(inet | inet6, node(), normal | hidden, node(), longnames | shortnames,
            non_neg_integer()) -> pid().
setup(Family, Node, Type, MyNode, LongOrShort, SetupTime) ->
    spawn_opt(?MODULE, do_setup, [self(), Family, Node, Type, MyNode, LongOrShort, SetupTime], ?OPTIONS).

-spec do_setup(pid(), inet | inet6, node(), normal | hidden, node(), longnames | shortnames,
               non_neg_integer()) -> no_return().
do_setup(Kernel, Family, Node, Type, MyNode, LongOrShort, SetupTime) ->
    Timer = dist_util:start_timer(SetupTime),
    {Name, Host} = split(Family, Node, LongOrShort),
    %% merlon_epmd asks with this node's certificate.
    known(merlon_node:ensure(MyNode), Node),
    {Ip, Port, Version} = resolve(Family, Node, Name, Host),
    dist_util:reset_timer(Timer),
    case merlon_beside:dial(Node, {Ip, Port}, MyNode, deadline(SetupTime)) of
        {ok, Conn, Peer} ->
            pair_cookie(Conn, atom_to_binary(Node)),
            HSData = hs_data(Conn, dial, Peer, deadline(SetupTime)),
            logged(fun dist_util:handshake_we_started/1,
                   HSData#hs_data{kernel_pid = Kernel, other_node = Node, this_node = MyNode,
                                  timer = Timer, other_version = Version, request_type = Type});
        {error, Failure} ->
            merlon_event:refused(dial, Failure#{node => Node}, {ok, {Ip, Port}}),
            shutdown(Node, connection_setup_failed)
    end.

known(ok, _Node) -> ok;
known({error, Reason}, Node) ->
    Text = iolist_to_binary(merlon_node:format_error(Reason)),
    merlon_event:refused(dial, #{phase => tcp, reason => no_identity, text => Text, node => Node}, {error, enotconn}),
    shutdown(Node, connection_setup_failed).

resolve(Family, Node, Name, Host) ->
    Epmd = net_kernel:epmd_module(),
    case epmd_call(Epmd, address_please, [Name, Host, Family]) of
        {ok, Ip, Port, Version} -> {Ip, Port, Version};
        {ok, Ip} ->
            case merlon_epmd:next_port(Epmd, Name, Ip) of
                {port, Port, Version} -> {Ip, Port, Version};
                Other -> unresolved(Node, no_port, Other)
            end;
        Other -> unresolved(Node, no_address, Other)
    end.

-spec unresolved(node(), no_port | no_address, term()) -> no_return().
unresolved(Node, Reason, Other) ->
    merlon_event:unresolved(Node, Reason, Other),
    shutdown(Node, Reason).

%% ---- hs_data ----

hs_data(Conn, Direction, #{name := Name} = Peer, Deadline) ->
    Address = merlon_nif:peername(Conn),
    Out = merlon_link_out:start(Conn, Direction, Peer),
    ok = merlon_nif:set_owner(Conn, Out),
    Link0 = #link{out = Out, conn = Conn, deadline = Deadline, address = Address,
                  known = known_of(Peer, Conn)},
    Link = case Direction of
               accept -> Link0#link{claimed = Name};
               %% merlon: allow dynamic_atom until 2027-11-30 because the name is that of the node that was dialled
               dial -> Link0#link{known = (Link0#link.known)#{node => binary_to_atom(Name)}}
           end,
    #hs_data{socket = Link,
             this_flags = 0,
             %% Without an atom cache a message is whole by itself: native/wire/src/fragment.rs.
             reject_flags = ?DFLAG_DIST_HDR_ATOM_CACHE,
             f_send = fun send/2,
             f_recv = fun recv/3,
             f_setopts_pre_nodeup = fun pre_nodeup/1,
             f_setopts_post_nodeup = fun(_) -> ok end,
             f_getll = fun(#link{out = Pid}) -> {ok, Pid} end,
             f_address = fun remote_address/2,
             f_handshake_complete = fun complete/3,
             mf_tick = fun ?MODULE:tick/1,
             mf_getstat = fun(_) -> getstat() end,
             mf_setopts = fun ?MODULE:link_setopts/2,
             mf_getopts = fun ?MODULE:link_getopts/2}.

%% Who was accepted has been read already.
known_of(#{fingerprint := _} = Peer, _) -> maps:with([carrier, fingerprint, identity], Peer);
known_of(Peer, Conn) -> maps:merge(maps:with([carrier], Peer), maps:with([fingerprint, identity], merlon_nif:link_info(Conn))).

deadline(SetupTime) ->
    erlang:monotonic_time(millisecond) + max(SetupTime - ?MARGIN, SetupTime div 2).

%% dist_util ends a handshake by exiting. The log says so, unless it has been said, or the handshake
%% was over and this is the end of the link.
logged(Handshake, #hs_data{socket = Link} = HSData) ->
    try
        Handshake(HSData)
    catch
        Class:Reason:Stack ->
            case {get(?MODULE), Class} of
                {undefined, exit} ->
                    refused(Link, reason(Reason), <<"dist_util ended the handshake">>),
                    exit(Reason);
                {undefined, error} ->
                    %% dist_util crashes on packets that are too short: no crash report for that.
                    refused(Link, malformed, <<"its dist handshake can't be read">>),
                    exit(shutdown);
                _ ->
                    erlang:raise(Class, Reason, Stack)
            end
    end.

reason(Reason) when is_atom(Reason) -> Reason;
reason({_Step, Reason}) when is_atom(Reason) -> Reason;
reason(Reason) -> element(1, Reason).

refused(#link{claimed = undefined, known = Known, address = Address}, Reason, Text) ->
    _ = put(?MODULE, told),
    merlon_event:refused(dial, Known#{phase => dist, reason => Reason, text => Text}, Address);
refused(#link{claimed = Claimed, known = Known, address = Address}, Reason, Text) ->
    _ = put(?MODULE, told),
    merlon_event:refused(accept, Known#{phase => dist, reason => Reason, text => Text,
                                        claimed => Claimed}, Address).

%% Two nodes that dial each other at once, or that are linked already: one of the two links gives
%% way, and that is no refusal.
simultaneous(Status) when Status =:= <<"snok">>; Status =:= <<"sfalse">> -> put(?MODULE, told);
simultaneous(_) -> ok.

send(#link{conn = Conn, deadline = Deadline} = Link, Data) ->
    Packet = iolist_to_binary(Data),
    named(Packet, Conn),
    _ = simultaneous(Packet),
    cut_short(Link, merlon_handshake:send(Conn, Packet, Deadline)).

%% A dynamic name exists from here on, and dist_util asks for its cookie next.
named(<<"snamed:", Len:16, Name:Len/binary, _/binary>>, Conn) -> pair_cookie(Conn, Name);
named(_, _) -> ok.

recv(#link{conn = Conn, deadline = Deadline} = Link, 0, infinity) ->
    case merlon_handshake:recv(Conn, Deadline) of
        {ok, Packet} ->
            _ = simultaneous(Packet),
            check_name(Packet, Link),
            {ok, binary_to_list(Packet)};
        Error ->
            cut_short(Link, Error)
    end.

%% Told here: dist_util would only say that sending failed.
cut_short(Link, {error, Reason} = Error) ->
    get(?MODULE) =:= undefined andalso refused(Link, Reason, <<"the dist handshake was cut short">>),
    Error;
cut_short(_Link, ok) ->
    ok.

%% dist_util must see the very name that the preamble bound to the certificate, in the first packet
%% and in no later one. Anything else, the `n` packet of old nodes included, is refused.
check_name(_Packet, #link{claimed = undefined}) ->
    ok;
check_name(<<$P, _/binary>> = Packet, #link{conn = Conn, deadline = Deadline} = Link) ->
    Asked = get(?NAMED) =:= undefined
        andalso merlon_probe:answer(Packet, {Conn, Deadline}, Link#link.claimed, get(?MODULE) =:= undefined),
    case Asked of
        true -> probed(Link);
        false -> wrong_name(Link)
    end;
check_name(<<$N, Flags:64, _Creation:32, Len:16, Name:Len/binary, _/binary>>,
           #link{claimed = Claimed} = Link) ->
    Dynamic = Flags band ?DFLAG_NAME_ME =/= 0,
    Same = binary_to_list(Name) =:= dist_name(Claimed)
        andalso Dynamic =:= (binary:first(Claimed) =:= $@),
    case Same andalso put(?NAMED, true) of
        undefined -> ok;
        _ -> wrong_name(Link)
    end;
check_name(<<Type, _/binary>>, Link) ->
    case get(?NAMED) of
        true when Type =/= $N, Type =/= $n -> ok;
        _ -> wrong_name(Link)
    end;
check_name(<<>>, Link) ->
    wrong_name(Link).

-spec wrong_name(#link{}) -> no_return().
wrong_name(Link) ->
    refused(Link, wrong_name, <<"its dist handshake does not give the name of its preamble">>),
    shutdown(no_node, wrong_name).

-spec probed(#link{}) -> no_return().
probed(#link{known = Known, claimed = Claimed, address = Address}) ->
    _ = put(?MODULE, told),
    merlon_event:probed(Known#{claimed => Claimed}, Address),
    shutdown(no_node, probed).

pre_nodeup(#link{conn = Conn}) ->
    #{max_frame := MaxFrame} = merlon_node:config(),
    ok = merlon_nif:limits(Conn, MaxFrame),
    _ = merlon_nif:setopts(Conn, [nodelay()]),
    ok.

complete(#link{out = Out}, Node, DHandle) ->
    _ = put(?MODULE, up),
    _ = [Acceptor ! {self(), up} || Acceptor <- [get(?ACCEPTED_BY)], is_pid(Acceptor)],
    _ = put(?CHANNEL, {DHandle, 0}),
    merlon_link_out:complete(Out, Node, DHandle).

%% For dist_util's tick. It never finds a peer dead of which it has seen nothing at all: so the
%% handshake counts as one thing received. It ticks every other time only if ticks, which the VM does
%% not know of, do not count as sent.
getstat() ->
    {DHandle, Ticks} = get(?CHANNEL),
    {ok, In, Out, Pending} = erlang:dist_get_stat(DHandle),
    {ok, In + 1, Out + Ticks, Pending}.

remote_address(#link{address = {ok, {Ip, _} = Address}, known = Known}, Node) ->
    {node, _, Host} = dist_util:split_node(Node),
    Protocol = case Known of #{carrier := plain} -> tcp; #{carrier := inet_tls} -> tls; #{} -> merlon end,
    #net_address{address = Address, host = Host, protocol = Protocol, family = family(Ip)};
remote_address(#link{address = {error, _}}, Node) ->
    shutdown(Node, connection_closed).

-spec tick(#link{}) -> ok.
tick(#link{out = Out}) ->
    {DHandle, Ticks} = get(?CHANNEL),
    _ = put(?CHANNEL, {DHandle, Ticks + 1}),
    Out ! tick,
    ok.

-spec link_setopts(#link{}, list()) -> ok | {error, term()}.
link_setopts(#link{conn = Conn}, Opts) -> setopts(Conn, Opts).

-spec link_getopts(#link{}, list()) -> {ok, list()} | {error, term()}.
link_getopts(#link{conn = Conn}, Opts) -> merlon_nif:getopts(Conn, Opts).

%% As inet_tcp_dist: what the carrier itself depends on may not be changed.
-spec setopts(merlon_nif:conn() | merlon_nif:listener(), list()) -> ok | {error, term()}.
setopts(Socket, Opts) ->
    case [Opt || {Key, _} = Opt <- Opts, lists:member(Key, [active, deliver, packet])] of
        [] -> merlon_nif:setopts(Socket, Opts);
        Bad -> {error, {badopts, Bad}}
    end.

%% The cookie of dist_util's challenge for this peer: derived for this pair and this secret.
pair_cookie(_Conn, <<"@", _/binary>>) ->
    ok;
pair_cookie(Conn, Name) ->
    case merlon_nif:pair_cookie(Conn) of
        %% merlon: allow dynamic_atom until 2027-11-30 because the name is bound to a certificate of this cluster and proven
        {ok, Cookie} -> merlon_registry:pair_cookie(binary_to_atom(Name), Cookie);
        none -> ok
    end.

%% ---- names, addresses, options ----

-spec select(inet | inet6, node()) -> boolean().
select(_Family, Node) ->
    case dist_util:split_node(Node) of
        {node, _, _} -> true;
        _ -> false
    end.

-spec address(inet | inet6) -> #net_address{}.
address(Family) ->
    {ok, Host} = inet:gethostname(),
    address(Family, Host).

-spec address(inet | inet6, string()) -> #net_address{}.
address(Family, Host) ->
    address(Family, Host, undefined).

-spec address(inet | inet6, string(), undefined | {inet:ip_address(), inet:port_number()}) ->
          #net_address{}.
address(Family, Host, Address) ->
    #net_address{address = Address, host = Host, protocol = merlon, family = Family}.

split(Family, Node, LongOrShort) ->
    case dist_util:split_node(Node) of
        {node, Name, Host} ->
            check_host(Family, Node, Host, LongOrShort, lists:member($., Host)),
            {Name, Host};
        _ ->
            error_logger:error_msg("** Nodename ~p illegal **~n", [Node]),
            shutdown(Node, illegal_name)
    end.

check_host(_, Node, Host, shortnames, true) ->
    error_logger:error_msg("** System NOT running to use fully qualified hostnames **~n"
                           "** Hostname ~ts is illegal **~n", [Host]),
    shutdown(Node, illegal_name);
check_host(Family, Node, Host, longnames, false) ->
    case (driver(Family)):parse_address(Host) of
        {ok, _} -> ok;
        _ ->
            error_logger:error_msg("** System running to use fully qualified hostnames **~n"
                                   "** Hostname ~ts is illegal **~n", [Host]),
            shutdown(Node, illegal_name)
    end;
check_host(_, _, _, _, _) ->
    ok.

%% An epmd module need not export what is optional: OTP's own then answers.
-spec epmd_call(module(), atom(), list()) -> term().
epmd_call(Module, Function, Args) ->
    case erlang:function_exported(Module, Function, length(Args)) of
        true -> apply(Module, Function, Args);
        false -> apply(erl_epmd, Function, Args)
    end.

-spec driver(inet | inet6) -> inet_tcp | inet6_tcp.
driver(inet) -> inet_tcp;
driver(inet6) -> inet6_tcp.

family(Ip) when tuple_size(Ip) =:= 4 -> inet;
family(_) -> inet6.

-spec connect_options() -> {inet:ip_address() | undefined, list()}.
connect_options() ->
    Opts = env(inet_dist_connect_options, []),
    {proplists:get_value(ip, Opts), [nodelay() | Opts]}.

nodelay() ->
    {nodelay, env(dist_nodelay, true) =/= false}.

env(Key, Default) ->
    case application:get_env(kernel, Key) of
        {ok, Value} -> Value;
        undefined -> Default
    end.

-spec shutdown(term(), term()) -> no_return().
shutdown(Node, Reason) ->
    dist_util:shutdown(?MODULE, ?LINE, Node, Reason).
