# SPDX-License-Identifier: Apache-2.0
"""Runs whole jobs with the tool, and kills them: test_run.py TOOL FIXTURES [KILLS]"""
import array
import json
import math
import os
import random
import struct
import subprocess
import sys
import time

from jobs import (CLASSES, ELEMENTS, expect_clean, job, job_failure, kill_midway, MODEL, npy, png, PROFILE,
                  profile_of, records, rows_of, samples, SIDE, start, table_of)
from tool import (done, done_json, expect_fields, failure, FOLDER, INTEGER, NUMBER, RESNET, run, run_tests, TEXT, TOOL,
                  TRUTH, usage_error, write)
from checks import each, expect, note, skip, test

KILLS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PIXELS = samples(5)
COUNT = 1500
MANY = npy("many.npy", "|u1", (COUNT, 3, SIDE, SIDE), samples(COUNT))
U8 = npy("u8.npy", "|u1", (5, 3, SIDE, SIDE), PIXELS)
SCALE = 0.00392156862745098


# Bad usage and bad input.


@each([
    ("no input", ["--output", "y.npy"], "--input"),
    ("no output", ["--input", "x.npy"], "--output"),
    ("output of another kind", ["--input", "x.npy", "--output", "y.txt"], "y.txt", ".npy"),
    ("output without a name", ["--input", "x.npy", "--output", ".csv"], ".csv"),
    *[(f"deadline {value}", ["--input", U8, "--output", "y.npy", "--deadline", value],
       "--deadline") for value in ("0", "-1", "nan", "soon")],
    *[(f"{option} {value}", ["--input", U8, "--output", FOLDER / "y.npy", option, value],
       option, value) for option, value in
      [("--scale", "0"), ("--scale", "x"), ("--mean", "1,2"), ("--mean", "1,,2"), ("--mean", "nan"),
       ("--mean", "1,2,3,4"), ("--std", "0.1,0.2,0"), ("--std", "-1"), ("--std", "1 2 3")]],
])
def usage(_, arguments, *words):
    usage_error(["run", MODEL, *arguments], *words)


@test
def conversion_of_floats():
    path = npy("f4.npy", "<f4", (1, 3, SIDE, SIDE), bytes(4 * ELEMENTS))
    usage_error(["run", MODEL, "--input", path, "--output", FOLDER / "y.npy", "--mean", "1"],
                "--mean", "floats")


def bad_arrays():
    row = bytes(ELEMENTS)
    yield "another size", npy("a.npy", "|u1", (1, 3, 8, 32), row), "1 x 3 x 8 x 32", \
        "N x 3 x 16 x 16"
    yield "channels last", npy("b.npy", "|u1", (1, SIDE, SIDE, 3), row), "1 x 16 x 16 x 3"
    yield "one sample without N", npy("c.npy", "|u1", (3, SIDE, SIDE), row), "3 x 16 x 16"
    yield "no samples", npy("d.npy", "|u1", (0, 3, SIDE, SIDE), b""), "no samples"
    yield "64-bit floats", npy("e.npy", "<f8", (1, 3, SIDE, SIDE), row), "<f8", "astype"
    yield "Fortran order", npy("f.npy", "<f4", (1, 3, SIDE, SIDE), row, True), "Fortran"
    yield "cut off", npy("g.npy", "|u1", (2, 3, SIDE, SIDE), row), "end after"
    yield "no .npy", write("h.npy", "1,2,3\n"), "numpy.save"
    yield "empty", write("i.npy", ""), "numpy.save"
    yield "missing", FOLDER / "missing.npy", "No such file"
    yield "device", "/dev/null", "/dev/null"
    folder = FOLDER / "no images"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("none")
    yield "folder without images", folder, ("built without libvips" if not HAS_VIPS else ".jpg")


HAS_VIPS = "without libvips" not in run("run", MODEL, "--input", FOLDER, "--output",
                                        FOLDER / "y.csv").err


