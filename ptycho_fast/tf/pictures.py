"""Pictures of a training or a refinement: losses and scores, and objects beside the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.files import written_aside
from ptycho_fast.quality import phase_factor


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
        Scores by the name of the run, of ``scores.json``. If all have ``frc_mean``, there is a
        second panel.
    path : Path
        Where the picture goes.
    levels : mapping, optional
        Values of r by their meaning.
    """
    shown = {"pearson_r": "Pearson r of the amplitude"}
    if all("frc_mean" in v for values in runs.values() for v in values):
        shown["frc_mean"] = "Fourier ring correlation, mean"
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


def objects(
    truth: npt.NDArray[np.complexfloating[Any, Any]],
    found: Mapping[str, npt.NDArray[np.complexfloating[Any, Any]]],
    covered: npt.NDArray[np.bool_],
    folder: Path,
) -> list[str]:
    """The truth and what was found side by side, and the differences of amplitudes.

    Parameters
    ----------
    truth : (H, W) complex
        The true object.
    found : mapping
        Objects by the title of their panel.
    covered : (H, W) bool
        What is shown; on it a constant phase is taken out.
    folder : Path
        Where the pictures go.

    Returns
    -------
    list of str
        Names of the files: ``amplitude.png``, ``phase.png`` for an object whose phase varies, and
        ``difference.png``.
    """
    panels = {"truth": truth}
    for title, one in found.items():
        panels[title] = one * phase_factor(one[covered], truth[covered])
    amplitude = {title: np.abs(one) for title, one in panels.items()}
    seen = np.abs(truth[covered])
    grey = {"cmap": "gray", "vmin": seen.min(), "vmax": seen.max()}
    _row(amplitude, covered, grey, folder / "amplitude.png")
    names = ["amplitude.png"]
    if np.ptp(np.angle(truth[covered])) > 0:
        wheel = {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi}
        phase = {title: np.angle(one) for title, one in panels.items()}
        _row(phase, covered, wheel, folder / "phase.png")
        names.append("phase.png")
    off = {
        f"{title.partition(':')[0]} - truth": one - amplitude["truth"]
        for title, one in amplitude.items()
        if title != "truth"
    }
    _row(off, covered, {"cmap": "RdBu"}, folder / "difference.png")
    return [*names, "difference.png"]


def alone(
    found: npt.NDArray[np.complexfloating[Any, Any]],
    covered: npt.NDArray[np.bool_],
    title: str,
    folder: Path,
) -> list[str]:
    """Amplitude and phase of an object whose truth is not known; returns the files' names."""
    seen = np.abs(found[covered])
    grey = {"cmap": "gray", "vmin": seen.min(), "vmax": seen.max()}
    _row({title: np.abs(found)}, covered, grey, folder / "amplitude.png")
    wheel = {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi}
    _row({title: np.angle(found)}, covered, wheel, folder / "phase.png")
    return ["amplitude.png", "phase.png"]


def _row(
    panels: Mapping[str, npt.NDArray[np.floating[Any]]],
    covered: npt.NDArray[np.bool_],
    scale: dict[str, Any],
    path: Path,
) -> None:
    """Images side by side, over the rows that are covered; differences each with a scale."""
    rows = np.flatnonzero(covered.any(axis=1))
    columns = np.flatnonzero(covered.any(axis=0))
    shown = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    extent = (columns[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5, rows[0] - 0.5)
    height = 4.3 * len(rows) / len(columns) + 0.6
    figure = _figure(4.5 * len(panels), min(max(height, 2), 8))
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharex=True, sharey=True))
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        bounds = scale
        if "vmin" not in scale:
            largest = float(np.quantile(np.abs(image[covered]), 0.99)) or 1.0
            bounds = scale | {"vmin": -largest, "vmax": largest}
        visible = np.ma.masked_array(image, ~covered)[shown]
        drawn = axis.imshow(visible, extent=extent, interpolation="nearest", **bounds)
        axis.set_title(title)
        if "vmin" not in scale or axis is axes[-1]:
            figure.colorbar(drawn, ax=axis, shrink=0.7)
    _write(figure, path)


def ring_correlations(rings: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Fourier ring correlation with the truth by spatial frequency, and the half-bit curve.

    Parameters
    ----------
    rings : mapping
        By label what `quality.RingCorrelation.summary` gives; all of the same region.
    path : Path
        Where the picture goes.
    """
    figure = _figure(6, 3.6)
    axis = figure.subplots()
    for label, one in rings.items():
        axis.plot(one["frequency"], one["correlation"], label=label)
    first = next(iter(rings.values()))
    axis.plot(first["frequency"], first["threshold"], ":", color="gray", label="half a bit")
    axis.set_xlabel("spatial frequency, cycles per pixel")
    axis.set_ylabel("Fourier ring correlation")
    axis.set_ylim(min(0, *(min(one["correlation"]) for one in rings.values())), 1.05)
    axis.legend(loc="lower left")
    _write(figure, path)


def passes(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Loss of a refinement by pass."""
    figure = _figure(5, 3.4)
    axis = figure.subplots()
    axis.semilogy(np.arange(1, len(history) + 1), [v["loss"] for v in history], ".-")
    axis.set_xlabel("pass")
    axis.set_ylabel("loss, share of the light")
    _write(figure, path)


def probe(modes: npt.NDArray[np.complexfloating[Any, Any]], path: Path) -> None:
    """Amplitude and phase of a probe (M, N, N)."""
    from ptycho_fast.drawing.axes import draw_probe

    figure = _figure(9, 3.6)
    amplitude, phase = figure.subplots(1, 2)
    draw_probe(amplitude, phase, modes)
    _write(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: Path) -> None:
    with written_aside(path, force=True) as file:
        figure.savefig(file, format="png", dpi=80, metadata={"Software": "ptycho_fast"})
