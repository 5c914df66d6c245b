%% SPDX-License-Identifier: Apache-2.0
-module(corpus_commands).
-export([os_command/1, os_command_near/1, os_command_tricky/2, handle_call/3, open_port/1, open_port_near/1,
         open_port_tricky/1, program_choice/1, program_choice_near/0, program_choice_tricky/1, eval/1, eval_near/1,
         eval_tricky/2, dynamic_call/1, dynamic_call_near/2, dynamic_call_tricky/1, native_code/1, native_code_near/0,
         native_code_tricky/1, quoted/1, pid/1, shell/1, loop/1,
         handlers/0, forms/1, forms_near/0, peer/1, dynamic_call_near_handler/2, dynamic_call_near_table/1,
         dynamic_call_tricky_own/1, dynamic_call_tricky_xml/1]).
-record(link, {transport, buffer}).
-import(os, [cmd/1]).
-record(state, {tool}).

os_command(Name) -> os:cmd("convert " ++ Name ++ " out.png"). %! os_command high

os_command_near(Name) ->
    Log = "os:cmd(" ++ Name ++ ")",
    {Log, os:getenv(Name), file:delete(Name)}.

os_command_tricky(Name, Names) ->
    A = cmd("rm " ++ Name), %! os_command high
    M = os,
    B = M:cmd(Name), %! os_command high
    C = apply(os, cmd, [Name]), %! os_command high
    F = fun os:cmd/1,
    D = F(Name), %! os_command high
    E = rpc:call(node(), os, cmd, [Name]), %! os_command high, remote_node note
    [os:cmd(["ls ", N]) || N <- Names], %! os_command high
    Line = io_lib:format("tar -xf ~s", [Name]),
    {A, B, C, D, E, run(lists:flatten(Line))}.

%% Only this module calls it.
run(Line) -> os:cmd(Line, #{max_size => 100}). %! os_command high

%% The state is the process's own, the message is not.
handle_call(status, _From, #state{tool = Tool} = State) -> {reply, os:cmd(Tool), State}; %! os_command low
handle_call({run, What}, _From, State) -> {reply, os:cmd(What), State}. %! os_command high

quoted(_) -> os:cmd("uname -a"). %! os_command note

pid(Pid) -> os:cmd("kill " ++ integer_to_list(Pid)). %! os_command low

shell(Line) -> erlang:open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Line]}]). %! os_command high

open_port(Name) -> erlang:open_port({spawn, "gzip " ++ Name}, []). %! open_port high

open_port_near(Name) -> erlang:open_port({spawn_executable, "/bin/gzip"}, [{args, [Name]}]).

open_port_tricky(Name) ->
    How = {spawn, Name},
    Open = fun erlang:open_port/2,
    Open(How, [binary]). %! open_port high

program_choice(Path) -> erlang:open_port({spawn_executable, Path}, []). %! program_choice low

program_choice_near() -> erlang:open_port({spawn_executable, os:find_executable("gzip")}, []).

program_choice_tricky(Socket) ->
    {ok, Path} = gen_tcp:recv(Socket, 0),
    apply(erlang, open_port, [{spawn_executable, Path}, []]). %! program_choice critical

eval(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text), %! dynamic_atom medium
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    erl_eval:exprs(Exprs, []). %! eval high

eval_near(Text) -> {erl_parse:normalise(Text), string:lexemes(Text, " ")}.

eval_tricky(Path, Beam) ->
    A = file:script(Path), %! eval high
    B = code:load_binary(evil, "evil.beam", Beam), %! eval high
    {A, B}.

dynamic_call(Socket) ->
    {ok, Data} = gen_tcp:recv(Socket, 0),
    {M, F, A} = binary_to_term(Data), %! unsafe_term critical
    apply(M, F, A). %! dynamic_call critical

%% A behaviour's module is named by who starts it.
dynamic_call_near(Module, Args) -> {Module:handle(Args), apply(Module, init, [Args])}.

dynamic_call_tricky(Socket) ->
    {ok, Name} = ssl:recv(Socket, 0),
    Module = binary_to_existing_atom(Name),
    Module:run([]). %! dynamic_call critical

%% As cowboy does: who handles requests was said when the server started, and what its callbacks are the handler says.
dynamic_call_near_handler(Req, #state{tool = Handler}) ->
    {ok, Body, _} = cowboy_req:read_body(Req),
    {[{_, Callback} | _], State} = Handler:accepted(Body, Req),
    Handler:Callback(Req, State).

%% Input chooses among what is there.
dynamic_call_near_table(Socket) ->
    {ok, Name} = gen_tcp:recv(Socket, 0),
    {_, Module} = lists:keyfind(Name, 1, [{<<"list">>, corpus_atoms}, {<<"terms">>, corpus_terms}]),
    Other = maps:get(Name, #{<<"list">> => corpus_atoms}),
    {Module:fixed(), Other:fixed()}.

%% The module's own function makes the name.
dynamic_call_tricky_own(Socket) ->
    {ok, Name} = gen_tcp:recv(Socket, 0),
    [Module | _] = [named(Name)],
    Module:run([]). %! dynamic_call critical

named(<<"own">>) -> ?MODULE;
named(Name) -> list_to_existing_atom("shop_" ++ binary_to_list(Name)).

%% xmerl_scan makes atoms of the document's names.
dynamic_call_tricky_xml(Socket) ->
    {ok, Xml} = gen_tcp:recv(Socket, 0),
    {Element, _} = xmerl_scan:string(binary_to_list(Xml)), %! xml_atoms high
    Module = element(2, Element),
    Module:run([]). %! dynamic_call critical

native_code(Path) -> erlang:load_nif(Path, 0). %! native_code medium

native_code_near() -> erlang:load_nif(filename:join(code:priv_dir(corpus), "nif"), 0). %! native_code note

native_code_tricky(Path) -> apply(erl_ddll, load_driver, [Path, "drv"]). %! native_code medium

%% The transport in the state was there before the socket sent anything.
loop(#link{transport = Transport} = Link) ->
    receive
        {tcp, _, Data} ->
            Transport:setopts([{active, once}]),
            loop(fed(Data, Link))
    end.

fed(Data, #link{transport = Transport} = Link) ->
    Transport:ack(Data),
    Link#link{buffer = Data}.

%% A fun in a map is called by whoever has the map.
handlers() ->
    #{convert => fun(Name) -> os:cmd("convert " ++ Name) end, %! os_command high
      version => fun() -> os:cmd("convert -version") end}. %! os_command note

forms(Forms) -> compile:forms(Forms, [binary]). %! eval high

forms_near() -> compile:file("src/own.erl", [debug_info]).

peer(Options) -> peer:start_link(Options). %! program_choice low
