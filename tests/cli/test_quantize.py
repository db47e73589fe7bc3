# SPDX-License-Identifier: Apache-2.0
"""Networks quantized by the tool: test_quantize.py TOOL FIXTURES"""
from jobs import npy, samples, SIDE
from tool import (done, done_json, expect_fields, failure, FOLDER, INTEGER, NUMBER, run, run_tests, TEXT, TRUTH,
                  usage_error, write)
from checks import each, expect, needs, test

needs(onnx="python3-onnx")
from quantizable import network  # noqa: E402

COUNT = 60
MODEL = network(FOLDER / "small.onnx")
X = npy("x.npy", "|u1", (COUNT, 3, SIDE, SIDE), samples(COUNT))
LABELS = write("labels.txt", "".join(f"{i % 12}\n" for i in range(COUNT)))
OUTPUT = FOLDER / "int8.onnx"
BASIC = ["quantize", MODEL, "--input", X, "--samples", "20"]


@test
def a_network_is_quantized_and_measured():
    found = done_json(*BASIC, "-o", OUTPUT, "--labels", LABELS, "--quiet")
    expect_fields(found, {"model": TEXT, "output": TEXT, "layers": INTEGER, "integer_layers": INTEGER,
                          "equalised": INTEGER, "calibration_samples": INTEGER, "samples": INTEGER,
                          "float_accuracy": NUMBER, "sqnr_db": NUMBER, "holds": TRUTH})
    expect(found["calibration_samples"] == 20 and found["samples"] == COUNT - 20, "other samples", found)
    expect(found["integer_layers"] == found["layers"] == len(found["operators"]) > 0, "layers in floats", found)
    expect(found["sqnr_db"] > 20, "much noise", found["sqnr_db"])
    share = found["agreement"]
    expect(0 <= share["low"] <= share["share"] <= share["high"] <= 1, "no interval", share)
    for layer in found["operators"]:
        expect_fields(layer, {"name": TEXT, "kind": TEXT, "precision": TEXT, "input_low": NUMBER,
                              "input_high": NUMBER, "range": TEXT, "input_sqnr_db": NUMBER, "can_saturate": TRUTH})
        expect(layer["input_low"] <= 0 < layer["input_high"], "a strange range", layer)


@test
def the_file_is_a_network_like_any_other():
    said = run(*BASIC, "-o", OUTPUT, "--quiet")
    expect(said.code == 0 and "layers in int8" in said.out and "agreement" in said.out, said)
    shown = done("show", OUTPUT)
    expect("without VNNI" in shown and "quantize" in shown, "no integers are shown", shown)
    layers = [o for o in done_json("show", OUTPUT)["operators"] if "can_saturate" in o]
    expect(layers and all(o["can_saturate"] in (True, False) for o in layers), "nothing on saturation", layers)
    failure(["quantize", OUTPUT, "--input", X, "-o", FOLDER / "twice.onnx", "--quiet"], "quantized already")
    expect("without VNNI" not in done("show", MODEL), "a network of floats has the column")


@test
def a_portable_file_saturates_nowhere():
    usual = done_json(*BASIC, "-o", OUTPUT, "--quiet")["operators"]
    expect(any(layer["can_saturate"] for layer in usual), "nothing to avoid", usual)
    done_json(*BASIC, "-o", OUTPUT, "--quiet", "--portable")
    layers = [o for o in done_json("show", OUTPUT)["operators"] if "can_saturate" in o]
    expect(layers and not any(o["can_saturate"] for o in layers), "something saturates", layers)


@each([("alone", "int8"), ("beside the network in floats", "f32,int8")])
def a_profile_of_both_forms_is_read_again(_, precisions):
    done_json(*BASIC, "-o", OUTPUT, "--quiet")
    profile = FOLDER / "both.json"
    done_json("profile", MODEL, "--int8", OUTPUT, "--precision", precisions, "--max-batch", "2", "--time-budget", "1",
              "-o", profile, "--quiet")
    points = done_json("show", profile)["points"]
    expect({point["precision"] for point in points} == set(precisions.split(",")), "other precisions", points)
    explained = done_json("explain", profile, "--batch", "2", "--precision", "int8")
    expect(explained, "nothing is explained", explained)


@test
def few_samples_are_noted():
    said = run(*BASIC, "-o", OUTPUT)
    expect("found with 20 samples" in said.err and "--samples" in said.err, "not noted", said)
    expect("--input" in run("quantize", MODEL, "--input", X, "-o", OUTPUT).err, "no other remedy")
    many = npy("many.npy", "|u1", (200, 3, SIDE, SIDE), samples(200))
    said = run("quantize", MODEL, "--input", many, "-o", OUTPUT)
    expect(said.code == 0 and "ranges were found" not in said.err, "noted for 100", said)


@test
def an_output_stays_as_it_was_after_a_failure():
    OUTPUT.write_text("what was there")
    short = write("short.txt", "1\n2\n")
    failure([*BASIC, "-o", OUTPUT, "--labels", short, "--quiet"], "2 labels for 60 samples")
    expect(OUTPUT.read_text() == "what was there", "it was written over")
    OUTPUT.unlink()


@each([
    ("no input", ["quantize", MODEL, "-o", OUTPUT], "--input"),
    ("no output", ["quantize", MODEL, "--input", X], "--output"),
    ("output of another kind", [*BASIC, "-o", "int8.bin"], "int8.bin", ".onnx"),
    ("accuracy as a share", [*BASIC, "-o", OUTPUT, "--accuracy", "0.99"], "did you mean 99?"),
    ("output over the network", [*BASIC, "-o", MODEL], "small.onnx"),
])
def bad_usage(_, arguments, *words):
    usage_error(arguments, *words)


@each([
    ("a word", "cat\n" * COUNT, "bad.txt:1: expected the number of a class"),
    ("too many", "1\n" * (COUNT + 1), "more than 60 labels"),
    ("a negative one", "-1\n" * COUNT, "bad.txt:1: expected the number of a class"),
])
def bad_labels(name, text, word):
    failure([*BASIC, "-o", OUTPUT, "--labels", write("bad.txt", text), "--quiet"], word)


@test
def labels_that_cannot_be_read():
    failure([*BASIC, "-o", OUTPUT, "--labels", FOLDER, "--quiet"], "cannot read", "directory")


run_tests()
