%% SPDX-License-Identifier: Apache-2.0
%% The names of a host: messages of the name service, and the table that its keeper has. Pure.
-module(merlon_names_core).

-export([request/1, read_request/1, answer/1, read_answer/1]).
-export([new/0, enter/3, left/2, sessions/1, find/3, list/2, parts/1, format_error/1]).
-export_type([request/0, answer/0, table/0, entry/0, identity/0, reason/0]).

%% A name is NAME@HOST; who asks may leave the host out.
-type request() :: {register, Name :: binary(), inet:port_number()} | {find, Name :: binary()} | list.
-type answer() :: registered | {port, inet:port_number()} | {names, [{Name :: binary(), inet:port_number()}]} |
                  {refused, refusal()}.
%% `unknown` is said of what there is not and of what is not for the asker.
-type refusal() :: malformed | not_yours | not_here | taken | full | unknown.
-type identity() :: {node | cli, Cluster :: binary(), Name :: binary(), Host :: binary()}.
-type entry() :: #{port := inet:port_number(), owner := identity(), pid := pid()}.
-opaque table() :: #{Name :: binary() => entry()}.
-type reason() :: {full, inet:port_number()} | {not_kept, inet:port_number(), Text :: iodata()} | {listen, inet:port_number(), merlon_listen:reason()}.

%% Names of a host at most, and bytes of an answer with all of them: FROM_KEEPER_MAX in native/tls.
-define(MOST, 256).
-define(BYTES, 96 * 1024).
%% Of these at most for one certificate, and for all tools together: nobody can keep a node of another name out.
-define(OF_ONE, 32).
-define(OF_TOOLS, 128).
-define(BYTES_OF_TOOLS, 48 * 1024).
%% Bytes of a name: NodeName in native/pki takes no more characters than 255.
-define(LONGEST, 1020).
-define(IS_PORT(Port), Port > 0, Port < 65536).

%% ---- messages ----

-spec request(request()) -> binary().
request({register, Name, Port}) -> <<1, Port:16, Name/binary>>;
request({find, Name}) -> <<2, Name/binary>>;
request(list) -> <<3>>.

-spec read_request(binary()) -> {ok, request()} | {error, malformed}.
read_request(<<1, Port:16, Name/binary>>) when Port > 0 -> named(Name, {register, Name, Port});
read_request(<<2, Name/binary>>) -> named(Name, {find, Name});
read_request(<<3>>) -> {ok, list};
read_request(_) -> {error, malformed}.

named(Name, Message) ->
    case byte_size(Name) > 0 andalso byte_size(Name) =< ?LONGEST andalso unicode:characters_to_list(Name) of
        Text when is_list(Text) -> {ok, Message};
        _ -> {error, malformed}
    end.

-spec answer(answer()) -> binary().
answer({refused, Why}) -> <<0, (code(Why))>>;
answer(registered) -> <<1>>;
answer({port, Port}) -> <<2, Port:16>>;
answer({names, Names}) ->
    iolist_to_binary([3 | [<<Port:16, (byte_size(Name)):16, Name/binary>> || {Name, Port} <- Names]]).

-spec read_answer(binary()) -> {ok, answer()} | {error, malformed}.
read_answer(<<0, Code>>) -> {ok, {refused, refusal(Code)}};
read_answer(<<1>>) -> {ok, registered};
read_answer(<<2, Port:16>>) when Port > 0 -> {ok, {port, Port}};
read_answer(<<3, Names/binary>>) -> names(Names, []);
read_answer(_) -> {error, malformed}.

names(<<>>, Read) -> {ok, {names, lists:reverse(Read)}};
names(<<Port:16, Len:16, Name:Len/binary, Rest/binary>>, Read) when ?IS_PORT(Port), length(Read) < ?MOST ->
    case named(Name, {Name, Port}) of
        {ok, Entry} -> names(Rest, [Entry | Read]);
        {error, malformed} = Error -> Error
    end;
names(_, _) -> {error, malformed}.

code(Why) -> proplists:get_value(Why, codes()).

refusal(Code) ->
    case lists:keyfind(Code, 2, codes()) of
        {Why, Code} -> Why;
        false -> malformed
    end.

