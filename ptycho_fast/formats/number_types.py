"""Patterns in another number type, without loss or not at all."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

_EXACT = 2**24  # up to here a float32 holds every whole number


def exactly(
    frames: Any, dtype: npt.DTypeLike, name: str, first: int | npt.NDArray[np.int64] = 0
) -> Any:
    """Patterns in another type, every number the same.

    Parameters
    ----------
    frames : (n, N, N) array
        Whole or real numbers, on the CPU or on a GPU.
    dtype : dtype
        Type that is wanted.
    name : str
        What the patterns are, for messages.
    first : int or (n,) int64
        Number of the first pattern, or of each one, for messages.

    Returns
    -------
    (n, N, N) array of `dtype`
        `frames` itself where that is its type.

    Raises
    ------
    ValueError
        The type does not hold a number: it is too large, negative, not whole, or no number. Real
        numbers are rounded to float32 where they were made in float64.

    Examples
    --------
    >>> exactly(np.array([[[70, 9]]], np.uint32), "u2", "counts").dtype
    dtype('uint16')
    >>> exactly(np.array([[[70_000, 9]]], np.uint32), "u2", "k", first=12)
    Traceback (most recent call last):
    ValueError: k: 70000 in pattern 12 given, expected whole numbers from 0 to 65535, for uint16
    """
    dtype = np.dtype(dtype)
    if frames.dtype == dtype or not frames.size:
        return frames.astype(dtype, copy=False)
    if dtype.kind == "f":
        return _as_floats(frames, dtype, name, first)
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected = f"whole numbers from {least} to {most}, for {dtype}"
    inside = (frames.max() <= most) & (frames.min() >= least)
    if not inside:  # nor is NaN
        raise _lost(frames, (frames > most) | ~(frames >= least), name, first, expected)
    out = frames.astype(dtype)
    if frames.dtype.kind == "f" and not (out == frames).all():
        raise _lost(frames, out != frames, name, first, expected)
    return out


def _as_floats(frames: Any, dtype: np.dtype[Any], name: str, first: Any) -> Any:
    out = frames.astype(dtype)
    if frames.dtype.kind in "iu" and frames.dtype.itemsize > 2:
        lost = out.astype(np.float64) != frames if abs(out).max() >= _EXACT else np.zeros(1, bool)
        if lost.any():
            expected = f"whole numbers that {dtype} holds, all of them up to {_EXACT}"
            raise _lost(frames, lost, name, first, expected)
    return out


def _lost(frames: Any, lost: Any, name: str, first: Any, expected: str) -> ValueError:
    i = int(lost.any(axis=(1, 2)).argmax())
    number = first + i if isinstance(first, int) else first[i]
    given = f"{frames[i][lost[i]][0]} in pattern {number}"
    return ValueError(checks.wrong(name, given, expected))
