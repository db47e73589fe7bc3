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
from contextlib import nullcontext
from pathlib import Path

import report
from plans import plans
from control_group import quota

MODELS = ("alexnet", "resnet50")
HELD_OUT = "5,7,11,13,23,27,45,55"
CAPS = {"avx2": "AVX2", "avx": "AVX", "sse41": "SSE41"}
QUOTAS = {0.5: 1, 1.5: 2}  # cores: threads
RUNS = 3


def steps(folder):
    """The result, the command that makes it, its environment and its quota of cores, in order."""
    for model in MODELS:
        profile = folder / f"{model}.json"
        yield profile, ["profile", model, "-o", "{out}", "--max-batch", "64",
                        "--time-budget", "60", "--goal", "2", "--quiet"], {}, None
    for run in range(1, RUNS + 1):
        for model in MODELS:
            yield (folder / f"{model}-held-out-{run}.json",
                   ["evaluate", str(folder / f"{model}.json"), "--batch", HELD_OUT,
                    "--time-budget", "60", "--json"], {}, None)
    for isa, cap in CAPS.items():
        for model in MODELS:
            yield (folder / f"{model}-{isa}.json",
                   ["profile", model, "-o", "{out}", "--batch", "1,4,16", "--instances", "1",
                    "--threads", "1,2", "--time-budget", "24", "--quiet"],
                   {"ONEDNN_MAX_CPU_ISA": cap}, None)
    for cores, threads in QUOTAS.items():
        for model in MODELS:
            yield (folder / f"{model}-quota-{cores}.json",
                   ["profile", model, "-o", "{out}", "--batch", "1,4,16", "--instances", "1",
                    "--threads", str(threads), "--time-budget", "24", "--quiet"], {}, cores)


def run_step(tool, result, arguments, environment, cores):
    with quota(cores) if cores else nullcontext() as enter:
        if cores and not enter:
            print(f"experiment: no control groups can be made here: without {result.name}",
                  file=sys.stderr)
            return
        run_command(tool, result, arguments, environment, enter)


def run_command(tool, result, arguments, environment, enter):
    temporary = result.with_suffix(".new")
    command = [tool] + [str(temporary) if a == "{out}" else a for a in arguments]
    print("experiment:", " ".join(command[1:]), file=sys.stderr)
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          text=True, check=False, preexec_fn=enter)
    if done.returncode:
        sys.exit(f"experiment: {' '.join(command)} failed")
    if "{out}" not in arguments:
        temporary.write_text(done.stdout)
    temporary.rename(result)


def estimate(tool, profile, point, *where):
    out = subprocess.run(
        [tool, "estimate", str(profile), "--batch", str(point["batch"]), "--instances",
         str(point["instances"]), "--threads", str(point["threads"]), "--json", *where],
        stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(out.stdout)["estimates"][0]


def transfers(tool, folder):
    """Estimates of what was measured otherwise, from the profile of one thread alone."""
    for model in MODELS:
        profile = json.loads((folder / f"{model}.json").read_text())
        isa, points = profile["node"]["isa"], profile["points"]
        profile["points"] = [p for p in points if p["instances"] * p["threads"] == 1]
        one = folder / f"{model}-one-thread.json"
        one.write_text(json.dumps(profile))
        for p in points:
            if p["instances"] * p["threads"] > 1:
                yield model, isa, p, p["latency_ns"], estimate(tool, one, p)
        for cap in CAPS:
            for p in json.loads((folder / f"{model}-{cap}.json").read_text())["points"]:
                yield model, cap, p, p["latency_ns"], estimate(tool, one, p, "--isa", cap)
        for cores in QUOTAS:
            result = folder / f"{model}-quota-{cores}.json"
            if not result.exists():
                continue
            throttled = json.loads(result.read_text())
            node = folder / f"node-{cores}.json"
            node.write_text(json.dumps({"format": "qosbatch-node", "version": 1,
                                        **throttled["node"]}))
            for p in throttled["points"]:  # an undisturbed round is not throttled, the mean is
                yield (model, f"{isa}, {cores} cores", p, p["mean_ns"],
                       estimate(tool, one, p, "--node", str(node)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("folder", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    left = options.steps
    for result, arguments, environment, cores in steps(options.folder):
        if result.exists():
            continue
        if not left:
            print(f"experiment: stopped before {result.name}; run it again to go on",
                  file=sys.stderr)
            return
        run_step(options.tool, result, arguments, environment, cores)
        left -= 1
    report.write(options.folder, options.docs, MODELS, RUNS,
                 list(transfers(options.tool, options.folder)),
                 list(plans(options.tool, options.folder, MODELS, CAPS)))


if __name__ == "__main__":
    main()
