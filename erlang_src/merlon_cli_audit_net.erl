%% SPDX-License-Identifier: Apache-2.0
%% `merlon audit --node`, `--wire` and `--bait`: the audit of what runs. Reports are those of `merlon audit`.
-module(merlon_cli_audit_net).

-export([options/0, scan/2]).

-define(WAIT, 60).
-define(CARRIERS, [merlon, merlon6, inet_tcp, inet6_tcp, inet_tls, inet6_tls]).

-spec options() -> [{atom(), term(), string()}].
options() ->
    [{node, {text, "NODE"}, "look at that running node, through a link to it"},
     {cluster, flag, "and at all nodes that it is linked to, through its links"},
     {over, {one_of, ?CARRIERS}, "the carrier of that link; merlon by default"},
     {optfile, {text, "FILE"}, "ssl_dist_optfile for --over inet_tls"},
     {dir, {text, "DIR"}, "the merlon dir for that link; by default this user's"},
     {as, {text, "NAME@HOST"}, "the name to link as; by default one of a tool's"},
     {cookie, {text, "FILE"}, "the cookie for that link, or to compare digests with"},
     {wire, {many, "HOST[:PORT]"}, "look at that host as a stranger; may be given again"},
     {bait, {text, "ADDR"}, "be a decoy node there, and see who dials it"},
     {for, {text, "TIME"}, "how long the decoy waits: 60s by default, 10m"},
     {gossip, {text, "ADDR:PORT"}, "send one heartbeat of libcluster's there that names the decoy"},
     {keep, {text, "FILE"}, "append challenge and digest of who answered the decoy to it"}].

%% `none`: it is the code that is to be looked at.
-spec scan(merlon_cli_args:options(), Settings :: map()) ->
          none | {ok, merlon_audit:report()} | {usage | unreadable, iodata()}.
scan(Options, Settings) ->
    case {[Key || Key <- [node, wire, bait], is_map_key(Key, Options)], stray(Options)} of
        {[], []} -> none;
        {[_], [argument | _]} -> {usage, "PATH does not go with --node, --wire or --bait"};
        {[Key], []} -> chosen(Key, Options, Settings);
        {[], [Key | _]} -> {usage, ["--", atom_to_list(Key), " goes with ", lists:join(" or ", with(Key))]};
        {[_], [Key | _]} -> {usage, ["--", atom_to_list(Key), " goes with ", lists:join(" or ", with(Key))]};
        {_, _} -> {usage, "only one of --node, --wire and --bait at a time"}
    end.

%% Options that go with none of those that are given.
stray(Options) ->
    Mode = [Key || Key <- [node, wire, bait], is_map_key(Key, Options)],
    [argument || is_map_key(argument, Options), Mode =/= []]
        ++ [Key || {Key, _, _} <- options(), is_map_key(Key, Options), not lists:member(Key, [node, wire, bait]),
                   [] =:= [Word || Word <- with(Key), lists:member(Word, ["--" ++ atom_to_list(M) || M <- Mode])]].

with(Key) when Key =:= for; Key =:= gossip; Key =:= keep -> ["--bait"];
with(cookie) -> ["--node", "--bait"];
with(_) -> ["--node"].

