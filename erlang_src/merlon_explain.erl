%% SPDX-License-Identifier: Apache-2.0
%% Why there is, or is not, a link to a node: goes the way that a dialled link goes, step by step, up to where
%% net_kernel would take over, asks the peer what it would say then (merlon_probe), and hangs up.
-module(merlon_explain).

-export([explain/1, explain/2]).
-export([run/2]).
-export_type([explanation/0, step/0, asker/0]).

%% `linked`: a link is up. `open`: none is, and nothing stands in its way. `blocked`: the last step says what does.
-type explanation() ::
        #{node := node(), verdict := linked | open | blocked, text := binary(),
          steps := [{step(), ok | failed, binary()}]}.
-type step() :: carrier | name | link | resolve | port | connect | tls | certificate | secret | agreement.
%% Who asks: the own name, whether that is a long one, whom net_kernel:allow/1 lets through (`[]`: all), and what
%% vouches where there is no keyring. Whether its links would be known here: else the peer's word for one counts. Who is
%% asked for ports, in turn.
-type asker() :: #{links := boolean(), own := string(), long := boolean(), allowed := [node()], family := inet | inet6,
                   epmds := [module(), ...], cookie := fun((node()) -> binary()), port => inet:port_number()}.

%% Milliseconds beyond the handshake's own deadline, for name service and epmd.
-define(PATIENCE, 20000).
%% Names of epmd that are shown.
-define(NAMES, 64).

-spec explain(node()) -> explanation().
explain(Node) when is_atom(Node) ->
    ask(Node, [{carrier, fun carrier/2}, {name, fun name/2}, {link, fun links/2}]).

%% The same where no node runs: as one whose identity merlon_node has, and that links to nobody.
-spec explain(node(), asker()) -> explanation().
explain(Node, #{own := Own} = Asker) when is_atom(Node) ->
    ask(Node, [{carrier, fun(_, _) -> {ok, ["asked as ", Own], Asker} end}, {name, fun name/2}]).

ask(Node, Steps) ->
    %% In a process of its own: what sockets say comes as messages.
    {Pid, Ref} = spawn_monitor(?MODULE, run, [Node, Steps]),
    receive
        {'DOWN', Ref, process, Pid, {explained, Explanation}} -> Explanation;
        {'DOWN', Ref, process, Pid, Reason} -> error(Reason)
    after timeout() + ?PATIENCE ->
            exit(Pid, kill),
            _ = erlang:demonitor(Ref, [flush]),
            blocked(Node, [{resolve, failed, <<"the name service does not answer: look at it on this host">>}])
    end.

-spec run(node(), [{step(), fun((node(), map()) -> tuple())}]) -> no_return().
run(Node, Steps) ->
    exit({explained, walk(Node, #{}, [], Steps ++ [{resolve, fun resolve/2}, {port, fun port/2},
                                                   {connect, fun dial/2}])}).

%% Each step gives what it has found, for the steps behind it, or ends the way.
walk(Node, _Known, Done, []) ->
    #{node => Node, verdict => open, steps => lists:reverse(Done),
      text => text(["nothing stands in the way of a link to ", atom_to_binary(Node), when_then()])};
walk(Node, Known, Done, [{Name, Step} | Steps]) ->
    case Step(Node, Known) of
        {ok, Text, New} -> walk(Node, maps:merge(Known, New), [{Name, ok, text(Text)} | Done], Steps);
        {linked, Text} ->
            #{node => Node, verdict => linked, text => text(Text),
              steps => lists:reverse(Done, [{Name, ok, text(Text)}])};
        {failed, Text} -> blocked(Node, [{Name, failed, text(Text)} | Done]);
        {steps, More} -> ended(Node, Known, More ++ Done)
    end.

ended(Node, #{links := false}, [{agreement, linked, Text} | Done]) ->
    #{node => Node, verdict => linked, text => Text, steps => lists:reverse(Done, [{agreement, ok, Text}])};
ended(Node, Known, [{agreement, linked, _} | Done]) ->
    ended(Node, Known,
          [{agreement, failed, <<"the peer believes that a link with this node is up and refuses another: it finds out "
                                 "within net_ticktime, or run erlang:disconnect_node/1 there">>} | Done]);
ended(Node, Known, [{_, ok, _} | _] = Done) -> walk(Node, Known, Done, []);
ended(Node, _Known, Done) -> blocked(Node, Done).

blocked(Node, [{_, failed, Text} | _] = Done) ->
    #{node => Node, verdict => blocked, text => Text, steps => lists:reverse(Done)}.

text(Text) -> unicode:characters_to_binary(Text).

when_then() ->
    case application:get_env(kernel, dist_auto_connect) of
        {ok, never} -> ": net_kernel:connect_node/1 makes it, nothing else does (dist_auto_connect is never)";
        _ -> ": net_kernel:connect_node/1 or the first message makes it"
    end.

%% ---- before anything goes out ----

carrier(_Node, _) ->
    case {is_alive(), merlon_registry:listening(), merlon_node:current()} of
        {false, _, _} -> {failed, "this node has no name: start it with -name or -sname and -proto_dist merlon"};
        {true, false, _} -> {failed, "this node's distribution is not merlon's: start it with -proto_dist merlon"};
        {true, true, _} -> identity(merlon_node:ensure(node()))
    end.

identity(ok) -> {ok, ["this node is ", merlon_node:name(), " and links over merlon"], asker()};
identity({error, Reason}) -> {failed, merlon_node:format_error(Reason)}.

asker() ->
    {ok, Allowed} = net_kernel:allowed(),
    #{links => true, own => atom_to_list(node()), long => net_kernel:longnames() =:= true, allowed => Allowed, family => merlon_epmd:own_family(),
      epmds => [net_kernel:epmd_module()], cookie => fun merlon_registry:secret/1}.

