"""Pictures of a data set."""

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.files import written_aside

_WITHOUT_DATE: dict[str, dict[str, str | None]] = {  # the same data give the same bytes
    "png": {"Software": "ptycho_fast"},
    "pdf": {"Creator": "ptycho_fast", "CreationDate": None},
    "svg": {"Creator": "ptycho_fast", "Date": None},
}
_MOST_DOTS = 2000  # positions that are drawn one by one
_LARGEST_IMAGE = 1000  # pixels along a side; larger objects are thinned out
_DARK = 0.01  # of the largest amplitude: below, a probe's phase says nothing


def require_matplotlib(wanted: str = "preview") -> None:
    """Raise RuntimeError, naming what is `wanted` and the extra, where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeError(
            f"{wanted}: matplotlib is not installed; pip install 'ptycho_fast[plot]' brings it"
        )


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the suffix of a picture's name asks for: "png", "pdf" or "svg".

    Raises
    ------
    ValueError
        It is another suffix, or there is none.

    Examples
    --------
    >>> picture_format("scan.PDF")
    'pdf'
    >>> picture_format("scan.gif")
    Traceback (most recent call last):
    ValueError: scan.gif: suffix '.gif' given, expected .png, .pdf or .svg
    """
    suffix = Path(path).suffix.lower()
    if suffix.removeprefix(".") not in _WITHOUT_DATE:
        given = f"suffix {suffix!r}" if suffix else "a name without suffix"
        raise ValueError(f"{path}: {given} given, expected .png, .pdf or .svg")
    return suffix.removeprefix(".")


