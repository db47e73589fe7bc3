# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, where it is installed: Debian 13 has it."""
import importlib
import os

import numpy as np


def import_quietly(*before):
    """
    onnxruntime, after other modules; None where one is missing. Debian's two packages register the same
    operators twice, and say so 1,000 times.
    """
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        for name in before:
            importlib.import_module(name)
        onnxruntime = importlib.import_module("onnxruntime")
        onnxruntime.set_default_logger_severity(3)
        return onnxruntime
    except ImportError:
        return None
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def answers(runtime, path, x, fused):
    """
    What a file with one input and one output gives, with or without the runtime's optimizations; sample by
    sample, as dynamic ranges are of the whole tensor.
    """
    options = runtime.SessionOptions()
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if fused else level.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")  # no sums that saturate without VNNI
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i:i + 1]})[0].ravel() for i in range(len(x))])
