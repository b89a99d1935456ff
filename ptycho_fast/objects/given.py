"""An object that was handed over as an array in Python."""

import numpy as np
import numpy.typing as npt

from ptycho_fast.kinds import Sha256, handed_over, kind


@kind("given", listed=False)
def given(
    array: npt.NDArray[np.complex64] | None,
    *,
    sha256: Sha256,
) -> npt.NDArray[np.complex64]:
    """Handed over as an array in Python.

    Parameters
    ----------
    array : (H, W) or (L, H, W) complex64, or None
        The array, if it is at hand.
    sha256 : str
        Its `kinds.fingerprint`.

    Returns
    -------
    (H, W) or (L, H, W) complex64
        `array`.

    Raises
    ------
    ScenarioError
        There is no array, or it is another one.

    Examples
    --------
    >>> from ptycho_fast.kinds import fingerprint
    >>> obj = np.ones((30, 40), np.complex64)
    >>> given(obj, sha256=fingerprint(obj)) is obj
    True
    """
    return handed_over(array, sha256, "object", "object")
