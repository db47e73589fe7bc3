# SPDX-License-Identifier: Apache-2.0
"""A service in Python: requests are awaited, a thread for each instance asks the optimizer when to run a round and
of how many of them. In a FastAPI program:

    app = FastAPI(lifespan=...)                     # makes and closes the service

    @app.post("/infer")
    async def infer(request: Request):
        sample = np.frombuffer(await request.body(), np.float32).reshape(service.shape)
        return Response((await service.infer(sample)).tobytes())

usage: 10_service.py NETWORK.onnx [REQUESTS] [RATE_PER_S]"""
from __future__ import annotations

import asyncio
import collections
import random
import sys
import threading
import time
import typing

import numpy as np

import qosbatch as qb


class Waiting(typing.NamedTuple):
    sample: np.ndarray
    deadline_ns: int
    answer: asyncio.Future[np.ndarray]


def _settle(answer: asyncio.Future[np.ndarray], row: np.ndarray) -> None:
    if not answer.done():  # whoever asked may have gone
        answer.set_result(row)


class Service:
    """Call infer() in a loop of asyncio, and close() at the end."""

    def __init__(self, model: qb.Model, profile: qb.Profile, rate_per_s: float, latency_ns: int):
        self._qos = qb.Qos(latency_ns=latency_ns, percentile=99)
        self.plan = qb.plan_service(profile, qb.Load(rate_per_s=rate_per_s), self._qos)
        self._optimizer = qb.Optimizer(profile, self.plan, self._qos)
        self._session = qb.Session(model, self.plan.configuration, profile)
        for batch in range(1, self.plan.batch + 1):  # or the first round of a size is late
            self._session.prepare(batch)
        info = model.inputs[0]
        self.shape = tuple(info.dims[:info.rank])
        self._queue: collections.deque[Waiting] = collections.deque()
        self._changed = threading.Condition()
        self._arrived, self._open = 0, True
        self._threads = [threading.Thread(target=self._serve) for _ in range(self.plan.configuration.instances)]
        for thread in self._threads:
            thread.start()

    async def infer(self, sample: np.ndarray) -> np.ndarray:
        answer = asyncio.get_running_loop().create_future()
        with self._changed:
            self._queue.append(Waiting(sample, time.monotonic_ns() + self._qos.latency_ns, answer))
            self._arrived += 1
            self._changed.notify()
        return await answer

    def _serve(self) -> None:
        images = np.empty((self.plan.batch, *self.shape), np.float32)
        while True:
            with self._changed:
                while self._open or self._queue:
                    decision = self._optimizer.decide(len(self._queue), [w.deadline_ns for w in self._queue],
                                                      arrived=self._arrived)
                    if decision.action != qb.Action.WAIT:
                        break
                    self._changed.wait(decision.max_wait_ns * 1e-9 or None)
                else:
                    return
                taken = [self._queue.popleft() for _ in range(decision.batch)]
                if self._queue:  # another instance may run them
                    self._changed.notify()
            start_ns = time.monotonic_ns()
            for row, waiting in zip(images, taken):
                row[...] = waiting.sample
            answers = self._session.run(images[:len(taken)])
            with self._changed:
                self._optimizer.observe(len(taken), time.monotonic_ns() - start_ns)
            for waiting, answer in zip(taken, answers):
                loop = waiting.answer.get_loop()
                loop.call_soon_threadsafe(_settle, waiting.answer, answer)

    def refresh(self) -> None:
        """Follows a node that became slower or faster; call it every second from a thread that may be late."""
        self._optimizer.refresh()

    def close(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._session.close()
        self._optimizer.close()


async def request_all(service: Service, count: int, rate_per_s: float) -> list[float]:
    async def request() -> float:
        began = time.monotonic()
        await service.infer(np.random.rand(*service.shape).astype(np.float32))
        return time.monotonic() - began

    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(request()))
        await asyncio.sleep(random.expovariate(rate_per_s))
    return await asyncio.gather(*tasks)


def main() -> None:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rate_per_s = float(sys.argv[3]) if len(sys.argv) > 3 else 100
    model = qb.Model.load_onnx(sys.argv[1])
    with qb.Node.detect(measure_budget_ns=500_000_000) as node:
        profile = qb.Profile.measure(model, node, max_batch=8, time_budget_ns=500_000_000)
    service = Service(model, profile, rate_per_s, latency_ns=250_000_000)
    latencies = sorted(asyncio.run(request_all(service, count, rate_per_s)))
    service.close()
    print(f"{len(latencies)} answers, p99 {latencies[len(latencies) * 99 // 100] * 1e3:.1f} ms, "
          f"predicted {service.plan.p99_ns * 1e-6:.1f} ms, promised 250 ms")


if __name__ == "__main__":
    main()
