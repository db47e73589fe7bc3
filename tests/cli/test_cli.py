#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tool as a user does: test_cli.py TOOL FIXTURES"""
import copy
import json
import math
import os
import subprocess

from tool import *


# Help and version.


@test
def help_of_the_tool_lists_every_command():
    out = done("--help")
    for command in COMMANDS:
        expect(f"  {command} " in out, f"'{command}' is not listed", out)


@test
def version_names_the_library_and_the_engine():
    expect("qosbatch 0." in done("--version") and ", engine " in done("--version"), "no version")


@each([(command,) for command in COMMANDS])
def help_of(command):
    out = done(command, "--help")
    expect(out.startswith(f"usage: qosbatch {command}"), "expected the usage line", out)
    expect("--json" in out and "--help" in out, "expected --json and --help", out)
    expect(max(map(len, out.splitlines())) <= 100, "a line is wider than 100 columns", out)
    expect(done(command, "--json", "--help") == out, "--help must win wherever it stands")


# Bad usage: the message names the value.


@each([
    ("no command", [], "expected a command"),
    ("unknown command", ["optimise"], "'optimise'"),
    ("unknown option of the tool", ["--json"], "'--json'"),
    *[(f"{c}, unknown option", [c, "--wrong"], "'--wrong'") for c in COMMANDS],
    *[(f"{c}, unknown letter", [c, "-z"], "'-z'") for c in COMMANDS],
    *[(f"{c}, value for a flag", [c, "--json=yes"], "--json", "'yes'") for c in COMMANDS],
    *[(f"{c}, no operand", [c], "expected ") for c in COMMANDS if c != "node"],
    *[(f"{c}, two operands", [c, "one", "two"], "'two'") for c in COMMANDS
      if c not in ("node", "optimize", "plan")],
    ("node, operand", ["node", "here"], "'here'"),
    ("node, empty output", ["node", "-o", ""], "--output"),
    ("node, output without value", ["node", "-o"], "--output"),
    ("profile, no output", ["profile", "alexnet"], "-o FILE"),
    ("profile, node without measurements", ["profile", "alexnet", "-o", "x", "--node", "n"],
     "--measurements"),
    *[(f"profile, {option} with measurements",
       ["profile", "-o", "x", "--measurements", "m.csv", option, "1"], option)
      for option in ("--batch", "--max-batch", "--threads", "--instances", "--goal",
                     "--time-budget")],
    ("profile, price of a known node", ["profile", "-o", "x", "--measurements", "m.csv", "--node",
     "n", "--price-per-hour", "1"], "not both"),
    ("evaluate, time for measurements", ["evaluate", PROFILE, "--measurements", "m.csv",
     "--time-budget", "1"], "--time-budget"),
    ("profile, unknown model", ["profile", "vgg", "-o", FOLDER / "x"], "vgg", "alexnet"),
    ("profile, batch and max-batch",
     ["profile", "alexnet", "-o", "x", "--batch", "1", "--max-batch", "2"], "not both"),
    ("optimize, nothing asked for", ["optimize", PROFILE], "--rate", "--samples"),
    ("optimize, no latency", ["optimize", PROFILE, "--rate", "1"], "--latency"),
    ("optimize, no rate", ["optimize", PROFILE, "--latency", "1"], "--rate"),
    ("optimize, unknown objective", ["optimize", PROFILE, "--rate", "1", "--latency", "1",
                                     "--objective", "price"], "'price'", "latency, rate or cost"),
    ("optimize, frontier without a rate", ["optimize", PROFILE, "--latency", "1", "--objective",
                                           "rate", "--frontier"], "--frontier", "--rate"),
    ("optimize, frontier of a job", ["optimize", PROFILE, "--samples", "1", "--frontier"],
     "--frontier"),
    ("optimize, job and service", ["optimize", PROFILE, "--samples", "1", "--rate", "1"],
     "--samples"),
    ("optimize, deadline of a service",
     ["optimize", PROFILE, "--rate", "1", "--latency", "1", "--deadline", "3"], "--deadline"),
    ("plan, no catalogue", ["plan", PROFILE, "--samples", "1"], "--catalog"),
    ("plan, nothing asked for", ["plan", PROFILE, "--catalog", CATALOGUE], "--samples", "--rate"),
    ("plan, no latency", ["plan", PROFILE, "--catalog", CATALOGUE, "--rate", "1"], "--latency"),
    ("plan, job and service",
     ["plan", PROFILE, "--catalog", CATALOGUE, "--samples", "1", "--rate", "1"], "--samples"),
    ("plan, budget of a service",
     ["plan", PROFILE, "--catalog", CATALOGUE, "--rate", "1", "--latency", "1", "--budget", "1"],
     "--budget"),
    ("estimate, no batch", ["estimate", PROFILE], "--batch"),
    ("simulate, no latency", ["simulate", PROFILE, "--rate", "1"], "--latency"),
    ("simulate, no rate", ["simulate", PROFILE, "--latency", "1"], "--rate"),
    ("simulate, rate and trace", ["simulate", PROFILE, "--latency", "1", "--rate", "1", "--trace", "x"],
     "--trace"),
    ("simulate, unknown policy", ["simulate", PROFILE, "--latency", "1", "--rate", "1", "--policy",
                                  "triton,best"], "'best'", "clipper-aimd"),
    ("simulate, unknown arrivals", ["simulate", PROFILE, "--latency", "1", "--rate", "1",
                                    "--arrivals", "normal"], "'normal'", "mmpp"),
    ("verify, no latency", ["verify", "x"], "--latency"),
])
def usage(_, arguments, *words):
    usage_error(arguments, *words)


