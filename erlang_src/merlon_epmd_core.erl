%% SPDX-License-Identifier: Apache-2.0
%% `{epmd, Strategy}` of merlon.config: how a node's port is known without asking OTP's epmd. Pure.
-module(merlon_epmd_core).

-export([check/1, kind/0, own_port/3, place/3, port_of/2, listed/2, srv_name/2, srv_port/3, format_error/1]).
-export_type([strategy/0, reason/0, place/0]).

-type strategy() :: daemon | {port, inet:port_number()} | {base, inet:port_number()} |
                    {static, [{Node :: binary(), Host :: string(), inet:port_number()}]} |
                    {dns_srv, Domain :: string(), [{inet:ip_address(), inet:port_number()}]} |
                    {names, #{port := inet:port_number()}}.
%% Where a node is, or whom to ask.
-type place() :: {at, Host :: string(), inet:port_number()} | none | ask.
-type reason() :: {no_own_port, strategy(), Node :: binary()} | no_carrier.

-define(NAMES_PORT, 4370).
-define(IS_PORT(N), is_integer(N), N > 0, N < 65536).

%% ---- merlon.config ----

-spec check(term()) -> {ok, strategy()} | error.
check(daemon) -> {ok, daemon};
check({Word, Port}) when Word =:= port orelse Word =:= base, ?IS_PORT(Port) -> {ok, {Word, Port}};
check({static, [_ | _] = Given}) -> static([entry(Each) || Each <- Given]);
check({dns_srv, Domain}) -> dns(text(Domain), []);
check({dns_srv, Domain, [{nameserver, Address, Port}]}) when ?IS_PORT(Port) ->
    case text(Address) of
        {ok, Text} -> dns(text(Domain), [{inet:parse_strict_address(Text), Port}]);
        error -> error
    end;
check({names, []}) -> {ok, {names, #{port => ?NAMES_PORT}}};
check({names, [{port, Port}]}) when ?IS_PORT(Port) -> {ok, {names, #{port => Port}}};
check(_) -> error.

entry({Node, Host, Port}) when ?IS_PORT(Port) ->
    case {text(Node), text(Host)} of
        {{ok, Name}, {ok, At}} -> named(string:split(Name, "@", all), Name, At, Port);
        _ -> error
    end;
entry(_) -> error.

named([[_ | _], [_ | _]], Node, Host, Port) -> {unicode:characters_to_binary(Node), Host, Port};
named(_, _, _, _) -> error.

%% A node that is listed twice would be now here and now there.
static(Entries) ->
    Nodes = [Node || {Node, _, _} <- Entries],
    case lists:member(error, Entries) orelse length(lists:usort(Nodes)) =/= length(Nodes) of
        true -> error;
        false -> {ok, {static, Entries}}
    end.

dns({ok, Domain}, []) -> domain(string:trim(Domain, trailing, "."), []);
dns({ok, Domain}, [{{ok, Ip}, Port}]) -> domain(string:trim(Domain, trailing, "."), [{Ip, Port}]);
dns(_, _) -> error.

domain(Text, Nameservers) ->
    case re:run(Text, "\\A[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9_-]{1,63})*\\z", [{capture, none}]) of
        match when length(Text) =< 253 -> {ok, {dns_srv, Text, Nameservers}};
        _ -> error
    end.

text(Atom) when is_atom(Atom) -> {ok, atom_to_list(Atom)};
text(Binary) when is_binary(Binary) -> text(unicode:characters_to_list(Binary));
text([_ | _] = Text) ->
    case io_lib:printable_unicode_list(Text) of
        true -> {ok, Text};
        false -> error
    end;
text(_) -> error.

%% What such a setting may be, for the error.
-spec kind() -> iodata().
kind() ->
    "daemon, {port, N}, {base, N}, {static, [{'NODE@HOST', \"ADDRESS\", N}]} with each node once, {dns_srv, \"DOMAIN\"}, "
    "{dns_srv, \"DOMAIN\", [{nameserver, \"ADDRESS\", N}]}, "
    "{names, []} or {names, [{port, N}]}; N from 1 to 65535".

%% ---- ports ----

%% Where the node that is starting as Name@Host listens; 0: wherever there is room. Only the node whose certificate it
%% is has the port: not a tool, not a name derived from a node's, which nobody dials.
-spec own_port(strategy(), {Name :: binary(), Host :: binary()}, Identity :: tuple()) ->
          {ok, inet:port_number()} | ask | {error, reason()}.
own_port(Strategy, {Name, Host}, {node, _, Name, Host}) ->
    Node = <<Name/binary, $@, Host/binary>>,
    case place(Strategy, unicode:characters_to_list(Name), unicode:characters_to_list(Host)) of
        {at, _, Port} -> {ok, Port};
        ask when element(1, Strategy) =:= dns_srv -> ask;
        ask -> {ok, 0};
        none -> {error, {no_own_port, Strategy, Node}}
    end;
own_port(_Strategy, _Node, _Identity) -> {ok, 0}.

%% Where the node Name@Host is.
-spec place(strategy(), Name :: string(), Host :: string()) -> place().
place({static, Entries}, Name, Host) ->
    case lists:keyfind(unicode:characters_to_binary([Name, $@, Host]), 1, Entries) of
        {_, At, Port} -> {at, At, Port};
        false -> none
    end;
place(Strategy, Name, Host) ->
    case port_of(Strategy, Name) of
        Port when is_integer(Port) -> {at, Host, Port};
        Word -> Word
    end.

%% The port of a node of that name, as far as the name alone says it.
-spec port_of(strategy(), Name :: string()) -> inet:port_number() | none | ask.
port_of({port, Port}, _Name) -> Port;
port_of({base, Base}, Name) ->
    case Base + number(Name) of
        Port when ?IS_PORT(Port) -> Port;
        _ -> none
    end;
port_of({static, Entries}, Name) ->
    case [Port || {Node, _, Port} <- Entries, before(Node) =:= unicode:characters_to_binary(Name)] of
        [Port] -> Port;
        _ -> none
    end;
port_of(_, _Name) -> ask.

before(Node) -> hd(binary:split(Node, <<"@">>)).

%% The digits at the end of the name; none are 0.
number(Name) ->
    Digits = lists:takewhile(fun(C) -> C >= $0 andalso C =< $9 end, lists:reverse(Name)),
    case lists:reverse(Digits) of
        [] -> 0;
        %% Longer ones are no ports, whatever they are.
        Long when length(Long) > 20 -> 65536;
        Number -> list_to_integer(Number)
    end.

%% The nodes that the configuration itself names on that host, and where they would listen.
-spec listed(strategy(), OnHost :: fun((Host :: string()) -> boolean())) ->
          [{Node :: binary(), At :: string(), inet:port_number()}].
listed({static, Entries}, OnHost) ->
    [Entry || {Node, At, _} = Entry <- Entries, [_, Host] <- [binary:split(Node, <<"@">>)],
              OnHost(At) orelse OnHost(unicode:characters_to_list(Host))];
listed(_, _OnHost) -> [].

%% ---- DNS (RFC 2782) ----

%% The node's name is the service: all nodes NAME@... of a domain share one name in DNS, as the pods of a Kubernetes
%% headless service with a port called NAME do.
%% What is no label there has no port: inet_res crashes over it.
-spec srv_name(Name :: string(), Domain :: string()) -> {ok, string()} | none.
srv_name(Name, Domain) ->
    Full = lists:append(["_", Name, "._tcp.", Domain]),
    case re:run(Name, "\\A[A-Za-z0-9_-]{1,62}\\z", [unicode, {capture, none}]) of
        match when length(Full) =< 253 -> {ok, Full};
        _ -> none
    end.

%% Of the records {Priority, Weight, Port, Target} the one whose target is Host, or Host in the domain.
-spec srv_port([{integer(), integer(), inet:port_number(), string()}], Host :: string(), Domain :: string()) ->
          inet:port_number() | none.
srv_port(Records, Host, Domain) ->
    Wanted = [lower(Host), lower(lists:append([Host, ".", Domain]))],
    case lists:sort([{Priority, Port} || {Priority, _, Port, Target} <- Records, ?IS_PORT(Port),
                                         lists:member(lower(Target), Wanted)]) of
        [{_, Port} | _] -> Port;
        [] -> none
    end.

lower(Name) -> string:lowercase(string:trim(Name, trailing, ".")).

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error(no_carrier) ->
    "-epmd_module merlon_epmd is for nodes whose links are merlon's: add -proto_dist merlon, or leave that module out";
format_error({no_own_port, {static, _}, Node}) ->
    ["{epmd, {static, ...}} in merlon.config does not name ", Node, ": add {'", Node, "', \"ADDRESS\", PORT}"];
format_error({no_own_port, {base, Base}, Node}) ->
    ["{epmd, {base, ", integer_to_list(Base), "}} in merlon.config leaves no port for ", Node,
     ": the number at the end of its name is too big; take another name or a smaller base"];
format_error({no_own_port, _, Node}) ->
    ["{epmd, ...} in merlon.config gives ", Node, " no port"].
