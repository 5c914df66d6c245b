#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Moves a cluster of three nodes under load to merlon, node by node, as docs/guides/migrate.md says: no node may see another go
# down but for its own restart. The merlon dir is made by the commands of the guide.
. "$(dirname "$0")/../fixtures/lib.sh"
merlon=$root/bin/merlon
dir=$tmp/merlon
ebin=$root/_build/default/lib/merlon/ebin
names=(a_$$ b_$$ c_$$)

merlon_dir() {
    "$merlon" init --cluster moving --dir "$dir" || return 1
    local name
    for name in "${names[@]}"; do "$merlon" cert "$name@127.0.0.1" --dir "$dir" || return 1; done
}

build() {
    mkdir -p "$tmp/ebin" &&
        erlc -W -o "$tmp/ebin" "$fixtures/merlon_migrate.erl" "$root"/test/erlang/merlon_{peers,log_sink}.erl
}

# Each line of it that says ok or FAILED counts.
move() {
    erl -noshell -noinput -boot no_dot_erlang -pa "$tmp/ebin" "$ebin" \
        -eval "merlon_migrate:main($1, \"$dir\", $(printf '"%s",' "${names[@]}" | sed 's/,$//; s/.*/[&]/'))." \
        </dev/null >"$tmp/$1.log" 2>&1 &
    local driver=$!
    started+=("$driver")
    wait "$driver"
    awk '/^(ok|FAILED) / { shown = 1 } /^(=|merlon:|all done)/ { shown = 0 } shown' "$tmp/$1.log"
    passed=$((passed + $(grep -c '^ok ' "$tmp/$1.log")))
    failed=$((failed + $(grep -c '^FAILED ' "$tmp/$1.log")))
    if ! grep -qx 'all done' "$tmp/$1.log"; then
        failed=$((failed + 1))
        tail -n 60 "$tmp/$1.log" | sed 's/^/    /'
    fi
}

check 'the merlon dir of the guide' merlon_dir && check 'the driver' build && move plain
finish
