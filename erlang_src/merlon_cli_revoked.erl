%% SPDX-License-Identifier: Apache-2.0
%% `merlon revoked`: what the revocation lists of a merlon dir say.
-module(merlon_cli_revoked).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Lists the certificates that are revoked",
      argument => none,
      options => [{dir, {text, "DIR"}, "the merlon dir; by default this user's"}],
      details => "Reads DIR/crl.pem and DIR/crl/*.pem, *.crl."}.

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(Options) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} -> files(Dir, merlon_identity_files:crls(Dir));
        {error, _} = Error -> Error
    end.

files(Dir, {ok, []}) ->
    {ok, ["No revocation list is in ", merlon_dir:path([Dir]), ": nothing is revoked.\n"]};
files(Dir, {ok, Files}) ->
    Names = names(Dir),
    read_out(Files, Names, []);
files(_Dir, {error, _} = Error) ->
    Error.

read_out([], _Names, Texts) ->
    {ok, lists:join("\n", lists:reverse(Texts))};
read_out([{File, Bytes} | Files], Names, Texts) ->
    case merlon_nif:pki_lists(Bytes) of
        {ok, Lists} -> read_out(Files, Names, [[File, $\n, [list(List, Names) || List <- Lists]] | Texts]);
        {error, {pki, Reason}} -> {error, {refused, [File, ": ", merlon_pki_text:words(Reason)]}}
    end.

list(#{issuer := Issuer, number := Number, this_update := Made, next_update := Due, revoked := Entries},
     Names) ->
    ["  ", printable(Issuer), [[", number ", integer_to_list(Number)] || Number =/= none],
     ", made ", merlon_text:date(Made), due(Due, erlang:system_time(second)), $\n,
     case Entries of
         [] -> "    nothing is revoked\n";
         _ -> [entry(Entry, Names) || Entry <- Entries]
     end].

due(none, _Now) -> "";
due(Due, Now) when Due < Now -> [", STALE: to be renewed by ", merlon_text:date(Due)];
due(Due, _Now) -> [", counts until ", merlon_text:date(Due)].

entry(#{serial := Serial, since := Since, reason := Reason}, Names) ->
    ["    ", Serial, "  ", merlon_text:date(Since), "  ", atom_to_binary(Reason),
     [["  ", Name] || {Known, Name} <- Names, Known =:= Serial], $\n].

%% The serial numbers of the certificates that are here, and whose they are.
names(Dir) ->
    [{Serial, Name} || Kind <- ["nodes", "cli"],
                       {ok, Names} <- [merlon_dir:list(merlon_dir:path([Dir, Kind]))],
                       Name <- Names,
                       {ok, Text} <- [merlon_dir:read(merlon_dir:path([Dir, Kind, Name, "cert.pem"]))],
                       {ok, [#{serial := Serial} | _]} <- [merlon_identity:inspect(Text)]].

%% A CA's name in a list that came from elsewhere.
printable(Name) -> re:replace(Name, "[\\x00-\\x1f\\x7f]", "?", [global]).
