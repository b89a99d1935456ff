"""The beam stop: a disk in front of the detector's centre."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.keys import Key


def beam_stop(
    N: int,
    *,
    beam_stop_radius: Annotated[
        float,
        Key("radius of the central beam stop, detector pixels", ge=0, synonyms=("beam_stop",)),
    ] = 0.0,
) -> npt.NDArray[np.bool_]:
    """Which pixels are behind the beam stop.

    Parameters
    ----------
    N : int
        Side of the pattern, pixels.
    beam_stop_radius : float
        Pixels closer to the zero frequency, at ``(N // 2, N // 2)``, are behind it; 0 means no
        beam stop.

    Returns
    -------
    (N, N) bool
        True behind the beam stop.

    Examples
    --------
    >>> beam_stop(4, beam_stop_radius=1).astype(int)
    array([[0, 0, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 1, 0],
           [0, 0, 0, 0]])
    """
    square = (np.arange(N) - N // 2) ** 2
    return np.asarray(np.sqrt(square[:, None] + square) < beam_stop_radius)
