"""Pictures as structure maps: reading, luminance, size."""

import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from ptycho_fast.checks import wrong
from ptycho_fast.keys import Key
from ptycho_fast.rng import generator

from .maps import Map

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
LUMINANCE = 0.2125, 0.7154, 0.0721
"""Weights of red, green and blue, as scikit-image's ``rgb2gray`` has them (Rec. 709)."""
_GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")  # modes of Pillow without colours

Fit = Annotated[
    Literal["crop", "scale"],
    Key(
        "a window at a random place, pixel by pixel (a picture that is too small is enlarged); or "
        "the square in the middle, scaled"
    ),
]


def read_picture(path: str | os.PathLike[str]) -> Map:
    """Read a picture as luminance.

    Parameters
    ----------
    path : path-like
        A picture in a format that Pillow reads.

    Returns
    -------
    (H, W) float32
        Grey values as stored; colours as ``0.2125 R + 0.7154 G + 0.0721 B``. Transparency is not
        looked at.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no picture, a damaged one, or one of several pages.
    """
    from PIL import Image

    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file, expected a picture")
    try:
        with Image.open(file) as picture:
            pages = getattr(picture, "n_frames", 1)
            values = np.asarray(picture if picture.mode in _GREY else picture.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # each format's reader has errors of its own
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file}: cannot be read ({problem}), expected a picture") from error
    if pages > 1:
        raise ValueError(wrong(str(file), f"{pages} pages", "a file of one picture"))
    found = values.astype(np.float32)
    if found.ndim == 3:
        found = found @ np.array(LUMINANCE, np.float32)
    if not np.isfinite(found).all():
        raise ValueError(wrong(str(file), "NaN or infinity", "a picture of finite numbers"))
    return found


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
