%% SPDX-License-Identifier: Apache-2.0
%% What merlon's servers ask those of other nodes, and answer, without ever making a link. gen_server's own calls dial a node that
%% is not linked any more (by their monitor), and its answers dial whatever node a question names as that of its sender. Both
%% ends are gen_servers all the same: the messages are those of gen_server:call/3 and cast/2.
-module(merlon_ask).

-export([peers/0, call/4, all/4, cast/3, reply/2, answered/3]).

-dialyzer({no_improper_lists, [asked/2]}).

%% Milliseconds between two looks whether who is to answer is still linked.
-define(LOOK, 100).

%% The nodes that are linked over merlon. Tools come and go and are asked nothing; other carriers' nodes have no merlon.
-spec peers() -> [node()].
peers() ->
    [Node || {_, _, #{node := Node, carrier := merlon, identity := {node, _, _, _}}} <- merlon_registry:links()].

%% `none`: not linked (any more), or no answer within Timeout (ms).
-spec call(Server :: atom(), node(), Request :: term(), Timeout :: non_neg_integer()) -> {ok, term()} | none.
call(Server, Node, Request, Timeout) ->
    case all(Server, [Node], Request, Timeout) of
        [{Node, Answer}] -> {ok, Answer};
        [] -> none
    end.

%% The answers of those who have answered within Timeout (ms), in the order of Nodes.
-spec all(Server :: atom(), [node()], Request :: term(), Timeout :: non_neg_integer()) -> [{node(), Answer :: term()}].
all(Server, Nodes, Request, Timeout) ->
    Deadline = now_ms() + Timeout,
    Asked = [{Node, asked({Server, Node}, Request)} || Node <- Nodes],
    [{Node, Answer} || {Node, Alias} <- Asked, {ok, Answer} <- [answer(Alias, {Server, Node}, Deadline)]].

-spec cast(Server :: atom(), node(), Request :: term()) -> ok.
cast(Server, Node, Request) ->
    _ = send({Server, Node}, {'$gen_cast', Request}),
    ok.

%% From as in handle_call/3: what a peer has put there.
-spec reply(From :: term(), Answer :: term()) -> ok.
reply({_, [alias | Alias] = Tag}, Answer) when is_reference(Alias) -> replied(Alias, {Tag, Answer});
reply({_, [[alias | Alias] | _] = Tag}, Answer) when is_reference(Alias) -> replied(Alias, {Tag, Answer});
reply({Pid, Tag}, Answer) when is_pid(Pid) -> replied(Pid, {Tag, Answer});
reply(_, _Answer) -> ok.

%% For handle_call/3, in the place of {reply, Answer, State}.
-spec answered(From :: term(), Answer :: term(), State) -> {noreply, State}.
answered(From, Answer, State) ->
    ok = reply(From, Answer),
    {noreply, State}.

replied(To, Message) ->
    _ = send(To, Message),
    ok.

asked(To, Request) ->
    Alias = erlang:alias([reply]),
    case send(To, {'$gen_call', {self(), [alias | Alias]}, Request}) of
        ok -> Alias;
        noconnect ->
            _ = erlang:unalias(Alias),
            none
    end.

%% A link that is full suspends its senders until the peer reads, or is found to be gone: a process of its own, not a server.
send(To, Message) ->
    case erlang:send(To, Message, [noconnect, nosuspend]) of
        nosuspend ->
            _ = spawn(fun() -> erlang:send(To, Message, [noconnect]) end),
            ok;
        Sent -> Sent
    end.

%% A monitor would tell at once that the link has gone, but make one where it has gone before.
answer(none, _Server, _Deadline) ->
    none;
answer(Alias, Server, Deadline) ->
    receive {[alias | Alias], Answer} -> {ok, Answer}
    after max(0, min(?LOOK, Deadline - now_ms())) ->
            case is_there(Server) andalso now_ms() < Deadline of
                true -> answer(Alias, Server, Deadline);
                false -> given_up(Alias)
            end
    end.

is_there({Server, Node}) when Node =:= node() -> whereis(Server) =/= undefined;
is_there({_, Node}) -> lists:member(Node, nodes(connected)).

%% Nothing comes after that.
given_up(Alias) ->
    _ = erlang:unalias(Alias),
    receive {[alias | Alias], Answer} -> {ok, Answer}
    after 0 -> none
    end.

now_ms() -> erlang:monotonic_time(millisecond).
