# SPDX-License-Identifier: Apache-2.0
"""A batch function for Ray Data or Spark, which both ask for a batch size: it comes from the profile, and so do the
workers and their threads. With Ray Data:

    choice = choose("network.json", samples)
    dataset.map_batches(Predictor, fn_constructor_args=("network.onnx", "network.json", choice.configuration.threads),
                        batch_size=choice.batch, concurrency=choice.configuration.instances,
                        num_cpus=choice.configuration.threads)

With Spark:

    udf = predict_batch_udf(lambda: Predictor("network.onnx", "network.json", threads).predict,
                            return_type=ArrayType(FloatType()), batch_size=choice.batch,
                            input_tensor_shapes=[list(shape)])

usage: 11_batch_function.py NETWORK.onnx [SAMPLES]"""
from __future__ import annotations

import sys

import numpy as np

import qosbatch as qb


def choose(profile: str, samples: int, deadline_s: float = 0) -> qb.JobPlan:
    """How to run a job on one worker node: .batch, .configuration.instances, .configuration.threads, .total_ns"""
    with qb.Profile.load(profile) as known:
        return qb.plan_job(known, qb.Job(samples=samples), qb.Qos(deadline_ns=int(deadline_s * 1e9)))


class Predictor:
    """One instance of the plan. Workers are processes: each has a model of its own."""

    def __init__(self, network: str, profile: str, threads: int):
        self._model = qb.Model.load_onnx(network)
        with qb.Profile.load(profile) as known:
            self._session = qb.Session(self._model, qb.Configuration(1, threads), known)

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self._session.run(np.ascontiguousarray(images, np.float32))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**batch, "answer": self.predict(batch["image"])}


def main() -> None:
    network, samples = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with qb.Model.load_onnx(network) as model, qb.Node.detect(measure_budget_ns=500_000_000) as node:
        info = model.inputs[0]
        shape = tuple(info.dims[:info.rank])
        with qb.Profile.measure(model, node, max_batch=16, time_budget_ns=500_000_000) as profile:
            profile.save("network.json")
    choice = choose("network.json", samples)
    print(f"{choice.configuration.instances} workers of {choice.configuration.threads} threads, batches of "
          f"{choice.batch}: {samples} samples in {choice.total_ns * 1e-6:.1f} ms")

    # What Ray Data does with it, in one worker.
    predictor = Predictor(network, "network.json", choice.configuration.threads)
    images = np.random.rand(samples, *shape).astype(np.float32)
    answers = [predictor({"image": images[i:i + choice.batch]})["answer"] for i in range(0, samples, choice.batch)]
    print(f"{len(np.concatenate(answers))} answers")


if __name__ == "__main__":
    main()
