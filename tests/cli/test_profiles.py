#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles that are wrong, and what names the place in them: test_profiles.py TOOL FIXTURES"""

from tool import CATALOGUE, changed, drop, failure, FOLDER, PROFILE, put, run_tests, write
from checks import each, test


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


def beside_latency(field, difference):
    """A field of a point that is a little less or more than its latency."""
    return lambda p: p["points"][3].update({field: p["points"][3]["latency_ns"] + difference})


@each([
    ("other format", put("qosbatch-node", "format"), "$.format"),
    ("no format", drop("format"), "$.format"),
    ("newer version", put(2, "version"), "$.version", "newer"),
    ("version 0", put(0, "version"), "$.version"),
    ("version as text", put("1", "version"), "$.version"),
    ("unknown field", put(1, "surprise"), "$.surprise"),
    ("unknown field of the node", put(1, "node", "surprise"), "$.node.surprise"),
    ("unknown field of a point", put(1, "points", 3, "surprise"), "$.points[3].surprise"),
    ("model is null", put(None, "model"), "$.model"),
    ("no node", drop("node"), "$.node"),
    ("node is an array", put([], "node"), "$.node"),
    ("unknown instruction set", put("mmx", "node", "isa"), "$.node.isa", "mmx"),
    ("no cores", put(0, "node", "cores"), "$.node.cores"),
    ("negative compute power", put(-1, "node", "compute", 1, "flops"), "$.node.compute[1].flops"),
    ("negative bandwidth", put(-1, "node", "bandwidth", 1, "bytes_per_s"),
     "$.node.bandwidth[1].bytes_per_s"),
    ("negative work", put(-1, "flops_per_sample"), "$.flops_per_sample"),
    ("huge work", put(1e300, "flops_per_sample"), "$.flops_per_sample"),
    ("negative weights", put(-1, "weight_bytes"), "$.weight_bytes"),
    ("no points", put([], "points"), "$.points"),
    ("points are missing", drop("points"), "$.points"),
    ("point is a number", put(7, "points", 3), "$.points[3]"),
    ("point twice", lambda p: p["points"].append(p["points"][3]), "$.points", "batch 8"),
    *[(f"no {field}", drop("points", 3, field), f"$.points[3].{field}")
      for field in ("instances", "batch", "latency_ns", "low_ns", "p95_ns", "disturbed")],
    *[(f"{field} {value}", put(value, "points", 3, field), f"$.points[3].{field}", str(value))
      for field, value in [("batch", 0), ("batch", -1), ("batch", 65537), ("batch", 2 ** 62),
                           ("instances", 0), ("threads", 0), ("threads", 2 ** 62),
                           ("visits", -1), ("latency_ns", 0), ("latency_ns", -5),
                           ("latency_ns", 2 ** 62), ("prepare_ns", -1), ("memory_bytes", -1)]],
    ("latency is text", put("57", "points", 3, "latency_ns"), "$.points[3].latency_ns"),
    ("latency is real", put(1.5, "points", 3, "latency_ns"), "$.points[3].latency_ns"),
    ("low above latency", beside_latency("low_ns", 1), "$.points[3].low_ns"),
    ("high below latency", beside_latency("high_ns", -1), "$.points[3].high_ns"),
    ("p95 below latency", beside_latency("p95_ns", -1), "$.points[3].p95_ns"),
    ("disturbed is a number", put(0, "points", 3, "disturbed"), "$.points[3].disturbed"),
])
def profile_with(_, change, *words):
    refused_by_all(write("changed.json", changed(change)), *words)


@each([
    ("NaN", "NaN"), ("infinity", "Infinity"), ("a huge integer", "9" * 400),
    ("a huge exponent", "1e999"), ("a leading 0", "012"), ("a comma", "1,5"),
])
def profile_with_latency(_, value):
    text = changed(put(424242424242, "points", 3, "latency_ns")).replace("424242424242", value)
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


run_tests()
