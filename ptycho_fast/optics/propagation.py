"""Propagation through free space by the angular spectrum of plane waves."""

import math

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks


def transfer_function(
    n: int, pixel_m: float, wavelength_m: float, distance_m: float
) -> npt.NDArray[np.complex128]:
    """What free space does to each plane wave, without the phase of the wave along the beam.

    ``H(f) = exp(2 pi i z (sqrt(1/lambda**2 - f**2) - 1/lambda))``, and 0 for evanescent waves (J.
    W. Goodman, Introduction to Fourier Optics, section 3.10). For small angles it is Fresnel's
    ``exp(-pi i lambda z f**2)``. The sign is that of ``exp(2 pi i f x)`` for a wave towards
    positive x, which goes with objects ``exp(i phase)``.

    Parameters
    ----------
    n : int
        Side of the wave, pixels.
    pixel_m : float
        Size of a pixel, metres.
    wavelength_m : float
        Wavelength, metres.
    distance_m : float
        Distance z, metres; negative goes back.

    Returns
    -------
    (n, n) complex128
        Zero frequency at ``(0, 0)``, as NumPy's `fft2` has it.

    Raises
    ------
    TypeError, ValueError
        An argument is no number, or not above zero.

    Examples
    --------
    Energy is conserved:

    >>> h = transfer_function(8, 1e-6, 1e-9, 0.1)
    >>> bool(np.allclose(np.abs(h), 1)), complex(h[0, 0])
    (True, (1+0j))
    """
    side, pixel = checks.count(n, "n"), checks.positive(pixel_m, "pixel_m")
    inverse = 1 / checks.positive(wavelength_m, "wavelength_m")
    z = checks.number(distance_m, "distance_m")
    square = np.fft.fftfreq(side, pixel) ** 2
    square = square[:, np.newaxis] + square
    along = inverse**2 - square
    travels = along >= 0
    # sqrt(a) - b = (a - b**2) / (sqrt(a) + b), without a difference of large numbers.
    turns = -z * square / (np.sqrt(np.where(travels, along, 0)) + inverse)
    return np.where(travels, np.exp(2j * math.pi * turns), 0)


def farthest(n: int, pixel_m: float, wavelength_m: float) -> float:
    """Distance over which n pixels carry a wave with all its frequencies, metres.

    Beyond ``n pixel**2 / lambda`` the highest frequencies leave the window at one side and come
    back at the other.

    Parameters
    ----------
    n : int
        Side of the wave, pixels.
    pixel_m, wavelength_m : float
        Metres.

    Returns
    -------
    float
        The distance, metres.

    Examples
    --------
    >>> round(farthest(256, 50e-9, 1e-10), 6)
    0.0064
    """
    return n * pixel_m**2 / wavelength_m
