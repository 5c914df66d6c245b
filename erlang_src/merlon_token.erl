%% SPDX-License-Identifier: Apache-2.0
%% DIR/ca/tokens: the join tokens that were made here. One file (0600) per token, named by its id; of the secret it
%% has only the key of the proofs, from which the token can't be made again. What becomes of a token is the name of its
%% file: ID, then ID.used or ID.revoked. Whoever renames ID has it: of all who try at once, in whatever process,
%% that is one.
-module(merlon_token).

-export([new/2, list/1, revoke/2, find/2, take/2, used/4, state/2, file/2]).
-export_type([entry/0, fate/0]).

-type entry() :: #{id := binary(), kind := merlon_token_core:kind(), names := [binary(), ...],
                    created := integer(), expires := integer(), days := pos_integer(), key := <<_:256>>,
                    used => binary()}.
%% What the file's name says.
-type fate() :: open | used | revoked.
-type problem() :: {file, merlon_dir:reason()} | {pki, merlon_nif:pki_reason()} | {refused, iodata()}.

%% For how long it is known what became of a token, in seconds.
-define(REMEMBERED, 7 * 86400).

%% Makes a token of the CA in Dir. Times are seconds since 1970; `days` is the life of the certificates that it gives.
-spec new(string(), #{kind := merlon_token_core:kind(), names := [binary(), ...],
                      at := [merlon_token_core:address(), ...], created := integer(),
                      expires := integer(), days := pos_integer()}) ->
          {ok, Token :: binary(), entry()} | {error, problem()}.
new(Dir, Wanted) ->
    case random() of
        {ok, Id, Secret} ->
            {ok, Key} = merlon_nif:join_key(Id, Secret()),
            Record = (maps:remove(at, Wanted))#{id => merlon_token_core:id_text(Id), key => Key},
            case put_new(Dir, Record) of
                {ok, Pin} ->
                    Token = (maps:with([kind, names, at], Wanted))#{pin => Pin, id => Id, secret => Secret},
                    {ok, merlon_token_core:encode(Token), Record};
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

