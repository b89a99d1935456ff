"""Point spread: the charge of a photon reaches neighbouring pixels."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key

_REST = 1e-7  # of the kernel that is cut off


def point_spread(
    *,
    point_spread: Annotated[
        float | None,
        Key(
            "standard deviation of the point spread function, detector pixels",
            ge=0,
            le=1000,
            synonyms=("psf", "psf_sigma"),
        ),
    ] = None,
) -> float:
    """Variance of the spread of a photon's signal.

    It blurs the expected photons, before they are counted: right for optics and scintillators. A
    charge that is shared by pixels after that would correlate their noise, which is not modelled.

    Parameters
    ----------
    point_spread : float, optional
        Standard deviation, detector pixels.

    Returns
    -------
    float
        Variance, detector pixels squared.
    """
    return (point_spread or 0.0) ** 2


def spread_kernel(sigma: float, N: int) -> npt.NDArray[np.float32]:
    """Half of the kernel of a blur: the discrete Gaussian ``exp(-s^2) I_r(s^2)``.

    Unlike samples of a Gaussian it has the variance ``sigma**2`` exactly for every sigma, and two
    blurs in a row are one with the sum of the variances (T. Lindeberg, IEEE PAMI 12, 234, 1990).

    Parameters
    ----------
    sigma : float
        Standard deviation, pixels.
    N : int
        Side of the pattern, pixels.

    Returns
    -------
    (R + 1,) float32
        ``k[0] + 2 * k[1:].sum() == 1``; what lies beyond R is less than 1e-7 of all.

    Raises
    ------
    ValueError
        The kernel is wider than the pattern.

    Examples
    --------
    >>> kernel = spread_kernel(0.5, 64)
    >>> bool(abs(2 * (kernel * np.arange(len(kernel)) ** 2).sum() - 0.25) < 1e-5)
    True
    """
    sigma = checks.number(sigma, "sigma", least=0)
    if sigma == 0:
        return np.ones(1, np.float32)
    from scipy import special

    half = special.ive(np.arange((N + 1) // 2), sigma**2)
    beyond = 1 - 2 * np.cumsum(half) + half[0]
    if not beyond[-1] < _REST:
        expected = f"a spread whose tails end within {N} pixels"
        raise ValueError(checks.wrong("sigma", f"{sigma:g} pixels", expected))
    half = half[: int(np.argmax(beyond < _REST)) + 1]
    return (half / (2 * half.sum() - half[0])).astype(np.float32)