codes() -> [{malformed, 1}, {not_yours, 2}, {not_here, 3}, {taken, 4}, {full, 5}, {unknown, 6}].

%% ---- the table ----

-spec new() -> table().
new() -> #{}.

%% Each name has one owner, until that has left.
-spec enter(Name :: binary(), entry(), table()) -> {ok, table()} | {error, taken | full}.
enter(Name, _Entry, Table) when is_map_key(Name, Table) -> {error, taken};
enter(_Name, _Entry, Table) when map_size(Table) >= ?MOST -> {error, full};
enter(Name, #{owner := Owner} = Entry, Table) ->
    All = maps:to_list(Table),
    Tools = [Each || {_, #{owner := {cli, _, _, _}}} = Each <- All],
    case length([same || {_, #{owner := Each}} <- All, Each =:= Owner]) >= ?OF_ONE orelse bytes([{Name, Entry} | All]) > ?BYTES orelse
        (element(1, Owner) =:= cli andalso
         (length(Tools) >= ?OF_TOOLS orelse bytes([{Name, Entry} | Tools]) > ?BYTES_OF_TOOLS)) of
        true -> {error, full};
        false -> {ok, Table#{Name => Entry}}
    end.

%% Of an answer with these.
bytes(Entries) -> byte_size(answer({names, [{Name, Port} || {Name, #{port := Port}} <- Entries]})).

%% Whoever registered by that process is gone.
-spec left(pid(), table()) -> table().
left(Pid, Table) -> maps:filter(fun(_, #{pid := Owner}) -> Owner =/= Pid end, Table).

%% The processes that have registered.
-spec sessions(table()) -> [pid()].
sessions(Table) -> lists:usort([Pid || #{pid := Pid} <- maps:values(Table)]).

%% Only of names that May allows.
-spec find(Name :: binary(), May :: fun((Name :: binary(), Owner :: identity()) -> boolean()), table()) ->
          {ok, inet:port_number()} | none.
find(Name, May, Table) ->
    case [Port || {Each, Port} <- list(May, maps:filter(fun(Each, _) -> is_meant(Name, Each) end, Table)), Each =/= <<>>] of
        [Port | _] -> {ok, Port};
        [] -> none
    end.

is_meant(Name, Name) -> true;
is_meant(Name, Each) -> hd(binary:split(Each, <<"@">>)) =:= Name.

-spec list(May :: fun((Name :: binary(), Owner :: identity()) -> boolean()), table()) ->
          [{Name :: binary(), inet:port_number()}].
list(May, Table) ->
    lists:sort([{Name, Port} || {Name, #{port := Port, owner := Owner}} <- maps:to_list(Table), May(Name, Owner)]).

%% An identity as merlon_nif's rules take it: they do not look at the cluster, which TLS has checked.
-spec parts(identity()) -> {node | cli, binary(), binary()}.
parts({Kind, _Cluster, Name, Host}) -> {Kind, Name, Host}.

%% ---- words ----

-spec format_error(reason()) -> iodata().
format_error({full, Port}) ->
    ["the name service of this host, on port ", integer_to_list(Port), ", is full: it takes ", integer_to_list(?MOST), " names of ",
     integer_to_list(?BYTES div 1024), " KiB in all, and ", integer_to_list(?OF_ONE), " of one certificate; stop what is not "
     "needed there, or have some nodes use another port with {epmd, {names, [{port, N}]}}"];
format_error({not_kept, Port, Text}) ->
    ["port ", integer_to_list(Port), ", where the names of this host are kept, belongs to a program that is no node of this "
     "cluster, does not take this one or hangs (", Text, "): find it with `ss -ltnp`, or choose another port with "
     "{epmd, {names, [{port, N}]}} on all hosts"];
format_error({listen, Port, {listen, _, Posix}}) when Posix =/= einval, Posix =/= eaddrnotavail ->
    ["the names of this host can't be kept on port ", integer_to_list(Port), ": ", inet:format_error(Posix), "; choose another "
     "port with {epmd, {names, [{port, N}]}} on all hosts"];
format_error({listen, _Port, Reason}) ->
    ["the names of this host can't be kept: ", merlon_listen:format_error(Reason)].
