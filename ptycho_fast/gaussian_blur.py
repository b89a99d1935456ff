"""Gaussian blurs with the numbers that ``scipy.ndimage.gaussian_filter`` gives, to the last bit.

SciPy's own function needs the whole image in double precision and goes pixel by pixel; to load it
takes longer than everything else that the command does before it makes patterns.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

_REACH = 4  # standard deviations; what lies further away does not count
_TILE = 40  # side, pixels: larger ones multiply by more zeros, smaller ones are slow
_STRIPE = 32  # columns that are blurred down at once
_ROUNDING = 1e-13  # in two sums of up to 200 positive terms, relative
_AT_ONCE = 256  # pixels that are summed in order


def gaussian_blur(image: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Blur an image, which is mirrored at its edges.

    Parameters
    ----------
    image : (H, W) float64
        The image.
    sigma : float
        Standard deviation, pixels.

    Returns
    -------
    (H, W) float64
        ``scipy.ndimage.gaussian_filter(image, sigma)``.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = 1
    >>> gaussian_blur(image, 1)[3:6, 4].round(4)
    array([0.0965, 0.1592, 0.0965])
    """
    kernel = _kernel(sigma)
    mirrored = np.pad(image, len(kernel) // 2, mode="symmetric")
    return _in_order(mirrored[np.newaxis], kernel)[0]


def sum_of_blurs(
    image: npt.NDArray[np.bool_], weights: Mapping[float, float], corner: int, side: int
) -> npt.NDArray[np.float32]:
    """Sum of several blurs of a black and white image, of a square part of it.

    Matrices blur, whose products add in an order of their own. As nothing is negative, the result
    has a relative error of 1e-14; the few pixels whose rounding to single precision it could change
    are summed in SciPy's order.

    Parameters
    ----------
    image : (H, W) bool
        The image, mirrored at its edges.
    weights : mapping of float to float
        Weight of each blur, by its standard deviation in pixels; positive.
    corner : int
        First row and column of the part.
    side : int
        Rows and columns of the part.

    Returns
    -------
    (side, side) float32
        Of ``scipy.ndimage.gaussian_filter(image.astype(float), sigma)`` for each sigma, times its
        weight, added in the order of `weights`.

    Examples
    --------
    >>> image = np.zeros((99, 99), bool)
    >>> image[50, 50] = True
    >>> sum_of_blurs(image, {1: 1, 2: 3}, corner=49, side=3)[1].round(4)
    array([0.2019, 0.2785, 0.2019], dtype=float32)
    """
    blurs = [(weight, _kernel(sigma)) for sigma, weight in weights.items()]
    reach = max(len(kernel) // 2 for _, kernel in blurs)
    beyond = max(0, reach - corner, corner + side + reach - min(image.shape))
    around = np.pad(image, beyond, mode="symmetric") if beyond else image
    first = corner + beyond - reach
    around = around[first : first + side + 2 * reach, first : first + side + 2 * reach]
    matrices = [(weight, _matrix(kernel)) for weight, kernel in blurs]
    result = np.empty((side, side), np.float32)
    for row in range(0, side, _TILE):
        band = around[row : row + _TILE + 2 * reach]
        sums = _by_matrices(band, matrices, reach)
        result[row : row + _TILE] = sums
        at = np.argwhere(np.float32((1 - _ROUNDING) * sums) != np.float32((1 + _ROUNDING) * sums))
        for start in range(0, len(at), _AT_ONCE):
            some = at[start : start + _AT_ONCE]
            seen = sliding_window_view(band, (2 * reach + 1, 2 * reach + 1))[tuple(some.T)]
            result[row + some[:, 0], some[:, 1]] = _by_order(seen, blurs, reach)
    return result


def _kernel(sigma: float) -> npt.NDArray[np.float64]:
    radius = int(_REACH * sigma + 0.5)
    kernel = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    return kernel / kernel.sum()


# --- in SciPy's order ---


def _in_order(
    images: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Blurred down, then across; images (n, h, w) lose the kernel's radius on each side."""
    down = _blurred_down(images, kernel)
    return _blurred_down(down.swapaxes(1, 2), kernel).swapaxes(1, 2)


def _blurred_down(
    images: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The middle first, then pairs of pixels at the same distance, the outermost before others."""
    radius = len(kernel) // 2
    n = images.shape[1] - 2 * radius
    total = kernel[radius] * images[:, radius : radius + n]
    for k in range(radius):
        above, below = images[:, k : k + n], images[:, 2 * radius - k :][:, :n]
        total += kernel[k] * (above + below)
    return total


def _by_order(
    seen: npt.NDArray[np.bool_], blurs: list[tuple[float, npt.NDArray[np.float64]]], reach: int
) -> npt.NDArray[np.float64]:
    """Sum of blurs (n,) of pixels, from what each of them sees, (n, 2 reach + 1, 2 reach + 1)."""
    total = np.zeros(len(seen))
    for weight, kernel in blurs:
        near = slice(reach - len(kernel) // 2, reach + len(kernel) // 2 + 1)
        total += weight * _in_order(seen[:, near, near].astype(np.float64), kernel)[:, 0, 0]
    return total


# --- by matrices ---


def _matrix(kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What blurs the pixels of a tile's side, (side, side and the kernel's radius twice)."""
    matrix = np.zeros((_TILE, _TILE + len(kernel) - 1))
    for row, weights in enumerate(matrix):
        weights[row : row + len(kernel)] = kernel
    return matrix


def _by_matrices(
    band: npt.NDArray[np.bool_],
    matrices: list[tuple[float, npt.NDArray[np.float64]]],
    reach: int,
) -> npt.NDArray[np.float64]:
    """Sum of blurs of some rows, from these rows and `reach` more on each side.

    The products are so small that BLAS leaves each of them to one thread: its threads would only
    wait for each other on a machine that has more to do.
    """
    height, width = (length - 2 * reach for length in band.shape)
    tiles = -(-width // _TILE)
    stripes = -(-(tiles * _TILE + 2 * reach) // _STRIPE)
    padded = np.zeros((_TILE + 2 * reach, stripes * _STRIPE))
    padded[: len(band), : len(band[0])] = band
    total = np.zeros((_TILE, tiles * _TILE))
    for weight, matrix in matrices:
        radius = (matrix.shape[1] - _TILE) // 2
        rows = padded[reach - radius : reach + radius + _TILE]
        down = _side_by_side(matrix @ rows.reshape(-1, stripes, _STRIPE).swapaxes(0, 1))
        seen = sliding_window_view(down[:, reach - radius :], matrix.shape[1], axis=1)
        windows = seen[:, : tiles * _TILE : _TILE].swapaxes(0, 1)
        total += weight * _side_by_side(windows @ matrix.T)
    return total[:height, :width]


def _side_by_side(tiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, h, w) as one image, (h, n w)."""
    return tiles.swapaxes(0, 1).reshape(tiles.shape[1], -1)
