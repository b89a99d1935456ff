"""Runs that are killed and go on: nothing is lost, and the file is the same byte by byte."""

import json
import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.formats import hdf5
from ptycho_fast.formats.work import Work
from ptycho_fast.runs import journal
from ptycho_fast.runs.journal import Journal, LeftOver

SMALL = ["gs2_ideal", "--object-size", "150", "--n-patterns", "1000", "--quiet"]

# Runs commands one after the other, each in a process of its own, which kills itself, without any
# warning, when it has written so many lines to its journal. The blocks are small, so that there are
# many of them. The processes are copies of one that has imported everything.
KILLED = """
import json, os, tempfile
from ptycho_fast.formats import hdf5_file, work
from ptycho_fast.runs import single
from ptycho_fast.runs.journal import Journal
from ptycho_fast.simulate import main

hdf5_file._CHUNK_PIXELS = 2**15
work._BLOCK_PIXELS = work._TASK_PIXELS = 2**15
limit, write, lines = 0, Journal._write, []

def when_it_is_time():
    os.kill(os.getpid(), signal.SIGKILL)

def counting(journal, entry):
    write(journal, entry)
    lines.append(entry)
    if len(lines) == limit:
        when_it_is_time()

Journal._write = counting
before = lambda: None
"""
MAIN = """
limit = int(sys.argv[1])
before()
sys.exit(main(sys.argv[2:]))
"""
SEVERAL = """
for limit, arguments in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 2)
            before()
            os._exit(main(arguments))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        print(json.dumps([os.waitstatus_to_exitcode(status), said.read()]))
"""


def runs(start, *commands, code=""):
    """Run commands until their journal has some lines more; exit codes and standard errors."""
    given = json.dumps([[lines, SMALL + list(arguments)] for lines, arguments in commands])
    output, errors = start(KILLED + code + SEVERAL, given).communicate(timeout=300)
    assert errors == ""
    return [tuple(json.loads(line)) for line in output.splitlines()]


def run_to(start, lines, *arguments, code=""):
    """One of them."""
    return runs(start, (lines, arguments), code=code)[0]


NEVER = 10**9
KINDS = [
    pytest.param(["a.h5"], marks=pytest.mark.slow),
    ["a.h5", "--shard-patterns", "300"],
    ["a.npz"],
    pytest.param(["a.npz", "--alias", "diffraction"], marks=pytest.mark.slow),
]


def contents():
    return {name: Path(name).read_bytes() for name in sorted(os.listdir())}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_goes_on_and_makes_the_same_bytes(kind, start):
    out = ["--out", *kind]
    assert run_to(start, NEVER, *out) == (0, "")
    whole = contents()
    for name in whole:
        os.unlink(name)
    # In its head, its first block, later, while it goes on, ...
    killed = [(lines, [*out, "--resume"]) for lines in (1, 3, 40, 90)]
    results = runs(start, *killed, (NEVER, [*out, "--resume"]))
    assert [code for code, _ in results] == [-signal.SIGKILL] * 4 + [0]
    assert contents() == whole


@pytest.mark.slow
def test_what_is_there_is_not_made_again(start):
    counting = """
import atexit
from ptycho_fast.simulator import Simulator
frames, made = Simulator.frames, []

def counted(self, first, last=None, **options):
    made.append(last - first)
    return frames(self, first, last, **options)

def before():
    atexit.register(lambda: print(sum(made), file=sys.stderr))

Simulator.frames = counted
"""
    assert run_to(start, 100, "--out", "a.h5")[0] == -signal.SIGKILL
    process = start(KILLED + counting + MAIN, NEVER, *SMALL, "--out", "a.h5", "--resume")
    _, errors = process.communicate(timeout=300)
    assert int(errors) == 1000 - 98 * 8  # two lines are about the run and the part


@pytest.mark.slow
def test_a_damaged_block_is_made_again(start):
    assert run_to(start, NEVER, "--out", "a.h5")[0] == 0
    whole = contents()
    os.unlink("a.h5")
    assert run_to(start, 50, "--out", "a.h5")[0] == -signal.SIGKILL
    line = Path("a.h5.journal").read_text().splitlines()[20]
    offset = json.loads(line)["block"][4]
    with open("a.h5.part1", "r+b") as file:
        file.seek(offset + 5)
        file.write(b"damage")
    assert run_to(start, NEVER, "--out", "a.h5", "--resume") == (0, "")
    assert contents() == whole


@pytest.mark.slow
def test_a_file_that_had_its_name_already_is_kept(start):
    """Killed between the last two steps."""
    assert run_to(start, NEVER, "--out", "a.h5")[0] == 0
    whole = contents()
    os.unlink("a.h5")
    code = "Journal._remove = lambda self: when_it_is_time()\n"
    assert run_to(start, NEVER, "--out", "a.h5", code=code)[0] == -signal.SIGKILL
    assert sorted(os.listdir()) == ["a.h5", "a.h5.journal"]
    assert run_to(start, NEVER, "--out", "a.h5", "--resume") == (0, "")
    assert contents() == whole


