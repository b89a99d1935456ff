"""The Siemens star, a test pattern of resolution."""

import math
from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind

from .maps import Map, Size, span, stretched


@kind("siemens_star")
def siemens_star(
    *,
    size: Size = 392,
    spokes: Annotated[int, Key("number of bright spokes", ge=1, le=10_000)] = 36,
    inner_radius: Annotated[float, Key("radius where the spokes begin, pixels", ge=0)] = 4.0,
    outer_radius: Annotated[
        float | None, Key("radius where they end, pixels; without it, 0.48 of the side", gt=0)
    ] = None,
    rotation: Annotated[float, Key("turn of the star from x towards y, radians")] = 0.0,
) -> Map:
    """Siemens star: spokes whose period ``2 pi r / spokes`` grows with the radius.

    The centre is the middle of the object, ``(size - 1) / 2``. Edges are smooth over one pixel. At
    rotation 0 a bright spoke begins at the x axis and goes on towards y. Nothing is drawn, so every
    seed gives the same star.

    Parameters
    ----------
    size : int
        Side, pixels.
    spokes : int
        Bright spokes; dark ones of the same width lie between them.
    inner_radius, outer_radius : float
        Where spokes begin and end, pixels.
    rotation : float
        Angle of the first spoke, radians.

    Returns
    -------
    (size, size) float32
        Structure map: 0 dark, 1 bright.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> star = siemens_star(size=65, spokes=2, inner_radius=0)
    >>> print(star[40, 48], star[40, 16])  # right of the middle and below: bright; left: dark
    1.0 0.0
    """
    side = checks.count(size, "size")
    number = checks.count(spokes, "spokes")
    inner, outer = span(
        checks.number(inner_radius, "inner_radius", least=0),
        checks.positive(0.48 * side if outer_radius is None else outer_radius, "outer_radius"),
        "inner_radius",
        "outer_radius",
    )
    at = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    radius = np.sqrt(at[:, None] ** 2 + at**2)
    turn = np.arctan2(at[:, None], at) - np.float32(checks.number(rotation, "rotation"))
    period = turn * np.float32(number / (2 * math.pi)) + np.float32(0.25)
    period -= np.floor(period)  # 0 to 1, a bright spoke is in the middle
    edge = (0.25 - np.abs(period - 0.5)) * radius * np.float32(2 * math.pi / number)
    star = np.clip(edge + 0.5, 0, 1)
    star *= np.clip(outer - radius + 0.5, 0, 1)
    star *= np.clip(radius - inner + 0.5, 0, 1)
    return stretched(star)
