"""The three normalisations of ptychographic data, and the numbers reported about them.

1. The **intensity scale** ``s`` turns dimensionless wave intensity into expected photons,
   ``lam = s**2 * I``: `dataset_intensity_scale` (preferred) or `closed_form_intensity_scale`.
2. The **gain** ``g`` brings the amplitude to the mean energy a network expects,
   ``X = g * A``: `normalise_gain`.  It has to be undone before objects are compared.
3. **Display scaling** is for pictures only and has no place here.

The dataset-derived scale belongs to the unnormalised amplitude, the closed form to the normalised
input ``X``; `effective_photons_per_pattern` says what any other pairing amounts to.

Everything is computed in float64.  The order of operations is part of the contract: it reproduces
the published numbers of the ``gs2_ideal`` scenario to the last bit.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

_CHUNK_PIXELS = 1 << 20  # pixels squared at a time: 8 MiB of float64, whatever the data set's size


def dataset_intensity_scale(nphotons: float, mean_energy: float) -> float:
    """Intensity scale from the statistics of a data set, ``sqrt(nphotons / mean_energy)``.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern (for grouped data: in a mean group).
    mean_energy : float
        Mean of ``sum_xy |psi|**2`` over the patterns, arbitrary units; for grouped data the mean
        over groups of the sum over pixels and channels (see `mean_energy`).

    Returns
    -------
    float
        The scale ``s``: square root of photons per unit of intensity.

    Raises
    ------
    ValueError
        If an argument is not a finite number above zero.
    """
    nphotons = checks.positive(nphotons, "nphotons")
    return math.sqrt(nphotons / checks.positive(mean_energy, "mean_energy"))


def closed_form_intensity_scale(nphotons: float, N: int) -> float:
    """Intensity scale without statistics, ``sqrt(nphotons) / (N / 2)``.

    It is consistent with the normalised input ``X`` of `normalise_gain`, whose mean energy is
    ``(N / 2)**2``.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern.
    N : int
        Side of the patch, pixels.

    Returns
    -------
    float
        The scale ``s``.

    Raises
    ------
    ValueError
        If `nphotons` is not a finite number above zero, or `N` is below 1.
    """
    return math.sqrt(checks.positive(nphotons, "nphotons")) / (checks.count(N, "N") / 2)


def amplitude_energies(amplitude: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Energy of every pattern, ``sum_xy A**2``, summed in float64.

    The sum over one pattern does not depend on the patterns beside it.

    Parameters
    ----------
    amplitude : array, (B, N, N) or (G, N, N, C)
        Diffraction amplitude, of patterns or of groups with `C` channels.

    Returns
    -------
    ndarray, (B,) or (G, C), float64
        Energies in the square of the amplitude's unit.

    Raises
    ------
    ValueError
        If the array is empty, has another shape, or holds values that are not finite real numbers.
    """
    data = np.asarray(amplitude)
    if data.dtype.kind not in "biuf":
        raise ValueError(f"amplitude: dtype {data.dtype} given, expected real numbers")
    if data.ndim not in (3, 4) or data.size == 0 or data.shape[1] != data.shape[2]:
        raise ValueError(
            f"amplitude: shape {data.shape} given, expected (B, N, N) or (G, N, N, C), not empty"
        )
    energies = np.concatenate(list(_chunk_energies(data)))
    if not np.isfinite(energies).all():
        raise ValueError(
            f"amplitude holds values that are not finite, first in entry "
            f"{np.argwhere(~np.isfinite(energies))[0].tolist()}; expected finite numbers"
        )
    return energies


