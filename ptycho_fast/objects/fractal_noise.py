"""Fractal noise: octaves of Perlin's gradient noise."""

from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, Size, stretched

_HALF = 0.5**0.5
_DIRECTIONS = np.array(
    [[1, 0], [_HALF, _HALF], [0, 1], [-_HALF, _HALF]], np.float32
)  # and the opposite ones
_FINEST = 2.0  # pixels: a finer lattice would be undersampled


@kind("fractal_noise")
def fractal_noise(
    seed: int,
    *,
    size: Size = 392,
    cell: Annotated[
        float, Key("cell of the coarsest octave, pixels", ge=_FINEST, synonyms=("scale",))
    ] = 64.0,
    octaves: Annotated[int, Key("number of octaves", ge=1, le=16)] = 6,
    persistence: Annotated[float, Key("height of an octave over the one before", gt=0, le=1)] = 0.5,
    lacunarity: Annotated[float, Key("cell of an octave over the next one", gt=1, le=8)] = 2.0,
) -> Map:
    """Fractal (Perlin) noise: a sum of octaves of gradient noise.

    Each octave is noise on a lattice of its own: a random one of eight directions at each lattice
    point, its gradient blended over the cell with ``6 t**5 - 15 t**4 + 10 t**3``. Octaves with
    cells below two pixels are left out.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    cell : float
        Cell of the coarsest octave, pixels.
    octaves : int
        How many there are.
    persistence : float
        Height of an octave over that of the coarser one.
    lacunarity : float
        Cell of an octave over that of the finer one.

    Returns
    -------
    (size, size) float32
        Structure map, 0 to 1. Only sums, products and quotients make it, so its bits are the same
        everywhere.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.

    References
    ----------
    K. Perlin, "Improving noise", ACM Transactions on Graphics 21, 681 (2002).

    Examples
    --------
    >>> fractal_noise(1, size=64).shape
    (64, 64)
    """
    side = checks.count(size, "size")
    step = checks.number(cell, "cell", least=_FINEST)
    share = checks.number(persistence, "persistence", above=0)
    ratio = checks.number(lacunarity, "lacunarity", above=1)
    draw = generator(seed, "object")
    total = np.zeros((side, side), np.float32)
    height = 1.0
    for _ in range(checks.count(octaves, "octaves")):
        if step < _FINEST:
            break
        total += np.float32(height) * gradient_noise(draw, side, step)
        step /= ratio
        height *= share
    return stretched(total)


def gradient_noise(draw: np.random.Generator, size: int, step: float) -> Map:
    """One octave: gradient noise of a lattice.

    Parameters
    ----------
    draw : numpy.random.Generator
        Where the gradients come from, and the place of the lattice.
    size : int
        Side of the map, pixels.
    step : float
        Side of a cell, pixels.

    Returns
    -------
    (size, size) float32
        Mean 0; zero at the lattice points.
    """
    at = np.arange(size) / step + draw.random((2, 1))
    cell = at.astype(np.intp)
    near = (at - cell).astype(np.float32)  # from the lattice point before, in cells
    far = near - 1
    blend = near * near * near * (near * (near * 6 - 15) + 10)
    rest = 1 - blend
    points = cell.max(axis=1) + 2
    number = draw.integers(0, 8, points, dtype=np.uint8)
    gradient = _DIRECTIONS[number & 3] * (1 - 2 * (number >> 2).astype(np.float32))[..., None]
    gx, gy = gradient[..., 0], gradient[..., 1]
    # First along x for every row of the lattice, then along y for every row of the map.
    y, x = cell
    slope = gx[:, x] * (rest[1] * near[1]) + gx[:, x + 1] * (blend[1] * far[1])
    level = gy[:, x] * rest[1] + gy[:, x + 1] * blend[1]
    found = slope[y] * rest[0][:, None]
    found += level[y] * (rest[0] * near[0])[:, None]
    found += slope[y + 1] * blend[0][:, None]
    found += level[y + 1] * (blend[0] * far[0])[:, None]
    return found
