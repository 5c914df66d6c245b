%% SPDX-License-Identifier: Apache-2.0
%% How many of a thing there are, on this node and on all that are linked to it.
-module(shop_stock).
-behaviour(gen_server).

-export([start_link/0, put/2, everywhere/1]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

put(Thing, Count) -> gen_server:call(?MODULE, {put, Thing, Count}).

%% Of every node that answers.
everywhere(Thing) ->
    {Answers, _NotReached} = gen_server:multi_call([node() | nodes()], ?MODULE, {count, Thing}, 5000),
    lists:sort(Answers).

init([]) -> {ok, #{}}.

handle_call({put, Thing, Count}, _From, Stock) -> {reply, ok, Stock#{Thing => Count}};
handle_call({count, Thing}, _From, Stock) -> {reply, maps:get(Thing, Stock, 0), Stock}.

handle_cast(_, Stock) -> {noreply, Stock}.
