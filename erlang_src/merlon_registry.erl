%% SPDX-License-Identifier: Apache-2.0
%% Two small tables: the links that are up, and where the cookie of each pair came from. Lives in
%% net_sup, beside net_kernel, from before the node listens until it stops: a crash here would take
%% the distribution down, so it does next to nothing.
-module(merlon_registry).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, listening/0, links/0, link/1, link_up/3, reproved/2, secret/1, pair_cookie/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).

-define(LINKS, merlon_links).

%% The pair cookies that we set, and what each was derived from: as many as there are pairs, since
%% all tools of a host share one. In a fun, which no crash report prints.
-type sources() :: #{PairCookie :: atom() => own | {node, atom()}}.
-record(state, {sources = fun maps:new/0 :: fun(() -> sources())}).

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Whether this node's distribution runs over merlon.
-spec listening() -> boolean().
listening() ->
    whereis(?MODULE) =/= undefined.

-spec links() -> [{pid(), merlon_nif:conn(), map()}].
links() ->
    case ets:whereis(?LINKS) of
        undefined -> [];
        Table -> ets:tab2list(Table)
    end.

%% The link of that dist controller, if it is up.
-spec link(pid()) -> [{pid(), merlon_nif:conn(), map()}].
link(Pid) ->
    case ets:whereis(?LINKS) of
        undefined -> [];
        Table -> ets:lookup(Table, Pid)
    end.

%% Called by the dist controller itself.
-spec link_up(pid(), merlon_nif:conn(), map()) -> ok.
link_up(Pid, Conn, Info) ->
    gen_server:call(?MODULE, {link_up, Pid, Conn, Info}, infinity).

%% The peer of that link has shown something else than when it came up.
-spec reproved(pid(), #{fingerprint := binary(), not_after := integer()}) -> ok.
reproved(Pid, Shown) ->
    gen_server:cast(?MODULE, {reproved, Pid, Shown}).

%% The cookie that vouches for links to Node: the one set for it by the user, else the node's own.
-spec secret(node() | undefined) -> binary().
secret(undefined) ->
    atom_to_binary(auth:get_cookie());
secret(Node) ->
    atom_to_binary(gen_server:call(?MODULE, {secret, Node}, infinity)).

%% Sets the cookie of dist_util's challenge with Node, and remembers that it is ours.
-spec pair_cookie(node(), binary()) -> ok.
pair_cookie(Node, Cookie) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because there are as many as pairs of proven nodes and keyring entries
    Atom = binary_to_atom(Cookie),
    gen_server:call(?MODULE, {pair_cookie, Node, fun() -> Atom end}, infinity).

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(sensitive, true),
    ok = merlon_stats:start(),
    ok = merlon_linked:start(),
    _ = ets:new(?LINKS, [named_table, protected, {read_concurrency, true}]),
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call({link_up, Pid, Conn, Info}, From, State) ->
    _ = erlang:monitor(process, Pid),
    Since = erlang:system_time(second),
    true = ets:insert(?LINKS, {Pid, Conn, Info#{since => Since}}),
    ok = merlon_reload:link_up(Pid),
    _ = [ok = merlon_reprove:link_up(Pid, Conn) || #{carrier := merlon} <- [Info]],
    merlon_ask:answered(From, ok, State);
handle_call({secret, Node}, From, State) ->
    merlon_ask:answered(From, cookie(source(Node, State)), State);
handle_call({pair_cookie, Node, Hidden}, From, State) ->
    merlon_ask:answered(From, ok, paired(Node, Hidden(), auth:get_cookie(Node), State));
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

%% Most links are not the first of their pair.
paired(_Node, Cookie, Cookie, State) -> State;
paired(Node, Cookie, Current, #state{sources = Sources} = State) ->
    Known = (Sources())#{Cookie => source_of(Current, State)},
    true = auth:set_cookie(Node, Cookie),
    State#state{sources = fun() -> Known end}.

source(Node, State) -> source_of(auth:get_cookie(Node), State).

%% What auth says, unless that is a pair cookie that we set ourselves: then what that came from.
source_of(Current, #state{sources = Sources}) ->
    case Sources() of
        #{Current := Source} -> Source;
        _ -> set_by_user(Current, auth:get_cookie())
    end.

set_by_user(Own, Own) -> own;
set_by_user(Cookie, _Own) -> {node, Cookie}.

cookie(own) -> auth:get_cookie();
cookie({node, Cookie}) -> Cookie.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({reproved, Pid, Shown}, State) ->
    _ = [ets:insert(?LINKS, {Pid, Conn, maps:merge(Info, Shown)})
         || {_, Conn, Info} <- ets:lookup(?LINKS, Pid)],
    {noreply, State};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', _, process, Pid, Reason}, State) ->
    _ = case ets:lookup(?LINKS, Pid) of
        [{Pid, Conn, Info}] ->
            true = merlon_stats:ended(merlon_nif:stats(Conn), fun() -> ets:delete(?LINKS, Pid) end),
            %% A logger that is slow must not hold up links.
            spawn(merlon_event, link_down, [Info, Reason]);
        [] -> none
    end,
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.

%% State and messages know cookies.
-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
    maps:map(fun(log, _) -> [];
                (reason, Reason) -> Reason;
                (_, _) -> hidden
             end, Status).
