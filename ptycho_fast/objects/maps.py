"""Structure maps: what most kinds draw, and what they share.

A structure map is real, (H, W) float32, from 0 to 1. `transmission.finished` turns it into an
amplitude and a phase, so that a range means the same for every kind.
"""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.keys import Key

Map = npt.NDArray[np.float32]

_LARGEST_RADIUS = Key(
    "largest radius, pixels; in dead leaves by default a quarter of the side", ge=1
)
Size = Annotated[
    int, Key("side of the square object, pixels", ge=8, le=65536, synonyms=("width", "height"))
]
Width = Annotated[
    float, Key("blur of what is drawn, pixels (standard deviation); 0 leaves it sharp", ge=0)
]
RadiusMin = Annotated[float, Key("smallest radius, pixels", ge=1)]
RadiusMax = Annotated[float, _LARGEST_RADIUS]
RadiusMaxOrNone = Annotated[float | None, _LARGEST_RADIUS]
Number = Annotated[int, Key("how many are drawn", ge=1, le=1_000_000)]


def stretched(values: npt.NDArray[Any]) -> Map:
    """Stretch a map so that it runs from 0 to 1.

    Parameters
    ----------
    values : (H, W) real
        Any finite numbers.

    Returns
    -------
    (H, W) float32
        Smallest value 0, largest 1; zero everywhere if all are equal.

    Examples
    --------
    >>> stretched(np.array([[2.0, 4.0], [3.0, 2.0]])).tolist()
    [[0.0, 1.0], [0.5, 0.0]]
    """
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(values.shape, np.float32)
    found = np.subtract(values, low, dtype=values.dtype if values.dtype.kind == "f" else float)
    found /= high - low
    return np.asarray(found, np.float32)


def blurred(values: npt.NDArray[Any], sigma: float) -> Map:
    """A map under a Gaussian filter; zeros lie beyond its border.

    Parameters
    ----------
    values : (H, W) real
        The map.
    sigma : float
        Standard deviation, pixels; 0 leaves the map as it is.

    Returns
    -------
    (H, W) float32
        The map.
    """
    from scipy.ndimage import gaussian_filter

    sharp = np.asarray(values, np.float32)
    return gaussian_filter(sharp, sigma, mode="constant") if sigma > 0 else sharp


def span(low: float, high: float, lowest: str, highest: str) -> tuple[float, float]:
    """Two ends of a range, checked.

    Raises
    ------
    ValueError
        The lower end is above the upper one.
    """
    if low > high:
        raise ValueError(checks.wrong(lowest, low, f"at most {highest}, {high}"))
    return low, high


class Box:
    """The part of a map around a point, for shapes drawn one by one.

    Parameters
    ----------
    size : int
        Side of the map, pixels.
    y, x : float
        The point.
    reach : float
        Nothing is drawn farther away, pixels.

    Attributes
    ----------
    at : (slice, slice)
        The part; it may be empty.
    y, x : (h, 1) and (1, w) float32
        Distance of each pixel from the point along each axis.
    """

    def __init__(self, size: int, y: float, x: float, reach: float) -> None:
        rows, columns = (
            np.arange(max(int(np.ceil(c - reach)), 0), min(int(np.floor(c + reach)) + 1, size))
            for c in (y, x)
        )
        self.at = tuple(slice(a[0], a[-1] + 1) if len(a) else slice(0) for a in (rows, columns))
        self.y = (rows - y).astype(np.float32)[:, None]
        self.x = (columns - x).astype(np.float32)
