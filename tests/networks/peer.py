# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, where it is installed: Debian 13 has it."""
import importlib
import os


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
