%% SPDX-License-Identifier: Apache-2.0
%% Who may link without merlon while a cluster moves to it: the setting `interop` of merlon.config. Nodes of OTP's inet_tls with a
%% certificate of the trusted CAs; plain TCP only from the networks, until the day and (dialled) to the nodes that it names.
%% Neither with a node that has linked over merlon before (merlon_linked).
-module(merlon_interop).

-export([none/0, check/1, format/0, is_on/0, admits/1, dials/1, takes_inet_tls/0, dials_inet_tls/1, may_claim/2, told/1, until/0]).
-export_type([interop/0, carrier/0]).

-type carrier() :: merlon | inet_tls | plain.
%% `until`: the first second, since 1970, that is too late.
-type interop() :: #{inet_tls := boolean(),
                     plain := none | #{allow := [merlon_cidr:cidr()], until := integer(), nodes := [binary()]}}.
-type failure() :: #{phase := tls | dist, reason := atom(), text := binary(), claimed => binary()}.

-define(DAY, 86400).
-define(EPOCH, 62167219200).   % of the Gregorian calendar, in seconds

%% ---- the setting ----

%% Nobody.
-spec none() -> interop().
none() -> #{inet_tls => false, plain => none}.

-spec check(term()) -> {ok, interop()} | error.
check(Value) ->
    try several([part(Each) || Each <- parts(Value)])
    catch error:_ -> error   % a list without an end, a character in it that is none
    end.

parts([_ | _] = Several) -> Several;
parts(One) -> [One].

several(Parts) ->
    Given = maps:from_list([Part || {_, _} = Part <- Parts]),
    case map_size(Given) =:= length(Parts) of
        true -> {ok, maps:merge(none(), Given)};
        false -> error
    end.

part(inet_tls) -> {inet_tls, true};
part({plain, Opts}) when is_list(Opts) ->
    case [Key || {Key, _} <- Opts] of
        Keys when length(Keys) =:= length(Opts) -> plain(lists:sort(Keys), maps:from_list(Opts));
        _ -> error
    end;
part(_) -> error.

