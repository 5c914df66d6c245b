%% SPDX-License-Identifier: Apache-2.0
%% Which files are looked at. The tree is not trusted: no link in it is followed, only regular files are opened, and
%% there are bounds for depth, number and size.
-module(merlon_audit_files).

-export([find/2, read/2, resolve/3, sources/1, format_error/1]).
-export_type([file/0, kind/0, reason/0, options/0]).

-include_lib("kernel/include/file.hrl").

-type kind() :: beam | erl | ex | conf.
%% `name` is relative to the root, with /, as people see it; `path` is what is opened. `conf`: what kind of configuration it
%% is, alone or besides being a script of Elixir.
-type file() :: #{name := binary(), path := file:filename_all(), kind := kind(), size := non_neg_integer(),
                  mtime := integer(), mode := non_neg_integer(), script => boolean(), conf => merlon_audit_conf_kind:kind()}.
-type reason() :: {no_such_path, file:filename_all()} | {too_many_files, pos_integer()} |
                  {too_deep, binary()} | {too_big, non_neg_integer()} | {read, file:posix() | badarg | terminated | system_limit}.
-type options() :: #{all => boolean(), templates => boolean(), exclude => [string()]}.

-define(FILES, 200000).
-define(DEPTH, 64).
-define(BYTES, 16#2000000).
%% Others' code and what is not shipped; `all` takes them too.
-define(FOREIGN, ["deps", "test", "_checkouts"]).
%% Of these only what is known as configuration.
-define(SETTINGS, ["config"]).
-define(NEVER, [".git", ".hg", ".svn", "node_modules", ".elixir_ls"]).

%% The files below Paths, by name. Folders and files that the scan leaves out are not among them.
-spec find([file:filename_all()], options()) ->
          {ok, Root :: file:filename_all(), [file()], [{binary(), reason()}]} | {error, {files, reason()}}.
find(Paths, Options) ->
    {ok, Cwd} = file:get_cwd(),
    Absolute = [plain(filename:absname(Path)) || Path <- Paths],
    case [Path || Path <- Absolute, not filelib:is_file(Path)] of
        [] -> walked(root(Absolute, Cwd), Absolute, Options);
        [Missing | _] -> {error, {files, {no_such_path, Missing}}}
    end.

%% Names are relative to the current folder where all is below it.
root(Paths, Cwd) ->
    case {lists:all(fun(Path) -> is_below(Path, Cwd) end, Paths), Paths} of
        {true, _} -> Cwd;
        {false, [Path]} -> folder(Path);
        {false, _} -> "/"
    end.

folder(Path) ->
    case filelib:is_dir(Path) of
        true -> Path;
        false -> filename:dirname(Path)
    end.

is_below(Path, Root) -> lists:prefix(filename:split(Root), filename:split(Path)).

%% Without . and .. in it: links are none of its parts' business, the caller named the path.
plain(Path) ->
    Parts = lists:foldl(fun(".", Acc) -> Acc;
                           ("..", [_, _ | _] = Acc) -> tl(Acc);
                           ("..", Acc) -> Acc;
                           (Part, Acc) -> [Part | Acc]
                        end, [], filename:split(Path)),
    filename:join(lists:reverse(Parts)).

walked(Root, Paths, Options) ->
    Excluded = [Pattern || {ok, Pattern} <- [glob(Glob) || Glob <- maps:get(exclude, Options, [])]],
    Walk = #{root => Root, all => maps:get(all, Options, false), templates => maps:get(templates, Options, false),
             exclude => Excluded, settings => false},
    try lists:foldl(fun(Path, Acc) -> argument(Path, Walk, Acc) end, {#{}, []}, Paths) of
        {Files, Faults} -> {ok, Root, [File || {_, File} <- lists:sort(maps:to_list(Files))], lists:reverse(Faults)}
    catch
        throw:{files, _} = Reason -> {error, Reason}
    end.

%% * stands for anything but /, ** for anything.
glob(Glob) ->
    Escaped = re:replace(Glob, "[][.^$+?(){}|\\\\]", "\\\\&", [global, unicode]),
    Stars = re:replace(Escaped, "\\*\\*/?", "\001", [global, unicode]),
    Star = re:replace(Stars, "\\*", "[^/]*", [global, unicode]),
    Whole = re:replace(Star, "\001", ".*", [global, unicode, {return, list}]),
    re:compile("^" ++ Whole ++ "(/|$)", [unicode]).

%% What the caller names may be a link.
argument(Path, Walk, Acc) ->
    case file:read_file_info(Path, [{time, posix}]) of
        {ok, Info} -> entry(Path, Info, 0, Walk#{argument => Path}, Acc);
        {error, Posix} -> fault(Path, {read, Posix}, Walk, Acc)
    end.

entry(Path, #file_info{type = directory}, Depth, Walk, Acc) -> folder(Path, Depth, Walk, Acc);
entry(Path, #file_info{type = regular} = Info, _Depth, Walk, Acc) -> regular(Path, Info, Walk, Acc);
entry(_Path, _Info, _Depth, _Walk, Acc) -> Acc.

folder(Path, Depth, Walk, Acc) when Depth > ?DEPTH -> fault(Path, {too_deep, name(Path, Walk)}, Walk, Acc);
folder(Path, Depth, Walk, Acc) ->
    case file:list_dir_all(Path) of
        {ok, Names} -> lists:foldl(fun(Name, In) -> member(Path, Name, Depth, Walk, In) end, Acc, lists:sort(Names));
        {error, Posix} -> fault(Path, {read, Posix}, Walk, Acc)
    end.

member(Folder, Name, Depth, Walk, Acc) ->
    Path = filename:join(Folder, Name),
    case file:read_link_info(Path, [raw, {time, posix}]) of
        {ok, #file_info{type = symlink}} -> Acc;
        {ok, Info} ->
            case is_left_out(Path, Name, Info, Walk) of
                true -> Acc;
                false -> entry(Path, Info, Depth + 1, inside(Name, Info, Walk), Acc)
            end;
        {error, Posix} -> fault(Path, {read, Posix}, Walk, Acc)
    end.

inside(Name, #file_info{type = directory}, #{all := false} = Walk) ->
    Walk#{settings := maps:get(settings, Walk) orelse lists:member(Name, ?SETTINGS)};
inside(_Name, _Info, Walk) -> Walk.

is_left_out(Path, Name, #file_info{type = Type}, #{all := All, exclude := Excluded} = Walk) ->
    (Type =:= directory andalso (lists:member(Name, ?NEVER) orelse (not All andalso is_foreign(Path, Name))))
        orelse lists:any(fun(Pattern) -> re:run(name(Path, Walk), Pattern, [{capture, none}]) =:= match end, Excluded).

%% In _build/ENV/lib the project's own applications have no sources but links to them.
is_foreign(Path, Name) ->
    lists:member(Name, ?FOREIGN) orelse
        case lists:reverse(filename:split(Path)) of
            [_, "lib", _, "_build" | _] -> lists:any(fun(Own) -> is_real(filename:join(Path, Own)) end,
                                                     ["src", "rebar.config"])
                                               orelse is_dependency(Path, Name);
            _ -> false
        end.

is_real(Path) ->
    case file:read_link_info(Path, [raw]) of
        {ok, #file_info{type = Type}} -> Type =/= symlink;
        {error, _} -> false
    end.

is_dependency(Path, Name) -> is_real(filename:join([Path, "..", "..", "..", "..", "deps", Name])).

regular(Path, #file_info{size = Size, mtime = Time, mode = Mode}, Walk, {Files, Faults} = Acc) ->
    Name = name(Path, Walk),
    case kinds(filename:extension(Path), merlon_audit_conf_kind:kind(Name), Walk) of
        none -> Acc;
        Kinds ->
            map_size(Files) < ?FILES orelse throw({files, {too_many_files, ?FILES}}),
            {Files#{Name => Kinds#{name => Name, path => Path, size => Size, mtime => Time, mode => Mode}}, Faults}
    end.

kinds(Extension, Conf, Walk) when is_binary(Extension) -> kinds(binary_to_list(Extension), Conf, Walk);
kinds(Extension, Conf, #{settings := Settings, templates := Templates}) ->
    case {kind(Extension, Templates), Conf} of
        {none, none} -> none;
        {none, _} -> #{kind => conf, conf => Conf};
        {_, none} when Settings -> none;
        {{Kind, Script}, none} -> #{kind => Kind, script => Script};
        {{Kind, Script}, _} -> #{kind => Kind, script => Script, conf => Conf}
    end.

kind(".beam", _) -> {beam, false};
kind(".erl", _) -> {erl, false};
kind(".hrl", _) -> {erl, false};
kind(".ex", _) -> {ex, false};
kind(".exs", _) -> {ex, true};
kind(Template, true) when Template =:= ".eex"; Template =:= ".heex" -> {ex, false};
kind(_, _) -> none.

fault(Path, Reason, Walk, {Files, Faults}) -> {Files, [{name(Path, Walk), Reason} | Faults]}.

%% Relative to the root; bytes that are no UTF-8 as ?.
name(Path, #{root := Root}) ->
    Rest = lists:nthtail(length(filename:split(Root)), filename:split(Path)),
    text(case Rest of
             [] -> filename:basename(Path);
             _ -> filename:join(Rest)
         end).

text(Name) ->
    try unicode:characters_to_binary(Name) of
        Text when is_binary(Text) -> Text;
        _ when is_binary(Name) -> << <<(if C < 128 -> C; true -> $? end)>> || <<C>> <= Name >>;
        _ -> <<"?">>
    catch
        error:badarg -> <<"?">>
    end.

%% ---- reading ----

%% No more than the limit, even if it grew.
-spec read(file(), pos_integer() | default) -> {ok, binary()} | {error, {files, reason()}}.
read(File, default) -> read(File, ?BYTES);
read(#{size := Size}, Limit) when Size > Limit -> {error, {files, {too_big, Size}}};
read(#{path := Path}, Limit) ->
    case file:open(Path, [read, raw, binary]) of
        {ok, Device} ->
            try read_all(file:read(Device, Limit + 1), Limit) after _ = file:close(Device) end;
        {error, Posix} -> {error, {files, {read, Posix}}}
    end.

read_all({ok, Bytes}, Limit) when byte_size(Bytes) > Limit -> {error, {files, {too_big, byte_size(Bytes)}}};
read_all({ok, Bytes}, _Limit) -> {ok, Bytes};
read_all(eof, _Limit) -> {ok, <<>>};
read_all({error, Posix}, _Limit) -> {error, {files, {read, Posix}}}.

%% ---- sources of BEAM files ----

%% The sources among the files, by their last part.
-spec sources([file()]) -> #{binary() => [file()]}.
sources(Files) ->
    lists:foldr(fun(#{kind := Kind}, Acc) when Kind =:= beam; Kind =:= conf -> Acc;
                   (#{name := Name} = File, Acc) ->
                        maps:update_with(filename:basename(Name), fun(Known) -> [File | Known] end, [File], Acc)
                end, #{}, Files).

%% The file of the tree that a BEAM file means by a path of the machine that compiled it: the one with most of that path's
%% end (folder and name at least, or a bare name beside it), then the one nearest to the BEAM file. The path itself is
%% never opened.
-spec resolve(string(), Beam :: binary(), #{binary() => [file()]}) -> {ok, file()} | none.
resolve(Path, Beam, Sources) ->
    Wanted = lists:reverse(filename:split(text(Path))),
    Rated = [{End, common(filename:split(Beam), filename:split(Name)), File}
             || #{name := Name, path := Open} = File <- maps:get(hd(Wanted ++ [<<>>]), Sources, []),
                End <- [common(Wanted, lists:reverse(filename:split(text(Open))))],
                End > 1 orelse (length(Wanted) =:= 1 andalso is_beside(Name, Beam))],
    case Rated of
        [] -> none;
        _ -> {ok, element(3, lists:max(Rated))}
    end.

%% In the same folder, or below src/ where the BEAM file is in ebin/.
is_beside(Name, Beam) ->
    {Folder, Other} = {filename:dirname(Name), filename:dirname(Beam)},
    Folder =:= Other orelse (filename:basename(Other) =:= <<"ebin">>
                             andalso lists:prefix(filename:split(filename:join(filename:dirname(Other), <<"src">>)),
                                                  filename:split(Folder))).

common([Part | A], [Part | B]) -> 1 + common(A, B);
common(_, _) -> 0.

-spec format_error(reason()) -> iodata().
format_error({no_such_path, Path}) -> [Path, " does not exist: name files or folders"];
format_error({too_many_files, Most}) ->
    ["there are more than ", integer_to_list(Most), " files: audit the folders one by one"];
format_error({too_deep, _}) -> "folders are inside each other too deep: name this one as PATH";
format_error({too_big, Size}) ->
    ["it has ", integer_to_list(Size), " bytes, more than is looked at: leave it out with --exclude"];
format_error({read, Posix}) -> ["it can't be read: ", file:format_error(Posix)].
