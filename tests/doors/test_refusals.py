"""What a simulation refuses, with which exit code, before any pattern is made."""

import importlib.util
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from ptycho_fast import estimate, machine
from ptycho_fast.simulator import Simulator

SMALL = ["gs2_ideal", "--n-patterns", "9"]
LONG_NAME = "a" * 300 + ".npz"

WRONG = [
    ([], 2, "scenario"),
    (["gs3_ideal"], 2, "gs2_ideal"),
    (["missing.toml"], 2, "missing.toml"),
    ([*SMALL, "--set", "dose.nphoton=1"], 2, "did you mean dose.nphotons"),
    ([*SMALL, "--set", "dose.nphotons=-1"], 2, "dose.nphotons: -1"),
    ([*SMALL, "--set", "dose.nphotons"], 2, "dose.nphotons"),
    ([*SMALL, "--nphotons", "many"], 2, "--nphotons"),
    ([*SMALL, "--nphotons", "5", "--set", "dose.mode=none"], 2, "nothing with dose.mode 'none'"),
    ([*SMALL, "--n-patterns", "0"], 2, "scan.n_patterns: 0"),
    (["gs1_custom"], 2, "probe.file: nothing given"),
    (["gs1_custom"], 2, "; give it with --probe-file PATH or --set probe.file=PATH\n"),
    (["gs1_custom", "--probe-file", "no.npz"], 1, "no.npz"),
    (["gs1_custom", "--probe-file", "modes.npy"], 2, "expected --modes first"),
    ([*SMALL, "--backend", "cobol"], 2, "backend: 'cobol'"),
    ([*SMALL, "--threads", "0"], 2, "threads: 0"),
    ([*SMALL, "--device", "0"], 2, "device: 0"),
    ([*SMALL, "--out", "no/such/folder/a.npz"], 2, "does not exist"),
    ([*SMALL, "--out", "."], 2, "is a folder"),
    ([*SMALL, "--out", LONG_NAME], 2, "a name of 304 bytes"),
    ([*SMALL, "--out", "there.npz"], 2, "expected a new name, or --force to replace the file"),
    ([*SMALL, "--out", "a.npz", "--preview", "there.npz"], 2, "there.npz"),
    ([*SMALL, "--out", "a.npz", "--preview", "./a.npz", "--force"], 2, "the same file twice"),
    ([*SMALL, "--out", "a.png", "--preview", "a.png", "--force"], 2, "a.png"),
    ([*SMALL, "--out", "a.mat"], 2, "suffix '.mat' given, expected .npz"),
    ([*SMALL, "--format", "pinn-raw", "--out", "a.npz"], 2, "dose.nphotons: 1000000000.0 given"),
    ([*SMALL, "--dtype", "uint16", "--out", "a.npz"], 2, "lower the dose, take another dtype"),
    ([*SMALL, "--out", "a.unknown"], 2, "suffix '.unknown' given, expected .npz"),
    ([*SMALL, "--out", "a.npz", "--preview", "a.gif"], 2, "suffix '.gif' given"),
    ([*SMALL, "--modes", "sum"], 2, "--modes"),
    ([*SMALL, "--out", "a.npz", "--compression", "lz4"], 2, "compression: 'lz4' given"),
    ([*SMALL, "--ladder-numbers", "common"], 2, "--ladder-numbers: given, expected --ladder too"),
    ([*SMALL, "--ladder", "1,x"], 2, "--ladder: '1,x' given, expected numbers"),
    ([*SMALL, "--set", "scan.jitter=1e9"], 2, "scan: no light reaches the detector"),
    (["gs2_ideal", "--n-patterns", "320000000"], 1, "a file of 5.26 TB, 32 GB available"),
    (["gs2_ideal", "--object-size", "65536"], 2, "takes 34.4 GB"),
]


@pytest.fixture(autouse=True)
def nothing_is_made(monkeypatch):
    def frames(*_, **__):
        raise AssertionError("a pattern is made")

    monkeypatch.setattr(Simulator, "frames", frames)


@pytest.fixture(autouse=True)
def files():
    Path("there.npz").write_text("precious")
    np.save("modes.npy", np.ones((2, 64, 64), np.complex64))


@pytest.fixture(autouse=True)
def a_machine_of_32_gigabytes(monkeypatch):
    monkeypatch.setattr(estimate, "memory_available", lambda: 32 * 10**9)


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["run", "dry-run"])
@pytest.mark.parametrize(("arguments", "code", "message"), WRONG)
def test_refused(arguments, code, message, dry_run, run, capsys):
    assert run(*arguments, *dry_run) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(os.listdir()) == ["modes.npy", "there.npz"]
    assert Path("there.npz").read_text() == "precious"


