#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% Builds the NIF: the one builder that mix, rebar3 and make call. Runs cargo, which does nothing
%% when nothing has changed, and puts the library into priv/ when it is another one.
%%
%%   CARGO_TARGET_DIR   where cargo builds (default: target/ of this project)
%%   RUSTFLAGS, MERLON_CARGO_FLAGS   for special builds, e.g. RUSTFLAGS='-C target-cpu=native'

main(_Args) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    Cargo = cargo(),
    ok = check_version(Cargo, required_version(Root)),
    Target = target_dir(Root),
    Built = filename:join([Target, "release", library()]),
    _ = [io:format("merlon: building the Rust core; the first time takes some minutes~n")
         || not filelib:is_file(Built)],
    ok = build(Cargo, Root, Target),
    install(Built, filename:join([Root, "priv", "merlon_nif.so"])).

%% ---- cargo ----

cargo() ->
    Home = os:getenv("HOME", "/"),
    Places = [os:find_executable("cargo"), os:find_executable(filename:join(Home, ".cargo/bin/cargo"))],
    case [Path || Path <- Places, Path =/= false] of
        [Path | _] -> Path;
        [] -> stop("cargo, the Rust builder, is missing: install Rust from https://rustup.rs")
    end.

%% The workspace's rust-version.
required_version(Root) ->
    {ok, Toml} = file:read_file(filename:join(Root, "Cargo.toml")),
    {match, [Version]} = re:run(Toml, "^rust-version *= *\"([0-9.]+)\"",
                                [multiline, {capture, all_but_first, list}]),
    Version.

check_version(Cargo, Required) ->
    {0, Said} = run(Cargo, ["--version"], "/", quiet),
    {match, [Found]} = re:run(Said, "cargo ([0-9.]+)", [{capture, all_but_first, list}]),
    case numbers(Found) >= numbers(Required) of
        true -> ok;
        false -> stop("cargo " ++ Found ++ " is too old, " ++ Required ++
                      " or newer is needed: run `rustup update stable`")
    end.

numbers(Version) -> [list_to_integer(Part) || Part <- string:lexemes(Version, ".")].

target_dir(Root) ->
    filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), Root).

build(Cargo, Root, Target) ->
    Extra = string:lexemes(os:getenv("MERLON_CARGO_FLAGS", ""), " "),
    Args = ["build", "--release", "--locked", "--quiet", "--package", "merlon_nif",
            "--target-dir", Target | Extra],
    case run(Cargo, Args, Root, show) of
        {0, _} -> ok;
        {Status, _} -> stop("cargo build failed with status " ++ integer_to_list(Status))
    end.

%% Cargo may be a wrapper that looks for rustc beside itself.
run(Program, Args, Dir, Show) ->
    Path = filename:dirname(Program) ++ ":" ++ os:getenv("PATH", ""),
    Port = open_port({spawn_executable, Program},
                     [{args, Args}, {cd, Dir}, {env, [{"PATH", Path}]}, exit_status, binary,
                      stderr_to_stdout, hide]),
    collect(Port, Show, []).

collect(Port, Show, Said) ->
    receive
        {Port, {data, Bytes}} ->
            _ = [file:write(standard_error, Bytes) || Show =:= show],
            collect(Port, Show, [Said, Bytes]);
        {Port, {exit_status, Status}} ->
            {Status, Said}
    end.

%% ---- the library ----

library() ->
    case os:type() of
        {unix, darwin} -> "libmerlon_nif.dylib";
        _ -> "libmerlon_nif.so"
    end.

%% Renamed into its place: a node that is running keeps the library that it has mapped.
install(Built, Installed) ->
    {ok, New} = file:read_file(Built),
    case file:read_file(Installed) of
        {ok, New} -> ok;
        _ ->
            ok = filelib:ensure_dir(Installed),
            Unfinished = Installed ++ "." ++ os:getpid(),
            ok = file:write_file(Unfinished, New),
            ok = file:change_mode(Unfinished, 8#755),
            ok = file:rename(Unfinished, Installed),
            io:format("merlon: built ~ts~n", [Installed])
    end.

stop(Text) ->
    io:format(standard_error, "merlon: ~ts~n", [Text]),
    halt(1).