chosen(wire, #{wire := Targets}, Settings) -> wire(Targets, [], Settings);
chosen(node, Options, Settings) -> node(Options, Settings);
chosen(bait, Options, Settings) -> bait(Options, Settings).

%% ---- wire ----

wire([], Results, Settings) -> {ok, merlon_audit:assembled(port, Results, Settings)};
wire([Text | Targets], Results, Settings) ->
    case merlon_wire:target(Text) of
        {ok, Target} ->
            case merlon_wire:scan(Target, #{}) of
                {ok, More} -> wire(Targets, Results ++ More, Settings);
                {error, Words} -> {unreadable, Words}
            end;
        error -> {usage, "--wire wants HOST, HOST:PORT or [IPv6]:PORT"}
    end.

%% ---- a node ----

node(#{node := Node} = Options, Settings) ->
    case {re:run(Node, "\\A[^@\\s\\x00-\\x1f]{1,200}@[^@\\s\\x00-\\x1f]{1,200}\\z", [{capture, none}]), way(Options)} of
        {nomatch, _} -> {usage, "--node wants a node's name, NAME@HOST"};
        {match, {error, Words}} -> {unreadable, Words};
        {match, {ok, Way}} -> linked(Node, Way, Options, Settings)
    end.

way(#{over := Carrier} = Options) when Carrier =/= merlon, Carrier =/= merlon6 ->
    {ok, maps:merge(maps:with([as, optfile], Options), #{carrier => Carrier})};
way(Options) ->
    case Options of
        #{dir := Dir} -> {ok, way(filename:absname(Dir), Options)};
        _ -> found(merlon_dir:find(), Options)
    end.

found({ok, Dir}, Options) -> {ok, way(Dir, Options)};
found({error, Reason}, _Options) -> {error, merlon_dir:format_error(Reason)}.

way(Dir, Options) -> maps:merge(maps:with([as], Options), #{carrier => maps:get(over, Options, merlon), dir => Dir}).

linked(Node, #{carrier := Carrier} = Way, Options, Settings) ->
    case merlon_tool_vm:name(Node, Way) of
        {ok, Own} ->
            Cookie = cookie(Options),
            case merlon_tool_vm:start(maps:merge(maps:without([as], Way), Cookie#{name => Own, target => Node})) of
                {ok, Vm} ->
                    Live = Cookie#{call => fun(M, F, A, T) -> merlon_tool_vm:call(Vm, M, F, A, T) end,
                                   cluster => maps:get(cluster, Options, false), now => erlang:system_time(second),
                                   secretly => Carrier =/= inet_tcp andalso Carrier =/= inet6_tcp},
                    try live(Node, Live, Settings) after merlon_tool_vm:stop(Vm) end;
                {error, Words} -> {unreadable, Words}
            end;
        {error, Words} -> {unreadable, Words}
    end.

live(Node, Live, Settings) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because the operator has typed the name
    case merlon_audit_live:scan(list_to_atom(Node), Live) of
        {ok, Results, Table} -> {ok, (merlon_audit:assembled(node, Results, Settings))#{nodes => Table}};
        {error, Words} -> {unreadable, Words}
    end.

cookie(Options) ->
    case merlon_doctor_node:cookie(Options) of
        {ok, Cookie} -> #{cookie => Cookie};
        none -> #{}
    end.

%% ---- bait ----

bait(#{bait := Address} = Options, Settings) ->
    case {inet:parse_strict_address(Address), seconds(Options), gossip(Options)} of
        {{error, _}, _, _} -> {usage, "--bait wants an address of this machine, such as 127.0.0.1"};
        {_, error, _} -> {usage, "--for wants a time of at most a day, such as 60s, 10m or 2h"};
        {_, _, error} -> {usage, "--gossip wants ADDR:PORT, such as 230.1.1.251:45892"};
        {{ok, Ip}, {ok, Seconds}, {ok, Gossip}} ->
            Bait = maps:merge(maps:with([keep], Options), Gossip),
            caught(merlon_bait:run(Ip, Bait#{milliseconds => Seconds * 1000, name => name(), cookies => cookies(Options),
                                             told => fun(Text) -> io:put_chars(standard_error, Text) end}), Settings)
    end.

caught({ok, Raws}, Settings) ->
    Results = [#{name => File, kind => connection, result => ok, covers => [], raws => [Raw]} || #{file := File} = Raw <- Raws],
    {ok, merlon_audit:assembled(connection, Results, Settings)};
caught({error, Reason}, _Settings) -> {unreadable, merlon_bait:format_error(Reason)}.

%% Two decoys on a host are two names of its epmd.
name() -> iolist_to_binary(io_lib:format("merlon_bait_~ts", [os:getpid()])).

cookies(Options) ->
    case merlon_doctor_node:cookie(Options) of
        {ok, Cookie} -> [{maps:get(cookie, Options, merlon_cookie:default_file()), Cookie}];
        none -> []
    end.

seconds(#{for := Text}) ->
    case string:to_integer(Text) of
        {Count, [Unit]} when is_integer(Count), Count > 0, Count =< 86400 ->
            in_unit(Count, lists:keyfind(Unit, 1, [{$s, 1}, {$m, 60}, {$h, 3600}]));
        _ -> error
    end;
seconds(_) -> {ok, ?WAIT}.

in_unit(Count, {_, Seconds}) when Count * Seconds =< 86400 -> {ok, Count * Seconds};
in_unit(_, _) -> error.

gossip(#{gossip := Text}) ->
    case merlon_wire:target(Text) of
        {ok, {Host, Port}} when is_integer(Port) ->
            case inet:parse_strict_address(Host) of
                {ok, Ip} -> {ok, #{gossip => {Ip, Port}}};
                {error, _} -> error
            end;
        _ -> error
    end;
gossip(_) -> {ok, #{}}.
