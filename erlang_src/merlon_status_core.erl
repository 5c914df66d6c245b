%% SPDX-License-Identifier: Apache-2.0
%% The status page, as far as it can be thought without a clock or a socket: where it may be served, which requests are
%% answered, what was refused in the last hour, and what is shown. Pure.
-module(merlon_status_core).

-export([place/1, viewer/1, request/4, sample/3, hour/3, tells/1, told/1, view/1, json/1]).
-export_type([place/0, viewer/0, samples/0, facts/0, view/0, told/0]).

-type place() :: off | {inet:ip_address(), inet:port_number()}.
%% Whoever is on this host; or, over TLS, who has shown a tool's certificate of the cluster.
-type viewer() :: local | tool.
%% Refusals by reason since the node started, as they were at that second; the newest first.
-type samples() :: [{At :: integer(), #{atom() => non_neg_integer()}}].
%% What a peer says of one of its links.
-type told() :: #{node := binary(), direction := dial | accept, cipher := binary(), not_after := integer()}.
-type facts() :: #{node := node(), now := integer(), at := integer(), own := {ok, map()} | none,
                   links := [map()], connected := [node()], stats := map(), samples := samples(),
                   peers := #{node() => [told()]}, entries := [map()], preferred := binary() | none}.
-type view() :: #{atom() => term()}.

-define(HOUR, 3600).
%% Of links that a peer tells of, and of bytes of a word of it.
-define(LINKS, 512).
-define(WORD, 512).

%% ---- where ----

%% The value of `{status, ...}` in merlon.config. An error says what it must be.
-spec place(term()) -> {ok, place()} | {error, Must :: iodata()}.
place(off) -> {ok, off};
place({Ip, Port}) when is_integer(Port), Port >= 0, Port =< 65535 -> on(address(Ip), Port);
place(_) -> {error, must()}.

on({ok, Given}, Port) -> {ok, {merlon_cidr:plain(Given), Port}};
on(error, _Port) -> {error, must()}.

%% Who may look at a page that is served there: what others can reach asks them who they are.
-spec viewer(inet:ip_address()) -> viewer().
viewer(Ip) ->
    case merlon_cidr:member(Ip, merlon_cidr:loopback()) of
        true -> local;
        false -> tool
    end.

must() -> "off or {Address, Port}, {\"127.0.0.1\", 4371} for example".

address(Ip) when is_tuple(Ip) ->
    case inet:is_ip_address(Ip) of
        true -> {ok, Ip};
        false -> error
    end;
address(Text) when is_list(Text); is_binary(Text) ->
    try merlon_cidr:address(iolist_to_binary(Text))
    catch error:badarg -> error
    end;
address(_) -> error.

%% ---- which requests ----

%% What a request gets. On loopback the name in Host must mean this very host: a page from elsewhere whose name was made to
%% resolve to loopback (DNS rebinding) comes with its own. Over TLS the client has compared it with the certificate.
-spec request(viewer(), Method :: atom() | binary(), Target :: term(), Hosts :: [binary()]) ->
          page | json | 400 | 404 | 405 | 421.
request(Viewer, Method, Target, [Host]) ->
    case {Viewer =:= tool orelse ours(Host), Method} of
        {false, _} -> 421;
        {true, Known} when Known =:= 'GET'; Known =:= 'HEAD' -> resource(Target);
        {true, _} -> 405
    end;
request(_Viewer, _Method, _Target, _Hosts) -> 400.

ours(Host) ->
    match =:= re:run(Host, "\\A(localhost|127(\\.[0-9]{1,3}){3}|\\[::1\\])(:[0-9]{1,5})?\\z", [caseless, {capture, none}]).

resource({abs_path, <<"/">>}) -> page;
resource({abs_path, <<"/status.json">>}) -> json;
resource({abs_path, _}) -> 404;
resource(_) -> 400.

%% ---- the last hour ----

-spec sample(Now :: integer(), #{atom() => non_neg_integer()}, samples()) -> samples().
sample(Now, Counts, Samples) ->
    [{Now, Counts} | [Sample || {At, _} = Sample <- Samples, At >= Now - ?HOUR]].

%% What was refused since the oldest sample of the last hour, and how many seconds that is.
-spec hour(Now :: integer(), #{atom() => non_neg_integer()}, samples()) ->
          {Seconds :: non_neg_integer(), [{atom(), pos_integer()}]}.
hour(Now, Counts, Samples) ->
    {At, Before} = case [Sample || {At, _} = Sample <- Samples, At >= Now - ?HOUR] of
                       [] -> {Now, Counts};
                       Recent -> lists:last(Recent)
                   end,
    More = [{Count - maps:get(Reason, Before, 0), Reason} || {Reason, Count} <- maps:to_list(Counts)],
    {Now - At, [{Reason, N} || {N, Reason} <- lists:reverse(lists:sort(More)), N > 0]}.

%% ---- between nodes ----

%% What this node tells its peers of its own links.
-spec tells([map()]) -> [told()].
tells(Links) ->
    [#{node => word(Node), direction => Direction, cipher => maps:get(cipher_suite, Link, <<>>),
       not_after => maps:get(not_after, Link, 0)}
     || #{node := Node, direction := Direction} = Link <- lists:sublist(Links, ?LINKS)].

%% What a peer has told, if it has the shape that it must have.
-spec told(term()) -> {ok, [told()]} | error.
told(Links) -> told(Links, ?LINKS, []).

told([], _Left, Good) -> {ok, lists:reverse(Good)};
told([#{node := Node, direction := Direction, cipher := Cipher, not_after := End} | Links], Left, Good)
  when Left > 0, is_binary(Node), byte_size(Node) =< ?WORD, is_binary(Cipher), byte_size(Cipher) =< ?WORD,
       is_integer(End), End >= 0, End < 1 bsl 36, (Direction =:= dial orelse Direction =:= accept) ->
    told(Links, Left - 1, [#{node => Node, direction => Direction, cipher => Cipher, not_after => End} | Good]);
told(_, _, _) -> error.

%% ---- what is shown ----

%% The same for the page, for JSON and for LiveDashboard. Each thing is named here: nothing else gets out.
-spec view(facts()) -> view().
view(#{node := Node, now := Now, at := At, own := Own, links := Links, connected := Connected, stats := Stats,
       samples := Samples, peers := Peers, entries := Entries, preferred := Preferred}) ->
    {Seconds, Refused} = hour(At, maps:get(refusals, Stats), Samples),
    Secured = [To || #{node := To} <- Links],
    #{node => word(Node), now => Now, cluster => cluster(Own), certificate => certificate(Own),
      links => lists:sort(fun by_node/2, [secured(Link) || Link <- Links]) ++ [unsecured(To) || To <- Connected -- Secured],
      peers => [peer(Peer, Peers) || Peer <- neighbours(Links)],
      refusals => #{seconds => Seconds, reasons => [#{reason => Reason, count => N} || {Reason, N} <- Refused]},
      keyring => #{stage => stage(Entries, Now), entries => [entry(Entry, Preferred, Now) || Entry <- Entries]},
      handshakes => maps:get(handshakes, Stats), pending => maps:get(pending, Stats)}.

cluster({ok, #{config := #{cluster := Cluster}}}) -> Cluster;
cluster(none) -> null.

certificate({ok, #{not_after := End, sha256 := Print}}) -> #{not_after => End, fingerprint => Print};
certificate(none) -> null.

by_node(#{node := A}, #{node := B}) -> A =< B.

secured(#{node := Node, direction := Direction} = Link) ->
    Known = maps:with([fingerprint, not_after, tls_version, cipher_suite, key_exchange_group, since, bytes_in, bytes_out,
                       unsent], Link),
    Known#{node => word(Node), direction => Direction, carrier => maps:get(carrier, Link, merlon),
           identity => identity(maps:get(identity, Link, none)),
           peer => ip_port(maps:get(peer, Link, undefined))}.

%% A link beside the carrier, on a node that has others too or none of ours.
unsecured(Node) -> #{node => word(Node), carrier => other}.

identity({Kind, Cluster, Name, Host}) -> iolist_to_binary([atom_to_binary(Kind), $\s, Name, $@, Host, " of ", Cluster]);
identity({hosts, Hosts}) -> iolist_to_binary(["any node of ", lists:join(", ", Hosts)]);
identity(_) -> null.

ip_port({Ip, Port}) -> iolist_to_binary([brackets(Ip, inet:ntoa(Ip)), $:, integer_to_list(Port)]);
ip_port(_) -> null.

brackets(Ip, Text) when tuple_size(Ip) =:= 8 -> [$[, Text, $]];
brackets(_, Text) -> Text.

%% Tools have no links to tell of.
neighbours(Links) -> lists:usort([Node || #{node := Node, identity := {node, _, _, _}} <- Links]).

peer(Node, Peers) ->
    case Peers of
        #{Node := Links} -> #{node => word(Node), tells => true, links => Links};
        #{} -> #{node => word(Node), tells => false, links => []}
    end.

stage([], _Now) -> none;
stage(Entries, Now) ->
    case merlon_rotate_core:phase(Entries, Now) of
        {Stage, _} -> Stage;
        none -> none
    end.

entry(#{id := Id, created := Created, not_before := Begin, not_after := End}, Preferred, Now) ->
    #{id => Id, created => Created, not_before => Begin, not_after => End, stage => entry_stage(Id, Begin, End, Preferred, Now)}.

entry_stage(_, Begin, _, _, Now) when Begin > Now -> spreading;
entry_stage(_, _, End, _, Now) when End =< Now -> ended;
entry_stage(Id, _, _, Id, _) -> in_use;
entry_stage(_, _, never, _, _) -> accepted;
entry_stage(_, _, _, _, _) -> grace.

word(Atom) when is_atom(Atom) -> atom_to_binary(Atom).

%% What merlon_audit_json takes.
-spec json(view()) -> iodata().
json(View) -> merlon_audit_json:encode(value(View)).

value(Map) when is_map(Map) -> {[{Key, value(Value)} || {Key, Value} <- lists:sort(maps:to_list(Map))]};
value(List) when is_list(List) -> [value(Each) || Each <- List];
value(Value) -> Value.
