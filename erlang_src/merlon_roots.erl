%% SPDX-License-Identifier: Apache-2.0
%% Follows a new root in the place of an old one: takes statements of the old root, does what they say, one thing after
%% the other, and passes them on to all nodes that are linked. Whatever ends the node, what is to be done is in the
%% dir's files. What a peer sends may be anything: a statement counts by who has signed it, not by who sends it.
-module(merlon_roots).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, explained/1, counts/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([counts/0]).

%% Statements that were taken; that were known, or older than known ones; that were no good.
-type counts() :: #{taken := non_neg_integer(), known := non_neg_integer(), refused := non_neg_integer()}.

%% Milliseconds between two looks at files and links; for all to say where they are.
-define(POLL, 1000).
-define(ANSWER, 3000).
%% Seconds until what failed is tried again, and until what peers were told is told again: they may have had no use for it then, by
%% their clock or their disk. After the last stage that goes on for a day.
-define(RETRY, 3).
-define(AGAIN, 20).
-define(DAY, 86400).
%% Bytes of a statement (STATEMENT_MAX in native/pki), and how many wait to be written.
-define(TEXT_MAX, 16384).
-define(WAITING, 8).

-record(state, {waiting = [] :: [{binary(), node()}],
                worker = none :: none | {pid(), reference()},
                %% Files and identity with which there was nothing to do.
                settled = none :: term(),
                %% What was done last: others have their turn before it.
                last = none :: term(),
                offered = #{} :: #{pid() => [binary()]}, again = up_s() + ?AGAIN :: integer(),
                renewals = none :: merlon_roots_core:renewals(),
                retry = up_s() :: integer(), failed = none :: term(),
                counts = #{taken => 0, known => 0, refused => 0} :: counts(),
                quiet = merlon_quiet_core:new() :: merlon_quiet_core:quiet()}).

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

-spec counts() -> counts().
counts() -> gen_server:call(?MODULE, counts).

