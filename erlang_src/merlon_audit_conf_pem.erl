%% SPDX-License-Identifier: Apache-2.0
%% Certificates and private keys in files: dates, names, and who may read a key.
-module(merlon_audit_conf_pem).

-export([items/3]).

-define(DAY, 86400).
-define(SOON, 30).
%% More certificates than this are a bundle of others' roots, of which some are always past their time.
-define(BUNDLE, 10).

-spec items(merlon_audit_files:file(), binary(), Now :: integer()) ->
          {ok, [merlon_audit_conf_words:item()]} | {error, merlon_audit_fault:fault()} | none.
items(File, Text, Now) ->
    case {starts(Text, "CERTIFICATE"), key(Text)} of
        {[], none} -> none;
        {[], Line} -> {ok, key(Line, File)};
        {Lines, _} when length(Lines) > ?BUNDLE -> none;
        {Lines, Line} ->
            case merlon_pki:inspect(Text) of
                {ok, Infos} when length(Infos) =:= length(Lines) ->
                    {ok, lists:append([certificate(L, Info, Now) || {L, Info} <- lists:zip(Lines, Infos)]) ++ key(Line, File)};
                _ -> {error, {syntax, hd(Lines), "a certificate in it can't be read: issue it anew"}}
            end
    end.

%% The lines on which a block of this kind begins.
starts(Text, Kind) ->
    [N || {N, <<"-----BEGIN ", Rest/binary>>} <- merlon_audit_conf_shell:raw(Text),
          string:trim(Rest) =:= iolist_to_binary([Kind, "-----"])].

%% One that is encrypted says nothing to who reads it.
key(Text) ->
    Encrypted = binary:match(Text, <<"Proc-Type: 4,ENCRYPTED">>) =/= nomatch,
    case [Line || Kind <- ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"], Line <- starts(Text, Kind)] of
        [Line | _] when not Encrypted -> Line;
        _ -> none
    end.

key(Line, #{mode := Mode}) when is_integer(Line), Mode band 8#077 =/= 0 ->
    [{found, Line, key_mode, iolist_to_binary(io_lib:format("mode ~4.8.0b", [Mode band 8#777]))}];
key(_, _) -> [].

certificate(Line, #{not_after := End} = Info, Now) ->
    [{cert, Line, Info}] ++
        if
            End < Now -> [{found, Line, cert_expired, said("it ran out on ", End)}];
            End < Now + ?SOON * ?DAY -> [{found, Line, cert_expiring, said("it runs out on ", End)}];
            true -> []
        end ++ [{found, Line, cert_cn_only, <<"no name of a host, address or URI in it">>} || is_nameless(Info)].

said(Words, Time) -> iolist_to_binary([Words, binary:part(iolist_to_binary(merlon_text:date(Time)), 0, 10)]).

is_nameless(#{is_ca := false, dns := [], ips := [], uris := []}) -> true;
is_nameless(_) -> false.
