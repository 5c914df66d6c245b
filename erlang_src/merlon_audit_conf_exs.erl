%% SPDX-License-Identifier: Apache-2.0
%% mix.exs and config/*.exs as text: the few settings that decide about the distribution, one on a line. What their code does
%% is for the scanner of code, which `mix merlon.audit` hands Elixir's parser.
-module(merlon_audit_conf_exs).

-export([items/2]).

-spec items(mix | exs, binary()) -> [merlon_audit_conf_words:item()].
items(Kind, Text) ->
    lists:append([line(Kind, Line, N) || {N, Line} <- merlon_audit_conf_shell:raw(Text), not is_comment(string:trim(Line))]).

is_comment(<<$#, _/binary>>) -> true;
is_comment(_) -> false.

%% `cookie: "..."` of a release in mix.exs, `set cookie: :"..."` of Distillery.
line(mix, Line, N) ->
    case re:run(Line, "(?:^|[\\[({,\\s])(?:cookie:|:cookie\\s*=>|:cookie,)\\s*:?\"([^\"#]*)\"", [{capture, [1], binary}]) of
        {match, [Cookie]} -> [{cookie, N, Cookie}];
        nomatch -> []
    end;
line(exs, Line, N) ->
    [{setting, N, inet_dist_use_interface, address(Address)}
     || {match, [Address]} <- [re:run(Line, "inet_dist_use_interface:\\s*(\\{[^}]*\\})", [{capture, [1], binary}])]]
        ++ [{setting, N, check_ip, true} || re:run(Line, "\\bcheck_ip:\\s*true", [{capture, none}]) =:= match].

address(Text) -> merlon_audit_conf_rules:address(Text).
