"""Patterns of a scan for backends that read whole records in each call."""

from collections.abc import Callable

from ptycho_fast.backend.records import Array, Counting, Exposure, Sink
from ptycho_fast.rounding import default_rounding


class PickedSeries:
    """Makes some patterns of a scan by a backend's `frames`; see `protocol.Series`.

    Parameters
    ----------
    frames : callable
        As `protocol.Backend.frames`.
    exposure : Exposure
        Of all patterns, where the backend reads it best.
    counting : Counting
        Of all patterns, without indices.
    """

    def __init__(
        self,
        frames: Callable[[Exposure, Counting, Sink, int], None],
        exposure: Exposure,
        counting: Counting,
    ) -> None:
        self._frames, self.exposure, self._counting = frames, exposure, counting

    def __call__(self, chosen: Array, numbers: Array, sink: Sink, threads: int) -> None:
        """See `protocol.Series`."""
        with default_rounding():
            counting = self._counting.picked(chosen, numbers)
            self._frames(self.exposure.part(chosen), counting, sink, threads)
