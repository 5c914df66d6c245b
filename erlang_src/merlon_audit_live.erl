%% SPDX-License-Identifier: Apache-2.0
%% The audit of a running node, or of all nodes that it is linked to, through a link of its own: facts become findings, and
%% what the nodes disagree about.
-module(merlon_audit_live).

-export([scan/2, judge/3, disagreements/1]).

-type result() :: #{name := binary(), kind := node, result := ok | {error, 0, iodata()}, covers := [], raws := [map()]}.
%% `secretly`: the way to the node is encrypted. `cookie`: what has let the caller in, for nodes whose own one is not
%% asked for. `call`: a call in the VM that holds the link.
-type options() :: #{call := fun((module(), atom(), list(), timeout()) -> term()), cluster := boolean(), secretly := boolean(),
                     cookie => fun(() -> binary()), now := integer()}.

-define(CALL, 10000).
-define(NODES, 256).

-spec scan(node(), options()) -> {ok, [result()], Table :: [[{atom(), binary()}]]} | {error, iodata()}.
scan(Node, #{call := Call, cluster := Cluster, secretly := Secretly} = Options) ->
    case {called(Call, net_kernel, connect_node, [Node]), called(Call, erlang, node, [])} of
        {true, Own} ->
            case merlon_live_facts:of_node(Node, ask(Call, direct, Node), Secretly) of
                {ok, Facts} ->
                    First = without(Own, Facts),
                    told([{Node, {ok, First}} | others(Cluster, First, Options)], Options);
                {error, Reason} -> {error, io_lib:format("~ts does not answer calls (~0tp)", [Node, Reason])}
            end;
        _ -> {error, io_lib:format("no link to ~ts can be made: `merlon doctor ~ts` says why, --over chooses another carrier",
                                   [Node, Node])}
    end.

called(Call, Module, Function, Args) ->
    try Call(Module, Function, Args, 30000)
    catch _:_ -> false
    end.

%% The link that the questions take is none of the cluster's.
without(Own, #{links := Links, merlon_links := Proven} = Facts) ->
    Facts#{links := [Link || #{node := To} = Link <- Links, To =/= Own],
           merlon_links := [Link || #{node := To} = Link <- Proven, To =/= Own]}.

%% The others through the node's own links: nobody else is dialled.
others(false, _Facts, _Options) -> [];
others(true, #{node := Via, links := Links}, #{call := Call, secretly := Secretly}) ->
    [{Node, merlon_live_facts:of_node(Node, ask(Call, {via, Via}, Node), Secretly andalso (Carrier =:= tls orelse Carrier =:= merlon))}
     || #{node := Node, carrier := Carrier} <- lists:sublist(Links, ?NODES), not is_tool(Node)].

%% A remote shell or a release's command is no node of the cluster.
is_tool(Node) -> re:run(atom_to_binary(Node), "\\A(rpc|rem)-[0-9a-f]{4,}-", [{capture, none}]) =:= match.

%% A call to the node, straight or by a node that is linked to it.
ask(Call, direct, Node) ->
    fun(Module, Function, Args) -> asked(Call, [Node, Module, Function, Args, ?CALL]) end;
ask(Call, {via, Via}, Node) ->
    fun(Module, Function, Args) -> asked(Call, [Via, erpc, call, [Node, Module, Function, Args, ?CALL], ?CALL + 2000]) end.

asked(Call, Args) ->
    try {ok, Call(erpc, call, Args, ?CALL + 5000)}
    catch
        error:{exception, Reason, _} -> {error, reason(Reason)};
        _:Reason -> {error, reason(Reason)}
    end.

reason({Word, _}) when is_atom(Word) -> Word;
reason(Word) when is_atom(Word) -> Word;
reason(_) -> failed.

told(Asked, Options) ->
    Known = [Facts || {_, {ok, Facts}} <- Asked],
    Results = [result(Node, Answer, Options) || {Node, Answer} <- Asked],
    Between = [#{name => <<"cluster">>, kind => node, result => ok, covers => [], raws => Raws}
               || length(Known) > 1, Raws <- [disagreements(Known)], Raws =/= []],
    {ok, Results ++ Between, table(Known, Options)}.

result(Node, {ok, Facts}, #{now := Now} = Options) ->
    #{name => name(Node), kind => node, result => ok, covers => [], raws => judge(Facts, Now, Options)};
result(Node, {error, Reason}, _Options) ->
    #{name => name(Node), kind => node, result => {error, 0, io_lib:format("it does not answer calls (~0tp)", [Reason])},
      covers => [], raws => []}.

%% Atoms of other nodes: no blanks, nothing that a terminal obeys.
name(Node) -> merlon_wire_io:printable(unicode:characters_to_binary(atom_to_list(Node))).

%% ---- a node ----

-spec judge(merlon_live_facts:facts(), Now :: integer(), map()) -> [map()].
judge(#{node := Node} = Facts, Now, Options) ->
    Found = links(Facts) ++ flags(Facts) ++ cookie(Facts, Options) ++ tls(Facts) ++ listeners(Facts) ++ epmd(Facts) ++ names(Facts)
        ++ [{live_code_path, [printed(Dir)]} || {Dir, writable} <- maps:get(path, Facts)] ++ dates(Facts, Now) ++ advisories(Facts),
    [raw(Rule, Node, What) || {Rule, What} <- Found].

raw(Rule, Node, What) ->
    {ok, Row} = merlon_audit_rules:find(Rule),
    #{rule => Rule, severity => merlon_audit_rules:severity(Row, none), source => live, file => name(Node), line => 0,
      what => unicode:characters_to_binary(What)}.

links(#{links := Links}) ->
    [{Rule, ["to ", name(Peer), [" (hidden)" || Type =:= hidden]]}
     || #{node := Peer, carrier := Carrier, type := Type} <- Links, {ok, Rule} <- [link_rule(Carrier)]].

link_rule(tcp) -> {ok, live_plain_link};
link_rule(tls) -> {ok, live_tls_link};
link_rule(_) -> none.

flags(#{flags := [_, _ | _] = Flags}) ->
    [{live_flags, ["-proto_dist is given ", integer_to_list(length(Flags)), " times"]}];
flags(#{flags := [["merlon" ++ _ | _]], carrier := Carrier}) when Carrier =/= merlon ->
    [{live_flags, ["-proto_dist says merlon, but ", name(Carrier), " is used"]}];
flags(_) -> [].

%% A node over merlon has certificates before it has a cookie.
cookie(#{carrier := merlon}, _Options) -> [];
cookie(Facts, Options) ->
    case class(Facts, Options) of
        {ok, #{weak := true, class := Class}} when Class =/= fine -> [{live_cookie, ["of the kind ", atom_to_list(Class)]}];
        _ -> []
    end.

class(#{node := Node} = Facts, Options) ->
    case maps:merge(maps:with([cookie], Options), maps:with([cookie], Facts)) of
        #{cookie := Cookie} -> {ok, merlon_cookie:analyse(Cookie(), #{names => string:lexemes(atom_to_binary(Node), "@.")})};
        _ -> none
    end.

%% What ssl_dist_optfile lets in. Without `versions` the distribution speaks TLS 1.2.
tls(#{tls := Tls}) ->
    Verifies = maps:get({server, verify}, Tls, {ok, verify_peer}),
    Misses = maps:get({server, fail_if_no_peer_cert}, Tls, {ok, true}),
    [{tls_verify_none, "the distribution's server does not verify"} || Verifies =/= {ok, verify_peer}]
        ++ [{tls_client_cert, "the distribution's server takes clients without a certificate"}
            || Verifies =:= {ok, verify_peer}, Misses =/= {ok, true}]
        ++ [{tls_versions, ["the distribution takes ", version(Version)]}
            || Version <- versions(Tls), Version =/= 'tlsv1.2', Version =/= 'tlsv1.3']
        ++ [{wire_tls_old, "the distribution takes TLS 1.2"} || lists:member('tlsv1.2', versions(Tls))];
tls(_) -> [].

versions(Tls) -> lists:usort(lists:append([versions(Role, Tls) || Role <- [server, client]])).

versions(Role, Tls) ->
    case Tls of
        #{{Role, versions} := {ok, Versions}} when is_list(Versions) -> [Version || Version <- Versions, is_atom(Version)];
        #{{Role, versions} := none} -> ['tlsv1.2'];
        _ -> []
    end.

version('tlsv1.3') -> "TLS 1.3";
version('tlsv1.2') -> "TLS 1.2";
version(Other) -> printed(Other).

%% What it listens with beside the distribution is the application's own affair.
listeners(#{listeners := Listeners} = Facts) ->
    Own = maps:get(port, Facts, none),
    [{live_listener, ["the distribution's ", place(Ip, Port)]} || {Ip, Port} <- Listeners, Port =:= Own, is_any(Ip)]
        ++ [{live_port, place(Ip, Port)} || {Ip, Port} <- Listeners, Port =/= Own].

place(Ip, Port) -> ["port ", integer_to_list(Port), " at ", inet:ntoa(Ip)].

epmd(#{epmd := Ips}) -> [{live_epmd, ["at ", inet:ntoa(Ip)]} || Ip <- Ips, is_any(Ip)].

is_any(Ip) -> lists:all(fun(Part) -> Part =:= 0 end, tuple_to_list(Ip)).

names(#{names := Names}) ->
    [{global_resolver, ["of the name ", printed(Name), ", ", resolver(Resolver)]} || {Name, Resolver} <- Names, not is_globals(Resolver)].

is_globals({global, _}) -> true;
is_globals(Fun) when is_function(Fun) -> erlang:fun_info(Fun, module) =:= {module, global};
is_globals(_) -> false.

%% {Module, Function} of an OTP before 17, a fun since.
resolver(Fun) when is_function(Fun) ->
    [Module, Name, Arity] = [element(2, erlang:fun_info(Fun, Key)) || Key <- [module, name, arity]],
    [printed(Module), $:, printed(Name), $/, integer_to_list(Arity)];
resolver(Other) -> printed(Other).

printed(Term) -> merlon_audit_texts:printable(unicode:characters_to_binary(io_lib:format("~0tp", [Term], [{chars_limit, 190}]))).

dates(#{merlon_links := Links} = Facts, Now) ->
    [{live_certificate, ["its own, ", merlon_text:left(End, Now)]} || End <- own_end(Facts, Now)]
        ++ [{live_certificate, ["that of ", name(Peer), ", ", merlon_text:left(End, Now)]}
            || #{node := Peer, not_after := End} <- Links, End < Now].

%% A node asks for its next one at two thirds of a certificate's life, and has it by three quarters. One without a file it
%% makes itself.
own_end(#{own := {Begin, End}}, Now) -> [End || (End - Now) * 4 < End - Begin];
own_end(#{ends := End}, Now) -> [End || End < Now];
own_end(_, _Now) -> [].

%% What is known of its OTP, and whether what it runs lets that be reached.
advisories(#{otp := Text} = Facts) ->
    [Told || Version <- merlon_audit_advisories:version(Text), Told <- merlon_audit_advisories:told({otp, Version}, has(Facts))];
advisories(_) -> [].

has(#{carrier := Carrier, apps := Apps, settings := Settings} = Facts) ->
    carrier(Carrier, Facts) ++ [check_ip || {check_ip, true} <- Settings]
        ++ [inet_res || {inet_res, true} <- Settings] ++ [App || App <- [ssh, inets], lists:member(App, Apps)].

carrier(inet_tcp, _Facts) -> [tcp_dist];
carrier(inet_tls, #{tls := Tls}) ->
    [tls_dist | [Fact || {Version, Fact} <- [{'tlsv1.2', tls12}, {'tlsv1.3', tls13}], lists:member(Version, versions(Tls))]];
%% By -ssl_dist_opt, whose values may be secret.
carrier(inet_tls, _Facts) -> [tls_dist, tls12, tls13];
carrier(_, _Facts) -> [].

%% ---- between nodes ----

-spec disagreements([merlon_live_facts:facts()]) -> [map()].
disagreements(Known) ->
    Told = [{Key, [{name(Node), Value(Facts)} || #{node := Node} = Facts <- Known]} || {Key, Value} <- compared(Known)],
    [cluster([atom_to_list(Key), ": ", lists:join("; ", [[Value, " (", lists:join(", ", Nodes), ")"] || {Value, Nodes} <- Groups])])
     || {Key, Values} <- Told, Groups <- [grouped(Values)], length(Groups) > 1]
        ++ [cluster([name(A), " is linked to ", name(B), ", which is not linked to it"]) || {A, B} <- one_sided(Known)].

cluster(What) -> (raw(live_disagree, cluster, What))#{file => <<"cluster">>}.

%% Cookies by numbers in the order of nodes, which say nothing of them.
compared(Known) ->
    [{otp, fun(#{otp := Otp}) -> Otp end}, {carrier, fun(#{carrier := Carrier}) -> atom_to_binary(Carrier) end},
     {merlon, fun(Facts) -> maps:get(merlon, Facts, <<"none">>) end}, {cookie, fun(Facts) -> numbered(Facts, Known) end},
     {prevent_overlapping_partitions, fun(Facts) -> setting(prevent_overlapping_partitions, Facts) end},
     {net_ticktime, fun(Facts) -> setting(net_ticktime, Facts) end}, {check_ip, fun(Facts) -> setting(check_ip, Facts) end},
     {tls, fun shown_tls/1}].

setting(Key, #{settings := Settings}) -> printed(proplists:get_value(Key, Settings, unknown)).

numbered(#{cookie := Cookie}, Known) ->
    All = lists:uniq([Other() || #{cookie := Other} <- Known]),
    Before = length(lists:takewhile(fun(Other) -> Other =/= Cookie() end, All)),
    iolist_to_binary(["number ", integer_to_list(Before + 1)]);
numbered(_, _Known) -> <<"not asked for">>.

grouped(Values) ->
    Groups = lists:foldl(fun({Node, Value}, Acc) -> maps:update_with(Value, fun(Nodes) -> Nodes ++ [Node] end, [Node], Acc) end,
                         #{}, Values),
    lists:sort(maps:to_list(Groups)).

one_sided(Known) ->
    Sees = maps:from_list([{Node, [Peer || #{node := Peer} <- Links]} || #{node := Node, links := Links} <- Known]),
    [{A, B} || {A, Peers} <- lists:sort(maps:to_list(Sees)), B <- Peers, is_map_key(B, Sees), not lists:member(A, maps:get(B, Sees))].

%% ---- the table ----

table(Known, Options) ->
    [[{node, name(Node)}, {otp, Otp}, {merlon, maps:get(merlon, Facts, <<"-">>)}, {carrier, atom_to_binary(Carrier)},
      {hidden, case Hidden of true -> <<"hidden">>; false -> <<"normal">> end},
      {tls, shown_tls(Facts)}, {links, summed(Links)}, {listens, listened(Facts)}, {names, integer_to_binary(length(Names))}, {cookie, shown_class(Facts, Options)}, {certificate, ends(Facts)}]
     || #{node := Node, otp := Otp, carrier := Carrier, hidden := Hidden, links := Links, names := Names} = Facts <- Known].

shown_tls(#{carrier := merlon}) -> <<"TLS 1.3">>;
shown_tls(#{carrier := inet_tls, tls := Tls}) -> iolist_to_binary(lists:join(", ", [version(Version) || Version <- versions(Tls)]));
shown_tls(_) -> <<"-">>.

summed(Links) ->
    Counted = lists:foldl(fun(#{carrier := Carrier}, Acc) -> maps:update_with(Carrier, fun(N) -> N + 1 end, 1, Acc) end, #{}, Links),
    case lists:sort(maps:to_list(Counted)) of
        [] -> <<"none">>;
        Counts -> iolist_to_binary(lists:join(", ", [[integer_to_list(N), $\s, name(Carrier)] || {Carrier, N} <- Counts]))
    end.

listened(#{listeners := Listeners, port := Port}) ->
    iolist_to_binary([lists:join(", ", [inet:ntoa(Ip) || {Ip, At} <- Listeners, At =:= Port]), $:, integer_to_list(Port)]);
listened(_) -> <<"-">>.

shown_class(Facts, Options) ->
    case class(Facts, Options) of
        {ok, #{class := Class}} -> atom_to_binary(Class);
        none -> <<"-">>
    end.

ends(#{ends := End}) -> list_to_binary(merlon_text:date(End));
ends(_) -> <<"-">>.
