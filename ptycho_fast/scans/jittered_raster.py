"""A raster whose positions are moved at random, on purpose: the user knows where they are."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.optics import Geometry
from ptycho_fast.rng import generator

from .area import Buffer, NPatterns, Step, StepM, inside, placed
from .path import offsets
from .raster import Columns, centred, grid

_CUT = 3.0  # normal offsets end here, standard deviations


@kind("jittered_raster")
def jittered_raster(
    shape: tuple[int, int],
    seed: int,
    geometry: Geometry | None = None,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
    step: Step = None,
    step_m: StepM = None,
    columns: Columns = None,
    offset: Annotated[
        float,
        Key(
            "random offset of x and of y, in steps: half the width if uniform, standard deviation "
            "if normal",
            ge=0,
        ),
    ] = 0.25,
    offset_law: Annotated[
        Literal["uniform", "normal"],
        Key("distribution of the offsets; the normal one is cut off at 3 standard deviations"),
    ] = "uniform",
) -> npt.NDArray[np.float64]:
    """Raster with random offsets, which break the periodicity of the grid.

    The offsets have mean zero in both directions. The positions are nominal: errors that nobody
    knows of are ``scan.jitter``.

    Parameters
    ----------
    shape, geometry, n_patterns, buffer, step, step_m, columns
        As for `raster.raster`; the step is that of the grid.
    seed : int
        0 to 2**64 - 1.
    offset : float
        Size of the offsets, steps.
    offset_law : {"uniform", "normal"}
        Their distribution.

    Returns
    -------
    (n_patterns, 2) float64
        Positions; the grid keeps away from the margin as far as offsets reach.

    Raises
    ------
    TypeError, ValueError
        As for `raster.raster`, or `offset` or the seed is out of range.

    Examples
    --------
    >>> xy = jittered_raster((200, 200), 1, n_patterns=100, buffer=10, offset=0.5)
    >>> xy.shape, bool(xy.min() >= 10), bool(xy.max() <= 190)
    ((100, 2), True, True)
    """
    area = inside(shape, buffer)
    column, row = grid(n_patterns, area, columns)
    size = checks.number(offset, "offset", least=0)
    checks.choice(offset_law, "offset_law", ("uniform", "normal"))
    reach = size * (1.0 if offset_law == "uniform" else _CUT)
    pattern = centred(column, row)
    extent = np.abs(pattern).max(axis=0) + reach
    pattern += size * offsets(generator(seed, "scan"), len(pattern), offset_law, cut=_CUT)
    return placed(pattern, area, step=step, step_m=step_m, geometry=geometry, extent=extent)
