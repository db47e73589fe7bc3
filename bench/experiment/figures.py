# SPDX-License-Identifier: Apache-2.0
"""Figures of the experiment, as SVG by gnuplot: one style, legible on light and on dark pages."""
import subprocess

INK, GRID = "#7d7d7d", "#9a9a9a"
COLOURS = ["#0072b2", "#d55e00", "#009e73"]  # Okabe and Ito's, which the colour-blind tell apart
PANEL_WIDTH, PANEL_HEIGHT = 250, 215


def block(name, rows):
    return f"${name} << E\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\nE\n"


def draw(path, columns, panels, settings, width=PANEL_WIDTH, height=PANEL_HEIGHT):
    """panels: (title, data blocks, plot command), row by row."""
    rows = -(-len(panels) // columns)
    script = [f"set terminal svg size {columns * width},{rows * height} font 'sans-serif,11'",
              f"set output '{path}'",
              f"set border 3 lc rgb '{INK}'", f"set xtics nomirror textcolor rgb '{INK}'",
              f"set ytics nomirror textcolor rgb '{INK}'", f"set grid ytics lc rgb '{GRID}' lw 0.4",
              f"set key top right textcolor rgb '{INK}' samplen 1.5", "set logscale x 2",
              settings, f"set multiplot layout {rows},{columns}"]
    for title, blocks, plot in panels:
        script += [*blocks, f"set title '{title}' textcolor rgb '{INK}' offset 0,-0.6", plot]
    script.append("unset multiplot")
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def throughput(path, lines, chosen, batch, at, latency_ms):
    """lines: configuration -> [(round in ms, samples/s)]; the chosen configuration and the round `at` stand out."""
    blocks, plots = [], []
    for i, (configuration, points) in enumerate(sorted(lines.items(), key=lambda line: line[0] == chosen)):
        stands_out = configuration == chosen
        blocks.append(block(f"c{i}", points))
        look = f"lw 2.4 ps 0.5 lc rgb '{COLOURS[0]}'" if stands_out else f"lw 1 ps 0.25 lc rgb '{GRID}'"
        plots.append(f"$c{i} with linespoints pt 7 {look} title "
                     f"'{label(configuration) + ', chosen' if stands_out else 'other splits' if not i else ''}'")
    top = 1.25 * max(rate for points in lines.values() for _, rate in points)
    blocks += [block("at", [at]), block("target", [(latency_ms, 0), (latency_ms, top)])]
    plots += [f"$target with lines dt 2 lw 1.4 lc rgb '{COLOURS[1]}' title 'target {latency_ms:g} ms, p99'",
              f"$at with points pt 6 ps 1.8 lw 2.4 lc rgb '{COLOURS[1]}' title 'its round, at most {batch}'"]
    draw(path, 1, [("", blocks, "plot " + ", ".join(plots))],
         "set logscale x 10\nset autoscale xfix\nset key outside right top\n"
         f"set yrange [0:{top:.0f}]\nset xlabel 'a round takes [ms]' textcolor rgb '{INK}' offset 0,0.5\n"
         f"set ylabel 'samples/s of the node' textcolor rgb '{INK}' offset 1,0", 620, 300)


def label(configuration):
    return "%u x %u" % configuration


def density(path, curves):
    """curves: network -> configuration -> [(batch, p)]; a panel a network."""
    panels = []
    for network, by_configuration in curves.items():
        blocks = [block(f"{network}{i}", points) for i, points in enumerate(by_configuration.values())]
        lines = [f"${network}{i} with linespoints lw 1.6 pt 7 ps 0.45 lc rgb '{COLOURS[i % 3]}' "
                 f"title '{label(c)}'" for i, c in enumerate(by_configuration)]
        panels.append((network, blocks, "plot " + ", ".join(lines)))
    draw(path, len(panels), panels,
         f"set yrange [0:*]\nset xlabel 'batch' textcolor rgb '{INK}' offset 0,0.5\n"
         f"set ylabel 'density p' textcolor rgb '{INK}' offset 1,0")


def errors(path, points):
    """points: network -> configuration -> [(batch, measured, low, high)], all in % of the estimate."""
    widest = max(abs(v) for by in points.values() for rows in by.values() for row in rows
                 for v in row[1:])
    panels = []
    for network, by_configuration in points.items():
        for i, (configuration, rows) in enumerate(by_configuration.items()):
            name = f"{network}{i}"
            colour = COLOURS[i % 3]
            panels.append((
                f"{network}, {label(configuration)}", [block(name, sorted(rows))],
                f"plot ${name} using 1:3:(0):($4-$3) with vectors nohead lw 7 lc rgb '#b0{GRID[1:]}' notitle, "
                f"0 with lines lc rgb '{INK}' notitle, "
                f"${name} using 1:2 with points pt 7 ps 0.5 lc rgb '{colour}' notitle"))
    draw(path, max(len(by) for by in points.values()), panels,
         f"set yrange [{-1.1 * widest:.1f}:{1.1 * widest:.1f}]\n"
         f"set xlabel 'batch' textcolor rgb '{INK}' offset 0,0.5\n"
         f"set ylabel 'off the estimate [%]' textcolor rgb '{INK}' offset 1,0")
