#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All tests, each kind in its turn, and one summary. The last line is `N passed, N failed`; exit 0 only if
# nothing failed. `run.sh KIND...` runs those kinds only:
# rust, knockouts, eunit, ct, elixir, releases, clusters.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root" || exit 1
logs=$root/_build/test-logs
mkdir -p "$logs"
export PATH=$PATH:$HOME/.cargo/bin
passed=0
failed=0
summary=$(mktemp)
# Nodes start OTP's epmd where there is none. It ends with the tests, unless somebody else has a name there by then.
epmd -names >/dev/null 2>&1 && epmd=theirs || epmd=ours
trap 'rm -f "$summary"; [ $epmd = theirs ] || epmd -kill >/dev/null 2>&1' EXIT

# The lines that name what failed, of each kind below: they are said again at the end.
failures() {
    grep -E -e '^FAILED' -e '^---- .* stdout ----' -e '\*failed\*' -e '_SUITE [0-9]+ [1-9]' -e '_SUITE:.* failed' -e '^ +[0-9]+\) test' |
        head -n 20 | cut -c 1-200 | sed 's/^ */    /'
}

# run NAME COUNTER CMD...: COUNTER reads the log and prints "PASSED FAILED".
run() {
    local name=$1 counter=$2 log=$logs/$1.log status=0 good bad start=$SECONDS
    shift 2
    "$@" >"$log" 2>&1 || status=$?
    sed -i 's/\x1b\[[0-9;]*m//g' "$log"
    read -r good bad < <("$counter" <"$log")
    # A run that failed before it could count is a failure too, and so is one that tested nothing.
    if [ "$bad" = 0 ] && { [ $status != 0 ] || [ "$good" = 0 ]; }; then bad=1; fi
    printf '%-22s %4d passed %4d failed %5d s\n' "$name" "$good" "$bad" $((SECONDS - start))
    grep '^again, alone: ' "$log" | sed "s/^/$name: /" >>"$summary"
    if [ "$bad" != 0 ]; then
        tail -n 60 "$log" | sed 's/^/    /'
        echo "    (all of it: ${log#"$root"/})"
        { echo "$name: failed"; failures <"$log"; } >>"$summary"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# "test result: ok. 12 passed; 0 failed; ..."
count_cargo() { awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }'; }

# "51 tests, 2 failures", of EUnit and ExUnit; from Elixir 1.20 on "Result: 49/51 passed". Skipped ones did not pass.
count_tests() {
    awk '/^Result: / && $3 ~ /^passed/ { n = split($2, of, "/"); t += of[n]; f += of[n] - of[1] }
         /[0-9]+ tests?, [0-9]+ failures?/ {
             for (i = 1; i < NF; i++) {
                 if ($(i + 1) ~ /^tests?,/) t += $i
                 if ($(i + 1) ~ /^failures?/) f += $i
                 if ($(i + 1) ~ /^(skipped|excluded|invalid)/) s += $i } }
         END { print t - f - s, f + 0 }'
}

# "N passed, N failed", the last such line.
count_last() {
    awk '/^[0-9]+ passed, [0-9]+ failed/ { p = $1; f = $3 } END { print p + 0, f + 0 }'
}

# The cdylib has no tests of its own: a test program could not be linked without a VM around it.
# Then the crates that have another library under them with the feature aws-lc.
rust() {
    run rust count_cargo cargo test --locked --workspace --exclude merlon_nif --quiet
    run aws-lc count_cargo cargo test --locked --package merlon_record --package merlon_tls --features merlon_tls/aws-lc --quiet
}
eunit() { run eunit count_tests rebar3 eunit; }
ct() { run ct count_last test/support/ct.sh; }
elixir() { run elixir count_tests mix test --warnings-as-errors; }

# Ways in which a node is built, packed and booted.
releases() { scripts dependency hex release configured embedded rebar3_release phoenix deploy remote-shell; }

# Whatever else needs more than one VM or other programs.
clusters() { scripts targets prebuilt manifests external-ca providers tls-attacks strategies migrate machines rotations sources status-page audit guides runbook sarif bench crossotp; }

# scripts NAME...: executables that end as this one does. What can't be run here says what it lacks.
scripts() {
    local name lacks
    for name; do
        lacks=$(lacks "$name")
        if [ -n "$lacks" ]; then
            printf '%-22s left: needs %s\n' "$name" "$lacks"
        else
            run "$name" count_last "test/support/$name.sh"
        fi
    done
}

lacks() {
    local root27
    root27=$(test/support/otp.sh path)
    case $1 in
        hex) [ -e /.merlon-ready ] || [ -e "$root27/.merlon-ready" ] ||
                 echo 'Hex, which is in the OTP 27 root (test/support/otp.sh prepare)' ;;
        crossotp) [ ! -e /.merlon-ready ] && [ -e "$root27/.merlon-ready" ] ||
                      echo 'the OTP 27 root beside another OTP (test/support/otp.sh prepare)' ;;
        providers | tls-attacks) python3 -c 'import venv, ensurepip' 2>/dev/null || echo 'Python with venv' ;;
        machines | rotations | sources) (. test/fixtures/netns.sh && can_make_machines) >/dev/null 2>&1 ||
                                  echo 'network namespaces (root, or user namespaces) and iproute2' ;;
        status-page) { command -v chromium && command -v python3; } >/dev/null || echo 'Chromium (apt-get install chromium) and Python' ;;
        sarif) { command -v npm && command -v node && command -v python3; } >/dev/null || echo 'npm, node and python3' ;;
    esac
}

# Every check has a test that misses it when it is taken out.
knockouts() { if [ -x test/support/knockouts.sh ]; then run knockouts count_last test/support/knockouts.sh; fi; }

kinds="rust knockouts eunit ct elixir releases clusters"
for kind in ${*:-$kinds}; do
    case " $kinds " in
        *" $kind "*) $kind ;;
        *) echo "run.sh: unknown kind $kind; the kinds are: $kinds" >&2; exit 2 ;;
    esac
done

echo
cat "$summary"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
