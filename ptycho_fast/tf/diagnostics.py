"""Numbers about the scale of a run's data, and about how good its object is.

Keys and formulas are those of the published diagnostics. `factors` goes further: it says what the
published ratio of output and truth is made of.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks, scale_report
from ptycho_fast.data.symmetry import has_twins
from ptycho_fast.quality import score as score

from .inference import Prediction, stitch, stitch_groups, stitch_patches, window_side
from .losses import saturated_likelihood
from .model import PtychoNet
from .streams import Feed

SCORES = {"groups": stitch_groups, "patches": stitch_patches}


# --- formulas of the published report ---


def forward_pass(
    external: float, model: float, input_mean: float, output_mean: float, truth_mean: float
) -> dict[str, Any]:
    """Whether the scale inside the model is that of the data, and how much larger outputs are."""
    return {
        "external_intensity_scale": external,
        "model_exp_log_scale": model,
        "scale_match_pct": scale_report.match_percent(external, model),
        "scale_discrepancy_flag": scale_report.discrepancy(external, model),
        "input_mean": input_mean,
        "output_mean": output_mean,
        "amplification_ratio": scale_report.amplification_ratio(output_mean, input_mean),
        "ground_truth_mean": truth_mean,
        "output_vs_truth_ratio": scale_report.output_vs_truth_ratio(output_mean, truth_mean),
    }


def prediction_scale(
    predicted: npt.NDArray[Any], truth: npt.NDArray[Any], gain: float, mode: str = "least_squares"
) -> dict[str, Any]:
    """Factor that brings a prediction to the truth: none, the recorded gain, or least squares."""
    if mode == "none":
        return {"mode": mode, "value": 1.0}
    if mode == "recorded":
        return {"mode": mode, "value": 1 / gain}
    checks.choice(mode, "mode", ("none", "recorded", "least_squares"))
    numerator, denominator = float((truth * predicted).sum()), float(np.square(predicted).sum())
    value = scale_report.least_squares_scale(numerator, denominator)
    return {"mode": mode, "numerator": numerator, "denominator": denominator, "value": value}


def share_percent(term: float, total: float) -> float:
    """Share of a term in the loss, percent, one digit."""
    return round(100 * abs(term) / abs(total), 1)


def statistics(values: npt.NDArray[Any]) -> dict[str, float]:
    """Mean, largest, smallest and standard deviation."""
    return {name: float(getattr(values, name)()) for name in ("mean", "max", "min", "std")}


def first_nan(history: Sequence[dict[str, float]]) -> dict[str, int | None]:
    """For each metric the first epoch, counted from 1, whose value is not finite; None if none."""
    return {
        name: next((n for n, v in enumerate(history, 1) if not math.isfinite(v[name])), None)
        for name in (history[0] if history else ())
    }


def training_summary(
    history: Sequence[dict[str, float]], batch_size: int, groups: int, learning_rate: float
) -> dict[str, Any]:
    """Losses of a run: the published likelihood under the published keys, and our deviance."""
    last = history[-1]
    column = {name: [values.get(name, 0.0) for values in history] for name in last}
    terms = {n.removeprefix("loss_"): v for n, v in last.items() if n.startswith("loss_")}
    dominant = max(terms, key=lambda name: abs(terms[name]))
    published_name = {"intensity": "pred_intensity_loss", "amplitude": "amplitude_loss"}

    def span(values: list[float]) -> dict[str, float]:
        return {"last": values[-1], "min": min(values), "max": max(values)}

    nan = first_nan(history)
    summary = {
        "epochs": len(history),
        "batch_size": batch_size,
        "groups": groups,
        "learning_rate": learning_rate,
        "has_nan": any(epoch is not None for epoch in nan.values()),
        "nan_first_epoch": nan,
        "loss": span(column["likelihood"]),
        "pred_intensity_loss": span(column["likelihood"]),
        "saturated_loss": span(column["saturated_likelihood"]),
        "amplitude_mae": span(column["amplitude_mae"]),
        "deviance": span(column["loss"]),
        "loss_shares_pct": {n: share_percent(v, last["loss"]) for n, v in terms.items()},
        "dominant_loss": published_name.get(dominant, dominant),
        "dominant_share_pct": share_percent(terms[dominant], last["loss"]),
        "seconds": sum(column["seconds"]),
        "waiting_pct": 100 * sum(column["waiting_seconds"]) / sum(column["seconds"]),
    }
    if working := sum(column.get("cpu_seconds", ())):
        making = 100 * sum(column["making_cpu_seconds"]) / working
        summary |= {"making_data_pct_of_cpu": making, "training_pct_of_cpu": 100 - making}
    if "val_loss" in column:
        summary |= {
            "val_loss": span(column["val_likelihood"]),
            "val_saturated_loss": span(column["val_saturated_likelihood"]),
            "val_deviance": span(column["val_loss"]),
        }
    return summary


# --- beyond the published report: what the ratio is made of ---


def factors(
    output_mean: float, border_mean: float, truth_mean: float, gain: float
) -> dict[str, Any]:
    """Factors whose product is the ratio of output and truth.

    Parameters
    ----------
    output_mean : float
        Mean modulus of the predicted N x N objects.
    border_mean : float
        The same of the true object, seen through the same windows.
    truth_mean : float
        Mean modulus of the whole true object.
    gain : float
        The gain that the predictions still contain; 1 if it was undone.

    Returns
    -------
    dict
        ``gain``, ``border`` (pixels of the N x N objects that no window covers count as zeros),
        ``rest`` (bound of the head, training); their ``product``, the ratio; and the ``largest``,
        the one that is furthest from 1.
    """
    border = border_mean / truth_mean
    parts = {"gain": gain, "border": border, "rest": output_mean / (gain * border_mean)}
    return {
        **parts,
        "product": math.prod(parts.values()),
        "largest": max(parts, key=lambda name: abs(math.log(max(parts[name], 1e-300)))),
    }


def windowed_truth(model: PtychoNet, feed: Feed) -> npt.NDArray[np.complex64]:
    """The true objects (G, N, N), put together from the windows that the network's heads fill."""
    window = model.N if model.settings["probe_big"] else model.N // 2
    margin = (model.N - window) // 2
    inner = slice(margin, margin + window)
    patches = feed.true_patches()[:, :, inner, inner]
    parts = np.stack([patches.real, patches.imag], axis=2)
    offsets = feed.groups.coords_relative.astype(np.float32)
    size = 16
    return np.concatenate(
        [
            model.centre(model.reassemble(parts[n : n + size], offsets[n : n + size])).numpy()
            for n in range(0, len(parts), size)
        ]
    )


