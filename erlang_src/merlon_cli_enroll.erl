%% SPDX-License-Identifier: Apache-2.0
%% `merlon enroll`: lets nodes join, in the foreground, where the CA is and no node needs to run.
-module(merlon_cli_enroll).
-behaviour(merlon_cli).

-export([spec/0, run/1, port/0]).
-export([start/4]).

-define(PORT, 4379).
%% Milliseconds for one session.
-define(SESSION, 10000).
%% The certificate that is shown: made anew, in memory, when it is older than this (seconds).
-define(FRESH, 12 * 3600).

-record(state, {dir :: string(), listener :: merlon_nif:listener() | undefined, say :: fun((iodata()) -> ok),
                shown = none :: none | {merlon_nif:join_server(), Made :: integer(), Root :: binary()},
                rate = merlon_join_rate_core:new() :: merlon_join_rate_core:rate()}).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Lets nodes join with tokens, until it is stopped",
      argument => none,
      options => [{dir, {text, "DIR"}, "the merlon dir with the CA; by default this user's"},
                  {listen, {text, "ADDR:PORT"}, "an IP address of this machine; default 0.0.0.0:" ++ integer_to_list(?PORT)}],
      details => "Says one line for each that tries. A node that holds the CA and has {enroll, true} in its\n"
                 "merlon.config does the same on its distribution port."}.

%% Where joins are served unless something else is said.
-spec port() -> inet:port_number().
port() -> ?PORT.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) ->
    case {listen(maps:get(listen, Options, "0.0.0.0:" ++ integer_to_list(?PORT))), merlon_cli_cert:dir(Options)} of
        {{ok, Address}, {ok, Dir}} -> serve(Dir, Address);
        {error, _} -> {usage, "--listen must be ADDR:PORT with an IP address, for example 0.0.0.0:4379 or [::]:4379"};
        {_, {error, _} = Error} -> Error
    end.

listen(Text) ->
    case merlon_token_core:address(unicode:characters_to_binary(Text)) of
        {ok, {Host, Port}} ->
            case inet:parse_strict_address(binary_to_list(Host)) of
                {ok, Ip} -> {ok, {Ip, Port}};
                {error, _} -> error
            end;
        error -> error
    end.

serve(Dir, {Ip, Port}) ->
    case start(Dir, Ip, Port, fun say/1) of
        {ok, Pid, _} ->
            Ref = monitor(process, Pid),
            receive {'DOWN', Ref, process, Pid, Reason} -> {error, {refused, io_lib:format("ended: ~tp", [Reason])}} end;
        {error, _} = Error -> Error
    end.

say(Line) ->
    Time = calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]),
    io:put_chars([Time, $\s, unicode:characters_to_binary(Line), $\n]).

%% Listens, in a process of its own, linked to the caller's; Say gets a line for each event.
-spec start(string(), inet:ip_address(), inet:port_number(), fun((iodata()) -> ok)) ->
          {ok, pid(), {inet:ip_address(), inet:port_number()}} | {error, term()}.
start(Dir, Ip, Port, Say) ->
    case merlon_cli_cert:ca(Dir) of
        {ok, _} -> opened(Dir, Ip, Port, Say);
        {error, _} = Error -> Error
    end.

