%% SPDX-License-Identifier: Apache-2.0
-module(corpus_nodes).
-export([remote_node_spawned/1, dial_hidden/1, remote_node/1, remote_node_near/0, remote_node_tricky/1,
         remote_node_near_choice/1, dial/1, dial_near/1, dial_tricky/2,
         cookie_literal/0, cookie_literal_near/1, cookie_literal_tricky/1, global_name/1, global_name_near/0,
         global_name_tricky/1, global_resolver/0, global_resolver_near/0, global_resolver_tricky/1]).
-define(COOKIE, 'monster').

remote_node(Node) -> rpc:call(Node, shop, list, []). %! remote_node low

remote_node_near() -> {erpc:call(node(), shop, list, []), spawn(fun() -> ok end)}. %! remote_node note

%% Bytes name no node: which one serves them another module says.
remote_node_near_choice(Socket) ->
    {ok, Key} = gen_tcp:recv(Socket, 0),
    {ok, Node} = shop_ring:node_of(Key),
    erpc:call(Node, shop, find, [Key]). %! remote_node low

remote_node_tricky(Socket) ->
    {ok, Host} = gen_tcp:recv(Socket, 0),
    Node = list_to_existing_atom("shop@" ++ binary_to_list(Host)),
    Other = {binary_to_term(Host), 1}, %! unsafe_term critical
    spawn(element(1, Other), fun() -> ok end), %! remote_node critical
    erpc:cast(Node, shop, list, []). %! remote_node critical

remote_node_spawned(Node) ->
    proc_lib:spawn(Node, fun() -> ok end), %! remote_node low
    rpc:multi_server_call([Node], shop, list), %! remote_node low
    rpc:eval_everywhere([Node], shop, list, []), %! remote_node low
    spawn_request(Node, fun() -> ok end). %! remote_node low

dial_hidden(Node) -> net_kernel:hidden_connect_node(Node). %! dial low

dial(Node) -> net_kernel:connect_node(Node). %! dial low

dial_near(Node) -> {net_kernel:allow([Node]), lists:member(Node, nodes())}.

dial_tricky(Node, Nodes) ->
    net_adm:ping('shop@db1'), %! dial note
    lists:foreach(fun net_adm:ping/1, Nodes), %! dial low
    apply(net_kernel, connect_node, [Node]). %! dial low

cookie_literal() -> erlang:set_cookie(node(), 'not-a-secret'). %! cookie_literal high

cookie_literal_near(File) ->
    {ok, Text} = file:read_file(File),
    erlang:set_cookie(node(), nocookie),
    erlang:set_cookie(binary_to_existing_atom(Text)).

cookie_literal_tricky(Node) ->
    C = ?COOKIE,
    erlang:set_cookie(Node, C), %! cookie_literal high
    apply(erlang, set_cookie, [Node, list_to_atom("mon" ++ "ster")]). %! cookie_literal high, dynamic_atom note

global_name(Name) -> global:register_name(Name, self()). %! global_name low

global_name_near() -> {global:whereis_name(shop), register(shop, self())}.

global_name_tricky(Socket) ->
    {ok, Name} = gen_tcp:recv(Socket, 0),
    global:re_register_name({user, Name}, self()). %! global_name high

global_resolver() -> global:register_name(shop, self(), fun(_, A, _) -> A end). %! global_resolver low, global_name note

global_resolver_near() -> global:register_name(shop, self(), fun global:random_notify_name/3). %! global_name note

global_resolver_tricky(Name) ->
    Resolve = {?MODULE, resolve},
    global:re_register_name(Name, self(), Resolve). %! global_resolver low, global_name low
