"""Patterns in another number type, without loss or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

_LARGEST_COUNT = 2**32 - 1
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
    inside = frames.max() <= most
    if frames.dtype.kind != "u":
        inside &= frames.min() >= least
    if not inside:  # nor is NaN
        raise _lost(frames, (frames > most) | ~(frames >= least), name, first, expected)
    out = frames.astype(dtype)
    if frames.dtype.kind == "f" and not (out == frames).all():
        raise _lost(frames, out != frames, name, first, expected)
    return out


@dataclass(frozen=True)
class Conversion:
    """One of these functions as `patterns.Converted` calls it; it can be sent to other processes.

    Parameters
    ----------
    function : callable
        ``function(frames, *arguments, first)``, such as `exactly`.
    arguments : tuple
        What is between.

    Examples
    --------
    >>> Conversion(exactly, (np.uint16, "counts"))(0, np.array([[[7]]], np.uint32)).dtype
    dtype('uint16')
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self, first: int, frames: Any) -> Any:
        """Patterns from number `first` on, converted."""
        return self.function(frames, *self.arguments, first)


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


# --- numbers of other programs ---


def counted(frames: npt.NDArray[Any], name: str, first: int = 0) -> npt.NDArray[np.uint32]:
    """Photon counts of any number type as uint32; else ValueError, which names the pattern.

    Parameters
    ----------
    frames : (n, N, N) array of integers or floats
        Patterns from number `first` on.
    name : str
        File and key, for messages.
    first : int
        Number of the first pattern.
    """
    expected = f"photon counts, whole numbers from 0 to {_LARGEST_COUNT}"
    counts = np.empty(frames.shape, np.uint32)
    for number, (pattern, out) in enumerate(zip(frames, counts, strict=True), first):
        least, most = pattern.min().item(), pattern.max().item()
        if not (least >= 0 and most <= _LARGEST_COUNT):  # NaN passes neither comparison
            given = f"{least} to {most} in pattern {number}"
            raise ValueError(checks.wrong(name, given, expected))
        out[...] = pattern
        if frames.dtype.kind == "f" and not np.array_equal(out, pattern):
            odd = pattern[out != pattern][0]
            raise ValueError(checks.wrong(name, f"{odd} in pattern {number}", expected))
    return counts


def measured(frames: npt.NDArray[Any], name: str, first: int = 0) -> npt.NDArray[np.float32]:
    """Amplitudes or intensities of any number type as float32, finite and not negative.

    Parameters
    ----------
    frames, name, first
        As for `counted`.

    Raises
    ------
    ValueError
        A number is not finite, negative, or overflows float32.
    """
    with np.errstate(over="ignore"):
        out: npt.NDArray[np.float32] = np.ascontiguousarray(frames, np.float32)
    good = np.isfinite(out) & (out >= 0)
    if not good.all():
        i = int((~good).any(axis=(1, 2)).argmax())
        given = f"{frames[i][~good[i]][0]} in pattern {first + i}"
        raise ValueError(checks.wrong(name, given, "finite numbers, none negative, for float32"))
    return out
