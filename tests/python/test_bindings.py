# SPDX-License-Identifier: Apache-2.0
"""The Python package against the headers it is made from, and as its users take it:
test_bindings.py SOURCE BUILD COMPILER..."""
import ctypes
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import typing

SOURCE, BUILD = map(pathlib.Path, sys.argv[1:3])
COMPILER = sys.argv[3:]
sys.path[:0] = [str(SOURCE / "tests/support"), str(BUILD / "python")]
import checks  # noqa: E402
from checks import each, expect, needs, run_tests, skip, test  # noqa: E402
from profiles import of_few_batches  # noqa: E402

needs(numpy="python3-numpy")
os.environ.setdefault("QOSBATCH_LIBRARY", str(BUILD / "lib/libqosbatch.so"))
import numpy as np  # noqa: E402

import qosbatch as qb  # noqa: E402
from qosbatch import native  # noqa: E402
from qosbatch.binding import Struct  # noqa: E402

SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-python-")
FOLDER = pathlib.Path(SCRATCH.name)
ALEXNET = of_few_batches(SOURCE / "tests/fixtures/alexnet.json", FOLDER, 4)
STRUCTS = {"qb_" + re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in Struct.__subclasses__()}
QOS = qb.Qos(latency_ns=250_000_000, percentile=99)


def raises(kind, call, *words):
    try:
        call()
    except kind as error:
        for word in words:
            expect(word in str(error), f"expected {word!r} in the message", error)
        return error
    raise AssertionError(f"expected {kind.__name__}")


@test
def every_struct_has_the_layout_of_the_headers():
    table = FOLDER / "layout.txt"
    subprocess.run([sys.executable, SOURCE / "tests/abi/layout.py", "--keep", SOURCE / "include", table, *COMPILER],
                   check=True)
    seen = {}
    for line in table.read_text().splitlines():
        name, *figures = line.split()
        struct, _, member = name.partition(".")
        expect(struct in STRUCTS, f"the package has no {struct}")
        kind = STRUCTS[struct]
        if not member:
            expect([ctypes.sizeof(kind)] == list(map(int, figures)), f"{struct} has {ctypes.sizeof(kind)} bytes", line)
            continue
        seen.setdefault(struct, []).append(member)
        # The descriptor of ctypes is hidden behind a property where texts and enumerators are translated.
        plain = type("Plain", (ctypes.Structure,), {"_fields_": kind._fields_})
        found = getattr(plain, member)
        expect([found.offset, found.size] == list(map(int, figures)), f"{name} is at {found.offset}", line)
    for struct, kind in STRUCTS.items():
        expect(seen.get(struct) == [name for name, *_ in kind._fields_], f"the members of {struct} differ")


