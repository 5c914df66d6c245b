%% SPDX-License-Identifier: Apache-2.0
%% What the tests of providers share: keyrings as text, a server that answers as it is told, nodes that must not start.
-module(merlon_secrets_ct).

-export([text/1, hex/1, provider/2, put_file/3]).
-export([server/1, answer/2, asked/1, stop/1, url/1, vault/2, reply/2]).
-export([boots_not/3]).

hex(Byte) -> string:lowercase(binary:encode_hex(merlon_keyring_ct:secret(Byte))).

text(Bytes) -> merlon_keyring_core:text([merlon_keyring_ct:entry(Byte) || Byte <- Bytes]).

%% Settings of a dir: its provider, and two seconds for it at boot.
provider(Dir, Provider) ->
    merlon_live_ct:config(Dir, io_lib:format("{secret, ~p}.~n{secret_wait, 2000}.~n", [Provider])).

%% At once, as others may be reading it.
put_file(File, Data, Mode) ->
    ok = file:write_file(File ++ ".new", Data),
    ok = file:change_mode(File ++ ".new", Mode),
    ok = file:rename(File ++ ".new", File).

%% ---- a server: one answer for all requests, until it is told another ----

%% Answer is the bytes to send, `hang`, or a fun of the request.
server(Answer) ->
    Parent = self(),
    Pid = spawn_link(fun() ->
                             {ok, Socket} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}},
                                                               {reuseaddr, true}, {backlog, 100}]),
                             {ok, Port} = inet:port(Socket),
                             Self = self(),
                             _ = spawn_link(fun() -> accept(Socket, Self) end),
                             Parent ! {self(), Port},
                             serve(Answer, [])
                     end),
    receive {Pid, Port} -> {Pid, Port} end.

accept(Socket, Server) ->
    {ok, Connection} = gen_tcp:accept(Socket),
    Pid = spawn_link(fun() -> receive go -> connection(Connection, Server) end end),
    ok = gen_tcp:controlling_process(Connection, Pid),
    Pid ! go,
    accept(Socket, Server).

connection(Connection, Server) ->
    case request(Connection, <<>>) of
        {ok, Request} ->
            Server ! {self(), Request},
            receive
                hang -> timer:sleep(60000);
                Bytes -> _ = gen_tcp:send(Connection, Bytes)
            end;
        {error, _} -> ok
    end,
    gen_tcp:close(Connection).

request(Connection, Got) ->
    case binary:split(Got, <<"\r\n\r\n">>) of
        [Head, Body] ->
            case re:run(Head, "content-length: ([0-9]+)", [caseless, {capture, all_but_first, list}]) of
                {match, [Length]} ->
                    case list_to_integer(Length) - byte_size(Body) of
                        Rest when Rest > 0 -> more(Connection, Got);
                        _ -> {ok, Got}
                    end;
                nomatch -> {ok, Got}
            end;
        [_] -> more(Connection, Got)
    end.

more(Connection, Got) ->
    case gen_tcp:recv(Connection, 0, 10000) of
        {ok, Bytes} -> request(Connection, <<Got/binary, Bytes/binary>>);
        {error, _} = Error -> Error
    end.

serve(Answer, Asked) ->
    receive
        {answer, New} -> serve(New, Asked);
        {asked, From} -> From ! {asked, lists:reverse(Asked)}, serve(Answer, Asked);
        {Pid, Request} when is_function(Answer) -> Pid ! Answer(Request), serve(Answer, [Request | Asked]);
        {Pid, Request} -> Pid ! Answer, serve(Answer, [Request | Asked])
    end.

answer({Pid, _}, Answer) -> Pid ! {answer, Answer}, ok.

asked({Pid, _}) ->
    Pid ! {asked, self()},
    receive {asked, Asked} -> Asked end.

stop({Pid, _}) ->
    unlink(Pid),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, _, _, _} -> ok end.

url({_, Port}) -> "http://127.0.0.1:" ++ integer_to_list(Port).

%% What KV version 2 answers.
vault(Text, Version) ->
    Quoted = binary:replace(iolist_to_binary(Text), <<"\n">>, <<"\\n">>, [global]),
    reply(200, ["{\"data\":{\"data\":{\"keyring\":\"", Quoted, "\"},\"metadata\":{\"version\":",
                integer_to_list(Version), "}}}"]).

reply(Status, Body) ->
    ["HTTP/1.1 ", integer_to_list(Status), " Status\r\nContent-Length: ", integer_to_list(iolist_size(Body)),
     "\r\nConnection: close\r\n\r\n", Body].

%% ---- nodes that do not start ----

%% With these words, in time, and without showing any secret of hex/1.
boots_not(Dir, Env, Words) ->
    Node = merlon_peers:node(merlon_peers:name("s")),
    ok = merlon_peers:add_node(Dir, Node),
    Args = merlon_peers:args(Dir) ++ ["-noshell", "-name", atom_to_list(Node), "-eval", "halt(0)."],
    Begin = erlang:monotonic_time(millisecond),
    Port = open_port({spawn_executable, os:find_executable("erl")},
                     [{args, Args}, {env, Env}, exit_status, stderr_to_stdout, binary]),
    {Status, Said} = said(Port, <<>>),
    {1, Said, {_, _}} = {Status, Said, binary:match(Said, list_to_binary(Words))},
    _ = [{nomatch, Said} = {binary:match(Said, hex(Byte)), Said} || Byte <- [1, 2, 3]],
    erlang:monotonic_time(millisecond) - Begin.

said(Port, Said) ->
    receive
        {Port, {data, More}} -> said(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Said}
    after 30000 -> error(timeout)
    end.
