#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets the library and the service run for long: soak.py SECONDS CYCLES QOSBATCH QOSBATCH_SERVE FIXTURES CATALOGUE

Both are looked at when they are at rest, after each cycle or burst of requests. After the first tenth, their
resident memory may grow by less than 1 MiB, and descriptors and threads stay as many as they were. Whatever fails,
both processes end with this one.
"""
import concurrent.futures
import contextlib
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "service"))
from service import Model, service, until  # noqa: E402

SECONDS = float(sys.argv[1])
CYCLES, TOOL, SERVE, FIXTURES, CATALOGUE = sys.argv[2:7]
NETWORK = pathlib.Path(FIXTURES) / "small.onnx"
CLIENTS, REQUESTS, MOST_KIB = 4, 50, 1024


class Watched:
    """What one process used whenever it was at rest: resident KiB, descriptors, threads."""

    def __init__(self, name):
        self.name, self.seen = name, []

    def judge(self):
        """Prints what was seen; whether it is as it has to be."""
        first = len(self.seen) // 10
        kept = self.seen[first:]
        part = max(1, len(kept) // 10)
        kib = [sorted(m for m, _, _ in some)[len(some) // 2] for some in (kept[:part], kept[-part:])]
        files, threads = ({row[i] for row in kept} for i in (1, 2))
        good = kib[1] - kib[0] < MOST_KIB and len(files) == 1 and len(threads) == 1
        print(f"{self.name}: {len(self.seen)} times at rest, {first} of them left out; resident {kib[0]} KiB, "
              f"then {kib[1]} ({kib[1] - kib[0]:+d}); descriptors {sorted(files)}; threads {sorted(threads)}: "
              f"{'good' if good else 'BAD'}", flush=True)
        return good


def follow(process, watched):
    for line in process.stdout:
        watched.seen.append([int(word) for word in line.split()])


@contextlib.contextmanager
def running_cycles(watched, *arguments):
    """The process that runs the cycles, followed until it ends by itself; it is killed if the block fails."""
    with subprocess.Popen([CYCLES, *arguments], stdout=subprocess.PIPE, text=True) as process:
        follower = threading.Thread(target=follow, args=(process, watched))
        follower.start()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            follower.join()


def at_rest(pid):
    proc = pathlib.Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return [int(status["VmRSS"].split()[0]), len(list((proc / "fd").iterdir())), int(status["Threads"])]


def ask(served, model, seed):
    """A client's share of a burst: most requests are good, some are broken or given up. Returns wrong answers."""
    some, wrong = random.Random(seed), []
    for _ in range(REQUESTS):
        kind = some.random()
        samples = some.randint(1, 3)
        values = [some.random()] * (samples * model.elements)
        if kind < 0.9:
            answer = model.ask(served, values, samples)
            if answer.status not in (200, 429, 503):
                wrong.append(answer.status)
        elif kind < 0.95:
            if served.call("POST", model.path, b"{" * 100).status != 400:
                wrong.append("nonsense was taken")
        else:
            with served.connect() as connection:
                connection.sendall(b"POST " + model.path.encode() + b" HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx")
    return wrong


def burst(served, model, seed):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        wrong = sum(clients.map(lambda i: ask(served, model, seed + i), range(CLIENTS)), [])
    if wrong:
        sys.exit(f"soak.py: answers that were not expected: {wrong[:5]}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("soak.py: terminated"))
    library, server = Watched("library"), Watched("service")
    with tempfile.TemporaryDirectory(prefix="qosbatch-soak-") as scratch:
        folder = pathlib.Path(scratch)
        rounds = folder / "rounds.csv"
        rounds.write_text("instances,threads,batch,latency_ns\n1,1,1,400000\n1,1,2,500000\n1,1,4,700000\n")
        profile = folder / "served.json"
        subprocess.run([TOOL, "profile", NETWORK, "--measurements", rounds, "-o", profile], check=True,
                       stdout=subprocess.DEVNULL)
        began = time.monotonic()
        with running_cycles(library, NETWORK, CATALOGUE, folder, str(int(SECONDS))) as cycles, \
                service(SERVE, NETWORK, "--profile", profile, "--rate", 50, "--latency", 2000, "--port", 0) as served:
            model, pid = Model("small.onnx", "x", (3, 16, 16)), served.process.pid
            idle = at_rest(pid)[1]
            requests = 0
            while time.monotonic() - began < SECONDS and cycles.poll() is None:
                burst(served, model, requests)
                requests += CLIENTS * REQUESTS
                until(lambda: at_rest(pid)[1] <= max(idle, server.seen[-1][1] if server.seen else 99),
                      "the service has closed its connections")
                server.seen.append(at_rest(pid))
    if cycles.returncode:
        sys.exit("soak.py: the cycles failed")
    print(f"{time.monotonic() - began:.0f} s, {len(library.seen)} cycles, {requests} requests")
    good = [library.judge(), server.judge()]
    sys.exit(not all(good))


main()
