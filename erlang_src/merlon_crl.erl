%% SPDX-License-Identifier: Apache-2.0
%% Passes revocation lists on: what is new here is offered to all nodes that are linked, and at each new
%% link. Who has no newer one asks for it, judges it by his own trust anchors, writes it down, uses it
%% and offers it on. A list that is known goes nowhere, so it crosses each link at most once.
%%
%% What a peer sends may be anything: only what an anchor has signed is written, and only if it is newer.
-module(merlon_crl).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, changed/2, link_up/1, trusted/0, counts/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([counts/0]).

%% Lists that were taken; that a peer has offered or sent and that were known; that were no good.
-type counts() :: #{taken := non_neg_integer(), known := non_neg_integer(), refused := non_neg_integer()}.

%% Bytes of one list: some 25,000 certificates. A bigger one has to be copied.
-define(LIST_MAX, 1048576).
%% Milliseconds for an answer, and between two tries with one who is busy: a minute in all. What is not taken then comes
%% when it asks, or with the next link.
-define(ANSWER, 15000).
-define(AGAIN, [500, 1000, 2000, 4000 | lists:duplicate(7, 8000)]).
%% Seconds for which others may be at work in the merlon dir before the log is told that lists are not written.
-define(BUSY, 5).
%% Milliseconds until peers are asked for what could not be written: it is not in use, and they don't know.
-define(UNWRITTEN, 10000).