%% A failed handshake with a peer whose CA is not trusted, or who does not trust this node's: if the root was rotated, the words say what to do.
-spec explained(map()) -> map().
explained(#{reason := unknown_issuer} = Failure) -> known(Failure);
explained(#{reason := peer_alert, text := Text} = Failure) ->
    case binary:match(Text, <<"unknown_ca">>) of
        nomatch -> Failure;
        _ -> known(Failure)
    end;
explained(Failure) -> Failure.

%% The table goes with its process.
known(#{text := Text} = Failure) ->
    try ets:lookup(?MODULE, said) of
        [{said, Stage, Time}] -> Failure#{text => iolist_to_binary([Text, rotated(Stage, merlon_text:date(Time))])};
        [] -> Failure
    catch error:badarg -> Failure
    end.

rotated(finish, Date) -> ["; this cluster's root was rotated on ", Date, needs("new")];
rotated(issue, Date) -> ["; this cluster's root is being rotated, and a new one issues since ", Date, needs("new")];
rotated(undo, Date) -> ["; a rotation of this cluster's root was rolled back on ", Date, needs("old")].

needs(Which) ->
    [": a node that was away then needs a certificate of the ", Which, " one (`merlon cert NODE --force` where the CA is, or "
     "`merlon join`) and this node's trust/"].

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(sensitive, true),
    _ = ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    self() ! poll,
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(counts, From, #state{counts = Counts} = State) ->
    merlon_ask:answered(From, Counts, State);
handle_call(Request, From, State) ->
    Answer = case {merlon_roots_core:query(Request), here()} of
                 {{ok, Query}, {ok, Node}} -> {standing, standing(Query, Node)};
                 _ -> {error, bad_request}
             end,
    %% The text of the key is not kept longer than it must.
    true = erlang:garbage_collect(),
    merlon_ask:answered(From, Answer, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    _ = erlang:send_after(?POLL, self(), poll),
    {noreply, look(State)};
handle_info({?MODULE, 1, Pid, Text}, State) when is_pid(Pid), node(Pid) =/= node() ->
    {noreply, heard(Text, node(Pid), State)};
handle_info({done, Pid, Result}, #state{worker = {Pid, Ref}} = State) ->
    true = erlang:demonitor(Ref, [flush]),
    {noreply, look(done(Result, State#state{worker = none}))};
handle_info({'DOWN', Ref, process, Pid, _}, #state{worker = {Pid, Ref}} = State) ->
    {noreply, failed({refused, "what was begun has crashed"}, State#state{worker = none})};
handle_info(_, State) ->
    {noreply, State}.

now_s() -> erlang:system_time(second).
%% Goes on when the clock is set back.
up_s() -> erlang:monotonic_time(second).

%% Tools come and go, and the secret identity has no files.
here() ->
    case merlon_node:current() of
        {ok, #{subject := _}} -> none;
        {ok, #{identity := {node, _, _, _}} = Node} -> {ok, Node};
        _ -> none
    end.

look(State) ->
    case here() of
        {ok, #{config := #{dir := Dir}} = Node} -> offer(Dir, work(Node, asked(Dir, State)));
        none -> State
    end.

%% ---- what is to be done ----

work(_Node, #state{worker = {_, _}} = State) ->
    State;
work(#{config := #{dir := Dir, cluster := Cluster}} = Node, #state{waiting = [{Text, _} = Heard | More]} = State) ->
    case up_s() >= State#state.retry of
        true ->
            Take = fun(Work) -> merlon_roots_files:take(Dir, Work, Cluster, Text, now_s()) end,
            start(fun() -> {taken, Heard, locked(Node, Take)} end, State#state{waiting = More});
        false -> State
    end;
work(#{digest := Digest, config := #{dir := Dir}} = Node, #state{settled = Settled} = State) ->
    case {{merlon_roots_files:stamp(Dir), Digest}, up_s() >= State#state.retry} of
        {Settled, _} -> State;
        {_, false} -> State;
        {Seen, true} ->
            case merlon_roots_files:roots(Dir) of
                {ok, Roots} -> next(Node#{roots => Roots}, Seen, said(Dir), State);
                {error, _} -> State % not settled
            end
    end.

%% What is in force; for the log, when the newest of that was said that keeps out who does not know it.
said(Dir) ->
    InForce = merlon_roots_core:in_force([Said || {_, Said} <- merlon_roots_files:statements(Dir)]),
    Keeping = [{said, Stage, Time} || #{stage := Stage, sequence := Time} <- InForce, lists:member(Stage, [issue, finish, undo])],
    _ = [ets:insert(?MODULE, hd(Keeping)) || Keeping =/= []],
    InForce.

%% What fails again and again does not keep the rest from being done.
next(Node, Seen, InForce, #state{last = Last} = State) ->
    Due = [{What, Said} || #{stage := Stage} = Said <- InForce, What <- [merlon_roots_core:todo(Stage, on_disk(Node, Said))], What =/= none],
    {Again, First} = lists:partition(fun({What, #{sequence := Number}}) -> {What, Number} =:= Last end, Due),
    case [Work || Work <- First ++ Again, not is_early(Work, State)] of
        [] when Due =:= [] -> State#state{settled = Seen};
        [] -> State#state{settled = none};
        [{What, #{sequence := Number} = Said} | _] ->
            start(fun() -> {What, Said, act(What, Said, Node)} end, State#state{last = {What, Number}})
    end.

is_early({renew, #{sequence := Number}}, #state{renewals = Renewals}) -> merlon_roots_core:is_early(Number, up_s(), Renewals);
is_early(_Work, _State) -> false.

on_disk(#{roots := Roots} = Node, #{old := Old, new := New, stage := Stage} = Said) ->
    #{old => lists:member(Old, Roots), new => lists:member(New, Roots),
      ready => is_ready(Node, merlon_roots_core:drops(Stage, Said))}.

%% Whether the certificate in use is good without that root.
is_ready(#{ref := Ref, config := #{dir := Dir, cluster := Cluster}}, Drop) ->
    case merlon_identity_files:trust(Dir) of
        {ok, Trust} ->
            Left = [Pem || {_, Pem} <- merlon_roots_files:without(Trust, Drop)],
            Args = #{cert => merlon_nif:identity_chain(Ref), trust => Left, crls => [], cluster => Cluster,
                     usage => client, now => now_s()},
            element(1, merlon_nif:pki_verify(Args)) =:= ok;
        {error, _} -> false
    end.

act(renew, _Said, _Node) ->
    merlon_renew:renew(other_root);
act(add, Said, #{config := #{dir := Dir}} = Node) ->
    locked(Node, fun(Work) -> merlon_roots_files:add(Dir, Work, Said) end);
act(drop_old, #{old := Old}, Node) -> drop(Old, Node);
act(drop_new, #{new := New}, Node) -> drop(New, Node).

%% What is in use is what is on the disk then, from which the node starts again.
drop(Root, #{config := #{dir := Dir}} = Node) ->
    locked(Node, fun(Work) ->
                     case {merlon_reload:reload(), here()} of
                         {{ok, _}, {ok, Now}} -> dropped(is_ready(Now, Root), Dir, Work, Root);
                         {{ok, _}, none} -> dropped(false, Dir, Work, Root);
                         {{error, _} = Error, _} -> Error
                     end
                 end).

dropped(true, Dir, Work, Root) -> merlon_roots_files:drop(Dir, Work, Root);
dropped(false, _Dir, _Work, _Root) -> {error, {refused, "the certificate in use needs the root that is to go"}}.

%% When this is done, it is in use.
locked(#{config := #{dir := Dir}}, Change) ->
    case merlon_dir_write:locked(merlon_dir:path([Dir]), Change) of
        {error, _} = Error -> Error;
        Done -> reloaded(merlon_reload:reload(), Done)
    end.

reloaded({ok, _}, Done) -> Done;
reloaded({error, _} = Error, _Done) -> Error.

%% In a process of its own, as others may be at work in the dir, or a renewal asks one CA after the other.
start(Work, State) ->
    Server = self(),
    State#state{worker = spawn_monitor(fun() -> Server ! {done, self(), Work()} end)}.

done({taken, Heard, Result}, State) ->
    written(Result, Heard, State);
done({renew, #{sequence := Number}, Result} = Done, #state{renewals = Before} = State) ->
    finished(Done, State#state{renewals = merlon_roots_core:renewed(Number, Result, up_s(), Before)});
done(Done, State) ->
    finished(Done, State).

finished({What, Said, Result}, State) when Result =:= ok; element(1, Result) =:= ok ->
    _ = spawn(merlon_event_roots, root_stage, [What, Said]),
    State#state{failed = none};
finished({_What, _Said, {error, Problem}}, State) ->
    failed(Problem, State).

%% Told once, and tried again. That others are at work in the dir is nothing to tell at once.
failed(Problem, #state{failed = Before} = State) ->
    Same = same(Problem),
    _ = Before =:= Same andalso spawn(merlon_event_roots, root_failed, [iolist_to_binary(merlon:format_error(Problem))]),
    State#state{failed = again(Before, Same), retry = up_s() + ?RETRY}.

%% The name of a file that is written first has the time in it.
same({file, {Operation, _, Posix}}) -> {Operation, Posix};
same(Problem) -> iolist_to_binary(merlon:format_error(Problem)).

again({told, Text}, Text) -> {told, Text};
again(Text, Text) -> {told, Text};
again(_, Text) -> Text.

%% ---- what peers say ----

heard(Text, Node, #state{waiting = Waiting} = State)
  when is_binary(Text), byte_size(Text) =< ?TEXT_MAX, length(Waiting) < ?WAITING ->
    case {here(), lists:keymember(Text, 1, Waiting)} of
        {{ok, #{config := #{dir := Dir, cluster := Cluster}}}, false} ->
            first_look(merlon_roots_files:check(Dir, Cluster, Text, now_s()), {Text, Node}, State);
        _ -> State
    end;
heard(Text, _Node, State) when is_binary(Text), byte_size(Text) =< ?TEXT_MAX ->
    State; % it comes again
heard(_Text, Node, State) ->
    refused("no statement at all", Node, State).

first_look({ok, _}, Heard, #state{waiting = Waiting} = State) ->
    look(State#state{waiting = Waiting ++ [Heard]});
first_look({error, {pki, Reason}}, {Text, Node}, State) -> no_good(Reason, Text, Node, State);
first_look({error, Problem}, _Heard, State) -> failed(Problem, State).

%% Judged again by who has written it.
written({ok, Said}, _Heard, State) ->
    _ = spawn(merlon_event_roots, root_stage, [taken, Said]),
    count(taken, State#state{failed = none});
written({error, {pki, Reason}}, {Text, From}, State) -> no_good(Reason, Text, From, State);
written({error, Problem}, Heard, #state{waiting = Waiting} = State) ->
    failed(Problem, State#state{waiting = Waiting ++ [Heard]}).

%% A peer that is behind says what was said before. Who has never trusted a root need not be told that it has gone.
no_good(old_statement, _Text, _Node, State) -> count(known, State);
no_good(unknown_issuer, Text, Node, State) ->
    case merlon_nif:rotation_read(Text) of
        {ok, #{stage := finish}} -> count(known, State);
        %% Whom it takes back is not trusted here either.
        {ok, #{stage := undo, new := New}} -> no_root(trusts(New), Node, State);
        _ -> no_root(true, Node, State)
    end;
no_good(bad_signature, _Text, Node, State) ->
    refused("a statement about a new root that was not signed by the roots that it names", Node, State);
no_good(Reason, _Text, Node, State) ->
    refused(merlon_pki_text:words(Reason), Node, State).

no_root(false, _Node, State) -> count(known, State);
no_root(true, Node, State) -> refused("the old root that it names is not trusted here", Node, State).

trusts(Root) ->
    case here() of
        {ok, #{ref := Ref}} -> lists:member(Root, merlon_nif:identity_anchors(Ref));
        none -> true
    end.

refused(Text, Node, #state{quiet = Quiet} = State) ->
    {Told, Next} = merlon_quiet_core:refused(now_s(), Quiet),
    _ = [spawn(merlon_event_roots, root_refused, [Node, Text, Untold]) || {tell, Untold} <- [Told]],
    count(refused, State#state{quiet = Next}).

count(What, #state{counts = Counts} = State) ->
    State#state{counts = maps:update_with(What, fun(N) -> N + 1 end, Counts)}.

%% ---- what peers are told ----

%% Each statement once over each link, and from time to time again. A peer without this module is told nothing by it.
offer(Dir, #state{offered = Offered} = State) ->
    case merlon_roots_files:statements(Dir) of
        [] -> State#state{offered = #{}};
        Statements ->
            {Fresh, Next} = once_more(Statements, Dir, State),
            Texts = [Text || {Text, _} <- Statements],
            Links = [{Pid, Node} || {Pid, _, #{node := Node, identity := {node, _, _, _}}} <- merlon_registry:links()],
            _ = [say(Node, Texts -- (maps:get(Pid, Offered, []) -- Fresh)) || {Pid, Node} <- Links],
            Next#state{offered = maps:from_list([{Pid, Texts} || {Pid, _} <- Links])}
    end.

once_more(Statements, Dir, #state{again = Again} = State) ->
    case up_s() >= Again andalso merlon_roots_files:roots(Dir) of
        {ok, Roots} ->
            Fresh = [Text || {Text, Said} <- Statements, merlon_roots_core:is_fresh(Said, Roots, now_s() - ?DAY)],
            {Fresh, State#state{again = up_s() + ?AGAIN}};
        _ -> {[], State}
    end.

say(Node, Texts) ->
    [erlang:send({?MODULE, Node}, {?MODULE, 1, self(), Text}, [noconnect, nosuspend]) || Text <- Texts].

%% ---- where all are ----

standing(#{old := Old, new := New, drop := Drop}, #{ref := Ref} = Node) ->
    InUse = merlon_nif:identity_anchors(Ref),
    Here = #{old => lists:member(Old, InUse), new => lists:member(New, InUse)},
    case without(Drop, Node) of
        {ok, #{ref := Left}} -> Here#{ready => is_ready(Node, Drop), behind => behind(Left)};
        {error, _} -> Here#{ready => false, behind => []}
    end.

%% What would be in use if that root went now. Who can't use the files of his dir can drop none, and does not know who is behind.
without(Drop, #{config := #{dir := Dir} = Config} = Node) ->
    case {merlon_identity_files:read(merlon_identity:folder(Node), Config), merlon_identity_files:trust(Dir)} of
        {{ok, Files}, {ok, Trust}} -> merlon_identity:use(Files#{trust := merlon_roots_files:without(Trust, Drop)}, Config, now_s());
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% The nodes whose links would end then, for what they have shown.
behind(Ref) ->
    [atom_to_binary(Peer) || {_, Conn, #{node := Peer, identity := {node, _, _, _}}} <- merlon_registry:links(),
                             {error, {pki, _}} <- [merlon_nif:judge(Conn, Ref, now_s())]].

%% The command at the CA asks through a file, and gets one.
asked(Dir, State) ->
    case merlon_roots_files:asked(Dir) of
        [] -> State;
        Questions ->
            _ = [spawn(fun() -> answer(Dir, Name, Question) end) || {Name, Question} <- Questions],
            %% Who has lost a statement gets it again.
            State#state{offered = #{}}
    end.

answer(Dir, Name, <<Old:64/binary, "\n", New:64/binary, "\n", Drop:64/binary, "\n">>) ->
    Text = merlon_roots_core:status(all({standing, Old, New, Drop})),
    Written = merlon_roots_files:status(Dir, <<Name/binary, ".new">>),
    case prim_file:write_file(Written, Text) of
        ok -> prim_file:rename(Written, merlon_roots_files:status(Dir, Name));
        %% Half an answer leaves nodes out.
        {error, _} -> prim_file:delete(Written)
    end;
answer(_Dir, _Name, _Question) ->
    ok.

all(Request) ->
    Nodes = [node() | merlon_ask:peers()],
    Answers = maps:from_list(merlon_ask:all(?MODULE, Nodes, Request, ?ANSWER)),
    maps:from_list([{atom_to_binary(Node), merlon_roots_core:standing(maps:get(Node, Answers, none))} || Node <- Nodes]).