def preview(dataset: Dataset, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Draw object, probe, scan, and up to four patterns on a log scale.

    Many positions are drawn as their density. Of several probe modes the amplitude is that of the
    sum of intensities, the phase that of the first.

    Parameters
    ----------
    dataset : Dataset
        The data; one that was read from a file of another program will do.
    path : path-like
        File to make; the suffix, ``.png``, ``.pdf`` or ``.svg``, decides the format.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError
        Another suffix.
    RuntimeError
        Matplotlib is missing; the message names the extra.
    OSError
        The file exists or cannot be written.
    """
    kind = picture_format(path)
    require_matplotlib()
    import matplotlib as mpl

    figure = _figure(dataset)
    with written_aside(path, force=force) as file, mpl.rc_context({"svg.hashsalt": "ptycho_fast"}):
        figure.savefig(file, format=kind, dpi=80, metadata=_WITHOUT_DATE[kind])


def _figure(dataset: Dataset) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 6.4))
    FigureCanvasAgg(figure)
    # Fixed margins: an automatic layout takes seconds.
    upper = figure.add_gridspec(1, 5, left=0.03, right=0.96, top=0.92, bottom=0.57, wspace=0.3)
    axes = [figure.add_subplot(upper[i]) for i in range(5)]
    _draw_object(axes[0], axes[1], dataset.projection)
    _draw_probe(axes[2], axes[3], dataset.probe)
    _draw_scan(axes[4], dataset)
    _draw_patterns(figure, dataset)
    return figure


def _draw_object(amplitude: Any, phase: Any, obj: npt.NDArray[np.complex64]) -> None:
    obj, extent = _thinned(obj)
    _draw_image(amplitude, np.abs(obj), "object amplitude", cmap="gray", extent=extent)
    _draw_phase(phase, obj, "object phase (rad)", extent=extent)


def _draw_probe(amplitude: Any, phase: Any, probe: npt.NDArray[np.complex64]) -> None:
    modulus = np.sqrt((np.abs(probe) ** 2).sum(axis=0))
    _draw_image(amplitude, modulus, "probe amplitude", cmap="gray")
    which = "" if len(probe) == 1 else f", mode 1 of {len(probe)}"
    _draw_phase(phase, probe[0], f"probe phase (rad){which}", dark=_DARK)


def _draw_phase(
    axis: Any, values: npt.NDArray[np.complex64], title: str, *, dark: float = 0.0, **options: Any
) -> None:
    """Phase where the amplitude is above `dark` times the largest, or words where it is zero."""
    modulus = np.abs(values)
    shown = np.ma.masked_where(modulus <= dark * modulus.max(), np.angle(values))
    if not shown.any():
        axis.set_title(title)
        axis.set(xticks=[], yticks=[], box_aspect=1)
        axis.text(0.5, 0.5, "phase is zero everywhere", ha="center", transform=axis.transAxes)
        return
    _draw_image(axis, shown, title, cmap="twilight", vmin=-math.pi, vmax=math.pi, **options)


def _draw_scan(axis: Any, dataset: Dataset) -> None:
    """Positions over the object: dots, or their density where dots would be a solid block.

    Intended positions are blue where they differ.
    """
    H, W = dataset.projection.shape
    x, y = dataset.positions.T
    inside = (x >= -0.5) & (x < W - 0.5) & (y >= -0.5) & (y < H - 0.5)
    outside = "" if inside.all() else f",\n{(~inside).sum()} outside the object"
    axis.set_title(f"{dataset.n_patterns} positions{outside}")
    if dataset.n_patterns <= _MOST_DOTS:
        modulus, extent = _thinned(np.abs(dataset.projection))
        axis.imshow(modulus, cmap="gray", extent=extent)
        size = 8 if dataset.n_patterns <= 100 else 2
        if not np.array_equal(dataset.positions_nominal, dataset.positions):
            nominal = dataset.positions_nominal.T
            axis.plot(*nominal, ".", markersize=size, color="tab:blue")
        axis.plot(x[inside], y[inside], ".", markersize=size, color="tab:orange")
    else:
        side = max(H, W) / min(50, math.isqrt(dataset.n_patterns // 5))
        bins = [max(1, round(length / side)) for length in (H, W)]
        box = ((-0.5, H - 0.5), (-0.5, W - 0.5))
        density, _, _ = np.histogram2d(y[inside], x[inside], bins, box)
        image = axis.imshow(density, cmap="viridis", extent=_extent(H, W))
        _add_scale(axis, image, label=f"in {side:.3g} x {side:.3g} pixels")
    axis.set_xlim(-0.5, W - 0.5)
    axis.set_ylim(H - 0.5, -0.5)


def _draw_patterns(figure: Any, dataset: Dataset) -> None:
    from matplotlib.colors import LogNorm

    chosen = np.unique(np.linspace(0, dataset.n_patterns - 1, 4).astype(int))
    patterns, unit = zip(*(_light(dataset, b) for b in chosen), strict=True)
    brightest = max(float(p.max()) for p in patterns)
    smallest = min((float(p[p > 0].min()) for p in patterns if p.any()), default=1.0)
    norm = LogNorm(max(smallest, brightest * 1e-9), max(brightest, smallest * 10))
    lower = figure.add_gridspec(1, 4, left=0.03, right=0.92, top=0.47, bottom=0.05, wspace=0.2)
    axes = [figure.add_subplot(lower[i]) for i in range(len(chosen))]
    for axis, b, pattern in zip(axes, chosen, patterns, strict=True):
        hidden = pattern == 0 if dataset.mask is None else (pattern == 0) | ~dataset.mask
        image = axis.imshow(np.ma.masked_where(hidden, pattern), norm=norm, cmap="magma")
        axis.set_facecolor("black")
        axis.set_title(f"pattern {b}" if pattern.any() else f"pattern {b}: no light")
    figure.colorbar(image, cax=figure.add_axes((0.94, 0.05, 0.012, 0.42)), label=unit[0])


def _light(dataset: Dataset, b: int) -> tuple[npt.NDArray[np.float64], str]:
    """Pattern `b`, and what is shown of it: photons, where the data set says how many there are."""
    if dataset.domain == "count_intensity":
        return dataset.diffraction[b].astype(np.float64), "photons"
    intensity = dataset.amplitude(b, b + 1)[0].astype(np.float64) ** 2
    if dataset.intensity_scale is None:
        return intensity, "intensity before dose"
    return intensity * dataset.intensity_scale**2, "photons"


def _draw_image(axis: Any, image: npt.NDArray[Any], title: str, **options: Any) -> None:
    shown = axis.imshow(image, **options)
    axis.set_title(title)
    _add_scale(axis, shown)


def _add_scale(axis: Any, shown: Any, **options: Any) -> None:
    axis.figure.colorbar(shown, ax=axis, fraction=0.045, pad=0.03, **options)


def _thinned(
    image: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], tuple[float, float, float, float]]:
    """Every n-th pixel of a large image, and the extent of the whole."""
    step = math.ceil(max(image.shape) / _LARGEST_IMAGE)
    return image[::step, ::step], _extent(*image.shape)


def _extent(rows: int, columns: int) -> tuple[float, float, float, float]:
    return -0.5, columns - 0.5, rows - 0.5, -0.5
