%% SPDX-License-Identifier: Apache-2.0
%% DIR/rotation: the newest statement about each old root and each that was to take its place (OLD-NEW.txt), so that one is
%% taken once and never an older one; and DIR/trust as statements change it. For each ask-NAME that is put there, a node
%% of this dir writes status-NAME.
-module(merlon_roots_files).

-export([folder/1, make/2, file/2, statements/1, of_trusted/1, stamp/1, sequence/2, check/4, take/5, keep/4]).
-export([roots/1, without/2, add/3, drop/3]).
-export([ask/2, asked/1, status/2]).
-export_type([error/0]).

-include_lib("kernel/include/file.hrl").

%% Seconds for which an answer is kept.
-define(KEPT, 60).

-type statement() :: merlon_nif:statement().
-type error() :: {error, {pki, merlon_nif:pki_reason()} | merlon_identity:problem()}.

-spec folder(string()) -> merlon_dir:path().
folder(Dir) -> merlon_dir:path([Dir, "rotation"]).

%% In a locked Dir, as all that writes here.
-spec make(string(), Work :: merlon_dir:path()) -> ok | {error, {file, merlon_dir:reason()}}.
make(Dir, _Work) -> merlon_dir_write:make(folder(Dir), 8#755).

%% Asks the dir's node for the stages of all nodes.
-spec ask(string(), Name :: binary()) -> merlon_dir:path().
ask(Dir, Name) -> merlon_dir:path([folder(Dir), <<"ask-", Name/binary>>]).

-spec status(string(), Name :: binary()) -> merlon_dir:path().
status(Dir, Name) -> merlon_dir:path([folder(Dir), <<"status-", Name/binary>>]).

%% The questions that are there, each given to one alone; answers that nobody has fetched go.
-spec asked(string()) -> [{Name :: binary(), Question :: binary()}].
asked(Dir) ->
    Names = case merlon_dir:list(folder(Dir)) of
                {ok, Found} -> Found;
                {error, _} -> []
            end,
    Asked = [{Name, Text} || <<"ask-", Name/binary>> <- Names, {ok, Text} <- [taken(ask(Dir, Name))]],
    _ = [prim_file:delete(status(Dir, Name)) || Asked =/= [], <<"status-", Name/binary>> <- Names, is_old(status(Dir, Name))],
    Asked.

taken(File) ->
    case merlon_dir:read(File) of
        {ok, Text} ->
            case prim_file:delete(File) of
                ok -> {ok, Text};
                {error, _} -> taken
            end;
        {error, _} -> taken
    end.

is_old(File) ->
    case prim_file:read_file_info(File, [{time, posix}]) of
        {ok, #file_info{mtime = Time}} -> erlang:system_time(second) - Time > ?KEPT;
        {error, _} -> false
    end.

%% ---- statements ----

%% All that were taken, the newest first; what somebody has spoilt is none.
-spec statements(string()) -> [{Text :: binary(), statement()}].
statements(Dir) ->
    Found = [{Text, Said} || File <- files(Dir), {ok, Text} <- [merlon_dir:read(File)], {ok, Said} <- [merlon_nif:rotation_read(Text)]],
    Newest = lists:sort(fun({_, #{sequence := A}}, {_, #{sequence := B}}) -> A >= B end, Found),
    %% An older merlon has named the file after the old root alone.
    lists:uniq(fun({_, #{old := Old, new := New}}) -> {Old, New} end, Newest).

%% Those about roots that are trusted, which who trusts them too should know.
-spec of_trusted(string()) -> [Text :: binary()].
of_trusted(Dir) ->
    case roots(Dir) of
        {ok, Roots} -> [Text || {Text, #{old := Old}} <- statements(Dir), lists:member(Old, Roots)];
        {error, _} -> []
    end.

files(Dir) ->
    case merlon_dir:list(folder(Dir)) of
        {ok, Names} -> [merlon_dir:path([folder(Dir), Name]) || Name <- Names, filename:extension(Name) =:= <<".txt">>];
        {error, _} -> []
    end.

%% What tells that there are others.
-spec stamp(string()) -> term().
stamp(Dir) -> [{File, prim_file:read_file_info(File, [{time, posix}])} || File <- files(Dir)].

%% Where a statement is kept.
-spec file(string(), #{old | new := binary(), _ => _}) -> merlon_dir:path().
file(Dir, #{old := Old, new := New}) -> merlon_dir:path([folder(Dir), <<Old/binary, $-, New/binary, ".txt">>]).

%% The number of the newest about that root; 0 if there is none.
-spec sequence(string(), Old :: binary()) -> non_neg_integer().
sequence(Dir, Old) ->
    lists:max([0 | [Number || {_, #{old := Of, sequence := Number}} <- statements(Dir), Of =:= Old]]).

%% The number that a statement must be above: that of all about its old root. What takes a new root back is taken late, too: else
%% who was away then would trust that one for ever. Only what was said of the same two is newer than that.
known(Dir, #{stage := Stage, old := Old, new := New}) ->
    lists:max([0 | [Number || {_, #{old := Of, new := By, stage := Was, sequence := Number}} <- statements(Dir), Of =:= Old,
                              By =:= New orelse (Stage =/= undo andalso Was =/= undo)]]).

%% Whether a statement is to be believed here and is new.
-spec check(string(), Cluster :: binary(), Text :: binary(), Now :: integer()) -> {ok, statement()} | error().
check(Dir, Cluster, Text, Now) ->
    case {merlon_nif:rotation_read(Text), merlon_identity_files:trust(Dir)} of
        {{ok, Said}, {ok, Trust}} ->
            merlon_nif:rotation_check(Text, [Pem || {_, Pem} <- Trust], Cluster, known(Dir, Said), Now);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% The same in a locked Dir, and it is kept if so.
-spec take(string(), Work :: merlon_dir:path(), Cluster :: binary(), Text :: binary(), Now :: integer()) ->
          {ok, statement()} | error().
take(Dir, Work, Cluster, Text, Now) ->
    case check(Dir, Cluster, Text, Now) of
        {ok, Said} -> kept(keep(Dir, Work, Said, Text), Said);
        {error, _} = Error -> Error
    end.

kept(ok, Said) -> {ok, Said};
kept({error, _} = Error, _Said) -> Error.

-spec keep(string(), Work :: merlon_dir:path(), #{old | new := binary(), _ => _}, Text :: binary()) ->
          ok | {error, {file, merlon_dir:reason()}}.
keep(Dir, Work, Said, Text) ->
    merlon_dir_write:each([fun() -> make(Dir, Work) end,
                           fun() -> merlon_dir_write:put_file(file(Dir, Said), Work, Text, 8#644) end]).

%% ---- trust ----

%% The roots in DIR/trust, by the SHA-256 of their certificates.
-spec roots(string()) -> {ok, [binary()]} | error().
roots(Dir) ->
    case merlon_identity_files:trust(Dir) of
        {ok, Files} -> {ok, [Id || {_, Pem} <- Files, {ok, Certs} <- [merlon_nif:pki_inspect(Pem)], #{sha256 := Id} <- Certs]};
        {error, _} = Error -> Error
    end.

%% Files of DIR/trust without that root; those in which there is nothing else are left out.
-spec without([{merlon_dir:path(), binary()}], Root :: binary()) -> [{merlon_dir:path(), binary()}].
without(Files, Root) ->
    [{File, Rest} || {File, Pem} <- Files, {ok, Rest, _} <- [merlon_nif:pki_without(Pem, Root)], Rest =/= <<>>].

%% Trusts the new root of a statement that was taken.
-spec add(string(), Work :: merlon_dir:path(), statement()) -> ok | error().
add(Dir, Work, #{new := New, cert := Cert}) ->
    File = merlon_dir:path([Dir, "trust", <<"merlon-", (binary:part(New, 0, 16))/binary, ".pem">>]),
    merlon_dir_write:put_file(File, Work, Cert, 8#644).

%% Trusts that root no more; it is never the last.
-spec drop(string(), Work :: merlon_dir:path(), Root :: binary()) -> ok | error().
drop(Dir, Work, Root) ->
    case merlon_identity_files:trust(Dir) of
        {ok, Files} -> drop(without(Files, Root), Files, Work, Root);
        {error, _} = Error -> Error
    end.

drop([], [{File, _} | _], _Work, _Root) ->
    {error, {refused, [filename:dirname(File), " has no other root than the one that is to go"]}};
drop(_Left, Files, Work, Root) ->
    merlon_dir_write:each([fun() -> drop_from(File, merlon_nif:pki_without(Pem, Root), Work) end || {File, Pem} <- Files]).

drop_from(_File, {ok, _, false}, _Work) -> ok;
drop_from(File, {ok, <<>>, true}, _Work) ->
    case prim_file:delete(File) of
        ok -> ok;
        {error, Posix} -> {error, {file, {write, File, Posix}}}
    end;
drop_from(File, {ok, Rest, true}, Work) -> merlon_dir_write:put_file(File, Work, Rest, 8#644);
drop_from(_File, {error, _} = Error, _Work) -> Error.
