"""A probe that varies from pattern to pattern: eigenprobes, and the weight of each in each."""

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key, wrong
from ptycho_fast.rng import generator

from .modes import MOST_MODES, orthonormal, polynomials


def varied(
    probe: npt.NDArray[Any],
    n_patterns: int,
    seed: int,
    *,
    variation: Annotated[
        float,
        Key(
            "root mean square of what varies in the first mode from pattern to pattern, as a share "
            "of that mode (orthogonal probe relaxation), no unit; 0 is off",
            ge=0,
            le=10,
            synonyms=("opr", "opr_weights"),
        ),
    ] = 0.0,
    variation_modes: Annotated[
        int, Key("number of eigenprobes in which it varies", ge=1, lt=MOST_MODES)
    ] = 2,
    intensity_fluctuation: Annotated[
        float,
        Key(
            "root mean square of the beam's intensity from pattern to pattern, over its mean, no "
            "unit; 0 is off",
            ge=0,
            le=10,
        ),
    ] = 0.0,
    variation_correlation: Annotated[
        float,
        Key("patterns over which both stay alike (correlation exp(-1/2)); 0 is none", ge=0, le=1e6),
    ] = 0.0,
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float32]] | None:
    """Make eigenprobes and weights of a probe, as the common keys of ``[probe]`` say.

    In pattern b mode m is ``weights[b, m]`` times itself, and ``sum_k weights[b, M + k] E_k`` is
    added to mode 0. The eigenprobes E are the first mode times Hermite functions of x and y with
    random phases (a beam that moves, tilts, widens), made orthogonal, each with the power of the
    first mode. All weights of a pattern have the factor ``sqrt(intensity)``, whose mean square is
    1.

    Source of the model: M. Odstrcil et al., "Ptychographic coherent diffractive imaging with
    orthogonal probe relaxation", Opt. Express 24, 8360 (2016).

    Parameters
    ----------
    probe : (N, N) or (M, N, N), float or complex
        The probe.
    n_patterns : int
        Number of patterns B.
    seed : int
        Of all draws, 0 to 2**64 - 1.
    variation : float
        Root mean square over the patterns of the norm of what is added to mode 0, over that of mode
        0, before the intensity fluctuates; the power grows by ``variation**2``. Each eigenprobe has
        an equal share.
    variation_modes : int
        Number of eigenprobes K.
    intensity_fluctuation : float
        Relative root mean square of the intensity (log-normal, of mean 1).
    variation_correlation : float
        Length of the Gaussian correlation between patterns; 0 draws each by itself.

    Returns
    -------
    (K, N, N) complex64 and (B, M + K) float32, or None
        Eigenprobes, orthogonal to all modes and to each other, and weights; None if nothing varies.
        K is 0 if only the intensity fluctuates.

    Raises
    ------
    ScenarioError
        The probe has not that many eigenprobes.
    TypeError, ValueError
        An argument is out of range.

    Examples
    --------
    >>> from ptycho_fast.probes.gaussian import gaussian
    >>> eigenprobes, weights = varied(gaussian(32), 100, 42, variation=0.2)
    >>> eigenprobes.shape, weights.shape, f"{(weights[:, 1:] ** 2).sum(axis=1).mean() ** 0.5:.3f}"
    ((2, 32, 32), (100, 3), '0.200')
    """
    share = checks.number(variation, "variation", least=0)
    unsteady = checks.number(intensity_fluctuation, "intensity_fluctuation", least=0)
    length = checks.number(variation_correlation, "variation_correlation", least=0)
    if not share and not unsteady:
        return None
    B = checks.count(n_patterns, "n_patterns")
    planes = probe.reshape(-1, *probe.shape[-2:])
    eigenprobes = np.zeros((0, *planes.shape[1:]), np.complex128)
    if share:
        count = checks.count(variation_modes, "variation_modes")
        if len(planes) + count > MOST_MODES:
            expected = f"at most {MOST_MODES - len(planes)} beside {len(planes)} modes"
            raise wrong("probe.variation_modes", count, expected)
        eigenprobes = _eigenprobes(planes, count, generator(seed, "probe_shapes"))
    K = len(eigenprobes)
    drawn = series(generator(seed, "probe_weights"), B, K, length)
    weights = np.concatenate([np.ones((B, len(planes))), share / math.sqrt(max(K, 1)) * drawn], 1)
    if unsteady:
        normal = series(generator(seed, "probe_intensity"), B, 1, length)
        brightness = np.exp(math.sqrt(math.log1p(unsteady**2)) * normal)
        weights *= np.sqrt(brightness / brightness.mean())
    return eigenprobes.astype(np.complex64), weights.astype(np.float32)


def _eigenprobes(
    planes: npt.NDArray[Any], count: int, draw: np.random.Generator
) -> npt.NDArray[np.complex128]:
    """Planes of the power of mode 0, orthogonal to all modes and to each other."""
    first = planes[0]
    intensity = np.square(np.abs(first), dtype=np.float64)
    candidates = len(planes) + count + 1
    shapes = polynomials(intensity, candidates)
    # Hermite functions: unlike polynomials they end where the beam does, its faint tails aside.
    shapes = shapes * np.exp(-(shapes[1] ** 2 + shapes[2] ** 2) / 4)
    turns = np.exp(2j * math.pi * draw.random(candidates))
    new, independent = orthonormal(np.concatenate([planes, turns[:, None, None] * first * shapes]))
    found = new[len(planes) + 1 :][independent[len(planes) + 1 :]]
    if len(found) < count:
        expected = f"at most {len(found)}, since this probe has no more eigenprobes"
        raise wrong("probe.variation_modes", count, expected)
    return found[:count] * np.linalg.norm(first)


def series(
    draw: np.random.Generator, B: int, K: int, correlation: float
) -> npt.NDArray[np.float64]:
    """Random series over the patterns, of mean 0 and root mean square 1.

    Parameters
    ----------
    draw : numpy.random.Generator
        Where the numbers come from.
    B, K : int
        Patterns, and series.
    correlation : float
        Patterns over which the correlation falls to ``exp(-1/2)``; 0 is white noise.

    Returns
    -------
    (B, K) float64
        Normal numbers, smoothed, then shifted and scaled so that mean and mean square are exact; a
        single pattern has them as drawn.

    Examples
    --------
    >>> smooth = series(np.random.default_rng(1), 500, 1, 20.0)[:, 0]
    >>> print(f"{smooth.std():.3f}", bool(abs(np.diff(smooth)).max() < 0.2))
    1.000 True
    """
    from scipy.ndimage import gaussian_filter1d

    # White noise under a Gaussian of width s correlates as a Gaussian of width s sqrt(2).
    width = correlation / math.sqrt(2)
    beyond = math.ceil(4 * width)  # what the filter sees of the time before and after the scan
    drawn = draw.standard_normal((B + 2 * beyond, K))
    if B == 1 or K == 0:
        return drawn[:B]
    if beyond:
        drawn = gaussian_filter1d(drawn, width, axis=0)[beyond : beyond + B]
    drawn -= drawn.mean(axis=0)
    return drawn / np.maximum(np.sqrt(np.square(drawn).mean(axis=0)), np.finfo(float).tiny)
