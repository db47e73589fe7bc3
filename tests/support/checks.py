# SPDX-License-Identifier: Apache-2.0
"""A list of tests that is gone through in order and reported as TAP, for meson to see each of them; and the
seed that random ones begin with."""
import importlib.util
import os
import sys
import time
import traceback

EACH_TIME_THE_SAME = 20261127
_tests = []


def chosen_seed():
    """The same each run, so that no run fails by the draw alone; QB_TEST_SEED is another one, or "any"."""
    given = os.environ.get("QB_TEST_SEED", EACH_TIME_THE_SAME)
    seed = time.time_ns() if given == "any" else int(given)
    note(f"QB_TEST_SEED={seed}")
    return seed


class Skipped(Exception):
    pass


def test(function):
    _tests.append((function.__name__.replace("_", " "), function))
    return function


def each(values):
    """One test for each value, named after its first element."""

    def decorate(function):
        for value in values:
            name = f"{function.__name__.replace('_', ' ')}: {value[0]}"
            _tests.append((name, lambda value=value: function(*value)))
        return function

    return decorate


def expect(good, what, *details):
    if not good:
        raise AssertionError("\n".join([str(what), *map(str, details)])[:5000])


def skip(why):
    """Ends a test that cannot be done here; it is reported, and why."""
    raise Skipped(why)


def skip_all(why):
    """Ends the program: none of its tests can be done here."""
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def needs(**packages):
    """Ends the program where a module is missing: needs(onnx="python3-onnx")."""
    for module, package in packages.items():
        if not importlib.util.find_spec(module):
            skip_all(f"{package} is not installed")


def note(text):
    print("# " + str(text).replace("\n", "\n# "), flush=True)


def run_tests(chosen="", prepare=None):
    """Runs the tests whose name has `chosen` in it, each after `prepare`, and exits."""
    run = [t for t in _tests if chosen in t[0]]
    print(f"1..{len(run)}", flush=True)
    failed = False
    for number, (name, function) in enumerate(run, 1):
        name = name.replace("#", "number ")  # which begins a directive
        try:
            if prepare:
                prepare(name)
            function()
            print(f"ok {number} - {name}", flush=True)
        except Skipped as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception as error:  # a test that breaks has failed
            failed = True
            print(f"not ok {number} - {name}", flush=True)
            note(error if isinstance(error, AssertionError) else traceback.format_exc())
    sys.exit(failed)
