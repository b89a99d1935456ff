"""Threads: forks, other libraries' pools, and the limits that a process is given."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cases
import numpy as np
import pytest

import ptycho_fast
from ptycho_fast.backend import choose
from ptycho_fast.threads import thread_count


def counts(backend):
    obj, probe, positions = cases.Case(32).inputs()
    return ptycho_fast.observe(
        obj, probe, positions, scale=2.0, seed=1, backend=backend, threads=2
    ).tobytes()


def _child(backend, pipe):
    pipe.send_bytes(counts(backend))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_after_a_fork(fast_backend):
    """A child made after threads have run gets the same bits."""
    before = counts(fast_backend)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(fast_backend, there))
    child.start()
    assert here.poll(300)
    assert here.recv_bytes() == before
    child.join()
    assert child.exitcode == 0


@pytest.mark.native
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system lists no threads")
def test_threads_are_used_again_and_end():
    """Threads wait for the next call; nothing stays that could fight with another library's."""

    def wait_for(most):
        end = time.monotonic() + 120
        while len(os.listdir("/proc/self/task")) > most:
            assert time.monotonic() < end, "helpers of earlier calls have not ended"
            time.sleep(0.05)

    before = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        counts("native")
    assert len(os.listdir("/proc/self/task")) <= before + 1
    wait_for(before)


@pytest.mark.native
def test_many_callers_at_once():
    """Each gets its own bits, whoever helps it."""
    obj, probe, positions = cases.Case(32).inputs()
    more = np.tile(positions, (8, 1))

    def made(k):
        part = more[: 1 + k % len(more)]
        return ptycho_fast.diffract(obj, probe, part, threads=1 + k % 5, backend="native")

    alone = ptycho_fast.diffract(obj, probe, more, threads=1, backend="native")
    with ThreadPoolExecutor(6) as pool:
        for result in pool.map(made, range(200)):
            np.testing.assert_array_equal(result, alone[: len(result)])


@pytest.mark.native
def test_a_process_ends_while_threads_wait():
    code = "import test_threads; test_threads.counts('native')"
    here = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(cases.__file__)])
    path = os.pathsep.join([here, *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_affinity_is_respected(monkeypatch):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no processor affinity")
    for variable in ("PTYCHO_FAST_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from ptycho_fast.threads import thread_count; print(thread_count(None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert 1 <= thread_count(None) <= len(os.sched_getaffinity(0))


def test_calls_at_the_same_time_share_the_processors(monkeypatch):
    from ptycho_fast.threads import granted

    monkeypatch.setenv("PTYCHO_FAST_THREADS", "4")
    many = 2**20  # pixels
    with granted(None, many) as first, granted(None, many) as second, granted(3, many) as third:
        assert (first, second, third) == (4, 1, 3)
    with granted(None, many) as alone:
        assert alone == 4
    with granted(3, many), granted(None, many) as rest:
        assert rest == 1


def test_a_small_call_takes_few_threads(monkeypatch):
    """More threads would not end it earlier. A number that is given is taken."""
    from ptycho_fast.threads import WORTH_TWO_THREADS, granted

    monkeypatch.setenv("PTYCHO_FAST_THREADS", "4")
    for n_patterns, expected in ((1, 1), (31, 1), (32, 2), (64, 4), (1000, 4)):
        with granted(None, n_patterns * 64**2) as threads:
            assert threads == expected
    with granted(3, 64**2) as threads:
        assert threads == 3
    for n_pixels, expected in ((WORTH_TWO_THREADS - 1, 1), (WORTH_TWO_THREADS, 2)):
        with granted(None, n_pixels) as threads:
            assert threads == expected


@pytest.mark.parametrize("modes", [1, 4])
def test_modes_are_work(monkeypatch, modes):
    """Eight patterns of 64 x 64 are worth one thread, with four modes two."""
    obj, probe, positions = cases.Case(64, modes).inputs()
    given = []
    backend = choose("reference")[1]
    monkeypatch.setenv("PTYCHO_FAST_THREADS", "4")
    monkeypatch.setattr(backend, "frames", lambda *arguments: given.append(arguments[-1]))
    ptycho_fast.diffract(obj, probe, positions[:8], backend="reference")
    ptycho_fast.observe(obj, probe, positions[:8], scale=0.1, seed=1, backend="reference")
    assert given == [max(1, modes // 2)] * 2


def test_more_threads_than_patterns(fast_backend):
    obj, probe, positions = cases.Case(32).inputs()
    one = ptycho_fast.diffract(obj, probe, positions[:1], threads=1, backend=fast_backend)
    many = ptycho_fast.diffract(obj, probe, positions[:1], threads=64, backend=fast_backend)
    np.testing.assert_array_equal(one, many)


@pytest.mark.native  # numba's threads say that the interpreter ends
def test_the_process_ends_while_a_daemon_thread_makes_patterns():
    code = (
        "import sys, threading, ptycho_fast\n"
        "make = ptycho_fast.Simulator('gs2_ideal', backend='native', threads=2).frames\n"
        "made = threading.Event()\n"
        "def for_ever():\n"
        "    while True:\n"
        "        make(0, 256)\n"
        "        made.set()\n"
        "for _ in range(4):\n"
        "    threading.Thread(target=for_ever, daemon=True).start()\n"
        "made.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
