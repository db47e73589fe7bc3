# SPDX-License-Identifier: Apache-2.0
"""What a job that is gone on with belongs to: test_resume.py TOOL FIXTURES [CHANGES]"""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

from jobs import CLASSES, ELEMENTS, job, MODEL, npy, png, PROFILE, records, samples, SIDE, start
from tool import FOLDER, run, run_tests, TOOL, write
from checks import each, expect, note, skip, test

CHANGES = int(sys.argv[3]) if len(sys.argv) > 3 else 12
COUNT = 1500


def network(folder, seed=1, kind="Relu"):
    """A network with weights of its own and in another file; None without python3-onnx."""
    try:
        import onnx
        from onnx import helper
    except ImportError:
        return None
    some = random.Random(seed)
    folder.mkdir(exist_ok=True)

    def tensor(name, dims):
        values = [some.uniform(-1, 1) for _ in range(dims[0] * dims[1])]
        return helper.make_tensor(name, 1, dims, values)

    inside, outside = tensor("w", (ELEMENTS, 4)), tensor("u", (4, CLASSES))
    data = struct.pack(f"<{4 * CLASSES}f", *outside.float_data)
    (folder / "net.data").write_bytes(data)
    outside.ClearField("float_data")
    outside.data_location = 1
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "net.data"
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["h"]),
         helper.make_node(kind, ["h"], ["r"]), helper.make_node("MatMul", ["r", "u"], ["y"])], "g",
        [helper.make_tensor_value_info("x", 1, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", 1, ["N", CLASSES])], [inside, outside])
    path = folder / "net.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                                       ir_version=7).SerializeToString())
    return path


def state_of(output):
    return {p.name: p.read_bytes() for p in output.parent.glob(output.name + ".*")}


def go_on(model, path, output, *more, profile=None):
    return run("run", model, "--input", path, "--output", output, "--profile", profile or PROFILE,
               "--quiet", *more)


def expect_other_job(model, path, output, *words):
    before = state_of(output)
    result = go_on(model, path, output)
    expect(result.code == 1, "not refused", result)
    for word in words:
        expect(word in result.err, f"expected {word!r}", result)
    expect(state_of(output) == before and not output.exists(), "something was changed", result)


def begun(name):
    """A job in a folder of its own that was killed midway: network, input, output, profile."""
    folder = FOLDER / name
    folder.mkdir()
    model = network(folder) or shutil.copy(MODEL, folder / "net.onnx")
    profile = folder / "own.json"
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,1,400000\n1,1,2,500000\n")
    expect(run("profile", model, "--measurements", rounds, "-o", profile).code == 0, "no profile")
    for more in range(1, 8):
        path = npy(f"{name}/x.npy", "|u1", (more * COUNT, 3, SIDE, SIDE), samples(more * COUNT))
        output = folder / "y.npy"
        process = start(model, profile, path, output, "--quiet")
        while process.poll() is None and records(output) < 2:
            time.sleep(0.001)
        process.kill()
        process.wait()
        if not output.exists():
            return model, path, output, profile
        output.unlink()
    raise AssertionError("the jobs are too short to be killed")


@test
def a_byte_that_was_changed():
    """Whatever byte of weights, external data or input: with time and size as they were."""
    model, path, output, profile = begun("changed")
    files = [p for p in (model, model.with_name("net.data"), path) if p.exists()]
    for change in range(CHANGES):
        file = files[change % len(files)]
        times, data = os.stat(file), bytearray(file.read_bytes())
        at, other = random.randrange(len(data)), random.randrange(1, 256)
        data[at] ^= other
        with open(file, "r+b") as f:
            f.seek(at)
            f.write(data[at:at + 1])
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        expect_other_job(model, path, output)
        data[at] ^= other
        file.write_bytes(data)
    value = go_on(model, path, output, "--json", profile=profile)
    expect(value.code == 0 and json.loads(value.out)["done_before"] > 0, "not gone on with", value)
    value = json.loads(value.out)
    note(f"{CHANGES} of {CHANGES} changes refused; reading what the job is took "
         f"{value['hash_ns'] / 1e6:.2f} ms of {value['elapsed_ns'] / 1e6:.0f}")


@test
def another_network_of_the_same_shape():
    model, path, output, profile = begun("network")
    if not network(FOLDER / "other", seed=2):
        skip("python3-onnx is not installed")
    expect_other_job(FOLDER / "other" / "net.onnx", path, output, "another model")
    expect_other_job(network(FOLDER / "sigmoid", kind="Sigmoid"), path, output, "another model")
    expect_other_job(model, npy("network/z.npy", "|u1", (COUNT, 3, SIDE, SIDE), samples(COUNT)),
                     output, "input")


@test
def the_same_files_under_other_names():
    model, path, output, profile = begun("names")
    folder = FOLDER / "moved"
    shutil.copytree(model.parent, folder)
    os.rename(folder / "net.onnx", folder / "renamed.onnx")
    os.rename(folder / "x.npy", folder / "z.npy")
    result = go_on(folder / "renamed.onnx", folder / "z.npy", output, "--json", profile=profile)
    expect(result.code == 0 and json.loads(result.out)["done_before"] > 0, "not gone on with", result)


@test
def a_folder_in_which_an_image_was_changed():
    folder, output = FOLDER / "pictures", FOLDER / "pictures.csv"
    folder.mkdir()
    for i in range(3):
        png(folder / f"{i}.png", random.randbytes(3 * SIDE * SIDE), SIDE, SIDE, 3)
    if "without libvips" in run("run", MODEL, "--input", folder, "--output", output).err:
        skip("this build has no libvips")
    output.unlink()
    journal = FOLDER / "pictures.csv.journal"
    result = go_on(MODEL, folder, output, "--budget", "1e-30")  # refused when all is known
    expect(result.code == 1 and not journal.exists(), "left behind", result)
    process = start(MODEL, None, folder, output)
    while not (journal.exists() and journal.stat().st_size) and process.poll() is None:
        time.sleep(0.001)
    process.kill()  # while it measures
    process.wait()
    expect(journal.exists(), "too late")
    kept = journal.read_text() + '{"batch":1,"high_ns":2,"instances":1,"low_ns":1,' \
        '"price_per_hour":0.0,"threads":1,"total_ns":2}\n'
    journal.write_text(kept)
    before = (folder / "1.png").read_bytes()
    png(folder / "1.png", random.randbytes(3 * SIDE * SIDE), SIDE, SIDE, 3)
    expect_other_job(MODEL, folder, output, "another input")
    (folder / "1.png").write_bytes(before)
    expect(go_on(MODEL, folder, output).code == 0, "not gone on with")


@test
def a_part_file_that_cannot_be_opened():
    model, path, output, profile = begun("closed")
    part = output.with_name("y.npy.part")
    before, data = state_of(output), part.read_bytes()
    part.unlink()
    part.mkdir()
    result = go_on(model, path, output)
    expect(result.code == 1 and "y.npy.part" in result.err, "not refused", result)
    part.rmdir()
    part.write_bytes(data)
    expect(state_of(output) == before, "the state was changed")
    # Without descriptors, whichever of the files is the one that there is none for.
    for limit in range(3, 24):
        result = run("run", model, "--input", path, "--output", output, "--profile", profile,
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        if output.exists():
            break
        expect("y.npy.journal" in state_of(output), "the journal is gone", limit, result)
        expect("y.npy.part" in state_of(output), "the rows are gone", limit, result)


@test
def an_older_output_is_not_taken_for_the_new_one():
    """The journal tells of all rounds, and the part file is lost: in a power failure, or removed by somebody."""
    model, path, output, profile = begun("older")
    journal = output.with_name(output.name + ".journal")
    count = json.loads(journal.read_text().splitlines()[1])["samples"]
    head = journal.read_text().splitlines(keepends=True)[:3]
    journal.write_text("".join(head) + f"done 0 {count} 0123456789abcdef 1\n")
    output.with_name(output.name + ".part").unlink()
    output.write_bytes(b"older")
    result = go_on(model, path, output, profile=profile)
    expect(result.code == 0 and output.stat().st_size > 4 * CLASSES * count, "the older one was kept", result)


@test
def what_is_promised_is_taken_anew():
    model, path, output, profile = begun("promised")
    for more, word in [(["--budget", "1e-12", "--price-per-hour", "1"], "budget >= "),
                       (["--deadline", "0.001"], "deadline >= "),
                       (["--budget", "1"], "--price-per-hour")]:
        before = state_of(output)
        result = go_on(model, path, output, *more, profile=profile)
        expect(result.code == 1 and word in result.err, "ignored", more, result)
        expect(state_of(output) == before, "something was changed")
    result = go_on(model, path, output, "--json", "--price-per-hour", "3600", "--deadline", "1000",
                   profile=profile)
    expect(result.code == 0, "not gone on with", result)
    value = json.loads(result.out)
    expect(value["done_before"] > 0 and value["deadline_met"], "not gone on with", value)
    expect(value["cost"] >= value["measured_ns"] / 1e9, "the price is that of before", value)


@each([("SIGINT", signal.SIGINT, 130), ("SIGTERM", signal.SIGTERM, 143)])
def signal_during_a_job(_, number, code):
    path = npy("long.npy", "|u1", (6 * COUNT, 3, SIDE, SIDE), samples(6 * COUNT))
    output, whole = FOLDER / f"signal-{number}.npy", FOLDER / "whole.npy"
    process = start(MODEL, PROFILE, path, output, "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True)
    while process.poll() is None and records(output) < 2:
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate()
    expect(process.returncode == code and not out, "another exit status", process.returncode, err)
    expect(err.splitlines()[-1].endswith("run the same command to continue"), "not said", err)
    expect(records(output) > 0 and not output.exists(), "the state is lost")
    value = job("--input", path, "--output", output)
    expect(value["done_before"] > 0, "not gone on with", value)
    job("--input", path, "--output", whole)
    expect(output.read_bytes() == whole.read_bytes(), "the output differs")


@test
def signal_before_a_job():
    """While it measures there is nothing to keep: nothing is left."""
    output = FOLDER / "early.csv"
    path = npy("early.npy", "|u1", (5, 3, SIDE, SIDE), samples(5))
    process = start(MODEL, None, path, output, stderr=subprocess.PIPE)
    process.stderr.readline()  # that it measures
    process.send_signal(signal.SIGINT)
    process.communicate()
    expect(process.returncode in (130, 0), "another exit status", process.returncode)
    if process.returncode:
        expect(not state_of(output), "something was left", state_of(output).keys())


run_tests(need_engine=True)
