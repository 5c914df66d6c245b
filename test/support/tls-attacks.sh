#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# TLS attacks on the port of a node, case by case (test/fixtures/tls; `--list` names them): a real node on loopback, its
# certificates made by bin/merlon, attacked with tlslite-ng (PyPI, installed into MERLON_CACHE), the library of tlsfuzzer. tlsfuzzer itself
# is no package, and its conversations want a server that takes a client without ALPN and answers HTTP: its cases are told
# anew here for merlon/1. With words as arguments only cases with one of them in their name are run.
. "$(dirname "$0")/../fixtures/lib.sh"
ebin=$root/_build/default/lib/merlon/ebin
cache=${MERLON_CACHE:-$HOME/.cache/merlon}
python=$cache/tlslite/bin/python
host=127.0.0.1
export VICTIM_NODE=tls_victim@$host ATTACKER_NODE=tls_attacker@$host COOKIE=tls_attacks CLUSTER=attacked
export PYTHONDONTWRITEBYTECODE=1

installed() {
    "$python" -c 'import tlslite.api' 2>/dev/null && return
    (flock 9 && rm -rf "$cache/tlslite" && python3 -m venv "$cache/tlslite" &&
        "$cache/tlslite/bin/pip" install --quiet 'tlslite-ng==0.8.2') 9>"$cache/tlslite.lock"
}

if [ "${1:-}" = --list ]; then exec "$python" "$fixtures/tls/attacks.py" --list; fi
mkdir -p "$cache"
check 'the tree is built' test -s "$ebin/merlon.app" || finish
check 'tlslite-ng, from the cache or PyPI' installed || finish
check 'a node that answers compiles' erlc -Werror -o "$tmp" "$fixtures/tls/tls_victim.erl" || finish
check 'a cluster' new_dir "$tmp/cluster" "$CLUSTER" "$VICTIM_NODE" "$ATTACKER_NODE" "other@$host" || finish
check 'a cluster of the same name' new_dir "$tmp/strange" "$CLUSTER" "$ATTACKER_NODE" || finish
printf '%s\n' '{log_interval, 0}.' '{handshake_timeout, 2500}.' '{max_frame, 16777216}.' >>"$tmp/cluster/merlon.config"

export ATTACKER=$tmp/cluster/nodes/$ATTACKER_NODE STRANGER=$tmp/strange/nodes/$ATTACKER_NODE OTHER=$tmp/cluster/nodes/other@$host
export VICTIM="erl -noshell -name $VICTIM_NODE -setcookie $COOKIE -pa $ebin $tmp -proto_dist merlon -merlon_dir $tmp/cluster \
-kernel prevent_overlapping_partitions false -run tls_victim main"
"$python" "$fixtures/tls/attacks.py" "$@" | tee "$tmp/verdicts"
read -r good bad < <(awk '/^[0-9]+ passed, [0-9]+ failed/ { print $1, $3 }' "$tmp/verdicts")
passed=$((passed + ${good:-0}))
failed=$((failed + ${bad:-1}))
finish
