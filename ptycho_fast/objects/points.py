"""Points."""

import numpy as np

from ptycho_fast import checks
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, Number, Size, Width, blurred, stretched


@kind("points")
def points(
    seed: int,
    *,
    size: Size = 392,
    number: Number = 400,
    width: Width = 1.5,
) -> Map:
    """Random points, sharp or as Gaussian spots.

    They are anywhere with the same chance, and their heights are uniform from 0.5 to 1. Where they
    meet, they add.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    number : int
        Number of points.
    width : float
        Standard deviation of a spot, pixels.

    Returns
    -------
    (size, size) float32
        Structure map, 0 to 1.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> sharp = points(1, size=64, number=5, width=0)
    >>> int(np.count_nonzero(sharp))
    5
    """
    side = checks.count(size, "size")
    n = checks.count(number, "number")
    draw = generator(seed, "object")
    where = draw.integers(0, side * side, n)
    heights = draw.uniform(0.5, 1, n)
    sharp = np.bincount(where, heights, side * side).reshape(side, side)
    return stretched(blurred(sharp, checks.number(width, "width", least=0)))