def test_too_high_a_dose(run, capsys, monkeypatch):
    monkeypatch.undo()
    for dry_run in ([], ["--dry-run"]):
        assert run(*SMALL, "--nphotons", "1e14", "--out", "x.npz", *dry_run) == 2
        assert "dose.nphotons: 1" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(run, capsys):
    Path("locked").mkdir()
    Path("locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert run(*SMALL, "--out", "locked/a.npz") == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_usage_errors_do_not_speak_of_files(run, capsys):
    assert run(*SMALL, "--backend", "cobol") == 2
    assert "written" not in capsys.readouterr().err


def test_traceback_on_request(run, capsys):
    assert run(*SMALL, "--backend", "cobol", "--traceback") == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_is_named(run, capsys):
    assert run(*SMALL) == 1  # frames fail, see above
    message = "error: AssertionError: a pattern is made (--traceback shows where); nothing was"
    assert message in capsys.readouterr().err


def test_no_matplotlib(run, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for dry_run in ([], ["--dry-run"]):
        assert run(*SMALL, "--preview", "p.png", "--out", "a.npz", *dry_run) == 1
        assert "ptycho_fast[plot]" in capsys.readouterr().err


def test_too_little_disk(run, capsys, monkeypatch):
    import shutil

    few = shutil._ntuple_diskusage(10, 10, 10)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: few)
    for dry_run in ([], ["--dry-run"]):
        assert run(*SMALL, "--out", "a.npz", *dry_run) == 1
        assert "the file needs 1.42 MB, the disk has 10 B free" in capsys.readouterr().err


def test_the_page_and_the_picture_need_room_too(run, capsys, monkeypatch):
    import shutil

    pytest.importorskip("jinja2")
    few = shutil._ntuple_diskusage(10**7, 0, 5 * 10**6)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: few)
    assert run(*SMALL, "--out", "a.npz", "--preview", "a.png") == 1
    assert "a pattern is made" in capsys.readouterr().err  # not refused
    assert run(*SMALL, "--out", "b.npz", "--preview", "b.png", "--report", "b.html") == 1
    message = capsys.readouterr().err
    assert "b.npz, b.png, b.html: the files need 8.76 MB, the disk has 5 MB free" in message


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--n-patterns", "1e3x", "--n-patterns: '1e3x' given, expected a whole number"),
        ("--N", "63.5", "--N: '63.5' given, expected a whole number"),
        ("--seed", "inf", "--seed: 'inf' given, expected a whole number"),
        ("--modes", "three", "--modes: invalid choice"),
        ("--frobnicate", "3", "unrecognized arguments: --frobnicate 3"),
    ],
)
def test_a_wrong_command_line_is_one_line(flag, value, message, run, capsys):
    assert run("gs2_ideal", flag, value) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ptycho-fast simulate: error: {message}")
    assert line.endswith("; --help lists all flags")


def test_too_little_memory(run, capsys, monkeypatch):
    monkeypatch.setattr(estimate, "memory_available", lambda: 10**7)
    for dry_run in ([], ["--dry-run"]):
        assert run(*SMALL, "--out", "a.npz", *dry_run) == 1
        message = capsys.readouterr().err
        assert "out of memory (about " in message
        assert "10 MB available" in message


def test_a_large_object_from_a_file(run, capsys, monkeypatch):
    """Its size is known only when it is read."""
    np.save("object.npy", np.ones((2000, 2000), np.complex64))
    monkeypatch.setattr(estimate, "memory_available", lambda: 2 * 10**8)
    assert run(*SMALL, "--out", "a.npz", "--object-file", "object.npy") == 1
    assert "out of memory (about " in capsys.readouterr().err


# --- how much memory there is ---


def system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal: 9 kB\nMemAvailable:    1000 kB\n"
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, 1_024_000),
        (  # a limit of the job, and a higher one of the user
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/user/job\n",
                f"{V2}/user/memory.max": "900000",
                f"{V2}/user/memory.current": "0",
                f"{V2}/user/job/memory.max": "500000",
                f"{V2}/user/job/memory.current": "100000",
                f"{V2}/user/job/memory.stat": "anon 7\ninactive_file 1000\n",
            },
            401_000,
        ),
        (  # a container sees its group as the top
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/\n",
                f"{V2}/memory.max": "500000",
                f"{V2}/memory.current": "100000",
            },
            400_000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/job\n",
                f"{V2}/job/memory.max": "max",
                f"{V2}/job/memory.current": "100000",
            },
            1_024_000,
        ),
        (  # version 1, where the path from outside does not exist inside
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "3:cpu:/\n4:memory:/docker/abc\n",
                f"{V1}/memory.limit_in_bytes": "300000",
                f"{V1}/memory.usage_in_bytes": "400000",
                f"{V1}/memory.stat": "total_inactive_file 150000\n",
            },
            50_000,
        ),
    ],
)
def test_memory_available(files, available, tmp_path):
    assert machine.memory_available(system(tmp_path / "root", files)) == available


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="needs /proc")
def test_memory_available_here():
    assert machine.memory_available() > 0
