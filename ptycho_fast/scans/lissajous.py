"""Lissajous curve: a smooth path without stops, as galvanometers and piezo stages like it."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind

from .area import Buffer, NPatterns, inside


@kind("lissajous")
def lissajous(
    shape: tuple[int, int],
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    frequency_x: Annotated[
        int | None,
        Key("periods of x in the scan; without it, half the root of the number of positions", ge=1),
    ] = None,
    frequency_y: Annotated[
        int | None, Key("periods of y in the scan; without it, those of x and one more", ge=1)
    ] = None,
    phase: Annotated[float, Key("phase of x at the start, radians")] = math.pi / 2,
) -> npt.NDArray[np.float64]:
    """Lissajous curve that fills the object inside the margin, sampled at equal times.

    ``x = A sin(2 pi frequency_x t + phase)``, ``y = B sin(2 pi frequency_y t)`` around the middle,
    with ``t = (k + 1/2) / n_patterns``.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    n_patterns : int
        Number of positions.
    buffer : float
        Margin kept free at every edge, pixels; decides the amplitudes A and B.
    frequency_x, frequency_y : int, optional
        Periods in the scan. Without a common divisor, the curve does not repeat itself.
    phase : float
        Phase of x at the start, radians.

    Returns
    -------
    (n_patterns, 2) float64
        ``x`` in ``[buffer, W - buffer]``, ``y`` in ``[buffer, H - buffer]``.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the margin leaves no area.

    Examples
    --------
    >>> xy = lissajous((100, 200), n_patterns=4, buffer=10, frequency_x=1, frequency_y=1)
    >>> xy.round(3).tolist()
    [[163.64, 78.284], [36.36, 78.284], [36.36, 21.716], [163.64, 21.716]]
    """
    count = checks.count(n_patterns, "n_patterns")
    if frequency_x is None:
        frequency_x = max(1, round(math.sqrt(count) / 2))
    if frequency_y is None:
        frequency_y = frequency_x + 1
    turns = 2 * math.pi * (np.arange(count) + 0.5) / count
    x = np.sin(checks.count(frequency_x, "frequency_x") * turns + checks.number(phase, "phase"))
    y = np.sin(checks.count(frequency_y, "frequency_y") * turns)
    area = inside(shape, buffer)
    positions = area.centre + np.stack([x, y], axis=1) * (area.sides / 2)
    return np.clip(positions, area.low, area.high)  # against rounding of the last bit
