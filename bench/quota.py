# SPDX-License-Identifier: Apache-2.0
"""A fractional CPU quota of a control group: as many threads as it has full cores, or one more? Prints, for
each quota and both numbers, the rounds of a network measured under it and the p99 that a plan predicts.

usage: ./dev bench quota [MODEL [SECONDS]]      as root, where control groups can be made"""
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "experiment"))
from control_group import quota  # noqa: E402

TOOL = "build/tools/qosbatch/qosbatch"
BATCH = 1


def tool(*arguments, within=None):
    done = subprocess.run([TOOL, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True,
                          preexec_fn=within)
    return json.loads(done.stdout)


def measure(model, threads, seconds, within, folder):
    """The point of one sample, and the plan at half of its throughput."""
    path = Path(folder) / f"{threads}.json"
    tool("profile", model, "-o", path, "--instances", 1, "--threads", threads, "--batch", f"{BATCH},4",
         "--time-budget", seconds, "--quiet", "--json", within=within)
    profile = json.loads(path.read_text())
    point = next(p for p in profile["points"] if p["batch"] == BATCH)
    rate = 0.5e9 / point["mean_ns"]
    return point, tool("optimize", path, "--rate", rate, "--latency", 10000, "--json")


def main():
    model = sys.argv[1] if len(sys.argv) > 1 else "alexnet"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    cores = len(os.sched_getaffinity(0))
    print(f"{model}, {cores} cores\nquota  threads  median [ms]  mean [ms]  p95 [ms]  samples/s  "
          "p99 at half of that rate [ms]")
    for limit in [whole + part for whole in range(1, cores) for part in (0.25, 0.5, 0.75)]:
        for threads in (math.floor(limit), math.ceil(limit)):
            with quota(limit) as within, tempfile.TemporaryDirectory() as folder:
                if not within:
                    sys.exit("quota: no control group can be made here; run this as root on a machine of your own")
                point, plan = measure(model, threads, seconds, within, folder)
            print(f"{limit:5.2f}  {threads:7}  {point['latency_ns'] / 1e6:11.1f}  {point['mean_ns'] / 1e6:9.1f}  "
                  f"{point['p95_ns'] / 1e6:8.1f}  {1e9 * BATCH / point['mean_ns']:9.1f}  "
                  f"{plan['predicted']['p99_ns'] / 1e6:29.1f}", flush=True)


main()
