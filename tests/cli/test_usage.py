#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Help, bad usage and output that cannot be written: test_usage.py TOOL FIXTURES"""
import os

from tool import (CATALOGUE, COMMANDS, done, expect_refused, failure, FOLDER, PROFILE, run, run_tests,
                  usage_error)
from checks import each, expect, test


# Help and version.


@test
def help_of_the_tool_lists_every_command():
    out = done("--help")
    for command in COMMANDS:
        expect(f"  {command} " in out, f"'{command}' is not listed", out)


@test
def version_names_the_library_and_the_engine():
    expect("qosbatch 0." in done("--version") and ", engine " in done("--version"), "no version")


@each([(command,) for command in COMMANDS])
def help_of(command):
    out = done(command, "--help")
    expect(out.startswith(f"Usage: qosbatch {command}"), "expected the usage line", out)
    expect("--json" in out and "--help" in out, "expected --json and --help", out)
    expect(max(map(len, out.splitlines())) <= 100, "a line is wider than 100 columns", out)
    expect(done(command, "--json", "--help") == out, "--help must win wherever it stands")


@test
def help_in_other_words():
    expect(done("-h") == done("help") == done("--help"), "another help")
    for command in COMMANDS:
        expect(done("help", command) == done(command, "-h") == done(command, "--help"), "another help")


# Bad usage: the message names the value.


