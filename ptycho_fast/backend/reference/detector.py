"""What a detector makes of photons, by definition: NumPy and SciPy in float64."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from ptycho_fast.detector.record import DEAD, HOT, MASKED, Response
from ptycho_fast.rng import pixel_halves, pixel_words

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_BYTES = 10922.5**-0.5  # 1 over the deviation of a sum of two bytes
_MOST = 2.0**31 - 128  # counts that take part in dead time


def normals(halves: Array, tails: Array) -> Floats:
    """Normal quantiles of the middles of 2**16 intervals of (0, 1).

    The outermost 16 intervals on either side are divided by 2**16 once more: there the quantile is
    that of the words whose upper half is in `halves` and whose lower half in `tails`.
    """
    far = np.minimum(halves, 0xFFFF - halves) < 16
    words = (halves.astype(np.uint32) << 16) | (tails & np.uint32(0xFFFF))
    uniform = np.where(far, (words + 0.5) * 2.0**-32, (halves + 0.5) * 2.0**-16)
    return np.asarray(special.ndtri(uniform))


def counted_in_dead_time(counts: Array, response: Response, words: Array) -> Floats:
    """Counts of a pixel that misses photons while it is dead.

    With a steady beam, and x = (k - 1) tau / T for k photons, the mean is ``k / (1 + x)``, and
    ``k exp(-x)`` if the pixel is paralysable: averaged over a Poisson distribution of k these are
    the known laws of the rate. The variance for a given k is what the known total variance leaves.
    A number that hardly varies is the mean, rounded up or down by chance; others are the mean plus
    noise, rounded. Noise and chance are made from the lower 16 bits of the words: the sum of two
    bytes, whose distribution is a triangle, and the bits as a fraction.
    """
    k = np.minimum(counts.astype(np.float64), _MOST)
    others = np.maximum(k - 1, 0)
    x = others * response.dead_time
    if response.paralysable:
        seen = np.exp(-np.minimum(x, 80))
        lost = k * (1 - seen)
        deviation = np.sqrt(np.maximum(k * seen * (1 - (1 + x * x) * seen), 0))
    else:
        seen = 1 / (1 + x)
        lost = k * x * seen
        deviation = others * np.sqrt(response.dead_time) * seen**2
    half = words & np.uint32(0xFFFF)
    near_normal = ((half & 0xFF) + (half >> 8) - 255.0) * _BYTES
    chance = (half + 0.5) * 2.0**-16
    change = np.floor(np.where(deviation < 0.5, chance, deviation * near_normal + 0.5) - lost)
    return np.clip(k + change, 0, k)


def signal(counts: Array, response: Response, pattern: int) -> Floats:
    """Signals of one pattern.

    Parameters
    ----------
    counts : (...) uint32
        Photons that arrive; pixels are numbered in C order.
    response : Response
        The detector.
    pattern : int
        Its number, 0 to 2**64 - 1.

    Returns
    -------
    (...) float64
        Signals, in units of the gain.
    """

    def words(part: str) -> Array:
        stream = f"detector_{part}"
        return pixel_words(response.seed, stream, pattern, counts.size).reshape(counts.shape)

    x = counts.astype(np.float64)
    if response.dead_time:
        x = counted_in_dead_time(counts, response, words("counts"))
    x = x + response.dark_least
    if response.dark is not None:
        high, low = np.uint32(0xFFFF0000), np.uint32(0xFFFF)
        dark = (words("counts") & high) | (words("dark_counts") & low)
        x = x + np.searchsorted(response.dark, dark, side="right")
    x = x * response.gain
    if response.readout:
        halves = pixel_halves(
            response.seed, "detector_readout_noise", pattern, counts.size
        ).reshape(counts.shape)
        x = x + response.readout * normals(halves, words("readout_tails"))
    x = x + response.offset
    if response.ceiling:
        if response.wrap:
            step = response.step or 1.0
            period = response.ceiling + step
            x = x - period * np.floor((x + step / 2) / period)
        else:
            x = np.minimum(x, response.ceiling)
    if response.step:
        x = np.rint(x * (1 / response.step)) * response.step
    if response.pixels is not None:
        states = ((DEAD, 0.0), (HOT, response.hot), (MASKED, response.masked))
        for state, value in states:
            x[response.pixels == state] = value
    return x


def stored(signal: Floats, dtype: np.dtype[Any]) -> Array:
    """Signals in the type of the result, integers rounded and within its range."""
    if dtype.kind == "f":
        return signal.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(signal).clip(limits.min, limits.max).astype(dtype)


def amplitude(signal: Floats, response: Response, scale: float) -> Array:
    """Float32 amplitudes of the photons that the signals speak of; negative ones count as none."""
    photons = np.maximum((signal - response.offset) / response.gain, 0)
    return (np.sqrt(photons) / scale).astype(np.float32)
