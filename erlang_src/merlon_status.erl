%% SPDX-License-Identifier: Apache-2.0
%% What the status page knows. Takes a sample of the refusals every minute, and while somebody looks asks this node's peers
%% for their links, every two seconds. Messages go to the process of this name on the peer and nobody waits for an answer:
%% an older merlon has no such process, nor has a node on which the application is not started.
-module(merlon_status).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, view/0, address/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SAMPLE, 60000).
%% Seconds between two questions, and after which an answer is too old to be shown.
-define(ASK, 2).
-define(OLD, 10).
-define(PEERS, 256).

-record(state, {samples :: merlon_status_core:samples(), asked = never :: never | integer(),
                told = #{} :: #{node() => {At :: integer(), [merlon_status_core:told()]}}}).

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% What there is to see on this node now: its links and how each is secured, what its peers say of theirs, when certificates
%% end, the refusals of the last hour, the entries of the keyring. Times are in seconds since 1970. Nothing secret.
-spec view() -> merlon_status_core:view().
view() ->
    {Samples, Peers} = gen_server:call(?MODULE, seen),
    Now = erlang:system_time(second),
    {Entries, Preferred} = entries(merlon_node:current(), Now),
    merlon_status_core:view(#{node => node(), now => Now, at => up_s(), own => merlon_node:current(),
                              links => merlon:connections(), connected => nodes(connected), stats => merlon:stats(),
                              samples => Samples, peers => Peers, entries => Entries, preferred => Preferred}).

%% Where the page is served, `off` if it is not: `{status, {Ip, Port}}` in merlon.config, with the port that the system
%% gave for 0.
-spec address() -> merlon_status_core:place().
address() -> merlon_status_http:address().

entries({ok, #{keyring := [_ | _] = Entries}}, Now) ->
    {merlon_keyring:public(Entries), merlon_keyring:preferred(Entries, Now)};
entries(_, _Now) -> {[], none}.

%% All that was refused in a node's first hour was refused in the last one.
-spec init([]) -> {ok, #state{}}.
init([]) ->
    _ = erlang:send_after(?SAMPLE, self(), sample),
    Start = erlang:convert_time_unit(erlang:system_info(start_time), native, second),
    Samples = case up_s() - Start < 3600 of
                  true -> [{Start, #{}}];
                  false -> [{up_s(), refusals()}]
              end,
    {ok, #state{samples = Samples}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(seen, From, State) ->
    #state{samples = Samples, told = Told} = Next = ask(State),
    merlon_ask:answered(From, {Samples, maps:map(fun(_, {_, Links}) -> Links end, Told)}, Next);
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(sample, #state{samples = Samples} = State) ->
    _ = erlang:send_after(?SAMPLE, self(), sample),
    {noreply, State#state{samples = merlon_status_core:sample(up_s(), refusals(), Samples)}};
handle_info({?MODULE, 1, Pid, Body}, State) when is_pid(Pid), node(Pid) =/= node() ->
    case lists:member(node(Pid), neighbours()) of
        true -> {noreply, from(node(Pid), Body, State)};
        false -> {noreply, State}
    end;
handle_info(_, State) ->
    {noreply, State}.

from(Node, links, State) ->
    send(Node, {links, merlon_status_core:tells(merlon:connections())}),
    State;
from(Node, {links, Links}, #state{told = Told} = State) ->
    case merlon_status_core:told(Links) of
        {ok, Good} -> State#state{told = Told#{Node => {up_s(), Good}}};
        error -> State
    end;
from(_Node, _Body, State) ->
    State.

%% What is old, or comes from a node that is gone, is forgotten.
ask(#state{asked = Asked, told = Told} = State) ->
    Nodes = neighbours(),
    Fresh = maps:filter(fun(_, {At, _}) -> up_s() - At =< ?OLD end, maps:with(Nodes, Told)),
    case Asked =:= never orelse up_s() - Asked >= ?ASK of
        true ->
            _ = [send(Node, links) || Node <- Nodes],
            State#state{asked = up_s(), told = Fresh};
        false -> State#state{told = Fresh}
    end.

neighbours() ->
    lists:sublist(lists:usort([Node || {_, _, #{node := Node, identity := {node, _, _, _}}} <- merlon_registry:links()]), ?PEERS).

send(Node, Body) ->
    erlang:send({?MODULE, Node}, {?MODULE, 1, self(), Body}, [noconnect, nosuspend]).

refusals() -> maps:get(refusals, merlon_stats:read()).

up_s() -> erlang:monotonic_time(second).
