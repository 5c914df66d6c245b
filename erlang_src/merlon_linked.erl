%% SPDX-License-Identifier: Apache-2.0
%% Which nodes have linked over merlon before, or over inet_tls: they get no lesser link any more, whatever `interop` says. In a
%% table, and in DIR/linked-nodes, a name a line, for the time after a restart. What can't be found out counts as a yes.
-module(merlon_linked).

-export([start/0, note/1, is_known/2, file/1]).

%% {Line, When it was last seen in the file, in milliseconds, or `never`}.
-define(TABLE, merlon_linked).
%% Milliseconds: a line that was in the file is not looked for again so soon, so that many links at once read it once.
%% What is taken out of the file is written again at the first link after that.
-define(FRESH, 5000).

%% Called by merlon_registry, which owns the table.
-spec start() -> ok.
start() ->
    _ = ets:new(?TABLE, [named_table, public]),
    ok.

-spec file(Dir :: string()) -> merlon_dir:path().
file(Dir) -> merlon_dir:path([Dir, "linked-nodes"]).

%% A link with the owner of that certificate, or of inet_tls with a node of that name, is up. Tools, and whoever was given a
%% name, have none of their own and are not noted.
-spec note(#{carrier := merlon_interop:carrier(), _ => _}) -> ok.
note(#{carrier := merlon, identity := {node, _, Name, Host}}) -> remember(line(<<Name/binary, $@, Host/binary>>, merlon));
note(#{carrier := inet_tls, name := <<First, _/binary>> = Name}) when First =/= $@ ->
    _ = is_tool(Name) orelse remember(line(Name, inet_tls)),
    ok;
note(_) -> ok.

%% Tools take another name each time.
is_tool(Name) ->
    #{cli_names := Cli, derived_names := Derived} = merlon_node:config(),
    merlon_nif:binds({cli, <<"tool">>, lists:last(binary:split(Name, <<"@">>, [global]))}, Name, Cli, Derived).

%% What could not be written the last time is written at the next link.
remember(Line) ->
    Now = erlang:monotonic_time(millisecond),
    case ets:insert_new(?TABLE, {Line, never}) orelse ets:lookup_element(?TABLE, Line, 2) of
        Seen when is_integer(Seen), Now - Seen < ?FRESH -> ok;
        _ -> keep(Line, file(), Now)
    end.

%% A dir that can't be written is told of where it matters only.
keep(Line, File, Now) ->
    Lines = lines(merlon_dir:read(File)),
    case lists:member(Line, Lines) orelse append(File, Line) of
        {error, Posix} -> _ = (merlon_interop:is_on() orelse merlon_interop:takes_inet_tls()) andalso merlon_event:not_remembered(File, Posix), ok;
        _ -> _ = [ets:update_element(?TABLE, Each, {2, Now}) || Each <- [Line | Lines]], ok
    end.

%% Begins with the end of a line: what a crash has left unfinished takes nothing with it.
append(File, Line) ->
    case prim_file:open(File, [append, raw, binary]) of
        {ok, Handle} ->
            try
                merlon_dir_write:each([fun() -> prim_file:write(Handle, [$\n, Line, $\n]) end,
                                       fun() -> prim_file:datasync(Handle) end])
            after prim_file:close(Handle)
            end;
        {error, _} = Error -> Error
    end.

%% Whether a node of that name has linked over something better than Carrier.
-spec is_known(Name :: binary(), merlon_interop:carrier()) -> boolean().
is_known(Name, Carrier) ->
    Better = [line(Name, Each) || Each <- better(Carrier)],
    lists:any(fun(Line) -> ets:member(?TABLE, Line) end, Better) orelse in_file(Better, merlon_dir:read(file())).

better(plain) -> [merlon, inet_tls];
better(inet_tls) -> [merlon].

in_file(_Better, {error, {file, {read, _, enoent}}}) -> false;
in_file(_Better, {error, _}) -> true;
in_file(Better, Read) -> Better -- lines(Read) =/= Better.

lines({ok, Bytes}) -> binary:split(Bytes, <<"\n">>, [global, trim_all]);
lines({error, _}) -> [].

file() ->
    #{dir := Dir} = merlon_node:config(),
    file(Dir).

%% There is no blank in what is printable.
line(Name, merlon) -> iolist_to_binary(merlon_event_text:printable(Name));
line(Name, inet_tls) -> <<(line(Name, merlon))/binary, " inet_tls">>.
