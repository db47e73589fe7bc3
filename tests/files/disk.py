# SPDX-License-Identifier: Apache-2.0
"""Programs under faulty_files.c, and what a power failure may leave of the files that they wrote.

The disk keeps the order of what happens to names (as journalling file systems do) and nothing else: until a
file is synced, each write to it may be lost, or get there in some of its sectors only, and the file may have
grown without them. Until the folder is synced, the last changes of names may be lost, whether or not the
files were synced.
"""
import os
import pathlib
import subprocess

SECTOR = 512


class Preload:
    """Runs commands with faulty_files.c before them; keeps their calls on files of a folder."""

    def __init__(self, library, folder):
        self.library, self.folder = pathlib.Path(library).resolve(), folder
        self.log = folder.with_name(folder.name + ".log")

    def run(self, command, fail=None):
        environment = {**os.environ, "LD_PRELOAD": str(self.library), "QB_FILES_FOLDER": f"{self.folder}",
                       "QB_FILES_LOG": str(self.log)}
        if fail:
            environment["QB_FILES_FAIL"] = fail
        return subprocess.run([str(c) for c in command], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def calls(self):
        """Of the last run: lists of words, the first being what was done."""
        return [line.split(" ") for line in self.log.read_text().splitlines()]


def fails_of(calls):
    """QB_FILES_FAIL for each call, once and for ever; unlink never fails."""
    count = sum(call[0] != "unlink" for call in calls)
    return [f"{n}{often}" for n in range(1, count + 1) for often in ("", "+")]


class File:
    def __init__(self, data=b""):
        self.data, self.pending = data, []

    def sync(self):
        self.data, self.pending = apply(self.data, self.pending), []


def apply(data, changes):
    for size, offset, piece in changes:
        if size is not None:
            data = data[:size] + bytes(max(0, size - len(data)))
        else:
            data = data + bytes(max(0, offset - len(data)))
            data = data[:offset] + piece + data[offset + len(piece):]
    return data


def torn(offset, piece, random):
    """The sectors of a write that got there."""
    at = 0
    while at < len(piece):
        end = min(len(piece), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
        if random.random() < 0.5:
            yield (None, offset + at, piece[at:end])
        at = end


class Disk:
    """Of one folder: what was there, then call after call."""

    def __init__(self, folder, files):
        self.folder = str(folder)
        self.names = {str(folder / name): File(data) for name, data in files.items()}
        self.pending = []  # changes of names: pairs of what each name then is
        self.now = dict(self.names)
        self.open = {}

    def do(self, call):
        what, *words = call
        if what == "open":
            fd, age, path = int(words[0]), words[1], " ".join(words[2:])
            if os.path.normpath(path) == os.path.normpath(self.folder):
                self.open[fd] = None
                return
            if age == "new" and path not in self.now:
                self._rename({path: File()})
            self.open[fd] = self.now.get(path)
        elif what == "close":
            self.open.pop(int(words[0]), None)
        elif what == "write":
            self.open[int(words[0])].pending.append((None, int(words[1]), bytes.fromhex(words[2])))
        elif what == "truncate":
            self.open[int(words[0])].pending.append((int(words[1]), None, None))
        elif what == "allocate":
            file, end = self.open[int(words[0])], int(words[1])
            if end > len(apply(file.data, file.pending)):
                file.pending.append((end, None, None))
        elif what == "fsync":
            file = self.open[int(words[0])]
            if file:
                file.sync()
            else:
                self.names, self.pending = dict(self.now), []
        elif what == "rename":
            self._rename({words[1]: self.now[words[0]], words[0]: None})
        elif what == "unlink":
            self._rename({words[0]: None})
        else:
            assert what == "none", what

    def _rename(self, change):
        self.pending.append(change)
        self.now = renamed(self.now, change)

    def after_power_failure(self, random):
        """What may be found: the bytes of each name."""
        names = self.names
        for change in self.pending[:random.randint(0, len(self.pending))]:
            names = renamed(names, change)
        return {pathlib.Path(path).name: self._survivor(file, random) for path, file in names.items()}

    @staticmethod
    def _survivor(file, random):
        whole = apply(file.data, file.pending)
        way = random.randint(0, 4)
        if way == 0:
            return file.data
        if way == 1:
            return whole
        kept = []
        for size, offset, piece in file.pending:
            if size is not None:
                kept += [(size, None, None)] if random.random() < 0.5 else []
            else:
                kept += torn(offset, piece, random)
        found = apply(file.data, kept)
        # The size may be written without the data, or the other way round.
        return apply(found, [(len(whole), None, None)]) if way == 2 else found


def renamed(names, change):
    names = dict(names)
    for path, file in change.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file
    return names
