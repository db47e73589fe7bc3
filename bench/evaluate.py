# SPDX-License-Identifier: Apache-2.0
"""Whether intervals hold in a later session, and how far estimates are off then.

Runs are spread over hours. Each makes or refines a profile of AlexNet and of ResNet-50, waits, and
lets 'qosbatch evaluate' measure batch sizes between the profiled ones. The first run begins with new
profiles, later ones add to them with --refine, so that the machine's history grows as it would for a
user; --fresh makes new ones each time. What is done is kept in FOLDER: a bench that was stopped goes
on where it was when called again, and prints the figures of all runs so far with --figures.

usage: evaluate.py [--folder FOLDER] [--runs 10] [--every MINUTES] [--gap MINUTES] [--seconds S]
                   [--max-batch N] [--fresh] [--load] [--figures]
       a run begins every 20 minutes, its evaluation 10 minutes after the profile; S (60) for a profile
       and as many for an evaluation; --load keeps one core busy half of the time
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build/tools/qosbatch/qosbatch"
MODELS = ["alexnet", "resnet50"]
BUSY = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
while True:
    end = time.monotonic() + 0.5
    while time.monotonic() < end: pass
    time.sleep(0.5)
"""


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--folder", type=pathlib.Path)
    for name, usual in [("runs", 10), ("every", 20), ("gap", 10), ("seconds", 60), ("max-batch", 64)]:
        parser.add_argument(f"--{name}", type=float if name in ("every", "gap") else int, default=usual)
    for name in ["fresh", "load", "figures"]:
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    if not given.folder:
        kind = "evaluate" + "-fresh" * given.fresh + "-load" * given.load
        given.folder = ROOT / "build" / kind
    return given


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments), "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def wait_until(unix_s):
    while (left_s := unix_s - time.time()) > 0:
        time.sleep(min(left_s, 30))


def save(path, value):
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value))
    new.rename(path)


def profile(given, model, number):
    path = given.folder / f"{model}.json"
    more = ["--refine", path] if path.exists() and number and not given.fresh else []
    tool("profile", model, "-o", path, "--max-batch", given.max_batch, "--time-budget",
         given.seconds, "--quiet", *more)


def measure(given, number):
    """A run; its profiles are not made again if they were before the bench was stopped."""
    pending = given.folder / "pending.json"
    state = json.loads(pending.read_text()) if pending.exists() else {}
    if state.get("number") != number:
        begun_s = time.time()
        for model in MODELS:
            profile(given, model, number)
        state = {"number": number, "begun_s": begun_s, "profiled_s": time.time()}
        save(pending, state)
    wait_until(state["profiled_s"] + 60 * given.gap)
    points = {model: tool("evaluate", given.folder / f"{model}.json", "--any-node", "--time-budget",
                          given.seconds) for model in MODELS}
    save(given.folder / f"run{number}.json", {**state, "evaluated_s": time.time(), "models": points})
    return state["begun_s"]


def half_width(point):
    return 50 * (point["high_ns"] - point["low_ns"]) / point["estimated_ns"]


def figures(points):
    return {"points": len(points),
            "coverage_pct": 100 * statistics.mean(p["covered"] for p in points),
            "mean_error_pct": statistics.mean(abs(p["error_pct"]) for p in points),
            "worst_error_pct": max(abs(p["error_pct"]) for p in points),
            "median_half_width_pct": statistics.median(map(half_width, points))}


def line(name, f):
    return (f"{name:12} {f['points']:4d} points: {f['coverage_pct']:5.1f} % covered, mean error "
            f"{f['mean_error_pct']:4.1f} %, worst {f['worst_error_pct']:5.1f} %, median half-width "
            f"{f['median_half_width_pct']:4.1f} %")


def report(given):
    runs = [json.loads((given.folder / f"run{i}.json").read_text())
            for i in range(given.runs) if (given.folder / f"run{i}.json").exists()]
    if not runs:
        sys.exit(f"there are no runs in {given.folder} yet")
    each = []
    for run in runs:
        points = [p for value in run["models"].values() for p in value["points"]]
        each.append(figures(points))
        shares = [v["change_share"] for v in run["models"].values() if v["change_share"] is not None]
        change = f", {100 * statistics.mean(shares):.0f} % of it the machine's change" if shares else ""
        at = time.strftime("%H:%M", time.localtime(run["evaluated_s"]))
        print(line(f"run {run['number'] + 1} {at}", each[-1]) + change)
    for model in MODELS:
        print(line(model, figures([p for run in runs for p in run["models"][model]["points"]])))
    whole = figures([p for run in runs for v in run["models"].values() for p in v["points"]])
    whole["least_coverage_pct"] = min(f["coverage_pct"] for f in each)
    whole["runs"] = len(runs)
    whole["hours"] = (runs[-1]["evaluated_s"] - runs[0]["begun_s"]) / 3600
    print(json.dumps({name: round(value, 2) for name, value in whole.items()}))


def main():
    given = parse()
    if given.figures:
        report(given)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    busy = subprocess.Popen([sys.executable, "-c", BUSY]) if given.load else None
    try:
        begun_s = None
        for number in range(given.runs):
            done = given.folder / f"run{number}.json"
            if done.exists():
                begun_s = json.loads(done.read_text())["begun_s"]
                continue
            if begun_s:
                wait_until(begun_s + 60 * given.every)
            begun_s = measure(given, number)
            print(f"run {number + 1} of {given.runs} is done", flush=True)
    finally:
        if busy:
            busy.kill()
            busy.wait()
    report(given)


main()
