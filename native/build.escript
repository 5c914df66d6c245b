#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% Puts the NIF into priv/, and the commands beside it: the one builder that mix, rebar3 and make call. Runs cargo, which does
%% nothing when nothing has changed, or takes a prebuilt library whose SHA-256 native/checksums.txt names.
%%
%%   build.escript                   builds, or takes what was built
%%   build.escript name              prints what a prebuilt library for this machine is called
%%   build.escript artefact FOLDER   builds, and puts the library under that name, with its checksum, into FOLDER
%%
%%   MERLON_PREBUILT    where prebuilt libraries are: a folder, or an http(s) URL of one
%%   MERLON_BUILD       source: never takes one. prebuilt: never builds. Neither: takes one when MERLON_PREBUILT has it
%%   CARGO_TARGET_DIR   where cargo builds (default: target/ of this project)
%%   RUSTFLAGS, MERLON_CARGO_FLAGS   for special builds, e.g. RUSTFLAGS='-C target-cpu=native'

main(Args) ->
    Root = filename:dirname(filename:dirname(filename:absname(escript:script_name()))),
    _ = os:type() =:= {win32, nt} andalso stop("merlon runs on Linux and macOS: on Windows use WSL 2"),
    case Args of
        [] -> library(mode(), Root), commands(Root);
        ["name"] -> io:format("~ts~n", [needed(name(Root))]);
        ["artefact", Folder] -> artefact(Root, Folder);
        _ -> stop("usage: build.escript [name | artefact FOLDER]")
    end.

mode() ->
    case os:getenv("MERLON_BUILD", "") of
        "" -> any;
        "source" -> source;
        "prebuilt" -> prebuilt;
        Other -> stop("MERLON_BUILD must be source or prebuilt, not " ++ Other)
    end.

library(source, Root) -> from_source(Root);
library(prebuilt, Root) ->
    case prebuilt(Root, place()) of
        ok -> ok;
        {none, Why} -> stop(Why ++ ", and MERLON_BUILD=prebuilt forbids building from source")
    end;
library(any, Root) ->
    case place() of
        none -> from_source(Root);
        Place -> prebuilt_or_source(prebuilt(Root, Place), Root)
    end.

prebuilt_or_source(ok, _Root) -> ok;
prebuilt_or_source({none, Why}, Root) ->
    io:format("merlon: ~ts: building from source~n", [Why]),
    from_source(Root).

needed({none, Why}) -> stop(Why);
needed({ok, Value}) -> Value.

installed(Root) -> filename:join([Root, "priv", "merlon_nif.so"]).

%% priv/ goes along into every release: so a host that has the release alone has the commands.
commands(Root) ->
    case file:read_file(filename:join([Root, "bin", "merlon"])) of
        {ok, Bytes} -> install(Bytes, filename:join([Root, "priv", "merlon"]), "the commands are");
        {error, enoent} -> ok
    end.

