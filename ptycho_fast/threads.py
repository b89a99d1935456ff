"""How many threads a call takes.

The limit is the argument ``threads``, or the environment (PTYCHO_FAST_THREADS, then
OMP_NUM_THREADS), or the CPUs that this process may use: its affinity and the CPU quota of its
control group. Without the argument, calls that run at the same time share this number, and a call
takes only as many threads as have enough work.
"""

import functools
import math
import os
import threading
from pathlib import Path

from ptycho_fast import checks

MOST_THREADS = 1024

# Starting a thread and filling its cache takes about as long as this many pixels of waves;
# measured in docs/speed.md.
_WORTH_A_THREAD = 2**16

# Pixels of waves from which on a call may take a second thread. A smaller one takes one, and is
# over so soon that it need not reserve it: `granted` takes as long as half of a small pattern.
WORTH_TWO_THREADS = 2 * _WORTH_A_THREAD


def _asked_for() -> int | None:
    """The environment's number; OMP_NUM_THREADS may be a list, one number per nesting level."""
    for variable in ("PTYCHO_FAST_THREADS", "OMP_NUM_THREADS"):
        if text := os.environ.get(variable, "").split(",")[0].strip():
            try:
                return checks.integer(int(text), variable, 1, MOST_THREADS)
            except ValueError:
                expected = f"an integer from 1 to {MOST_THREADS}"
                raise ValueError(checks.wrong(variable, repr(text), expected)) from None
    return None


@functools.cache
def _quota() -> int:
    """CPUs that the control group allows; read once, as it does not change while a process runs."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such group, or "max": no quota
        return MOST_THREADS


def _allowed() -> int:
    """CPUs that this process may use: the smaller of its affinity and its control group's quota."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _quota())
    return min(os.cpu_count() or 1, _quota())


def thread_count(threads: int | None) -> int:
    """The largest number of threads of a call.

    Parameters
    ----------
    threads : int, optional
        1 to `MOST_THREADS`; by default PTYCHO_FAST_THREADS, or OMP_NUM_THREADS, or all CPUs that
        this process may use.

    Raises
    ------
    TypeError, ValueError
        `threads` or the environment variable is not an integer from 1 to `MOST_THREADS`.

    Examples
    --------
    >>> thread_count(3)
    3
    """
    if threads is None:
        return _asked_for() or _allowed()
    return checks.integer(threads, "threads", 1, MOST_THREADS)


def why_so_many() -> str:
    """Where the number of `thread_count` (None) comes from, in words.

    Raises
    ------
    ValueError
        As `thread_count`.

    Examples
    --------
    >>> why_so_many() != ""
    True
    """
    if _asked_for() is not None:
        asked = os.environ.get("PTYCHO_FAST_THREADS", "").strip()
        return f"{'PTYCHO_FAST_THREADS' if asked else 'OMP_NUM_THREADS'} asks for it"
    count, cpus = _allowed(), os.cpu_count() or 1
    if count == cpus:
        return "all CPUs of the machine"
    if count == _quota():
        return f"the control group (container, job) allows as many of {cpus} CPUs"
    return f"the affinity of this process allows as many of {cpus} CPUs"


class _Busy:
    """Threads at work in this process, so that calls at the same time can share the CPUs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


_busy = _Busy()
if hasattr(os, "register_at_fork"):  # a child begins with one thread, whatever its parent ran
    os.register_at_fork(after_in_child=_busy.reset)


_here = threading.local()


def one_thread_here() -> None:
    """Calls of this Python thread take one thread each from now on.

    For threads that share a work among themselves: each is one of the CPUs that the work may use.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def asked():
    ...     with granted(None, 10**9) as n_threads:
    ...         return n_threads
    >>> with ThreadPoolExecutor(1, initializer=one_thread_here) as pool:
    ...     pool.submit(asked).result()
    1
    """
    _here.one = True


class granted:
    """Reserve threads for one call, as long as the ``with`` block lasts.

    ``with`` gives the number of threads. This is a class of its own, as it costs half of what a
    generator would: several microseconds, as long as a small pattern takes.

    Parameters
    ----------
    threads : int, optional
        This number exactly, but one after `one_thread_here`. By default the CPUs that no other call
        uses, and at most one thread for every 2**16 of `n_pixels`, but at least one.
    n_pixels : int
        The work: pixels of all patterns, times the probe's modes.

    Raises
    ------
    TypeError, ValueError
        As for `thread_count`.

    Examples
    --------
    One pattern of 64 x 64 pixels is too little work for a second thread:

    >>> with granted(None, 64 * 64) as n_threads:
    ...     n_threads
    1
    """

    __slots__ = ("_count", "_n_pixels", "_threads")

    def __init__(self, threads: int | None, n_pixels: int) -> None:
        self._threads, self._n_pixels = threads, n_pixels

    def __enter__(self) -> int:
        threads, count = self._threads, thread_count(self._threads)
        if getattr(_here, "one", False):
            count = threads = 1
        with _busy.lock:
            if threads is None:
                count = max(1, min(count - _busy.count, self._n_pixels // _WORTH_A_THREAD))
            _busy.count += count
        self._count = count
        return count

    def __exit__(self, *error: object) -> None:
        with _busy.lock:
            _busy.count -= self._count
