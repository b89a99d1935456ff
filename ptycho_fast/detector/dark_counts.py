"""Dark counts: what a pixel counts without light."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.keys import Key


def thresholds(mean: float) -> tuple[int, npt.NDArray[np.uint32]]:
    """A Poisson distribution as integers, for random words of 32 bits.

    The word w stands for ``u = (w + 1/2) / 2**32``; the count is the smallest k with F(k) >= u.
    So probabilities are right to ``2**-32``.

    Parameters
    ----------
    mean : float
        Mean count.

    Returns
    -------
    least : int
        The smallest count.
    thresholds : (K,) uint32
        Ascending: the count is `least` plus how many of them are at most w.

    Examples
    --------
    >>> thresholds(0.5)[1][:3] / 2**32
    array([0.60653066, 0.90979599, 0.98561232])
    """
    from scipy import special

    k = np.arange(int(mean + 8 * mean**0.5 + 20))
    words = np.floor(special.pdtr(k, mean) * 2.0**32 + 0.5)
    inside = words[(words > 0) & (words < 2.0**32)]
    return int((words == 0).sum()), inside.astype(np.uint32)


def dark_counts(
    *,
    dark_counts: Annotated[
        float | None,
        Key(
            "mean dark counts of a pixel in a frame, counts",
            ge=0,
            le=1000,
            synonyms=("dark", "background"),
        ),
    ] = None,
) -> dict[str, Any]:
    """Poisson counts with the same mean in every pixel, added to the photons.

    Parameters
    ----------
    dark_counts : float, optional
        Mean of a pixel in a frame.

    Returns
    -------
    dict
        Fields ``dark_least`` and ``dark`` of `Response`.
    """
    if not dark_counts:
        return {}
    least, words = thresholds(dark_counts)
    return {"dark_least": least, "dark": words}
