"""Counts as normalised amplitudes and back, to the photon.

``sqrt(k) / s`` in float32 gives a count back by ``rint((amplitude * s)**2)`` as long as
``k * 2**-23``, twice the relative step of a float32 amplitude, stays below one half, that is up to
4.19 million counts. Of pixels above, what is missing is kept as corrections beside the amplitudes.
"""

import base64
import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

LEAST_UNSURE = 4_000_000
"""Counts from which an amplitude alone may not give the count back; 2**22 and some room."""

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
        self._kept: dict[int, Corrections] = {}  # by the number of the pattern
        self._lock = threading.Lock()

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
        bright = np.flatnonzero(frames.max(axis=(1, 2)) >= least)
        size = frames[0].size if len(frames) else 0
        for i in bright:
            missing = frames[i].astype(np.float64) - _squared(amplitudes[i], scale)
            (index,) = np.nonzero(missing.ravel())
            difference = missing.ravel()[index].astype(np.int32)
            with self._lock:
                self._kept[first + int(i)] = (index + (first + int(i)) * size, difference)

    @property
    def corrections(self) -> Corrections | None:
        """Those of all patterns that passed; None if an amplitude gives every count back."""
        with self._lock:
            kept = [self._kept[b] for b in sorted(self._kept)]
        return _joined(kept) if kept else None

    def notes(self, first: int, last: int) -> Any:
        """The corrections of patterns `first` to before `last`, by pattern."""
        with self._lock:
            kept = {b: self._kept[b] for b in range(first, last) if b in self._kept}
        return {str(b): [packed(array) for array in arrays] for b, arrays in kept.items()}

    def restore(self, first: int, last: int, notes: Any) -> None:
        """Take the corrections of these patterns from their notes."""
        with self._lock:
            for b, (index, difference) in notes.items():
                self._kept[int(b)] = (unpacked(index, np.int64), unpacked(difference, np.int32))


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


def _joined(parts: list[Corrections]) -> Corrections:
    index, difference = zip(*parts, strict=True)
    return np.concatenate(index), np.concatenate(difference)