def _chunk_energies(data: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the energies of a few entries at a time, so that no float64 copy of all is made."""
    if data.ndim == 4:
        data = np.moveaxis(data, -1, 1)
    step = max(1, _CHUNK_PIXELS // math.prod(data.shape[1:]))
    for start in range(0, len(data), step):
        squares = np.square(data[start : start + step], dtype=np.float64)
        # One contiguous row per pattern: NumPy then sums each row by itself, pairwise.
        yield squares.reshape(*squares.shape[:-2], -1).sum(axis=-1)


def mean_energy(amplitude: npt.ArrayLike) -> float:
    """Mean energy of a data set, as the dataset-derived scale wants it.

    Parameters
    ----------
    amplitude : array, (B, N, N) or (G, N, N, C)
        Diffraction amplitude.

    Returns
    -------
    float
        Mean over the patterns of the sum over pixels; for grouped data the mean over groups of
        the sum over pixels **and channels** (the published convention, which makes ``s`` smaller
        by about ``sqrt(C)``).

    Raises
    ------
    ValueError
        As `amplitude_energies`.
    """
    energies = amplitude_energies(amplitude)
    return float(energies.sum(axis=-1).mean() if energies.ndim == 2 else energies.mean())


def normalise_gain(amplitude: npt.ArrayLike, N: int) -> float:
    """Gain of the network input, ``g = sqrt((N / 2)**2 / mean_bc(sum_xy A**2))``.

    After ``X = g * A`` a mean pattern has the energy ``(N / 2)**2``.

    Parameters
    ----------
    amplitude : float or array, (B, N, N) or (G, N, N, C)
        Diffraction amplitude, or its mean energy per **pattern** if that is known already.
    N : int
        Side of the patch, pixels.

    Returns
    -------
    float
        The gain ``g``, in the inverse of the amplitude's unit.

    Raises
    ------
    ValueError
        If the shape is not as above, the energy is zero, or a value is not finite.
    """
    side = checks.count(N, "N")
    if np.ndim(amplitude) == 0:
        energy = checks.positive(amplitude, "mean energy")
    else:
        shape = np.shape(amplitude)
        energies = amplitude_energies(amplitude)
        if shape[1] != side:
            raise ValueError(f"amplitude: shape {shape} given, expected side N = {side}")
        energy = checks.positive(float(energies.mean()), "mean energy of the amplitude")
    return math.sqrt((side / 2) ** 2 / energy)


def log_scale(s: float) -> np.float32:
    """Value of the trainable variable of the intensity scaler, ``float32(log(s))``.

    Parameters
    ----------
    s : float
        Intensity scale.

    Returns
    -------
    numpy.float32
        The variable ``w``.

    Raises
    ------
    ValueError
        If `s` is not a finite number above zero.
    """
    return np.float32(math.log(checks.positive(s, "s")))


def external_intensity_scale(s: float) -> float:
    """Scale the float32 scaler applies to the data, ``float32(exp(w))`` with ``w = log_scale(s)``.

    Parameters
    ----------
    s : float
        Intensity scale.

    Returns
    -------
    float
        The float32 number, correctly rounded, as float.

    Raises
    ------
    ValueError
        If `s` is not a finite number above zero.
    """
    return float(np.float32(math.exp(log_scale(s))))


def scaler_state(s: float, trainable: bool = True, w: float | None = None) -> dict[str, Any]:
    """Describe the intensity scaler of a scale.

    Parameters
    ----------
    s : float
        Intensity scale.
    trainable : bool
        Whether the variable is trained.
    w : float, optional
        Value of the variable, where training has moved it; by default its start, ``log_scale(s)``.

    Returns
    -------
    dict
        ``log_scale_value`` (``w``), ``exp_log_scale`` (float64 exponential of that float32),
        ``params_intensity_scale`` (`s`), ``delta`` and ``ratio`` of the two scales, ``trainable``.

    Raises
    ------
    ValueError
        If `s` is not a finite number above zero, or `w` not finite.
    """
    scale = checks.positive(s, "s")
    value = float(log_scale(scale)) if w is None else checks.number(w, "w")
    model = math.exp(value)
    return {
        "log_scale_value": value,
        "exp_log_scale": model,
        "params_intensity_scale": scale,
        "delta": model - scale,
        "ratio": model / scale,
        "trainable": bool(trainable),
    }


def _mismatch(external: float, model: float) -> float:
    """Return the relative distance of the model's scale from the external one."""
    reference = checks.positive(external, "external")
    return abs(reference - checks.positive(model, "model")) / reference


def match_percent(external: float, model: float) -> float:
    """Agreement of two scales, ``100 * (1 - |external - model| / external)``.

    Parameters
    ----------
    external : float
        Scale applied to the data (`external_intensity_scale`).
    model : float
        Scale inside the model (``exp_log_scale`` of `scaler_state`).

    Returns
    -------
    float
        Percent; 100 for equal scales.

    Raises
    ------
    ValueError
        If an argument is not a finite number above zero.
    """
    return 100 * (1 - _mismatch(external, model))


def discrepancy(external: float, model: float) -> bool:
    """Whether two scales differ by more than 1 %.

    Parameters
    ----------
    external, model : float
        As in `match_percent`.

    Returns
    -------
    bool
        True if ``|external - model| > 0.01 * external``.

    Raises
    ------
    ValueError
        If an argument is not a finite number above zero.
    """
    return _mismatch(external, model) > 0.01


def dataset_scale_info(nphotons: float, N: int, mean_energy: float) -> dict[str, Any]:
    """Compare the dataset-derived scale with the closed form.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern.
    N : int
        Side of the patch, pixels.
    mean_energy : float
        Mean energy of the data set.

    Returns
    -------
    dict
        ``nphotons``, ``N``, ``batch_mean_sum_intensity`` (the mean energy), ``dataset_scale``,
        ``fallback_scale`` (closed form), ``delta`` = dataset - fallback, ``ratio`` =
        dataset / fallback.

    Raises
    ------
    ValueError
        If an argument is not finite and positive.
    """
    dataset = dataset_intensity_scale(nphotons, mean_energy)
    fallback = closed_form_intensity_scale(nphotons, N)
    return {
        "nphotons": float(nphotons),
        "N": int(N),
        "batch_mean_sum_intensity": float(mean_energy),
        "dataset_scale": dataset,
        "fallback_scale": fallback,
        "delta": dataset - fallback,
        "ratio": dataset / fallback,
    }


def split_statistics(
    energies_train: npt.ArrayLike, energies_test: npt.ArrayLike, nphotons: float
) -> dict[str, Any]:
    """Compare the intensity scales of the training and the test half of a data set.

    Parameters
    ----------
    energies_train, energies_test : array, (B,)
        Energies of the patterns of each half.
    nphotons : float
        Photons wanted in a mean pattern.

    Returns
    -------
    dict
        As `split_statistics_from_means`.

    Raises
    ------
    ValueError
        If an array is empty, not one-dimensional, or its mean is not finite and positive.
    """
    train = _checked_energies(energies_train, "energies_train")
    test = _checked_energies(energies_test, "energies_test")
    return split_statistics_from_means(
        float(train.mean()), float(test.mean()), train.size, test.size, nphotons
    )


def _checked_energies(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return energies as a float64 vector with a mean that is finite and positive, or raise."""
    energies = np.asarray(values, dtype=np.float64)
    if energies.ndim != 1 or energies.size == 0:
        raise ValueError(f"{name}: shape {energies.shape} given, expected (B,), not empty")
    checks.positive(float(energies.mean()), f"mean of {name}")
    return energies


def split_statistics_from_means(
    mean_train: float, mean_test: float, n_train: int, n_test: int, nphotons: float
) -> dict[str, Any]:
    """Compare the intensity scales of two halves of which the mean energies are known.

    Parameters
    ----------
    mean_train, mean_test : float
        Mean energies.
    n_train, n_test : int
        Number of patterns behind each mean.
    nphotons : float
        Photons wanted in a mean pattern.

    Returns
    -------
    dict
        ``train`` and ``test``, each with ``n_samples``, ``batch_mean_sum_intensity`` and
        ``dataset_scale``; ``train_vs_test_scale_ratio``, ``train_vs_test_scale_delta`` and
        ``train_vs_test_deviation_pct`` = ``100 * |ratio - 1|``.

    Raises
    ------
    ValueError
        If an argument is not finite and positive.
    """
    halves = {
        name: {
            "n_samples": checks.count(count, f"n_{name}"),
            "batch_mean_sum_intensity": checks.positive(mean, f"mean_{name}"),
            "dataset_scale": dataset_intensity_scale(nphotons, mean),
        }
        for name, mean, count in (("train", mean_train, n_train), ("test", mean_test, n_test))
    }
    train, test = (half["dataset_scale"] for half in halves.values())
    ratio = train / test
    return {
        **halves,
        "train_vs_test_scale_ratio": ratio,
        "train_vs_test_scale_delta": train - test,
        "train_vs_test_deviation_pct": 100 * abs(ratio - 1),
    }


def amplification_ratio(output_mean: float, input_mean: float) -> float:
    """Mean modulus of the predicted objects over the mean of the network input.

    Parameters
    ----------
    output_mean, input_mean : float
        The two means.

    Returns
    -------
    float
        ``output_mean / input_mean``.

    Raises
    ------
    ValueError
        If `output_mean` is not finite, or `input_mean` not finite and positive.
    """
    return checks.number(output_mean, "output_mean") / checks.positive(input_mean, "input_mean")


def output_vs_truth_ratio(output_mean: float, truth_mean: float) -> float:
    """Mean modulus of the predicted objects over that of the true object.

    Parameters
    ----------
    output_mean, truth_mean : float
        The two means.

    Returns
    -------
    float
        ``output_mean / truth_mean``.

    Raises
    ------
    ValueError
        If `output_mean` is not finite, or `truth_mean` not finite and positive.
    """
    return checks.number(output_mean, "output_mean") / checks.positive(truth_mean, "truth_mean")


def least_squares_scale(numerator: float, denominator: float) -> float:
    """Scale that brings a prediction nearest to the truth, ``<truth, pred> / <pred, pred>``.

    Parameters
    ----------
    numerator : float
        Sum of truth times prediction.
    denominator : float
        Sum of the squared prediction.

    Returns
    -------
    float
        ``numerator / denominator``.

    Raises
    ------
    ValueError
        If `numerator` is not finite, or `denominator` not finite and positive.
    """
    return checks.number(numerator, "numerator") / checks.positive(denominator, "denominator")


def effective_photons_per_pattern(s: float, mean_energy: float) -> float:
    """Photons that a mean pattern holds once a scale is applied to it, ``s**2 * mean_energy``.

    Parameters
    ----------
    s : float
        Intensity scale.
    mean_energy : float
        Mean energy per pattern of the data the scale is **applied** to: of ``A``, or
        ``(N / 2)**2`` for the normalised input ``X``.

    Returns
    -------
    float
        Photons per pattern.

    Raises
    ------
    ValueError
        If an argument is not a finite number above zero.
    """
    return checks.positive(s, "s") ** 2 * checks.positive(mean_energy, "mean_energy")
