"""Photon counts by definition: the Poisson quantile of Philox uniforms, in NumPy and SciPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from ptycho_fast.rng import photon_uniforms

Floats = npt.NDArray[np.float64]


def poisson_cdf(k: Floats, rate: Floats) -> Floats:
    """Poisson distribution function F(k; rate), float64, 0 for k < 0.

    `scipy.special.pdtr`, except at rates above 5e4 beyond four deviations, where its series stop
    before they converge; there the leading terms of Temme's uniform expansion (DLMF 8.12.4, 8.12.7)
    are good to 1e-13.
    """
    a = np.maximum(k + 1, 1)
    mu = rate / a - 1
    eta = np.sign(mu) * np.sqrt(2 * np.maximum(mu - np.log1p(np.maximum(mu, -0.5)), 0))
    z = eta * np.sqrt(a)
    c0 = -1 / 3 + eta / 12 - eta * eta * (2 / 135)
    expansion = special.ndtr(-z) + np.exp(-z * z / 2) / np.sqrt(2 * np.pi * a) * c0
    far = (rate > 5e4) & (np.abs(z) > 4)
    return np.where(k < 0, 0.0, np.where(far, expansion, special.pdtr(np.maximum(k, 0), rate)))


def poisson_quantile(u: npt.ArrayLike, rate: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Smallest integer ``k >= 0`` with ``F(k; rate) >= u``.

    Parameters
    ----------
    u : (...) float64
        In (0, 1).
    rate : (...) float64
        Expected photons, 0 to 2**31; broadcasts with `u`.

    Returns
    -------
    (...) uint32
        Counts.
    """
    u, rate = np.asarray(u, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    w = special.ndtri(u)
    k = np.maximum(np.floor(rate + np.sqrt(rate) * w + (w * w - 1) / 6), 0.0)  # Cornish-Fisher
    while np.any(low := poisson_cdf(k, rate) < u):
        # Close to u = 1 rounding can keep F below u for good; the count is where F stops rising.
        low &= poisson_cdf(k + 1, rate) > poisson_cdf(k, rate)
        if not low.any():
            break
        k = k + low
    while np.any(high := (k > 0) & (poisson_cdf(k - 1, rate) >= u)):
        k = k - high
    return np.asarray(k, dtype=np.uint32)


def counts(rate: npt.NDArray[np.floating[Any]], seed: int, pattern: int) -> npt.NDArray[np.uint32]:
    """Photon counts of one pattern.

    Parameters
    ----------
    rate : (...) float32 or float64
        Expected photons per pixel, 0 to 2**31.
    seed, pattern : int
        0 to 2**64 - 1.

    Returns
    -------
    (...) uint32
        Counts; pixels are numbered in C order.
    """
    return poisson_quantile(photon_uniforms(seed, pattern, rate.size).reshape(rate.shape), rate)
