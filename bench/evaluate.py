# SPDX-License-Identifier: Apache-2.0
"""How far estimates are from what is measured at batch sizes that were not profiled.

Each run makes a new profile of AlexNet or ResNet-50 and lets 'qosbatch evaluate' measure what lies
between its batch sizes, and then those that were profiled again: by how much these differ is what
no estimate can be better than. Where neighbours use the same cores, the measurement itself is
uncertain: a run counts as quiet when they disturbed at most a tenth of its points, profiled and
measured between, and the threads' compute power stayed within 3 %. Runs go on until there are enough
quiet ones, or twice as many in all; all are printed.

usage: evaluate.py [RUNS] [MAX_BATCH] [SECONDS]
       quiet RUNS of each network (3), profiles up to MAX_BATCH (64), SECONDS for a profile and as
       many again for each of the two evaluations (60)
"""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

RUNS, MAX_BATCH, SECONDS = [int(given) for given in sys.argv[1:]] + [3, 64, 60][len(sys.argv) - 1:]
TOOL = pathlib.Path(__file__).resolve().parent.parent / "build/tools/qosbatch/qosbatch"


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments), "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def absolute_errors(points):
    return [abs(p["error_pct"]) for p in points]


def figures(points):
    if not points:
        return "none"
    errors = absolute_errors(points)
    half_widths = [50 * (p["high_ns"] - p["low_ns"]) / p["estimated_ns"] for p in points]
    near = 100 * statistics.mean(e <= 10 for e in errors)
    covered = 100 * statistics.mean(p["covered"] for p in points)
    worst = max(points, key=lambda p: abs(p["error_pct"]))
    return (f"{len(points):3d} points: mean {statistics.mean(errors):4.1f} %, "
            f"worst {worst['error_pct']:+5.1f} % ({worst['instances']} x {worst['threads']}, "
            f"batch {worst['batch']}{', disturbed' * worst['disturbed']}), "
            f"{near:5.1f} % within 10 %; intervals of +-{statistics.median(half_widths):.1f} % "
            f"hold {covered:5.1f} %")


def is_quiet(profiled, measured):
    disturbed = [p["disturbed"] for p in profiled + measured]
    return (sum(disturbed) <= 0.1 * len(disturbed)
            and all(0.97 <= p["speed"] <= 1.03 for p in measured))


def measure(model, path):
    """A profile in `path`, and what evaluations measure: between its batch sizes, and at them."""
    tool("profile", model, "-o", path, "--max-batch", MAX_BATCH, "--time-budget", SECONDS, "--quiet")
    profile = json.loads(path.read_text())
    between = tool("evaluate", path, "--time-budget", SECONDS)["points"]
    batches = ",".join(str(b) for b in sorted({p["batch"] for p in profile["points"]}))
    again = tool("evaluate", path, "--time-budget", SECONDS, "--batch", batches)["points"]
    return profile, between, [p for p in again if p["source"] == "measured"]


def main():
    every = {"alexnet": [], "resnet50": []}
    quiet = {"alexnet": [], "resnet50": []}
    repeated = {"alexnet": [], "resnet50": []}
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as folder:
        for run in range(2 * RUNS):
            for model in every:
                if len(quiet[model]) >= RUNS:
                    continue
                profile, measured, again = measure(model, pathlib.Path(folder) / "profile.json")
                is_one = is_quiet(profile["points"], measured)
                every[model].append(measured)
                repeated[model] += absolute_errors(again)
                if is_one:
                    quiet[model].append(measured)
                spent_s = (profile["measure_ns"] + profile["prepare_ns"]) / 1e9
                print(f"{run + 1} {model}, profiled in {spent_s:.0f} s, "
                      f"{'quiet' if is_one else 'disturbed'}: {figures(measured)}; "
                      f"profiled ones again: mean {statistics.mean(absolute_errors(again)):.1f} %, "
                      f"worst {max(absolute_errors(again)):.1f} %", flush=True)
    for model, runs in every.items():
        print(f"{model}, {len(runs)} runs: {figures(sum(runs, []))}")
        print(f"{model}, {len(quiet[model])} quiet runs: {figures(sum(quiet[model], []))}")
        print(f"{model}, profiled batch sizes measured again: mean "
              f"{statistics.mean(repeated[model]):.1f} %, worst {max(repeated[model]):.1f} %")


main()
