%% SPDX-License-Identifier: Apache-2.0
%% DIR/keyring: the secrets that nodes prove to each other, in place of the VM's cookie. Read while
%% the node boots, before there is a file server. What is kept of a secret is a reference into the
%% native library, which no function turns back.
-module(merlon_keyring).

-export([file/1, read/1, delivered/2, text/1, parse/2, usable/3, public/1, state/2, preferred/2, derive/2, format_error/1]).
-export_type([keyring/0, entry/0, reason/0]).

-type entry() :: #{id := binary(), created := integer(), not_before := integer(),
                   not_after := integer() | never, kdf := expand, ref := merlon_nif:keyring_entry()}.
%% Newest first; none when there is no file.
-type keyring() :: none | [entry()].
-type reason() :: {merlon_dir:path(), Line :: non_neg_integer(), merlon_keyring_core:problem() | unreadable | not_stored} |
                  {none_accepted | gone, merlon_dir:path()} | no_keyring | not_accepted.
-type state() :: not_yet | accepted | expired.

-spec file(string()) -> merlon_dir:path().
file(Dir) -> merlon_dir:path([Dir, "keyring"]).

%% What is in the file, whether it counts now or not.
-spec read(string()) -> {ok, keyring()} | {error, {keyring, reason()} | {file, merlon_dir:reason()}}.
read(Dir) ->
    File = file(Dir),
    Read = case text(File) of
               {ok, none} -> {ok, none};
               {ok, Text} -> opaque(parse(File, Text));
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
-spec delivered(Source :: binary(), merlon_nif:secret_bytes()) -> {ok, [entry()]} | {error, {keyring, reason()}}.
delivered(Source, Text) ->
    case merlon_nif:keyring_stored(Text) of
        {text, Blotted} -> opaque(parse(Source, Blotted, fun(Line, _) -> element(2, merlon_nif:keyring_secret(Text, Line)) end));
        {plain, Secret} ->
            {ok, {Id, Ref}} = merlon_nif:keyring_entry(Secret, 0, never),
            {ok, [#{id => Id, created => 0, not_before => 0, not_after => never, kdf => expand, ref => Ref}]};
        unknown -> {error, {keyring, {Source, 0, not_stored}}}
    end.

opaque({error, _} = Error) -> Error;
opaque({ok, Entries}) ->
    {ok, merlon_keyring_core:newest_first([maps:remove(secret, Entry) || Entry <- Entries])}.

%% The entries with their secrets, for commands, and with references.
-spec parse(merlon_dir:path(), binary()) -> {ok, [map()]} | {error, {keyring, reason()}}.
parse(File, Text) ->
    parse(File, Text, fun(_Line, Secret) -> Secret() end).

%% Secret: what the native library takes for the secret of that line.
parse(File, Text, Secret) ->
    %% A stacktrace would hold the text.
    try merlon_keyring_core:parse(Text) of
        {ok, Entries} -> with_refs(File, lists:zip(lists:seq(2, length(Entries) + 1), Entries), Secret);
        {error, {Line, Problem}} -> {error, {keyring, {File, Line, Problem}}}
    catch error:_ -> {error, {keyring, {File, 0, unreadable}}}
    end.

with_refs(File, Numbered, Secret) ->
    Made = [{Line, ref(Entry, Secret(Line, maps:get(secret, Entry)))} || {Line, Entry} <- Numbered],
    case [Line || {Line, other_secret} <- Made] of
        [] -> {ok, [Entry || {_, Entry} <- Made]};
        [Line | _] -> {error, {keyring, {File, Line, other_secret}}}
    end.

ref(#{id := Id, not_before := Begin, not_after := End} = Entry, Secret) ->
    case merlon_nif:keyring_entry(Secret, Begin, End) of
        {ok, {Id, Ref}} -> Entry#{ref => Ref};
        {ok, _} -> other_secret
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
words(unreadable) -> "can't be read: copy it again";
words(Problem) -> merlon_keyring_core:words(Problem).
