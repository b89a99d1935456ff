"""The three normalisations of ptychographic data.

1. The **intensity scale** ``s`` turns dimensionless wave intensity into expected photons,
   ``lam = s**2 * I``: `dataset_intensity_scale` (preferred) or `closed_form_intensity_scale`.
2. The **gain** ``g`` brings the amplitude to the mean energy that a network expects,
   ``X = g * A``: `normalise_gain`. Divide by ``g`` before objects are compared.
3. **Display scaling** is for pictures only and changes no data, so it has no function here.

The scale from a data set belongs to the amplitude ``A``, the closed form to the normalised input
``X``. `ptycho_fast.scale_report.effective_photons_per_pattern` gives the dose of any other pairing.

All functions compute in float64. The order of operations is part of the definition: it reproduces
the published numbers of the ``gs2_ideal`` scenario to the last bit.
"""

import importlib
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

__all__ = [
    "amplitude_energies",
    "closed_form_intensity_scale",
    "dataset_intensity_scale",
    "mean_energy",
    "normalise_gain",
]

_CHUNK_PIXELS = 1 << 20  # pixels squared at a time: 8 MiB of float64 for a data set of any size


# --- 1: the intensity scale ---


def dataset_intensity_scale(nphotons: float, mean_energy: float) -> float:
    """Intensity scale from the energy of a data set, ``sqrt(nphotons / mean_energy)``.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern (for grouped data: in a mean group).
    mean_energy : float
        Mean of ``sum_xy |psi|**2`` over the patterns, before dose. For grouped data: the mean over
        groups of the sum over pixels and channels (see the function `mean_energy`).

    Returns
    -------
    float
        The scale ``s``. ``s**2`` is the number of photons for each unit of intensity.

    Raises
    ------
    TypeError, ValueError
        An argument is not a finite number above zero.

    Examples
    --------
    The published test half of gs2_ideal:

    >>> dataset_intensity_scale(1e9, 2995.974122765142)
    577.7380497400686
    """
    nphotons = checks.positive(nphotons, "nphotons")
    return math.sqrt(nphotons / checks.positive(mean_energy, "mean_energy"))


def closed_form_intensity_scale(nphotons: float, N: int) -> float:
    """Intensity scale without a data set, ``sqrt(nphotons) / (N / 2)``.

    It belongs to the normalised input ``X`` of `normalise_gain`, whose mean energy is
    ``(N / 2)**2``.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern.
    N : int
        Patch side, pixels.

    Returns
    -------
    float
        The scale ``s``.

    Raises
    ------
    TypeError, ValueError
        `nphotons` is not a finite number above zero, or `N` is not an integer of at least 1.

    Examples
    --------
    >>> closed_form_intensity_scale(1e9, 64)
    988.2117688026185
    """
    return math.sqrt(checks.positive(nphotons, "nphotons")) / (checks.count(N, "N") / 2)


# --- the energies that 1 and 2 are made from ---


