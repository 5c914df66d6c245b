%% SPDX-License-Identifier: Apache-2.0
%% What the suites of merlon_epmd share: dirs with a strategy, nodes without OTP's epmd, sessions with the name service.
-module(merlon_epmd_ct).

-export([free_port/0, new_dir/2, start/4, name/1, silent_epmd/0, dialled/1, tool/3, bare/4, names/2, ask/3, register/4]).

-define(PATIENCE, 5000).

%% A port that nothing uses now.
-spec free_port() -> inet:port_number().
free_port() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {0, 0, 0, 0}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Port.

%% A merlon dir of its own whose merlon.config has these settings too.
-spec new_dir([{atom(), term()}], [{atom(), term()}]) -> file:filename().
new_dir(Config, Settings) ->
    Dir = merlon_peers:new_dir(proplists:get_value(priv_dir, Config), "epmd-tests"),
    ok = file:write_file(filename:join(Dir, "merlon.config"), [io_lib:format("~p.~n", [Each]) || Each <- Settings], [append]),
    Dir.

%% Node with merlon_epmd; whoever asks an epmd asks at EpmdPort.
-spec start([{atom(), term()}], file:filename(), node(), {inet:port_number(), [string()], map()}) -> merlon_ct:vm().
start(Config, Dir, Node, {EpmdPort, Args, Opts}) ->
    merlon_ct:start(Config, Node, args(EpmdPort) ++ Args, Opts#{dir => Dir}).

args(EpmdPort) ->
    ["-epmd_module", "merlon_epmd", "-start_epmd", "false", "-epmd_port", integer_to_list(EpmdPort)].

%% The part before the @ of a name that no other run uses, without digits at its end.
-spec name(string()) -> string().
name(Base) -> merlon_peers:name(Base) ++ "x".

%% Where an epmd would be asked: says how often it was.
-spec silent_epmd() -> {gen_tcp:socket(), inet:port_number()}.
silent_epmd() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {0, 0, 0, 0}}, {active, false}]),
    {ok, Port} = inet:port(Socket),
    {Socket, Port}.

-spec dialled(gen_tcp:socket()) -> non_neg_integer().
dialled(Socket) ->
    case gen_tcp:accept(Socket, 0) of
        {ok, Each} ->
            ok = gen_tcp:close(Each),
            1 + dialled(Socket);
        {error, timeout} -> 0
    end.

%% A remote shell: a VM that asks for a dynamic name and does not listen.
-spec tool([{atom(), term()}], file:filename(), inet:port_number()) -> merlon_ct:vm().
tool(Config, Dir, EpmdPort) -> bare(Config, Dir, EpmdPort, ["-name", "undefined@127.0.0.1"]).

%% A VM that is no node yet.
-spec bare([{atom(), term()}], file:filename(), inet:port_number(), [string()]) -> merlon_ct:vm().
bare(Config, Dir, EpmdPort, Args) ->
    merlon_ct:run(Config, merlon_peers:args(Dir) ++ args(EpmdPort) ++ Args, #{}).

%% net_adm:names/1 there, sorted.
-spec names(merlon_ct:vm(), string()) -> [string()].
names(Vm, Host) ->
    {ok, Names} = merlon_ct:call(Vm, net_adm, names, [Host]),
    lists:sort([Name || {Name, _} <- Names]).

%% ---- the name service, as whoever has that identity ----

-spec ask(merlon_nif:identity(), inet:port_number(), merlon_names_core:request()) ->
          {ok, merlon_names_core:answer()} | {error, map()}.
ask(Identity, Port, Request) ->
    case open(Identity, Port) of
        {ok, Conn} ->
            Answer = exchange(Conn, Request),
            ok = merlon_nif:close(Conn),
            Answer;
        {error, _} = Error -> Error
    end.

%% Registers; the connection holds the name.
-spec register(merlon_nif:identity(), inet:port_number(), binary(), inet:port_number()) ->
          {{ok, merlon_names_core:answer()} | {error, map()}, merlon_nif:conn()}.
register(Identity, NamesPort, Name, Port) ->
    {ok, Conn} = open(Identity, NamesPort),
    {exchange(Conn, {register, Name, Port}), Conn}.

open(Identity, Port) ->
    Start = fun(Conn) -> merlon_nif:names_dial(Conn, Identity, erlang:system_time(second)) end,
    merlon_join_wire:open({{127, 0, 0, 1}, Port}, undefined, Start, deadline()).

exchange(Conn, Request) ->
    case merlon_join_wire:send(Conn, merlon_names_core:request(Request), deadline()) of
        ok ->
            case merlon_join_wire:recv(Conn, deadline()) of
                {ok, Bytes} -> merlon_names_core:read_answer(Bytes);
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

deadline() -> erlang:monotonic_time(millisecond) + ?PATIENCE.
