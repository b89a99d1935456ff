"""Random positions: the scan of the published scenarios."""

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.kinds import kind
from ptycho_fast.rng import legacy_generator

from .area import Buffer, NPatterns, inside


@kind("random")
def random(
    shape: tuple[int, int],
    seed: int,
    *,
    n_patterns: NPatterns = 1024,
    buffer: Buffer = 10.0,
) -> npt.NDArray[np.float64]:
    """Uniformly random over the object, all x first, then all y.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns ``(H, W)`` of the object.
    seed : int
        Seed of NumPy's legacy generator, 0 to 2**32 - 1.
    n_patterns : int
        Number of positions.
    buffer : float
        Margin kept free at every edge, pixels.

    Returns
    -------
    (n_patterns, 2) float64
        ``x`` in ``[buffer, W - buffer)``, ``y`` in ``[buffer, H - buffer)``.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the margin leaves no area.

    Examples
    --------
    >>> xy = random((100, 200), 42, n_patterns=500, buffer=20)
    >>> xy.shape, bool(xy.min() >= 20), bool(xy[:, 1].max() < 80)
    ((500, 2), True, True)
    """
    count = checks.count(n_patterns, "n_patterns")
    area = inside(shape, buffer)
    draw = legacy_generator(seed)
    x = draw.uniform(area.low[0], area.high[0], count)
    y = draw.uniform(area.low[1], area.high[1], count)
    return np.stack([x, y], axis=1)
