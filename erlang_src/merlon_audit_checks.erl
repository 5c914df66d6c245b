%% SPDX-License-Identifier: Apache-2.0
%% Does the rule hold at this place? What the arguments say beyond how they came to be: options, programs, names.
-module(merlon_audit_checks).

-export([check/2, others/1, is_assembled/1]).

-import(merlon_audit_expr, [options/1, has_option/3, text/1, words/1, find/2, is_literal/1]).

%% Rounds of PBKDF2 below which a GPU farm gets somewhere (OWASP: 600,000 with SHA-256).
-define(ROUNDS, 100000).
-define(SHELLS, [<<"sh">>, <<"bash">>, <<"dash">>, <<"zsh">>, <<"ksh">>, <<"cmd">>, <<"cmd.exe">>, <<"powershell">>,
                 <<"env">>, <<"su">>, <<"sudo">>, <<"ssh">>]).
-define(TOOLS, [observer, debugger, et, wx, os_mon, runtime_tools, reltool, common_test, tools]).
-define(DISCOVERY, [{<<"Cluster.Strategy.Gossip">>, gossip}, {<<"Cluster.Strategy.DNSPoll">>, dns_discovery},
                    {<<"Cluster.Strategy.Kubernetes.DNS">>, dns_discovery},
                    {<<"Cluster.Strategy.Kubernetes.DNSSRV">>, dns_discovery}]).

%% By the name that merlon_audit_sinks gives.
-spec check(atom(), merlon_audit_flow:site()) -> boolean().
check(always, _Site) -> true;
check(is_unsafe_decode, Site) -> not is_safe(arg(2, Site));
check(is_safe_decode, Site) -> is_safe(arg(2, Site));
check(has_entities, Site) -> not has_option(disallow_entities, true, arg(2, Site));
check(is_public_secret, Site) -> is_public_secret(arg(1, Site), arg(2, Site));
check(makes_atoms, Site) -> not has_option(existing_atoms_only, true, arg(2, Site)) andalso
                                not has_key(static_atoms_encoder, arg(2, Site));
