#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark itself: its statistics, a short run, what it writes, what it refuses, what it leaves behind.
. "$(dirname "$0")/../fixtures/lib.sh"
out=$tmp/out
export TMPDIR=$tmp BENCH_OUT=$out
unset QUICK ROUNDS ONLY CARRIERS SIZES NETWORKS

units() {
    mkdir "$tmp/units" && erlc -Werror -DTEST -o "$tmp/units" "$root"/bench/merlon_bench_{stat,goals}.erl &&
        erl -noshell -noinput -boot no_dot_erlang -pa "$tmp/units" -eval \
            'halt(case eunit:test([merlon_bench_stat, merlon_bench_goals]) of ok -> 0; error -> 1 end).'
}

short() {
    QUICK=1 ROUNDS=1 ONLY=throughput,setup SIZES=64 CARRIERS=tcp,merlon "$root/bench/run.sh"
}

# Every line has every field, the value is a number above 0, and nothing was left out.
tidy() {
    cat "$out/bench.csv"
    [ "$(head -1 "$out/bench.csv")" = date,otp,cores,cpu,kernel,network,carrier,measure,variant,size,unit,round,value ] &&
        awk -F, 'NR > 1 { if (NF != 13 || $2 !~ /^[0-9]+$/ || $6 != "loopback" || $12 != 1) exit bad = 1
                          if ($8 != "long_schedule" && $13 + 0 <= 0) exit bad = 1
                          seen[$7 " " $8 " " $9 " " $10 " " $11]++ }
                 END { for (c = split("tcp merlon", carrier, " "); c; c--)
                           if (seen[carrier[c] " throughput one_way_1 64 MB/s"] != 1 ||
                               seen[carrier[c] " throughput both_ways_1 64 CPU s/GB"] != 1 ||
                               seen[carrier[c] " setup p50  ms"] != 1) bad = 1
                       exit bad }' "$out/bench.csv"
}

table() {
    cat "$out/table.txt"
    grep -q '^== throughput, loopback' "$out/table.txt" &&
        grep -qE '^one_way_1 64B MB/s .* 1\.00x .*x   >= 1\.5x tcp (pass|MISS)' "$out/table.txt" &&
        grep -qE '^== goals: [0-9]+ pass' "$out/table.txt"
}

# Faster than the line is impossible.
shaped() {
    QUICK=1 ROUNDS=1 ONLY=throughput SIZES=65536 CARRIERS=tcp,merlon NETWORKS=1gbit "$root/bench/run.sh" || return 1
    grep '^1gbit: skipped: ' "$out/table.txt" && return
    awk -F, '$6 == "1gbit" && $11 == "MB/s" { if ($13 > 10 && $13 < 125) n++ } END { exit n != 2 }' "$out/bench.csv"
}

refuses() {
    local status=0
    ONLY=thruput "$root/bench/run.sh" || status=$?
    [ $status = 2 ] || return 1
    status=0
    "$root/bench/run.sh" --quick || status=$?
    [ $status = 2 ]
}

nothing_left() {
    ours
    ls "$tmp"
    [ -z "$(ours)" ] && ! compgen -G "$tmp/merlon-bench.*"
}

# Stopped as soon as its first nodes are there.
interrupted() {
    local run status=0
    QUICK=1 ONLY=throughput CARRIERS=tcp,merlon "$root/bench/run.sh" &
    run=$!
    started+=("$run")
    within 20 nodes_up && kill -TERM "$run" || return 1
    wait "$run" || status=$?
    [ $status = 130 ] && within 5 nothing_left
}
nodes_up() { [ "$(ours | wc -l)" -ge 3 ]; }

check 'statistics and goals' units
if check 'a short run' short; then
    check 'its CSV file is tidy and complete' tidy
    check 'its table has ratios, goals and verdicts' table
fi
check 'a network of 1 Gbit/s, or why not' shaped
check 'nothing is left behind' nothing_left
check 'unknown knobs and arguments are refused' refuses
check 'stopped in the middle, nothing is left behind' interrupted
finish
