# SPDX-License-Identifier: Apache-2.0
"""Whether what 'qosbatch explain' promises comes.

Profiles AlexNet and ResNet-50, and once more limited to AVX2. Every mitigation that promises more
throughput is tried: the rounds it is about, and those it advises, are measured again in one run. An
instruction set is taken from the profile without a limit. The promise is kept when it is within 30 %
of the gain that came.

usage: mitigations.py [MAX_BATCH] [SECONDS]
       profiles up to MAX_BATCH (32), SECONDS for a profile and as many again for what is tried (40)
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

MAX_BATCH, SECONDS = [int(given) for given in sys.argv[1:]] + [32, 40][len(sys.argv) - 1:]
TOOL = pathlib.Path(__file__).resolve().parent.parent / "build/tools/qosbatch/qosbatch"
BATCHES = [1, 8]


def tool(*arguments, limit=None):
    environment = dict(os.environ, **{"ONEDNN_MAX_CPU_ISA": limit} if limit else {})
    done = subprocess.run([TOOL, *map(str, arguments), "--json"], stdout=subprocess.PIPE, check=True,
                          env=environment)
    return json.loads(done.stdout)


def per_s(points):
    """Samples a second, by instances, threads and batch."""
    return {(p["instances"], p["threads"], p["batch"]):
            1e9 * p["instances"] * p["batch"] / p.get("measured_ns", p.get("latency_ns"))
            for p in points}


def advice(profile, points):
    """Of every configuration at few samples: what is, what would be, and the gain promised."""
    for i, t in sorted({(p["instances"], p["threads"]) for p in points}):
        for batch in BATCHES:
            told = tool("explain", profile, "--batch", batch, "--instances", i, "--threads", t)
            for m in told["mitigations"]:
                if m["gain_of"] == "throughput":
                    yield m["kind"], (i, t, batch), (m["instances"], m["threads"], m["batch"]), m["gain"]


def try_out(model, folder, limit, unlimited):
    profile = folder / f"{model}-{limit or 'best'}.json"
    tool("profile", model, "-o", profile, "--max-batch", MAX_BATCH, "--time-budget", SECONDS, "--quiet",
         limit=limit)
    points = json.loads(profile.read_text())["points"]
    told = list(advice(profile, points))
    batches = sorted({key[2] for _, now, then, _ in told for key in (now, then)})
    measured = per_s(tool("evaluate", profile, "--batch", ",".join(map(str, batches)),
                          "--time-budget", SECONDS, limit=limit)["points"])
    kept = []
    for kind, now, then, promised in told:
        after = unlimited if kind == "better isa" else measured
        if kind == "raise quota" or then not in after:
            continue
        came = after[then] / measured[now] - 1
        kept.append(abs(promised - came) <= 0.3 * abs(came))
        print(f"{model}{', limited to ' + limit if limit else ''}: {kind}, "
              f"{now[0]} x {now[1]} batch {now[2]} to {then[0]} x {then[1]} batch {then[2]}: "
              f"promised {100 * promised:+.0f} %, came {100 * came:+.0f} %"
              f"{'' if kept[-1] else '  (off)'}", flush=True)
    return per_s(points), kept


def main():
    kept = []
    with tempfile.TemporaryDirectory(prefix="qosbatch-bench-") as folder:
        for model in "alexnet", "resnet50":
            unlimited, some = try_out(model, pathlib.Path(folder), None, {})
            kept += some + try_out(model, pathlib.Path(folder), "AVX2", unlimited)[1]
    print(f"{sum(kept)} of {len(kept)} promises within 30 % of the gain that came")


main()
