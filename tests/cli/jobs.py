# SPDX-License-Identifier: Apache-2.0
"""Jobs of the tool for its tests: arrays and images, running a job and killing it."""
import array
import json
import os
import random
import struct
import subprocess
import time
import zlib

from tool import FIXTURES, FOLDER, run, TOOL, write
from checks import chosen_seed, expect

random.seed(chosen_seed())
MODEL = FIXTURES / "small.onnx"
SIDE, CLASSES = 16, 12  # of its input and output
ELEMENTS = 3 * SIDE * SIDE
NAN = float("nan")


def npy(name, descr, shape, data, fortran=False):
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path = FOLDER / name
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data)
    return path


def rows_of(path):
    """The rows of an output array, each as an array of floats."""
    data = path.read_bytes()
    head = data[10:10 + struct.unpack("<H", data[8:10])[0]].decode()
    expect("'<f4'" in head and "False" in head, "another header", head)
    rows, columns = (int(n) for n in head.split("(")[1].split(")")[0].split(","))
    values = array.array("f", data[10 + len(head):])
    expect(len(values) == rows * columns, "another size", path)
    return [values[r * columns:(r + 1) * columns] for r in range(rows)]


def table_of(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def png(path, pixels, width, height, channels):
    """Writes interleaved 8-bit pixels."""
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    stride = width * channels
    rows = b"".join(b"\0" + pixels[y * stride:(y + 1) * stride] for y in range(height))
    colour = {1: 0, 3: 2, 4: 6}[channels]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" +
                     chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def samples(count, elements=ELEMENTS):
    """8-bit samples; any `elements` that follow each other differ."""
    some = random.randbytes(2 * elements)
    starts = random.sample(range(elements), elements)
    return b"".join(some[s:s + elements] for s in (starts[i % elements] for i in range(count)))


def profile_of(name, factor, price="0.096"):
    """A profile that tells rounds to take `factor` times 300 us and 100 us a sample."""
    rounds = "".join(f"1,1,{batch},{factor * (300000 + 100000 * batch)}\n" for batch in (1, 2, 4))
    path = FOLDER / name
    arguments = ["profile", MODEL, "--measurements",
                 write("rounds.csv", "instances,threads,batch,latency_ns\n" + rounds), "-o", path]
    result = run(*arguments, *(["--price-per-hour", price] if price else []))
    expect(result.code == 0, "cannot make a profile", result)
    return path


def job(*arguments, model=MODEL, profile=None):
    """Runs a job that must end well; returns its JSON, with what stderr had as `notes`."""
    result = run("run", model, "--profile", profile or PROFILE, *arguments, "--json")
    expect(result.code == 0, "expected exit status 0", result)
    expect("\r" not in result.err, "a progress bar in a pipe", result)
    value = json.loads(result.out)
    value["notes"] = result.err
    return value


def left_behind(output):
    return [p.name for p in output.parent.glob(output.name + ".*")]


def expect_clean(output):
    expect(not left_behind(output), "something was left behind", left_behind(output))


def job_failure(arguments, *words):
    """A job that fails before it begins leaves nothing behind."""
    output = FOLDER / "never.npy"
    result = run("run", MODEL, "--output", output, *arguments)
    expect(result.code == 1 and result.out == "", "expected exit status 1", result)
    last = result.err.splitlines()[-1]  # before it may stand a warning of another node
    for word in ["qosbatch run: ", *words]:
        expect(str(word) in last, f"expected {word!r} in the message", result)
    expect(not output.exists(), "an output was made", result)
    expect_clean(output)


PROFILE = profile_of("profile.json", 1)


def records(output):
    journal = output.with_name(output.name + ".journal")
    return journal.read_text().count("\ndone ") if journal.exists() else 0


def start(model, profile, input_path, output, *more, **options):
    """Starts a job that gives way to the test, which is to see it midway on a busy machine as well."""
    return subprocess.Popen([TOOL, "run", model, "--input", input_path, "--output", output,
                             *(["--profile", profile] if profile else []), *more], stdin=subprocess.DEVNULL,
                            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
                            preexec_fn=lambda: os.nice(19))


def kill_midway(input_path, output, model=MODEL, profile=None):
    """Kills a job when some rounds are done and some are not; begins another one if that was too late."""
    for _ in range(20):
        process = start(model, profile or PROFILE, input_path, output, "--quiet")
        while process.poll() is None and records(output) < 2:
            time.sleep(0.002)
        process.kill()
        process.wait()
        if 0 < records(output) and not output.exists():
            return
        for name in [output.name, *left_behind(output)]:
            output.with_name(name).unlink(missing_ok=True)
    expect(False, "killed too late, 20 times")
