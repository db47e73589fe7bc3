# SPDX-License-Identifier: Apache-2.0
"""Rows with NaN, infinities and overflows: test_finite.py TOOL FIXTURES [QOSBATCH_MPI]"""
import array
import json
import math
import shutil
import subprocess
import sys

from jobs import job, kill_midway, NAN, npy, rows_of, table_of
from tool import FOLDER, run, run_tests, write
from checks import each, expect, skip, needs, test

needs(onnx="python3-onnx")
import onnx  # noqa: E402
from onnx import helper  # noqa: E402

WIDTH = 5
INF = float("inf")


def network(name, *nodes, constants=()):
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("x", 1, ["N", 1, 1, WIDTH])],
        [helper.make_tensor_value_info("y", 1, None)], list(constants))
    path = FOLDER / name
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              path)
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,1,1000000\n1,1,4,2000000\n")
    profile = path.with_suffix(".json")
    expect(run("profile", path, "--measurements", rounds, "-o", profile).code == 0, "no profile")
    return {"model": path, "profile": profile}


def rows(name, *values):
    data = array.array("f", [v for row in values for v in row]).tobytes()
    return npy(name, "<f4", (len(values), 1, 1, WIDTH), data)


def same(found, expected):
    return len(found) == len(expected) and all(
        math.isnan(a) and math.isnan(b) or a == b or abs(a - b) < 1e-6
        for a, b in zip(found, expected))


ONE = [NAN, -1, 0, 1, INF]
CLEAN = [0.5, 0.25, 2, -3, 1]


@each([("Relu", {}, [NAN, 0, 0, 1, INF]), ("Clip", {}, [NAN, -1, 0, 1, INF]),
       ("MaxPool", {"kernel_shape": [1, 2]}, [NAN, 0, 1, INF]), ("GlobalMaxPool", {}, [NAN]),
       ("HardSigmoid", {}, [NAN, 0.3, 0.5, 0.7, 1]), ("Softmax", {"axis": 3}, 5 * [NAN])])
def an_operator_gives_what_numpy_gives(kind, attributes, expected):
    what = network(f"{kind}.onnx", helper.make_node(kind, ["x"], ["y"], **attributes))
    output = FOLDER / f"{kind}.npy"
    value = job("--input", rows("one.npy", CLEAN, ONE, CLEAN), "--output", output, **what)
    found = rows_of(output)
    expect(same(found[1], expected), "other values", found[1])
    expect(all(math.isfinite(v) for v in found[0]) and found[0] == found[2], "others differ", found)
    expect((value["warnings"], value["not_finite"], value["unreadable"]) == (1, 1, 0), "counted", value)


def overflowing():
    """A convolution whose products overflow, and a fused ReLU that makes numbers of the NaN."""
    weights = helper.make_tensor("w", 1, (1, 1, 1, 2), [10.0, 10.0])
    return network("overflow.onnx", helper.make_node("Conv", ["x", "w"], ["a"]),
                   helper.make_node("Conv", ["a", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"]),
                   constants=[weights])


INSIDE = [3e38, 3e38, -3e38, -3e38, -3e38]  # inf and -inf side by side behind the first convolution


@test
def a_row_that_overflows_inside():
    what, x = overflowing(), rows("inside.npy", CLEAN, INSIDE, CLEAN, CLEAN, INSIDE)
    output = FOLDER / "inside.csv"
    value = job("--input", x, "--output", output, **what)
    table = table_of(output)
    expect([row[1] for row in table[1:]] == ["ok", "not_finite", "ok", "ok", "not_finite"], table)
    expect(set(table[2][2:]) == {""} and "" not in table[1], "classes of what is none", table)
    expect((value["warnings"], value["not_finite"]) == (2, 2), "counted", value)
    result = run("run", what["model"], "--profile", what["profile"], "--input", x, "--output",
                 FOLDER / "inside.npy.npy", "--quiet")
    expect(result.code == 0 and "2 samples are NaN or infinite" in result.out, "not told", result)
    found = rows_of(FOLDER / "inside.npy.npy")
    for index, row in enumerate(found):
        expect(all(math.isfinite(v) for v in row) == (index not in (1, 4)), "values", index, row)


@test
def a_journal_keeps_what_was_not_finite():
    """Rows of a run that was killed count in the one that goes on."""
    what, x = overflowing(), rows("kept.npy", CLEAN, INSIDE, *[CLEAN] * 40000)
    output = FOLDER / "kept.csv"
    kill_midway(x, output, **what)
    expect(" 1n" in (FOLDER / "kept.csv.journal").read_text(), "not in the journal")
    value = job("--input", x, "--output", output, **what)
    expect(value["done_before"] > 1 and value["not_finite"] == 1, "not kept", value)
    table = table_of(output)
    expect([row[1] for row in table[1:4]] == ["ok", "not_finite", "ok"], table[:4])


@test
def ranks_tell_too():
    if len(sys.argv) < 4 or not shutil.which("mpirun"):
        skip("qosbatch-mpi is not built")
    what, x = overflowing(), rows("ranks.npy", CLEAN, INSIDE, CLEAN)
    output = FOLDER / "ranks.csv"
    result = subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "1", sys.argv[3],
                             what["model"], "--profile", what["profile"], "--input", x, "--output",
                             output, "--quiet", "--json"], capture_output=True, text=True)
    expect(result.returncode == 0, "failed", result)
    value = json.loads(result.stdout)
    expect((value["warnings"], value["not_finite"]) == (1, 1), "counted", value)
    expect([row[1] for row in table_of(output)[1:]] == ["ok", "not_finite", "ok"], table_of(output))


run_tests(need_engine=True)
