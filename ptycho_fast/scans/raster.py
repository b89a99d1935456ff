"""Rows of positions, each in the same direction."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .area import Area, Buffer, NPatterns, Step, StepM, inside, placed

Columns = Annotated[
    int | None,
    Key("positions in a row; without it, as many as allow the largest step", ge=1),
]


@kind("raster")
def raster(
    shape: tuple[int, int],
    geometry: Geometry | None = None,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    step: Step = None,
    step_m: StepM = None,
    columns: Columns = None,
) -> npt.NDArray[np.float64]:
    """Square grid, row by row; every row starts on the left.

    If the positions do not fill the last row, its right end is empty.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    geometry : Geometry, optional
        Has the size of an object pixel.
    n_patterns : int
        Number of positions.
    buffer : float
        Margin kept free at every edge, pixels.
    step : float, optional
        Distance of neighbours, pixels; without it, the largest that fits.
    step_m : float, optional
        The same in metres.
    columns : int, optional
        Positions in a row; without it, as many as allow the largest step.

    Returns
    -------
    (n_patterns, 2) float64
        ``x`` in ``[buffer, W - buffer]``, ``y`` in ``[buffer, H - buffer]``, around the middle of
        the object.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the grid does not fit.

    Examples
    --------
    >>> raster((40, 60), n_patterns=5, buffer=10, step=8, columns=3).tolist()
    [[22.0, 16.0], [30.0, 16.0], [38.0, 16.0], [22.0, 24.0], [30.0, 24.0]]
    """
    area = inside(shape, buffer)
    column, row = grid(n_patterns, area, columns)
    return placed(centred(column, row), area, step=step, step_m=step_m, geometry=geometry)


def grid(
    n_patterns: int, area: Area, columns: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Column and row of each position of a raster, from 0.

    Parameters
    ----------
    n_patterns : int
        Number of positions B.
    area : Area
        What the grid is to fill: the number of columns is the one with the largest step.
    columns : int, optional
        That number, if it is decided.

    Returns
    -------
    two arrays, (B,) int64
        Column and row, row by row.

    Raises
    ------
    TypeError, ValueError
        A number is out of range, or there are more columns than positions.

    Examples
    --------
    >>> column, row = grid(7, inside((100, 100), 0))
    >>> column.tolist(), row.tolist()
    ([0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 1, 1, 1, 2])
    """
    count = checks.count(n_patterns, "n_patterns")
    if columns is None:
        candidates = np.arange(1, count + 1)
        with np.errstate(divide="ignore"):
            across = area.sides[0] / (candidates - 1)
            down = area.sides[1] / (-(-count // candidates) - 1)
        columns = int(np.minimum(across, down).argmax()) + 1
    elif checks.count(columns, "columns") > count:
        raise wrong("scan.columns", columns, f"at most scan.n_patterns, {count}")
    row, column = np.divmod(np.arange(count), columns)
    return column, row


def centred(column: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Positions of a grid around ``(0, 0)``, (B, 2) float64, in steps."""
    steps = np.stack([column, row], axis=1).astype(np.float64)
    return steps - steps.max(axis=0) / 2