@each(list(bad_arrays()))
def input_that_is(_, path, *words):
    job_failure(["--input", path, "--profile", PROFILE], path, *words)


@test
def bad_profiles():
    job_failure(["--input", U8, "--profile", FOLDER / "missing.json"], "missing.json")
    job_failure(["--input", U8, "--profile", RESNET], "resnet50", "small.onnx")
    job_failure(["--input", U8, "--profile", PROFILE, "--reserve", "1"], PROFILE, "leaves 0 cores",
                "--reserve 0")


@test
def cores_are_left_to_others_without_a_profile():
    job_failure(["--input", U8, "--reserve", "65535"], "reserve_cores 65535", "at most")
    cores = done_json("node")["usable_threads"]
    output = FOLDER / "reserve.npy"
    result = run("run", MODEL, "--input", U8, "--output", output, "--reserve", cores - 1, "--json")
    expect(result.code == 0, "expected exit status 0", result)
    value = json.loads(result.out)
    expect(value["instances"] * value["threads"] == 1, "more than one core is used", value)
    expect_clean(output)


@test
def output_that_cannot_be_written():
    failure(["run", MODEL, "--input", U8, "--output", FOLDER / "nowhere" / "y.npy"],
            "No such file")
    (FOLDER / "folder.npy").mkdir()
    failure(["run", MODEL, "--input", U8, "--output", FOLDER / "folder.npy"], "directory")


@test
def demands_that_cannot_be_met():
    here = ["--input", U8, "--profile", PROFILE]
    job_failure([*here, "--deadline", "0.001"], "INFEASIBLE", "deadline >= ")
    job_failure([*here, "--budget", "1e-9"], "INFEASIBLE", "budget >= ")
    free = profile_of("free.json", 1, price=None)
    job_failure(["--input", U8, "--profile", free, "--budget", "1"], "--price-per-hour")


# Jobs.

FIELDS = {"model": TEXT, "samples": INTEGER, "done_before": INTEGER, "warnings": INTEGER,
          "instances": INTEGER, "threads": INTEGER, "batch": INTEGER, "rounds": INTEGER,
          "predicted_ns": INTEGER, "predicted_low_ns": INTEGER, "predicted_high_ns": INTEGER,
          "measured_ns": INTEGER, "prepare_ns": INTEGER, "throughput_per_s": NUMBER,
          "cost": NUMBER}


