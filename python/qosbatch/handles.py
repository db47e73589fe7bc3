# SPDX-License-Identifier: Apache-2.0
"""The library's objects as context managers: contexts, models, nodes, profiles."""
from __future__ import annotations

import ctypes
import os
import typing
from collections.abc import Callable, Iterator

from . import native

Path = typing.Union[str, "os.PathLike[str]"]


class Handle:
    """An object of the library. Leaving a `with` block, close() or losing the last name gives it back."""
    _type: typing.Any
    _free: typing.Any

    def __init__(self, make: Callable[..., int], *arguments: typing.Any, keep: tuple[typing.Any, ...] = ()):
        """Calls make(*arguments, &handle), and keeps alive what the library may call back."""
        self._pointer: typing.Any = ctypes.POINTER(self._type)()
        self._keep = keep
        make(*arguments, ctypes.byref(self._pointer))

    @property
    def _as_parameter_(self) -> typing.Any:
        if not self._pointer:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._pointer

    def close(self) -> None:
        """Gives the object back; it cannot be used afterwards."""
        pointer, self._pointer = self._pointer, None
        if pointer:
            self._free(pointer)

    def __enter__(self) -> typing.Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None):
            self.close()


def describe(struct: typing.Any, get: Callable[..., int], *arguments: typing.Any) -> typing.Any:
    """The struct that a call of the library fills in last."""
    found = struct()
    get(*arguments, ctypes.byref(found))
    found.own_texts()
    return found


def describe_all(struct: typing.Any, get: Callable[..., int], owner: Handle) -> Iterator[typing.Any]:
    """What a call gives for the indices 0, 1 and so on, up to QB_ERROR_NOT_FOUND."""
    index = 0
    while True:
        try:
            found = describe(struct, get, owner, index)
        except native.NotFoundError:
            return
        yield found
        index += 1


def optional(struct: typing.Any) -> typing.Any:
    return None if struct is None else ctypes.byref(struct)


class Context(Handle):
    """What every other object is made from. `message` is called with warnings; it may be called from any
    thread."""
    _type, _free = native.qb_context, staticmethod(native.qb_context_unref)

    def __init__(self, message: Callable[[native.Severity, str], None] | None = None, memory_limit_bytes: int = 0):
        params = native.ContextParams(memory_limit_bytes=memory_limit_bytes)
        if message:
            params.message = type(params.message)(
                lambda _, severity, text: message(native.Severity(severity), text.decode(errors="replace")))
        super().__init__(native.qb_context_new, ctypes.byref(params), keep=(params.message,))


_default: Context | None = None


def default_context() -> Context:
    """The context of objects for which none is named."""
    global _default
    if _default is None:
        _default = Context()
    return _default


class Model(Handle):
    """A network, or an engine of the host's own."""
    _type, _free = native.qb_model, staticmethod(native.qb_model_unref)

    @classmethod
    def builtin(cls, name: str, context: Context | None = None) -> Model:
        """One of the networks that the library has: "alexnet" or "resnet50"."""
        context = context or default_context()
        return cls(native.qb_model_builtin, context, name.encode(), keep=(context,))

    @classmethod
    def load_onnx(cls, path: Path, context: Context | None = None) -> Model:
        context = context or default_context()
        return cls(native.qb_model_load_onnx, context, os.fsencode(path), keep=(context,))

    @classmethod
    def from_function(cls, name: str, run: Callable[[int, int], object],
                      prepare: Callable[[native.Configuration, int, int], object] | None = None,
                      context: Context | None = None, **work: typing.Any) -> Model:
        """An engine of your own, to be profiled: run(instance, batch) runs a round on data of its own,
        prepare(configuration, instance, batch) makes a batch size ready. Both are called on several threads, an
        exception of theirs ends the profile. `work` are members of Workload, such as flops_per_sample."""
        context = context or default_context()
        failures: list[BaseException] = []

        def guard(call: Callable[[], object]) -> int:
            try:
                call()
                return 0
            except BaseException as failure:  # the library's threads have nobody to raise it to
                failures.append(failure)
                return 1

        workload = native.Workload(name=name, **work)
        workload.run = type(workload.run)(
            lambda user, instance, batch, inputs, outputs: guard(lambda: run(instance, batch)))
        if prepare:
            ready = prepare
            workload.prepare = type(workload.prepare)(
                lambda user, configuration, instance, batch: guard(
                    lambda: ready(native.Configuration.from_buffer_copy(configuration.contents), instance, batch)))
        model = cls(native.qb_model_from_workload, context, ctypes.byref(workload), keep=(context, workload))
        model.failures = failures
        return model

    failures: list[BaseException] | None = None

    @property
    def info(self) -> native.ModelInfo:
        return describe(native.ModelInfo, native.qb_model_get_info, self)

    @property
    def inputs(self) -> list[native.TensorInfo]:
        return list(describe_all(native.TensorInfo, native.qb_model_get_input, self))

    @property
    def outputs(self) -> list[native.TensorInfo]:
        return list(describe_all(native.TensorInfo, native.qb_model_get_output, self))

    @property
    def operators(self) -> list[native.OperatorInfo]:
        return list(describe_all(native.OperatorInfo, native.qb_model_get_operator, self))