pin(Dir) ->
    case merlon_cli_cert:ca(Dir) of
        {ok, #{ca_cert := Cert}} -> merlon_nif:join_pin(Cert);
        {error, _} = Error -> Error
    end.

%% A keyring's new secret is 256 bits of the system's generator: just what is needed here.
random() ->
    case merlon_nif:keyring_new() of
        {ok, {_, <<Id:8/binary, Secret:16/binary, _/binary>>}} -> {ok, Id, fun() -> Secret end};
        {error, no_randomness} -> {error, {refused, "the system gives no random bytes"}}
    end.

%% Under the lock, as that of a CA which is being replaced revokes those that are open.
put_new(Dir, #{id := Id, created := Now} = Record) ->
    Path = merlon_dir:path([Dir]),
    merlon_dir_write:locked(Path, fun(Work) ->
        case {pin(Dir), merlon_dir_write:make(folder(Dir), 8#700)} of
            {{ok, Pin}, ok} ->
                forget(Dir, Now),
                with(merlon_dir_write:put_file(file(Dir, Id), Work, text(Record), 8#600), Pin);
            {{error, _} = Error, _} -> Error;
            {_, {error, _} = Error} -> Error
        end
    end).

with(ok, Pin) -> {ok, Pin};
with({error, _} = Error, _Pin) -> Error.

forget(Dir, Now) ->
    Old = [File || {_, #{expires := End}, File} <- all(Dir), End + ?REMEMBERED < Now],
    lists:foreach(fun prim_file:delete/1, Old).

folder(Dir) -> merlon_dir:path([Dir, "ca", "tokens"]).

%% Where an open token is.
-spec file(string(), Id :: binary()) -> merlon_dir:path().
file(Dir, Id) -> merlon_dir:path([folder(Dir), Id]).

file(Dir, Id, open) -> file(Dir, Id);
file(Dir, Id, Fate) -> <<(file(Dir, Id))/binary, $., (atom_to_binary(Fate))/binary>>.

%% All that are still known, oldest first.
-spec list(string()) -> [{fate(), entry()}].
list(Dir) ->
    Created = fun({_, #{created := Time, id := Id}}) -> {Time, Id} end,
    Found = [{Fate, Record} || {Fate, Record, _} <- all(Dir)],
    lists:sort(fun(A, B) -> Created(A) =< Created(B) end, Found).

all(Dir) ->
    case merlon_dir:list(folder(Dir)) of
        {ok, Names} ->
            [{Fate, Record, File} || Name <- Names, {Id, Fate} <- [named(Name)], File <- [file(Dir, Id, Fate)],
                                     {ok, Record} <- [read(File, Id)]];
        {error, _} -> []
    end.

named(Name) ->
    case binary:split(Name, <<".">>) of
        [Id] -> {Id, open};
        [Id, <<"used">>] -> {Id, used};
        [Id, <<"revoked">>] -> {Id, revoked};
        _ -> none
    end.

%% In the order in which a file is renamed, so that none that exists is missed.
-spec find(string(), Id :: binary()) -> {ok, fate(), entry()} | none.
find(Dir, Id) -> find(Dir, Id, [open, used, revoked]).

find(_Dir, _Id, []) -> none;
find(Dir, Id, [Fate | Fates]) ->
    case read(file(Dir, Id, Fate), Id) of
        {ok, Record} -> {ok, Fate, Record};
        error -> find(Dir, Id, Fates)
    end.

%% What counts of a token at that time.
-spec state({fate(), entry()}, Now :: integer()) -> fate() | expired.
state({open, #{expires := End}}, Now) when Now >= End -> expired;
state({Fate, _}, _Now) -> Fate.

%% Takes the token out of use: `ok` for one alone, ever.
-spec take(string(), Id :: binary()) -> ok | {error, spent | {file, merlon_dir:reason()}}.
take(Dir, Id) -> rename(Dir, Id, used).

-spec revoke(string(), Id :: binary()) -> ok | {error, spent | {file, merlon_dir:reason()}}.
revoke(Dir, Id) -> rename(Dir, Id, revoked).

rename(Dir, Id, Fate) ->
    case merlon_dir_write:move(file(Dir, Id), file(Dir, Id, Fate)) of
        {error, {file, {_, _, enoent}}} -> {error, spent};
        Result -> Result
    end.

%% Writes down what a taken token was used for.
-spec used(string(), Work :: merlon_dir:path(), entry(), What :: iodata()) ->
          ok | {error, {file, merlon_dir:reason()}}.
used(Dir, Work, #{id := Id} = Record, What) ->
    merlon_dir_write:put_file(file(Dir, Id, used), Work, text(Record#{used => iolist_to_binary(What)}), 8#600).

%% ---- the text of a record: a word and its value on each line ----

text(#{kind := Kind, names := Names, created := From, expires := End, days := Days, key := Key} = Record) ->
    Number = fun integer_to_binary/1,
    Lines = [{"kind", atom_to_binary(Kind)}, {"created", Number(From)}, {"expires", Number(End)},
             {"days", Number(Days)}, {"key", binary:encode_hex(Key)}]
        ++ [{"name", Name} || Name <- Names] ++ [{"used", Used} || #{used := Used} <- [Record]],
    [[Word, $\s, Value, $\n] || {Word, Value} <- Lines].

%% A file that others can read is no token any more, nor is one that somebody has spoilt.
read(File, Id) ->
    case merlon_dir:read_secret(File) of
        {ok, Text} ->
            Lines = [binary:split(Line, <<" ">>) || Line <- binary:split(Text, <<"\n">>, [global, trim])],
            try {ok, lists:foldl(fun field/2, #{id => Id, names => []}, Lines)} of
                {ok, #{kind := _, names := [_ | _], created := _, expires := _, days := _, key := _}} = Read -> Read;
                _ -> error
            catch error:_ -> error
            end;
        {error, _} -> error
    end.

field([<<"kind">>, Kind], Record) -> Record#{kind => kind(Kind)};
field([<<"created">>, Time], Record) -> Record#{created => binary_to_integer(Time)};
field([<<"expires">>, Time], Record) -> Record#{expires => binary_to_integer(Time)};
field([<<"days">>, Days], Record) -> Record#{days => binary_to_integer(Days)};
field([<<"key">>, Hex], Record) ->
    <<Key:32/binary>> = binary:decode_hex(Hex),
    Record#{key => Key};
field([<<"name">>, Name], #{names := Names} = Record) -> Record#{names := Names ++ [Name]};
field([<<"used">>, What], Record) -> Record#{used => What}.

kind(<<"node">>) -> node;
kind(<<"cli">>) -> cli.
