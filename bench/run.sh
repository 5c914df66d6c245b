#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plain TCP, inet_tls as it comes, inet_tls tuned, and merlon, in turn, in one run. Run it by `make bench`.
# The environment (or make variables) says what is run:
#
#   QUICK=1               all measures in short, loopback only: about 3 minutes, and the build the first time
#   ROUNDS=3              rounds, each with new nodes; the tables show medians over them
#   ONLY=setup,erpc       throughput mixed roundtrip erpc setup fairness nodedown memory links dialers refusals counts
#   CARRIERS=tcp,merlon   tcp inet_tls inet_tls_tuned merlon; ratios need tcp
#   SIZES=64,65536        message sizes of `throughput`, and of `counts` those whose copies are counted, in bytes
#   SCHEDULERS=1          of each node; default: the VM's, one for each core
#   NETWORKS=loopback     loopback 1gbit 1gbit_1ms 10gbit 1pct_loss; all but the first need root
#   BENCH_OUT=DIR         where bench.csv, table.txt and plots/ go; default: _build/bench
#
# Exit code 0: all was measured, goals reached or not. 1: something failed. 2: wrong use.
set -euo pipefail

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(dirname "$bench")
case ${1:-} in
    '') ;;
    -h | --help) sed -n '3,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "bench: unknown argument $1: see $0 --help" >&2; exit 2 ;;
esac
ebin=$root/_build/default/lib/merlon/ebin
[ -e "$ebin/merlon.beam" ] || { echo "bench: not built yet: run \`make build\`" >&2; exit 1; }

unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS MERLON_DIR
out=${BENCH_OUT:-$root/_build/bench}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/merlon-bench.XXXXXX")
driver=
epmd=
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# The nodes before the driver: it waits for them, so that they do not stay on as zombies.
cleanup() {
    local status=$? pid
    for pid in $(nodes) $driver $epmd; do
        if [ "$pid" = "$driver" ]; then sleep 0.2; fi
        kill -KILL "$pid" 2>/dev/null || true
    done
    for pid in $(nodes); do kill -KILL "$pid" 2>/dev/null || true; done
    [ -z "$driver" ] || "$bench/net.sh" down "$driver" || true
    rm -rf "$tmp"
    return $status
}

# Nobody else's command line names this run's folder.
nodes() {
    local process pid
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        if [ "$pid" != $$ ] && [ "$pid" != "$driver" ] &&
            tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF "$tmp/ebin"; then
            echo "$pid"
        fi
    done
}

mkdir -p "$out" "$tmp/ebin"
out=$(cd "$out" && pwd -P)
rm -rf "$out/plots"
erlc -Werror +nowarn_deprecated_catch -o "$tmp/ebin" "$bench"/*.erl "$root"/test/erlang/merlon_{peers,log_sink,attacker}.erl

# For `dialers`; where it can't be built that measure is skipped. Built as it is shipped.
case ,${ONLY:-dialers}, in *[,\ ]dialers[,\ ]*)
    dev=$root/native/dev
    if PATH=$PATH:$HOME/.cargo/bin cargo build --locked --quiet --profile bench --manifest-path "$dev/Cargo.toml" -p merlon_dialers; then
        cp "${CARGO_TARGET_DIR:-$dev/target}/release/merlon_dialers" "$tmp/"
    fi ;;
esac

# For `counts`; where it can't be built that measure is skipped.
cc -shared -fPIC -O2 -fno-builtin -fno-tree-loop-distribute-patterns -o "$tmp/probe.so" "$bench/probe.c" -ldl \
    -I"$(erl -noshell -noinput -boot no_dot_erlang -eval 'io:format("~s/usr/include", [code:root_dir()]), halt().')" ||
    rm -f "$tmp/probe.so"
# For `refusals`, likewise.
cc -shared -fPIC -O2 -o "$tmp/allocations.so" "$bench/allocations.c" || rm -f "$tmp/allocations.so"

# The run's own epmd ends with it: nobody else's is used or touched.
ERL_EPMD_PORT=$(erl -noshell -noinput -boot no_dot_erlang -eval \
    '{ok, S} = gen_tcp:listen(0, []), {ok, P} = inet:port(S), io:format("~b", [P]), halt().')
export ERL_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1
epmd >/dev/null 2>&1 &
epmd=$!
disown "$epmd"

status=0
erl -noshell -noinput -boot no_dot_erlang +fnu -pa "$ebin" "$tmp/ebin" \
    -eval "logger:set_primary_config(level, notice), merlon_bench:main([\"$tmp\", \"$bench\", \"$out\"])." \
    > >(tee "$out/table.txt") &
driver=$!
wait "$driver" || status=$?
if [ $status = 0 ]; then "$bench/plot.sh" "$out/plots" >&2; fi
echo "bench: all of it is in ${out#"$root"/}" >&2
exit $status
