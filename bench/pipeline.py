"""What every contender of the benchmark does, and how it goes through a batch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CHUNK = 2**15  # pixels of all modes at a time for each thread: workspaces that stay in cache


class Pipeline(ABC):
    """A way to simulate; subclasses say how. Results go to `out` where the way allows it.

    Parameters
    ----------
    obj : (H, W) complex64
        Object; patches lie within it.
    probe : (M, N, N) complex64
        Probe modes.
    threads : int
        Threads that it may use.
    """

    kind = ""  # "numpy", "library", "translate", "loop" or "ptycho_fast"
    whole_pixels = False  # whether its answer is the others' only there
    slow = False  # by orders of magnitude: timed on few patterns, in few rounds

    def __init__(self, obj: Array, probe: Array, threads: int = 1) -> None:
        self.obj, self.probe, self.threads = obj, probe, threads
        self.N = probe.shape[-1]
        self.chunk = max(1, CHUNK * threads // probe.size)
        self.rates = np.empty((self.chunk, self.N, self.N), np.float32)

    def parts(self, n_patterns: int) -> Iterator[slice]:
        """The batch in chunks."""
        for first in range(0, n_patterns, self.chunk):
            yield slice(first, min(first + self.chunk, n_patterns))

    @abstractmethod
    def extract_patches(self, positions: Array, out: Array) -> Array:
        """(B, N, N) complex64 patches of the object."""

    @abstractmethod
    def diffract(self, positions: Array, out: Array) -> Array:
        """(B, N, N) float32 intensities."""

    @abstractmethod
    def sample_photons(self, rates: Array, out: Array) -> Array:
        """(B, N, N) uint32 counts."""

    def observe(self, positions: Array, scale: float, out: Array) -> Array:
        """(B, N, N) uint32 counts of positions: a chunk goes through all stages in cache."""
        for part in self.parts(len(positions)):
            rates = self.rates[: part.stop - part.start]
            self.diffract(positions[part], rates)
            rates *= np.float32(scale**2)
            self.sample_photons(rates, out[part])
        return out

    def tune(self, rates: Array, out: Array) -> str:
        """Settle, before it is timed, what is best for such rates; says what was settled."""
        return ""
