"""The fallback without a compiler: numba kernels and SciPy's FFT, one pattern at a time.

Kernels are serial and hold no GIL; the threads are this module's own and live for one call. So
results cannot depend on how patterns are batched, and callers may come from many threads at once.
Every kernel repeats the operations of ``csrc/`` in float32.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def why_not() -> str:
    """Empty where numba can be used, else the reason and the remedy."""
    try:
        _kernels()
    except Exception as error:  # a broken numba or llvmlite raises whatever it likes
        return f"numba cannot be imported ({error}); reinstall it with 'pip install numba'"
    return ""


@functools.cache
def _kernels() -> ModuleType:
    from . import numba_kernels

    return numba_kernels


def _for_each_pattern(n_patterns: int, threads: int, work: Callable[[int], Any]) -> None:
    if threads == 1 or n_patterns == 1:
        for b in range(n_patterns):
            work(b)
        return
    with ThreadPoolExecutor(min(threads, n_patterns)) as pool:
        for _ in pool.map(work, range(n_patterns)):
            pass


def _intensity(obj: Array, probe: Array, position: Array, out: Array) -> None:
    import scipy.fft

    waves = np.empty_like(probe)
    _kernels().exit_waves(obj, probe, position[0], position[1], waves)
    _kernels().intensity(scipy.fft.fft2(waves, overwrite_x=True, workers=1), out)


def extract_patches(obj: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.extract_patches`."""
    extract = _kernels().patch
    _for_each_pattern(
        len(positions), threads, lambda b: extract(obj, positions[b, 0], positions[b, 1], out[b])
    )


def diffract(obj: Array, probe: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.diffract`."""
    _for_each_pattern(
        len(positions), threads, lambda b: _intensity(obj, probe, positions[b], out[b])
    )


def sample_photons(expected: Array, seed: int, first_index: int, out: Array, threads: int) -> int:
    """See `ptycho_fast.sample_photons`; flat index of the first bad rate, or -1."""
    kernels = _kernels()
    rates, counts = expected.reshape(len(expected), -1), out.reshape(len(out), -1)
    bad = int(kernels.first_bad_rate(expected.reshape(-1)))
    if bad < 0:
        _for_each_pattern(
            len(rates),
            threads,
            lambda b: kernels.poisson_counts(
                rates[b], counts[b], np.uint64(seed), np.uint64(first_index + b)
            ),
        )
    return bad


def observe(
    obj: Array,
    probe: Array,
    positions: Array,
    scale: float,
    seed: int,
    first_index: int,
    out: Array,
    threads: int,
) -> int:
    """See `ptycho_fast.observe`; flat index of the first bad rate, or -1."""
    kernels = _kernels()
    bad = np.full(len(positions), -1)

    def one_pattern(b: int) -> None:
        rates = np.empty(probe.shape[1:], np.float32)
        _intensity(obj, probe, positions[b], rates)
        rates *= np.float32(scale**2)
        bad[b] = kernels.first_bad_rate(rates.reshape(-1))
        if bad[b] >= 0:
            return
        counts = np.empty(rates.shape, np.uint32) if out.dtype == np.float32 else out[b]
        kernels.poisson_counts(
            rates.reshape(-1), counts.reshape(-1), np.uint64(seed), np.uint64(first_index + b)
        )
        if out.dtype == np.float32:
            kernels.amplitude(counts, scale, out[b])

    _for_each_pattern(len(positions), threads, one_pattern)
    first = int(np.argmax(bad >= 0))
    return first * probe.shape[-1] ** 2 + int(bad[first]) if bad[first] >= 0 else -1
