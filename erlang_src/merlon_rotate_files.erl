%% SPDX-License-Identifier: Apache-2.0
%% Changes to DIR/keyring by rotations, whose secrets stay in the native library, and DIR/keyring.status beside it: what
%% this dir's nodes know of entries that they do not hold any more, and who has which. No secret is in that one.
%%
%%   merlon rotation 1
%%   entry ID CREATED NOT_BEFORE NOT_AFTER
%%   begin ID TIME
%%   peer SEEN ID,ID,... NAME@HOST
-module(merlon_rotate_files).

-export([status/1, kept/1, keep/2, edit/4, make/4, drop/4, format_error/1]).
-export_type([reason/0, addition/0]).

-type reason() :: {edit, merlon_dir:path(), atom()} | {full, merlon_dir:path()} | no_keyring | too_short |
                  {provider, Name :: binary()}.
-type addition() :: none | {fresh, merlon_rotate_core:dates(), Begin :: integer()} |
                    {sealed, binary(), merlon_nif:keyring_request(), binary(), [merlon_nif:keyring_entry()],
                     merlon_rotate_core:dates()}.
-type error() :: {error, {rotate, reason()} | {file, merlon_dir:reason()} | {refused, iodata()}}.

-define(HEADER, <<"merlon rotation 1">>).
%% Seconds that clocks may be apart.
-define(SKEW, 300).

-spec status(string()) -> merlon_dir:path().
status(Dir) -> merlon_dir:path([Dir, "keyring.status"]).

%% What was kept. Of a file that can't be read nothing is known: all that is in it comes again from peers, but for
%% entries that have ended.
-spec kept(string()) -> merlon_rotate_core:kept().
kept(Dir) ->
    case merlon_dir:read(status(Dir)) of
        {ok, Text} -> parsed(binary:split(Text, <<"\n">>, [global, trim]));
        {error, _} -> nothing()
    end.

%% What is in the file already stays: other nodes of this dir write there, too.
-spec keep(string(), merlon_rotate_core:kept()) -> ok | error().
keep(Dir, Kept) ->
    locked(Dir, fun(Work) -> put_status(Dir, Work, Kept) end).

%% The keyring with changes and at most one more entry, at once, and what is known.
-spec edit(string(), [tuple()], addition(), merlon_rotate_core:kept()) -> {ok, Id :: binary() | none} | error().
edit(Dir, Changes, Addition, Kept) ->
    File = merlon_keyring:file(Dir),
    locked(Dir, fun(Work) ->
                        case merlon_dir:secret_mode(File) of
                            ok -> edit(Dir, File, Work, Changes, Addition, Kept);
                            {error, _} = Error -> Error
                        end
                end).

%% The status is there before the keyring is: an end that is not known, or a begin, would be lost.
edit(Dir, File, Work, Changes, Addition, Kept) ->
    Edits = [in_text(Change) || Change <- Changes],
    Make = fun(New) ->
                   case merlon_nif:keyring_edit(File, New, Edits, in_text(Addition), erlang:system_time(second)) of
                       {ok, Id} -> noted(Id, put_status(Dir, Work, with_begin(Id, Addition, Kept)));
                       {error, Reason} -> {error, {rotate, {edit, File, Reason}}}
                   end
           end,
    merlon_dir_write:put_made(File, Work, Make).

noted(Id, ok) -> {ok, Id};
noted(_Id, {error, _} = Error) -> Error.

