%% SPDX-License-Identifier: Apache-2.0
%% The text of a join token, and whom it is for. Pure.
%%
%%   MRLN-1-BASE32
%%
%% BASE32 (Crockford's digits, capitals, no padding) has, big-endian: kind (0 node, 1 cli); the pin, which is the
%% SHA-256 of the CA's public key; id (8 bytes); secret (16 bytes); the addresses to join at (count, then
%% port, length and host of each); the names (count, then length and NAME@HOST of each, `*` standing for any characters);
%% CRC-32 of `MRLN-1-` and all of that. The checksum finds every mistyped character and every two that changed
%% places; it is no protection. There is one way to write a token, and no other is read.
-module(merlon_token_core).

-export([encode/1, decode/1, covers/2, exact/1, is_name/1, id_text/1, address/1, words/1]).
-export_type([token/0, kind/0, address/0, problem/0]).

-type kind() :: node | cli.
-type address() :: {Host :: binary(), inet:port_number()}.
%% The secret is in a fun, which nothing prints.
-type token() :: #{kind := kind(), pin := <<_:256>>, id := <<_:64>>, secret := fun(() -> <<_:128>>),
                   at := [address(), ...], names := [binary(), ...]}.
-type problem() :: no_token | version | character | cut_short | checksum | malformed | too_long.

-define(PREFIX, "MRLN-1-").
-define(DIGITS, <<"0123456789ABCDEFGHJKMNPQRSTVWXYZ">>).
-define(MAX_TEXT, 10000).
-define(MAX_AT, 4).
-define(MAX_NAMES, 16).

-spec encode(token()) -> binary().
encode(#{kind := Kind, pin := <<Pin:32/binary>>, id := <<Id:8/binary>>, secret := Secret, at := At, names := Names}) ->
    <<Hidden:16/binary>> = Secret(),
    Body = iolist_to_binary([kind_byte(Kind), Pin, Id, Hidden,
                             length(At), [<<Port:16, (byte_size(Host)), Host/binary>> || {Host, Port} <- At],
                             length(Names), [<<(byte_size(Name)), Name/binary>> || Name <- Names]]),
    <<?PREFIX, (digits(<<Body/binary, (checksum(Body)):32>>))/binary>>.

checksum(Body) -> erlang:crc32([?PREFIX, Body]).

kind_byte(node) -> 0;
kind_byte(cli) -> 1.

digits(Bytes) ->
    Missing = (5 - bit_size(Bytes) rem 5) rem 5,
    << <<(binary:at(?DIGITS, Digit))>> || <<Digit:5>> <= <<Bytes/bitstring, 0:Missing>> >>.

-spec decode(binary()) -> {ok, token()} | {error, problem()}.
decode(Text) when byte_size(Text) > ?MAX_TEXT -> {error, too_long};
decode(<<?PREFIX, Digits/binary>>) ->
    try {ok, token(checked(bytes(Digits)))}
    catch throw:{problem, Problem} -> {error, Problem}
    end;
decode(<<"MRLN-", _/binary>>) -> {error, version};
decode(_) -> {error, no_token}.

-spec problem(problem()) -> no_return().
problem(Problem) -> throw({problem, Problem}).

bytes(Digits) ->
    Bits = << <<(digit(Char)):5>> || <<Char>> <= Digits >>,
    Left = bit_size(Bits) rem 8,
    Size = bit_size(Bits) div 8,
    case Bits of
        <<Bytes:Size/binary, 0:Left>> when Left < 5, Size > 4 -> Bytes;
        _ -> problem(cut_short)
    end.

digit(Char) ->
    case binary:match(?DIGITS, <<Char>>) of
        {Digit, 1} -> Digit;
        nomatch -> problem(character)
    end.

checked(Bytes) ->
    Size = byte_size(Bytes) - 4,
    <<Body:Size/binary, Sum:32>> = Bytes,
    case checksum(Body) of
        Sum -> Body;
        _ -> problem(checksum)
    end.

token(<<Kind, Pin:32/binary, Id:8/binary, Secret:16/binary, Count, Rest/binary>>)
  when Kind =< 1, Count >= 1, Count =< ?MAX_AT ->
    {At, <<Named, Left/binary>>} = many(Count, fun one_address/1, Rest),
    Named >= 1 andalso Named =< ?MAX_NAMES orelse problem(malformed),
    {Names, End} = many(Named, fun one_name/1, Left),
    End =:= <<>> orelse problem(malformed),
    #{kind => lists:nth(Kind + 1, [node, cli]), pin => Pin, id => Id, secret => fun() -> Secret end,
      at => At, names => Names};
