# SPDX-License-Identifier: Apache-2.0
"""Tables and figures of the experiment."""
import json
import math

import figures


def load(path):
    return json.loads(path.read_text())


def fit(points, weight):
    """a n + b by weighted least squares of times, weight(T) each."""
    s = [0.0] * 5
    for n, t in points:
        w = weight(t)
        s = [s[0] + w, s[1] + w * n, s[2] + w * n * n, s[3] + w * t, s[4] + w * n * t]
    determinant = s[0] * s[2] - s[1] * s[1]
    a = (s[0] * s[4] - s[1] * s[3]) / determinant
    return a, (s[3] - a * s[1]) / s[0]


def log_log(points, n):
    for (n0, t0), (n1, t1) in zip(points, points[1:]):
        if n0 <= n <= n1:
            u = math.log(n / n0) / math.log(n1 / n0)
            return math.exp((1 - u) * math.log(t0) + u * math.log(t1))
    return points[-1][1] * n / points[-1][0]


def straight(points, n):
    for (n0, t0), (n1, t1) in zip(points, points[1:]):
        if n0 <= n <= n1:
            return t0 + (t1 - t0) * (n - n0) / (n1 - n0)
    return points[-1][1] * n / points[-1][0]


def rivals(points):
    """Estimators that see the same points, by name."""
    constant = sum(t / n for n, t in points) / len(points)
    a, b = fit(points, lambda t: 1)
    ra, rb = fit(points, lambda t: 1 / t ** 2)
    return {"constant p": lambda n: constant * n,
            "a n + b, least squares": lambda n: a * n + b,
            "a n + b, relative error": lambda n: ra * n + rb,
            "log-log": lambda n: log_log(points, n)}


def curves(profile):
    by_configuration = {}
    for p in profile["points"]:
        by_configuration.setdefault((p["instances"], p["threads"]), []).append(p)
    return by_configuration


def of_cores(profile, instances, threads):
    """c of one instance while all run."""
    all_threads = instances * threads
    best = [c["flops"] for c in profile["node"]["compute"]
            if c["isa"] == profile["node"]["isa"] and c["threads"] <= all_threads]
    return best[-1] / instances


def summary(errors):
    errors = sorted(abs(e) for e in errors)
    within = sum(e <= 10 for e in errors) / len(errors)
    return (f"{sum(errors) / len(errors):.1f} | {errors[-1]:.1f} | {100 * within:.0f}")


def densities(profile):
    """Configuration -> [(batch, p)]."""
    return {(i, t): [(p["batch"], p["latency_ns"] * 1e-9 * of_cores(profile, i, t)
                      / (p["batch"] * profile["flops_per_sample"])) for p in points]
            for (i, t), points in curves(profile).items()}


def deviations(evaluations):
    """Configuration -> [(batch, measured, low, high)], in percent of the estimate."""
    by_configuration = {}
    for p in (p for e in evaluations for p in e["points"]):
        by_configuration.setdefault((p["instances"], p["threads"]), []).append(
            (p["batch"], *(100 * (p[key] / p["estimated_ns"] - 1)
                           for key in ("measured_ns", "low_ns", "high_ns"))))
    return by_configuration


def plan_table(plans):
    text = ["", "## Plans from a catalogue", "",
            "A job of 1,000 samples and a service, planned by `qosbatch plan` for a node type that was "
            "not profiled: for all cores from the points of one thread, and for lower instruction sets "
            "from single instances. Beside them what the rounds of the job's plan take as measured "
            "there, and the highest rate that the measured times hold within the same latency (10 "
            "rounds of one sample). A service is planned at the upper end of the interval, so that it "
            "should promise less than that:", "",
            "| network | on | job, planned [s] | as measured [s] | error [%] | in the 95 % interval | "
            "rate promised [/s] | rate held [/s] | error [%] |", "|---|---|---|---|---|---|---|---|---|"]
    errors = []
    for network, where, p in plans:
        job, took_ns = p["job"], p["job_ns"]
        errors.append(100 * (job["total_ns"] / took_ns - 1))
        inside = job["low_ns"] <= took_ns <= job["total_95_ns"]
        rate_error = 100 * (p["promised_per_s"] / p["held_per_s"] - 1)
        text.append(f"| {network} | {where} | {job['total_ns'] * 1e-9:.2f} | {took_ns * 1e-9:.2f} | "
                    f"{errors[-1]:+.1f} | {'yes' if inside else 'no'} | {p['promised_per_s']:.1f} | "
                    f"{p['held_per_s']:.1f} | {rate_error:+.1f} |")
    mean = sum(map(abs, errors)) / len(errors)
    kept = sum(p["promised_per_s"] <= p["held_per_s"] for _, _, p in plans)
    return text + ["", f"Jobs are off by {mean:.1f} % in the mean, {max(map(abs, errors)):.1f} % at "
                   f"worst; {kept} of {len(plans)} services promise no more than is held."]