opened(Dir, Ip, Port, Say) ->
    case merlon_nif:listen(Ip, Port, 64, []) of
        {ok, Listener} -> listening(Listener, shown(#state{dir = Dir, listener = Listener, say = Say}));
        {error, Reason} ->
            {error, {refused, ["can't listen on ", inet:ntoa(Ip), $:, integer_to_list(Port), ": ", inet:format_error(Reason)]}}
    end.

%% The certificate comes after the port: one that can't have it, and is begun again and again, must not use up what its
%% name may have (merlon_issued).
listening(Listener, {ok, _, State}) ->
    {ok, Address} = merlon_nif:sockname(Listener),
    {ok, spawn_link(fun() -> init(State, Address) end), Address};
listening(Listener, {error, _} = Error) ->
    ok = merlon_nif:close(Listener),
    Error.

-spec init(#state{}, {inet:ip_address(), inet:port_number()}) -> no_return().
init(#state{listener = Listener, dir = Dir, say = Say} = State, {Ip, Port}) ->
    _ = process_flag(sensitive, true),
    ok = merlon_nif:set_owner(Listener, self()),
    Say(["serving joins to ", merlon_dir:path([Dir]), " on ", inet:ntoa(Ip), $:, integer_to_list(Port)]),
    loop(State).

loop(#state{listener = Listener, say = Say} = State) ->
    case merlon_nif:accept(Listener) of
        {ok, Conn} -> loop(admit(Conn, State));
        wait ->
            receive {select, _, _, ready_input} -> loop(State) end;
        {error, Reason} when Reason =:= ebadf; Reason =:= enotconn; Reason =:= einval -> exit(Reason);
        {error, Reason} ->
            Say(["accept failed: ", inet:format_error(Reason)]),
            timer:sleep(200),
            loop(State)
    end.

admit(Conn, #state{rate = Rate, say = Say} = State) ->
    {ok, {Ip, _} = Peer} = merlon_nif:peername(Conn),
    Now = erlang:monotonic_time(millisecond),
    case merlon_join_rate_core:admit(merlon_source_core:source(Ip), Now, Rate) of
        {yes, Next} -> session(Conn, Peer, State#state{rate = Next});
        {tell, Next} ->
            ok = merlon_nif:close(Conn),
            Say([inet:ntoa(Ip), " turned away: too many attempts a second"]),
            State#state{rate = Next};
        {no, Next} ->
            ok = merlon_nif:close(Conn),
            State#state{rate = Next}
    end.

session(Conn, {Ip, _}, #state{dir = Dir, say = Say} = State) ->
    case shown(State) of
        {ok, Server, Next} ->
            Pid = spawn(fun() -> joining(Conn, Server, Dir, fun(Line) -> Say([inet:ntoa(Ip), $\s, Line]) end) end),
            ok = merlon_nif:set_owner(Conn, Pid),
            Pid ! go,
            Next;
        {error, Reason} ->
            ok = merlon_nif:close(Conn),
            Say(["can't serve: ", words(Reason)]),
            State
    end.

joining(Conn, Server, Dir, Say) ->
    receive go -> ok end,
    Deadline = erlang:monotonic_time(millisecond) + ?SESSION,
    case merlon_nif:join_accept(Conn, Server, erlang:system_time(second)) of
        ok -> Say(merlon_join_server:text(merlon_join_server:serve(Conn, Dir, Deadline)));
        {error, #{text := Text}} -> Say(["refused: ", Text])
    end.

words({refused, Text}) -> Text;
words(Reason) -> merlon_identity:format_error(Reason).

%% A node's certificate of this CA that only this process has, written down like any other. Made anew in time, and
%% when the CA has changed.
shown(#state{dir = Dir, shown = Shown} = State) ->
    Now = erlang:system_time(second),
    case {merlon_cli_cert:ca(Dir), Shown} of
        {{ok, #{ca_cert := Root}}, {Server, Made, Root}} when Now - Made < ?FRESH -> {ok, Server, State};
        {{ok, #{ca_cert := Root}}, _} -> show(Root, Now, State);
        {{error, _} = Error, _} -> Error
    end.

show(Root, Now, #state{dir = Dir} = State) ->
    case own(Dir, Now) of
        {ok, Cert, Key} ->
            case merlon_join_server:shown(Dir, Cert, Key, Now) of
                {ok, Server} -> {ok, Server, State#state{shown = {Server, Now, Root}}};
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

own(Dir, Now) ->
    case cluster(Dir) of
        {ok, Cluster} ->
            {ok, Host} = inet:gethostname(),
            Subject = {node, <<"merlon-enroll">>, unicode:characters_to_binary(Host)},
            Wanted = #{cluster => Cluster, identity => Subject, alg => p256, ips => []},
            {ok, #{csr := Csr, key := Key}} = merlon_nif:pki_new_csr(Wanted),
            signed(merlon_sign:csr(Dir, #{csr => Csr, subject => Subject, days => 1, now => Now}), Key);
        {error, _} = Error -> Error
    end.

signed({ok, Cert}, Key) -> {ok, Cert, Key};
signed({error, _} = Error, _Key) -> Error.

cluster(Dir) ->
    case merlon_config:load(Dir) of
        {ok, #{cluster := Cluster}} -> {ok, Cluster};
        {error, _} = Error -> Error
    end.
