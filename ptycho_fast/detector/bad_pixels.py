"""Bad pixels of a real detector, from a file."""

from typing import Annotated

import numpy as np
import numpy.typing as npt

from ptycho_fast.keys import Key, wrong
from ptycho_fast.kinds import StoredSha256, same_as_recorded


def bad_pixels(
    N: int,
    *,
    bad_pixels_file: Annotated[
        str | None,
        Key(
            "path of a file whose bad pixels are masked: of a data set, or an .npy of booleans, "
            "true is bad",
            synonyms=("mask_file", "mask"),
            drawn=False,
        ),
    ] = None,
    bad_pixels_sha256: StoredSha256 = None,
) -> npt.NDArray[np.bool_]:
    """Which pixels are bad in a file.

    Parameters
    ----------
    N : int
        Side of the pattern, pixels.
    bad_pixels_file : str, optional
        The file; its content decides what it is.
    bad_pixels_sha256 : str, optional
        What its mask has to be, see `kinds.fingerprint`; another one is an error.

    Returns
    -------
    (N, N) bool
        True where a pixel is bad.

    Raises
    ------
    ScenarioError
        The file has no mask, one of another side, or another one than that of
        `bad_pixels_sha256`.
    OSError, ValueError, RuntimeError
        It cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "bad.npy")
    >>> np.save(path, np.eye(4) > 0)
    >>> int(bad_pixels(4, bad_pixels_file=path).sum())
    4
    """
    if bad_pixels_file is None:
        return np.zeros((N, N), np.bool_)
    from ptycho_fast.formats.truth import read_mask

    good = read_mask(bad_pixels_file)
    if good is None:
        raise wrong("detector.bad_pixels_file", bad_pixels_file, "a file with a mask")
    if good.shape != (N, N):
        given = f"{bad_pixels_file}, whose mask is {' x '.join(map(str, good.shape))},"
        raise wrong("detector.bad_pixels_file", given, f"a mask of {N} x {N} pixels, as N says")
    same_as_recorded(good, bad_pixels_sha256, "detector", bad_pixels_file, "bad_pixels_sha256")
    return ~good
