%% Folders for tests, and the files of a merlon dir made in them.
-module(merlon_test_dir).
-include_lib("kernel/include/file.hrl").
-export([new/0, delete/1, with/1, with_node/1, init/1, cert/2, cert/3, mode/1, put_file/2, put_file/3]).

new() ->
    Dir = filename:join(os:getenv("TMPDIR", "/tmp"),
                        "merlon-test-" ++ os:getpid() ++ "-"
                        ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = file:make_dir(Dir),
    Dir.

delete(Dir) -> ok = file:del_dir_r(Dir).

%% A test with a folder that is gone afterwards.
with(Test) ->
    Dir = new(),
    try Test(Dir) after delete(Dir) end.

%% A test with a merlon dir of its own, in which the node app@here has a certificate.
with_node(Test) ->
    with(fun(Dir) ->
        init(Dir),
        cert(Dir, "app@here"),
        Test(Dir)
    end).

%% A merlon dir of cluster "test".
init(Dir) ->
    {0, _, <<>>} = merlon_cli:run(["init", "--dir", Dir, "--cluster", "test"]),
    Dir.

cert(Dir, Node) -> cert(Dir, Node, []).

cert(Dir, Node, More) ->
    {0, _, <<>>} = merlon_cli:run(["cert", Node, "--dir", Dir | More]),
    case lists:member("--cli", More) of
        true -> filename:join([Dir, "cli"]);
        false -> filename:join([Dir, "nodes", Node])
    end.

mode(Path) ->
    {ok, #file_info{mode = Mode}} = file:read_file_info(Path),
    Mode band 8#7777.

put_file(Path, Content) -> put_file(Path, Content, 8#644).

put_file(Path, Content, Mode) ->
    ok = filelib:ensure_dir(Path),
    ok = file:write_file(Path, Content),
    ok = file:change_mode(Path, Mode).
