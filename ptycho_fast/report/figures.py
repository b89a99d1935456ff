"""Figures of a page: drawn by matplotlib, as SVG in the colours of the page, or as plain PNG."""

import base64
import io
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.data.dataset import Dataset
from ptycho_fast.drawing.axes import (
    draw_image,
    draw_phase,
    draw_scan,
    thinned,
)

_INK = "#010203"  # stands for the text colour of the page, which may be light or dark
_PLAIN = "{x:g}"  # numbers on log axes; powers of ten in mathematical type take long
_DATA, _MARK = "#3b82c4", "#d9730d"  # seen on light and on dark
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ptycho_fast",
    "font.size": 11,
    "axes.titlesize": 11,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
}
_LARGEST_PATTERN = 256  # pixels along a side; larger patterns are summed over blocks
_DARK = 0.02  # of the largest amplitude of a mode: below, its phase says nothing


def svg(
    width: float,
    height: float,
    draw: Callable[[Any], None],
    margins: tuple[float, float, float, float] = (0.95, 0.6, 0.2, 0.2),
) -> str:
    """What `draw` puts on the axis of a figure of so many inches, as an SVG element.

    `margins` are those left of the axis, below, right and above.

    Its text has the font of the page around it, its lines the colour ``currentColor``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        # Fixed margins, in inches: an automatic layout takes most of the time.
        left, below, right, above = margins
        across, along = width - left - right, height - below - above
        box = (left / width, below / height, across / width, along / height)
        draw(figure.add_axes(box))
        file = io.StringIO()
        figure.savefig(file, format="svg", dpi=100, metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # The rules of a style element inside would hold for the whole page.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: [^;\"']*?([\d.]+px)[^;\"]*", r"font-size: \1", text)
    return text.replace(_INK, "currentColor")


def png(image: npt.NDArray[np.uint8]) -> str:
    """An image (rows, columns, 3 or 4) as the ``data:`` address of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


# --- what was made ---


def on_an_axis(draw: Callable[[Any], None], side: float = 4.6) -> str:
    """What `draw` puts on the axis of a square figure, as an SVG element."""
    return svg(side * 1.15, side, draw, (0.5, 0.3, 0.6, 0.35))


def field_figures(field: npt.NDArray[np.complex64], side: float, dark: float = 0.0) -> list[str]:
    """Amplitude and phase of a complex field; the phase where the amplitude is not `dark`."""
    field, extent = thinned(field)
    return [
        on_an_axis(
            partial(draw_image, image=np.abs(field), title="amplitude", cmap="gray", extent=extent),
            side,
        ),
        on_an_axis(
            partial(draw_phase, values=field, title="phase (rad)", dark=dark, extent=extent), side
        ),
    ]


def object_figures(dataset: Dataset) -> list[str]:
    """Amplitude and phase of the object."""
    return field_figures(dataset.projection, 4.6)


def mode_figures(mode: npt.NDArray[np.complex64]) -> list[str]:
    """Amplitude and phase of a probe mode (N, N)."""
    return field_figures(mode, 3.4, _DARK)


def scan_figures(dataset: Dataset, covered: npt.NDArray[np.int32]) -> list[str]:
    """Positions over the object, and how many patterns light each pixel."""
    shown, extent = thinned(covered)
    title = "patterns that light each pixel"
    return [
        on_an_axis(partial(draw_scan, data=dataset)),
        on_an_axis(partial(draw_image, image=shown, title=title, cmap="viridis", extent=extent)),
    ]


def mask_figure(mask: npt.NDArray[np.bool_]) -> str:
    """Good pixels light, bad ones dark."""
    return on_an_axis(lambda axis: axis.imshow(mask, cmap="gray", vmin=0, vmax=1), 4)


# --- patterns ---


def pattern_scale(patterns: npt.NDArray[np.floating[Any]]) -> Any:
    """The common log scale of patterns (n, N, N): from the smallest light to the brightest."""
    from matplotlib.colors import LogNorm

    lit = patterns[patterns > 0]
    least, most = (float(lit.min()), float(lit.max())) if lit.size else (1.0, 1.0)
    return LogNorm(max(least, most * 1e-9), max(most, least * 10))


