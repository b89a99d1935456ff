"""The numbers that are reported about scales: what training did to them, and what they amount to.

None of these functions changes data. The definitions of the scales are in `ptycho_fast.scaling`.
Names of keys, formulas and the order of operations are those of the published diagnostics, and
reproduce the published numbers to the last bit. All functions compute in float64 unless they name
float32.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.scaling import closed_form_intensity_scale, dataset_intensity_scale

# --- the intensity scaler of a network: one float32 variable w = log(s) ---


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
    TypeError, ValueError
        `s` is not a finite number above zero.

    Examples
    --------
    >>> float(log_scale(273.3502248877305))
    5.610754013061523
    """
    return np.float32(math.log(checks.positive(s, "s")))


def external_intensity_scale(s: float) -> float:
    """Scale that the float32 scaler applies to data, ``float32(exp(w))`` with ``w = log_scale(s)``.

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
    TypeError, ValueError
        `s` is not a finite number above zero.

    Examples
    --------
    >>> external_intensity_scale(273.3502248877305)
    273.35028076171875
    """
    return float(np.float32(math.exp(log_scale(s))))


def scaler_state(s: float, trainable: bool = True, w: float | None = None) -> dict[str, Any]:
    """Describe the intensity scaler of a network.

    Parameters
    ----------
    s : float
        Intensity scale.
    trainable : bool
        Whether the variable is trained.
    w : float, optional
        Value of the variable after training; by default its start, ``log_scale(s)``.

    Returns
    -------
    dict
        ``log_scale_value`` (``w``), ``exp_log_scale`` (float64 exponential of that float32),
        ``params_intensity_scale`` (`s`), ``delta`` and ``ratio`` of the two scales, ``trainable``.

    Raises
    ------
    TypeError, ValueError
        `s` is not a finite number above zero, or `w` is not finite.

    Examples
    --------
    >>> scaler_state(273.3502248877305)["delta"]
    4.510580561145616e-05
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
    TypeError, ValueError
        An argument is not a finite number above zero.

    Examples
    --------
    >>> match_percent(273.35028076171875, 273.35026999353613)
    99.99999606066524
    """
    return 100 * (1 - _mismatch(external, model))


def discrepancy(external: float, model: float) -> bool:
    """Whether two scales differ by more than 1 %.

    Parameters
    ----------
    external, model : float
        As for `match_percent`.

    Returns
    -------
    bool
        True if ``|external - model| > 0.01 * external``.

    Raises
    ------
    TypeError, ValueError
        An argument is not a finite number above zero.

    Examples
    --------
    >>> discrepancy(100.0, 100.9), discrepancy(100.0, 101.1)
    (False, True)
    """
    return _mismatch(external, model) > 0.01


# --- the scales of a data set ---


def dataset_scale_info(nphotons: float, N: int, mean_energy: float) -> dict[str, Any]:
    """Compare the scale from a data set with the closed form.

    Parameters
    ----------
    nphotons : float
        Photons wanted in a mean pattern.
    N : int
        Patch side, pixels.
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
    TypeError, ValueError
        An argument is not finite and positive.

    Examples
    --------
    >>> dataset_scale_info(1e9, 64, 2995.974122765142)["ratio"]
    0.5846298009991254
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
    energies_train, energies_test : (B,) array
        Energies of the patterns of each half.
    nphotons : float
        Photons wanted in a mean pattern.

    Returns
    -------
    dict
        As for `split_statistics_from_means`.

    Raises
    ------
    TypeError, ValueError
        An array is empty or not one-dimensional, or its mean is not finite and positive.

    Examples
    --------
    >>> split_statistics([1.0, 2.0, 3.0], [8.0], 1e9)["train_vs_test_scale_ratio"]
    2.0
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
        raise ValueError(checks.wrong(name, f"shape {energies.shape}", "(B,), not empty"))
    checks.positive(float(energies.mean()), f"mean of {name}")
    return energies


def split_statistics_from_means(
    mean_train: float, mean_test: float, n_train: int, n_test: int, nphotons: float
) -> dict[str, Any]:
    """Compare the intensity scales of two halves whose mean energies are known.

    Parameters
    ----------
    mean_train, mean_test : float
        Mean energies.
    n_train, n_test : int
        Number of patterns in each half.
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
    TypeError, ValueError
        An argument is not finite and positive.

    Examples
    --------
    >>> halves = split_statistics_from_means(3388.0241783336346, 2995.974122765142, 512, 512, 1e9)
    >>> halves["train_vs_test_deviation_pct"]
    5.9636468116614605
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


def effective_photons_per_pattern(s: float, mean_energy: float) -> float:
    """Photons in a mean pattern after a scale is applied to it, ``s**2 * mean_energy``.

    Parameters
    ----------
    s : float
        Intensity scale.
    mean_energy : float
        Mean energy per pattern of the data that the scale is **applied** to: of ``A``, or
        ``(N / 2)**2`` for the normalised input ``X``.

    Returns
    -------
    float
        Photons per pattern.

    Raises
    ------
    TypeError, ValueError
        An argument is not a finite number above zero.

    Examples
    --------
    The published gs2_ideal run pairs the scale of the data set with ``X``, and trains at less than
    a tenth of the 1e9 photons that were asked for:

    >>> round(effective_photons_per_pattern(273.3502248877305, (64 / 2) ** 2))
    76513634
    """
    return checks.positive(s, "s") ** 2 * checks.positive(mean_energy, "mean_energy")


# --- the scale of a network's output ---


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
    TypeError, ValueError
        `output_mean` is not finite, or `input_mean` is not finite and positive.

    Examples
    --------
    >>> amplification_ratio(0.6340575218200684, 0.08508697152137756)
    7.451875539614962
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
    TypeError, ValueError
        `output_mean` is not finite, or `truth_mean` is not finite and positive.

    Examples
    --------
    >>> output_vs_truth_ratio(0.6340575218200684, 2.708247423171997)
    0.23412097299346354
    """
    return checks.number(output_mean, "output_mean") / checks.positive(truth_mean, "truth_mean")


def least_squares_scale(numerator: float, denominator: float) -> float:
    """Factor that brings a prediction nearest to the truth, ``<truth, pred> / <pred, pred>``.

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
    TypeError, ValueError
        `numerator` is not finite, or `denominator` is not finite and positive.

    Examples
    --------
    >>> least_squares_scale(94137.45989994772, 48090.9839380287)
    1.9574866677973508
    """
    return checks.number(numerator, "numerator") / checks.positive(denominator, "denominator")
