%% SPDX-License-Identifier: Apache-2.0
%% The merlon dir: where it is, and its files with their modes. Used while the node boots, before
%% there is a file server: only prim_file here.
-module(merlon_dir).

-export([find/0, default/0, path/1, is_dir/1, exists/1, list/1]).
-export([read/1, read_secret/1, secret_mode/1]).
-export([format_error/1]).
-export_type([path/0, reason/0]).

-include_lib("kernel/include/file.hrl").

-type path() :: binary().
-type operation() :: read | write | make | list.
-type reason() :: {operation(), path(), file:posix() | badarg | terminated} |
                  {too_open, path(), Mode :: non_neg_integer()} |
                  {too_big, path()} | {not_a_file, path()}.

%% Certificates and keys are small; a revocation list may be long.
-define(MAX_SIZE, 16 * 1024 * 1024).
-define(OTHERS, 8#077).

%% ---- where it is ----

%% What is said explicitly counts even when it does not exist; of the rest, what exists.
-spec find() -> {ok, string()} | {error, {no_dir, [string()]}}.
find() ->
    case explicit() of
        {ok, Dir} -> {ok, Dir};
        none -> existing(implicit())
    end.

%% As find/0, for a command that may make the dir: the last place if none exists.
-spec default() -> {ok, string()} | {error, {no_dir, [string()]}}.
default() ->
    case find() of
        {error, {no_dir, [_ | _] = Tried}} -> {ok, lists:last(Tried)};
        Found -> Found
    end.

explicit() ->
    case argument(merlon_dir, argument(merlon, either(env("MERLON_DIR"), merlon_config_env:dir()))) of
        none -> none;
        Dir -> {ok, Dir}
    end.

%% `-merlon dir DIR` is also how OTP sets an application's environment, so that the application
%% can only be loaded if DIR is an Erlang term: it may stand in double quotes, or be said as
%% `-merlon_dir DIR`. The last one wins, as it does for emulator flags.
argument(Flag, Default) ->
    Values = case init:get_argument(Flag) of
                 {ok, Found} -> [Dir || Value <- Found, Dir <- dir_of(Flag, Value)];
                 error -> []
             end,
    case Values of
        [] -> Default;
        _ -> unquoted(lists:last(Values))
    end.

either(none, Default) -> Default;
either(Value, _Default) -> Value.

dir_of(merlon, ["dir", Dir | _]) -> [Dir];
dir_of(merlon_dir, [Dir | _]) -> [Dir];
dir_of(_, _) -> [].

unquoted([$" | Rest]) -> string:trim(Rest, trailing, "\"");
unquoted(Dir) -> Dir.

implicit() ->
    [Dir || {Variable, Below} <- [{"RELEASE_ROOT", "/merlon"}, {"XDG_CONFIG_HOME", "/merlon"},
                                  {"HOME", "/.config/merlon"}],
            Root <- [env(Variable)], Root =/= none, Dir <- [Root ++ Below]].

existing(Dirs) ->
    case [Dir || Dir <- Dirs, is_dir(path([Dir]))] of
        [Dir | _] -> {ok, Dir};
        [] -> {error, {no_dir, Dirs}}
    end.

env(Variable) ->
    case os:getenv(Variable) of
        Value when Value =:= false; Value =:= "" -> none;
        Value -> Value
    end.

%% ---- reading ----

%% Parts joined by "/", in the bytes that the file system knows.
-spec path([string() | binary()]) -> path().
path(Parts) ->
    iolist_to_binary(lists:join($/, [native(Part) || Part <- Parts])).

native(Part) when is_binary(Part) ->
    Part;
native(Part) ->
    case unicode:characters_to_binary(Part, unicode, file:native_name_encoding()) of
        Bytes when is_binary(Bytes) -> Bytes;
        _ -> <<_/binary>> = unicode:characters_to_binary(Part)
    end.

-spec is_dir(path()) -> boolean().
is_dir(Path) ->
    case prim_file:read_file_info(Path) of
        {ok, #file_info{type = directory}} -> true;
        _ -> false
    end.

%% Whether there is anything of that name, be it a dangling link.
-spec exists(path()) -> boolean().
exists(Path) ->
    element(1, prim_file:read_link_info(Path)) =:= ok.

%% The names in a folder, sorted, without those that begin with a dot (unfinished writes).
-spec list(path()) -> {ok, [binary()]} | {error, {file, reason()}}.
list(Dir) ->
    case prim_file:list_dir(Dir) of
        {ok, Names} -> {ok, lists:sort([path([Name]) || Name <- Names, hd(Name) =/= $.])};
        {error, Posix} -> failed(list, Dir, Posix)
    end.

-spec read(path()) -> {ok, binary()} | {error, {file, reason()}}.
read(Path) ->
    read(Path, fun(_Info) -> ok end).

%% Reads a file that nobody but its owner may be able to read.
-spec read_secret(path()) -> {ok, binary()} | {error, {file, reason()}}.
read_secret(Path) ->
    read(Path, fun(Info) -> private(Path, Info) end).

%% The check of read_secret/1 alone.
-spec secret_mode(path()) -> ok | {error, {file, reason()}}.
secret_mode(Path) ->
    case prim_file:read_file_info(Path) of
        {ok, Info} -> private(Path, Info);
        {error, Posix} -> failed(read, Path, Posix)
    end.

private(_Path, #file_info{mode = Mode}) when Mode band ?OTHERS =:= 0 -> ok;
private(Path, #file_info{mode = Mode}) -> {error, {file, {too_open, Path, Mode band 8#7777}}}.

%% What is checked is the open file, not the name: it can't be exchanged in between. A pipe or a
%% device is not even opened, since that could wait for ever.
read(Path, Check) ->
    case prim_file:read_file_info(Path) of
        {ok, #file_info{type = regular}} -> open(Path, Check);
        {ok, _} -> {error, {file, {not_a_file, Path}}};
        {error, Posix} -> failed(read, Path, Posix)
    end.

open(Path, Check) ->
    case prim_file:open(Path, [read, binary, raw]) of
        {ok, File} ->
            try content(File, Path, Check) after prim_file:close(File) end;
        {error, Posix} -> failed(read, Path, Posix)
    end.

content(File, Path, Check) ->
    {ok, Info} = prim_file:read_handle_info(File),
    case Check(Info) of
        ok when Info#file_info.size > ?MAX_SIZE -> {error, {file, {too_big, Path}}};
        ok -> content(prim_file:read(File, Info#file_info.size + 1), Path);
        {error, _} = Error -> Error
    end.

content({ok, Bytes}, _Path) -> {ok, Bytes};
content(eof, _Path) -> {ok, <<>>};
content({error, Posix}, Path) -> failed(read, Path, Posix).

failed(Operation, Path, Posix) -> {error, {file, {Operation, Path, Posix}}}.

%% ---- words ----

-spec format_error(reason() | {no_dir, [string()]}) -> iodata().
format_error({no_dir, []}) ->
    "there is no merlon dir and no home folder to look in: say where it is with -merlon_dir DIR";
format_error({no_dir, Tried}) ->
    ["there is no merlon dir (looked for ", lists:join(", ", [path([Dir]) || Dir <- Tried]),
     "): make one with `merlon init --cluster NAME`, or say where it is with -merlon_dir DIR"];
format_error({too_open, Path, Mode}) ->
    [Path, " is a secret, but others than its owner may use it (mode ",
     io_lib:format("~4.8.0b", [Mode]), "): chmod 600 ", quoted(Path)];
format_error({too_big, Path}) ->
    [Path, " is larger than 16 MiB: it can't be what it should be"];
format_error({not_a_file, Path}) ->
    [Path, " is not a regular file: put one there"];
format_error({Operation, Path, Posix}) ->
    [Path, verb(Operation), ": ", file:format_error(Posix), advice(Operation, Posix, Path)].

verb(read) -> " can't be read";
verb(write) -> " can't be written";
verb(make) -> " can't be made";
verb(list) -> " can't be listed".

advice(read, eacces, Path) ->
    ["; give it to the user who runs the node: chown \"$USER\" ", quoted(Path)];
advice(_, eacces, Path) ->
    ["; run this as the owner of ", filename:dirname(Path)];
advice(_, enospc, _Path) -> "; make room on that disk";
advice(_, edquot, _Path) -> "; make room within this user's quota of that disk, or have it raised";
advice(_, efbig, _Path) -> "; raise this process's limit on the size of files (ulimit -f)";
advice(_, erofs, _Path) -> "; mount that file system so that it can be written";
advice(_, _, _) ->
    "".

%% As a shell wants it.
quoted(Path) ->
    case re:run(Path, "^[A-Za-z0-9_@%+=:,./-]+$", [{capture, none}]) of
        match -> Path;
        nomatch -> [$', binary:replace(Path, <<"'">>, <<"'\\''">>, [global]), $']
    end.
