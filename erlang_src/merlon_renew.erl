%% SPDX-License-Identifier: Apache-2.0
%% Sees to it that the node has its next certificate before the one in use runs out: asks at two thirds
%% of its life, again and again if it must, and warns when that goes on. How it is asked for is
%% merlon_renew_ask's.
-module(merlon_renew).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, renew/0, renew/1, link_up/0, flag/1, taken/1, format_error/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([reason/0, how/0]).

%% `refused`: what the last one asked has said. `unasked`: in a rotation of the CA, why none was asked.
-type reason() :: not_distributed | not_a_node | no_issuer | elsewhere | {refused, node(), merlon_ca:reason() | no_answer} |
                  {bad_answer, node()} | {ca_ends, node()} | {locked, iodata()} | crashed |
                  {unasked, {renew, {locked, iodata()}} | merlon_identity:problem()}.
-type how() :: by_hand | by_itself | other_root.
-type problem() :: {renew, reason()} | merlon_identity:problem().

%% Milliseconds between two looks at the clock; that long at most until a flag is seen.
-define(POLL, 1000).
%% Milliseconds for one renewal. It asks one node after the other.
-define(PATIENCE, 60000).

-record(state, {plan = none :: none | merlon_renew_core:plan(),
                worker = none :: none | {pid(), reference()},
                how = by_itself :: how(),
                waiting = [] :: [gen_server:from()],
                %% The file by which it was asked for.
                flag = none :: none | merlon_dir:path()}).

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

