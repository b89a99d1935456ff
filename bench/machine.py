"""What the machine is, and what it could do at best."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

import ptycho_fast

STEPS = 4096  # multiply-adds on each element


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


def processor() -> str:
    """Model of the processor, as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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
    for name in ("numpy", "scipy", "numba", "pyfftw", "mkl_fft", "mkl", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "caches": caches(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
        "build": {key: value for key, value in build.items() if key not in ("platform", "python")},
        "date": datetime.date.today().isoformat(),
    }


def load_average() -> list[float]:
    """Processes that wanted a processor, over the last 1, 5 and 15 minutes."""
    return [round(x, 2) for x in os.getloadavg()]


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


def peaks() -> dict[str, float]:
    """Best of several measurements on one thread.

    Returns
    -------
    dict
        ``copy_gb_s``: bytes read and bytes written by a large copy; ``gflop_s``: float32 multiplies
        and adds that are not contracted, as in the kernels of this project; ``fma_gflop_s``: the
        same loop, contracted.
    """
    source, target = np.ones(2**24, np.float32), np.ones(2**24, np.float32)
    few = np.ones(1024, np.float32)  # stays in the nearest cache

    def fastest(work: Callable[[], Any]) -> float:
        work()
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def arithmetic(fastmath: Any) -> float:
        chains = [njit(fastmath=fastmath)(_chain(links)) for links in (4, 8)]
        return 2e-9 * STEPS * few.size / min(fastest(lambda c=c: c(few)) for c in chains)

    return {
        "copy_gb_s": 2e-9 * source.nbytes / fastest(lambda: np.copyto(target, source)),
        "gflop_s": arithmetic(False),
        "fma_gflop_s": arithmetic({"contract"}),
    }
