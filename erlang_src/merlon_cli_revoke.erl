%% SPDX-License-Identifier: Apache-2.0
%% `merlon revoke`: puts a certificate onto the revocation list of the merlon dir's CA.
-module(merlon_cli_revoke).
-behaviour(merlon_cli).

-export([spec/0, run/1]).

%% No node refuses links because nobody wrote a list that has nothing new: the CA's own life.
-define(DAYS, 36500).

-spec spec() -> merlon_cli_args:spec().
spec() ->
    #{summary => "Revokes a certificate that this merlon dir's CA has issued",
      argument => {optional, "NODE|SERIAL"},
      options => [{dir, {text, "DIR"}, "the merlon dir with the CA; by default this user's"},
                  {reason, {one_of, reasons()}, "why; default unspecified"},
                  {days, days, "until when the list counts; default, and at most, the CA's life"},
                  {renew, flag, "write the list anew although it has nothing new"}],
      details => "NODE is NAME@HOST (USER@HOST for tools): all certificates that `merlon cert` has issued to\n"
                 "it here. Others are revoked by SERIAL, as `merlon inspect` says it.\n"
                 "The list is DIR/crl.pem. A node with this merlon dir takes it within 5 seconds, refuses those on\n"
                 "it, closes their links, and passes it on to all that it is linked to, now or later. Where no\n"
                 "node runs with this dir, copy it to one. What is revoked stays revoked."}.

reasons() ->
    [unspecified, key_compromise, affiliation_changed, superseded, cessation_of_operation,
     privilege_withdrawn].

