#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An Elixir release over merlon: start, pid, rpc, remote and stop go through the secured link as a tool's identity, and are
# refused without one. Also the ways in which a release may boot.
. "$(dirname "$0")/../fixtures/lib.sh"
. "$fixtures/terminal.sh"
export MIX_HOME=$tmp/mix MIX_ENV=prod
dir=$tmp/merlon
node=shop@127.0.0.1
project=$tmp/shop

# One project, one release for each way to boot and each way to say where the merlon dir is.
generate() {
    cd "$tmp" && mix new shop --sup && cp -r "$fixtures/shop/." "$project/" &&
        mkdir "$project/src" && cp "$fixtures/link_check.erl" "$project/src/" &&
        sed -i "/defp deps do/{n;s|\[|[{:merlon, path: \"$root\"}|}
                s|deps: deps()|deps: deps(), releases: Code.eval_file(\"releases.exs\") \|> elem(0)|" "$project/mix.exs"
}

assemble() {
    local name
    cd "$project" && export SHOP_MERLON_DIR=$dir || return 1
    for name in shop reboot reboot_with_dist; do
        mix release "$name" || return 1
    done
}

# in_release NAME COMMAND...
in_release() { timeout 30 "$project/_build/prod/rel/$1/bin/$1" "${@:2}"; }
shop() { in_release shop "$@"; }
log() { cat "$project"/_build/prod/rel/shop/tmp/log/erlang.log.* 2>/dev/null; }
logged() { within 5 has_logged "$1" || { log | tail -n 20; return 1; }; }
has_logged() { log | grep -qE "$1"; }

# The answer and nothing else: no log line of the tool's own.
vm() { shop pid >"$tmp/pid" && grep -xE '[0-9]+' "$tmp/pid" && [ "$(wc -l <"$tmp/pid")" = 1 ]; }

start() { shop daemon && within 20 vm; }

is_the_daemon() {
    local pid
    pid=$(vm) && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -F "$tmp/shop/_build/prod/rel/shop"
}

# The server's view of the very link that the question came through.
comes_as_tool() {
    local answer
    answer=$(shop rpc '[link] = Merlon.connections(); IO.inspect({link.identity, link.direction, link.tls_version, link.node}, width: 200)') || return 1
    echo "$answer"
    echo "$answer" | grep -E "^\{\{:cli, \"shop\", \"$(id -un)\", \"127.0.0.1\"\}, :accept, \"1.3\", :\"rpc-[0-9a-f]+-$node\"\}$"
}

# As a person has it. Ctrl-\ leaves the shell and not the node.
remote() {
    local status=0
    terminal "$project/_build/prod/rel/shop/bin/shop" remote
    shows "iex($node)1>" 20 || status=1
    if [ $status = 0 ]; then
        types 'IO.inspect({:here, System.pid(), hd(Merlon.connections()).identity}, width: 200)'
        shows "{:here, \"$(vm)\", {:cli, \"shop\", \"$(id -un)\", \"127.0.0.1\"}}" 10 || status=1
    fi
    keys '\034'
    ended && return $status
}

# refused WORDS COMMAND...: it fails, says WORDS, and is back soon.
refused() {
    local words=$1 said
    shift
    if said=$("$@" 2>&1); then echo "not refused: $said"; return 1; fi
    echo "$said"
    echo "$said" | grep -qE "$words"
}

# All that needs the link: refused, and the node stays. A shell does not even open.
all_refused() {
    local words=$1 pid=$2
    refused "$words" shop pid && refused "$words" shop rpc 'IO.puts(1)' && refused "$words" shop stop || return 1
    kill -0 "$pid"
}

no_shell() {
    : >"$tmp/screen"
    timeout 20 script -qefc "$project/_build/prod/rel/shop/bin/shop remote" "$tmp/screen" >/dev/null 2>&1
    cat "$tmp/screen"
    grep -qE "$1" "$tmp/screen" && ! grep -qF "iex($node)" "$tmp/screen"
}

without_identity() { all_refused "merlon: there is no certificate for rpc-[0-9a-f]+-$node in $dir" "$1" && no_shell 'merlon: there is no certificate for rem-'; }

# A tool that trusts this cluster, but is of another CA, whose cluster has the same name.
stranger() {
    local other=$tmp/other
    new_dir "$other" shop && "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.1 --dir "$other" >/dev/null &&
        cp "$dir/trust/ca.pem" "$other/trust/ours.pem" &&
        printf -- '-proto_dist merlon\n-merlon_dir %s\n' "$other" >"$tmp/stranger.args" &&
        RELEASE_REMOTE_VM_ARGS=$tmp/stranger.args all_refused 'RPC failed|not connect' "$1" &&
        logged 'merlon: refused side=accept phase=tls reason=unknown_issuer peer=127.0.0.1:[0-9]+ .*fingerprint=[0-9a-f]{64}'
}

# A tool with the right cookie that does not speak merlon.
plain_tool() {
    : >"$tmp/plain.args"
    RELEASE_REMOTE_VM_ARGS=$tmp/plain.args all_refused 'RPC failed|not connect' "$1" &&
        logged 'merlon: refused side=accept phase=tls reason=plaintext_dist peer=127.0.0.1:'
}

stops() {
    shop stop && within 10 gone "$1" && ! shop pid
}

# boots NAME [VARIABLE=VALUE...]: in the foreground, on a port that it may have to take twice; asked and stopped through
# the link.
boots() {
    local name=$1 vm status=0 port
    port=$(free_port)
    shift
    env GREETING="hello $name" ELIXIR_ERL_OPTIONS="-kernel inet_dist_listen_min $port" "$@" "$project/_build/prod/rel/$name/bin/$name" start >"$tmp/$name.log" 2>&1 &
    vm=$!
    started+=("$vm")
    within 20 greets "$name" "$vm" || status=1
    in_release "$name" stop && within 10 gone "$vm" || status=1
    stop "$vm"
    [ $status = 0 ] || cat "$tmp/$name.log"
    return $status
}

# Once it is configured: one that has the distribution up before that can be reached too early.
greets() {
    [ "$(in_release "$1" rpc 'IO.puts("#{System.pid()} #{Application.get_env(:shop, :greeting)}")')" = "$2 hello $1" ]
}

# A second node of the same release.
links() {
    "$root/bin/merlon" cert second@127.0.0.1 --dir "$dir" >/dev/null || return 1
    RELEASE_NODE=second@127.0.0.1 shop start >"$tmp/second.log" 2>&1 &
    started+=($!)
    RELEASE_NODE=second@127.0.0.1 within 20 shop pid || { cat "$tmp/second.log"; return 1; }
    [ "$(shop rpc "IO.inspect(:link_check.connect(:\"second@127.0.0.1\"))")" = ':ok' ] &&
        RELEASE_NODE=second@127.0.0.1 shop stop
}

check 'a release is assembled' generate && check 'its other kinds are too' assemble || finish
new_dir "$dir" shop $node && "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.1 --dir "$dir" >/dev/null

check 'daemon: starts and is reached' start
pid=$(vm)
check 'pid: is that of the daemon' is_the_daemon
check 'rpc: comes through the secured link as a tool' comes_as_tool
check 'remote: a shell opens as a tool and leaves the node alone' remote
check 'two nodes of the release link' links
mv "$dir/cli" "$dir/cli.away"
check 'without a tool certificate nothing is reached' without_identity "$pid"
mv "$dir/cli.away" "$dir/cli"
check 'a tool of another CA is refused and logged' stranger "$pid"
check 'a plain tool with the right cookie is refused and logged' plain_tool "$pid"
check 'stop: the daemon ends' stops "$pid"

check 'boots in interactive mode' boots shop RELEASE_MODE=interactive
cp -r "$dir" "$project/_build/prod/rel/reboot_with_dist/merlon"
check 'reboots after its configuration' boots reboot
check 'reboots after its configuration with the distribution up' boots reboot_with_dist
finish
