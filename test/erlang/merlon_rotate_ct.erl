%% SPDX-License-Identifier: Apache-2.0
%% What the suites about rotation share: dirs with one keyring, nodes in them, what each of them holds; and, on a node, a
%% look at everything that merlon_rotate sends and gets.
-module(merlon_rotate_ct).

-export([dirs/2, put_keyring/2, entry/1, entry/3, id/1, secret/1, node_in/2, again/3, mesh/1, rotate/2, cli/1]).
-export([held/1, preferred/1, same/1, all_have/2, met/2, phase/1, refused/2, unlink_nodes/2, stop_spreading/1]).
-export([preferred/0, spread_not/0, impostor/2, trace/1, traced/0]).

-import(merlon_peers, [wait/2]).

%% ---- dirs ----

%% Dirs of one cluster, each a copy of the first.
dirs(Count, Config) ->
    First = merlon_live_ct:dir(Config),
    put_keyring(First, [entry(1)]),
    [First | [begin
                  Dir = First ++ [$a + N],
                  "" = os:cmd("cp -a " ++ First ++ " " ++ Dir),
                  Dir
              end || N <- lists:seq(1, Count - 1)]].

put_keyring(Dir, Entries) ->
    File = filename:join(Dir, "keyring"),
    ok = merlon_peers:write_secret(File ++ ".new", merlon_keyring_core:text(Entries)),
    ok = file:rename(File ++ ".new", File).

secret(Byte) -> binary:copy(<<Byte>>, 32).

id(Byte) ->
    {ok, {Id, _}} = merlon_nif:keyring_entry(secret(Byte), 0, never),
    Id.

entry(Byte) -> entry(Byte, -3600, never).

%% Seconds from now on.
entry(Byte, Begin, End) ->
    Now = erlang:system_time(second),
    #{id => id(Byte), created => Now - 3600, not_before => Now + Begin,
      not_after => if End =:= never -> never; true -> Now + End end, kdf => expand,
      secret => fun() -> secret(Byte) end}.

%% ---- nodes ----

node_in(Config, Dir) ->
    Node = merlon_peers:node(merlon_peers:name("r")),
    ok = merlon_peers:add_node(Dir, Node),
    again(Config, Dir, Node).

%% It links to whom it is told to. OTP's global dials too, all it hears of, and who was unlinked just when it had something to say
%% there; of two nodes that dial each other at once one hangs up, and the other logs that.
again(Config, Dir, Node) ->
    merlon_ct:start(Config, Node, ["-connect_all", "false"], #{dir => Dir, certify => false}).

mesh(Vms) -> [ok = merlon_ct:connect(A, B) || A <- Vms, B <- Vms, element(2, A) < element(2, B)], ok.

cli(Args) ->
    {0, Said, <<>>} = merlon_cli:run(Args),
    Said.

%% By the command, in the dir of a node that runs. Gives the new entry's id.
rotate(Dir, Options) ->
    Said = cli(["rotate", "secret", "--dir", Dir | Options]),
    {match, [Id]} = re:run(Said, "Added ([0-9a-f]{16})", [{capture, all_but_first, binary}]),
    Id.

%% Ids and dates of the keyring that the node uses.
held(Vm) -> lists:sort(merlon_keyring:public(merlon_ct:call(Vm, merlon_node, keyring, []))).

preferred(Vm) -> merlon_ct:call(Vm, ?MODULE, preferred, []).

%% But for what has ended, which one may have dropped before another.
same(Vms) ->
    Now = erlang:system_time(second),
    length(lists:usort([[Entry || #{not_after := End} = Entry <- held(Vm), End > Now] || Vm <- Vms])) =:= 1.

all_have(Vms, Id) ->
    wait(fun() -> lists:all(fun(Vm) -> preferred(Vm) =:= Id end, Vms) andalso same(Vms) end, 20000).

%% All the others have told it what they have.
met(Vm, Count) ->
    wait(fun() ->
                 {ok, #{peers := Peers}} = merlon_ct:call(Vm, merlon_rotate, status, []),
                 map_size(Peers) =:= Count
         end, 10000).

phase(Dir) ->
    Said = cli(["rotate", "secret", "--status", "--dir", Dir]),
    {match, [Phase]} = re:run(Said, "^(Phase [12]|No rotation)", [{capture, all_but_first, list}]),
    Phase.

refused(Vm, Node) ->
    {ok, #{refused := Refused}} = merlon_ct:call(Vm, merlon_rotate, status, []),
    maps:get(Node, Refused, #{}).

unlink_nodes(A, B) -> merlon_ct:unlink(A, B).

%% As an older merlon.
stop_spreading(Vm) -> merlon_ct:call(Vm, ?MODULE, spread_not, []).

%% ---- on a node ----

%% A reference may be gone by the time that it comes back.
preferred() -> merlon_keyring:preferred(merlon_node:keyring(), erlang:system_time(second)).

spread_not() ->
    [Sup] = [Pid || {merlon_reload_sup, Pid, _, _} <- supervisor:which_children(net_sup)],
    ok = supervisor:terminate_child(Sup, merlon_rotate).

%% In place of merlon_rotate: says that it has Id, and gives rubbish when asked for it.
impostor(Peer, Id) ->
    Self = self(),
    _ = spawn(fun() ->
                      true = register(merlon_rotate, self()),
                      Self ! ready,
                      Digest = #{entries => [{Id, 1000, 700, never}], has => [Id]},
                      tell(Peer, {digest, Digest, false}),
                      answer(Peer)
              end),
    receive ready -> ok end.

tell(Peer, Body) -> {merlon_rotate, Peer} ! {merlon_rotate, 1, self(), Body}.

answer(Peer) ->
    receive
        {merlon_rotate, 1, _, {want, Id, [By | _], Nonce}} ->
            Key = binary:decode_hex(By),
            tell(Peer, {give, Id, Nonce, <<1, Key/binary, 0:(64 * 8)>>}),
            %% Once more: it is not asked for any longer.
            tell(Peer, {give, Id, Nonce, <<1, Key/binary, 0:(64 * 8)>>}),
            answer(Peer);
        _ -> answer(Peer)
    end.

%% Collects all messages to and from the process of that name, and the terms of its calls into the native library.
trace(Name) ->
    Self = self(),
    _ = spawn(fun() ->
                      true = register(?MODULE, self()),
                      Pid = whereis(Name),
                      1 = erlang:trace(Pid, true, [send, 'receive', call]),
                      Match = [{'_', [], [{return_trace}]}],
                      _ = [erlang:trace_pattern({merlon_nif, Function, '_'}, Match, [local])
                           || Function <- [keyring_seal, keyring_edit, keyring_new]],
                      _ = erlang:trace_pattern({merlon_rotate_files, '_', '_'}, Match, [local]),
                      Self ! ready,
                      collect([])
              end),
    receive ready -> ok end.

collect(Seen) ->
    receive
        {From, traced} -> From ! {traced, term_to_binary(Seen)};
        Trace -> collect([Trace | Seen])
    end.

traced() ->
    ?MODULE ! {self(), traced},
    receive {traced, Seen} -> Seen end.
