# SPDX-License-Identifier: Apache-2.0
"""A picture of what 'qosbatch run' shows on a terminal: ./dev bench progress OUTPUT.svg [SAMPLES]

AlexNet is profiled and a job of it runs on a pseudo-terminal. All that the job writes there is recorded; the picture
plays the bar in the time it took, and holds the report. A viewer that plays nothing shows the bar halfway above it.

The figure in the README: ./dev bench progress docs/figures/run-progress.svg"""
import html
import os
import pathlib
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

TOOL = pathlib.Path(__file__).resolve().parents[1] / "build/tools/qosbatch/qosbatch"
SHAPE = (3, 227, 227)
ELEMENTS = SHAPE[0] * SHAPE[1] * SHAPE[2]
COMMAND = "run alexnet --profile alexnet.json --input images.npy --output answers.csv --deadline 60"
FRAMES, HOLD_S = 16, 5
SIZE, ADVANCE, LINE, MARGIN = 12.5, 7.55, 18, 14  # of the letters, in px
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# A screen of its own, dark on any page. Letters stand out from it by 12 to 1, the blue of Okabe and Ito by 8 to 1.
SCREEN, EDGE, LETTERS, BLUE = "#161b22", "#57606a", "#e6edf3", "#56b4e9"


def write_images(path, count):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {(count, *SHAPE)}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
        for _ in range(count):
            file.write(random.randbytes(ELEMENTS))


def record(folder):
    """What the job writes: [(when, text)]."""
    ours, its = pty.openpty()
    written = []
    with subprocess.Popen([TOOL, *COMMAND.split()], cwd=folder, stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                          env={**os.environ, "TERM": "xterm"}) as process:
        os.close(its)
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # nobody holds the other end any more
                break
            written.append((time.monotonic(), piece.decode()))
    os.close(ours)
    if process.returncode:
        sys.exit("".join(text for _, text in written))
    return written


def bars_and_report(written):
    """[(seconds since the first bar, bar)], and the lines that are left in the end."""
    bars = [(when, bar) for when, text in written for bar in re.findall(r"\[[#.]+\] [^\r\n]+", text)]
    left = re.sub(r"[^\n]*\r\x1b\[K", "", "".join(text for _, text in written).replace("\r\n", "\n"))
    return [(when - bars[0][0], bar) for when, bar in bars], left.rstrip().split("\n")


def line(row, text, more=""):
    shown = re.sub(r"^(\$|\[[#.]+\])", r'<tspan fill="%s">\1</tspan>' % BLUE, html.escape(text, quote=False))
    return f'<text x="{MARGIN}" y="{MARGIN + LINE * row + SIZE:g}"{more}>{shown}</text>'


def draw(bars, report):
    step_s = bars[-1][0] / FRAMES
    period_s = FRAMES * step_s + HOLD_S
    frames = [[bar for when, bar in bars if when <= i * step_s][-1] for i in range(FRAMES)]
    lines = [f"$ qosbatch {COMMAND}", *frames, *report]
    width = 2 * MARGIN + ADVANCE * max(map(len, lines))
    height = 2 * MARGIN + LINE * (len(report) + 3)
    part = 100 * step_s / period_s
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
           f'height="{height}" xml:space="preserve" role="img">')
    yield "<title>qosbatch run: its progress and its report on a terminal</title>"
    yield f"""<style>
text {{ font: {SIZE}px {FONT}; fill: {LETTERS} }}
.bar {{ opacity: 0; animation: bar {period_s:.2f}s step-end infinite }}
.half {{ opacity: 1 }}
.report {{ animation: report {period_s:.2f}s step-end infinite }}
@keyframes bar {{ 0% {{ opacity: 1 }} {part:.3f}% {{ opacity: 0 }} 100% {{ opacity: 0 }} }}
@keyframes report {{ 0% {{ opacity: 0 }} {FRAMES * part:.3f}% {{ opacity: 1 }} }}
@media (prefers-reduced-motion: reduce) {{ .bar, .report {{ animation: none }} }}
</style>"""
    yield (f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="6" fill="{SCREEN}" '
           f'stroke="{EDGE}"/>')
    yield line(0, lines[0])
    for i, bar in enumerate(frames):
        half = " half" if i == FRAMES // 2 else ""
        yield line(1, bar, f' class="bar{half}" style="animation-delay:{i * step_s - period_s:.2f}s"')
    yield '<g class="report">'
    yield from (line(3 + i, text) for i, text in enumerate(report) if text)
    yield "</g>\n</svg>\n"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="qosbatch-progress-") as folder:
        subprocess.run([TOOL, "profile", "alexnet", "-o", f"{folder}/alexnet.json", "--max-batch", "16", "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        write_images(f"{folder}/images.npy", int(sys.argv[2]) if len(sys.argv) == 3 else 600)
        bars, report = bars_and_report(record(folder))
    pathlib.Path(sys.argv[1]).write_text("\n".join(draw(bars, report)))
    print("\n".join(report))


main()
