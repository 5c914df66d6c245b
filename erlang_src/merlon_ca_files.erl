%% SPDX-License-Identifier: Apache-2.0
%% DIR/ca where two roots are at work, one in the place of the other:
%%
%%   old.pem old.key     the root that goes, next.pem next.key the one that comes, from the begin to the end
%%   ca.pem ca.key       a copy of that which issues
%%
%% ca.pem says which one issues. Its key is ca.key or, when an exchange was cut off, the one of the three that fits.
%% A rotation is under way as long as there are all four; next.pem is the last file to come and the last to go.
-module(merlon_ca_files).

-export([key/2, issuers/1, rotation/1, is_said/1, midway/1, restorable/1, mend/2, others/1, begin_with/4, issue_by/3, clean/2]).
-export_type([root/0, rotation/0]).

-type root() :: #{cert := binary(), key := binary(), id := binary()}.
-type rotation() :: #{old := root(), new := root(), issuing := old | new}.
-type error() :: {error, {file, merlon_dir:reason()} | {pki, merlon_nif:pki_reason()} | {refused, iodata()}}.

-define(KEYS, ["ca.key", "next.key", "old.key"]).

%% The file with the key of ca.pem, whose text this is.
-spec key(string() | merlon_dir:path(), Cert :: binary() | term()) -> merlon_dir:path().
key(Dir, Cert) ->
    Found = [File || Name <- ?KEYS, File <- [file(Dir, Name)], merlon_dir:exists(File)],
    case Found of
        [_, _ | _] -> fitting(Found, Cert, file(Dir, "ca.key"));
        _ -> file(Dir, "ca.key")
    end.

fitting([], _Cert, Default) -> Default;
fitting([File | Files], Cert, Default) ->
    case fits(Cert, merlon_dir:read_secret(File)) of
        true -> File;
        false -> fitting(Files, Cert, Default)
    end.

%% What is no text would be a crash whose stacktrace has the key.
fits(Cert, {ok, Key}) when is_binary(Cert) ->
    is_text(Cert) andalso is_text(Key) andalso merlon_nif:pki_matches(Cert, Key);
fits(_Cert, _) -> false.

is_text(Bytes) -> is_binary(unicode:characters_to_binary(Bytes)).

%% The certificates of the roots whose leaves this CA gives their next ones to.
-spec issuers(string()) -> [binary()].
issuers(Dir) ->
    [Cert || Name <- ["ca.pem", "old.pem", "next.pem"], {ok, Cert} <- [merlon_dir:read(file(Dir, Name))]].

%% What is under way; `ending` if just the rest of its files is to be removed.
-spec rotation(string()) -> {ok, rotation()} | none | ending | error().
rotation(Dir) ->
    case merlon_dir:exists(file(Dir, "next.pem")) of
        false -> none;
        true -> still(both(root(Dir, "old"), root(Dir, "next"), merlon_dir:read(file(Dir, "ca.pem"))), Dir)
    end.

%% It may end while this is read, or be cut off while it ends.
still({ok, _} = Found, _Dir) -> Found;
still({error, _} = Error, Dir) ->
    case lost(Dir) of
        [] -> Error;
        [_ | _] -> ending
    end.

%% What is not there of the files of a rotation but for its first sign, which is the last to go.
lost(Dir) -> [File || Name <- ["next.key", "old.key", "old.pem"], File <- [file(Dir, Name)], not merlon_dir:exists(File)].

