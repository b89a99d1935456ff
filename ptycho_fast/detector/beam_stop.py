"""The beam stop: a disk in front of the detector's centre."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key


def beam_stop(
    counts: npt.NDArray[Any],
    *,
    beam_stop_radius: Annotated[
        float,
        Key("radius of the central beam stop, detector pixels", ge=0, synonyms=("beam_stop",)),
    ] = 0.0,
) -> npt.NDArray[Any]:
    """Set the pixels near the zero frequency to 0.

    Parameters
    ----------
    counts : (B, N, N) integers or floats
        Photons per pixel, zero frequency at ``(N // 2, N // 2)``; not modified.
    beam_stop_radius : float
        Pixels closer to the zero frequency than this become 0; 0 means no beam stop.

    Returns
    -------
    (B, N, N), same dtype
        `counts` itself if there is no beam stop.

    Raises
    ------
    TypeError, ValueError
        The radius is negative or not finite.

    Examples
    --------
    >>> beam_stop(np.ones((1, 4, 4), np.uint32), beam_stop_radius=1)[0]
    array([[1, 1, 1, 1],
           [1, 1, 1, 1],
           [1, 1, 0, 1],
           [1, 1, 1, 1]], dtype=uint32)
    """
    radius = checks.number(beam_stop_radius, "beam_stop_radius", least=0)
    if radius == 0:
        return counts
    N = counts.shape[-1]
    square = (np.arange(N) - N // 2) ** 2
    seen = counts.copy()
    seen[:, np.sqrt(square[:, None] + square) < radius] = 0
    return seen
