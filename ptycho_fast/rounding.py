"""The floating-point mode of the CPU, which other libraries may have changed for a thread."""

import ctypes
import functools
import sys
from typing import Any

_Mode = ctypes.c_char * 64  # more bytes than any fenv_t has
_DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV


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


class default_rounding:
    """Round to nearest and keep denormal numbers, in this thread and in threads that it starts.

    A rounding mode or a flush-to-zero mode that another library has set would change results. The
    mode that was found is set again at the end of the ``with`` block.
    """

    __slots__ = ("_found",)

    def __enter__(self) -> None:
        library = _libm()
        if library is not None:
            self._found = _Mode()
            library.fegetenv(self._found)
            library.fesetenv(_DEFAULT)

    def __exit__(self, *error: object) -> None:
        library = _libm()
        if library is not None:
            library.fesetenv(self._found)
