%% SPDX-License-Identifier: Apache-2.0
%% The public API.
-module(merlon).

-export([connections/0, reload/0, renew/0, format_error/1]).
-export([stats/0, metrics/0, is_encrypted/1, explain/1]).
-export_type([connection/0]).

-type connection() ::
        #{node := node(),
          carrier := merlon_interop:carrier(),   % without TLS (plain) there is none of what is marked *
          direction := dial | accept,
          peer := {inet:ip_address(), inet:port_number()} | undefined,
          local := {inet:ip_address(), inet:port_number()} | undefined,
          identity => tuple(),           % * {node, Cluster, Name, Host} | {cli, Cluster, User, Host} | {hosts, Hosts}: any of theirs
          fingerprint => binary(),       % * SHA-256 of the peer's certificate, hex
          not_after => integer(),        % * seconds since 1970
          tls_version => binary(), cipher_suite => binary(), key_exchange_group => binary(),   % *
          frames_in := non_neg_integer(), frames_out := non_neg_integer(),
          bytes_in := non_neg_integer(), bytes_out := non_neg_integer(),
          records_in := non_neg_integer(), records_out := non_neg_integer(),
          key_updates_in := non_neg_integer(), key_updates_out := non_neg_integer(),
          controls_in := non_neg_integer(), controls_unknown := non_neg_integer(),
          unsent := non_neg_integer(),   % bytes that wait for the peer to read them
          buffers := non_neg_integer(),  % bytes of native memory for those, and for a record that has come in part
          since := integer()}.           % seconds since 1970

%% Every link of this node's carrier: who is at the other end, how that was proven,
%% how it is encrypted, what went through. Frames and bytes are those of the distribution, big messages on lanes
%% counted by their fragments on the way out and whole on the way in: the two ends differ.
-spec connections() -> [connection()].
connections() ->
    [connection(Conn, Info) || {_Pid, Conn, Info} <- merlon_registry:links()].

connection(Conn, Info) ->
    Known = maps:with([node, carrier, direction, since], Info),
    maps:merge(maps:merge(merlon_nif:link_info(Conn), merlon_nif:stats(Conn)),
               Known#{peer => address(merlon_nif:peername(Conn)), local => address(merlon_nif:sockname(Conn))}).

address({ok, Address}) -> Address;
address({error, _}) -> undefined.

%% What this node's carrier has counted since the node started: handshakes by side and outcome, failed ones by
%% the phase they reached; why they failed (a fixed set of words); events; incoming handshakes under way and
%% those that gave way; links, and what went over all of them so far, counted as in connections/0. Totals
%% never go back while the node runs. All zero without the carrier.
-spec stats() -> merlon_stats:stats().
stats() -> merlon_stats:read().

%% The same, and how long certificates last, for Prometheus (text format 0.0.4): give it to whoever asks
%% for GET /metrics, as text/plain; version=0.0.4.
-spec metrics() -> iodata().
metrics() -> merlon_metrics:text().

%% Whether there is a link to Node and it runs over merlon: TLS 1.3, mutual, bound to the name. `false` for
%% this node itself, to which there is no link, and for links that `interop` lets do without.
-spec is_encrypted(node()) -> boolean().
is_encrypted(Node) ->
    lists:any(fun({_, _, #{node := At, carrier := Carrier}}) -> At =:= Node andalso Carrier =/= plain end,
              merlon_registry:links()).

%% Why there is a link to Node, or none: the steps of dialling it, taken up to where the two nodes would link,
%% and one sentence that says what is so or how to mend it. Makes no link and disturbs none; the peer logs
%% `probed`, or the refusal that a real attempt would be. Takes as long as a connection attempt, at most
%% `handshake_timeout` and what the name service takes.
-spec explain(node()) -> merlon_explain:explanation().
explain(Node) -> merlon_explain:explain(Node).

%% Looks at the files of the merlon dir at once; the node does it by itself every 2 seconds. Certificate
%% and key, trust, revocation lists and merlon.config are taken together or not at all: with an error
%% all stays as it was. Links whose peer would not be accepted any more have been told to close.
-spec reload() -> {ok, reloaded | unchanged} | {error, term()}.
reload() -> merlon_reload:reload().

%% Gets this node's next certificate from a node that holds the CA's key (itself, or one that it is
%% linked to), writes it and uses it; the node does it by itself at two thirds of the certificate's life.
%% `not_after` is in seconds since 1970, `issuer` the node that gave it.
-spec renew() -> {ok, #{sha256 := binary(), not_after := integer(), issuer := node()}} | {error, term()}.
renew() -> merlon_renew:renew().

%% One sentence about an error of any of merlon's functions, with the fix.
-spec format_error(term()) -> iodata().
format_error({audit, Reason}) -> merlon_audit:format_error(Reason);
format_error({files, Reason}) -> merlon_audit_files:format_error(Reason);
format_error({cookie, Reason}) -> merlon_cookie:format_error(Reason);
format_error({reprove, Reason}) -> merlon_reprove:format_error(Reason);
format_error({kdf, _} = Reason) -> merlon_kdf:format_error(Reason);
format_error({renew, Reason}) -> merlon_renew:format_error(Reason);
format_error({merlon, Reason}) -> merlon_node:format_error(Reason);
format_error({Class, _} = Reason) when Class =:= term; Class =:= budget -> merlon_term:format_error(Reason);
format_error(Reason) -> merlon_node:format_error(Reason).
