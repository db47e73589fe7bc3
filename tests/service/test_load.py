#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The client puts the service under load, and no exchange breaks: test_load.py SERVE LOAD PROFILE"""
import re
import subprocess
import sys

from service import run_tests, service
from checks import expect, note, test

SERVE, LOAD, PROFILE = sys.argv[1:4]


@test
def no_exchange_breaks_under_load():
    with service(SERVE, "alexnet", "--profile", PROFILE, "--rate", 5, "--latency", 2000, "--port", 0) as s:
        done = subprocess.run([LOAD, "alexnet", PROFILE, "5", "2000", str(s.port), "3", "3"],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=100)
        note(done.stdout)
        expect(set(re.findall(r"(\d+) failed", done.stdout)) == {"0"}, "exchanges broke")
        expect(all(int(n) for n in re.findall(r"(\d+) answered", done.stdout)), "nothing was answered")


run_tests()
