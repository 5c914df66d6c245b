#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Common Test suites, each in a VM of its own, two at a time: they wait more than they compute.
#
#   ct.sh [SUITE...]    all, or those named; a line for each and `N passed, N failed`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
export beams=$PWD/_build/test/lib/merlon logs=$PWD/_build/test/logs

# one SUITE: prints "SUITE PASSED FAILED SECONDS", and what was said to LOGS/SUITE/out.
one() {
    local begin=$SECONDS counts folder
    folder=$beams/$(dirname "$(ls test/{erlang,attack}/"$1.erl" 2>/dev/null)")
    rm -rf "${logs:?}/$1" && mkdir -p "$logs/$1"
    erl -noshell -pa "$beams/ebin" "$beams/test/erlang" "$beams/test/attack" -eval '
        [Suite, Tests, Logs] = init:get_plain_arguments(),
        Result = ct:run_test([{dir, Tests}, {suite, list_to_atom(Suite)}, {logdir, Logs}, {auto_compile, false}]),
        {Ok, Failed, {Skipped, NotBegun}} = Result,
        %% One that says what this machine lacks is told, and is no failure.
        _ = [file:write_file(filename:join(Logs, "skipped"), "") || Ok =:= 0, Skipped > 0],
        ok = file:write_file(filename:join(Logs, "counts"), io_lib:format("~b ~b~n", [Ok, Failed + NotBegun])),
        halt().' -extra "$1" "$folder" "$logs/$1" >"$logs/$1/out" 2>&1 </dev/null
    counts=$(cat "$logs/$1/counts" 2>/dev/null || echo '0 1')
    # A suite that ran nothing has not passed.
    [ "$counts" != '0 0' ] || [ -e "$logs/$1/skipped" ] || counts='0 1'
    echo "$1 $counts $((SECONDS - begin))"
    [ ! -e "$logs/$1/skipped" ] || echo "    skipped: $1"
    [ "${counts#* }" = 0 ] || sed 's/^/    /' "$logs/$1/out" | grep -A 12 -e '- - - -' -e 'CRASH\|rror' | head -n 60
}
export -f one

rebar3 as test compile || exit 1
# The big ones first, so that none of them is alone at the end.
# shellcheck disable=SC2012
suites=$(for suite in ${*:-$(ls -S test/{erlang,attack}/*_SUITE.erl)}; do basename "$suite" .erl; done)
mkdir -p "$logs"
# shellcheck disable=SC2086
printf '%s\n' $suites | xargs -P "${MERLON_CT_JOBS:-2}" -I {} bash -c 'one {}' | tee "$logs/lines"

# What failed beside another suite has a second chance alone, and is told: these wait for clocks, and machines have loud
# minutes. Not where so many fail that it is no matter of clocks, and no attack: one that has succeeded once has succeeded.
again=$(awk '$1 ~ /_SUITE$/ && $1 !~ /^merlon_attack_/ && NF == 4 && $3 != 0 { print $1 }' "$logs/lines")
if [ -n "$again" ] && [ "$(echo "$again" | wc -l)" -le 5 ]; then
    for suite in $again; do
        echo "again, alone: $suite"
        sed -i "/^$suite /d" "$logs/lines"
        rm -rf "$logs/$suite.first" && mv "$logs/$suite" "$logs/$suite.first"
        one "$suite" | tee -a "$logs/lines"
    done
fi
awk '$1 ~ /_SUITE$/ && NF == 4 { passed += $2; failed += $3 }
     END { printf "%d passed, %d failed\n", passed, failed; exit failed != 0 }' "$logs/lines"
