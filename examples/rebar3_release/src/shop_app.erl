%% SPDX-License-Identifier: Apache-2.0
-module(shop_app).
-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1]).

start(_Type, _Args) -> supervisor:start_link({local, shop_sup}, ?MODULE, []).

stop(_State) -> ok.

init([]) -> {ok, {#{}, [#{id => shop_stock, start => {shop_stock, start_link, []}}]}}.
