"""The idealised disk: the probe of the published scenarios."""

import math

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.gaussian_blur import gaussian_blur
from ptycho_fast.kinds import kind


@kind("ideal_disk")
def ideal_disk(N: int) -> npt.NDArray[np.float64]:
    """Smoothed disk, real.

    A Gaussian window of standard deviation ``N / (0.7 pi**2)`` is multiplied with itself,
    thresholded at one half, blurred by one pixel, and raised by 1e-9.

    Parameters
    ----------
    N : int
        Side, pixels.

    Returns
    -------
    (N, N) float64
        The probe, between 0 and 1, not normalised.

    Raises
    ------
    TypeError, ValueError
        `N` is not an integer of at least 1.

    Examples
    --------
    >>> probe = ideal_disk(64)
    >>> probe.shape, bool(probe.max() < 1.01)
    ((64, 64), True)
    """
    side = checks.count(N, "N")
    offset = np.arange(side) - (side - 1) / 2
    window = np.exp(-0.5 * (offset / (side / (0.7 * math.pi**2))) ** 2)
    disk = (np.outer(window, window) > 0.5).astype(np.float64)
    return gaussian_blur(disk, sigma=1) + 1e-9
