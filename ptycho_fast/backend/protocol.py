"""What a backend is, and what a gate is: modules with these functions."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from ptycho_fast.backend.records import Array, Boundary, Counting, Exposure, Sink


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and how it likes its work.

    Attributes
    ----------
    on_gpu : bool
        Whether it works on a GPU, and takes CuPy arrays.
    narrow : bool
        Whether it writes counts as uint16, with 65535 for larger ones.
    chunk_pixels : int
        Pixels of patterns that are worth a call of their own, in a run that is made in pieces.
    lacks : tuple of str
        What its kernels do not have, in words for a user, and what is done about it.
    """

    on_gpu: bool = False
    narrow: bool = False
    chunk_pixels: int = 2**20
    lacks: tuple[str, ...] = ()


class Series(Protocol):
    """Makes patterns of one scan, any of them in any call, from any thread.

    What they share is prepared once, and may be in other memory.
    """

    def __call__(self, chosen: Array, numbers: Array, sink: Sink, threads: int) -> None:
        """Write patterns of the scan to the sink.

        Parameters
        ----------
        chosen : (n,) int64
            Which ones, from 0.
        numbers : (n,) uint64
            The pattern numbers that decide their photons.
        sink : Sink
            Of n patterns.
        threads : int
            Threads over patterns.
        """


class Backend(Protocol):
    """The stages on one kind of machine. Arguments are trusted: the gate has checked them."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""

    def why_not(self) -> str:
        """Empty if the backend can be used; else the reason and the remedy."""

    def first_call(self) -> str:
        """Why the first call will take long, in words for a user; empty if it will not."""

    def place(self, device: int | None) -> AbstractContextManager[object]:
        """Within it, work goes to the GPU of that number; None: to the current one.

        Raises
        ------
        ValueError
            There is no such GPU.
        """

    def resident(self, array: Array) -> Array:
        """The array where this backend reads it best: on the GPU, or as it is."""

    def patches(
        self, object: Array, positions: Array, boundary: Boundary, out: Array, threads: int
    ) -> None:
        """Write the (B, N, N) complex64 patches of an object (H, W) at (B, 2) to `out`."""

    def frames(
        self, exposure: Exposure, counting: Counting | None, sink: Sink, threads: int
    ) -> None:
        """Write patterns to the sink; `counting` may be None for intensities before dose."""

    def series(self, exposure: Exposure, counting: Counting) -> Series:
        """What makes any patterns of a scan; the arrays must not change any more.

        Parameters
        ----------
        exposure : Exposure
            Of all patterns.
        counting : Counting
            Of all patterns, without indices: each call has its own.
        """

    def photons(self, rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
        """Write photon counts of expected photons (B, N, N), float32 or float64."""


class Gate(Protocol):
    """Checks arrays of one kind (NumPy or CuPy) and returns what the kernels take.

    Functions raise TypeError or ValueError that name the argument.
    """

    @property
    def on_gpu(self) -> bool:
        """Whether the arrays are on a GPU; their values are then not checked."""

    def as_object(self, obj: Any) -> Array:
        """Object (H, W) complex64."""

    def as_slices(self, obj: Any) -> Array:
        """Object (H, W) or (L, H, W), as (L, H, W) complex64."""

    def as_probe(self, probe: Any) -> Array:
        """Probe (N, N) or (M, N, N), as (M, N, N) complex64."""

    def as_positions(self, positions: Any) -> Array:
        """Positions (B, 2) float64, ``[x, y]`` in object pixels."""

    def as_paths(self, positions: Any) -> Array:
        """Positions (B, 2) or (B, S, 2), as (B, S, 2) float64."""

    def as_numbers(
        self, value: Any, name: str, dtype: npt.DTypeLike, shape: tuple[int | str, ...]
    ) -> Array:
        """An array of that type and shape; a length that is a word, not a number, is free."""

    def as_rates(self, expected: Any) -> Array:
        """Expected photons (B, N, N), float32 or float64."""

    def as_indices(self, value: Any, name: str, count: int) -> Array:
        """Pattern numbers (count,) uint64, from an integer (the first) or an array."""

    def empty_aligned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Uninitialised C-contiguous array that starts at a multiple of 64 bytes."""

    def output(
        self, out: Any, shape: tuple[int, ...], dtype: npt.DTypeLike, inputs: tuple[Array, ...]
    ) -> Array:
        """The caller's `out`, or a new array."""
