%% SPDX-License-Identifier: Apache-2.0
%% No room on the disk of a merlon dir, or too little for all of it: what was there stays whole, the error says what to do,
%% nothing is spent, and once there is room the same succeeds. The disk is a small tmpfs in a mount namespace.
-module(merlon_full_disk_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, end_per_testcase/2]).
-export([what_does_not_fit_leaves_old_files_whole/1, a_node_without_room_spends_nothing_and_catches_up/1,
         a_rotation_without_room_leaves_the_old_keyring/1]).
-export([child/2, fill/2]).

-import(merlon_roots_ct, [rotate/2, rotate/3, roots/1, ca_id/1]).
-import(merlon_live_ct, [events/2, dir_of/2]).

-define(CLUSTER, <<"full">>).
%% Bytes left free, one try after the other until one succeeds.
-define(LEFT, [Pages * 4096 || Pages <- [0, 1, 2, 3, 4, 6, 8, 17, 20, 24]]).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [what_does_not_fit_leaves_old_files_whole, a_node_without_room_spends_nothing_and_catches_up,
     a_rotation_without_room_leaves_the_old_keyring].

init_per_suite(Config) ->
    case os:cmd(lists:join($\s, isolate()) ++ " sh -c 'mount -t tmpfs none /mnt && echo mounted' 2>&1") of
        "mounted\n" -> merlon_ct:open(Config);
        Said -> {skip, "no mount namespaces here: " ++ Said}
    end.

end_per_suite(Config) -> merlon_ct:close(Config).

end_per_testcase(_Case, Config) -> merlon_ct:cleanup(Config).

%% Others than root may mount as root of a user namespace.
isolate() ->
    case os:cmd("id -u") of
        "0\n" -> ["unshare", "--mount"];
        _ -> ["unshare", "--mount", "--map-root-user"]
    end.

%% How to start a program for which Dir is a disk of one MiB, with what is in Dir.
on_disk(Dir) ->
    Mount = "cp -a \"$0\" \"$0.copy\" && mount -t tmpfs -o size=1m none \"$0\" && cp -a \"$0.copy/.\" \"$0\" && exec erl \"$@\"",
    [Program | Args] = isolate(),
    {os:find_executable(Program), Args ++ ["sh", "-c", Mount, Dir]}.

%% Leaves that many bytes of the disk free.
fill(Dir, Left) ->
    Ballast = filename:join(Dir, "ballast"),
    _ = file:delete(Ballast),
    {ok, File} = file:open(Ballast, [write, raw, binary]),
    Pages = filled(File, 0),
    {ok, _} = file:position(File, max(0, Pages * 4096 - Left)),
    ok = file:truncate(File),
    file:close(File).

filled(File, Pages) ->
    case file:write(File, <<0:(8 * 4096)>>) of
        ok -> filled(File, Pages + 1);
        {error, enospc} -> Pages
    end.

%% ---- commands and what they share with nodes ----

what_does_not_fit_leaves_old_files_whole(Config) ->
    [Disk, Elsewhere] = [filename:join(proplists:get_value(priv_dir, Config), Name) || Name <- ["disk", "elsewhere"]],
    [ok = file:make_dir(Dir) || Dir <- [Disk, Elsewhere]],
    Ebins = [filename:dirname(code:which(Module)) || Module <- [?MODULE, merlon_cli]],
    {Program, Args} = on_disk(Disk),
    Eval = lists:flatten(io_lib:format("~s:child(~p, ~p).", [?MODULE, Disk, Elsewhere])),
    Port = open_port({spawn_executable, Program},
                     [{args, Args ++ ["-noshell", "-noinput", "-boot", "no_dot_erlang", "-pa" | Ebins] ++ ["-eval", Eval]},
                      exit_status, binary, stderr_to_stdout]),
    Said = said(Port, <<>>),
    ct:log("~s", [Said]),
    match = re:run(Said, "all held\n$", [{capture, none}]).

