#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Precisions and accuracies on the command line: test_precisions.py TOOL FIXTURES"""
import json

from tool import done, done_json, FOLDER, run, run_tests, expect_refused, usage_error, write
from checks import each, expect, test

TIMES = {"f32": 20000000, "bf16": 10400000, "int8": 5600000}  # of a sample


def profile_of(name, accuracy=()):
    """Rounds in three precisions, and (precision, agreeing) of 1000 answers."""
    rows = "".join(f"{p},1,2,{b},{3000000 + each * b}\n" for p, each in TIMES.items() for b in (1, 4, 8)
                   for _ in range(6))
    path = FOLDER / name
    done("profile", "--measurements", write("rounds.csv", "precision,instances,threads,batch,latency_ns\n" + rows),
         "-o", path)
    profile = json.loads(path.read_text())
    profile["accuracy"] = [{"labels": False, "needs_vnni": False, "samples": 1000, "agreeing": agreeing} |
                           ({} if p == "f32" else {"precision": p}) for p, agreeing in accuracy]
    path.write_text(json.dumps(profile))
    return path


def chosen(path, *more):
    return done_json("optimize", path, "--samples", "1000", *more)["precision"]


@test
def f32_alone_without_an_accuracy():
    path = profile_of("both.json", [("bf16", 1000), ("int8", 1000)])
    expect(chosen(path) == "f32", "another precision")
    expect(done_json("optimize", path, "--rate", "20", "--latency", "500")["precision"] == "f32",
           "another precision of a service")


@test
def an_accuracy_admits_what_surely_reaches_it():
    path = profile_of("both.json", [("bf16", 1000), ("int8", 985)])
    for floor, precision in (("90", "int8"), ("97.5", "int8"), ("98.5", "bf16"), ("99.5", "bf16"),
                             ("99.9", "f32")):
        expect(chosen(path, "--accuracy", floor) == precision, f"{floor} does not give {precision}")


@test
def unknown_accuracies_admit_nothing():
    expect(chosen(profile_of("none.json"), "--accuracy", "50") == "f32", "another precision")
    path = profile_of("wrong.json", [("int8", 0)])
    profile = json.loads(path.read_text())
    profile["points"] = [point for point in profile["points"] if point.get("precision") == "int8"]
    path.write_text(json.dumps(profile))
    expect_refused(run("optimize", path, "--samples", "1000", "--accuracy", "50"), 1, "optimize",
                   "does not say that its precisions are accurate", "in f32, too")


@test
def an_accuracy_that_is_missed_is_named():
    path = profile_of("missed.json", [("bf16", 1000), ("int8", 985)])
    job = ["optimize", path, "--samples", "1000"]
    least_s = done_json(*job, "--accuracy", "97")["high_ns"] / 1e9
    plan = done_json(*job, "--accuracy", "98.5", "--deadline", least_s)
    expect(not plan["feasible"] and plan["reason"] == "deadline" and plan["precision"] == "bf16", "", plan)
    reached = plan["nearest"]["accuracy"]
    expect(97 < reached < 98.5, "another value", plan)
    expect(done_json(*job, "--accuracy", repr(reached), "--deadline", least_s)["feasible"], "it is not enough")
    text = done(*job, "--accuracy", "98.5", "--deadline", least_s)
    expect("or accuracy <= 97.5" in text, "not named", text)
    text = done(*job, "--accuracy", "98.5")
    expect("bound by the accuracy: a better plan is right in 97.5 % of the answers" in text, "not named", text)


@test
def commands_take_a_precision():
    path = profile_of("one.json")
    for p, each in TIMES.items():
        e = done_json("estimate", path, "--batch", "4", "--precision", p)["estimates"][0]
        expect(e["precision"] == p and e["latency_ns"] == 3000000 + 4 * each, "another round", e)
    s = done_json("simulate", path, "--precision", "int8", "--rate", "100", "--latency", "100")
    expect(s["policies"][0]["within_slo"] > 0.9, "too slow for int8", s)
    lower = [m["precision"] for m in done_json("explain", path, "--batch", "8")["mitigations"]
             if m["kind"] == "lower precision"]
    expect(lower == ["int8", "bf16"], "other precisions would help", lower)


@test
def show_tells_precisions_and_accuracies():
    path = profile_of("shown.json", [("int8", 990)])
    text = done("show", path)
    expect("accuracy   int8: 990 of 1000 answers as in f32, 99.00 %" in text, "no accuracy", text)
    shown = done_json("show", path)
    expect({p["precision"] for p in shown["points"]} == set(TIMES), "other precisions", shown)
    expect(shown["accuracy"][0]["agreeing"] == 990, "another accuracy", shown)


@test
def wrong_precisions_are_refused():
    path = profile_of("one.json")
    expect_refused(run("estimate", path, "--batch", "1", "--precision", "int4"), 2, "estimate", "int4", "bf16")
    expect_refused(run("profile", "alexnet", "-o", FOLDER / "x.json", "--precision", "f32,f32"), 2, "profile",
                   "twice")
    expect_refused(run("profile", "alexnet", "-o", FOLDER / "x.json", "--labels", path), 2, "profile", "--input")
    expect_refused(run("optimize", path, "--samples", "1", "--accuracy", "0.99"), 2, "optimize", "--accuracy")


@test
def a_quantized_form_that_a_profile_would_not_use():
    for precisions in [], ["--precision", "f32,bf16"]:
        usage_error(["profile", "alexnet", "-o", FOLDER / "x.json", "--int8", "q.onnx", *precisions], "--int8 q.onnx",
                    "f32,int8")


@each([
    ("unknown", ["--precision", "f32,fp16"], "fp16", "f32, bf16 or int8"),
    ("none", ["--precision", ""], "--precision"),
    ("a file that nothing uses", ["--int8", "q.onnx"], "--int8 q.onnx", "--precision int8"),
    ("a file that the precision does not use", ["--int8", "q.onnx", "--precision", "bf16"], "--int8 q.onnx"),
    ("what to measure, and a profile", ["--profile", "p.json", "--precision", "int8"], "--precision", "--accuracy P"),
])
def precisions_of_a_job_are_refused(_, options, *words):
    usage_error(["run", "alexnet", "-i", "x.npy", "-o", "y.npy", *options], *words)


run_tests([])
