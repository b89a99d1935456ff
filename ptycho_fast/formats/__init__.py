"""File formats that other programs use: one module for each, found by the suffix of the name.

A format's module takes and returns plain arrays (`contents.Contents`) and has

- ``DOMAIN``: what its patterns mean, a key of `contents.DOMAINS`;
- ``check_options(probe_modes, **options)``: an error about options before any work is done;
- ``write(path, contents, *, force, **options)`` and ``read(path, **options)``;
- ``file_size(...)``: the bytes that a file will take.
"""

import importlib
import os
from pathlib import Path
from types import ModuleType

FORMATS = {".npz": "pinn_npz"}


def format_of(path: str | os.PathLike[str]) -> ModuleType:
    """The module that writes the format which the suffix of a name asks for.

    Parameters
    ----------
    path : path-like
        Name of a file, which need not exist. Case does not matter.

    Returns
    -------
    module
        One of this package; see above what it has.

    Raises
    ------
    ValueError
        This version writes no format of that suffix; the message lists those it writes.

    Examples
    --------
    >>> format_of("scan.npz").__name__
    'ptycho_fast.formats.pinn_npz'
    >>> format_of("scan.h5")
    Traceback (most recent call last):
    ValueError: scan.h5: suffix '.h5' given, expected .npz
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        given = f"suffix {suffix!r}" if suffix else "a name without suffix"
        raise ValueError(f"{path}: {given} given, expected {' or '.join(FORMATS)}")
    return importlib.import_module(f"{__name__}.{FORMATS[suffix]}")
