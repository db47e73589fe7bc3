#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tool answers: test_answers.py TOOL FIXTURES"""
import json
import math
import os
import subprocess

from tool import (CATALOGUE, changed, done, done_json, expect_fields, failure, FIXTURES, FOLDER, INTEGER,
                  LIST, NUMBER, OBJECT, PROFILE, put, RESNET, run, run_tests, TEXT, TOOL, TRUTH, write)
from checks import each, expect, skip, test
from profiles import of_few_batches


# Batches of up to 4: what looks for rates or fleets has a fifth of the ways to try.
FEW = of_few_batches(PROFILE, FOLDER, 4)


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
    expect("INFEASIBLE" in text and "latency >= " in text, "expected the nearest SLO", text)


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
    plan = service(FEW, 60, 100, "--objective", "rate")
    most = done_json("optimize", FEW, "--latency", "100", "--objective", "rate")
    least = service(FEW, 60, 100)
    expect(plan["objective"] == "rate" and least["objective"] == "latency", "objectives", plan)
    expect(plan["reason"] == "slo" and least["reason"] == "none", "reasons", plan, least)
    expect(plan["predicted"]["max_rate_per_s"] >= least["predicted"]["max_rate_per_s"] and
           plan["predicted"]["latency_ns"] >= least["predicted"]["latency_ns"], "not the best in it")
    expect(most["feasible"] and most["rate_per_s"] == most["predicted"]["max_rate_per_s"],
           "a plan for the highest rate", most)
    expect(math.isclose(most["rate_per_s"], plan["predicted"]["max_rate_per_s"], rel_tol=0.011),
           "there is one highest rate", most, plan)
    expect("at the highest rate" in done("optimize", FEW, "--latency", "100", "--objective",
                                         "rate"), "text")


@test
def service_on_the_cheaper_node():
    profile = json.loads(FEW.read_text())
    profile["node"]["price_per_hour"] = 0.048
    for point in profile["points"]:
        for name in "latency_ns", "low_ns", "high_ns", "p95_ns", "mean_ns":
            point[name] *= 2
    slow = write("slow_and_cheap.json", json.dumps(profile))
    demand = ["optimize", FEW, slow, "--rate", "10", "--latency", "300", "--frontier"]
    fast = done_json(*demand)
    cheap = done_json(*demand, "--objective", "cost")
    expect(fast["profile"] == str(FEW) and cheap["profile"] == str(slow), "nodes", fast, cheap)
    expect(cheap["reason"] == "cost" and cheap["predicted"]["cost_per_hour"] == 0.048, "cost", cheap)
    plans = [(p["predicted"]["latency_ns"], -p["predicted"]["max_rate_per_s"],
              p["predicted"]["cost_per_hour"]) for p in fast["frontier"]]
    expect(fast["frontier"] == cheap["frontier"] and plans == sorted(plans), "frontier", fast)
    expect({p["profile"] for p in fast["frontier"]} == {str(FEW), str(slow)}, "both nodes")
    expect(not any(a != b and all(x <= y for x, y in zip(a, b)) for a in plans for b in plans),
           "a plan beats another one", plans)
    text = done(*demand)
    expect("Pareto frontier" in text and f"node           {FEW}" in text, "text", text)
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


def plan(*arguments, profile=PROFILE):
    answer = done_json("plan", profile, "--catalog", CATALOGUE, *arguments)
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
    answer = plan("--rate", "300", "--latency", "250", profile=FEW)
    for fleet in answer["frontier"]:
        expect_fields(fleet, SERVICE_FLEET)
    costs = [fleet["cost_per_hour"] for fleet in answer["frontier"] if fleet["feasible"]]
    expect(answer["feasible"] and costs == sorted(costs), "not by cost", costs)
    spare = plan("--rate", "300", "--latency", "250", "--spare", "1", profile=FEW)
    expect(spare["choice"]["cost_per_hour"] > answer["choice"]["cost_per_hour"], "spare is free")
    text = done("plan", FEW, "--catalog", CATALOGUE, "--rate", "300", "--latency", "250")
    expect("holds" in text and "per hour" in text, "text", text)


def one_thread_of_two(profile):
    profile["node"].update(usable_threads=1, reserve_cores=1)
    profile["points"] = [p for p in profile["points"] if p["instances"] * p["threads"] == 1]


