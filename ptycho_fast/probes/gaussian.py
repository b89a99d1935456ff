"""A Gaussian beam in its waist."""

import math
from typing import Annotated

import numpy as np

from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .sampling import Real, beam_width, offsets, unit_power


@kind("gaussian")
def gaussian(
    N: int,
    geometry: Geometry | None = None,
    *,
    sigma: Annotated[
        float | None,
        Key(
            "standard deviation of the intensity along each axis, object pixels; by default N/10",
            gt=0,
            synonyms=("width", "waist"),
        ),
    ] = None,
    sigma_m: Annotated[
        float | None,
        Key("the same in metres, in place of probe.sigma; needs optics.object_pixel_m", gt=0),
    ] = None,
) -> Real:
    """Gaussian beam, real: the intensity is ``exp(-r**2 / (2 sigma**2))``.

    The full width at half maximum is 2.355 sigma, the waist (``1/e**2`` of the intensity) 2 sigma.

    Parameters
    ----------
    N : int
        Side, pixels.
    geometry : Geometry, optional
        Has the size of an object pixel.
    sigma : float, optional
        Standard deviation of the intensity, pixels.
    sigma_m : float, optional
        The same in metres.

    Returns
    -------
    (N, N) float64
        The probe, of unit power, centred on pixel ``(N // 2, N // 2)``.

    Raises
    ------
    ScenarioError
        Both widths are given, metres without the size of an object pixel, or a beam or a pattern
        wider than N pixels (at ``1/e**2`` of the intensity).
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> probe = gaussian(64, sigma=5.0)
    >>> print(f"{probe[32, 37] ** 2 / probe[32, 32] ** 2:.4f}", f"{(probe**2).sum():.4f}")
    0.6065 1.0000
    """
    along = offsets(N)
    # Four sigma of the beam, and of its pattern (N / (4 pi sigma)), are N at most.
    limits = 1 / math.pi, N / 4
    width = beam_width("sigma", sigma, sigma_m, geometry, N, default=N / 10, limits=limits)
    line = np.exp(-((along / (2 * width)) ** 2))
    return unit_power(np.outer(line, line), "probe")
