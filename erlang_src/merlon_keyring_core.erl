%% SPDX-License-Identifier: Apache-2.0
%% The text of a keyring file, and what its lines say. Pure.
%%
%%   merlon keyring 1
%%   ID CREATED NOT_BEFORE NOT_AFTER KDF SECRET
%%   sha256 HEX
%%
%% One line per entry, single spaces, each line ended by a newline, nothing else. ID is 16 lower-case hex
%% digits. KDF is `expand`, then SECRET is 64 such digits, or `argon2id,m=KIB,t=PASSES,p=LANES`, then it
%% is a passphrase's 1 to 1024 bytes, in such digits too. Times are `2026-11-27T12:00:00Z`, NOT_AFTER may be `never`. The last line
%% is the SHA-256 of all before it: it finds accidents, not attackers, who can reckon too.
-module(merlon_keyring_core).

-export([parse/1, text/1, add/2, drop/2, newest_first/1, time/1, time_text/1, kdf_text/1, words/1]).
-export_type([entry/0, time/0, kdf/0, problem/0]).

-type time() :: integer().
-type kdf() :: expand | {argon2id, KiB :: pos_integer(), Passes :: pos_integer(), Lanes :: pos_integer()}.
%% The secret is in a fun, which nothing prints.
-type entry() :: #{id := binary(), created := time(), not_before := time(),
                   not_after := time() | never, kdf := kdf(), secret := fun(() -> binary())}.
-type problem() :: too_big | no_header | version | no_checksum | checksum | cut_short | empty | too_many |
                   fields | id | secret | passphrase | order | twice | other_secret | other_passphrase | kdf |
                   {time, created | not_before | not_after}.

-define(HEADER, <<"merlon keyring 1">>).
%% As many as the preamble of a link can offer.
-define(MAX, 16).
%% Bytes of the longest passphrase, and of the longest text that is looked at: as in native/secret.
-define(PASSPHRASE, 1024).
-define(LONGEST, 65536).

%% The entries of a file as they stand in it, or the line that is wrong (0: the whole).
-spec parse(binary()) -> {ok, [entry()]} | {error, {Line :: non_neg_integer(), problem()}}.
parse(Text) ->
    try {ok, entries(checked(lines(Text), Text))}
    catch throw:{problem, Line, Problem} -> {error, {Line, Problem}}
    end.

-spec problem(non_neg_integer(), problem()) -> no_return().
problem(Line, Problem) -> throw({problem, Line, Problem}).

lines(<<>>) -> problem(0, empty);
lines(Text) when byte_size(Text) > ?LONGEST -> problem(0, too_big);
lines(Text) ->
    Lines = binary:split(Text, <<"\n">>, [global]),
    case lists:last(Lines) of
        <<>> -> numbered(lists:droplast(Lines));
        _ -> problem(length(Lines), cut_short)
    end.

numbered(Lines) -> lists:zip(lists:seq(1, length(Lines)), Lines).

%% The header comes first: of another version nothing else is known.
checked([{1, ?HEADER} | [_ | _] = Lines], Text) ->
    {Number, Last} = lists:last(Lines),
    Size = byte_size(Text) - byte_size(Last) - 1,
    case {Last, checksum(binary_part(Text, 0, Size))} of
        {Sum, Sum} -> lists:droplast(Lines);
        {<<"sha256 ", _/binary>>, _} -> problem(Number, checksum);
        _ -> problem(Number, no_checksum)
    end;
checked([{1, ?HEADER}], _Text) -> problem(1, no_checksum);
checked([{1, <<"merlon keyring ", _/binary>>} | _], _Text) -> problem(1, version);
checked(_, _Text) -> problem(1, no_header).

checksum(Body) ->
    <<"sha256 ", (hex(merlon_nif:kdf_digest(sha256, Body)))/binary>>.

