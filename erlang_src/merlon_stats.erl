%% SPDX-License-Identifier: Apache-2.0
%% What the carrier counts. One array of counters whose places are fixed when the node starts: nothing a
%% peer does makes it grow, and whoever counts waits for nobody.
-module(merlon_stats).

-export([start/0, read/0]).
-export([event/1, refused/3, up/1, evicted/0, pending/2, ended/2]).
-export([reasons/0, events/0, phases/0]).
-export_type([stats/0]).

-type side() :: accept | dial.
-type phase() :: resolve | tcp | tls | preamble | dist.
-type stats() ::
        #{handshakes := #{side() => #{up := non_neg_integer(), failed := #{phase() => non_neg_integer()}}},
          refusals := #{atom() => non_neg_integer()}, events := #{atom() => non_neg_integer()},
          pending := non_neg_integer(), evicted := non_neg_integer(), links := non_neg_integer(),
          frames_in := non_neg_integer(), frames_out := non_neg_integer(),
          bytes_in := non_neg_integer(), bytes_out := non_neg_integer(),
          records_in := non_neg_integer(), records_out := non_neg_integer(),
          key_updates_in := non_neg_integer(), key_updates_out := non_neg_integer()}.

-define(KEY, {?MODULE, counters}).
-define(FLOW, [frames_in, frames_out, bytes_in, bytes_out, records_in, records_out,
               key_updates_in, key_updates_out]).
%% How often totals are read again because a link ended meanwhile.
-define(TRIES, 100).

%% Called by merlon_registry, before the node listens or dials. Counts outlive a restart of the distribution.
-spec start() -> ok.
start() ->
    case persistent_term:get(?KEY, none) of
        none ->
            Names = names(),
            Places = maps:from_list(lists:zip(Names, lists:seq(1, length(Names)))),
            persistent_term:put(?KEY, {counters:new(length(Names), [atomics]), Places});
        _ -> ok
    end.

names() ->
    [changes, evicted, {pending, inet}, {pending, inet6} | ?FLOW] ++
        [{up, Side} || Side <- [accept, dial]] ++
        [{failed, Side, Phase} || Side <- [accept, dial], Phase <- phases()] ++
        [{reason, Reason} || Reason <- reasons()] ++
        [{event, Event} || Event <- events()].

%% ---- counting ----

-spec event(atom()) -> ok.
event(Event) -> add({event, Event}, {event, other}, 1).

%% A handshake that came to nothing.
-spec refused(side(), atom(), term()) -> ok.
refused(Side, Phase, Reason) ->
    add({failed, Side, Phase}, {failed, Side, dist}, 1),
    add({reason, Reason}, {reason, other}, 1).

-spec up(side()) -> ok.
up(Side) -> add({up, Side}, 1).

-spec evicted() -> ok.
evicted() -> add(evicted, 1).

