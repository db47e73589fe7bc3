# SPDX-License-Identifier: Apache-2.0
"""No file that is there is changed by a command that is refused: test_files.py TOOL FIXTURES [MPI]

Every pair of files of a command, one of them written and one read, as one file with two names.
"""
import os
import struct
import subprocess
import sys

from jobs import MODEL, npy, PROFILE, samples, SIDE
from tool import done, FOLDER, run, run_tests, TOOL, write
from checks import each, expect, note, test

RUNNERS = {"run": [TOOL, "run"]}
if len(sys.argv) > 3:
    RUNNERS["qosbatch-mpi"] = [sys.argv[3]]
BESIDE = ["", ".part", ".journal", ".profile", ".tmp"]  # an output and what a job keeps beside it


def can_bind():
    for name in "bind-a", "bind-b":
        write(name, name)
    mounted = subprocess.run(["mount", "--bind", FOLDER / "bind-a", FOLDER / "bind-b"],
                             capture_output=True).returncode == 0
    return mounted and subprocess.run(["umount", FOLDER / "bind-b"]).returncode == 0


def by_itself(path, made):
    return path


def by_dots(path, made):
    return path.parent / "." / ".." / path.parent.name / path.name


def by_linked_folder(path, made):
    link = path.parents[1] / f"link to {path.parent.name}"
    if not link.is_symlink():
        link.symlink_to(path.parent.name)
    return link / path.name


def by_link(path, made):
    made.symlink_to(path.name)
    return made


def by_hard_link(path, made):
    os.link(path, made)
    return made


def by_mount(path, made):
    made.write_bytes(b"")
    subprocess.run(["mount", "--bind", path, made], check=True)
    return made


NAMINGS = [by_itself, by_dots, by_linked_folder, by_link, by_hard_link]
if os.geteuid() == 0 and can_bind():
    NAMINGS.append(by_mount)


def names_of(path, made):
    """All names of a file, in turn; those that are made are at `made`, and removed."""
    for naming in NAMINGS:
        name = naming(path, made)
        yield name
        if naming is by_mount:
            subprocess.run(["umount", made], check=True)
        if name == made:
            made.unlink()


note("names of one file: " + ", ".join(naming.__name__ for naming in NAMINGS))


