%% SPDX-License-Identifier: Apache-2.0
%% What merlon:stats/0 and connections/0 know, as Prometheus' text exposition format 0.0.4. Pure but for what
%% text/0 asks for.
-module(merlon_metrics).

-export([text/0, text/3]).

-type metric() :: {Name :: string(), counter | gauge, Help :: string(), [{[{string(), binary()}], integer()}]}.

-spec text() -> iodata().
text() ->
    Own = case merlon_node:current() of
              {ok, #{not_after := End}} -> End;
              none -> none
          end,
    text(merlon_stats:read(), merlon:connections(), Own).

%% Own: when this node's certificate ends, in seconds since 1970.
-spec text(merlon_stats:stats(), [merlon:connection()], integer() | none) -> iodata().
text(Stats, Links, Own) ->
    [metric(Metric) || {_, _, _, [_ | _]} = Metric <- handshakes(Stats) ++ flow(Stats) ++ links(Stats, Links, Own)].

-spec handshakes(merlon_stats:stats()) -> [metric()].
handshakes(#{handshakes := Handshakes, refusals := Refusals, events := Events, evicted := Evicted,
             pending := Pending}) ->
    [{"merlon_handshakes_total", counter, "Handshakes that ended, by side, outcome and the phase reached.",
      [Sample || {Side, Counts} <- maps:to_list(Handshakes), Sample <- outcomes(word(Side), Counts)]},
     {"merlon_refusals_total", counter, "Handshakes that came to nothing, by reason.",
      [{[{"reason", word(Reason)}], N} || {Reason, N} <- maps:to_list(Refusals)]},
     {"merlon_events_total", counter, "Events of the carrier, those that the log sums up included.",
      [{[{"event", word(Event)}], N} || {Event, N} <- maps:to_list(Events)]},
     {"merlon_handshakes_pending", gauge, "Incoming handshakes under way.", [{[], Pending}]},
     {"merlon_handshakes_evicted_total", counter, "Incoming handshakes that gave way to newer ones.",
      [{[], Evicted}]}].

outcomes(Side, #{up := Up, failed := Failed}) ->
    [{[{"side", Side}, {"outcome", <<"up">>}, {"phase", <<"dist">>}], Up}
     | [{[{"side", Side}, {"outcome", <<"failed">>}, {"phase", word(Phase)}], N}
        || {Phase, N} <- maps:to_list(Failed)]].

-spec flow(merlon_stats:stats()) -> [metric()].
flow(Stats) ->
    [{"merlon_" ++ What ++ "_total", counter, Help,
      [{[{"direction", <<"in">>}], maps:get(In, Stats)}, {[{"direction", <<"out">>}], maps:get(Out, Stats)}]}
     || {What, Help, In, Out} <-
            [{"frames", "Distribution frames of all links so far.", frames_in, frames_out},
             {"bytes", "Bytes of distribution frames of all links so far.", bytes_in, bytes_out},
             {"records", "TLS records of all links so far.", records_in, records_out},
             {"key_updates", "Key updates of all links so far.", key_updates_in, key_updates_out}]].

-spec links(merlon_stats:stats(), [merlon:connection()], integer() | none) -> [metric()].
links(#{links := Count}, Links, Own) ->
    [{"merlon_links", gauge, "Links that are up.", [{[], Count}]},
     {"merlon_carrier_links", gauge, "Links that are up, by what carries them: merlon, or what interop lets be.",
      [{[{"carrier", word(Carrier)}], length([Link || #{carrier := Of} = Link <- Links, Of =:= Carrier])}
       || Carrier <- [merlon, inet_tls, plain]]},
     {"merlon_link_up_timestamp_seconds", gauge, "When the link to a node came up, in seconds since 1970.",
      per_node(since, Links)},
     {"merlon_peer_certificate_end_timestamp_seconds", gauge,
      "When the certificate ends that the peer of a link has shown, in seconds since 1970.",
      per_node(not_after, Links)},
     {"merlon_link_unsent_bytes", gauge, "Bytes that wait for a peer to read them.", per_node(unsent, Links)},
     {"merlon_certificate_end_timestamp_seconds", gauge, "When this node's certificate ends, in seconds since 1970.",
      [{[], Own} || is_integer(Own)]}].

%% Of two links to a node, one of which is going away, the younger counts.
per_node(Key, Links) ->
    Young = maps:from_list(lists:sort([{Node, {Since, maps:get(Key, Link)}}
                                       || #{node := Node, since := Since} = Link <- Links, is_map_key(Key, Link)])),
    [{[{"node", word(Node)}], Value} || {Node, {_, Value}} <- maps:to_list(Young)].

%% ---- the format ----

metric({Name, Type, Help, Samples}) ->
    ["# HELP ", Name, $\s, Help, "\n# TYPE ", Name, $\s, atom_to_list(Type), $\n,
     [[Name, labels(Labels), $\s, integer_to_list(Value), $\n] || {Labels, Value} <- Samples]].

labels([]) -> [];
labels(Labels) -> [${, lists:join($,, [[Name, "=\"", escaped(Value), $"] || {Name, Value} <- Labels]), $}].

escaped(Value) -> << <<(escape(Byte))/binary>> || <<Byte>> <= Value >>.

escape($\\) -> <<"\\\\">>;
escape($") -> <<"\\\"">>;
escape($\n) -> <<"\\n">>;
escape(Byte) -> <<Byte>>.

word(Atom) -> atom_to_binary(Atom).
