# SPDX-License-Identifier: Apache-2.0
"""Rounds: the decision before each one, and real inference on numpy arrays."""
from __future__ import annotations

import ctypes
import time
import typing
from collections.abc import Sequence

import numpy as np

from . import native
from .handles import Handle, Model, Profile, describe, optional

Arrays = typing.Union[np.ndarray, Sequence[np.ndarray]]


def _listed(arrays: Arrays) -> list[np.ndarray]:
    return [arrays] if isinstance(arrays, np.ndarray) else list(arrays)


def _addresses(what: str, arrays: list[np.ndarray], infos: list[native.TensorInfo], batch: int) -> typing.Any:
    """The arrays as the library takes them; refuses what it would have to copy."""
    if len(arrays) != len(infos):
        raise ValueError(f"the model has {len(infos)} {what}s, not {len(arrays)}")
    for index, (array, info) in enumerate(zip(arrays, infos)):
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            raise TypeError(f"{what} {index} ({info.name}) is not a C-contiguous array of float32; "
                            "np.ascontiguousarray(array, np.float32) makes one")
        if len(array) != batch or array.size != batch * info.elements_per_sample:
            raise ValueError(f"{what} {index} ({info.name}) has shape {array.shape}; for a batch of {batch} it is "
                             f"{(batch, *info.dims[:info.rank])}")
        if what == "output" and not array.flags.writeable:
            raise ValueError(f"output {index} ({info.name}) is read-only")
    return (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])


class Session(Handle):
    """A model that is ready to run. Any number of threads may run rounds; the interpreter's lock is not held
    meanwhile."""
    _type, _free = native.qb_session, staticmethod(native.qb_session_unref)

    def __init__(self, model: Model, configuration: native.Configuration | None = None,
                 profile: Profile | None = None):
        """With a profile, layers are computed as they were when it was measured."""
        self._inputs, self._outputs = model.inputs, model.outputs
        super().__init__(native.qb_session_new, model, optional(configuration), profile, keep=(model,))

    def prepare(self, batch: int) -> int:
        """Makes a batch size ready, which else the first round of that size does; returns the ns it took."""
        took_ns = ctypes.c_int64()
        native.qb_session_prepare(self, batch, ctypes.byref(took_ns))
        return took_ns.value

    def run(self, inputs: Arrays, out: Arrays | None = None, flags: np.ndarray | None = None) -> typing.Any:
        """Runs a round of len(inputs) samples and returns the answers: an array, or a list for a model of several
        outputs. Nothing is copied: arrays are C-contiguous float32, one row a sample. The answers go into `out`
        where that is given; `flags`, of uint32, receives bits of SampleFlag for each sample."""
        given = _listed(inputs)
        if not given or not given[0].ndim:
            raise ValueError("there is no input with a batch")
        batch = len(given[0])
        answers = ([np.empty((batch, *info.dims[:info.rank]), np.float32) for info in self._outputs]
                   if out is None else _listed(out))
        marks = None
        if flags is not None:
            if flags.dtype != np.uint32 or flags.shape != (batch,) or not flags.flags.c_contiguous:
                raise ValueError(f"flags is not an array of {batch} uint32")
            marks = flags.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
        native.qb_session_run(self, batch, _addresses("input", given, self._inputs, batch),
                              _addresses("output", answers, self._outputs, batch), marks)
        return answers[0] if len(answers) == 1 else answers

    @property
    def info(self) -> native.SessionInfo:
        return describe(native.SessionInfo, native.qb_session_get_info, self)


class Optimizer(Handle):
    """Decides the rounds of a service. One thread at a time may call decide() and observe(), another refresh()."""
    _type, _free = native.qb_optimizer, staticmethod(native.qb_optimizer_free)

    def __init__(self, profile: Profile, plan: native.ServicePlan | native.OptimizerParams,
                 qos: native.Qos | None = None):
        self.params = (plan if isinstance(plan, native.OptimizerParams) else
                       describe(native.OptimizerParams, native.qb_optimizer_params_of_plan, ctypes.byref(plan)))
        super().__init__(native.qb_optimizer_new, profile, ctypes.byref(self.params), optional(qos), keep=(profile,))

    def decide(self, queued: int, deadlines_ns: typing.Any = None, now_ns: int | None = None,
               **state: typing.Any) -> native.Decision:
        """What to do with `queued` samples. Times are those of time.monotonic_ns(). `deadlines_ns` says when
        samples have to be answered, the most urgent first; an array of int64 is not copied. `state` are other
        members of RoundState; without deadlines and oldest_arrival_ns, all samples have just arrived."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        found = native.RoundState(**{"queued": queued, "now_ns": now_ns, "oldest_arrival_ns": now_ns, **state})
        if deadlines_ns is not None and len(deadlines_ns):
            due = np.ascontiguousarray(deadlines_ns, np.int64)
            found.deadline_ns = due.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
            found.deadline_count = found.deadline_count or min(queued, len(due))
        return describe(native.Decision, native.qb_optimize, self, ctypes.byref(found))

    def observe(self, batch: int, latency_ns: int) -> None:
        """Reports how long a round took: predictions follow the node."""
        native.qb_observe(self, ctypes.byref(native.RoundResult(batch=batch, latency_ns=latency_ns)))

    def refresh(self) -> None:
        """Recomputes the tables when a decision says refresh_due; takes tens of milliseconds."""
        native.qb_optimizer_refresh(self)


def explain(decision: native.Decision) -> str:
    """The reason for a decision as a sentence."""
    text = ctypes.create_string_buffer(512)
    native.qb_explain(ctypes.byref(decision), text, len(text))
    return text.value.decode()
