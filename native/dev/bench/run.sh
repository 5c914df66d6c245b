#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The micro-benchmarks, with ring and with aws-lc.
#
#   run.sh [FILTER]         times (criterion): records of both libraries, frames, sockets, polling
#   run.sh --instructions   instructions in user space per record, by perf, or by callgrind where perf can not
#                           count (its processor has neither VAES nor AVX-512, so the AEADs take older code)
set -euo pipefail

cd "$(dirname "$0")"
export PATH=$PATH:$HOME/.cargo/bin
target=${CARGO_TARGET_DIR:-$PWD/../target}
records=500
events=$(mktemp)
trap 'rm -f "$events"' EXIT

times() {
    cargo bench --locked -p merlon_bench -- --noplot "$@"
    cargo bench --locked -p merlon_bench --features aws-lc --bench record -- --noplot "$@"
}

instructions() {
    local count=by_callgrind features
    if by_perf true >/dev/null; then count=by_perf; fi
    echo "instructions per record, counted $count"
    for features in '' aws-lc; do
        # `bench` is built as it is shipped: no debug assertions.
        cargo build --locked --quiet --profile bench -p merlon_bench --features "$features"
        table "${features:-ring}" "$count"
    done
}

# The sealing of what is opened is not counted.
table() {
    local suite size step sealing n
    for suite in aes128 aes256 chacha20; do
        for size in 64 1024 16384; do
            sealing=$(per_record "$2" seal $suite $size)
            echo "$1 seal $suite $size $sealing"
            for step in pack open open_copy open_to; do
                n=$(per_record "$2" $step $suite $size)
                case $step in open*) n=$((n - sealing)) ;; esac
                echo "$1 $step $suite $size $n"
            done
        done
    done
}

# What starting the program costs is in both counts.
per_record() {
    local count=$1 once twice
    shift
    once=$($count "$target/release/merlon_bench" "$@" $records)
    twice=$($count "$target/release/merlon_bench" "$@" $((2 * records)))
    echo $(((twice - once) / records))
}

by_perf() {
    perf stat -x, -e instructions:u -o "$events" "$@" 2>/dev/null || return 1
    awk -F, '/instructions/ && $1 ~ /^[0-9]+$/ { print $1; found = 1 } END { exit !found }' "$events"
}

by_callgrind() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 |
        awk '/Collected/ { print $NF; found = 1 } END { exit !found }'
}

if [ "${1:-}" = --instructions ]; then instructions; else times "$@"; fi
