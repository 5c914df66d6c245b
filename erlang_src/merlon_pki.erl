%% SPDX-License-Identifier: Apache-2.0
%% Certificates for applications: the same issuing, judging and reading that the nodes' own links
%% use (native/pki; X.509 of RFC 5280, names of SPIFFE's X509-SVID, requests of RFC 2986).
%%
%% Certificates and requests are PEM. A private key is given back as a fun, so that it is in no log
%% or crash report by accident: `Key()` is its PEM. Times are seconds since 1970. Nothing waits; key
%% generation and signatures run on dirty schedulers. Wrong types raise badarg.
-module(merlon_pki).

-export([new_ca/1, issue/2, verify/2, inspect/1, csr/1, csr_identity/1, sign_csr/2]).
-export([format_error/1]).
-export_type([ca/0, key/0, subject/0, identity/0, usage/0, alg/0, info/0, peer/0, reason/0]).

-type alg() :: p256 | p384 | ed25519.
-type key() :: fun(() -> Pem :: binary()).
%% A CA: its certificate, and its key (PEM, or a fun that gives it).
-type ca() :: #{cert := iodata(), key := key() | iodata()}.
%% For whom: a node by its full name, or the tools of a user on a host.
-type subject() :: node() | {node, Name :: unicode:chardata(), Host :: unicode:chardata()} |
                   {cli, User :: unicode:chardata(), Host :: unicode:chardata()}.
-type identity() :: {node, Cluster :: binary(), Name :: binary(), Host :: binary()} |
                    {cli, Cluster :: binary(), User :: binary(), Host :: binary()}.
%% The role in TLS in which the certificate is shown: `server` is who was dialled.
-type usage() :: server | client.
%% What a certificate says, verified by nobody. `sha256` and `serial` are lower-case hex; `identity`
%% is `none` unless its only URI is one of merlon's.
-type info() :: #{subject := binary(), issuer := binary(), serial := binary(),
                  not_before := integer(), not_after := integer(), uris := [binary()],
                  dns := [binary()], ips := [binary()], is_ca := boolean(),
                  path_len := none | non_neg_integer(), eku := [binary()], key_usage := [binary()],
                  key_alg := binary(), sig_alg := binary(), sha256 := binary(),
                  identity := identity() | none}.
-type peer() :: #{identity := identity(), not_after := integer(), serial := binary(),
                  sha256 := binary()}.
-type reason() :: {pki, merlon_nif:pki_reason()} | {nif, string()}.

%% A certificate authority for one cluster: self-signed, path length 0, for leaves and revocation
%% lists only. `days` (default 3650) count from `now`.
%% Errors: bad_cluster, bad_lifetime, crypto.
-spec new_ca(#{cluster := unicode:chardata(), alg => alg(), days => pos_integer(),
               now => integer()}) -> {ok, #{cert := binary(), key := key()}} | {error, reason()}.
new_ca(Request) ->
    call(fun() ->
             #{cluster := Cluster} = Request,
             merlon_nif:pki_new_ca(#{cluster => text(Cluster), alg => alg(Request), now => now(Request),
                                     days => maps:get(days, Request, 3650)})
         end).

