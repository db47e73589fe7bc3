# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tool share: running it, and expecting answers and refusals.

A failure must exit 1, bad usage 2; both leave stdout empty and say on stderr, as
"qosbatch COMMAND: message", what was wrong and where. A test program is called with the tool and the
folder of fixtures.
"""
import functools
import json
import operator
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import checks  # noqa: E402
from checks import expect  # noqa: E402

TOOL = pathlib.Path(sys.argv[1]).resolve()
FIXTURES = pathlib.Path(sys.argv[2]).resolve()
PROFILE = FIXTURES / "alexnet.json"
RESNET = FIXTURES / "resnet50.json"
CATALOGUE = FIXTURES.parents[1] / "examples" / "catalogue.json"
COMMANDS = ["node", "profile", "estimate", "evaluate", "explain", "optimize", "plan", "quantize", "run", "show",
            "simulate", "verify"]
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-cli-")  # removed at the end, come what may
FOLDER = pathlib.Path(SCRATCH.name)

class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit {self.code}\nstdout: {self.out[:2000]!r}\nstderr: {self.err[:2000]!r}"


def run(*arguments, **options):
    """
    Runs the tool to its end, without a limit of time: meson ends what hangs. That the machine is busy with
    other tests is no fault of the command's.
    """
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([TOOL, *map(str, arguments)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          **options)
    said = done.stderr.decode(errors="replace").splitlines(keepends=True)
    err = "".join(line for line in said if "too busy for a sure measurement" not in line)
    return Result(done.returncode, (done.stdout or b"").decode(), err)


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


def put(value, *path):
    """A change of a profile: the field at a path of keys and indices gets this value."""

    def change(profile):
        *way, last = path
        functools.reduce(operator.getitem, way, profile)[last] = value

    return change


def drop(*path):
    """A change of a profile: the field at a path is left out."""

    def change(profile):
        *way, last = path
        del functools.reduce(operator.getitem, way, profile)[last]

    return change


def changed(change):
    """The text of the fixture after a change, a function of what is in it."""
    profile = json.loads(PROFILE.read_text())
    change(profile)
    return json.dumps(profile)


def run_tests(need_engine=()):
    """Runs all tests, but those that `need_engine` names if the build has none; exits."""
    has_engine = "engine none" not in run("--version").out

    def prepare(name):
        if not has_engine and (need_engine is True or name in need_engine):
            checks.skip("this build has no engine")

    checks.run_tests(prepare=prepare)