check(has_atom_keys, Site) -> has_atom_keys(arg(2, Site));
check(is_shell, Site) -> is_shell(arg(1, Site));
check(is_spawn, Site) -> spawned(Site) =:= spawn;
check(is_spawn_executable, Site) -> spawned(Site) =:= spawn_executable;
check(is_spawned_shell, Site) -> spawned(Site) =:= spawn_executable andalso is_shell(program(arg(1, Site)));
check(is_not_nocookie, #{args := Args}) -> text(lists:last(Args)) =/= <<"nocookie">>;
check(is_own_resolver, Site) -> not is_globals_own(arg(3, Site));
check(lets_strangers_in, Site) -> lets_strangers_in(last_list(Site));
check(has_no_versions, Site) -> is_complete_without(versions, last_list(Site));
check(is_anonymous, Site) -> lists:member(text(arg(1, Site)), [<<"all">>, <<"anonymous">>, <<"exclusive_anonymous">>]);
check(is_password, #{args := Args}) -> lists:any(fun is_password_name/1, words(Args));
check(has_few_rounds, Site) -> has_few_rounds(arg(4, Site));
check(is_pkcs1, Site) -> is_pkcs1(arg(3, Site), arg(4, Site));
check(is_insecure, Site) -> is_insecure(last_list(Site));
check(is_tool, Site) -> [] =/= [Tool || Tool <- atoms(arg(1, Site)), lists:member(Tool, ?TOOLS)].

arg(N, #{resolved := Args}) when length(Args) >= N -> lists:nth(N, Args);
arg(_, _) -> none.

%% ---- what is not a call ----

%% The rule of a place that is an option, a list or a comparison, and what to call it.
-spec others(merlon_audit_flow:site() |
             #{kind := option | list, name => atom(), resolved := [merlon_audit_flow:expr()]}) -> [{merlon_audit_rules:id(), What :: binary()}].
others(#{kind := option, name := Name, resolved := [Value]}) -> option(Name, Value);
others(#{kind := list, resolved := Elements}) -> discovery(Elements);
others(#{kind := compare, args := [A, B], resolved := [X, Y]} = Site) ->
    case is_secret_compared(A, B) orelse is_mac_compared(X, Y) of
        true -> [{timing_compare, atom_to_binary(maps:get(name, Site))}];
        false -> []
    end.

option(verify, Value) -> [{tls_verify_none, <<"verify_none">>} || text(Value) =:= <<"verify_none">>];
option(keep_secrets, Value) -> [{tls_keep_secrets, <<"keep_secrets">>} || text(Value) =:= <<"true">>];
option(versions, Value) ->
    Old = [V || V <- texts(Value), lists:member(V, [<<"sslv3">>, <<"tlsv1">>, <<"tlsv1.1">>])],
    [{tls_versions, hd(Old)} || Old =/= []];
option(ciphers, Value) ->
    Weak = [Cipher || Cipher <- texts(Value), is_weak(Cipher)],
    [{tls_ciphers, hd(Weak)} || Weak =/= []];
option(hackney, Value) -> [{tls_verify_none, <<"insecure">>} || is_insecure(Value)];
option(extra_applications, Value) ->
    Tools = [Tool || Tool <- atoms(Value), lists:member(Tool, [observer, debugger, wx, et])],
    [{prod_tool, atom_to_binary(hd(Tools))} || Tools =/= []].

%% hackney's word for no check at all.
is_insecure(Options) -> has_option(insecure, true, Options).

is_weak(Cipher) ->
    re:run(Cipher, "RC4|(^|[-_])DES[-_]|3DES|DES-CBC|NULL|EXP(ORT)?[-_]|anon|ADH|AECDH|[-_]MD5|rc4_128|des_cbc|null",
           [{capture, none}]) =:= match.

texts(Expr) ->
    Found = find(fun({atom, _, _} = Atom) -> [text(Atom)];
                    ({string, _, _} = String) -> [text(String)];
                    (_) -> []
                 end, Expr),
    lists:flatmap(fun(Text) when is_binary(Text) -> binary:split(Text, [<<":">>, <<",">>], [global, trim_all]);
                     (_) -> []
                  end, Found).

atoms(Expr) -> find(fun({atom, _, Atom}) -> [Atom]; (_) -> [] end, Expr).

discovery(Elements) ->
    [{Rule, Name} || {tuple, _, [{atom, _, strategy}, Strategy]} <- Elements,
                     {Name, Rule} <- ?DISCOVERY, module_name(Strategy) =:= Name,
                     Rule =/= gossip orelse not has_secret(Elements)].

module_name(Expr) ->
    case text(Expr) of
        <<"Elixir", $., Name/binary>> -> Name;
        Text -> Text
    end.

has_secret(Elements) ->
    [] =/= find(fun({tuple, _, [{atom, _, secret}, Value]}) -> [Value || text(Value) =/= <<"nil">>]; (_) -> [] end,
                Elements).

%% ---- terms and commands ----

is_safe(Options) ->
    {Known, _} = options(Options),
    lists:keymember(safe, 1, Known).

%% Version and tag are literals, and the tag is of no term that has others in it: atoms, pids, ports, references, numbers.
-spec is_assembled(merlon_audit_flow:site()) -> boolean().
is_assembled(Site) ->
    case arg(1, Site) of
        {bin, _, [{bin_element, _, {integer, _, 131}, _, _}, {bin_element, _, {integer, _, Tag}, _, _} | _]} ->
            lists:member(Tag, [70, 88, 89, 90, 97, 98, 100, 101, 102, 103, 109, 114, 118, 119, 120]);
        _ -> false
    end.

is_public_secret(Name, Options) ->
    {Known, _} = options(Options),
    Text = text(Name),
    lists:keymember(public, 1, Known) andalso is_binary(Text) andalso is_secret_name(string:lowercase(Text)).

is_secret_name(Name) ->
    re:run(Name, "secret|passw|token|credential|api_?key|private_?key|cookie|session", [{capture, none}]) =:= match.

has_key(Key, Expr) ->
    {Known, _} = options(Expr),
    lists:keymember(Key, 1, Known).

%% In a list, or in a map as Poison takes them.
has_atom_keys(Expr) ->
    Known = find(fun({tuple, _, [{atom, _, Key}, Value]}) -> [{Key, Value}];
                    ({map_field_assoc, _, {atom, _, Key}, Value}) -> [{Key, Value}];
                    (_) -> []
                 end, Expr),
    lists:any(fun({Key, Value}) ->
                  lists:member(Key, [keys, labels, object_keys]) andalso
                      lists:member(text(Value), [<<"atom">>, <<"atoms">>, <<"attempt_atom">>])
              end, Known).

is_shell(Expr) ->
    case text(Expr) of
        Text when is_binary(Text) -> lists:member(filename:basename(Text), ?SHELLS);
        none -> false
    end.

spawned(#{resolved := [{tuple, _, [{atom, _, Kind}, _]} | _]}) -> Kind;
spawned(_) -> unknown.

program({tuple, _, [_, Program]}) -> Program;
program(_) -> none.

%% ---- nodes ----

is_globals_own({'fun', _, {function, {atom, _, global}, _, _}}) -> true;
is_globals_own({tuple, _, [{atom, _, global}, _]}) -> true;
is_globals_own(_) -> false.

%% ---- TLS ----

%% Options stand last, or before a timeout.
last_list(#{resolved := Args}) ->
    case lists:filter(fun is_list_expr/1, Args) of
        [] -> none;
        Lists -> lists:last(Lists)
    end.

is_list_expr({cons, _, _, _}) -> true;
is_list_expr({nil, _}) -> true;
is_list_expr({op, _, '++', _, _}) -> true;
is_list_expr(_) -> false.

%% Only when all options are seen: one that is not may be the one that is missed.
lets_strangers_in(Expr) ->
    has_option(verify, verify_peer, Expr) andalso is_complete(Expr)
        andalso not has_option(fail_if_no_peer_cert, true, Expr).

is_complete_without(Name, Expr) -> is_complete(Expr) andalso not has_key(Name, Expr).

is_complete(none) -> false;
is_complete(Expr) ->
    {Known, Complete} = options(Expr),
    Complete andalso Known =/= [].

%% ---- cryptography ----

is_password_name(Name) ->
    re:run(Name, "passw(or)?d|passphrase|^pass$|^pw$|_pw$|^pwd$", [{capture, none}]) =:= match
        andalso re:run(Name, "hash|file|len|count|type", [{capture, none}]) =:= nomatch.

has_few_rounds({integer, _, Rounds}) -> Rounds < ?ROUNDS;
has_few_rounds(_) -> false.

%% public_key's functions without options pad so by default.
is_pkcs1(none, none) -> true;
is_pkcs1(Options, none) -> is_pkcs1(Options);
is_pkcs1(_, Options) -> is_pkcs1(Options).

is_pkcs1(Expr) -> lists:member(rsa_pkcs1_padding, atoms(Expr)).

%% Names on both sides: a literal or a constant is compared as a kind, not as a guess.
is_secret_compared(A, B) ->
    not is_literal(A) andalso not is_literal(B) andalso (is_guessed(A) orelse is_guessed(B)).

is_guessed(Expr) ->
    case merlon_audit_expr:name(Expr) of
        none -> false;
        Name ->
            re:run(string:lowercase(Name),
                   "^_?(\\w*_)?(secret|password|passwd|passphrase|hmac|mac|signature|api_?key|csrf_?token|auth_?token)\\d*$"
                   "|^(\\w*)(secret|password|hmac|signature)\\d*$", [{capture, none}]) =:= match
    end.

is_mac_compared(A, B) ->
    Mac = [{crypto, mac}, {crypto, macN}, {crypto, hmac}, {crypto, pbkdf2_hmac}],
    (is_call(Mac, A) andalso not is_literal(B)) orelse (is_call(Mac, B) andalso not is_literal(A)).

is_call(Functions, {call, _, {remote, _, {atom, _, M}, {atom, _, F}}, _}) -> lists:member({M, F}, Functions);
is_call(_, _) -> false.
