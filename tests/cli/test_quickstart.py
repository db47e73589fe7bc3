# SPDX-License-Identifier: Apache-2.0
"""Types what docs/quickstart.md says, command by command: test_quickstart.py DOCUMENT [BUILD]

A program goes into the file that the text names last before it. With BUILD, commands are those of a build folder,
and profiles are brief; without it, those that are installed. Prints what each command took, and the sum."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import expect, needs, note, run_tests, skip_all, test  # noqa: E402

DOCUMENT = pathlib.Path(sys.argv[1]).read_text()
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-quickstart-")
FOLDER = pathlib.Path(SCRATCH.name)
BLOCK = re.compile(r"^```(sh|c|python)\n(.*?)^```$", re.M | re.S)
environment = dict(os.environ)
needs(numpy="python3-numpy")

if len(sys.argv) > 2:
    build = pathlib.Path(sys.argv[2]).resolve()
    if not (build / "python/qosbatch").exists():
        skip_all("the Python package is not built")
    (FOLDER / "bin").mkdir()
    (FOLDER / "bin/python3").symlink_to(sys.executable)
    environment["PATH"] = f"{FOLDER / 'bin'}:{build / 'tools/qosbatch'}:{environment['PATH']}"
    for name, folder in (("LD_LIBRARY_PATH", "lib"), ("PYTHONPATH", "python"), ("PKG_CONFIG_PATH", "meson-uninstalled")):
        environment[name] = str(build / folder)
    DOCUMENT = re.sub(r"--time-budget \d+", "--time-budget 1", DOCUMENT)
took_s = []


def typed(command):
    began = time.monotonic()
    done = subprocess.run(command, shell=True, cwd=FOLDER, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    took_s.append(time.monotonic() - began)
    expect(done.returncode == 0, "it failed", done.stdout, done.stderr)
    expect(done.stdout or " -o " in command or "numpy.save" in command, "it printed nothing")
    note(f"{took_s[-1]:.1f} s")


for block in BLOCK.finditer(DOCUMENT):
    if block[1] == "sh":
        for line in block[2].splitlines():
            def type_it(line=line):
                typed(line)

            type_it.__name__ = line
            test(type_it)
    else:
        name = re.findall(r"`([\w.]+\.(?:c|py))`", DOCUMENT[:block.start()])[-1]
        (FOLDER / name).write_text(block[2])


@test
def ten_minutes_suffice():
    expect(len(took_s) > 10, "the document has no commands")
    note(f"{sum(took_s):.0f} s in all")  # told, not judged: machines differ


run_tests()