@test
def plan_that_leaves_cores_to_others():
    cores = {t["name"]: t["vcpus"] // t["threads_per_core"] for t in json.loads(CATALOGUE.read_text())["types"]}
    for reserve, left_out in [(1, set()), (2, {"small"}), (3, {"small", "function, 6 vCPU"})]:
        fleets = plan("--rate", "300", "--latency", "250", "--reserve", reserve, profile=FEW)["frontier"]
        expect({f["type"] for f in fleets} == set(cores) - left_out, "other types", fleets)
        for fleet in fleets:
            used = fleet["instances"] * fleet["threads"]
            expect(used + reserve <= cores[fleet["type"]], "cores of others", fleet)
    failure(["plan", PROFILE, "--catalog", CATALOGUE, "--samples", "1", "--reserve", "24"], "24 cores",
            "reserve 23 at most")
    path = write("one_thread.json", changed(one_thread_of_two))
    left = done_json("plan", path, "--catalog", CATALOGUE, "--samples", "1000")["choice"]
    expect(left["instances"] * left["threads"] < cores[left["type"]], "not as in the profile", left)


@test
def explain_names_throttling():
    path = write("quota.json", changed(put(1.5, "node", "quota_cores")))
    wide, narrow = ["explain", path, "--threads", "2"], ["explain", path, "--threads", "1"]
    value = done_json(*wide)
    expect(value["throttled"] is True and value["quota_cores"] == 1.5, "not throttled", value)
    expect("raise quota" in [m["kind"] for m in value["mitigations"]], "no remedy", value)
    text = done(*wide)
    expect("throttled: 1 instance x 2 threads on a CPU quota of 1.50 cores" in text, "not named", text)
    for other in narrow, ["explain", PROFILE, "--threads", "2"]:
        expect(done_json(*other)["throttled"] is False, "throttled", other)
        expect("throttled" not in done(*other), "throttled", other)


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
        skip("this build reads no ONNX files")
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
        for name in "cpu", "isa", "cores", "price_per_hour", "bandwidth":
            expect(shown["node"][name] == stored["node"][name], f"other {name}", shown["node"])
        in_f32 = [{"precision": "f32", **entry} for entry in stored["node"]["compute"]]
        expect(shown["node"]["compute"] == in_f32, "other compute", shown["node"])
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
    failure(["evaluate", PROFILE, "--measurements", path, "--batch", "5"], "no measurement")


@test
def evaluate_tells_the_change_of_the_machine():
    estimates = done_json("estimate", PROFILE, "--batch", "1-8")["estimates"]
    k = estimates[0]["instances"], estimates[0]["threads"]

    def evaluated(name, factor_of):
        rows = [f"{k[0]},{k[1]},{e['batch']},{round(e['latency_ns'] * factor_of(e['batch']))}"
                for e in estimates]
        path = write(name, "instances,threads,batch,latency_ns\n" + "\n".join(rows) + "\n")
        return done_json("evaluate", PROFILE, "--measurements", path)

    value = evaluated("slower.csv", lambda batch: 1.1 + 0.002 * (-1) ** batch)
    expect(0.98 < value["change_share"] <= 1, "the change is not the error", value)
    change, = value["changes"]
    expect((change["instances"], change["threads"]) == k, "of another configuration", value)
    expect(abs(change["change_pct"] - 10) < 0.1, "another change", value)
    value = evaluated("uneven.csv", lambda batch: 1.1 ** (-1) ** batch)
    expect(value["change_share"] < 0.1, "errors of both signs are no change", value)
    value = done_json("evaluate", PROFILE, "--measurements", FOLDER / "slower.csv", "--batch", "2")
    expect(value["change_share"] is None and not value["changes"], "a point alone tells", value)


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
def node_that_leaves_cores_to_others():
    failure(["node", "--reserve", "65535"], "reserve_cores 65535", "at most")
    path = FOLDER / "left.json"
    every = done_json("node", "--reserve", "0")
    expect(every["reserve_cores"] == 0, "something was left", every)
    if every["usable_threads"] < 2:
        skip("a single core")
    value = done_json("node", "-o", path, "--reserve", "1")
    expect(value["usable_threads"] == every["usable_threads"] - 1, "not left", value)
    expect(value["reserve_cores"] == 1 and value["cores"] == every["cores"], "not told", value)
    shown = done_json("show", path)
    expect(shown["reserve_cores"] == 1, "not saved", shown)
    expect(", 1 left to others" in done("show", path), "not said")
    profile = FOLDER / "left_profile.json"
    out = run("profile", "alexnet", "-o", profile, "--batch", "1", "--instances", "1", "--reserve", "1",
              "--time-budget", "1", "--json")
    expect(out.code == 0 and json.loads(out.out)["node"]["reserve_cores"] == 1, "not of the profile", out)
    out = run("profile", "alexnet", "-o", profile, "--refine", profile, "--reserve", "0", "--time-budget", "1")
    expect(out.code == 1 and "a reserve of 1 cores, here 0" in out.err, "of another reserve", out)
    out = run("evaluate", profile, "--batch", "1", "--time-budget", "1", "--json")
    expect("reserve" not in out.err, "it is of this node", out)


@test
def evaluate_a_profile_of_another_node():
    arguments = ["evaluate", PROFILE, "--batch", "3", "--time-budget", "1"]
    failure(arguments, PROFILE, "Fixture CPU", "--any-node")


@test
def evaluate_a_profile_of_an_unknown_model():
    path = write("model.json", changed(put("lenet", "model")))
    failure(["evaluate", path], "lenet")


@test
def evaluate_where_no_batch_lies_between():
    path = write("points.json", changed(lambda p: p.update(points=p["points"][:2])))
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


@test
def budget_without_a_price():
    free = write("free.json", changed(put(0, "node", "price_per_hour")))
    failure(["optimize", free, "--rate", "1", "--latency", "300", "--budget-per-hour", "1"],
            "--budget-per-hour", "price", "free.json")


@test
def trace_out_of_order():
    path = write("unsorted.txt", "0\n1\n\n0.5 # back\n")
    failure(["simulate", PROFILE, "--trace", path, "--latency", "300"], "unsorted.txt:4", "0.5", "sort")


@test
def output_of_node_as_a_node():
    path = write("printed.json", json.dumps({"cpu": "x"}))
    failure(["estimate", PROFILE, "--batch", "1", "--node", path], "printed.json", "qosbatch node -o")


@test
def show_names_the_networks():
    failure(["show", "vgg16"], "'vgg16'", "alexnet", "resnet50")


@test
def few_rows_have_an_honest_interval():
    """The smallest and the largest of n rows hold the median in 1 - 2 ** (1 - n) of all cases."""
    for rows in ([100], [100, 200], [100, 150, 200]):
        path = write("few.csv", "instances,threads,batch,latency_ns\n" +
                     "".join(f"1,1,1,{row}000000\n" for row in rows))
        point = done_json("profile", "--measurements", path, "-o", FOLDER / "few.json")["points"][0]
        expect(point["low_ns"] <= rows[0] * 10**6 and point["high_ns"] > rows[-1] * 10**6,
               "as narrow as the rows", rows, point)


@test
def percentiles_are_exact():
    for count in 1000, 10000:
        path = write("latencies.txt", "\n".join(map(str, range(1, count + 1))))
        result = run("verify", path, "--latency", "20000", "--percentile", "99.9", "--json")
        expect(json.loads(result.out)["latency_ns"] == count * 999 // 1000 * 10**6, "another", result)


@test
def environment_of_hwloc():
    for value in "core:64 pu:1", "numa:2 core:16 pu:2":
        result = run("node", "--json", env={**os.environ, "HWLOC_SYNTHETIC": value})
        expect(json.loads(result.out)["hardware_threads"] <= len(os.sched_getaffinity(0)),
               "another machine's threads", result)


@test
def stdout_is_json_alone():
    result = run("profile", FIXTURES / "small.onnx", "--batch", "1", "--threads", "1", "--time-budget", "1", "-o",
                 FOLDER / "verbose.json", "--json", "--quiet",
                 env={**os.environ, "ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"})
    expect(result.code == 0 and json.loads(result.out)["model"] == "small.onnx", "not JSON", result)
    expect("verbose" in result.err, "the engine's words are lost", result)


@test
def quiet_says_nothing():
    result = run("profile", FIXTURES / "small.onnx", "--batch", "1", "--threads", "1,4096", "--time-budget", "1",
                 "-o", FOLDER / "quiet.json", "--json", "--quiet")
    expect(result.code == 0 and result.err == "", "notes", result)


@test
def network_whose_name_is_no_text():
    name = os.fsencode(FOLDER) + b"/net\xff\xe9.onnx"
    with open(name, "wb") as file:
        file.write((FIXTURES / "small.onnx").read_bytes())
    path = FOLDER / "named.json"
    result = subprocess.run([TOOL, "profile", name, "--batch", "1", "--threads", "1", "--time-budget",
                             "1", "-o", path, "--json", "--quiet"], capture_output=True)
    expect(result.returncode == 0 and json.loads(result.stdout)["model"] == "net__.onnx", "no name",
           result)


@test
def network_without_arithmetic():
    path = FIXTURES.parent / "fuzz" / "corpus" / "onnx" / "open_batch.onnx"
    expect("nan" not in done("show", path), "shares of nothing")


@test
def no_share_of_the_peak_above_what_can_be():
    profile = json.loads(PROFILE.read_text())
    point = profile["points"][0]
    point.update({name: 1000 for name in ("latency_ns", "low_ns", "high_ns", "p95_ns", "mean_ns")})
    path = write("impossible.json", json.dumps(profile))
    points = done_json("show", path)["points"]
    expect(points[0]["peak_fraction"] is None, "more than the peak", points[0])
    expect(0 < points[1]["peak_fraction"] < 1.2, "no share", points[1])
    expect("profile again when it is quiet" in done("show", path), "no remedy")
    # Twice the peak is possible where layers are filtered, or may be for all that an old profile tells.
    factor = points[1]["peak_fraction"] / 2
    for name in "latency_ns", "low_ns", "high_ns", "p95_ns", "mean_ns":
        profile["points"][1][name] = round(profile["points"][1][name] * factor)
    work = profile["flops_per_sample"]
    for least, possible in (None, True), (work / 2, True), (work / 1.5, False), (work, False):
        if least:
            profile["least_flops_per_sample"] = least
        share = done_json("show", write("twice.json", json.dumps(profile)))["points"][1]["peak_fraction"]
        expect(share is not None if possible else share is None, "of another network", least, share)


def slower_node():
    """A node of another processor, and the catalogue whose only type is that node."""
    node = json.loads(PROFILE.read_text())["node"]
    isa, cores, flops, bytes_per_s = node["isa"], node["cores"], 9e10, 1.5e10
    node.update(cpu="another CPU",
                compute=[{"isa": isa, "threads": 1, "flops": flops / cores},
                         {"isa": isa, "threads": cores, "flops": flops}],
                bandwidth=[{"threads": cores, "bytes_per_s": bytes_per_s}])
    kind = {"name": "another", "cpu": node["cpu"], "vcpus": cores, "threads_per_core": 1,
            "isa": isa, "memory_bytes": node["memory_bytes"], "compute_flops": flops,
            "memory_bytes_per_s": bytes_per_s, "measured": True, "start_up_ms": 0,
            "interruptions_per_h": 0, "max_nodes": 1,
            "billing": {"kind": "time", "price_per_hour": 1, "granularity_ms": 1, "minimum_ms": 0}}
    paths = FOLDER / "another_node.json", FOLDER / "another_catalogue.json"
    paths[0].write_text(json.dumps({"format": "qosbatch-node", "version": 1, **node}))
    paths[1].write_text(json.dumps({"format": "qosbatch-catalogue", "version": 1, "note": "",
                                    "currency": "EUR", "types": [kind]}))
    return paths


@test
def estimate_of_a_node_and_plan_of_its_type_agree_to_the_nanosecond():
    node, catalogue = slower_node()
    for samples in (1, 2, 7, 40, 1000):
        plan = done_json("plan", PROFILE, "--catalog", catalogue, "--samples", samples)["choice"]
        expect(plan["source"] == "transferred", "not transferred", plan)
        full, rest = divmod(plan["samples_per_instance"], plan["batch"])
        sizes = f"{plan['batch']},{rest}" if rest else f"{plan['batch']}"
        rounds = done_json("estimate", PROFILE, "--node", node, "--batch", sizes, "--instances",
                           plan["instances"], "--threads", plan["threads"])["estimates"]
        by_size = {r["batch"]: r for r in rounds} | {0: {"mean_ns": 0, "low_ns": 0}}
        for ours, theirs in (("total_ns", "mean_ns"), ("low_ns", "low_ns")):
            expected = full * by_size[plan["batch"]][theirs] + by_size[rest][theirs]
            expect(plan[ours] == expected, f"{ours} is not {expected}", plan, rounds)


NEED_ENGINE = ["profile and evaluate here", "node that leaves cores to others", "stdout is json alone",
               "quiet says nothing", "network whose name is no text", "network without arithmetic"]

run_tests(NEED_ENGINE)