token(_) -> problem(malformed).

many(0, _One, <<>>) -> {[], <<>>};
many(0, _One, Rest) -> {[], Rest};
many(Count, One, Rest) ->
    {First, Left} = One(Rest),
    {More, End} = many(Count - 1, One, Left),
    {[First | More], End}.

one_address(<<Port:16, Len, Host:Len/binary, Rest/binary>>) when Port > 0 ->
    is_plain(Host) orelse problem(malformed),
    {{Host, Port}, Rest};
one_address(_) -> problem(malformed).

one_name(<<Len, Name:Len/binary, Rest/binary>>) ->
    is_name(Name) orelse problem(malformed),
    {Name, Rest};
one_name(_) -> problem(malformed).

%% Something before and after the only @.
-spec is_name(binary()) -> boolean().
is_name(Name) ->
    is_plain(Name) andalso byte_size(Name) =< 255 andalso
        case binary:split(Name, <<"@">>, [global]) of
            [<<_, _/binary>>, <<_, _/binary>>] -> true;
            _ -> false
        end.

%% It is printed, and part of a path.
is_plain(Text) ->
    case unicode:characters_to_list(Text) of
        [_ | _] = Chars -> lists:all(fun(Char) -> Char > 32 andalso Char =/= $/ andalso Char =/= 127
                                                      andalso (Char < 128 orelse Char > 160) end, Chars);
        _ -> false
    end.

%% Which of the names lets that one in: an exact one before a pattern.
-spec covers(Name :: binary(), [binary()]) -> exact | pattern | false.
covers(Name, Names) ->
    case {lists:member(Name, Names) andalso exact([Name]) =/= [],
          lists:any(fun(Pattern) -> matches(Name, Pattern) end, Names)} of
        {true, _} -> exact;
        {false, true} -> pattern;
        {false, false} -> false
    end.

-spec exact([binary()]) -> [binary()].
exact(Names) -> [Name || Name <- Names, binary:match(Name, <<"*">>) =:= nomatch].

%% The part before the @ and the one after it, each by itself.
matches(Name, Pattern) ->
    case {binary:split(Name, <<"@">>), binary:split(Pattern, <<"@">>)} of
        {[A, B], [PatternA, PatternB]} -> glob(A, PatternA) andalso glob(B, PatternB);
        _ -> false
    end.

%% What stands between stars is looked for from left to right, each as early as it can be.
glob(Text, Pattern) ->
    case binary:split(Pattern, <<"*">>, [global]) of
        [Text] -> true;
        [_] -> false;
        [First | Parts] ->
            Size = byte_size(First),
            case Text of
                <<First:Size/binary, Rest/binary>> -> glob_parts(Rest, Parts);
                _ -> false
            end
    end.

glob_parts(Text, [Last]) ->
    Skip = byte_size(Text) - byte_size(Last),
    Skip >= 0 andalso binary:part(Text, Skip, byte_size(Last)) =:= Last;
glob_parts(Text, [<<>> | Parts]) -> glob_parts(Text, Parts);
glob_parts(Text, [Part | Parts]) ->
    case binary:split(Text, Part) of
        [_, Rest] -> glob_parts(Rest, Parts);
        [_] -> false
    end.

%% What tokens are called in lists, logs and file names.
-spec id_text(<<_:64>>) -> binary().
id_text(Id) -> string:lowercase(binary:encode_hex(Id)).

%% `host:port`, `1.2.3.4:port` or `[::1]:port`.
-spec address(binary()) -> {ok, address()} | error.
address(Text) ->
    case re:run(Text, "\\A(?:\\[([0-9A-Fa-f:.]+)\\]|([^\\s:/\\[\\]]+)):([0-9]{1,5})\\z",
                [{capture, all_but_first, binary}]) of
        {match, [V6, Name, Port]} -> address(<<V6/binary, Name/binary>>, binary_to_integer(Port));
        nomatch -> error
    end.

address(Host, Port) when Port >= 1, Port =< 65535, byte_size(Host) =< 255 -> {ok, {Host, Port}};
address(_, _) -> error.

-spec words(problem()) -> iodata().
words(no_token) -> "not a token: it begins with MRLN-1-";
words(version) -> "a token of another version: use the merlon that made it";
words(character) -> "mistyped: a token has digits and capitals after MRLN-1-, without I, L, O and U";
words(cut_short) -> "not complete: copy the whole token";
words(checksum) -> "mistyped or not complete: its checksum is wrong; copy the whole token again";
words(malformed) -> "no token that merlon made: make one with `merlon token`";
words(too_long) -> "longer than any token".
