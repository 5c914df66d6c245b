%% SPDX-License-Identifier: Apache-2.0
%% `merlon join`: makes this machine's node one of the cluster that the token is of.
-module(merlon_cli_join).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-import(merlon_cli_cert, [bytes/1]).

%% A token is shorter, with room for blanks around it.
-define(MAX, 16384).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Joins a cluster with a token that `merlon token` has made",
      argument => {required, "TOKEN|FILE|-"},
      options => [{dir, {text, "DIR"}, "where to; by default the merlon dir of this user"},
                  {name, {text, "NODE"}, "which of the token's names, when it has several or a pattern"},
                  {alg, {one_of, [p256, p384, ed25519]}, "the kind of key; default p256"}],
      details => "TOKEN stands in `ps` while this runs; in a FILE, or on standard input with -, it does not.\n"
                 "The key is made here and does not leave DIR. Nothing that exists is overwritten."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Argument} = Options) ->
    case token(Argument) of
        {ok, Token} -> named(Token, Options);
        Problem -> Problem
    end.

token(Argument) ->
    case text(Argument) of
        {ok, Text} ->
            case merlon_token_core:decode(string:trim(Text)) of
                {ok, Token} -> {ok, Token};
                {error, Problem} -> {error, {refused, ["the token is ", merlon_token_core:words(Problem)]}}
            end;
        {error, Reason} -> {error, Reason}
    end.

text("-") -> standard_input();
text(Argument) ->
    Text = bytes(Argument),
    case re:run(Text, "^\\s*MRLN-", [caseless, {capture, none}]) of
        match -> {ok, Text}; % however it is written: what is taken for a file's name is said in the error
        nomatch -> file(Argument)
    end.

file(File) ->
    case merlon_dir:read(merlon_dir:path([File])) of
        {ok, Text} -> {ok, Text};
        {error, {file, {read, Path, enoent}}} ->
            {error, {refused, [Path, " is neither a token (they begin with MRLN-1-) nor a file"]}};
        {error, _} = Error -> Error
    end.

%% `bin/merlon` has no process that reads it (-noinput); mix has.
standard_input() ->
    case init:get_argument(noinput) of
        {ok, _} -> opened(file:open("/dev/stdin", [read, raw, binary]));
        error -> line(io:get_line(""))
    end.

opened({ok, File}) ->
    try {ok, all(File, <<>>)} after file:close(File) end;
opened({error, Posix}) ->
    {error, {refused, ["standard input can't be read: ", file:format_error(Posix)]}}.

all(File, Text) when byte_size(Text) < ?MAX ->
    case {binary:match(Text, <<"\n">>), file:read(File, 4096)} of
        {nomatch, {ok, More}} -> all(File, <<Text/binary, More/binary>>);
        _ -> Text
    end;
all(_File, Text) -> Text.

line(Text) when is_list(Text); is_binary(Text) -> {ok, unicode:characters_to_binary(Text)};
line(_) -> {error, {refused, "there is no token on standard input"}}.

named(Token, #{name := Name} = Options) -> join(Token, bytes(Name), Options);
named(#{names := Names} = Token, Options) ->
    case {Names, merlon_token_core:exact(Names)} of
        {[Name], [Name]} -> join(Token, Name, Options);
        _ -> {usage, ["the token is for ", lists:join(", ", Names), ": say which name it shall be with --name NODE"]}
    end.

join(#{kind := Kind} = Token, Name, Options) ->
    case {merlon_token_core:is_name(Name), merlon_cli_cert:dir(Options)} of
        {true, {ok, Dir}} ->
            joined(merlon_join_client:join(Token, Name, Dir, maps:get(alg, Options, p256)), Kind, Name, Dir);
        {false, _} -> {usage, [Name, " is not a name: give NAME@HOST"]};
        {true, {error, _} = Error} -> Error
    end.

joined({ok, #{cluster := Cluster, not_after := End, wrote := Wrote, kept := Kept} = Joined}, Kind, Name, Dir) ->
    [Before, Host] = [unicode:characters_to_list(Part) || Part <- binary:split(Name, <<"@">>)],
    {ok, ["Joined cluster ", Cluster, " as ", Name, " by ", server(Joined), "; the certificate is valid until ",
          merlon_text:date(End), ". Wrote:\n\n", [["  ", File, $\n] || File <- Wrote],
          [["\nWere there and are as before:\n\n", [["  ", File, how(How), $\n] || {File, How} <- Kept]] || Kept =/= []],
          $\n, merlon_cli_cert:next({Kind, Before, Host}, merlon_dir:path([Dir]))]};
joined({error, _} = Error, _Kind, _Name, _Dir) -> Error.

server(#{server := {node, _, Name, Host}}) -> [Name, $@, Host].

how(same) -> "";
how(differs) -> " (the cluster's is another)".
