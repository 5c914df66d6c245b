%% SPDX-License-Identifier: Apache-2.0
%% The commands of `bin/merlon` and of the mix tasks: finds the command, parses, prints. What a
%% command does is in its own module.
-module(merlon_cli).

-export([main/1, run/1, command/3, command/4]).
-export_type([result/0, outcome/0]).

%% What a command's run/1 gives; `unusable` is printed like `ok`, but exits with 1, and `unreadable`
%% like an error, but exits with 2; so does `incomplete`, which is printed like `ok`.
-type result() :: {ok | unusable | incomplete, iodata()} | {usage | unreadable, iodata()} |
                  {error, term()}.
%% Exit code (0 done, 1 refused, 2 wrong usage) and what belongs on which stream.
-type outcome() :: {0..2, Stdout :: binary(), Stderr :: binary()}.

-callback spec() -> merlon_cli_args:spec().
-callback run(merlon_cli_args:options()) -> result().
-callback run(merlon_cli_args:options(), More :: map()) -> result().
-optional_callbacks([run/2]).

%% Runs the command and ends the VM with its exit code.
-spec main([string()]) -> no_return().
main(Args) ->
    _ = [io:setopts(Device, [{encoding, unicode}]) || Device <- [standard_io, standard_error]],
    {Code, Out, Error} = readable(Args),
    io:put_chars(standard_io, Out),
    io:put_chars(standard_error, Error),
    erlang:halt(Code).

%% Bytes that are no UTF-8 are no list of characters (+fnu).
readable(Args) ->
    case lists:all(fun erlang:is_list/1, Args) of
        true -> run(Args);
        false -> wrong("an argument is not UTF-8: if it is a path, name the folder that it is in", "merlon")
    end.

-spec run([string()]) -> outcome().
run([]) -> {2, <<>>, usage()};
run([Word | _]) when Word =:= "--help"; Word =:= "-h"; Word =:= "help" -> {0, usage(), <<>>};
run(["--version" | _]) -> {0, iolist_to_binary(["merlon ", version(), $\n]), <<>>};
run([Name | Args]) ->
    case lists:keymember(Name, 1, commands()) of
        true -> command(Name, Args, "merlon " ++ Name);
        false -> wrong(["unknown command ", Name, meant(Name)], "merlon")
    end.

%% Runs one command under the name by which its user called it.
-spec command(Name :: string(), [string()], Program :: string()) -> outcome().
command(Name, Args, Program) -> command(Name, Args, Program, #{}).

%% With what Elixir has and Erlang has not, for commands whose run/2 takes it.
-spec command(Name :: string(), [string()], Program :: string(), More :: map()) -> outcome().
command(Name, Args, Program, More) ->
    {Name, Module} = lists:keyfind(Name, 1, commands()),
    case merlon_cli_args:parse(Module:spec(), Args) of
        {ok, Options} -> outcome(loaded(Module, Options, More), Program);
        help -> {0, bytes(merlon_cli_args:help(Module:spec(), Program)), <<>>};
        {error, Text} -> wrong(Text, Program)
    end.

commands() ->
    [{"init", merlon_cli_init}, {"cert", merlon_cli_cert}, {"inspect", merlon_cli_inspect},
     {"renew", merlon_cli_renew}, {"revoke", merlon_cli_revoke}, {"revoked", merlon_cli_revoked}, {"csr", merlon_cli_csr},
     {"cookie", merlon_cli_cookie}, {"keyring", merlon_cli_keyring},
     {"token", merlon_cli_token}, {"enroll", merlon_cli_enroll}, {"join", merlon_cli_join},
     {"rotate", merlon_cli_rotate}, {"audit", merlon_cli_audit}, {"doctor", merlon_cli_doctor},
     {"explain", merlon_cli_explain}, {"shell", merlon_cli_shell}].

%% The doctor says what is wrong with the native library.
loaded(merlon_cli_doctor, Options, _More) -> merlon_cli_doctor:run(Options);
loaded(Module, Options, More) ->
    case merlon_nif:load() of
        ok when map_size(More) =:= 0 -> Module:run(Options);
        ok -> Module:run(Options, More);
        {error, _} = Error -> Error
    end.

outcome({ok, Text}, _Program) -> {0, bytes(Text), <<>>};
outcome({unusable, Text}, _Program) -> {1, bytes(Text), <<>>};
outcome({incomplete, Text}, _Program) -> {2, bytes(Text), <<>>};
outcome({unreadable, Text}, Program) -> {2, <<>>, bytes([Program, ": ", Text, $\n])};
outcome({usage, Text}, Program) -> wrong(Text, Program);
outcome({error, {refused, Text}}, Program) -> {1, <<>>, bytes([Program, ": ", Text, $\n])};
outcome({error, Reason}, Program) ->
    {1, <<>>, bytes([Program, ": ", merlon_identity:format_error(Reason), $\n])}.

wrong(Text, Program) ->
    {2, <<>>, bytes([Program, ": ", Text, "\nTry `", Program, " --help`.\n"])}.

meant(Name) ->
    case merlon_text:nearest(Name, [Known || {Known, _} <- commands()]) of
        {ok, Near} -> [": is it ", Near, " that you mean?"];
        none -> ""
    end.

usage() ->
    Rows = [[io_lib:format("  ~-9s", [Name]), maps:get(summary, Module:spec()), $\n]
            || {Name, Module} <- commands()],
    bytes(["Usage: merlon COMMAND [options]\n\n"
           "Certificates for nodes whose distribution runs over merlon.\n\n", Rows,
           "\n`merlon COMMAND --help` says more; `merlon --version` says the version.\n"]).

version() ->
    _ = application:load(merlon),
    case application:get_key(merlon, vsn) of
        {ok, Version} -> Version;
        undefined -> "unknown"
    end.

%% Arguments are strings of characters, paths are bytes.
bytes(Text) -> unicode:characters_to_binary(Text).
