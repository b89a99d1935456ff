"""What a notebook shows of a data set or a simulator: a table, and pictures where Pillow is."""

import base64
import importlib.util
import io
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

_SIDE = 128  # pixels of a picture, about


def table(
    title: str,
    rows: Iterable[tuple[str, str]],
    pictures: Iterable[tuple[str, npt.NDArray[np.floating[Any]]]] = (),
) -> str:
    """HTML of a heading, small grey pictures (rows, columns) with names, and rows of two cells.

    Examples
    --------
    >>> table("Data", [("patterns", "<2>")])
    '<div><strong>Data</strong><table><tr><th>patterns</th><td>&lt;2&gt;</td></tr></table></div>'
    """
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
    )
    shown = ""
    if importlib.util.find_spec("PIL") is not None:
        shown = "".join(_picture(name, image) for name, image in pictures)
    return f"<div><strong>{escape(title)}</strong>{shown}<table>{cells}</table></div>"


def _picture(name: str, image: npt.NDArray[np.floating[Any]]) -> str:
    from PIL import Image

    step = max(1, -(-max(image.shape) // _SIDE))
    small = image[::step, ::step].astype(np.float64)
    span = np.ptp(small) or 1.0
    grey = ((small - small.min()) * (255 / span)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img alt="{escape(name)}" title="{escape(name)}" height="{_SIDE}" '
        f'style="image-rendering: pixelated; margin: 4px" src="data:image/png;base64,{data}">'
    )
