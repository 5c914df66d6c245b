%% SPDX-License-Identifier: Apache-2.0
%% Changes to a merlon dir, by commands only: one at a time, and complete or not at all, whatever
%% ends them. Reading is merlon_dir's.
-module(merlon_dir_write).

-export([make/2, locked/2, in_turn/3, put_ca/3, put_file/4, put_made/3, put_folder/3, move/2, each/1]).

-import(merlon_dir, [path/1, exists/1, is_dir/1, read/1]).

-include_lib("kernel/include/file.hrl").

%% How often a command looks whether another one is done.
-define(TRIES, 10).
%% Milliseconds between two looks of one who waits for others to be done: up to the first, later to the second.
-define(PAUSE, 50).
-define(LONG_PAUSE, 800).
%% The folders of folders with a key and a certificate.
-define(FOLDERS, ["nodes", "cli"]).

%% Makes a folder and those above it; the folder itself gets Mode when it is new.
-spec make(merlon_dir:path(), Mode :: non_neg_integer()) -> ok | {error, {file, merlon_dir:reason()}}.
make(Dir, Mode) ->
    case prim_file:make_dir(Dir) of
        ok -> checked(change_mode(Dir, Mode), make, Dir);
        {error, eexist} -> is_made(is_dir(Dir), Dir);
        {error, enoent} -> make_above(Dir, Mode);
        {error, Posix} -> failed(make, Dir, Posix)
    end.

is_made(true, _Dir) -> ok;
is_made(false, Dir) -> failed(make, Dir, enotdir).

