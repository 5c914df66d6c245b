%% SPDX-License-Identifier: Apache-2.0
%% Nodes for tests: merlon dirs made on the spot, VMs driven over their standard input (never over
%% the distribution under test), names and folders that no other run shares.
-module(merlon_peers).

-export([name/1, node/1, new_dir/2, new_dir/3, new_ca/3, add_node/2, add_node/3, add_cli/3, add_cli/4, write_secret/2]).
-export([start/2, start/3, stop/1, call/4, call/5, args/1, args/2, log/1, wait/1, wait/2, os_pid/1]).

-define(HOST, "127.0.0.1").

%% A node's name that no other test run uses: base_OSPID_N.
-spec name(string()) -> string().
name(Base) ->
    lists:concat([Base, "_", os:getpid(), "_", erlang:unique_integer([positive])]).

-spec node(string()) -> node().
node(Name) ->
    list_to_atom(Name ++ "@" ?HOST).

%% A merlon dir with a new CA for Cluster, under Base.
-spec new_dir(file:filename(), string()) -> file:filename().
new_dir(Base, Cluster) ->
    new_dir(Base, Cluster, erlang:system_time(second)).

%% The same with a CA that was made at that time (seconds since 1970). The log of its nodes sums up nothing.
-spec new_dir(file:filename(), string(), integer()) -> file:filename().
new_dir(Base, Cluster, Now) ->
    Dir = filename:join(Base, lists:concat(["dir", erlang:unique_integer([positive])])),
    Cert = new_ca(Dir, Cluster, Now),
    write(filename:join([Dir, "trust", "ca.pem"]), Cert),
    write(filename:join(Dir, "merlon.config"), io_lib:format("{cluster, ~p}. {log_interval, 0}.~n", [Cluster])),
    Dir.

%% Replaces the CA of Dir, and gives its certificate.
-spec new_ca(file:filename(), string(), integer()) -> binary().
new_ca(Dir, Cluster, Now) ->
    ok = merlon_nif:load(),
    {ok, #{cert := Cert, key := Key}} =
        merlon_nif:pki_new_ca(#{cluster => list_to_binary(Cluster), alg => p256, days => 10,
                                now => Now}),
    write(filename:join([Dir, "ca", "ca.pem"]), Cert),
    write_secret(filename:join([Dir, "ca", "ca.key"]), Key),
    Cert.

-spec add_node(file:filename(), node()) -> ok.
add_node(Dir, Node) ->
    add_node(Dir, Node, #{}).

%% Issues a certificate for Node. Opts override arguments of merlon_nif:pki_issue/1, `now` to make
%% an expired one for example; `as => OtherNode` puts it in another node's folder.
-spec add_node(file:filename(), node(), map()) -> ok.
add_node(Dir, Node, Opts) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    As = atom_to_list(maps:get(as, Opts, Node)),
    issue(Dir, filename:join([Dir, "nodes", As]), {node, bin(Name), bin(Host)},
          maps:remove(as, Opts)).

%% A tool's certificate.
-spec add_cli(file:filename(), string(), string()) -> ok.
add_cli(Dir, User, Host) ->
    add_cli(Dir, User, Host, #{}).

-spec add_cli(file:filename(), string(), string(), map()) -> ok.
add_cli(Dir, User, Host, Opts) ->
    issue(Dir, filename:join([Dir, "cli", User ++ "@" ++ Host]), {cli, bin(User), bin(Host)}, Opts).

issue(Dir, Folder, Identity, Opts) ->
    {ok, CaCert} = file:read_file(filename:join([Dir, "ca", "ca.pem"])),
    {ok, CaKey} = file:read_file(filename:join([Dir, "ca", "ca.key"])),
    Args = maps:merge(#{ca_cert => CaCert, ca_key => CaKey, identity => Identity, alg => p256,
                        ips => [], days => 5, now => erlang:system_time(second)}, Opts),
    {ok, #{cert := Cert, key := Key}} = merlon_nif:pki_issue(Args),
    write(filename:join(Folder, "cert.pem"), Cert),
    write_secret(filename:join(Folder, "key.pem"), Key).

write(File, Data) ->
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Data).

%% Writes a file that only its owner can read.
-spec write_secret(file:filename(), iodata()) -> ok.
write_secret(File, Data) ->
    write(File, <<>>),
    ok = file:change_mode(File, 8#600),
    ok = file:write_file(File, Data).

bin(Text) -> unicode:characters_to_binary(Text).

%% The command line arguments of a node whose merlon dir is Dir.
-spec args(file:filename()) -> [string()].
args(Dir) ->
    args(Dir, "merlontest").

%% The same with another cookie.
-spec args(file:filename(), string()) -> [string()].
args(Dir, Cookie) ->
    ["-proto_dist", "merlon", "-merlon", "dir", Dir, "-pa", ebin(), "-setcookie", Cookie,
     "-kernel", "prevent_overlapping_partitions", "false"].

ebin() ->
    filename:dirname(code:which(merlon_nif)).

-spec start(string(), [string()]) -> {ok, pid(), node()}.
start(Name, Args) ->
    start(Name, Args, #{}).

%% Starts Name@127.0.0.1 and collects what merlon logs there from then on (log/1).
-spec start(string(), [string()], map()) -> {ok, pid(), node()}.
start(Name, Args, Opts) ->
    {ok, Pid, Node} =
        peer:start(maps:merge(#{name => Name, host => ?HOST, longnames => true,
                                connection => standard_io, wait_boot => 20000,
                                args => ["-pa", filename:dirname(code:which(?MODULE)) | Args]},
                              Opts)),
    ok = call(Pid, merlon_log_sink, install, []),
    {ok, Pid, Node}.

-spec stop(pid()) -> ok.
stop(Pid) ->
    catch peer:stop(Pid),
    ok.

-spec call(pid(), module(), atom(), list()) -> term().
call(Pid, M, F, A) ->
    call(Pid, M, F, A, 30000).

-spec call(pid(), module(), atom(), list(), timeout()) -> term().
call(Pid, M, F, A, Timeout) ->
    peer:call(Pid, M, F, A, Timeout).

-spec os_pid(pid()) -> string().
os_pid(Pid) ->
    call(Pid, os, getpid, []).

%% What merlon has logged on that node so far: the reports, oldest first.
-spec log(pid()) -> [map()].
log(Pid) ->
    call(Pid, merlon_log_sink, reports, []).

%% Waits until Fun gives true.
-spec wait(fun(() -> boolean())) -> ok.
wait(Fun) ->
    wait(Fun, 10000).

-spec wait(fun(() -> boolean()), integer()) -> ok.
wait(Fun, Left) when Left > 0 ->
    case Fun() of
        true -> ok;
        false -> timer:sleep(50), wait(Fun, Left - 50)
    end;
wait(_Fun, _Left) ->
    error(timeout).