class Node(Handle):
    """A machine: what may be used of it, and what it sustains."""
    _type, _free = native.qb_node, staticmethod(native.qb_node_unref)

    @classmethod
    def detect(cls, context: Context | None = None, **params: typing.Any) -> Node:
        """This machine; measures it for 1.5 s. `params` are members of NodeParams."""
        context = context or default_context()
        return cls(native.qb_node_detect, context, ctypes.byref(native.NodeParams(**params)), keep=(context,))

    @classmethod
    def load(cls, path: Path, context: Context | None = None) -> Node:
        context = context or default_context()
        return cls(native.qb_node_load, context, os.fsencode(path), keep=(context,))

    def save(self, path: Path) -> None:
        native.qb_node_save(self, os.fsencode(path))

    @property
    def info(self) -> native.NodeInfo:
        return describe(native.NodeInfo, native.qb_node_get_info, self)


class Profile(Handle):
    """How long rounds of a model take on a node, by batch size and configuration."""
    _type, _free = native.qb_profile, staticmethod(native.qb_profile_unref)

    @classmethod
    def measure(cls, model: Model, node: Node, configurations: list[native.Configuration] | None = None,
                batches: list[int] | None = None,
                progress: Callable[[native.Progress], bool | None] | None = None, **params: typing.Any) -> Profile:
        """Times rounds of a model on this machine; run nothing else meanwhile. `params` are members of
        ProfileParams, such as max_batch and time_budget_ns. progress() may return False to stop."""
        how = native.ProfileParams(**params)
        if configurations:
            how.configurations = (native.Configuration * len(configurations))(*configurations)
            how.configuration_count = len(configurations)
        if batches:
            how.batches = (ctypes.c_uint32 * len(batches))(*batches)
            how.batch_count = len(batches)
        failures = model.failures if model.failures is not None else []

        def forward(_: object, found: typing.Any) -> bool:
            try:
                return progress is None or progress(found.contents) is not False
            except BaseException as failure:
                failures.append(failure)
                return False

        del failures[:]
        try:
            return cls(native.qb_profile_run, model, node, ctypes.byref(how), native.ProgressCallback(forward), None,
                       keep=model._keep)
        except native.Error as error:
            if failures:
                raise error from failures[0]
            raise

    @classmethod
    def load(cls, path: Path, context: Context | None = None) -> Profile:
        context = context or default_context()
        return cls(native.qb_profile_load, context, os.fsencode(path), keep=(context,))

    @classmethod
    def parse(cls, text: str | bytes, context: Context | None = None) -> Profile:
        """Reads what save() writes."""
        context = context or default_context()
        data = text.encode() if isinstance(text, str) else text
        return cls(native.qb_profile_parse, context, data, len(data), keep=(context,))

    @classmethod
    def from_measurements(cls, path: Path, context: Context | None = None, **params: typing.Any) -> Profile:
        """Rounds that were timed elsewhere, from CSV. `params` are members of MeasurementsParams."""
        context = context or default_context()
        return cls(native.qb_profile_from_measurements, context, os.fsencode(path),
                   ctypes.byref(native.MeasurementsParams(**params)), keep=(context,))

    @classmethod
    def from_points(cls, points: list[native.ProfilePoint], context: Context | None = None,
                    **params: typing.Any) -> Profile:
        """Rounds that you timed yourself: configuration, batch and latency_ns of each."""
        context = context or default_context()
        return cls(native.qb_profile_from_points, context, (native.ProfilePoint * len(points))(*points), len(points),
                   ctypes.byref(native.MeasurementsParams(**params)), keep=(context,))

    def save(self, path: Path) -> None:
        native.qb_profile_save(self, os.fsencode(path))

    def check(self, model: Model | None = None, node: Node | None = None) -> None:
        """Raises MismatchError unless it was measured with this model and on a node like this one."""
        native.qb_profile_check(self, model, node)

    def estimate(self, batch: int, configuration: native.Configuration | None = None, node: Node | None = None,
                 isa: native.Isa = native.Isa.BEST) -> native.LatencyEstimate:
        """A round of `batch` samples; by default in the fastest measured configuration, on the profile's node."""
        where = native.Where(isa=isa)
        if node:
            where.node = node._as_parameter_
        return describe(native.LatencyEstimate, native.qb_estimate, self, optional(configuration), batch,
                        ctypes.byref(where))

    def best_batch(self, configuration: native.Configuration | None = None) -> int:
        """The measured batch size with the most samples per second."""
        sizes = sorted({point.batch for point in self.points})
        return max(sizes, key=lambda batch: self.estimate(batch, configuration).throughput_per_s)

    @property
    def info(self) -> native.ProfileInfo:
        return describe(native.ProfileInfo, native.qb_profile_get_info, self)

    @property
    def points(self) -> list[native.ProfilePoint]:
        return list(describe_all(native.ProfilePoint, native.qb_profile_get_point, self))
