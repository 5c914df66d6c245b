%% SPDX-License-Identifier: Apache-2.0
%% DIR/keyring: the secrets that nodes prove to each other, in place of the VM's cookie. Read while
%% the node boots, before there is a file server. What is kept of a secret is a reference into the
%% native library, which no function turns back.
-module(merlon_keyring).

-export([file/1, read/1, read/2, delivered/3, text/1, parse/2, parse/3, usable/3, public/1, state/2, preferred/2]).
-export([entries/0, derive/2, rotate/1, format_error/1]).
-export_type([keyring/0, entry/0, reason/0]).

-type entry() :: #{id := binary(), created := integer(), not_before := integer(),
                   not_after := integer() | never, kdf := merlon_keyring_core:kdf(),
                   ref := merlon_nif:keyring_entry()}.
%% Newest first; none when there is no file.
-type keyring() :: none | [entry()].
-type reason() :: {merlon_dir:path(), Line :: non_neg_integer(),
                   merlon_keyring_core:problem() | unreadable | not_stored | merlon_kdf:reason()} |
                  {none_accepted | gone, merlon_dir:path()} | no_keyring | not_accepted.
-type problem() :: {keyring, reason()} | {file, merlon_dir:reason()} | {config, merlon_config:reason()}.
-type state() :: not_yet | accepted | expired.

%% Passphrases that this VM has stretched, each with its id, by the ids that their entries say.
-define(STRETCHED, {?MODULE, stretched}).

-spec file(string()) -> merlon_dir:path().
file(Dir) -> merlon_dir:path([Dir, "keyring"]).

%% What is in the file, whether it counts now or not.
-spec read(string()) -> {ok, keyring()} | {error, problem()}.
read(Dir) -> read(Dir, unknown).

%% The same for a cluster whose name is known: passphrases are stretched for it.
-spec read(string(), Cluster :: binary() | unknown) -> {ok, keyring()} | {error, problem()}.
read(Dir, Cluster) ->
    File = file(Dir),
    Read = case text(File) of
               {ok, none} -> {ok, none};
               {ok, Text} -> opaque(parse(File, Text, Cluster));
               {error, _} = Error -> Error
           end,
    %% The text is not kept longer than it must.
    true = erlang:garbage_collect(),
    Read.

%% Only where there is nothing of that name there is no keyring: a link to nowhere is an error.
-spec text(merlon_dir:path()) -> {ok, none | binary()} | {error, {file, merlon_dir:reason()}}.
text(File) ->
    case {merlon_dir:read_secret(File), merlon_dir:exists(File)} of
        {{error, {file, {read, _, enoent}}}, false} -> {ok, none};
        {Read, _} -> Read
    end.

%% What a provider of secrets has given: the text of a keyring, or the 64 hex digits of one secret, which then has
%% always been good. Its secrets become no terms.
-spec delivered(Source :: binary(), merlon_nif:secret_bytes(), Cluster :: binary()) ->
          {ok, [entry()]} | {error, {keyring, reason()}}.
