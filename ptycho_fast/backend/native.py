"""The compiled kernels: one pattern at a time in cache, threads over patterns, GIL released."""

import os
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import Counting, Exposure, Sink
from ptycho_fast.version import __version__

Array = npt.NDArray[Any]

capabilities = Capabilities()


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


def first_call() -> str:
    """See `protocol.Backend`."""
    return ""


def place(device: int | None) -> AbstractContextManager[object]:
    """See `protocol.Backend`."""
    return nullcontext()


def resident(array: Array) -> Array:
    """See `protocol.Backend`."""
    return array


def patches(object: Array, positions: Array, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    core().extract_patches(object, positions, out, threads, _isa())


def _runs(indices: Array) -> list[slice]:
    cuts = np.flatnonzero(np.diff(indices) != 1) + 1
    edges = [0, *cuts.tolist(), len(indices)]
    return [slice(a, b) for a, b in pairwise(edges)]


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    a = exposure.object, exposure.probe
    if counting is None or sink.kind in ("intensity", "expected"):
        core().diffract(*a, exposure.positions, sink.array, threads, _isa())
        if counting is not None and sink.kind == "expected":
            np.multiply(sink.array, np.float32(counting.scale**2), out=sink.array)
        return
    for run in _runs(counting.indices):
        core().observe(
            *a,
            exposure.positions[run],
            counting.scale,
            counting.seed,
            int(counting.indices[run.start]),
            sink.array[run],
            threads,
            _isa(),
        )


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    for run in _runs(counting.indices):
        core().sample_photons(
            rates[run],
            counting.seed,
            int(counting.indices[run.start]),
            sink.array[run],
            threads,
            _isa(),
        )
