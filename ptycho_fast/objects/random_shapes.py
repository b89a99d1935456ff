"""Random shapes: disks, ellipses, rectangles, triangles."""

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Box, Map, Number, RadiusMax, RadiusMin, Size, span, stretched

_SHAPES = ("disk", "ellipse", "rectangle", "triangle")
_SLIMMEST = 0.3  # shortest over longest half axis


@kind("random_shapes")
def random_shapes(
    seed: int,
    *,
    size: Size = 392,
    number: Number = 60,
    shape: Annotated[
        Literal["mixed", "disk", "ellipse", "rectangle", "triangle"],
        Key("which shapes there are; mixed draws one for each"),
    ] = "mixed",
    radius_min: RadiusMin = 6.0,
    radius_max: RadiusMax = 40.0,
) -> Map:
    """Random disks, ellipses, rectangles and triangles, turned at random, over each other.

    Half lengths are uniform in their range, values uniform from 0 to 1, and the ground is 0. Shapes
    may reach beyond the border.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    number : int
        Number of shapes.
    shape : {"mixed", "disk", "ellipse", "rectangle", "triangle"}
        Which shapes.
    radius_min, radius_max : float
        Radius of a disk and of the circle around a triangle (with three equal sides), half the long
        axis of an ellipse, half the long side of a rectangle, pixels.

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
    >>> random_shapes(1, size=64).shape
    (64, 64)
    """
    side = checks.count(size, "size")
    n = checks.count(number, "number")
    checks.choice(shape, "shape", ("mixed", *_SHAPES))
    low, high = span(
        checks.number(radius_min, "radius_min", least=1),
        checks.number(radius_max, "radius_max", least=1),
        "radius_min",
        "radius_max",
    )
    draw = generator(seed, "object")
    which = draw.integers(0, len(_SHAPES), n)
    if shape != "mixed":
        which[:] = _SHAPES.index(shape)
    y, x = draw.uniform(0, side, (2, n))
    long = draw.uniform(low, high, n)
    short = long * draw.uniform(_SLIMMEST, 1, n)
    angle = draw.uniform(0, 2 * math.pi, n)
    values = draw.random(n, np.float32)
    canvas = np.zeros((side, side), np.float32)
    for i in range(n):
        name = _SHAPES[which[i]]
        reach = math.hypot(long[i], short[i]) if name == "rectangle" else long[i]
        box = Box(side, y[i], x[i], reach)
        canvas[box.at][_inside(name, box, long[i], short[i], angle[i])] = values[i]
    return stretched(canvas)


def _inside(name: str, box: Box, long: float, short: float, angle: float) -> npt.NDArray[np.bool_]:
    """Which pixels of the box a shape covers."""
    if name == "disk":
        return box.y**2 + box.x**2 <= long**2
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u, v = c * box.x + s * box.y, c * box.y - s * box.x
    if name == "ellipse":
        return (u / np.float32(long)) ** 2 + (v / np.float32(short)) ** 2 <= 1
    if name == "rectangle":
        return (np.abs(u) <= long) & (np.abs(v) <= short)
    # Three half planes, half the radius from the middle.
    return (u <= long / 2) & (np.abs(v) * np.float32(3**0.5) - u <= long)