@each([
    ("no command", [], "expected a command"),
    ("unknown command", ["bogus"], "'bogus'"),
    ("command in English", ["optimise"], "'optimise'", "'optimize'?"),
    ("two letters swapped", ["porfile"], "'profile'?"),
    ("beginning of a command", ["simu"], "'simulate'?"),
    ("help of an unknown command", ["help", "bogus"], "'bogus'"),
    ("letter left out", ["optimize", PROFILE, "--latncy", "1"], "'--latency'?"),
    *[(f"{c}, percentile as a share", [c, PROFILE, "--percentile", "0.99"], "'0.99'", "did you mean 99?")
      for c in ("optimize", "plan", "simulate", "verify")],
    ("verify, confidence as a share", ["verify", "x", "--confidence", "0.9"], "did you mean 90?"),
    *[(f"simulate, {o} without {kind}", ["simulate", PROFILE, "--latency", "1", "--rate", "1", *a, o,
                                         "0.5" if o != "--burst-ratio" else "2"], o, kind)
      for o, kind, a in [("--burst-ratio", "mmpp", []),
                         ("--burst-ratio", "mmpp", ["--arrivals", "on-off"]),
                         ("--burst-share", "on-off", ["--arrivals", "diurnal"]),
                         ("--burst-length", "on-off", []), ("--swing", "diurnal", []),
                         ("--period", "diurnal", ["--arrivals", "mmpp"])]],
    ("a network where a profile belongs", ["estimate", "net.onnx", "--batch", "1"],
     "'net.onnx' is a network", "qosbatch profile net.onnx -o FILE"),
    ("unknown option of the tool", ["--json"], "'--json'"),
    *[(f"{c}, unknown option", [c, "--wrong"], "'--wrong'") for c in COMMANDS],
    *[(f"{c}, unknown letter", [c, "-z"], "'-z'") for c in COMMANDS],
    *[(f"{c}, value for a flag", [c, "--json=yes"], "--json", "'yes'") for c in COMMANDS],
    *[(f"{c}, no operand", [c], "expected ") for c in COMMANDS if c != "node"],
    *[(f"{c}, two operands", [c, "one", "two"], "'two'") for c in COMMANDS
      if c not in ("node", "optimize", "plan")],
    ("node, operand", ["node", "here"], "'here'"),
    ("node, empty output", ["node", "-o", ""], "--output"),
    ("node, output without value", ["node", "-o"], "--output"),
    ("profile, no output", ["profile", "alexnet"], "-o FILE"),
    ("profile, node without measurements", ["profile", "alexnet", "-o", "x", "--node", "n"],
     "--measurements"),
    *[(f"profile, {option} with measurements",
       ["profile", "-o", "x", "--measurements", "m.csv", option, "1"], option)
      for option in ("--batch", "--max-batch", "--threads", "--instances", "--goal",
                     "--time-budget", "--reserve")],
    ("profile, price of a known node", ["profile", "-o", "x", "--measurements", "m.csv", "--node",
     "n", "--price-per-hour", "1"], "not both"),
    ("evaluate, time for measurements", ["evaluate", PROFILE, "--measurements", "m.csv",
     "--time-budget", "1"], "--time-budget"),
    ("profile, unknown model", ["profile", "vgg", "-o", FOLDER / "x"], "vgg", "alexnet"),
    ("profile, batch and max-batch",
     ["profile", "alexnet", "-o", "x", "--batch", "1", "--max-batch", "2"], "not both"),
    ("optimize, nothing asked for", ["optimize", PROFILE], "--rate", "--samples"),
    ("optimize, no latency", ["optimize", PROFILE, "--rate", "1"], "--latency"),
    ("optimize, no rate", ["optimize", PROFILE, "--latency", "1"], "--rate"),
    ("optimize, unknown objective", ["optimize", PROFILE, "--rate", "1", "--latency", "1",
                                     "--objective", "price"], "'price'", "latency, rate or cost"),
    ("optimize, frontier without a rate", ["optimize", PROFILE, "--latency", "1", "--objective",
                                           "rate", "--frontier"], "--frontier", "--rate"),
    ("optimize, frontier of a job", ["optimize", PROFILE, "--samples", "1", "--frontier"],
     "--frontier"),
    ("optimize, job and service", ["optimize", PROFILE, "--samples", "1", "--rate", "1"],
     "--samples"),
    ("optimize, deadline of a service",
     ["optimize", PROFILE, "--rate", "1", "--latency", "1", "--deadline", "3"], "--deadline"),
    ("plan, no catalogue", ["plan", PROFILE, "--samples", "1"], "--catalog"),
    ("plan, nothing asked for", ["plan", PROFILE, "--catalog", CATALOGUE], "--samples", "--rate"),
    ("plan, no latency", ["plan", PROFILE, "--catalog", CATALOGUE, "--rate", "1"], "--latency"),
    ("plan, job and service",
     ["plan", PROFILE, "--catalog", CATALOGUE, "--samples", "1", "--rate", "1"], "--samples"),
    ("plan, budget of a service",
     ["plan", PROFILE, "--catalog", CATALOGUE, "--rate", "1", "--latency", "1", "--budget", "1"],
     "--budget"),
    ("estimate, no batch", ["estimate", PROFILE], "--batch"),
    ("simulate, no latency", ["simulate", PROFILE, "--rate", "1"], "--latency"),
    ("simulate, no rate", ["simulate", PROFILE, "--latency", "1"], "--rate"),
    ("simulate, rate and trace", ["simulate", PROFILE, "--latency", "1", "--rate", "1", "--trace", "x"],
     "--trace"),
    ("simulate, unknown policy", ["simulate", PROFILE, "--latency", "1", "--rate", "1", "--policy",
                                  "triton,best"], "'best'", "clipper-aimd"),
    ("simulate, unknown arrivals", ["simulate", PROFILE, "--latency", "1", "--rate", "1",
                                    "--arrivals", "normal"], "'normal'", "mmpp"),
    ("verify, no latency", ["verify", "x"], "--latency"),
])
def usage(_, arguments, *words):
    usage_error(arguments, *words)


BAD_INTEGERS = ["0", "-1", "+1", "1.5", "one", "", " 1", "1 ", "1e3", "65537",
                "99999999999999999999999"]
BAD_LISTS = ["0", "-1", "1,", ",1", "1,,2", "3-1", "1-", "a", "", "1;2", "65537", "1-65537",
             "1-99999999999999999999999"]
BAD_NUMBERS = ["0", "-1", "nan", "inf", "-inf", "", "1x", "ten", "1e99", "1,5", " 1"]


