"""Random lines: the object of the published scenarios."""

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import to_complex64
from ptycho_fast.kinds import kind
from ptycho_fast.rng import legacy_generator

from .maps import Size

_LINES = 400


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
    from scipy.ndimage import gaussian_filter
    from skimage.draw import line

    side = 2 * checks.count(size, "size")
    draw = legacy_generator(seed)
    canvas = np.zeros((side, side))
    for _ in range(_LINES):
        r0, c0, r1, c1 = (int(side * u) for u in draw.uniform(size=4))
        canvas[line(r0, c0, r1, c1)] = 1  # type: ignore[no-untyped-call, unused-ignore]
    fine, middle, coarse = (gaussian_filter(canvas, sigma) for sigma in (1, 5, 10))
    centre = slice(size // 2, size // 2 + size)
    blurred = (fine + 2 * middle + 5 * coarse)[centre, centre]
    return to_complex64(blurred, "lines object")
