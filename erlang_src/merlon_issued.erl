%% SPDX-License-Identifier: Apache-2.0
%% DIR/ca/issued: which certificates the CA of a merlon dir has issued and that have not run out, so
%% that a node can be revoked by its name, with all the certificates that it ever got. One a line:
%% serial number, end (seconds since 1970), node or cli, NAME@HOST and the CA's name, tabs between.
-module(merlon_issued).

-export([record/4, known/2, all/1]).
-export_type([entry/0]).

%% Certificates of one name that have not run out. A node that renews as it should has two or three.
-define(MOST, 100).

-type entry() :: #{serial := binary(), not_after := integer(), kind := node | cli,
                   name := binary(), issuer := binary()}.

%% Writes down a certificate; before it is handed out, so that none can exist unknown.
-spec record(merlon_dir:path(), Work :: merlon_dir:path(), Cert :: binary(), Now :: integer()) ->
          ok | {error, {file, merlon_dir:reason()} | {pki, merlon_nif:pki_reason()} | {refused, iodata()}}.
record(Dir, Work, Cert, Now) ->
    case {entries(Dir), of_cert(Cert)} of
        {{ok, Known}, {ok, New}} ->
            Alive = [Entry || #{not_after := End} = Entry <- Known, End >= Now],
            add(New, Alive, Dir, Work);
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

%% No room is made by forgetting one: what is not remembered can't be revoked by its name.
add([#{name := Name}] = New, Alive, Dir, Work) ->
    case length([Entry || #{name := Of} = Entry <- Alive, Of =:= Name]) of
        Count when Count < ?MOST -> put(Alive ++ New, Dir, Work);
        Count ->
            {error, {refused, [Name, " has ", integer_to_list(Count), " certificates that have not run out, and gets no more: give "
                               "it shorter ones, or remove those that are lost for good from ", file(Dir)]}}
    end;
add([], Alive, Dir, Work) -> put(Alive, Dir, Work).

put(Entries, Dir, Work) ->
    merlon_dir_write:put_file(file(Dir), Work, [line(Entry) || Entry <- Entries], 8#600).

%% What was issued under that NAME@HOST and is written down or still in its folder.
-spec known(merlon_dir:path(), Name :: binary()) -> {ok, [entry()]} | {error, {file, merlon_dir:reason()}}.
known(Dir, Name) ->
    case entries(Dir) of
        {ok, Known} ->
            {ok, lists:usort([Entry || #{name := Of} = Entry <- Known, Of =:= Name]
                             ++ in_folder(Dir, "nodes", Name) ++ in_folder(Dir, "cli", Name))};
        {error, _} = Error -> Error
    end.

%% All that are written down.
-spec all(merlon_dir:path()) -> {ok, [entry()]} | {error, {file, merlon_dir:reason()}}.
all(Dir) -> entries(Dir).

file(Dir) -> merlon_dir:path([Dir, "ca", "issued"]).

entries(Dir) ->
    case merlon_dir:read(file(Dir)) of
        {ok, Text} -> {ok, [Entry || Line <- binary:split(Text, <<"\n">>, [global]), Entry <- entry(Line)]};
        {error, {file, {read, _, enoent}}} -> {ok, []};
        {error, _} = Error -> Error
    end.

%% A line that somebody has spoilt must not hide the others.
entry(Line) ->
    case binary:split(Line, <<"\t">>, [global]) of
        [Serial, End, Kind, Name, Issuer] when Kind =:= <<"node">>; Kind =:= <<"cli">> ->
            try [#{serial => Serial, not_after => binary_to_integer(End), name => Name, issuer => Issuer,
                   kind => binary_to_existing_atom(Kind)}]
            catch error:badarg -> []
            end;
        _ -> []
    end.

line(#{serial := Serial, not_after := End, kind := Kind, name := Name, issuer := Issuer}) ->
    [Serial, $\t, integer_to_binary(End), $\t, atom_to_binary(Kind), $\t, Name, $\t, Issuer, $\n].

in_folder(Dir, Kind, Name) ->
    case merlon_dir:read(merlon_dir:path([Dir, Kind, Name, "cert.pem"])) of
        {ok, Cert} ->
            case of_cert(Cert) of
                {ok, Entries} -> Entries;
                {error, _} -> []
            end;
        {error, _} -> []
    end.

%% The leaf of a PEM text; none if it is for no node or tool.
of_cert(Cert) ->
    case merlon_identity:inspect(Cert) of
        {ok, [#{identity := {Kind, _, Name, Host}, serial := Serial, not_after := End, issuer := Issuer} | _]} ->
            {ok, [#{serial => Serial, not_after => End, kind => Kind, name => <<Name/binary, $@, Host/binary>>,
                    issuer => Issuer}]};
        {ok, _} -> {ok, []};
        {error, _} = Error -> Error
    end.