def write(folder, docs, models, most_runs, transfers, plans):
    pictures = docs / "figures"
    pictures.mkdir(exist_ok=True)
    runs = {m: [load(p) for p in (folder / f"{m}-held-out-{r}.json"
                                  for r in range(1, most_runs + 1)) if p.exists()]
            for m in models}
    profiles = {m: load(folder / f"{m}.json") for m in models}
    node = profiles[models[0]]["node"]
    text = ["# The experiment", "",
            "Written by `./dev bench experiment`, which repeats it. AlexNet and ResNet-50 on "
            f"{node['usable_threads']} cores of {node['cpu']}, {node['isa']}, with "
            f"{profiles[models[0]]['engine']}. Errors are in percent of the measurement.", ""]

    text += ["## What a profile costs", "",
             "| network | points | rounds timed [s] | preparation [s] | disturbed points |",
             "|---|---|---|---|---|"]
    for m in models:
        p = profiles[m]
        text.append(f"| {m} | {len(p['points'])} | {p['measure_ns'] * 1e-9:.0f} | "
                    f"{p['prepare_ns'] * 1e-9:.0f} | "
                    f"{sum(x['disturbed'] for x in p['points'])} |")
    figures.density(pictures / "experiment-density.svg", {m: densities(p) for m, p in profiles.items()})
    text += ["", "![density](figures/experiment-density.svg)", ""]

    if any(runs.values()):
        text += ["## Held-out batch sizes", "",
                 "| network | run | mean | worst | within 10 % [%] | in the 95 % interval [%] | "
                 "disturbed points |", "|---|---|---|---|---|---|---|"]
        for m in models:
            for r, e in enumerate(runs[m], 1):
                text.append(f"| {m} | {r} | {summary([p['error_pct'] for p in e['points']])} | "
                            f"{100 * e['coverage95']:.0f} | {e['disturbed_points']} of "
                            f"{len(e['points'])} |")
        figures.errors(pictures / "experiment-held-out.svg", {m: deviations(runs[m]) for m in models})
        text += ["", "![error of estimates by batch size](figures/experiment-held-out.svg)", "",
                 "Dots are measurements of each run, bars the 95 % intervals of the estimates (0).", "",
                 "The same points by other estimators, which see the same profile (all runs):", "",
                 "| network | estimator | mean | worst | within 10 % [%] |", "|---|---|---|---|---|"]
        for m in models:
            errors = {}
            for e in runs[m]:
                for p in e["points"]:
                    curve = curves(profiles[m])[(p["instances"], p["threads"])]
                    known = [(x["batch"], x["latency_ns"]) for x in curve]
                    speed = p["estimated_ns"] / straight(known, p["batch"])
                    for name, estimate in rivals(known).items():
                        t = estimate(p["batch"]) * speed
                        errors.setdefault(name, []).append(100 * (t / p["measured_ns"] - 1))
                    errors.setdefault("qosbatch", []).append(p["error_pct"])
            for name, values in errors.items():
                text.append(f"| {m} | {name} | {summary(values)} |")
        text.append("")

    text += ["## Transfer from one thread", "",
             "From the points of 1 instance on 1 thread alone, to other threads and instances, to "
             "lower instruction sets, capped with `ONEDNN_MAX_CPU_ISA`, and to the mean of rounds "
             "under a control group's quota of cores:", "",
             "| network | on | instances x threads | mean | worst | within 10 % [%] | "
             "in the 95 % interval [%] |", "|---|---|---|---|---|---|---|"]
    groups = {}
    for m, where, point, measured_ns, e in transfers:
        covered = e["low_ns"] <= measured_ns <= e["high_ns"]
        groups.setdefault((m, where, point["instances"], point["threads"]), []).append(
            (100 * (e["latency_ns"] / measured_ns - 1), covered))
    for (m, where, i, t), values in groups.items():
        text.append(f"| {m} | {where} | {i} x {t} | {summary([v[0] for v in values])} | "
                    f"{100 * sum(v[1] for v in values) / len(values):.0f} |")
    means = [sum(abs(v[0]) for v in values) / len(values) for values in groups.values()]
    text += ["", f"In the mean of these {len(means)}: {sum(means) / len(means):.1f} %, worst "
             f"{max(abs(v[0]) for values in groups.values() for v in values):.1f} %."]
    text += plan_table(plans)
    (docs / "experiment.md").write_text("\n".join(text) + "\n")
