"""Random lines: the object of the published scenarios."""

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.gaussian_blur import sum_of_blurs
from ptycho_fast.kinds import kind
from ptycho_fast.rng import legacy_generator

from .maps import Size

_LINES = 400
_BLURS: dict[float, float] = {1: 1, 5: 2, 10: 5}  # weight by standard deviation, pixels


@kind("lines")
def lines(
    seed: int,
    *,
    size: Size = 392,
) -> npt.NDArray[np.complex64]:
    """Random lines, blurred at three widths; amplitude only.

    400 Bresenham lines are drawn on a canvas of twice the side. The amplitude is the centre of
    ``g(1) + 2 g(5) + 5 g(10)``, where ``g(sigma)`` is the canvas under a Gaussian filter. The phase
    is zero. The draw is that of the published scenarios, number for number.

    Parameters
    ----------
    seed : int
        Seed of NumPy's legacy generator, 0 to 2**32 - 1.
    size : int
        Side of the object, pixels.

    Returns
    -------
    (size, size) complex64
        The object.

    Raises
    ------
    TypeError, ValueError
        `size` or the seed is no integer, or out of range.

    Examples
    --------
    >>> obj = lines(42, size=64)
    >>> obj.shape, obj.dtype
    ((64, 64), dtype('complex64'))
    >>> bool((obj.imag == 0).all())
    True
    """
    side = 2 * checks.count(size, "size")
    canvas = np.zeros((side, side), bool)
    ends = (side * legacy_generator(seed).uniform(size=(_LINES, 2, 2))).astype(np.int64)
    canvas[_pixels(*ends.swapaxes(0, 1))] = True
    return to_complex64(sum_of_blurs(canvas, _BLURS, size // 2, size), "lines object")


def _pixels(
    start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], ...]:
    """Rows and columns of all pixels of lines between points (n, 2), as `skimage.draw.line` does.

    Along its longer axis a line goes in steps of one pixel. Along the other one halves are rounded
    away from its start.
    """
    steps = np.abs(end - start).max(axis=1)
    line = np.repeat(np.arange(len(steps)), steps + 1)
    step = np.arange(len(line)) - (np.cumsum(steps + 1) - steps - 1)[line]
    along = []
    for first, way in zip(start.T, (end - start).T, strict=True):
        away = (2 * np.abs(way)[line] * step + steps[line]) // np.maximum(2 * steps, 1)[line]
        along.append(first[line] + np.sign(way)[line] * away)
    return tuple(along)
