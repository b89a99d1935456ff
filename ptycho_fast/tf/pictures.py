"""Pictures of a training: losses, and truth, prediction, difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.files import written_aside


def losses(history: Sequence[dict[str, float]], path: Path) -> None:
    """Loss of training and validation, and the published likelihood, by epoch."""
    figure = _figure(9, 3.4)
    epochs = np.arange(1, len(history) + 1)
    left, right = figure.subplots(1, 2)
    for prefix, label in (("", "training"), ("val_", "validation")):
        if f"{prefix}loss" in history[0]:
            left.semilogy(epochs, [v[f"{prefix}loss"] for v in history], ".-", label=label)
            above = [v[f"{prefix}likelihood"] - v[f"{prefix}saturated_likelihood"] for v in history]
            right.semilogy(epochs, above, ".-", label=label)
    left.set_title("Poisson deviance (the loss)")
    right.set_title("published likelihood above its saturated value")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.legend()
    _write(figure, path)


def scores(
    runs: Mapping[str, Sequence[dict[str, float]]],
    path: Path,
    levels: Mapping[str, float] | None = None,
) -> None:
    """How good the network's object is against training time, and levels of r to compare with.

    Parameters
    ----------
    runs : mapping
        Scores by the name of the run, of ``scores.json``. If all have ``frc_crossing``, there is a
        second panel.
    path : Path
        Where the picture goes.
    levels : mapping, optional
        Values of r by their meaning.
    """
    shown = {"pearson_r": "Pearson r of the amplitude"}
    if all("frc_crossing" in v for values in runs.values() for v in values):
        shown["frc_crossing"] = "FRC above half a bit up to, cycles per pixel"
    figure = _figure(6 * len(shown), 3.6)
    axes = np.atleast_1d(figure.subplots(1, len(shown)))
    for axis, (key, label) in zip(axes, shown.items(), strict=True):
        for name, values in runs.items():
            minutes = [v["seconds"] / 60 for v in values]
            axis.plot(minutes, [v.get(key, np.nan) for v in values], ".-", label=name)
        axis.set_xlabel("training time, minutes")
        axis.set_ylabel(label)
    for meaning, level in (levels or {}).items():
        axes[0].axhline(level, color="gray", linewidth=0.8, linestyle=":")
        where = {"transform": axes[0].get_yaxis_transform(), "ha": "right", "va": "bottom"}
        axes[0].text(0.98, level, meaning, **where)
    axes[0].legend(loc="lower right")
    _write(figure, path)


def comparison(
    predicted: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.floating[Any]],
    covered: npt.NDArray[np.bool_],
    name: str,
    folder: Path,
) -> None:
    """Truth, prediction and difference of amplitude or phase, over the rows that are covered."""
    figure = _figure(13, 4)
    rows = np.flatnonzero(covered.any(axis=1))
    shown = slice(rows[0], rows[-1] + 1)
    if name == "phase":
        difference = np.angle(np.exp(1j * (predicted - truth)))
        scale: dict[str, Any] = {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi}
    else:
        difference = predicted - truth
        scale = {"cmap": "gray", "vmin": truth[covered].min(), "vmax": truth[covered].max()}
    largest = float(np.quantile(np.abs(difference[covered]), 0.99)) or 1.0
    bounds = {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
    panels = (
        (f"true {name}", truth, scale),
        (f"predicted {name}", predicted, scale),
        ("difference", difference, bounds),
    )
    for axis, (title, image, options) in zip(figure.subplots(1, 3), panels, strict=True):
        extent = (-0.5, image.shape[1] - 0.5, rows[-1] + 0.5, rows[0] - 0.5)
        visible = np.ma.masked_array(image, ~covered)[shown]
        drawn = axis.imshow(visible, extent=extent, interpolation="nearest", **options)
        axis.set_title(title)
        figure.colorbar(drawn, ax=axis, shrink=0.7)
    _write(figure, folder / f"{name}.png")


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: Path) -> None:
    with written_aside(path, force=True) as file:
        figure.savefig(file, format="png", dpi=80, metadata={"Software": "ptycho_fast"})
