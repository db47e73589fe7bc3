# SPDX-License-Identifier: Apache-2.0
"""CPU quotas by a control group of our own, where the system lets us make one."""
import os
from contextlib import contextmanager
from pathlib import Path

PERIOD_US = 100000
NAME = "qosbatch-experiment"


def limits(cores):
    """Folder of the group, and the file and text that set the quota: version 1, then 2."""
    quota_us = round(cores * PERIOD_US)
    yield Path("/sys/fs/cgroup/cpu") / NAME, "cpu.cfs_quota_us", str(quota_us)
    yield Path("/sys/fs/cgroup") / NAME, "cpu.max", f"{quota_us} {PERIOD_US}"


def make(cores):
    for folder, name, text in limits(cores):
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            continue
        try:
            (folder / name).write_text(text)
            return folder
        except OSError:
            folder.rmdir()
    return None


@contextmanager
def quota(cores):
    """What a process is to call before it starts, to live within so many cores; None: not possible."""
    folder = make(cores)
    if not folder:
        yield None
        return
    try:
        yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        folder.rmdir()