def with_external_data(folder):
    """A network whose weights are in a file of their own; None without python3-onnx."""
    try:
        import onnx
        from onnx import helper
    except ImportError:
        return None
    data = struct.pack("<2f", 1, 2)
    weights = onnx.TensorProto(name="w", dims=[2], data_type=1, data_location=1)
    for key, value in ("location", "w.npy"), ("length", str(len(data))):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "external",
        [helper.make_tensor_value_info("x", 1, ["N", 2])],
        [helper.make_tensor_value_info("y", 1, ["N", 2])], [weights])
    folder.mkdir(exist_ok=True)
    (folder / "net.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                          ir_version=7).SerializeToString())
    (folder / "w.npy").write_bytes(data)
    return folder / "net.onnx"


def snapshot(folder):
    return {p: os.readlink(p) if p.is_symlink() else p.read_bytes()
            for p in sorted(folder.rglob("*")) if p.is_symlink() or p.is_file()}


def refused(arguments, folder, *words):
    before = snapshot(folder)
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    expect(done.returncode in (1, 2) and done.stdout == "", "not refused", arguments, done)
    for word in words:
        expect(str(word) in done.stderr, f"expected {word!r} in the message", done.stderr)
    expect(snapshot(folder) == before, "something was changed", arguments)


def folder_of(name):
    folder = FOLDER / name
    folder.mkdir()
    return folder


def copy_into(folder, name, source):
    (folder / name).write_bytes(source.read_bytes())
    return folder / name


def job_over(runner, folder, path, given):
    """A job whose output, or a file beside it, is `path`, which is among those given."""
    command = [*RUNNERS[runner], *given]
    for name in names_of(path, folder / "made.npy"):
        if name.suffix == ".npy":
            refused([*command, "--output", name], folder, path.name)
    for ending in BESIDE:
        output = folder / "made.npy"
        for name in names_of(path, folder / f"made.npy{ending}"):
            if name.name == f"made.npy{ending}":
                refused([*command, "--output", output], folder, path.name)


INPUT = npy("x.npy", "|u1", (5, 3, SIDE, SIDE), samples(5))


@each([(runner,) for runner in RUNNERS])
def job_over_its_files(runner):
    folder = folder_of(runner)
    model, profile = copy_into(folder, "m.onnx", MODEL), copy_into(folder, "p.npy", PROFILE)
    path = copy_into(folder, "x.npy", INPUT)
    for read in model, profile, path:
        job_over(runner, folder, read, [model, "--input", path, "--profile", profile])


@each([(runner, ending) for runner in RUNNERS for ending in BESIDE if ending])
def job_beside_its_files(runner, ending):
    """An input or a profile that has the name of a file of the job."""
    folder = folder_of(f"{runner}{ending}")
    model = copy_into(folder, "m.onnx", MODEL)
    path = copy_into(folder, f"y.npy{ending}", INPUT)
    refused([*RUNNERS[runner], model, "--input", path, "--output", folder / "y.npy", "--profile",
             PROFILE], folder, path.name)
    path.write_bytes(PROFILE.read_bytes())
    refused([*RUNNERS[runner], model, "--input", INPUT, "--output", folder / "y.npy", "--profile",
             path], folder, path.name)


@test
def job_over_external_data():
    folder = FOLDER / "external"
    model = with_external_data(folder)
    two = npy("two.npy", "<f4", (1, 2), bytes(8))
    if model:
        job_over("run", folder, folder / "w.npy", [model, "--input", two, "--profile", PROFILE])


@test
def profiles_over_what_they_are_made_of():
    folder = folder_of("profile")
    model, node = copy_into(folder, "m.onnx", MODEL), folder / "node.json"
    rounds = folder / "rounds.csv"
    rounds.write_text("instances,threads,batch,latency_ns\n1,1,1,1000000\n")
    expect(run("node", "-o", node).code == 0, "no node")
    made = [TOOL, "profile", model, "--measurements", rounds, "--node", node, "-o"]
    for path in model, node, rounds:
        for name in names_of(path, folder / "made"):
            refused([*made, name], folder, path.name)
    for name in names_of(model, folder / "made"):
        refused([TOOL, "profile", model, "--time-budget", "1", "-o", name], folder, model.name)


@test
def profile_over_external_data():
    folder = FOLDER / "external profile"
    model = with_external_data(folder)
    if model:
        for name in names_of(folder / "w.npy", folder / "made"):
            refused([TOOL, "profile", model, "-o", name, "--time-budget", "1"], folder, "w.npy")


@test
def a_profile_is_refined_in_place():
    """The one file that may be read and written: it is read before it is replaced."""
    path = FOLDER / "refined.json"
    arguments = ["profile", MODEL, "--batch", "1", "--threads", "1", "--time-budget", "1", "--quiet"]
    for _ in range(5):  # a neighbour that begins or ends in between makes it another node
        expect(run(*arguments, "-o", path).code == 0, "cannot make a profile")
        before = path.read_bytes()
        result = run(*arguments, "-o", path, "--refine", path, "--goal", "0.001")
        if "another node" not in result.err:
            break
    expect(result.code == 0 and path.read_bytes() != before, "not refined", result)


@each([(ending,) for ending in BESIDE if ending not in ("", ".journal")])
def file_of_somebody_else(ending):
    """What stands at a job's places, and no journal says that it is the job's, stays as it is."""
    folder = folder_of(f"somebody{ending}")
    path, output = folder / f"y.csv{ending}", folder / "y.csv"
    path.write_text("my diary\n")
    given = ["--input", npy("some.npy", "|u1", (5, 3, SIDE, SIDE), samples(5)), "--profile",
             PROFILE, "--output", output]
    refused([TOOL, "run", MODEL, *given], folder, path, "move it away")
    path.unlink()
    expect(run("run", MODEL, *given).code == 0 and output.exists(), "it is still refused")


run_tests(need_engine=True)
