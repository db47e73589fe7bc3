# SPDX-License-Identifier: Apache-2.0
"""Profiles belong to networks by what those compute: test_networks.py TOOL FIXTURES"""
import json
import random
import shutil

from jobs import job, npy, samples, SIDE
from tool import failure, FOLDER, run, run_tests, write
from checks import each, expect, needs, test

needs(onnx="python3-onnx")
import onnx  # noqa: E402
from onnx import helper  # noqa: E402


def network(path, channels=4, kernel=3, kind="Relu", seed=1):
    some = random.Random(seed)
    dims = (channels, 3, kernel, kernel)
    count = channels * 3 * kernel * kernel
    weights = helper.make_tensor("w", 1, dims, [some.uniform(-1, 1) for _ in range(count)])
    pads = [kernel // 2] * 4
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=pads),
             helper.make_node(kind, ["c"], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["y"])]
    graph = helper.make_graph(nodes, "g",
                              [helper.make_tensor_value_info("x", 1, ["N", 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("y", 1, None)], [weights])
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              path)
    return path


OWN = network(FOLDER / "own" / "model.onnx")
OWN_PROFILE = FOLDER / "own.json"
made = run("profile", OWN, "--measurements",
           write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,1,400000\n1,1,2,500000\n"),
           "-o", OWN_PROFILE)
expect(made.code == 0, "no profile", made)
X = npy("x.npy", "|u1", (5, 3, SIDE, SIDE), samples(5))


@each([("channels", {"channels": 16}), ("kernel", {"kernel": 1}), ("operator", {"kind": "Sigmoid"})])
def another_network_of_the_same_name(name, change):
    other = network(FOLDER / name / "model.onnx", **change)
    output = FOLDER / f"{name}.csv"
    for refused in [["run", other, "--input", X, "--output", output, "--profile", OWN_PROFILE],
                    ["evaluate", OWN_PROFILE, "--model", other, "--batch", "1"],
                    ["profile", other, "--refine", OWN_PROFILE, "-o", FOLDER / "mix.json",
                     "--quiet", "--time-budget", "1"]]:
        result = run(*refused)
        expect(result.code == 1 and "a different network" in result.err, "taken", refused, result)
    expect(not output.exists() and not (FOLDER / "mix.json").exists(), "something was made")


@test
def profiles_of_two_networks_of_one_name():
    other, path = network(FOLDER / "second" / "model.onnx", channels=8), FOLDER / "second.json"
    expect(run("profile", other, "--measurements", FOLDER / "rounds.csv", "-o", path).code == 0,
           "no profile")
    failure(["optimize", OWN_PROFILE, path, "--samples", "10"], "expected profiles of one model")


@test
def a_renamed_copy_and_other_weights():
    copy = shutil.copy(OWN, FOLDER / "own" / "renamed.onnx")
    trained = network(FOLDER / "trained.onnx", seed=2)
    for index, model in enumerate((copy, trained)):
        value = job("--input", X, "--output", FOLDER / f"copy{index}.csv", model=model,
                    profile=OWN_PROFILE)
        expect(value["samples"] == 5, "not run", value)


@test
def a_profile_that_does_not_say_which_network():
    """As those of older versions: the work of the operators tells."""
    profile = json.loads(OWN_PROFILE.read_text())
    del profile["network"]
    path = write("older.json", json.dumps(profile))
    job("--input", X, "--output", FOLDER / "older.csv", model=OWN, profile=path)
    other = network(FOLDER / "older" / "model.onnx", channels=32)
    result = run("run", other, "--input", X, "--output", FOLDER / "no.csv", "--profile", path)
    expect(result.code == 1 and "a different network" in result.err, "taken", result)
    for wrong in "", "12", "g" * 16, "0" * 17:
        profile["network"] = wrong
        failure(["estimate", write("wrong.json", json.dumps(profile)), "--batch", "1"], "$.network")


run_tests(need_engine=True)
