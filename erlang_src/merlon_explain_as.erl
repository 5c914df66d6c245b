%% SPDX-License-Identifier: Apache-2.0
%% merlon:explain/1 for commands: as a node, or tool, of a merlon dir, whether a node runs here or not.
-module(merlon_explain_as).

-export([explain/4]).
-export_type([options/0]).

%% `cookie`: the file of the cookie, where there is no keyring; by default RELEASE_COOKIE, else the user's. `port`: where
%% the node listens; else the strategy of merlon.config is asked, and then OTP's epmd.
-type options() :: #{cookie => file:filename_all(), port => inet:port_number(), family => inet | inet6}.

-spec explain(node(), As :: {Name :: string(), Host :: string()}, merlon_config:config(), options()) ->
          {ok, merlon_explain:explanation()} | {error, {atom(), term()}}.
explain(Node, {Name, Host} = Own, Config, Options) ->
    case merlon_node:borrow(Name, Host, Config) of
        {ok, #{keyring := none}} -> with_cookie(cookie(Options), Own, Node, Options);
        {ok, _} -> {ok, asked(fun(_) -> <<>> end, Own, Node, Options)};
        {error, _} = Error -> Error
    end.

with_cookie({ok, Cookie}, Own, Node, Options) -> {ok, asked(Cookie, Own, Node, Options)};
with_cookie({error, _} = Error, _Own, _Node, _Options) -> Error.

asked(Cookie, {Name, Host}, Node, Options) ->
    Asker = #{links => false, own => Name ++ "@" ++ Host, long => is_long(Host), allowed => [], cookie => Cookie,
              family => maps:get(family, Options, inet), epmds => [merlon_epmd, erl_epmd]},
    merlon_explain:explain(Node, maps:merge(Asker, maps:with([port], Options))).

is_long(Host) -> lists:member($., Host) orelse lists:member($:, Host).

%% ---- the cookie ----

cookie(#{cookie := File}) -> from_file(merlon_dir:path([filename:absname(File)]));
cookie(_Options) ->
    case {os:getenv("RELEASE_COOKIE"), init:get_argument(home)} of
        {[_ | _] = Cookie, _} -> {ok, fun(_) -> unicode:characters_to_binary(Cookie) end};
        {_, {ok, [[Home | _] | _]}} -> from_file(merlon_dir:path([Home, ".erlang.cookie"]));
        _ -> {error, {refused, "there is neither a keyring nor a cookie: name the cookie's file, see --help"}}
    end.

from_file(File) ->
    case merlon_dir:read_secret(File) of
        {ok, Text} -> {ok, fun(_) -> first_line(Text) end};
        {error, {file, {read, _, enoent}}} ->
            {error, {refused, ["there is no keyring in the merlon dir, and no cookie in ", File,
                               ": name the cookie's file, see --help"]}};
        {error, _} = Error -> Error
    end.

first_line(Text) -> hd(binary:split(Text, [<<"\n">>, <<"\r">>])).
