"""Rows of positions, each in the direction opposite to the one before."""

import numpy as np
import numpy.typing as npt

from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry

from .area import Buffer, NPatterns, Step, StepM, inside, placed
from .raster import Columns, centred, grid


@kind("snake")
def snake(
    shape: tuple[int, int],
    geometry: Geometry | None = None,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    step: Step = None,
    step_m: StepM = None,
    columns: Columns = None,
) -> npt.NDArray[np.float64]:
    """Square grid, row by row, to the right and to the left in turn.

    Neighbours in time are neighbours in space, also at the ends of the rows.

    Parameters
    ----------
    shape, geometry, n_patterns, buffer, step, step_m, columns
        As for `raster.raster`.

    Returns
    -------
    (n_patterns, 2) float64
        The points of the raster, in another order; a last row that is not full starts where the
        row before it ends.

    Raises
    ------
    TypeError, ValueError
        As for `raster.raster`.

    Examples
    --------
    >>> snake((40, 60), n_patterns=5, buffer=10, step=8, columns=3).tolist()
    [[22.0, 16.0], [30.0, 16.0], [38.0, 16.0], [38.0, 24.0], [30.0, 24.0]]
    """
    area = inside(shape, buffer)
    column, row = grid(n_patterns, area, columns)
    column = np.where(row % 2 == 1, column.max() - column, column)
    return placed(centred(column, row), area, step=step, step_m=step_m, geometry=geometry)