BAD_INTEGERS = ["0", "-1", "+1", "1.5", "one", "", " 1", "1 ", "1e3", "65537",
                "99999999999999999999999"]
BAD_LISTS = ["0", "-1", "1,", ",1", "1,,2", "3-1", "1-", "a", "", "1;2", "65537", "1-65537",
             "1-99999999999999999999999"]
BAD_NUMBERS = ["0", "-1", "nan", "inf", "-inf", "", "1x", "ten", "1e99", "1,5", " 1"]


def bad_values():
    service = ["--rate", "1", "--latency", "100"]
    for command, option, values, more in [
        ("profile", "--max-batch", BAD_INTEGERS, ["alexnet", "-o", "x"]),
        ("profile", "--batch", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--threads", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--instances", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--time-budget", BAD_NUMBERS, ["alexnet", "-o", "x"]),
        ("profile", "--goal", BAD_NUMBERS + ["100"], ["alexnet", "-o", "x"]),
        ("profile", "--price-per-hour", BAD_NUMBERS, ["alexnet", "-o", "x"]),
        ("node", "--price-per-hour", BAD_NUMBERS, []),
        ("estimate", "--batch", BAD_LISTS, [PROFILE]),
        ("estimate", "--instances", BAD_INTEGERS, [PROFILE, "--batch", "1"]),
        ("estimate", "--threads", BAD_INTEGERS, [PROFILE, "--batch", "1"]),
        ("evaluate", "--batch", BAD_LISTS, [PROFILE]),
        ("evaluate", "--instances", BAD_INTEGERS, [PROFILE]),
        ("evaluate", "--threads", BAD_INTEGERS, [PROFILE]),
        ("evaluate", "--time-budget", BAD_NUMBERS, [PROFILE]),
        ("optimize", "--latency", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--percentile", BAD_NUMBERS + ["100", "101"], [PROFILE, *service]),
        ("optimize", "--rate", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--queue", [v for v in BAD_INTEGERS if v not in ("0", "65537")],
         [PROFILE, *service]),
        ("optimize", "--budget-per-hour", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--memory-limit", [v for v in BAD_INTEGERS if v != "65537"],
         [PROFILE, *service]),
        ("optimize", "--samples", [v for v in BAD_INTEGERS if v != "65537"], [PROFILE]),
        ("optimize", "--deadline", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--samples", [v for v in BAD_INTEGERS if v != "65537"], [PROFILE]),
        ("plan", "--deadline", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--budget", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--rate", BAD_NUMBERS, [PROFILE]),
        ("plan", "--spare", [v for v in BAD_INTEGERS if v not in ("0", "65537")], [PROFILE]),
    ]:
        yield f"{command} {option}", command, option, values, more


@each(list(bad_values()))
def bad_values_of(_, command, option, values, more):
    for value in values:
        usage_error([command, *more, option, value], option, f"'{value}'")
        usage_error([command, *more, f"{option}={value}"], option, f"'{value}'")
    usage_error([command, *more, option], option)
    usage_error([command, *more, option, "--json"], option)


# Bad profiles: every command that reads one names the file and the place in it.


def readers(path):
    yield ["estimate", path, "--batch", "1"]
    yield ["evaluate", path]
    yield ["optimize", path, "--rate", "10", "--latency", "300"]
    yield ["optimize", path, "--samples", "10"]
    yield ["plan", path, "--catalog", CATALOGUE, "--samples", "10"]
    yield ["show", path]


def refused_by_all(path, *words):
    for arguments in readers(path):
        failure(arguments, path, *words)
        failure([*arguments, "--json"], path, *words)


@test
def profile_missing():
    refused_by_all(FOLDER / "missing.json", "No such file")


@test
def profile_is_a_folder():
    refused_by_all(FOLDER, "directory")


@test
def profile_is_empty():
    refused_by_all(write("empty.json", ""), "JSON")


@test
def profile_is_not_json():
    refused_by_all(write("text.json", "instances,threads,batch\n1,1,1\n"), ":1:", "JSON")


@test
def profile_is_not_an_object():
    refused_by_all(write("array.json", "[1, 2]"), "$")


@test
def profile_is_binary():
    path = FOLDER / "binary.json"
    path.write_bytes(bytes(range(256)) * 16)
    failure(["estimate", path, "--batch", "1"], path)


@test
def profile_is_nested_deeply():
    failure(["estimate", write("deep.json", "[" * 100000), "--batch", "1"], "deep.json")


@test
def profile_truncated():
    text = PROFILE.read_text().rstrip()
    for length in [1, 2, *range(97, len(text) - 1, 211), len(text) - 1]:
        path = write("truncated.json", text[:length])
        failure(["estimate", path, "--batch", "1", "--json"], path, "JSON")


def changed(text):
    """Runs `text` on a copy of the fixture, as `p` with its node `n` and point 3 `q`."""
    profile = json.loads(PROFILE.read_text())
    exec(text, {"p": profile, "n": profile["node"], "q": profile["points"][3], "copy": copy})
    return json.dumps(profile)


@each([
    ("other format", "p['format'] = 'qosbatch-node'", "$.format"),
    ("no format", "del p['format']", "$.format"),
    ("newer version", "p['version'] = 2", "$.version", "newer"),
    ("version 0", "p['version'] = 0", "$.version"),
    ("version as text", "p['version'] = '1'", "$.version"),
    ("unknown field", "p['surprise'] = 1", "$.surprise"),
    ("unknown field of the node", "n['surprise'] = 1", "$.node.surprise"),
    ("unknown field of a point", "q['surprise'] = 1", "$.points[3].surprise"),
    ("model is null", "p['model'] = None", "$.model"),
    ("no node", "del p['node']", "$.node"),
    ("node is an array", "p['node'] = []", "$.node"),
    ("unknown instruction set", "n['isa'] = 'mmx'", "$.node.isa", "mmx"),
    ("no cores", "n['cores'] = 0", "$.node.cores"),
    ("negative compute power", "n['compute'][1]['flops'] = -1", "$.node.compute[1].flops"),
    ("negative bandwidth", "n['bandwidth'][1]['bytes_per_s'] = -1",
     "$.node.bandwidth[1].bytes_per_s"),
    ("negative work", "p['flops_per_sample'] = -1", "$.flops_per_sample"),
    ("huge work", "p['flops_per_sample'] = 1e300", "$.flops_per_sample"),
    ("negative weights", "p['weight_bytes'] = -1", "$.weight_bytes"),
    ("no points", "p['points'] = []", "$.points"),
    ("points are missing", "del p['points']", "$.points"),
    ("point is a number", "p['points'][3] = 7", "$.points[3]"),
    ("point twice", "p['points'].append(copy.copy(q))", "$.points", "batch 8"),
    *[(f"no {field}", f"del q['{field}']", f"$.points[3].{field}")
      for field in ("instances", "batch", "latency_ns", "low_ns", "p95_ns", "disturbed")],
    *[(f"{field} {value}", f"q['{field}'] = {value}", f"$.points[3].{field}", str(value))
      for field, value in [("batch", 0), ("batch", -1), ("batch", 65537), ("batch", 2 ** 62),
                           ("instances", 0), ("threads", 0), ("threads", 2 ** 62),
                           ("visits", -1), ("latency_ns", 0), ("latency_ns", -5),
                           ("latency_ns", 2 ** 62), ("prepare_ns", -1), ("memory_bytes", -1)]],
    ("latency is text", "q['latency_ns'] = '57'", "$.points[3].latency_ns"),
    ("latency is real", "q['latency_ns'] = 1.5", "$.points[3].latency_ns"),
    ("low above latency", "q['low_ns'] = q['latency_ns'] + 1", "$.points[3].low_ns"),
    ("high below latency", "q['high_ns'] = q['latency_ns'] - 1", "$.points[3].high_ns"),
    ("p95 below latency", "q['p95_ns'] = q['latency_ns'] - 1", "$.points[3].p95_ns"),
    ("disturbed is a number", "q['disturbed'] = 0", "$.points[3].disturbed"),
])
def profile_with(_, change, *words):
    refused_by_all(write("changed.json", changed(change)), *words)


@each([
    ("NaN", "NaN"), ("infinity", "Infinity"), ("a huge integer", "9" * 400),
    ("a huge exponent", "1e999"), ("a leading 0", "012"), ("a comma", "1,5"),
])
def profile_with_latency(_, value):
    text = changed("q['latency_ns'] = 424242424242").replace("424242424242", value)
    path = write("number.json", text)
    for arguments in readers(path):
        failure(arguments, path)


@test
def profile_with_a_field_twice():
    path = write("twice.json", PROFILE.read_text().replace('"model":', '"model": "x", "model":'))
    failure(["estimate", path, "--batch", "1"], path, "model")


@test
def profile_larger_than_the_limit():
    path = FOLDER / "large.json"
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    failure(["estimate", path, "--batch", "1"], path)
    path.unlink()


@test
def profile_is_a_device():
    failure(["estimate", "/dev/null", "--batch", "1"], "/dev/null")


# Output that cannot be written.


@each([
    ("estimate", ["estimate", PROFILE, "--batch", "1"]),
    ("optimize", ["optimize", PROFILE, "--rate", "10", "--latency", "300", "--json"]),
    ("show", ["show", PROFILE, "--json"]),
    ("help", ["estimate", "--help"]),
])
def stdout_is_full(_, arguments):
    with open("/dev/full", "wb") as full:
        expect_refused(run(*arguments, stdout=full), 1, arguments[0], "standard output")


@each([
    ("closed", ["estimate", PROFILE, "--batch", "1"]),
])
def stdout_is(_, arguments):
    result = run(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
    expect(result.code == 1 and "standard output" in result.err, "expected a failure", result)


def unwritable():
    yield "missing folder", FOLDER / "nowhere" / "x.json", "No such file"
    yield "folder", FOLDER, "directory"
    yield "file as folder", PROFILE / "x.json", "Not a directory"
    yield "full disk", "/dev/full", "No space"
    if os.geteuid():
        read_only = FOLDER / "read-only"
        read_only.mkdir(mode=0o555)
        yield "read-only folder", read_only / "x.json", "Permission denied"


@each(list(unwritable()))
def output_into(_, path, words):
    before = sorted(FOLDER.rglob("*"))
    failure(["node", "-o", path], path, words)
    if str(path) != "/dev/full":  # the profile would be measured first
        failure(["profile", "alexnet", "-o", path, "--quiet"], path, words)
    expect(sorted(FOLDER.rglob("*")) == before, "something was left behind")


# Answers.

ESTIMATE = {"batch": INTEGER, "instances": INTEGER, "threads": INTEGER, "latency_ns": INTEGER,
            "low_ns": INTEGER, "high_ns": INTEGER, "source": TEXT, "density": NUMBER,
            "bound": TEXT}


@test
def estimate_of_measured_and_unmeasured_batches():
    points = {p["batch"]: p for p in json.loads(PROFILE.read_text())["points"]
              if (p["instances"], p["threads"]) == (1, 2)}
    result = done_json("estimate", PROFILE, "--batch", "1,3,24,64", "--instances", "1",
                       "--threads", "2")["estimates"]
    expect([e["batch"] for e in result] == [1, 3, 24, 64], "other batches", result)
    expect([e["source"] for e in result] ==
           ["measured", "interpolated", "interpolated", "extrapolated"], "other sources", result)
    for e in result:
        expect_fields(e, ESTIMATE)
        expect(0 < e["low_ns"] <= e["latency_ns"] <= e["high_ns"], "no interval", e)
        expect(e["bound"] in ("compute", "memory"), "no bound", e)
        expect(e["density"] > 0, "no density", e)
    expect(result[0]["latency_ns"] == points[1]["latency_ns"], "not the measured time", result)
    expect(points[2]["latency_ns"] <= result[1]["latency_ns"] <= points[4]["latency_ns"],
           "not between its neighbours", result)


@test
def estimate_of_a_configuration_never_measured():
    e = done_json("estimate", PROFILE, "--batch=4", "--instances=1", "--threads=4")
    expect(e["estimates"][0]["source"] == "transferred", "other source", e)
    failure(["estimate", PROFILE, "--batch", "4", "--threads", "4"], "4 threads", "--instances")
    failure(["estimate", PROFILE, "--batch", "4", "--instances", "3"], "3 instances", "--threads")


@test
def lists_and_ranges_of_batches():
    result = done_json("estimate", PROFILE, "--batch", "4,1-3,2")["estimates"]
    expect([e["batch"] for e in result] == [4, 1, 2, 3], "other batches", result)


@test
def latency_never_falls_with_the_batch():
    result = done_json("estimate", RESNET, "--batch", "1-64")["estimates"]
    times = [e["latency_ns"] for e in result]
    expect(times == sorted(times), "a larger batch takes less time", times)


CHOICE = {"batch": INTEGER, "instances": INTEGER, "threads": INTEGER, "feasible": TRUTH,
          "reason": TEXT, "nearest": OBJECT}
SERVICE = {**CHOICE, "max_wait_us": INTEGER, "predicted": OBJECT}


def service(profile, rate, latency, *more):
    plan = done_json("optimize", profile, "--latency", latency, "--rate", rate, *more)
    expect_fields(plan, SERVICE)
    # A queue that grows for ever has no latency to predict, and 0 would look like a good one.
    stable = plan["reason"] != "capacity" or plan["feasible"]
    integer, number = (INTEGER, NUMBER) if stable else ((type(None),), (type(None),))
    expect_fields(plan["predicted"], {"p50_ns": integer, "p95_ns": integer, "p99_ns": integer,
                                      "utilisation": number, "max_rate_per_s": NUMBER})
    return plan


@test
def service_that_is_feasible():
    plan = service(PROFILE, 60, 250, "--percentile", "99")
    predicted = plan["predicted"]
    expect(plan["feasible"] and plan["nearest"] == {}, "expected a feasible plan", plan)
    expect(0 < predicted["p50_ns"] <= predicted["p95_ns"] <= predicted["p99_ns"] <= 250e6,
           "percentiles out of order or beyond the target", plan)
    expect(0 < predicted["utilisation"] < 1, "utilisation", plan)
    expect(plan["batch"] >= 1 and plan["instances"] * plan["threads"] <= 2, "choice", plan)
    expect("feasible" in done("optimize", PROFILE, "--latency", "250", "--rate", "60"), "text")


@test
def service_slo_below_the_smallest_latency():
    plan = service(PROFILE, 5, 1)
    expect(not plan["feasible"] and plan["reason"] == "slo", "expected infeasible by SLO", plan)
    nearest_ns = plan["nearest"]["latency_ns"]
    expect(nearest_ns >= 12.3e6, "no round is that short", plan)
    again = service(PROFILE, 5, nearest_ns / 1e6)
    expect(again["feasible"], "the nearest SLO is not feasible", plan, again)
    text = done("optimize", PROFILE, "--latency", "1", "--rate", "5")
    expect("INFEASIBLE" in text and "SLO >= " in text, "expected the nearest SLO", text)


@test
def service_rate_above_capacity():
    plan = service(RESNET, 1000, 500)
    expect(not plan["feasible"] and plan["reason"] == "capacity", "expected infeasible", plan)
    rate = plan["nearest"]["rate_per_s"]
    expect(0 < rate < 27, "the node answers at most 26.6 a second", plan)
    expect(service(RESNET, rate, 500)["feasible"], "the nearest rate is not feasible", plan)
    text = done("optimize", RESNET, "--latency", "500", "--rate", "1000")
    expect("INFEASIBLE" in text and "rate <= " in text, "expected the nearest rate", text)
    expect("grows" in text, "expected to hear that the queue grows", text)
    printed = text.split("rate <= ")[1].split("/s")[0]
    expect(float(printed) <= rate, "the printed rate is above the nearest one", text, rate)


@test
def service_over_budget_and_over_memory():
    plan = service(PROFILE, 5, 300, "--budget-per-hour", "0.01")
    expect(not plan["feasible"] and plan["reason"] == "budget", "expected infeasible", plan)
    expect(math.isclose(plan["nearest"]["budget_per_hour"], 0.096), "the node costs 0.096", plan)
    plan = service(PROFILE, 5, 300, "--memory-limit", "100")
    expect(not plan["feasible"] and plan["reason"] == "memory", "expected infeasible", plan)
    expect(plan["nearest"]["memory_bytes"] > 100 << 20, "no nearest memory", plan)


@test
def service_for_the_highest_rate():
    plan = service(PROFILE, 60, 100, "--objective", "rate")
    most = done_json("optimize", PROFILE, "--latency", "100", "--objective", "rate")
    least = service(PROFILE, 60, 100)
    expect(plan["objective"] == "rate" and least["objective"] == "latency", "objectives", plan)
    expect(plan["reason"] == "slo" and least["reason"] == "none", "reasons", plan, least)
    expect(plan["predicted"]["max_rate_per_s"] >= least["predicted"]["max_rate_per_s"] and
           plan["predicted"]["latency_ns"] >= least["predicted"]["latency_ns"], "not the best in it")
    expect(most["feasible"] and most["rate_per_s"] == most["predicted"]["max_rate_per_s"],
           "a plan for the highest rate", most)
    expect(math.isclose(most["rate_per_s"], plan["predicted"]["max_rate_per_s"], rel_tol=0.011),
           "there is one highest rate", most, plan)
    expect("at the highest rate" in done("optimize", PROFILE, "--latency", "100", "--objective",
                                         "rate"), "text")


@test
def service_on_the_cheaper_node():
    profile = json.loads(PROFILE.read_text())
    profile["node"]["price_per_hour"] = 0.048
    for point in profile["points"]:
        for name in "latency_ns", "low_ns", "high_ns", "p95_ns":
            point[name] *= 2
    slow = write("slow_and_cheap.json", json.dumps(profile))
    demand = ["optimize", PROFILE, slow, "--rate", "10", "--latency", "300", "--frontier"]
    fast = done_json(*demand)
    cheap = done_json(*demand, "--objective", "cost")
    expect(fast["profile"] == str(PROFILE) and cheap["profile"] == str(slow), "nodes", fast, cheap)
    expect(cheap["reason"] == "cost" and cheap["predicted"]["cost_per_hour"] == 0.048, "cost", cheap)
    plans = [(p["predicted"]["latency_ns"], -p["predicted"]["max_rate_per_s"],
              p["predicted"]["cost_per_hour"]) for p in fast["frontier"]]
    expect(fast["frontier"] == cheap["frontier"] and plans == sorted(plans), "frontier", fast)
    expect({p["profile"] for p in fast["frontier"]} == {str(PROFILE), str(slow)}, "both nodes")
    expect(not any(a != b and all(x <= y for x, y in zip(a, b)) for a in plans for b in plans),
           "a plan beats another one", plans)
    text = done(*demand)
    expect("no other beats" in text and f"node           {PROFILE}" in text, "text", text)
    failure(["optimize", PROFILE, RESNET, "--rate", "1", "--latency", "300"], "resnet50", "alexnet")


@test
def service_that_a_lower_percentile_would_do():
    plan = service(PROFILE, 60, 40)
    expect(not plan["feasible"] and plan["reason"] == "slo", "expected infeasible", plan)
    percentile = plan["nearest"]["percentile"]
    expect(50 < percentile < 99, "a percentile that would do", plan)
    expect(service(PROFILE, 60, 40, "--percentile", repr(percentile))["feasible"], "it does not do")
    expect("percentile <= " in done("optimize", PROFILE, "--latency", "40", "--rate", "60"), "text")


JOB = {**CHOICE, "total_ns": INTEGER, "low_ns": INTEGER, "high_ns": INTEGER, "remainder": INTEGER,
       "rounds_per_instance": INTEGER, "samples_per_instance": INTEGER,
       "throughput_per_s": NUMBER}


@test
def job():
    plan = done_json("optimize", PROFILE, "--samples", "1000")
    expect_fields(plan, JOB)
    expect(plan["feasible"], "expected feasible", plan)
    expect(plan["rounds_per_instance"] * plan["batch"] + plan["remainder"] ==
           plan["samples_per_instance"], "rounds do not add up", plan)
    expect(plan["low_ns"] <= plan["total_ns"] <= plan["high_ns"], "no interval", plan)
    expect("end-to-end" in done("optimize", PROFILE, "--samples", "1000"), "text")


@test
def job_with_a_deadline_too_early():
    plan = done_json("optimize", PROFILE, "--samples", "1000", "--deadline", "1")
    expect(not plan["feasible"] and plan["reason"] == "deadline", "expected infeasible", plan)
    nearest_s = plan["nearest"]["deadline_ns"] / 1e9
    expect(done_json("optimize", PROFILE, "--samples", "1000", "--deadline",
                     repr(nearest_s + 1e-6))["feasible"], "the nearest deadline is not feasible")
    text = done("optimize", PROFILE, "--samples", "1000", "--deadline", "1")
    expect("INFEASIBLE" in text and "deadline >= " in text, "expected the nearest one", text)


FLEET = {"type": TEXT, "nodes": INTEGER, "instances": INTEGER, "threads": INTEGER,
         "batch": INTEGER, "cost_per_1000": NUMBER, "source": TEXT}
JOB_FLEET = {**FLEET, "total_ns": INTEGER, "total_95_ns": INTEGER, "cost": NUMBER,
             "cost_95": NUMBER, "samples_per_instance": INTEGER, "memory_bytes": INTEGER}
SERVICE_FLEET = {**FLEET, "feasible": TRUTH, "rate_per_s": NUMBER, "max_wait_us": INTEGER,
                 "p99_ns": INTEGER, "max_rate_per_s": NUMBER, "cost_per_hour": NUMBER}


def plan(*arguments):
    answer = done_json("plan", PROFILE, "--catalog", CATALOGUE, *arguments)
    expect_fields(answer, {"currency": TEXT, "note": TEXT, "feasible": TRUTH, "choice": OBJECT,
                           "frontier": LIST})
    expect("illustration" in answer["note"], "the sample catalogue must say what it is")
    return answer


@test
def plan_of_a_job():
    answer = plan("--samples", "1000000", "--deadline", "600")
    chosen, ways = answer["choice"], answer["frontier"]
    for way in [chosen, *ways]:
        expect_fields(way, JOB_FLEET)
    expect(answer["feasible"] and chosen["total_95_ns"] <= 600e9, "misses the deadline", chosen)
    expect(chosen == [w for w in ways if w["total_95_ns"] <= 600e9][-1], "not the cheapest")
    for before, after in zip(ways, ways[1:]):
        expect(before["total_95_ns"] < after["total_95_ns"] and before["cost"] > after["cost"],
               "not a frontier", before, after)
    cheapest = plan("--samples", "1000000")
    expect(cheapest["reason"] == "cost" and cheapest["choice"] == ways[-1], "not the least cost")
    soonest = plan("--samples", "1000000", "--budget", "1")
    expect(soonest["choice"]["cost_95"] <= 1, "over the budget", soonest["choice"])
    text = done("plan", PROFILE, RESNET.with_name("alexnet.json"), "--catalog", CATALOGUE,
                "--samples", "1000000", "--deadline", "600")
    expect("per 1,000" in text and "bound by: deadline" in text and "USD" in text, "text", text)


@test
def plan_of_a_job_that_cannot_be():
    arguments = ["--samples", "1000000", "--deadline", "10"]
    answer = plan(*arguments)
    expect(not answer["feasible"] and answer["reason"] == "deadline", "expected infeasible", answer)
    nearest_s = answer["nearest"]["deadline_ns"] / 1e9
    expect(plan("--samples", "1000000", "--deadline", repr(nearest_s + 1e-6))["feasible"],
           "the nearest deadline is not feasible")
    text = done("plan", PROFILE, "--catalog", CATALOGUE, *arguments)
    expect("INFEASIBLE" in text and "deadline >= " in text, "expected the nearest one", text)


@test
def plan_of_a_service():
    answer = plan("--rate", "300", "--latency", "250")
    for fleet in answer["frontier"]:
        expect_fields(fleet, SERVICE_FLEET)
    costs = [fleet["cost_per_hour"] for fleet in answer["frontier"] if fleet["feasible"]]
    expect(answer["feasible"] and costs == sorted(costs), "not by cost", costs)
    spare = plan("--rate", "300", "--latency", "250", "--spare", "1")
    expect(spare["choice"]["cost_per_hour"] > answer["choice"]["cost_per_hour"], "spare is free")
    text = done("plan", PROFILE, "--catalog", CATALOGUE, "--rate", "300", "--latency", "250")
    expect("holds" in text and "per hour" in text, "text", text)


@test
def plan_refuses_what_does_not_fit():
    failure(["plan", PROFILE, RESNET, "--catalog", CATALOGUE, "--samples", "1"], "resnet50")
    failure(["plan", PROFILE, "--catalog", PROFILE, "--samples", "1"], PROFILE, "qosbatch-catalogue")
    missing = FOLDER / "none.json"
    failure(["plan", PROFILE, "--catalog", missing, "--samples", "1"], missing)
    catalogue = json.loads(CATALOGUE.read_text())
    catalogue["types"][1]["compute_flops"] = 0
    path = write("unknown.json", json.dumps(catalogue))
    failure(["plan", PROFILE, "--catalog", path, "--samples", "1"], "'large'", "compute_flops")


@test
def show_an_onnx_file():
    path = FIXTURES.parent / "fuzz" / "corpus" / "onnx" / "images.onnx"
    result = run("show", path, "--json")
    if "without ONNX" in result.err:
        return
    expect(result.code == 0, "not shown", result)
    shown = json.loads(result.out)
    expect(shown["model"] == "images.onnx", "other name", shown)
    expect("convolution+clip" in [o["kind"] for o in shown["operators"]], "not fused", shown)
    missing = run("profile", FOLDER / "none.onnx", "-o", FOLDER / "none.json")
    expect(missing.code == 1 and "none.onnx" in missing.err and not missing.out, "no error", missing)


@test
def show_profile_and_models():
    for path in PROFILE, RESNET:
        shown, stored = done_json("show", path), json.loads(path.read_text())
        expect(shown["model"] == stored["model"], "other model", shown)
        for name, value in stored["points"][3].items():
            expect(shown["points"][3][name] == value, f"other {name}", shown["points"][3])
        for name in "cpu", "isa", "cores", "price_per_hour", "compute", "bandwidth":
            expect(shown["node"][name] == stored["node"][name], f"other {name}", shown["node"])
        expect("Fixture CPU" in done("show", path), "the text does not name the processor")


@test
def answers_do_not_depend_on_the_locale():
    available = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE).stdout.decode().split()
    comma = [name for name in available if name.lower().startswith(("de_de", "fr_fr"))]
    arguments = ["optimize", PROFILE, "--rate", "60.5", "--latency", "250.5", "--json"]
    for name in comma or ["de_DE.UTF-8"]:
        environment = {**os.environ, "LC_ALL": name, "LANG": name}
        result = run(*arguments, env=environment)
        expect(result.out == run(*arguments).out and result.code == 0, f"differs in {name}", result)


@each([
    ("pass", "proves that", ["10"] * 459),
    ("more", "does not prove yet", ["10"] * 458),
    ("fail", "disproves", ["10"] * 400 + ["300"] * 59),
])
def verdict(name, words, latencies):
    path = write("latencies.txt", "\n".join(latencies) + "\n")
    result = run("verify", path, "--latency", "250")
    expect(result.code == (0 if name == "pass" else 1) and not result.err, "exit status", result)
    expect(result.out.startswith(f"{name}: the run {words}") and "at 99 % confidence" in result.out,
           "text", result)
    expect(("needed         1 more sample, none" in result.out) == (name == "more"), "text", result)
    value = json.loads(run("verify", path, "--latency", "250", "--json").out)
    expect(value["verdict"] == name and value["samples"] == len(latencies), "JSON", value)


# Measurements.

ROUNDS = """instances,threads,batch,latency_ns,host
1,2,1,12400000,a
1,2,8,57000000,a
1,2,8,59000000,b
1,2,8,58000000,"c, d"
2,1,8,106400000,a
"""


@test
def measurements_make_a_profile():
    path = FOLDER / "of_rounds.json"
    value = done_json("profile", "--measurements", write("rounds.csv", ROUNDS), "-o", path,
                      "--price-per-hour", "0.5")
    expect([(p["instances"], p["threads"], p["batch"], p["latency_ns"], p["visits"])
            for p in value["points"]] ==
           [(1, 2, 1, 12400000, 1), (1, 2, 8, 58000000, 3), (2, 1, 8, 106400000, 1)],
           "other points", value)
    expect(value["model"] == "rounds" and value["flops_per_sample"] == 0, "other model", value)
    expect("saved to" in done("profile", "--measurements", FOLDER / "rounds.csv", "-o", path,
                              "--price-per-hour", "0.5"), "text")
    shown = done_json("show", path)
    expect(shown["points"] == value["points"] and shown["node"]["price_per_hour"] == 0.5,
           "another profile was saved", shown)
    plan = done_json("optimize", path, "--samples", "1000")
    expect(plan["feasible"] and plan["cost"] > 0, "cannot be planned with", plan)
    done("show", path)


@test
def measurements_of_a_model_on_a_node():
    node_path, path = FOLDER / "its_node.json", FOLDER / "of_rounds.json"
    node = {"format": "qosbatch-node", "version": 1, **json.loads(PROFILE.read_text())["node"]}
    node_path.write_text(json.dumps(node))
    value = done_json("profile", "alexnet", "--measurements", write("rounds.csv", ROUNDS), "-o",
                      path, "--node", node_path)
    expect(value["model"] == "alexnet" and value["flops_per_sample"] > 1e9, "other model", value)
    expect(value["node"]["cpu"] == node["cpu"], "other node", value)
    e = done_json("estimate", path, "--batch", "8")["estimates"][0]
    expect(0.5 < e["density"] < 10 and e["bound"] != "unknown", "no density", e)


@test
def evaluate_with_measurements():
    path = write("rounds.csv", ROUNDS)
    value = done_json("evaluate", PROFILE, "--measurements", path)
    expect([(p["instances"], p["batch"], p["measured_ns"]) for p in value["points"]] ==
           [(1, 1, 12400000), (1, 8, 58000000), (2, 8, 106400000)], "other points", value)
    expect(value["points"][0]["error_pct"] == 0 and value["points"][0]["covered"], "error", value)
    expect(math.isclose(value["max_abs_pct_error"], abs(56.48 / 58 - 1) * 100), "worst", value)
    expect(math.isclose(value["coverage95"], 2 / 3), "coverage", value)
    only = done_json("evaluate", PROFILE, "--measurements", path, "--batch", "8", "--threads", "1")
    expect([(p["instances"], p["batch"]) for p in only["points"]] == [(2, 8)], "selection", only)
    failure(["evaluate", PROFILE, "--measurements", path, "--batch", "5"], "none")


@each([
    ("missing", None, "No such file"),
    ("empty", "", "empty"),
    ("without names", "1,2,8,58000000\n", ":1:", "instances"),
    ("in milliseconds", "instances,threads,batch,latency_ms\n1,2,8,58.2\n", ":1:", "1000000"),
    ("with milliseconds", "instances,threads,batch,latency_ns\n1,2,8,58.2\n", ":2:", "58.2"),
    ("with NaN", "instances,threads,batch,latency_ns\n1,2,8,5e6\n1,2,9,nan\n", ":3:", "nan"),
    ("negative", "instances,threads,batch,latency_ns\n1,2,8,-5000000\n", ":2:", "-5000000"),
    ("zero batch", "instances,threads,batch,latency_ns\n1,2,0,5000000\n", ":2:", "batch '0'"),
    ("short row", "instances,threads,batch,latency_ns\n1,2,8\n", ":2:", "3 fields"),
])
def measurements_that_are(_, text, *words):
    path = FOLDER / "bad.csv"
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    output = FOLDER / "never.json"
    for more in [], ["--json"]:
        failure(["profile", "--measurements", path, "-o", output, *more], path, *words)
        failure(["evaluate", PROFILE, "--measurements", path, *more], path, *words)
    expect(not output.exists(), "something was saved")


# On this node.


@test
def node():
    path = FOLDER / "node.json"
    value = done_json("node", "-o", path, "--price-per-hour", "0.5")
    expect_fields(value, {"compute_flops": NUMBER, "memory_bytes_per_s": NUMBER, "cores": INTEGER,
                          "quota_cores": NUMBER, "isa": TEXT, "usable_threads": INTEGER,
                          "price_per_hour": NUMBER})
    expect(value["compute_flops"] > 0 and value["cores"] > 0, "not measured", value)
    shown = done_json("show", path)
    expect(shown["price_per_hour"] == 0.5 and shown["cpu"] == value["cpu"], "not saved", shown)


@test
def evaluate_a_profile_of_another_node():
    arguments = ["evaluate", PROFILE, "--batch", "3", "--time-budget", "1"]
    failure(arguments, PROFILE, "Fixture CPU", "--any-node")


@test
def evaluate_a_profile_of_an_unknown_model():
    path = write("model.json", changed("p['model'] = 'lenet'"))
    failure(["evaluate", path], "lenet")


@test
def evaluate_where_no_batch_lies_between():
    path = write("points.json", changed("p['points'] = p['points'][:2]"))
    failure(["evaluate", path], path, "--batch")


@test
def profile_and_evaluate_here():
    path = FOLDER / "measured.json"
    brief = ["--time-budget", "1", "--json"]
    out = run("profile", "alexnet", "-o", path, "--max-batch", "2", "--instances", "1", *brief)
    expect(out.code == 0, "cannot profile", out)
    expect([p["batch"] for p in json.loads(out.out)["points"]] == [1, 2], "other points", out)
    expect("\r" not in out.err, "a progress bar in a pipe", out)
    failure(["profile", "resnet50", "-o", path, "--refine", path, "--quiet", "--time-budget", "1"],
            "alexnet", "resnet50")
    # Another run may see a neighbour's burst: the node check is not what is tested here.
    out = run("evaluate", path, "--batch", "3", "--any-node", *brief)
    expect(out.code == 0, "cannot evaluate", out)
    value = json.loads(out.out)
    expect_fields(value, {"model": TEXT, "mean_abs_pct_error": NUMBER,
                          "max_abs_pct_error": NUMBER, "coverage95": NUMBER, "points": LIST})
    expect(0 <= value["coverage95"] <= 1, "coverage95 is a fraction", value)
    for point in value["points"]:
        expect_fields(point, {"batch": INTEGER, "instances": INTEGER, "threads": INTEGER,
                              "estimated_ns": INTEGER, "low_ns": INTEGER, "high_ns": INTEGER,
                              "measured_ns": INTEGER, "error_pct": NUMBER, "source": TEXT,
                              "covered": TRUTH})
    expect([p["batch"] for p in value["points"]] == [3], "other batches", value)


NEED_ENGINE = ["profile and evaluate here"]


run_tests(NEED_ENGINE)
