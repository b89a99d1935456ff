"""V shapes."""

import math
from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, Number, Size, Width, blurred, stretched

_NARROW, _WIDE = math.pi / 9, 2 * math.pi / 3
_AT_ONCE = 1 << 20  # dots drawn in one go
_PER_PIXEL = 2  # dots drawn in a pixel's length of an arm


@kind("v_shapes")
def v_shapes(
    seed: int,
    *,
    size: Size = 392,
    number: Number = 40,
    length: Annotated[float, Key("longest arm, pixels", ge=1, le=65536)] = 60.0,
    opening: Annotated[
        float | None,
        Key(
            "angle between the arms, radians; without it, drawn from pi/9 to 2 pi/3",
            gt=0,
            le=math.pi,
        ),
    ] = None,
    width: Width = 1.0,
) -> Map:
    """V shapes: two arms of the same length from a point, in any direction.

    The point is anywhere in the object; arms that leave it are cut off.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    number : int
        Number of shapes.
    length : float
        Lengths are uniform from half of it to all of it, pixels.
    opening : float, optional
        Angle between the arms, radians.
    width : float
        Standard deviation of an arm's profile, pixels.

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
    >>> v_shapes(1, size=64, length=20).shape
    (64, 64)
    """
    side = checks.count(size, "size")
    n = checks.count(number, "number")
    longest = checks.number(length, "length", least=1)
    sigma = checks.number(width, "width", least=0)
    draw = generator(seed, "object")
    tips = draw.uniform(0, side, (2, n, 1, 1))
    lengths = draw.uniform(longest / 2, longest, (n, 1, 1))
    angles = draw.uniform(0, 2 * np.pi, n)
    between = draw.uniform(_NARROW, _WIDE, n)
    if opening is not None:
        between[:] = checks.number(opening, "opening", above=0, most=math.pi)
    arms = (angles[:, None] + between[:, None] * [-0.5, 0.5])[..., None]
    way = np.arange(math.ceil(longest * _PER_PIXEL)) / _PER_PIXEL
    per_go = max(_AT_ONCE // (2 * len(way)), 1)
    canvas = np.zeros((side, side), np.float32)
    for first in range(0, n, per_go):
        part = slice(first, first + per_go)
        ways = np.where(way < lengths[part], way, 0.0)
        y = np.floor(tips[0, part] + ways * np.sin(arms[part])).astype(np.intp)
        x = np.floor(tips[1, part] + ways * np.cos(arms[part])).astype(np.intp)
        inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
        canvas[y[inside], x[inside]] = 1
    return stretched(blurred(canvas, sigma))
