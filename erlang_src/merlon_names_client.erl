%% SPDX-License-Identifier: Apache-2.0
%% Asking the name service of a host, and standing in it. Each question is a TLS session with this node's own
%% certificate; what has been registered stays as long as its session.
-module(merlon_names_client).

-export([ask/3, member/4]).
-export_type([failure/0]).

-type failure() :: #{reason := atom(), text := binary(), _ => _}.
-type address() :: {inet:ip_address(), inet:port_number()}.

%% Milliseconds for the whole of a question: somebody waits for a link.
-define(PATIENCE, 2000).

%% Asks the keeper at that address.
-spec ask(address(), Source :: inet:ip_address() | undefined, merlon_names_core:request()) ->
          {ok, merlon_names_core:answer()} | {error, failure()}.
ask(Address, Source, Request) ->
    Deadline = erlang:monotonic_time(millisecond) + ?PATIENCE,
    case open(Address, Source, Deadline) of
        {ok, Conn} ->
            Answer = exchange(Conn, Request, Deadline),
            ok = merlon_nif:close(Conn),
            Answer;
        {error, _} = Error -> Error
    end.

open(Address, Source, Deadline) ->
    Identity = merlon_node:identity(),
    Start = fun(Conn) -> merlon_nif:names_dial(Conn, Identity, erlang:system_time(second)) end,
    merlon_join_wire:open(Address, Source, Start, Deadline).

exchange(Conn, Request, Deadline) ->
    case merlon_join_wire:send(Conn, merlon_names_core:request(Request), Deadline) of
        ok -> answered(merlon_join_wire:recv(Conn, Deadline));
        {error, _} = Error -> Error
    end.

answered({ok, Bytes}) ->
    case merlon_names_core:read_answer(Bytes) of
        {ok, Answer} -> {ok, Answer};
        {error, malformed} -> {error, #{reason => malformed, text => <<"its answer can't be read">>}}
    end;
answered({error, _} = Error) -> Error.

%% A process of its own: registers, says `{member, self(), Keeper}` to Names, and ends when the keeper or Names does.
%% Its exit reason says why: `lost`, `{refused, Why}` or `{failed, failure()}`.
-spec member(Names :: pid(), address(), Node :: binary(), inet:port_number()) -> no_return().
member(Names, Address, Node, Port) ->
    Ref = erlang:monitor(process, Names),
    Deadline = erlang:monotonic_time(millisecond) + ?PATIENCE,
    case open(Address, undefined, Deadline) of
        {ok, Conn} -> entered(exchange(Conn, {register, Node, Port}, Deadline), Conn, Names, Ref);
        {error, Failure} -> exit({failed, Failure})
    end.

-spec entered({ok, merlon_names_core:answer()} | {error, failure()}, merlon_nif:conn(), pid(), reference()) -> no_return().
entered({ok, registered}, Conn, Names, Ref) ->
    ok = merlon_nif:set_owner(Conn, self()),
    Names ! {member, self(), keeper(merlon_nif:names_peer(Conn))},
    ok = stay(Conn, Ref),
    exit(lost);
entered({ok, {refused, Why}}, _Conn, _Names, _Ref) -> exit({refused, Why});
entered({ok, _}, _Conn, _Names, _Ref) -> exit({failed, #{reason => malformed, text => <<"its answer is to another question">>}});
entered({error, Failure}, _Conn, _Names, _Ref) -> exit({failed, Failure}).

keeper({ok, #{identity := {node, _, Name, Host}}}) -> <<Name/binary, $@, Host/binary>>.

%% Nothing more is said on that connection: whatever comes is the end, as is that of the process monitored by Ref.
stay(Conn, Ref) ->
    case merlon_nif:join_advance(Conn) of
        wait ->
            receive
                {select, _, _, _} -> stay(Conn, Ref);
                {'DOWN', Ref, process, _, _} -> merlon_nif:close(Conn)
            end;
        _ -> merlon_nif:close(Conn)
    end.