-spec run(merlon_cli_args:options()) -> merlon_cli:result().
run(#{argument := Argument} = Options) ->
    case what(Argument) of
        {ok, What} -> in_dir(What, Options);
        {error, Text} -> {usage, Text}
    end;
run(#{renew := true} = Options) ->
    in_dir(none, Options);
run(_Options) ->
    {usage, "say what to revoke: NODE or SERIAL, or --renew for the list as it is"}.

%% A node by its name, anything else by its number.
what(Argument) ->
    case lists:member($@, Argument) of
        true -> folder_name(Argument);
        false -> serial(lists:flatten(string:replace(string:lowercase(Argument), ":", "", all)))
    end.

folder_name(Name) ->
    case lists:any(fun(Char) -> Char =:= $/ orelse Char < 32 end, Name) of
        true -> {error, [Name, " is not a node name: it has the form NAME@HOST, without /"]};
        false -> {ok, {name, unicode:characters_to_binary(Name)}}
    end.

serial(Text) ->
    case re:run(Text, "\\A0*([1-9a-f][0-9a-f]{0,39})\\z", [{capture, all_but_first, list}]) of
        {match, [Digits]} -> {ok, {serial, even(Digits)}};
        nomatch -> {error, [Text, " is neither NAME@HOST nor a serial number in hex"]}
    end.

%% As native/pki writes it: whole bytes.
even(Digits) when length(Digits) rem 2 =:= 1 -> list_to_binary([$0 | Digits]);
even(Digits) -> list_to_binary(Digits).

in_dir(What, Options) ->
    case merlon_cli_cert:dir(Options) of
        {ok, Dir} ->
            case merlon_cli_cert:ca(Dir) of
                {ok, _} ->
                    Path = merlon_dir:path([Dir]),
                    merlon_dir_write:locked(Path, fun(Work) ->
                        case roots(merlon_ca_files:rotation(Dir), merlon_cli_cert:ca(Dir)) of
                            {ok, Roots} -> one_of([revoke(What, Path, Work, Each, Options) || Each <- Roots]);
                            {error, _} = Error -> Error
                        end
                    end);
                {error, _} = Error -> Error
            end;
        {error, _} = Error -> Error
    end.

%% While the root is rotated, there are certificates of both: what is revoked of one only is not revoked.
roots({ok, #{old := Old, new := New}}, _Ca) ->
    {ok, [#{ca_cert => Cert, ca_key => Key} || #{cert := Cert, key := Key} <- [Old, New]]};
roots(none, {ok, Ca}) -> {ok, [Ca]};
roots(ending, {ok, _}) ->
    {error, {refused, "a rotation of the root has not ended: run `merlon rotate ca`, which ends it or says what is missing"}};
roots({error, _} = Error, _Ca) -> Error;
roots(_, {error, _} = Error) -> Error.

%% One of the two may know nothing of it.
one_of([Result]) -> Result;
one_of(Results) ->
    Done = [Text || {ok, Text} <- Results],
    case [Error || {error, {Class, _}} = Error <- Results, Class =/= refused orelse Done =:= []] of
        [Error | _] -> Error;
        [] -> {ok, Done}
    end.

revoke(What, Dir, Work, #{ca_cert := CaCert} = Ca, Options) ->
    File = merlon_dir:path([Dir, "crl.pem"]),
    case {ca_name(CaCert), known(Dir, File)} of
        {{ok, CaName}, {ok, Known}} ->
            case serials(What, Dir, CaName) of
                {ok, Serials} ->
                    Listed = [Entry || {_, _, Lists} <- Known, #{issuer := Issuer, revoked := Entries} <- Lists,
                                       Issuer =:= CaName, Entry <- Entries],
                    New = [Serial || Serial <- Serials, not is_listed(Serial, Listed)],
                    Text = iolist_to_binary([pem(Text) || {Of, Text, Lists} <- Known,
                                                          Of =:= File orelse has_of(CaName, Lists)]),
                    write(New, Serials, Listed, {File, Text, CaName}, Work, Ca, Options);
                {error, _} = Error -> Error
            end;
        {{error, _} = Error, _} -> Error;
        {_, {error, _} = Error} -> Error
    end.

ca_name(CaCert) ->
    case merlon_identity:inspect(CaCert) of
        {ok, [#{subject := Subject} | _]} -> {ok, Subject};
        {ok, []} -> {error, {pki, no_certificate}};
        {error, _} = Error -> Error
    end.

%% crl.pem and what is in crl/: of a CA's lists the newest counts, so that the next one must have what
%% any of them revokes.
known(Dir, File) ->
    case list(File) of
        {ok, Text, Lists} -> in_folder(merlon_identity_files:crls(Dir), [{File, Text, Lists}]);
        {error, _} = Error -> Error
    end.

in_folder({error, _} = Error, _Known) -> Error;
in_folder({ok, []}, Known) -> {ok, lists:reverse(Known)};
in_folder({ok, [{File, _} | Files]}, Known) when element(1, hd(Known)) =:= File ->
    in_folder({ok, Files}, Known);
in_folder({ok, [{File, Text} | Files]}, Known) ->
    case read_out(File, Text) of
        {ok, Text, Lists} -> in_folder({ok, Files}, [{File, Text, Lists} | Known]);
        {error, _} = Error -> Error
    end.

has_of(CaName, Lists) ->
    lists:any(fun(#{issuer := Issuer}) -> Issuer =:= CaName end, Lists).

pem(<<16#30, _/binary>> = Der) ->
    ["-----BEGIN X509 CRL-----\n", base64:encode(Der), "\n-----END X509 CRL-----\n"];
pem(<<>>) -> <<>>;
pem(Text) -> [Text, $\n].

list(File) ->
    case merlon_dir:exists(File) of
        false -> {ok, <<>>, []};
        true ->
            case merlon_dir:read(File) of
                {ok, Text} -> read_out(File, Text);
                {error, _} = Error -> Error
            end
    end.

read_out(File, Text) ->
    case merlon_nif:pki_lists(Text) of
        {ok, Lists} -> {ok, Text, Lists};
        {error, {pki, Reason}} ->
            {error, {refused, [File, ": ", merlon_pki_text:words(Reason), ": mend it or move it away"]}}
    end.

serials(none, _Dir, _CaName) -> {ok, []};
serials({serial, Serial}, _Dir, _CaName) -> {ok, [Serial]};
serials({name, Name}, Dir, CaName) ->
    case merlon_issued:known(Dir, Name) of
        {ok, Entries} -> serials_of(Entries, Name, Dir, CaName);
        {error, _} = Error -> Error
    end.

%% A list revokes nothing of another CA's.
serials_of([], Name, Dir, _CaName) ->
    {error, {refused, ["there is no certificate of ", Name, " in ", Dir,
                       ": give its serial number (`merlon inspect FILE` says it)"]}};
serials_of(Entries, Name, Dir, CaName) ->
    Ours = [Entry || #{issuer := Issuer} = Entry <- Entries, Issuer =:= CaName],
    case lists:usort([Kind || #{kind := Kind} <- Ours]) of
        [] -> {error, {refused, ["no certificate of ", Name, " was issued by the CA in ", Dir,
                                 ": revoke it where its CA is"]}};
        [_] -> {ok, lists:usort([Serial || #{serial := Serial} <- Ours])};
        [_, _] -> {error, {refused, [Name, " is a node and a tool in ", Dir, ": give a serial number"]}}
    end.

is_listed(Serial, Entries) ->
    lists:any(fun(#{serial := Known}) -> Known =:= Serial end, Entries).

write([], Serials, Listed, _List, _Work, _Ca, Options) when not is_map_key(renew, Options) ->
    {ok, [["Serial ", Serial, " is revoked already, since ", merlon_text:date(Since), $\n]
          || Serial <- Serials, #{serial := Known, since := Since} <- Listed, Known =:= Serial]};
write(New, _Serials, _Listed, {File, Text, CaName}, Work, Ca, Options) ->
    Args = #{crl => Text, serials => New, reason => maps:get(reason, Options, unspecified),
             days => maps:get(days, Options, ?DAYS), now => erlang:system_time(second)},
    case merlon_nif:pki_revoke(maps:merge(Ca, Args)) of
        {ok, Pem} ->
            case merlon_dir_write:put_file(File, Work, Pem, 8#644) of
                ok -> {ok, report(New, File, Pem, CaName)};
                {error, _} = Error -> Error
            end;
        {error, {pki, Reason}} ->
            {error, {refused, ["the list can't be written: ", merlon_pki_text:words(Reason)]}}
    end.

report(New, File, Pem, CaName) ->
    {ok, Lists} = merlon_nif:pki_lists(Pem),
    [#{number := Number, next_update := Due, revoked := Entries}] =
        [List || #{issuer := Issuer} = List <- Lists, Issuer =:= CaName],
    [[["Revoked serial ", Serial, ".\n"] || Serial <- New],
     "Revocation list ", integer_to_list(Number), " has ", integer_to_list(length(Entries)),
     " of them and counts until ", merlon_text:date(Due), ":\n\n  ", File, "\n\n",
     "Nodes with this merlon dir take it within 5 seconds and pass it on; if none runs, copy it to one.\n"].