@test
def every_struct_begins_as_its_macro_makes_it():
    lines, expected = [], []

    def add(path, value):
        if isinstance(value, Struct):
            for name, *_ in value._fields_:
                add(f"{path}.{name}", getattr(value, name))
        elif isinstance(value, str):
            lines.append(f'printf("%s\\n", {path});')
            expected.append(value)
        elif isinstance(value, (int, float)):
            lines.append(f'printf("%.17g\\n", (double){path});')
            expected.append(f"{float(value):.17g}")

    for struct, kind in STRUCTS.items():
        macro = struct.upper() + "_INIT"
        if "size" in dict(kind._fields_) and struct != "qb_progress":  # which the library fills in
            lines.append(f"{struct} v_{struct} = {macro};")
            add(f"v_{struct}", kind())
    source = ("#include <qosbatch/lab.h>\n#include <qosbatch/planning.h>\n#include <stdio.h>\nint main(void) {\n"
              + "\n".join(lines) + "\n}\n")
    (FOLDER / "initial.c").write_text(source)
    subprocess.run([*COMPILER, f"-I{SOURCE / 'include'}", FOLDER / "initial.c", "-o", FOLDER / "initial"], check=True)
    printed = subprocess.run([FOLDER / "initial"], check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
    prints = [line for line in lines if "printf" in line]
    for line, was, is_now in zip(prints, printed, expected, strict=True):
        expect(was == is_now, f"the macro says {was}, the package {is_now}", line)


@test
def every_function_and_status_is_there():
    headers = "".join(path.read_text() for path in (SOURCE / "include/qosbatch").glob("*.h"))
    for name in re.findall(r"QB_API[^;{]*?\b(qb_\w+)\(", headers):
        expect(hasattr(native, name), f"{name} is missing")
    for status in list(native.Status)[1:]:
        kinds = [kind for kind in qb.Error.__subclasses__() if kind.status == status]
        expect(len(kinds) == 1 and kinds[0].__name__ in native.__all__, f"{status.name} has {kinds}")


@test
def enumerators_have_the_names_of_the_library():
    for c_name in ("qb_isa", "qb_action", "qb_reason", "qb_source", "qb_precision", "qb_verdict", "qb_objective"):
        for member in getattr(native, c_name.removeprefix("qb_").capitalize()):
            name = native.qb_enum_name(c_name.encode(), member).decode()
            expect(re.sub(r"\W", "", name) == member.name.lower().replace("_", ""), f"{member!r} is {name!r}")


@test
def all_type_hints_can_be_read():
    public = [getattr(qb, name) for name in qb.__all__]
    for thing in public:
        if isinstance(thing, type):
            typing.get_type_hints(thing)
            for member in vars(thing).values():
                if callable(getattr(member, "__func__", member)) and getattr(member, "__annotations__", None):
                    typing.get_type_hints(getattr(member, "__func__", member))
        elif callable(thing) and hasattr(thing, "__annotations__"):
            typing.get_type_hints(thing)
    expect((BUILD / "python/qosbatch/py.typed").exists(), "there is no py.typed")


@test
def a_failure_is_an_exception_with_the_message_of_the_library():
    error = raises(qb.IoError, lambda: qb.Profile.load(FOLDER / "missing.json"), "missing.json", "No such file")
    expect(isinstance(error, (qb.Error, OSError)) and error.status == qb.Status.ERROR_IO, repr(error))
    raises(ValueError, lambda: qb.Profile.load(ALEXNET).estimate(0), "batch")
    raises(qb.FormatError, lambda: qb.Profile.parse("{}"))
    raises(qb.NotFoundError, lambda: qb.Model.builtin("lenet"), "lenet", "alexnet")
    raises(TypeError, lambda: qb.Qos(latency_ms=3), "latency_ms")
    raises(TypeError, lambda: qb.Qos(250_000_000), "by name")
    raises(TypeError, lambda: qb.Configuration(*range(9)), "not 9")


@test
def an_object_ends_with_its_block():
    with qb.Profile.load(ALEXNET) as profile:
        expect(profile.info.model == "alexnet", profile.info)
    raises(ctypes.ArgumentError, lambda: profile.info, "Profile is closed")
    profile.close()


@test
def texts_outlive_the_object_they_come_from():
    infos = [qb.Profile.load(ALEXNET).info for _ in range(50)]
    expect(all(info.model == "alexnet" for info in infos), infos[0])


@test
def estimates_and_plans_are_those_of_the_tool():
    def tool(*arguments):
        done = subprocess.run([BUILD / "tools/qosbatch/qosbatch", *arguments, "--json"], check=True,
                              capture_output=True, text=True)
        return json.loads(done.stdout)

    profile = qb.Profile.load(ALEXNET)
    estimate = profile.estimate(5, qb.Configuration(1, 2))
    said = json.dumps(tool("estimate", ALEXNET, "--batch", "5", "--instances", "1", "--threads", "2"))
    for figure in (estimate.latency_ns, estimate.low_ns, estimate.high_ns):
        expect(str(figure) in said, f"the tool does not say {figure}", said)
    plan = qb.plan_service(profile, qb.Load(rate_per_s=40), QOS)
    said = json.dumps(tool("optimize", ALEXNET, "--latency", "250", "--rate", "40"))
    expect(f'"p99_ns": {plan.p99_ns}' in said, f"the tool does not say {plan.p99_ns}", said)


@test
def a_service_decides_observes_and_refreshes():
    profile = qb.Profile.load(ALEXNET)
    plan = qb.plan_service(profile, qb.Load(rate_per_s=40), QOS)
    now_ns = 10**12
    with qb.Optimizer(profile, plan, QOS) as optimizer:
        due = np.full(12, now_ns + QOS.latency_ns)
        decision = optimizer.decide(12, due, now_ns)
        expect(decision.action == qb.Action.RUN and 1 <= decision.batch <= 12, decision)
        expect(qb.explain(decision).startswith(f"Run {decision.batch} "), qb.explain(decision))
        for _ in range(50):
            optimizer.observe(decision.batch, 3 * decision.latency_ns)
        slow = optimizer.decide(12, due, now_ns)
        expect(slow.slowdown > 2 and slow.refresh_due, slow)
        optimizer.refresh()
        expect(not optimizer.decide(12, due, now_ns).refresh_due, "the refresh changed nothing")
        expect(optimizer.decide(0).action == qb.Action.WAIT, "there is nothing to run")


@test
def what_lies_between_and_beyond_is_planned():
    profile, catalogue = qb.Profile.load(ALEXNET), qb.Catalogue.load(SOURCE / "examples/catalogue.json")
    job, qos = qb.Job(samples=10**6), qb.Qos(deadline_ns=900 * 10**9)
    frontier = qb.job_frontier(profile, job, None, catalogue)
    ends = [plan.high_ns for plan in frontier]
    expect(ends and ends == sorted(ends), ends)
    plan = qb.plan_job(profile, job, qos, catalogue)
    expect(plan.feasible and catalogue.types[plan.type].max_nodes >= plan.nodes > 1, plan)
    expect(qb.service_frontier(profile, qb.Load(rate_per_s=20), QOS), "no plan for a service")
    shares, placement = qb.place_job([qb.Participant(profile), qb.Participant(profile, speed=2)], job)
    expect(sum(share.samples for share in shares) == job.samples and placement.used == 2, placement)
    report = qb.simulate(profile, qb.Traffic(rate_per_s=20), QOS, simulation=qb.Simulation(samples=1000))
    expect(report.answered > 0, report)
    expect(all(m.gain > 0 and m.text for m in qb.mitigations(profile, 1)), "no mitigation")
    expect(qb.verify(np.full(459, 1000), QOS).verdict == qb.Verdict.PASS, "459 samples prove p99")


@test
def an_engine_in_python_is_profiled():
    sizes = set()
    model = qb.Model.from_function("sleeping", lambda instance, batch: (sizes.add(batch), time.sleep(1e-4)))
    with qb.Node.detect(measure_budget_ns=50_000_000) as node:
        profile = qb.Profile.measure(model, node, [qb.Configuration(1, 1)], [1, 2, 4], time_budget_ns=200_000_000)
        expect([point.batch for point in profile.points] == [1, 2, 4], profile.points)
        expect(sizes == {1, 2, 4}, sizes)
        profile.save(FOLDER / "sleeping.json")
        expect(qb.Profile.load(FOLDER / "sleeping.json").info.model == "sleeping", "it was not kept")

        def fail(instance, batch):
            raise RuntimeError("no more paper")

        error = raises(qb.EngineError, lambda: qb.Profile.measure(qb.Model.from_function("failing", fail), node))
        expect("no more paper" in str(error.__cause__), error)
        raises(qb.CancelledError, lambda: qb.Profile.measure(model, node, progress=lambda p: False))


def small():
    try:
        model = qb.Model.load_onnx(SOURCE / "tests/fixtures/small.onnx")
        return model, qb.Session(model)
    except qb.UnsupportedError as why:
        return skip(str(why))


@test
def arrays_are_neither_copied_nor_converted():
    model, session = small()
    info = model.inputs[0]
    images = np.random.default_rng(checks.chosen_seed()).random((4, *info.dims[:info.rank]), np.float32)
    alone = np.concatenate([session.run(images[i:i + 1]) for i in range(4)])
    answers = np.empty_like(alone)
    flags = np.ones(4, np.uint32)
    expect(session.run(images, out=answers, flags=flags) is answers, "the answers went elsewhere")
    expect(np.allclose(answers, alone, atol=1e-5) and not flags.any(), answers - alone)
    half = np.empty_like(answers)
    session.run(images[2:], out=half[2:])  # a view
    expect(np.allclose(half[2:], answers[2:], atol=1e-5), "a view was not filled")
    images[1, 0] = np.nan
    session.run(images, flags=flags)
    expect(list(flags) == [0, qb.SampleFlag.NOT_FINITE, 0, 0], flags)
    for wrong, word in ((images.astype(np.float64), "ascontiguousarray"), (images[:, :, ::2], "C-contiguous"),
                        (np.zeros((4, 3), np.float32), "shape")):
        raises((TypeError, ValueError), lambda: session.run(wrong), word)
    answers.flags.writeable = False
    raises(ValueError, lambda: session.run(images, out=answers), "read-only")
    raises(ValueError, lambda: session.run([images, images]), "1 inputs")


@test
def rounds_of_several_threads_run_beside_each_other():
    model, session = small()
    info = model.inputs[0]
    images = np.random.default_rng(1).random((8, *info.dims[:info.rank]), np.float32)
    wanted, wrong = session.run(images), []

    def work():
        for _ in range(20):
            if not np.array_equal(session.run(images), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not wrong, f"{len(wrong)} rounds gave other answers")


def run_python(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=FOLDER,
                          env={**os.environ, "PYTHONPATH": str(BUILD / "python")})
    expect(done.returncode == 0, "it failed", done.stdout, done.stderr)
    checks.note(done.stdout.strip())


@each([("10_service.py", ["40", "200"]), ("11_batch_function.py", [])])
def example(name, arguments):
    small()
    run_python(SOURCE / "examples" / name, SOURCE / "tests/fixtures/small.onnx", *arguments)


@each([("docs/python.md",), ("python/README.md",)])
def the_program_runs_that_is_in(document):
    small()
    for name, source in (("alexnet.json", ALEXNET), ("network.onnx", SOURCE / "tests/fixtures/small.onnx")):
        (FOLDER / name).write_bytes(source.read_bytes())
    programs = re.findall(r"^```python\n(.*?)^```", (SOURCE / document).read_text(), re.M | re.S)
    expect(programs, "there is no program")
    for program in programs:
        run_python("-c", program)


@test
def pip_installs_the_source_tree():
    if not all(map(importlib.util.find_spec, ("pip", "setuptools", "wheel"))):
        skip("pip, setuptools or wheel are not installed")
    copy = FOLDER / "tree"
    for name in ("python", "include"):
        subprocess.run(["cp", "-r", SOURCE / name, copy / name] if copy.exists() else
                       ["sh", "-c", 'mkdir "$1" && cp -r "$0" "$1"', SOURCE / name, copy], check=True)
    target = FOLDER / "installed"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation",
                           "--no-deps", "--root-user-action=ignore", "--target", target, copy / "python"],
                          capture_output=True, text=True)
    expect(done.returncode == 0, "pip failed", done.stdout, done.stderr)
    program = "import qosbatch, sys; print(qosbatch.__version__, qosbatch.__file__)"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=FOLDER,
                          env={**os.environ, "PYTHONPATH": str(target)}).stdout.split()
    expect(said == [qb.__version__, str(target / "qosbatch/__init__.py")], said)
    expect((target / f"qosbatch-{qb.__version__}.dist-info").is_dir(), list(target.iterdir()))


run_tests()