%% How many handshakes an acceptor has under way.
-spec pending(inet | inet6, non_neg_integer()) -> ok.
pending(Family, Count) ->
    with(fun(Counters, #{{pending, Family} := Place}) -> counters:put(Counters, Place, Count) end).

%% What went over a link that has ended is in the totals before Forget takes it off the table: they never
%% go back.
-spec ended(#{atom() => non_neg_integer()}, fun(() -> Result)) -> Result.
ended(Flow, Forget) ->
    add(changes, 1),
    _ = [add(Name, maps:get(Name, Flow, 0)) || Name <- ?FLOW],
    Result = Forget(),
    add(changes, 1),
    Result.

add(Name, Count) -> add(Name, Name, Count).

add(Name, Else, Count) ->
    with(fun(Counters, Places) ->
                 counters:add(Counters, maps:get(Name, Places, maps:get(Else, Places)), Count)
         end).

with(Fun) ->
    case persistent_term:get(?KEY, none) of
        {Counters, Places} -> Fun(Counters, Places);
        none -> ok
    end.

%% ---- reading ----

%% All zero on a node without the carrier.
-spec read() -> stats().
read() ->
    ok = start(),
    {Counters, Places} = persistent_term:get(?KEY),
    Get = fun(Name) -> counters:get(Counters, maps:get(Name, Places)) end,
    {Links, Flow} = flow(Get, ?TRIES),
    maps:merge(Flow, #{handshakes => maps:from_list([{Side, handshakes(Side, Get)} || Side <- [accept, dial]]),
                       refusals => seen([{Name, Get({reason, Name})} || Name <- reasons()]),
                       events => seen([{Name, Get({event, Name})} || Name <- events()]),
                       pending => Get({pending, inet}) + Get({pending, inet6}),
                       evicted => Get(evicted), links => Links}).

handshakes(Side, Get) ->
    #{up => Get({up, Side}),
      failed => maps:from_list([{Phase, Get({failed, Side, Phase})} || Phase <- phases()])}.

seen(Counts) -> maps:from_list([Count || {_, N} = Count <- Counts, N > 0]).

%% Of the links that are up and of those that have ended; again if one ended meanwhile.
flow(Get, Tries) ->
    Before = Get(changes),
    Live = [merlon_nif:stats(Conn) || {_, Conn, _} <- merlon_registry:links()],
    Flow = maps:from_list([{Name, Get(Name) + lists:sum([maps:get(Name, Each) || Each <- Live])}
                           || Name <- ?FLOW]),
    case Get(changes) of
        Before when Before rem 2 =:= 0 -> {length(Live), Flow};
        _ when Tries =:= 0 -> {length(Live), Flow};
        _ -> flow(Get, Tries - 1)
    end.

%% ---- what there is to count ----

-spec phases() -> [phase()].
phases() -> [resolve, tcp, tls, preamble, dist].

%% Every event of merlon_event.
-spec events() -> [atom()].
events() ->
    [listening, not_started, accept_failed, refused, probed, unresolved, link_up, link_failed, link_closed,
     link_down, not_the_carrier, reloaded, reload_refused, at_next_start, own_expired, crl_stale,
     reproved, reproof_untrusted, reproof_not_made, renewed, renew_failed, issued, issue_refused,
     crl_taken, crl_refused, crl_too_big, joined, join_refused, enroll_off, rotated, entry_learnt,
     entry_preferred, rotation_failed, rotation_refused, root_stage, root_refused, root_failed, minted, not_minted,
     secret_awaited, secret_stale, secret_back, names_kept, names_lost, names_silent, names_back, names_dropped,
     not_remembered, status_failed, other].

%% The words for why a handshake came to nothing: those of the Rust core, of the system, of dist_util and our own.
-spec reasons() -> [atom()].
reasons() ->
    at_the_door() ++ of_tls() ++ of_certificates() ++ of_records() ++ of_the_system() ++ of_dist_util() ++ [other].

at_the_door() ->
    [denied, throttled, backing_off, evicted, timeout, shutdown, internal, no_cookie, no_address, no_port,
     plain_denied, plain_over, downgrade].

of_tls() ->
    [bad_name, early_data, key_not_held, local_tls, no_alpn, no_certificate, no_common_key, no_keys, no_suite,
     not_tls, old_tls, other_node, own_certificate, own_key, own_key_mismatch, own_preamble, peer_alert,
     peer_closed, plaintext_dist, proof_refused, tls, too_much, wrong_alpn, wrong_proof].

of_certificates() ->
    [anchor_not_valid, bad_chain, bad_cluster, bad_crl, bad_identity, bad_lifetime, bad_node_name, bad_pattern,
     bad_signature, ca_leaf, chain_too_large, chain_too_long, crl_expired, crypto, csr_extension, csr_name,
     csr_signature, csr_too_large, expired, key_mismatch, malformed_certificate, malformed_crl, malformed_csr,
     malformed_key, malformed_pem, malformed_statement, many_identities, name_constraint, no_anchors, no_identity, not_ca,
     not_a_node, not_a_tool, not_pinned, not_yet_valid, old_statement, path_length, revoked, too_many_names, unknown_critical, unknown_issuer,
     unsupported_algorithm, weak_key, wrong_cluster, wrong_name, wrong_usage].

of_records() ->
    [bad_alert, bad_key_update, bad_outer_type, bad_record_mac, bad_secret, bad_version, broken_handshake,
     closed, exhausted, handshake_too_long, misplaced_key_update, no_content_type, no_room, record_overflow,
     sealed_alert, too_long, too_many_idle_records, truncated, unexpected_handshake, unexpected_type,
     bad_key_count, bad_lane_head, bad_name_length, bad_preamble_message, bad_preamble_version, frame_too_long,
     lane_overrun, lane_short, no_memory, no_such_lane, preamble_cut, preamble_trailing_bytes,
     repeated_key_id, short_buffer, bad_control, control_flood, control_too_long, early_control].

of_the_system() ->
    [eacces, eaddrinuse, eaddrnotavail, econnaborted, econnrefused, econnreset, ehostdown,
     ehostunreach, einval, emfile, enetdown, enetunreach, enfile, enobufs, enotconn, eperm, epipe, etimedout].

of_dist_util() ->
    [not_allowed, malformed, unsupported_protocol, bad_cookie, unexpected, unknown, no_node, disconnected,
     connection_closed, connection_setup_failed, setup_timer_timeout, check_dflags_failed,
     recv_challenge_failed, recv_challenge_reply_failed, recv_challenge_ack_failed, recv_status_failed].
