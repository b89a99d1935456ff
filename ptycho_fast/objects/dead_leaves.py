"""Dead leaves: disks that lie over each other."""

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, RadiusMaxOrNone, RadiusMin, Size, span, stretched

_AT_ONCE = 1 << 20  # pixels that are laid out in one go

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.integer[Any]]


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
        checks.number(
            max(side / 4, radius_min) if radius_max is None else radius_max, "radius_max", least=1
        ),
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
    top = np.zeros(side * side, np.int32)  # number of the leaf that lies on top, from 1
    per_go = max(int(_AT_ONCE / (math.pi * mean_square)), 1)
    for first in range(0, number, per_go):
        part = slice(first, first + per_go)
        _lay(top, side, y[part], x[part], radii[part], np.arange(number)[part])
    return stretched(np.append(np.float32(0), values)[top].reshape(side, side))


def _lay(top: _Ints, side: int, y: _Floats, x: _Floats, radii: _Floats, leaf: _Ints) -> None:
    """Lay leaves: disks as rows, rows as pixels, the largest number of a pixel stays."""
    # A leaf that crosses a border is there again on the other side.
    shifts = [(dy, dx) for dy in (-side, 0, side) for dx in (-side, 0, side)]
    seen = [
        (np.abs(y + dy - side / 2) <= radii + side / 2)
        & (np.abs(x + dx - side / 2) <= radii + side / 2)
        for dy, dx in shifts
    ]
    y = np.concatenate([(y + dy)[s] for (dy, _), s in zip(shifts, seen, strict=True)])
    x = np.concatenate([(x + dx)[s] for (_, dx), s in zip(shifts, seen, strict=True)])
    radii = np.concatenate([radii[s] for s in seen])
    leaf = np.concatenate([leaf[s] for s in seen])
    first = np.maximum(np.ceil(y - radii), 0).astype(np.intp)
    last = np.minimum(np.floor(y + radii), side - 1).astype(np.intp)
    rows = np.maximum(last + 1 - first, 0)
    disk = np.repeat(np.arange(len(y)), rows)
    row = _runs(first, rows)
    half = np.sqrt(np.maximum(radii[disk] ** 2 - (row - y[disk]) ** 2, 0))
    centre = x[disk]
    left = np.maximum(np.ceil(centre - half), 0).astype(np.intp)
    right = np.minimum(np.floor(centre + half), side - 1).astype(np.intp)
    columns = np.maximum(right + 1 - left, 0)
    pixels = _runs(row * side + left, columns)
    np.maximum.at(top, pixels, np.repeat(leaf[disk].astype(np.int32) + 1, columns))


def _runs(start: _Ints, count: _Ints) -> _Ints:
    """``start[i], start[i] + 1, ...``, ``count[i]`` numbers for each i."""
    found = np.repeat(start - (np.cumsum(count) - count), count)
    found += np.arange(len(found))
    return found
