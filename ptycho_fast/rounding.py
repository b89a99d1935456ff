"""The floating-point mode of the CPU, which other libraries may have changed for a thread."""

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ROOM = 64  # bytes: more than any fenv_t


@functools.cache
def _libm() -> Any:
    """The C library's functions for the mode; None if they are not known to work here."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libm.so.6")
        library.fegetenv, library.fesetenv  # noqa: B018 - an AttributeError if they are missing
    except (OSError, AttributeError):
        return None
    return library


@contextmanager
def default_rounding() -> Iterator[None]:
    """Round to nearest and keep denormal numbers, in this thread and in threads that it starts.

    A rounding mode or a flush-to-zero mode that another library has set would change results. The
    mode that was found is set again at the end.
    """
    library = _libm()
    if library is None:
        yield
        return
    found = ctypes.create_string_buffer(_ROOM)
    library.fegetenv(found)
    library.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV
    try:
        yield
    finally:
        library.fesetenv(found)
