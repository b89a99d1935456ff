"""Patterns that need not be in memory: read, made or converted when they are asked for."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

_CHUNK_BYTES = 2**24  # of patterns that are read at a time where nobody says how many


class Patterns(Protocol):
    """An array (B, N, N) as far as this package needs one; a NumPy array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, N, N)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""

    @property
    def nbytes(self) -> int:
        """Bytes of all patterns."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any, /) -> Any: ...


class Observer(Protocol):
    """What sees every pattern as it passes and keeps something of it: a dose, corrections.

    A pattern may pass more than once, and blocks in any order, from several threads. A run that is
    resumed does not make a block again: it gives back the notes that were kept beside it.
    """

    def notes(self, first: int, last: int) -> Any:
        """What was kept of the patterns `first` to before `last`, in JSON types."""

    def restore(self, first: int, last: int, notes: Any) -> None:
        """Take the notes of these patterns in place of the patterns."""


class LazyPatterns(ABC):
    """Patterns (B, N, N) of which only those are read that are asked for.

    A subclass gives `shape`, `dtype` and `_read`, which may be called from several threads. What is
    indexed is read at once: ``patterns[3]``, ``patterns[10:20]``, ``patterns[::100]``,
    ``patterns[[7, 3, 3]]``, a mask (B,); more axes may follow, as with an array. Every result is a
    new array. ``np.asarray(patterns)`` reads all.

    Examples
    --------
    >>> class Ramp(LazyPatterns):
    ...     shape, dtype = (1000, 2, 2), np.dtype(np.uint16)
    ...     def _read(self, first, last):
    ...         numbers = np.arange(first, last, dtype=self.dtype)
    ...         return numbers[:, None, None] * np.ones((2, 2), self.dtype)
    >>> ramp = Ramp()
    >>> len(ramp), ramp[-1].max(), ramp[[5, 3]][:, 0, 0].tolist()
    (1000, np.uint16(999), [5, 3])
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        """Patterns `first` to before `last`, in C order, as a new array."""

    def _take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Patterns of any numbers, in any order; by default in runs of `_read`."""
        out = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        if not len(numbers):
            return out
        order = np.argsort(numbers, kind="stable")
        sorted_ = numbers[order]
        new_run = np.flatnonzero(np.diff(sorted_) > 1) + 1
        for run in np.split(np.arange(len(order)), new_run):
            first, last = int(sorted_[run[0]]), int(sorted_[run[-1]]) + 1
            step = max(1, _CHUNK_BYTES // self._pattern_bytes)
            for start in range(first, last, step):
                end = min(start + step, last)
                here = run[slice(*np.searchsorted(sorted_[run], [start, end]))]
                out[order[here]] = self._read(start, end)[sorted_[here] - start]
        return out

    @property
    def observers(self) -> "tuple[Observer, ...]":
        """Who sees the patterns as they are read; see `Observed`."""
        return ()

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close the file behind the patterns, if there is one."""

    # --- as an array ---

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels of all patterns."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all patterns take in memory."""
        return self.size * self.dtype.itemsize

    @property
    def _pattern_bytes(self) -> int:
        return max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape {self.shape}, {self.dtype}, not in memory)"

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, tuple):
            if not which:
                return self[:]
            first, *others = which
            if first is Ellipsis or first is None or first is np.newaxis:
                raise IndexError(checks.wrong("index", repr(first), "pattern numbers at first"))
            axis = () if _is_number(first) else (slice(None),)
            return self[first][(*axis, *others)]
        if which is Ellipsis:
            which = slice(None)
        if isinstance(which, slice):
            first, last, step = which.indices(len(self))
            if step == 1:
                return self._read(first, max(first, last)) if last > first else self._none()
            return self._take(np.arange(first, last, step, dtype=np.int64))
        if _is_number(which):
            number = int(self._numbers(np.array([operator.index(which)]))[0])
            return self._read(number, number + 1)[0]
        return self._take(self._numbers(np.asarray(which)))

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for first, last in self.ranges():
            yield from self._read(first, last)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(
                "patterns: not in memory, and copy=False given, expected copy=None or True"
            )
        out = np.empty(self.shape, self.dtype)
        for first, last in self.ranges():
            out[first:last] = self._read(first, last)
        return out if dtype is None else out.astype(dtype, copy=False)

    def ranges(self, n: int | None = None) -> Iterator[tuple[int, int]]:
        """``(first, last)`` of n patterns at a time, in order; by default of some megabytes."""
        return ranges(self, n)

    def _none(self) -> npt.NDArray[Any]:
        return np.empty((0, *self.shape[1:]), self.dtype)

    def _numbers(self, which: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        B = len(self)
        if which.ndim == 1 and which.dtype.kind == "b":
            if len(which) != B:
                raise IndexError(checks.wrong("mask", f"shape {which.shape}", f"({B},)"))
            return np.flatnonzero(which)
        if which.ndim == 1 and not which.size:
            return np.empty(0, np.int64)
        if which.ndim != 1 or which.dtype.kind not in "iu":
            expected = "pattern numbers, a slice, or a mask of the patterns"
            raise IndexError(checks.wrong("index", checks.described(which), expected))
        beyond = (which >= B) | (which < -B)
        if beyond.any():
            given = f"pattern {which[beyond][0]}"
            raise IndexError(checks.wrong("index", given, f"{-B} to {B - 1}, of {B} patterns"))
        numbers = which.astype(np.int64)
        return np.where(numbers < 0, numbers + B, numbers)


def _is_number(which: object) -> bool:
    return isinstance(which, int | np.integer) and not isinstance(which, bool | np.bool_)


class Observed(LazyPatterns):
    """Patterns which somebody looks at as they are read.

    Parameters
    ----------
    base : Patterns
        The patterns.
    observer : Observer
        Told of every block by ``observer.take(first, frames)``.
    """

    def __init__(self, base: Patterns, observer: "Taking") -> None:
        self.base, self._observer = base, observer
        self.shape, self.dtype = base.shape, base.dtype

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        frames: npt.NDArray[Any] = self.base[first:last]
        self._observer.take(first, frames)
        return frames

    def _take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return np.asarray(self.base[numbers])

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those of the base, and this one."""
        return (*observers(self.base), self._observer)

    def close(self) -> None:
        """Close the base."""
        close(self.base)


class Taking(Observer, Protocol):
    """An observer that is shown the patterns as they are."""

    def take(self, first: int, frames: npt.NDArray[Any]) -> None:
        """Look at patterns from number `first` on; `frames` must not be changed."""


class Converted(LazyPatterns):
    """Patterns in other units or of another type, converted when they are read.

    Parameters
    ----------
    base : Patterns
        What is converted.
    function : callable
        ``function(first, frames) -> frames`` of the same shape: pattern ``first + i`` is
        ``frames[i]``.
    dtype : dtype
        What the function gives.
    observers : tuple of Observer
        What the function keeps on the way, if it keeps anything.

    Examples
    --------
    >>> counts = np.array([[[0, 4]], [[9, 1]]], np.uint32)
    >>> Converted(counts, lambda first, frames: np.sqrt(frames, dtype="f4"), "f4")[1]
    array([[3., 1.]], dtype=float32)
    """

    def __init__(
        self,
        base: Patterns,
        function: Callable[[int, npt.NDArray[Any]], npt.NDArray[Any]],
        dtype: npt.DTypeLike,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        self.base, self._function, self._own = base, function, observers
        self.shape, self.dtype = base.shape, np.dtype(dtype)

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        return self._function(first, self.base[first:last])

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those of the base, and those of the conversion."""
        return (*observers(self.base), *self._own)

    def close(self) -> None:
        """Close the base."""
        close(self.base)


class Part(LazyPatterns):
    """Patterns `first` to before `last` of others, counted from 0."""

    def __init__(self, base: Patterns, first: int, last: int) -> None:
        self.base, self._first = base, first
        self.shape, self.dtype = (last - first, *base.shape[1:]), base.dtype

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        return np.asarray(self.base[self._first + first : self._first + last])

    def _take(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return np.asarray(self.base[self._first + numbers])

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those of the base, who count from its first pattern."""
        return tuple(_Shifted(one, self._first) for one in observers(self.base))

    def close(self) -> None:
        """Close the base."""
        close(self.base)


class _Shifted:
    """An observer of a part: asked by numbers in the part, it asks by numbers in the whole."""

    def __init__(self, observer: Observer, first: int) -> None:
        self._observer, self._first = observer, first

    def notes(self, first: int, last: int) -> Any:
        return self._observer.notes(self._first + first, self._first + last)

    def restore(self, first: int, last: int, notes: Any) -> None:
        self._observer.restore(self._first + first, self._first + last, notes)


def observers(patterns: Patterns) -> tuple[Observer, ...]:
    """Who sees the patterns as they pass; nobody where they are an array."""
    return patterns.observers if isinstance(patterns, LazyPatterns) else ()


def close(patterns: Patterns) -> None:
    """Close the file behind patterns, if there is one."""
    if isinstance(patterns, LazyPatterns):
        patterns.close()


@overload
def ranges(patterns: Patterns) -> Iterator[tuple[int, int]]: ...
@overload
def ranges(patterns: Patterns, n: int | None) -> Iterator[tuple[int, int]]: ...
def ranges(patterns: Patterns, n: int | None = None) -> Iterator[tuple[int, int]]:
    """``(first, last)`` of n patterns at a time, in order; by default of some megabytes.

    Examples
    --------
    >>> list(ranges(np.zeros((5, 2, 2)), 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    B = len(patterns)
    if n is None:
        one = max(1, math.prod(patterns.shape[1:]) * patterns.dtype.itemsize)
        n = max(1, _CHUNK_BYTES // one)
    step = checks.count(n, "n")
    return ((first, min(first + step, B)) for first in range(0, B, step))
