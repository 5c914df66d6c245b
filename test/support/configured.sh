#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How a mix project comes to a release over merlon: `mix merlon.setup`, `Merlon.Release` as a step, and what becomes of
# `config :merlon` in config/runtime.exs, which is read when the distribution is up already.
. "$(dirname "$0")/../fixtures/lib.sh"
export MIX_HOME=$tmp/mix MIX_ENV=prod
dir=$tmp/merlon
node=shop@127.0.0.1
project=$tmp/shop
setup=(mix merlon.setup --dir "$dir" --distribution name --node $node)
export SHOP_MERLON_DIR=$dir

generate() {
    cd "$tmp" && mix new shop --sup && mkdir "$project/config" && cp "$fixtures/configured/releases.exs" "$project/" &&
        cp "$fixtures/configured/runtime.exs" "$project/config/" &&
        sed -i "/defp deps do/{n;s|\[|[{:merlon, path: \"$root\"}|}
                s|deps: deps()|deps: deps(), releases: Code.eval_file(\"releases.exs\") \|> elem(0)|" "$project/mix.exs" &&
        cd "$project" && mix compile
}

# Shown and refused first, then written, then nothing is left to do.
sets_up() {
    cd "$project" || return 1
    local said
    said=$("${setup[@]}" --check) && return 1
    echo "$said"
    [ ! -e rel ] && echo "$said" | grep -qF '+ -proto_dist merlon' && echo "$said" | grep -qF "+ -merlon_dir $dir" || return 1
    said=$(echo n | "${setup[@]}") && return 1
    [ ! -e rel ] && "${setup[@]}" --yes && [ "$("${setup[@]}" --check)" = 'Nothing to change.' ]
}

# What else stands in the templates stays.
keeps_the_rest() {
    cd "$project" && cp -r rel "$tmp/rel" && mix release.init --force >/dev/null &&
        printf '%s\n' '## mine' '+P 100000' '-proto_dist inet_tls' >>rel/vm.args.eex && "${setup[@]}" --yes &&
        grep -qx '## mine' rel/vm.args.eex && grep -qx '+P 100000' rel/vm.args.eex && ! grep -q inet_tls rel/vm.args.eex &&
        "${setup[@]}" --check && rm -r rel && mv "$tmp/rel" rel
}

assemble() { cd "$project" && mix release "$1"; }

# in_release NAME COMMAND...
in_release() { timeout 40 "$project/_build/prod/rel/$1/bin/$1" "${@:2}"; }

# runs NAME ELIXIR [VARIABLE=VALUE...]: starts with these variables, and what ELIXIR says there is `true`.
runs() {
    local name=$1 question=$2 vm status=0
    shift 2
    env "$@" "$project/_build/prod/rel/$name/bin/$name" start >"$tmp/$name.log" 2>&1 &
    vm=$!
    started+=("$vm")
    within 20 in_release "$name" pid && [ "$(in_release "$name" rpc "IO.inspect($question)" | tee /dev/stderr)" = true ] || status=1
    in_release "$name" stop
    within 10 gone "$vm" || status=1
    stop "$vm"
    [ $status = 0 ] || cat "$tmp/$name.log"
    return $status
}

# does_not_start NAME WORDS VARIABLE=VALUE...
does_not_start() {
    local name=$1 words=$2 status=0
    shift 2
    env "$@" timeout 30 "$project/_build/prod/rel/$name/bin/$name" start >"$tmp/$name.log" 2>&1 || status=$?
    rm -f "$project/_build/prod/rel/$name/erl_crash.dump"
    cat "$tmp/$name.log"
    [ $status != 0 ] && [ $status != 124 ] && grep -qE "$words" "$tmp/$name.log"
}

export ERL_CRASH_DUMP_BYTES=0
: >"$tmp/plain.args"
secured='match?([%{tls_version: "1.3", identity: {:cli, "shop", _, _}}], Merlon.connections())'
check 'a mix project' generate || finish
check 'mix merlon.setup shows, asks, writes, and is done' sets_up
check 'mix merlon.setup keeps what is not its own, but no other carrier' keeps_the_rest
new_dir "$dir" shop $node && "$root/bin/merlon" cert --cli "$(id -un)" 127.0.0.1 --dir "$dir" >/dev/null
if check 'a release of these templates' assemble shop; then
    check 'it runs over merlon' runs shop "$secured"
    check 'config :merlon in runtime.exs: a setting counts' runs shop ':merlon_node.config().grace == 77' SHOP_MERLON='[grace: 77]'
    check 'config :merlon in runtime.exs: an unknown one stops the node' \
        does_not_start shop 'is it max_frame that you mean' SHOP_MERLON='[max_frames: 1]'
    check 'config :merlon in runtime.exs: what comes too late stops the node' \
        does_not_start shop 'after the distribution has started' SHOP_MERLON='[listen: ["127.0.0.1"]]'
    grep -hv merlon_dir "$project"/_build/prod/rel/shop/releases/*/vm.args >"$tmp/found.args"
    check 'config :merlon in runtime.exs: another dir than the one that was found stops the node' \
        does_not_start shop 'config :merlon says dir' SHOP_MERLON='[dir: "/elsewhere"]' RELEASE_VM_ARGS="$tmp/found.args" XDG_CONFIG_HOME="$tmp"
    check 'config :merlon in runtime.exs: -merlon_dir counts more' runs shop "$secured" SHOP_MERLON='[dir: "/elsewhere"]'
    check 'config :merlon in runtime.exs: require_carrier counts' \
        does_not_start shop 'is not secured by merlon' SHOP_MERLON='[require_carrier: true]' RELEASE_VM_ARGS="$tmp/plain.args"
fi
if check 'Merlon.Release as a step' assemble step; then
    check 'it runs over merlon' runs step "$secured"
    check 'a second -proto_dist does not turn it into plain TCP' \
        does_not_start step 'take -proto_dist out' ERL_FLAGS='-proto_dist merlon'
fi
if check 'a release that reboots after its configuration' assemble reboot; then
    # Its tools do not read runtime.exs.
    in_release() { MERLON_DIR=$dir timeout 40 "$project/_build/prod/rel/$1/bin/$1" "${@:2}"; }
    check 'there runtime.exs says all, the merlon dir too' \
        runs reboot ':merlon_node.config().listen == [ip: {127, 0, 0, 1}]' SHOP_MERLON="[dir: \"$dir\", listen: [\"127.0.0.1\"]]"
fi
finish
