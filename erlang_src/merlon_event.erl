%% SPDX-License-Identifier: Apache-2.0
%% Every event of the carrier, one function each: a structured report to `logger`, the same to `telemetry` when
%% that is loaded, and a count (merlon_stats). Never a secret, never raw peer bytes. Reports read well as text
%% too (`report_cb`). The table of all events is in docs/guides/operate.md.
-module(merlon_event).

-export([listening/1, not_started/1, accept_failed/1, refused/3, turned_away/2, probed/2, unresolved/3, repeated/5]).
-export([link_up/1, link_failed/2, link_closed/2, link_down/2, not_the_carrier/1]).
-export([reproved/2, reproof_untrusted/2, reproof_not_made/2]).
-export([reloaded/1, reload_refused/1, at_next_start/1, own_expired/1, crl_stale/2]).
-export([renewed/1, renew_failed/2, issued/2, issue_refused/3, crl_taken/2, crl_refused/3, crl_too_big/2]).
-export([join/2, enroll_off/1]).
-export([rotated/2, entry_learnt/2, entry_preferred/1, rotation_failed/1, rotation_refused/2]).
-export([minted/1, not_minted/1, not_remembered/2]).
-export([secret_awaited/2, secret_stale/3, secret_back/2, status_failed/1, log/2]).

-type address() :: {ok, {inet:ip_address(), inet:port_number()}} | {error, term()}.

