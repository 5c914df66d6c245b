#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# plot.sh DIR: an SVG for each table of medians (*.dat) that the benchmark has written there. The scale is
# logarithmic where the largest value is more than 50 times the smallest.
set -euo pipefail
command -v gnuplot >/dev/null || { echo 'no plots: install gnuplot'; exit 0; }

for data in "$1"/*.dat; do
    [ -e "$data" ] || exit 0
    [ -s "$data" ] || continue
    # Its first line: "UNIT" "CARRIER"...
    IFS='"' read -ra head <"$data"
    # A carrier may have no value at all (`?`): there is no plain TCP among the dialers.
    values=$(tail -n +2 "$data" | sed 's/^"[^"]*"//')
    columns=$(awk '{ for (i = 1; i <= NF; i++) if ($i != "?") has[i + 1] } END { for (i in has) print i }' <<<"$values" | sort -n | paste -sd ' ')
    read -r low high < <(tr -s ' ' '\n' <<<"$values" | grep -v '^?*$' | sort -g | sed -n '1p;$p' | paste -sd ' ')
    gnuplot -c "$(dirname "$0")/plot.gnuplot" "$data" "${data%.dat}.svg" "$(basename "$data" .dat)" \
        "${head[1]}" "$columns" "$low" "${high:-$low}" || echo "no plot of $data"
done
echo "plots: $1/*.svg"
