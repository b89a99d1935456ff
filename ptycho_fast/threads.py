"""How many threads a call takes."""

import functools
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptycho_fast import checks

MOST_THREADS = 1024

# Pixels of waves that take about as long as starting a thread and filling its cache; docs/speed.md.
_WORTH_A_THREAD = 2**16


def _asked_for() -> int | None:
    """The environment's wish; OMP_NUM_THREADS may be a list, one number for each nesting level."""
    for variable in ("PTYCHO_FAST_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if text:
            try:
                return checks.integer(int(text), variable, 1, MOST_THREADS)
            except ValueError:
                raise ValueError(
                    f"{variable}: {text!r} given, expected an integer from 1 to {MOST_THREADS}"
                ) from None
    return None


@functools.cache
def _quota() -> int:
    """Processors that the control group grants; it does not change in a process's life."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such group, or "max": no quota
        return MOST_THREADS


def _granted() -> int:
    """Processors that this process may use: its affinity, and its control group's quota."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return min(processors, _quota())


def thread_count(threads: int | None) -> int:
    """`threads` as given, or by default PTYCHO_FAST_THREADS, OMP_NUM_THREADS, or all processors.

    Raises
    ------
    TypeError, ValueError
        `threads` or the environment variable is not an integer of at least 1.
    """
    if threads is None:
        return _asked_for() or _granted()
    return checks.integer(threads, "threads", 1, MOST_THREADS)


class _Busy:
    """Threads at work in this process, so that calls at the same time share the processors."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


_busy = _Busy()
if hasattr(os, "register_at_fork"):  # a child starts with one thread, whatever its parent was doing
    os.register_at_fork(after_in_child=_busy.reset)


@contextmanager
def granted(threads: int | None, n_pixels: int) -> Iterator[int]:
    """Threads for one call: as many as asked for, or by default those that no other call has.

    By default no more than help with `n_pixels`, those of all patterns, times the probe's modes.

    Raises
    ------
    TypeError, ValueError
        As `thread_count`.
    """
    count = thread_count(threads)
    with _busy.lock:
        if threads is None:
            count = max(1, min(count - _busy.count, n_pixels // _WORTH_A_THREAD))
        _busy.count += count
    try:
        yield count
    finally:
        with _busy.lock:
            _busy.count -= count
