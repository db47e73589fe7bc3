#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of qosbatch-serve: test_serve.py QOSBATCH_SERVE FIXTURES"""
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

from service import PATIENCE_S, Service, run_tests, service
from checks import expect, test
from profiles import of_few_batches

TOOL, FIXTURES = sys.argv[1], pathlib.Path(sys.argv[2])
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-serve-")
ALEXNET, RESNET = of_few_batches(FIXTURES / "alexnet.json", SCRATCH.name, 2), FIXTURES / "resnet50.json"
QUANTIZED = FIXTURES.parent / "fuzz" / "corpus" / "onnx" / "quantized.onnx"
GOOD = ["alexnet", "--profile", ALEXNET, "--rate", 5, "--latency", 2000, "--port", 0]


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True,
                          timeout=PATIENCE_S, stdin=subprocess.DEVNULL)


def refused(code, arguments, *words):
    done = run(*arguments)
    expect(done.returncode == code, arguments, "exit", done.returncode, done.stderr)
    expect(done.stdout == "", done.stdout)
    last = done.stderr.splitlines()[-1]
    expect(last.startswith("qosbatch-serve: "), done.stderr)
    for word in words:
        expect(str(word) in last, f"expected {word!r} in", last)
    expect("!" not in last and "(" not in last.split("'")[0], "an expression of C:", last)


def changed(**options):
    arguments = list(GOOD)
    for name, value in options.items():
        if f"--{name}" in arguments:
            arguments[arguments.index(f"--{name}") + 1] = value
        else:
            arguments += [f"--{name}", value]
    return arguments


@test
def bad_values():
    for port in [99999, 65536, -1, "abc", "", "80x"]:
        refused(2, changed(port=port), "--port")
    for latency in [0, -5, "abc", "nan", "inf", ""]:
        refused(2, changed(latency=latency), "--latency")
    for rate in [0, -1, "x"]:
        refused(2, changed(rate=rate), "--rate")
    for percentile in [0, 100, 101]:
        refused(2, changed(percentile=percentile), "--percentile")
    for name in ["queue", "request-memory", "request-timeout"]:
        refused(2, changed(**{name: 0}), f"--{name}")
    refused(2, ["alexnet"], "--latency MS")
    refused(2, [], "MODEL")
    refused(2, ["vgg99", *GOOD[1:]], "vgg99")
    refused(2, [*GOOD, "8080"], "8080")
    refused(2, [*GOOD, "--nothing"], "--nothing")
    refused(1, changed(address="localhost"), "--address", "localhost")


@test
def demands_that_cannot_be_met():
    refused(1, changed(latency=1), "INFEASIBLE", "--latency >=")
    refused(1, changed(rate=100000), "INFEASIBLE", "--rate <=")


@test
def precisions_that_a_service_cannot_choose():
    brief = ["alexnet", "--latency", 2000, "--port", 0]
    refused(2, [*brief, "--accuracy", 99], "no samples", "--profile FILE",
            "qosbatch profile alexnet --precision f32,bf16 --input X")
    refused(2, [*brief, "--accuracy", 99, "--precision", "f32,int8"], "no samples")
    refused(2, [*brief, "--int8", "q.onnx"], "--int8 q.onnx", "--precision int8")
    refused(2, [*brief, "--precision", "f32,int4"], "int4", "f32, bf16 or int8")
    refused(2, [*GOOD, "--precision", "int8"], "--precision", "--profile")
    refused(1, [*brief, "--precision", "f32,int8"], "--precision int8: ", "no quantized layers", "--int8 FILE")


@test
def precisions_without_a_profile():
    """A quantized network runs in int8; of several precisions, each is measured and one is used."""
    for asked in None, "int8,f32":
        with service(TOOL, QUANTIZED, "--latency", 2000, "--port", 0, *(["--precision", asked] if asked else [])) as s:
            said, measured = s.process.stderr.readline(), asked or "int8"
            expect(f" in {measured} for about" in said and f"--precision {measured} -o" in said, "not said", said)
            used = "int8" if ", int8, batches" in s.first_line else "f32"
            expect(used in measured, "another precision", s.first_line)
            expect(s.call("GET", "/v2/health/ready").status == 200, "it is not ready")


@test
def profiles_of_others():
    refused(1, changed(profile=RESNET), RESNET, "alexnet", "resnet50")
    refused(1, changed(profile="/nothing"), "/nothing")
    refused(1, changed(reserve=1), ALEXNET, "leaves 0 cores", "--reserve 0")
    with tempfile.TemporaryDirectory() as folder:  # of the same name, but not of the same operators
        other = pathlib.Path(folder, "other.json")
        profile = json.loads(ALEXNET.read_text())
        profile["network"] = "0123456789abcdef"
        other.write_text(json.dumps(profile))
        refused(1, changed(profile=other), other, "alexnet")
    refused(1, changed(profile=FIXTURES / "make_small.py"), "make_small.py")


@test
def a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused(1, changed(port=other.getsockname()[1]), other.getsockname()[1], "in use")


@test
def help_names_all():
    done = run("--help")
    expect(done.returncode == 0 and done.stderr == "", done.stderr)
    for word in ["Usage: qosbatch-serve MODEL", "--latency MS", "--percentile P", "--profile FILE", "--port N",
                 "SIGHUP", "SIGTERM"]:
        expect(word in done.stdout, word)


@test
def sighup_takes_a_profile_only_if_it_is_good():
    with tempfile.TemporaryDirectory() as folder:
        profile = pathlib.Path(folder, "p.json")
        profile.write_bytes(ALEXNET.read_bytes())
        s = Service(TOOL, *changed(profile=profile))
        try:
            said = []
            profile.write_text("{}")
            s.process.send_signal(signal.SIGHUP)
            while not said or "p.json" not in said[-1] or "warning" in said[-1]:
                said.append(s.process.stderr.readline())
                expect(said[-1], "it ended:", said)
            expect(s.call("GET", "/v2/health/ready").status == 200, "it goes on")
            profile.write_bytes(ALEXNET.read_bytes())
            s.process.send_signal(signal.SIGHUP)
            line = s.process.stdout.readline()
            expect(line.startswith("new profile: "), line)
            expect("0 requests" in s.stop(), "the last words")
        finally:
            s.process.kill()
            s.process.communicate()


run_tests()
