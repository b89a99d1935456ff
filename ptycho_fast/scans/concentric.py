"""Rings of positions around the middle."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .area import Buffer, NPatterns, Step, StepM, inside, placed


@kind("concentric")
def concentric(
    shape: tuple[int, int],
    geometry: Geometry | None = None,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    step: Step = None,
    step_m: StepM = None,
    first_ring: Annotated[
        int, Key("positions in the innermost ring; ring k has k times as many", ge=1)
    ] = 6,
) -> npt.NDArray[np.float64]:
    """Concentric rings, one step apart, around a position in the middle.

    Ring k has radius ``k step`` and ``k first_ring`` positions, equally spaced. The last ring has
    what is left of the positions, equally spaced too.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    geometry : Geometry, optional
        Has the size of an object pixel.
    n_patterns : int
        Number of positions.
    buffer : float
        Margin kept free at every edge, pixels.
    step : float, optional
        Distance of the rings, pixels; without it, the largest that fits.
    step_m : float, optional
        The same in metres.
    first_ring : int
        Positions in the innermost ring.

    Returns
    -------
    (n_patterns, 2) float64
        ``x`` in ``[buffer, W - buffer]``, ``y`` in ``[buffer, H - buffer]``, from the middle of the
        object outwards.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the rings do not fit.

    Examples
    --------
    >>> xy = concentric((100, 100), n_patterns=11, buffer=10, step=12, first_ring=4)
    >>> np.hypot(*(xy - 50).T).round(6).tolist()
    [0.0, 12.0, 12.0, 12.0, 12.0, 24.0, 24.0, 24.0, 24.0, 24.0, 24.0]
    """
    count = checks.count(n_patterns, "n_patterns")
    first = checks.count(first_ring, "first_ring")
    most = math.isqrt(2 * count) + 1
    before = 1 + first * np.arange(most) * np.arange(1, most + 1) // 2  # up to ring k, inclusive
    ring = np.searchsorted(before, np.arange(count), side="right")
    start = np.concatenate([[0], before])[ring]
    size = np.bincount(ring)[ring]
    angle = 2 * math.pi * (np.arange(count) - start) / size
    pattern = np.stack([ring * np.cos(angle), ring * np.sin(angle)], axis=1)
    extent = np.full(2, float(ring[-1]))
    area = inside(shape, buffer)
    return placed(pattern, area, step=step, step_m=step_m, geometry=geometry, extent=extent)