%% Makes a key and a certificate for it. `ips` stand beside the host's name; `days` (default 90) end
%% with the CA's own validity. The CA's certificate must carry its cluster as SPIFFE URI.
%% Errors: not_ca, key_mismatch, no_identity, bad_node_name, bad_identity, wrong_cluster,
%% anchor_not_valid, bad_lifetime, too_many_names, malformed_pem, malformed_key.
-spec issue(ca(), #{subject := subject(), alg => alg(), ips => [inet:ip_address() | binary()],
                    days => pos_integer(), now => integer()}) ->
          {ok, #{cert := binary(), key := key()}} | {error, reason()}.
issue(Ca, Request) ->
    call(fun() ->
             merlon_nif:pki_issue(maps:merge(ca(Ca), (granted(Request))#{alg => alg(Request)}))
         end).

%% Judges a chain (the leaf first, then its CAs) exactly as a link's handshake does: path, validity
%% at `now`, usage, revocation, and that it has an identity of the cluster. `trust` and `crls` are
%% PEM texts, each with any number of entries; a certificate whose CA has no list is not revoked, and
%% a list that is out of date refuses all of its CA's.
%% Errors: any of `Error` in native/pki/src/error.rs, for example unknown_issuer, {expired, #{}},
%% {revoked, #{}}, wrong_usage, {wrong_cluster, #{}}, no_anchors.
-spec verify(Chain :: iodata(), #{trust := [iodata()], cluster := unicode:chardata(),
                                  usage := usage(), crls => [iodata()], now => integer()}) ->
          {ok, peer()} | {error, reason()}.
verify(Chain, Options) ->
    call(fun() ->
             #{trust := Trust, cluster := Cluster, usage := Usage} = Options,
             merlon_nif:pki_verify(#{cert => text(Chain), trust => [text(T) || T <- Trust],
                                     crls => [text(C) || C <- maps:get(crls, Options, [])],
                                     cluster => text(Cluster), usage => Usage, now => now(Options)})
         end).

%% What each certificate of a PEM text says, in their order.
%% Errors: no_certificate, malformed_pem, malformed_certificate.
-spec inspect(Pem :: iodata()) -> {ok, [info(), ...]} | {error, reason()}.
inspect(Pem) ->
    call(fun() -> merlon_nif:pki_inspect(text(Pem)) end).

%% Makes a key and a signing request for it. Errors: bad_cluster, bad_node_name, too_many_names.
-spec csr(#{cluster := unicode:chardata(), subject := subject(), alg => alg(),
            ips => [inet:ip_address() | binary()]}) ->
          {ok, #{csr := binary(), key := key()}} | {error, reason()}.
csr(Request) ->
    call(fun() ->
             #{cluster := Cluster, subject := Subject} = Request,
             merlon_nif:pki_new_csr(#{cluster => text(Cluster), identity => subject(Subject),
                                      alg => alg(Request), ips => ips(Request)})
         end).

%% Whom a request asks to be. Its signature is checked, so its sender has the key; that he may be
%% who he asks to be is for the caller to know.
%% Errors: csr_too_large (more than 8 KiB), malformed_csr, malformed_pem, csr_signature,
%% {csr_extension, #{oid}}, weak_key, unsupported_algorithm, no_identity, many_identities, bad_identity.
-spec csr_identity(Csr :: iodata()) -> {ok, identity()} | {error, reason()}.
csr_identity(Csr) ->
    call(fun() -> merlon_nif:pki_csr_identity(text(Csr)) end).

%% Issues a certificate for a request's key. Names, addresses and lifetime are those given here,
%% nothing is taken from the request; one that asks for anything beyond them is refused.
%% Errors: as csr_identity/1 and issue/2, csr_name.
-spec sign_csr(ca(), #{csr := iodata(), subject := subject(),
                       ips => [inet:ip_address() | binary()], days => pos_integer(),
                       now => integer()}) -> {ok, Cert :: binary()} | {error, reason()}.
sign_csr(Ca, Request) ->
    call(fun() ->
             #{csr := Csr} = Request,
             merlon_nif:pki_sign_csr(maps:merge(ca(Ca), (granted(Request))#{csr => text(Csr)}))
         end).

%% One sentence with what is wrong.
-spec format_error(reason()) -> iodata().
format_error({pki, Reason}) -> merlon_pki_text:words(Reason);
format_error({nif, _} = Reason) -> merlon_identity:format_error(Reason).

%% ---- helpers ----

%% A stacktrace would hold a key, so a badarg is raised here, without the arguments; none of the
%% functions above matches its own.
call(Call) ->
    case merlon_nif:load() of
        ok ->
            try Call() of
                {ok, #{key := Key} = Made} -> {ok, Made#{key := fun() -> Key end}};
                Result -> Result
            catch
                error:_ -> erlang:error(badarg, none)
            end;
        {error, _} = Error -> Error
    end.

ca(#{cert := Cert, key := Key}) when is_function(Key, 0) -> ca(#{cert => Cert, key => Key()});
ca(#{cert := Cert, key := Key}) -> #{ca_cert => text(Cert), ca_key => text(Key)}.

granted(#{subject := Subject} = Request) ->
    #{identity => subject(Subject), ips => ips(Request), now => now(Request),
      days => maps:get(days, Request, 90)}.

subject({Kind, Name, Host}) when Kind =:= node; Kind =:= cli -> {Kind, text(Name), text(Host)};
subject(Node) when is_atom(Node) ->
    case binary:split(atom_to_binary(Node), <<"@">>) of
        [Name, Host] -> {node, Name, Host};
        [Name] -> {node, Name, <<>>}
    end.

ips(Request) ->
    [case Ip of
         Text when is_binary(Text) -> Text;
         Tuple -> list_to_binary(inet:ntoa(Tuple))
     end || Ip <- maps:get(ips, Request, [])].

alg(Request) -> maps:get(alg, Request, p256).

now(Request) -> maps:get(now, Request, erlang:system_time(second)).

text(Text) ->
    <<_/binary>> = unicode:characters_to_binary(Text).
