"""Photons of other programs: who draws Poisson counts, each with streams of its own."""

import contextlib
import itertools
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench import library_kernels
from bench.pipeline import Array

Sampler = Callable[[Array, Array], object]  # rates (B, N, N) float32, and where the counts go
Stream = Callable[[Array], Array]  # counts of rates, by the numbers of one thread


def _numba(threads: int) -> Sampler:
    return library_kernels.poisson


def _numpy(threads: int) -> Sampler:
    return _by_threads([np.random.default_rng([1, t]).poisson for t in range(threads)])


def _mkl(threads: int) -> Sampler:
    """A rate for each pixel, in vectors, by the one method that MKL has for that (POISNORM)."""
    with contextlib.suppress(ImportError):  # as in library_pipelines, FFTW comes before MKL
        import pyfftw  # noqa: F401
    from mkl_random import MKLRandomState

    return _by_threads([MKLRandomState(1 + t, brng="SFMT19937").poisson for t in range(threads)])


def _ptycho_fm(threads: int) -> Sampler:
    """What the loader of ptycho-fm does to a sample, restated from its description.

    Each sample has a generator of its own, whose seed is one number plus that of the sample, so
    that a run that goes on repeats. The counts become the float32 that the network takes.
    """
    samples = itertools.count()

    def stream(rates: Array) -> Array:
        counts = np.empty_like(rates)
        for sample, rate in zip(counts, rates, strict=True):
            sample[...] = np.random.default_rng(1 + next(samples)).poisson(rate)
        return counts

    return _by_threads([stream] * threads)


def _by_threads(streams: list[Stream]) -> Sampler:
    """Patterns by turns to the streams, each on a thread; a single one stays on this thread."""

    def sample(rates: Array, out: Array) -> None:
        def work(thread: int) -> None:
            mine = slice(thread, None, len(streams))
            out[mine] = streams[thread](rates[mine])

        if len(streams) == 1:
            work(0)
            return
        with ThreadPoolExecutor(len(streams)) as pool:
            list(pool.map(work, range(len(streams))))

    return sample


LIBRARIES = ("numba poisson", "Generator.poisson", "MKL poisson")  # what pipelines choose among
_MAKERS: dict[str, Callable[[int], Sampler]] = {
    "numba poisson": _numba,
    "Generator.poisson": _numpy,
    "MKL poisson": _mkl,
    "ptycho-fm noise": _ptycho_fm,
}


def make_samplers(
    threads: int, names: Collection[str] = tuple(_MAKERS)
) -> tuple[dict[str, Sampler], dict[str, str]]:
    """Samplers by name.

    Parameters
    ----------
    threads : int
        Threads that each may use.
    names : collection of str
        Of those that are wanted; by default all.

    Returns
    -------
    there, missing : dict
        The samplers; and why the others are not there.
    """
    there, missing = {}, {}
    for name in names:
        try:
            there[name] = _MAKERS[name](threads)
        except ImportError as error:
            missing[name] = str(error)
    return there, missing
