# SPDX-License-Identifier: Apache-2.0
"""Adds to pyproject.toml what the headers tell: the version, and native.py, which is written at each build."""
import pathlib
import re
import shutil
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import generate  # noqa: E402

# Beside this folder in the source tree, in it in an archive of this package alone.
INCLUDE = next(folder for folder in (HERE / "include", HERE.parent / "include") if folder.is_dir())
VERSION = dict(re.findall(r"#define QB_VERSION_(MAJOR|MINOR|PATCH) (\d+)",
                          (INCLUDE / "qosbatch/version.h").read_text()))


class Build(build_py):
    def run(self):
        super().run()
        pathlib.Path(self.build_lib, "qosbatch/native.py").write_text(generate.native(INCLUDE))


class Archive(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        shutil.copy(HERE / "generate.py", base_dir)
        shutil.copytree(INCLUDE, pathlib.Path(base_dir, "include"), dirs_exist_ok=True)


setup(version="{MAJOR}.{MINOR}.{PATCH}".format(**VERSION), cmdclass={"build_py": Build, "sdist": Archive})
