%% SPDX-License-Identifier: Apache-2.0
%% OpenSSL's command line tools as peers: what they say is read, what is typed to them is written.
-module(merlon_openssl).

-export([version/0, start/1, client/2, server/1, say/2, expect/2, ended/1, stop/1]).
-export_type([tool/0]).

-record(tool, {port :: port(), os :: integer(), said = <<>> :: binary(),
               seen = 0 :: non_neg_integer()}). % what expect/2 has used up
-opaque tool() :: #tool{}.

-define(PATIENCE, 10000).

%% "OpenSSL 3.0.19 ...", if it is there and can do what is asked of it.
-spec version() -> {ok, string()} | none.
version() ->
    case os:find_executable("openssl") of
        false -> none;
        _ ->
            case os:cmd("openssl version") of
                "OpenSSL 1.0" ++ _ -> none;
                "OpenSSL " ++ _ = Version -> {ok, string:trim(Version)};
                _ -> none
            end
    end.

-spec start([string()]) -> tool().
start(Args) ->
    Port = open_port({spawn_executable, os:find_executable("openssl")},
                     [{args, Args}, binary, exit_status, stderr_to_stdout]),
    {os_pid, Os} = erlang:port_info(Port, os_pid),
    #tool{port = Port, os = Os}.

%% s_client to Address, which types nothing until it is told to.
-spec client(merlon_attacker:address(), [string()]) -> tool().
client({_, Port}, Args) ->
    start(["s_client", "-connect", "127.0.0.1:" ++ integer_to_list(Port), "-msg" | Args]).

%% s_server on a port of its choice.
-spec server([string()]) -> {tool(), inet:port_number()}.
server(Args) ->
    {Tool, [Port]} = expect(start(["s_server", "-accept", "127.0.0.1:0", "-msg" | Args]),
                            "ACCEPT 127.0.0.1:([0-9]+)"),
    {Tool, binary_to_integer(Port)}.

-spec say(tool(), iodata()) -> tool().
say(#tool{port = Port} = Tool, Text) ->
    true = port_command(Port, Text),
    Tool.

%% Waits until it has said Pattern, after the last one; gives the groups.
-spec expect(tool(), string()) -> {tool(), [binary()]}.
expect(#tool{port = Port, said = Said, seen = Seen} = Tool, Pattern) ->
    case re:run(Said, Pattern, [{offset, Seen}]) of
        {match, [{From, Len} | Groups]} ->
            {Tool#tool{seen = From + Len}, [binary:part(Said, Group) || Group <- Groups]};
        nomatch ->
            receive
                {Port, {data, More}} ->
                    expect(Tool#tool{said = <<Said/binary, More/binary>>}, Pattern);
                {Port, {exit_status, Status}} ->
                    error({ended, Status, Pattern, Said})
            after ?PATIENCE ->
                    _ = stop(Tool),
                    error({timeout, Pattern, Said})
            end
    end.

%% Waits for its end and gives all that it said.
-spec ended(tool()) -> binary().
ended(#tool{port = Port, said = Said} = Tool) ->
    receive
        {Port, {data, More}} -> ended(Tool#tool{said = <<Said/binary, More/binary>>});
        {Port, {exit_status, _}} -> Said
    after ?PATIENCE ->
            _ = stop(Tool),
            error({timeout, Said})
    end.

-spec stop(tool()) -> ok.
stop(#tool{port = Port, os = Os}) ->
    case erlang:port_info(Port) of
        undefined -> ok;
        _ ->
            _ = os:cmd("kill -9 " ++ integer_to_list(Os)),
            catch port_close(Port),
            ok
    end.