said(Port, Said) ->
    receive
        {Port, {data, More}} -> said(Port, <<Said/binary, More/binary>>);
        {Port, {exit_status, _}} -> Said
    end.

%% Runs in a VM of its own.
child(Disk, Elsewhere) ->
    try steps(Disk, Elsewhere) of
        ok -> io:put_chars("all held\n"), halt(0)
    catch Class:Reason:Stack -> io:format("~p~n", [{Class, Reason, Stack}]), halt(1)
    end.

steps(Disk, Elsewhere) ->
    Dir = filename:join(Disk, "merlon"),
    ok = begins(Disk, "init", fun() -> run(["init", "--cluster", "full", "--dir", Dir]) end, fun() -> false = filelib:is_dir(Dir) end),
    Do = fun(What, Step) -> begins(Disk, What, Step, fun() -> whole(Dir) end) end,
    ok = Do("cert", fun() -> run(["cert", "app@here", "--dir", Dir]) end),
    _ = [ok = Do(hd(Args), fun() -> run(Args ++ ["--dir", Dir]) end)
         || Args <- [["cert", "db@here"], ["cert", "app@here", "--force"], ["token", "web@here"], ["keyring", "--new"],
                     ["renew", "app@here"], ["revoke", "db@here"]]],
    ok = joined(Disk, Dir, Elsewhere),
    rotated(Do, Dir).

run(Args) ->
    case merlon_cli:run(Args) of
        {0, _, <<>>} -> ok;
        {1, <<>>, Text} -> {failed, Text}
    end.

%% Fails in at least one way, and then succeeds; in between all holds.
begins(Disk, What, Step, Holds) ->
    Failed = tried(?LEFT, Disk, Step, Holds, 0),
    io:format("~s: failed ~b times~n", [What, Failed]),
    true = Failed > 0,
    file:delete(filename:join(Disk, "ballast")).

tried([Left | More], Disk, Step, Holds, Failed) ->
    ok = fill(Disk, Left),
    case Step() of
        ok -> Failed;
        {failed, Text} ->
            {_, match} = {Text, re:run(Text, "no space left on device; make room on that disk", [{capture, none}])},
            _ = Holds(),
            tried(More, Disk, Step, Holds, Failed + 1)
    end.

