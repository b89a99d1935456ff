"""The compiled kernels: one pattern at a time in cache, threads over patterns, GIL released."""

import functools
import os
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.protocol import Capabilities
from ptycho_fast.backend.records import Boundary, Counting, Exposure, Sink
from ptycho_fast.version import __version__

Array = npt.NDArray[Any]

capabilities = Capabilities(narrow=True)


def core() -> ModuleType:
    """The extension module; ImportError where it was not built."""
    from ptycho_fast import _core

    return _core


@functools.cache  # it is asked for in every call, and does not change in a process
def why_not() -> str:
    """Empty if the extension can be used, else the reason and the remedy."""
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


def patches(object: Array, positions: Array, boundary: Boundary, out: Array, threads: int) -> None:
    """See `protocol.Backend`."""
    core().patches(object[np.newaxis], positions, boundary, out, threads, _isa())


def frames(exposure: Exposure, counting: Counting | None, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    core().frames(exposure, counting, sink, threads, _isa())


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    core().photons(rates, counting, sink, threads, _isa())
