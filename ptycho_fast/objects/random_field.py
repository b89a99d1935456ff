"""A Gaussian random field whose power falls as a power of the frequency."""

from typing import Annotated

import numpy as np

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import generator

from .maps import Map, Size, stretched


@kind("random_field")
def random_field(
    seed: int,
    *,
    size: Size = 392,
    exponent: Annotated[
        float,
        Key(
            "power falls as frequency**-exponent: 0 white noise, 2 like photographs, 4 smooth",
            ge=0,
            le=10,
            synonyms=("slope", "alpha", "power"),
        ),
    ] = 3.0,
    cutoff: Annotated[
        float,
        Key("highest frequency, cycles per pixel; 0.71 keeps all", gt=0, le=0.71),
    ] = 0.71,
    outer_scale: Annotated[
        float | None,
        Key("longest structure, pixels: the spectrum is flat below its frequency", gt=0),
    ] = None,
) -> Map:
    """Gaussian random field with a power-law spectrum; it is periodic.

    White noise is filtered with ``(f**2 + 1 / outer_scale**2)**(-exponent / 4)`` up to the cut-off;
    the mean (f = 0) is taken out. The power spectrum is the square of that, as von Karman's model
    of turbulence has it.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    size : int
        Side, pixels.
    exponent : float
        Exponent of the power (not amplitude) spectrum.
    cutoff : float
        Highest frequency, cycles per pixel.
    outer_scale : float, optional
        Where the spectrum becomes flat, pixels; nowhere by default.

    Returns
    -------
    (size, size) float32
        Structure map, 0 to 1. Its bits depend on SciPy's FFT and NumPy's power function.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the cut-off leaves no frequency.

    Examples
    --------
    >>> field = random_field(1, size=64, exponent=2.0)
    >>> field.shape, float(field.min()), float(field.max())
    ((64, 64), 0.0, 1.0)
    """
    from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

    side = checks.count(size, "size")
    power = checks.number(exponent, "exponent", least=0)
    if checks.number(cutoff, "cutoff", above=0) * side < 1:
        expected = f"at least {1 / side:.3g}, one cycle in {side} pixels"
        raise ValueError(checks.wrong("cutoff", cutoff, expected))
    noise = generator(seed, "object").standard_normal((side, side), dtype=np.float32)
    square = fftfreq(side)[:, None] ** 2 + rfftfreq(side) ** 2
    beyond = square > cutoff**2
    if outer_scale is not None:
        square += 1 / checks.positive(outer_scale, "outer_scale") ** 2
    square[0, 0] = 1.0
    weights = square.astype(np.float32) ** np.float32(-power / 4)
    weights[beyond] = 0.0
    weights[0, 0] = 0.0
    return stretched(irfft2(rfft2(noise) * weights, s=noise.shape))
