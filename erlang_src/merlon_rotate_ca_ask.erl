%% SPDX-License-Identifier: Apache-2.0
%% Who takes part in a rotation of the root: the nodes that have certificates, and where all are that the dir's own node
%% is linked to, which is asked through files, as merlon_roots answers them.
-module(merlon_rotate_ca_ask).

-export([live/3, expected/2]).

%% Milliseconds: how often the answer is looked for, until a node must have seen the question and have answered it.
-define(LOOK, 50).
-define(SEEN, 5000).
-define(ANSWERED, 10000).
%% The names of `merlon enroll` certificates, which no node has.
-define(ENROLL, "merlon-enroll@").

%% What the dir's node says of itself and of all that it is linked to.
-spec live(merlon_nif:stage(), merlon_ca_files:rotation(), string()) ->
          {ok, #{binary() => merlon_roots_core:standing() | unknown}} | {error, {file, merlon_dir:reason()} | {refused, iodata()}}.
live(Stage, #{old := #{id := Old}, new := #{id := New}}, Dir) ->
    Drop = merlon_roots_core:drops(Stage, #{old => Old, new => New}),
    %% A name of its own, so that no answer to another question, of a run that was killed, is taken for that to this one.
    Name = iolist_to_binary([os:getpid(), $-, integer_to_list(erlang:unique_integer([positive])), $-,
                             integer_to_list(erlang:system_time())]),
    Ask = merlon_roots_files:ask(Dir, Name),
    case write(Ask, merlon_roots_files:status(Dir, <<Name/binary, ".ask">>), [Old, $\n, New, $\n, Drop, $\n]) of
        ok -> seen(Dir, Ask, Name, ?SEEN);
        {error, Posix} -> {error, {file, {write, Ask, Posix}}}
    end.

%% No lock: a node may be at work in the dir just now. What a run that is killed leaves goes as old answers do.
write(File, New, Text) ->
    merlon_dir_write:each([fun() -> prim_file:write_file(New, Text) end, fun() -> prim_file:rename(New, File) end]).

seen(Dir, Ask, Name, Left) ->
    case merlon_dir:exists(Ask) of
        false -> answered(Dir, merlon_roots_files:status(Dir, Name), ?ANSWERED);
        true when Left > 0 ->
            timer:sleep(?LOOK),
            seen(Dir, Ask, Name, Left - ?LOOK);
        true ->
            _ = prim_file:delete(Ask),
            {error, {refused, ["no node runs with ", merlon_dir:path([Dir]), ", which is to tell the others: start it, and run "
                               "this again"]}}
    end.

answered(Dir, Status, Left) ->
    case merlon_dir:read(Status) of
        {ok, Text} ->
            _ = prim_file:delete(Status),
            {ok, merlon_roots_core:parse(Text)};
        _ when Left > 0 ->
            timer:sleep(?LOOK),
            answered(Dir, Status, Left - ?LOOK);
        _ -> {error, {refused, ["the node with ", merlon_dir:path([Dir]), " has not answered: look at its log"]}}
    end.

%% Nodes with a certificate of either root that has not run out and is not revoked, be they there or not.
-spec expected(merlon_ca_files:rotation(), string()) -> {ok, [binary()]} | {error, {file, merlon_dir:reason()}}.
expected(#{old := #{cert := Old}, new := #{cert := New}}, Dir) ->
    Path = merlon_dir:path([Dir]),
    Issuers = [Subject || Cert <- [Old, New], {ok, [#{subject := Subject} | _]} <- [merlon_identity:inspect(Cert)]],
    case merlon_issued:all(Path) of
        {ok, Entries} ->
            {Now, Revoked} = {erlang:system_time(second), revoked(Path)},
            {ok, lists:usort([Name || #{kind := node, name := Name, not_after := End, issuer := Issuer, serial := Serial} <- Entries,
                                      End >= Now, lists:member(Issuer, Issuers), not lists:member({Issuer, Serial}, Revoked),
                                      string:prefix(Name, ?ENROLL) =:= nomatch])};
        {error, _} = Error -> Error
    end.

revoked(Path) ->
    case merlon_identity_files:crls(Path) of
        {ok, Files} -> [{Issuer, Serial} || {_, Text} <- Files, {ok, Lists} <- [merlon_nif:pki_lists(Text)],
                                            #{issuer := Issuer, revoked := Entries} <- Lists, #{serial := Serial} <- Entries];
        {error, _} -> []
    end.
