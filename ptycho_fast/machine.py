"""What this process may still take of the machine's memory, and what else the machine does."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

QUIET_LOAD = 0.5  # processes of others that want a processor
STEADY = 1.15  # times its own minimum that a loop takes on a quiet machine, at most
_LOOPS = 1000  # of a tenth of a millisecond: together as long as some slices of the scheduler


def disturbances(
    own: float = 0.0,
    *,
    load: Callable[[], Sequence[float]] = os.getloadavg,
    clock: Callable[[], float] = time.perf_counter,
) -> list[str]:
    """What would disturb a measurement of time now. It takes a tenth of a second.

    Parameters
    ----------
    own : float
        Processors that this process itself kept busy during the last minute.
    load : callable
        Processes that wanted a processor, on the average over the last minute first.
    clock : callable
        Seconds.

    Returns
    -------
    list of str
        A sentence for each sign: the load of others is above `QUIET_LOAD`, or a loop takes more
        than `STEADY` times its own minimum, on the average over 1000 of them. Empty on a quiet
        machine.

    Examples
    --------
    >>> ticks = iter(range(10_000))
    >>> disturbances(load=lambda: (2.25, 1.0, 1.0), clock=lambda: next(ticks))
    ['other processes want 2.2 processors, on the average over the last minute']
    """
    found = []
    others = load()[0] - own
    if others > QUIET_LOAD:
        found.append(
            f"other processes want {others:.1f} processors, on the average over the last minute"
        )
    times = _slowness(clock)
    if times > STEADY:
        found.append(f"a loop takes {times:.2f} times its own minimum")
    return found


def _slowness(clock: Callable[[], float]) -> float:
    """Mean over minimum of the times of one loop; the first tenth of them warms up.

    The mean, as a process that shares its processor is stopped seldom and then for long.
    """
    x, seconds = np.full(2**13, 2.0), []
    for _ in range(_LOOPS):
        start = clock()
        for _ in range(5):
            np.sqrt(x, out=x)
            np.square(x, out=x)
        seconds.append(clock() - start)
    kept = seconds[_LOOPS // 10 :]
    return sum(kept) / len(kept) / min(kept)


def memory_available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process can still get without swapping.

    Parameters
    ----------
    root : Path
        Folder that holds ``proc`` and ``sys``.

    Returns
    -------
    int or None
        The smaller of what the machine has and what the control groups of the process (those of a
        container, a batch job or a systemd unit) still allow. None where the system does not say.
    """
    return min(_bounds(root), default=None)


def _bounds(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _groups(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            files = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from _groups(root / "sys/fs/cgroup/memory", path, *files)


def _groups(top: Path, path: str, limit: str, usage: str) -> Iterator[int]:
    """What the group of that path and those above it still allow.

    A container may see its own group as the top and still be told the path from outside.
    """
    group = Path(path.lstrip("/"))
    for folder in {top, *(top / part for part in (group, *group.parents))}:
        try:
            allowed, used = (int((folder / name).read_text()) for name in (limit, usage))
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        cached = 0  # pages of files that the kernel drops when memory is needed
        for line in _lines(folder / "memory.stat"):
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                cached = max(cached, int(value))
        yield max(0, allowed - used + cached)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