@test
def eight_bits_and_floats_give_the_same():
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    plane = SIDE * SIDE
    levels = [[(v * SCALE - mean[c]) / deviation[c] for v in range(256)] for c in range(3)]
    floats = array.array("f")
    for s in range(5):
        for c in range(3):
            first = s * ELEMENTS + c * plane
            floats.extend(levels[c][v] for v in PIXELS[first:first + plane])
    path = npy("f32.npy", "<f4", (5, 3, SIDE, SIDE), floats.tobytes())
    a, b = FOLDER / "a_out.npy", FOLDER / "b_out.npy"
    value = job("--input", path, "--output", a, "--deadline", "50", "--budget", "1")
    expect_fields(value, {**FIELDS, "deadline_met": TRUTH})
    expect(value["samples"] == 5 and value["warnings"] == 0, "another job", value)
    expect(value["predicted_low_ns"] <= value["predicted_ns"] <= value["predicted_high_ns"],
           "no interval", value)
    expect(math.isclose(value["cost"], 0.096 * value["measured_ns"] / 3600e9), "another cost", value)
    job("--input", U8, "--output", b, "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
    expect(a.read_bytes() == b.read_bytes(), "the outputs differ")
    expect(len({row.tobytes() for row in rows_of(a)}) == 5, "rows are alike")
    expect_clean(a)


@test
def the_five_largest():
    a, b = FOLDER / "all.npy", FOLDER / "five.csv"
    job("--input", U8, "--output", a)
    text = run("run", MODEL, "--input", U8, "--output", b, "--profile", PROFILE, "--quiet")
    expect(text.code == 0 and "predicted" in text.out and "samples/s" in text.out, "text", text)
    table = table_of(b)
    expect(table[0][:4] == ["sample", "status", "class1", "score1"] and len(table[0]) == 12,
           "another header", table[0])
    for index, (row, line) in enumerate(zip(rows_of(a), table[1:], strict=True)):
        best = sorted(range(len(row)), key=lambda c: -row[c])[:5]
        expect(line[:2] == [str(index), "ok"], "another sample", line)
        expect([int(c) for c in line[2::2]] == best, "other classes", line, best)
        expect([struct.pack("f", float(s)) for s in line[3::2]] ==
               [struct.pack("f", row[c]) for c in best], "other scores", line)


@test
def images_of_which_some_cannot_be_read():
    if not HAS_VIPS:
        skip("this build has no libvips")
    folder = FOLDER / "images"
    folder.mkdir()
    pixels = random.randbytes(3 * SIDE * SIDE)
    png(folder / "b, rgb.png", pixels, SIDE, SIDE, 3)
    png(folder / "C.PNG", random.randbytes(300 * 400), 300, 400, 1)
    png(folder / "d-alpha.png", random.randbytes(4 * 300 * 260), 300, 260, 4)
    (folder / "a-cut.png").write_bytes((folder / "C.PNG").read_bytes()[:50000])
    (folder / "e-text.jpg").write_text("not an image\n")
    (folder / "f-empty.jpeg").write_bytes(b"")
    (folder / "notes.txt").write_text("not asked for")
    a, b = FOLDER / "images.npy", FOLDER / "images.csv"
    value = job("--input", folder, "--output", a)
    expect(value["samples"] == 6 and value["warnings"] == 3, "other samples", value)
    for name in "a-cut.png", "e-text.jpg", "f-empty.jpeg":
        expect(value["notes"].count(f"{name}': ") == 1, f"{name} is not told once", value["notes"])
    expect("VIPS" not in value["notes"], "libvips speaks for itself", value["notes"])
    bad = [all(v != v for v in row) for row in rows_of(a)]
    expect(bad == [False, True, False, False, True, True], "other rows are marked", bad)
    result = run("run", MODEL, "--input", folder, "--output", b, "--profile", PROFILE)
    expect(result.code == 0 and "3 samples could not be read" in result.out, "text", result)
    lines = b.read_text().splitlines()[1:]
    expect([line.split(",")[0] for line in lines][0] == "C.PNG", "another order", lines)
    expect(lines[1] == "a-cut.png,unreadable" + 10 * ",", "no mark", lines)
    expect(lines[2].startswith('"b, rgb.png",ok,'), "no quotes", lines)
    # An image of the network's own size is taken pixel by pixel.
    planes = b"".join(pixels[c::3] for c in range(3))
    own = FOLDER / "own.npy"
    job("--input", npy("own_pixels.npy", "|u1", (1, 3, SIDE, SIDE), planes), "--output", own)
    expect(rows_of(own)[0] == rows_of(a)[2], "other pixels")


@test
def input_that_becomes_shorter():
    """The job fails and can be gone on with once the input is whole again."""
    path = npy("shrinks.npy", "|u1", (20 * COUNT, 3, SIDE, SIDE), samples(20 * COUNT))
    output, whole = FOLDER / "shrinks_out.csv", path.read_bytes()
    process = start(MODEL, PROFILE, path, output, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and records(output) < 2:
        time.sleep(0.002)
    os.truncate(path, path.stat().st_size - 10 * ELEMENTS - 1)
    out, err = process.communicate()
    expect(process.returncode == 1, "not a failure", out, err)
    expect("cannot be read: the file has become shorter" in err.decode(), "not said", err)
    expect(not output.exists() and records(output) > 0, "the progress is lost")
    path.write_bytes(whole)
    value = job("--input", path, "--output", output)
    expect(value["done_before"] > 0 and value["warnings"] == 0, "not gone on with", value)
    expect(table_of(output)[-1][1] == "ok", "marked")


@test
def slower_machine_than_profiled():
    path = FOLDER / "fast.json"
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,2048,3100000\n")
    expect(run("profile", MODEL, "--measurements", rounds, "-o", path).code == 0, "no profile")
    # A pace is told after a second, whatever a machine does in it.
    for count in (20 * COUNT, 80 * COUNT, 320 * COUNT):
        long = npy("long.npy", "|u1", (count, 3, SIDE, SIDE), samples(count))
        result = run("run", MODEL, "--input", long, "--output", FOLDER / f"slow-{count}.csv",
                     "--profile", path)
        if "times as long as planned" in result.err or result.code:
            break
    expect(result.code == 0 and "times as long as planned" in result.err, "not seen", result)
    result = run("run", MODEL, "--input", long, "--output", FOLDER / "slow.csv", "--profile", path,
                 "--deadline", "1.2")
    # On a machine that is busy enough the deadline may be over before the job begins.
    expect("INFEASIBLE" in result.err or "missed" in result.out or "deadline    met" in result.out,
           "the deadline is not judged", result)


@test
def a_brief_profile_is_made():
    value = run("run", MODEL, "--input", U8, "--output", FOLDER / "brief.csv", "--json")
    expect(value.code == 0 and "no --profile" in value.err, "not said", value)
    expect(json.loads(value.out)["batch"] <= 5, "a batch larger than the job", value)


@test
def answers_do_not_depend_on_the_locale():
    a, b = FOLDER / "c.csv", FOLDER / "de.csv"
    job("--input", U8, "--output", a, "--mean", "0.5")
    result = run("run", MODEL, "--input", U8, "--output", b, "--profile", PROFILE, "--mean",
                 "0.5", env={**os.environ, "LC_ALL": "de_DE.UTF-8"})
    expect(result.code == 0 and a.read_bytes() == b.read_bytes(), "differs", result)


# Kills.


class Killed:
    """A job, killed `seconds` after it noted `rounds` unless it ends before."""

    def __init__(self, model, profile, input_path, output, rounds, seconds):
        process = start(model, profile, input_path, output, "--quiet", stderr=subprocess.PIPE)
        while process.poll() is None and records(output) < rounds:
            time.sleep(0.002)
        try:
            self.err = process.communicate(timeout=seconds)[1].decode()
        except subprocess.TimeoutExpired:
            process.kill()
            self.err = process.communicate()[1].decode()
        self.code = process.returncode


def killed_at_random(name, input_path, count, model=MODEL, profile=PROFILE):
    output, undisturbed = FOLDER / f"killed{name}", FOLDER / f"undisturbed{name}"
    whole = job("--input", input_path, "--output", undisturbed, model=model, profile=profile)
    kills = midway = 0
    while kills < KILLS:
        before = records(output)
        # While it gets ready, or between its first round of this time and when it should end.
        ready = random.random() < 0.7
        longest = whole["measured_ns" if ready else "prepare_ns"] / 1e9
        result = Killed(model, profile, input_path, output, before + 1 if ready else 0,
                        random.uniform(0, longest))
        if result.code == 0:  # in time: what was killed before has been gone on with
            expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")
            expect_clean(output)
            output.unlink()
            continue
        expect(result.code == -9, "failed", result.code, result.err)
        if output.exists():  # killed at its very end
            expect(output.read_bytes() == undisturbed.read_bytes(), "half an output")
        kills += 1
        midway += records(output) > before
    write(f"{output.name}.profile.1.0.tmp", "{")  # killed while it saved the profile
    value = job("--input", input_path, "--output", output, model=model, profile=profile)
    expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")
    expect(value["samples"] == count, "other samples", value)
    expect_clean(output)
    note(f"{kills} kills, {midway} after new rounds, same {name}")


@test
def killed_at_random_array():
    killed_at_random(".npy", MANY, COUNT)


@test
def killed_at_random_table():
    killed_at_random(".csv", MANY, COUNT)


@test
def killed_at_random_on_a_real_network():
    """The engine could run its layers in many ways, which differ in the last bits."""
    if KILLS < 20:
        skip("takes a minute or two: part of the slow suite")
    count, side = 121, 227
    profile, elements = FOLDER / "real.json", 3 * side * side
    result = run("profile", "alexnet", "-o", profile, "--max-batch", 8, "--time-budget", 4)
    expect(result.code == 0, "cannot make a profile", result)
    path = npy("real.npy", "|u1", (count, 3, side, side), samples(count, elements))
    killed_at_random("_real.npy", path, count, "alexnet", profile)


@test
def damage_between_two_runs():
    undisturbed, output = FOLDER / "undisturbed.npy", FOLDER / "damaged.npy"
    journal, part = FOLDER / "damaged.npy.journal", FOLDER / "damaged.npy.part"
    job("--input", MANY, "--output", undisturbed)

    # A row that did not reach the disk and a record that did so in part: both are done again.
    kill_midway(MANY, output)
    done = journal.read_text().splitlines()
    with open(part, "r+b") as file:
        file.seek(256 + 4 * CLASSES * int(done[3].split()[1]))
        file.write(b"\0\0\0\0")
    with open(journal, "r+") as file:
        file.truncate(journal.stat().st_size - 5)
    value = job("--input", MANY, "--output", output)
    expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs", value)
    expect(value["done_before"] + value["rounds"] > 0, "no rounds", value)

    # Killed at the very end: before the output was put in place, and after it.
    for in_place in False, True:
        output.unlink()
        kill_midway(MANY, output)
        kept = FOLDER / "kept.journal"
        os.link(journal, kept)
        job("--input", MANY, "--output", output)
        kept.rename(journal)
        if not in_place:
            output.rename(part)
        value = job("--input", MANY, "--output", output)
        expect(value["done_before"] == COUNT and value["rounds"] == 0, "done twice", value)
        expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")
        expect_clean(output)

    # The rows are gone: all is done again.
    output.unlink()
    kill_midway(MANY, output)
    part.unlink()
    expect(job("--input", MANY, "--output", output)["done_before"] == 0, "nothing was there")
    expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")

    # The profile is gone: that rows may come out otherwise is said.
    output.unlink()
    kill_midway(MANY, output)
    (FOLDER / "damaged.npy.profile").unlink()
    value = job("--input", MANY, "--output", output)
    expect("warning: " in value["notes"] and "damaged.npy.profile" in value["notes"], "not said", value)
    expect_clean(output)


@test
def journals_of_other_jobs():
    output = FOLDER / "other.npy"
    kill_midway(MANY, output)
    before = {p: p.read_bytes() for p in (FOLDER / "other.npy.journal", FOLDER / "other.npy.part")}
    for other in [["--input", U8], ["--input", MANY, "--mean", "0.5"]]:
        result = run("run", MODEL, "--output", output, "--profile", PROFILE, *other)
        expect(result.code == 1 and "another job" in result.err, "taken for its own", result)
        expect({p: p.read_bytes() for p in before} == before, "something was changed")
    expect(job("--input", MANY, "--output", output)["done_before"] > 0, "not gone on with")
    journal = write("strange.npy.journal", "my diary\n")
    result = run("run", MODEL, "--input", U8, "--output", FOLDER / "strange.npy")
    expect(result.code == 1 and "strange.npy.journal" in result.err, "overwritten", result)
    expect(journal.read_text() == "my diary\n", "overwritten")


def goes_on(output, *options, profile=PROFILE):
    """A killed job that is continued with other options, and gives what an undisturbed one does."""
    undisturbed = FOLDER / "undisturbed_options.npy"
    if not undisturbed.exists():
        job("--input", MANY, "--output", undisturbed)
    value = job("--input", MANY, "--output", output, *options, profile=profile)
    expect(value["done_before"] > 0, "not gone on with", value)
    expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")
    output.unlink()


def options_refused(output, options, *words):
    """The kept plan has something else: nothing is changed."""
    before = {path: path.read_bytes() for path in FOLDER.glob(output.name + ".*")}
    result = run("run", MODEL, "--input", MANY, "--output", output, *options)
    expect(result.code == 1 and not result.out, "not refused", result)
    for word in (output.name, "to continue", "to start over", *words):
        expect(word in result.err.splitlines()[-1], f"expected {word!r}", result)
    expect({path: path.read_bytes() for path in FOLDER.glob(output.name + ".*")} == before, "something was changed")


@test
def another_reserve_than_the_job_was_begun_with():
    output = FOLDER / "reserve.npy"
    kill_midway(MANY, output)
    options_refused(output, ["--reserve", "1"], "leaves 0 cores to others, not 1", "leave --reserve out")
    goes_on(output, "--reserve", "0")


@test
def a_reserve_that_the_job_was_begun_with():
    profile = json.loads(PROFILE.read_text())
    profile["node"].update(cores=2, hardware_threads=2, reserve_cores=1)
    left = write("left.json", json.dumps(profile))
    if run("node", "--reserve", "1", "--json").code:
        skip("a single core")
    output = FOLDER / "left.npy"
    for options, profile in ([], PROFILE), (["--reserve", "1"], left):
        kill_midway(MANY, output, profile=left)
        options_refused(output, ["--reserve", "0"], "leaves 1 core to others, not 0")
        goes_on(output, *options, profile=profile)


@test
def other_precisions_than_the_job_was_begun_with():
    output = FOLDER / "precision.npy"
    journal = FOLDER / "precision.npy.journal"
    kill_midway(MANY, output)
    options_refused(output, ["--precision", "bf16,int8"], "in f32, not in bf16,int8", "leave --precision out")
    text = journal.read_text()
    expect(text.count('"precision":"f32"') == 1, "no precision is kept", text[:500])
    journal.write_text(text.replace('"precision":"f32"', '"precision":"int8"'))
    options_refused(output, ["--profile", PROFILE, "--accuracy", "99"], "in int8", "99 %", "leave --accuracy out")
    journal.write_text(text)
    goes_on(output, "--accuracy", "99")


@test
def two_runs_of_one_job():
    output = FOLDER / "two.npy"
    process = start(MODEL, PROFILE, MANY, output, "--quiet")
    while process.poll() is None and not records(output):
        time.sleep(0.002)
    result = run("run", MODEL, "--input", MANY, "--output", output, "--profile", PROFILE)
    expect(result.code == 1 and "in use" in result.err or process.poll() is not None,
           "both went on", result)
    expect(process.wait() == 0, "the first run failed")


@test
def budget_that_is_spent():
    output, undisturbed = FOLDER / "budget.csv", FOLDER / "no_budget.csv"
    small = 0.096 * 0.0005 / 3600  # the price of 0.5 ms, which the profile takes for enough, and no machine
    long = npy("budget.npy", "|u1", (8 * COUNT, 3, SIDE, SIDE), samples(8 * COUNT))
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,1024,20000\n")
    fast = FOLDER / "fast.json"
    made = run("profile", MODEL, "--measurements", rounds, "-o", fast, "--price-per-hour", "0.096")
    expect(made.code == 0, "cannot make a profile", made)
    result = run("run", MODEL, "--input", long, "--output", output, "--profile", fast, "--budget",
                 f"{small:.15f}")
    expect(result.code == 1 and "budget" in result.err and "to continue" in result.err,
           "not stopped", result)
    expect(not output.exists() and records(output) > 0, "nothing kept")
    value = job("--input", long, "--output", output)
    expect(value["done_before"] > 0 and value["cost"] > small, "not gone on with", value)
    job("--input", long, "--output", undisturbed, profile=fast)
    expect(output.read_bytes() == undisturbed.read_bytes(), "the output differs")


run_tests(need_engine=True)
