"""Read one array from a NumPy file, and bring it to the package's complex type, safely."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks


def read_arrays(
    path: str | os.PathLike[str], keys: Collection[str] | None = None
) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Read arrays from an ``.npz`` archive or an ``.npy`` file; pickles are refused.

    The content decides which of the two it is, not the name.

    Parameters
    ----------
    path : str or path-like
        The file.
    keys : collection of str, optional
        Keys of the archive to read; by default all that are not pickled.

    Returns
    -------
    arrays : dict of str to ndarray
        As stored. The one array of an ``.npy`` file has the key "".
    found : list of str
        All keys of the archive.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a directory, not a sound NumPy file, or a wanted array is pickled.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file, expected an .npz or .npy file")
    if file.is_dir():
        raise ValueError(f"{file}: is a folder, expected an .npz or .npy file")
    reading = ""
    try:
        with file.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"": content}, [""]
            arrays = {}
            for key in content.files if keys is None else keys:
                if key not in content.files:
                    continue
                reading = f" key {key!r}:"
                try:
                    arrays[key] = np.asarray(content[key])
                except ValueError as error:
                    if keys is not None or "pickle" not in str(error):
                        raise
            return arrays, content.files
    except Exception as error:  # damaged files raise whatever the zip and header parsers do
        raise ValueError(
            f"{file}:{reading} cannot be read ({error}), expected a sound .npz or .npy file "
            "without pickles; is it truncated?"
        ) from error


def read_array(path: str | os.PathLike[str], key: str) -> npt.NDArray[Any]:
    """Read an array from an ``.npz`` (under a key) or an ``.npy`` file, as stored.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_arrays`, or there is no such key.
    """
    arrays, found = read_arrays(path, (key,))
    if "" in arrays:
        return arrays[""]
    if key not in arrays:
        raise ValueError(f"{path}: no key {key!r}, found {', '.join(found) or 'none'}")
    return arrays[key]


def to_complex64(array: npt.ArrayLike, name: str) -> npt.NDArray[np.complex64]:
    """Convert numbers to a C-contiguous complex64 array, refusing what would not survive.

    Parameters
    ----------
    array : array of integer, float or complex
        The numbers.
    name : str
        What they are (file and key), for messages.

    Returns
    -------
    ndarray, complex64
        Array of the same shape.

    Raises
    ------
    ValueError
        If the array is empty, does not hold numbers, holds NaN or infinity, or a finite value
        overflows to infinity.
    """
    given = np.asarray(array)
    if given.dtype.kind not in "iufc":
        raise ValueError(f"{name}: dtype {given.dtype} given, expected real or complex numbers")
    if given.size == 0:
        raise ValueError(f"{name}: shape {given.shape} given, which is empty")
    return checks.floating(given, name, np.complex64, integers=True)