%% Renamed into its place: a node that is running keeps the library that it has mapped.
install(Bytes, Installed, How) ->
    case file:read_file(Installed) of
        {ok, Bytes} -> ok;
        _ ->
            ok = filelib:ensure_dir(Installed),
            Unfinished = Installed ++ "." ++ os:getpid(),
            ok = file:write_file(Unfinished, Bytes),
            ok = file:change_mode(Unfinished, 8#755),
            ok = file:rename(Unfinished, Installed),
            io:format("merlon: ~ts ~ts~n", [How, Installed])
    end.

%% ---- from source ----

from_source(Root) ->
    {ok, Bytes} = file:read_file(built(Root)),
    install(Bytes, installed(Root), "built").

%% The library, where cargo leaves it.
built(Root) ->
    Cargo = cargo(),
    ok = check_version(Cargo, required_version(Root)),
    Target = target_dir(Root),
    Built = filename:join([Target, "release", library_name()]),
    _ = [io:format("merlon: building the Rust core; the first time takes some minutes~n")
         || not filelib:is_file(Built)],
    ok = build(Cargo, Root, Target),
    Built.

library_name() ->
    case os:type() of
        {unix, darwin} -> "libmerlon_nif.dylib";
        _ -> "libmerlon_nif.so"
    end.

cargo() ->
    Home = os:getenv("HOME", "/"),
    Places = [os:find_executable("cargo"), os:find_executable(filename:join(Home, ".cargo/bin/cargo"))],
    case [Path || Path <- Places, Path =/= false] of
        [Path | _] -> Path;
        [] -> stop("cargo, the Rust builder, is missing: install Rust from https://rustup.rs" ++ or_prebuilt())
    end.

or_prebuilt() -> ", or say in MERLON_PREBUILT where a release's prebuilt library is (a folder or URL)".

%% The workspace's rust-version.
required_version(Root) -> hd(of_workspace(Root, "^rust-version *= *\"([0-9.]+)\"")).

of_workspace(Root, Pattern) ->
    {ok, Toml} = file:read_file(filename:join(Root, "Cargo.toml")),
    {match, Found} = re:run(Toml, Pattern, [multiline, {capture, all_but_first, list}]),
    Found.

check_version(Cargo, Required) ->
    {0, Said} = run(Cargo, ["--version"], "/", [], quiet),
    {match, [Found]} = re:run(Said, "cargo ([0-9.]+)", [{capture, all_but_first, list}]),
    case numbers(Found) >= numbers(Required) of
        true -> ok;
        false -> stop("cargo " ++ Found ++ " is too old, " ++ Required ++
                      " or newer is needed: run `rustup update stable` (https://rustup.rs has rustup)" ++ or_prebuilt())
    end.

numbers(Version) -> [list_to_integer(Part) || Part <- string:lexemes(Version, ".")].

target_dir(Root) ->
    filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), Root).

build(Cargo, Root, Target) ->
    Extra = string:lexemes(os:getenv("MERLON_CARGO_FLAGS", ""), " "),
    Args = ["build", "--release", "--locked", "--quiet", "--package", "merlon_nif",
            "--target-dir", Target | Extra],
    case run(Cargo, Args, Root, flags(target()), show) of
        {0, _} -> ok;
        {Status, _} -> stop("cargo build failed with status " ++ integer_to_list(Status))
    end.

%% Rust links musl statically unless told otherwise, and then makes no shared library.
flags({ok, Target}) ->
    case lists:suffix("-musl", Target) of
        true -> [{"RUSTFLAGS", string:trim(os:getenv("RUSTFLAGS", "") ++ " -C target-feature=-crt-static")}];
        false -> []
    end;
flags({none, _}) ->
    [].

