%% SPDX-License-Identifier: Apache-2.0
%% Which nodes have linked over TLS before: they get no link without it any more, whatever `interop` says. In a table,
%% and in DIR/linked-nodes, a name a line, for the time after a restart. What can't be found out counts as a yes.
-module(merlon_linked).

-export([start/0, note/1, is_known/1, file/1]).

-define(TABLE, merlon_linked).

%% Called by merlon_registry, which owns the table.
-spec start() -> ok.
start() ->
    _ = ets:new(?TABLE, [named_table, public]),
    ok.

-spec file(Dir :: string()) -> merlon_dir:path().
file(Dir) -> merlon_dir:path([Dir, "linked-nodes"]).

%% A link over TLS with the owner of that certificate is up. Tools have no name of their own, and are not noted.
-spec note(#{carrier := merlon_interop:carrier(), _ => _}) -> ok.
note(#{carrier := merlon, identity := {node, _, Name, Host}}) ->
    Known = printable(<<Name/binary, $@, Host/binary>>),
    _ = ets:insert_new(?TABLE, {Known}) andalso keep(Known, file()),
    ok;
note(_) ->
    ok.

%% A dir that can't be written is told of where it matters only.
keep(Name, File) ->
    case lists:member(Name, lines(merlon_dir:read(File))) orelse append(File, Name) of
        {error, Posix} -> _ = merlon_interop:is_on() andalso merlon_event:not_remembered(File, Posix), ok;
        _ -> ok
    end.

%% Begins with the end of a line: what a crash has left unfinished takes nothing with it.
append(File, Name) ->
    case prim_file:open(File, [append, raw, binary]) of
        {ok, Handle} ->
            try
                merlon_dir_write:each([fun() -> prim_file:write(Handle, [$\n, Name, $\n]) end,
                                       fun() -> prim_file:datasync(Handle) end])
            after prim_file:close(Handle)
            end;
        {error, _} = Error -> Error
    end.

-spec is_known(Name :: binary()) -> boolean().
is_known(Name) ->
    Known = printable(Name),
    ets:member(?TABLE, Known) orelse in_file(Known, merlon_dir:read(file())).

in_file(_Known, {error, {file, {read, _, enoent}}}) -> false;
in_file(_Known, {error, _}) -> true;
in_file(Known, Read) -> lists:member(Known, lines(Read)).

lines({ok, Bytes}) -> binary:split(Bytes, <<"\n">>, [global, trim_all]);
lines({error, _}) -> [].

file() ->
    #{dir := Dir} = merlon_node:config(),
    file(Dir).

printable(Name) -> iolist_to_binary(merlon_event_text:printable(Name)).
