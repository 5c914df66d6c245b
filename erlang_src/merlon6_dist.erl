%% SPDX-License-Identifier: Apache-2.0
%% `-proto_dist merlon6`: as merlon_dist, over IPv6. The callbacks that net_kernel calls (OTP's "alternative carrier"
%% contract). Bodies live in merlon_acceptor (listening) and merlon_hs (handshakes).
-module(merlon6_dist).

-export([childspecs/0, listen/1, listen/2, accept/1, accept_connection/5, setup/5, close/1]).
-export([select/1, address/0, address/1, setopts/2, getopts/2, is_node_name/1]).

-spec childspecs() -> {ok, [supervisor:child_spec()]}.
childspecs() ->
    %% Beside merlon_dist (`-proto_dist merlon merlon6`) its children serve both.
    {ok, Specs} = merlon_dist:childspecs(),
    case init:get_argument(proto_dist) of
        {ok, [Protos | _]} -> {ok, [Spec || not lists:member("merlon", Protos), Spec <- Specs]};
        _ -> {ok, Specs}
    end.

-spec listen(atom()) -> merlon_acceptor:listen_result().
listen(Name) -> merlon_acceptor:listen(inet6, Name).

-spec listen(atom(), string()) -> merlon_acceptor:listen_result().
listen(Name, Host) -> merlon_acceptor:listen(inet6, Name, Host).

-spec accept(merlon_acceptor:listeners()) -> pid().
accept(Listeners) -> merlon_acceptor:start(inet6, Listeners).

-spec accept_connection(pid(), term(), node(), list(), non_neg_integer()) -> pid().
accept_connection(AcceptPid, Link, MyNode, Allowed, SetupTime) ->
    merlon_hs:accept_connection(AcceptPid, Link, MyNode, Allowed, SetupTime).

-spec setup(node(), normal | hidden, node(), longnames | shortnames, non_neg_integer()) -> pid().
setup(Node, Type, MyNode, LongOrShort, SetupTime) ->
    merlon_hs:setup(inet6, Node, Type, MyNode, LongOrShort, SetupTime).

-spec close(merlon_acceptor:listeners()) -> ok.
close(Listeners) -> merlon_acceptor:close(Listeners).

-spec select(node()) -> boolean().
select(Node) -> merlon_hs:select(inet6, Node).

-spec address() -> term().
address() -> merlon_hs:address(inet6).

-spec address(string()) -> term().
address(Host) -> merlon_hs:address(inet6, Host).

-spec setopts(merlon_acceptor:listeners(), list()) -> ok | {error, term()}.
setopts(Listeners, Opts) -> merlon_acceptor:setopts(Listeners, Opts).

-spec getopts(merlon_acceptor:listeners(), list()) -> {ok, list()} | {error, term()}.
getopts([Listener | _], Opts) -> merlon_nif:getopts(Listener, Opts).

-spec is_node_name(node()) -> boolean().
is_node_name(Node) -> dist_util:is_node_name(atom_to_list(Node)).
