"""Counts as float32, which some programs want, and back to the photon.

A float32 holds whole numbers up to 2**24 exactly. What a larger count loses is noted while the
patterns pass, for a few numbers beside them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.number_types import Conversion, exactly
from ptycho_fast.formats.patterns import Converted, Patterns

_EXACT = 2**24  # the first whole number after which float32 leaves one out

Corrections = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


class Rounding:
    """Observer of counts that become float32: what each one loses.

    Parameters
    ----------
    pattern_pixels : int
        Pixels of a pattern.
    """

    def __init__(self, pattern_pixels: int) -> None:
        self._pixels = pattern_pixels
        self._found: dict[int, dict[int, int]] = {}  # of each pattern, pixel to difference

    def float32(self, first: int, counts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The counts of patterns from `first` on as float32."""
        stored = counts.astype(np.float32)
        large = (counts > _EXACT) | (counts < -_EXACT)
        if large.any():
            number, *where = np.nonzero(large)
            kept = stored[number, *where].astype(np.int64)
            lost = counts[number, *where].astype(np.int64) - kept
            pixel = np.ravel_multi_index(tuple(where), counts.shape[1:])
            for i in np.flatnonzero(lost):
                pattern = self._found.setdefault(first + int(number[i]), {})
                pattern[int(pixel[i])] = int(lost[i])
        return stored

    def notes(self, first: int, last: int) -> list[list[int]]:
        """``[pattern, pixel, difference]`` of all in these patterns."""
        numbers = sorted(number for number in list(self._found) if first <= number < last)
        return [
            [number, pixel, difference]
            for number in numbers
            for pixel, difference in sorted(self._found[number].items())
        ]

    def restore(self, first: int, last: int, notes: Any) -> None:
        """Take the notes in place of the patterns `first` to before `last`."""
        for number, pixel, difference in notes:
            self._found.setdefault(number, {})[pixel] = difference

    def corrections(self, n_patterns: int) -> Corrections:
        """Pixels of all patterns that lost something, rising, and what it is."""
        rows = np.array(self.notes(0, n_patterns), np.int64).reshape(-1, 3)
        return rows[:, 0] * self._pixels + rows[:, 1], rows[:, 2].astype(np.int32)


def as_float32(patterns: Patterns) -> tuple[Patterns, Rounding]:
    """Patterns as float32, and what whole numbers among them lose.

    Parameters
    ----------
    patterns : (B, N, N) patterns
        Whole numbers (counts, signals), or real ones.

    Returns
    -------
    patterns : (B, N, N) float32
        Read when they are asked for.
    rounding : Rounding
        Its `corrections` are known when all patterns have passed.

    Examples
    --------
    >>> counts = np.array([[[7, 2**24 + 1]]], np.uint32)
    >>> stored, rounding = as_float32(counts)
    >>> stored[0], rounding.corrections(1)
    (array([[7.0000000e+00, 1.6777216e+07]], dtype=float32), (array([1]), array([1], dtype=int32)))
    """
    rounding = Rounding(patterns.shape[1] * patterns.shape[2])
    if patterns.dtype.kind in "iu":
        return Converted(patterns, rounding.float32, np.float32, (rounding,)), rounding
    if patterns.dtype == np.float32:
        return patterns, rounding
    return Converted(patterns, lambda _, frames: frames.astype(np.float32), np.float32), rounding


def checked(
    patterns: Patterns,
    name: str,
    domain: str,
    corrections: Corrections | None = None,
    number_type: str | None = None,
) -> Patterns:
    """Patterns of a file, checked when they are read.

    Parameters
    ----------
    patterns : (B, N, N) patterns
        As stored, real numbers of any type.
    name : str
        File and key, for messages.
    domain : str
        A key of `contents.DOMAINS`.
    corrections : (index, difference), optional
        What has to be added to whole numbers.
    number_type : str, optional
        Type of counts or signals before they were stored; uint32 and float32 by default.

    Returns
    -------
    (B, N, N) patterns
        Reading them raises ValueError for NaN, infinity, negative numbers (signals may be
        negative), and where whole numbers are expected for those that are none or are too large.

    Examples
    --------
    >>> good = checked(np.array([[[2.0]]]), "set.h5: dp", "count_intensity")
    >>> good[:], good.dtype
    (array([[[2]]], dtype=uint32), dtype('uint32'))
    >>> checked(np.array([[[-1.0]]]), "dp", "normalized_intensity")[0]
    Traceback (most recent call last):
    ValueError: dp: -1.0 in pattern 0 given, expected finite numbers, none of them negative
    """
    signals = domain == "detector_signal"
    whole = number_type if number_type in ("uint16", "uint32") else None
    if signals and number_type == "int32":
        whole = number_type
    if domain == "count_intensity" or (signals and whole):
        dtype = np.dtype(whole or "uint32")
        if corrections is not None:
            return Converted(patterns, _Corrected(name, corrections, dtype), dtype)
        if patterns.dtype == dtype:
            return patterns
        return Converted(patterns, Conversion(exactly, (dtype, name)), dtype)
    return Converted(patterns, Conversion(_as_floats, (name, domain)), np.float32)


def _as_floats(
    frames: npt.NDArray[Any], name: str, domain: str, first: int
) -> npt.NDArray[np.float32]:
    """Finite numbers as float32; only signals may be negative."""
    least = -np.inf if domain == "detector_signal" else 0
    good = (frames >= least) & (np.abs(frames) <= np.finfo(np.float32).max)
    if not good.all():  # nor is NaN
        where = tuple(np.argwhere(~good)[0])
        given = f"{frames[where]} in pattern {first + int(where[0])}"
        expected = "finite numbers" + (", none of them negative" if least == 0 else "")
        raise ValueError(checks.wrong(name, given, expected))
    return frames.astype(np.float32)


class _Corrected:
    """Whole numbers, with what a float32 lost of them."""

    def __init__(self, name: str, corrections: Corrections, dtype: np.dtype[Any]) -> None:
        self._name, (self._index, self._difference) = name, corrections
        self._dtype = dtype

    def __call__(self, first: int, frames: npt.NDArray[Any]) -> Any:
        counts: npt.NDArray[np.int64] = exactly(frames, np.int64, self._name, first)
        start = first * frames.shape[1] * frames.shape[2]
        low, high = np.searchsorted(self._index, [start, start + frames.size])
        counts.reshape(-1)[self._index[low:high] - start] += self._difference[low:high]
        return exactly(counts, self._dtype, self._name, first)
