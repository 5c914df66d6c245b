#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Erlang releases in embedded mode over merlon: one from a systools boot script, and one of relx with its extended start
# script, whose tools come through the secured link.
. "$(dirname "$0")/../fixtures/lib.sh"
export REBAR_CACHE_DIR=$tmp/rebar3
dir=$tmp/merlon
libs=$tmp/libs
a=embedded_a@127.0.0.1
b=embedded_b@127.0.0.1

# ---- systools ----

# The applications where a release would have them, and a boot script that names them.
systools() {
    mkdir -p "$libs/merlon-0.1.0" "$libs/shop-1/ebin" &&
        cp -rL "$root"/_build/default/lib/merlon/{ebin,priv} "$libs/merlon-0.1.0/" &&
        erlc -Werror -o "$libs/shop-1/ebin" "$fixtures/link_check.erl" &&
        echo '{application, shop, [{description, ""}, {vsn, "1"}, {modules, [link_check]}, {registered, []}, {applications, [kernel, stdlib]}]}.' \
            >"$libs/shop-1/ebin/shop.app" &&
        cd "$tmp" && erl -noshell -noinput -boot no_dot_erlang -eval '
            {ok, [{application, merlon, Merlon}]} = file:consult("libs/merlon-0.1.0/ebin/merlon.app"),
            "0.1.0" = proplists:get_value(vsn, Merlon),
            Vsn = fun(App) -> _ = application:load(App), {ok, V} = application:get_key(App, vsn), V end,
            Rel = {release, {"shop", "1"}, {erts, erlang:system_info(version)},
                   [{App, Vsn(App)} || App <- [kernel, stdlib, sasl]] ++ [{merlon, "0.1.0"}, {shop, "1"}]},
            ok = file:write_file("shop.rel", io_lib:format("~p.~n", [Rel])),
            {ok, systools_make, []} = systools:make_script("shop", [silent, {path, ["libs/*/ebin"]},
                                                                    {variables, [{"LIBS", "libs"}]}]),
            halt().' &&
        printf -- '-proto_dist merlon\n-merlon_dir %s\n-setcookie embedded\n-mode embedded\n' "$dir" >"$tmp/vm.args"
}

# boot NAME [ERLANG]: becomes the node.
boot() {
    exec erl -noshell -noinput -boot "$tmp/shop" -boot_var LIBS "$libs" -args_file "$tmp/vm.args" -name "$1" ${2:+-eval "$2"}
}

linked() {
    local first status=0
    boot $a >"$tmp/a.log" 2>&1 &
    first=$!
    started+=("$first")
    (boot $b "embedded = code:get_mode(), {ok, _} = application:get_key(merlon, vsn),
              [merlon] = [merlon || {merlon, _, _} <- application:which_applications()], link_check:main('$a').") || status=1
    stop "$first"
    [ $status = 0 ] || sed 's/^/first node: /' "$tmp/a.log"
    return $status
}

# It must not come up and listen without an identity.
ends_at_once() {
    local node status=0
    boot stranger@127.0.0.1 >"$tmp/stranger.log" 2>&1 &
    node=$!
    started+=("$node")
    within 5 gone "$node" || return 1
    wait "$node" || status=$?
    cat "$tmp/stranger.log"
    [ $status = 1 ] && [ "$(grep -c '^merlon: there is no certificate for stranger@127.0.0.1' "$tmp/stranger.log")" = 1 ]
}

# ---- relx ----

relx() {
    cd "$tmp" && rebar3 new app name=shop && cd shop && cp "$fixtures/link_check.erl" src/ &&
        mkdir _checkouts config && ln -s "$root" _checkouts/merlon &&
        echo '[].' >config/sys.config &&
        printf -- '-name %s\n-setcookie embedded\n-proto_dist merlon\n-merlon_dir %s\n' $a "$dir" >config/vm.args &&
        cat >rebar.config <<'CONFIG' && rebar3 release
{deps, [{merlon, {git, "file:///of/the/checkout", {branch, "main"}}}]}.
{relx, [{release, {shop, "1"}, [shop, merlon, sasl]}, {mode, prod}, {include_erts, true},
        {extended_start_script, true}, {include_nodetool, true},
        {vm_args, "config/vm.args"}, {sys_config, "config/sys.config"}]}.
CONFIG
    release=$tmp/shop/_build/default/rel/shop
    # Its tools are VMs of their own: not erl_call, which speaks plain TCP only; and they have to find merlon and its dir.
    export USE_NODETOOL=1 ERL_LIBS=$release/lib MERLON_DIR=$dir PIPE_DIR=$tmp/pipe/
}

shop() { timeout 30 "$release/bin/shop" "$@"; }

comes_as_tool() {
    local answer
    answer=$(shop eval '[L] = merlon:connections(), {maps:get(identity, L), maps:get(direction, L), maps:get(tls_version, L)}.')
    echo "$answer"
    [ "$answer" = "{{cli,<<\"test\">>,<<\"$(id -un)\">>,<<\"127.0.0.1\">>},accept,<<\"1.3\">>}" ]
}

# On a terminal, by a dynamic node name.
console() {
    local shell status=0
    mkfifo "$tmp/keys" && : >"$tmp/screen"
    exec 8<>"$tmp/keys"
    script -qefc "$release/bin/shop remote_console" "$tmp/screen" <&8 >/dev/null 2>&1 8>&- &
    shell=$!
    started+=("$shell")
    within 20 grep -qF "($a)1>" "$tmp/screen" || status=1
    printf '[{here, I} || #{identity := I} <- merlon:connections()].\r' >&8
    within 10 grep -qF "[{here,{cli,<<\"test\">>,<<\"$(id -un)\">>,<<\"127.0.0.1\">>}}]" "$tmp/screen" || status=1
    printf '\007' >&8
    within 5 grep -qF -- '-->' "$tmp/screen" && printf 'q\r' >&8
    within 5 gone "$shell" || status=1
    exec 8>&-
    cat "$tmp/screen"
    stop "$shell"
    return $status
}

without_identity() {
    local status=0
    mv "$dir/cli" "$dir/cli.away"
    shop ping && status=1
    shop eval 'node().' && status=1
    "$release"/erts-*/bin/erl_call -name $a -c embedded -timeout 5 -a 'erlang node' && status=1
    mv "$dir/cli.away" "$dir/cli"
    [ $status = 0 ] && shop ping || return 1
    within 5 grep -q 'merlon: refused side=accept phase=tls reason=plaintext_dist' "$release"/log/erlang.log.* ||
        { tail -n 30 "$release"/log/erlang.log.*; return 1; }
}

stops() {
    local pid
    pid=$(shop pid) && shop stop && within 10 gone "$pid" && ! shop ping
}

check 'the tree is built' test -s "$root/_build/default/lib/merlon/ebin/merlon.app" || finish
new_dir "$dir" test $a $b && "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.1 --dir "$dir" >/dev/null
if check 'systools makes a boot script' systools; then
    check 'systools: two nodes in embedded mode link' linked
    check 'systools: without its certificate a node says so and ends' ends_at_once
fi
if check 'relx makes a release' relx; then
    check 'relx daemon: starts and is reached' shop daemon
    check 'relx ping' shop ping
    check 'relx eval: comes through the secured link as a tool' comes_as_tool
    check 'relx rpc' test "$(shop rpc erlang node)" = "'$a'"
    check 'relx remote_console: opens as a tool' console
    check 'relx: without a tool certificate, or with erl_call, nothing is reached' without_identity
    check 'relx stop: the daemon ends' stops
fi
finish
