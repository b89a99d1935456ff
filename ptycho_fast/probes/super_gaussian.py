"""A beam with a flat top and soft edges."""

from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .sampling import Real, beam_width, radii, unit_power


@kind("super_gaussian")
def super_gaussian(
    N: int,
    geometry: Geometry | None = None,
    *,
    radius: Annotated[
        float | None,
        Key(
            "where the intensity has fallen to 1/e of the middle, object pixels; by default N/5",
            gt=0,
        ),
    ] = None,
    radius_m: Annotated[
        float | None,
        Key("the same in metres, in place of probe.radius; needs optics.object_pixel_m", gt=0),
    ] = None,
    order: Annotated[
        float, Key("1 is a Gaussian, larger has steeper edges, no unit", ge=0.5, le=100)
    ] = 4.0,
) -> Real:
    """Super-Gaussian beam, real: the intensity is ``exp(-(r / radius)**(2 order))``.

    Parameters
    ----------
    N : int
        Side, pixels.
    geometry : Geometry, optional
        Has the size of an object pixel.
    radius : float, optional
        Where the intensity is 1/e, pixels.
    radius_m : float, optional
        The same in metres.
    order : float
        Steepness: 1 is a Gaussian with ``sigma = radius / sqrt(2)``; a disk is the limit.

    Returns
    -------
    (N, N) float64
        The probe, of unit power, centred on pixel ``(N // 2, N // 2)``.

    Raises
    ------
    ScenarioError
        Both radii are given, metres without the size of an object pixel, or a beam wider than N
        pixels (at ``1/e**2`` of the intensity).
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> probe = super_gaussian(64, radius=16, order=8)
    >>> print(f"{(probe[32, 48] / probe[32, 32]) ** 2:.4f}")
    0.3679
    """
    steepness = checks.number(order, "order", least=0.5, most=100)
    limits = 0.5, N / 2 / 2 ** (0.5 / steepness)  # 1/e**2 of the intensity is at N/2 at most
    edge = beam_width("radius", radius, radius_m, geometry, N, default=N / 5, limits=limits)
    with np.errstate(over="ignore", under="ignore"):
        return unit_power(np.exp(-0.5 * (radii(N) / edge) ** (2 * steepness)), "probe")
