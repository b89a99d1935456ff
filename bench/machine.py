"""What the machine is, and what it could do at best."""

import contextlib
import datetime
import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

import ptycho_fast
from ptycho_fast.machine import disturbances
from ptycho_fast.threads import thread_count

STEPS = 3840  # multiply-adds on each element
LINKS = (2, 3, 4, 5, 6, 8)  # of which STEPS is a multiple
# What runs beside this project, as pip calls it, and what is restated from its description.
PACKAGES = (
    "numpy", "scipy", "numba", "h5py", "pyfftw", "mkl_fft", "mkl-random", "mkl", "threadpoolctl",
    "torch",
)  # fmt: skip
RESTATED = {"ptychodus": "1.7.0", "ptycho-fm": "repository of November 2026"}


def _chain(links: int) -> Callable[..., None]:
    """STEPS multiply-adds on each element, `links` for each load and store.

    The compiler makes vectors of elements. Few links are held up by loads and stores, many by the
    time one operation waits for another; which is best depends on the processor.
    """

    def chain(x):  # type: ignore[no-untyped-def]
        a, b = np.float32(0.999), np.float32(0.001)
        for _ in range(STEPS // links):
            for i in range(x.size):
                y = x[i]
                for _ in range(links):
                    y = y * a + b
                x[i] = y

    return chain


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the last processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    parts = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in parts}


def processor() -> str:
    """Model of the processor, as the system calls it."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def family() -> str:
    """Its maker, family and model: which generation it is, where the system hides its name."""
    facts = _cpuinfo()
    wanted = {"vendor_id": "", "cpu family": "family ", "model": "model "}
    return ", ".join(word + facts[name] for name, word in wanted.items() if name in facts)


def caches() -> dict[str, str]:
    """Size of each data cache of the first processor."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        facts = {key: (index / key).read_text().strip() for key in ("level", "type", "size")}
        if facts["type"] != "Instruction":
            sizes["L" + facts["level"]] = facts["size"]
    return sizes


def describe() -> dict[str, Any]:
    """Processor, caches, versions, compiler and flags; nothing that names the machine."""
    build = ptycho_fast.build_info()
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": processor(),
        "family": family(),
        "processors": os.cpu_count(),
        "cores": thread_count(None),
        "caches": caches(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
        "restated": RESTATED,
        "build": {key: value for key, value in build.items() if key not in ("platform", "python")},
        "date": datetime.date.today().isoformat(),
    }


class Watch:
    """What a run happened on: the machine, its load, and what disturbed it. It waits for nothing.

    Parameters
    ----------
    say : callable
        Takes a line: a warning where the machine is busy.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say, self.machine = say, describe()
        self.busy: list[str] = []
        self.before = self._look("before the run", 0.0)
        self.start, self.cpu = time.perf_counter(), _cpu_seconds()

    def _look(self, when: str, own: float) -> list[float]:
        signs = [f"{when}: {sign}" for sign in disturbances(own)]
        self.busy += signs
        for sign in signs:
            self.say(f"the machine is busy, {sign}")
        return [round(x, 2) for x in os.getloadavg()]

    def end(self) -> dict[str, Any]:
        """Say how long it took, and tell what belongs into every kept file.

        Returns
        -------
        dict
            ``machine``; ``load_average``: processes that wanted a processor over the last 1, 5 and
            15 minutes, before and after; ``busy``: the warnings; ``seconds``.
        """
        seconds = time.perf_counter() - self.start
        mine = (_cpu_seconds() - self.cpu) / seconds  # processors, on the average
        own = mine * -math.expm1(-seconds / 60)  # what is in the last minute's average
        after = self._look("after the run", own)
        self.say(f"{seconds:.0f} s; load average {self.before[0]} before, {after[0]} after")
        return {
            "machine": self.machine,
            "load_average": {"before": self.before, "after": after},
            "busy": self.busy,
            "seconds": seconds,
        }


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    return sum(os.times()[:4])


def disk_seconds(path: Path, size: int) -> float:
    """Seconds to write and sync so many bytes that no file system can shorten; they are removed."""
    data = np.random.default_rng(0).bytes(2**24)
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for first in range(0, size, len(data)):
            file.write(data[: size - first])
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def _fastest(work: Callable[[], Any], times: int) -> float:
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def copy_gb_s(size: int) -> float:
    """Bytes read and bytes written a nanosecond by copies of so many bytes, one thread, the best.

    What fits into a cache is copied faster than what does not, so a limit is measured with as many
    bytes as the work has that it is for.
    """
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    return 2e-9 * size / _fastest(lambda: np.copyto(target, source), max(7, 2**28 // size))


def peaks() -> dict[str, float]:
    """Best of several measurements on one thread.

    Returns
    -------
    dict
        ``copy_gb_s``: bytes read and bytes written by a large copy; ``gflop_s``: float32 multiplies
        and adds that are not contracted, as in the kernels of this project; ``fma_gflop_s``: the
        same loop, contracted.
    """
    few = np.ones(1024, np.float32)  # stays in the nearest cache

    def arithmetic(fastmath: Any) -> float:
        chains = [njit(fastmath=fastmath)(_chain(links)) for links in LINKS]
        return 2e-9 * STEPS * few.size / min(_fastest(lambda c=c: c(few), 50) for c in chains)

    return {
        "copy_gb_s": copy_gb_s(2**26),
        "gflop_s": arithmetic(False),
        "fma_gflop_s": arithmetic({"contract"}),
    }
