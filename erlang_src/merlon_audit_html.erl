%% SPDX-License-Identifier: Apache-2.0
%% A report as one page that needs nothing else: no script from elsewhere, and its own only to filter. What the project's
%% files hold is text in it and nothing more.
-module(merlon_audit_html).

-export([encode/1]).

-spec encode(merlon_audit:report()) -> iodata().
encode(#{findings := Findings, suppressed := Suppressed, known := Known, scanned := Scanned, unscanned := Unscanned} = Report) ->
    [head(), "<h1>merlon audit</h1>\n<p>", merlon_audit_report:looked(Scanned), " scanned, ", integer_to_list(length(Unscanned)), " could not be. ",
     integer_to_list(length(Suppressed)), " findings are allowed by comments, ", integer_to_list(length(Known)),
     " are in the baseline.</p>\n",
     [asked(Nodes) || #{nodes := [_ | _] = Nodes} <- [Report]], filters(Findings), "<table><thead><tr><th>Severity<th>Rule<th>Where<th>What</tr></thead>\n<tbody id=\"rows\">\n",
     [row(Finding) || Finding <- sorted(Findings)], "</tbody></table>\n<h2>Rules</h2>\n",
     [rule(Row) || Row <- used(Findings)], script(), "</body></html>\n"].

%% The worst first.
sorted(Findings) ->
    Rated = [{-merlon_audit_rules:rank(Severity), File, Line, Finding}
             || #{severity := Severity, file := File, line := Line} = Finding <- Findings],
    [Finding || {_, _, _, Finding} <- lists:sort(Rated)].

used(Findings) ->
    Ids = maps:from_list([{Rule, true} || #{rule := Rule} <- Findings]),
    [Row || #{id := Id} = Row <- merlon_audit_rules:all(), is_map_key(Id, Ids)].

%% One row for each node that was asked.
asked([First | _] = Nodes) ->
    ["<table><thead><tr>", [["<th>", atom_to_binary(Key)] || {Key, _} <- First], "</tr></thead>\n<tbody id=\"nodes\">\n",
     [["<tr>", [["<td>", text(Cell)] || {_, Cell} <- Row], "</tr>\n"] || Row <- Nodes], "</tbody></table>\n"].

%% The page may run this one script, load nothing, send nothing.
head() ->
    ["<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
     "script-src 'sha256-", base64:encode(merlon_kdf:digest(sha256, code())), "'\">\n"
     "<meta name=\"viewport\" content=\"width=device-width\">\n<title>merlon audit</title>\n<style>", style(),
     "</style></head><body>\n"].

style() ->
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1c2330;background:#fff}"
    "table{border-collapse:collapse;width:100%}th{text-align:left}td,th{padding:.4rem .6rem;border-bottom:1px solid #d8dde6;"
    "vertical-align:top}pre,code{font:13px/1.4 ui-monospace,monospace;margin:.2rem 0;white-space:pre-wrap;"
    "overflow-wrap:anywhere}b.critical,b.high{color:#a3122a}b.medium{color:#8a5a00}b.low,b.note{color:#4a5568}"
    ".filters{display:flex;gap:1rem;flex-wrap:wrap;margin:1rem 0}label{white-space:nowrap}input[type=search]{padding:.3rem;"
    "min-width:16rem}"
    "@media(prefers-color-scheme:dark){body{background:#14181f;color:#dde3ee}td,th{border-color:#333c4a}a{color:#8ab4ff}"
    "b.critical,b.high{color:#ff8a9a}b.medium{color:#f0c060}b.low,b.note{color:#a9b4c6}}".

filters(Findings) ->
    ["<form class=\"filters\">",
     [["<label><input type=\"checkbox\" name=\"severity\" value=\"", Name, $", [" checked" || Severity =/= note], "> ", Name, " (",
       integer_to_list(length([F || #{severity := S} = F <- Findings, S =:= Severity])), ")</label>\n"]
      || Severity <- lists:reverse(merlon_audit_rules:severities()), Name <- [atom_to_binary(Severity)]],
     "<label>Rule <select name=\"rule\"><option value=\"\">all</option>",
     [["<option>", atom_to_binary(Id), "</option>"] || #{id := Id} <- used(Findings)],
     "</select></label>\n<input type=\"search\" name=\"text\" placeholder=\"file, function or text\">"
     "<output id=\"count\"></output></form>\n"].

row(#{rule := Rule, severity := Severity, file := File, line := Line, what := What} = Finding) ->
    Name = atom_to_binary(Severity),
    ["<tr data-severity=\"", Name, "\" data-rule=\"", atom_to_binary(Rule), "\"><td><b class=\"", Name, "\">", Name,
     "</b><td><a href=\"#", atom_to_binary(Rule), "\">", atom_to_binary(Rule), "</a><td>", text(File),
     [[$:, integer_to_list(Line)] || Line > 0], "<td>", text(What), [[" in ", text(Place)] || #{place := Place} <- [Finding]],
     [["<br>given: ", atom_to_binary(Flow)] || #{flow := Flow} <- [Finding]],
     [["<pre>", text(Snippet), "</pre>"] || #{snippet := Snippet} <- [Finding]], "</tr>\n"].

rule(#{id := Id, otp := Otp, cwe := Cwe, title := Title, why := Why, fix := Fix, refs := Refs}) ->
    ["<h3 id=\"", atom_to_binary(Id), "\">", text(Title), "</h3>\n<p>", text(Why), "</p><pre>", text(Fix), "</pre><p>",
     [[Otp, ", "] || Otp =/= <<"-">>], "CWE-", integer_to_list(Cwe),
     [[" <a href=\"", text(Ref), "\">", text(Ref), "</a>"] || Ref <- Refs], "</p>\n"].

text(Text) -> [escaped(C) || C <- unicode:characters_to_list(Text)].

escaped($<) -> "&lt;";
escaped($>) -> "&gt;";
escaped($&) -> "&amp;";
escaped($") -> "&quot;";
escaped($') -> "&#39;";
escaped(C) -> C.

script() -> ["<script>", code(), "</script>\n"].

code() ->
    "const form=document.querySelector('form'),rows=[...document.querySelectorAll('#rows tr')];"
    "function show(){const d=new FormData(form),s=d.getAll('severity'),r=d.get('rule'),t=d.get('text').toLowerCase();let n=0;"
    "for(const row of rows){const ok=s.includes(row.dataset.severity)&&(!r||r===row.dataset.rule)"
    "&&row.textContent.toLowerCase().includes(t);row.hidden=!ok;n+=ok}"
    "document.getElementById('count').textContent=n+' shown'}"
    "form.addEventListener('input',show);form.addEventListener('submit',e=>e.preventDefault());show()".
