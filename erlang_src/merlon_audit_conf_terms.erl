%% SPDX-License-Identifier: Apache-2.0
%% Files of Erlang terms: sys.config, the optfile of TLS distribution, inetrc, rebar.config. They become expressions in
%% abstract format, with lines, and are never evaluated.
-module(merlon_audit_conf_terms).

-export([items/3]).

-import(merlon_audit_expr, [options/1, has_option/3, text/1, find/2, line/1]).

%% What templates leave open.
-define(UNKNOWN, "\\$\\{[^}]*\\}|<%=?.*?%>|\\{\\{.*?\\}\\}").

-spec items(merlon_audit_conf_kind:kind(), binary(), merlon_audit_atoms:budget()) ->
          {ok, [merlon_audit_conf_words:item()]} | {error, merlon_audit_fault:fault()}.
items(Kind, Text, Budget) ->
    Plain = re:replace(Text, ?UNKNOWN, "undefined", [global, dotall, {return, binary}]),
    case merlon_audit_atoms:has_room(Plain, Budget) of
        true ->
            case parsed(Plain) of
                {ok, Exprs} -> {ok, lists:flatmap(fun(Expr) -> found(Kind, Expr) end, Exprs)};
                {error, _} = Error -> Error
            end;
        false -> {error, atoms}
    end.

parsed(Text) ->
    %% merlon: allow dynamic_atom until 2027-11-30 because merlon_audit_atoms has counted the words of the text before
    case erl_scan:string(characters(Text), 1) of
        {ok, Tokens, _} -> terms(Tokens, []);
        {error, {Line, _, _}, _} -> syntax(Line)
    end.

characters(Text) ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> Characters;
        _ -> binary_to_list(Text)
    end.

terms([], Acc) -> {ok, lists:reverse(Acc)};
terms(Tokens, Acc) ->
    case lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Tokens) of
        {Term, [Dot | Rest]} ->
            case erl_parse:parse_exprs(Term ++ [Dot]) of
                {ok, [Expr]} -> terms(Rest, [Expr | Acc]);
                {ok, _} -> syntax(element(2, Dot));
                {error, {Line, _, _}} -> syntax(Line)
            end;
        {[First | _], []} -> syntax(element(2, First))
    end.

syntax(Line) -> {error, {syntax, max(1, line(Line)), "it is no list of Erlang terms that end in a dot"}}.

%% ---- what is in it ----

found(optfile, Expr) -> optfile(Expr) ++ others(Expr);
found(inetrc, Expr) -> inetrc(Expr);
found(rebar, Expr) -> rebar(Expr) ++ others(Expr);
found(sys_config, Expr) -> settings(Expr) ++ servers(Expr) ++ others(Expr).

%% Options and lists that the rules about code know too, wherever they stand.
others(Expr) ->
    Pick = fun({tuple, _, [{atom, Line, Name}, Value]}) when Name =:= verify; Name =:= keep_secrets; Name =:= versions;
                                                            Name =:= ciphers ->
                   [{Line, Found} || Found <- merlon_audit_checks:others(#{kind => option, name => Name,
                                                                           resolved => [Value]})];
              ({cons, Line, _, _} = List) -> [{Line, Found} || Found <- topology(List)];
              (_) -> []
           end,
    lists:usort([{found, line(Line), Rule, What}
                 || {Line, {Rule, What}} <- merlon_audit_expr:find_all(Pick, Expr, 100000)]).

