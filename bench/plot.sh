#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# plot.sh DIR: an SVG for each table of medians (*.dat) that the benchmark has written there. The scale is
# logarithmic where the largest value is more than 50 times the smallest.
set -euo pipefail
command -v gnuplot >/dev/null || { echo 'no plots: install gnuplot'; exit 0; }

for data in "$1"/*.dat; do
    [ -e "$data" ] || exit 0
    # Its first line: "UNIT" "CARRIER"...
    IFS='"' read -ra head <"$data"
    gnuplot -c "$(dirname "$0")/plot.gnuplot" "$data" "${data%.dat}.svg" "$(basename "$data" .dat)" \
        "${head[1]}" $((${#head[@]} / 2 - 1)) || echo "no plot of $data"
done
echo "plots: $1/*.svg"
