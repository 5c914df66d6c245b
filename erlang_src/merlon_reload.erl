%% SPDX-License-Identifier: Apache-2.0
%% Follows the files of the merlon dir while the node runs, and holds live links to them: what is new
%% and good is used for handshakes from then on, and links whose peer would not be accepted any more
%% are closed.
-module(merlon_reload).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, reload/0, link_up/1, judge_again/2]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

%% Milliseconds between two looks at the files' stamps, and at the clock.
-define(POLL, 2000).
%% Milliseconds after which a revoked peer sees that its link has ended.
-define(LINGER, 5000).

-record(state, {stamp = none :: none | merlon_identity_files:stamp(),
                refused = none :: merlon_reload_core:refused(),
                links = merlon_live_core:new() :: merlon_live_core:links(),
                %% What the log has been told, so that it is told once.
                told = #{} :: #{later | own_expired | crl_stale | not_minted => term()}}).

-type result() :: {ok, reloaded | unchanged} |
                  {error, merlon_identity:problem() | not_distributed}.

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

%% Looks at the files now. When this returns, links that have to go have been told to.
-spec reload() -> result().
reload() ->
    try gen_server:call(?MODULE, reload, infinity)
    catch exit:{noproc, _} -> {error, not_distributed}
    end.

%% A new link: looked at within the next poll.
-spec link_up(pid()) -> ok.
link_up(Pid) ->
    gen_server:cast(?MODULE, {link_up, Pid}).

%% A link whose peer has shown something new.
-spec judge_again(pid(), merlon_nif:conn()) -> ok.
judge_again(Pid, Conn) ->
    gen_server:cast(?MODULE, {judge, Pid, Conn}).

-spec init([]) -> {ok, #state{}, {continue, links}}.
init([]) ->
    process_flag(sensitive, true),
    {ok, #state{}, {continue, links}}.

%% After a crash: the links are still there.
-spec handle_continue(links, #state{}) -> {noreply, #state{}}.
handle_continue(links, State) ->
    next_poll(),
    {noreply, judge_all(State)}.

-spec handle_call(reload | term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(reload, From, State) ->
    {Result, Next} = look(asked, State#state{stamp = none}),
    merlon_ask:answered(From, Result, remind(Next));
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({judge, Pid, Conn}, State) ->
    {noreply, judge({Pid, Conn}, State)};
handle_cast({link_up, Pid}, #state{links = Links} = State) ->
    _ = erlang:monitor(process, Pid),
    ok = merlon_crl:link_up(Pid),
    ok = merlon_renew:link_up(),
    {noreply, State#state{links = merlon_live_core:came_up(Pid, now_s(), Links)}};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    next_poll(),
    {_, Looked} = look(poll, State),
    {noreply, remind(judge_due(mint_due(Looked)))};
handle_info({'DOWN', _, process, Pid, _}, #state{links = Links} = State) ->
    {noreply, State#state{links = merlon_live_core:forget(Pid, Links)}};
handle_info(_, State) ->
    {noreply, State}.

next_poll() ->
    _ = erlang:send_after(?POLL, self(), poll),
    ok.

now_s() -> erlang:system_time(second).

%% ---- the files ----

look(How, #state{stamp = Known} = State) ->
    case merlon_node:current() of
        {ok, #{dir := Folder, config := #{dir := Dir}} = Node} ->
            case merlon_identity_files:stamp(Folder, Dir) of
                Known -> {{ok, unchanged}, State};
                Stamp -> changed(How, Stamp, Node, State)
            end;
        none ->
            {{error, not_distributed}, State}
    end.

%% The stamp is older than what is read: a change that comes meanwhile is seen next time.
changed(How, Stamp, Node, State) ->
    Result = case load(Node) of
                 {ok, Later, same} -> {{ok, unchanged}, accepted(Stamp, Later, State)};
                 {ok, Later, Loaded} -> {{ok, reloaded}, use(Loaded, Node, accepted(Stamp, Later, State))};
                 {error, Problem} -> {{error, Problem}, refused(How, Stamp, Problem, State)}
             end,
    %% The text of the key is not kept longer than it must.
    true = erlang:garbage_collect(),
    Result.

load(#{config := #{dir := Dir} = Config} = Node) ->
    case merlon_config:load(Dir) of
        {ok, OnDisk} ->
            {New, Later} = merlon_reload_core:config(Config, OnDisk),
            load(Node, New, Later);
        {error, _} = Error -> Error
    end.

load(Node, Config, Later) ->
    case merlon_identity_files:read(merlon_identity:folder(Node), Config) of
        {ok, Files} -> compare(Files, Node, Config, Later);
        {error, _} = Error -> Error
    end.

compare(#{keyring := New} = Files, #{digest := Digest, keyring := Old} = Node, Config, Later) ->
    case {merlon_identity_files:digest(Files, Config), merlon_keyring:usable(New, Old, merlon_secrets:source(Config))} of
        {Digest, _} -> {ok, Later, same};
        {_, ok} -> with(Later, not_older(merlon_identity:use(Files, Config, at(Node, Files)), Node));
        {_, {error, _} = Error} -> Error
    end.

%% That the certificate in use has run out must not keep new trust and lists away from live links: it
%% is judged as of its last second. A new one has to be good now.
at(#{sha256 := InUse, not_after := End}, #{cert := Cert}) ->
    case merlon_identity:inspect(Cert) of
        {ok, [#{sha256 := InUse} | _]} -> min(now_s(), End);
        _ -> now_s()
    end;
at(_Node, #{kind := secret}) ->
    now_s().

%% An older list would take back what was revoked since.
not_older({ok, #{crls := New, config := #{dir := Dir}}} = Loaded, #{crls := Known}) ->
    case merlon_crl_core:older(New, Known) of
        none -> Loaded;
        {Made, InUse} -> {error, {identity, {older_list, merlon_dir:path([Dir]), Made, InUse}}}
    end;
not_older({error, _} = Error, _Node) ->
    Error.

with(Later, {ok, Loaded}) -> {ok, Later, Loaded};
with(_Later, {error, _} = Error) -> Error.

accepted(Stamp, Later, State) ->
    Settled = case merlon_identity_files:settled(Stamp, now_s()) of
                  true -> Stamp;
                  false -> none
              end,
    tell(later, Later, Later =/= [], fun() -> merlon_event:at_next_start(Later) end,
         State#state{stamp = Settled, refused = none}).

use(Loaded, Node, State) ->
    ok = merlon_node:replace(Node, Loaded),
    ok = merlon_crl:changed(maps:get(crls, Loaded), maps:get(crls, Node)),
    _ = [ok = merlon_crl:trusted() || anchors(Loaded) -- anchors(Node) =/= []],
    _ = spawn(merlon_event, reloaded, [maps:with([identity, sha256, not_after], Loaded)]),
    ok = merlon_reprove:changed(),
    judge_all(State).

anchors(#{ref := Ref}) -> merlon_nif:identity_anchors(Ref).

%% Time may heal it (a certificate that is not valid yet), so it is read again next time.
refused(How, Stamp, Problem, #state{refused = Before} = State) ->
    {Tell, Refused} = merlon_reload_core:telling(How, Stamp, Before),
    _ = Tell andalso spawn(merlon_event, reload_refused, [merlon_node:format_error(Problem)]),
    State#state{stamp = none, refused = Refused}.

%% ---- the own certificate and lists ----

%% A secret identity is made anew in good time, and whenever an entry of its keyring begins or ends.
mint_due(State) ->
    case merlon_node:current() of
        {ok, #{due := _} = Node} -> minted(merlon_identity_secret:again(Node, now_s()), Node, State);
        _ -> State
    end.

minted(not_due, _Node, State) ->
    State;
minted({ok, Loaded}, Node, State) ->
    ok = merlon_node:replace(Node, Loaded),
    _ = spawn(merlon_event, minted, [maps:with([identity, sha256, not_after], Loaded)]),
    ok = merlon_reprove:changed(),
    judge_all(tell(not_minted, none, false, fun() -> ok end, State));
minted({error, Problem}, _Node, State) ->
    tell(not_minted, Problem, true,
         fun() -> merlon_event:not_minted(merlon_node:format_error(Problem)) end, State).

%% Says once that the own certificate or a list has run out.
remind(State) ->
    case merlon_node:current() of
        {ok, #{not_after := End, crl_due := Due, config := #{stale_crl := Rule}}} ->
            Now = now_s(),
            Expired = tell(own_expired, End, End < Now, fun() -> merlon_event:own_expired(End) end, State),
            tell(crl_stale, {Due, Rule}, is_integer(Due) andalso Due < Now,
                 fun() -> merlon_event:crl_stale(Rule, Due) end, Expired);
        none -> State
    end.

%% A logger may be slow, or use a link.
tell(What, About, true, Say, #state{told = Told} = State) when map_get(What, Told) =/= About;
                                                               not is_map_key(What, Told) ->
    _ = spawn(Say),
    State#state{told = Told#{What => About}};
tell(_What, _About, true, _Say, State) ->
    State;
tell(What, _About, false, _Say, #state{told = Told} = State) ->
    State#state{told = maps:remove(What, Told)}.

%% ---- the links ----

judge_all(State) ->
    ok = merlon_names:judge(),
    lists:foldl(fun({Pid, Conn, _}, Acc) -> judge({Pid, Conn}, Acc) end, State, merlon_registry:links()).

judge_due(#state{links = Links} = State) ->
    Due = merlon_live_core:due(now_s(), Links),
    lists:foldl(fun judge/2, State, [{Pid, Conn} || Pid <- Due,
                                                    {_, Conn, _} <- merlon_registry:link(Pid)]).

judge({Pid, Conn}, #state{links = Links} = State) ->
    _ = merlon_live_core:is_known(Pid, Links) orelse erlang:monitor(process, Pid),
    Now = now_s(),
    case verdict(Conn, Now) of
        {error, einval} -> State;
        Verdict ->
            {Action, New} = merlon_live_core:judged(Pid, Verdict, Now, merlon_node:config(), Links),
            act(Action, {Pid, Conn}, Verdict),
            State#state{links = New}
    end.

%% Of certificate and secret.
verdict(Conn, Now) ->
    case merlon_nif:judge(Conn, merlon_node:identity(), Now) of
        {ok, Until} ->
            case merlon_reprove:secret(Conn, Now) of
                {ok, Last} -> {ok, min(Until, Last)}; % never is more than any number
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

act(keep, _Link, _Verdict) ->
    ok;
act({close, Code}, {Pid, Conn}, {error, {Class, _} = Reason}) ->
    _ = [spawn(merlon_event, link_closed, [Info, Reason]) || {_, _, Info} <- merlon_registry:link(Pid)],
    ok = let_go(Code, Conn),
    %% Whatever it is doing, and whoever waits for whom: the socket goes with its owner.
    true = exit(Pid, {ended(Class), Code}),
    ok.

%% A revoked peer is the last one to learn that its links have ended. Else it would tell the nodes that have not closed theirs
%% yet that it has lost this one, for which OTP's global (prevent_overlapping_partitions) has them leave this one. Of
%% what it sends nothing is read any more.
let_go(revoked, Conn) ->
    merlon_nif:set_owner(Conn, spawn(fun() -> timer:sleep(?LINGER), merlon_nif:close(Conn) end));
let_go(_Code, _Conn) ->
    ok.

ended(pki) -> peer_certificate;
ended(keyring) -> peer_secret.
