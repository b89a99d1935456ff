"""The compiled kernels: one pattern at a time in cache, threads over patterns, GIL released."""

import os
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..build import __version__

Array = Any  # NumPy's; the backend "cuda" takes CuPy's too


class Exposure(NamedTuple):
    """Object (H, W), probe (M, N, N), positions (B, 2)."""

    object: Array
    probe: Array
    positions: Array


class Counting(NamedTuple):
    """Scale s, seed, and the pattern numbers (B,) uint64."""

    scale: float
    seed: int
    indices: Array


class Sink(NamedTuple):
    """Array and kind of the result: "intensity", "expected", "counts" or "amplitude"."""

    array: Array
    kind: str


def core() -> ModuleType:
    """The extension module; ImportError where it was not built."""
    from ptycho_fast import _core

    return _core


def why_not() -> str:
    """Empty where the extension can be used, else the reason and the remedy."""
    try:
        version = core().build_facts()["version"]
    except ImportError as error:
        return (
            f"the compiled extension cannot be imported ({error}); install a C++17 compiler, GCC "
            "or Clang, and reinstall with PTYCHO_FAST_NATIVE=ON to see what fails"
        )
    if version != __version__:
        return f"the compiled extension is of version {version}, not {__version__}; reinstall"
    return ""


def _isa() -> str:
    return os.environ.get("PTYCHO_FAST_ISA", "")


def patches(obj: Array, positions: Array, out: Array, threads: int) -> None:
    """Patches of the object at the positions."""
    core().patches(obj, positions, out, threads, _isa())


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """Intensities, expected photons, counts or amplitudes of the patterns of an exposure."""
    core().frames(exposure, counting, sink, threads, _isa())


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """Counts or amplitudes of given expected photons."""
    core().photons(rates, counting, sink, threads, _isa())


# --- the functions of `ptycho_fast.stages`, in terms of these three ---

extract_patches = patches


def diffract(obj: Array, probe: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.diffract`."""
    frames(Exposure(obj, probe, positions), None, Sink(out, "intensity"), threads)


def sample_photons(expected: Array, seed: int, first_index: int, out: Array, threads: int) -> None:
    """See `ptycho_fast.sample_photons`."""
    photons(expected, counting(1.0, seed, first_index, out), Sink(out, "counts"), threads)


def observe(
    obj: Array,
    probe: Array,
    positions: Array,
    scale: float,
    seed: int,
    first_index: int,
    out: Array,
    threads: int,
) -> None:
    """See `ptycho_fast.observe`."""
    how = counting(scale, seed, first_index, out)
    frames(Exposure(obj, probe, positions), how, counted_sink(out), threads)


def counting(scale: float, seed: int, first_index: int, out: Array) -> Counting:
    """Counting of successive patterns."""
    return Counting(scale, seed, np.uint64(first_index) + np.arange(len(out), dtype=np.uint64))


def counted_sink(out: Array) -> Sink:
    """Counts or amplitudes, by the type of `out`."""
    return Sink(out, "amplitude" if out.dtype == np.float32 else "counts")
