"""Saturation: the largest count that a pixel can hold."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key


def saturate(
    counts: npt.NDArray[Any],
    *,
    saturation: Annotated[
        int | None,
        Key(
            "largest count a pixel can hold, counts",
            ge=1,
            le=2**32 - 1,
            synonyms=("full_well", "max_count", "overflow"),
        ),
    ] = None,
) -> npt.NDArray[Any]:
    """Cut counts off at a largest value.

    Parameters
    ----------
    counts : (B, N, N) integers or floats
        Photons per pixel; not modified.
    saturation : int, optional
        The largest value, photons; by default there is none.

    Returns
    -------
    (B, N, N), same dtype
        `counts` itself if there is no limit.

    Raises
    ------
    TypeError, ValueError
        The limit is not an integer of at least 1.

    Examples
    --------
    >>> saturate(np.array([[[5, 500]]], np.uint32), saturation=100)
    array([[[  5, 100]]], dtype=uint32)
    """
    if saturation is None:
        return counts
    limit = checks.count(saturation, "saturation")
    if counts.dtype.kind != "f":  # a limit beyond the type's range never acts
        limit = min(limit, int(np.iinfo(counts.dtype).max))
    seen: npt.NDArray[Any] = np.minimum(counts, np.array(limit, counts.dtype))
    return seen
