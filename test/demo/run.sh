#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make demo`, after the build: compiles its modules and those of the benchmark into a temporary folder
# and runs one of them. All that it makes lies in that folder and goes with it.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd -P)
ebin=$root/_build/default/lib/merlon/ebin
[ -e "$ebin/merlon.beam" ] || { echo "demo: not built yet: run \`make build\`" >&2; exit 1; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/merlon-demo.XXXXXX")
pid=
epmd=
trap '[ -z "$epmd" ] || kill "$epmd"; rm -rf "$tmp"' EXIT
trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
mkdir "$tmp/ebin"
erlc -W -o "$tmp/ebin" "$root"/test/demo/*.erl "$root"/bench/*.erl "$root/test/erlang/merlon_peers.erl" \
    "$root/test/erlang/merlon_log_sink.erl"

# The demo's own epmd ends with it: nobody else's is used or touched.
ERL_EPMD_PORT=$(erl -noshell -noinput -eval \
    '{ok, S} = gen_tcp:listen(0, []), {ok, P} = inet:port(S), io:format("~b", [P]), halt().')
export ERL_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1
epmd &
epmd=$!
status=0
erl -noshell -noinput -boot no_dot_erlang +fnu -pa "$ebin" "$tmp/ebin" \
    -eval "logger:set_primary_config(level, notice), $1:main([\"$tmp\", \"$root\"])." &
pid=$!
wait "$pid" || status=$?
exit "$status"
