#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs qosbatch-mpi on this machine: test_mpi.py RUNNER TOOL STOP_IN_SEND

All rows are there once and in order, whatever the number of ranks; a slow rank gives work away; a
lost rank ends the job, and the same command goes on where it was.
"""
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from checks import run_tests, test  # noqa: E402

RUNNER, TOOL, STOP_IN_SEND = (pathlib.Path(path).resolve() for path in sys.argv[1:])
SCRATCH = tempfile.TemporaryDirectory(prefix="qosbatch-mpi-test-")
FOLDER = pathlib.Path(SCRATCH.name)
SAMPLES, SIDE, ROW_BYTES = 60, 227, 4000
INPUT, PROFILE = FOLDER / "x.npy", FOLDER / "profile.json"


def write_samples():
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({SAMPLES}, 3, {SIDE}, {SIDE}), }}"
    text = header.ljust(117) + "\n"
    sample = bytes((13 * i) % 251 for i in range(3 * SIDE * SIDE))
    with open(INPUT, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        for i in range(SAMPLES):
            file.write(sample[31 * i:] + sample[:31 * i])


def write_profile():
    """Small rounds of one thread, so that many ranks fit on few cores."""
    subprocess.run([TOOL, "profile", "alexnet", "-o", PROFILE, "--instances", "1", "--threads", "1",
                    "--batch", "1,2", "--time-budget", "2", "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)


def rounds_of(batch):
    """Another profile, in which there are rounds of that size only."""
    profile = json.loads(PROFILE.read_text())
    profile["points"] = [p for p in profile["points"] if p["batch"] == batch]
    path = FOLDER / f"rounds_of_{batch}.json"
    path.write_text(json.dumps(profile))
    return path


def command(ranks, output, *more, profile=PROFILE):
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np",
            str(ranks), str(RUNNER), "alexnet", "--input", str(INPUT), "--output", str(output),
            "--profile", str(profile), "--json", *more]


def run(ranks, output, *more, profile=PROFILE):
    done = subprocess.run(command(ranks, output, *more, profile=profile), capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(path):
    data = path.read_bytes()[-SAMPLES * ROW_BYTES:]
    return [data[i * ROW_BYTES:(i + 1) * ROW_BYTES] for i in range(SAMPLES)]


@functools.cache
def rows_of_rounds(batch):
    """As one rank makes them."""
    output = FOLDER / f"expected_{batch}.npy"
    result = run(1, output, profile=rounds_of(batch))
    assert result["ranks"][0]["rounds"] == SAMPLES // batch, result
    made = rows(output)
    assert len(set(made)) == SAMPLES, "samples that cannot be told apart"
    return made


def same_rows(path):
    """Each bit for bit as in a round of one or of two samples: which of them a rank ran is its own."""
    return all(row in expected
               for row, *expected in zip(rows(path), rows_of_rounds(1), rows_of_rounds(2), strict=True))


@test
def the_same_rows_on_any_number_of_ranks():
    for ranks in 2, 4:
        output = FOLDER / f"{ranks}.npy"
        result = run(ranks, output)
        assert result["samples"] == SAMPLES and result["done_before"] == 0, result
        assert sum(r["samples"] for r in result["ranks"]) == SAMPLES, result
        assert len(result["ranks"]) == ranks, result
        assert same_rows(output), "other rows, or in another order"
        assert not list(FOLDER.glob("*.journal")) and not list(FOLDER.glob("*.part"))


def children_of(pid):
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            yield int(entry.parent.name)


def start_and_wait(output, records):
    """A job of two ranks, when so many rounds are recorded."""
    job = subprocess.Popen(command(2, output, "--quiet"),
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    journal = pathlib.Path(f"{output}.journal")
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_text().count("\ndone ") < records:
        assert job.poll() is None, f"ended early: {job.stderr.read()}"
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.002)
    return job


@test
def a_lost_rank_ends_the_job_which_goes_on():
    for which in 0, 1:
        output = FOLDER / f"lost{which}.npy"
        job = start_and_wait(output, 1)
        ranks = sorted(children_of(job.pid))
        os.kill(ranks[which % len(ranks)], signal.SIGKILL)
        assert job.wait(60) != 0, "a lost rank must fail the job"
        assert not output.exists(), "an output that is not whole"
        result = run(2, output)
        assert result["done_before"] > 0, result
        assert sum(r["samples"] for r in result["ranks"]) == SAMPLES - result["done_before"], result
        assert same_rows(output), "lost or changed rows"


@test
def a_slow_rank_gives_work_away():
    output = FOLDER / "slow.npy"
    job = start_and_wait(output, 1)
    slow = sorted(children_of(job.pid))[-1]
    while job.poll() is None:  # runs a fifth of the time
        try:
            os.kill(slow, signal.SIGSTOP)
            time.sleep(0.08)
            os.kill(slow, signal.SIGCONT)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    assert job.wait(60) == 0, job.stderr.read()
    assert same_rows(output), "lost or changed rows"


@test
def the_rounds_of_a_stopped_rank_go_to_others():
    """Not slow but stopped, for good or until the others are nearly done."""
    output = FOLDER / "stopped.npy"
    job = start_and_wait(output, 1)
    stopped = sorted(children_of(job.pid))[-1]
    os.kill(stopped, signal.SIGSTOP)
    assert job.wait(120) == 0, job.stderr.read()
    assert "its rounds go to other ranks" in job.stderr.read().decode(), "not said"
    assert same_rows(output), "lost or changed rows"
    assert not list(FOLDER.glob("stopped.npy.*")), "something was left behind"

    output = FOLDER / "goes_on.npy"
    job = start_and_wait(output, 1)
    stopped = sorted(children_of(job.pid))[-1]
    os.kill(stopped, signal.SIGSTOP)
    line = job.stderr.readline()
    assert b"its rounds go to other ranks" in line, line
    os.kill(stopped, signal.SIGCONT)
    assert job.wait(120) == 0, job.stderr.read()
    assert same_rows(output), "lost or changed rows"


@test
def a_rank_that_is_stopped_in_the_middle_of_sending():
    """Its message is announced and does not come; nobody waits for it. A row alone comes with its announcement."""
    output = FOLDER / "in_send.npy"
    wanted = command(2, output, profile=rounds_of(2))
    wanted[1:1] = ["-x", f"LD_PRELOAD={STOP_IN_SEND}", "--mca", "btl_vader_single_copy_mechanism", "none"]
    done = subprocess.run(wanted, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "its rounds go to other ranks" in done.stderr, done
    assert same_rows(output), "lost or changed rows"


@test
def profiles_of_other_networks():
    other = FOLDER / "other.json"
    rounds = FOLDER / "rounds.csv"
    rounds.write_text("instances,threads,batch,latency_ns\n1,1,1,100000000\n")
    subprocess.run([TOOL, "profile", "resnet50", "--measurements", rounds, "-o", other], check=True,
                   stdout=subprocess.DEVNULL)
    output = FOLDER / "never.npy"
    done = subprocess.run(command(2, output, profile=other), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode != 0 and "resnet50" in done.stderr and not output.exists(), done


@test
def cores_are_left_to_others():
    output = FOLDER / "reserve.npy"
    done = subprocess.run(command(2, output, "--reserve", "1"), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "leaves 0 cores" in done.stderr and not output.exists(), done
    assert run(2, output, "--reserve", "0")["samples"] == SAMPLES and same_rows(output)

    output = FOLDER / "reserve_measured.npy"
    wanted = command(1, output, "--reserve", "65535", "--profile-time", "2", "--max-batch", "2")
    at = wanted.index("--profile")
    del wanted[at:at + 2]
    done = subprocess.run(wanted, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "reserve_cores 65535" in done.stderr, done

    node = subprocess.run([TOOL, "node", "--json"], capture_output=True, text=True, check=True)
    cores = json.loads(node.stdout)["usable_threads"]
    wanted[wanted.index("65535")] = str(cores - 1)
    done = subprocess.run(wanted, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rank = json.loads(done.stdout)["ranks"][0]
    assert rank["instances"] * rank["threads"] == 1 and rank["samples"] == SAMPLES, rank


@test
def bad_usage_and_bad_input():
    done = subprocess.run([RUNNER, "alexnet", "--input", "x", "--output", "y.npy", "--profile", "p",
                           "--threads", "2"], capture_output=True, text=True)
    assert done.returncode == 2 and "--threads" in done.stderr and not done.stdout, done
    done = subprocess.run([RUNNER, "alexnet"], capture_output=True, text=True)
    assert done.returncode == 2 and "--input" in done.stderr and not done.stdout, done
    done = subprocess.run([RUNNER, "--help"], capture_output=True, text=True)
    assert done.stdout.startswith("Usage: qosbatch-mpi MODEL") and not done.returncode, done
    missing = command(2, FOLDER / "y.npy")
    missing[missing.index(str(INPUT))] = str(FOLDER / "none.npy")
    done = subprocess.run(missing, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "none.npy" in done.stderr and not done.stdout, done
    assert not (FOLDER / "y.npy").exists()


write_samples()
write_profile()
run_tests()