def amplitude_energies(amplitude: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Energy of every pattern, ``sum_xy A**2``, summed in float64.

    The sum of one pattern does not depend on the patterns beside it.

    Parameters
    ----------
    amplitude : (B, N, N) or (G, N, N, C) array of real numbers
        Diffraction amplitude of patterns, or of groups with C channels.

    Returns
    -------
    (B,) or (G, C) float64
        Energies, in the unit of the amplitude squared.

    Raises
    ------
    TypeError, ValueError
        The array is empty, has another shape, or holds values that are not finite real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> amplitude_energies(np.full((2, 8, 8), 3.0))
    array([576., 576.])
    """
    data = checks.array(amplitude, "amplitude")
    if data.dtype.kind not in "biuf":
        raise ValueError(checks.wrong("amplitude", f"dtype {data.dtype}", "real numbers"))
    if data.ndim not in (3, 4) or data.size == 0 or data.shape[1] != data.shape[2]:
        expected = "(B, N, N) or (G, N, N, C), not empty"
        raise ValueError(checks.wrong("amplitude", f"shape {data.shape}", expected))
    energies = np.concatenate(list(_chunk_energies(data)))
    if not np.isfinite(energies).all():
        where = np.argwhere(~np.isfinite(energies))[0].tolist()
        given = f"an energy of {energies[tuple(where)]} in entry {where}"
        raise ValueError(checks.wrong("amplitude", given, "finite numbers"))
    return energies


def _chunk_energies(data: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the energies of a few entries at a time, so that the whole is never held in float64."""
    if data.ndim == 4:
        data = np.moveaxis(data, -1, 1)
    step = max(1, _CHUNK_PIXELS // math.prod(data.shape[1:]))
    for start in range(0, len(data), step):
        squares = np.square(data[start : start + step], dtype=np.float64)
        # One contiguous row for each pattern: NumPy then sums every row on its own, pairwise.
        yield squares.reshape(*squares.shape[:-2], -1).sum(axis=-1)


def mean_energy(amplitude: npt.ArrayLike) -> float:
    """Mean energy of a data set, as `dataset_intensity_scale` takes it.

    Parameters
    ----------
    amplitude : (B, N, N) or (G, N, N, C) array of real numbers
        Diffraction amplitude.

    Returns
    -------
    float
        Mean over the patterns of the sum over pixels. For grouped data: the mean over groups of
        the sum over pixels **and channels**. This is the published convention; it makes ``s``
        smaller by about ``sqrt(C)``.

    Raises
    ------
    TypeError, ValueError
        As for `amplitude_energies`.

    Examples
    --------
    >>> import numpy as np
    >>> mean_energy(np.full((5, 8, 8), 3.0)), mean_energy(np.full((5, 8, 8, 4), 3.0))
    (576.0, 2304.0)
    """
    energies = amplitude_energies(amplitude)
    return float(energies.sum(axis=-1).mean() if energies.ndim == 2 else energies.mean())


# --- 2: the gain ---


def normalise_gain(amplitude: npt.ArrayLike, N: int) -> float:
    """Gain of the network input, ``g = sqrt((N / 2)**2 / mean_bc(sum_xy A**2))``.

    After ``X = g * A`` a mean pattern has the energy ``(N / 2)**2``.

    Parameters
    ----------
    amplitude : float or (B, N, N) or (G, N, N, C) array of real numbers
        Diffraction amplitude, or its mean energy per **pattern** if that is known already.
    N : int
        Patch side, pixels.

    Returns
    -------
    float
        The gain ``g``, in the inverse of the amplitude's unit.

    Raises
    ------
    TypeError, ValueError
        The shape is another, the energy is zero, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> amplitude = np.full((5, 8, 8), 3.0)
    >>> g = normalise_gain(amplitude, 8)
    >>> mean_energy(g * amplitude) == (8 / 2) ** 2
    True
    """
    side = checks.count(N, "N")
    data = checks.array(amplitude, "amplitude")
    if data.ndim == 0:
        energy = checks.positive(amplitude, "mean energy")
    else:
        energies = amplitude_energies(data)
        if data.shape[1] != side:
            raise ValueError(checks.wrong("amplitude", f"shape {data.shape}", f"side N = {side}"))
        energy = checks.positive(float(energies.mean()), "mean energy of the amplitude")
    return math.sqrt((side / 2) ** 2 / energy)


# --- names of earlier versions, until 0.2 ---

_MOVED = {
    "amplification_ratio",
    "dataset_scale_info",
    "discrepancy",
    "effective_photons_per_pattern",
    "external_intensity_scale",
    "least_squares_scale",
    "log_scale",
    "match_percent",
    "output_vs_truth_ratio",
    "scaler_state",
    "split_statistics",
    "split_statistics_from_means",
}


if not TYPE_CHECKING:  # type checkers know the new names only

    def __getattr__(name: str) -> Any:
        if name not in _MOVED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = "ptycho_fast.scale_report"
        message = f"{__name__}.{name} moved to {home}.{name}; the old name goes with version 0.2"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(home), name)
