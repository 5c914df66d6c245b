%% SPDX-License-Identifier: Apache-2.0
%% What comes to a node's port: 200 nodes that dial it (native/dev/dialers), up to where it has let their name into the dist
%% handshake.
-module(merlon_bench_dialers).

-export([possible/1, points/2, run/3, scene/1, cpu_ns/1]).

-define(NODES, 200).
-define(CLUSTER, "door").

%% Whether there is a client, which run.sh builds where cargo is.
-spec possible(#{tmp := string(), _ => _}) -> boolean().
possible(#{tmp := Tmp}) ->
    filelib:is_regular(client(Tmp)).

client(Tmp) -> filename:join(Tmp, "merlon_dialers").

%% With a merlon dir of its own: the dialling nodes are in it. 127.0.0.9 may not come (merlon_bench_refusals); the
%% deadline is short, as silence is waited for.
-spec scene(map()) -> map().
scene(#{tmp := Tmp} = Scene) ->
    Dir = merlon_peers:new_dir(Tmp, ?CLUSTER),
    Settings = [{cluster, ?CLUSTER}, {deny, ["127.0.0.9"]}, {handshake_timeout, 1500}],
    ok = file:write_file(filename:join(Dir, "merlon.config"), [io_lib:format("~p.~n", [Setting]) || Setting <- Settings]),
    _ = [ok = merlon_peers:add_node(Dir, list_to_atom(lists:concat(["dialer", N, "@localhost"])))
         || N <- lists:seq(1, ?NODES)],
    Scene#{dir => Dir}.

%% How many dial at once: one shows what it takes, sixteen how many there can be in a second. Apart: the node has one core, and
%% the client others, as if it were another machine; then it is the node alone that the rate is about.
%% CPU us: of the node that is dialled, for each that was let in; with one at a time most of it is waiting (`+sbwt`).
-spec points(atom(), map()) -> [term()].
points(dialers, _) -> [{Where, AtOnce} || Where <- [beside | [apart || can_part()]], AtOnce <- [1, 16]].

can_part() ->
    erlang:system_info(logical_processors_available) > 1 andalso os:find_executable("taskset") =/= false.

-spec run({atom(), term()}, merlon_bench_carriers:cast(), map()) -> [merlon_bench:sample()].
run({dialers, _}, #{carrier := tcp}, _) -> [];
run({dialers, {Where, AtOnce}}, #{carrier := Carrier} = Cast, #{dial_ms := Ms}) ->
    Client = cores(Where, Cast),
    _ = dialled(Carrier, Cast, Client, AtOnce, 300),
    Before = cpu(Cast),
    [Up, Refused, Seconds | Micros] = dialled(Carrier, Cast, Client, AtOnce, Ms),
    true = Refused * 200 < Up,
    Cpu = (cpu(Cast) - Before) / 1000 / Up,
    Variant = lists:concat(["200_nodes_", AtOnce, "_at_once", case Where of apart -> "_apart"; beside -> "" end]),
    [{Variant, none, "handshakes/s", Up / Seconds}, {Variant, none, "CPU us", Cpu}
     | [{lists:concat([Variant, "_p", P]), none, "us", Us} || {P, Us} <- lists:zip([50, 90, 99], Micros)]].

%% Gives the node its cores; how the client is begun.
cores(Where, Cast) ->
    Last = erlang:system_info(logical_processors_available) - 1,
    {Node, Client} = case Where of
                         apart -> {integer_to_list(Last), lists:concat(["taskset -c 0-", Last - 1, " "])};
                         beside -> {lists:concat(["0-", Last]), ""}
                     end,
    _ = [os:cmd("taskset -a -p -c " ++ Node ++ " " ++ merlon_bench_carriers:os_pid(Cast, door)) || can_part()],
    Client.

%% Up, refused, seconds, and percentiles.
dialled(Carrier, #{tmp := Tmp, dir := Dir} = Cast, Client, AtOnce, Ms) ->
    Node = atom_to_list(merlon_bench_carriers:node(Cast, door)),
    [Name, _] = string:split(Node, "@"),
    {port, Port, _} = erl_epmd:port_please(Name, {127, 0, 0, 1}),
    Args = [speaks(Carrier), lists:concat(["127.0.0.1:", Port]), Node, Dir, ?CLUSTER,
            integer_to_list(element(2, erts_internal:get_dflags())), integer_to_list(AtOnce), float_to_list(Ms / 1000)],
    Command = lists:join($\s, ["printf merlonbench |", Client ++ client(Tmp) | [[$', Arg, $'] || Arg <- Args]]),
    Lines = string:lexemes(os:cmd(lists:flatten(Command)), "\n"),
    _ = [io:format(standard_error, "    ~s~n", [Line]) || Line <- lists:droplast(Lines)],
    [number(Word) || Word <- string:lexemes(lists:last(Lines), " ")].

speaks(merlon) -> "merlon";
speaks(_) -> "inet_tls".

number(Word) ->
    try list_to_float(Word) catch error:badarg -> list_to_integer(Word) end.

cpu(Cast) -> cpu_ns(merlon_bench_carriers:os_pid(Cast, door)).

%% Nanoseconds that all threads of a process have had a core for so far (proc(5), schedstat).
-spec cpu_ns(OsPid :: string()) -> non_neg_integer().
cpu_ns(OsPid) ->
    lists:sum([begin
                   {ok, Text} = file:read_file(File),
                   [Ns | _] = binary:split(Text, <<" ">>),
                   binary_to_integer(Ns)
               end || File <- filelib:wildcard("/proc/" ++ OsPid ++ "/task/*/schedstat")]).
