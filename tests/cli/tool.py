# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tool share: running it, expecting things, and a list of tests to go through.

A failure must exit 1, bad usage 2; both leave stdout empty and say on stderr, as
"qosbatch COMMAND: message", what was wrong and where. A test program is called with the tool and the
folder of fixtures.
"""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

TOOL = pathlib.Path(sys.argv[1]).resolve()
FIXTURES = pathlib.Path(sys.argv[2]).resolve()
PROFILE = FIXTURES / "alexnet.json"
RESNET = FIXTURES / "resnet50.json"
CATALOGUE = FIXTURES.parents[1] / "examples" / "catalogue.json"
COMMANDS = ["node", "profile", "estimate", "evaluate", "explain", "optimize", "plan", "run", "show", "simulate",
            "verify"]
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-cli-")  # removed at the end, come what may
FOLDER = pathlib.Path(SCRATCH.name)

tests = []


def test(function):
    tests.append((function.__name__.replace("_", " "), function))
    return function


def each(values):
    """One test for each value, named after it."""

    def decorate(function):
        for value in values:
            name = f"{function.__name__.replace('_', ' ')}: {value[0]}"
            tests.append((name, lambda value=value: function(*value)))
        return function

    return decorate


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit {self.code}\nstdout: {self.out[:2000]!r}\nstderr: {self.err[:2000]!r}"


def run(*arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([TOOL, *map(str, arguments)], stderr=subprocess.PIPE, timeout=60,
                          stdin=subprocess.DEVNULL, **options)
    return Result(done.returncode, (done.stdout or b"").decode(), done.stderr.decode(errors="replace"))


def expect(good, what, *details):
    if not good:
        raise AssertionError("\n".join([what, *map(str, details)]))


def expect_refused(result, code, command, *words):
    expect(result.code == code, f"expected exit status {code}", result)
    expect(result.out == "", "expected nothing on stdout", result)
    speaker = f"qosbatch {command}: " if command else "qosbatch: "
    expect(result.err.startswith(speaker), f"expected a message of '{speaker}'", result)
    expect(result.err.count("\n") == 1, "expected one line on stderr", result)
    for word in words:
        expect(str(word) in result.err, f"expected {word!r} in the message", result)


def usage_error(arguments, *words):
    command = arguments[0] if arguments and arguments[0] in COMMANDS else None
    expect_refused(run(*arguments), 2, command, "--help", *words)


def failure(arguments, *words):
    expect_refused(run(*arguments), 1, arguments[0], *words)


def done(*arguments):
    result = run(*arguments)
    expect(result.code == 0, "expected exit status 0", result)
    expect(result.err == "", "expected nothing on stderr", result)
    return result.out


def done_json(*arguments):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(done(*arguments, "--json"), parse_constant=refuse)


INTEGER, NUMBER, TEXT, TRUTH, LIST, OBJECT = (int,), (int, float), (str,), (bool,), (list,), (dict,)


def expect_fields(value, fields):
    for name, types in fields.items():
        expect(name in value, f"field '{name}' is missing", value)
        good = isinstance(value[name], types)
        if isinstance(value[name], bool) and types is not TRUTH:
            good = False
        expect(good, f"field '{name}' is {value[name]!r}")


def write(name, text):
    path = FOLDER / name
    path.write_text(text)
    return path


def changed(text):
    """Runs `text` on a copy of the fixture, as `p` with its node `n` and point 3 `q`."""
    profile = json.loads(PROFILE.read_text())
    exec(text, {"p": profile, "n": profile["node"], "q": profile["points"][3], "copy": copy})
    return json.dumps(profile)


def run_tests(need_engine=()):
    """Runs all tests, but those that `need_engine` names if the build has none; exits."""
    has_engine = "engine none" not in run("--version").out
    failed = 0
    skipped = 0
    for name, function in tests:
        if not has_engine and (need_engine is True or name in need_engine):
            print(f"skip {name}")
            skipped += 1
            continue
        try:
            function()
            print(f"ok   {name}")
        except Exception as error:  # a test that breaks has failed
            failed += 1
            details = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            print(f"FAIL {name}\n     " + details.replace("\n", "\n     "))
    print(f"{len(tests) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
