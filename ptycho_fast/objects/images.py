"""Pictures as structure maps: which one, and its size."""

from typing import Annotated, Literal

import numpy as np

from ptycho_fast.keys import Key
from ptycho_fast.rng import generator

from .maps import Map

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
Fit = Annotated[
    Literal["crop", "scale"],
    Key(
        "a window at a random place, pixel by pixel (a picture that is too small is enlarged); or "
        "the square in the middle, scaled"
    ),
]


def chosen(count: int, seed: int, root: int | None, drawing: int) -> int:
    """Number of the picture of a drawing.

    The seed draws the picture of the first drawing; the pictures of the next drawings follow it, so
    that they are others.

    Parameters
    ----------
    count : int
        How many pictures there are.
    seed : int
        Of the drawing; it is used if there is no `root`.
    root : int or None
        Seed of the object.
    drawing : int
        Number of the drawing.

    Returns
    -------
    int
        0 to ``count - 1``.
    """
    first = generator(seed if root is None else root, "object").integers(count)
    return int(first + drawing) % count


def fitted(picture: Map, size: int | None, fit: str, draw: np.random.Generator) -> Map:
    """Bring a picture to a size.

    Parameters
    ----------
    picture : (H, W) float32
        The picture.
    size : int, optional
        Side of the square that is wanted; the picture stays as it is without one.
    fit : {"crop", "scale"}
        A window at a random place; or the square in the middle, scaled (linear, smoothed before it
        is made smaller).
    draw : numpy.random.Generator
        Where the place comes from.

    Returns
    -------
    (size, size) float32
        The picture, or (H, W) without a size.
    """
    if size is None:
        return picture
    height, width = picture.shape
    if fit == "scale":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _scaled(picture[top : top + side, left : left + side], (size, size))
    if min(height, width) < size:
        factor = size / min(height, width)
        picture = _scaled(
            picture, (max(round(height * factor), size), max(round(width * factor), size))
        )
        height, width = picture.shape
    top, left = (int(draw.integers(0, n - size + 1)) for n in (height, width))
    return picture[top : top + size, left : left + size]


def _scaled(picture: Map, shape: tuple[int, int]) -> Map:
    from skimage.transform import resize

    if picture.shape == shape:
        return picture
    smaller = shape[0] < picture.shape[0]
    found = resize(picture, shape, order=1, mode="edge", anti_aliasing=smaller, preserve_range=True)  # type: ignore[no-untyped-call, unused-ignore]
    return np.asarray(found, np.float32)
