#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# examples/rebar3_release with this tree's merlon: the commands of relx' extended start script come through the secured
# link as a tool's identity, and are refused without one.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/terminal.sh"
dir=$tmp/merlon
a=shop@127.0.0.1
b=second@127.0.0.1
release=$tmp/shop/_build/default/rel/shop
export REBAR_CACHE_DIR=$tmp/rebar3 MERLON_DIR=$dir SHOP_COOKIE=rebar3_release PIPE_DIR=$tmp/pipe/

assembled() {
    cp -r "$root/examples/rebar3_release" "$tmp/shop" && cd "$tmp/shop" && mkdir _checkouts &&
        ln -s "$root" _checkouts/merlon && rebar3 release
}

shop() { timeout 30 "$release/bin/shopctl" "$@"; }

comes_as_tool() {
    local answer
    answer=$(shop eval '[L] = merlon:connections(), {maps:get(identity, L), maps:get(direction, L), maps:get(tls_version, L)}.')
    echo "$answer"
    [ "$answer" = "{{cli,<<\"test\">>,<<\"$(id -un)\">>,<<\"127.0.0.1\">>},accept,<<\"1.3\">>}" ]
}

says() { local answer; answer=$(shop "${@:2}") || return 1; echo "$answer"; [ "$answer" = "$1" ]; }

# By a dynamic node name.
console() {
    local status=0
    terminal "$release/bin/shopctl" remote_console
    shows "($a)1>" 20 || status=1
    types '[{here, I} || #{identity := I} <- merlon:connections()].'
    shows "[{here,{cli,<<\"test\">>,<<\"$(id -un)\">>,<<\"127.0.0.1\">>}}]" 10 || status=1
    leaves_shell
    ended && return $status
}

# A second node of the same release: what it has counts on the first.
links() {
    local second status=0
    mkdir "$tmp/second"
    SHOP_NODE=$b PIPE_DIR=$tmp/second/ RUNNER_LOG_DIR=$tmp/second RELX_OUT_FILE_PATH=$tmp/second "$release/bin/shopctl" foreground >"$tmp/second.log" 2>&1 &
    second=$!
    started+=("$second")
    within 15 shop eval "pong = net_adm:ping('$b')." &&
        says "[{'$b',3},{'$a',2}]" eval "shop_stock:put(tea, 2), erpc:call('$b', shop_stock, put, [tea, 3]), shop_stock:everywhere(tea)." &&
        says true eval "merlon:is_encrypted('$b')." || status=1
    stop "$second"
    [ $status = 0 ] || cat "$tmp/second.log"
    return $status
}

without_identity() {
    local status=0
    mv "$dir/cli" "$dir/cli.away"
    shop ping && status=1
    shop eval 'node().' && status=1
    "$release"/erts-*/bin/erl_call -name $a -c rebar3_release -timeout 5 -a 'erlang node' && status=1
    mv "$dir/cli.away" "$dir/cli"
    [ $status = 0 ] && shop ping || return 1
    within 5 grep -q 'merlon: refused side=accept phase=tls reason=plaintext_dist' "$release"/log/erlang.log.* ||
        { tail -n 30 "$release"/log/erlang.log.*; return 1; }
}

stops() {
    local pid
    pid=$(shop pid) && shop stop && within 10 gone "$pid" && ! shop ping
}

# They read no file of the user who calls them, above all not where the CA's key is.
commands() {
    mkdir "$tmp/home" && echo 'io:format("READ~n").' >"$tmp/home/.erlang"
    [ "$(HOME=$tmp/home "$release"/lib/merlon-*/priv/merlon --version | tee /dev/stderr | cut -d' ' -f1)" = merlon ] &&
        "$release"/lib/merlon-*/priv/merlon inspect "$dir" | grep -q "$a"
}

# Its README as it stands there, but for the checkout's place and what needs a terminal.
readme() {
    local commands
    commands=$(sed -n 's/^    //p' "$root/examples/rebar3_release/README.md" | sed -e 's/ *#.*//' -e '/^rebar3 release$/d' -e '/remote_console$/d' \
        -e "s|lib/merlon/priv|checkouts/merlon/priv|; s|DIR\$|$tmp/readme|; s|MERLON_DIR=DIR|MERLON_DIR=$tmp/readme|; s|--dir DIR|--dir $tmp/readme|" \
        -e '/shopctl daemon$/a for n in $(seq 40); do _build/default/rel/shop/bin/shopctl ping && break; sleep 0.5; done')
    echo "$commands"
    (cd "$tmp/shop" && USER=$(id -un) bash -euc "$commands")
}

check 'the tree is built' escript "$root/native/build.escript" || finish
check 'rebar3 release' assembled || finish
new_dir "$dir" test $a $b && "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.1 --dir "$dir" >/dev/null
check 'the commands come along' commands
check 'daemon: starts and is reached' shop daemon && check 'ping' within 20 shop ping
check 'eval: comes through the secured link as a tool' comes_as_tool
check 'rpc' says "'$a'" rpc erlang node
check 'remote_console: opens as a tool' console
check 'two nodes of the release link' links
check 'without a tool certificate, or with erl_call, nothing is reached' without_identity
check 'stop: the daemon ends' stops
check 'its README, as it stands there' readme
finish
