# SPDX-License-Identifier: Apache-2.0
# gnuplot -c plot.gnuplot DATA OUT NAME UNIT COLUMNS LOW HIGH: groups of bars, one group for each line of DATA, whose
# values lie between LOW and HIGH; one bar for each of the COLUMNS.
data = ARG1; unit = ARG4; columns = ARG5; low = ARG6 + 0; high = ARG7 + 0
set terminal svg size 1100,560 dynamic background rgb 'white' font 'sans-serif,13'
set output ARG2
set datafile missing '?'
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
plot for [c in columns] data using (column(c + 0)):xtic(1) linetype c - 1 title columnheader(c + 0)