delivered(Source, Text, Cluster) ->
    case merlon_nif:keyring_stored(Text) of
        {text, Blotted} ->
            opaque(parse(Source, Blotted, Cluster, fun(Line, _) -> element(2, merlon_nif:keyring_secret(Text, Line)) end));
        {plain, Secret} ->
            {ok, {Id, Ref}} = merlon_nif:keyring_entry(Secret, 0, never),
            {ok, [#{id => Id, created => 0, not_before => 0, not_after => never, kdf => expand, ref => Ref}]};
        unknown -> {error, {keyring, {Source, 0, not_stored}}}
    end.

opaque({error, _} = Error) -> Error;
opaque({ok, Entries}) ->
    {ok, merlon_keyring_core:newest_first([maps:remove(secret, Entry) || Entry <- Entries])}.

%% The entries with their secrets, for commands, and with references.
-spec parse(merlon_dir:path(), binary()) -> {ok, [map()]} | {error, problem()}.
parse(File, Text) -> parse(File, Text, unknown).

-spec parse(merlon_dir:path(), binary(), Cluster :: binary() | unknown) -> {ok, [map()]} | {error, problem()}.
parse(File, Text, Cluster) ->
    parse(File, Text, Cluster, fun(_Line, Secret) -> Secret() end).

%% Given: what the native library takes for the secret of that line.
parse(File, Text, Cluster, Given) ->
    %% A stacktrace would hold the text.
    try merlon_keyring_core:parse(Text) of
        {ok, Entries} -> with_refs(File, lists:zip(lists:seq(2, length(Entries) + 1), Entries), Cluster, Given);
        {error, {Line, Problem}} -> {error, {keyring, {File, Line, Problem}}}
    catch error:_ -> {error, {keyring, {File, 0, unreadable}}}
    end.

with_refs(File, Numbered, Cluster, Given) ->
    Phrases = [Entry || {_, #{kdf := {argon2id, _, _, _}} = Entry} <- Numbered],
    case cluster(Phrases, File, Cluster) of
        {ok, Name} ->
            Known = persistent_term:get(?STRETCHED, #{}),
            Made = [{Line, ref(Entry, Given(Line, Secret), Name, Known)} || {Line, #{secret := Secret} = Entry} <- Numbered],
            remember(maps:from_list([{Id, {Id, Ref}} || {_, #{id := Id, kdf := {_, _, _, _}, ref := Ref}} <- Made]
                                    ++ [Other || {_, {wrong, other_passphrase, Other}} <- Made]), Known),
            checked(File, Made);
        {error, _} = Error -> Error
    end.

checked(File, Made) ->
    case [{Line, element(2, Wrong)} || {Line, Wrong} <- Made, is_tuple(Wrong)] of
        [] -> {ok, [Entry || {_, Entry} <- Made]};
        [{Line, Problem} | _] -> {error, {keyring, {File, Line, Problem}}}
    end.

%% Only a passphrase needs to know for whom it is.
cluster([], _File, _Cluster) -> {ok, <<>>};
cluster(_, _File, Cluster) when is_binary(Cluster) -> {ok, Cluster};
cluster(_, File, unknown) ->
    case merlon_config:load(unicode:characters_to_list(filename:dirname(File))) of
        {ok, #{cluster := Cluster}} -> {ok, Cluster};
        {error, _} = Error -> Error
    end.

ref(#{id := Id, kdf := expand, not_before := Begin, not_after := End} = Entry, Secret, _, _) ->
    case merlon_nif:keyring_entry(Secret, Begin, End) of
        {ok, {Id, Ref}} -> Entry#{ref => Ref};
        {ok, _} -> {wrong, other_secret}
    end;
ref(#{id := Id, kdf := {argon2id, KiB, Passes, Lanes}, not_before := Begin, not_after := End} = Entry,
    Secret, Cluster, Known) ->
    {_, Before} = maps:get(Id, Known, {none, none}),
    case merlon_nif:keyring_stretch(Before, {KiB, Passes, Lanes}, Secret, Cluster, {Begin, End}, merlon_kdf:ceiling()) of
        {ok, {Id, Ref}} -> Entry#{ref => Ref};
        {ok, Other} -> {wrong, other_passphrase, {Id, Other}};
        {error, {kdf, _} = Refused} -> {wrong, Refused}
    end.

%% What was stretched is not stretched again when the file is read again, unless it is another: neither is what has not
%% the id that it should, as a file that is refused is read again and again. Entries that are no longer there are forgotten.
remember(Stretched, Known) ->
    Ids = fun(Entries) -> maps:map(fun(_, {Id, _}) -> Id end, Entries) end,
    case Ids(Stretched) =:= Ids(Known) of
        true -> ok;
        false -> persistent_term:put(?STRETCHED, Stretched)
    end.

%% Source: the file, or the provider's name. A keyring that is there has to have an entry that counts now; and one that was there stays.
-spec usable(keyring(), Before :: keyring(), Source :: binary()) -> ok | {error, {keyring, reason()}}.
usable(none, none, _Source) -> ok;
usable(none, _Before, Source) -> {error, {keyring, {gone, Source}}};
usable(Entries, _Before, Source) ->
    case preferred(Entries, erlang:system_time(second)) of
        none -> {error, {keyring, {none_accepted, Source}}};
        _ -> ok
    end.

%% What tells keyrings apart, without anything that is secret: ids are made of the secrets.
-spec public(keyring()) -> none | [map()].
public(none) -> none;
public(Entries) -> [maps:without([ref, secret], Entry) || Entry <- Entries].

-spec state(#{ref := merlon_nif:keyring_entry(), _ => _}, Now :: integer()) -> state().
state(#{ref := Ref}, Now) -> merlon_nif:keyring_state(Ref, Now).

%% The id of the newest entry that is accepted.
-spec preferred([entry()], Now :: integer()) -> binary() | none.
preferred(Entries, Now) ->
    case [Id || #{id := Id} = Entry <- Entries, state(Entry, Now) =:= accepted] of
        [Id | _] -> Id;
        [] -> none
    end.

%% The entries of the running node, newest first, with what each is good for now. Nothing secret.
-spec entries() -> {ok, [map()]} | {error, {keyring, reason()} | not_distributed}.
entries() ->
    case merlon_node:current() of
        {ok, #{keyring := none}} -> {error, {keyring, no_keyring}};
        {ok, #{keyring := Entries}} ->
            Now = erlang:system_time(second),
            {ok, [(maps:remove(ref, Entry))#{state => state(Entry, Now)} || Entry <- Entries]};
        none -> {error, not_distributed}
    end.

%% Len bytes (at most 8160) for a use that Info names: HKDF-Expand (RFC 5869) with SHA-256 of this
%% cluster's root of the newest accepted entry, under a label that nothing else has. Every node with
%% that keyring gets the same; another newest entry gives others, so keep what must last.
-spec derive(Info :: binary(), Len :: non_neg_integer()) ->
          {ok, binary()} | {error, {keyring, reason()} | merlon_kdf:reason() | not_distributed}.
derive(Info, Len) when is_binary(Info), is_integer(Len), Len >= 0 ->
    case merlon_node:current() of
        {ok, #{keyring := none}} -> {error, {keyring, no_keyring}};
        {ok, #{keyring := Entries, config := #{cluster := Cluster}}} ->
            derive(Entries, Cluster, erlang:system_time(second), Info, Len);
        none -> {error, not_distributed}
    end.

derive([], _Cluster, _Now, _Info, _Len) -> {error, {keyring, not_accepted}};
derive([#{ref := Ref} | Entries], Cluster, Now, Info, Len) ->
    case merlon_nif:keyring_derive(Ref, Cluster, Now, Info, Len) of
        {error, not_accepted} -> derive(Entries, Cluster, Now, Info, Len);
        Result -> Result
    end.

%% Makes a new entry that takes the place of all others: it spreads over the links (phase 1), is preferred once all known
%% nodes have it or 10 minutes have passed (phase 2), and the others are not accepted any more after the grace (phase 3).
%% Options: `grace`, the seconds in which nodes that are away can come back (default 86400); `skew`, the seconds that the
%% nodes' clocks may be apart (default 300), which the grace is longer for. Together 10 at least. Gives the new entry's id.
-spec rotate(#{grace => non_neg_integer(), skew => non_neg_integer()} |
             [{grace | skew, non_neg_integer()}]) ->
          {ok, Id :: binary()} | {error, {rotate, merlon_rotate_files:reason()} | not_distributed | term()}.
rotate(Opts) when is_list(Opts) -> rotate(maps:from_list(Opts));
rotate(Opts) when is_map(Opts) ->
    #{grace := Grace, skew := Skew} = All = maps:merge(#{grace => 86400, skew => 300}, Opts),
    true = map_size(All) =:= 2 andalso is_integer(Grace) andalso Grace >= 0 andalso is_integer(Skew) andalso Skew >= 0,
    merlon_rotate:rotate(All).

%% One sentence, with what to do.
-spec format_error(reason()) -> iodata().
format_error({File, 0, Problem}) -> [File, ": ", words(Problem)];
format_error({File, Line, Problem}) -> [File, $:, integer_to_list(Line), ": ", words(Problem)];
format_error({none_accepted, File}) ->
    [File, " has no entry that is accepted now: look at it with `merlon keyring`, "
     "or add one with `merlon keyring --new`"];
format_error({gone, File}) ->
    [File, " is gone: put it back; a node that began with a keyring does not go on without"];
format_error(no_keyring) ->
    "this node has no keyring: make one with `merlon keyring --new`";
format_error(not_accepted) ->
    "no entry of the keyring is accepted now: add one with `merlon keyring --new`".

words(not_stored) ->
    "no keyring: store the text of a keyring (what `merlon keyring --new` makes), or 64 digits of 0-9 and a-f "
    "(what `openssl rand -hex 32` prints)";
words({kdf, _} = Reason) -> merlon_kdf:format_error(Reason);
words(unreadable) -> "can't be read: copy it again";
words(Problem) -> merlon_keyring_core:words(Problem).