topology(List) ->
    {Elements, _} = merlon_audit_expr:elements(List),
    merlon_audit_checks:others(#{kind => list, resolved => Elements}).

%% ---- the optfile ----

optfile(Expr) ->
    {Roles, _} = options(Expr),
    lists:append([role(Role, Value) || {Role, Value} <- Roles, Value =/= true])
        ++ [{setting, line(element(2, Expr)), optfile, Role} || {Role, _} <- Roles].

role(server, Options) ->
    Line = line(element(2, Options)),
    [{found, Line, tls_verify_none, <<"no verify for the server, which then takes any client">>}
     || is_without(verify, Options)]
        ++ lets_in(Options)
        ++ [{found, Line, tls_no_versions, <<"no versions: the distribution then speaks TLS 1.2 only">>}
            || is_without(versions, Options)] ++ certificate(Options);
role(client, Options) ->
    [{found, line(element(2, Options)), tls_verify_none, <<"no verify for the client: before OTP 26 it takes any server">>}
     || is_without(verify, Options)] ++ certificate(Options);
role(_, _) -> [].

is_without(Name, Options) ->
    {Known, _} = options(Options),
    not lists:keymember(Name, 1, Known).

lets_in(Options) ->
    [{found, line(element(2, Options)), tls_client_cert, <<"verify_peer without fail_if_no_peer_cert">>}
     || has_option(verify, verify_peer, Options), not has_option(fail_if_no_peer_cert, true, Options)].

certificate(Options) ->
    {Known, _} = options(Options),
    [{setting, line(element(2, Value)), certfile, text(Value)}
     || {certfile, Value} <- Known, is_tuple(Value), is_binary(text(Value))]
        ++ [{setting, line(element(2, Options)), tls13, true} || {versions, Value} <- Known, has_tls13(Value)]
        ++ [{setting, line(element(2, Options)), tickets, true} || {session_tickets, Value} <- Known, is_tuple(Value), text(Value) =/= <<"disabled">>]
        ++ [{setting, line(element(2, Options)), sni, true} || {Name, _} <- Known, Name =:= sni_hosts orelse Name =:= sni_fun].

has_tls13(Value) -> [] =/= find(fun({atom, _, 'tlsv1.3'}) -> [yes]; (_) -> [] end, Value).

%% ---- sys.config ----

settings(Expr) ->
    Kernel = find(fun({tuple, _, [{atom, _, kernel}, Value]}) -> [Value]; (_) -> [] end, Expr),
    lists:append([kernel(Value) || Value <- Kernel]).

kernel(Value) ->
    {Known, _} = options(Value),
    [{setting, line(element(2, V)), Name, merlon_audit_conf_rules:address(V)}
     || {inet_dist_use_interface = Name, V} <- Known, is_tuple(V)]
        ++ [{setting, line(element(2, V)), check_ip, true} || {check_ip, {atom, _, true} = V} <- Known].

%% Listeners of other applications, such as RabbitMQ's ssl_options.
servers(Expr) ->
    Listeners = find(fun({tuple, _, [{atom, _, Name}, {cons, _, _, _} = Options]})
                           when Name =:= ssl_options; Name =:= ssl_opts; Name =:= tls_options -> [Options];
                        (_) -> []
                     end, Expr),
    lists:flatmap(fun explicit/1, Listeners).

%% There the default is the application's own: only what is switched off by hand.
explicit(Options) ->
    [{found, line(element(2, Options)), tls_client_cert, <<"verify_peer with {fail_if_no_peer_cert, false}">>}
     || has_option(verify, verify_peer, Options), has_option(fail_if_no_peer_cert, false, Options)].

%% ---- inetrc ----

inetrc({tuple, Anno, [{atom, _, lookup}, Ways]}) ->
    [{found, line(Anno), inetrc_dns, <<"dns in {lookup, ...}">>}
     || find(fun({atom, _, dns}) -> [yes]; (_) -> [] end, Ways) =/= []];
inetrc(_) -> [].

%% ---- rebar.config ----

rebar(Expr) ->
    cookies(Expr) ++ find(fun({tuple, _, [{atom, _, release}, {tuple, _, _}, Applications | _]}) -> tools(Applications);
                             (_) -> []
                          end, Expr) ++ relx(Expr).

cookies(Expr) ->
    find(fun({tuple, _, [{atom, Line, setcookie}, Value]}) ->
                 [{cookie, line(Line), Cookie} || Cookie <- [text(Value)], is_binary(Cookie)];
            (_) -> []
         end, Expr).

tools(Applications) ->
    [{found, line(Line), prod_tool, atom_to_binary(Tool)}
     || {atom, Line, Tool} <- find(fun({atom, _, _} = Atom) -> [Atom]; (_) -> [] end, Applications),
        lists:member(Tool, [observer, debugger, wx, et])].

%% A release's own mode; a profile for production may say otherwise elsewhere in the file.
relx({tuple, _, [{atom, _, relx}, Options]}) -> [{setting, 1, dev_mode, Line} || Line <- dev_mode(Options)];
relx({tuple, _, [{atom, _, profiles}, Profiles]}) ->
    {Known, _} = options(Profiles),
    lists:append([profile(Name, Options) || {Name, Options} <- Known, is_tuple(Options)]);
relx(_) -> [].

profile(prod, Options) ->
    [{found, Line, interactive_mode, <<"a development release in the profile prod">>} || Line <- dev_mode(Options)]
        ++ [{setting, 1, prod_profile, true}];
profile(_, _) -> [].

dev_mode(Options) ->
    find(fun({tuple, _, [{atom, Line, mode}, {atom, _, dev}]}) -> [line(Line)];
            ({tuple, _, [{atom, Line, dev_mode}, {atom, _, true}]}) -> [line(Line)];
            (_) -> []
         end, Options).
