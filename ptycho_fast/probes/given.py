"""A probe that was handed over as an array in Python."""

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
    array : (M, N, N) complex64, or None
        The array, if it is at hand.
    sha256 : str
        Its `kinds.fingerprint`.

    Returns
    -------
    (M, N, N) complex64
        `array`.

    Raises
    ------
    ScenarioError
        There is no array, or it is another one.

    Examples
    --------
    >>> from ptycho_fast.kinds import fingerprint
    >>> probe = np.ones((1, 64, 64), np.complex64)
    >>> given(probe, sha256=fingerprint(probe)) is probe
    True
    """
    return handed_over(array, sha256, "probe", "probe")
