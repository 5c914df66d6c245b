#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark itself: its statistics, a short run, what it writes, what it refuses, what it leaves behind; that no carrier's
# figures are printed under another's name; and, by its counts, that big messages are not copied more often than small ones.
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
    QUICK=1 ROUNDS=1 ONLY=throughput,setup SIZES=64,65536 CARRIERS=tcp,merlon NETWORKS=loopback,1gbit "$root/bench/run.sh" >"$tmp/short.log" 2>&1 || { cat "$tmp/short.log"; return 1; }
}

# Every line has every field, the value is a number above 0, and nothing was left out.
tidy() {
    cat "$out/bench.csv"
    [ "$(head -1 "$out/bench.csv")" = date,otp,cores,cpu,kernel,network,carrier,measure,variant,size,unit,round,value ] &&
        awk -F, 'NR > 1 { if (NF != 13 || $2 !~ /^[0-9]+$/ || $6 !~ /^(loopback|1gbit)$/ || $12 != 1) exit bad = 1
                          if ($8 != "long_schedule" && $13 + 0 <= 0) exit bad = 1
                          if ($6 == "loopback") seen[$7 " " $8 " " $9 " " $10 " " $11]++ }
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

# A plot for each measure and unit of the CSV file, with each carrier's bars: of every row one, and one in the key.
plots() {
    local plots=$out/plots data carrier expected found bars
    if ! command -v gnuplot >/dev/null; then grep 'no plots: install gnuplot' "$tmp/short.log"; return; fi
    expected=$(awk -F, 'NR > 1 { gsub(/[^A-Za-z]+/, "_", $11); print $6 "-" $8 "-" $11 }' "$out/bench.csv" | sort -u)
    found=$(cd "$plots" && ls ./*.svg | sed 's,^\./,,; s,\.svg$,,' | sort -u)
    echo "expected: $expected"; echo "found: $found"
    [ -n "$found" ] && [ "$expected" = "$found" ] || return 1
    for data in "$plots"/*.dat; do
        [ "$(tr -d '\n' <"${data%.dat}.svg" | tail -c 6)" = '</svg>' ] || { echo "no end: $data"; return 1; }
        for carrier in tcp merlon; do
            bars=$(awk -v title="<title>$carrier</title>" 'index($0, title) { on = 1; next } /<g id=/ { on = 0 } on && /<polygon/ { n++ } END { print n + 0 }' "${data%.dat}.svg")
            echo "$data: $carrier: $bars"
            # A bar of no height, of no events at all, may not be drawn.
            case $data in *long_schedule*) continue ;; esac
            [ "$bars" = "$(wc -l <"$data")" ] || return 1
        done
    done
}

# What a carrier has no values for is left out, without a word, and the others keep their places.
holes() {
    if ! command -v gnuplot >/dev/null; then return; fi
    mkdir "$tmp/holes" && printf '"us" "tcp" "merlon"\n"a b" ? 3\n"c" ? 400\n' >"$tmp/holes/x.dat" &&
        "$root/bench/plot.sh" "$tmp/holes" >"$tmp/holes/log" 2>&1 || { cat "$tmp/holes/log"; return 1; }
    cat "$tmp/holes/log"
    [ "$(cat "$tmp/holes/log")" = "plots: $tmp/holes/*.svg" ] &&
        [ "$(tr -d '\n' <"$tmp/holes/x.svg" | tail -c 6)" = '</svg>' ] && grep -q '<title>merlon</title>' "$tmp/holes/x.svg"
}

# disguised FROM AS: a benchmark whose nodes of carrier AS are given what those of FROM are.
disguised() {
    local tree=$tmp/tree status=0
    rm -rf "$tree" && mkdir "$tree" && cp -r "$root/bench" "$tree/bench" &&
        ln -s "$root/_build" "$root/test" "$root/native" "$root/priv" "$tree/" || return 1
    sed -i "/^args($2, /,/[;.]\$/c args($2, Name, Scene) -> args($1, Name, Scene)$([ "$2" = merlon ] && echo . || echo ';')" \
        "$tree/bench/merlon_bench_carriers.erl"
    QUICK=1 ROUNDS=1 ONLY=erpc CARRIERS="$2" BENCH_OUT=$tmp/disguised "$tree/bench/run.sh" >"$tmp/disguised.log" 2>&1 || status=$?
    cat "$tmp/disguised.log"
    [ $status = 1 ] && grep -q "not_what_it_claims,$2,$1" "$tmp/disguised.log" && [ "$(wc -l <"$tmp/disguised/bench.csv")" = 1 ]
}

# Messages of 256 MiB, too, are copied about once: nothing is put together in quadratic time. Of both ends the carrier and the VM.
linear() {
    QUICK=1 ROUNDS=1 ONLY=counts SIZES=16777216,268435456 CARRIERS=merlon BENCH_OUT=$tmp/counts "$root/bench/run.sh" || return 1
    grep '^counts: skipped: ' "$tmp/counts/table.txt" && return
    awk -F, '$11 == "copies" { print $9, $10, $13; n++; if ($13 > 1.25) bad = 1
                              if ($10 == 268435456 && $9 ~ /_carrier$/ && $13 > 0.9) counted++ }
             END { exit bad || n != 8 || counted != 2 }' "$tmp/counts/bench.csv"
}

# Faster than the line is impossible.
shaped() {
    grep '^1gbit: skipped: ' "$out/table.txt" && return
    awk -F, '$6 == "1gbit" && $10 == 65536 && $11 == "MB/s" { if ($13 > 10 && $13 < 125) n++ } END { exit n != 2 }' "$out/bench.csv"
}

# A round trip over the one takes 1 ms. Of those over the other one in fifty waits until TCP sends again, which is 200 ms.
far() {
    QUICK=1 ROUNDS=1 ONLY=throughput,roundtrip SIZES=65536 CARRIERS=tcp NETWORKS=1gbit_1ms,1pct_loss BENCH_OUT=$tmp/far "$root/bench/run.sh" || return 1
    delayed || grep '^1gbit_1ms: skipped: ' "$tmp/far/table.txt" || return 1
    lossy || grep '^1pct_loss: skipped: ' "$tmp/far/table.txt"
}

delayed() {
    awk -F, '$6 == "1gbit_1ms" && $9 == "idle_p50" && $13 > 1000 && $13 < 10000 { n++ }
             $6 == "1gbit_1ms" && $11 == "MB/s" && $13 > 10 && $13 < 125 { n++ }
             END { exit n != 2 }' "$tmp/far/bench.csv"
}

lossy() { awk -F, '$6 == "1pct_loss" && $9 == "idle_p99" && $13 > 100000 { n++ } END { exit n != 1 }' "$tmp/far/bench.csv"; }

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
    QUICK=1 ONLY=throughput CARRIERS=tcp "$root/bench/run.sh" &
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
    check 'its plots are whole' plots
    check 'a plot of what only some carriers have' holes
    check 'a network of 1 Gbit/s, or why not' shaped
fi
check 'plain TCP is not measured as merlon' disguised tcp merlon
check 'inet_tls as it comes is not measured as the tuned one' disguised inet_tls inet_tls_tuned
check 'big messages are copied as often as small ones' linear
check 'networks with a delay and with losses, or why not' far
check 'nothing is left behind' nothing_left
check 'unknown knobs and arguments are refused' refuses
check 'stopped in the middle, nothing is left behind' interrupted
finish
