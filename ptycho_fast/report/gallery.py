"""The gallery: a picture of every panel, and a page with the pictures and their lines of code."""

import contextlib
import html
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.checks import wrong
from ptycho_fast.drawing.overview import require_matplotlib
from ptycho_fast.errors import DataWarning
from ptycho_fast.files import check_targets, written_aside
from ptycho_fast.progress import StageClock
from ptycho_fast.scans import ScanPath

from .panels import SECTIONS, Panel, panels

_SIDE, _TITLE, _DPI = 2.0, 0.26, 72  # inches of an image, and of the line above it; dots per inch
_MOST = 4  # images of one array
_COLOURS = 64  # of a picture's palette, which makes its file small
_DARK = 0.02  # of the largest amplitude: below, a phase says nothing

Images = list[tuple[str, Callable[[Any], None]]]
"""Titles, and what draws each image on an axis."""


def draw_gallery(
    folder: str | os.PathLike[str],
    *,
    page: str | os.PathLike[str] | None = None,
    force: bool = False,
    chosen: Iterable[Panel] | None = None,
    clock: StageClock | None = None,
) -> list[Path]:
    """Draw every panel, and write a page that shows them with their lines of code.

    Every file is written aside and renamed, the page last. The lines of a panel run with an empty
    folder as the working folder of the process.

    Parameters
    ----------
    folder : path-like
        Folder of the pictures; it is made if it is missing.
    page : path-like, optional
        The page, ``.html`` or ``.md``; by default ``index.html`` in `folder`.
    force : bool
        Whether existing files may be replaced.
    chosen : iterable of Panel, optional
        What to draw; by default `panels.panels`.
    clock : StageClock, optional
        Told of every picture.

    Returns
    -------
    list of Path
        The files, the page last.

    Raises
    ------
    RuntimeError
        Matplotlib is missing; the message names the extra.
    ValueError
        Another suffix of the page.
    OSError
        A file exists or cannot be written.
    """
    require_matplotlib("gallery")
    shown = list(panels() if chosen is None else chosen)
    *targets, index = prepare(folder, shown, page=page, force=force)
    clock = clock or StageClock()
    with clock.stage("pictures", len(shown)):
        for panel, target in zip(shown, targets, strict=True):
            content = picture(panel)
            with written_aside(target, force=force) as file:
                file.write(content)
            clock.advance(1)
    prefix = os.path.relpath(folder, index.parent).replace(os.sep, "/")
    text = _writer(index)(shown, "" if prefix == "." else f"{prefix}/")
    with written_aside(index, force=force) as file:
        file.write(text.encode())
    return [*targets, index]


