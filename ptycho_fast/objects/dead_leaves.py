"""Dead leaves: disks that lie over each other."""

import math
from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, RadiusMaxOrNone, RadiusMin, Size, span, stretched

_AT_ONCE = 1 << 20  # pixels painted in one go


@kind("dead_leaves")
def dead_leaves(
    seed: int,
    *,
    size: Size = 392,
    radius_min: RadiusMin = 4.0,
    radius_max: RadiusMaxOrNone = None,
    coverage: Annotated[
        float, Key("share of the area that leaves cover on average", gt=0, lt=1)
    ] = 0.999,
) -> Map:
    """Dead leaves: disks with radii of density 1/r**3, each of one value, over each other.

    That law makes a picture whose statistics do not change with scale, as those of photographs
    nearly do not. Values are uniform from 0 to 1, and the ground is 0. The object is periodic: a
    leaf that leaves it on one side comes in on the other.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    radius_min, radius_max : float
        Ends of the law, pixels.
    coverage : float
        It sets the number of leaves, ``-log(1 - coverage) size**2 / (pi <r**2>)``: so many of them
        at random places cover that share on average.

    Returns
    -------
    (size, size) float32
        Structure map, 0 to 1.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    References
    ----------
    A. B. Lee, D. Mumford and J. Huang, "Occlusion models for natural images", International
    Journal of Computer Vision 41, 35 (2001).

    Examples
    --------
    >>> dead_leaves(1, size=64).shape
    (64, 64)
    """
    side = checks.count(size, "size")
    a, b = span(
        checks.number(radius_min, "radius_min", least=1),
        checks.number(side / 4 if radius_max is None else radius_max, "radius_max", least=1),
        "radius_min",
        "radius_max",
    )
    if 2 * b > side:
        raise ValueError(checks.wrong("radius_max", b, f"at most {side / 2}, half of the side"))
    share = checks.number(coverage, "coverage", above=0)
    if share >= 1:
        raise ValueError(checks.wrong("coverage", coverage, "a number below 1"))
    least, most = b**-2, a**-2
    mean_square = math.log(most / least) / (most - least) if most > least else a * a
    number = math.ceil(-math.log1p(-share) * side**2 / (math.pi * mean_square))
    draw = generator(seed, "object")
    radii = (most - draw.random(number) * (most - least)) ** -0.5
    y, x = draw.uniform(0, side, (2, number))
    values = draw.random(number, np.float32)
    canvas = np.zeros(side * side, np.float32)
    per_go = max(int(_AT_ONCE / (math.pi * mean_square)), 1)
    for first in range(0, number, per_go):
        part = slice(first, first + per_go)
        _paint(canvas, side, y[part], x[part], radii[part], values[part])
    return stretched(canvas.reshape(side, side))


def _paint(
    canvas: Map,
    side: int,
    y: np.ndarray[tuple[int], np.dtype[np.float64]],
    x: np.ndarray[tuple[int], np.dtype[np.float64]],
    radii: np.ndarray[tuple[int], np.dtype[np.float64]],
    values: Map,
) -> None:
    """Paint disks one over the other: disks as rows, rows as pixels, all pixels in one go."""
    top = np.ceil(y - radii).astype(np.int64)
    row, disk = _counted(top, np.floor(y + radii).astype(np.int64) + 1 - top)
    half = np.sqrt(np.maximum(radii[disk] ** 2 - (row - y[disk]) ** 2, 0))
    left = np.ceil(x[disk] - half).astype(np.int64)
    column, run = _counted(left, np.floor(x[disk] + half).astype(np.int64) + 1 - left)
    # Of equal places the last one stays, so later disks hide earlier ones.
    canvas[((row % side) * side)[run] + column % side] = values[disk[run]]


def _counted(
    start: np.ndarray[tuple[int], np.dtype[np.int64]],
    count: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """``start[i], start[i] + 1, ...``, ``count[i]`` numbers for each i, and that i."""
    which = np.repeat(np.arange(len(start)), count)
    before = np.cumsum(count) - count
    return np.arange(len(which)) + (start - before)[which], which
