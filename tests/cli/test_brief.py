# SPDX-License-Identifier: Apache-2.0
"""Jobs without a profile that are asked for precisions: test_brief.py TOOL FIXTURES"""
import json

from jobs import expect_clean, npy, png, rows_of, samples, SIDE
from tool import done, done_json, expect_refused, FOLDER, run, run_tests
from checks import expect, needs, skip, test

needs(onnx="python3-onnx")
from quantizable import network  # noqa: E402

COUNT = 800
X = npy("x.npy", "|u1", (COUNT, 3, SIDE, SIDE), samples(COUNT))
FEW = npy("few.npy", "|u1", (60, 3, SIDE, SIDE), samples(60))
MODEL = network(FOLDER / "net.onnx")
OTHER = network(FOLDER / "other.onnx", seed=2)  # its answers have nothing to do with MODEL's
HAS_BF16 = run("profile", MODEL, "-o", FOLDER / "bf16.json", "--precision", "bf16", "--batch", "1", "--threads", "1",
               "--time-budget", "1").code == 0


def quantized(model, name):
    path = FOLDER / name
    done("quantize", model, "--input", X, "-o", path, "--quiet")
    return path


INT8, WRONG = quantized(MODEL, "int8.onnx"), quantized(OTHER, "wrong.onnx")


def job(*options, x=X, model=MODEL):
    """The precision that was used, and what was noted."""
    result = run("run", model, "--input", x, "--output", FOLDER / "y.npy", *options, "--json")
    expect(result.code == 0, "it fails", result)
    expect_clean(FOLDER / "y.npy")
    return json.loads(result.out)["precision"], result.err


def refused(*arguments):
    """The last line of a job that is refused, which leaves nothing behind."""
    output = FOLDER / "never.npy"
    result = run("run", *arguments, "--output", output)
    expect(result.code == 1 and not result.out and not output.exists(), "not refused", result)
    expect_clean(output)
    return result.err.splitlines()[-1]


@test
def the_precision_that_is_asked_for_is_used():
    precision, notes = job("--precision", "int8", "--int8", INT8, x=FEW)
    expect(precision == "int8" and " in int8 for about" in notes, "another precision", precision, notes)
    integers = rows_of(FOLDER / "y.npy")
    precision, notes = job("--accuracy", "99", "--int8", INT8, x=FEW)
    expect(precision == "f32" and "60 samples are too few" in notes and "takes 381" in notes, "not said", notes)
    expect(" in f32 for about" in notes and "counting" not in notes, "measured in vain", notes)
    expect(integers != rows_of(FOLDER / "y.npy"), "f32 gives the same bits")


@test
def of_several_the_best_is_used():
    precision, notes = job("--precision", "int8,f32", "--int8", INT8, x=FEW)
    expect(precision in ("f32", "int8") and " in int8,f32 for about" in notes, "not measured", precision, notes)


@test
def an_accuracy_is_counted_on_the_samples_of_the_job():
    names = "f32,bf16,int8" if HAS_BF16 else "f32,int8"
    precision, notes = job("--accuracy", "60", "--int8", INT8)
    expect(f" in {names} for" in notes and "counting on 100 samples" in notes, "not measured", notes)
    expect(precision in names.split(",") and "is not used" not in notes, "another precision", precision, notes)
    precision, notes = job("--accuracy", "98", "--precision", "f32,int8", "--int8", WRONG)
    expect(" in f32,int8 for" in notes and "counting on 378 samples" in notes, "not measured", notes)
    expect(precision == "f32" and "int8 is not used: " in notes and " of 378 answers are as in f32" in notes,
           "not said why", precision, notes)


@test
def a_precision_that_is_not_accurate_enough_is_infeasible():
    line = refused(MODEL, "--input", X, "--precision", "int8", "--int8", INT8, "--accuracy", "99.99")
    expect("INFEASIBLE: int8" in line and "--accuracy <= " in line, "not said", line)


@test
def a_quantized_network_runs_in_int8():
    precision, notes = job(model=INT8, x=FEW)
    expect(precision == "int8" and " in int8 for about" in notes, "another precision", precision, notes)
    points = done_json("profile", INT8, "-o", FOLDER / "int8.json", "--max-batch", "2", "--time-budget", "1",
                       "--quiet")["points"]
    expect({p["precision"] for p in points} == {"int8"}, "another precision", points)


@test
def precisions_that_cannot_be_run():
    line = refused(MODEL, "--input", FEW, "--precision", "f32,int8")
    expect("--precision int8: " in line and "no quantized layers" in line and "--int8 FILE" in line, "not said", line)
    line = refused(INT8, "--input", FEW, "--precision", "bf16")
    expect("--precision bf16: " in line and "quantized layers" in line, "not said", line)
    expect_refused(run("profile", MODEL, "-o", FOLDER / "never.json", "--precision", "int8"), 1, "profile",
                   "no quantized layers", "--int8 FILE")


@test
def nothing_to_choose_from_is_said():
    if HAS_BF16:
        skip("there is bf16")
    precision, notes = job("--accuracy", "60", x=FEW)
    expect(precision == "f32" and "nothing to choose from" in notes and "--int8 FILE" in notes, "not said", notes)


@test
def images_that_cannot_be_read_are_noted_once():
    folder = FOLDER / "images"
    folder.mkdir()
    for i in range(8):
        png(folder / f"{i}.png", samples(1), SIDE, SIDE, 3)
    (folder / "bad.png").write_text("not an image\n")
    if "without libvips" in run("run", MODEL, "--input", folder, "--output", FOLDER / "y.npy").err:
        skip("this build has no libvips")
    _, notes = job("--accuracy", "50", "--precision", "int8", "--int8", INT8, x=folder)
    expect("counting on 9 samples" in notes and notes.count("bad.png': ") == 1, "not once", notes)


@test
def a_profile_that_cannot_tell_is_said_to_be():
    path = FOLDER / "f32.json"
    done("profile", MODEL, "-o", path, "--max-batch", "4", "--time-budget", "1", "--quiet")
    precision, notes = job("--profile", path, "--int8", INT8, x=FEW)
    expect(precision == "f32" and "int8 is not used: the profile has no times of it" in notes, "not said", notes)
    both = FOLDER / "both.json"
    done("profile", MODEL, "-o", both, "--max-batch", "4", "--time-budget", "2", "--quiet", "--int8", INT8,
         "--precision", "f32,int8")
    for options, words in ((["--accuracy", "50"], "does not say how accurate"), ([], "no --accuracy P")):
        precision, notes = job("--profile", both, "--int8", INT8, *options, x=FEW)
        expect(precision == "f32" and "int8 is not used: " in notes and words in notes, "not said", notes)


run_tests()
