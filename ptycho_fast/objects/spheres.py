"""Spheres, seen through."""

import numpy as np

from ptycho_fast import checks
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Box, Map, Number, RadiusMax, RadiusMin, Size, span, stretched

_NUMBER, _RADIUS_MIN, _RADIUS_MAX = 40, 8.0, 40.0


@kind("spheres")
def spheres(
    seed: int,
    *,
    size: Size = 392,
    number: Number = _NUMBER,
    radius_min: RadiusMin = _RADIUS_MIN,
    radius_max: RadiusMax = _RADIUS_MAX,
) -> Map:
    """Thickness of random spheres, ``2 sqrt(R**2 - r**2)``; where they overlap, it adds.

    Radii are uniform in their range. Spheres may reach beyond the border.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    number : int
        Number of spheres.
    radius_min, radius_max : float
        Their radii, pixels.

    Returns
    -------
    (size, size) float32
        Structure map: thickness over the largest thickness.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> spheres(1, size=64).shape
    (64, 64)
    """
    return stretched(
        chords(seed, size=size, number=number, radius_min=radius_min, radius_max=radius_max)
    )


def chords(
    seed: int,
    *,
    size: int,
    number: int = _NUMBER,
    radius_min: float = _RADIUS_MIN,
    radius_max: float = _RADIUS_MAX,
) -> Map:
    """The thickness of `spheres` in pixels, (size, size) float32."""
    side = checks.count(size, "size")
    n = checks.count(number, "number")
    low, high = span(
        checks.number(radius_min, "radius_min", least=1),
        checks.number(radius_max, "radius_max", least=1),
        "radius_min",
        "radius_max",
    )
    draw = generator(seed, "object")
    y, x = draw.uniform(0, side, (2, n))
    radii = draw.uniform(low, high, n)
    thickness = np.zeros((side, side), np.float32)
    for i in range(n):
        box = Box(side, y[i], x[i], radii[i])
        square = np.float32(radii[i] * radii[i]) - box.y**2 - box.x**2
        thickness[box.at] += 2 * np.sqrt(np.maximum(square, 0))
    return thickness
