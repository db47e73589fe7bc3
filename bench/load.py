# SPDX-License-Identifier: Apache-2.0
"""qosbatch-serve under load over loopback, predicted against measured.

At 70 % of the capacity latencies are set against what qb_simulate() makes of the same arrivals,
saturated the throughput against the profile's, and at three times the capacity what is accepted must
keep the target by the client's clock. A profile of AlexNet is made with all threads but one, which HTTP
and the client need, and kept in build/load.

usage: load.py [RATE_PER_S [LATENCY_MS [SECONDS [OVERLOAD_SECONDS]]]]
"""
import os
import pathlib
import re
import subprocess
import sys

RATE_PER_S, LATENCY_MS, SECONDS, OVERLOAD_SECONDS = (sys.argv[1:] + ["40", "250", "20", "60"][len(sys.argv) - 1:])[:4]
BUILD = pathlib.Path(__file__).resolve().parent.parent / "build"
FOLDER = BUILD / "load"


def make_profile(model):
    """All threads but one; an old profile is taken as it is."""
    path = FOLDER / f"{model}.json"
    FOLDER.mkdir(exist_ok=True)
    if not path.exists():
        threads = max(len(os.sched_getaffinity(0)) - 1, 1)
        subprocess.run([BUILD / "tools/qosbatch/qosbatch", "profile", model, "-o", path, "--max-batch", "16",
                        "--time-budget", "25", "--instances", "1", "--threads", str(threads)], check=True)
    return path


def serve(model, profile, *options):
    """The process and its port."""
    process = subprocess.Popen([BUILD / "tools/qosbatch-serve/qosbatch-serve", model, "--profile", profile,
                                "--port", "0", *map(str, options)], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit(process.wait())
    print(line, end="", flush=True)
    return process, int(re.search(r":(\d+),", line).group(1))


if __name__ == "__main__":
    alexnet = make_profile("alexnet")
    service, port = serve("alexnet", alexnet, "--rate", RATE_PER_S, "--latency", LATENCY_MS)
    try:
        subprocess.run([BUILD / "tests/service/load", "alexnet", alexnet, RATE_PER_S, LATENCY_MS, str(port),
                        SECONDS, OVERLOAD_SECONDS], check=True)
    finally:
        service.terminate()
        print(service.communicate()[0], end="")
