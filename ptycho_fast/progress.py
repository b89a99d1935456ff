"""How long the stages of a run take, and a place for whoever wants to watch."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Seconds by stage; a subclass may show them as they pass.

    Attributes
    ----------
    seconds : dict of str to float
        Wall-clock seconds of every stage so far, in the order of their start.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        """Time a stage of `total` steps (0: not counted)."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def advance(self, steps: int) -> None:
        """Say that `steps` more steps of the current stage are done."""
