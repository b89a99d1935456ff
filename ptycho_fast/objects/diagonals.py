"""Long lines along both diagonals."""

import numpy as np

from ptycho_fast import checks
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, Number, Size, Width, stretched


@kind("diagonals")
def diagonals(seed: int, *, size: Size = 392, number: Number = 60, width: Width = 1.5) -> Map:
    """Random lines at 45 degrees in both directions, from border to border.

    Where lines cross, they add.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    number : int
        Number of lines; each goes one way or the other.
    width : float
        Standard deviation of a line's Gaussian profile, pixels.

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
    >>> diagonals(1, size=64).shape
    (64, 64)
    """
    from scipy.ndimage import gaussian_filter1d

    side = checks.count(size, "size")
    n = checks.count(number, "number")
    sigma = checks.number(width, "width", least=0)
    draw = generator(seed, "object")
    # A map of lines at 45 degrees is a function of i + j or i - j alone: a profile along that sum,
    # whose steps are half of a pixel's diagonal.
    profile = np.zeros((2, 2 * side - 1), np.float32)
    profile[draw.integers(0, 2, n), draw.integers(0, 2 * side - 1, n)] = 1
    if sigma > 0:
        profile = gaussian_filter1d(profile, sigma * 2**0.5, axis=1, mode="constant")
    rising, falling = np.lib.stride_tricks.sliding_window_view(profile, side, axis=1)
    return stretched(rising + falling[::-1])
