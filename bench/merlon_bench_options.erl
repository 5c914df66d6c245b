%% SPDX-License-Identifier: Apache-2.0
%% The knobs, which are environment variables (bench/run.sh --help).
-module(merlon_bench_options).

-export([read/0, default/1]).

-export_type([options/0]).

%% schedulers: of each of the nodes a, b and c; ms: how long a stream lasts; samples: of a round trip; setups, links: how often; peers: of the hub; dial_ms: how long dialers dial; refusals: how many;
%% progress: whether it is told on stderr.
-type options() :: #{quick := boolean(), rounds := pos_integer(), ms := pos_integer(),
                     samples := pos_integer(), setups := pos_integer(), links := pos_integer(),
                     peers := pos_integer(), dial_ms := pos_integer(), refusals := pos_integer(),
                     sizes := default | [pos_integer()], schedulers := default | pos_integer(),
                     only := all | [atom()], carriers := [atom()], networks := [atom()],
                     progress := boolean()}.

-spec read() -> options().
read() ->
    Default = default(os:getenv("QUICK", "") =/= ""),
    #{rounds := Rounds, carriers := Carriers, networks := Networks} = Default,
    Default#{rounds := hd(numbers("ROUNDS", [Rounds])),
             sizes := numbers("SIZES", default),
             schedulers := first(numbers("SCHEDULERS", default)),
             only := atoms("ONLY", all, measures()),
             carriers := atoms("CARRIERS", Carriers, Carriers),
             networks := atoms("NETWORKS", Networks, networks(false))}.

-spec default(Quick :: boolean()) -> options().
default(Quick) ->
    Base = case Quick of
               false -> #{rounds => 3, ms => 700, samples => 5000, setups => 30, links => 5, peers => 50,
                          dial_ms => 3000, refusals => 1000};
               true -> #{rounds => 1, ms => 300, samples => 1500, setups => 10, links => 3, peers => 20,
                         dial_ms => 800, refusals => 200}
           end,
    Base#{quick => Quick, progress => true, sizes => default, schedulers => default, only => all,
          carriers => merlon_bench_carriers:all(), networks => networks(Quick)}.

measures() -> [throughput, mixed, roundtrip, erpc, setup, fairness, nodedown, memory, links, dialers, refusals, counts].

networks(true) -> [loopback];
networks(false) -> [loopback | merlon_bench_net:all()].

numbers(Name, Default) ->
    case words(Name) of
        [] -> Default;
        Words -> [number(Name, Word) || Word <- Words]
    end.

first(default) -> default;
first([N | _]) -> N.

number(Name, Word) ->
    case string:to_integer(Word) of
        {N, ""} when N > 0 -> N;
        _ -> wrong(Name, Word, ["a positive number"])
    end.

%% In the order of Allowed, whatever the order was.
atoms(Name, Default, Allowed) ->
    case words(Name) of
        [] -> Default;
        Words ->
            Known = [atom_to_list(A) || A <- Allowed],
            _ = [wrong(Name, Word, Known) || Word <- Words, not lists:member(Word, Known)],
            [A || A <- Allowed, lists:member(atom_to_list(A), Words)]
    end.

words(Name) -> string:lexemes(os:getenv(Name, ""), ", ").

wrong(Name, Word, Known) ->
    io:format(standard_error, "bench: ~s: ~s is not one of: ~s~n", [Name, Word, lists:join(", ", Known)]),
    halt(2).