entries([]) -> problem(0, empty);
entries(Lines) when length(Lines) > ?MAX -> problem(?MAX + 2, too_many);
entries(Lines) ->
    Entries = [entry(Number, binary:split(Line, <<" ">>, [global])) || {Number, Line} <- Lines],
    _ = lists:foldl(fun once/2, #{}, lists:zip([Number || {Number, _} <- Lines], Entries)),
    Entries.

once({Number, #{id := Id}}, Seen) when is_map_key(Id, Seen) -> problem(Number, twice);
once({_Number, #{id := Id}}, Seen) -> Seen#{Id => seen}.

entry(Line, [Id, Created, NotBefore, NotAfter, KdfText, Secret]) ->
    is_hex(Id, 16) orelse problem(Line, id),
    Kdf = kdf(Line, KdfText),
    is_secret(Kdf, Secret) orelse problem(Line, secret_of(Kdf)),
    Begin = time(Line, not_before, NotBefore),
    End = until(Line, NotAfter),
    Begin < End orelse problem(Line, order), % `never` is an atom, and so after all numbers
    #{id => binary:copy(Id), created => time(Line, created, Created), not_before => Begin,
      not_after => End, kdf => Kdf, secret => fun() -> binary:decode_hex(Secret) end};
entry(Line, _) -> problem(Line, fields).

%% Numbers without leading zeros: there is one way to write each.
kdf(_Line, <<"expand">>) -> expand;
kdf(Line, Text) ->
    case re:run(Text, "\\Aargon2id,m=([1-9][0-9]{0,8}),t=([1-9][0-9]{0,8}),p=([1-9][0-9]{0,8})\\z",
                [{capture, all_but_first, binary}]) of
        {match, Costs} -> list_to_tuple([argon2id | [binary_to_integer(Cost) || Cost <- Costs]]);
        nomatch -> problem(Line, kdf)
    end.

is_secret(expand, Secret) -> is_hex(Secret, 64);
is_secret({argon2id, _, _, _}, Secret) ->
    Size = byte_size(Secret),
    Size >= 2 andalso Size =< 2 * ?PASSPHRASE andalso Size rem 2 =:= 0 andalso is_hex(Secret, Size).

secret_of(expand) -> secret;
secret_of(_) -> passphrase.

is_hex(Text, Length) ->
    byte_size(Text) =:= Length
        andalso [] =:= [Char || <<Char>> <= Text, not (Char >= $0 andalso Char =< $9),
                                not (Char >= $a andalso Char =< $f)].

until(_Line, <<"never">>) -> never;
until(Line, Text) -> time(Line, not_after, Text).

time(Line, Which, Text) ->
    case time(Text) of
        {ok, Seconds} -> Seconds;
        error -> problem(Line, {time, Which})
    end.

%% Seconds since 1970 of `2026-11-27T12:00:00Z`, and of nothing that is written in another way.
-spec time(binary()) -> {ok, time()} | error.
time(<<Y:4/binary, $-, Mo:2/binary, $-, D:2/binary, $T, H:2/binary, $:, Mi:2/binary, $:, S:2/binary, $Z>>
     = Text) ->
    try
        [Year, Month, Day, Hour, Minute, Second] = [binary_to_integer(Part) || Part <- [Y, Mo, D, H, Mi, S]],
        Seconds = calendar:datetime_to_gregorian_seconds({{Year, Month, Day}, {Hour, Minute, Second}})
            - 62167219200,
        true = Seconds >= 0,
        Text = time_text(Seconds),
        {ok, Seconds}
    catch error:_ -> error
    end;
time(_) -> error.

-spec time_text(time() | never) -> binary().
time_text(never) -> <<"never">>;
time_text(Seconds) ->
    {{Year, Month, Day}, {Hour, Minute, Second}} =
        calendar:gregorian_seconds_to_datetime(Seconds + 62167219200),
    iolist_to_binary(io_lib:format("~4..0b-~2..0b-~2..0bT~2..0b:~2..0b:~2..0bZ",
                                   [Year, Month, Day, Hour, Minute, Second])).

%% ---- writing ----

%% The file of these entries. It holds their secrets.
-spec text([entry()]) -> binary().
text(Entries) ->
    Body = iolist_to_binary([[?HEADER, $\n] | [[line(Entry), $\n] || Entry <- Entries]]),
    <<Body/binary, (checksum(Body))/binary, $\n>>.

line(#{id := Id, created := Created, not_before := Begin, not_after := End, kdf := Kdf,
       secret := Secret}) ->
    lists:join($\s, [Id, time_text(Created), time_text(Begin), time_text(End), kdf_text(Kdf), hex(Secret())]).

-spec kdf_text(kdf()) -> iodata().
kdf_text(expand) -> <<"expand">>;
kdf_text({argon2id, KiB, Passes, Lanes}) ->
    io_lib:format("argon2id,m=~b,t=~b,p=~b", [KiB, Passes, Lanes]).

hex(Bytes) -> string:lowercase(binary:encode_hex(Bytes)).

-spec add(entry(), [entry()]) -> {ok, [entry()]} | {error, {0, too_many}}.
add(_Entry, Entries) when length(Entries) >= ?MAX -> {error, {0, too_many}};
add(Entry, Entries) -> {ok, Entries ++ [Entry]}.

-spec drop(Id :: binary(), [entry()]) -> {ok, [entry()]} | {error, unknown | last}.
drop(Id, Entries) ->
    case [Entry || #{id := Other} = Entry <- Entries, Other =/= Id] of
        Entries -> {error, unknown};
        [] -> {error, last};
        Left -> {ok, Left}
    end.

%% By when they begin to count: what nodes prefer.
-spec newest_first([Entry]) -> [Entry] when Entry :: map().
newest_first(Entries) ->
    Age = fun(#{not_before := Begin, created := Created, id := Id}) -> {Begin, Created, Id} end,
    lists:sort(fun(A, B) -> Age(A) >= Age(B) end, Entries).

%% ---- words ----

-spec words(problem()) -> iodata().
words(too_big) -> "larger than a keyring can be: copy it again";
words(no_header) -> "no keyring: the first line must be `merlon keyring 1`";
words(version) -> "a keyring of another version: use the merlon that wrote it";
words(no_checksum) -> "the last line is no checksum: the file is cut short; copy it again";
words(checksum) -> "the checksum is wrong: the file has changed since merlon wrote it; copy it again";
words(cut_short) -> "the last line has no end: the file is cut short; copy it again";
words(empty) -> "no entry: make one with `merlon keyring --new`";
words(too_many) -> "more than 16 entries: remove one with `merlon keyring --drop ID`";
words(fields) -> "an entry has 6 fields with one space between them";
words(id) -> "an id is 16 digits of 0-9 and a-f";
words(secret) -> "a secret is 64 digits of 0-9 and a-f";
words(order) -> "the entry ends before it begins";
words(twice) -> "this entry stands in the file twice: remove one line";
words(other_secret) -> "the id is not that of the secret";
words(passphrase) -> "a passphrase is written as 2 to 2048 digits of 0-9 and a-f, two for each byte";
words(other_passphrase) ->
    "the id is not that of the passphrase in this cluster: it was made under another {cluster, NAME}, or damaged";
words(kdf) -> "the kdfs known are `expand` and `argon2id,m=KIB,t=PASSES,p=LANES`";
words({time, Which}) -> [atom_to_binary(Which), " is no time such as 2026-11-27T12:00:00Z"].
