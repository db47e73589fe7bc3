# SPDX-License-Identifier: Apache-2.0
"""Jobs and services planned from a catalogue, against the same rounds as measured on such a node."""
import json
import subprocess

SAMPLES = 1000
LARGEST = 16  # of the batch sizes measured with lower instruction sets
PATIENCE = 10  # a service's latency target, in rounds of one sample


def ask(tool, *arguments):
    out = subprocess.run([tool, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True,
                         check=True)
    return json.loads(out.stdout)


def sustained(node, isa, threads):
    return [c["flops"] for c in node["compute"] if c["isa"] == isa and c["threads"] <= threads][-1]


def write_catalogue(path, node, isa):
    """One type: the node, as far as a catalogue tells of it, with an instruction set."""
    cores = node["usable_threads"]
    kind = {"name": isa, "cpu": "", "vcpus": cores, "threads_per_core": 1, "isa": isa,
            "memory_bytes": node["memory_bytes"], "compute_flops": sustained(node, isa, cores),
            "memory_bytes_per_s": node["bandwidth"][-1]["bytes_per_s"], "measured": True,
            "start_up_ms": 0, "interruptions_per_h": 0, "max_nodes": 1,
            "billing": {"kind": "time", "price_per_hour": 1, "granularity_ms": 1, "minimum_ms": 0}}
    path.write_text(json.dumps({"format": "qosbatch-catalogue", "version": 1, "note": "",
                                "currency": "USD", "types": [kind]}))


def write_source(path, profile, most_threads):
    """What is known: single instances of up to so many threads, on a node of as many cores."""
    node = dict(profile["node"])
    if most_threads < node["usable_threads"]:
        node.update(cores=most_threads, usable_threads=most_threads, hardware_threads=most_threads,
                    quota_cores=float(most_threads),
                    compute=[c for c in node["compute"] if c["threads"] <= most_threads],
                    bandwidth=[b for b in node["bandwidth"] if b["threads"] <= most_threads])
    points = [p for p in profile["points"] if p["instances"] == 1 and p["threads"] <= most_threads
              and p["batch"] <= LARGEST]
    path.write_text(json.dumps({**profile, "node": node, "points": points}))


def rounds_ns(tool, truth, plan):
    """What the rounds of a plan take as measured there."""
    full, rest = divmod(plan["samples_per_instance"], plan["batch"])
    sizes = f"{plan['batch']},{rest}" if rest else str(plan["batch"])
    found = ask(tool, "estimate", truth, "--batch", sizes, "--instances", plan["instances"],
                "--threads", plan["threads"])["estimates"]
    return full * found[0]["mean_ns"] + (found[1]["mean_ns"] if rest else 0)


def compare(tool, source, catalogue, truth):
    job = ask(tool, "plan", source, "--catalog", catalogue, "--samples", SAMPLES)["choice"]
    one = ask(tool, "estimate", truth, "--batch", 1)["estimates"][0]
    latency = ["--latency", f"{PATIENCE * one['latency_ns'] * 1e-6:.3f}"]
    service = ask(tool, "plan", source, "--catalog", catalogue, "--rate", 1, *latency)["choice"]
    held = ask(tool, "optimize", truth, "--objective", "rate", *latency)["predicted"]
    return {"job": job, "job_ns": rounds_ns(tool, truth, job), "promised_per_s": service["max_rate_per_s"],
            "held_per_s": held["max_rate_per_s"]}


def plans(tool, folder, models, caps):
    """By network and kind of node: a plan from what is known, and what was measured there."""
    source, catalogue = folder / "plan-source.json", folder / "plan-catalogue.json"
    for model in models:
        truth = folder / f"{model}.json"
        profile = json.loads(truth.read_text())
        cores, isa = profile["node"]["usable_threads"], profile["node"]["isa"]
        if cores > 1:
            write_source(source, profile, 1)
            write_catalogue(catalogue, profile["node"], isa)
            yield model, f"{isa}, {cores} cores", compare(tool, source, catalogue, truth)
        for cap in caps:
            write_source(source, profile, cores)
            write_catalogue(catalogue, profile["node"], cap)
            yield model, cap, compare(tool, source, catalogue, folder / f"{model}-{cap}.json")
