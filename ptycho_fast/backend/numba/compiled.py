"""How kernels are compiled: without the interpreter's lock, without contraction, kept on disk."""

from collections.abc import Callable
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def inline(function: Callable[..., Any]) -> Any:
    """Compile as a part of every kernel that calls it."""
    return njit(**_OPTIONS, forceinline=True)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile at the first call, and keep the machine code for other processes if that is possible.

    It is kept beside the source or in the user's cache; with neither, each process compiles.
    """
    try:
        return njit(**_OPTIONS, cache=True)(function)
    except RuntimeError:  # no folder that can be written to
        return njit(**_OPTIONS)(function)