def prepare(
    folder: str | os.PathLike[str],
    shown: Iterable[Panel],
    *,
    page: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> list[Path]:
    """Make the folder, and raise for what cannot be written there, before any work.

    Parameters
    ----------
    folder, page, force
        As for `draw_gallery`.
    shown : iterable of Panel
        What will be drawn.

    Returns
    -------
    list of Path
        The files to write, the page last.

    Raises
    ------
    OSError, ValueError
        As `draw_gallery`.
    """
    place = Path(folder)
    index = place / "index.html" if page is None else Path(page)
    _writer(index)
    place.mkdir(parents=True, exist_ok=True)
    targets = [*(place / panel.file for panel in shown), index]
    check_targets(*targets, force=force)
    return targets


# --- pages ---


def _writer(page: Path) -> Callable[[Iterable[Panel], str], str]:
    writers = {".html": web_page, ".md": markdown}
    if page.suffix not in writers:
        raise ValueError(wrong("page", page, "a name that ends in .html or .md"))
    return writers[page.suffix]


def _by_section(shown: Iterable[Panel]) -> Iterable[tuple[str, list[Panel]]]:
    for section, group in groupby(shown, key=lambda panel: panel.section):
        yield section, list(group)


def markdown(shown: Iterable[Panel], pictures: str = "") -> str:
    """The page as Markdown.

    Parameters
    ----------
    shown : iterable of Panel
        What it shows, section by section.
    pictures : str
        What stands before the pictures' names: ``"pictures/gallery/"``.

    Returns
    -------
    str
        The text.
    """
    lines = [
        "# Gallery",
        "",
        "Every kind of object, probe and scan, every part of the detector, and what else there is, "
        "each with the lines",
        "that made it. `python -m ptycho_fast.gallery --out gallery/` draws it again.",
        "",
    ]
    for section, group in _by_section(shown):
        lines += [f"## {section.capitalize()}", "", SECTIONS[section], ""]
        for panel in group:
            lines += [f"### {panel.name}", "", f"{panel.text}.", ""]
            lines += [f"![{panel.section}: {panel.name}]({pictures}{panel.file})", ""]
            lines += ["```python", panel.code.rstrip(), "```", ""]
    return "\n".join(lines)


_STYLE = """\
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
section { border-top: 1px solid #ccc; padding: 0.5em 0; }
pre { background: #f5f5f5; padding: 0.7em; overflow-x: auto; }
img { max-width: 100%; }
nav a { margin-right: 1em; }
"""


def web_page(shown: Iterable[Panel], pictures: str = "") -> str:
    """The page as HTML; arguments as for `markdown`."""
    groups = list(_by_section(shown))
    links = "\n".join(f'<a href="#{section}">{section}</a>' for section, _ in groups)
    parts = []
    for section, group in groups:
        parts.append(f'<h2 id="{section}">{section.capitalize()}</h2>\n<p>{SECTIONS[section]}</p>')
        parts += [
            f"<section>\n<h3>{html.escape(panel.name)}</h3>\n"
            f"<p>{html.escape(panel.text)}.</p>\n"
            f'<img src="{pictures}{panel.file}" alt="{html.escape(panel.name)}">\n'
            f"<pre>{html.escape(panel.code.rstrip())}</pre>\n</section>"
            for panel in group
        ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>ptycho_fast: gallery</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Gallery</h1>\n<nav>\n{links}\n</nav>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


# --- pictures ---


def picture(panel: Panel) -> bytes:
    """Run a panel's lines and draw what they made, as a PNG of few colours.

    The same version of the libraries gives the same bytes.
    """
    with (
        tempfile.TemporaryDirectory() as empty,
        contextlib.chdir(empty),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DataWarning)  # what should surprise is shown on purpose
        try:
            made = panel.run()
        except Exception as error:
            error.add_note(f"in the panel {panel.section}: {panel.name}")
            raise
    images = [image for title, value in made.items() for image in _images(title, value)]
    return _drawn(images)


def _drawn(images: Images) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    width, height = _SIDE * len(images), _SIDE + _TITLE
    figure = Figure(figsize=(width, height), dpi=_DPI)
    canvas: Any = FigureCanvasAgg(figure)  # its methods are not typed
    for i, (title, draw) in enumerate(images):
        gap = 0.03 / len(images)
        axis = figure.add_axes(
            (i / len(images) + gap / 2, 0.01, 1 / len(images) - gap, _SIDE / height - 0.02)
        )
        draw(axis)
        axis.set_title(title, fontsize=7, pad=3)
        axis.set(xticks=[], yticks=[])
    canvas.draw()
    whole = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    whole.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()


def _images(title: str, value: Any) -> Images:
    """What a value looks like: its type and shape decide."""
    if isinstance(value, ScanPath):
        return [(title, lambda axis: _draw_scan(axis, value))]
    if not np.iscomplexobj(value):
        return [(title, lambda axis: _draw_light(axis, value))]
    planes = value.reshape(-1, *value.shape[-2:])
    if len(planes) == 1:
        return [
            (f"{title}, amplitude", lambda axis: _draw_amplitude(axis, planes[0])),
            ("phase", lambda axis: _draw_phase(axis, planes[0])),
        ]
    shares = (np.abs(planes) ** 2).sum(axis=(1, 2))
    names = [f"{m + 1}: {share:.0%} of the power" for m, share in enumerate(shares / shares.sum())]
    return [
        (name, partial(_draw_coloured, plane=plane))
        for name, plane in zip(names[:_MOST], planes, strict=False)
    ]


def _draw_amplitude(axis: Any, plane: npt.NDArray[Any]) -> None:
    amplitude = np.abs(plane)
    even = np.ptp(amplitude) < 1e-3 * amplitude.max()
    axis.imshow(amplitude, cmap="gray", vmin=0 if even else None)


def _draw_phase(axis: Any, plane: npt.NDArray[Any]) -> None:
    amplitude, phase = np.abs(plane), np.angle(plane)
    lit = amplitude > _DARK * amplitude.max()
    span = float(np.ptp(phase[lit])) if lit.any() else 0.0
    limits = {} if 1e-3 < span < 3 else {"vmin": -np.pi, "vmax": np.pi}
    axis.imshow(np.ma.masked_where(~lit, phase), cmap="twilight" if limits else "viridis", **limits)


def _draw_coloured(axis: Any, plane: npt.NDArray[Any]) -> None:
    """Brightness is amplitude, colour is phase."""
    from matplotlib.colors import hsv_to_rgb

    amplitude = np.abs(plane)
    bright = amplitude / max(float(amplitude.max()), 1e-30)
    hue = (np.angle(plane) / (2 * np.pi)) % 1.0
    axis.imshow(hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.8), bright], axis=-1)))


def _draw_light(axis: Any, pattern: npt.NDArray[Any]) -> None:
    from matplotlib.colors import LogNorm

    light = np.asarray(pattern, dtype=np.float64)
    some = light[light > max(0.0, float(light.max()) * 1e-7)]
    low, high = (some.min(), some.max()) if some.size else (1.0, 1.0)
    norm = LogNorm(low * 0.999, high * 1.001)
    axis.imshow(np.ma.masked_less_equal(light, 0), norm=norm, cmap="magma")
    axis.set_facecolor("black")


def _draw_scan(axis: Any, scan: ScanPath) -> None:
    x, y = scan.nominal.T
    axis.plot(x, y, "-", color="0.85", linewidth=0.5)
    axis.plot(x, y, ".", color="tab:orange", markersize=3)
    if scan.path is not None:
        for line in scan.path:
            axis.plot(*line.T, ".-", color="tab:blue", markersize=1.5, linewidth=0.6)
    elif scan.positions is not scan.nominal:
        axis.plot(*scan.positions.T, ".", color="tab:blue", markersize=2)
    axis.set_aspect("equal", adjustable="datalim")
    axis.invert_yaxis()