def bad_values():
    service = ["--rate", "1", "--latency", "100"]
    for command, option, values, more in [
        ("profile", "--max-batch", BAD_INTEGERS, ["alexnet", "-o", "x"]),
        ("profile", "--batch", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--threads", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--instances", BAD_LISTS, ["alexnet", "-o", "x"]),
        ("profile", "--time-budget", BAD_NUMBERS, ["alexnet", "-o", "x"]),
        ("profile", "--goal", BAD_NUMBERS + ["100"], ["alexnet", "-o", "x"]),
        ("profile", "--price-per-hour", BAD_NUMBERS, ["alexnet", "-o", "x"]),
        ("node", "--price-per-hour", BAD_NUMBERS, []),
        ("node", "--reserve", [v for v in BAD_INTEGERS if v != "0"], []),
        ("profile", "--reserve", [v for v in BAD_INTEGERS if v != "0"], ["alexnet", "-o", "x"]),
        ("plan", "--reserve", BAD_INTEGERS, [PROFILE]),
        ("estimate", "--batch", BAD_LISTS, [PROFILE]),
        ("estimate", "--instances", BAD_INTEGERS, [PROFILE, "--batch", "1"]),
        ("estimate", "--threads", BAD_INTEGERS, [PROFILE, "--batch", "1"]),
        ("evaluate", "--batch", BAD_LISTS, [PROFILE]),
        ("evaluate", "--instances", BAD_INTEGERS, [PROFILE]),
        ("evaluate", "--threads", BAD_INTEGERS, [PROFILE]),
        ("evaluate", "--time-budget", BAD_NUMBERS, [PROFILE]),
        ("optimize", "--latency", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--percentile", BAD_NUMBERS + ["100", "101"], [PROFILE, *service]),
        ("optimize", "--rate", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--queue", [v for v in BAD_INTEGERS if v not in ("0", "65537")],
         [PROFILE, *service]),
        ("optimize", "--budget-per-hour", BAD_NUMBERS, [PROFILE, *service]),
        ("optimize", "--memory-limit", [v for v in BAD_INTEGERS if v != "65537"],
         [PROFILE, *service]),
        ("optimize", "--samples", [v for v in BAD_INTEGERS if v != "65537"], [PROFILE]),
        ("optimize", "--deadline", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--samples", [v for v in BAD_INTEGERS if v != "65537"], [PROFILE]),
        ("plan", "--deadline", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--budget", BAD_NUMBERS, [PROFILE, "--samples", "1"]),
        ("plan", "--rate", BAD_NUMBERS, [PROFILE]),
        ("plan", "--spare", [v for v in BAD_INTEGERS if v not in ("0", "65537")], [PROFILE]),
    ]:
        yield f"{command} {option}", command, option, values, more


@each(list(bad_values()))
def bad_values_of(_, command, option, values, more):
    for value in values:
        usage_error([command, *more, option, value], option, f"'{value}'")
        usage_error([command, *more, f"{option}={value}"], option, f"'{value}'")
    usage_error([command, *more, option], option)
    usage_error([command, *more, option, "--json"], option)


# Output that cannot be written.


@each([
    ("estimate", ["estimate", PROFILE, "--batch", "1"]),
    ("optimize", ["optimize", PROFILE, "--rate", "10", "--latency", "300", "--json"]),
    ("show", ["show", PROFILE, "--json"]),
    ("help", ["estimate", "--help"]),
])
def stdout_is_full(_, arguments):
    with open("/dev/full", "wb") as full:
        expect_refused(run(*arguments, stdout=full), 1, arguments[0], "standard output")


@each([
    ("closed", ["estimate", PROFILE, "--batch", "1"]),
])
def stdout_is(_, arguments):
    result = run(*arguments, stdout=None, preexec_fn=lambda: os.close(1))
    expect(result.code == 1 and "standard output" in result.err, "expected a failure", result)


def unwritable():
    yield "missing folder", FOLDER / "nowhere" / "x.json", "No such file"
    yield "folder", FOLDER, "directory"
    yield "file as folder", PROFILE / "x.json", "Not a directory"
    yield "full disk", "/dev/full", "No space"
    if os.geteuid():
        read_only = FOLDER / "read-only"
        read_only.mkdir(mode=0o555)
        yield "read-only folder", read_only / "x.json", "Permission denied"


@each(list(unwritable()))
def output_into(_, path, words):
    before = sorted(FOLDER.rglob("*"))
    failure(["node", "-o", path], path, words)
    if str(path) != "/dev/full":  # the profile would be measured first
        failure(["profile", "alexnet", "-o", path, "--quiet"], path, words)
    expect(sorted(FOLDER.rglob("*")) == before, "something was left behind")


run_tests()