%% Gets the node's next certificate now. When this returns, new links use it.
-spec renew() -> {ok, #{sha256 := binary(), not_after := integer(), issuer := node()}} | {error, problem()}.
renew() -> renew(by_hand).

-spec renew(how()) -> {ok, #{sha256 := binary(), not_after := integer(), issuer := node()}} | {error, problem()}.
renew(How) ->
    try gen_server:call(?MODULE, {renew, How}, infinity)
    catch exit:{noproc, _} -> {error, {renew, not_distributed}}
    end.

%% A new link, maybe to a node that can help.
-spec link_up() -> ok.
link_up() -> gen_server:cast(?MODULE, link_up).

%% A file of that name asks the node whose folder that is to renew.
-spec flag(Folder :: merlon_dir:path()) -> merlon_dir:path().
flag(Folder) -> merlon_dir:path([Folder, "renew"]).

%% What the node makes of it when it begins. It removes that when it is done, or writes there why not.
-spec taken(Folder :: merlon_dir:path()) -> merlon_dir:path().
taken(Folder) -> merlon_dir:path([Folder, "renew.taken"]).

-spec init([]) -> {ok, #state{}}.
init([]) ->
    next_poll(),
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call({renew, How}, From, #state{waiting = Waiting} = State) ->
    {noreply, start(How, State#state{waiting = [From | Waiting]})};
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(link_up, #state{plan = #{} = Plan} = State) ->
    {noreply, State#state{plan = merlon_renew_core:hurry(now_s(), rand:uniform(), Plan)}};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    next_poll(),
    {noreply, look(State)};
handle_info({result, Pid, Result}, #state{worker = {Pid, Ref}} = State) ->
    true = erlang:demonitor(Ref, [flush]),
    {noreply, done(Result, State#state{worker = none})};
handle_info({'DOWN', Ref, process, Pid, _}, #state{worker = {Pid, Ref}} = State) ->
    {noreply, done({error, {renew, crashed}}, State#state{worker = none})};
handle_info({out_of_patience, Pid}, #state{worker = {Pid, _}} = State) ->
    true = exit(Pid, kill),
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.

next_poll() ->
    _ = erlang:send_after(?POLL, self(), poll),
    ok.

now_s() -> erlang:system_time(second).

%% A tool's certificate is given by hand.
look(#state{plan = Known} = State) ->
    case merlon_node:current() of
        {ok, #{subject := _}} -> State; % makes its own
        {ok, #{identity := {node, _, _, _}, sha256 := Sha256, not_before := From, not_after := To} = Node} ->
            Plan = merlon_renew_core:plan({Sha256, From, To}, rand:uniform(), Known),
            due(Node, State#state{plan = Plan});
        _ -> State
    end.

due(#{dir := Folder, config := #{renew := Wanted}}, #state{plan = Plan, worker = none} = State) ->
    Taken = taken(Folder),
    case {prim_file:rename(flag(Folder), Taken), merlon_renew_core:is_due(now_s(), Plan)} of
        {ok, _} -> start(by_hand, State#state{flag = Taken});
        {_, true} when Wanted -> start(by_itself, State);
        {_, true} -> told({error, {renew, elsewhere}}, State); % warns in time, as if it had failed
        {_, false} -> State
    end;
due(_Node, State) ->
    State.

%% In a process of its own, which holds the new key and waits for others.
start(How, #state{worker = none} = State) ->
    Server = self(),
    {Pid, _} = Worker = spawn_monitor(fun() -> Server ! {result, self(), renewed(How)} end),
    _ = erlang:send_after(?PATIENCE, self(), {out_of_patience, Pid}),
    State#state{worker = Worker, how = How};
start(_How, State) ->
    State.

%% A crash report might tell the key.
renewed(How) ->
    try merlon_renew_ask:renew(How)
    catch _:_ -> {error, {renew, crashed}}
    end.

done(Result, #state{waiting = Waiting, flag = Flag} = State) ->
    _ = [merlon_ask:reply(From, Result) || From <- Waiting],
    _ = answer(Flag, Result),
    told(Result, State#state{waiting = [], flag = none}).

told({ok, Renewed}, State) ->
    _ = spawn(merlon_event, renewed, [Renewed]),
    look(State);
%% Who has asked tries again, more seldom each time; the certificate in use is not due for that.
told({error, _}, #state{how = other_root} = State) ->
    State;
told({error, Problem}, #state{plan = #{cert := {_, _, End}} = Plan} = State) ->
    {Tell, Next} = merlon_renew_core:failed(now_s(), rand:uniform(), Plan),
    _ = Tell =:= warn andalso spawn(merlon_event, renew_failed, [End, merlon:format_error(Problem)]),
    State#state{plan = Next};
told({error, _}, State) ->
    State.

answer(none, _Result) -> ok;
answer(Taken, {ok, _}) -> prim_file:delete(Taken);
answer(Taken, {error, Problem}) ->
    New = <<Taken/binary, ".new">>,
    _ = prim_file:write_file(New, [merlon:format_error(Problem), $\n]),
    prim_file:rename(New, Taken).

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error(not_distributed) -> merlon_node:format_error(not_distributed);
format_error(not_a_node) ->
    "a tool's certificate is not renewed over a link: issue another with `merlon cert --cli`";
format_error(no_issuer) ->
    "no node that this one is linked to gives certificates: connect to one that holds the CA's key "
    "(DIR/ca), or issue one there with `merlon renew` and copy it";
format_error(elsewhere) ->
    "{renew, false} in merlon.config says that certificates come from elsewhere, and none has come: look at what brings them";
format_error({refused, Node, no_answer}) ->
    [atom_to_binary(Node), " has not answered: look at its log"];
format_error({refused, Node, Reason}) ->
    [atom_to_binary(Node), " gives no certificate: ", merlon_ca:format_error(Reason)];
format_error({bad_answer, Node}) ->
    ["what ", atom_to_binary(Node), " has sent is no better certificate for this node: look at the CA there"];
format_error({ca_ends, Node}) ->
    ["the CA of ", atom_to_binary(Node), " itself ends when this certificate does: make a new CA"];
format_error({locked, Text}) -> Text;
format_error({unasked, Problem}) -> merlon:format_error(Problem);
format_error(crashed) -> "the renewal has taken too long or crashed: look at the log".
