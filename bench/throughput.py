# SPDX-License-Identifier: Apache-2.0
"""Throughput against latency of every configuration of a profile, with what a service at a latency target would
choose: ./dev bench throughput PROFILE|MEASUREMENTS.csv LATENCY_MS OUTPUT.svg

The figure in the README: ./dev bench throughput docs/figures/resnet50-16-cores.csv 100 docs/figures/throughput.svg"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench/experiment"))
import figures  # noqa: E402
from report import curves  # noqa: E402

TOOL = ROOT / "build/tools/qosbatch/qosbatch"
if len(sys.argv) != 4:
    sys.exit(__doc__)
source, latency_ms, output = sys.argv[1:]


def run(*arguments):
    return subprocess.run([TOOL, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


with tempfile.TemporaryDirectory() as folder:
    profile = source
    if source.endswith(".csv"):
        profile = f"{folder}/profile.json"
        run("profile", "--measurements", source, "-o", profile, "--quiet")
    plan = json.loads(run("optimize", profile, "--latency", latency_ms, "--objective", "rate", "--json"))
    by_configuration = curves(json.loads(pathlib.Path(profile).read_text()))
chosen = (plan["instances"], plan["threads"])
lines = {c: [(p["latency_ns"] * 1e-6, p["instances"] * p["batch"] / (p["latency_ns"] * 1e-9)) for p in points]
         for c, points in by_configuration.items()}
at = next(row for p, row in zip(by_configuration[chosen], lines[chosen], strict=True) if p["batch"] == plan["batch"])
figures.throughput(output, lines, chosen, plan["batch"], at, float(latency_ms))
print(f"{figures.label(chosen)}, at most {plan['batch']} in a round: {plan['rate_per_s']:.0f} samples/s within "
      f"{latency_ms} ms at p99; {output}")