name(Node, #{own := Own} = Asker) ->
    case {atom_to_list(Node), dist_util:split_node(Node)} of
        {Own, _} -> {failed, "that is this node itself: nothing goes over the network"};
        {_, {node, Name, Host}} -> host(Node, Name, Host, Asker, lists:member($., Host));
        _ -> {failed, [quoted(Node), " is no node's name: it has to be NAME@HOST"]}
    end.

host(Node, _, _, #{long := false}, true) ->
    {failed, [quoted(Node), " has a long host name and this node has short names (-sname): nodes of the two kinds "
              "can't link; start both with -name or both with -sname"]};
host(Node, Name, Host, #{long := Long, allowed := Allowed}, _) ->
    Short = Long andalso not lists:member($., Host) andalso not lists:member($:, Host),
    case {Short, Allowed =:= [] orelse lists:member(Node, Allowed)} of
        {true, _} -> {failed, [quoted(Node), " has a short host name and this node has long names (-name): write the "
                               "full host name"]};
        {false, false} -> {failed, [quoted(Node), " is not among the nodes of net_kernel:allow/1 here: add it there"]};
        {false, true} -> {ok, [quoted(Node), " is a valid name"], #{name => Name, host => Host}}
    end.

links(Node, _) ->
    case {merlon:is_encrypted(Node), lists:member(Node, nodes(connected))} of
        {true, _} -> {linked, linked([Link || #{node := At} = Link <- merlon:connections(), At =:= Node])};
        {false, true} -> {linked, "a link is up, but not over merlon: it is not encrypted, and the cookie alone has proven "
                          "the peer"};
        {false, false} -> {ok, "no link is up now", #{}}
    end.

linked([#{carrier := inet_tls, cipher_suite := Suite, identity := Identity, since := Since} | _]) ->
    ["a link is up since ", merlon_text:date(Since), ", over inet_tls, encrypted with TLS 1.3, ", Suite,
     "; the peer's certificate ", bound(Identity)];
linked([#{cipher_suite := Suite, identity := {_, Cluster, _, _}, since := Since} | _]) ->
    ["a link is up since ", merlon_text:date(Since), ", encrypted with TLS 1.3, ", Suite,
     ", the peer proven by a certificate of cluster ", Cluster];
linked([]) -> "a link is just coming up or going away".

%% ---- on the way ----

resolve(_Node, #{epmds := Epmds, host := Host} = Known) ->
    case located(Epmds, Known) of
        {ok, Ip} -> {ok, is_at(Host, Ip), #{ip => Ip}};
        {ok, Ip, Port, _} -> {ok, is_at(Host, Ip), maps:merge(#{ip => Ip, port => Port}, maps:with([port], Known))};
        {error, {names, Reason}} -> {failed, ["the name service of ", Host, " gives no answer (", word(Reason), "): look there who "
                                              "listens on its port, whether that node hangs, and whether the firewall lets the port "
                                              "through (4370 if {epmd, {names, ...}} of merlon.config says no other)"]};
        {error, Reason} -> {failed, [Host, " can't be resolved (", word(Reason), "): add it to DNS or /etc/hosts of this "
                                     "host, or correct the node's name"]}
    end.

is_at(Host, Ip) -> [Host, " is ", inet:ntoa(Ip)].

%% What stands in the way of the last one counts.
located([Epmd | More], #{name := Name, host := Host, family := Family} = Known) ->
    case merlon_hs:epmd_call(Epmd, address_please, [Name, Host, Family]) of
        {error, _} when More =/= [] -> located(More, Known);
        Answer -> Answer
    end.

port(_Node, #{port := Port}) -> {ok, ["its port is ", integer_to_list(Port)], #{}};
port(_Node, #{epmds := Epmds} = Known) -> port_by(Epmds, Known).

port_by([Epmd | More], #{name := Name, host := Host, ip := Ip} = Known) ->
    case merlon_epmd:next_port(Epmd, Name, Ip) of
        {port, Port, _} -> {ok, ["epmd of ", Host, " says port ", integer_to_list(Port)], #{port => Port}};
        _ when More =/= [] -> port_by(More, Known);
        _ when Epmd =:= merlon_epmd -> {failed, ["nothing says which port ", Name, " has on ", Host, ": start the node, or look at "
                                                 "{epmd, ...} in merlon.config here and there"]};
        _ -> {failed, no_port(Name, Host, merlon_hs:epmd_call(Epmd, names, [Ip]))}
    end.

no_port(Name, Host, {ok, []}) ->
    ["epmd of ", Host, " knows no node at all: start ", Name];
no_port(Name, Host, {ok, Known}) ->
    ["epmd of ", Host, " knows no ", Name, ", only ", known(Known), ": start the node, or correct its name"];
no_port(_Name, Host, _) ->
    ["no epmd answers on ", Host, ": start a node there, or let port 4369 through the firewall"].

%% Anybody can tell an epmd any name, and who is on the way any answer: nothing in it may reach a terminal.
known(Names) ->
    {Shown, More} = lists:split(min(?NAMES, length(Names)), Names),
    [lists:join(", ", [merlon_event_text:printable(unicode:characters_to_binary(Name)) || {Name, _} <- Shown]),
     [" and others" || More =/= []]].

%% ---- at the peer ----

dial(Node, #{ip := Ip, port := Port, own := Own, cookie := Cookie}) ->
    Deadline = erlang:monotonic_time(millisecond) + timeout(),
    At = [inet:ntoa(Ip), " port ", integer_to_list(Port)],
    case merlon_beside:dial(Node, {Ip, Port}, Own, Cookie, Deadline) of
        {ok, Conn, #{carrier := merlon}} -> proven(Conn, At, merlon_probe:ask(Conn, Deadline));
        {ok, Conn, #{carrier := plain}} -> plain(Conn, At);
        {ok, Conn, #{carrier := inet_tls}} -> inet_tls(Conn, At);
        {error, Failure} -> {steps, merlon_explain_text:failed(Failure, At)}
    end.

%% Who answers there is not known: nothing but the real handshake would tell.
plain(Conn, At) ->
    ok = merlon_nif:close(Conn),
    {steps, [{tls, ok, text(["the peer does not answer TLS; until ", merlon_text:date(merlon_interop:until()),
                             " this node links to it without (interop in merlon.config), encrypted by nothing and proven "
                             "by the cookie alone"])},
             {connect, ok, text(["connected to ", At])}]}.

proven(Conn, At, Answer) ->
    #{fingerprint := Fingerprint, cipher_suite := Suite} = merlon_nif:link_info(Conn),
    ok = merlon_nif:close(Conn),
    {steps, [agreement(Answer),
             {secret, ok, <<"both sides have proven that they hold the same secret">>},
             {certificate, ok, text(["the peer's certificate carries the name, SHA-256 ", Fingerprint])},
             {tls, ok, text(["TLS 1.3, ", Suite])},
             {connect, ok, text(["connected to ", At])}]}.

inet_tls(Conn, At) ->
    #{fingerprint := Fingerprint, cipher_suite := Suite, identity := Identity} = merlon_nif:link_info(Conn),
    ok = merlon_nif:close(Conn),
    {steps, [{certificate, ok, text(["the peer's certificate ", bound(Identity), ", SHA-256 ", Fingerprint])},
             {tls, ok, text(["TLS 1.3, ", Suite, ", with a node of inet_tls, which interop in merlon.config lets be"])},
             {connect, ok, text(["connected to ", At])}]}.

bound({hosts, Hosts}) -> ["is for any node of ", lists:join(", ", Hosts)];
bound(_) -> "carries the name".

agreement({ok, #{allowed := false}}) ->
    {agreement, failed, <<"the peer's net_kernel:allow/1 does not list this node: add it there">>};
agreement({ok, #{linked := true}}) ->
    {agreement, linked, <<"a link is up, says the peer, which has proven itself">>};
agreement({ok, #{flags := Flags}}) ->
    case merlon_probe:missing(Flags) of
        0 -> {agreement, ok, <<"the peer would take the link">>};
        Missing -> {agreement, failed, text(["the peer's OTP lacks distribution flags ", integer_to_list(Missing, 16),
                                             " that this node demands: use OTP releases closer to each other"])}
    end;
agreement({error, timeout}) ->
    {agreement, failed, <<"the peer has proven itself and then says nothing: its net_kernel hangs; look at its log">>};
agreement({error, _}) ->
    {agreement, failed, <<"the peer has proven itself and then hangs up: its log says why, or its merlon is older than "
                          "this one">>}.

timeout() ->
    case merlon_node:current() of
        {ok, #{config := #{handshake_timeout := Timeout}}} -> Timeout;
        none -> 0
    end.

quoted(Node) -> atom_to_binary(Node).

word(Reason) when is_atom(Reason) -> atom_to_list(Reason);
word(Reason) -> io_lib:format("~0tp", [Reason]).