%% Whether a rotation from or to the root that issues was said and not ended.
-spec is_said(string()) -> boolean().
is_said(Dir) ->
    Ids = [Id || {ok, #{ca_cert := Cert}} <- [merlon_cli_cert:ca(Dir)],
                 {ok, [#{sha256 := Id} | _]} <- [merlon_identity:inspect(Cert)]],
    lists:any(fun({_, #{old := Old, new := New, stage := Stage}}) ->
                      (lists:member(Old, Ids) orelse lists:member(New, Ids)) andalso Stage =/= finish andalso Stage =/= undo
              end, merlon_roots_files:statements(Dir)).

%% Files that must not be gone: nodes were told to trust the new root, and not yet to drop one of the two.
-spec midway(string()) -> [merlon_dir:path()].
midway(Dir) ->
    case under_way(Dir) of
        [] -> [];
        [_ | _] -> lost(Dir)
    end.

%% Puts back, in a locked Dir, what is lost midway and has a copy in ca.pem and ca.key; `lost`: it has none.
-spec mend(string(), Work :: merlon_dir:path()) -> ending | ok | {lost, merlon_dir:path()} | {error, {file, merlon_dir:reason()}}.
mend(Dir, Work) ->
    case midway(Dir) of
        [] -> ending;
        [_ | _] -> mended(merlon_dir_write:each([put(Dir, Work, Name, Content) || {Name, Content} <- copies(Dir)]), Dir)
    end.

mended(ok, Dir) ->
    case midway(Dir) of
        [] -> ok;
        [File | _] -> {lost, File}
    end;
mended({error, _} = Error, _Dir) -> Error.

%% Files that mend/2 would put back.
-spec restorable(string()) -> [merlon_dir:path()].
restorable(Dir) -> [file(Dir, Name) || {Name, _} <- copies(Dir)].

copies(Dir) ->
    Key = merlon_dir:read_secret(file(Dir, "ca.key")),
    Certs = [{Name, Cert} || Name <- ["old", "next"], {ok, Cert} <- [cert(Dir, Name)]],
    Is = fun(Name) -> merlon_dir:exists(file(Dir, Name)) end,
    [{Name ++ ".pem", Cert} || {Name, Cert} <- Certs, not Is(Name ++ ".pem")]
        ++ [{Name ++ ".key", element(2, Key)} || {Name, Cert} <- Certs, not Is(Name ++ ".key"), fits(Cert, Key)].

%% ca.pem is the old one if what was said says so.
cert(Dir, Name) ->
    case merlon_dir:read(file(Dir, Name ++ ".pem")) of
        {ok, _} = Found -> Found;
        {error, _} ->
            Olds = [Old || #{old := Old} <- under_way(Dir)],
            case merlon_dir:read(file(Dir, "ca.pem")) of
                {ok, Cert} when Name =:= "old" -> lists:keyfind(ok, 1, [{ok, Cert} || Id <- id(Cert), lists:member(Id, Olds)]);
                _ -> false
            end
    end.

id(Cert) -> [Id || {ok, [#{sha256 := Id} | _]} <- [merlon_identity:inspect(Cert)]].

%% What was said of the new root, unless it has ended.
under_way(Dir) ->
    File = file(Dir, "next.pem"),
    Is = case merlon_dir:read(File) of
             {ok, Cert} -> Ids = id(Cert), fun(New) -> Ids =:= [] orelse lists:member(New, Ids) end;
             %% One that can't be read may be any.
             {error, _} -> fun(_) -> merlon_dir:exists(File) end
         end,
    [Said || {_, #{new := New, stage := Stage} = Said} <- merlon_roots_files:statements(Dir), Is(New),
             Stage =/= finish, Stage =/= undo].

%% What is there under names of ours while no rotation is under way, and that no begin of one has left.
-spec others(string()) -> [merlon_dir:path()].
others(Dir) ->
    Copies = [{"old.key", "ca.key"}, {"old.pem", "ca.pem"}],
    [file(Dir, Name) || {Name, Of} <- Copies, merlon_dir:exists(file(Dir, Name)),
                        prim_file:read_file(file(Dir, Name)) =/= prim_file:read_file(file(Dir, Of))]
        ++ [file(Dir, "next.key") || merlon_dir:exists(file(Dir, "next.key")), not merlon_dir:exists(file(Dir, "old.key"))].

both({ok, #{cert := Cert} = Old}, {ok, New}, {ok, Cert}) -> {ok, #{old => Old, new => New, issuing => old}};
both({ok, Old}, {ok, #{cert := Cert} = New}, {ok, Cert}) -> {ok, #{old => Old, new => New, issuing => new}};
both({ok, _}, {ok, _}, {ok, _}) ->
    {error, {refused, "ca/ca.pem is neither ca/old.pem nor ca/next.pem: put that of the two back which is to issue"}};
both({error, _} = Error, _, _) -> Error;
both(_, {error, _} = Error, _) -> Error;
both(_, _, {error, _} = Error) -> Error.

root(Dir, Name) ->
    case {merlon_dir:read(file(Dir, Name ++ ".pem")), merlon_dir:read_secret(file(Dir, Name ++ ".key"))} of
        {{ok, Cert}, {ok, Key}} -> named(merlon_identity:inspect(Cert), Cert, Key);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

named({ok, [#{sha256 := Id} | _]}, Cert, Key) -> {ok, #{cert => Cert, key => Key, id => Id}};
named({ok, []}, _Cert, _Key) -> {error, {pki, no_certificate}};
named({error, _} = Error, _Cert, _Key) -> Error.

%% The CA in a locked Dir, and a new one beside it.
-spec begin_with(string(), Work :: merlon_dir:path(), Ca :: #{ca_cert | ca_key := binary()},
                 New :: #{cert | key := binary()}) -> ok | {error, {file, merlon_dir:reason()}}.
begin_with(Dir, Work, #{ca_cert := OldCert, ca_key := OldKey}, #{cert := Cert, key := Key}) ->
    merlon_dir_write:each([put(Dir, Work, "old.key", OldKey), put(Dir, Work, "old.pem", OldCert),
                           put(Dir, Work, "next.key", Key), put(Dir, Work, "next.pem", Cert)]).

%% Has one of the two issue.
-spec issue_by(string(), Work :: merlon_dir:path(), root()) -> ok | {error, {file, merlon_dir:reason()}}.
issue_by(Dir, Work, #{cert := Cert, key := Key}) ->
    merlon_dir_write:each([put(Dir, Work, "ca.pem", Cert), put(Dir, Work, "ca.key", Key)]).

%% Ends it. The key of the one that does not issue is gone for good, which must not be the one of ca.pem.
-spec clean(string(), Work :: merlon_dir:path()) -> ok | {error, {file, merlon_dir:reason()} | {refused, string()}}.
clean(Dir, Work) ->
    case merlon_dir:read(file(Dir, "ca.pem")) of
        {ok, Cert} -> clean(Dir, Work, Cert, merlon_dir:read_secret(key(Dir, Cert)));
        {error, _} = Error -> Error
    end.

clean(Dir, Work, Cert, {ok, Key}) ->
    Gone = ["next.key", "old.key", "old.pem", "next.pem"],
    case fits(Cert, {ok, Key}) of
        true -> merlon_dir_write:each([put(Dir, Work, "ca.key", Key) | [fun() -> delete(file(Dir, Name)) end || Name <- Gone]]);
        false -> {error, {refused, "no key in ca/ fits ca/ca.pem: put the right one of the two back"}}
    end;
clean(_Dir, _Work, _Cert, {error, _} = Error) -> Error.

delete(File) ->
    case prim_file:delete(File) of
        ok -> ok;
        {error, enoent} -> ok;
        {error, Posix} -> {error, {file, {write, File, Posix}}}
    end.

put(Dir, Work, Name, Content) ->
    Mode = case filename:extension(Name) of
               ".key" -> 8#600;
               _ -> 8#644
           end,
    fun() -> merlon_dir_write:put_file(file(Dir, Name), Work, Content, Mode) end.

file(Dir, Name) -> merlon_dir:path([Dir, "ca", Name]).