plain([allow, nodes, until], #{nodes := Nodes} = Opts) when is_list(Nodes) ->
    between(Opts, [name(Node) || Node <- Nodes]);
plain([allow, until], Opts) -> between(Opts, []);
plain(_, _) -> error.

between(#{allow := Allow, until := Until}, Names) ->
    case {[network(Each) || Each <- listed(Allow)], last_day(Until)} of
        {[_ | _] = Networks, {ok, Day}} ->
            case lists:member(error, Networks ++ Names) of
                true -> error;
                false -> {plain, #{allow => [Network || {ok, Network} <- Networks],
                                   until => (Day + 1) * ?DAY - ?EPOCH, nodes => Names}}
            end;
        _ -> error
    end.

listed([Char | _] = Text) when is_integer(Char) -> [Text];
listed(Text) when is_binary(Text) -> [Text];
listed(List) when is_list(List) -> List;
listed(_) -> [].

network(Text) ->
    case text(Text) of
        {ok, Bytes} -> merlon_cidr:parse(Bytes);
        error -> error
    end.

name(Node) when is_atom(Node) -> name(atom_to_binary(Node));
name(Node) ->
    case text(Node) of
        {ok, Name} -> with_host(Name, binary:split(Name, <<"@">>, [global]));
        error -> error
    end.

with_host(Name, [<<_, _/binary>>, <<_, _/binary>>]) -> Name;
with_host(_, _) -> error.

text(Text) when is_binary(Text); is_list(Text) ->
    try unicode:characters_to_binary(Text) of
        Bytes when is_binary(Bytes) -> {ok, Bytes};
        _ -> error
    catch error:badarg -> error
    end;
text(_) -> error.

%% {2027,1,31} or "2027-01-31": the last day on which it counts (UTC), as the calendar counts days.
last_day({Year, _, _} = Date) when is_integer(Year), Year >= 1970, Year < 10000 ->
    try calendar:valid_date(Date) andalso {ok, calendar:date_to_gregorian_days(Date)} of
        false -> error;
        Day -> Day
    catch error:_ -> error
    end;
last_day(Text) when is_list(Text); is_binary(Text) ->
    case re:run(Text, "\\A(\\d{4})-(\\d\\d)-(\\d\\d)\\z", [{capture, all_but_first, list}]) of
        {match, Parts} -> last_day(list_to_tuple([list_to_integer(Part) || Part <- Parts]));
        nomatch -> error
    end;
last_day(_) -> error.

%% What the setting has to look like.
-spec format() -> iodata().
format() ->
    "inet_tls, or {plain, [{allow, [\"10.0.0.0/8\"]}, {until, {Year, Month, Day}}, {nodes, [\"name@host\"]}]}: networks that may come "
        "without TLS, the last day on which they may, and the nodes that are dialled without (nodes may be left out); or a list "
        "of both".

%% ---- what it lets happen ----

%% Whether anybody without TLS is let in at all.
-spec is_on() -> boolean().
is_on() -> setting() =/= none.

%% Whether nodes of inet_tls are let in.
-spec takes_inet_tls() -> boolean().
takes_inet_tls() ->
    #{interop := #{inet_tls := Taken}} = merlon_node:config(),
    Taken.

%% Whether Node may turn out to be one when it is dialled.
-spec dials_inet_tls(node()) -> boolean().
dials_inet_tls(Node) ->
    takes_inet_tls() andalso may_claim(atom_to_binary(Node), inet_tls) =:= ok.

%% The last day is over at that second; only while is_on/0.
-spec until() -> integer().
until() -> maps:get(until, setting()).

%% Whether somebody who speaks without TLS is listened to.
-spec admits(inet:ip_address()) -> ok | {error, failure()}.
admits(Ip) ->
    case setting() of
        #{allow := Allow, until := Until} -> admits(merlon_cidr:member(Ip, Allow), Until);
        none -> admits(false, 0)   % taken out since the first byte came
    end.

admits(true, Until) -> in_time(Until);
admits(false, _) ->
    {error, #{phase => tls, reason => plain_denied,
              text => <<"it speaks plain distribution, and interop in merlon.config lets nobody in without TLS from its address">>}}.

in_time(Until) ->
    case is_over(Until) of
        false -> ok;
        true -> {error, #{phase => tls, reason => plain_over,
                          text => iolist_to_binary(["it speaks plain distribution, and interop in merlon.config has let "
                                                    "nodes in without TLS until ", merlon_text:date(Until)])}}
    end.

is_over(Until) -> erlang:system_time(second) >= Until.

%% Whether the node of that name may link without merlon.
-spec may_claim(Name :: binary(), plain | inet_tls) -> ok | {error, failure()}.
may_claim(Name, Carrier) ->
    case merlon_linked:is_known(Name, Carrier) of
        false -> ok;
        true -> {error, #{phase => dist, reason => downgrade, claimed => Name,
                          text => <<"a node of this name has linked in a safer way before, and gets no lesser link: start it "
                                    "with -proto_dist merlon, or see linked-nodes in the guide to migration">>}}
    end.

%% Whether Node is dialled without TLS when it does not answer with.
-spec dials(node()) -> boolean().
dials(Node) ->
    Name = atom_to_binary(Node),
    case setting() of
        #{nodes := Nodes, until := Until} -> lists:member(Name, Nodes) andalso not is_over(Until) andalso may_claim(Name, plain) =:= ok;
        none -> false
    end.

setting() ->
    #{interop := #{plain := Plain}} = merlon_node:config(),
    Plain.

%% How loud the log is about a new link, and what it says.
-spec told(map()) -> {info | warning, #{text => binary()}}.
told(#{carrier := plain}) ->
    {warning, #{text => <<"not encrypted, and the cookie alone has proven the peer: interop in merlon.config lets it be">>}};
told(#{carrier := inet_tls, identity := {hosts, Hosts}}) ->
    {warning, #{text => iolist_to_binary(["inet_tls: the peer's certificate and the cookie have proven a node of ",
                                          lists:join(", ", Hosts), ", and not which one"])}};
told(_) -> {info, #{}}.
