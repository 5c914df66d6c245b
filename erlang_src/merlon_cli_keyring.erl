%% SPDX-License-Identifier: Apache-2.0
%% `merlon keyring`: lists the entries of DIR/keyring, adds a random one, removes one.
-module(merlon_cli_keyring).
-behaviour(merlon_cli).

-export([spec/0, run/1, random/3, stretched/5, provider/1]).

%% An entry counts from a little before it is made, as the clocks of other hosts may be behind.
-define(SKEW, 300).
%% Argon2id: 128 MiB, 4 passes, 1 lane. The same on every machine, so that the same passphrase is the same
%% entry: about half a second.
-define(COSTS, {argon2id, 131072, 4, 1}).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Lists the secrets of a merlon dir, adds or removes one; never shows them",
      argument => none,
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"},
                  {new, flag, "add an entry of 256 random bits; makes the keyring if there is none"}]
                 ++ merlon_cli_passphrase:options() ++
                 [{'not-before', {text, "TIME"}, "its begin, as below; default now"},
                  {'not-after', {text, "TIME"}, "its end: 2027-01-31 or 2027-01-31T12:00:00Z; default never"},
                  {drop, {text, "ID"}, "remove that entry"}],
      details => "All nodes of a cluster need a common entry to begin with: copy DIR/keyring to each of them, mode 0600.\n"
                 "From then on nodes take a changed file up within seconds and give each other what they lack.\n"
                 "To change the secret use `merlon rotate secret`."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{new := true, drop := _}) -> {usage, "--new and --drop are two commands: give one"};