%% All that a start of the nodes needs, and that commands need, can be used; nothing that was half done is left.
whole(Dir) ->
    {ok, #{ca_cert := Cert, ca_key := Key}} = merlon_cli_cert:ca(Dir),
    true = merlon_nif:pki_matches(Cert, Key),
    {ok, Settings} = merlon_config:load(Dir),
    Nodes = filelib:wildcard("*", filename:join(Dir, "nodes")),
    [{ok, _} = merlon_identity:load(list_to_tuple(string:split(Node, "@")), Settings) || Node <- Nodes, string:prefix(Node, "db") =:= nomatch],
    {ok, Entries} = merlon_issued:all(list_to_binary(Dir)),
    Serials = [Serial || #{serial := Serial} <- Entries],
    Lost = get_list(serials) -- Serials,
    [] = Lost,
    _ = put(serials, Serials),
    [] = filelib:wildcard(".merlon-*", Dir) ++ filelib:wildcard("*/.merlon-*", Dir).

get_list(Key) ->
    case get(Key) of
        undefined -> [];
        List -> List
    end.

%% As the server, and as who joins: the token is good afterwards.
joined(Disk, Dir, Elsewhere) ->
    Other = filename:join(Elsewhere, "ca"),
    {0, _, <<>>} = merlon_cli:run(["init", "--cluster", "joined", "--dir", Other]),
    [begin
         Token = merlon_join_ct:at(merlon_join_ct:decoded(merlon_join_ct:token(Ca, ["new@here"])), merlon_join_ct:service(Ca)),
         Step = fun() ->
                    case merlon_join_client:join(Token, <<"new@here">>, Joins, p256) of
                        {ok, _} -> ok;
                        {error, {refused, Text}} when Ca =:= Dir ->
                            {_, match} = {Text, re:run(Text, "can't sign now", [{capture, none}])},
                            receive {outcome, {refused, #{reason := internal, text := Why}}} -> {failed, Why} end;
                        {error, Reason} -> {failed, merlon:format_error(Reason)}
                    end
                end,
         ok = begins(Disk, "join", Step, fun() -> open = merlon_join_ct:state(Ca, Token), whole(Ca) end),
         used = merlon_join_ct:state(Ca, Token)
     end || {Ca, Joins} <- [{Dir, filename:join(Elsewhere, "web")}, {Other, filename:join(Disk, "joins")}], put(serials, []) =/= none],
    _ = put(serials, []),
    ok.

rotated(Do, Dir) ->
    {ok, #{ca_cert := OldCert, ca_key := OldKey} = Ca} = merlon_cli_cert:ca(Dir),
    {ok, #{cert := NewCert, key := NewKey} = New} =
        merlon_nif:pki_new_ca(#{cluster => ?CLUSTER, alg => p256, days => 9, now => erlang:system_time(second)}),
    [Old, Next] = [merlon_roots_ct:id(Cert) || Cert <- [OldCert, NewCert]],
    Text = fun(Stage, Number) ->
               {ok, Said} = merlon_nif:rotation_say(#{cluster => ?CLUSTER, sequence => Number, stage => Stage, old_cert => OldCert,
                                                      old_key => OldKey, new_cert => NewCert, new_key => NewKey}),
               Said
           end,
    Take = fun(Stage, Number, Work) -> merlon_roots_files:take(Dir, Work, ?CLUSTER, Text(Stage, Number), erlang:system_time(second)) end,
    Steps = [{"begin", fun(Work) -> merlon_ca_files:begin_with(Dir, Work, Ca, New) end},
             {"trust", fun(Work) -> Take(trust, 7, Work) end},
             {"add", fun(Work) -> merlon_roots_files:add(Dir, Work, #{new => Next, cert => NewCert}) end},
             {"issue", fun(Work) -> merlon_ca_files:issue_by(Dir, Work, New) end}],
    Locked = fun({What, Change}) -> ok = Do(What, fun() -> result(merlon_dir_write:locked(list_to_binary(Dir), Change)) end) end,
    lists:foreach(Locked, Steps),
    [ok = Do("renew", fun() -> run(["renew", Node, "--dir", Dir]) end) || Node <- ["app@here", "served@127.0.0.1"]],
    lists:foreach(Locked, [{"finish", fun(Work) -> Take(finish, 8, Work) end},
                           {"end", fun(Work) -> merlon_ca_files:clean(Dir, Work) end}]),
    ok = merlon_dir_write:locked(list_to_binary(Dir), fun(Work) -> merlon_roots_files:drop(Dir, Work, Old) end),
    {ok, [Next]} = merlon_roots_files:roots(Dir),
    ok.

result(ok) -> ok;
result({ok, _}) -> ok;
result({error, Problem}) -> {failed, iolist_to_binary(merlon:format_error(Problem))}.

%% ---- a node ----

a_node_without_room_spends_nothing_and_catches_up(Config) ->
    Dir = merlon_roots_ct:dir(Config),
    A = merlon_roots_ct:ca_node(Config, Dir),
    C = merlon_roots_ct:node_away(Config, Dir),
    B = on_full_disk(Config, Dir),
    [ok = merlon_ct:connect(B, Vm) || Vm <- [A, C]],
    Own = dir_of(Dir, name(B)),
    ok = merlon_ct:call(B, ?MODULE, fill, [Own, 0]),
    %% The CA gives nothing that could not be kept.
    Before = issued(Dir),
    {error, {file, {write, _, enospc}} = Problem} = merlon_ct:call(B, merlon, renew, []),
    match = re:run(merlon:format_error(Problem), "make room on that disk", [{capture, none}]),
    Before = issued(Dir),
    %% What it is told is not taken, and the log says why.
    Root = ca_id(Dir),
    _ = rotate(Dir, ["--until", "trust", "--wait", "3s"], 1),
    [Root] = roots(B),
    ok = merlon_live_ct:revoke(Dir, [name(C)]),
    merlon_peers:wait(fun() -> told(B, crl_refused) andalso told(B, root_failed) end, 10000),
    true = merlon_ct:link_of(B, name(C)) =/= none,
    %% It asks again by itself.
    ok = merlon_ct:call(B, file, delete, [filename:join(Own, "ballast")]),
    ok = merlon_live_ct:within(15000, fun() -> merlon_ct:link_of(B, name(C)) =:= none end),
    {ok, _} = merlon_ct:call(B, merlon, renew, []),
    _ = rotate(Dir, ["--wait", "20s"]),
    [[New], [New]] = [roots(Vm) || Vm <- [A, B]],
    true = New =/= Root.

name({_, Node, _}) -> Node.

told(Vm, Event) -> lists:any(fun(#{text := Text}) -> string:find(Text, "make room on that disk") =/= nomatch end, events(Vm, Event)).

issued(Dir) ->
    {ok, Entries} = merlon_issued:all(list_to_binary(Dir)),
    length(Entries).

on_full_disk(Config, Dir) ->
    Node = merlon_peers:node(merlon_peers:name("n")),
    {0, _, _} = merlon_cli:run(["cert", atom_to_list(Node), "--days", "5", "--dir", Dir]),
    Own = merlon_live_ct:moved(Dir, Node),
    on_small_disk(Config, Own, Node).

on_small_disk(Config, Dir, Node) ->
    merlon_ct:start(Config, Node, ["-connect_all", "false"], #{dir => Dir, certify => false, exec => on_disk(Dir)}).

%% ---- rotations of the keyring ----

%% Neither a rotation of its own nor a peer's takes anything away; what the peer made comes when there is room.
a_rotation_without_room_leaves_the_old_keyring(Config) ->
    [DirA, DirB] = merlon_rotate_ct:dirs(2, Config),
    Node = merlon_peers:node(merlon_peers:name("r")),
    ok = merlon_peers:add_node(DirA, Node),
    A = on_small_disk(Config, DirA, Node),
    B = merlon_rotate_ct:node_in(Config, DirB),
    ok = merlon_rotate_ct:mesh([A, B]),
    _ = [merlon_rotate_ct:met(Vm, 1) || Vm <- [A, B]],
    Keyring = fun() -> merlon_ct:call(A, file, read_file, [filename:join(DirA, "keyring")]) end,
    {ok, _} = Before = Keyring(),
    ok = merlon_ct:call(A, ?MODULE, fill, [DirA, 0]),
    {error, Reason} = merlon_ct:call(A, merlon_keyring, rotate, [[]]),
    {match, _} = re:run(merlon:format_error(Reason), "no space left on device"),
    {ok, New} = merlon_ct:call(B, merlon_keyring, rotate, [[{grace, 3600}]]),
    Failed = fun(File) -> [Text || #{text := Text} <- events(A, rotation_failed),
                                   re:run(Text, [filename:join(DirA, File), " can't be .*: no space left on device"]) =/= nomatch] end,
    merlon_peers:wait(fun() -> Failed("keyring") =/= [] end, 15000),
    timer:sleep(11000), % it tries again and again, and tells it once
    {[_], [_], 2} = {Failed("keyring"), Failed("keyring.status"), length(events(A, rotation_failed))},
    Before = Keyring(),
    [] = [Name || "." ++ _ = Name <- element(2, {ok, _} = merlon_ct:call(A, file, list_dir_all, [DirA]))],
    true = is_map(merlon_ct:the_link(A, element(2, B))),
    ok = merlon_ct:call(A, file, delete, [filename:join(DirA, "ballast")]),
    ok = merlon_rotate_ct:all_have([A, B], New).