def binned(pattern: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """A pattern (N, N) with at most 256 pixels along a side; larger ones are summed over blocks."""
    step = math.ceil(len(pattern) / _LARGEST_PATTERN)
    side = len(pattern) // step * step
    kept = pattern[:side, :side].reshape(side // step, step, side // step, step)
    return kept.sum(axis=(1, 3)) if step > 1 else pattern


def pattern_png(
    pattern: npt.NDArray[np.floating[Any]], good: npt.NDArray[np.bool_] | None, scale: Any
) -> str:
    """A pattern on a log scale, dark pixels black, bad ones grey."""
    import matplotlib as mpl

    image = mpl.colormaps["magma"](scale(np.ma.masked_where(pattern <= 0, pattern)), bytes=True)
    image[pattern <= 0] = (0, 0, 0, 255)
    if good is not None and good.shape == pattern.shape:
        image[~good] = (110, 120, 130, 255)
    return png(image[..., :3])


def pattern_key(scale: Any, unit: str) -> str:
    """The colours of patterns and what they stand for."""

    def draw(axis: Any) -> None:
        from matplotlib.cm import ScalarMappable

        how = {"orientation": "horizontal", "label": unit, "format": _PLAIN}
        axis.figure.colorbar(ScalarMappable(scale, "magma"), cax=axis, **how)

    return svg(5, 0.9, draw, (0.3, 0.55, 0.3, 0.05))


# --- numbers ---


def radial_profile(pattern: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Mean of a pattern (N, N) over rings one pixel wide around its zero frequency.

    Pixels that are NaN are left out.
    """
    N = len(pattern)
    rows, columns = np.ogrid[:N, :N]
    ring = np.rint(np.hypot(rows - N // 2, columns - N // 2)).astype(int)
    good = np.isfinite(pattern)
    sums = np.bincount(ring[good], pattern[good], N)
    number = np.bincount(ring[good], minlength=N)
    inside = slice(0, N // 2)
    return sums[inside] / np.maximum(number[inside], 1)


def profile_figure(profile: npt.NDArray[np.float64], unit: str) -> str:
    """Mean of a pixel against its distance from the zero frequency."""

    def draw(axis: Any) -> None:
        lit = profile > 0
        axis.semilogy(np.flatnonzero(lit), profile[lit], color=_DATA)
        _plain(axis.yaxis)
        axis.set_xlabel("distance from the zero frequency (pixels)")
        axis.set_ylabel(f"mean {unit} in a pixel")

    return svg(5.4, 3.6, draw)


def _plain(axis: Any) -> None:
    """Plain numbers at the powers of ten of a log axis, none between."""
    from matplotlib.ticker import NullFormatter

    axis.set_major_formatter(_PLAIN)
    axis.set_minor_formatter(NullFormatter())


def totals_figure(
    totals: npt.NDArray[np.float64], requested: float | None, expected: float | None
) -> str:
    """How many patterns hold how many photons, with the request and the expected mean."""

    def draw(axis: Any) -> None:
        axis.hist(totals, bins=min(60, max(8, math.isqrt(len(totals)))), color=_DATA)
        for value, line, name in (
            (requested, "--", "requested"),
            (expected if expected != requested else None, ":", "expected mean"),
            (float(totals.mean()), "-", "measured mean"),
        ):
            if value is not None:
                axis.axvline(value, color=_MARK, linestyle=line, label=f"{name} {value:.6g}")
        axis.legend(framealpha=0)
        axis.set_xlabel("photons in a pattern")
        axis.set_ylabel("patterns")

    return svg(5.4, 3.6, draw)


def pixels_figure(patterns: npt.NDArray[np.floating[Any]], unit: str) -> str:
    """How many of all pixels hold how much; both axes logarithmic."""

    def draw(axis: Any) -> None:
        lit = patterns[patterns > 0]
        if lit.size:
            edges = np.unique(np.geomspace(lit.min(), lit.max() * 1.0001, 60))
            if unit == "photons":  # whole numbers: no empty bins between them
                edges = np.unique(np.ceil(edges - 0.5)) - 0.5
                edges = np.append(edges, lit.max() + 0.5)
            number, edges = np.histogram(lit, np.unique(edges))
            axis.stairs(number / np.diff(edges) / patterns.size, edges, color=_DATA, fill=True)
            axis.set(xscale="log", yscale="log")
            _plain(axis.xaxis)
            _plain(axis.yaxis)
        axis.set_xlabel(f"{unit} in a pixel")
        axis.set_ylabel("share of pixels per unit")

    return svg(5.4, 3.6, draw)
