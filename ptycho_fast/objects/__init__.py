"""True objects: complex transmission, ``(H, W)`` complex64."""

import os
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks
from ptycho_fast.formats.numpy_files import read_array, to_complex64
from ptycho_fast.scans import legacy_generator

_LINES = 400


class _ObjectSpec(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def file(self) -> str | os.PathLike[str] | None: ...


def lines(size: int, seed: int) -> npt.NDArray[np.complex64]:
    """Draw the *lines* object: random lines, blurred at three widths.

    400 Bresenham lines are drawn on a canvas of twice the side; the amplitude is the centre of
    ``g(1) + 2 g(5) + 5 g(10)``, with ``g(sigma)`` the canvas under a Gaussian filter.  The phase
    is zero.  The draw is that of the published scenarios, number for number.

    Parameters
    ----------
    size : int
        Side of the object, pixels.
    seed : int
        Seed of NumPy's legacy generator.

    Returns
    -------
    ndarray, (size, size), complex64
        The object.

    Raises
    ------
    ValueError
        If `size` is below 1 or the seed is not within 0 .. 2**32 - 1.
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


def read_object(path: str | os.PathLike[str]) -> npt.NDArray[np.complex64]:
    """Read an object from an ``.npz`` (key ``objectGuess``) or an ``.npy`` file.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ndarray, (H, W), complex64
        The object.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no finite two-dimensional array of numbers.
    """
    name = f"{path}: objectGuess"
    obj = to_complex64(read_array(path, "objectGuess"), name)
    if obj.ndim != 2:
        raise ValueError(f"{name}: shape {obj.shape} given, expected (H, W)")
    return obj


def make_object(spec: _ObjectSpec, seed: int) -> npt.NDArray[np.complex64]:
    """Make the object a scenario describes.

    Parameters
    ----------
    spec : object with attributes ``kind``, ``size``, ``file``
        ``kind`` is ``"lines"`` (which uses ``size``, pixels) or ``"file"`` (which uses ``file``).
    seed : int
        Seed of the draw; not used for files.

    Returns
    -------
    ndarray, (H, W), complex64
        The object.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        For an unknown kind, a kind "file" without a file, and as `lines` and `read_object`.
    """
    if spec.kind == "lines":
        return lines(spec.size, seed)
    if spec.kind == "file":
        if spec.file is None:
            raise ValueError("object.file: None given, expected a path")
        return read_object(spec.file)
    raise ValueError(f"object.kind: {spec.kind!r} given, expected 'lines' or 'file'")
