"""The compiled kernels: one pattern at a time in cache, threads over patterns, GIL released."""

import functools
import hashlib
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend.protocol import Capabilities, Series
from ptycho_fast.backend.records import Boundary, Counting, Exposure, Sink
from ptycho_fast.version import __version__

Array = npt.NDArray[Any]

capabilities = Capabilities(narrow=True)

# What the extension and the records of Python have in common, see CMakeLists.txt.
_INTERFACE = ("model.h", "python/array_gate.h", "python/bindings.cpp")


def core() -> ModuleType:
    """The extension module; ImportError where it was not built."""
    from ptycho_fast import _core

    return _core


@functools.cache  # it is asked for in every call, and does not change in a process
def why_not() -> str:
    """Empty if the extension can be used, else the reason and the remedy."""
    try:
        facts = core().build_facts()
    except ImportError as error:
        return (
            f"the compiled extension cannot be imported ({error}); install a C++17 compiler, GCC "
            "or Clang, and reinstall with PTYCHO_FAST_NATIVE=ON to see what fails"
        )
    if facts["version"] != __version__:
        return (
            f"the compiled extension is of version {facts['version']}, not {__version__}; reinstall"
        )
    expected = _interface_beside(Path(__file__).parents[2] / "csrc")
    if "interface" not in facts or expected not in (None, facts["interface"]):
        return (
            "the compiled extension was built from another csrc/model.h or csrc/python than stands "
            "beside this Python; reinstall with pip install ."
        )
    return ""


def _interface_beside(folder: Path) -> str | None:
    """Hash of the interface in a source tree; None in an installation, which is of one piece.

    Records of another commit would be read as what they are not.
    """
    try:
        sources = [(folder / name).read_bytes() for name in _INTERFACE]
    except OSError:
        return None
    hashes = "".join(hashlib.sha256(source).hexdigest() for source in sources)
    return hashlib.sha256(hashes.encode()).hexdigest()


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


def series(exposure: Exposure, counting: Counting) -> Series:
    """See `protocol.Backend`."""
    made: Series = core().series(exposure, counting, _isa())
    return made


def photons(rates: Array, counting: Counting, sink: Sink, threads: int) -> None:
    """See `protocol.Backend`."""
    core().photons(rates, counting, sink, threads, _isa())
