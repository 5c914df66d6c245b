%% SPDX-License-Identifier: Apache-2.0
%% Joins on the distribution port of a running node that holds the CA: `{enroll, true}` in its merlon.config.
-module(merlon_enroll).
-behaviour(gen_server).

-export([child_spec/0, start_link/0, server/3, told/1, serve/2]).
-export([init/1, handle_call/3, handle_cast/2]).
-export_type([joins/0]).

%% What is shown to those who join, or why they can't.
-type joins() :: none | {on, merlon_nif:join_server()} | {off, Why :: binary()}.

-spec child_spec() -> supervisor:child_spec().
child_spec() ->
    #{id => ?MODULE, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => 1000, type => worker, modules => [?MODULE]}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, _} = Error -> Error
    end.

%% With this node's certificate and the CA of its dir, if that issued it. A CA that is being changed ends no node: then
%% nobody joins.
-spec server(merlon_identity_files:files(), merlon_config:config(), Now :: integer()) -> joins().
server(#{kind := node, cert := Cert, key := Key}, #{enroll := true, dir := Dir}, Now) ->
    case merlon_join_server:shown(Dir, Cert, Key, Now) of
        {ok, Server} -> {on, Server};
        {error, {pki, Reason}} ->
            {off, iolist_to_binary(["this node's certificate is not of the CA in ", merlon_dir:path([Dir, "ca"]), ": ",
                                    merlon_pki_text:words(Reason)])};
        {error, {file, Reason}} -> {off, iolist_to_binary(merlon_dir:format_error(Reason))}
    end;
server(_Files, _Config, _Now) -> none.

%% Says that nobody can join although {enroll, true} is set.
-spec told(#{joins := joins(), _ => _}) -> ok.
told(#{joins := {off, Why}}) -> merlon_event:enroll_off(Why);
told(#{}) -> ok.

%% One who has come to join: to the end of the session, with one line in the log.
-spec serve(merlon_nif:conn(), merlon_handshake:deadline()) -> ok.
serve(Conn, Deadline) ->
    Address = merlon_nif:peername(Conn),
    case admit(Address) of
        yes ->
            #{dir := Dir} = merlon_node:config(),
            merlon_event:join(merlon_join_server:serve(Conn, Dir, Deadline), Address);
        no -> merlon_nif:close(Conn);
        tell ->
            ok = merlon_nif:close(Conn),
            Busy = #{reason => busy, text => <<"too many attempts a second">>},
            merlon_event:join({refused, Busy}, Address)
    end.

%% Without somebody who counts nobody is let in.
admit({ok, {Ip, _}}) ->
    try gen_server:call(?MODULE, {admit, merlon_source_core:source(Ip)}, 1000)
    catch exit:_ -> no
    end;
admit({error, _}) -> no.

-spec init([]) -> {ok, merlon_join_rate_core:rate()}.
init([]) -> {ok, merlon_join_rate_core:new()}.

-spec handle_call(term(), gen_server:from(), merlon_join_rate_core:rate()) -> {noreply, merlon_join_rate_core:rate()}.
handle_call({admit, Source}, From, Rate) ->
    {Answer, Next} = merlon_join_rate_core:admit(Source, erlang:monotonic_time(millisecond), Rate),
    merlon_ask:answered(From, Answer, Next);
handle_call(_, From, Rate) ->
    merlon_ask:answered(From, {error, unknown_call}, Rate).

-spec handle_cast(term(), merlon_join_rate_core:rate()) -> {noreply, merlon_join_rate_core:rate()}.
handle_cast(_, Rate) -> {noreply, Rate}.