%% The node listens on Address.
-spec listening({inet:ip_address(), inet:port_number()}) -> ok.
listening(Address) -> log(info, #{event => listening, local => Address}).

%% net_kernel:start/1 was refused; Text says why and what to do.
-spec not_started(iodata()) -> ok.
not_started(Text) ->
    log(error, #{event => not_started, text => iolist_to_binary(Text)}).

%% accept(2) failed, of EMFILE for example; it is tried again.
-spec accept_failed(atom()) -> ok.
accept_failed(Reason) ->
    say_once({accept_failed, {Reason}}, here, error, #{event => accept_failed, reason => Reason}).

%% A handshake came to nothing, on the accepting or the dialling side. That a peer does not
%% answer at all when dialled is everyday life.
-spec refused(accept | dial, map(), address()) -> ok.
refused(Side, Failure, Address) ->
    {Kind, Source, Level, Report} = refusal(Side, Failure, Address),
    say_once(Kind, Source, Level, Report).

%% A connection was closed before a byte of it was read. The acceptor must not wait for a log: what it gets
%% is for another process to call.
-spec turned_away(denied | throttled | backing_off, {inet:ip_address(), inet:port_number()}) ->
          counted | {say, fun(() -> ok)}.
turned_away(Reason, Address) ->
    {Kind, Source, Level, Report} =
        refusal(accept, #{phase => tcp, reason => Reason, text => merlon_event_text:door(Reason)}, {ok, Address}),
    merlon_stats:event(refused),
    case merlon_repeats:note(Kind, Source, Level, Report) of
        say -> {say, fun() -> publish(Level, Report, 1) end};
        counted -> counted
    end.

refusal(Side, #{phase := Phase, reason := Reason} = Failure, Address) ->
    merlon_stats:refused(Side, Phase, Reason),
    Known = maps:with([phase, reason, text, claimed, node, fingerprint, identity], Failure),
    {{refused, {Side, Phase, Reason}}, {source(Address), who(Failure)}, severity(Side, Failure),
     Known#{event => refused, side => Side, peer => peer(Address)}}.

source({ok, {Ip, _}}) -> merlon_source_core:source(Ip);
source({error, _}) -> unknown.

%% Several nodes may share an address. Before the preamble anybody can write any name into a certificate.
who(#{node := Node}) -> Node;
who(#{phase := tls}) -> stranger;
who(#{identity := Identity}) -> Identity;
who(#{}) -> stranger.

%% Somebody who holds the secret asked what stands in the way of a link (merlon:explain/1 there).
-spec probed(map(), address()) -> ok.
probed(Known, Address) ->
    say_once({probed, {}}, {source(Address), who(Known)}, info,
             (maps:with([identity, fingerprint, claimed], Known))#{event => probed, peer => peer(Address)}).

severity(accept, #{reason := denied}) -> notice;
severity(accept, #{reason := Reason}) when Reason =:= throttled; Reason =:= backing_off -> warning;
severity(dial, #{phase := tcp, reason := no_identity}) -> error;
severity(dial, #{phase := tcp}) -> info;
%% Two nodes that dial each other at once: one hangs up. Who has no name yet may be a scanner.
severity(accept, #{reason := Reason} = Failure)
  when Reason =:= peer_closed; Reason =:= closed; Reason =:= truncated; Reason =:= econnreset; Reason =:= epipe ->
    case Failure of
        #{claimed := _} -> info;
        #{} -> notice
    end;
severity(_, _) -> error.

%% Node has no address or no port: it is down, or its name is wrong.
-spec unresolved(node(), no_address | no_port, term()) -> ok.
unresolved(Node, Reason, Answer) ->
    merlon_stats:refused(dial, resolve, Reason),
    say_once({unresolved, {Reason}}, Node, info,
             maps:merge(merlon_event_text:unanswered(Answer),
                        #{event => unresolved, node => Node, reason => Reason, answer => Answer})).

%% What merlon_repeats has counted since the last sum: the first such report stands for all of them.
-spec repeated(logger:level(), map(), Source :: term(), pos_integer(), Seconds :: non_neg_integer()) -> ok.
repeated(Level, Report, Source, Count, Seconds) ->
    publish(Level, (summary(Report, Source))#{repeated => Count, seconds => Seconds}, Count).

summary(#{peer := _} = Report, others) -> (maps:with([event, side, phase, reason, text], Report))#{peer => others};
summary(#{peer := {Ip, _}} = Report, _) -> Report#{peer => merlon_source_core:source(Ip)};
summary(Report, others) -> maps:without([node, answer, text], Report);
summary(Report, _) -> Report.

%% A link is up.
-spec link_up(map()) -> ok.
link_up(#{direction := Side} = Info) ->
    merlon_stats:up(Side),
    {Level, Said} = merlon_interop:told(Info),
    log(Level, maps:merge(Said#{event => link_up}, maps:remove(name, Info))).

%% Something ended a link: the peer, the network or a violation of the protocol.
-spec link_failed(pid(), atom() | tuple()) -> ok.
link_failed(Out, Reason) ->
    Info = case lists:keyfind(Out, 1, merlon_registry:links()) of
               {Out, _, Found} -> whose(Found);
               false -> #{}
           end,
    log(merlon_event_text:failure_level(Reason, Info), Info#{event => link_failed, phase => link, reason => Reason}).

whose(Info) ->
    maps:with([node, direction, peer, identity, fingerprint], Info).

%% This node closes a link, because its peer would not be accepted any more, or has tried to prove what it does not hold.
-spec link_closed(map(), {pki, merlon_nif:pki_reason()} | {keyring, merlon_reprove_core:reason()} | {reproof, atom()}) -> ok.
link_closed(Info, {_, Reason} = Why) ->
    log(error, (whose(Info))#{event => link_closed, phase => link, reason => code(Reason),
                              text => iolist_to_binary(merlon_event_text:closing(Why))}).

%% The peer of a live link has another certificate, or holds a newer secret, and has proved it.
-spec reproved(map(), {certificate, NotAfter :: integer()} | {secret, Id :: binary()}) -> ok.
reproved(Info, {certificate, End}) ->
    log(info, (whose(Info))#{event => reproved, what => certificate, not_after => End,
                             text => <<"the live link stands on the peer's new certificate now">>});
reproved(Info, {secret, Id}) ->
    log(info, (whose(Info))#{event => reproved, what => secret, key_id => Id,
                             text => <<"the live link stands on entry ", Id/binary, " now">>}).

%% The peer of a live link shows a certificate that this node would not accept now.
-spec reproof_untrusted(map(), merlon_nif:pki_reason()) -> ok.
reproof_untrusted(Info, Reason) ->
    log(warning, (whose(Info))#{event => reproof_untrusted, phase => link, reason => code(Reason),
                                text => iolist_to_binary(["the peer's new certificate is not accepted (",
                                                          merlon_pki_text:words(Reason), "): the live link "
                                                          "stands on its old one; is a CA missing in trust/ ?"])}).

%% This node can't show what it has.
-spec reproof_not_made(merlon_reprove_core:kind(), atom()) -> ok.
reproof_not_made(Kind, Reason) ->
    log(error, #{event => reproof_not_made, phase => link, reason => Reason,
                 text => iolist_to_binary(["this node can't prove its ", atom_to_binary(Kind),
                                           " on its live links: restart it if they end"])}).

code({Code, _}) -> Code;
code(Code) -> Code.

%% A link is gone. The reason is the one that nodedown carries.
-spec link_down(map(), term()) -> ok.
link_down(Info, Reason) ->
    log(info, (whose(Info))#{event => link_down, phase => link, reason => Reason}).

%% How a peer has linked can't be kept for the time after a restart.
-spec not_remembered(merlon_dir:path(), atom()) -> ok.
not_remembered(File, Posix) ->
    log(error, #{event => not_remembered, reason => Posix,
                 text => iolist_to_binary(merlon_dir:format_error({write, File, Posix}))}).

%% The application runs on a node whose distribution is not merlon's.
-spec not_the_carrier(iodata()) -> ok.
not_the_carrier(Text) ->
    log(error, #{event => not_the_carrier, text => iolist_to_binary(Text)}).

%% New files are in use.
-spec reloaded(#{identity := tuple(), sha256 := binary(), not_after := integer(), _ => _}) -> ok.
reloaded(#{identity := Identity, sha256 := Sha256, not_after := End}) ->
    log(info, #{event => reloaded, identity => Identity, fingerprint => Sha256, not_after => End,
                text => iolist_to_binary(["new links use what is on disk now; the certificate is valid "
                                          "until ", merlon_text:date(End)])}).

%% Files have changed to something that can't be used: all stays as it was.
-spec reload_refused(iodata()) -> ok.
reload_refused(Text) ->
    log(error, #{event => reload_refused,
                 text => iolist_to_binary(["the files have changed and can't be used, so what was read "
                                           "before stays in use: ", Text])}).

%% Settings have changed that are only taken when the node starts.
-spec at_next_start([atom()]) -> ok.
at_next_start(Keys) ->
    Names = lists:join(", ", [atom_to_binary(Key) || Key <- Keys]),
    log(warning, #{event => at_next_start, keys => Keys,
                   text => iolist_to_binary([Names, " in merlon.config: counts from this node's next "
                                             "start on"])}).

%% The node's own certificate has run out: peers close its links and refuse new ones.
-spec own_expired(integer()) -> ok.
own_expired(End) ->
    log(error, #{event => own_expired, not_after => End,
                 text => iolist_to_binary(["this node's certificate expired on ", merlon_text:date(End),
                                           ": peers refuse it; issue another with `merlon renew`"])}).

%% The node has made itself a new certificate of its keyring.
-spec minted(#{identity := tuple(), sha256 := binary(), not_after := integer(), _ => _}) -> ok.
minted(#{identity := Identity, sha256 := Sha256, not_after := End}) ->
    log(info, #{event => minted, identity => Identity, fingerprint => Sha256, not_after => End,
                text => iolist_to_binary(["a new certificate for new links, valid until ",
                                          merlon_text:date(End)])}).

%% It could not: what it has stays in use until it runs out.
-spec not_minted(iodata()) -> ok.
not_minted(Text) ->
    log(error, #{event => not_minted, text => iolist_to_binary(Text)}).

%% A revocation list is past its next update.
-spec crl_stale(refuse | warn, integer()) -> ok.
crl_stale(Rule, Due) ->
    {Level, Effect} = case Rule of
                          refuse -> {error, "nobody whom it is about gets a new link"};
                          warn -> {warning, "it counts on ({stale_crl, warn})"}
                      end,
    log(Level, #{event => crl_stale, next_update => Due,
                 text => iolist_to_binary(["a revocation list was to be renewed by ",
                                           merlon_text:date(Due), ": ", Effect, "; put a current one "
                                           "into the merlon dir"])}).

%% A node that starts waits for the provider of its keyring. Text says what is wrong.
-spec secret_awaited(binary(), iodata()) -> ok.
secret_awaited(Name, Text) ->
    log(warning, #{event => secret_awaited, provider => Name,
                   text => iolist_to_binary(["the node waits for its keyring: ", Text])}).

%% The provider does not answer, or what it gives can't be used. Age is in seconds.
-spec secret_stale(binary(), non_neg_integer(), iodata()) -> ok.
secret_stale(Name, Age, Text) ->
    log(warning, #{event => secret_stale, provider => Name, age => Age,
                   text => iolist_to_binary(["the keyring of ", integer_to_list(Age),
                                             " seconds ago stays in use: ", Text])}).

%% It answers again.
-spec secret_back(binary(), non_neg_integer()) -> ok.
secret_back(Name, Age) ->
    log(info, #{event => secret_back, provider => Name, age => Age,
                text => iolist_to_binary([Name, " can be had again, after ", integer_to_list(Age), " seconds"])}).

%% This node has a new certificate.
-spec renewed(#{sha256 := binary(), not_after := integer(), issuer := node()}) -> ok.
renewed(#{sha256 := Sha256, not_after := End, issuer := Node}) ->
    log(info, #{event => renewed, node => Node, fingerprint => Sha256, not_after => End,
                text => iolist_to_binary(["the certificate that this node has given is valid until ",
                                          merlon_text:date(End)])}).

%% The certificate in use runs out soon, and there is none to follow.
-spec renew_failed(integer(), iodata()) -> ok.
renew_failed(End, Text) ->
    log(warning, #{event => renew_failed, not_after => End,
                   text => iolist_to_binary(["this node's certificate runs out on ", merlon_text:date(End),
                                             " and could not be renewed so far: ", Text])}).

%% This node has given another one its next certificate.
-spec issued(binary(), Cert :: binary()) -> ok.
issued(Name, Cert) ->
    {ok, [#{serial := Serial, sha256 := Sha256, not_after := End} | _]} = merlon_nif:pki_inspect(Cert),
    log(info, #{event => issued, claimed => Name, fingerprint => Sha256, serial => Serial, not_after => End}).

%% A request for a certificate was refused, and some before of which nothing was said.
-spec issue_refused(node(), iodata(), non_neg_integer()) -> ok.
issue_refused(Node, Text, Untold) ->
    log(warning, #{event => issue_refused, node => Node, text => iolist_to_binary([Text, others(Untold)])}).

%% A node has passed a newer revocation list on to this one.
-spec crl_taken(node(), integer()) -> ok.
crl_taken(Node, Made) ->
    log(info, #{event => crl_taken, node => Node,
                text => iolist_to_binary(["a revocation list of ", merlon_text:date(Made)])}).

%% A node has sent a revocation list that is no good, and some before of which nothing was said.
-spec crl_refused(node(), iodata(), non_neg_integer()) -> ok.
crl_refused(Node, Text, Untold) ->
    log(warning, #{event => crl_refused, node => Node, text => iolist_to_binary([Text, others(Untold)])}).

%% A revocation list is too big to be passed on.
-spec crl_too_big(pos_integer(), pos_integer()) -> ok.
crl_too_big(Bytes, Max) ->
    log(warning, #{event => crl_too_big,
                   text => iolist_to_binary(io_lib:format("a revocation list of ~b bytes is not passed on to other "
                                                          "nodes, which take ~b: copy it", [Bytes, Max]))}).

others(0) -> "";
others(Untold) -> io_lib:format(" (and ~b more since the last line)", [Untold]).

%% One has joined by a token, or has tried to.
-spec join(merlon_join_server:outcome(), address()) -> ok.
join({joined, Known} = Outcome, Address) ->
    log(notice, join_report(Known#{event => joined}, Outcome, Address));
%% Strangers may try as well: what was not proven makes no line of its own.
join({refused, #{reason := Reason} = Known} = Outcome, Address) ->
    say_once({join_refused, {Reason}}, {source(Address), maps:get(token, Known, stranger)}, warning,
             join_report(Known#{event => join_refused}, Outcome, Address)).

join_report(Report, Outcome, Address) ->
    Report#{peer => peer(Address), text => iolist_to_binary(merlon_join_server:details(Outcome))}.

%% Nobody can join here, although {enroll, true} is set.
-spec enroll_off(binary()) -> ok.
enroll_off(Why) ->
    log(error, #{event => enroll_off, text => iolist_to_binary(["nobody can join here: ", Why])}).

%% This node has made a new keyring entry, which takes the place of all before it.
-spec rotated(binary(), #{grace := non_neg_integer(), _ => _}) -> ok.
rotated(Id, #{grace := Grace}) ->
    log(info, #{event => rotated, entry => Id,
                text => iolist_to_binary(["keyring entry ", Id, " spreads to all nodes; those that are away "
                                          "learn it within ", integer_to_list(Grace), " seconds or are "
                                          "refused from then on"])}).

%% A peer has given this node an entry, which is in the file now.
-spec entry_learnt(binary(), From :: binary()) -> ok.
entry_learnt(Id, From) ->
    log(info, #{event => entry_learnt, entry => Id, from => From,
                text => iolist_to_binary(["keyring entry ", Id, " came from ", merlon_event_text:printable(From)])}).

%% From now on new links are proven by another entry, where the peer has it.
-spec entry_preferred(binary()) -> ok.
entry_preferred(Id) ->
    log(info, #{event => entry_preferred, entry => Id,
                text => iolist_to_binary(["keyring entry ", Id, " is the preferred one from now on"])}).

%% The keyring, or what is kept beside it, could not be changed.
-spec rotation_failed(iodata()) -> ok.
rotation_failed(Text) ->
    log(error, #{event => rotation_failed,
                 text => iolist_to_binary(["this node can't follow a rotation and tries again: ", Text])}).

%% A peer's message about entries was thrown away. Told once for each peer and kind.
-spec rotation_refused(node(), malformed | bad_transfer | not_asked | too_many | nothing_in_common) -> ok.
rotation_refused(Node, Why) ->
    log(warning, #{event => rotation_refused, node => Node, reason => Why,
                   text => iolist_to_binary(merlon_event_text:refusal(Why))}).

-spec status_failed(iodata()) -> ok.
status_failed(Text) -> log(error, #{event => status_failed, text => iolist_to_binary(Text)}).

%% ---- to whom it goes ----
-spec log(logger:level(), #{event := atom(), _ => _}) -> ok.
log(Level, #{event := Event} = Report) ->
    merlon_stats:event(Event),
    publish(Level, Report, 1).

%% For what strangers, or a peer that is down, can cause as often as they like.
say_once(Kind, Source, Level, #{event := Event} = Report) ->
    merlon_stats:event(Event),
    case merlon_repeats:note(Kind, Source, Level, Report) of
        say -> publish(Level, Report, 1);
        counted -> ok
    end.

publish(Level, Report, Count) ->
    telemetry(Level, Report, Count),
    to_log(Level, Report).

%% OTP's and Elixir's common way to hand events to whoever measures: [merlon, Event]. No dependency, and no
%% handler of it can harm the carrier.
telemetry(Level, #{event := Event} = Report, Count) ->
    Telemetry = telemetry,
    _ = try
            erlang:function_exported(Telemetry, execute, 3) andalso
                Telemetry:execute([merlon, Event], #{count => Count, system_time => erlang:system_time()},
                                  (maps:remove(event, Report))#{level => Level})
        catch _:_ -> failed
        end,
    ok.

%% Some tools log to their standard output (those of an Elixir release do): what went as it should
%% would stand in their answers.
to_log(Level, Report) ->
    case Level =:= info andalso merlon_node:is_tool() of
        true -> ok;
        false -> report(Level, Report)
    end.

%% No `domain`: OTP's default handler drops every domain that it does not know. No `label`: Elixir's
%% drops every report with a label that it does not know.
report(Level, Report) ->
    logger:log(Level, Report#{app => merlon},
               #{report_cb => fun merlon_event_text:format/1, error_logger => #{tag => tag(Level)}}).

tag(error) -> error_report;
tag(warning) -> warning_report;
tag(_) -> info_report.

peer({ok, Address}) -> Address;
peer({error, _}) -> unknown.
