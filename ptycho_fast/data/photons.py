"""Photons in patterns: sums and brightest pixels, of patterns in memory or as they pass."""

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast.formats.amplitudes import packed, unpacked
from ptycho_fast.formats.patterns import Patterns, ranges

_CHUNK_PIXELS = 2**20  # of patterns that are summed at a time


class Meter(NamedTuple):
    """What is summed of a pattern: its good pixels, without the detector's offset and gain.

    Attributes
    ----------
    domain : str
        A key of `contents.DOMAINS`.
    mask : (N, N) bool or None
        True where a pixel is good.
    gain, offset : float
        Of a detector's signal.
    """

    domain: str
    mask: npt.NDArray[np.bool_] | None = None
    gain: float = 1.0
    offset: float = 0.0

    def of(
        self, frames: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sum and brightest pixel of each pattern, (n,) float64 each.

        In photons of counts and signals, else in units of the intensity before dose.

        Examples
        --------
        >>> Meter("count_intensity").of(np.array([[[1, 2], [3, 4]]], np.uint32))
        (array([10.]), array([4.]))
        """
        sums, brightest = np.empty(len(frames)), np.empty(len(frames))
        step = max(1, _CHUNK_PIXELS // max(1, frames[0].size if len(frames) else 1))
        whole = self.domain == "count_intensity" and frames.dtype.kind in "iu"
        dtype = np.uint64 if whole else np.float64
        for first in range(0, len(frames), step):
            pixels = self._good(frames[first : first + step])
            most = pixels.max(axis=1, initial=0)
            # Sums that fit into 32 bits are three times faster there.
            fits = whole and int(most.max(initial=0)) * pixels.shape[1] < 2**32
            kind = np.uint32 if fits and pixels.dtype in (np.uint16, np.uint32) else dtype
            sums[first : first + step] = pixels.sum(axis=1, dtype=kind)
            brightest[first : first + step] = most
        return sums, brightest

    def _good(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Counts, photons or intensities (n, N * N); bad pixels are 0."""
        pixels = part.reshape(len(part), -1)
        if self.domain == "detector_signal":
            pixels = (pixels - np.float64(self.offset)) / self.gain
        elif self.domain == "normalized_amplitude":
            pixels = np.square(pixels, dtype=np.float64)
        return pixels if self.mask is None else pixels * self.mask.ravel()


class PassingPhotons:
    """Sums and brightest pixels of patterns, kept as they pass on their way to a file.

    An `formats.patterns.Observer`. What has not passed when a number is asked for is read then.

    Parameters
    ----------
    patterns : Patterns
        All of them.
    meter : Meter
        What is summed.
    """

    def __init__(self, patterns: Patterns, meter: Meter) -> None:
        self._patterns, self._meter = patterns, meter
        B = len(patterns)
        self._sums, self._brightest, self._seen = np.empty(B), np.empty(B), np.zeros(B, bool)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def take(self, first: int, frames: npt.NDArray[Any]) -> None:
        """Measure patterns from number `first` on."""
        self._keep(slice(first, first + len(frames)), *self._meter.of(frames))

    def notes(self, first: int, last: int) -> Any:
        """What was measured of patterns `first` to before `last`."""
        here = slice(first, last)
        return [packed(self._sums[here]), packed(self._brightest[here])]

    def restore(self, first: int, last: int, notes: Any) -> None:
        """Take the measurements of these patterns from their notes."""
        sums, brightest = (unpacked(text, np.float64) for text in notes)
        self._keep(slice(first, last), sums, brightest)

    def measured(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sum and brightest pixel of every pattern, (B,) float64 each."""
        for first, last in ranges(self._patterns):
            if not self._seen[first:last].all():
                self.take(first, self._patterns[first:last])
        return self._sums, self._brightest

    def _keep(self, here: slice, sums: npt.NDArray[Any], brightest: npt.NDArray[Any]) -> None:
        with self._lock:
            self._sums[here], self._brightest[here] = sums, brightest
            self._seen[here] = True
