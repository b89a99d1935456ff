"""Object, probe, scan and some patterns in one figure."""

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.drawing.axes import draw_object, draw_probe, draw_scan
from ptycho_fast.formats.contents import projected

if TYPE_CHECKING:
    from ptycho_fast.data.dataset import Dataset
    from ptycho_fast.experiment import Experiment


def require_matplotlib(wanted: str = "preview") -> None:
    """Raise RuntimeError, naming what is `wanted` and the extra, where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeError(
            f"{wanted}: matplotlib is not installed; pip install 'ptycho_fast[plot]' brings it"
        )


def overview(
    data: "Dataset | Experiment",
    photons: Callable[[int], tuple[npt.NDArray[np.float64], str]],
) -> Any:
    """Draw object, probe, scan, and up to four patterns on a log scale.

    Parameters
    ----------
    data : Dataset or Experiment
        What is drawn.
    photons : callable
        Gives pattern b (N, N) and the unit of a pixel.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; it belongs to no window.

    Raises
    ------
    RuntimeError
        Matplotlib is missing; the message names the extra.
    """
    require_matplotlib("plot")
    from ptycho_fast.drawing.shown import Shown

    figure = Shown(figsize=(16, 6.4))
    # Fixed margins: an automatic layout takes seconds.
    upper = figure.add_gridspec(1, 5, left=0.03, right=0.96, top=0.92, bottom=0.57, wspace=0.3)
    axes = [figure.add_subplot(upper[i]) for i in range(5)]
    draw_object(axes[0], axes[1], projected(data.object))
    draw_probe(axes[2], axes[3], data.probe)
    draw_scan(axes[4], data)
    _draw_patterns(figure, data, photons)
    return figure


def _draw_patterns(
    figure: Any,
    data: "Dataset | Experiment",
    photons: Callable[[int], tuple[npt.NDArray[np.float64], str]],
) -> None:
    from matplotlib.colors import LogNorm

    chosen = np.unique(np.linspace(0, data.n_patterns - 1, 4).astype(int))
    patterns, unit = zip(*(photons(int(b)) for b in chosen), strict=True)
    brightest = max(float(p.max()) for p in patterns)
    smallest = min((float(p[p > 0].min()) for p in patterns if p.any()), default=1.0)
    norm = LogNorm(max(smallest, brightest * 1e-9), max(brightest, smallest * 10))
    lower = figure.add_gridspec(1, 4, left=0.03, right=0.92, top=0.47, bottom=0.05, wspace=0.2)
    axes = [figure.add_subplot(lower[i]) for i in range(len(chosen))]
    for axis, b, pattern in zip(axes, chosen, patterns, strict=True):
        hidden = pattern == 0 if data.mask is None else (pattern == 0) | ~data.mask
        image = axis.imshow(np.ma.masked_where(hidden, pattern), norm=norm, cmap="magma")
        axis.set_facecolor("black")
        axis.set_title(f"pattern {b}" if pattern.any() else f"pattern {b}: no light")
    figure.colorbar(image, cax=figure.add_axes((0.94, 0.05, 0.012, 0.42)), label=unit[0])