-record(state, {busy = none :: none | Since :: integer(),
                unwritten = none :: none | reference(),
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

%% The lists in use are others than before.
-spec changed([merlon_nif:list_id()], [merlon_nif:list_id()]) -> ok.
changed(New, Before) ->
    case merlon_crl_core:gained(New, Before) of
        true -> gen_server:cast(?MODULE, changed);
        false -> ok
    end.

%% A new link: its dist controller.
-spec link_up(pid()) -> ok.
link_up(Pid) -> gen_server:cast(?MODULE, {link_up, Pid}).

%% Another CA is trusted, whose lists were no good here until now: peers are to offer what they have again.
-spec trusted() -> ok.
trusted() -> gen_server:cast(?MODULE, trusted).

-spec counts() -> counts().
counts() -> gen_server:call(?MODULE, counts).

-spec init([]) -> {ok, #state{}}.
init([]) -> {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(Request, From, State) ->
    {Answer, Next} = answer(Request, From, State),
    merlon_ask:answered(From, Answer, Next).

answer({offer, Offered}, _From, State) -> {{want, merlon_crl_core:wanted(Offered, in_use())}, State};
answer({list, Der}, {Pid, _}, State) when is_pid(Pid) -> counted(take(Der), node(Pid), State);
answer(counts, _From, #state{counts = Counts} = State) -> {Counts, State};
answer(_, _From, State) -> {{error, bad_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(changed, State) ->
    _ = spawn(fun tell_too_big/0),
    lists:foreach(fun offer/1, merlon_registry:links()),
    {noreply, State};
handle_cast({link_up, Pid}, State) ->
    lists:foreach(fun offer/1, merlon_registry:link(Pid)),
    {noreply, State};
handle_cast(trusted, State) ->
    lists:foreach(fun(Node) -> merlon_ask:cast(?MODULE, Node, {offers, node()}) end, merlon_ask:peers()),
    {noreply, State};
handle_cast({offers, Node}, State) ->
    lists:foreach(fun offer/1, [Link || {_, _, #{node := Linked}} = Link <- merlon_registry:links(), Linked =:= Node]),
    {noreply, State};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(unwritten, State) -> handle_cast(trusted, State#state{unwritten = none});
handle_info(_, State) -> {noreply, State}.

in_use() ->
    case merlon_node:current() of
        {ok, #{crls := Ids}} -> Ids;
        none -> []
    end.

%% ---- passing on ----

%% Tools come and go, and ask nobody.
offer({_, _, #{node := Node, carrier := merlon, identity := {node, _, _, _}}}) ->
    case in_use() =/= [] andalso not merlon_node:is_tool() of
        true -> spawn(fun() -> offer_to(Node) end), ok;
        false -> ok
    end;
offer(_) ->
    ok.

offer_to(Node) ->
    Newest = merlon_crl_core:newest(in_use()),
    case ask(Node, {offer, Newest}, []) of
        {want, Wanted} when is_list(Wanted) ->
            Lists = [Der || {{Ca, _, _} = Id, Der} <- lists_on_disk(), lists:member(Id, Newest),
                            is_member(Ca, Wanted), byte_size(Der) =< ?LIST_MAX],
            lists:foreach(fun(Der) -> ask(Node, {list, Der}, ?AGAIN) end, Lists);
        _ -> ok
    end.

%% In what a peer has sent, be it no proper list.
is_member(Ca, [Ca | _]) -> true;
is_member(Ca, [_ | More]) -> is_member(Ca, More);
is_member(_Ca, _) -> false.

ask(Node, Request, Pauses) ->
    case {merlon_ask:call(?MODULE, Node, Request, ?ANSWER), Pauses} of
        {{ok, {error, busy}}, [Pause | More]} ->
            timer:sleep(Pause),
            ask(Node, Request, More);
        {{ok, Answer}, _} -> Answer;
        {none, _} -> none
    end.

%% Each list once, in whatever files it is.
lists_on_disk() ->
    {ok, #{config := #{dir := Dir}}} = merlon_node:current(),
    case merlon_identity_files:crls(Dir) of
        {ok, Files} ->
            Parts = [Parts || {_, Text} <- Files, {ok, Parts} <- [merlon_nif:crl_parts(Text)]],
            maps:to_list(maps:from_list(lists:append(Parts)));
        {error, _} -> []
    end.

tell_too_big() ->
    case [byte_size(Der) || {_, Der} <- lists_on_disk(), byte_size(Der) > ?LIST_MAX] of
        [] -> ok;
        [Bytes | _] -> merlon_event:crl_too_big(Bytes, ?LIST_MAX)
    end.

%% ---- taking ----

take(Der) when is_binary(Der), byte_size(Der) =< ?LIST_MAX ->
    case merlon_node:current() of
        {ok, #{ref := Own, crls := Known, config := #{dir := Dir}}} ->
            case merlon_nif:crl_check(Own, Der, erlang:system_time(second)) of
                {ok, Id} -> newer(merlon_crl_core:is_newer(Id, Known), Id, Der, merlon_dir:path([Dir]));
                {error, {pki, Reason}} -> {error, code(Reason)}
            end;
        none -> {error, {busy, "the node is not up yet"}}
    end;
take(Der) when is_binary(Der) -> {error, too_big};
take(_) -> {error, bad_request}.

code({Code, _}) -> Code;
code(Code) -> Code.

newer(false, _Id, _Der, _Dir) -> {error, known};
newer(true, Id, Der, Dir) ->
    case merlon_dir_write:locked(Dir, fun(Work) -> keep(Id, Der, Dir, Work) end) of
        ok -> applied(merlon_reload:reload(), Id);
        {error, {refused, Text}} -> {error, {busy, Text}};
        Other -> Other
    end.

%% Another node with the same merlon dir may have been faster, or a command.
keep({Ca, _, _} = Id, Der, Dir, Work) ->
    _ = merlon_reload:reload(),
    case merlon_crl_core:is_newer(Id, in_use()) of
        true ->
            Folder = merlon_dir:path([Dir, "crl"]),
            case merlon_dir_write:make(Folder, 8#755) of
                ok -> merlon_dir_write:put_file(merlon_dir:path([Folder, ["merlon-", Ca, ".crl"]]), Work, Der, 8#644);
                {error, _} = Error -> Error
            end;
        false -> {error, known}
    end.

%% A list that revokes this node is written down, and not used: its peers are rid of it.
applied(_Reloaded, Id) ->
    case merlon_crl_core:is_newer(Id, in_use()) of
        false -> {ok, Id};
        true -> {error, not_in_use}
    end.

counted({ok, {_, Made, _}}, Node, State) ->
    _ = spawn(merlon_event, crl_taken, [Node, Made]),
    {ok, count(taken, State#state{busy = none})};
counted({error, known} = Error, _Node, State) ->
    {Error, count(known, State#state{busy = none})};
counted({error, {busy, Text}}, Node, State) ->
    busy(Text, Node, erlang:monotonic_time(second), State);
counted({error, {file, Reason}}, Node, State) ->
    refused(merlon_dir:format_error(Reason), Node, {error, not_written}, ask_later(State));
counted({error, Reason} = Error, Node, State) ->
    refused(words(Reason), Node, Error, State).

%% Nobody but this node can know that revocations don't reach its disk.
busy(Text, Node, Now, #state{busy = Since} = State) when is_integer(Since), Now - Since >= ?BUSY ->
    refused(["it can't be written now: ", Text], Node, {error, busy}, ask_later(State));
busy(_Text, _Node, _Now, #state{busy = Since} = State) when is_integer(Since) ->
    {{error, busy}, count(known, State)};
busy(_Text, _Node, Now, State) ->
    {{error, busy}, count(known, State#state{busy = Now})}.

ask_later(#state{unwritten = none} = State) -> State#state{unwritten = erlang:send_after(?UNWRITTEN, self(), unwritten)};
ask_later(State) -> State.

refused(Text, Node, Error, #state{quiet = Quiet} = State) ->
    {Told, Next} = merlon_quiet_core:refused(erlang:system_time(second), Quiet),
    _ = [spawn(merlon_event, crl_refused, [Node, Text, Untold]) || {tell, Untold} <- [Told]],
    {Error, count(refused, State#state{quiet = Next})}.

count(What, #state{counts = Counts} = State) ->
    State#state{counts = maps:update_with(What, fun(N) -> N + 1 end, Counts)}.

words(too_big) -> "a list of more than 1 MiB";
words(bad_request) -> "no list at all";
words(not_in_use) -> "the files of the merlon dir can't be used with it: see reload_refused";
words(unknown_issuer) -> "the list is of a CA that is not trusted here";
words(Reason) -> merlon_pki_text:words(Reason).
