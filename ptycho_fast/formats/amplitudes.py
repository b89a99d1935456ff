"""Counts as normalised amplitudes and back, to the photon.

``sqrt(k) / s`` in float32 gives a count back by ``rint((amplitude * s)**2)`` as long as
``k * 2**-23``, twice the relative step of a float32 amplitude, stays below one half, that is up to
4.19 million counts. Of pixels above, what is missing is kept as corrections beside the amplitudes.
"""

import base64
import itertools
import tempfile
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

LEAST_UNSURE = 4_000_000
"""Counts from which an amplitude alone may not give the count back; 2**22 and some room."""

_IN_MEMORY = 2**24  # bytes of corrections that are kept in memory
_LARGEST_COUNT = 2**32 - 1
_USUAL_SCALE = 1e12  # up to here amplitudes of a photon are ordinary float32 numbers

Corrections = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]
"""Numbers of pixels in the flat array of all patterns, rising, and what is added to each count."""


class Unit(NamedTuple):
    """What a pixel's number means in photons.

    Attributes
    ----------
    domain : str
        A key of `contents.DOMAINS`.
    scale : float
        The intensity scale s; 1 for noise-free intensities.
    gain, offset : float
        Of a detector's signal, ``gain * counts + offset``.
    """

    domain: str
    scale: float
    gain: float = 1.0
    offset: float = 0.0

    def amplitudes(self, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalised amplitudes of patterns; each value is rounded once from float64.

        Parameters
        ----------
        frames : (n, N, N) array
            Patterns of this unit.

        Returns
        -------
        (n, N, N) float32
            ``sqrt(counts) / s``, or ``sqrt(intensity)``. Signals become photons first,
            ``max((signal - offset) / gain, 0)``.

        Examples
        --------
        >>> Unit("count_intensity", 2.0).amplitudes(np.array([[[0, 16]]]))
        array([[[0., 2.]]], dtype=float32)
        """
        out = np.empty(frames.shape, np.float32)
        for pattern, to in zip(frames, out, strict=True):
            to[...] = np.sqrt(self._photons(pattern)) / self.scale
        return out

    def _photons(self, pattern: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        if self.domain != "detector_signal":
            return pattern.astype(np.float64)
        return np.maximum((pattern - np.float64(self.offset)) / self.gain, 0)


class Roots:
    """Amplitudes of patterns, with the corrections of those that need one kept on the way.

    Parameters
    ----------
    unit : Unit
        What the patterns are.

    Examples
    --------
    >>> counts = np.array([[[16_777_217, 3]]], np.uint32)
    >>> roots = Roots(Unit("count_intensity", 1.0))
    >>> amplitude = roots(0, counts)
    >>> int(np.rint(np.float64(amplitude[0, 0, 0]) ** 2)), roots.corrections
    (16777216, (array([0]), array([1], dtype=int32)))
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._kept = _Kept()

    def __reduce__(self) -> tuple[Any, ...]:
        return Roots, (self._unit,)  # in another process other patterns pass

    def __call__(self, first: int, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Amplitudes (n, N, N) float32 of patterns from number `first` on."""
        amplitudes = self._unit.amplitudes(frames)
        if self._unit.domain == "count_intensity":
            self._keep(first, frames, amplitudes)
        return amplitudes

    def _keep(
        self, first: int, frames: npt.NDArray[Any], amplitudes: npt.NDArray[np.float32]
    ) -> None:
        scale = self._unit.scale
        least = LEAST_UNSURE if 1 / _USUAL_SCALE < scale < _USUAL_SCALE else 0
        counts = frames.reshape(-1)
        bright = np.flatnonzero(counts >= least)
        if not len(bright):
            return
        back = _squared(amplitudes.reshape(-1)[bright], scale)
        difference = (counts[bright].astype(np.float64) - back).astype(np.int32)
        lacking = difference != 0
        pixels = frames[0].size
        index = bright[lacking] + first * pixels
        self._kept.add(first, first + len(frames), pixels, index, difference[lacking])

    @property
    def corrections(self) -> Corrections | None:
        """Those of all patterns that passed; None if an amplitude gives every count back."""
        return self._kept.all()

    def notes(self, first: int, last: int) -> Any:
        """The corrections of patterns `first` to before `last`; None where none may be needed."""
        there = self._kept.within(first, last)
        return there and [self._kept.pixels, packed(there[0]), packed(there[1])]

    def restore(self, first: int, last: int, notes: Any) -> None:
        """Take the corrections of these patterns from their notes."""
        if notes:
            pixels, index, difference = notes
            arrays = unpacked(index, np.int64), unpacked(difference, np.int32)
            self._kept.add(first, last, pixels, *arrays)


class _Kept:
    """Corrections by run of patterns; in a temporary file where they are many."""

    def __init__(self) -> None:
        self.pixels = 0  # of a pattern
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as long as this
        weakref.finalize(self, self._file.close)
        # Offset in the file and how many there are, by first and last pattern.
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def add(
        self,
        first: int,
        last: int,
        pixels: int,
        index: npt.NDArray[np.int64],
        difference: npt.NDArray[np.int32],
    ) -> None:
        """Keep those of the patterns `first` to before `last`."""
        with self._lock:
            self.pixels = pixels
            if (first, last) in self._places:
                return  # they passed before, and were the same
            offset = self._file.seek(0, 2)
            self._file.write(index.tobytes() + difference.tobytes())
            self._places[first, last] = offset, len(index)

    def within(self, first: int, last: int) -> Corrections | None:
        """Those of some patterns; None if no run with any of them was kept."""
        with self._lock:
            there = sorted(run for run in self._places if run[0] < last and first < run[1])
            if not there:
                return None
            index, difference = self._joined(there)
        here = slice(*np.searchsorted(index, [first * self.pixels, last * self.pixels]))
        return index[here], difference[here]

    def all(self) -> Corrections | None:
        """Those of all patterns; None if no run was kept."""
        with self._lock:
            return self._joined(sorted(self._places)) if self._places else None

    def _joined(self, runs: list[tuple[int, int]]) -> Corrections:
        n = sum(self._places[run][1] for run in runs)
        index, difference = _array(n, np.int64), _array(n, np.int32)
        done = 0
        for run in runs:
            offset, count = self._places[run]
            self._file.seek(offset)
            here = slice(done, done + count)
            index[here] = np.frombuffer(self._file.read(8 * count), np.int64)
            difference[here] = np.frombuffer(self._file.read(4 * count), np.int32)
            done += count
        if any(one[1] > other[0] for one, other in itertools.pairwise(runs)):  # passed twice
            index, chosen = np.unique(index, return_index=True)
            difference = difference[chosen]
        return index, difference


def _array(n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An empty array (n,); a large one lies in a temporary file."""
    dtype = np.dtype(dtype)
    if n * dtype.itemsize <= _IN_MEMORY:
        return np.empty(n, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=(n,))


class Squares:
    """Counts of amplitudes, exact or an error.

    Parameters
    ----------
    scale : float
        The intensity scale s.
    corrections : Corrections or None
        As a file has them.
    name : str
        Of the amplitudes, for messages.

    Examples
    --------
    >>> Squares(2.0, None, "scan.npz")(0, np.array([[[0.5, 1.0]]], np.float32))
    array([[[1, 4]]], dtype=uint32)
    """

    def __init__(self, scale: float, corrections: Corrections | None, name: str) -> None:
        self._unit = Unit("count_intensity", scale)
        self._corrections, self._name = corrections, name

    def __call__(self, first: int, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
        """Counts (n, N, N) uint32 of amplitudes from pattern `first` on.

        Raises
        ------
        ValueError
            The amplitudes are of no whole counts, or of so many that they do not tell them apart.
        """
        counts = np.empty(frames.shape, np.uint32)
        for i, (pattern, to) in enumerate(zip(frames, counts, strict=True)):
            whole = _squared(pattern, self._unit.scale)
            self._correct(whole, first + i)
            if not whole.max(initial=0) <= _LARGEST_COUNT:
                raise self._wrong(first + i, f"{whole.max()} photons in a pixel")
            to[...] = whole
            odd = self._unit.amplitudes(to[None])[0] != pattern
            if odd.any():
                raise self._wrong(first + i, f"{pattern[odd][0] ** 2} s^2 photons in a pixel")
        return counts

    def _correct(self, whole: npt.NDArray[np.float64], b: int) -> None:
        if self._corrections is None:
            if whole.max(initial=0) >= LEAST_UNSURE:
                raise ValueError(
                    checks.wrong(
                        f"counts: {self._name}",
                        f"an amplitude of {whole.max():.0f} photons in pattern {b} and no "
                        "corrections",
                        f"less than {LEAST_UNSURE} photons, which a float32 amplitude gives back",
                    )
                )
            return
        index, difference = self._corrections
        ends = np.searchsorted(index, [b * whole.size, (b + 1) * whole.size])
        here = slice(*ends)
        whole.ravel()[index[here] - b * whole.size] += difference[here]

    def _wrong(self, b: int, given: str) -> ValueError:
        expected = f"amplitudes of whole numbers of photons, up to {_LARGEST_COUNT}"
        return ValueError(
            checks.wrong(f"counts: {self._name}", f"{given} of pattern {b}", expected)
        )


def part_of(corrections: Corrections, first: int, last: int, size: int) -> Corrections:
    """Corrections of patterns `first` to before `last`, counted from 0; `size` pixels in each."""
    index, difference = corrections
    here = slice(*np.searchsorted(index, [first * size, last * size]))
    return index[here] - first * size, difference[here]


def packed(array: npt.NDArray[Any]) -> str:
    """The bytes of an array as text, for JSON."""
    return base64.b64encode(array.tobytes()).decode("ascii")


def unpacked(text: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array (n,) of a text that `packed` made."""
    return np.frombuffer(base64.b64decode(text), dtype).copy()


def _squared(amplitudes: npt.NDArray[np.float32], scale: float) -> npt.NDArray[np.float64]:
    return np.rint(np.square(amplitudes * np.float64(scale)))
