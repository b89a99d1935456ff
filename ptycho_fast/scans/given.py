"""Positions that were handed over as an array in Python."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.errors import ScenarioError
from ptycho_fast.keys import Key
from ptycho_fast.kinds import Sha256, handed_over, kind


@kind("given", listed=False)
def given(
    array: npt.NDArray[np.float64] | None,
    *,
    n_patterns: Annotated[
        int, Key("number of scan positions, one diffraction pattern each", ge=1, drawn=False)
    ],
    sha256: Sha256,
) -> npt.NDArray[np.float64]:
    """Handed over as an array in Python.

    Parameters
    ----------
    array : (B, 2) float64, or None
        The array, if it is at hand.
    n_patterns : int
        B.
    sha256 : str
        Its `kinds.fingerprint`.

    Returns
    -------
    (B, 2) float64
        `array`.

    Raises
    ------
    ScenarioError
        There is no array, or it is another one.

    Examples
    --------
    >>> from ptycho_fast.kinds import fingerprint
    >>> xy = np.array([[10.0, 20.0], [11.0, 20.0]])
    >>> given(xy, n_patterns=2, sha256=fingerprint(xy)) is xy
    True
    """
    positions = handed_over(array, sha256, "scan", "positions")
    if len(positions) != n_patterns:
        raise ScenarioError(
            f"scan.n_patterns: {n_patterns} given, expected {len(positions)}, the number of "
            "positions that were handed over",
            key="scan.n_patterns",
        )
    return positions
