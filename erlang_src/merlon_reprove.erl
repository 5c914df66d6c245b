%% SPDX-License-Identifier: Apache-2.0
%% Live links prove themselves again: when this node has another certificate or another entry in its keyring,
%% it shows so to every peer over the link that is up, and takes what peers show. So a link outlives the
%% certificate and the secret that opened it.
-module(merlon_reprove).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, link_up/2, changed/0, received/3]).
-export([proved_with/1, secret/2, states/2, format_error/1]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([reason/0]).

-type reason() :: no_link | vm_cookie | ended.

%% Milliseconds between two looks at what is due.
-define(POLL, 1000).

%% The leaf's fingerprint, which of several chains of it, and the entries that are accepted.
-type in_use() :: none | {{binary(), Chain :: binary()}, none | [binary()]}.

-record(state, {links = merlon_reprove_core:new() :: merlon_reprove_core:links(),
                %% What was in use when it was shown last.
                shown :: in_use(),
                %% Whether `due` will come: what had to wait is said then, and not at the next look.
                waits = false :: boolean(),
                %% Certificates that were not believed and told: as many as there are links at most.
                told = #{} :: #{pid() => term()}}).

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

%% A new link: its handshake may have begun with what has been replaced since.
-spec link_up(pid(), merlon_nif:conn()) -> ok.
link_up(Pid, Conn) ->
    gen_server:cast(?MODULE, {link_up, Pid, Conn}).

%% Certificate, trust, lists or keyring in use are others now.
-spec changed() -> ok.
changed() ->
    gen_server:cast(?MODULE, changed).

%% Messages of the peer.
-spec received(pid(), merlon_nif:conn(), [binary()]) -> ok.
received(Pid, Conn, Messages) ->
    gen_server:cast(?MODULE, {received, Pid, Conn, Messages}).

%% The id of the newest entry of this node's keyring that is accepted now and that Node has proved on the link
%% to it. `ended`: none is, and the link is about to be closed.
-spec proved_with(node()) -> {ok, binary()} | {error, {reprove, reason()}}.
proved_with(Node) ->
    case [Conn || {_, Conn, #{node := Peer}} <- merlon_registry:links(), Peer =:= Node] of
        [Conn | _] -> with_reason(merlon_reprove_core:proved_with(proved(Conn), states()));
        [] -> {error, {reprove, no_link}}
    end.

with_reason({ok, Id}) -> {ok, Id};
with_reason({error, Reason}) -> {error, {reprove, Reason}}.

%% Whether what the peer of a link has proved still counts, and until when that is sure.
-spec secret(merlon_nif:conn(), Now :: integer()) ->
          {ok, integer() | never} | {error, {keyring, merlon_reprove_core:reason()}}.
secret(Conn, Now) ->
    case merlon_nif:live_state(Conn) of
        #{proved := Proved} -> merlon_reprove_core:secret(Proved, states(merlon_node:keyring(), Now));
        #{} -> {ok, never} % a peer without merlon proves none
    end.

proved(Conn) -> maps:get(proved, merlon_nif:live_state(Conn), []).

states() -> states(merlon_node:keyring(), now_s()).

%% What merlon_reprove_core needs of a keyring.
-spec states(merlon_keyring:keyring(), Now :: integer()) -> none | [merlon_reprove_core:state()].
states(none, _Now) -> none;
states(Entries, Now) ->
    [{Id, merlon_keyring:state(Entry, Now), End} || #{id := Id, not_after := End} = Entry <- Entries].

%% One sentence, with what to do.
-spec format_error(reason()) -> iodata().
format_error(no_link) -> "there is no link over merlon to that node: connect to it first";
format_error(vm_cookie) -> "that link was proved with the VM's cookie: give both nodes a keyring";
format_error(ended) -> "no entry that the peer has proved is accepted any more: give it the present keyring".

%% ---- the server ----

-spec init([]) -> {ok, #state{}, {continue, links}}.
init([]) ->
    process_flag(sensitive, true),
    {ok, #state{shown = in_use()}, {continue, links}}.

%% After a crash nobody knows what was said: all is said again, and asked for.
-spec handle_continue(links, #state{}) -> {noreply, #state{}}.
handle_continue(links, State) ->
    next_poll(),
    {noreply, say(lists:foldl(fun({Pid, _, #{carrier := merlon}}, Acc) -> add(Pid, [ask | answer()], Acc);
                                 (_, Acc) -> Acc
                              end, State, merlon_registry:links()))}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(_, From, State) ->
    merlon_ask:answered(From, {error, unknown_call}, State).

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({link_up, Pid, Conn}, State) ->
    {noreply, say(add(Pid, news(Conn), look(State)))};
handle_cast(changed, #state{links = Links} = State) ->
    {noreply, say(look(State#state{links = merlon_reprove_core:changed(Links)}))};
handle_cast({received, Pid, Conn, Messages}, State) ->
    {noreply, say(lists:foldl(fun(Message, Acc) -> take(Message, {Pid, Conn}, Acc) end,
                              add(Pid, [], State), Messages))};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(poll, State) ->
    next_poll(),
    {noreply, say(look(State))};
handle_info(due, State) ->
    {noreply, say(State#state{waits = false})};
handle_info({'DOWN', _, process, Pid, _}, #state{links = Links, told = Told} = State) ->
    {noreply, State#state{links = merlon_reprove_core:forget(Pid, Links), told = maps:remove(Pid, Told)}};
handle_info(_, State) ->
    {noreply, State}.

next_poll() ->
    _ = erlang:send_after(?POLL, self(), poll),
    ok.

now_s() -> erlang:system_time(second).
now_ms() -> erlang:monotonic_time(millisecond).

add(Pid, Kinds, #state{links = Links} = State) ->
    _ = merlon_reprove_core:is_known(Pid, Links) orelse erlang:monitor(process, Pid),
    State#state{links = merlon_reprove_core:add(Pid, Kinds, Links)}.

mark(Pid, Kinds, #state{links = Links} = State) ->
    State#state{links = merlon_reprove_core:mark(Pid, Kinds, Links)}.

%% ---- what there is to say ----

%% Entries begin to count by themselves.
look(#state{shown = Shown, links = Links} = State) ->
    case in_use() of
        Shown -> State;
        InUse when Shown =:= none; InUse =:= none -> State#state{shown = InUse}; % no link yet
        InUse ->
            Marked = merlon_reprove_core:mark_all(other(Shown, InUse), Links),
            %% What peers have shown too early may be believed now.
            State#state{shown = InUse, links = merlon_reprove_core:changed(Marked)}
    end.

other({Cert, _}, {Cert, _}) -> [keys];
other({_, Ids}, {_, Ids}) -> [certificate];
other(_, _) -> [certificate, keys].

in_use() ->
    case merlon_node:current() of
        {ok, #{sha256 := Cert, chain := Chain, keyring := Keyring}} -> {{Cert, Chain}, accepted(Keyring)};
        none -> none
    end.

accepted(Keyring) ->
    case states(Keyring, now_s()) of
        none -> none;
        States -> [Id || {Id, accepted, _} <- States]
    end.

%% What the peer can't know of the handshake.
news(Conn) ->
    {{Cert, _}, Ids} = in_use(),
    #{own := Shown, proved := Proved} = merlon_nif:live_state(Conn),
    [certificate || Cert =/= Shown] ++ [keys || Ids =/= none, Ids =/= Proved].

answer() ->
    [certificate | [keys || merlon_node:keyring() =/= none]].

say(#state{links = Links} = State) ->
    {Due, Said} = merlon_reprove_core:due(now_ms(), Links),
    lists:foreach(fun({Pid, Kinds}) ->
                          [say(Pid, Conn, Kinds) || {_, Conn, _} <- merlon_registry:link(Pid)]
                  end, Due),
    wait(State#state{links = Said}).

%% Of those that wait none is due before the one that the timer is for: all wait equally long.
wait(#state{waits = true} = State) -> State;
wait(#state{links = Links} = State) ->
    case merlon_reprove_core:wait(now_ms(), Links) of
        never -> State;
        Ms -> _ = erlang:send_after(Ms, self(), due),
              State#state{waits = true}
    end.

say(Pid, Conn, Kinds) ->
    Made = [{Kind, message(Kind, Conn)} || Kind <- Kinds],
    _ = [spawn(merlon_event, reproof_not_made, [Kind, Reason]) || {Kind, {error, Reason}} <- Made],
    merlon_link_out:control(Pid, maps:from_list([{Kind, Message} || {Kind, {ok, Message}} <- Made])).

message(ask, _Conn) -> {ok, merlon_nif:live_ask()};
message(certificate, Conn) -> merlon_nif:live_certificate(Conn, merlon_node:identity());
message(keys, Conn) -> merlon_nif:live_keys(Conn, merlon_node:identity(), secrets()).

secrets() ->
    Now = now_s(),
    case merlon_node:keyring() of
        none -> [];
        Entries -> [{keyring, Ref, Now} || #{ref := Ref} <- Entries]
    end.

%% ---- what the peer says ----

take(Message, {Pid, Conn} = Link, State) ->
    Before = known(Conn),
    case merlon_nif:live_take(Conn, merlon_node:identity(), secrets(), now_s(), Message) of
        ask -> mark(Pid, answer(), State);
        unknown -> State;
        {certificate, Cert, End, _} -> accepted(Before, {Cert, End}, Link, State);
        {untrusted, Reason} -> untrusted(Reason, Message, Pid, State);
        {keys, Proved, Others} -> proved(Before, Proved, Others, Link, State);
        {error, Reason} -> refused(Reason, Pid), State
    end.

known(Conn) ->
    {maps:get(fingerprint, merlon_nif:link_info(Conn), none),
     merlon_reprove_core:proved_with(proved(Conn), states())}.

accepted({Before, _}, {Cert, End}, {Pid, _} = Link, State) ->
    ok = merlon_registry:reproved(Pid, #{fingerprint => Cert, not_after => End}),
    _ = [tell(Pid, fun(Info) -> merlon_event:reproved(Info, {certificate, End}) end) || Cert =/= Before],
    settled(certificate, Link, State).

%% The certificate is the peer's own, and this node does not believe its CA yet, or it is revoked here: what
%% the link stands on stays, and ends as it would have.
untrusted(Reason, Message, Pid, #state{links = Links, told = Told} = State) ->
    Owing = State#state{links = merlon_reprove_core:owes(Pid, {certificate, now_ms()}, Links)},
    About = {erlang:phash2(Message), code(Reason)},
    case Told of
        #{Pid := About} -> Owing;
        #{} ->
            tell(Pid, fun(Info) -> merlon_event:reproof_untrusted(Info, Reason) end),
            Owing#state{told = Told#{Pid => About}}
    end.

code({Code, _}) -> Code;
code(Code) -> Code.

proved({_, Before}, _Proved, Others, {Pid, Conn} = Link, State) ->
    case merlon_reprove_core:proved_with(proved(Conn), states()) of
        {ok, Id} when {ok, Id} =/= Before ->
            tell(Pid, fun(Info) -> merlon_event:reproved(Info, {secret, Id}) end);
        _ -> ok
    end,
    case Others of
        0 -> settled(keys, Link, State);
        _ -> #state{links = Links} = Judged = judged(Link, State),
             Judged#state{links = merlon_reprove_core:owes(Pid, {keys, now_ms()}, Links)}
    end.

settled(Kind, {Pid, _} = Link, #state{links = Links, told = Told} = State) ->
    Left = case Kind of certificate -> maps:remove(Pid, Told); keys -> Told end,
    judged(Link, State#state{links = merlon_reprove_core:settled(Pid, Kind, Links), told = Left}).

%% The link is looked at again when what it stands on now ends.
judged({Pid, Conn}, State) ->
    ok = merlon_reload:judge_again(Pid, Conn),
    State.

%% No honest carrier does that: whoever is at the other end does not hold what he shows.
refused(Reason, Pid) ->
    tell(Pid, fun(Info) -> merlon_event:link_closed(Info, {reproof, Reason}) end),
    true = exit(Pid, {peer_proof, Reason}),
    ok.

%% A logger may be slow, or use this very link.
tell(Pid, Say) ->
    _ = [spawn(fun() -> Say(Info) end) || {_, _, Info} <- merlon_registry:link(Pid)],
    ok.
