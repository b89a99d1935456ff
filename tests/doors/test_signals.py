"""Runs that are ended from outside: they stop cleanly, and say what they leave."""

import os
import signal

import numpy as np
import pytest

import ptycho_fast
from ptycho_fast import command

LONG = ["gs2_ideal", "--backend", "reference", "--n-patterns", "2000", "--quiet", "--threads", "1"]
SMALL = ["gs2_ideal", "--n-patterns", "9", "--out", "a.npz", "--quiet"]

# Each tells when it has come to its point; two of them wait there.
MAKING = """
from ptycho_fast.simulator import Simulator
frames = Simulator.frames

def telling(self, *arguments, **options):
    print("here", flush=True)
    return frames(self, *arguments, **options)

Simulator.frames = telling
command()
"""
WRITING = """
import numpy

def half(file, array, **options):
    file.write(b"half of it")
    print("here", flush=True)
    input()

numpy.lib.format.write_array = half
command()
"""
DRAWING = """
import ptycho_fast.report.preview as report

def slow(*arguments, **options):
    print("here", flush=True)
    input()

report.preview = slow
command()
"""

SIGNALS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "ended by SIGTERM"),
    (signal.SIGHUP, 129, "ended by SIGHUP"),
]


def ended(process, signum):
    """Wait until the process is at its point, send the signal, wait for the end."""
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(signum)
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


@pytest.mark.parametrize(("signum", "code", "what"), SIGNALS)
def test_while_patterns_are_made(signum, code, what, start):
    process = start(MAKING, *LONG)
    message = f"ptycho-fast simulate: error: {what}; nothing was written\n"
    assert ended(process, signum) == (code, message)
    assert os.listdir() == []


@pytest.mark.parametrize(("signum", "code", "what"), SIGNALS)
def test_while_the_file_is_written(signum, code, what, start):
    returned, errors = ended(start(WRITING, *SMALL), signum)
    assert (returned, "Traceback" in errors) == (code, False)
    assert f"{what}; nothing was written" in errors
    assert os.listdir() == []


def test_when_the_file_is_written_already(start):
    returned, errors = ended(start(DRAWING, *SMALL, "--preview", "p.png"), signal.SIGTERM)
    assert returned == 143
    assert errors.endswith("ended by SIGTERM; a.npz was written\n")
    assert os.listdir() == ["a.npz"]
    assert ptycho_fast.Dataset.load("a.npz").n_patterns == 9


def test_a_killed_run_is_no_obstacle_to_the_next(start, run):
    returned, _ = ended(start(WRITING, *SMALL), signal.SIGKILL)
    assert returned == -signal.SIGKILL
    assert sorted(os.listdir()) == ["a.npz.journal", "a.npz.part1"]
    assert run(*SMALL) == 0
    assert os.listdir() == ["a.npz"]


def test_a_signal_that_is_ignored_stays_ignored(start):
    """As after ``nohup``, or in the background of a shell without job control."""
    process = start("signal.signal(signal.SIGINT, signal.SIG_IGN)" + MAKING, *SMALL)
    returned, errors = ended(process, signal.SIGINT)
    assert (returned, errors) == (0, "")
    assert os.listdir() == ["a.npz"]


def test_a_caller_keeps_its_handlers(run):
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(signum) for signum in names]
    assert run(*SMALL) == 0
    assert [signal.getsignal(signum) for signum in names] == before


def test_in_a_thread_of_its_own(run):
    """Signals belong to the main thread; elsewhere the command works without them."""
    import threading

    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(*SMALL)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_tidying_up_after_ctrl_c_includes_other_signals():
    with pytest.raises(KeyboardInterrupt):
        raise command.Terminated(signal.SIGTERM)


def test_a_failing_preview_says_what_is_there(monkeypatch, capsys, run):
    from ptycho_fast.report import preview

    def failing(*_, **__):
        raise RuntimeError("no font")

    monkeypatch.setattr(preview, "preview", failing)
    assert run(*SMALL, "--preview", "p.png") == 1
    assert capsys.readouterr().err.endswith("error: no font; a.npz was written\n")
    assert os.listdir() == ["a.npz"]


def test_a_failing_write_leaves_the_old_file(monkeypatch, capsys, run):
    assert run(*SMALL) == 0
    before = os.stat("a.npz")

    def failing(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", failing)
    assert run(*SMALL, "--force", "--seed", 3) == 1
    assert "No space left on device; nothing was written" in capsys.readouterr().err
    assert os.listdir() == ["a.npz"]
    assert os.stat("a.npz").st_ino == before.st_ino
