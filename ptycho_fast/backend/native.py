"""The compiled kernels: one pattern at a time in cache, threads over patterns, GIL released."""

import os
from types import ModuleType
from typing import Any

import numpy.typing as npt

from ptycho_fast.version import __version__

Array = npt.NDArray[Any]


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


def extract_patches(obj: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.extract_patches`."""
    core().extract_patches(obj, positions, out, threads, _isa())


def diffract(obj: Array, probe: Array, positions: Array, out: Array, threads: int) -> None:
    """See `ptycho_fast.diffract`."""
    core().diffract(obj, probe, positions, out, threads, _isa())


def sample_photons(expected: Array, seed: int, first_index: int, out: Array, threads: int) -> None:
    """See `ptycho_fast.sample_photons`."""
    core().sample_photons(expected, seed, first_index, out, threads, _isa())


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
    args = (obj, probe, positions, scale, seed, first_index, out, threads, _isa())
    core().observe(*args)
