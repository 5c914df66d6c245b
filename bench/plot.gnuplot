# SPDX-License-Identifier: Apache-2.0
# gnuplot -c plot.gnuplot DATA OUT NAME UNIT CARRIERS: groups of bars, one group for each line of DATA.
data = ARG1; unit = ARG4; carriers = ARG5 + 0
set terminal svg size 1100,560 dynamic background rgb 'white' font 'sans-serif,13'
set output ARG2
set datafile missing '?'
low = 1e300
high = 0
do for [c = 2:carriers + 1] {
    stats data using c skip 1 nooutput
    low = STATS_min < low ? STATS_min : low
    high = STATS_max > high ? STATS_max : high
}
if (low > 0 && high > 50 * low) {
    set logscale y
    set yrange [low / 2:]
} else {
    set yrange [0:(high > 0 ? high * 1.05 : 1)]
}
set title ARG3 noenhanced
set ylabel unit noenhanced
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set xtics rotate by -30 noenhanced
set rmargin 16
set key outside top center horizontal noenhanced
set grid ytics lc rgb '#dddddd'
set linetype 1 lc rgb '#7f7f7f'
set linetype 2 lc rgb '#e6a35c'
set linetype 3 lc rgb '#c0504d'
set linetype 4 lc rgb '#2f6db5'
plot for [c = 2:carriers + 1] data using c:xtic(1) title columnheader(c)
