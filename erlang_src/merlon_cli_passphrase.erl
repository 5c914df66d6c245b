%% SPDX-License-Identifier: Apache-2.0
%% A passphrase for a command: typed (bin/merlon asks for it unseen), from standard input or from a file,
%% never an argument, which everyone on the host sees.
-module(merlon_cli_passphrase).

-export([options/0, read/1]).

%% Anyone with the keyring's id can try passphrases, at half a second each.
-define(LEAST, 12).
-define(MOST, 1024).

-spec options() -> [{atom(), flag | {text, string()}, string()}].
options() ->
    [{passphrase, flag, "of a passphrase, typed or read from standard input (12 characters or more)"},
     {'passphrase-file', {text, "FILE"}, "of the passphrase in FILE (mode 0600)"}].

%% The first line, without its end.
-spec read(merlon_cli_args:options()) ->
          none | {ok, fun(() -> binary())} | {usage, iodata()} | {error, term()}.
read(#{passphrase := true, 'passphrase-file' := _}) ->
    {usage, "--passphrase and --passphrase-file are two ways: give one"};
read(#{passphrase := true}) -> checked(typed(), "--passphrase");
read(#{'passphrase-file' := File}) -> checked(merlon_dir:read_secret(merlon_dir:path([File])), "--passphrase-file");
read(_Options) -> none.

%% bin/merlon leaves standard input alone, mix reads it itself.
typed() ->
    case init:get_argument(noinput) of
        {ok, _} -> opened(file:open("/dev/stdin", [read, raw, binary, read_ahead]));
        error -> line(io:get_line(standard_io, ""))
    end.

opened({ok, File}) ->
    Read = line(file:read_line(File)),
    ok = file:close(File),
    Read;
opened({error, _} = Error) -> Error.

line({ok, Line}) -> {ok, Line};
line(Line) when is_binary(Line); is_list(Line) -> {ok, unicode:characters_to_binary(Line)};
line(_) -> {ok, <<>>}.

checked({ok, Text}, Option) ->
    [Line | _] = binary:split(Text, [<<"\r\n">>, <<"\n">>]),
    case {unicode:characters_to_list(Line), byte_size(Line)} of
        {Chars, Size} when is_list(Chars), length(Chars) >= ?LEAST, Size =< ?MOST -> {ok, fun() -> Line end};
        {Chars, Size} when is_list(Chars), Size =< ?MOST ->
            {usage, [Option, ": a passphrase of fewer than 12 characters is guessed too easily: take six words"]};
        _ -> {usage, [Option, ": a passphrase is UTF-8 text of at most 1024 bytes"]}
    end;
checked({error, {file, _}} = Error, _Option) -> Error;
checked({error, Posix}, Option) -> {error, {refused, [Option, ": ", file:format_error(Posix)]}}.
