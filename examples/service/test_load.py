#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The client puts the service under load, and no exchange breaks: test_load.py SERVICE LOAD PROFILE"""
import re
import signal
import subprocess
import sys

SERVICE, LOAD, PROFILE = sys.argv[1:4]
RATE_PER_S, LATENCY_MS = "5", "2000"
service = subprocess.Popen([SERVICE, "alexnet", PROFILE, RATE_PER_S, LATENCY_MS, "0"],
                           stdout=subprocess.PIPE, text=True)
try:
    port = re.search(r"127\.0\.0\.1:(\d+)", service.stdout.readline()).group(1)
    done = subprocess.run([LOAD, "alexnet", PROFILE, RATE_PER_S, LATENCY_MS, port, "3", "3"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=100)
    print(done.stdout)
    assert re.findall(r"(\d+) failed", done.stdout) == ["0", "0"], "exchanges broke"
    assert all(int(n) for n in re.findall(r"(\d+) answered", done.stdout)), "nothing was answered"
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=30) == 0, "no graceful stop"
finally:
    service.kill()
