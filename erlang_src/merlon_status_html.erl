%% SPDX-License-Identifier: Apache-2.0
%% The status page: one document that needs nothing else and works without its script, which only fetches it again. Names
%% of peers are text in it and nothing more. Pure.
-module(merlon_status_html).

-export([page/1, policy/0]).

-define(DAY, 86400).

-spec page(merlon_status_core:view()) -> iodata().
page(#{node := Node} = View) ->
    [head(Node), main(View), "<script>", code(), "</script>\n</body></html>\n"].

%% The page may run its one script and fetch itself again; it loads nothing else, sends nothing and stands in no frame.
-spec policy() -> iodata().
policy() ->
    ["default-src 'none'; script-src '", hash(code()), "'; style-src '", hash(style()),
     "'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"].

hash(Text) -> ["sha256-", merlon_kdf:digest(sha256, Text, base64)].

head(Node) ->
    ["<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
     "<title>", text(Node), " &middot; merlon</title>\n<style>", style(), "</style></head><body>\n"
     "<header><h1>merlon</h1><span id=\"state\">loaded once</span></header>\n"].

main(#{node := Node, now := Now} = View) ->
    ["<main>\n<p class=\"who\">", name(Node), cluster(View), " <span class=\"dim\">", text(merlon_text:date(Now)), "</span></p>\n",
     cards(View), links(View), peers(View), "<div class=\"two\">\n", refusals(View), keyring(View), "</div>\n</main>\n"].

cluster(#{cluster := null}) -> " <b class=\"bad\">without the carrier</b>";
cluster(#{cluster := Cluster}) -> [" of cluster ", name(Cluster)].

%% ---- at a glance ----

cards(#{links := Links, certificate := Certificate, refusals := #{reasons := Reasons}, keyring := #{stage := Stage},
        now := Now, pending := Pending}) ->
    Others = length([Link || #{carrier := Carrier} = Link <- Links, Carrier =/= merlon]),
    ["<section class=\"cards\">\n",
     card("Links", integer_to_list(length(Links)), links_note(Others, Pending), if Others > 0 -> bad; true -> good end),
     card("Own certificate ends", left(Certificate, Now), ends(Certificate), urgency(Certificate, Now)),
     card("Refused, last hour", integer_to_list(lists:sum([N || #{count := N} <- Reasons])),
          refused_note(Reasons), if Reasons =:= [] -> good; true -> warn end),
     card("Rotation", stage_word(Stage), stage_note(Stage), plain), "</section>\n"].

card(Title, Value, Note, Class) ->
    ["<div class=\"card ", atom_to_list(Class), "\"><h2>", Title, "</h2><b>", text(Value), "</b><span>", text(Note), "</span></div>\n"].

links_note(0, 0) -> "all over merlon";
links_note(0, Pending) -> [integer_to_list(Pending), " handshakes under way"];
links_note(Others, _) -> [integer_to_list(Others), " not over merlon"].

left(null, _Now) -> "none";
left(#{not_after := End}, Now) when End =< Now -> "ended";
left(#{not_after := End}, Now) -> merlon_text:left(End, Now).

ends(null) -> "";
ends(#{not_after := End}) -> merlon_text:date(End).

urgency(null, _Now) -> bad;
urgency(#{not_after := End}, Now) when End =< Now -> bad;
urgency(#{not_after := End}, Now) when End - Now < ?DAY -> warn;
urgency(_, _Now) -> good.

refused_note([]) -> "no handshake";
refused_note([#{reason := Reason} | _]) -> ["most: ", atom_to_list(Reason)].

stage_word(none) -> "none";
stage_word(Stage) -> atom_to_list(Stage).

stage_note(none) -> "no keyring: the cookie counts";
stage_note(spreading) -> "the next entry goes round";
stage_note(grace) -> "the entry before still counts";
stage_note(done) -> "one entry counts".

%% ---- tables ----

links(#{links := Links, now := Now}) ->
    table("Links of this node", ["Peer", "Direction", "Carrier", "Cipher", "Certificate ends", "Up since" |
                                  [right(Each) || Each <- ["In", "Out", "Unsent"]]],
          [row(Link, Now) || Link <- Links], "No links.").

row(#{node := Node, carrier := other}, _Now) ->
    [name(Node), "", "<b class=\"bad\">not merlon</b>", "", "", "", "", "", ""];
row(#{node := Node, carrier := plain} = Link, _Now) ->
    [name(Node), [direction(Link), under(maps:get(peer, Link))], "<b class=\"bad\">plain, not encrypted</b>", "", "",
     text(merlon_text:date(maps:get(since, Link, 0))) | [bytes(maps:get(Key, Link, 0)) || Key <- [bytes_in, bytes_out, unsent]]];
row(#{node := Node, carrier := Carrier} = Link, Now) ->
    [[name(Node), under(maps:get(identity, Link))], [direction(Link), under(maps:get(peer, Link))],
     [atom_to_binary(Carrier), ", TLS ", of_link(tls_version, Link)], [of_link(cipher_suite, Link), under(maps:get(key_exchange_group, Link, null))],
     ending(maps:get(not_after, Link, 0), Now), text(merlon_text:date(maps:get(since, Link, 0))) |
     [bytes(maps:get(Key, Link, 0)) || Key <- [bytes_in, bytes_out, unsent]]].

of_link(Key, Link) -> text(maps:get(Key, Link, <<"?">>)).

direction(#{direction := dial}) -> "&rarr; dialled";
direction(#{direction := accept}) -> "&larr; accepted".

ending(End, Now) ->
    Class = atom_to_list(urgency(#{not_after => End}, Now)),
    ["<span class=\"", Class, "\">", text(left(#{not_after => End}, Now)), "</span>", under(merlon_text:date(End))].

peers(#{peers := []}) -> "";
peers(#{peers := Peers, now := Now}) ->
    Rows = [[name(Node), direction(Link), name(To), text(Cipher), ending(End, Now)]
            || #{node := Node, links := Links} <- Peers, #{node := To, cipher := Cipher, not_after := End} = Link <- Links],
    Silent = [name(Node) || #{node := Node, tells := false} <- Peers],
    [table("What the peers say of their links", ["Node", "Direction", "Peer", "Cipher", "Peer's certificate ends"], Rows, "Nothing yet."),
     [["<p class=\"dim\">Not told by ", lists:join(", ", Silent), ".</p>\n"] || Silent =/= []]].

refusals(#{refusals := #{seconds := Seconds, reasons := Reasons}}) ->
    table(["Refused in the last ", minutes((Seconds + 30) div 60)], ["Reason", right("Handshakes")],
          [[["<code>", text(Reason), "</code>"], number(N)] || #{reason := Reason, count := N} <- Reasons], "Nobody was refused.").

minutes(N) when N < 2 -> "minute";
minutes(N) -> [integer_to_list(N), " minutes"].

keyring(#{keyring := #{entries := Entries}}) ->
    table("Keyring", ["Entry", "Stage", "From", "Until"],
          [[["<code>", text(Id), "</code>"], entry_stage(Stage), text(merlon_text:date(Begin)), until(End)]
           || #{id := Id, stage := Stage, not_before := Begin, not_after := End} <- Entries],
          "No keyring: nodes prove the cookie to each other.").

entry_stage(in_use) -> "<b class=\"good\">in use</b>";
entry_stage(Stage) -> text(Stage).

until(never) -> "for good";
until(End) -> text(merlon_text:date(End)).

table(Title, _Columns, [], Nothing) -> ["<section><h2>", Title, "</h2><p class=\"dim\">", Nothing, "</p></section>\n"];
table(Title, Columns, Rows, _Nothing) ->
    ["<section><h2>", Title, "</h2><div class=\"wide\"><table><thead><tr>", [["<th>", Column] || Column <- Columns],
     "</tr></thead>\n<tbody>\n", [["<tr>", [["<td>", Cell] || Cell <- Row], "</tr>\n"] || Row <- Rows],
     "</tbody></table></div></section>\n"].

%% ---- words ----

%% Apart from what stands around it, whichever way its letters run.
name(Text) -> ["<bdi>", text(Text), "</bdi>"].

under(null) -> "";
under(Text) -> ["<small>", text(Text), "</small>"].

number(N) -> right(integer_to_list(N)).

bytes(N) -> right(size_of(N)).

right(Text) -> ["<span class=\"number\">", Text, "</span>"].

size_of(N) when N < 10000 -> [integer_to_list(N), " B"];
size_of(N) when N < 10000000 -> [integer_to_list(N div 1000), " kB"];
size_of(N) when N < 10000000000 -> [integer_to_list(N div 1000000), " MB"];
size_of(N) -> [integer_to_list(N div 1000000000), " GB"].

text(Atom) when is_atom(Atom) -> text(atom_to_binary(Atom));
text(Text) ->
    case unicode:characters_to_binary(Text) of
        Good when is_binary(Good) -> << <<(escaped(C))/binary>> || <<C/utf8>> <= Good >>;
        _ -> <<"?">>
    end.

escaped($<) -> <<"&lt;">>;
escaped($>) -> <<"&gt;">>;
escaped($&) -> <<"&amp;">>;
escaped($") -> <<"&quot;">>;
escaped($') -> <<"&#39;">>;
escaped(C) when C < 32; C =:= 127 -> <<"?">>;
escaped(C) -> <<C/utf8>>.

%% ---- style and script ----

style() ->
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:84rem;padding:1rem 1.5rem;color:#1c2330;background:#f5f6f9}"
    "header{display:flex;align-items:baseline;gap:1rem}h1{font-size:1.3rem;margin:0}h2{font-size:.95rem;margin:0 0 .5rem}"
    "#state{font-size:.85rem;color:#667085}#state.live{color:#146c43}#state.live::before{content:'\\25cf';margin-right:.35em}#state.lost{color:#a3122a;font-weight:600}"
    ".who{margin:.2rem 0 1rem;overflow-wrap:anywhere}.who bdi{font-weight:600}.dim,small{color:#667085}"
    "section{background:#fff;border:1px solid #dfe3ea;border-radius:8px;padding:.9rem 1rem;margin:0 0 1rem}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem;background:none;border:0;padding:0}"
    ".card{background:#fff;border:1px solid #dfe3ea;border-left:4px solid #98a2b3;border-radius:8px;padding:.7rem 1rem}"
    ".card h2{color:#667085;font-weight:500;margin:0}.card b{display:block;font-size:1.4rem}.card span{color:#667085;font-size:.85rem}"
    ".card.good{border-left-color:#2e9e6b}.card.warn{border-left-color:#d99a1b}.card.bad{border-left-color:#c8283f}"
    "b.bad,span.bad{color:#a3122a}span.warn{color:#8a5a00}b.good{color:#146c43}"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:0 1rem;align-items:start}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:500;color:#667085;white-space:nowrap}"
    "td,th{padding:.35rem .9rem .35rem 0;border-top:1px solid #eceff3;vertical-align:top}thead th{border-top:0}td small{display:block}"
    "td{overflow-wrap:anywhere}.number{display:block;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}code{font:13px ui-monospace,monospace}"
    "@media(prefers-color-scheme:dark){body{color:#dde3ee;background:#14181f}section,.card{background:#1b212b;border-color:#333c4a}"
    ".cards{background:none}td,th{border-color:#2a323e}.dim,small,th,.card h2,.card span,#state{color:#98a2b3}"
    "b.bad,span.bad,#state.lost{color:#ff8a9a}span.warn{color:#f0c060}b.good,#state.live{color:#6fd3a5}}".

%% A document made by DOMParser runs and loads nothing. Text that somebody has marked is left in place.
code() ->
    "const state=document.getElementById('state');"
    "function say(word,name){state.textContent=word;state.className=name}"
    "async function look(){try{"
    "const answer=await fetch('/',{cache:'no-store',signal:AbortSignal.timeout(5000)});"
    "if(!answer.ok)throw answer.status;"
    "const next=new DOMParser().parseFromString(await answer.text(),'text/html').querySelector('main');"
    "if(getSelection().isCollapsed)document.querySelector('main').replaceWith(document.adoptNode(next));"
    "say('live','live')}catch{say('the node does not answer','lost')}"
    "setTimeout(look,2000)}"
    "setTimeout(look,1000)".