@pytest.mark.slow
def test_what_a_killed_run_left_is_pointed_out(start):
    assert run_to(start, 30, "--out", "a.h5")[0] == -signal.SIGKILL
    code, errors = run_to(start, NEVER, "--out", "a.h5")
    assert code == 2
    assert (
        "a.h5: an earlier run was ended and left a.h5.journal; expected --resume to go on" in errors
    )
    assert "or --force to begin again" in errors
    assert sorted(os.listdir()) == ["a.h5.journal", "a.h5.part1"]
    assert run_to(start, NEVER, "--out", "a.h5", "--force") == (0, "")
    assert os.listdir() == ["a.h5"]


@pytest.mark.native
def test_another_run_does_not_go_on(start):
    changes = {
        "scenario.dose.nphotons: 100000.0 given, expected 1000000000.0": ["--nphotons", "1e5"],
        "patterns": ["--no-noise"],
        "options.compression: 'none' given, expected None": ["--compression", "none"],
        "backend: 'numba' given, expected": ["--backend", "numba"],
    }
    out = ["--out", "a.h5", "--backend", "native"]
    others = [(NEVER, [*out, *change, "--resume"]) for change in changes.values()]
    killed, *results = runs(start, (30, out), *others)
    assert killed[0] == -signal.SIGKILL
    for (code, errors), says in zip(results, changes, strict=True):
        assert code == 2
        assert f"a.h5.journal: {says}" in errors
    assert sorted(os.listdir()) == ["a.h5.journal", "a.h5.part1"]


@pytest.mark.slow
def test_another_version_does_not_go_on(start):
    assert run_to(start, 30, "--out", "a.h5")[0] == -signal.SIGKILL
    path, version = Path("a.h5.journal"), ptycho_fast.__version__
    path.write_text(path.read_text().replace(f'"version":"{version}"', '"version":"0.0.9"'))
    code, errors = run_to(start, NEVER, "--out", "a.h5", "--resume")
    assert code == 2
    assert f"a.h5.journal: version: {version!r} given, expected '0.0.9'" in errors


WAITS = """
def when_it_is_time():
    print("here", flush=True)
    input()
"""


def test_two_runs_do_not_make_one_file(start):
    first = start(KILLED + WAITS + MAIN, 30, *SMALL, "--out", "a.h5")
    assert first.stdout.readline() == "here\n"
    flags = ([], ["--resume"], ["--force"])
    for code, errors in runs(start, *((NEVER, ["--out", "a.h5", *flag]) for flag in flags)):
        assert code == 2
        assert "a.h5: another run is making it, expected one at a time" in errors
    first.communicate("\n", timeout=300)
    assert first.returncode == 0
    assert os.listdir() == ["a.h5"]


def test_an_interrupted_run_says_how_to_go_on(start):
    process = start(KILLED + WAITS + MAIN, 30, *SMALL, "--out", "a.h5")
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted; what is made of a.h5 is kept beside it: --resume goes on" in errors
    assert "nothing was written" not in errors
    assert run_to(start, NEVER, "--out", "a.h5", "--resume") == (0, "")
    assert os.listdir() == ["a.h5"]


def test_resume_without_anything_begins(start):
    assert run_to(start, NEVER, "--out", "a.h5", "--resume") == (0, "")
    assert os.listdir() == ["a.h5"]


# --- disks ---


def test_a_full_disk_loses_nothing(start):
    """A limit of the size of files stands for a disk that is full."""
    limited = """
def before():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
"""
    assert run_to(start, NEVER, "--out", "b.h5")[0] == 0
    assert os.path.getsize("b.h5") > 1_000_000
    code, errors = run_to(start, NEVER, "--out", "a.h5", code=limited)
    assert code == 1
    assert "a.h5: File too large; what is made of a.h5 is kept beside it: --resume" in errors
    assert sorted(os.listdir()) == ["a.h5.journal", "a.h5.part1", "b.h5"]
    assert run_to(start, NEVER, "--out", "a.h5", "--resume") == (0, "")
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


@pytest.mark.slow
def test_space_is_given_back_while_a_run_goes_on(start):
    assert run_to(start, 100, "--out", "a.h5")[0] == -signal.SIGKILL
    before = os.stat("a.h5.part1").st_blocks
    assert run_to(start, 60, "--out", "a.h5", "--resume")[0] == -signal.SIGKILL
    assert os.stat("a.h5.part1").st_blocks < 0.7 * before


# --- the journal itself ---


