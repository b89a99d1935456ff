"""The best that a user could assemble from libraries: numba kernels around each library's FFT."""

import contextlib
import importlib
import os
import time
from collections.abc import Callable

# Intel's threads wait for work in a loop, by default for 0.2 s after the last: the next contender
# would be timed on what they leave. Read when MKL is loaded, so it is set first.
os.environ.setdefault("KMP_BLOCKTIME", "1")

import numpy as np

from bench import library_kernels as kernels
from bench.pipeline import Array, Pipeline
from bench.samplers import LIBRARIES, Sampler, make_samplers
from ptycho_fast.backend.host_arrays import empty_aligned

Transform = Callable[[], Array]  # of the waves it was planned for; may overwrite them


def _scipy(waves: Array, threads: int) -> Transform:
    import scipy.fft

    return lambda: scipy.fft.fft2(waves, overwrite_x=True, workers=threads)


def _mkl(waves: Array, threads: int) -> Transform:
    import mkl_fft
    import threadpoolctl  # noqa: F401 - the only way to set MKL's threads

    return lambda: mkl_fft.fft2(waves, out=waves)


def _pyfftw(waves: Array, threads: int) -> Transform:
    import pyfftw

    plan = pyfftw.FFTW(waves, waves, axes=(-2, -1), threads=threads, flags=("FFTW_MEASURE",))
    return lambda: plan()


def _torch(waves: Array, threads: int) -> Transform:
    import torch

    source = torch.from_numpy(waves)
    result = torch.empty_like(source)

    def transform() -> Array:
        torch.fft.fft2(source, out=result)
        return result.numpy()

    return transform


# FFTW comes before MKL: MKL exports functions of FFTW's names, and who is loaded first is called.
FFTS = {"SciPy": _scipy, "FFTW": _pyfftw, "MKL": _mkl, "PyTorch": _torch}


def limit_threads(threads: int) -> None:
    """Let numba, and the libraries that are there, use so many threads."""
    import numba

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    for module, function in (("torch", "set_num_threads"), ("threadpoolctl", "threadpool_limits")):
        with contextlib.suppress(ImportError):
            getattr(importlib.import_module(module), function)(threads)


class LibraryPipeline(Pipeline):
    """numba for all but the FFT; photons by the fastest of the samplers of numba, NumPy, MKL."""

    kind = "library"

    def __init__(self, obj: Array, probe: Array, threads: int, fft: str) -> None:
        super().__init__(obj, probe, threads)
        self.reals = obj.view(np.float32)
        self.patches = empty_aligned((self.chunk, self.N, self.N), np.complex64)
        self.waves = empty_aligned((self.chunk, *probe.shape), np.complex64)
        self.waves[...] = 0
        self.transform = FFTS[fft](self.waves, threads)
        self.samplers, _ = make_samplers(threads, LIBRARIES)
        self.sampler: Sampler = kernels.poisson

    def extract_patches(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`."""
        kernels.extract_patches(self.reals, positions, out.view(np.float32))
        return out

    def diffract(self, positions: Array, out: Array) -> Array:
        """See `Pipeline`; a plan is for a whole chunk, so the last one of a batch may do more."""
        for part in self.parts(len(positions)):
            n = part.stop - part.start
            kernels.exit_waves(
                self.reals, self.probe, positions[part], self.patches[:n], self.waves[:n]
            )
            kernels.intensity(self.transform()[:n], out[part])
        return out

    def sample_photons(self, rates: Array, out: Array) -> Array:
        """See `Pipeline`."""
        self.sampler(rates, out)
        return out

    def tune(self, rates: Array, out: Array) -> str:
        """The fastest sampler for such rates, on up to a chunk of them."""
        rates, out = rates[: self.chunk], out[: self.chunk]
        best = {}
        for name, sampler in self.samplers.items():
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                sampler(rates, out)
                seconds.append(time.perf_counter() - start)
            best[name] = min(seconds)
        name = min(best, key=best.__getitem__)
        self.sampler = self.samplers[name]
        return name
