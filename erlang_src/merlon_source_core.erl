%% SPDX-License-Identifier: Apache-2.0
%% Who may try again, and when: for each source of connections a token bucket, and after failures a pause
%% that doubles. A proof forgives everything. Bounded: two generations of at most ?HALF sources each; when the
%% younger is full it becomes the older and the older is forgotten. Pure: the clock comes in as milliseconds.
-module(merlon_source_core).

-export([new/0, source/1, admit/4, proven/2, failed/4, blames/1, size/1]).
-export_type([source/0, sources/0]).

%% Who may well be one and the same peer: an IPv4 address, an IPv6 /64.
-type source() :: inet:ip4_address() | {0..65535, 0..65535, 0..65535, 0..65535, net}.
%% When the bucket will be full again; failures in a row; when the next try is welcome.
-type entry() :: {Full :: integer(), Failures :: non_neg_integer(), Welcome :: integer()}.
-opaque sources() :: {Young :: #{source() => entry()}, Old :: #{source() => entry()}}.
-type limits() :: #{source_burst := pos_integer(), source_rate := pos_integer(),
                    source_backoff := non_neg_integer(), _ => _}.

-define(HALF, 2048).
%% Failures in a row that cost nothing: people mistype.
-define(FREE, 3).
%% Milliseconds of the first pause.
-define(FIRST, 100).
%% Milliseconds after a pause until its failures are forgotten.
-define(FORGET, 60000).

-spec new() -> sources().
new() -> {#{}, #{}}.

-spec source(inet:ip_address()) -> source().
source(Ip) ->
    case merlon_cidr:plain(Ip) of
        {A, B, C, D, _, _, _, _} -> {A, B, C, D, net};
        V4 -> V4
    end.

%% Whether a connection from Source may be served now; if so it takes a token.
-spec admit(source(), Now :: integer(), limits(), sources()) -> {ok | throttled | backing_off, sources()}.
admit(Source, Now, #{source_burst := Burst, source_rate := Rate}, Sources) ->
    {Full, Failures, Welcome} = Entry = entry(Source, Now, Sources),
    Token = max(1, 1000 div Rate),
    if
        Now < Welcome -> {backing_off, store(Source, Entry, Sources)};
        Full - Now > (Burst - 1) * Token -> {throttled, store(Source, Entry, Sources)};
        true -> {ok, store(Source, {max(Full, Now) + Token, Failures, Welcome}, Sources)}
    end.

-spec proven(source(), sources()) -> sources().
proven(Source, {Young, Old}) ->
    {maps:remove(Source, Young), maps:remove(Source, Old)}.

%% A handshake with Source came to nothing, and that was its own doing.
-spec failed(source(), Now :: integer(), limits(), sources()) -> sources().
failed(Source, Now, #{source_backoff := Most}, Sources) ->
    {Full, Before, Welcome} = entry(Source, Now, Sources),
    Failures = case Now - Welcome > ?FORGET of
                   true -> 1;
                   false -> Before + 1
               end,
    store(Source, {Full, Failures, max(Welcome, Now + pause(Failures, Most))}, Sources).

pause(Failures, _Most) when Failures =< ?FREE -> 0;
pause(Failures, Most) -> min(Most, ?FIRST bsl min(Failures - ?FREE - 1, 20)).

%% Whether that failure is held against its source. Hanging up is not, with or without an alert: health checks
%% do, one of two nodes that dial each other at once does, and whoever does not take this node's certificate.
%% Nor is what is this node's own doing.
-spec blames(#{reason := atom(), _ => _}) -> boolean().
blames(#{reason := Reason}) ->
    not lists:member(Reason, [peer_closed, peer_alert, closed, truncated, econnreset, epipe, evicted, shutdown,
                              internal, no_keys, no_cookie, local_tls, no_suite, own_preamble]).

%% How many sources are remembered.
-spec size(sources()) -> non_neg_integer().
size({Young, Old}) -> map_size(Young) + map_size(Old).

entry(Source, Now, {Young, Old}) ->
    case {Young, Old} of
        {#{Source := Entry}, _} -> Entry;
        {_, #{Source := Entry}} -> Entry;
        _ -> {Now, 0, Now}
    end.

store(Source, Entry, {Young, _}) when map_size(Young) >= ?HALF, not is_map_key(Source, Young) ->
    {#{Source => Entry}, Young};
store(Source, Entry, {Young, Old}) ->
    {Young#{Source => Entry}, Old}.
