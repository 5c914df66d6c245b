%% SPDX-License-Identifier: Apache-2.0
%% `merlon keyring`: lists the entries of DIR/keyring, adds a random one, removes one.
-module(merlon_cli_keyring).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

%% An entry counts from a little before it is made, as the clocks of other hosts may be behind.
-define(SKEW, 300).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Lists the secrets of a merlon dir, adds or removes one; never shows them",
      argument => none,
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {new, flag, "add an entry of 256 random bits; makes the keyring if there is none"},
                  {'not-after', {text, "TIME"}, "its end: 2027-01-31 or 2027-01-31T12:00:00Z; default never"},
                  {drop, {text, "ID"}, "remove that entry"}],
      details => "All nodes of a cluster need a common entry: copy DIR/keyring to each of them, mode 0600.\n"
                 "Nodes take a changed file up within seconds, for new links."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{new := true, drop := _}) -> {usage, "--new and --drop are two commands: give one"};
run(#{'not-after' := _} = Options) when not is_map_key(new, Options) ->
    {usage, "--not-after belongs to --new"};
run(#{'not-after' := Text} = Options) ->
    case until(unicode:characters_to_binary(Text)) of
        {ok, End} -> in_dir(Options, fun(Dir, Now) -> new(Dir, Now, End) end);
        error -> {usage, "--not-after must be a UTC time such as 2027-01-31 or 2027-01-31T12:00:00Z"}
    end;
run(#{new := true} = Options) -> in_dir(Options, fun(Dir, Now) -> new(Dir, Now, never) end);
run(#{drop := Id} = Options) ->
    in_dir(Options, fun(Dir, _Now) -> drop(Dir, unicode:characters_to_binary(Id)) end);
run(Options) -> in_dir(Options, fun list/2).

in_dir(Options, Command) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> Command(Dir, erlang:system_time(second));
        {error, _} = Error -> Error
    end.

until(<<Date:10/binary>>) -> merlon_keyring_core:time(<<Date/binary, "T00:00:00Z">>);
until(Time) -> merlon_keyring_core:time(Time).

%% ---- list ----

list(Dir, Now) ->
    case entries(Dir) of
        {ok, none} -> {error, {keyring, no_keyring}};
        {ok, Entries} -> {ok, table(Entries, merlon_keyring:preferred(Entries, Now), Now)};
        {error, _} = Error -> Error
    end.

%% Of the provider that merlon.config names, else of the file.
entries(Dir) ->
    case provider(Dir) of
        none -> merlon_keyring:read(Dir);
        Config -> merlon_secrets:keyring(Config)
    end.

provider(Dir) ->
    case merlon_config:load(Dir) of
        {ok, #{secret := Provider} = Config} when Provider =/= none -> Config;
        _ -> none
    end.

table(Entries, Preferred, Now) ->
    Head = ["id", "created", "not before", "not after", "kdf", "state"],
    [row(Row) || Row <- [Head | [fields(Entry, Preferred, Now) || Entry <- Entries]]].

row(Fields) -> io_lib:format("~-16s  ~-20s  ~-20s  ~-20s  ~-6s  ~s~n", Fields).

fields(#{id := Id, created := Created, not_before := Begin, not_after := End, kdf := Kdf} = Entry,
       Preferred, Now) ->
    Times = [merlon_keyring_core:time_text(Time) || Time <- [Created, Begin, End]],
    [Id | Times] ++ [atom_to_list(Kdf), state(merlon_keyring:state(Entry, Now), Id =:= Preferred)].

state(accepted, true) -> "preferred";
state(accepted, false) -> "accepted";
state(not_yet, _) -> "not yet";
state(expired, _) -> "expired".

%% ---- change ----

new(_Dir, Now, End) when End =< Now -> {usage, "--not-after must be in the future"};
new(Dir, Now, End) ->
    case merlon_nif:keyring_new() of
        {ok, {Id, Secret}} ->
            Entry = #{id => Id, created => Now, not_before => Now - ?SKEW, not_after => End,
                      kdf => expand, secret => fun() -> Secret end},
            said(change(Dir, fun(Entries) -> add(Dir, Entry, Entries) end), "Added ", Id, Dir);
        {error, no_randomness} -> {error, {refused, "the system gives no random bytes"}}
    end.

add(Dir, Entry, Entries) ->
    case merlon_keyring_core:add(Entry, Entries) of
        {ok, _} = Ok -> Ok;
        {error, {Line, Problem}} -> {error, {keyring, {merlon_keyring:file(Dir), Line, Problem}}}
    end.

drop(Dir, Id) ->
    said(change(Dir, fun(Entries) -> dropped(merlon_keyring_core:drop(Id, Entries), Dir, Id) end),
         "Removed ", Id, Dir).

dropped({ok, _} = Ok, _Dir, _Id) -> Ok;
dropped({error, unknown}, Dir, Id) ->
    {error, {refused, [merlon_keyring:file(Dir), " has no entry ", Id, ": see `merlon keyring`"]}};
dropped({error, last}, Dir, _Id) ->
    {error, {refused, ["it is the last entry of ", merlon_keyring:file(Dir),
                       ", and no node starts with an empty keyring: add another one before"]}}.

%% In place of the old file, at once; whoever else changes it waits. Beside a provider it would keep the node
%% from starting.
change(Dir, Change) ->
    case provider(Dir) of
        none -> change_file(Dir, Change);
        #{secret := Provider} ->
            {error, {refused, ["merlon.config names ", merlon_secrets:name(Provider), " instead of a file: change the keyring in "
                               "another folder, `--dir \"$(mktemp -d)\"` for example, and store its text there"]}}
    end.

change_file(Dir, Change) ->
    Path = merlon_dir:path([Dir]),
    File = merlon_keyring:file(Dir),
    merlon_dir_write:locked(Path, fun(Work) -> change(File, Work, current(File), Change) end).

change(_File, _Work, {error, _} = Error, _Change) -> Error;
change(File, Work, {ok, Entries}, Change) ->
    case Change(Entries) of
        {ok, New} -> merlon_dir_write:put_file(File, Work, merlon_keyring_core:text(New), 8#600);
        {error, _} = Error -> Error
    end.

current(File) ->
    case merlon_keyring:text(File) of
        {ok, none} -> {ok, []};
        {ok, Text} -> merlon_keyring:parse(File, Text);
        {error, _} = Error -> Error
    end.

said(ok, Done, Id, Dir) ->
    {ok, [Done, Id, ". Copy ", merlon_keyring:file(Dir), " to every node of the cluster (mode 0600).\n"]};
said({error, _} = Error, _Done, _Id, _Dir) -> Error.
