%% SPDX-License-Identifier: Apache-2.0
%% What the items of one file are findings of, without a look at other files (that is merlon_audit_conf_joined).
-module(merlon_audit_conf_rules).

-export([findings/2, cookies/1, address/1, is_cookie_name/1]).
-export_type([found/0]).

-type found() :: {Line :: non_neg_integer(), merlon_audit_rules:id(), What :: binary()}.

%% Ports that lead to the distribution: epmd, and RabbitMQ's own.
-define(PORTS, #{4369 => <<"port 4369 of epmd is published">>, 25672 => <<"port 25672 of RabbitMQ's distribution is published">>}).

%% Names: what a cookie may be derived from.
-spec findings([merlon_audit_conf_words:item()], Names :: [binary()]) -> [found()].
findings(Items, Names) ->
    Tools = [Scope || {flag, _, Name, Args, {command, _} = Scope} <- Items, is_tool(Name, [Word || {_, Word} <- Args])],
    lists:append([item(Item) || Item <- Items, not is_mode_of(Tools, Item)]) ++ weak(cookies(Items), Names) ++ modes(Items).

%% A remote shell, or what ends by itself: no node that anybody can make load code.
is_tool(<<"-remsh">>, _) -> true;
is_tool(<<"-dist_listen">>, [<<"false">> | _]) -> true;
is_tool(<<"-eval">>, Words) -> lists:any(fun(Word) -> binary:match(Word, <<"halt(">>) =/= nomatch end, Words);
is_tool(_, _) -> false.

is_mode_of(Tools, {flag, _, <<"-mode">>, _, Scope}) -> lists:member(Scope, Tools);
is_mode_of(_, _) -> false.

item({found, Line, Rule, What}) -> [{Line, Rule, What}];
item({cookie, Line, _}) -> [{Line, cookie_literal, <<"a cookie as text">>}];
item({flag, Line, <<"-setcookie">>, Args, Scope}) -> setcookie(Line, cookie_word(Args), Scope);
item({flag, Line, <<"-mode">>, [{_, <<"interactive">>} | _], _}) -> [{Line, interactive_mode, <<"-mode interactive">>}];
item({flag, Line, <<"-kernel">>, Args, _}) -> kernel([Word || {_, Word} <- Args], Line);
item({flag, Line, <<"-env">>, [{_, Name}, {_, Value} | _], _}) -> env(Name, merlon_audit_conf_words:value(Value), Line);
item({env, Line, Name, Value}) -> env(Name, Value, Line);
item({port, Line, Port}) -> [{Line, epmd_open, maps:get(Port, ?PORTS)} || is_map_key(Port, ?PORTS)];
item({setting, Line, inet_dist_use_interface, any}) -> [{Line, dist_interface, <<"all addresses, by hand">>}];
item(_) -> [].

setcookie(_Line, none, _Scope) -> [];
setcookie(_Line, {At, Cookie}, Scope) ->
    case merlon_audit_conf_words:value(Cookie) of
        reference -> [{At, cookie_argv, <<"-setcookie">>}];
        <<"nocookie">> -> [];
        _ -> [{At, cookie_literal, where(Scope)}]
    end.

where(file) -> <<"-setcookie in a file of arguments, which ps shows too">>;
where({env, Name}) -> <<"-setcookie in ", Name/binary>>;
where({command, _}) -> <<"-setcookie on a command line, which ps shows too">>.

%% -setcookie Cookie, and -setcookie Node Cookie of OTP 25 and newer.
cookie_word([Cookie]) -> Cookie;
cookie_word([_, Cookie]) -> Cookie;
cookie_word([Cookie | _]) -> Cookie;
cookie_word([]) -> none.

kernel([<<"inet_dist_use_interface">>, Address | Rest], Line) ->
    [{Line, dist_interface, <<"all addresses, by hand">>} || address(Address) =:= any] ++ kernel(Rest, Line);
kernel([_ | Rest], Line) -> kernel(Rest, Line);
kernel([], _Line) -> [].

env(Name, Value, Line) ->
    case is_cookie_name(Name) of
        true when Value =:= reference -> [{Line, cookie_env, Name}];
        true -> [{Line, cookie_literal, Name}];
        false -> variable(Name, Value, Line)
    end.

variable(<<"RELEASE_MODE">>, <<"interactive">>, Line) -> [{Line, interactive_mode, <<"RELEASE_MODE=interactive">>}];
variable(<<"ERL_EPMD_ADDRESS">>, Value, Line) when is_binary(Value) ->
    [{Line, epmd_open, <<"ERL_EPMD_ADDRESS is all addresses">>}
     || lists:any(fun(Address) -> lists:member(Address, [<<"0.0.0.0">>, <<"::">>, <<"[::]">>]) end,
                  binary:split(Value, <<",">>, [global]))];
variable(<<"ERL_CRASH_DUMP">>, Value, Line) when is_binary(Value) ->
    [{Line, crash_dump, <<"the crash dump goes where all users of the host read">>}
     || re:run(Value, "^/(tmp|var/tmp|dev/shm)(/|$)", [{capture, none}]) =:= match];
variable(_, _, _) -> [].

%% Variables that hold the cookie of a node, not of a browser.
-spec is_cookie_name(binary()) -> boolean().
is_cookie_name(Name) ->
    re:run(Name, "^((RELEASE|ERL|ERLANG|NODE|LIVEBOOK|EJABBERD|COUCHDB|EMQX|VERNEMQ|DIST|DISTRIBUTION)_COOKIE|[A-Z0-9_]*_(ERLANG|NODE_|DISTRIBUTED|DIST)_?COOKIE|DOCKER_VERNEMQ_DISTRIBUTED_COOKIE|SETCOOKIE)$",
           [{capture, none}]) =:= match.

%% An address: all of them, only this host, or one that is neither. As text or as an expression.
-spec address(binary() | term()) -> any | loopback | other.
address(Text) when is_binary(Text) ->
    case re:replace(Text, "[^0-9,.:]", "", [global, {return, binary}]) of
        <<"0,0,0,0">> -> any;
        <<"0,0,0,0,0,0,0,0">> -> any;
        <<"127,", _/binary>> -> loopback;
        <<"0,0,0,0,0,0,0,1">> -> loopback;
        _ -> other
    end;
address({tuple, _, Elements}) ->
    address(iolist_to_binary(lists:join($,, [integer_to_binary(N) || {integer, _, N} <- Elements])));
address(_) -> other.

%% ---- cookies ----

%% Those that stand in the file.
-spec cookies([merlon_audit_conf_words:item()]) -> [{pos_integer(), binary()}].
cookies(Items) -> lists:usort(lists:append([cookie(Item) || Item <- Items])).

cookie({Kind, Line, Cookie}) when Kind =:= cookie; Kind =:= kept -> [{Line, Cookie}];
cookie({flag, _, <<"-setcookie">>, [_ | _] = Args, _}) ->
    {Line, Word} = cookie_word(Args),
    known(Line, merlon_audit_conf_words:value(Word));
cookie({env, Line, Name, Value}) -> [Known || is_cookie_name(Name), Known <- known(Line, Value)];
cookie(_) -> [].

known(_Line, reference) -> [];
known(_Line, <<"nocookie">>) -> [];
known(Line, Cookie) -> [{Line, Cookie}].

weak(Cookies, Names) -> lists:append([judged(Line, merlon_cookie:analyse(Cookie, #{names => Names})) || {Line, Cookie} <- Cookies]).

judged(_Line, #{class := fine}) -> [];
judged(Line, Report) -> [{Line, cookie_weak, iolist_to_binary(merlon_cookie_text:worth(Report))}].

%% ---- rebar.config ----

modes(Items) ->
    [{Line, interactive_mode, <<"a development release, and no profile for production">>}
     || {setting, _, dev_mode, Line} <- Items, not lists:keymember(prod_profile, 3, Items)].