make_above(Dir, Mode) ->
    case filename:dirname(Dir) of
        Dir -> failed(make, Dir, enoent);
        Above ->
            case make(Above, 8#755) of
                ok -> make(Dir, Mode);
                {error, _} = Error -> Error
            end
    end.

%% A new file, on the disk when this returns. It has its mode before it has any content.
create(Path, Content, Mode) ->
    checked(put_content(Path, Content, Mode), write, Path).

put_content(Path, Content, Mode) ->
    case prim_file:open(Path, [write, exclusive, binary, raw]) of
        {ok, File} ->
            Written = each([fun() -> change_mode(Path, Mode) end,
                            fun() -> prim_file:write(File, Content) end,
                            fun() -> prim_file:sync(File) end]),
            each([fun() -> prim_file:close(File) end, fun() -> Written end]);
        {error, _} = Error -> Error
    end.

%% A folder that must not be there yet, closed to others.
create_folder(Path) ->
    checked(each([fun() -> prim_file:make_dir(Path) end,
                  fun() -> change_mode(Path, 8#700) end]), make, Path).

change_mode(Path, Mode) ->
    prim_file:write_file_info(Path, #file_info{mode = Mode}).

%% A rename that is on the disk when this returns.
-spec move(merlon_dir:path(), merlon_dir:path()) -> ok | {error, {file, merlon_dir:reason()}}.
move(From, To) ->
    case prim_file:rename(From, To) of
        ok ->
            sync_dir(filename:dirname(To)),
            sync_dir(filename:dirname(From));
        {error, Posix} ->
            failed(write, To, Posix)
    end.

%% So that a rename survives a power failure; not every file system can do it.
sync_dir(Dir) ->
    case prim_file:open(Dir, [read, directory, raw]) of
        {ok, Handle} ->
            _ = prim_file:sync(Handle),
            _ = prim_file:close(Handle),
            ok;
        {error, _} -> ok
    end.

%% Whatever it is; a link is removed, not followed.
remove(Path) ->
    case prim_file:read_link_info(Path) of
        {ok, #file_info{type = directory}} ->
            lists:foreach(fun(Name) -> remove(path([Path, Name])) end, names(Path)),
            _ = prim_file:del_dir(Path),
            ok;
        {ok, _} ->
            _ = prim_file:delete(Path),
            ok;
        {error, _} -> ok
    end.

%% All of them, or none if there is no such folder.
names(Dir) ->
    case prim_file:list_dir(Dir) of
        {ok, Names} -> Names;
        {error, _} -> []
    end.

%% One step after the other, until one fails.
-spec each([fun(() -> ok | {error, Reason})]) -> ok | {error, Reason}.
each([]) -> ok;
each([Step | Steps]) ->
    case Step() of
        ok -> each(Steps);
        {error, _} = Error -> Error
    end.

checked(ok, _Operation, _Path) -> ok;
checked({error, Posix}, Operation, Path) -> failed(Operation, Path, Posix).

failed(Operation, Path, Posix) -> {error, {file, {Operation, Path, Posix}}}.

%% ---- one command at a time ----

%% Does Change while no other command changes Dir, which is made if need be. Change gets a folder
%% in Dir that nobody else can enter, so that whatever the umask is, a secret can't be opened by
%% others in the moment before its file has its mode.
%%
%% That folder is the lock too. Its name says whose it is. Who wants to change Dir first makes its
%% folder and then looks for others': of two, at least the later one sees the other and gives way.
%% So a dead owner's folder can just be passed over, and nobody has to take away a lock that may
%% have changed hands since it was looked at.
-spec locked(merlon_dir:path(), fun((Work :: merlon_dir:path()) -> Result)) ->
          Result | {error, {file, merlon_dir:reason()} | {refused, iodata()}}.
locked(Dir, Change) -> locked(Dir, Change, ?TRIES).

locked(Dir, Change, Tries) ->
    Known = exists(Dir),
    Result = case enter(Dir, Tries) of
                 {ok, Work} ->
                     try
                         lists:foreach(fun(Name) -> clean(Dir, Name) end, abandoned(Dir)),
                         Change(Work)
                     after
                         clean(Dir, filename:basename(Work))
                     end;
                 {error, _} = Error -> Error
             end,
    %% Only an empty folder can be removed like this.
    _ = Known orelse prim_file:del_dir(Dir),
    Result.

%% The same for a Change that waits until Deadline (monotonic milliseconds) while others change Dir. Each is done in a moment;
%% who looks less and less often leaves many others their turn.
-spec in_turn(merlon_dir:path(), fun((Work :: merlon_dir:path()) -> Result), Deadline :: integer()) ->
          {done, Result} | {error, {file, merlon_dir:reason()} | {refused, iodata()}}.
in_turn(Dir, Change, Deadline) ->
    in_turn(Dir, fun(Work) -> {done, Change(Work)} end, Deadline, ?PAUSE).

in_turn(Dir, Change, Deadline, Longest) ->
    Pause = rand:uniform(Longest),
    case locked(Dir, Change, 2) of
        {error, {refused, _}} = Error ->
            case erlang:monotonic_time(millisecond) + Pause < Deadline of
                true ->
                    timer:sleep(Pause),
                    in_turn(Dir, Change, Deadline, min(2 * Longest, ?LONG_PAUSE));
                false -> Error
            end;
        Result -> Result
    end.

enter(Dir, Tries) ->
    Work = path([Dir, temporary()]),
    case each([fun() -> make(Dir, 8#755) end, fun() -> create_folder(Work) end,
               fun() -> only_ours(Dir, Work) end]) of
        ok -> alone(Dir, Work, Tries);
        %% Dir was removed by one that had made it, and failed.
        {error, {file, {make, Work, enoent}}} when Tries > 1 -> enter(Dir, Tries - 1);
        {error, Reason} ->
            _ = prim_file:del_dir(Work),
            {error, lasting(Reason, Dir, Work)}
    end.

%% Work's name would tell nobody anything, and be another one each time.
lasting({file, {make, Work, Posix}}, Dir, Work) -> {file, {write, Dir, Posix}};
lasting(Reason, _Dir, _Work) -> Reason.

%% What is swept and moved below Dir is found by name: so nobody else may be able to put names there.
only_ours(Dir, Work) ->
    {ok, #file_info{uid = Us}} = prim_file:read_link_info(Work),
    Folders = [Dir | [Folder || Name <- ?FOLDERS, Folder <- [path([Dir, Name])], exists(Folder)]],
    each([fun() -> ours(Folder, prim_file:read_link_info(Folder), Us) end || Folder <- Folders]).

ours(_Folder, {ok, #file_info{type = directory, uid = Us, mode = Mode}}, Us)
  when Mode band 8#022 =:= 0 ->
    ok;
ours(Folder, {ok, #file_info{type = directory, uid = Us}}, Us) ->
    {error, {refused, ["others may write in ", Folder, ": chmod go-w ", Folder]}};
ours(Folder, {ok, #file_info{type = directory}}, _Us) ->
    {error, {refused, [Folder, " is another user's: run this as its owner"]}};
ours(Folder, _, _Us) ->
    {error, {refused, [Folder, " is not a folder: put one there"]}}.

alone(Dir, Work, Tries) ->
    case [{Pid, Place =:= place(), Name} || Name <- names(Dir), path([Dir, Name]) =/= Work,
                 {Pid, _, Place, _} = Owner <- [owner(Name)], alive(Owner)] of
        [] -> {ok, Work};
        [Other | _] ->
            _ = prim_file:del_dir(Work),
            give_way(Dir, Other, Tries - 1)
    end.

%% The other may be giving way as well: then who comes back first has it.
give_way(Dir, {Pid, true, _}, 0) ->
    {error, {refused, ["another merlon command (pid ", Pid, ") is working on ", Dir]}};
give_way(Dir, {_, false, Name}, 0) ->
    {error, {refused, ["a merlon command of another host or container is working on ", Dir,
                       ", or has died there: if so, remove ", path([Dir, Name])]}};
give_way(Dir, _Other, Tries) ->
    timer:sleep(rand:uniform(40)),
    enter(Dir, Tries).

temporary() ->
    Pid = os:getpid(),
    Start = case started(Pid) of
                {ok, Since} -> Since;
                none -> "0"
            end,
    Unique = [integer_to_list(Number, 36)
              || Number <- [erlang:system_time(), erlang:unique_integer([positive])]],
    [$< | Self] = pid_to_list(self()),
    lists:append([".merlon-", Pid, "-", Start, "-", place(), "-" | Unique]) ++ [$- | lists:droplast(Self)].

%% Where pids mean what ours does: a host, and a pid namespace on it.
place() ->
    integer_to_list(erlang:phash2({inet:gethostname(), prim_file:read_link("/proc/self/ns/pid")}), 36).

%% {Pid, its start, its place, which of its Erlang processes}; none if the name is not that of a temporary of ours.
owner(Name) ->
    case re:run(path([Name]), "^\\.merlon-([0-9]+)-([0-9]+)-([0-9A-Z]+)-[0-9A-Z]+-([0-9.]+)$",
                [{capture, all_but_first, list}]) of
        {match, [Pid, Start, Place, Process]} -> {Pid, Start, Place, Process};
        nomatch -> none
    end.

%% Pids are used again, but not with the same start. Of those elsewhere nothing can be known. In this very VM
%% the process that made it may have been killed.
alive({Pid, Start, Place, Process}) ->
    runs(Pid, Start, Place) andalso (Pid =/= os:getpid() orelse Place =/= place() orelse lives(Process)).

lives(Process) ->
    try is_process_alive(list_to_pid("<" ++ Process ++ ">"))
    catch error:badarg -> true
    end.

runs(Pid, Start, Place) ->
    case {Place =:= place(), started(Pid), started("self")} of
        {false, _, _} -> true;
        {true, {ok, Since}, _} -> Since =:= Start;
        {true, none, {ok, _}} -> false;
        %% merlon: allow os_command until 2027-11-30 because owner/1 has let digits through only
        {true, none, none} -> re:run(os:cmd("kill -0 " ++ Pid), "^$|permitted", [{capture, none}]) =:= match
    end.

%% When a process that has not ended was started; none also where there is no /proc.
started(Pid) ->
    case prim_file:read_file("/proc/" ++ Pid ++ "/stat") of
        {ok, Stat} ->
            [State | Fields] = string:lexemes(lists:last(binary:split(Stat, <<")">>, [global])), " "),
            case lists:member(State, [<<"Z">>, <<"X">>]) of
                true -> none;
                false -> {ok, binary_to_list(lists:nth(19, Fields))}
            end;
        {error, _} -> none
    end.

%% The names of temporaries whose owner has ended. Those in FOLDERS belong to one in Dir that may
%% be gone already, and only who has the lock makes one.
abandoned(Dir) ->
    Below = [Name || Folder <- ?FOLDERS, Name <- names(path([Dir, Folder])), owner(Name) =/= none],
    Dead = [Name || Name <- names(Dir), {_, _, _, _} = Owner <- [owner(Name)], not alive(Owner)],
    lists:usort(Below ++ Dead).

%% Ends what was done under a name, be it done, failed or killed at any point: what was half done
%% is undone, and the temporaries are removed.
clean(Dir, Name) ->
    lists:foreach(fun(Folder) -> restore(path([Dir, Folder]), Name) end, ?FOLDERS),
    undo_ca(Dir, path([Dir, Name])),
    remove(path([Dir, Name])).

%% ---- the CA ----

%% Puts a new CA into a locked Dir that has none. Its own folder comes last, certificate and key at
%% once: as long as that is still in Work, the rest can be undone.
-spec put_ca(merlon_dir:path(), Work :: merlon_dir:path(), #{key | cert | config := iodata()}) ->
          ok | {error, {file, merlon_dir:reason()}}.
put_ca(Dir, Work, #{key := Key, cert := Cert, config := Config}) ->
    [Ca, Trust, Settings] = [path([Work, Name]) || Name <- ["ca", "trust.pem", "merlon.config"]],
    each([fun() -> create_folder(Ca) end,
          fun() -> create(path([Ca, "ca.key"]), Key, 8#600) end,
          fun() -> create(path([Ca, "ca.pem"]), Cert, 8#644) end,
          fun() -> sync_dir(Ca) end,
          fun() -> create(Trust, Cert, 8#644) end,
          fun() -> create(Settings, Config, 8#644) end,
          fun() -> create(path([Work, "undo"]), Config, 8#600) end,
          fun() -> sync_dir(Work) end,
          fun() -> make(path([Dir, "nodes"]), 8#755) end,
          fun() -> make(path([Dir, "trust"]), 8#755) end,
          fun() -> move(Trust, path([Dir, "trust", "ca.pem"])) end,
          fun() -> move(Settings, path([Dir, "merlon.config"])) end,
          fun() -> move(Ca, path([Dir, "ca"])) end]).

undo_ca(Dir, Work) ->
    case read(path([Work, "ca", "ca.pem"])) of
        {ok, Cert} ->
            delete_if(read(path([Work, "undo"])), path([Dir, "merlon.config"])),
            delete_if({ok, Cert}, path([Dir, "trust", "ca.pem"])),
            %% Only when empty.
            _ = [prim_file:del_dir(path([Dir, Folder])) || Folder <- ["trust", "nodes"]],
            ok;
        {error, _} -> ok
    end.

%% A file that is not what we wrote is somebody's.
delete_if({ok, Content}, Path) ->
    case read(Path) of
        {ok, Content} ->
            _ = prim_file:delete(Path),
            sync_dir(filename:dirname(Path));
        _ -> ok
    end;
delete_if({error, _}, _Path) ->
    ok.

%% ---- one file ----

%% Puts one file in place, or in the place of the one that is there.
-spec put_file(merlon_dir:path(), Work :: merlon_dir:path(), iodata(), Mode :: non_neg_integer()) ->
          ok | {error, {file, merlon_dir:reason()}}.
put_file(Path, Work, Content, Mode) ->
    New = path([Work, filename:basename(Path)]),
    each([fun() -> checked(put_content(New, Content, Mode), write, Path) end,
          fun() -> move(New, Path) end]).

%% The same with a file that Make writes under the name that it gets, for content that no term may hold.
-spec put_made(merlon_dir:path(), Work :: merlon_dir:path(), fun((New :: merlon_dir:path()) -> {ok, Made} | Error)) ->
          {ok, Made} | Error | {error, {file, merlon_dir:reason()}} when Error :: {error, term()}.
put_made(Path, Work, Make) ->
    New = path([Work, filename:basename(Path)]),
    case Make(New) of
        {ok, Made} -> made(move(New, Path), Made);
        {error, _} = Error -> Error
    end.

made(ok, Made) -> {ok, Made};
made({error, _} = Error, _Made) -> Error.

%% ---- a key and its certificate ----

%% Puts a folder of files in place as a whole. One that is there is moved aside before; if the new
%% one then does not take its place, restore/2 brings it back, now or at the next command.
-spec put_folder(merlon_dir:path(), Work :: merlon_dir:path(),
                 [{string(), iodata(), Mode :: non_neg_integer()}]) ->
          ok | {error, {file, merlon_dir:reason()}}.
put_folder(Folder, Work, Files) ->
    Above = filename:dirname(Folder),
    Beside = path([Above, filename:basename(Work)]),
    New = path([Beside, "new"]),
    each([fun() -> make(Above, 8#755) end,
          fun() -> create_folder(Beside) end,
          fun() -> create_folder(New) end]
         ++ [fun() -> create(path([New, Name]), Content, Mode) end || {Name, Content, Mode} <- Files]
         ++ [fun() -> sync_dir(New) end,
             fun() -> aside(exists(Folder), Folder, path([Beside, "old"])) end,
             fun() -> move(New, Folder) end]).

aside(false, _Folder, _Old) -> ok;
aside(true, Folder, Old) ->
    each([fun() -> create_folder(Old) end,
          fun() -> sync_dir(filename:dirname(Old)) end,
          fun() -> move(Folder, path([Old, filename:basename(Folder)])) end]).

restore(Above, Name) ->
    Beside = path([Above, Name]),
    Old = path([Beside, "old"]),
    case each([fun() -> put_back(path([Old, Folder]), path([Above, Folder])) end
               || Folder <- names(Old)]) of
        ok -> remove(Beside);
        {error, _} -> ok
    end.

put_back(Old, Folder) ->
    case {exists(Folder), prim_file:read_link_info(Old)} of
        {false, _} -> move(Old, Folder);
        {true, {ok, #file_info{type = directory}}} -> keep_others(Old, Folder);
        {true, _} -> ok
    end.

%% What else its owner had put into the folder.
keep_others(Old, Folder) ->
    each([fun() -> move(path([Old, Name]), path([Folder, Name])) end
          || Name <- names(Old), owner(Name) =:= none, not exists(path([Folder, Name]))]).
