"""Finite pixels: a pixel sees the mean over its area, not the value at its centre."""

from typing import Annotated

from ptycho_fast.keys import Key


def oversample(
    *,
    oversample: Annotated[
        int | None,
        Key(
            "points of the far field along each side of a detector pixel",
            ge=1,
            le=64,
            synonyms=("oversampling", "subpixels"),
        ),
    ] = None,
) -> int:
    """Points of the far field along each side of a detector pixel.

    The exit wave is computed on a field so many times as wide, and that many points are added to
    one pixel.

    Parameters
    ----------
    oversample : int, optional
        q, 1 to 64.

    Returns
    -------
    int
        q; 1 is off.
    """
    return oversample or 1
