"""Fermat spiral: points of equal density without a period."""

import math

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .area import Buffer, NPatterns, Step, StepM, inside, placed

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))  # 137.508 degrees


@kind("fermat")
def fermat(
    shape: tuple[int, int],
    geometry: Geometry | None = None,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    step: Step = None,
    step_m: StepM = None,
) -> npt.NDArray[np.float64]:
    """Fermat spiral from the middle outwards: the same density everywhere in a disk.

    Position k is at radius ``step sqrt(k / pi)`` and angle ``k`` times 137.508 degrees. Source:
    X. Huang et al., "Optimization of overlap uniformness for ptychography", Opt. Express 22,
    12634 (2014), whose ``c`` is ``step / sqrt(pi)``.

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
        Square root of the area of a position, pixels; without it, the largest that fits.
    step_m : float, optional
        The same in metres.

    Returns
    -------
    (n_patterns, 2) float64
        ``x`` in ``[buffer, W - buffer]``, ``y`` in ``[buffer, H - buffer]``, in a disk around the
        middle of the object.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the spiral does not fit.

    Examples
    --------
    >>> xy = fermat((100, 100), n_patterns=200, buffer=10)
    >>> xy[0].tolist(), bool(np.hypot(*(xy - 50).T).max() <= 41)
    ([50.0, 50.0], True)
    """
    k = np.arange(checks.count(n_patterns, "n_patterns"))
    radius, angle = np.sqrt(k / math.pi), GOLDEN_ANGLE * k
    pattern = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    area = inside(shape, buffer)
    return placed(pattern, area, step=step, step_m=step_m, geometry=geometry)
