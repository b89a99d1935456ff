"""Random positions: the scan of the published scenarios."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key
from ptycho_fast.kinds import kind
from ptycho_fast.rng import legacy_generator


@kind("random")
def random(
    shape: tuple[int, int],
    seed: int,
    *,
    n_patterns: Annotated[
        int,
        Key(
            "number of scan positions, one diffraction pattern each",
            ge=1,
            synonyms=("count", "positions", "points", "patterns", "n"),
        ),
    ] = 1024,
    buffer: Annotated[
        float,
        Key(
            "margin that positions keep from the object's border, object pixels",
            ge=0,
            synonyms=("margin", "border"),
        ),
    ] = 10.0,
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
    height, width = (checks.count(side, "shape") for side in shape)
    count = checks.count(n_patterns, "n_patterns")
    margin = checks.number(buffer, "buffer", least=0)
    if 2 * margin >= min(height, width):
        raise ValueError(
            checks.wrong(
                "buffer",
                buffer,
                f"less than half of the shorter side of the object ({height} x {width}), "
                "which leaves an area to scan",
            )
        )
    draw = legacy_generator(seed)
    x = draw.uniform(margin, width - margin, count)
    y = draw.uniform(margin, height - margin, count)
    return np.stack([x, y], axis=1)
