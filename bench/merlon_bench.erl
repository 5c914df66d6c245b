%% SPDX-License-Identifier: Apache-2.0
%% `make bench`: plain TCP, inet_tls as it comes, inet_tls tuned, and merlon, in turn, in one run.
%% The environment says what to run (bench/run.sh --help).
%%
%% In every round the nodes are new. For each point of each measure all carriers have their turn one
%% after the other, so that what changes on the machine changes for all of them.
-module(merlon_bench).

-export([main/1, measure_all/2]).

-export_type([sample/0, value/0, row/0]).

%% Variant, size in bytes, unit, value.
-type sample() :: {string(), none | mixed | pos_integer(), string(), number()}.
-type key() :: {Measure :: atom(), string(), none | mixed | pos_integer(), string()}.
-type value() :: {Network :: atom(), Carrier :: atom(), key(), Round :: pos_integer(), number()}.
-type row() :: {{{Network :: atom(), Measure :: atom()}, key()}, #{Carrier :: atom() => number()}}.

-spec main([string()]) -> no_return().
main([Tmp, Bench, Out]) ->
    Status = try run(Tmp, Bench, Out)
             catch Class:Reason:Stack ->
                     note(#{}, "~p: ~p~n~p", [Class, Reason, Stack]),
                     1
             end,
    stop_all(),
    halt(Status).

run(Tmp, Bench, Out) ->
    Options = merlon_bench_options:read(),
    Facts = facts(),
    merlon_bench_report:header(Facts),
    {Records, Rows} = measure_all(#{tmp => Tmp, bench => Bench}, Options),
    Carriers = maps:get(carriers, Options),
    ok = merlon_bench_report:print(Rows, Carriers),
    ok = merlon_bench_report:write(Out, Facts, {Records, Rows, Carriers}),
    case get(failures) of
        undefined -> 0;
        N -> note(#{}, "~b measurements failed", [N]), 1
    end.

%% All samples, and their medians over the rounds.
-spec measure_all(#{tmp := file:filename(), _ => _}, merlon_bench_options:options()) -> {[value()], [row()]}.
measure_all(#{tmp := Tmp} = Scene0, #{networks := Networks} = Options) ->
    Scene = Scene0#{dir => merlon_peers:new_dir(Tmp, "bench"), schedulers => maps:get(schedulers, Options)},
    Records = lists:append([network(Network, Scene, Options) || Network <- Networks]),
    {Records, rows(Records)}.

network(Network, Scene0, Options0) ->
    Options = Options0#{network => Network},
    case merlon_bench_net:up(Network, Scene0) of
        {ok, Scene} ->
            Records = lists:append([round(Round, Scene#{network => Network}, Options)
                                    || Round <- lists:seq(1, maps:get(rounds, Options))]),
            ok = merlon_bench_net:down(Network, Scene),
            Records;
        {skipped, Why} ->
            io:format("~s: skipped: ~s~n", [Network, Why]),
            []
    end.

round(Round, Scene, Options) ->
    note(Options, "~s, round ~b of ~b", [maps:get(network, Options), Round, maps:get(rounds, Options)]),
    attempt("nodes a, b, c", fun() -> trio(Round, Scene, Options, wanted(trio, Options)) end) ++
        hubs(Round, Scene, Options, wanted(hub, Options)) ++
        attempt("a node that is dialled", fun() -> doors(Round, Scene, Options, wanted(door, Options)) end) ++
        attempt("probed nodes", fun() -> probed(Round, Scene, Options, wanted(probed, Options)) end).

trio(_, _, _, []) -> [];
trio(Round, Scene, #{carriers := Carriers} = Options, Measures) ->
    Roles = [a, b] ++ [c || lists:any(fun third/1, Measures)],
    Casts = merlon_bench_carriers:trio(Scene, Carriers, Roles, fun keep/1),
    _ = [ok = merlon_bench_carriers:link(Cast, b) || Cast <- Casts],
    Records = [measure(Measure, Casts, Round, Options) || Measure <- Measures],
    _ = [merlon_bench_carriers:stop(Cast) || Cast <- Casts],
    lists:append(Records).

hubs(_, _, _, []) -> [];
hubs(Round, _, #{quick := true}, _) when Round > 1 -> [];
hubs(Round, Scene, #{carriers := Carriers, peers := N} = Options, Measures) ->
    Hub = fun(Carrier) ->
                  Cast = merlon_bench_carriers:hub(Scene, Carrier, N + 1, fun keep/1),
                  Records = [measure(Measure, [Cast], Round, Options) || Measure <- Measures],
                  merlon_bench_carriers:stop(Cast),
                  lists:append(Records)
          end,
    lists:append([attempt({hub, Carrier}, fun() -> Hub(Carrier) end) || Carrier <- Carriers]).

doors(Round, _, #{quick := true}, _) when Round > 1 -> [];
doors(Round, Scene0, #{carriers := Carriers} = Options, Measures) ->
    case [Measure || {Name, Module} = Measure <- Measures, is_possible(Round, Name, Module, Scene0)] of
        [] -> [];
        Possible ->
            Scene = merlon_bench_dialers:scene(Scene0),
            Casts = merlon_bench_carriers:doors(Scene, Carriers, lists:keymember(refusals, 1, Possible), fun keep/1),
            Records = [measure(Measure, Casts, Round, Options) || Measure <- Possible],
            _ = [merlon_bench_carriers:stop(Cast) || Cast <- Casts],
            lists:append(Records)
    end.

is_possible(Round, Name, Module, Scene) ->
    Possible = Module:possible(Scene),
    Possible orelse Round > 1 orelse io:format("~s: skipped: no cargo or no C compiler, or what it needs does not build (see above)~n",
                                                     [Name]),
    Possible.

%% Counts do not vary: once.
probed(1, Scene, #{carriers := Carriers} = Options, [Measure]) ->
    case merlon_bench_counts:possible(Scene) of
        true ->
            Casts = merlon_bench_carriers:probed(Scene, Carriers, fun keep/1),
            _ = [ok = merlon_bench_carriers:link(Cast, b) || Cast <- Casts],
            Records = measure(Measure, Casts, 1, Options),
            _ = [merlon_bench_carriers:stop(Cast) || Cast <- Casts],
            [Record || {_, _, {Name, _, _, _}, _, _} = Record <- Records, Name =/= long_schedule];
        false ->
            io:format("counts: skipped: no C compiler or no erl_nif.h~n"),
            []
    end;
probed(_, _, _, _) ->
    [].

%% The order matters: the last of a trio kills nodes; a hub's memory is looked at while it is new.
measures(loopback, trio) ->
    [{throughput, merlon_bench_traffic}, {mixed, merlon_bench_traffic}, {roundtrip, merlon_bench_traffic},
     {erpc, merlon_bench_traffic}, {setup, merlon_bench_links}, {fairness, merlon_bench_traffic},
     {nodedown, merlon_bench_links}];
measures(loopback, hub) -> [{memory, merlon_bench_links}, {links, merlon_bench_links}];
measures(loopback, door) -> [{dialers, merlon_bench_dialers}, {refusals, merlon_bench_refusals}];
measures(loopback, probed) -> [{counts, merlon_bench_counts}];
measures(_, trio) ->
    [{throughput, merlon_bench_traffic}, {roundtrip, merlon_bench_traffic}, {fairness, merlon_bench_traffic}];
measures(_, _) -> [].

%% Whether a measure needs a third node.
third({Measure, _}) -> Measure =:= fairness orelse Measure =:= nodedown.

wanted(Kind, #{network := Network, only := Only}) ->
    [Measure || {Name, _} = Measure <- measures(Network, Kind), Only =:= all orelse lists:member(Name, Only)].

measure({Measure, Module}, Casts, Round, #{network := Network} = Options) ->
    %% What happened before is not this measure's.
    _ = [merlon_bench_carriers:places(Cast) || Cast <- Casts],
    note(Options, "  ~s~s", [Measure, [[$\s, atom_to_list(C)] || #{carrier := C} <- Casts, length(Casts) =:= 1]]),
    Samples = [{Cast, Measure, Sample} || Point <- Module:points(Measure, Options), Cast <- Casts,
                                          Sample <- point({Measure, Point}, Module, Cast, Options)],
    Held = [{Cast, long_schedule, Sample} || Cast <- Casts, Sample <- held(Measure, Cast, Options)],
    [{Network, Carrier, {M, Variant, Size, Unit}, Round, Value}
     || {#{carrier := Carrier}, M, {Variant, Size, Unit, Value}} <- Samples ++ Held].

point({Measure, Point}, Module, #{carrier := Carrier} = Cast, Options) ->
    attempt({Measure, Point, Carrier}, fun() -> Module:run({Measure, Point}, Cast, Options) end).

%% What fails is left out of the tables, told, and makes the run's exit code 1.
attempt(What, Fun) ->
    try Fun()
    catch Class:Reason ->
            put(failures, 1 + case get(failures) of undefined -> 0; N -> N end),
            note(#{}, "  FAILED ~p: ~p ~P", [What, Class, Reason, 20]),
            []
    end.

%% How often a scheduler was held during this measure in the carrier's code, and elsewhere.
held(Measure, #{carrier := Carrier} = Cast, Options) ->
    Places = merlon_bench_carriers:places(Cast),
    {Own, Others} = lists:partition(fun({Place, _}) -> merlon_bench_watch:is_carrier(Carrier, Place) end, Places),
    _ = [note(Options, "    ~s held a scheduler ~b x, at most ~b ms: ~s", [Carrier, N, Ms, Place])
         || {Place, {N, Ms}} <- lists:sort(Own)],
    [{atom_to_list(Measure), none, "events " ++ Where, lists:sum([N || {_, {N, _}} <- Found])}
     || {Where, Found} <- [{"in the carrier", Own}, {"elsewhere", Others}]].

%% Medians over the rounds; events add up.
rows(Records) ->
    {Last, First} = lists:partition(fun({{_, Measure}, _}) -> Measure =:= long_schedule end,
                                    [{{Network, element(1, Key)}, Key} || {Network, _, Key, _, _} <- Records]),
    Values = lists:foldl(fun({Network, Carrier, Key, _, Value}, Map) ->
                                 maps:update_with({Network, Key, Carrier}, fun(Vs) -> [Value | Vs] end,
                                                  [Value], Map)
                         end, #{}, Records),
    [{{Title, Key}, maps:from_list([{C, summed(Key, Vs)} || {{N, K, C}, Vs} <- maps:to_list(Values),
                                                            N =:= Network, K =:= Key])}
     || {{Network, _} = Title, Key} <- unique(First ++ Last, #{})].

summed({long_schedule, _, _, _}, Values) -> lists:sum(Values);
summed(_, Values) -> merlon_bench_stat:median(Values).

unique([], _) -> [];
unique([Key | Rest], Seen) when is_map_key(Key, Seen) -> unique(Rest, Seen);
unique([Key | Rest], Seen) -> [Key | unique(Rest, Seen#{Key => true})].

facts() ->
    {ok, CpuInfo} = file:read_file("/proc/cpuinfo"),
    Cpu = case re:run(CpuInfo, "model name\\s*: (.*)", [{capture, all_but_first, list}]) of
              {match, [Model]} -> Model;
              nomatch -> erlang:system_info(system_architecture)
          end,
    {ok, Kernel} = file:read_file("/proc/sys/kernel/osrelease"),
    _ = application:load(merlon),
    {ok, Vsn} = application:get_key(merlon, vsn),
    #{date => calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]), vsn => Vsn,
      otp => erlang:system_info(otp_release), cores => erlang:system_info(logical_processors),
      cpu => Cpu, kernel => string:trim(binary_to_list(Kernel))}.

%% Nodes are remembered, so that none outlives a run that breaks off.
keep(#{peer := Peer}) -> put({peer, Peer}, Peer).

stop_all() ->
    _ = [merlon_peers:stop(Peer) || {{peer, Peer}, _} <- get()],
    ok.

note(#{progress := false}, _, _) -> ok;
note(_, Format, Args) -> io:format(standard_error, Format ++ "~n", Args).