def test_a_cut_off_or_hostile_journal(tmp_path):
    target = tmp_path / "a.bin"
    (tmp_path / "precious").write_bytes(b"kept")
    for text in (
        b"",
        b"\xff\xfe\n",
        b'{"journal":1,"fing',
        b'{"journal":1,"fingerprint":{}}\n{"part":"precious"}\n{"block":["a",0,1,0,0,4,"x"]}\n',
        b'{"journal":1,"fingerprint":{}}\n{"part":"../a.part1"}\n{"block":["a",0,1,7,0,4,"x"]}\n',
        b'{"journal":1,"fingerprint":{}}\n[]\n' + b"[" * 100_000 + b"\n",
    ):
        journal.journal_of(target).write_bytes(text)
        with Journal.opened(target, {}, resume=True) as one, one.aside(target, force=True) as file:
            file.write(b"whole")
        assert target.read_bytes() == b"whole"
        assert sorted(os.listdir(tmp_path)) == ["a.bin", "precious"]


def make_some(target, error):
    with Journal.opened(target, {}) as one, one.aside(target, force=True) as file:
        for block in Work(journal=one).blocks(np.zeros((4, 2, 2)), 1):
            file.write(block.data)
            one.stored(block, 32 * block.first, 32)
        raise error


def test_errors_of_the_scenario_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="wrong"):
        make_some(tmp_path / "a.bin", ValueError("wrong"))
    assert os.listdir(tmp_path) == []


def test_the_part_of_a_journal_that_is_lost(tmp_path):
    target = tmp_path / "a.bin"
    for name in ("a.bin", "a-00003.bin"):  # a shard
        (tmp_path / f"{name}.part2").write_bytes(b"some")
        for resume in (False, True):
            with (
                pytest.raises(LeftOver, match=rf"{name}.part2: is left .* expected force=True"),
                Journal.opened(target, {}, resume=resume),
            ):
                pass
        assert os.listdir(tmp_path) == [f"{name}.part2"]
        with Journal.opened(target, {}, force=True):
            assert os.listdir(tmp_path) == ["a.bin.journal"]
    for other in ("a-3.bin.part1", "b.bin.part1", "a.bin.part", "a-00001.bin.part1"):
        (tmp_path / other).write_bytes(b"of others")
    (tmp_path / "a-00001.bin.journal").touch()  # a run of its own
    with Journal.opened(target, {}):
        assert len(os.listdir(tmp_path)) == 6


def test_left_over_is_said_in_python_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_some(tmp_path / "a.bin", KeyboardInterrupt())
    with pytest.raises(LeftOver, match="expected resume=True to go on"):
        make_some(tmp_path / "a.bin", KeyboardInterrupt())


# --- ten times larger than the memory that it may take ---


def made_and_killed_twice(start, n_patterns, memory):
    arguments = [
        "gs2_ideal", "--n-patterns", str(n_patterns), "--nphotons", "1e5", "--memory", str(memory),
        "--out", "a.h5", "--quiet",
    ]  # fmt: skip
    peak = """
import re
from pathlib import Path
from ptycho_fast.runs import single
from ptycho_fast.formats import hdf5
text = Path("/proc/self/status").read_text
peak = lambda: print(re.search(r"VmHWM:\\s+(\\d+) kB", text())[1])
peak()
import atexit; atexit.register(peak)
"""
    code = KILLED.replace("2**15", "2**18") + MAIN  # as they are, nearly
    blocks = n_patterns // 64
    for lines in (blocks // 3, 2 * blocks // 3):
        process = start(code, lines, *arguments, "--resume")
        process.communicate(timeout=3000)
        assert process.returncode == -signal.SIGKILL
    process = start(peak + code, NEVER, *arguments, "--resume")
    output, errors = process.communicate(timeout=3000)
    assert errors == ""
    before, after = map(int, output.split())
    return 1024 * (after - before)


def check_large(n_patterns):
    assert all(whole for *_, whole in hdf5.damaged("a.h5"))
    with ptycho_fast.open("a.h5") as data:
        assert len(data) == n_patterns
        simulator = ptycho_fast.Simulator(data.scenario)
        for first in (0, n_patterns // 3, n_patterns - 10):
            made = simulator.frames(first, first + 10)
            np.testing.assert_array_equal(data.counts[first : first + 10], made)
    with h5py.File("a.h5") as file:
        assert file["counts"].shape == (n_patterns, 64, 64)


def test_a_set_larger_than_the_memory_that_it_may_take(start):
    made_and_killed_twice(start, 4000, 6 * 2**20)  # ten times the least
    check_large(4000)


@pytest.mark.slow
def test_a_set_ten_times_the_budget_is_made_in_it(start):
    budget = 2**27
    peak = made_and_killed_twice(start, 10 * budget // 2**14, budget)
    assert peak < budget
    check_large(10 * budget // 2**14)
