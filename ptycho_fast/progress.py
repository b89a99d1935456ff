"""The time that each step of a run takes, and a hook for progress displays."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Seconds of each step of a run. A subclass can show them while the run goes on.

    Attributes
    ----------
    seconds : dict of str to float
        Wall-clock seconds of every step so far, in the order in which the steps began.

    Examples
    --------
    >>> clock = StageClock()
    >>> with clock.stage("patterns", total=10):
    ...     clock.advance(10)
    >>> list(clock.seconds)
    ['patterns']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        """Time what happens inside the ``with`` block.

        Parameters
        ----------
        name : str
            Name of the step. The times of steps with one name are added.
        total : int
            How much `advance` will count; 0 if it is not called.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def advance(self, steps: int) -> None:
        """Tell the display that `steps` more of the current step's total are done."""