%% Cargo may be a wrapper that looks for rustc beside itself.
run(Program, Args, Dir, Env, Show) ->
    Path = filename:dirname(Program) ++ ":" ++ os:getenv("PATH", ""),
    Port = open_port({spawn_executable, Program},
                     [{args, Args}, {cd, Dir}, {env, [{"PATH", Path} | Env]}, exit_status, binary,
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

%% ---- prebuilt ----

place() ->
    case os:getenv("MERLON_PREBUILT", "") of
        "" -> none;
        Place -> Place
    end.

%% What was installed before needs no place.
prebuilt(Root, Place) ->
    case listed(Root) of
        {ok, {Name, Sum}} -> take(sum_of(file:read_file(installed(Root))) =:= Sum, Name, Sum, Place, Root);
        {none, _} = None -> None
    end.

take(true, _Name, _Sum, _Place, _Root) -> ok;
take(false, Name, _Sum, none, _Root) -> {none, "MERLON_PREBUILT does not say where " ++ Name ++ " is"};
take(false, Name, Sum, Place, Root) ->
    case fetch(Place ++ "/" ++ Name) of
        {ok, Bytes} -> checked(sum_of({ok, Bytes}), Sum, Bytes, Place ++ "/" ++ Name, Root);
        {error, Why} -> {none, lists:flatten(io_lib:format("~ts/~ts can't be had (~0tp)", [Place, Name, Why]))}
    end.

%% The very bytes that were summed up. Another sum is an attack or a mistake, and never passed over.
checked(Sum, Sum, Bytes, From, Root) ->
    install(Bytes, installed(Root), "took " ++ From ++ " as");
checked(Found, Sum, _Bytes, From, _Root) ->
    stop(From ++ " IS NOT WHAT WAS RELEASED: its SHA-256 is " ++ Found ++ ", native/checksums.txt says " ++ Sum ++
         ". It was not used. Find out who changed it; MERLON_BUILD=source builds without it").

%% The checksum file has `SHA256  NAME` lines.
listed(Root) ->
    case name(Root) of
        {ok, Name} ->
            {ok, Text} = file:read_file(filename:join([Root, "native", "checksums.txt"])),
            case re:run(Text, "^([0-9a-f]{64})  \\Q" ++ Name ++ "\\E$", [multiline, {capture, all_but_first, list}]) of
                {match, [Sum]} -> {ok, {Name, Sum}};
                nomatch -> {none, "native/checksums.txt does not list " ++ Name}
            end;
        {none, _} = None -> None
    end.

sum_of({ok, Bytes}) -> lists:flatten([io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= crypto:hash(sha256, Bytes)]);
sum_of({error, _}) -> none.

%% merlon_nif-VERSION-nif-NIF_VERSION-TARGET.so
name(Root) ->
    {ok, [{application, merlon, App}]} = file:consult(filename:join([Root, "erlang_src", "merlon.app.src"])),
    Nif = lists:append(lists:join(".", of_workspace(Root, "nif_version_([0-9]+)_([0-9]+)"))),
    case {target(), numbers(erlang:system_info(nif_version)) >= numbers(Nif)} of
        {{ok, Target}, true} ->
            {ok, "merlon_nif-" ++ proplists:get_value(vsn, App) ++ "-nif-" ++ Nif ++ "-" ++ Target ++ ".so"};
        {{ok, _}, false} -> {none, "this Erlang is too old for NIF version " ++ Nif};
        {{none, _} = None, _} -> None
    end.

%% As Rust calls it.
target() ->
    Architecture = erlang:system_info(system_architecture),
    case string:lexemes(Architecture, "-") of
        [Cpu | System] when Cpu =:= "x86_64"; Cpu =:= "aarch64"; Cpu =:= "arm64" -> target(Cpu, System, Architecture);
        _ -> no_target(Architecture)
    end.

target("arm64", System, Architecture) -> target("aarch64", System, Architecture);
target(Cpu, System, Architecture) ->
    case {lists:member("linux", System), lists:last(System)} of
        {true, Libc} when Libc =:= "gnu"; Libc =:= "musl" -> {ok, Cpu ++ "-unknown-linux-" ++ Libc};
        {false, "darwin" ++ _} -> {ok, Cpu ++ "-apple-darwin"};
        _ -> no_target(Architecture)
    end.

no_target(Architecture) -> {none, "there is nothing prebuilt for " ++ Architecture}.

fetch("http" ++ _ = Url) ->
    _ = [{ok, _} = application:ensure_all_started(App) || App <- [inets, ssl]],
    Tls = [{ssl, [{verify, verify_peer}, {cacerts, public_key:cacerts_get()},
                  {customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]}]}
           || lists:prefix("https:", Url)],
    case httpc:request(get, {Url, []}, [{timeout, 300000}, {connect_timeout, 15000} | Tls], [{body_format, binary}]) of
        {ok, {{_, 200, _}, _, Bytes}} -> {ok, Bytes};
        {ok, {{_, Status, _}, _, _}} -> {error, {status, Status}};
        {error, _} = Error -> Error
    end;
fetch(File) ->
    file:read_file(File).

artefact(Root, Folder) ->
    Name = needed(name(Root)),
    {ok, Bytes} = file:read_file(built(Root)),
    File = filename:join(Folder, Name),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Bytes),
    ok = file:write_file(File ++ ".sha256", [sum_of({ok, Bytes}), "  ", Name, "\n"]),
    io:format("~ts~n", [File]).

stop(Text) ->
    io:format(standard_error, "merlon: ~ts~n", [Text]),
    halt(1).
