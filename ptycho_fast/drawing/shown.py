"""Figures that a notebook shows by themselves. Matplotlib is needed to import this module."""

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Shown(Figure):
    """A figure of no window, which a notebook shows as a picture.

    Matplotlib teaches a notebook to show figures when pyplot makes its first one, which is too late
    for one that was made without pyplot.

    Examples
    --------
    >>> Shown()._repr_png_()[1:4]
    b'PNG'
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=60)
        return file.getvalue()