def _totals_score(feed: Feed) -> dict[str, Any]:
    """Score of an object that knows nothing of each pattern but its total: one grey per patch."""
    data = feed.data
    members = np.unique(feed.groups.nn_indices)
    light = float(np.square(np.abs(data.probe)).sum())
    grey = np.sqrt(data.energies()[members] / light)
    shape = len(members), feed.N, feed.N
    fields = np.broadcast_to(grey[:, None, None], shape).astype(np.complex64)
    positions, side = data.positions[members], window_side(feed.N)
    stitched, covered = stitch(fields, positions, data.object.shape, side)
    return score(stitched, data.object, covered)


# --- the report of a run ---


def diagnose(
    model: PtychoNet, feed: Feed, prediction: Prediction, *, undo_gain: bool = True
) -> dict[str, Any]:
    """All diagnostics of one inference.

    Parameters
    ----------
    model : PtychoNet
        The network.
    feed : Feed
        The part that was predicted, usually the test part.
    prediction : Prediction
        Of `inference.predict`.
    undo_gain : bool
        Whether the predicted objects are divided by the gain before they are compared with the
        truth; the published run did not do that.

    Returns
    -------
    dict
        Plain JSON types: the published sections, and ``decomposition``, ``score``, ``twins``
        (whether a patch and its twin give the same pattern), ``pairing``.
    """
    s = model.settings["intensity_scale"]
    feed = feed.at_scale(s)  # what the network was given
    data, gain = feed.data, feed.gain
    energies = data.energies()
    train, test = data.split()
    raw = data.amplitude()[test]
    grouped = feed.amplitude[feed.groups.nn_indices]
    X = np.float32(gain) * grouped
    truth = np.abs(data.object)

    divisor = gain if undo_gain else 1.0
    output_mean = float(np.abs(prediction.objects).mean()) / divisor
    border_mean = float(np.abs(windowed_truth(model, feed)).mean()) / gain
    state = scale_report.scaler_state(
        s, model.scaler.trainable, float(model.scaler.log_scale.numpy())
    )
    stitched = {how: by(feed, prediction) for how, by in SCORES.items()}
    object_of_groups, covered = stitched["groups"]
    photons = feed.effective_photons
    saturated = float(saturated_likelihood((feed.intensity_scale * X.astype(np.float64)) ** 2))
    return {
        "forward_pass_diagnostics": forward_pass(
            scale_report.external_intensity_scale(s),
            state["exp_log_scale"],
            float(X.mean()),
            output_mean,
            float(truth.mean()),
        ),
        "intensity_scaler_state": state,
        "dataset_scale_info": scale_report.dataset_scale_info(
            feed.nphotons, feed.N, float(energies[test].mean())
        ),
        "split_intensity_stats": scale_report.split_statistics(
            energies[train], energies[test], feed.nphotons
        ),
        "stage_means": {
            "raw_diffraction": float(raw.mean()),
            "grouped_diffraction": float(grouped.mean()),
            "grouped_X_full": float(X.mean()),
            "container_X": float(X.mean()),
            "normalize_gain": gain,
        },
        "raw_diffraction_test": {**statistics(raw), "shape": list(raw.shape)},
        "ground_truth_amplitude": statistics(truth),
        "prediction_scale": prediction_scale(
            np.abs(object_of_groups[covered]) * gain, truth[covered].astype(np.float64), gain
        ),
        "decomposition": factors(
            output_mean, border_mean, float(truth.mean()), 1.0 if undo_gain else gain
        ),
        "score": {
            "window": window_side(feed.N),
            "totals_pearson_r": _totals_score(feed)["pearson_r"],
            **{how: score(obj, data.object, seen) for how, (obj, seen) in stitched.items()},
        },
        "twins": has_twins(data.probe),
        "likelihood": {
            "value": prediction.likelihood,
            "saturated": saturated,
            "above_saturated_pct": 100 * (prediction.likelihood - saturated) / abs(saturated),
        },
        "pairing": {
            "name": feed.pairing,
            "effective_photons_per_pattern": photons,
            "nphotons_requested": feed.nphotons,
            "mismatch_pct": 100 * abs(photons / feed.nphotons - 1),
            "mismatch_flag": abs(photons / feed.nphotons - 1) > 0.01,
        },
    }
