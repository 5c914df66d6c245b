%% SPDX-License-Identifier: Apache-2.0
%% The messages of a join, inside TLS (native/tls/src/join.rs). Pure.
%%
%%   client                                server
%%     hello: token id, proof       ->
%%                                  <-     proof
%%     request: name, CSR           ->
%%                                  <-     grant: certificate, trust, revocation lists, keyring, statements about roots
%%
%% Both proofs are HMACs over the TLS exporter under the token's key. In place of its answer the server may send a
%% refusal, one byte that says why, and then nothing more.
-module(merlon_join_core).

-export([hello/2, proof/1, request/2, grant/1, refusal/1, read/2, words/1]).
-export_type([refusal/0, part/0]).

-type refusal() :: unknown_token | used | expired | revoked | not_covered | name_taken | bad_request | internal.
%% Texts of PEM; the keyring is its file; what was said of trusted roots (merlon_roots_files).
-type part() :: {cert | trust | crl | keyring | rotation, binary()}.

-define(HELLO, 1).
-define(PROOF, 2).
-define(REQUEST, 3).
-define(GRANT, 4).
-define(REFUSAL, 0).

-define(MAX_NAME, 255).
-define(MAX_CSR, 8192).
-define(MAX_PARTS, 256).

-spec hello(<<_:64>>, <<_:256>>) -> binary().
hello(<<Id:8/binary>>, <<Tag:32/binary>>) -> <<?HELLO, Id/binary, Tag/binary>>.

-spec proof(<<_:256>>) -> binary().
proof(<<Tag:32/binary>>) -> <<?PROOF, Tag/binary>>.

-spec request(Name :: binary(), Csr :: binary()) -> binary().
request(Name, Csr) when byte_size(Name) =< ?MAX_NAME -> <<?REQUEST, (byte_size(Name)), Name/binary, Csr/binary>>.

-spec grant([part()]) -> binary().
grant(Parts) ->
    << <<?GRANT>>/binary, << <<(part_byte(Kind)), (byte_size(Text)):32, Text/binary>> || {Kind, Text} <- Parts >>/binary >>.

-spec refusal(refusal()) -> binary().
refusal(Why) -> <<?REFUSAL, (refusal_byte(Why))>>.

%% What a message says, if it is of the kind that is due.
-spec read(hello, binary()) -> {ok, {Id :: <<_:64>>, Tag :: <<_:256>>}} | {error, malformed};
          (request, binary()) -> {ok, {Name :: binary(), Csr :: binary()}} | {error, malformed};
          (proof, binary()) -> {ok, Tag :: <<_:256>>} | {refused, refusal()} | {error, malformed};
          (grant, binary()) -> {ok, [part()]} | {refused, refusal()} | {error, malformed}.
read(hello, <<?HELLO, Id:8/binary, Tag:32/binary>>) -> {ok, {Id, Tag}};
read(request, <<?REQUEST, Len, Name:Len/binary, Csr/binary>>) when byte_size(Csr) =< ?MAX_CSR ->
    case merlon_token_core:is_name(Name) andalso is_list(unicode:characters_to_list(Csr)) of
        true -> {ok, {Name, Csr}};
        false -> {error, malformed}
    end;
read(proof, <<?PROOF, Tag:32/binary>>) -> {ok, Tag};
read(grant, <<?GRANT, Parts/binary>>) -> parts(Parts, []);
read(Due, <<?REFUSAL, Byte>>) when Due =:= proof; Due =:= grant -> refused(Byte);
read(_, _) -> {error, malformed}.

parts(<<>>, Parts) -> {ok, lists:reverse(Parts)};
parts(<<Byte, Len:32, Text:Len/binary, Rest/binary>>, Parts) when length(Parts) < ?MAX_PARTS ->
    case lists:keyfind(Byte, 2, part_bytes()) of
        {Kind, Byte} -> parts(Rest, [{Kind, Text} | Parts]);
        false -> {error, malformed}
    end;
parts(_, _) -> {error, malformed}.

part_bytes() -> [{cert, 1}, {trust, 2}, {crl, 3}, {keyring, 4}, {rotation, 5}].

part_byte(Kind) -> proplists:get_value(Kind, part_bytes()).

refusal_bytes() ->
    [{unknown_token, 1}, {used, 2}, {expired, 3}, {revoked, 4}, {not_covered, 5}, {name_taken, 6},
     {bad_request, 7}, {internal, 8}].

refusal_byte(Why) -> proplists:get_value(Why, refusal_bytes()).

refused(Byte) ->
    case lists:keyfind(Byte, 2, refusal_bytes()) of
        {Why, Byte} -> {refused, Why};
        false -> {error, malformed}
    end.

%% For who joins.
-spec words(refusal()) -> iodata().
words(unknown_token) -> "the token is not known there: it was made for another cluster, or long ago; make another with `merlon token`";
words(used) -> "the token was used before. If that was not you, somebody has joined with it: see `merlon token --list` there, "
               "and `merlon revoke` that name";
words(expired) -> "the token has expired: make another with `merlon token`";
words(revoked) -> "the token was revoked: make another with `merlon token`";
words(not_covered) -> "the token is not for that name";
words(name_taken) -> "that name has a certificate already, and a token with a pattern gives none a second time: "
                     "make a token for exactly that name";
words(bad_request) -> "the server takes no such request";
words(internal) -> "the server can't sign now: its log says why".
