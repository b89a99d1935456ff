"""Pictures of a data set."""

import importlib.util
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.files import written_aside


def require_matplotlib(wanted: str = "preview") -> None:
    """Raise RuntimeError, naming what is `wanted` and the extra, where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeError(
            f"{wanted}: matplotlib is not installed; pip install 'ptycho_fast[plot]' brings it"
        )


def preview(dataset: Dataset, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a PNG: object, probe, scan over the object, and four patterns on a log scale.

    Parameters
    ----------
    dataset : Dataset
        The data.
    path : path-like
        File to make.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    RuntimeError
        Matplotlib is missing; the message names the extra.
    OSError
        The file exists or cannot be written.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1)
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])

    axes = upper.subplots(1, 4)
    modulus = np.abs(dataset.object)
    _show(axes[0], modulus, "object amplitude")
    _show(axes[1], np.angle(dataset.object), "object phase (rad)", cmap="twilight", limits=np.pi)
    _show(axes[2], np.sqrt((np.abs(dataset.probe) ** 2).sum(axis=0)), "probe amplitude")
    axes[3].imshow(modulus, cmap="gray")
    axes[3].plot(*dataset.positions.T, ".", markersize=2, color="tab:orange")
    axes[3].set_title(f"{dataset.n_patterns} positions")

    axes = lower.subplots(1, 4)
    chosen = np.linspace(0, dataset.n_patterns - 1, 4).astype(int)
    in_photons = dataset.intensity_scale is not None
    patterns = [_photons(dataset, b) for b in chosen]
    brightest = max(float(p.max()) for p in patterns)
    smallest = min((float(p[p > 0].min()) for p in patterns if p.any()), default=1.0)
    norm = LogNorm(max(smallest, brightest * 1e-9), max(brightest, smallest * 10))
    for axis, b, pattern in zip(axes, chosen, patterns, strict=True):
        image = axis.imshow(np.ma.masked_equal(pattern, 0), norm=norm, cmap="magma")
        axis.set_facecolor("black")
        axis.set_title(f"pattern {b}")
    lower.colorbar(image, ax=axes, label="photons" if in_photons else "intensity")

    with written_aside(path, force=force) as file:
        figure.savefig(file, format="png", dpi=80, metadata={"Software": "ptycho_fast"})


def _photons(dataset: Dataset, b: int) -> npt.NDArray[np.float64]:
    scale = dataset.intensity_scale or 1.0
    return (dataset.amplitude(b, b + 1)[0].astype(np.float64) * scale) ** 2


def _show(
    axis: Any, image: npt.NDArray[Any], title: str, cmap: str = "gray", limits: float | None = None
) -> None:
    shown = axis.imshow(image, cmap=cmap, vmin=-limits if limits else None, vmax=limits)
    axis.set_title(title)
    axis.figure.colorbar(shown, ax=axis, shrink=0.8)