with_begin(Id, {fresh, Dates, Begin}, #{known := Known, begins := Begins} = Kept) ->
    Kept#{known := Known#{Id => Dates}, begins := Begins#{Id => Begin}};
with_begin(_Id, _, Kept) -> Kept.

in_text({drop, Id}) -> {drop, Id};
in_text({fresh, Dates, _Begin}) -> {fresh, times(Dates)};
in_text({sealed, Id, Request, Sealed, By, Dates}) -> {sealed, Id, Request, Sealed, By, times(Dates)};
in_text({Id, Begin, End}) -> {Id, text(Begin), text(End)};
in_text(none) -> none.

times({Created, Begin, End}) -> {text(Created), text(Begin), text(End)}.

text(Time) -> merlon_keyring_core:time_text(Time).

%% A rotation: a new entry for the keyring that has these.
-spec make(string(), [merlon_rotate_core:entry()], map(), merlon_rotate_core:kept()) -> {ok, Id :: binary()} | error().
make(_Dir, _Entries, #{grace := Grace, skew := Skew}, _Kept) when Grace + Skew < 10 -> {error, {rotate, too_short}};
make(Dir, Entries, Opts, Kept) ->
    case merlon_rotate_core:fresh(Entries, erlang:system_time(second), Opts) of
        {ok, Dates, Begin, Changes} -> edit(Dir, Changes, {fresh, Dates, Begin}, Kept);
        full -> {error, {rotate, {full, merlon_keyring:file(Dir)}}}
    end.

%% That an entry is gone for good, by every clock, before its line goes.
-spec drop(string(), Work :: merlon_dir:path(), map(), Now :: integer()) -> ok | {error, {file, merlon_dir:reason()}}.
drop(Dir, Work, #{id := Id, created := Created, not_before := Begin, not_after := End}, Now) ->
    put_status(Dir, Work, #{begins => #{}, peers => #{}, known => #{Id => {Created, Begin, min(End, max(0, Now - ?SKEW))}}}).

locked(Dir, Change) -> merlon_dir_write:locked(merlon_dir:path([Dir]), Change).

%% Merged as everywhere. Of what a peer has said twice within a second the later counts, which is in Kept.
put_status(Dir, Work, Kept) ->
    All = merlon_rotate_core:keep(merlon_rotate_core:new('', merge(Kept, kept(Dir)))),
    merlon_dir_write:put_file(status(Dir), Work, written(All), 8#600).

nothing() -> #{known => #{}, begins => #{}, peers => #{}}.

merge(A, B) ->
    Both = element(2, merlon_rotate_core:event({kept, B}, 0, merlon_rotate_core:new('', A))),
    merlon_rotate_core:keep(Both).

%% ---- text ----

written(#{known := Known, begins := Begins, peers := Peers}) ->
    [?HEADER, $\n,
     [["entry ", Id, $\s, lists:join($\s, tuple_to_list(times(Dates))), $\n] || {Id, Dates} <- lists:sort(maps:to_list(Known))],
     [["begin ", Id, $\s, text(Time), $\n] || {Id, Time} <- lists:sort(maps:to_list(Begins))],
     [["peer ", text(Seen), $\s, lists:join($,, Has), $\s, Name, $\n]
      || {Node, #{seen := Seen, has := Has}} <- lists:sort(maps:to_list(Peers)), Name <- [atom_to_binary(Node)],
         binary:match(Name, <<"\n">>) =:= nomatch]].

parsed([?HEADER | Lines]) ->
    lists:foldl(fun(Line, Kept) ->
                        try line(Line, Kept) catch error:_ -> Kept end
                end, nothing(), Lines);
parsed(_) -> nothing().

line(<<"entry ", Entry/binary>>, #{known := Known} = Kept) ->
    [Id | Times] = binary:split(Entry, <<" ">>, [global]),
    Kept#{known := Known#{id(Id) => list_to_tuple([_, _, _] = [time(Time) || Time <- Times])}};
line(<<"begin ", Begin/binary>>, #{begins := Begins} = Kept) ->
    [Id, Time] = binary:split(Begin, <<" ">>),
    Kept#{begins := Begins#{id(Id) => time(Time)}};
line(<<"peer ", Peer/binary>>, #{peers := Peers} = Kept) ->
    [Seen, Rest] = binary:split(Peer, <<" ">>),
    [Has, Name] = binary:split(Rest, <<" ">>),
    Ids = [id(Id) || Id <- binary:split(Has, <<",">>, [global]), Id =/= <<>>],
    %% merlon: allow dynamic_atom until 2027-11-30 because the file is this node's own and names nodes that have linked
    Kept#{peers := Peers#{binary_to_atom(Name) => #{seen => time(Seen), has => Ids}}}.

id(Id) ->
    true = merlon_rotate_core:valid_want(Id, []),
    binary:copy(Id).

time(<<"never">>) -> never;
time(Text) ->
    {ok, Time} = merlon_keyring_core:time(Text),
    Time.

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error({edit, File, keyring_full}) -> format_error({full, File});
format_error({edit, File, unknown_entry}) -> [File, " has changed meanwhile: try again"];
format_error({edit, File, bad_keyring}) -> [File, " is damaged: look at it with `merlon keyring`"];
format_error({edit, File, bad_transfer}) -> [File, " stays as it is: a peer gave what was not asked for"];
format_error({edit, File, not_accepted}) -> [File, " stays as it is: the entry that both nodes held has just ended"];
format_error({edit, _File, no_randomness}) -> "the system gives no random bytes";
format_error({edit, File, Posix}) ->
    [File, " can't be changed: ", file:format_error(Posix), "; the user who runs the node must own its folder"];
format_error({full, File}) ->
    [File, " has 16 entries that are accepted: remove one with `merlon keyring --drop ID`, or rotate less often"];
format_error(too_short) ->
    "grace and skew together must be 10 seconds at least: nodes need that to learn the new entry";
format_error({provider, Name}) ->
    ["the keyring comes from ", Name, ", as merlon.config says: change it there. To make or rotate entries use a folder of its own, "
     "`--dir \"$(mktemp -d)\"` for example, and store the text of its keyring"];
format_error(no_keyring) ->
    "there is no keyring to rotate: make one with `merlon keyring --new` and copy it to every node".
