%% SPDX-License-Identifier: Apache-2.0
%% What it costs a node to refuse somebody, from the SYN until the connection is gone.
-module(merlon_bench_refusals).

-export([possible/1, points/2, run/3, probe/1]).

-define(CLUSTER, <<"door">>).
-define(COOKIE, <<"merlonbench">>).
%% Idle time whose costs are taken off.
-define(IDLE, 1000).
%% Silent ones at a time: less than `max_handshakes`.
-define(SILENT, 50).

%% Whether there is a probe, which run.sh builds where a C compiler is.
-spec possible(#{tmp := string(), _ => _}) -> boolean().
possible(#{tmp := Tmp}) -> filelib:is_regular(probe(Tmp)).

-spec probe(string()) -> file:filename().
probe(Tmp) -> filename:join(Tmp, "allocations.so").

%% denied: its address may not come. garbage: what it sends is no TLS. silent: it says nothing until its time is up.
%% no_certificate, wrong_ca: so much of TLS. wrong_name: a good certificate, of another node. wrong_secret: another cookie.
-spec points(atom(), map()) -> [term()].
points(refusals, _) -> [denied, garbage, silent, no_certificate, wrong_ca, wrong_name, wrong_secret].

%% CPU us: of the node, for each. KB, allocations: what it asks for meanwhile, native library and VM, given back or not; counted
%% in a node of its own, whose VM allocates by malloc alone.
-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({refusals, Kind}, #{carrier := merlon} = Cast, #{refusals := Count}) ->
    OsPid = merlon_bench_carriers:os_pid(Cast, quiet),
    [Ns] = each(Kind, Cast, quiet, Count, fun() -> [merlon_bench_dialers:cpu_ns(OsPid)] end),
    File = merlon_bench_carriers:counters(Cast, counted),
    [Calls, Bytes] = each(Kind, Cast, counted, Count, fun() -> counters(File) end),
    Variant = atom_to_list(Kind),
    [{Variant, none, "CPU us", Ns / 1000}, {Variant, none, "KB", Bytes / 1000}, {Variant, none, "allocations", Calls}];
run({refusals, _}, _, _) -> [].

%% struct counters of allocations.c.
counters(File) ->
    {ok, <<Calls:64/native, Bytes:64/native>>} = file:read_file(File),
    [Calls, Bytes].

%% By how much what Read gives grows for each that is refused, beyond what it grows by itself.
each(Kind, Cast, Role, Count, Read) ->
    Address = address(merlon_bench_carriers:node(Cast, Role)),
    Attack = attack(Kind, Cast, Role, #{address => Address}),
    _ = times(Kind, Attack, 20),
    {_, IdleUs, Idle} = grown(Read, fun() -> timer:sleep(?IDLE) end),
    {Done, Us, Grown} = grown(Read, fun() -> times(Kind, Attack, Count) end),
    [max(0, G - I * Us / IdleUs) / length(Done) || {G, I} <- lists:zip(Grown, Idle)].

grown(Read, Work) ->
    {Start, Before} = {erlang:monotonic_time(microsecond), Read()},
    Done = Work(),
    {Done, erlang:monotonic_time(microsecond) - Start, [A - B || {A, B} <- lists:zip(Read(), Before)]}.

%% Silence takes its time: fewer of them.
times(silent, Attack, Count) ->
    [Each || _ <- lists:seq(1, max(1, Count div ?SILENT div 4)), Each <- at_once(Attack, ?SILENT)];
times(_, Attack, Count) -> [Attack() || _ <- lists:seq(1, Count)].

at_once(Attack, Count) ->
    Workers = [spawn_monitor(Attack) || _ <- lists:seq(1, Count)],
    [receive {'DOWN', Ref, process, _, normal} -> ok end || {_, Ref} <- Workers].

address(Node) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    {{127, 0, 0, 1}, Port}.

%% A fun that is refused once, and knows it.
attack(denied, _, _, Victim) -> raw({127, 0, 0, 9}, <<>>, Victim);
attack(garbage, _, _, Victim) -> raw({127, 0, 0, 1}, <<"GET / HTTP/1.1\r\n\r\n">>, Victim);
attack(silent, _, _, Victim) -> raw({127, 0, 0, 1}, <<>>, Victim);
attack(no_certificate, _, _, Victim) ->
    {ok, _} = application:ensure_all_started(ssl),
    fun() -> {certificate_required, _} = merlon_attacker:verdict(Victim, []) end;
attack(wrong_ca, #{tmp := Tmp}, _, Victim) ->
    Other = merlon_peers:new_dir(Tmp, binary_to_list(?CLUSTER)),
    ok = merlon_peers:add_node(Other, 'dialer1@localhost'),
    Opts = merlon_attacker:ssl_opts(filename:join([Other, "nodes", "dialer1@localhost"])),
    fun() -> {Alert, _} = merlon_attacker:verdict(Victim, Opts), true = is_atom(Alert) end;
attack(wrong_name, Cast, Role, Victim) -> dial(own(Cast), <<"dialer2@localhost">>, ?COOKIE, Cast, Role, Victim);
attack(wrong_secret, Cast, Role, Victim) -> dial(own(Cast), <<"dialer1@localhost">>, <<"another">>, Cast, Role, Victim).

own(#{dir := Dir}) -> merlon_attacker:identity(Dir, 'dialer1@localhost', Dir, ?CLUSTER).

raw(Source, Bytes, #{address := {Ip, Port}}) ->
    fun() ->
            {ok, Socket} = gen_tcp:connect(Ip, Port, [binary, {active, false}, {ip, Source}]),
            _ = gen_tcp:send(Socket, Bytes),
            _ = merlon_attacker:last_words(Socket),
            gen_tcp:close(Socket)
    end.

dial(Identity, Own, Cookie, Cast, Role, Victim) ->
    Target = atom_to_binary(merlon_bench_carriers:node(Cast, Role)),
    fun() ->
            {{error, _}, Conn, _} = merlon_attacker:dial(Victim, Identity, Own, Target, Cookie),
            merlon_nif:close(Conn)
    end.