run(#{new := true} = Options) ->
    case times(Options, ['not-before', 'not-after']) of
        {ok, Times} -> in_dir(Options, fun(Dir, Now) -> new(Dir, Now, Times, Options) end);
        {usage, _} = Usage -> Usage
    end;
run(Options) ->
    case [Option || Option <- ['not-before', 'not-after', passphrase, 'passphrase-file'], is_map_key(Option, Options)] of
        [] -> list_or_drop(Options);
        [Option | _] -> {usage, ["--", atom_to_list(Option), " belongs to --new"]}
    end.

list_or_drop(#{drop := Id} = Options) ->
    in_dir(Options, fun(Dir, Now) -> drop(Dir, unicode:characters_to_binary(Id), Now) end);
list_or_drop(Options) -> in_dir(Options, fun list/2).

times(Options, Names) -> times(Options, Names, #{}).

times(_Options, [], Times) -> {ok, Times};
times(Options, [Name | Names], Times) when is_map_key(Name, Options) ->
    case time(unicode:characters_to_binary(maps:get(Name, Options))) of
        {ok, Time} -> times(Options, Names, Times#{Name => Time});
        error ->
            {usage, ["--", atom_to_list(Name), " must be a UTC time such as 2027-01-31 or 2027-01-31T12:00:00Z"]}
    end;
times(Options, [_ | Names], Times) -> times(Options, Names, Times).

in_dir(Options, Command) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> Command(Dir, erlang:system_time(second));
        {error, _} = Error -> Error
    end.

time(<<Date:10/binary>>) -> merlon_keyring_core:time(<<Date/binary, "T00:00:00Z">>);
time(Time) -> merlon_keyring_core:time(Time).

%% ---- list ----

list(Dir, Now) ->
    case entries(Dir) of
        {ok, none} -> {error, {keyring, no_keyring}};
        {ok, Entries} ->
            #{peers := Peers} = merlon_rotate_files:kept(Dir),
            {ok, [table(Entries, merlon_keyring:preferred(Entries, Now), Now), holders(Entries, Peers)]};
        {error, _} = Error -> Error
    end.

%% Of the provider that merlon.config names, else of the file.
entries(Dir) ->
    case provider(Dir) of
        none -> merlon_keyring:read(Dir);
        Config -> merlon_secrets:keyring(Config)
    end.

%% The configuration, if it names a provider.
-spec provider(string()) -> none | merlon_config:config().
provider(Dir) ->
    case merlon_config:load(Dir) of
        {ok, #{secret := Provider} = Config} when Provider =/= none -> Config;
        _ -> none
    end.

table(Entries, Preferred, Now) ->
    Head = ["id", "created", "not before", "not after", "kdf", "state"],
    [row(Row) || Row <- [Head | [fields(Entry, Preferred, Now) || Entry <- Entries]]].

%% Which other nodes have which, as this dir's nodes have heard from them.
holders(_Entries, Peers) when map_size(Peers) =:= 0 -> "";
holders(Entries, Peers) ->
    Ids = [Id || #{id := Id} <- Entries],
    Rows = [[merlon_keyring_core:time_text(Seen), held(Ids, Has), atom_to_binary(Node)]
            || {Node, #{seen := Seen, has := Has}} <- lists:sort(maps:to_list(Peers))],
    [$\n | [io_lib:format("~-20s  ~-34s  ~ts~n", Row) || Row <- [["heard", "has", "node"] | Rows]]].

held(Ids, Has) ->
    case [Id || Id <- Ids, lists:member(Id, Has)] of
        [] -> "none of these";
        Ids -> "all of these";
        Some -> lists:join($\s, Some)
    end.

row(Fields) -> io_lib:format("~-16s  ~-20s  ~-20s  ~-20s  ~-8s  ~s~n", Fields).

fields(#{id := Id, created := Created, not_before := Begin, not_after := End, kdf := Kdf} = Entry,
       Preferred, Now) ->
    Times = [merlon_keyring_core:time_text(Time) || Time <- [Created, Begin, End]],
    [Id | Times] ++ [kdf(Kdf), state(merlon_keyring:state(Entry, Now), Id =:= Preferred)].

kdf(expand) -> "expand";
kdf({Kdf, _, _, _}) -> atom_to_list(Kdf).

state(accepted, true) -> "preferred";
state(accepted, false) -> "accepted";
state(not_yet, _) -> "not yet";
state(expired, _) -> "expired".

%% ---- change ----

new(_Dir, Now, #{'not-after' := End}, _Options) when End =< Now -> {usage, "--not-after must be in the future"};
new(_Dir, _Now, #{'not-before' := Begin, 'not-after' := End}, _Options) when End =< Begin ->
    {usage, "--not-after must be later than --not-before"};
new(Dir, Now, Times, Options) ->
    Begin = maps:get('not-before', Times, Now - ?SKEW),
    End = maps:get('not-after', Times, never),
    case merlon_cli_passphrase:read(Options) of
        none -> added(Dir, random(Now, Begin, End));
        {ok, Words} -> added(Dir, of_passphrase(Dir, Words, Now, {Begin, End}));
        Other -> Other
    end.

added(Dir, {ok, #{id := Id} = Entry}) ->
    said(change(Dir, fun(Entries, _Work) -> add(Dir, Entry, Entries) end), "Added ", Id, Dir);
added(_Dir, {error, _} = Error) -> Error.

%% A new entry of the system's random bytes.
-spec random(Now :: integer(), Begin :: integer(), End :: integer() | never) ->
          {ok, merlon_keyring_core:entry()} | {error, term()}.
random(Now, Begin, End) ->
    case merlon_nif:keyring_new() of
        {ok, {Id, Secret}} ->
            {ok, #{id => Id, created => Now, not_before => Begin, not_after => End,
                   kdf => expand, secret => fun() -> Secret end}};
        {error, no_randomness} -> {error, {refused, "the system gives no random bytes"}}
    end.

%% The salt is the cluster's name: one that everyone has would let everyone share the work of trying.
of_passphrase(Dir, Words, Now, Life) ->
    case merlon_config:load(Dir) of
        {ok, #{cluster := Cluster}} ->
            case Cluster =:= merlon_identity_secret:default_cluster() of
                false -> stretched(Words, Cluster, Now, Life, ?COSTS);
                true -> {error, {refused, "a passphrase is stretched under the cluster's name: give it one of its "
                                          "own, {cluster, \"NAME\"} in merlon.config"}}
            end;
        {error, _} = Error -> Error
    end.

%% A new entry of a passphrase.
-spec stretched(fun(() -> binary()), Cluster :: binary(), Now :: integer(),
                {Begin :: integer(), End :: integer() | never}, merlon_keyring_core:kdf() | default) ->
          {ok, merlon_keyring_core:entry()} | {error, term()}.
stretched(Words, Cluster, Now, Life, default) -> stretched(Words, Cluster, Now, Life, ?COSTS);
stretched(Words, Cluster, Now, {Begin, End}, {argon2id, KiB, Passes, Lanes} = Kdf) ->
    case merlon_nif:keyring_stretch(none, {KiB, Passes, Lanes}, Words(), Cluster, {Begin, End},
                                    merlon_kdf:ceiling()) of
        {ok, {Id, _}} ->
            {ok, #{id => Id, created => Now, not_before => Begin, not_after => End, kdf => Kdf, secret => Words}};
        {error, Reason} -> {error, {refused, merlon_kdf:format_error(Reason)}}
    end.

add(Dir, Entry, Entries) ->
    case merlon_keyring_core:add(Entry, Entries) of
        {ok, _} = Ok -> Ok;
        {error, {Line, Problem}} -> {error, {keyring, {merlon_keyring:file(Dir), Line, Problem}}}
    end.

drop(Dir, Id, Now) ->
    said(change(Dir, fun(Entries, Work) ->
                             Gone = [Entry || #{id := Found} = Entry <- Entries, Found =:= Id],
                             dropped(merlon_keyring_core:drop(Id, Entries), Gone, Dir, {Id, Work, Now})
                     end),
         "Removed ", Id, Dir).

dropped({ok, Left} = Ok, [Entry], Dir, {_Id, Work, Now}) ->
    case counts(Entry, Now) andalso not lists:any(fun(Other) -> counts(Other, Now) end, Left) of
        false -> gone(Ok, Entry, Dir, Work, Now);
        true -> {error, {refused, ["no other entry of ", merlon_keyring:file(Dir), " counts yet, and no node starts "
                                   "without: wait until one does (see `merlon keyring`), or add one"]}}
    end;
dropped({error, unknown}, _, Dir, {Id, _, _}) ->
    {error, {refused, [merlon_keyring:file(Dir), " has no entry ", Id, ": see `merlon keyring`"]}};
dropped({error, last}, _, Dir, _) ->
    {error, {refused, ["it is the last entry of ", merlon_keyring:file(Dir),
                       ", and no node starts with an empty keyring: add another one before"]}}.

counts(#{not_before := Begin, not_after := End}, Now) -> Begin =< Now andalso Now < End. % `never` is after all numbers

%% Peers still have it: that it is gone must be known before.
gone(Ok, Entry, Dir, Work, Now) ->
    case merlon_rotate_files:drop(Dir, Work, Entry, Now) of
        ok -> Ok;
        {error, _} = Error -> Error
    end.

%% In place of the old file, at once; whoever else changes it waits. Beside a provider it would keep the node
%% from starting.
change(Dir, Change) ->
    case provider(Dir) of
        none -> change_file(Dir, Change);
        #{secret := Provider} -> {error, {rotate, {provider, merlon_secrets:name(Provider)}}}
    end.

change_file(Dir, Change) ->
    Path = merlon_dir:path([Dir]),
    File = merlon_keyring:file(Dir),
    merlon_dir_write:locked(Path, fun(Work) -> change(File, Work, current(File), Change) end).

change(_File, _Work, {error, _} = Error, _Change) -> Error;
change(File, Work, {ok, Entries}, Change) ->
    case Change(Entries, Work) of
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
    {ok, [Done, Id, ". Nodes that are linked to one of this merlon dir follow by themselves. Copy ",
          merlon_keyring:file(Dir), " to every node that has no entry of it yet (mode 0600).\n"]};
said({error, _} = Error, _Done, _Id, _Dir) -> Error.
