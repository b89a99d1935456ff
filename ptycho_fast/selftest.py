"""A look at the kernels themselves: whether their bits are right, and how fast they are here.

Everything is made of integers, so that no library has a say in the answer.
"""

import hashlib
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend import choose, native, require_device
from ptycho_fast.backend.records import Counting, Exposure, Sink, SinkKind
from ptycho_fast.threads import granted

GOLDEN = "6f29c06ff8e5a8903aa10755fa70c8e7db8475a35b9ce6ea64f9420b2913e76f"
"""SHA-256 of the counts of `exposure` (64, 64) as in `bits`, the same everywhere."""

_CHECKED = 4  # patterns that are compared with the definition
_CLOSE = 1e-5  # relative to the brightest pixel; the promise is 1e-6 of the energy
_PIXELS = 2**22  # of a batch that is timed, about


def exposure(N: int, n_patterns: int) -> Exposure:
    """A small experiment of integers over powers of two.

    Parameters
    ----------
    N : int
        Side of a pattern, pixels.
    n_patterns : int
        Number of patterns.

    Examples
    --------
    >>> exposure(64, 5).shape
    (5, 64, 64)
    """
    side = N + 64
    y, x = np.mgrid[:side, :side]
    obj = (64 + x * y % 61 + 1j * ((3 * x + 5 * y) % 53)) / 128
    v, u = np.mgrid[:N, :N] - N // 2
    inside = (u * u + v * v) * 16 < N * N
    probe = np.where(inside, (96 + u * v % 31 + 1j * ((u * u + v * v) % 29)) / 128, 0)
    b = np.arange(n_patterns)
    at = N // 2 + np.stack([b * 37 % 509, b * 101 % 499], axis=1) / 8
    return Exposure(
        object=np.ascontiguousarray(obj[np.newaxis], np.complex64),
        probe=np.ascontiguousarray(probe[np.newaxis], np.complex64),
        positions=np.ascontiguousarray(at[:, np.newaxis], np.float64),
    )


def bits(isa: str = "") -> str:
    """SHA-256 of 64 patterns of 64 x 64 photon counts by the backend "native".

    Parameters
    ----------
    isa : str
        Instruction set; by default the best one.

    Returns
    -------
    str
        `GOLDEN`, if all is well.

    Raises
    ------
    ImportError
        There is no compiled extension.
    ValueError
        There is no such instruction set.
    """
    patterns = exposure(64, 64)
    out = np.empty(patterns.shape, np.uint32)
    native.core().frames(patterns, _counting(64), Sink(out, "counts"), 1, isa)
    return hashlib.sha256(out.astype("<u4").tobytes()).hexdigest()


def rate(
    N: int,
    *,
    noise: bool = True,
    backend: str = "auto",
    device: int | None = None,
    threads: int | None = None,
    seconds: float = 0.3,
) -> float:
    """Patterns per second of the kernels on this machine, after their answer was checked.

    Parameters
    ----------
    N : int
        Side of a pattern, pixels, one probe mode.
    noise : bool
        Whether photons are counted, some millions in a pattern.
    backend, device, threads
        As for `ptycho_fast.observe`.
    seconds : float
        How long to measure, about. The best of several batches counts.

    Returns
    -------
    float
        Patterns per second, from arrays to arrays in memory.

    Raises
    ------
    RuntimeError
        The answer is wrong, or the backend is not available.
    """
    name, chosen = choose(backend)
    device = require_device(device, chosen)
    with chosen.place(device):
        _check(chosen, N, name)
        batch = max(1, _PIXELS // N**2)
        patterns, how = exposure(N, batch), _counting(batch) if noise else None
        kind: SinkKind = "counts" if noise else "intensity"
        out = Sink(np.empty(patterns.shape, np.uint32 if noise else np.float32), kind)
        best, end = 0.0, time.perf_counter() + seconds
        with granted(threads, patterns.n_pixels) as n_threads:
            chosen.frames(patterns, how, out, n_threads)  # pages, tables, kernels
            while best == 0.0 or time.perf_counter() < end:
                start = time.perf_counter()
                chosen.frames(patterns, how, out, n_threads)
                best = max(best, batch / (time.perf_counter() - start))
    return best


def _counting(n_patterns: int) -> Counting:
    return Counting(scale=32.0, seed=42, indices=np.arange(n_patterns, dtype=np.uint64))


def _check(backend: Any, N: int, name: str) -> None:
    """Compare some patterns with the definition."""
    few = exposure(N, _CHECKED)
    made: list[npt.NDArray[np.float32]] = []
    for one in (backend, choose("reference")[1]):
        made.append(np.empty(few.shape, np.float32))
        one.frames(few, None, Sink(made[-1], "intensity"), 1)
    found, right = made
    if not np.allclose(found, right, rtol=0, atol=_CLOSE * float(right.max())):
        raise RuntimeError(f"{name}: wrong intensities at N = {N}; reinstall ptycho_fast")
