#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The study of the estimate: measures, compares, writes docs/experiment.md and its figures.

usage: experiment.py TOOL FOLDER DOCS [--steps N]

Each measurement is a step of at most two minutes whose result is kept in FOLDER: a run that is
stopped goes on where it was, and --steps N does at most N of them. What is there is not measured
again; remove a file, or the folder, for that.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import report

MODELS = ("alexnet", "resnet50")
HELD_OUT = "5,7,11,13,23,27,45,55"
CAPS = {"avx2": "AVX2", "avx": "AVX", "sse41": "SSE41"}
RUNS = 3


def steps(folder):
    """Name of the result and the command that makes it, in order."""
    for model in MODELS:
        profile = folder / f"{model}.json"
        yield profile, ["profile", model, "-o", "{out}", "--max-batch", "64",
                        "--time-budget", "60", "--goal", "2", "--quiet"], {}
    for run in range(1, RUNS + 1):
        for model in MODELS:
            yield (folder / f"{model}-held-out-{run}.json",
                   ["evaluate", str(folder / f"{model}.json"), "--batch", HELD_OUT,
                    "--time-budget", "60", "--json"], {})
    for isa, cap in CAPS.items():
        for model in MODELS:
            yield (folder / f"{model}-{isa}.json",
                   ["profile", model, "-o", "{out}", "--batch", "1,4,16", "--instances", "1",
                    "--threads", "1,2", "--time-budget", "24", "--quiet"],
                   {"ONEDNN_MAX_CPU_ISA": cap})


def run_step(tool, result, arguments, environment):
    temporary = result.with_suffix(".new")
    command = [tool] + [str(temporary) if a == "{out}" else a for a in arguments]
    print("experiment:", " ".join(command[1:]), file=sys.stderr)
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode:
        sys.exit(f"experiment: {' '.join(command)} failed")
    if "{out}" not in arguments:
        temporary.write_text(done.stdout)
    temporary.rename(result)


def transfers(tool, folder):
    """Estimates of what was measured otherwise, from the profile of one thread alone."""
    for model in MODELS:
        profile = json.loads((folder / f"{model}.json").read_text())
        measured = [("avx512" if profile["node"]["isa"] == "avx512" else profile["node"]["isa"], p)
                    for p in profile["points"] if p["instances"] * p["threads"] > 1]
        for isa in CAPS:
            capped = json.loads((folder / f"{model}-{isa}.json").read_text())
            measured += [(isa, p) for p in capped["points"]]
        profile["points"] = [p for p in profile["points"] if p["instances"] * p["threads"] == 1]
        one = folder / f"{model}-one-thread.json"
        one.write_text(json.dumps(profile))
        for isa, point in measured:
            out = subprocess.run(
                [tool, "estimate", str(one), "--batch", str(point["batch"]), "--isa", isa,
                 "--instances", str(point["instances"]), "--threads", str(point["threads"]),
                 "--json"], stdout=subprocess.PIPE, text=True, check=True)
            yield model, isa, point, json.loads(out.stdout)["estimates"][0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("folder", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    left = options.steps
    for result, arguments, environment in steps(options.folder):
        if result.exists():
            continue
        if not left:
            print(f"experiment: stopped before {result.name}; run it again to go on",
                  file=sys.stderr)
            return
        run_step(options.tool, result, arguments, environment)
        left -= 1
    report.write(options.folder, options.docs, MODELS, RUNS,
                 list(transfers(options.tool, options.folder)))


if __name__ == "__main__":
    main()
