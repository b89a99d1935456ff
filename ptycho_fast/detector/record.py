"""What the kernels need to know of a detector: one record of plain numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ptycho_fast import checks

GOOD, DEAD, HOT, MASKED = range(4)
"""States of a pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What a detector makes of the photons that were counted; all is off by default.

    The parts act in the order of the attributes. `ptycho_fast.detector.response` makes a record
    from the table ``[detector]`` of a scenario.

    Raises
    ------
    TypeError, ValueError
        A number is out of range, or an array of another type or shape.

    Attributes
    ----------
    seed : int
        Seed of the detector's noise, 64 bits, unsigned; the photons have another one.
    dead_time : float
        Dead time over exposure time, 0 to 1; 0 is off.
    paralysable : bool
        Whether photons that come while a pixel is dead make it dead for longer.
    dark_least : int
        Dark counts that every pixel has at least in a frame.
    dark : (K,) uint32, optional
        Ascending thresholds: a pixel has one dark count more for each that its random word is not
        below; see `ptycho_fast.detector.dark_counts.thresholds`.
    gain : float
        Signal of a count.
    readout : float
        Standard deviation of the read-out noise, signal.
    offset : float
        Signal of no count.
    ceiling : float
        Largest signal; 0: there is none.
    wrap : bool
        Whether a larger signal begins again at 0, as a counter without overflow protection does.
    step : float
        Signals are multiples of it; 0: they are not rounded.
    pixels : (N, N) uint8, optional
        0 good; 1 dead, its signal is 0; 2 hot, `hot`; 3 masked, `masked`.
    hot, masked : float
        Signals of such pixels.
    """

    seed: int = 0
    dead_time: float = 0.0
    paralysable: bool = False
    dark_least: int = 0
    dark: Any = None
    gain: float = 1.0
    readout: float = 0.0
    offset: float = 0.0
    ceiling: float = 0.0
    wrap: bool = False
    step: float = 0.0
    pixels: Any = None
    hot: float = 0.0
    masked: float = 0.0

    def __post_init__(self) -> None:
        checks.seed(self.seed)
        dead_time = checks.number(self.dead_time, "dead_time", least=0)
        if not dead_time < 1:
            raise ValueError(checks.wrong("dead_time", dead_time, "a number < 1, of the exposure"))
        checks.integer(self.dark_least, "dark_least", 0, 2**20)
        checks.number(self.gain, "gain", above=0, most=1e5)
        for name in ("offset", "hot", "masked"):
            checks.number(getattr(self, name), name, least=-1e12, most=1e12)
        for name in ("readout", "ceiling", "step"):
            checks.number(getattr(self, name), name, least=0, most=1e12)
        if self.wrap and not self.ceiling:
            raise ValueError(checks.wrong("ceiling", self.ceiling, "a number > 0 to wrap at"))
        reach = 2.0**32 * self.gain + abs(self.offset) + 10 * self.readout
        if 0 < self.step < reach * 2.0**-50:
            expected = f"0, or at least {reach * 2.0**-50:.3g} with this gain"
            raise ValueError(checks.wrong("step", self.step, expected))
        _check_array(self.dark, "dark", np.uint32, 1)
        _check_array(self.pixels, "pixels", np.uint8, 2)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the signals: uint32, int32 if negative ones are possible, float32 if not whole.

        Examples
        --------
        >>> Response(readout=2.0, step=1.0).dtype.name
        'int32'
        """
        steps = (self.step,) if self.step else (self.gain, self.offset)
        others = (self.masked, self.hot)
        whole = all(float(number).is_integer() for number in (*steps, *others))
        if not whole or (self.readout and not self.step):
            return np.dtype(np.float32)
        negative = (self.readout > 0 or self.offset < 0) and not self.wrap
        return np.dtype(np.int32 if negative or min(others) < 0 else np.uint32)


def _check_array(array: Any, name: str, dtype: type[np.generic], ndim: int) -> None:
    if array is None:
        return
    if not isinstance(array, np.ndarray):
        raise TypeError(checks.wrong(name, type(array).__name__, "a NumPy array"))
    if array.dtype != dtype or array.ndim != ndim or not array.flags.c_contiguous:
        expected = f"a C-contiguous array of {np.dtype(dtype)} with {ndim} axes"
        raise TypeError(checks.wrong(name, checks.described(array), expected))
