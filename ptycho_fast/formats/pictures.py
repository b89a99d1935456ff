"""Pictures (PNG, TIFF and others that Pillow reads) as arrays of grey values."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast.checks import wrong
from ptycho_fast.formats.patterns import LazyPatterns

LUMINANCE = 0.2125, 0.7154, 0.0721
"""Weights of red, green and blue, as scikit-image's ``rgb2gray`` has them (Rec. 709)."""

_GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")  # modes of Pillow without colours
_WHITE = {"1": 1, "L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}
_TYPES = {"1": "u1", "L": "u1", "I": "i4", "F": "f4"}


class PictureFile(NamedTuple):
    """What a file of pictures says about itself.

    Attributes
    ----------
    pages : int
        Number of pictures.
    height, width : int
        Size of the first one, pixels.
    white : int or None
        Largest value of its type, which is white; None where the type has no such value (32 bits,
        floating point).
    dtype : dtype or None
        Type of a pixel; None of pictures with colours.
    """

    pages: int
    height: int
    width: int
    white: int | None
    dtype: np.dtype[Any] | None


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A picture by Pillow; its errors name the file."""
    from PIL import Image

    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file, expected a picture")
    try:
        with Image.open(file) as picture:
            yield picture
    except MemoryError:
        raise
    except Exception as error:  # each format's reader has errors of its own
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file}: cannot be read ({problem}), expected a picture") from error


def describe(path: str | os.PathLike[str]) -> PictureFile:
    """What a file of pictures holds, without its pixels.

    Parameters
    ----------
    path : path-like
        A picture in a format that Pillow reads.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no picture, or a damaged one.
    """
    with _opened(path) as picture:
        mode = picture.mode
        dtype = np.dtype(_TYPES.get(mode, "u2")) if mode in _GREY else None
        pages = getattr(picture, "n_frames", 1)
        white = _WHITE.get(mode) if dtype is not None else 255
        return PictureFile(pages, picture.height, picture.width, white, dtype)


def read_picture(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
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
    with _opened(path) as picture:
        pages = getattr(picture, "n_frames", 1)
        values = np.asarray(picture if picture.mode in _GREY else picture.convert("RGB"))
    if pages > 1:
        raise ValueError(wrong(str(path), f"{pages} pages", "a file of one picture"))
    found = values.astype(np.float32)
    if found.ndim == 3:
        found = found @ np.array(LUMINANCE, np.float32)
    if not np.isfinite(found).all():
        raise ValueError(wrong(str(path), "NaN or infinity", "a picture of finite numbers"))
    return found


class Pages(LazyPatterns):
    """The pages of a TIFF as patterns, read when they are asked for.

    Parameters
    ----------
    path : path-like
        The file; `describe` it first.
    found : PictureFile
        What it says about itself, grey.
    """

    def __init__(self, path: str | os.PathLike[str], found: PictureFile) -> None:
        self._path = os.fspath(path)
        self.shape = (found.pages, found.height, found.width)
        self.dtype = np.dtype(found.dtype)

    def _read(self, first: int, last: int) -> npt.NDArray[Any]:
        out = np.empty((last - first, *self.shape[1:]), self.dtype)
        with _opened(self._path) as picture:
            for page in range(first, last):
                picture.seek(page)
                values = np.asarray(picture)
                if values.shape != self.shape[1:] or values.dtype.kind == "c":
                    given = f"page {page} of shape {values.shape}"
                    raise ValueError(wrong(self._path, given, f"{self.shape[1:]}, as the first"))
                out[page - first] = values
        return out
