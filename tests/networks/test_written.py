# SPDX-License-Identifier: Apache-2.0
"""Random graphs that the library writes: test_written.py PROGRAM [COUNT]

onnx.checker accepts them, with the shapes that it infers, and where onnxruntime is installed (Debian 13) it
gives what plain loops do. PROGRAM is written_graphs.
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import chosen_seed, expect, needs, note, run_tests, test  # noqa: E402

needs(numpy="python3-numpy", onnx="python3-onnx")
import numpy as np  # noqa: E402
import onnx  # noqa: E402

from peer import import_quietly  # noqa: E402

RUNTIME = import_quietly()


def objection(folder, number):
    """What is wrong with a file; None if nothing is."""
    path = folder / f"{number}.onnx"
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # of any class: the checker's own, or of shape inference
        return str(error)
    if not RUNTIME:
        return None
    graph = onnx.load(path).graph
    dims = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[1:]]
    inputs = np.fromfile(folder / f"{number}.inputs", np.float32).reshape(2, *dims)
    expected = np.fromfile(folder / f"{number}.outputs", np.float32)
    session = RUNTIME.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {graph.input[0].name: inputs})[0].ravel()
    off = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)
    return None if off <= 1e-3 else f"it differs by {off:g} of the largest output"


@test
def written_graphs_are_onnx():
    seed = chosen_seed() % 10**6 + 1
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    with tempfile.TemporaryDirectory(prefix="qosbatch-written-") as scratch:
        folder = pathlib.Path(scratch)
        subprocess.run([sys.argv[1], folder, str(count), str(seed)], check=True)
        problems = [(number, objection(folder, number)) for number in range(count)]
    note(f"seed {seed}, {count} graphs, {'run by onnxruntime' if RUNTIME else 'checked'}")
    wrong = [f"graph {number}: {problem}" for number, problem in problems if problem]
    expect(not wrong, f"{len(wrong)} of {count} graphs are wrong", *wrong[:10])


run_tests()
